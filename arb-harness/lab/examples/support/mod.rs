//! What the examples that print figures share: an identity, blocks, and two statistics.

use arb_core::{Block, Event, Height, JournalIdentity, Policy, Tip};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Network, Transaction};

/// Height of the journal's first tip; the first block has one more.
pub const START: u32 = 100;

/// 32 bytes that differ for each number.
pub fn hash(number: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

pub fn identity() -> JournalIdentity {
    let tip = Tip { height: Height::new(START), hash: BlockHash::from_byte_array(hash(u64::from(START))) };
    JournalIdentity { network: Network::Regtest, journal: [1; 32], tip, policy: Policy::default() }
}

/// The block of this height.
#[allow(dead_code, reason = "not every example needs it")]
pub fn tip_at(height: u32) -> Tip {
    Tip { height: Height::new(height), hash: BlockHash::from_byte_array(hash(u64::from(height))) }
}

pub fn block(height: u32, txs: Vec<Transaction>) -> Event {
    Event::BlockConnected(Box::new(Block {
        height: Height::new(height),
        hash: BlockHash::from_byte_array(hash(u64::from(height))),
        parent: BlockHash::from_byte_array(hash(u64::from(height) - 1)),
        best_height: Height::new(height),
        txs,
    }))
}

pub fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// The exponent with which times grow with counts: the least-squares slope of their logarithms.
#[allow(dead_code, reason = "not every example needs it")]
pub fn slope(times: &[(u32, f64)]) -> f64 {
    let points: Vec<(f64, f64)> = times.iter().map(|(claims, micros)| (f64::from(*claims).ln(), micros.ln())).collect();
    let count = f64::from(u32::try_from(points.len()).unwrap());
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let rise: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    rise / points.iter().map(|point| (point.0 - x) * (point.0 - x)).sum::<f64>()
}
