//! What follows from one channel's facts and ratchets: its close, every contract's resolver and stage, what it waits for.
//!
//! Derived by pure functions whenever a channel is touched, never stored (R9).
//!
//! Tests: `arb-harness/lab/tests/court_suite/incidents_outcomes.rs`, `arb-harness/lab/tests/court_suite/breach_state.rs`.

pub(crate) mod explain;
mod unclaimed;
mod wake;

use crate::api::facts::Side;
use crate::api::ids::{ContractId, HtlcRef};
use crate::api::outcome::ContractOutcome;
use crate::api::policy::Policy;
use crate::api::stage::{CloseKind, ContractKind, ResolverKind, Stage, StageRecord};
use crate::api::units::{Blocks, Height};
use crate::bolt3::{ChannelType, OutputKind, anchor_script, to_remote_script_pubkey};
use crate::channel::{ChannelArbitrator, Close, KeptTx, SpendOf, Tier, forget_height, spends};
pub(crate) use crate::resolver::ContractState;
use crate::resolver::{
    Anchor, Breach, CommitSweep, ContractStage, IncomingContest, OutgoingContest, Resolver, ResolverKit, Revoked,
};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use bitcoin::{OutPoint, ScriptBuf};
use core::ops::Deref;

/// One output of the confirmed close, or one HTLC that has none there, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Contract {
    pub(crate) id: ContractId,
    pub(crate) kind: ContractKind,
    pub(crate) htlc: Option<HtlcRef>,
    pub(crate) amount_sat: u64,
    /// The kinds of resolvers that it went through, the current one last; empty without an output.
    pub(crate) resolvers: Vec<ResolverKind>,
    pub(crate) state: ContractState,
}

/// What follows from one channel at one tip under one policy. Deriving it costs scripts and hashes for every contract, so the
/// court keeps it next to the channel.
#[derive(Clone, Debug)]
pub(crate) struct Derived {
    pub(crate) tip: Height,
    pub(crate) close: Option<Arc<Close>>,
    pub(crate) spends: BTreeMap<OutPoint, SpendOf>,
    pub(crate) contracts: Vec<Contract>,
    /// Confirmations at which this channel gives up rights (R12): grows with its capacity.
    pub(crate) fail_depth: Blocks,
}

/// A channel with everything that follows from it at one tip.
#[derive(Clone, Debug)]
pub(crate) struct ChannelView<'a> {
    pub(crate) channel: &'a ChannelArbitrator,
    pub(crate) policy: &'a Policy,
    derived: Arc<Derived>,
}

impl Deref for ChannelView<'_> {
    type Target = Derived;

    fn deref(&self) -> &Derived {
        &self.derived
    }
}

impl<'a> ChannelView<'a> {
    /// Derives what follows from a channel at a tip, under its own policy or the court's.
    pub(crate) fn new(channel: &'a ChannelArbitrator, tip: Height, court: &'a Policy) -> Self {
        let policy = channel.policy_or(court);
        let capacity = channel.facts.fundings.iter().map(|funding| funding.value_sat).max().unwrap_or(0);
        let close = channel.close.0.clone();
        let spends = if close.is_some() { spends(channel) } else { BTreeMap::new() };
        let fail_depth = policy.fail_depth(capacity);
        let derived = Arc::new(Derived { tip, close, spends, contracts: Vec::new(), fail_depth });
        let mut view = Self { channel, policy, derived };
        if view.close.is_some() {
            let contracts = view.contracts();
            Arc::make_mut(&mut view.derived).contracts = contracts;
        }
        view
    }

    /// A channel with what was derived from it before. Channel and policies must be those of that time.
    pub(crate) fn kept(channel: &'a ChannelArbitrator, court: &'a Policy, derived: Arc<Derived>) -> Self {
        Self { channel, policy: channel.policy_or(court), derived }
    }

    /// What to keep next to the channel; `None` while its funding is unspent, because deriving is cheap then.
    pub(crate) fn keep(&self) -> Option<Arc<Derived>> {
        self.close.is_some().then(|| self.derived.clone())
    }

