//! Every close of the demonstration on the embedded chain, by a process that restarts after every append (I3).
//!
//! Each close is resolved (I12), its sheet equals the one that an oracle takes from the chain (I11), and its frames pass the
//! shared check (I2). [`floor`] plays them where nodes relay less cheaply.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test panics")]

mod floor;
mod revoked;

use std::ops::ControlFlow;

use arb_core::bolt3::ChannelType;
use arb_core::{ChainArbitrator, Frame, Sheet};
use arb_harness::names::close_name;
use arb_lab::balance_oracle::{self, Known};
use arb_lab::chain::{Chain, ChainConfig};
use arb_lab::check::check;
use arb_lab::demo::stage::{Stage, chain_config};
use arb_lab::demo::story::Ending;
use arb_lab::demo::{ClosedBy, Scenario};
use arb_lab::notebook::Notebook;
use arb_lab::process::Process;
use arb_log::Journal;
use arb_log::memory::Memory;

struct Played {
    frames: Vec<Frame>,
    ending: Ending,
    oracle: Sheet,
    process: Process,
    chain: Chain,
    node: Notebook,
}

fn play(scenario: Scenario, config: ChainConfig) -> Played {
    let memory = Memory::new();
    let opened = memory.clone();
    let mut stage = Stage::new(scenario, Chain::new(config), move || Ok(opened.clone())).unwrap();
    let mut process = Process::new(stage.identity(), true);
    stage.play(&mut process, |_, _| {}).unwrap_or_else(|error| panic!("{}: {error}", scenario.name()));
    let journal = Journal::open(memory).unwrap();
    let mut frames = Vec::new();
    let all = journal.frames(1..u64::MAX, |frame| {
        frames.push(frame);
        ControlFlow::<()>::Continue(())
    });
    all.unwrap();
    let known = Known {
        fixture: &stage.fixture,
        ours: &stage.ours(),
        usable_since: &stage.usable_since(),
        commitment: scenario.closed_by.knowledge(),
    };
    let oracle = balance_oracle::sheet(&stage.chain, &known).unwrap().expect("the funding is spent");
    Played { ending: Ending::of(&frames), frames, oracle, process, chain: stage.chain, node: stage.node }
}

fn resolves_and_balances(scenario: Scenario) {
    let played = play(scenario, chain_config());
    // On an unknown commitment only our main output can be claimed (BOLT 5, RC5).
    let may_lose = scenario.closed_by == ClosedBy::Unknown || scenario.withheld;
    judge(scenario, &played, may_lose);
    if scenario.closed_by == ClosedBy::Revoked {
        revoked::judge(scenario, &played);
    }
}

/// Panics unless the close is resolved, its sheet is the oracle's, and its frames pass the shared check.
fn judge(scenario: Scenario, played: &Played, may_lose: bool) {
    let name = scenario.name();
    let sheet = played.ending.sheet.unwrap_or_else(|| panic!("{name}: no sheet"));
    assert_eq!(sheet, played.oracle, "{name}: the court's sheet is not the oracle's");
    assert!(sheet.balances(), "{name}: {sheet:?}");
    assert_eq!(played.ending.close.map(close_name), Some(scenario.closed_by.name()), "{name}");
    assert_eq!(played.process.appends, played.process.restarts, "{name}: not one restart after each append");
    assert!(sheet.lost_sat == 0 || may_lose, "{name}: {sheet:?}");
    let mut court = ChainArbitrator::new();
    played.frames.iter().for_each(|frame| court.fold(frame).unwrap());
    check(&court, &played.frames).unwrap_or_else(|failure| panic!("{name}: {failure}\n{failure:#?}"));
}

#[test]
fn every_static_remotekey_close_resolves_and_every_satoshi_is_accounted_for() {
    let all = Scenario::all().into_iter();
    all.filter(|scenario| scenario.channel_type == ChannelType::StaticRemotekey).for_each(resolves_and_balances);
}

#[test]
fn every_anchors_close_resolves_and_every_satoshi_is_accounted_for() {
    let all = Scenario::all().into_iter();
    all.filter(|scenario| scenario.channel_type == ChannelType::AnchorsZeroFeeHtlcTx).for_each(resolves_and_balances);
}
