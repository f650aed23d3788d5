//! A step: events in, one frame, actions out, in that order and in types (R1, R2, R3).
//!
//! Tests: arb-harness/lab/tests/court_suite/log_order.rs, arb-harness/lab/tests/court_suite/duplicates.rs

use crate::admit;
use crate::admit::admission::Admission;
use crate::api::action::Action;
use crate::api::event::Event;
use crate::api::ids::ChannelIndex;
use crate::api::notice::{Alert, Notice};
use crate::api::past::StoredCommitment;
use crate::api::record::{Conclusion, Entry, Frame, Record};
use crate::api::reject::Rejected;
use crate::check::{self, Checked};
use crate::court::apply::Proof;
use crate::court::draft::{CourtView, Draft};
use crate::court::{ChainArbitrator, due};
use crate::decide;
use crate::view::explain::Explained;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// What became of an event that was not refused.
///
/// It counts only once the step is committed: then an accepted event is a *permission* (to send the message that it
/// reported, to act on a revocation), and a duplicate is the same permission. What is past permits nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is new.
    Accepted,
    /// It says nothing new: it was heard before, or changes nothing.
    Duplicate,
    /// It is about what is over: a commitment older than the newest, or an HTLC that no commitment has any more. What was
    /// heard of it then is not kept, so it is not compared. It is no error, and *no permission*.
    Past,
    /// It proves that our state is old, which is on record now: the channel is outdated. It is *no permission*.
    Outdated,
}

/// The log that a step is appended to.
pub trait Log {
    /// Why an append failed; the frame may still be durable.
    type Error;

    /// Makes one frame durable, all or nothing, together with [`Pending::commitments`].
    ///
    /// # Errors
    /// If that failed, or if it is unknown whether it did.
    fn append(&mut self, pending: &Pending<'_>) -> Result<(), Self::Error>;
}

/// A decision that has not happened yet. Dropping it changes nothing.
///
/// Only the log leads from a step to an action, and there is one step at a time:
///
/// ```compile_fail,E0499
/// let mut court = arb_core::ChainArbitrator::new();
/// let first = court.step();
/// let second = court.step(); // the first is neither committed nor dropped
/// drop(first);
/// # drop(second);
/// ```
#[must_use = "nothing happens until the frame is appended"]
#[derive(Debug)]
pub struct Step<'a> {
    court: &'a mut ChainArbitrator,
    draft: Draft,
    entries: Vec<Entry>,
    verify: bool,
}

/// A step whose frame is on its way to the log.
#[must_use = "nothing happens until the frame is attested durable"]
#[derive(Debug)]
pub struct Pending<'a> {
    court: &'a mut ChainArbitrator,
    draft: Draft,
    frame: Frame,
}

/// Rounds of decisions that one entry allows a channel, for each channel that it touches and one more. Conclusions only
/// rise, so a few suffice; at the bound the channel is `Stuck` (I1).
const ROUNDS: usize = 64;

impl<'a> Step<'a> {
    pub(crate) fn new(court: &'a mut ChainArbitrator) -> Self {
        let draft = Draft::new(court, true);
        Self { court, draft, entries: Vec::new(), verify: true }
    }

    /// A step that does not check signatures again, for replay.
    pub(crate) fn unverified(court: &'a mut ChainArbitrator) -> Self {
        Self { verify: false, ..Self::new(court) }
    }

    /// Adds one event to the step.
    ///
    /// # Errors
    /// Why the event is refused; the step is as it was, and other events may follow.
    pub fn hear(&mut self, event: &Event) -> Result<Heard, Rejected> {
        self.hear_with(event, None)
    }

    /// Adds one event whose signatures were checked before by [`ChainArbitrator::check`], perhaps on another thread.
    ///
    /// A check that was made for another commitment is made again.
    ///
    /// # Errors
    /// As [`hear`](Self::hear).
    pub fn hear_checked(&mut self, event: &Event, checked: &Checked) -> Result<Heard, Rejected> {
        self.hear_with(event, Some(checked))
    }

    fn hear_with(&mut self, event: &Event, checked: Option<&Checked>) -> Result<Heard, Rejected> {
        let view = CourtView::new(self.court, &self.draft);
        let (was_untold, was_telling) = (view.any_untold(), view.is_telling());
        let admission = admit::admit(view, event)?;
        let (heard, verify) = match admission {
            Admission::Duplicate => return Ok(Heard::Duplicate),
            Admission::Past => return Ok(Heard::Past),
            Admission::New => (Heard::Accepted, self.verify),
            Admission::Again => (Heard::Duplicate, false),
            // What it would have to fit is not known.
            Admission::Proof => (Heard::Outdated, false),
        };
        let proof = if verify { check::verify(view, event, checked)? } else { Proof::Nothing };
        let kept = self.draft.apply_heard(self.court, event, proof);
        let view = CourtView::new(self.court, &self.draft);
        // The node has told every channel: what waited for that is judged. Not in `apply`, for it looks at more than one channel,
        // and the rows of those may be newer than the court's when the log is folded.
        let woken = if was_untold && !view.any_untold() { view.failing() } else { BTreeSet::new() };
        let forgotten = if was_telling && !view.is_telling() { decide::all_told(view) } else { Vec::new() };
        self.draft.woken.extend(woken.iter().copied());
        let mut entry = Entry { heard: kept, concluded: Vec::new() };
        self.conclude(forgotten, &mut entry);
        self.decide(woken, &mut entry);
        self.explain(&mut entry);
        self.entries.push(entry);
        Ok(heard)
    }

