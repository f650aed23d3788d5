//! Whose commitment is sent while the funding is unspent. One of theirs that is in mempools may serve us as well as ours: its
//! claims need one stage in place of two and wait for no delay, and two commitments that outbid each other pay both times
//! (A38). A revoked one serves us better: all of it is ours once it confirms (A62).
//!
//! The mempool ends nothing (R12): ours waits for a few blocks at the most, whatever was seen.
//!
//! Tests: `arb-harness/lab/tests/sweeper_suite/faults_commitments.rs`.

use crate::api::facts::Side;
use crate::api::units::Height;
use crate::channel::{Commitment, Rebuilt, Seen, claim_deadline, theirs_first_until};
use crate::view::ChannelView;
use bitcoin::secp256k1::{All, Secp256k1};

/// Whether nothing of ours is sent against a revoked commitment that is in mempools. One that was revoked after it was seen
/// counts, too.
pub(crate) fn waits_for_cheat(view: &ChannelView<'_>) -> bool {
    let (channel, ratchet) = (view.channel, &view.channel.ratchet);
    let revoked = ratchet.seen.values().filter(|seen| channel.is_revoked(&seen.tx.0)).map(|seen| seen.since);
    ratchet.cheat_seen.into_iter().chain(revoked).any(|since| may_confirm(view, since))
}

/// Whether our commitment, and a child of it, stays back for one of theirs.
pub(crate) fn waits_for_theirs(view: &ChannelView<'_>, secp: &Secp256k1<All>) -> bool {
    let (channel, seen) = (view.channel, &view.channel.ratchet.seen);
    let Some(local) = channel.set.local.as_ref().filter(|_| !seen.is_empty()) else { return false };
    channel.facts.fundings.iter().any(|funding| {
        let Some(ours) = channel.rebuild(secp, Side::Local, &local.commitment, funding, &[]) else { return false };
        channel.set.remotes.iter().any(|remote| {
            let theirs = channel.rebuild(secp, Side::Remote, remote, funding, &[]);
            theirs.is_some_and(|theirs| {
                let seen = seen.get(&theirs.built.txid).filter(|seen| may_confirm(view, seen.since));
                let serves = || serves(view, (&local.commitment, &ours), (remote, &theirs));
                seen.is_some_and(|seen| serves() && gets_in(view, &theirs, seen))
            })
        })
    })
}

/// Whether ours still waits for a commitment that was first seen at `since`.
fn may_confirm(view: &ChannelView<'_>, since: Height) -> bool {
    let ours = view.channel.set.local.iter().flat_map(|local| &local.commitment.htlcs);
    let deadlines = ours.filter_map(|htlc| claim_deadline(view.channel, *htlc, since, view.policy));
    view.tip < theirs_first_until(since, deadlines.min())
}

/// Whether theirs has an output for every HTLC that we need, and no less for us.
fn serves(view: &ChannelView<'_>, ours: (&Commitment, &Rebuilt), theirs: (&Commitment, &Rebuilt)) -> bool {
    let has_output = |side: (&Commitment, &Rebuilt), htlc| {
        let position = side.0.position(htlc);
        position.is_some_and(|position| side.1.built.htlc_vouts.get(position).copied().flatten().is_some())
    };
    let mut needed = ours.0.htlcs.iter().filter(|htlc| {
        has_output(ours, **htlc) && claim_deadline(view.channel, **htlc, view.tip, view.policy).is_some()
    });
    needed.all(|htlc| has_output(theirs, *htlc)) && theirs.1.main_sat(Side::Remote) >= ours.1.main_sat(Side::Local)
}

/// Whether theirs pays enough to confirm while ours waits, or can be hurried: the wallet did not refuse coins for a child. With
/// anchors it must have ours, for what pays enough now may not do so later.
fn gets_in(view: &ChannelView<'_>, theirs: &Rebuilt, seen: &Seen) -> bool {
    let anchor = theirs.anchor(Side::Remote);
    if view.channel.facts.channel_type.has_anchors() && anchor.is_none() {
        return false;
    }
    let hurries = anchor.is_some_and(|outpoint| {
        let sweeper = &view.channel.requests.sweeper;
        sweeper.groups.values().any(|group| group.members.contains(&outpoint))
            || !sweeper.missing.contains_key(&outpoint)
    });
    let needed = seen.tx.0.weight().to_wu().saturating_mul(u64::from(seen.estimate_sat_per_kw));
    hurries || theirs.built.fee_sat.saturating_mul(1000) >= needed
}
