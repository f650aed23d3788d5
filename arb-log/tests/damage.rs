//! Damage: every bit and every cut, in the storage and in a file; newer versions; gaps; and the golden bytes of a frame.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use arb_core::{Event, Frame};
use arb_log::arb_file::{self, ArbError, Cut, Import};
use arb_log::frame::{self, FrameError, HEADER_LEN};
use arb_log::memory::{Memory, flip_bit};
use arb_log::{Journal, Key, Retention};
use core::ops::ControlFlow;
use proptest::prelude::*;
use support::*;

const FILE_HEADER: usize = 10;

/// Frame 1: `JournalOpened` with the tests' identity and the default policy. Golden bytes: a change raises `frame::VERSION`.
const JOURNAL_OPENED: &str = "6f0000000bdcd411010000000000000002000100040707070707070707070707070707070707070707070707070707070707\
     0707076420000000000000000000000000000000000000000000000000000000000000000000481206220306640314a08d06\
     c09a0ce00f0290a10fc41306fa010232904e3cb009dc0b061290016400";

fn refusal(memory: &Memory) -> Error {
    try_open(&memory.fork()).map(|_| ()).unwrap_err()
}

/// A file of a few frames, and where each begins (and the last ends).
fn file() -> (Vec<u8>, Vec<Frame>, Vec<usize>) {
    let (_, journal, _) = told(&STORY[..9]);
    let mut frames = Vec::new();
    let each = |frame| {
        frames.push(frame);
        ControlFlow::<()>::Continue(())
    };
    journal.frames(0..u64::MAX, each).unwrap();
    let mut begins = vec![FILE_HEADER];
    for frame in &frames {
        begins.push(begins.last().unwrap() + frame::encode_frame(frame).unwrap().len());
    }
    (arb_file::export(&journal).unwrap(), frames, begins)
}

#[test]
fn a_frame_has_these_bytes() {
    // Checked by hand; the checksum was computed outside this crate. The format is frozen at release 0.1; until then a
    // change of these bytes raises `frame::VERSION`.
    let fees = arb_core::Fees::new(vec![(6, 700)], 253);
    let entry = arb_core::Entry { heard: Event::FeesEstimated(fees), concluded: vec![] };
    let frame = Frame { sequence: 3, entries: vec![entry] };
    const GOLDEN: &[u8] = &[
        11, 0, 0, 0, // eleven bytes of payload
        0x17, 0xb6, 0xd1, 0x37, // CRC-32C
        3, 0, 0, 0, 0, 0, 0, 0, // sequence
        2, 0, // version
        1, // one entry
        21, 1, 6, 0xbc, 0x05, 0xfd, 0x01, // FeesEstimated: one target, 6 blocks, 700; floor 253
        0, 0, // no mempool minimum, no incremental feerate
        0, // nothing concluded
    ];
    assert_eq!(frame::encode_frame(&frame).unwrap(), GOLDEN);
    assert_eq!(frame::decode_frame(3, GOLDEN), Ok(frame));
}

#[test]
fn a_journals_first_frame_has_these_bytes() {
    let (memory, ..) = told(&[]);
    let bytes: String = memory.row(Key::frame(1)).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(bytes, JOURNAL_OPENED);
}

#[test]
fn every_flipped_bit_of_any_frame_is_refused_with_its_number() {
    let (memory, _, court) = told(&STORY[..9]);
    let last = court.sequence();
    for sequence in [1, 4, last] {
        let key = Key::frame(sequence);
        for bit in 0..memory.row(key).unwrap().len() * 8 {
            let rotten = memory.fork();
            assert!(rotten.flip_bit(key, bit));
            match try_open(&rotten).map(|_| ()) {
                Err(Error::BadFrame { sequence: found, last: end, .. }) => assert_eq!((found, end), (sequence, last)),
                other => panic!("bit {bit} of frame {sequence}: {other:?}"),
            }
        }
    }
}

#[test]
fn every_cut_of_any_frame_is_refused_with_its_number() {
    let (memory, _, court) = told(&STORY[..9]);
    let last = court.sequence();
    for sequence in [1, 4, last] {
        let row = memory.row(Key::frame(sequence)).unwrap();
        for len in 0..row.len() {
            let torn = memory.fork();
            torn.tamper(Key::frame(sequence), Some(row[..len].to_vec()));
            let expected = if len < HEADER_LEN { HEADER_LEN } else { row.len() };
            let why = FrameError::Short { expected, got: len };
            assert_eq!(refusal(&torn), Error::BadFrame { sequence, last, why });
        }
    }
}

