//! What is noted during a run for the judgement at its end.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::{BroadcastRejection, HtlcKey};
use bitcoin::{OutPoint, Txid};

use crate::sim::checks::journal::Excuses;
use crate::sim::violation::Violation;

/// The usable coins of our wallet: each one's value in satoshi, and the claim that it is reserved for.
pub(crate) type Purse = Vec<(u64, Option<OutPoint>)>;

/// What was noted during a run.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The tip at which the court could first claim a received HTLC with its preimage.
    pub(crate) usable_since: BTreeMap<HtlcKey, u32>,
    /// HTLCs that a counterparty fulfilled off chain: their upstream HTLCs need no outcome of the court.
    pub(crate) fulfilled: BTreeSet<HtlcKey>,
    /// The blocks that took every transaction of ours that waited and paid enough.
    pub(crate) fair_blocks: BTreeSet<u32>,
    /// What a poor wallet had before the block after each height.
    pub(crate) purses: BTreeMap<u32, Purse>,
    /// HTLCs whose deadline has passed and was looked at (I17).
    pub(crate) deadlines: BTreeSet<HtlcKey>,
    /// Why nothing is due for some outputs.
    pub(crate) excuses: Excuses,
    pub(crate) actions: SeenActions,
}

/// What was noted of the court's actions.
#[derive(Debug, Default)]
pub(crate) struct SeenActions {
    /// The first violation by an action.
    pub(crate) violation: Option<Violation>,
    /// HTLCs that could be claimed when their upstream HTLC was failed for another one that we sent for it, and what that
    /// violates.
    pub(crate) suspected: Vec<(HtlcKey, Violation)>,
    /// HTLCs that were given up with a risk on record.
    pub(crate) risks: BTreeSet<HtlcKey>,
    /// Commitments of ours that were broadcast: a miner may have kept any of them.
    pub(crate) public: BTreeSet<Txid>,
    /// Why the node will refuse batches without an explanation, each reason once (A3).
    pub(crate) whims: Vec<BroadcastRejection>,
    /// How many batches it has refused so.
    pub(crate) refused_batches: u64,
    /// The heights at which it did. What a batch would have claimed in the next block, no policy could have.
    pub(crate) refused_at: BTreeSet<u32>,
}

impl SeenActions {
    /// Fails with the first violation. The process is idle, so every risk that goes with a failure is on record.
    pub(crate) fn verdict(&mut self) -> Result<(), Violation> {
        let mut suspected = core::mem::take(&mut self.suspected).into_iter();
        let wrong = suspected.find(|(htlc, _)| !self.risks.contains(htlc)).map(|(_, violation)| violation);
        self.violation.take().or(wrong).map_or(Ok(()), Err)
    }
}
