//! Past commitments' rows: their golden bytes, and damage, which is named by channel and number.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;
#[path = "support/updates.rs"]
mod updates;

use arb_core::bolt3::PaymentHash;
use arb_core::{CommitmentChange, CommitmentRow, Height, HtlcRef, RevokedCommitment, RevokedHtlc};
use arb_log::frame::{self, FrameError};
use arb_log::memory::{Memory, MemoryError};
use arb_log::{Journal, Key};
use support::*;
use updates::*;

/// The first and last number of a chain of rows of channel 0: a whole one and at least three changes; another row follows.
fn chain(memory: &Memory) -> (u64, u64) {
    let row = |number| memory.row(Key::commitment(0, number));
    let base = |number| Some(decoded(&row(number)?).builds_on());
    let mut last = None;
    for number in (0..).take_while(|number| row(number + 1).is_some()) {
        last = base(number).flatten().filter(|whole| whole + 3 <= number).map(|whole| (whole, number)).or(last);
    }
    last.unwrap()
}

fn long_chain() -> (Memory, Journal<Memory>, (u64, u64)) {
    let memory = Memory::new();
    let (mut journal, mut court) = open(&memory);
    let mut book = Book::new(1);
    play(&mut court, &mut journal, Move::Open(1)).unwrap();
    for _ in 0..12 {
        sign(&mut court, &mut journal, &mut book, &Change::add());
    }
    finds_all(&journal, &court, &[book]);
    let chain = chain(&memory);
    (memory, journal, chain)
}

#[test]
fn every_flipped_bit_of_a_row_that_is_needed_is_named() {
    let (memory, journal, (whole, last)) = long_chain();
    for number in [whole, whole + 1, last] {
        let key = Key::commitment(0, number);
        for bit in 0..memory.row(key).unwrap().len() * 8 {
            assert!(memory.flip_bit(key, bit));
            match asked(&journal, (0, last)) {
                Err(Error::BadRow { key: found, .. } | Error::RowAhead { key: found, .. }) => assert_eq!(found, key),
                other => panic!("bit {bit} of {key}: {other:?}"),
            }
            assert!(memory.flip_bit(key, bit));
        }
    }
    // Rows that are not needed are not read.
    assert!(memory.flip_bit(Key::commitment(0, whole - 1), 99));
    assert!(memory.flip_bit(Key::commitment(0, last + 1), 99));
    assert!(asked(&journal, (0, last)).is_ok());
}

#[test]
fn every_cut_of_a_row_is_named() {
    let (memory, journal, (_, last)) = long_chain();
    let key = Key::commitment(0, last);
    let row = memory.row(key).unwrap();
    for len in 0..row.len() {
        memory.tamper(key, Some(row[..len].to_vec()));
        assert!(matches!(asked(&journal, (0, last)), Err(Error::BadRow { key: found, .. }) if found == key), "{len}");
    }
}

#[test]
fn a_row_that_is_missing_is_named_with_the_one_that_needs_it() {
    let (memory, journal, (whole, last)) = long_chain();
    let needed_by = Key::commitment(0, last);
    for number in whole..last {
        let holed = memory.fork();
        let key = Key::commitment(0, number);
        holed.tamper(key, None);
        let journal = Journal::open(holed).unwrap();
        let refused = asked(&journal, (0, last)).unwrap_err();
        assert_eq!(refused, Error::MissingRow { key, needed_by });
        assert_eq!(
            refused.to_string(),
            format!("row Commitment/0/{number} is missing, and row Commitment/0/{last} builds on it")
        );
    }
    memory.tamper(needed_by, None);
    assert_eq!(asked(&journal, (0, last)), Ok(vec![]), "its own row: the commitment is unknown");
}

#[test]
fn a_row_under_another_key_is_named() {
    let (memory, journal, (whole, last)) = long_chain();
    let own = memory.row(Key::commitment(0, last)).unwrap();
    for number in [whole, whole + 1, last] {
        let key = Key::commitment(0, number);
        let before = memory.row(key);
        memory.tamper(key, memory.row(Key::commitment(0, number + 1)));
        assert_eq!(asked(&journal, (0, last)), Err(Error::Misplaced { key }));
        memory.tamper(key, before);
    }
    let key = Key::commitment(5, last);
    memory.tamper(key, Some(own));
    assert_eq!(asked(&journal, (5, last)), Err(Error::Misplaced { key }), "another channel's");
}

#[test]
fn rows_that_do_not_fit_together_are_named() {
    let (memory, journal, (whole, last)) = long_chain();
    let decoded = |number| decoded(&memory.row(Key::commitment(0, number)).unwrap());
    let put = |number: u64, row: CommitmentRow| {
        let row: Row = (0, number, row);
        memory.tamper(Key::commitment(0, number), Some(frame::encode(2, &row).unwrap()));
    };
    let CommitmentRow::Change { change, .. } = decoded(last) else { panic!("{last}") };
    // A whole row instead of a change, a change of another whole row, and a change instead of the whole row.
    for (number, row) in [
        (whole + 1, CommitmentRow::Whole(vec![RevokedCommitment::default()])),
        (whole + 1, CommitmentRow::Change { whole: whole + 5, change: change.clone() }),
        (whole, CommitmentRow::Change { whole: 0, change: change.clone() }),
    ] {
        let before = memory.row(Key::commitment(0, number));
        put(number, row);
        assert_eq!(asked(&journal, (0, last)), Err(Error::Misplaced { key: Key::commitment(0, number) }));
        memory.tamper(Key::commitment(0, number), before);
    }
    // A change that builds on itself, one that builds on a later number, and a row without a candidate.
    let key = Key::commitment(0, last);
    for row in [
        CommitmentRow::Change { whole: last, change: change.clone() },
        CommitmentRow::Change { whole: u64::MAX, change },
        CommitmentRow::Whole(vec![]),
    ] {
        put(last, row);
        assert_eq!(asked(&journal, (0, last)), Err(Error::Misplaced { key }));
    }
}