#[test]
fn a_missing_frame_is_a_gap_wherever_it_is() {
    let (memory, _, _) = told(&STORY[..9]);
    for (sequence, found) in [(1, Some(2)), (4, Some(5)), (10, None)] {
        let holed = memory.fork();
        holed.tamper(Key::frame(sequence), None);
        assert_eq!(refusal(&holed), Error::Gap { expected: sequence, found });
    }
    for (sequence, text) in [(4, "frame 4 is missing, frame 5 comes next"), (10, "frame 10 is missing")] {
        let holed = memory.fork();
        holed.tamper(Key::frame(sequence), None);
        assert_eq!(refusal(&holed).to_string(), text);
    }
}

#[test]
fn frames_that_changed_places_are_refused() {
    let (memory, _, _) = told(&STORY[..9]);
    memory.tamper(Key::frame(4), memory.row(Key::frame(5)));
    let why = FrameError::Sequence { expected: 4, got: 5 };
    assert_eq!(refusal(&memory), Error::BadFrame { sequence: 4, last: 10, why });
}

#[test]
fn a_frame_that_the_storage_does_not_count_is_refused() {
    let (memory, _, _) = told(&STORY[..9]);
    memory.tamper(Key::frame(11), memory.row(Key::frame(10)));
    assert_eq!(refusal(&memory), Error::Uncounted { found: 11, next_sequence: 11 });
}

#[test]
fn a_frame_of_a_newer_version_is_refused() {
    let (memory, _, _) = told(&STORY[..9]);
    let newer = reversioned(&memory.row(Key::frame(10)).unwrap(), frame::VERSION + 1);
    memory.tamper(Key::frame(10), Some(newer));
    let why = FrameError::FromTheFuture { got: frame::VERSION + 1 };
    assert_eq!(refusal(&memory), Error::BadFrame { sequence: 10, last: 10, why });
}

#[test]
fn a_file_brings_back_what_the_log_has() {
    let (file, frames, _) = file();
    assert_eq!(arb_file::encode(&frames).unwrap(), file);
    assert_eq!(arb_file::import(&file), Ok(Import { frames, cut: None }));
    assert_eq!(arb_file::import(&file[..FILE_HEADER]), Ok(Import { frames: vec![], cut: None }));
}

#[test]
fn a_compacted_logs_file_begins_later() {
    let (_, journal, mut court) = told(&STORY[..9]);
    let mut journal = journal.with_retention(Retention::Compact);
    journal.checkpoint(&court, 8).unwrap();
    play(&mut court, &mut journal, Move::Update(1)).unwrap();
    let import = arb_file::import(&arb_file::export(&journal).unwrap()).unwrap();
    assert_eq!(import.frames.iter().map(|frame| frame.sequence).collect::<Vec<_>>(), [11]);
}

#[test]
fn a_file_torn_at_any_byte_is_cut_to_its_whole_frames() {
    let (file, frames, begins) = file();
    for len in FILE_HEADER..file.len() {
        let whole = begins.iter().filter(|begin| **begin <= len).count() - 1;
        let offset = begins[whole];
        let import = arb_file::import(&file[..len]).unwrap();
        assert_eq!(import.frames, frames[..whole], "cut at {len}");
        match import.cut {
            None => assert_eq!(offset, len),
            Some(Cut { after, offset: at, bytes, why: FrameError::Short { .. } }) => {
                assert_eq!((after, at, bytes), (u64::try_from(whole).unwrap(), offset, len - offset));
            }
            Some(cut) => panic!("cut at {len}: {cut:?}"),
        }
    }
}

#[test]
fn a_flipped_bit_in_a_files_last_frame_is_cut_and_elsewhere_it_is_corruption() {
    let (file, frames, begins) = file();
    let last = begins[frames.len() - 1];
    for bit in (FILE_HEADER * 8..file.len() * 8).step_by(3) {
        let mut rotten = file.clone();
        assert!(flip_bit(&mut rotten, bit));
        let begin = begins.iter().rposition(|begin| *begin <= bit / 8).unwrap();
        match arb_file::import(&rotten) {
            Ok(Import { frames: left, cut: Some(cut) }) => {
                assert!(bit / 8 >= last, "bit {bit}: a frame that has good ones after it was cut");
                assert_eq!((left.len(), cut.offset), (frames.len() - 1, last));
            }
            Err(ArbError::Corrupt { after, offset, good, good_offset, .. }) => {
                assert_eq!((after, offset), (u64::try_from(begin).unwrap(), begins[begin]));
                assert_eq!((good, good_offset), (after + 2, begins[begin + 1]));
            }
            other => panic!("bit {bit}: {other:?}"),
        }
    }
}

