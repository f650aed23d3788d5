//! The court as a person reads it: a channel's stage, its contracts, and what each waits for.

use crate::channel::{ChannelArbitrator, Stage};
use crate::court::ChainArbitrator;
use crate::ids::{ChannelIndex, ContractId, HtlcRef};
use crate::notice::{Alert, ContractKind, Notice};
use crate::outcome::ContractOutcome;
use crate::record::StageRecord;
use crate::resolver::ResolverKind;
use crate::units::Height;
use crate::view::ChannelView;
use alloc::vec::Vec;

/// One channel, as it stands at the court's tip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Docket {
    /// The channel's stage.
    pub stage: Stage,
    /// What its contracts are still worth: everything that is not over.
    pub limbo_sat: u64,
    /// Every contract.
    pub contracts: Vec<ContractStatus>,
    /// Alerts that were raised and not yet performed.
    pub alerts: Vec<Alert>,
    /// The next height at which the channel is judged.
    pub alarm: Option<Height>,
}

/// One contract, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractStatus {
    /// Which contract.
    pub id: ContractId,
    /// What kind of output.
    pub kind: ContractKind,
    /// The HTLC, if it is one.
    pub htlc: Option<HtlcRef>,
    /// Its amount.
    pub amount_sat: u64,
    /// The resolvers that it went through; the last one has it.
    pub resolvers: Vec<ResolverKind>,
    /// What it waits for, or how it ended.
    pub stage: StageRecord,
}

impl ChainArbitrator {
    /// A channel as a person reads it.
    pub fn docket(&self, index: ChannelIndex) -> Option<Docket> {
        let channel = self.channel(index)?;
        let view = ChannelView::new(channel, self.state.tip.height, &self.state.policy);
        let contracts: Vec<ContractStatus> = view
            .contracts
            .iter()
            .map(|contract| ContractStatus {
                id: contract.id,
                kind: contract.kind,
                htlc: contract.htlc,
                amount_sat: contract.amount_sat,
                resolvers: contract.resolvers.clone(),
                stage: contract.stage_record(),
            })
            .collect();
        let over = |stage: &StageRecord| matches!(stage, StageRecord::Done(_));
        let worth = |contract: &ContractStatus| if over(&contract.stage) { 0 } else { contract.amount_sat };
        let limbo_sat = contracts.iter().map(worth).fold(0, u64::saturating_add);
        let alarm = view.alarm();
        Some(Docket { stage: view.stage(), limbo_sat, contracts, alerts: alerts(channel), alarm })
    }
}

fn alerts(channel: &ChannelArbitrator) -> Vec<Alert> {
    let notices = channel.outbox.values();
    let alert = |notice: &Notice| match notice {
        Notice::Alert(alert) => Some(alert.clone()),
        Notice::Freeze(_) | Notice::Report(_) | Notice::Release { .. } | Notice::Resolved(_) => None,
    };
    notices.filter_map(alert).collect()
}

impl ContractStatus {
    /// How it ended, if it did.
    pub const fn outcome(&self) -> Option<ContractOutcome> {
        match self.stage {
            StageRecord::Done(outcome) => Some(outcome),
            StageRecord::Waiting { .. }
            | StageRecord::Contested { .. }
            | StageRecord::ClaimWanted
            | StageRecord::Spent { .. } => None,
        }
    }
}
