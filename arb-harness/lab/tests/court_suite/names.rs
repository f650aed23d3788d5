//! How a scenario's text names things: transactions by what they spend, outputs by what they are for.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::bolt3::OutputKind;
use arb_core::{Action, Alert, Conclusion, ContractId, Event, FailReason, Side, StageRecord, Upstream};
use arb_harness::names::{close_name, outcome_name, resolver_name};
use arb_lab::fixture::ChannelFixture;
use bitcoin::{OutPoint, Transaction, Txid};

/// Names of transactions and outputs, learned as they appear.
#[derive(Default)]
pub struct Names {
    outputs: BTreeMap<OutPoint, String>,
    transactions: BTreeMap<Txid, String>,
    ours: BTreeSet<Txid>,
}

impl Names {
    /// Learns every commitment that the fixture has signed.
    pub fn learn(&mut self, fixture: &ChannelFixture) {
        self.outputs.insert(fixture.setup().funding, "the funding".into());
        for (side, whose) in [(Side::Local, "our"), (Side::Remote, "their")] {
            for number in fixture.states(side).keys() {
                let commitment = fixture.commitment(side, *number).unwrap();
                let txid = commitment.built.txid;
                if self.transactions.insert(txid, format!("{whose} commitment {number}")).is_some() {
                    continue;
                }
                for (vout, kind) in (0..).zip(&commitment.built.outputs) {
                    let name = match (kind, side) {
                        (OutputKind::Htlc(index), _) => commitment.htlcs[*index].key.to_string(),
                        (OutputKind::ToOwner, Side::Local) | (OutputKind::ToOther, Side::Remote) => {
                            "our balance".into()
                        }
                        (OutputKind::ToOwner, Side::Remote) | (OutputKind::ToOther, Side::Local) => {
                            "their balance".into()
                        }
                        (OutputKind::OwnerAnchor, Side::Local) | (OutputKind::OtherAnchor, Side::Remote) => {
                            "our anchor".into()
                        }
                        (OutputKind::OwnerAnchor | OutputKind::OtherAnchor, _) => "their anchor".into(),
                    };
                    self.outputs.insert(OutPoint { txid, vout }, name);
                }
            }
        }
    }

    fn output(&self, outpoint: &OutPoint) -> String {
        self.outputs.get(outpoint).cloned().unwrap_or_else(|| "an output".into())
    }

    fn transaction(&mut self, tx: &Transaction) -> String {
        let txid = tx.compute_txid();
        if let Some(name) = self.transactions.get(&txid) {
            return name.clone();
        }
        let spent = tx.input.iter().filter_map(|input| self.outputs.get(&input.previous_output).cloned());
        let spent: Vec<String> = spent.collect();
        let whose = if self.ours.contains(&txid) { "our" } else { "their" };
        let name = match &spent[..] {
            [funding] if funding == "the funding" => "the closing transaction".to_owned(),
            spent => format!("{whose} spend of {}", spent.join(" and ")),
        };
        for (vout, output) in (0..).zip(&tx.output) {
            if let (Some(first), true) = (spent.first(), output.script_pubkey.is_p2wsh()) {
                self.outputs.insert(OutPoint { txid, vout }, format!("{first}'s second level"));
            }
        }
        self.transactions.insert(txid, name.clone());
        name
    }

    fn contract(&self, id: &ContractId) -> String {
        match id {
            ContractId::Output(outpoint) => self.output(outpoint),
            ContractId::NoOutput(htlc) => format!("{htlc} (no output)"),
        }
    }

    /// A line for an event; none for a block without transactions from which nothing was concluded.
    pub fn event(&mut self, event: &Event, concluded: bool) -> Option<String> {
        Some(match event {
            Event::BlockConnected(block) => {
                let txs: Vec<String> = block.txs.iter().map(|tx| self.transaction(tx)).collect();
                if txs.is_empty() && !concluded {
                    return None;
                }
                let colon = if txs.is_empty() { "" } else { ": " };
                format!("{}{colon}{}", block.height, txs.join("; "))
            }
            Event::BlockDisconnected(block) => format!("{} disconnected", block.height),
            Event::ChannelOpened(_) => "channel opened".into(),
            Event::LocalCommitmentSigned(heard) => format!("our commitment {} is signed", heard.update.number),
            Event::LocalCommitmentSignedAgain(heard) => {
                format!("our commitment {} is signed again", heard.update.number)
            }
            Event::RemoteCommitmentSigned(heard) => format!("their commitment {} is signed", heard.update.number),
            Event::RemoteRevoked(heard) => format!("their commitment {} is revoked", heard.number),
            Event::PreimageLearned { usable_for, .. } => {
                let htlcs: Vec<String> = usable_for.iter().map(|key| key.htlc.to_string()).collect();
                format!("a preimage for {}", htlcs.join(", "))
            }
            Event::CloseRequested { .. } => "a close is requested".into(),
            Event::ClosingSigned(_) => "a closing transaction is signed".into(),
            Event::UpstreamAcknowledged { htlc, outcome } => {
                format!("the origin of {} is {}", htlc.htlc, format!("{outcome:?}").to_lowercase())
            }
            Event::Scanned(_) if concluded => "searched".into(),
            Event::Signed(_) if concluded => "signed".into(),
            Event::ScriptsOffered { .. } if concluded => "the wallet offers a script".into(),
            Event::FeeInputsOffered(_) if concluded => "the wallet offers a coin".into(),
            Event::Performed { .. } if concluded => "performed".into(),
            _ => return None,
        })
    }

