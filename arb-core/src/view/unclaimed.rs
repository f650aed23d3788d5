//! Which output of a contract is to be claimed next, which one an operator means who names the contract, how long it has waited,
//! and what a contract left that was given up.
//!
//! Tests: `arb-harness/lab/tests/sweeper_suite/operator.rs`, `arb-harness/lab/tests/sweeper_suite/waiting.rs`.

use super::{ChannelView, Contract, ContractState, contract};
use crate::api::ids::ContractId;
use crate::api::outcome::ContractOutcome;
use crate::api::stage::{CloseKind, ContractKind};
use crate::api::units::Height;
use crate::channel::{Close, SpendOf};
use crate::resolver::{Claim, ContractStage, ResolverKit, Taker, taker};
use alloc::sync::Arc;
use bitcoin::OutPoint;

impl ChannelView<'_> {
    /// The output of the HTLC transaction that spent a contract: ours, or the counterparty's under the revoked keys.
    pub(crate) fn second_level(&self, contract: &Contract, spend: &SpendOf) -> Option<OutPoint> {
        let close = self.close.as_ref()?;
        if close.kind == CloseKind::Revoked {
            return self.revoked_second_level(close, spend).map(|(outpoint, _)| outpoint);
        }
        if contract.kind != ContractKind::Htlc || taker(close.owner, &spend.path) != Taker::UsSecondLevel {
            return None;
        }
        self.kit(close).second_level_output(spend).map(|(outpoint, _)| outpoint)
    }

    /// The output that the counterparty's HTLC transaction left under the revoked keys, and its value in satoshi.
    pub(crate) fn revoked_second_level(&self, close: &Close, spend: &SpendOf) -> Option<(OutPoint, u64)> {
        if !spend.path.is_second_level() {
            return None;
        }
        self.kit(close).stolen_second_level(spend).map(|(outpoint, output)| (outpoint, output.value.to_sat()))
    }

    /// The unspent output of a contract: its own, or that of the HTLC transaction that spent it. `None` if there is none.
    pub(crate) fn next_output(&self, contract: &Contract) -> Option<OutPoint> {
        let ContractId::Output(own) = contract.id else { return None };
        let next = match self.spends.get(&own) {
            Some(spend) => self.second_level(contract, spend)?,
            None => own,
        };
        (!self.spends.contains_key(&next)).then_some(next)
    }

    /// The output that an operator means. A contract is known by its output on the commitment, so that stands for what is to be
    /// claimed next of it.
    pub(crate) fn meant(&self, outpoint: &OutPoint) -> OutPoint {
        let contract = self.contracts.iter().find(|contract| contract.id == ContractId::Output(*outpoint));
        contract.and_then(|contract| self.next_output(contract)).unwrap_or(*outpoint)
    }

    /// The tip height since which a claim could be made: its output has matured, and its preimage is known.
    pub(crate) fn claimable_since(&self, claim: &Claim) -> Height {
        let received = claim.way.htlc().filter(|htlc| !htlc.is_offered());
        let known = received.and_then(|htlc| self.channel.ratchet.usable.get(&htlc));
        known.map_or(claim.since, |known| known.since.max(claim.since))
    }

    /// The height at which a claim that is still wanted has waited so long that a person should know.
    pub(crate) fn waits_too_long_at(&self, claim: &Claim) -> Height {
        self.claimable_since(claim).after(self.policy.irrevocable_depth)
    }

    /// The claim that a contract which was given up would still want; `None` for any other contract.
    pub(crate) fn given_up(&self, over: &Contract) -> Option<Arc<Claim>> {
        let (ContractId::Output(own), Some(close)) = (over.id, &self.close) else { return None };
        if over.state != ContractState::Done(ContractOutcome::Uneconomic) {
            return None;
        }
        let kit = ResolverKit { ignores_give_ups: true, ..self.kit(close) };
        match contract(&kit, own, over.kind, over.htlc)?.state {
            ContractState::Live(ContractStage::ClaimWanted(claim)) => Some(claim),
            ContractState::Live(
                ContractStage::Waiting { .. } | ContractStage::Contested { .. } | ContractStage::Spent { .. },
            )
            | ContractState::Done(_) => None,
        }
    }
}