    /// Decides each channel that was touched or woken, lowest number first, until nothing more follows (R1).
    fn decide(&mut self, woken: BTreeSet<ChannelIndex>, entry: &mut Entry) {
        let view = CourtView::new(self.court, &self.draft);
        self.conclude(decide::consequences(view, &entry.heard), entry);
        let mut waiting = woken;
        waiting.extend(self.draft.touched());
        let most = waiting.len().saturating_add(1).saturating_mul(ROUNDS);
        let mut rounds: BTreeMap<ChannelIndex, usize> = BTreeMap::new();
        while let Some(index) = waiting.pop_first() {
            self.draft.derive(index);
            let records = decide::judge(CourtView::new(self.court, &self.draft), index);
            if records.is_empty() {
                continue;
            }
            let taken = rounds.entry(index).or_default();
            *taken = taken.saturating_add(1);
            if *taken > most {
                continue;
            }
            if *taken == most {
                // Only this channel stops: the others are still decided (R13).
                self.stuck(index, entry);
                continue;
            }
            waiting.extend(records.iter().map(|record| record.channel));
            self.conclude(records, entry);
        }
    }

    /// Applies conclusions. If one does not apply, `decide` and `apply` disagree: it is left out, so that the log holds
    /// only what happened, and the channel is `Stuck`.
    fn conclude(&mut self, records: Vec<Record>, entry: &mut Entry) {
        for record in records {
            match self.draft.apply(self.court, &record) {
                Ok(()) => entry.concluded.push(record),
                Err(mismatch) => {
                    debug_assert!(false, "decide and apply disagree: {mismatch} at {record:?}");
                    self.stuck(record.channel, entry);
                }
            }
        }
    }

    fn stuck(&mut self, channel: ChannelIndex, entry: &mut Entry) {
        let record = Record { channel, what: Conclusion::Noticed(Box::new(Notice::Alert(Alert::Stuck))) };
        if self.draft.apply(self.court, &record).is_ok() {
            entry.concluded.push(record);
        }
    }

    /// Records the stages and hand-offs that this entry led to (R9).
    fn explain(&mut self, entry: &mut Entry) {
        for (index, before) in self.draft.take_touched() {
            self.draft.derive(index);
            let Some(view) = CourtView::new(self.court, &self.draft).channel_view(index) else { continue };
            if view.channel.chain.kept.is_empty() && before == Explained::default() {
                continue;
            }
            let after = Explained::of(&view);
            let explained = after.since(&before).into_iter().map(|what| Record { channel: index, what });
            entry.concluded.extend(explained);
        }
    }

    /// Makes the frame durable, moves to the new state, then returns the actions due for the channels that it touched.
    ///
    /// A step that accepted nothing writes nothing.
    ///
    /// # Errors
    /// The append's: nothing changed in memory and nothing is released, but the frame may still be durable.
    pub fn commit<L: Log>(self, log: &mut L) -> Result<Vec<Action>, L::Error> {
        let pending = self.detach();
        if pending.frame.entries.is_empty() {
            return Ok(Vec::new());
        }
        log.append(&pending)?;
        Ok(pending.attest_durable())
    }

    /// The first half of [`commit`](Self::commit), for an embedder that writes on another task.
    pub fn detach(self) -> Pending<'a> {
        let frame = Frame { sequence: self.draft.state.sequence, entries: self.entries };
        Pending { court: self.court, draft: self.draft, frame }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

impl Pending<'_> {
    /// The frame to make durable.
    pub const fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Rows that must become durable with the frame: what [`Action::LoadRevoked`] will ask for (R15).
    ///
    /// If two rows have one channel and number, the later one counts.
    pub fn commitments(&self) -> &[StoredCommitment] {
        &self.draft.commitments
    }

    /// The second half of [`Step::commit`]: the caller attests that the frame is durable.
    ///
    /// This is the only way from a step to its actions without a [`Log`].
    pub fn attest_durable(self) -> Vec<Action> {
        if self.frame.entries.is_empty() {
            return Vec::new();
        }
        let touched: BTreeSet<ChannelIndex> =
            self.draft.channels.keys().copied().chain(self.draft.woken.iter().copied()).collect();
        let mut again = self.draft.state.resolved_again.clone();
        again.retain(|id| !self.court.state.resolved_again.contains(id));
        self.court.absorb(self.draft);
        let mut out: Vec<Action> = self.court.resolved_again(&again).collect();
        for view in touched.iter().filter_map(|index| self.court.view(*index)) {
            self.court.due_of(&view, &mut out);
        }
        due::in_order(&mut out);
        out
    }
}

impl ChainArbitrator {
    /// Opens a step: a draft that becomes the court's state only in [`Step::commit`](crate::Step::commit).
    ///
    /// A second step before that does not compile.
    pub fn step(&mut self) -> Step<'_> {
        Step::new(self)
    }
}