    /// A line for a conclusion; none for one that [`action`](Self::action) writes when its action is due.
    pub fn record(&mut self, conclusion: &Conclusion) -> Option<String> {
        Some(match conclusion {
            Conclusion::Classified { kind: Some(kind) } => format!("close: {}", close_name(*kind)),
            Conclusion::Classified { kind: None } => "close: none any more".into(),
            Conclusion::Frozen(why) => format!("frozen: {why:?}"),
            Conclusion::WentToChain => "our commitment goes to chain".into(),
            Conclusion::PreimageUsable { htlc, .. } => format!("{htlc}: the preimage is usable"),
            Conclusion::ShownEarly { .. } => "a preimage is kept for an HTLC that may be told".into(),
            Conclusion::EarlyForgotten => "no preimage is kept any more".into(),
            Conclusion::GaveUp { htlc } => format!("{htlc}: no preimage will come"),
            Conclusion::Released { htlc, outcome } => format!("{htlc}: origin {}", upstream(outcome)),
            Conclusion::SweepPlanned(sweep) => {
                self.ours.insert(sweep.tx.compute_txid());
                format!("planned: {}", self.transaction(&sweep.tx))
            }
            Conclusion::SweepDropped { group, .. } => format!("dropped: transaction {group}"),
            Conclusion::Bumped { outpoint, to_sat_per_kw, .. } => {
                format!("{}: raised to {to_sat_per_kw} sat/kw", self.output(outpoint))
            }
            Conclusion::Uneconomic { outpoint, .. } => format!("{}: not worth its fee", self.output(outpoint)),
            Conclusion::HandedOff { contract, to } => format!("{} → {}", self.contract(contract), resolver_name(*to)),
            Conclusion::Staged { contract, stage } => {
                let stage = match stage {
                    StageRecord::Waiting { until } => format!("waits until {until}"),
                    StageRecord::Contested { until } => format!("contested until {until}"),
                    StageRecord::ClaimWanted => "to be claimed".into(),
                    StageRecord::Spent { until } => format!("spent, irrevocable at {until}"),
                    StageRecord::Done(outcome) => format!("done, {}", outcome_name(*outcome)),
                };
                format!("{}: {stage}", self.contract(contract))
            }
            Conclusion::UpstreamLinked { .. }
            | Conclusion::ScriptsRequested
            | Conclusion::FeeInputsRequested(_)
            | Conclusion::FeeInputsReturned { .. }
            | Conclusion::Noticed(_) => return None,
        })
    }

    /// A line for an action that is due; none for requests and searches.
    pub fn action(&mut self, action: &Action) -> Option<String> {
        Some(match action {
            Action::Broadcast { txs, .. } => {
                let names: Vec<String> = txs.iter().map(|tx| self.transaction(tx)).collect();
                format!("broadcast {}", names.join(" with "))
            }
            Action::SettleUpstream { htlc, .. } => format!("settle the origin of {}", htlc.htlc),
            Action::FailUpstream { htlc, why, .. } => format!("fail the origin of {}: {}", htlc.htlc, reason(*why)),
            Action::AskForPreimage { htlc, until, .. } => {
                format!("ask for the preimage of {} until {until}", htlc.htlc)
            }
            Action::FreezeChannel { .. } => "freeze the channel".into(),
            Action::Alert { alert, .. } => format!("alert: {}", self.alert(alert)),
            Action::ReportOutcome { report, .. } => {
                format!(
                    "report: {} {}, {} sat",
                    self.contract(&report.id),
                    outcome_name(report.outcome),
                    report.amount_sat
                )
            }
            Action::ChannelResolved { sheet, .. } => format!(
                "resolved: {} = {} swept + {} peer + {} fees − {} coins + {} change + {} unclaimed + {} uneconomic + {} lost",
                sheet.capacity_sat,
                sheet.swept_sat,
                sheet.peer_sat,
                sheet.fees_sat,
                sheet.wallet_in_sat,
                sheet.wallet_change_sat,
                sheet.contested_unclaimed_sat,
                sheet.uneconomic_sat,
                sheet.lost_sat
            ),
            Action::SearchSpends { .. }
            | Action::Sign(_)
            | Action::RequestScripts { .. }
            | Action::RequestFeeInputs { .. }
            | Action::HoldFeeInputs { .. }
            | Action::ReleaseFeeInputs { .. }
            | Action::LoadRevoked { .. }
            | Action::LoadPoint { .. } => return None,
        })
    }

    fn alert(&self, alert: &Alert) -> String {
        match alert {
            Alert::RevokedCommitment { number, .. } => format!("their revoked commitment {number}"),
            Alert::UnknownCommitment { .. } => "a commitment that we do not know".into(),
            Alert::Risk { htlc, why, .. } => format!("{htlc} at risk: {}", reason(*why)),
            Alert::Loss { htlc, .. } => format!("{htlc} was paid after its origin was failed"),
            Alert::OutputLost { outpoint, .. } => format!("{} was taken", self.output(outpoint)),
            Alert::DeadlineMissed { outpoint, deadline, .. } => {
                format!("{} missed its deadline {deadline}", self.output(outpoint))
            }
            other => format!("{other:?}"),
        }
    }
}

fn upstream(outcome: &Upstream) -> String {
    match outcome {
        Upstream::Settled(_) => "settled".into(),
        Upstream::Failed(why) => format!("failed, {}", reason(*why)),
    }
}

const fn reason(why: FailReason) -> &'static str {
    match why {
        FailReason::TimedOut => "timed out",
        FailReason::OnNoCommitment => "no commitment has an output for it",
        FailReason::NotOnConfirmed => "the confirmed commitment has no output for it",
        FailReason::Revoked => "revoked close",
        FailReason::MutualClose => "mutual close",
        FailReason::GivenUpForUpstream => "its upstream is about to expire",
        FailReason::ForgetDepth => "long past every expiry",
    }
}
