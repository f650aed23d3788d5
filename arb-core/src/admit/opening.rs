//! How journals and channels begin (R14).
//!
//! Tests: `arb-harness/lab/tests/court_suite/bad_input.rs`, `arb-harness/lab/tests/court_suite/bad_commitments.rs`.

use crate::admit::admission::{Admission, NotTold, channel, htlc, is_over, is_payable, text};
use crate::api::event::{ChannelOpened, Freshness, JournalIdentity, Started};
use crate::api::facts::{ChannelFacts, SideFacts, Standing};
use crate::api::ids::{ChannelId, HtlcKey};
use crate::api::policy::Policy;
use crate::api::reject::Rejected;
use crate::bolt3::Point;
use crate::channel::Ratchet;
use crate::court::draft::CourtView;
use alloc::collections::BTreeSet;

pub(super) fn identity(court: CourtView<'_>, identity: &JournalIdentity) -> Result<Admission, Rejected> {
    match &court.state().identity {
        None if identity.policy.is_sound() => Ok(Admission::New),
        None => Err(Rejected::UnsoundPolicy),
        Some(known) if known == identity => Ok(Admission::Duplicate),
        Some(_) => Err(Rejected::OtherIdentity),
    }
}

pub(super) fn policy(court: CourtView<'_>, policy: &Policy) -> Result<Admission, Rejected> {
    if policy.is_sound() {
        Ok(Admission::new_if(court.state().policy != *policy))
    } else {
        Err(Rejected::UnsoundPolicy)
    }
}

pub(super) fn channel_policy(
    court: CourtView<'_>,
    id: &ChannelId,
    policy: Option<&Policy>,
) -> Result<Admission, Rejected> {
    let channel = channel(court, id)?;
    if policy.is_some_and(|policy| !policy.is_sound()) {
        return Err(Rejected::UnsoundPolicy);
    }
    Ok(Admission::new_if(channel.own_policy() != policy))
}

pub(super) fn started(court: CourtView<'_>, started: &Started) -> Result<Admission, Rejected> {
    text("build", &started.build)?;
    // A best height that blocks have reported by now is not new.
    let court = court.state();
    let same = court.started.as_ref().is_some_and(|known| {
        // A suspicion is new every time: what cleared the last one may be among what was lost.
        let known = (&known.build, known.freshness, known.run);
        known == (&started.build, Freshness::Trusted, started.run) && started.freshness == Freshness::Trusted
    });
    Ok(Admission::new_if(!same || started.best_height > court.best_height))
}

pub(super) fn adopted(
    court: CourtView<'_>,
    id: Option<&ChannelId>,
    committed: &[HtlcKey],
) -> Result<Admission, Rejected> {
    let mut new = match id {
        Some(id) => !court.state().is_told(channel(court, id)?),
        None => court.state().retold < court.state().starts || court.any_untold(),
    };
    let mut not_told = NotTold::default();
    for key in committed {
        // Of an outdated channel not everything can be known.
        let is_outdated = || court.channel_of(&key.channel).is_some_and(|channel| channel.ratchet.outdated);
        let is_again = || court.channel_of(&key.channel).is_some_and(|of| of.told_early(key.htlc).is_committed);
        match htlc(court, key) {
            Ok((_, state)) => new |= !state.irrevocable,
            Err(_) if is_over(court, key) || is_outdated() || is_again() => {}
            // It counts once it is told (A7).
            Err(why) => match not_told.keeps(court, key) {
                Some(_) => new = true,
                None => return Err(why),
            },
        }
        if id.is_some_and(|id| key.channel != *id) {
            return Err(Rejected::UnknownHtlc(key.htlc));
        }
    }
    Ok(Admission::new_if(new))
}

pub(super) fn opened(court: CourtView<'_>, opened: &ChannelOpened) -> Result<Admission, Rejected> {
    standing(&opened.standing)?;
    facts(court, &opened.facts)
}

pub(super) fn restored(court: CourtView<'_>, restored: &ChannelFacts) -> Result<Admission, Rejected> {
    facts(court, restored)
}

