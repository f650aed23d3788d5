//! The court as a person reads it: a channel's stage, its contracts, what each waits for, and what the sweeper does for them.

use crate::api::event::BroadcastRejection;
use crate::api::ids::{ChannelIndex, ContractId, HtlcRef};
use crate::api::notice::{Alert, Notice};
use crate::api::outcome::ContractOutcome;
use crate::api::plan::{Ask, Declined, Plan};
use crate::api::stage::{ContractKind, ResolverKind, Stage, StageRecord};
use crate::api::units::Height;
use crate::channel::ChannelArbitrator;
use crate::claims::wants::wants;
use crate::court::ChainArbitrator;
use crate::view::{ChannelView, Contract, ContractState};
use alloc::vec::Vec;
use bitcoin::{OutPoint, Txid};

/// One channel, as it stands at the court's tip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Docket {
    /// Where the channel stands between open and resolved.
    pub stage: Stage,
    /// What the contracts that are not over are worth, in satoshi.
    pub limbo_sat: u64,
    /// Every contract: outputs in their order, then HTLCs without an output. Empty while the funding is unspent.
    pub contracts: Vec<ContractStatus>,
    /// Every planned transaction whose claims are all still wanted, by the number of its group.
    pub sweeps: Vec<SweepStatus>,
    /// Requests for coins that the wallet has not met, most urgent first.
    pub coins_wanted: Vec<CoinsStatus>,
    /// Alerts that were raised and not yet answered with [`Event::Performed`](crate::Event::Performed).
    pub alerts: Vec<Alert>,
    /// The next height at which the channel is judged if nothing else happens; `None` if there is none.
    pub alarm: Option<Height>,
}

/// One contract, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractStatus {
    /// Its output, or its HTLC if that has no output.
    pub id: ContractId,
    /// What kind of output.
    pub kind: ContractKind,
    /// The HTLC that the contract is for; `None` for outputs of other kinds.
    pub htlc: Option<HtlcRef>,
    /// The value of its output, or the amount of its HTLC if that has no output, in satoshi.
    pub amount_sat: u64,
    /// The resolvers that it went through, in order; the last one owns it now.
    pub resolvers: Vec<ResolverKind>,
    /// What it waits for, or how it ended.
    pub stage: StageRecord,
    /// The output that is claimed next: its own, or that of the HTLC transaction that spent it. `None` if nothing of it is
    /// unspent, or if it is over.
    pub next_output: Option<OutPoint>,
    /// Why that was declined when it was looked at last; `None` if it was not.
    pub declined: Option<Declined>,
}

/// One transaction of the sweeper, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepStatus {
    /// What was decided: claims, coins, feerate, fee, and why it offers less than is wanted, if it does.
    pub plan: Plan,
    /// Its txid as it is planned now; signing does not change it.
    pub txid: Txid,
    /// The highest feerate that its claims want by now, in satoshi per kiloweight. It is above the plan's once an operator
    /// has asked for more.
    pub wanted_sat_per_kw: u32,
    /// Whether the signer has answered for this version.
    pub signed: bool,
    /// Why the network refused it; `None` if its last answer was no refusal.
    pub trouble: Option<BroadcastRejection>,
}

/// One request to the wallet, as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoinsStatus {
    /// The claim, the amount, the feerate and the deadline of the request.
    pub ask: Ask,
    /// How much the wallet said that it lacks, in satoshi; `None` if it did not refuse.
    pub missing_sat: Option<u64>,
}

impl ChainArbitrator {
    /// A channel as a person reads it; `None` if the court has no such channel, or no longer.
    pub fn docket(&self, index: ChannelIndex) -> Option<Docket> {
        let view = self.view(index)?;
        let contracts: Vec<ContractStatus> = view.contracts.iter().map(|contract| status(&view, contract)).collect();
        let over = |stage: &StageRecord| matches!(stage, StageRecord::Done(_));
        let worth = |contract: &ContractStatus| if over(&contract.stage) { 0 } else { contract.amount_sat };
        let limbo_sat = contracts.iter().map(worth).fold(0, u64::saturating_add);
        let (sweeps, coins_wanted) = sweeper(&view);
        let (stage, alarm) = (view.stage(), view.alarm());
        Some(Docket { stage, limbo_sat, contracts, sweeps, coins_wanted, alerts: alerts(view.channel), alarm })
    }
}

fn status(view: &ChannelView<'_>, contract: &Contract) -> ContractStatus {
    let next_output = view.next_output(contract).filter(|_| matches!(contract.state, ContractState::Live(_)));
    let uneconomic = &view.channel.requests.sweeper.uneconomic;
    ContractStatus {
        id: contract.id,
        kind: contract.kind,
        htlc: contract.htlc,
        amount_sat: contract.amount_sat,
        resolvers: contract.resolvers.clone(),
        stage: contract.stage_record(),
        next_output,
        declined: next_output.and_then(|outpoint| uneconomic.get(&outpoint).copied()),
    }
}

/// What the sweeper does for claims that are still wanted.
fn sweeper(view: &ChannelView<'_>) -> (Vec<SweepStatus>, Vec<CoinsStatus>) {
    let requests = &view.channel.requests;
    let wants = wants(view);
    let live = requests.sweeps.values().filter(|state| {
        let members = &state.sweep.plan.members;
        !members.is_empty() && members.iter().all(|member| wants.contains_key(member))
    });
    let sweeps = live.map(|state| {
        let plan = state.sweep.plan.clone();
        let prices = plan.members.iter().filter_map(|member| requests.sweeper.price(member));
        let wanted = prices.map(|price| price.wanted_sat_per_kw).fold(plan.wanted_sat_per_kw, u32::max);
        SweepStatus {
            plan,
            txid: state.txid,
            wanted_sat_per_kw: wanted,
            signed: state.signed.is_some(),
            trouble: state.rejected,
        }
    });
    let asked = requests.sweeper.asked().into_iter().filter(|ask| wants.contains_key(&ask.owner));
    let coins = asked.map(|ask| CoinsStatus { ask: *ask, missing_sat: requests.sweeper.missing_sat(&ask.owner) });
    (sweeps.collect(), coins.collect())
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
    /// How it ended; `None` while it is not over.
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
