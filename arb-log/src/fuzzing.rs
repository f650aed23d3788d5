//! Bodies of the fuzz targets in `fuzz/`: they live here so that ordinary tests run them, too.
//!
//! Each takes any bytes and must not panic; its first line says what else it asserts.

use core::convert::Infallible;

use arb_core::bolt3::{classify_spend, preimages_in};
use arb_core::{ChainArbitrator, Event, Frame, Log, Pending};
use bitcoin::Transaction;
use bitcoin::consensus::encode::deserialize;

use crate::{arb_file, frame};

/// Decodes a frame. A frame that decodes encodes to the same bytes, because it has one encoding.
pub fn decode_frame(bytes: &[u8]) {
    if let Ok((raw, _)) = frame::Raw::split(bytes) {
        let sequence = raw.sequence;
        if let Ok(decoded) = frame::decode_frame(sequence, bytes) {
            assert_eq!(frame::encode_frame(&decoded).as_deref(), Ok(bytes), "a frame has one encoding");
        }
    }
}

/// Imports an `.arb` file. The frames that were read have no gap.
pub fn import(bytes: &[u8]) {
    if let Ok(import) = arb_file::import(bytes) {
        let follow = |pair: &[Frame]| matches!(pair, [a, b] if a.sequence.checked_add(1) == Some(b.sequence));
        assert!(import.frames.windows(2).all(follow), "frames follow each other");
    }
}

/// Reads the spends of any transaction, as if each input spent each output.
pub fn classify(bytes: &[u8]) {
    let Ok(tx) = deserialize::<Transaction>(bytes) else { return };
    for output in &tx.output {
        for input in &tx.input {
            let _path = classify_spend(&output.script_pubkey, &input.witness);
        }
    }
    for (_, preimage) in preimages_in(&tx) {
        let _hash = preimage.hash();
    }
}

struct Keeping(Vec<Frame>);

impl Log for Keeping {
    type Error = Infallible;

    fn append(&mut self, pending: &Pending<'_>) -> Result<(), Infallible> {
        self.0.push(pending.frame().clone());
        Ok(())
    }
}

/// Feeds a court with any events, one a step. Its frames fold to the same court, with the same indexes, and conclude the
/// same when decided again (I1, I2, I15).
pub fn hear(bytes: &[u8]) {
    let Ok((events, _)) = postcard::take_from_bytes::<Vec<Event>>(bytes) else { return };
    let mut court = ChainArbitrator::new();
    let mut log = Keeping(Vec::new());
    for event in &events {
        let mut step = court.step();
        let _answer = step.hear(event);
        let Ok(_due) = step.commit(&mut log);
    }
    let (mut folded, mut replayed) = (ChainArbitrator::new(), ChainArbitrator::new());
    for frame in &log.0 {
        assert_eq!(folded.fold(frame), Ok(()), "what was committed folds");
        assert_eq!(replayed.replay(frame), Ok(None), "and concludes the same");
    }
    assert!(folded == court && replayed == court, "folded, replayed and live are one");
    assert!(*court.indexes() == court.rebuilt_indexes(), "the indexes follow from the channels");
}
