//! Each fuzz body on a thousand seeded inputs: valid bytes, of which a few are changed.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "test inputs")]

use arb_core::{
    Block, ChannelId, CloseReason, Disconnected, Entry, Event, Fees, Frame, Freshness, Height, JournalIdentity, Policy,
    Started, Tip,
};
use arb_log::{arb_file, frame, fuzzing};
use bitcoin::consensus::encode::serialize;
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Network, OutPoint, ScriptBuf, Transaction, TxIn, TxOut, Witness, absolute, transaction};

/// splitmix64: every machine tries the same inputs.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }
}

fn mutated(valid: &[u8], seeded: &mut Seeded) -> Vec<u8> {
    let mut bytes = valid.to_vec();
    for _ in 0..seeded.below(4) {
        let at = seeded.below(bytes.len());
        match seeded.below(4) {
            0 => bytes[at] ^= 1 << seeded.below(8),
            1 => bytes[at] = u8::try_from(seeded.below(256)).unwrap(),
            2 => bytes.truncate(at.max(1)),
            _ => bytes.insert(at, u8::try_from(seeded.below(256)).unwrap()),
        }
    }
    bytes
}

fn events() -> Vec<Event> {
    let hash = |byte| BlockHash::from_byte_array([byte; 32]);
    let tip = Tip { height: Height::new(10), hash: hash(10) };
    let identity = JournalIdentity { network: Network::Regtest, journal: [7; 32], tip, policy: Policy::default() };
    let block = |byte: u8| {
        Event::BlockConnected(Box::new(Block {
            height: Height::new(u32::from(byte)),
            hash: hash(byte),
            parent: hash(byte - 1),
            best_height: Height::new(20),
            txs: vec![tx()],
        }))
    };
    vec![
        Event::JournalOpened(identity),
        Event::Started(Started {
            build: "b".into(),
            freshness: Freshness::Suspect,
            best_height: Height::new(20),
            run: 0,
        }),
        block(11),
        Event::FeesEstimated(Fees::new(vec![(1, 500), (6, 300)], 250)),
        block(12),
        Event::BlockDisconnected(Disconnected {
            height: Height::new(12),
            hash: hash(12),
            parent: hash(11),
            best_height: Height::new(11),
        }),
        Event::CloseRequested { channel: ChannelId([3; 32]), why: CloseReason::Operator },
        Event::MempoolSeen { tx: tx() },
        Event::PolicySet(Policy { max_inputs: 7, ..Policy::default() }),
    ]
}

fn tx() -> Transaction {
    let script = ScriptBuf::from(vec![0x51]);
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::new(),
            sequence: bitcoin::Sequence::MAX,
            witness: Witness::from_slice(&[vec![9; 32], vec![0x50, 1], script.to_bytes()]),
        }],
        output: vec![TxOut { value: bitcoin::Amount::from_sat(1000), script_pubkey: script.to_p2wsh() }],
    }
}

fn frames() -> Vec<Frame> {
    let entry = |heard| Entry { heard, concluded: Vec::new() };
    (1..).zip(events()).map(|(sequence, event)| Frame { sequence, entries: vec![entry(event)] }).collect()
}

#[test]
fn frames_of_any_bytes() {
    let mut seeded = Seeded(1);
    for frame in frames() {
        let valid = frame::encode_frame(&frame).unwrap();
        (0..120).for_each(|_| fuzzing::decode_frame(&mutated(&valid, &mut seeded)));
    }
}

#[test]
fn files_of_any_bytes() {
    let mut seeded = Seeded(2);
    let valid = arb_file::encode(&frames()).unwrap();
    (0..1000).for_each(|_| fuzzing::import(&mutated(&valid, &mut seeded)));
}

#[test]
fn witnesses_of_any_bytes() {
    let mut seeded = Seeded(3);
    let valid = serialize(&tx());
    (0..1000).for_each(|_| fuzzing::classify(&mutated(&valid, &mut seeded)));
}

#[test]
fn events_of_any_bytes() {
    let mut seeded = Seeded(4);
    let valid = postcard::to_allocvec(&events()).unwrap();
    fuzzing::hear(&valid);
    (0..1000).for_each(|_| fuzzing::hear(&mutated(&valid, &mut seeded)));
}