#[test]
fn a_tail_of_zeros_is_torn() {
    let (file, frames, _) = file();
    let import = arb_file::import(&[&file[..], &[0; 4096]].concat()).unwrap();
    assert_eq!((import.frames, import.cut.map(|cut| cut.bytes)), (frames, Some(4096)));
}

#[test]
fn gaps_repetitions_and_foreign_frames_in_a_file_are_refused() {
    let (file, mut frames, begins) = file();
    let again = frames[9].clone();
    frames.push(again);
    let gap = arb_file::import(&arb_file::encode(&frames).unwrap());
    assert_eq!(gap, Err(ArbError::Gap { expected: 11, got: 10, offset: file.len() }));
    frames.pop();
    frames.remove(3);
    let gap = arb_file::import(&arb_file::encode(&frames).unwrap());
    assert_eq!(gap, Err(ArbError::Gap { expected: 4, got: 5, offset: begins[3] }));
    let zero = arb_file::encode(&[Frame { sequence: 0, entries: vec![] }]).unwrap();
    assert_eq!(arb_file::import(&zero), Err(ArbError::Gap { expected: 1, got: 0, offset: FILE_HEADER }));
    let newer = reversioned(&file[begins[9]..], frame::VERSION + 1);
    let newer = [&file[..begins[9]], &newer].concat();
    let why = FrameError::FromTheFuture { got: frame::VERSION + 1 };
    assert_eq!(arb_file::import(&newer), Err(ArbError::BadFrame { sequence: 10, offset: begins[9], why }));
}

#[test]
fn what_is_no_file_is_refused() {
    let (file, ..) = file();
    for len in 0..FILE_HEADER {
        assert_eq!(arb_file::import(&file[..len]), Err(ArbError::NotArb));
    }
    let mut newer = file.clone();
    newer[8] = 2;
    assert_eq!(arb_file::import(&newer), Err(ArbError::FromTheFuture { got: 2 }));
    let unix: Vec<u8> = file.iter().copied().filter(|byte| *byte != b'\r').collect();
    assert_eq!(arb_file::import(&unix), Err(ArbError::NotArb), "a transfer as text");
}

#[test]
fn a_file_made_to_cost_the_square_of_its_length_is_given_up() {
    let (file, ..) = file();
    // A header begins at every fourth byte, each with a payload of 100,000 bytes.
    let evil: Vec<u8> = (0..40_000u32).flat_map(|_| 100_000u32.to_le_bytes()).collect();
    let refused = arb_file::import(&[&file[..], &evil].concat());
    assert!(matches!(refused, Err(ArbError::Unclear { after: 10, .. })), "{refused:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_file_panics(bytes: Vec<u8>) {
        let file = arb_file::encode(&[]).unwrap();
        let _refused = arb_file::import(&bytes).is_err();
        let import = arb_file::import(&[file, bytes].concat());
        prop_assert!(import.is_err() || import.is_ok_and(|import| import.frames.is_empty()));
    }

    /// A store with arbitrary damage is refused, or recovers to the same court.
    #[test]
    fn a_damaged_store_never_recovers_to_another_court(
        checkpointed: bool,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4u8), 1..4),
    ) {
        let (memory, mut journal, court) = told(&STORY[..9]);
        if checkpointed {
            journal.checkpoint(&court, 8).unwrap();
        }
        let keys = memory.keys();
        for (row, place, kind) in damage {
            let key = *row.get(&keys);
            let bytes = memory.row(key).unwrap_or_default();
            match kind {
                0 => memory.tamper(key, None),
                1 => memory.tamper(key, Some(bytes[..place.index(bytes.len() + 1)].to_vec())),
                2 => memory.tamper(key, memory.row(*place.get(&keys))),
                _ => drop(memory.flip_bit(key, place.index(bytes.len() * 8 + 1))),
            }
        }
        if let Ok(recovered) = Journal::open(memory).unwrap().recover(&identity()) {
            prop_assert_eq!(recovered, court);
        }
    }
}
