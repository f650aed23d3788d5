//! Child pays for parent: a spend of our anchor on an unconfirmed commitment, ours or theirs. What missing a deadline loses
//! bounds its fee (BOLT 5 F7; B23, B34, B48).
//!
//! A commitment that confirms late leaves its HTLC claims less time. So each HTLC deadline counts for the commitment as
//! max(6, half of the blocks that were left when we decided) blocks earlier, and the rest is for the second stage.
//!
//! Tests: `arb-harness/lab/tests/sweeper_suite/closes.rs`, `arb-harness/lab/tests/sweeper_suite/curve.rs`.

use crate::api::facts::{Funding, Side};
use crate::api::policy::Policy;
use crate::api::units::{Blocks, Height};
use crate::bolt3::witness;
use crate::channel::{ChannelArbitrator, Commitment, Rebuilt, SECOND_STAGE_MIN, claim_deadline};
use crate::claims::preference::{waits_for_cheat, waits_for_theirs};
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

/// The children that unconfirmed commitments could have: of ours once our signature was given out and while it waits for none
/// of theirs, and of each of theirs that was seen in a mempool. The sight is kept, so an evicted commitment is sent again with
/// its child.
pub(crate) fn children(view: &ChannelView<'_>) -> Vec<Want> {
    let channel = view.channel;
    let anchors = channel.facts.channel_type.has_anchors();
    let ratchet = &channel.ratchet;
    let given_out = ratchet.went_to_chain && !ratchet.commitment_signed.is_empty() && !ratchet.outdated;
    if !anchors || (!given_out && ratchet.seen.is_empty()) || waits_for_cheat(view) {
        return Vec::new();
    }
    let secp = Secp256k1::new();
    let is_sent = given_out && !waits_for_theirs(view, &secp);
    let ours = is_sent.then(|| local_commitment(channel, &secp)).flatten();
    let ours = ours.and_then(|(funding, rebuilt, tx)| {
        let local = channel.set.local.as_ref()?;
        child(view, Side::Local, &local.commitment, funding, &rebuilt, tx)
    });
    let theirs = channel.set.remotes.iter().flat_map(|remote| {
        let fundings = channel.facts.fundings.iter().filter(|_| !ratchet.seen.is_empty());
        let of_funding = |funding| {
            let rebuilt = channel.rebuild(&secp, Side::Remote, remote, funding, &[])?;
            let tx = ratchet.seen.get(&rebuilt.built.txid)?.tx.0.clone();
            child(view, Side::Remote, remote, funding, &rebuilt, tx)
        };
        fundings.filter_map(of_funding).collect::<Vec<_>>()
    });
    ours.into_iter().chain(theirs).collect()
}

/// Whether our commitment stays back for coins of a child: in the block in which they are first asked for, and while blocks are
/// missing (`behind`), for then nothing is asked. Once it is in mempools alone, others can hang transactions below it until a
/// child has no place there (A61).
pub(crate) fn waits_for_child(view: &ChannelView<'_>, rebuilt: &Rebuilt, behind: bool) -> bool {
    let Some(anchor) = rebuilt.anchor(Side::Local) else { return false };
    let requests = &view.channel.requests;
    let sweeper = &requests.sweeper;
    let is_new = |since: Option<Height>| since.is_some_and(|since| view.tip <= since);
    let is_asked = sweeper.asked.contains_key(&anchor)
        && !sweeper.missing.contains_key(&anchor)
        && is_new(sweeper.first_asked.get(&anchor).copied());
    let is_unsigned = requests.sweeps.values().any(|state| {
        let unsigned = state.signed.is_none() && state.before.is_none() && state.rejected.is_none();
        unsigned && state.sweep.plan.members.contains(&anchor)
    });
    let is_planned = is_unsigned && is_new(sweeper.price(&anchor).map(|price| price.since));
    behind || is_asked || is_planned
}

/// Our commitment that spends the newest confirmed funding, with its witness; `None` until we have signed it.
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

