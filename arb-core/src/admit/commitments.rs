//! What is checked of a commitment and of a revocation (R14): numbers in order, HTLC ids used once, sums within the funding,
//! points as announced, secrets that fit.
//!
//! Tests: `arb-harness/lab/tests/court_suite/bad_commitments.rs`, `arb-harness/lab/tests/court_suite/duplicates.rs`.

use crate::admit::admission::{Admission, channel};
use crate::api::event::{CommitmentUpdate, LocalCommitmentSigned, RemoteCommitmentSigned, RemoteRevoked};
use crate::api::facts::{Htlc, Link, Side, TAG_MAX};
use crate::api::ids::{Direction, HtlcRef};
use crate::api::reject::Rejected;
use crate::bolt3::{HTLC_EXPIRY_LIMIT, point_of_secret};
use crate::channel::{ChannelArbitrator, Commitment, LocalCommitment, Shown};
use crate::court::draft::CourtView;
use alloc::collections::{BTreeMap, BTreeSet};
use bitcoin::secp256k1::Secp256k1;

/// BOLT 2's limit of `max_accepted_htlcs`, in each direction.
pub(super) const HTLCS_MAX: usize = 483;
/// Candidates for one number of the counterparty's commitments. Each further one takes a reconnection, so there are few.
pub(super) const CANDIDATES_MAX: usize = 8;

/// `again`: the node says that this is another version of our newest commitment.
pub(super) fn local(court: CourtView<'_>, heard: &LocalCommitmentSigned, again: bool) -> Result<Admission, Rejected> {
    let update = &heard.update;
    let channel = channel(court, &update.channel)?;
    if let Some(current) = &channel.set.local {
        if is_again(channel, update, &current.commitment) && current.signatures == heard.signatures {
            return Ok(Admission::Duplicate);
        }
        if update.number < current.commitment.number {
            return Ok(Admission::Past);
        }
    }
    if let Some(shown) = channel.newer_local(update) {
        return Ok(proof(channel, shown));
    }
    let replaced = channel.set.local.as_ref().filter(|local| again && local.commitment.number == update.number);
    if let Some(replaced) = replaced {
        may_replace(channel, replaced, update)?;
    } else {
        may_change(channel)?;
        if update.number != channel.set.next_local {
            return Err(Rejected::WrongNumber { expected: channel.set.next_local, got: update.number });
        }
    }
    let expected = channel.facts.fundings.len();
    if heard.signatures.len() != expected {
        return Err(Rejected::SignatureCount { expected, got: heard.signatures.len() });
    }
    content(court, channel, Side::Local, update)?;
    Ok(Admission::New)
}

/// Whether nothing that left rests on our newest commitment, so that another version may replace it (A18). That our revocation
/// of the one before has not left, the node says.
fn may_replace(
    channel: &ChannelArbitrator,
    replaced: &LocalCommitment,
    update: &CommitmentUpdate,
) -> Result<(), Rejected> {
    let number = replaced.commitment.number;
    if !channel.ratchet.commitment_signed.is_empty() {
        return Err(Rejected::CannotReplace { number, why: "a signature of ours for it was given out" });
    }
    may_change(channel)?;
    if channel.ratchet.frozen.is_some() {
        return Err(Rejected::Frozen(channel.facts.id));
    }
    // A version that is told as a change has what it adds to the commitment before.
    let kept: BTreeSet<HtlcRef> = update.added.iter().map(|htlc| htlc.key).collect();
    let added = replaced.added.iter().filter(|htlc| !htlc.is_offered() && !kept.contains(htlc));
    if added.into_iter().any(|htlc| channel.set.is_on_remote(*htlc)) {
        return Err(Rejected::CannotReplace {
            number,
            why: "a commitment of theirs has a received HTLC that only the first version added",
        });
    }
    Ok(())
}

pub(super) fn remote(court: CourtView<'_>, heard: &RemoteCommitmentSigned) -> Result<Admission, Rejected> {
    let update = &heard.update;
    let channel = channel(court, &update.channel)?;
    let set = &channel.set;
    // A repetition is compared as a whole while the commitment before is known. Once that is revoked, only what the update
    // names can be compared.
    let base = set.base(Side::Remote, update.number);
    let complete = |known: &Commitment| {
        (base.is_none() && update.number != set.first_remote) || Commitment::updated(base.as_deref(), update) == *known
    };
    if set.remotes.iter().any(|known| is_again(channel, update, known) && complete(known)) {
        return Ok(Admission::Duplicate);
    }
    if update.number < set.next_revoked {
        return Ok(Admission::Past);
    }
    if let Some(shown) = channel.newer_remote(update) {
        return Ok(proof(channel, shown));
    }
    may_change(channel)?;
    let newest = set.newest_remote();
    let next = set.next_remote();
    // While a channel joins, the oldest number may have several candidates, too (A8).
    let candidate = newest == Some(update.number) && (update.number > set.next_revoked || channel.adopted.is_none());
    if update.number != next && !candidate {
        return Err(Rejected::WrongNumber { expected: next, got: update.number });
    }
    // BOLT 2 allows one unrevoked commitment and one that follows it, not a third.
    if let (Some(pending), false) = (newest.filter(|newest| *newest > set.next_revoked), candidate) {
        return Err(Rejected::RevocationMissing { pending });
    }
    if set.remotes.iter().filter(|known| known.number == update.number).count() >= CANDIDATES_MAX {
        return Err(Rejected::RevocationMissing { pending: update.number });
    }
    let announced = set.announced.filter(|(number, _)| *number == update.number);
    if announced.is_some_and(|(_, point)| point != update.point) {
        return Err(Rejected::WrongPoint { number: update.number });
    }
    content(court, channel, Side::Remote, update)?;
    Ok(Admission::New)
}

