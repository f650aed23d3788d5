//! Carries the court's actions out, each by whom it is for: chain, signer, wallet, node. Every answer is an event.

use arb_core::{Action, ChannelId, Event, FeeInputsOffered, Rejected, Signed, Tip};
use bitcoin::Transaction;

use crate::driver::Outside;
use crate::node::Node;
use crate::signer::Signer;
use crate::source::{self, ChainSource};
use crate::wallet::Wallet;

/// Everything outside the court, for as long as a turn of the loop takes.
pub struct Host<'a, C: ChainSource> {
    /// The chain.
    pub chain: &'a mut C,
    /// Whoever has the keys.
    pub signer: &'a mut dyn Signer,
    /// Whoever has the coins.
    pub wallet: &'a mut dyn Wallet,
    /// The Lightning node.
    pub node: &'a mut dyn Node,
    /// The last block that the court has heard of: a scan answers for the chain up to it. Set it anew after each commit.
    pub heard: Tip,
    /// Events that the court refused, for the embedder to look at.
    pub refusals: Vec<(Event, Rejected)>,
    /// What the chain source failed with, in order, for the embedder to look at. Nothing was answered then: the action stays
    /// due, and comes again with the next block.
    pub failures: Vec<C::Error>,
}

impl<'a, C: ChainSource> Host<'a, C> {
    /// A host for a court that has heard of the chain up to `heard`.
    pub fn new(
        chain: &'a mut C,
        signer: &'a mut dyn Signer,
        wallet: &'a mut dyn Wallet,
        node: &'a mut dyn Node,
        heard: Tip,
    ) -> Self {
        Self { chain, signer, wallet, node, heard, refusals: Vec::new(), failures: Vec::new() }
    }

    /// What the chain source says; a failure is kept, and is no answer.
    fn said<T>(&mut self, answer: Result<Option<T>, C::Error>) -> Option<T> {
        answer.unwrap_or_else(|why| {
            self.failures.push(why);
            None
        })
    }
}

impl<C: ChainSource> Outside for Host<'_, C> {
    fn perform(&mut self, action: Action, answers: &mut Vec<Event>) {
        match action {
            Action::SearchSpends { channel, parent, outpoints, .. } => {
                let scanned = source::scan(self.chain, channel, parent, &outpoints, self.heard);
                answers.extend(self.said(scanned));
            }
            Action::Broadcast { channel, txs, .. } => {
                let Some(txid) = txs.last().map(Transaction::compute_txid) else { return };
                let answer = self.chain.submit(&txs).map(Some);
                answers.extend(self.said(answer).map(|answer| Event::BroadcastAnswered { channel, txid, answer }));
            }
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