/// Brings an outdated channel up to date: refused once a signature of ours was given out, for what it signed may confirm.
pub(super) fn adopted_anew(court: CourtView<'_>, id: &ChannelId, anew: &Standing) -> Result<Admission, Rejected> {
    let channel = channel(court, id)?;
    standing(anew)?;
    let Ratchet { outdated, shown, .. } = &channel.ratchet;
    let set = &channel.set;
    if !outdated {
        // While it joins, a repetition is one. Later nothing is left to compare it with, and the court is at least as far.
        let again = channel.adopted.is_none() && *anew == set.standing();
        let is_past = anew.next_local < set.next_local && anew.next_remote <= set.next_revoked;
        return match (again, is_past) {
            (true, _) => Ok(Admission::Duplicate),
            (false, true) => Ok(Admission::Past),
            (false, false) => Err(Rejected::NotOutdated(*id)),
        };
    }
    if !channel.ratchet.commitment_signed.is_empty() {
        return Err(Rejected::SignatureGiven(*id));
    }
    let newest = set.local.as_ref().map_or(set.next_local, |local| local.commitment.number);
    let (local, remote) = (newest.max(shown.local), set.next_revoked.max(shown.remote));
    if anew.next_local < local || anew.next_remote < remote {
        return Err(Rejected::StandingBehind { next_local: local, next_remote: remote });
    }
    match set.secrets.newest_number() {
        Some(number) if anew.secrets.get(number) != set.secrets.get(number) => {
            Err(Rejected::SecretContradicts { number })
        }
        Some(_) | None => Ok(Admission::New),
    }
}

fn facts(court: CourtView<'_>, facts: &ChannelFacts) -> Result<Admission, Rejected> {
    if let Some(known) = court.channel_of(&facts.id) {
        return if known.facts == *facts { Ok(Admission::Duplicate) } else { Err(Rejected::OtherFacts(facts.id)) };
    }
    if let Some(resolved) = court.tombstone(&facts.id) {
        return if resolved.facts != *facts {
            Err(Rejected::OtherFacts(facts.id))
        } else if court.state().resolved_again.contains(&facts.id) {
            Ok(Admission::Duplicate)
        } else {
            Ok(Admission::Again)
        };
    }
    let outpoints: BTreeSet<_> = facts.fundings.iter().map(|funding| funding.outpoint).collect();
    let valued = facts.fundings.iter().all(|funding| funding.value_sat > 0 && funding.value_sat <= MAX_SAT);
    // A commitment has one sum for all of them; splices are not handled yet.
    let alike = facts.fundings.windows(2).all(|pair| matches!(pair, [a, b] if a.value_sat == b.value_sat));
    if !alike || outpoints.is_empty() || outpoints.len() != facts.fundings.len() || !valued {
        return Err(Rejected::BadFundings);
    }
    for outpoint in outpoints {
        for index in court.watchers(&outpoint) {
            if let Some(channel) = court.channel(index) {
                return Err(Rejected::FundingTaken { outpoint, channel: channel.facts.id });
            }
        }
    }
    if !is_payable(&facts.fallback_script) {
        return Err(Rejected::BadScript);
    }
    for side in [&facts.local, &facts.remote] {
        keys(side)?;
    }
    let funding_keys = facts.fundings.iter().flat_map(|funding| [&funding.local_key, &funding.remote_key]);
    if !funding_keys.into_iter().all(is_key) {
        return Err(Rejected::BadKey);
    }
    Ok(Admission::New)
}

/// 21 million bitcoin, in satoshi.
const MAX_SAT: u64 = 21_000_000 * 100_000_000;

fn keys(side: &SideFacts) -> Result<(), Rejected> {
    if side.delay_blocks == 0 {
        return Err(Rejected::BadDelay(side.delay_blocks));
    }
    let points = &side.basepoints;
    let all = [&points.revocation, &points.payment, &points.delayed_payment, &points.htlc];
    if all.into_iter().all(is_key) { Ok(()) } else { Err(Rejected::BadKey) }
}

fn is_key(point: &Point) -> bool {
    point.parse().is_ok()
}

/// Refuses a standing without the secrets of all the counterparty's commitments below `next_remote`.
fn standing(standing: &Standing) -> Result<(), Rejected> {
    let Standing { next_remote, secrets, .. } = standing;
    let newest = secrets.newest_number();
    let fits = match (next_remote.checked_sub(1), newest) {
        (None, None) => true,
        (Some(last), Some(newest)) => newest == last && secrets.get(0).is_some(),
        (None, Some(_)) | (Some(_), None) => false,
    };
    let missing = newest.map_or(0, |newest| newest.saturating_add(1));
    if fits { Ok(()) } else { Err(Rejected::BadStanding { next_remote: *next_remote, missing }) }
}