pub(super) fn revoked(court: CourtView<'_>, heard: &RemoteRevoked) -> Result<Admission, Rejected> {
    let channel = channel(court, &heard.channel)?;
    let set = &channel.set;
    if let Some(shown) = channel.newer_revoked(heard) {
        return Ok(proof(channel, shown));
    }
    if heard.number < set.next_revoked {
        let same = set.secrets.get(heard.number) == Some(heard.secret);
        return if same { Ok(Admission::Duplicate) } else { Err(Rejected::SecretContradicts { number: heard.number }) };
    }
    // Only the oldest commitment can be revoked, and only once another follows it.
    let followed = set.remotes.iter().any(|remote| remote.number > set.next_revoked);
    if heard.number != set.next_revoked || !followed {
        if channel.ratchet.outdated {
            return Err(Rejected::Outdated(channel.facts.id));
        }
        return Err(Rejected::WrongNumber { expected: set.next_revoked, got: heard.number });
    }
    let point = point_of_secret(&Secp256k1::new(), &heard.secret).ok();
    let expected = set.remotes.iter().find(|remote| remote.number == heard.number).map(|remote| remote.point);
    if point.is_none() || expected != point {
        return Err(Rejected::SecretNotOfPoint { number: heard.number });
    }
    if heard.next_point.parse().is_err() {
        return Err(Rejected::BadKey);
    }
    if set.secrets.clone().insert(heard.number, heard.secret).is_err() {
        return Err(Rejected::SecretContradicts { number: heard.number });
    }
    Ok(Admission::New)
}

/// The node's own numbers above the next one prove that our state is old (A4). A frozen channel may have missed them, too.
fn proof(channel: &ChannelArbitrator, shown: Shown) -> Admission {
    let known = channel.ratchet.shown;
    let says_more = shown.local > known.local || shown.remote > known.remote;
    if channel.ratchet.outdated && !says_more { Admission::Past } else { Admission::Proof }
}

/// While a channel joins, its commitments are told, whatever was searched, seen or asked meanwhile (A6). No signature of ours
/// is out then.
fn may_change(channel: &ChannelArbitrator) -> Result<(), Rejected> {
    if channel.ratchet.outdated {
        return Err(Rejected::Outdated(channel.facts.id));
    }
    if channel.ratchet.frozen.is_some() && channel.adopted.is_some() {
        return Err(Rejected::Frozen(channel.facts.id));
    }
    Ok(())
}

/// Whether an update repeats one that was heard: the node may report it again after a restart.
fn is_again(channel: &ChannelArbitrator, update: &CommitmentUpdate, known: &Commitment) -> bool {
    let same = |htlc: &Htlc| channel.htlcs.get(&htlc.key).is_some_and(|state| state.htlc == *htlc);
    known.number == update.number
        && known.point == update.point
        && known.feerate_sat_per_kw == update.feerate_sat_per_kw
        && known.local_msat == update.local_msat
        && known.remote_msat == update.remote_msat
        && update.added.iter().all(|htlc| known.position(htlc.key).is_some() && same(htlc))
        && update.removed.iter().all(|htlc| known.position(*htlc).is_none())
        && (!update.whole || update.added.len() == known.htlcs.len())
}

fn content(
    court: CourtView<'_>,
    channel: &ChannelArbitrator,
    side: Side,
    update: &CommitmentUpdate,
) -> Result<(), Rejected> {
    if update.point.parse().is_err() {
        return Err(Rejected::BadKey);
    }
    let base = channel.set.base(side, update.number);
    let base = base.as_deref();
    let in_base = |htlc: &HtlcRef| !update.whole && base.is_some_and(|base| base.position(*htlc).is_some());
    let replaced = channel.replaced_by(side, update);
    if let Some(unknown) = update.removed.iter().find(|htlc| !in_base(htlc)) {
        return Err(Rejected::UnknownHtlc(*unknown));
    }
    let mut added = BTreeSet::new();
    for htlc in &update.added {
        if in_base(&htlc.key) || !added.insert(htlc.key) {
            return Err(Rejected::HtlcTwice(htlc.key));
        }
        if replaced.contains(&htlc.key) {
            new_htlc(court, channel, htlc)?;
        } else {
            one_htlc(court, channel, htlc)?;
        }
    }
    let commitment = Commitment::updated(base, update);
    for direction in [Direction::Offered, Direction::Received] {
        let got = commitment.htlcs.iter().filter(|htlc| htlc.direction == direction).count();
        if got > HTLCS_MAX {
            return Err(Rejected::TooManyHtlcs { got });
        }
    }
    sums(channel, &commitment, update)
}

