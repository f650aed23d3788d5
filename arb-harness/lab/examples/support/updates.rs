//! A channel with many updates of the counterparty's commitment, in a court with a journal.
//!
//! The events are made here and not by the fixture, because that keeps every commitment which it signed.

use arb_core::bolt3::{ChannelType, PaymentHash, Point};
use arb_core::{
    ChainArbitrator, CommitmentUpdate, Event, Height, Htlc, HtlcRef, Link, RemoteCommitmentSigned, RemoteRevoked,
    Standing,
};
use arb_lab::fixture::{ChannelFixture, ChannelSetup, CommitmentState};
use arb_log::memory::Memory;
use arb_log::{Journal, Storage};
use bitcoin::hashes::{Hash, sha256};

use crate::support::{hash, identity};

const CAPACITY_SAT: u64 = 10_000_000;

/// Makes the events of the counterparty's commitments; odd ones have one HTLC more than even ones.
pub struct Updates {
    setup: ChannelSetup,
    others: u64,
    next: u64,
    /// Per-commitment points of the next commitment and the two after it.
    points: [Point; 3],
}

/// An HTLC whose payment hash and amount depend on `salt`.
fn htlc(key: HtlcRef, salt: u64) -> Htlc {
    Htlc {
        key,
        amount_msat: 5_000_000 + salt % 1000,
        payment_hash: PaymentHash(sha256::Hash::hash(&hash(salt)).to_byte_array()),
        cltv_expiry: Height::new(800_000),
        link: if key.is_offered() { Link::Own } else { Link::Received },
        tag: Vec::new(),
    }
}

impl Updates {
    fn new(setup: ChannelSetup, others: u64) -> Self {
        let points = [0, 1, 2].map(|number| setup.remote.point(number).unwrap());
        Self { setup, others, next: 0, points }
    }

    /// The number of the next commitment.
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// The HTLCs that stay, every other one offered.
    fn others(others: u64) -> impl Iterator<Item = Htlc> {
        let key = |id: u64| if id.is_multiple_of(2) { HtlcRef::offered(id / 2) } else { HtlcRef::received(id / 2) };
        (0..others).map(move |id| htlc(key(id), id))
    }

    /// The HTLC that only an odd commitment has.
    fn extra(others: u64, number: u64) -> Htlc {
        htlc(HtlcRef::offered(others + number), others + number)
    }

    /// The content of commitment `number`.
    pub fn state(others: u64, number: u64) -> CommitmentState {
        let extra = (number % 2 == 1).then(|| Self::extra(others, number));
        let htlcs: Vec<Htlc> = Self::others(others).chain(extra).collect();
        let (local_msat, remote_msat) = Self::balances(number);
        CommitmentState { local_msat, remote_msat, feerate_sat_per_kw: 253, htlcs }
    }

    /// Balances that leave room for all HTLCs; each number has its own.
    fn balances(number: u64) -> (u64, u64) {
        (4_000_000_000 - number, 3_000_000_000 + number)
    }

    /// The event that we are about to sign the next commitment.
    pub fn signed(&mut self) -> Event {
        let (number, others) = (self.next, self.others);
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        match number {
            0 => added.extend(Self::others(others)),
            odd if odd % 2 == 1 => added.push(Self::extra(others, odd)),
            even => removed.push(HtlcRef::offered(others + even - 1)),
        }
        let (local_msat, remote_msat) = Self::balances(number);
        let [point, next, after] = self.points;
        let update = CommitmentUpdate {
            channel: self.setup.id,
            number,
            point,
            feerate_sat_per_kw: 253,
            local_msat,
            remote_msat,
            added,
            removed,
            whole: false,
        };
        self.next += 1;
        self.points = [next, after, self.setup.remote.point(number + 3).unwrap()];
        Event::RemoteCommitmentSigned(Box::new(RemoteCommitmentSigned { update }))
    }

    /// The event that the counterparty revoked commitment `number`, which must be the last but one.
    pub fn revoked(&self, number: u64) -> Event {
        assert_eq!(number + 2, self.next);
        let (secret, next_point) = (self.setup.remote.secret(number), self.points[0]);
        Event::RemoteRevoked(Box::new(RemoteRevoked { channel: self.setup.id, number, secret, next_point }))
    }
}

/// A court with one channel, and its journal.
pub struct World<S: Storage> {
    pub court: ChainArbitrator,
    pub journal: Journal<S>,
    pub updates: Updates,
}

impl<S: Storage> World<S> {
    /// A channel that was just opened, with both commitments 0 signed; our own is never updated.
    pub fn new(storage: S, others: u64) -> Self {
        let setup = ChannelSetup::from_seed(&[0x33; 32], 0, ChannelType::AnchorsZeroFeeHtlcTx, CAPACITY_SAT);
        let mut journal = Journal::open(storage).ok().unwrap();
        let court = journal.recover(&identity()).ok().unwrap();
        let mut fixture = ChannelFixture::new(setup.clone());
        let mut world = Self { court, journal, updates: Updates::new(setup, others) };
        world.hear(&[fixture.opened(Standing::default()), fixture.adopted()]);
        world.hear(&[fixture.local_signed(0, Updates::state(others, 0)).unwrap()]);
        let first = world.updates.signed();
        world.hear(&[first]);
        world
    }

    /// Hears several events in one step.
    pub fn hear(&mut self, events: &[Event]) {
        let mut step = self.court.step();
        for event in events {
            step.hear(event).unwrap();
        }
        let _due = step.commit(&mut self.journal).ok().unwrap();
    }

    /// `count` commitments in one step, each followed by the revocation of the one before.
    pub fn update(&mut self, count: u64) {
        let mut events = Vec::new();
        for _ in 0..count {
            events.push(self.updates.signed());
            events.push(self.updates.revoked(self.updates.next_number() - 2));
        }
        self.hear(&events);
    }
}

impl World<Memory> {
    /// A court without a channel.
    pub fn bare() -> ChainArbitrator {
        Journal::open(Memory::new()).unwrap().recover(&identity()).unwrap()
    }
}
