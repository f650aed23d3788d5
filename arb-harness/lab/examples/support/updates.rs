//! A channel whose counterparty's commitments come one after the other, in a court with a journal.
//!
//! The events are made here and not by the fixture, which remembers every commitment that it ever signed.

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

/// Says what the court hears of the counterparty's commitments: odd ones have an HTLC more than even ones.
pub struct Updates {
    setup: ChannelSetup,
    others: u64,
    next: u64,
    /// Of the next commitment and the two after it.
    points: [Point; 3],
}

/// An HTLC that is like every other but for its hash and its amount.
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

    /// The HTLCs that stay, half of them offered; and the one of an odd commitment.
    fn others(others: u64) -> impl Iterator<Item = Htlc> {
        let key = |id: u64| if id.is_multiple_of(2) { HtlcRef::offered(id / 2) } else { HtlcRef::received(id / 2) };
        (0..others).map(move |id| htlc(key(id), id))
    }

    fn extra(others: u64, number: u64) -> Htlc {
        htlc(HtlcRef::offered(others + number), others + number)
    }

    /// Every commitment's content, whatever its number.
    pub fn state(others: u64, number: u64) -> CommitmentState {
        let extra = (number % 2 == 1).then(|| Self::extra(others, number));
        let htlcs: Vec<Htlc> = Self::others(others).chain(extra).collect();
        let (local_msat, remote_msat) = Self::balances(number);
        CommitmentState { local_msat, remote_msat, feerate_sat_per_kw: 253, htlcs }
    }

    /// What the HTLCs have is always free.
    fn balances(number: u64) -> (u64, u64) {
        (4_000_000_000 - number, 3_000_000_000 + number)
    }

    /// We are about to sign the next commitment.
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
        };
        self.next += 1;
        self.points = [next, after, self.setup.remote.point(number + 3).unwrap()];
        Event::RemoteCommitmentSigned(Box::new(RemoteCommitmentSigned { update }))
    }

    /// The counterparty revoked the commitment before the last one.
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
    /// A channel that was just opened: both commitments 0 are signed. Ours stays.
    pub fn new(storage: S, others: u64) -> Self {
        let setup = ChannelSetup::from_seed(&[0x33; 32], 0, ChannelType::AnchorsZeroFeeHtlcTx, CAPACITY_SAT);
        let mut journal = Journal::open(storage).ok().unwrap();
        let court = journal.recover(&identity()).ok().unwrap();
        let mut fixture = ChannelFixture::new(setup.clone());
        let mut world = Self { court, journal, updates: Updates::new(setup, others) };
        world.hear(&[fixture.opened(Standing::default())]);
        world.hear(&[fixture.local_signed(0, Updates::state(others, 0)).unwrap()]);
        let first = world.updates.signed();
        world.hear(&[first]);
        world
    }

    /// Several events in one step.
    pub fn hear(&mut self, events: &[Event]) {
        let mut step = self.court.step();
        for event in events {
            step.hear(event).unwrap();
        }
        let _due = step.commit(&mut self.journal).ok().unwrap();
    }

    /// Commitments, each followed by the revocation of the one before, in one step.
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
    /// A court without any channel.
    pub fn bare() -> ChainArbitrator {
        Journal::open(Memory::new()).unwrap().recover(&identity()).unwrap()
    }
}