    /// The stage of the channel.
    pub(crate) fn stage(&self) -> Stage {
        match (&self.close, self.channel.ratchet.frozen) {
            (Some(close), _) if self.is_resolved(close) => Stage::Resolved,
            (Some(close), _) => Stage::Resolving(close.kind),
            (None, None) => Stage::Open,
            (None, Some(_)) if self.channel.ratchet.commitment_signed.is_empty() => Stage::GoingToChain,
            (None, Some(_)) => Stage::AwaitingCommitment,
        }
    }

    /// Whether close and contracts are irrevocable and the node acknowledged an outcome for every HTLC that we sent.
    pub(crate) fn is_resolved(&self, close: &Close) -> bool {
        self.tip.buries(close.height, self.policy.irrevocable_depth)
            && !close.is_asked()
            && self.foreign_until(close).is_none_or(|until| self.tip >= until)
            && self.contracts.iter().all(|contract| matches!(contract.state, ContractState::Done(_)))
            && self.is_answered()
    }

    /// Whether the node acknowledged an outcome for every HTLC that we sent.
    pub(crate) fn is_answered(&self) -> bool {
        self.channel
            .htlcs
            .keys()
            .filter(|htlc| htlc.is_offered())
            .all(|htlc| self.channel.ratchet.released.get(htlc).is_some_and(|released| released.acknowledged.is_some()))
    }

    /// The tip height until which the outputs of a close that we cannot rebuild are watched: any of them may be an HTLC whose
    /// spend shows a preimage (R6). If all are spent, until the last spend is irrevocable; else until `irrevocable_depth` past
    /// every delay and expiry that we know of. `None` if nothing is to be watched.
    pub(crate) fn foreign_until(&self, close: &Close) -> Option<Height> {
        if !close.is_foreign() {
            return None;
        }
        let outputs = self.channel.chain.kept.get(&close.txid).map(|kept| kept.outputs.keys());
        let outputs = outputs.into_iter().flatten().map(|vout| OutPoint { txid: close.txid, vout: *vout });
        let owned: BTreeSet<ContractId> = self.contracts.iter().map(|contract| contract.id).collect();
        let foreign = outputs.filter(|outpoint| !owned.contains(&ContractId::Output(*outpoint)));
        let spent: Option<Vec<Height>> =
            foreign.map(|outpoint| self.spends.get(&outpoint).map(|spend| spend.height)).collect();
        let depth = self.policy.irrevocable_depth;
        match spent {
            Some(heights) => heights.into_iter().max().map(|height| Height::buried_at(height, depth)),
            None => {
                let delay = Blocks::new(u32::from(self.channel.facts.remote.delay_blocks));
                let expiries = self.channel.htlcs.values().map(|state| state.htlc.cltv_expiry);
                expiries.chain([close.height.after(delay)]).max().map(|last| last.after(depth))
            }
        }
    }

    /// Whether the chain was searched for spends of all fundings and closes: a failure may rest on the absence of a spend (R5).
    pub(crate) fn is_scanned(&self) -> bool {
        self.channel.is_searched()
            && self.channel.chain.kept.iter().all(|(txid, kept)| {
                // Without an output to watch no search is asked for, so none is waited for.
                kept.scanned || kept.tier != Tier::Funding || !self.channel.watches_outputs(txid, kept)
            })
    }

    /// The kit for the resolvers of this close.
    pub(crate) fn kit<'b>(&'b self, close: &'b Close) -> ResolverKit<'b> {
        ResolverKit {
            channel: self.channel,
            close,
            spends: &self.spends,
            tip: self.tip,
            policy: self.policy,
            ignores_give_ups: false,
        }
    }

    /// The output that the confirmed commitment has for an HTLC; `None` if it has none or is not known to us.
    pub(crate) fn output_of(&self, htlc: HtlcRef) -> Option<OutPoint> {
        let close = self.close.as_ref()?;
        let rebuilt = close.rebuilt.as_ref()?;
        let position = close.commitment(&self.channel.set)?.position(htlc)?;
        let vout = (*rebuilt.built.htlc_vouts.get(position)?)?;
        Some(OutPoint { txid: close.txid, vout })
    }

