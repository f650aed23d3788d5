//! Every close of the demonstration, on the real chain, in memory: resolved, balanced, and checked frame by frame.

use arb_core::{Frame, Sheet};
use arb_harness::chain::Chain;
use arb_harness::check::check;
use arb_harness::demo::stage::{Stage, chain_config};
use arb_harness::demo::story::{ContractRow, Ending, close_name};
use arb_harness::demo::{ClosedBy, Scenario};
use arb_harness::oracle::{self, Known};
use arb_harness::process::Process;
use arb_log::Journal;
use arb_log::memory::Memory;
use std::ops::ControlFlow;

struct Played {
    frames: Vec<Frame>,
    ending: Ending,
    oracle: Sheet,
    process: Process,
    rows: Vec<ContractRow>,
}

fn play(scenario: Scenario, dies: bool) -> Played {
    let memory = Memory::new();
    let opened = memory.clone();
    let chain = Chain::new(chain_config());
    let mut stage = Stage::new(scenario, chain, move || Ok(opened.clone())).unwrap();
    let mut process = Process::new(stage.genesis(), dies);
    stage.play(&mut process, |_, _| {}).unwrap_or_else(|error| panic!("{}: {error}", scenario.name()));
    let journal = Journal::open(memory).unwrap();
    let mut frames = Vec::new();
    let _end: Option<()> = journal
        .frames(1..u64::MAX, |frame| {
            frames.push(frame.clone());
            ControlFlow::Continue(())
        })
        .unwrap();
    let ending = Ending::of(&frames);
    let known = Known {
        fixture: &stage.fixture,
        ours: &stage.ours(),
        usable_since: &stage.usable_since(),
        known_commitment: scenario.closed_by != ClosedBy::Unknown,
    };
    let oracle = oracle::sheet(&stage.chain, &known).unwrap().expect("the funding is spent");
    let rows = ContractRow::of(&ending);
    Played { frames, ending, oracle, process, rows }
}

#[test]
fn every_close_resolves_and_every_satoshi_is_accounted_for() {
    for scenario in Scenario::all() {
        let played = play(scenario, true);
        let name = scenario.name();
        let sheet = played.ending.sheet.unwrap_or_else(|| panic!("{name}: no sheet"));
        println!(
            "{name}: {} frames, {} restarts {:?} {:?}",
            played.frames.len(),
            played.process.restarts,
            played.ending.close,
            sheet
        );
        for row in &played.rows {
            println!("   {row:?}");
        }
        assert_eq!(sheet, played.oracle, "{name}");
        assert!(sheet.balances(), "{name}: {sheet:?}");
        assert_eq!(played.ending.close.map(close_name), Some(scenario.closed_by.name()), "{name}");
        assert_eq!(played.process.appends, played.process.restarts, "{name}");
        // Of a commitment that we have no record of only the main output is ours to claim (BOLT 5 R5).
        let may_lose = scenario.closed_by == ClosedBy::Unknown;
        assert!(sheet.lost_sat == 0 || may_lose, "{name}: {sheet:?}");
        let mut folded = arb_core::ChainArbitrator::new();
        for frame in &played.frames {
            folded.fold(frame).unwrap();
        }
        check(&folded, &played.frames).unwrap_or_else(|failure| panic!("{name}: {failure}\n{failure:#?}"));
    }
}
