//! Whose commitment a transaction is that is none of the set, by scripts that only one side's commitments have (R6, A32).
//!
//! No side can choose them: both signed the commitment, and a funding is spent by nothing else in a commitment's form. What a
//! commitment without such an output is, nobody can tell from the chain.
//!
//! Tests: `arb-harness/lab/tests/court_suite/superseded.rs`.

use crate::api::facts::ChannelFacts;
use crate::bolt3::{CommitmentKeys, Point, delayed_script, to_remote_script_pubkey};
use crate::channel::close::{Own, Penalty};
use crate::channel::state::ChannelArbitrator;
use alloc::boxed::Box;
use bitcoin::Script;
use bitcoin::secp256k1::{All, Secp256k1};

/// Whose commitment a transaction is.
#[derive(Clone, Debug)]
pub(super) enum Whose {
    /// Ours. `None`: the node told no point that gives an output, so we cannot tell which one is its `to_local`.
    Ours(Option<Box<Own>>),
    /// Theirs; or nobody's that we know, if its number is not revoked and above all that we had.
    Theirs,
    /// No output tells. It may be ours.
    Undecided,
}

/// Whose commitment of this number a transaction with these outputs is. `penalty`: the scripts of theirs, if it is revoked.
pub(super) fn whose<'a>(
    channel: &ChannelArbitrator,
    secp: &Secp256k1<All>,
    number: u64,
    penalty: Option<&Penalty>,
    outputs: impl Iterator<Item = &'a Script> + Clone,
) -> Whose {
    let has = |script: &Script| outputs.clone().any(|output| output == script);
    let facts = &channel.facts;
    let to_us = to_remote_script_pubkey(facts.channel_type, &facts.local.basepoints.payment);
    let to_them = to_remote_script_pubkey(facts.channel_type, &facts.remote.basepoints.payment);
    // A counterparty that copies our payment basepoint shall prove nothing with it.
    let distinct = to_us != to_them;
    if distinct && has(&to_us) || penalty.is_some_and(|penalty| has(&penalty.script_pubkey)) {
        return Whose::Theirs;
    }
    let told = channel.points.get(&number).copied();
    // A point that gives no output proves nothing: it may be wrong, or our balance was too small for an output.
    let own = told.flatten().and_then(|point| own(facts, secp, &point)).filter(|own| has(&own.script_pubkey));
    if distinct && has(&to_them) || own.is_some() {
        return Whose::Ours(own.map(Box::new));
    }
    // That we had no such number is no proof of a breach: our journal may be old.
    let may_be_ours = number < channel.set.next_local || channel.ratchet.outdated || penalty.is_some();
    if may_be_ours { Whose::Undecided } else { Whose::Theirs }
}

/// The `to_local` of our commitment with this point, and its keys; `None` if a key cannot be derived.
pub(super) fn own(facts: &ChannelFacts, secp: &Secp256k1<All>, point: &Point) -> Option<Own> {
    let (owner, other) = (&facts.local, &facts.remote);
    let keys = CommitmentKeys::derive(secp, point, &owner.basepoints, &other.basepoints).ok()?;
    let script_pubkey = delayed_script(&keys.revocation, owner.delay_blocks, &keys.owner_delayed).to_p2wsh();
    Some(Own { keys, script_pubkey })
}
