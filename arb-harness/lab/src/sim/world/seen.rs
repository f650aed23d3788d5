//! What is noted during a run for the judgement at its end.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::HtlcKey;
use bitcoin::Txid;

use crate::sim::violation::Violation;

/// What was noted during a run.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The tip at which the court could first claim a received HTLC with its preimage.
    pub(crate) usable_since: BTreeMap<HtlcKey, u32>,
    /// HTLCs that a counterparty fulfilled off chain: their upstream HTLCs need no outcome of the court.
    pub(crate) fulfilled: BTreeSet<HtlcKey>,
    /// The blocks that took every transaction of ours that waited and paid enough.
    pub(crate) fair_blocks: BTreeSet<u32>,
    pub(crate) actions: SeenActions,
}

/// What was noted of the court's actions.
#[derive(Debug, Default)]
pub(crate) struct SeenActions {
    /// The first violation by an action.
    pub(crate) violation: Option<Violation>,
    /// Commitments of ours that were broadcast: a miner may have kept any of them.
    pub(crate) public: BTreeSet<Txid>,
}

impl SeenActions {
    /// Fails with the first violation.
    pub(crate) fn verdict(&mut self) -> Result<(), Violation> {
        self.violation.take().map_or(Ok(()), Err)
    }
}
