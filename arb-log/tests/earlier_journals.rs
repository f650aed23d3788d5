//! Journals of an earlier build are decided again by this one without a difference: no rule and no byte has changed.

use arb_core::ChainArbitrator;
use arb_log::arb_file::{self, ArbError};
use arb_log::frame::FrameError;

const JOURNALS: [(&str, &[u8]); 6] = [
    ("anchors-ours-late", include_bytes!("../testdata/v2/anchors-ours-late.arb")),
    ("anchors-theirs-never", include_bytes!("../testdata/v2/anchors-theirs-never.arb")),
    ("anchors-revoked-never-reorg", include_bytes!("../testdata/v2/anchors-revoked-never-reorg.arb")),
    ("static-ours-late", include_bytes!("../testdata/v2/static-ours-late.arb")),
    ("static-theirs-never-reorg", include_bytes!("../testdata/v2/static-theirs-never-reorg.arb")),
    ("static-revoked-never", include_bytes!("../testdata/v2/static-revoked-never.arb")),
];

#[test]
fn earlier_journals_conclude_the_same_when_decided_again() {
    for (name, bytes) in JOURNALS {
        let import = arb_file::import(bytes).expect(name);
        assert_eq!(import.cut, None, "{name} is whole");
        assert!(import.frames.len() > 20, "{name} tells a whole close");
        let (mut replayed, mut folded) = (ChainArbitrator::new(), ChainArbitrator::new());
        for frame in &import.frames {
            assert_eq!(replayed.replay(frame), Ok(None), "{name}, frame {}", frame.sequence);
            assert_eq!(folded.fold(frame), Ok(()), "{name}, frame {}", frame.sequence);
        }
        assert!(replayed == folded, "{name}: replayed and folded are one");
        assert!(*folded.indexes() == folded.rebuilt_indexes(), "{name}: the indexes follow from the channels");
    }
}

/// A journal of an earlier version is refused by its number, at its first frame.
#[test]
fn a_journal_of_version_1_is_refused() {
    let import = arb_file::import(include_bytes!("../testdata/v1/static-ours-late.arb"));
    let Err(ArbError::BadFrame { sequence: 1, why, .. }) = import else { panic!("refused at its first frame") };
    assert_eq!(why, FrameError::Outdated { got: 1 });
}

#[test]
fn earlier_journals_encode_to_the_same_bytes() {
    for (name, bytes) in JOURNALS {
        let import = arb_file::import(bytes).expect(name);
        let again = arb_file::encode(&import.frames).expect(name);
        assert!(again == bytes, "{name} encodes as it was written");
    }
}
