//! The matrix of breaches: channel type, HTLCs of the revoked commitment, behaviour of the cheating peer, reorgs and restarts.
//!
//! In every cell all outputs are ours in the end, each HTLC that we sent has one outcome (R8, I4), restarts change nothing
//! (I3), and every satoshi is accounted for (I11). Bitcoin Core's script interpreter accepts every transaction (I9).
#![allow(clippy::unwrap_used, reason = "clippy does not know the helpers of tests as test code")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one variant and panics at the others")]

mod cell;
mod judge;
mod world;

use cell::{Behaviour, Cell};

/// Plays all cells with this behaviour, each with and without restarts; a failure names every wrong cell.
fn matrix(behaviour: Behaviour, cells: usize) {
    let all = Cell::all(behaviour);
    assert_eq!(all.len(), cells);
    let wrong: Vec<String> = all.into_iter().filter_map(|cell| judge::judge(cell).err()).collect();
    assert!(wrong.is_empty(), "{} of {cells} cells:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn an_idle_cheat() {
    matrix(Behaviour::Idle, 20);
}

#[test]
fn with_preimages_first() {
    matrix(Behaviour::SuccessFirst, 20);
}

#[test]
fn after_expiries_first() {
    matrix(Behaviour::TimeoutFirst, 20);
}

#[test]
fn several_htlcs_in_one_transaction() {
    matrix(Behaviour::Aggregated, 10);
}

#[test]
fn two_channels_at_once() {
    matrix(Behaviour::TwoChannels, 20);
}

#[test]
fn commitment_and_htlc_transactions_in_one_block() {
    matrix(Behaviour::SameBlock, 10);
}
