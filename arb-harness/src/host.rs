//! Carries the court's actions out, each by its addressee: chain, signer, wallet or node. Every answer is an event.

use arb_core::{Action, ChannelId, Event, FeeInputsOffered, Rejected, Signed, Tip};
use bitcoin::Transaction;

use crate::driver::Outside;
use crate::node::Node;
use crate::signer::Signer;
use crate::source::{self, ChainSource};
use crate::wallet::Wallet;

/// Everything outside the court, borrowed for one turn of the run loop.
pub struct Host<'a, C: ChainSource> {
    /// Blocks, searches, broadcasts and estimates.
    pub chain: &'a mut C,
    /// Signs with the channels' keys and the wallet's.
    pub signer: &'a mut dyn Signer,
    /// Gives the coins that pay fees, and scripts to sweep to.
    pub wallet: &'a mut dyn Wallet,
    /// Settles and fails upstream HTLCs, knows preimages, and takes alerts and reports.
    pub node: &'a mut dyn Node,
    /// The last block that the court has heard of: searches end there. Set it again after each commit.
    pub heard: Tip,
    /// Events that the court refused, for the embedder to look at.
    pub refusals: Vec<(Event, Rejected)>,
    /// Errors of the chain source, in order, for the embedder to look at. An action that met one was not answered: it stays
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

    /// The chain source's answer. An error is kept for the embedder, and is not an answer.
    fn said<T>(&mut self, answer: Result<Option<T>, C::Error>) -> Option<T> {
        answer.unwrap_or_else(|why| {
            self.failures.push(why);
            None
        })
    }

    /// The node's part.
    fn ask_the_node(&mut self, action: Action, answers: &mut Vec<Event>) {
        match action {
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
            // Only if the journal's rows had no answer.
            Action::LoadRevoked { channel, number, .. } => {
                let candidates = self.node.revoked(channel, number);
                answers.push(Event::RevokedLoaded { channel, number, candidates });
            }
            Action::LoadPoint { channel, number, .. } => {
                let point = self.node.point(channel, number);
                answers.push(Event::PointLoaded { channel, number, point });
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
            Action::SearchSpends { .. }
            | Action::Broadcast { .. }
            | Action::Sign(_)
            | Action::RequestScripts { .. }
            | Action::RequestFeeInputs { .. }
            | Action::HoldFeeInputs { .. }
            | Action::ReleaseFeeInputs { .. } => {}
        }
    }
}

impl<C: ChainSource> Outside for Host<'_, C> {
    fn perform(&mut self, action: Action, answers: &mut Vec<Event>) {
        match action {
            Action::SearchSpends { channel, parent, outpoints, .. } => {
                let scanned = source::scan(self.chain, channel, parent, &outpoints, self.heard);
                answers.extend(self.said(scanned).into_iter().flatten());
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
            Action::RequestFeeInputs { id, channel, owner, amount_sat, feerate_sat_per_kw, exclude, .. } => {
                answers.push(match self.wallet.offer(id, owner, amount_sat, feerate_sat_per_kw, &exclude) {
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
            Action::SettleUpstream { .. }
            | Action::FailUpstream { .. }
            | Action::AskForPreimage { .. }
            | Action::LoadRevoked { .. }
            | Action::LoadPoint { .. }
            | Action::FreezeChannel { .. }
            | Action::Alert { .. }
            | Action::ReportOutcome { .. }
            | Action::ChannelResolved { .. } => self.ask_the_node(action, answers),
        }
    }

    fn refused(&mut self, event: &Event, why: &Rejected) {
        self.refusals.push((event.clone(), why.clone()));
    }

    fn damaged(&mut self, channel: ChannelId, why: &str) {
        self.node.damaged(channel, why);
    }
}
