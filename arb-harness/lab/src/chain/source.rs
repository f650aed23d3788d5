//! The embedded chain as a [`ChainSource`]. It answers at once and never fails.

use core::convert::Infallible;

use arb_core::{BroadcastAnswer, BroadcastRejection, Event, Fees, FoundSpend, Height, Tip};
use arb_harness::source::{ChainSource, Found, Header};
use bitcoin::{BlockHash, OutPoint, Transaction, Txid};

use super::{Chain, PackageReject, Reject, Submitted};

impl ChainSource for Chain {
    type Error = Infallible;

    fn tip(&self) -> Result<Tip, Infallible> {
        let (height, hash) = self.tip();
        Ok(Tip { height: Height::new(height), hash })
    }

    fn hash_at(&self, height: Height) -> Result<Option<BlockHash>, Infallible> {
        Ok(self.block_at(height.get()).map(|block| block.hash))
    }

    fn header(&self, hash: &BlockHash) -> Result<Option<Header>, Infallible> {
        let header = self.header_of(hash);
        Ok(header.map(|(height, parent)| Header { height: Height::new(height), parent }))
    }

    fn block(&self, hash: &BlockHash) -> Result<Option<Vec<Transaction>>, Infallible> {
        let block = self.header_of(hash).and_then(|(height, _)| self.block_at(height));
        Ok(block.filter(|block| block.hash == *hash).map(|block| block.txs.clone()))
    }

    fn spends_of(
        &self,
        parent: &Txid,
        outpoints: &[OutPoint],
        through: &BlockHash,
    ) -> Result<Option<Found>, Infallible> {
        let Some((through_height, _)) = self.header_of(through) else { return Ok(None) };
        if self.block_at(through_height).is_none_or(|block| block.hash != *through) {
            return Ok(None);
        }
        let spenders = outpoints.iter().filter_map(|outpoint| self.spender_of(outpoint));
        let found = spenders.filter(|(height, _, _)| *height <= through_height).filter_map(|(height, txid, _)| {
            let (_, tx) = self.confirmed(&txid)?;
            Some(FoundSpend { height: Height::new(height), tx: tx.clone() })
        });
        let confirmed = self.confirmed(parent).map(|(height, _)| height).filter(|height| *height <= through_height);
        Ok(Some(Found { confirmed: confirmed.map(Height::new), spends: found.collect() }))
    }

    fn submit(&mut self, transactions: &[Transaction]) -> Result<BroadcastAnswer, Infallible> {
        Ok(match transactions {
            [tx] => broadcast_answer(self.submit(tx.clone())),
            several => package_answer(self.submit_package(several), several.len()),
        })
    }

    /// None: this chain has no estimator. Worlds make their own estimates, flat ([`flat_fees`]) or from a market.
    fn estimates(&self) -> Result<Option<Fees>, Infallible> {
        Ok(None)
    }
}

/// The answer to the court about a package: that of its last transaction.
fn package_answer(answer: Result<Vec<Submitted>, PackageReject>, count: usize) -> BroadcastAnswer {
    match answer {
        Ok(submitted) => broadcast_answer(Ok(submitted.last().copied().unwrap_or(Submitted::Accepted))),
        Err(refused) if refused.index.saturating_add(1) == count => broadcast_answer(Err(refused.reject)),
        // The refusal is about a parent. A child can cure only its fee; the other reasons do not concern the child's own
        // inputs.
        Err(refused) => match broadcast_answer(Err(refused.reject)) {
            BroadcastAnswer::Rejected(BroadcastRejection::MissingInputs | BroadcastRejection::ScriptFailure) => {
                BroadcastAnswer::Rejected(BroadcastRejection::Unknown)
            }
            other @ (BroadcastAnswer::Accepted | BroadcastAnswer::Known | BroadcastAnswer::Rejected(_)) => other,
        },
    }
}

/// The answer to the court about a broadcast.
fn broadcast_answer(answer: Result<Submitted, Reject>) -> BroadcastAnswer {
    let why = match answer {
        Ok(Submitted::Accepted) => return BroadcastAnswer::Accepted,
        Ok(Submitted::AlreadyInMempool | Submitted::AlreadyConfirmed) => return BroadcastAnswer::Known,
        Err(Reject::MissingInputs { .. }) => BroadcastRejection::MissingInputs,
        Err(
            Reject::Conflict { .. }
            | Reject::WitnessDiffers
            | Reject::TooManyReplaced { .. }
            | Reject::NewUnconfirmedInput { .. }
            | Reject::PackageReplaces { .. }
            | Reject::ClusterTooLarge { .. }
            | Reject::DiagramNotImproved,
        ) => BroadcastRejection::ConflictInMempool,
        Err(Reject::BelowFloor { .. } | Reject::BelowMempoolMinimum { .. } | Reject::ChildDoesNotPay { .. }) => {
            BroadcastRejection::FeeTooLow
        }
        // A conflicting transaction pays more, so ours conflicts with it.
        Err(Reject::ReplacementTooCheap { .. }) => BroadcastRejection::ConflictInMempool,
        Err(Reject::NonFinal { .. } | Reject::NonBip68Final { .. }) => BroadcastRejection::NonFinal,
        Err(
            Reject::TooManyAncestors { .. }
            | Reject::AncestorsTooLarge { .. }
            | Reject::TooManyDescendants { .. }
            | Reject::DescendantsTooLarge { .. }
            | Reject::PackageWithAncestors { .. },
        ) => BroadcastRejection::TooLongChain,
        Err(Reject::Script { .. }) => BroadcastRejection::ScriptFailure,
        Err(_) => BroadcastRejection::Unknown,
    };
    BroadcastAnswer::Rejected(why)
}

/// A flat estimate: one feerate for every target, with the chain's own floor.
pub fn flat_fees(feerate_sat_per_kw: u32, relay_floor_sat_per_kw: u32) -> Event {
    let by_target = [1, 6, 144].map(|target| (target, feerate_sat_per_kw)).to_vec();
    Event::FeesEstimated(Fees::new(by_target, relay_floor_sat_per_kw))
}