/// The newest confirmed funding, with its index. A commitment is sent only if its parent is confirmed.
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
    let outpoint = rebuilt.anchor(owner)?;
    let (stakes, at_stake_sat) = stakes(view, outpoint, owner, commitment, rebuilt);
    let claim = Arc::new(anchor_claim(funding, outpoint, view.tip));
    Some(Want { claim, parent: Some(Box::new(ParentTx { tx, fee_sat: rebuilt.built.fee_sat, at_stake_sat, stakes })) })
}

/// The stake of each deadline, nearest first: what the child may cost to meet it, earlier deadlines included. A bump of
/// budget or deadline replaces all of them by one stake. And what is at stake in all, in sat.
fn stakes(
    view: &ChannelView<'_>,
    outpoint: OutPoint,
    owner: Side,
    commitment: &Commitment,
    rebuilt: &Rebuilt,
) -> (Vec<Stake>, u64) {
    let decided = view.channel.requests.sweeper.price(&outpoint).map_or(view.tip, |price| price.since);
    let mut at_stake: BTreeMap<Height, u64> = BTreeMap::new();
    let mut value_sat: u64 = 0;
    for (position, htlc) in commitment.htlcs.iter().enumerate() {
        let has_output = rebuilt.built.htlc_vouts.get(position).copied().flatten().is_some();
        let Some(deadline) = claim_deadline(view.channel, *htlc, view.tip, view.policy).filter(|_| has_output) else {
            continue;
        };
        let amount_sat = view.channel.htlcs.get(htlc).map_or(0, |state| state.htlc.amount_sat());
        value_sat = value_sat.saturating_add(amount_sat);
        let budget_sat = amount_sat.checked_div(u64::from(view.policy.budget_divisor)).unwrap_or(0);
        let left = deadline.since(decided).unwrap_or_default().get();
        let reserved = Blocks::new(left.checked_div(2).unwrap_or(0)).max(SECOND_STAGE_MIN);
        let sum = at_stake.entry(deadline.before(reserved)).or_default();
        *sum = sum.saturating_add(part_of(budget_sat, view.policy));
    }
    // One more stake, whatever else needs the commitment: our main output comes back sooner (A30).
    let main_sat = rebuilt.main_sat(owner);
    let mut sum = idle_budget_sat(view.policy, main_sat);
    let mut stakes: Vec<Stake> = at_stake
        .into_iter()
        .map(|(deadline, budget_sat)| {
            sum = sum.saturating_add(budget_sat);
            Stake { deadline: Some(deadline), budget_sat: sum }
        })
        .collect();
    stakes.push(Stake { deadline: None, budget_sat: sum });
    let requests = &view.channel.requests;
    let at_stake_sat = value_sat.saturating_add(main_sat);
    let bumped = requests.bumped_budget_sat(&outpoint, at_stake_sat);
    let sooner = requests.bumps_of(&outpoint).filter_map(|bump| bump.deadline).min();
    if bumped.is_some() || sooner.is_some() {
        // A bump raises, up to all that is at stake or the operator's bound; it lowers nothing (A16, A26).
        let budget_sat = bumped.unwrap_or(0).max(sum);
        let nearest = stakes.first().and_then(|stake| stake.deadline);
        stakes = [Stake { deadline: [sooner, nearest].into_iter().flatten().min(), budget_sat }].into();
    }
    (stakes, at_stake_sat)
}

/// The part of a claim's budget, in sat, that the child of its commitment may use.
pub(crate) fn part_of(budget_sat: u64, policy: &Policy) -> u64 {
    budget_sat.checked_div(u64::from(policy.child_divisor)).unwrap_or(0)
}

/// What a child may cost if no deadline is at stake, in sat: a small part of our main output, which we then get sooner.
pub(crate) fn idle_budget_sat(policy: &Policy, main_sat: u64) -> u64 {
    let part = main_sat.saturating_mul(u64::from(policy.idle_child_permille)).checked_div(1000).unwrap_or(0);
    part.min(policy.idle_child_sat)
}
