//! What a run is held to. The invariants are one function each, named after the rule that they hold the court to. Each looks at
//! values that are handed to it and judges nothing else, so that a test can show it something wrong ([`planted`]).
//!
//! | file | invariants | looked at |
//! |---|---|---|
//! | [`recovery`] | I2, I3, I6, I15 | after a crash, after a reorg of the same blocks, in the end |
//! | [`outcomes`] | I4, I5, I12, I14 | in the end; I5 also when a failure is due |
//! | [`actions`] | I7, I10 | whenever an action is due |
//! | [`prices`] | I8 | in the end, over the journal |
//! | [`sheet`] | I11 | in the end |
//!
//! [`host`] and [`idle`] ask while the run is played, [`ending`] when it is over.

pub(crate) mod actions;
mod counted;
pub(crate) mod ending;
pub(crate) mod host;
mod idle;
mod journal;
mod measured;
pub(crate) mod outcomes;
#[cfg(test)]
mod planted;
mod prices;
pub(crate) mod recovery;
mod revoked;
mod sheet;
mod stakes;

use crate::sim::violation::Violation;

type Verdict = Result<(), Violation>;

fn violated<T>(invariant: &'static str, what: impl Into<String>) -> Result<T, Violation> {
    Err(Violation::new(invariant, what))
}
