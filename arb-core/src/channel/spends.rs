//! How outputs of kept transactions were spent (R6).
//!
//! Tests: `arb-harness/lab/tests/court_suite/incidents_contracts.rs`, `arb-harness/lab/tests/court_suite/properties.rs`.

use crate::api::units::Height;
use crate::bolt3::{SpendPath, classify_spend};
use crate::channel::state::ChannelArbitrator;
use alloc::collections::BTreeMap;
use bitcoin::{OutPoint, Txid};

/// How an outpoint was spent by a confirmed transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpendOf {
    /// The spending transaction.
    pub(crate) txid: Txid,
    /// The index of its input that spends the outpoint.
    pub(crate) input: u32,
    /// The block in which it confirmed.
    pub(crate) height: Height,
    pub(crate) path: SpendPath,
}

/// Every spend of a kept transaction's output by a kept transaction, classified by script and witness (R6).
pub(crate) fn spends(channel: &ChannelArbitrator) -> BTreeMap<OutPoint, SpendOf> {
    let mut spends = BTreeMap::new();
    for (txid, kept) in &channel.chain.kept {
        for (index, input) in &kept.inputs {
            if let Some(output) = channel.chain.output(&input.previous_output) {
                let path = classify_spend(&output.script_pubkey, &input.witness);
                let spend = SpendOf { txid: *txid, input: *index, height: kept.height, path };
                spends.insert(input.previous_output, spend);
            }
        }
    }
    spends
}
