//! A small world for the log's tests: moves that become events, and a court to play them on.
#![allow(dead_code, reason = "every test file uses a part of it")]

use arb_core::bolt3::{Basepoints, ChannelType, PaymentHash, Point, Secret, commitment_secret, point_of_secret};
use arb_core::{
    Block, Blocks, ChainArbitrator, ChannelFacts, ChannelId, ChannelOpened, CloseReason, CommitmentUpdate,
    Disconnected, Event, Fees, Freshness, Funding, Height, Htlc, HtlcRef, JournalIdentity, Link, Policy,
    RemoteCommitmentSigned, RemoteRevoked, Scanned, Side, SideFacts, Standing, Started, Tip,
};
use arb_log::memory::{Memory, MemoryError};
use arb_log::{Journal, JournalError};
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::transaction::Version;
use bitcoin::{Amount, BlockHash, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};

pub(crate) type Error = JournalError<MemoryError>;

/// Something that happens. Its events depend on the court's state: see [`Move::events`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    Start(u32),
    Policy(u32),
    Fees(u32),
    Open(u8),
    /// The next remote commitment with one more HTLC, after revoking the one before.
    Update(u8),
    Connect,
    /// A block in which something spends the channel's funding.
    Spend(u8),
    Disconnect,
    Close(u8),
    Forget(u8),
    /// Everything in the channel's outbox was performed.
    Perform(u8),
}

/// A story with everything that a log must bring back: channels that open, change, close and are gone for good, one of them
/// with an id that is used again.
pub(crate) const STORY: &[Move] = &[
    Move::Start(100),
    Move::Policy(50),
    Move::Open(1),
    Move::Open(2),
    Move::Connect,
    Move::Fees(700),
    Move::Update(1),
    Move::Update(1),
    Move::Open(3),
    Move::Connect,
    Move::Forget(3),
    Move::Perform(3),
    Move::Perform(3),
    Move::Update(1),
    Move::Open(3),
    Move::Close(2),
    Move::Connect,
    Move::Spend(2),
    Move::Perform(2),
    Move::Disconnect,
    Move::Open(4),
    Move::Connect,
    Move::Forget(4),
    Move::Policy(60),
    Move::Perform(4),
    Move::Perform(4),
    Move::Start(110),
];

pub(crate) fn identity() -> JournalIdentity {
    let tip = Tip { height: Height::new(100), hash: BlockHash::all_zeros() };
    JournalIdentity { network: Network::Regtest, journal: [7; 32], tip, policy: Policy::default() }
}

pub(crate) fn id(channel: u8) -> ChannelId {
    ChannelId([channel; 32])
}

impl Move {
    /// The events that this move is now.
    pub(crate) fn events(self, court: &ChainArbitrator) -> Vec<Event> {
        let (tip, best_height) = (court.tip(), court.tip().height.next());
        let block = |txs| Block {
            height: tip.height.next(),
            hash: BlockHash::from_byte_array([u8::try_from(court.sequence() % 251).unwrap() + 1; 32]),
            parent: tip.hash,
            best_height,
            txs,
        };
        match self {
            Self::Start(best) => {
                let best_height = Height::new(best);
                let started =
                    Started { build: "test".into(), freshness: Freshness::Trusted, best_height, run: u64::from(best) };
                vec![Event::Started(started), everything(None)]
            }
            Self::Policy(max_inputs) => vec![Event::PolicySet(Policy { max_inputs, ..Policy::default() })],
            Self::Fees(rate) => {
                vec![Event::FeesEstimated(Fees::new(vec![(6, rate)], 253))]
            }
            Self::Open(channel) => {
                let opened = ChannelOpened { facts: facts(channel), standing: Standing::default() };
                vec![Event::ChannelOpened(Box::new(opened)), everything(Some(id(channel)))]
            }
            Self::Update(channel) => update(court, channel),
            Self::Connect => vec![Event::BlockConnected(Box::new(block(vec![])))],
            Self::Spend(channel) => vec![Event::BlockConnected(Box::new(block(vec![spend(channel)])))],
            Self::Disconnect => vec![Event::BlockDisconnected(Disconnected {
                height: tip.height,
                hash: tip.hash,
                parent: BlockHash::from_byte_array([99; 32]),
                best_height,
            })],
            Self::Close(channel) => {
                vec![Event::CloseRequested { channel: id(channel), why: CloseReason::Operator }]
            }
            Self::Forget(channel) => {
                let (channel, parent) = (id(channel), funding(channel).txid);
                let searched = Scanned { channel, parent, through: tip, confirmed: None, spends: vec![] };
                let known = court.index_of(&channel).and_then(|index| court.channel(index));
                // Its commitments have a balance of ours.
                let has_commitment = known.is_some_and(|known| !known.commitment_numbers().1.is_empty());
                let forgotten =
                    if has_commitment { Event::NeverFunded { channel } } else { Event::ChannelForgotten { channel } };
                vec![Event::Scanned(Box::new(searched)), forgotten]
            }
            Self::Perform(channel) => {
                let known = court.index_of(&id(channel)).and_then(|index| court.channel(index));
                let ids: Vec<_> = known.into_iter().flat_map(|channel| channel.outbox()).map(|(id, _)| *id).collect();
                ids.into_iter().map(|action| Event::Performed { channel: id(channel), id: action }).collect()
            }
        }
    }
}

