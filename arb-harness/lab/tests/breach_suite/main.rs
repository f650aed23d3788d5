//! The matrix of breaches: whatever a revoked commitment holds and whatever the cheat does with it, in which order blocks have
//! it and however often we die, all of it is ours in the end, every origin has its one outcome, and every satoshi is accounted
//! for. Every transaction is one that Bitcoin Core's interpreter accepts.
#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test for something else")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one variant and panics at the others")]

mod cell;
mod judge;
mod world;

use cell::{Cell, Cheat};

/// Plays the cells with this cheat, each twice, to the last one: a failure names all that are wrong.
fn matrix(cheat: Cheat, cells: usize) {
    let all = Cell::all(cheat);
    assert_eq!(all.len(), cells);
    let wrong: Vec<String> = all.into_iter().filter_map(|cell| judge::judge(cell).err()).collect();
    assert!(wrong.is_empty(), "{} of {cells} cells:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn an_idle_cheat() {
    matrix(Cheat::Idle, 20);
}

#[test]
fn with_preimages_first() {
    matrix(Cheat::SuccessFirst, 20);
}

#[test]
fn after_expiries_first() {
    matrix(Cheat::TimeoutFirst, 20);
}

#[test]
fn several_htlcs_in_one_transaction() {
    matrix(Cheat::Aggregated, 10);
}

#[test]
fn two_channels_at_once() {
    matrix(Cheat::TwoChannels, 20);
}

#[test]
fn commitment_and_htlc_transactions_in_one_block() {
    matrix(Cheat::SameBlock, 10);
}
