//! Carries the court's actions out, each by whom it is for: chain, signer, wallet, node. Every answer is an event.

use arb_core::{
    Action, BroadcastAnswer, BroadcastRejection, ChannelId, Event, FeeInputsOffered, Fees, Height, Rejected, Signed,
};
use bitcoin::Transaction;

use crate::chain::{Chain, Reject, Submitted};
use crate::driver::Outside;
use crate::node::Node;
use crate::signer::Signer;
use crate::source;
use crate::wallet::Wallet;

/// Everything outside the court, for as long as a turn of the loop takes.
pub struct Host<'a> {
    /// The chain.
    pub chain: &'a mut Chain,
    /// Whoever has the keys.
    pub signer: &'a mut dyn Signer,
    /// Whoever has the coins.
    pub wallet: &'a mut dyn Wallet,
    /// The Lightning node.
    pub node: &'a mut dyn Node,
    /// The height up to which the court has heard blocks: a scan answers for these.
    pub heard: Height,
    /// Refusals, for whoever looks.
    pub refusals: Vec<(Event, Rejected)>,
}

impl Outside for Host<'_> {
    fn perform(&mut self, action: Action, answers: &mut Vec<Event>) {
        match action {
            Action::Watch { channel, parent, outpoints, .. } => {
                answers.push(source::scan(self.chain, channel, parent, &outpoints, self.heard));
            }
            Action::Broadcast { channel, txs, .. } => answers.extend(broadcast(self.chain, channel, txs)),
            Action::Sign(request) => answers.push(match self.signer.sign(&request) {
                Ok(signatures) => {
                    Event::Signed(Box::new(Signed { channel: request.channel, request: request.id, signatures }))
                }
                Err(why) => {
                    let why = why.to_string();
                    Event::SigningRefused { channel: request.channel, request: request.id, why }
                }
            }),
            Action::RequestScripts { id, channel } => {
                let script = self.wallet.fresh_script(id);
                answers.push(Event::ScriptsOffered { channel, request: id, script });
            }
            Action::RequestFeeInputs { id, channel, owner, amount_sat, feerate_sat_per_kw, .. } => {
                answers.push(match self.wallet.offer(id, owner, amount_sat, feerate_sat_per_kw) {
                    Ok(offer) => {
                        let (inputs, change) = (offer.inputs, offer.change);
                        Event::FeeInputsOffered(Box::new(FeeInputsOffered { channel, request: id, inputs, change }))
                    }
                    Err(missing) => Event::FeeInputsRefused { channel, request: id, missing_sat: missing.missing_sat },
                });
            }
            Action::HoldFeeInputs { owner, coins, .. } => self.wallet.hold(owner, &coins),
            Action::ReleaseFeeInputs { id, channel, owner, coins } => {
                self.wallet.release(owner, &coins);
                answers.push(Event::Performed { channel, id });
            }
            Action::SettleUpstream { htlc, preimage, .. } => {
                let outcome = self.node.settle(htlc, preimage);
                answers.push(Event::UpstreamAcknowledged { htlc, outcome });
            }
            Action::FailUpstream { htlc, why, .. } => {
                let outcome = self.node.fail(htlc, why);
                answers.push(Event::UpstreamAcknowledged { htlc, outcome });
            }
            Action::AskForPreimage { htlc, .. } => {
                let preimage = self.node.preimage(htlc);
                answers.extend(preimage.map(|preimage| Event::PreimageLearned { preimage, usable_for: vec![htlc] }));
            }
            // Asked of the node only where the journal's rows have nothing.
            Action::LoadRevoked { channel, number, .. } => {
                let candidates = self.node.revoked(channel, number);
                answers.push(Event::RevokedLoaded { channel, number, candidates });
            }
            Action::FreezeChannel { id, channel, why } => {
                self.node.freeze(channel, why);
                answers.push(Event::Performed { channel, id });
            }
            Action::Alert { id, channel, alert } => {
                self.node.alert(channel, &alert);
                answers.push(Event::Performed { channel, id });
            }
            Action::ReportOutcome { id, channel, report } => {
                self.node.report(channel, &report);
                answers.push(Event::Performed { channel, id });
            }
            Action::ChannelResolved { id, channel, sheet } => {
                self.node.resolved(channel, &sheet);
                answers.push(Event::Performed { channel, id });
            }
        }
    }

    fn refused(&mut self, event: &Event, why: &Rejected) {
        self.refusals.push((event.clone(), why.clone()));
    }

    fn damaged(&mut self, channel: ChannelId, why: &str) {
        self.node.damaged(channel, why);
    }
}

/// Gives a transaction, or a package, to the mempool; the answer is about the last one.
pub fn broadcast(chain: &mut Chain, channel: ChannelId, txs: Vec<Transaction>) -> Option<Event> {
    let txid = txs.last()?.compute_txid();
    let last = txs.len().saturating_sub(1);
    if let [tx] = txs.as_slice() {
        let answer = broadcast_answer(chain.submit(tx.clone()));
        return Some(Event::BroadcastAnswered { channel, txid, answer });
    }
    let answer = match chain.submit_package(&txs) {
        Ok(submitted) => broadcast_answer(Ok(submitted.last().copied().unwrap_or(Submitted::Accepted))),
        Err(refused) if refused.index == last => broadcast_answer(Err(refused.reject)),
        // The parent: what a child can mend is its fee; the rest is not about the child's own inputs.
        Err(refused) => match broadcast_answer(Err(refused.reject)) {
            BroadcastAnswer::Rejected(BroadcastRejection::MissingInputs | BroadcastRejection::ScriptFailure) => {
                BroadcastAnswer::Rejected(BroadcastRejection::Unknown)
            }
            other @ (BroadcastAnswer::Accepted | BroadcastAnswer::Known | BroadcastAnswer::Rejected(_)) => other,
        },
    };
    Some(Event::BroadcastAnswered { channel, txid, answer })
}

/// What the court is told about a broadcast.
pub fn broadcast_answer(answer: Result<Submitted, Reject>) -> BroadcastAnswer {
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
        // Somebody's transaction is there and pays more: ours waits.
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
    Event::FeesEstimated(Fees { by_target, relay_floor_sat_per_kw })
}