/// The node has told everything of a channel, or of all.
fn everything(channel: Option<ChannelId>) -> Event {
    Event::AdoptionComplete { channel, committed: vec![] }
}

pub(crate) fn point(secret: Secret) -> Point {
    point_of_secret(&Secp256k1::new(), &secret).unwrap()
}

fn key(n: u8) -> Point {
    point(Secret([n; 32]))
}

fn side(n: u8) -> SideFacts {
    let basepoints =
        Basepoints { revocation: key(n), payment: key(n + 1), delayed_payment: key(n + 2), htlc: key(n + 3) };
    SideFacts { basepoints, delay_blocks: 144, dust_limit_sat: 354 }
}

fn funding(channel: u8) -> OutPoint {
    OutPoint { txid: Txid::from_byte_array([channel; 32]), vout: 0 }
}

fn facts(channel: u8) -> ChannelFacts {
    ChannelFacts {
        id: id(channel),
        channel_type: ChannelType::AnchorsZeroFeeHtlcTx,
        fundings: vec![Funding {
            outpoint: funding(channel),
            value_sat: 1_000_000,
            local_key: key(11),
            remote_key: key(12),
            confirmed: Some(Height::new(90)),
        }],
        local: side(21),
        remote: side(31),
        opener: Side::Local,
        fallback_script: script(),
        watch_from: Height::new(90),
    }
}

/// Opens a channel whose funding is not known to be confirmed, so that it may be forgotten with a balance of ours.
pub(crate) fn opened_unconfirmed(channel: u8) -> Event {
    let mut facts = facts(channel);
    facts.fundings.iter_mut().for_each(|funding| funding.confirmed = None);
    Event::ChannelOpened(Box::new(ChannelOpened { facts, standing: Standing::default() }))
}

fn script() -> ScriptBuf {
    ScriptBuf::from_bytes([&[0, 20][..], &[5; 20]].concat())
}

fn update(court: &ChainArbitrator, channel: u8) -> Vec<Event> {
    let secret = |number| commitment_secret(&[channel; 32], number);
    let known = court.index_of(&id(channel)).and_then(|index| court.channel(index));
    let numbers = known.map(|channel| channel.commitment_numbers().1).unwrap_or_default();
    let number = numbers.last().map_or(0, |last| last + 1);
    let mut events = Vec::new();
    if let [oldest, pending] = numbers[..] {
        events.push(Event::RemoteRevoked(Box::new(RemoteRevoked {
            channel: id(channel),
            number: oldest,
            secret: secret(oldest),
            next_point: point(secret(pending + 1)),
        })));
    }
    let htlc = |id| Htlc {
        key: HtlcRef::offered(id),
        amount_msat: 5_000_000,
        payment_hash: PaymentHash([9; 32]),
        cltv_expiry: Height::new(100).after(Blocks::new(100_000)),
        link: Link::Own,
        tag: vec![1, 2, 3],
    };
    events.push(Event::RemoteCommitmentSigned(Box::new(RemoteCommitmentSigned {
        update: CommitmentUpdate {
            channel: id(channel),
            number,
            point: point(secret(number)),
            feerate_sat_per_kw: 253,
            local_msat: 910_000_000 - number * 5_000_000,
            remote_msat: 90_000_000,
            added: number.checked_sub(1).map(htlc).into_iter().collect(),
            removed: vec![],
            whole: false,
        },
    })));
    events
}

pub(crate) fn spend(channel: u8) -> Transaction {
    let input = TxIn {
        previous_output: funding(channel),
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    };
    let output = TxOut { value: Amount::from_sat(900_000), script_pubkey: script() };
    Transaction { version: Version::TWO, lock_time: LockTime::ZERO, input: vec![input], output: vec![output] }
}

pub(crate) fn open(memory: &Memory) -> (Journal<Memory>, ChainArbitrator) {
    try_open(memory).unwrap()
}

pub(crate) fn try_open(memory: &Memory) -> Result<(Journal<Memory>, ChainArbitrator), Error> {
    let mut journal = Journal::open(memory.clone())?;
    let court = journal.recover(&identity())?;
    Ok((journal, court))
}

/// The court of a process that starts now, from a copy of the storage, so that no owner is fenced.
pub(crate) fn recovered(memory: &Memory) -> ChainArbitrator {
    open(&memory.fork()).1
}

/// Hears some events in one step and commits it.
pub(crate) fn hear(court: &mut ChainArbitrator, journal: &mut Journal<Memory>, events: &[Event]) -> Result<(), Error> {
    let mut step = court.step();
    for event in events {
        // Stories and generators may try impossible moves: a refusal leaves the step as it was.
        let _refused = step.hear(event).is_err();
    }
    step.commit(journal).map(|_due| ())
}

pub(crate) fn play(court: &mut ChainArbitrator, journal: &mut Journal<Memory>, what: Move) -> Result<(), Error> {
    let events = what.events(court);
    hear(court, journal, &events)
}

/// A whole story on a fresh store.
pub(crate) fn told(story: &[Move]) -> (Memory, Journal<Memory>, ChainArbitrator) {
    let memory = Memory::new();
    let (mut journal, mut court) = open(&memory);
    for what in story {
        play(&mut court, &mut journal, *what).unwrap();
    }
    (memory, journal, court)
}

/// The same frame with another version and the right checksum.
pub(crate) fn reversioned(bytes: &[u8], version: u16) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[16..18].copy_from_slice(&version.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..4]), &bytes[8..]);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    bytes
}
