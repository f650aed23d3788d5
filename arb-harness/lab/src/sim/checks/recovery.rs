//! I2, I3, I6 and I15: crashes, failed writes and blocks that come back change nothing.

use std::collections::BTreeMap;

use arb_core::{
    Acknowledged, ChainArbitrator, ContractId, ContractOutcome, ContractStatus, Docket, Frame, HtlcKey, Rejected,
};

use super::{Verdict, violated};
use crate::check::check;

/// I2: what is recovered is what was there.
pub(crate) fn invariant_i2_recovery_equals_live(live: &ChainArbitrator, recovered: &ChainArbitrator) -> Verdict {
    if live.sequence() == recovered.sequence() && live != recovered {
        return violated("I2", format!("recovered at frame {}, the court is another one", live.sequence()));
    }
    if recovered.sequence() < live.sequence() {
        return violated("I2", format!("frame {} was lost", live.sequence()));
    }
    Ok(())
}

/// I2, I15: folding gives the live court; decided again, every event concludes the same.
pub(crate) fn invariant_i2_replay_concludes_the_same(court: &ChainArbitrator, frames: &[Frame]) -> Verdict {
    check(court, frames).or_else(|failure| violated("I2", format!("{failure}: {failure:?}")))
}

/// What a run came to, as far as a run without faults must come to the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcomes {
    /// By channel: its number and each contract's end.
    pub(crate) contracts: BTreeMap<(usize, ContractId), ContractOutcome>,
    /// What was done with each origin.
    pub(crate) origins: BTreeMap<HtlcKey, Acknowledged>,
}

/// I3: crashes and failed writes change no outcome.
pub(crate) fn invariant_i3_faults_change_no_outcome(with: &Outcomes, without: &Outcomes) -> Verdict {
    if with == without { Ok(()) } else { violated("I3", format!("with faults {with:?}; without {without:?}")) }
}

/// I6: blocks that leave and come back leave no mark on what follows from them.
pub(crate) fn invariant_i6_the_same_blocks_give_the_same_docket(before: &[Docket], after: &[Docket]) -> Verdict {
    let of = |dockets: &[Docket]| -> Vec<(arb_core::Stage, Vec<ContractStatus>)> {
        dockets.iter().map(|docket| (docket.stage, docket.contracts.clone())).collect()
    };
    if of(before) == of(after) {
        return Ok(());
    }
    violated("I6", format!("before the reorg {:?}; after it {:?}", of(before), of(after)))
}

/// A well-behaved outside is refused only for being late. After a write that was durable and reported failed the same blocks
/// are heard again, and all but the last are behind the tip by then.
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
