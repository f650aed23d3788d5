//! Child pays for parent: our anchor on an unconfirmed commitment, ours or theirs, with what missing a deadline loses as the
//! measure (BOLT 5 F7; B23, B34, B48).
//!
//! A commitment that confirms late takes its HTLCs' time: each deadline counts less max(6, half of the blocks that were left
//! when we decided), so that the second stage has time of its own.

use crate::api::facts::{Funding, Side};
use crate::api::policy::Policy;
use crate::api::units::{Blocks, Height};
use crate::bolt3::{ChannelType, OutputKind, witness};
use crate::channel::{ChannelArbitrator, Commitment, Rebuilt, claim_deadline};
use crate::claims::{ParentTx, Want};
use crate::resolver::anchor_claim;
use crate::sweep::terms::Stake;
use crate::view::ChannelView;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::{OutPoint, Transaction};

/// The time that is kept for the second stage at least.
const SECOND_STAGE: Blocks = Blocks::new(6);

/// The children that unconfirmed commitments in view could have: ours once our signature was given out, theirs once one of
/// the set was seen in a mempool (a kept fact: it is sent again with its child when it is evicted).
pub(crate) fn children(view: &ChannelView<'_>) -> Vec<Want> {
    let channel = view.channel;
    let anchors = match channel.facts.channel_type {
        ChannelType::StaticRemotekey => false,
        ChannelType::AnchorsZeroFeeHtlcTx => true,
    };
    let ratchet = &channel.ratchet;
    let given_out = ratchet.went_to_chain && !ratchet.commitment_signed.is_empty() && !ratchet.outdated;
    if !anchors || (!given_out && ratchet.seen.is_empty()) {
        return Vec::new();
    }
    let secp = Secp256k1::new();
    let ours = given_out.then(|| local_commitment(channel, &secp)).flatten();
    let ours = ours.and_then(|(funding, rebuilt, tx)| {
        let local = channel.set.local.as_ref()?;
        child(view, Side::Local, &local.commitment, funding, &rebuilt, tx)
    });
    let theirs = channel.set.remotes.iter().flat_map(|remote| {
        let fundings = channel.facts.fundings.iter().filter(|_| !ratchet.seen.is_empty());
        let of_funding = |funding| {
            let rebuilt = channel.rebuild(&secp, Side::Remote, remote, funding, &[])?;
            let tx = ratchet.seen.get(&rebuilt.built.txid)?.0.clone();
            child(view, Side::Remote, remote, funding, &rebuilt, tx)
        };
        fundings.filter_map(of_funding).collect::<Vec<_>>()
    });
    ours.into_iter().chain(theirs).collect()
}

/// Our commitment of the newest confirmed funding, complete.
pub(crate) fn local_commitment<'a>(
    channel: &'a ChannelArbitrator,
    secp: &Secp256k1<All>,
) -> Option<(&'a Funding, Rebuilt, Transaction)> {
    let local = channel.set.local.as_ref()?;
    let (index, funding) = newest_funding(channel)?;
    let ours = channel.ratchet.commitment_signed.get(&funding.outpoint)?;
    let theirs = local.signatures.get(index)?;
    let rebuilt = channel.rebuild(secp, Side::Local, &local.commitment, funding, &[])?;
    let mut tx = rebuilt.built.tx.clone();
    let complete = witness::commitment(&funding.local_key, ours, &funding.remote_key, &theirs.commitment);
    for input in &mut tx.input {
        input.witness = complete.clone();
    }
    Some((funding, rebuilt, tx))
}

/// A commitment is sent only where its parent is in view: the newest confirmed funding.
pub(crate) fn newest_funding(channel: &ChannelArbitrator) -> Option<(usize, &Funding)> {
    let fundings = channel.facts.fundings.iter().zip(&channel.chain.fundings).enumerate();
    let confirmed = fundings.filter_map(|(index, (funding, facts))| Some((facts.confirmed?, index, funding)));
    confirmed.max_by_key(|(height, _, funding)| (*height, funding.outpoint)).map(|(_, index, funding)| (index, funding))
}

