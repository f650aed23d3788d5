//! I2, I3, I6 and I15: crashes, failed writes and reorgs with the same blocks change nothing.

use std::collections::BTreeMap;

use arb_core::{
    Acknowledged, ChainArbitrator, ContractId, ContractOutcome, ContractStatus, Docket, Frame, HtlcKey, Rejected,
};

use super::{Verdict, violated};
use crate::check::check;

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
}

/// I3: crashes and failed writes change no outcome.
pub(crate) fn invariant_i3_faults_change_no_outcome(with: &Outcomes, without: &Outcomes) -> Verdict {
    if with == without { Ok(()) } else { violated("I3", format!("with faults {with:?}; without {without:?}")) }
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
    );
    if late { Ok(()) } else { violated("refusal", why.to_string()) }
}