#[test]
fn a_row_of_a_newer_version_or_of_a_frame_that_is_not_there_is_refused() {
    let (memory, journal, (_, last)) = long_chain();
    let key = Key::commitment(0, last);
    let row = memory.row(key).unwrap();
    memory.tamper(key, Some(reversioned(&row, frame::VERSION + 1)));
    let why = FrameError::FromTheFuture { got: frame::VERSION + 1 };
    assert_eq!(asked(&journal, (0, last)), Err(Error::BadRow { key, why }));
    let value: Row = frame::Raw::whole(&row).unwrap().value().unwrap();
    memory.tamper(key, Some(frame::encode(99, &value).unwrap()));
    let end = journal.condition().next_sequence - 1;
    assert_eq!(asked(&journal, (0, last)), Err(Error::RowAhead { key, sequence: 99, last: end }));
}

#[test]
fn a_failed_read_is_an_error_and_not_an_unknown_commitment() {
    let (memory, journal, (_, last)) = long_chain();
    memory.fail_reads(true);
    assert_eq!(asked(&journal, (0, last)), Err(Error::Storage(MemoryError::Read)));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_whole_row_and_a_change_have_these_bytes() {
    // Written by hand. The format is frozen at release 0.1; until then a change of these bytes raises `frame::VERSION`.
    let htlc = |key, amount_msat| RevokedHtlc {
        key,
        amount_msat,
        payment_hash: PaymentHash([0xab; 32]),
        cltv_expiry: Height::new(700),
    };
    let hash = "ab".repeat(32);
    let commitment = RevokedCommitment {
        feerate_sat_per_kw: 253,
        local_msat: 300,
        remote_msat: 5,
        htlcs: vec![htlc(HtlcRef::offered(1), 1000), htlc(HtlcRef::received(0), 7)],
    };
    let whole: Row = (2, 300, CommitmentRow::Whole(vec![commitment]));
    let bytes = frame::encode(9, &whole).unwrap();
    // Channel 2, number 300; whole; one candidate: feerate, balances, two HTLCs (direction, id, amount, hash, expiry).
    let payload = format!("02ac02 00 01 fd01 ac02 05 02 0001e807{hash}bc05 010007{hash}bc05").replace(' ', "");
    assert_eq!(hex(&bytes), format!("56000000{WHOLE_CRC}09000000000000000200{payload}"));
    assert_eq!(frame::decode::<Row>(9, &bytes), Ok(whole));

    let change = CommitmentChange {
        feerate_sat_per_kw: 253,
        local_msat: 300,
        remote_msat: 5,
        added: vec![htlc(HtlcRef::offered(2), 1000)],
        removed: vec![HtlcRef::received(0)],
    };
    let change: Row = (2, 301, CommitmentRow::Change { whole: 300, change });
    let bytes = frame::encode(10, &change).unwrap();
    // Channel 2, number 301; a change since 300: feerate, balances, one HTLC added, one removed.
    let payload = format!("02ad02 01 ac02 fd01 ac02 05 01 0002e807{hash}bc05 01 0100").replace(' ', "");
    assert_eq!(hex(&bytes), format!("35000000{CHANGE_CRC}0a000000000000000200{payload}"));
    assert_eq!(frame::decode::<Row>(10, &bytes), Ok(change));
}

/// CRC-32C of the golden rows, computed bit by bit outside this crate.
const WHOLE_CRC: &str = "d1b4c4d3";
const CHANGE_CRC: &str = "1528424b";

#[test]
fn the_golden_bytes_are_what_a_journal_writes() {
    let memory = Memory::new();
    let (mut journal, mut court) = open(&memory);
    play(&mut court, &mut journal, Move::Open(1)).unwrap();
    let mut book = Book::new(1);
    sign(&mut court, &mut journal, &mut book, &Change::fee(253));
    sign(&mut court, &mut journal, &mut book, &Change::fee(254));
    let signed = |number: u64| book.signed[&number][0].clone();
    let whole: Row = (0, 0, CommitmentRow::Whole(vec![signed(0)]));
    let RevokedCommitment { feerate_sat_per_kw, local_msat, remote_msat, .. } = signed(1);
    let change =
        CommitmentChange { feerate_sat_per_kw, local_msat, remote_msat, added: Vec::new(), removed: Vec::new() };
    let change: Row = (0, 1, CommitmentRow::Change { whole: 0, change });
    // Each row has the sequence of the frame that it came with.
    assert_eq!(memory.row(Key::commitment(0, 0)), Some(frame::encode(3, &whole).unwrap()));
    assert_eq!(memory.row(Key::commitment(0, 1)), Some(frame::encode(4, &change).unwrap()));
}
