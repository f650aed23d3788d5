//! I2, I3, I6 and I15: crashes, failed writes and reorgs with the same blocks change nothing.

use std::collections::BTreeMap;

use arb_core::{
    Acknowledged, ChainArbitrator, ContractId, ContractOutcome, ContractStatus, Docket, Frame, HtlcKey, Rejected,
};

use bitcoin::Txid;

use super::{Verdict, violated};
use crate::check::check;
use crate::sim::violation::Violation;

/// I2: the recovered court equals the court that died, and no frame is lost.
pub(crate) fn invariant_i2_recovery_equals_live(live: &ChainArbitrator, recovered: &ChainArbitrator) -> Verdict {
    if live.sequence() == recovered.sequence() && live != recovered {
        return violated(
            "I2",
            format!("the court recovered at frame {} differs from the one that died", live.sequence()),
        );
    }
    if recovered.sequence() < live.sequence() {
        return violated("I2", format!("frame {} was lost", live.sequence()));
    }
    Ok(())
}

/// I2, I15: folding the frames gives the live court, and deciding every event again gives the same conclusions.
pub(crate) fn invariant_i2_replay_concludes_the_same(court: &ChainArbitrator, frames: &[Frame]) -> Verdict {
    check(court, frames).or_else(|failure| violated("I2", format!("{failure}: {failure:?}")))
}

/// The outcomes of a run; a run without faults must have the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcomes {
    /// How each contract ended, by channel number.
    pub(crate) contracts: BTreeMap<(usize, ContractId), ContractOutcome>,
    /// What the node did with the upstream of each HTLC that we sent.
    pub(crate) upstream: BTreeMap<HtlcKey, Acknowledged>,
    /// How each channel closed, by channel number.
    pub(crate) closes: BTreeMap<usize, Close>,
}

/// The transaction that closed a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Close {
    /// The height of its block.
    pub(crate) height: u32,
    pub(crate) txid: Txid,
    /// Whether it is a current commitment of one side while both sides had sent theirs.
    pub(crate) was_a_race: bool,
}

/// I3: crashes and failed writes change no outcome. Returns whether the runs could be compared.
///
/// Once both sides have sent current commitments, the one that pays more at the moment of a block confirms, and a crash may
/// delay a bid by that moment. Such a race may end either way, and what follows it is another world. Nothing else may make the
/// closes differ: a run in which ours was not sent at all is no race.
pub(crate) fn invariant_i3_faults_change_no_outcome(with: &Outcomes, without: &Outcomes) -> Result<bool, Violation> {
    let differs = |channel: &&usize| match (with.closes.get(channel), without.closes.get(channel)) {
        (Some(one), Some(other)) => one.txid != other.txid,
        (one, other) => one.is_some() || other.is_some(),
    };
    let height = |channel: &usize| {
        let closes = [with, without].map(|outcomes| outcomes.closes.get(channel));
        closes.into_iter().flatten().map(|close| close.height).min()
    };
    let first = with.closes.keys().chain(without.closes.keys()).filter(differs).min_by_key(|channel| height(channel));
    let race = |channel| {
        let closes = [with, without].map(|outcomes| outcomes.closes.get(channel));
        closes.iter().all(|close| close.is_some_and(|close| close.was_a_race))
    };
    match first {
        Some(channel) if race(channel) => Ok(false),
        None if (&with.contracts, &with.upstream) == (&without.contracts, &without.upstream) => Ok(true),
        Some(_) | None => violated("I3", format!("with faults {with:?}; without {without:?}")).map(|()| true),
    }
}

/// I6: disconnecting blocks and connecting them again changes nothing in the docket.
pub(crate) fn invariant_i6_the_same_blocks_give_the_same_docket(before: &[Docket], after: &[Docket]) -> Verdict {
    let of = |dockets: &[Docket]| -> Vec<(arb_core::Stage, Vec<ContractStatus>)> {
        dockets.iter().map(|docket| (docket.stage, docket.contracts.clone())).collect()
    };
    if of(before) == of(after) {
        return Ok(());
    }
    violated("I6", format!("before the reorg {:?}; after it {:?}", of(before), of(after)))
}

/// The court may refuse an event of a well-behaved node only for coming late. After a write that was durable but reported
/// as failed it may also refuse the blocks that it hears again.
pub(crate) fn refusals_are_expected(why: &Rejected, heard_again: bool) -> Verdict {
    if heard_again && matches!(why, Rejected::HeightGap { .. } | Rejected::NotTheTip { .. }) {
        return Ok(());
    }
    let late = matches!(
        why,
        Rejected::Frozen(_)
            | Rejected::UnknownHtlc(_)
            | Rejected::UnknownChannel(_)
            | Rejected::UnknownRequest(_)
            | Rejected::UnknownUpstream(_)
            // A journal from a backup (A4).
            | Rejected::Outdated(_)
            | Rejected::HtlcNotTold(_)
            | Rejected::RevocationMissing { .. }
            // A slow search and a node that misremembers (A10, A13).
            | Rejected::SearchedElsewhere { .. }
            | Rejected::ScanTooShort { .. }
            | Rejected::RevokedContradicts { .. }
    );
    if late { Ok(()) } else { violated("refusal", why.to_string()) }
}