    fn contracts(&self) -> Vec<Contract> {
        let Some(close) = &self.close else { return Vec::new() };
        let mut contracts = match close.kind {
            CloseKind::Local | CloseKind::Remote | CloseKind::RemotePending => self.known_outputs(close),
            CloseKind::Revoked if close.rebuilt.is_some() => self.known_outputs(close),
            CloseKind::Revoked | CloseKind::Unknown | CloseKind::Superseded => self.outputs_by_script(close),
            CloseKind::Mutual => Vec::new(),
        };
        let without_output = self.channel.htlcs.values().filter(|state| self.output_of(state.htlc.key).is_none());
        contracts.extend(without_output.map(|state| Contract {
            id: ContractId::NoOutput(state.htlc.key),
            kind: ContractKind::Htlc,
            htlc: Some(state.htlc.key),
            amount_sat: state.htlc.amount_sat(),
            resolvers: Vec::new(),
            state: self.without_output(close, state.htlc.key),
        }));
        contracts
    }

    /// The outputs of a commitment that we rebuilt: which HTLC an output belongs to was fixed when it was built (R7, B8).
    fn known_outputs(&self, close: &Close) -> Vec<Contract> {
        let (Some(rebuilt), Some(commitment)) = (&close.rebuilt, close.commitment(&self.channel.set)) else {
            return Vec::new();
        };
        let kit = self.kit(close);
        let mut contracts = Vec::new();
        for (vout, kind) in (0..).zip(&rebuilt.built.outputs) {
            let outpoint = OutPoint { txid: close.txid, vout };
            let ours = match (kind, close.owner) {
                (OutputKind::ToOwner, Side::Local) => Some((ContractKind::ToLocal, None)),
                (OutputKind::ToOther, Side::Remote) => Some((ContractKind::ToRemote, None)),
                (OutputKind::OwnerAnchor, Side::Local) | (OutputKind::OtherAnchor, Side::Remote) => {
                    Some((ContractKind::Anchor, None))
                }
                (OutputKind::Htlc(position), Side::Local | Side::Remote) => {
                    commitment.htlcs.get(*position).map(|htlc| (ContractKind::Htlc, Some(*htlc)))
                }
                (OutputKind::ToOwner, Side::Remote) if close.kind == CloseKind::Revoked => {
                    Some((ContractKind::RevokedToLocal, None))
                }
                (OutputKind::ToOwner | OutputKind::OwnerAnchor, Side::Remote)
                | (OutputKind::ToOther | OutputKind::OtherAnchor, Side::Local) => None,
            };
            if let Some((kind, htlc)) = ours {
                contracts.extend(contract(&kit, outpoint, kind, htlc));
            }
        }
        contracts
    }

    /// The outputs of ours on a commitment that we cannot rebuild, found by script. `to_remote` (static_remotekey) and our
    /// anchor have the same script on every commitment of the counterparty. Once a commitment is revoked, the scripts of its
    /// `to_local` and second levels are also known. On an old commitment of ours, our `to_local` is known with the node's point.
    fn outputs_by_script(&self, close: &Close) -> Vec<Contract> {
        let Some(kept) = self.channel.chain.kept.get(&close.txid) else { return Vec::new() };
        let facts = &self.channel.facts;
        let kit = self.kit(close);
        let to_remote = to_remote_script_pubkey(facts.channel_type, &facts.local.basepoints.payment);
        let anchor = match facts.channel_type {
            ChannelType::StaticRemotekey => None,
            ChannelType::AnchorsZeroFeeHtlcTx => {
                close.funding(facts).map(|funding| anchor_script(&funding.local_key).to_p2wsh())
            }
        };
        let mut contracts = Vec::new();
        for (vout, output) in &kept.outputs {
            let outpoint = OutPoint { txid: close.txid, vout: *vout };
            let is = |script: Option<&ScriptBuf>| script == Some(&output.script_pubkey);
            if is(close.own.as_ref().map(|own| &own.script_pubkey)) {
                contracts.extend(contract(&kit, outpoint, ContractKind::ToLocal, None));
            } else if close.owner == Side::Remote && output.script_pubkey == to_remote {
                contracts.extend(contract(&kit, outpoint, ContractKind::ToRemote, None));
            } else if is(anchor.as_ref()) {
                contracts.extend(contract(&kit, outpoint, ContractKind::Anchor, None));
            } else if is(close.penalty.as_ref().map(|penalty| &penalty.script_pubkey)) {
                contracts.extend(contract(&kit, outpoint, ContractKind::RevokedToLocal, None));
            }
        }
        for outpoint in self.second_levels_by_script(close) {
            contracts.extend(contract(&kit, outpoint, ContractKind::RevokedSecondLevel, None));
        }
        contracts
    }

