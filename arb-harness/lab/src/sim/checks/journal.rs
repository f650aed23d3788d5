//! What a run's journal says, from its frames alone (I7).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use arb_core::{Conclusion, Frame};
use arb_log::Journal;
use arb_log::memory::Memory;
use bitcoin::OutPoint;

/// All frames of the journal in this storage.
pub(crate) fn frames(memory: &Memory) -> Vec<Frame> {
    let mut frames = Vec::new();
    if let Ok(journal) = Journal::open(memory.fork()) {
        let _end: Option<Option<()>> = journal
            .frames(1..u64::MAX, |frame| {
                frames.push(frame);
                ControlFlow::Continue(())
            })
            .ok();
    }
    frames
}

/// Outputs with a recorded reason why nothing is due for them: the claim costs more than it is worth, or its coins were bad
/// and others are asked for in the next block.
pub(crate) fn excused(frames: &[Frame]) -> BTreeSet<OutPoint> {
    let (mut uneconomic, mut paused) = (BTreeSet::new(), BTreeSet::new());
    let mut groups = BTreeMap::new();
    for entry in frames.iter().flat_map(|frame| &frame.entries) {
        if entry.heard.is_block() {
            paused.clear();
        }
        for record in &entry.concluded {
            if let Conclusion::Uneconomic { outpoint, .. } = &record.what {
                uneconomic.insert(*outpoint);
            } else if let Conclusion::SweepPlanned(sweep) = &record.what {
                groups.insert((record.channel, sweep.plan.group), &sweep.plan.members);
            } else if let Conclusion::SweepDropped { group, pauses: true } = &record.what {
                paused.extend(groups.get(&(record.channel, *group)).into_iter().copied().flatten());
            }
        }
    }
    uneconomic.into_iter().chain(paused).collect()
}
