//! What the chain said about one channel, with heights: a disconnected block removes the facts at its height and
//! nothing else (R9).
//!
//! Tests: `arb-harness/lab/tests/court_suite/properties.rs`, `arb-harness/lab/tests/court_suite/ratchets.rs`.

use crate::api::facts::ChannelFacts;
use crate::api::units::Height;
use crate::api::wire;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bitcoin::{OutPoint, Transaction, TxOut, Txid};
use serde::{Deserialize, Serialize};

/// How far below the funding output a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Tier {
    /// Spends a funding output.
    Funding,
    /// Spends a watched output of a funding spend.
    Commitment,
    /// Spends a watched output of such a transaction, or only a wallet coin that a sweep of ours uses.
    Second,
}

/// A confirmed transaction that matters to the channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptTx {
    pub(crate) height: Height,
    pub(crate) tier: Tier,
    /// The tip when it was kept. Blocks above reported spends of its outputs when they were heard; a search covers the rest.
    pub(crate) since: Height,
    /// Whether the chain was searched for spends of its outputs up to `since`.
    pub(crate) scanned: bool,
    #[serde(with = "wire::tx")]
    pub(crate) tx: Transaction,
}

/// The chain's facts about one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChainFacts {
    /// In the order of [`ChannelFacts::fundings`].
    pub(crate) fundings: Vec<FundingFacts>,
    /// Confirmed transactions that matter to the channel.
    pub(crate) kept: BTreeMap<Txid, KeptTx>,
}

/// The chain's facts about one funding output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FundingFacts {
    pub(crate) confirmed: Option<Height>,
    /// The tip when the court heard of the channel. Blocks above reported spends when they were heard.
    pub(crate) since: Height,
    /// Whether the chain was searched for spends of the funding up to `since`.
    pub(crate) scanned: bool,
}

impl ChainFacts {
    pub(crate) fn new(facts: &ChannelFacts, since: Height) -> Self {
        let fundings =
            facts.fundings.iter().map(|funding| FundingFacts { confirmed: funding.confirmed, since, scanned: false });
        Self { fundings: fundings.collect(), kept: BTreeMap::new() }
    }

    /// The output at an outpoint; `None` if its transaction is not kept or has no such output (R6).
    pub(crate) fn output(&self, outpoint: &OutPoint) -> Option<&TxOut> {
        let kept = self.kept.get(&outpoint.txid)?;
        kept.tx.output.get(usize::try_from(outpoint.vout).ok()?)
    }

    /// Keeps a confirmed transaction. If it matters at several tiers, the one nearest to the funding counts.
    pub(crate) fn keep(&mut self, txid: Txid, height: Height, since: Height, tier: Tier, tx: Transaction) {
        match self.kept.get_mut(&txid) {
            Some(kept) => {
                kept.tier = kept.tier.min(tier);
                kept.height = height;
            }
            None => {
                self.kept.insert(txid, KeptTx { height, tier, since, scanned: false, tx });
            }
        }
    }

    /// Removes every fact of this height and above.
    pub(crate) fn disconnect(&mut self, height: Height) {
        self.kept.retain(|_, kept| kept.height < height);
        for funding in &mut self.fundings {
            if funding.confirmed.is_some_and(|confirmed| confirmed >= height) {
                funding.confirmed = None;
            }
        }
    }
}
