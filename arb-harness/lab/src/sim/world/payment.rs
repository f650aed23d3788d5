//! Received HTLCs with what the node does about them, and the preimages of a run.

use arb_core::HtlcKey;
use arb_core::bolt3::Preimage;

use crate::sim::plan::seeds::bytes_of;

/// A received HTLC, and what the node is going to do about it.
#[derive(Clone, Debug)]
pub(crate) struct Payment {
    /// The channel that it came in on.
    pub(crate) channel: usize,
    pub(crate) received: HtlcKey,
    pub(crate) preimage: Preimage,
    pub(crate) intent: Intent,
    /// The channels and the HTLCs that it was forwarded with: none, one, or several.
    pub(crate) forwarded: Vec<(usize, HtlcKey)>,
    /// Whether the node has told the court that it settles or fails it.
    pub(crate) told: bool,
}

/// What the node does about a received HTLC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Forwards it to the other channel.
    Forward,
    /// Settles it: the node has the preimage from this height on.
    Known(u32),
    /// The same, and the node tells the court in that very block.
    KnownAtOnce(u32),
    /// Fails it at this height.
    GivenUp(u32),
    /// Never tells the court anything about it.
    Never,
}

/// The preimages of a run, each from the seed and its number.
#[derive(Clone, Debug)]
pub(crate) struct Preimages {
    seed: u64,
    /// All of them, in the order in which they were made.
    made: Vec<Preimage>,
}

impl Preimages {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, made: Vec::new() }
    }

    /// Makes the next preimage.
    pub(crate) fn make(&mut self) -> Preimage {
        let number = u64::try_from(self.made.len()).unwrap_or(u64::MAX);
        let preimage = Preimage(bytes_of(self.seed, "preimage", number));
        self.made.push(preimage);
        preimage
    }

    /// The preimages made so far, the oldest first.
    pub(crate) fn made(&self) -> &[Preimage] {
        &self.made
    }
}
