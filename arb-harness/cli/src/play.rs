//! Plays one scenario to its end, from the present state of its journal and its chain.
//!
//! The order of writes makes a kill at any moment harmless: the chain and its first outputs are durable before the journal
//! exists, and each block is durable before the journal hears of it.

use std::thread;
use std::time::Duration;

use arb_core::{Event, Frame};
use arb_harness::redb_store::{RedbStore, RedbStoreError};
use arb_lab::balance_oracle::{self, Known};
use arb_lab::chain::Chain;
use arb_lab::demo::Scenario;
use arb_lab::demo::stage::{Stage, StageError};
use arb_lab::demo::story::Ending;
use arb_lab::fixture::ChannelFixture;
use arb_lab::process::Process;
use arb_log::{Journal, JournalError};

use super::failure::Failure;
use super::folder::Files;
use super::journal_facts::{frames, journal_bytes, open_patiently};
use super::lab_failure::LabFailure;
use super::report::Report;

/// Plays a scenario and reports how it ended. `watch` is told the chain's height and the appends so far; after each append the
/// process pauses for `pause`.
pub(crate) fn play(
    scenario: Scenario,
    files: &Files,
    chain: Chain,
    pause: Duration,
    watch: impl FnMut(u32, u64),
) -> Result<Report, Failure> {
    let failed = |why: StageError<RedbStoreError>| LabFailure::Stage(scenario.file_stem(), why).into();
    let path = files.journal.clone();
    let open = move || {
        thread::sleep(pause);
        open_patiently(&path).map_err(JournalError::Storage)
    };
    let mut stage = Stage::new(scenario, chain, open).map_err(failed)?;
    finish_reorg(scenario, &stage.fixture, &mut stage.chain).map_err(failed)?;
    let is_new = open_journal(files, &stage.identity())?;
    let mut process = Process::new(stage.identity(), true);
    process.first = last_estimate(&frames(files)?);
    let endless = match stage.play(&mut process, watch) {
        Ok(()) => false,
        Err(StageError::Endless) => true,
        Err(why) => return Err(failed(why)),
    };
    let frames = frames(files)?;
    let ending = Ending::of(&frames);
    let known = Known {
        fixture: &stage.fixture,
        ours: &stage.ours(),
        usable_since: &stage.usable_since(),
        commitment: scenario.closed_by.knowledge(),
    };
    let oracle = balance_oracle::sheet(&stage.chain, &known).map_err(|why| failed(why.into()))?;
    let contradicted = !stage.node.contradictions.is_empty();
    Ok(Report::of(scenario, &ending, oracle, endless || contradicted).counted(
        &frames,
        process.restarts + u64::from(is_new),
        journal_bytes(files, &frames)?,
    ))
}

/// Writes the journal's first frame, `JournalOpened`, if it is not there, in a life of its own. Answers whether it did.
fn open_journal(files: &Files, identity: &arb_core::JournalIdentity) -> Result<bool, Failure> {
    let store = RedbStore::open_or_create(&files.journal).map_err(Failure::storage(&files.journal))?;
    let mut journal = Journal::open(store).map_err(Failure::journal(&files.journal))?;
    let is_new = journal.condition().next_sequence == 1;
    journal.recover(identity).map_err(Failure::journal(&files.journal))?;
    Ok(is_new)
}

/// Completes a reorg that a kill interrupted: its blocks are disconnected one by one, each durably.
fn finish_reorg(
    scenario: Scenario,
    fixture: &ChannelFixture,
    chain: &mut Chain,
) -> Result<(), StageError<RedbStoreError>> {
    let tip = chain.tip().0;
    if !scenario.reorg || chain.highest() <= tip {
        return Ok(());
    }
    let Some((height, txid, _)) = chain.spender_of(&fixture.setup().funding) else { return Ok(()) };
    let Some((_, close)) = chain.confirmed(&txid) else { return Ok(()) };
    let confirmed = fixture.recognise(close)?.map(|commitment| (commitment.owner, commitment.number));
    if confirmed != scenario.last_commitment() {
        chain.reorg_drop((tip + 1).saturating_sub(height));
    }
    Ok(())
}

/// The feerate estimate that was heard last, which is heard again at the start, as a node would report one before new blocks.
/// Otherwise blocks that were mined before the kill, but not heard, would make it stale.
fn last_estimate(frames: &[Frame]) -> Vec<Event> {
    let entries = frames.iter().rev().flat_map(|frame| frame.entries.iter().rev());
    let mut estimates = entries.filter(|entry| matches!(entry.heard, Event::FeesEstimated(_)));
    estimates.next().map(|entry| entry.heard.clone()).into_iter().collect()
}