fn one_htlc(court: CourtView<'_>, channel: &ChannelArbitrator, htlc: &Htlc) -> Result<(), Rejected> {
    if let Some(known) = channel.htlcs.get(&htlc.key) {
        // The other side's commitment has it already: it must be the same HTLC.
        return if known.htlc == *htlc { Ok(()) } else { Err(Rejected::HtlcTwice(htlc.key)) };
    }
    let next = if htlc.key.is_offered() { channel.next_htlc.0 } else { channel.next_htlc.1 };
    // While a channel joins, one side may tell lower ids than the other has: an HTLC that is being removed leaves one side
    // before the other (A17).
    if htlc.key.id < next && channel.adopted.is_some() {
        return Err(Rejected::HtlcTwice(htlc.key));
    }
    new_htlc(court, channel, htlc)
}

/// Checks an HTLC that is not in the channel's table, or that is there with the content of a version that is replaced (A18).
fn new_htlc(court: CourtView<'_>, channel: &ChannelArbitrator, htlc: &Htlc) -> Result<(), Rejected> {
    let bad = |why| Err(Rejected::BadHtlc { htlc: htlc.key, why });
    match (htlc.key.direction, htlc.link) {
        // Of a channel that joins, what was forwarded is forwarded.
        (Direction::Offered, Link::Relay { deadline }) if deadline < htlc.cltv_expiry && channel.adopted.is_some() => {
            return bad("its upstream HTLC expires before it");
        }
        (Direction::Offered, Link::Own | Link::Relay { .. }) | (Direction::Received, Link::Received) => {}
        (Direction::Offered, Link::Forward(upstream)) => {
            // Running channels are adopted one by one: the upstream HTLC may be heard later, its channel must be known.
            if upstream.htlc.is_offered() || court.channel_of(&upstream.channel).is_none() {
                return Err(Rejected::UnknownUpstream(upstream));
            }
            let of = court.channel_of(&upstream.channel);
            if let Some(incoming) = of.and_then(|of| of.htlcs.get(&upstream.htlc)) {
                if incoming.htlc.payment_hash != htlc.payment_hash {
                    return bad("its upstream HTLC has another payment hash");
                }
                if incoming.htlc.cltv_expiry < htlc.cltv_expiry && channel.adopted.is_some() {
                    return bad("its upstream HTLC expires before it");
                }
            }
        }
        (Direction::Offered, Link::Received) => return bad("an offered HTLC has an origin"),
        (Direction::Received, Link::Own | Link::Relay { .. } | Link::Forward(_)) => {
            return bad("a received HTLC has no origin here");
        }
    }
    if htlc.amount_msat == 0 {
        return bad("it has no amount");
    }
    if htlc.cltv_expiry.get() >= HTLC_EXPIRY_LIMIT {
        return bad("its expiry is a time, not a height");
    }
    if htlc.tag.len() > TAG_MAX {
        return Err(Rejected::TooLong { what: "tag", got: htlc.tag.len(), max: TAG_MAX });
    }
    Ok(())
}

/// Refuses balances and HTLCs that are not the funding exactly: one that was left out, such as one too small for an output,
/// would never get an outcome (A56).
fn sums(channel: &ChannelArbitrator, commitment: &Commitment, update: &CommitmentUpdate) -> Result<(), Rejected> {
    // What is told counts before what is known: another version may have another HTLC under an id (A18).
    let added: BTreeMap<HtlcRef, u64> = update.added.iter().map(|added| (added.key, added.amount_msat)).collect();
    let amount = |htlc: &HtlcRef| {
        let known = || channel.htlcs.get(htlc).map(|state| state.htlc.amount_msat);
        added.get(htlc).copied().or_else(known)
    };
    let amounts = commitment.htlcs.iter().map(|htlc| amount(htlc).unwrap_or(0));
    let sum_msat =
        amounts.chain([update.local_msat, update.remote_msat]).try_fold(0_u64, u64::checked_add).unwrap_or(u64::MAX);
    for funding in &channel.facts.fundings {
        let capacity_msat = funding.value_sat.saturating_mul(1000);
        if sum_msat != capacity_msat {
            return Err(Rejected::NotTheFunding { sum_msat, capacity_msat });
        }
    }
    Ok(())
}
