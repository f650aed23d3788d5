//! Plays one scenario to its end, from wherever its journal and its chain are.
//!
//! The order of the files is what makes a kill at any moment harmless: the chain is there, with all that is planted on it,
//! before the journal is; and every block is durable before the journal hears of it.

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

/// Plays it, and says how it ended. `watch` is told the chain's height and the appends so far; after each append the
/// process rests for `pause`.
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
    let born = birth(files, &stage.identity())?;
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
        process.restarts + u64::from(born),
        journal_bytes(files, &frames)?,
    ))
}

/// The journal's first frame, the identity, in a life of its own: whether it was written now.
fn birth(files: &Files, identity: &arb_core::JournalIdentity) -> Result<bool, Failure> {
    let store = RedbStore::open_or_create(&files.journal).map_err(Failure::storage(&files.journal))?;
    let mut journal = Journal::open(store).map_err(Failure::journal(&files.journal))?;
    let born = journal.condition().next_sequence == 1;
    journal.recover(identity).map_err(Failure::journal(&files.journal))?;
    Ok(born)
}

/// Takes the rest of a half done reorg back: its blocks leave one by one, each durably, and a kill may have come between.
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

/// The estimate that was heard last. A node has one before it has new blocks; without it, blocks that were mined and not yet
/// heard of when the program was killed would make the old one stale.
fn last_estimate(frames: &[Frame]) -> Vec<Event> {
    let entries = frames.iter().rev().flat_map(|frame| frame.entries.iter().rev());
    let mut estimates = entries.filter(|entry| matches!(entry.heard, Event::FeesEstimated(_)));
    estimates.next().map(|entry| entry.heard.clone()).into_iter().collect()
}
