//! Closes, hand-offs and stages, as records that explain (R9): the difference between what followed before an event and what
//! follows after it. Recovery ignores these records, replay compares them.
//!
//! Tests: `arb-harness/lab/tests/sim_suite/regressions.rs`, `arb-log/tests/earlier_journals.rs`.

use crate::api::ids::ContractId;
use crate::api::record::Conclusion;
use crate::api::stage::{CloseKind, ResolverKind, StageRecord};
use crate::view::ChannelView;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// What followed from one channel's state, as far as the log explains it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Explained {
    close: Option<CloseKind>,
    contracts: BTreeMap<ContractId, (Option<ResolverKind>, StageRecord)>,
}

impl Explained {
    /// What follows from a channel.
    pub(crate) fn of(view: &ChannelView<'_>) -> Self {
        let contracts = view.contracts.iter().map(|contract| {
            let state = (contract.resolvers.last().copied(), contract.stage_record());
            (contract.id, state)
        });
        Self { close: view.close.as_ref().map(|close| close.kind), contracts: contracts.collect() }
    }

    /// The records that lead from `before` to `self`.
    pub(crate) fn since(&self, before: &Self) -> Vec<Conclusion> {
        let mut out = Vec::new();
        if self.close != before.close {
            out.push(Conclusion::Classified { kind: self.close });
        }
        for (contract, (resolver, stage)) in &self.contracts {
            let known = before.contracts.get(contract);
            if let Some(to) = resolver.filter(|to| known.and_then(|(from, _)| *from) != Some(*to)) {
                out.push(Conclusion::HandedOff { contract: *contract, to });
            }
            if known.map(|(_, stage)| stage) != Some(stage) {
                out.push(Conclusion::Staged { contract: *contract, stage: *stage });
            }
        }
        out
    }
}
