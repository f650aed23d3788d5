//! What a run's journal says, from its frames alone (I7).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use arb_core::{ChannelId, ChannelIndex, Conclusion, Event, Frame};
use arb_log::memory::Memory;
use arb_log::{Journal, Storage};
use bitcoin::OutPoint;

/// All frames of the journal in this storage.
pub(crate) fn frames(memory: &Memory) -> Vec<Frame> {
    let mut frames = Vec::new();
    if let Ok(journal) = Journal::open(memory.fork()) {
        frames_from(&journal, 1, |frame| frames.push(frame));
    }
    frames
}

/// The number that the journal has for a channel: channels are numbered as they join.
pub(crate) fn index_of(frames: &[Frame], id: &ChannelId) -> Option<ChannelIndex> {
    let mut joined: Vec<ChannelId> = Vec::new();
    for entry in frames.iter().flat_map(|frame| &frame.entries) {
        if let Event::ChannelOpened(opened) = &entry.heard
            && !joined.contains(&opened.facts.id)
        {
            joined.push(opened.facts.id);
        }
    }
    let place = joined.iter().position(|other| other == id)?;
    u32::try_from(place).ok().map(ChannelIndex::new)
}

/// Shows the frames of a journal from this sequence number on.
fn frames_from<S: Storage>(journal: &Journal<S>, first: u64, mut visit: impl FnMut(Frame)) {
    let _end: Option<Option<()>> = journal
        .frames(first..u64::MAX, |frame| {
            visit(frame);
            ControlFlow::Continue(())
        })
        .ok();
}

/// Outputs with a recorded reason why nothing is due for them: the claim costs more than it is worth, or its coins were bad
/// and others are asked for in the next block.
#[derive(Debug, Default)]
pub(crate) struct Excuses {
    /// The sequence number of the last frame that was read.
    read: u64,
    uneconomic: BTreeSet<OutPoint>,
    paused: BTreeSet<OutPoint>,
    groups: BTreeMap<(ChannelIndex, u32), Vec<OutPoint>>,
}

impl Excuses {
    /// Reads what a journal has more than before.
    pub(crate) fn read<S: Storage>(&mut self, journal: &Journal<S>) {
        frames_from(journal, self.read.saturating_add(1), |frame| self.add(&frame));
    }

    pub(crate) fn add(&mut self, frame: &Frame) {
        self.read = frame.sequence;
        for entry in &frame.entries {
            if entry.heard.is_block() {
                self.paused.clear();
            }
            for record in &entry.concluded {
                if let Conclusion::Uneconomic { outpoint, .. } = &record.what {
                    self.uneconomic.insert(*outpoint);
                } else if let Conclusion::SweepPlanned(sweep) = &record.what {
                    self.groups.insert((record.channel, sweep.plan.group), sweep.plan.members.clone());
                } else if let Conclusion::SweepDropped { group, pauses: true } = &record.what {
                    self.paused.extend(self.groups.get(&(record.channel, *group)).into_iter().flatten());
                }
            }
        }
    }

    pub(crate) fn has(&self, outpoint: &OutPoint) -> bool {
        self.uneconomic.contains(outpoint) || self.paused.contains(outpoint)
    }
}