    /// The outputs under the revoked keys of every transaction that spends an output of the close. One transaction may carry
    /// several HTLCs, each with its output at the index of its input (B42).
    fn second_levels_by_script(&self, close: &Close) -> Vec<OutPoint> {
        let Some(penalty) = &close.penalty else { return Vec::new() };
        let spends_it = |kept: &KeptTx| kept.inputs.values().any(|input| input.previous_output.txid == close.txid);
        let spenders = self.channel.chain.kept.iter().filter(|(_, kept)| spends_it(kept));
        let outputs = spenders.flat_map(|(txid, kept)| {
            let outputs = kept.outputs.iter().filter(|(_, output)| output.script_pubkey == penalty.script_pubkey);
            outputs.map(|(vout, _)| OutPoint { txid: *txid, vout: *vout })
        });
        outputs.collect()
    }

    /// The state of an HTLC without an output on the confirmed transaction: done once an outcome was released upstream.
    fn without_output(&self, close: &Close, htlc: HtlcRef) -> ContractState {
        let released = self.channel.ratchet.released.contains_key(&htlc);
        let state = self.channel.htlcs.get(&htlc).filter(|_| htlc.is_offered() && !released);
        let Some(state) = state else { return ContractState::Done(ContractOutcome::NoOutput) };
        let until = match close.kind {
            // An unknown commitment may still have an output for it, so its burial decides nothing.
            CloseKind::Unknown | CloseKind::Superseded => forget_height(state, self.policy),
            CloseKind::Local
            | CloseKind::Remote
            | CloseKind::RemotePending
            | CloseKind::Revoked
            | CloseKind::Mutual => Height::buried_at(close.height, self.fail_depth),
        };
        ContractState::Live(ContractStage::Waiting { until })
    }
}

impl Contract {
    /// The stage in the form in which the log explains it.
    pub(crate) fn stage_record(&self) -> StageRecord {
        match &self.state {
            ContractState::Live(ContractStage::Waiting { until }) => StageRecord::Waiting { until: *until },
            ContractState::Live(ContractStage::Contested { until }) => StageRecord::Contested { until: *until },
            ContractState::Live(ContractStage::ClaimWanted(_)) => StageRecord::ClaimWanted,
            ContractState::Live(ContractStage::Spent { until }) => StageRecord::Spent { until: *until },
            ContractState::Done(outcome) => StageRecord::Done(*outcome),
        }
    }
}

/// The contract of one output, with its resolver run to the fixed point.
fn contract(kit: &ResolverKit<'_>, outpoint: OutPoint, kind: ContractKind, htlc: Option<HtlcRef>) -> Option<Contract> {
    let resolver = match (kind, htlc) {
        (ContractKind::ToLocal | ContractKind::ToRemote, _) => Resolver::CommitSweep(CommitSweep { outpoint }),
        (ContractKind::Anchor, _) => Resolver::Anchor(Anchor { outpoint }),
        (ContractKind::RevokedToLocal, _) => Resolver::Breach(Breach { outpoint, what: Revoked::ToLocal }),
        (ContractKind::RevokedSecondLevel, _) => {
            let confirmed = kit.channel.chain.kept.get(&outpoint.txid)?.height;
            Resolver::Breach(Breach { outpoint, what: Revoked::SecondLevel { confirmed } })
        }
        (ContractKind::Htlc, Some(htlc)) if kit.close.kind == CloseKind::Revoked => {
            Resolver::Breach(Breach { outpoint, what: Revoked::Htlc(htlc) })
        }
        (ContractKind::Htlc, Some(htlc)) if htlc.is_offered() => {
            Resolver::OutgoingContest(OutgoingContest { outpoint, htlc })
        }
        (ContractKind::Htlc, Some(htlc)) => Resolver::IncomingContest(IncomingContest { outpoint, htlc }),
        (ContractKind::Htlc, None) => return None,
    };
    let (resolvers, state) = resolver.run(kit);
    Some(Contract {
        id: ContractId::Output(outpoint),
        kind,
        htlc,
        amount_sat: kit.output(&outpoint)?.value.to_sat(),
        resolvers,
        state,
    })
}
