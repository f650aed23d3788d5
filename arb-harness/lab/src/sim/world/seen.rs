//! What was seen from outside on the way, and is judged in the end.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::HtlcKey;
use bitcoin::Txid;

use crate::sim::violation::Violation;

/// What was seen from outside.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The tip at which the court first could use a received HTLC's preimage.
    pub(crate) usable_since: BTreeMap<HtlcKey, u32>,
    /// HTLCs that a counterparty fulfilled off chain: their origins need nothing more.
    pub(crate) fulfilled: BTreeSet<HtlcKey>,
    /// The blocks that took whatever of ours waited and paid for it.
    pub(crate) fair: BTreeSet<u32>,
    pub(crate) actions: SeenActions,
}

/// What was seen of the court's actions.
#[derive(Debug, Default)]
pub(crate) struct SeenActions {
    pub(crate) violation: Option<Violation>,
    /// Commitments of ours that were given to the network: a miner may have kept them.
    pub(crate) public: BTreeSet<Txid>,
}

impl SeenActions {
    /// The first violation, if there was one.
    pub(crate) fn verdict(&mut self) -> Result<(), Violation> {
        self.violation.take().map_or(Ok(()), Err)
    }
}
