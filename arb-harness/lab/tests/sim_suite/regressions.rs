//! Defects that the simulator found, each reproduced without it, because its seeds may draw other runs later.

use std::ops::ControlFlow;

use arb_core::{Blocks, ChainArbitrator, Frame};
use arb_lab::chain::Chain;
use arb_lab::check::check;
use arb_lab::demo::Scenario;
use arb_lab::demo::stage::{Stage, chain_config};
use arb_lab::process::Process;
use arb_log::Journal;
use arb_log::memory::Memory;

fn frames(memory: Memory) -> Vec<Frame> {
    let journal = Journal::open(memory).expect("a memory without faults can be claimed");
    let mut frames = Vec::new();
    let _end: Option<()> = journal
        .frames(1..u64::MAX, |frame| {
            frames.push(frame);
            ControlFlow::Continue(())
        })
        .expect("every frame was written by a journal");
    frames
}

/// Seed 64: the stages before an event were explained under the policy from before the *step*. A policy that was heard in the
/// same step, or with the identity, then explained the same stages twice (R3).
#[test]
fn stages_are_explained_under_the_policy_of_their_own_entry() {
    let scenario = Scenario::all().into_iter().find(|scenario| scenario.name() == "anchors-theirs-never").unwrap();
    let memory = Memory::new();
    let opened = memory.clone();
    let mut stage = Stage::new(scenario, Chain::new(chain_config()), move || Ok(opened.clone())).unwrap();
    let mut identity = stage.identity();
    identity.policy.irrevocable_depth = Blocks::new(120);
    let mut process = Process::new(identity, false);
    stage.play(&mut process, |_, _| {}).unwrap();
    let frames = frames(memory);
    let mut court = ChainArbitrator::new();
    for frame in &frames {
        court.fold(frame).unwrap();
    }
    check(&court, &frames).unwrap_or_else(|failure| panic!("{failure}"));
}
