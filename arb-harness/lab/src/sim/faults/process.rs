//! The process that runs the court: its turns, crashes and failed writes, recovery and checkpoints (I1, I2).
//!
//! The world outside acts only while the process is idle. [`World::settle`] runs the process, through crashes and failed
//! writes, until the court knows the chain's tip and no action that is due leads to a new event. So the schedule of the
//! world does not depend on the faults (I3).

use arb_core::{Event, Freshness, Height, Started, Tip};
use arb_harness::driver::Driver;
use arb_harness::host::Host;
use arb_harness::source;
use arb_log::memory::{Fault as WriteFault, Memory};

use crate::process::{BUILD, all_told};
use crate::sim::checks::host::CheckedHost;
use crate::sim::checks::recovery;
use crate::sim::plan::faults::Fault;
use crate::sim::violation::Violation;
use crate::sim::world::World;
use crate::sim::world::process::{BLOCKS_A_STEP, new_wallet};

/// Turns after which the process must be idle.
const TURNS: usize = 400;

/// Frames between two checkpoints.
const FRAMES_A_CHECKPOINT: u64 = 24;

impl World {
    /// Tells the court one event, and returns whether it was accepted.
    pub(crate) fn ask(&mut self, event: Event) -> Result<bool, Violation> {
        self.tell(event.clone());
        self.settle()?;
        Ok(!self.process.refusals.iter().any(|(refused, _)| *refused == event))
    }

    /// Runs the process until it is idle, and then checks what the court has decided.
    pub(crate) fn settle(&mut self) -> Result<(), Violation> {
        self.steps += 1;
        self.process.refusals.clear();
        self.process.wallet.refresh(&self.chain);
        for _ in 0..TURNS {
            if self.turn()? {
                self.seen.actions.verdict()?;
                return self.check_idle();
            }
        }
        Err(Violation::new("I1", format!("the process is not idle after {TURNS} turns")))
    }

    /// Runs one turn of the process; true if it is idle.
    fn turn(&mut self) -> Result<bool, Violation> {
        let mut driver = self.live_process()?;
        let mut idle = false;
        if !self.process.told {
            let Ok(blocks) = source::next_blocks(&self.chain, driver.court().tip(), BLOCKS_A_STEP);
            idle = blocks.is_empty();
            driver.tell_all(blocks);
            driver.tell_all(self.process.inbox.iter().cloned());
            if core::mem::take(&mut self.process.retells) {
                let tells = self.belief.is_some() && !self.process.is_mute;
                let everything = if tells { self.everything(driver.court())? } else { vec![all_told()] };
                self.counts.many("belief/retold", u64::from(everything.len() > 1));
                driver.tell_all(everything);
            }
            self.process.told = true;
        }
        let fault = self.process.faults.draw();
        if fault == Some(Fault::CrashBefore) {
            return self.die(driver, "fault/crash_before_append");
        }
        if let Some(fault) = write_fault(fault) {
            self.process.memory.fail_write(0, fault);
        }
        let writes = self.process.memory.writes();
        let appended = {
            let mut checked_host = self.checked_host(driver.court().tip());
            driver.commit(&mut checked_host)
        };
        let appended = appended.map_err(|why| Violation::new("I2", format!("the journal: {why}")))?;
        self.process.memory.heal();
        let failed = driver.has_waiting();
        if failed && self.process.memory.writes() > writes {
            let name = if fault == Some(Fault::Lost) { "fault/lost_write" } else { "fault/unreported_write" };
            self.process.heard_again |= fault == Some(Fault::Unreported);
            self.counts.one(name);
            self.note(|| name.into());
        }
        if fault == Some(Fault::CrashAfter) {
            return self.die(driver, "fault/crash_after_append");
        }
        if !failed {
            self.process.told = false;
            if fault != Some(Fault::CrashPerformed) {
                self.process.inbox.clear();
            }
        }
        {
            let mut checked_host = self.checked_host(driver.court().tip());
            driver.perform(&mut checked_host);
        }
        if fault == Some(Fault::CrashPerformed) {
            return self.die(driver, "fault/crash_after_actions");
        }
        // Answers to actions after a failed write wait together with the events of that write.
        let is_idle = idle && !appended && !driver.has_waiting();
        if driver.has_waiting() && !failed {
            self.process.told = false;
        }
        self.checkpoint(&mut driver)?;
        self.process.driver = Some(driver);
        Ok(is_idle)
    }

    /// Writes a checkpoint every [`FRAMES_A_CHECKPOINT`] frames; recovery begins at the last one.
    fn checkpoint(&mut self, driver: &mut Driver<Memory>) -> Result<(), Violation> {
        if driver.court().sequence() < self.process.checkpointed + FRAMES_A_CHECKPOINT {
            return Ok(());
        }
        self.process.checkpointed = driver.court().sequence();
        let court = driver.court().clone();
        let Some(journal) = driver.journal() else { return Ok(()) };
        journal.checkpoint(&court, 1).map_err(|why| Violation::new("I2", format!("a checkpoint: {why}")))?;
        Ok(())
    }

    /// The live process. After a crash, recovers it: it must equal the court that died (I2).
    fn live_process(&mut self) -> Result<Driver<Memory>, Violation> {
        if let Some(driver) = self.process.driver.take() {
            return Ok(driver);
        }
        let best_height = Height::new(self.chain.tip().0);
        let freshness = if self.process.is_suspect { Freshness::Suspect } else { Freshness::Trusted };
        let started = Started { build: BUILD.into(), freshness, best_height, run: 0 };
        let driver = Driver::start(self.process.memory.clone(), &self.process.identity, started)
            .map_err(|why| Violation::new("I2", format!("recovery: {why}")))?;
        if let Some(dead) = self.process.dead.take() {
            recovery::invariant_i2_recovery_equals_live(&dead, driver.court())?;
        }
        self.process.wallet = new_wallet(&self.process.gone);
        self.process.wallet.refresh(&self.chain);
        self.process.retells = true;
        Ok(driver)
    }

    fn die(&mut self, driver: Driver<Memory>, name: &'static str) -> Result<bool, Violation> {
        self.counts.one(name);
        self.counts.one("fault/crash");
        self.note(|| name.into());
        self.process.dead = Some(driver.court().clone());
        self.process.told = false;
        Ok(false)
    }

    /// Ends the process between two turns; the next turn starts it again.
    pub(crate) fn restart(&mut self) {
        self.process.dead = self.process.driver.take().map(|driver| driver.court().clone());
        self.process.told = false;
    }

    /// Tells what was under way.
    pub(crate) fn deliver(&mut self) {
        for event in core::mem::take(&mut self.process.manners.held) {
            self.tell(event);
        }
    }

    fn checked_host(&mut self, heard: Tip) -> CheckedHost<'_> {
        let host =
            Host::new(&mut self.chain, &mut self.process.signer, &mut self.process.wallet, &mut self.node, heard);
        CheckedHost {
            host,
            channels: &self.channels,
            policy: &self.plan.policy,
            actions: &mut self.seen.actions,
            manners: &mut self.process.manners,
            refusals: &mut self.process.refusals,
            trace: self.trace.as_mut(),
        }
    }
}

fn write_fault(fault: Option<Fault>) -> Option<WriteFault> {
    match fault? {
        Fault::Lost => Some(WriteFault::Lost),
        Fault::Unreported => Some(WriteFault::Unreported),
        Fault::CrashBefore | Fault::CrashAfter | Fault::CrashPerformed => None,
    }
}