fn child(
    view: &ChannelView<'_>,
    owner: Side,
    commitment: &Commitment,
    funding: &Funding,
    rebuilt: &Rebuilt,
    tx: Transaction,
) -> Option<Want> {
    let kind = match owner {
        Side::Local => OutputKind::OwnerAnchor,
        Side::Remote => OutputKind::OtherAnchor,
    };
    let vout = rebuilt.built.outputs.iter().position(|output| *output == kind)?;
    let outpoint = OutPoint { txid: rebuilt.built.txid, vout: u32::try_from(vout).ok()? };
    let stakes = stakes(view, outpoint, owner, commitment, rebuilt);
    let claim = Arc::new(anchor_claim(funding, outpoint, view.tip));
    Some(Want { claim, parent: Some(Box::new(ParentTx { tx, fee_sat: rebuilt.built.fee_sat, stakes })) })
}

/// What is lost by missing each deadline, nearest first, with all that was lost before it.
fn stakes(
    view: &ChannelView<'_>,
    outpoint: OutPoint,
    owner: Side,
    commitment: &Commitment,
    rebuilt: &Rebuilt,
) -> Vec<Stake> {
    let decided = view.channel.requests.sweeper.price(&outpoint).map_or(view.tip, |price| price.since);
    let mut at_stake: BTreeMap<Height, u64> = BTreeMap::new();
    for (position, htlc) in commitment.htlcs.iter().enumerate() {
        let has_output = rebuilt.built.htlc_vouts.get(position).copied().flatten().is_some();
        let Some(deadline) = claim_deadline(view.channel, *htlc, view.tip, view.policy).filter(|_| has_output) else {
            continue;
        };
        let amount_sat = view.channel.htlcs.get(htlc).map_or(0, |state| state.htlc.amount_sat());
        let budget_sat = amount_sat.checked_div(u64::from(view.policy.budget_divisor)).unwrap_or(0);
        let left = deadline.since(decided).unwrap_or_default().get();
        let reserved = Blocks::new(left.checked_div(2).unwrap_or(0)).max(SECOND_STAGE);
        let sum = at_stake.entry(deadline.before(reserved)).or_default();
        *sum = sum.saturating_add(part_of(budget_sat, view.policy));
    }
    let requests = &view.channel.requests;
    let bumped = requests.bumps_of(&outpoint).filter_map(|bump| bump.budget_sat).max();
    let sooner = requests.bumps_of(&outpoint).filter_map(|bump| bump.deadline).min();
    let mut sum: u64 = 0;
    let mut stakes: Vec<Stake> = at_stake
        .into_iter()
        .map(|(deadline, budget_sat)| {
            sum = sum.saturating_add(budget_sat);
            Stake { deadline: Some(deadline), budget_sat: sum }
        })
        .collect();
    if stakes.is_empty() {
        let budget_sat = nothing_at_stake_sat(view.policy, main_sat(owner, rebuilt));
        stakes.push(Stake { deadline: None, budget_sat });
    }
    if bumped.is_some() || sooner.is_some() {
        let all = bumped.unwrap_or_else(|| stakes.last().map_or(0, |stake| stake.budget_sat));
        let nearest = stakes.first().and_then(|stake| stake.deadline);
        stakes = [Stake { deadline: [sooner, nearest].into_iter().flatten().min(), budget_sat: all }].into();
    }
    stakes
}

/// The part of a claim's budget that its commitment may use.
pub(crate) fn part_of(budget_sat: u64, policy: &Policy) -> u64 {
    budget_sat.checked_div(u64::from(policy.child_divisor)).unwrap_or(0)
}

/// What a commitment without anything at stake may cost: a small part of what we get back sooner.
fn nothing_at_stake_sat(policy: &Policy, main_sat: u64) -> u64 {
    let part = main_sat.saturating_mul(u64::from(policy.idle_child_permille)).checked_div(1000).unwrap_or(0);
    part.min(policy.idle_child_sat)
}

fn main_sat(owner: Side, rebuilt: &Rebuilt) -> u64 {
    let kind = match owner {
        Side::Local => OutputKind::ToOwner,
        Side::Remote => OutputKind::ToOther,
    };
    let outputs = rebuilt.built.outputs.iter().zip(&rebuilt.built.tx.output);
    outputs.filter(|(output, _)| **output == kind).map(|(_, output)| output.value.to_sat()).sum()
}
