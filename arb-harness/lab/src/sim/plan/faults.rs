//! The faults of process and storage. They have a stream of numbers of their own, so the same run can be played without
//! them (I3).

use super::rng::Rng;

/// A fault of the process or its storage in one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process dies before the append.
    CrashBefore,
    /// The process dies after the append, before any action.
    CrashAfter,
    /// The process dies after the actions, before their answers are heard.
    CrashPerformed,
    /// The append is lost.
    Lost,
    /// The append is durable and reported failed.
    Unreported,
}

/// Draws faults.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    rng: Rng,
    /// In how many of a hundred turns there is a fault.
    chance: u64,
}

impl Faults {
    /// The faults of a seed: in 2, 8 or 25 of a hundred turns.
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed, 2);
        let chance = rng.pick(&[2, 8, 25]).unwrap_or(0);
        Self { rng, chance }
    }

    /// No faults.
    pub(crate) fn none() -> Self {
        Self { rng: Rng::new(0, 2), chance: 0 }
    }

    /// Ends the faults: the last phase of a run has none.
    pub(crate) fn stop(&mut self) {
        self.chance = 0;
    }

    /// Draws the fault of this turn.
    pub(crate) fn draw(&mut self) -> Option<Fault> {
        if !self.rng.percent(self.chance) {
            return None;
        }
        let all = [Fault::CrashBefore, Fault::CrashAfter, Fault::CrashPerformed, Fault::Lost, Fault::Unreported];
        self.rng.pick(&all)
    }
}
