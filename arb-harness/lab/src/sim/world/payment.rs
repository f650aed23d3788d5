//! Received HTLCs and what the node does about them, and the preimages of a run.

use arb_core::HtlcKey;
use arb_core::bolt3::Preimage;

use crate::sim::plan::seeds::bytes_of;

/// A received HTLC and what the node is going to do about it.
#[derive(Clone, Debug)]
pub(crate) struct Payment {
    pub(crate) channel: usize,
    pub(crate) received: HtlcKey,
    pub(crate) preimage: Preimage,
    pub(crate) intent: Intent,
    /// The HTLC that it was forwarded with.
    pub(crate) forwarded: Option<(usize, HtlcKey)>,
    /// The node has told the court what it had to tell.
    pub(crate) told: bool,
}

/// What a received HTLC is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Another channel.
    Forward,
    /// Us: the node has the preimage from this height on.
    Known(u32),
    /// Us: the node gives it up at this height.
    GivenUp(u32),
    /// Us, and the node never says anything.
    Never,
}

/// The preimages of a run.
#[derive(Clone, Debug)]
pub(crate) struct Preimages {
    seed: u64,
    /// In the order in which they were made.
    made: Vec<Preimage>,
}

impl Preimages {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, made: Vec::new() }
    }

    /// A new one: it follows from the seed and the number of those before it.
    pub(crate) fn make(&mut self) -> Preimage {
        let number = u64::try_from(self.made.len()).unwrap_or(u64::MAX);
        let preimage = Preimage(bytes_of(self.seed, "preimage", number));
        self.made.push(preimage);
        preimage
    }

    /// All that were made.
    pub(crate) fn made(&self) -> &[Preimage] {
        &self.made
    }
}
