//! What a run is held to. Each invariant is one function, named after its number in the architecture. It sees only the
//! values that it is given, so a test can give it a planted violation ([`planted`], [`planted_worth`]).
//!
//! | file | invariants | when it is asked |
//! |---|---|---|
//! | [`recovery`] | I2, I3, I6, I15 | after a crash, after a reorg with the same blocks, at the end |
//! | [`outcomes`] | I4, I5, I12, I14 | at the end; I5 also when a failure is due |
//! | [`actions`] | I7, I10 | when an action is due, and when the process is idle |
//! | [`prices`] | I8 | at the end, over the journal |
//! | [`sheet`] | I11 | at the end |
//! | [`unclaimed`] | I16, and I14 for what was lost | at the end |
//! | [`silence`] | I17 | when the process is idle, once for each deadline |
//! | [`worth`] | I18 | at the end, over the journal |
//!
//! I1 is the run itself: it neither panics nor runs for ever. I9 is checked by the chain, which refuses every invalid
//! transaction. [`host`] and [`idle`] ask during the run, [`ending`] when it is over. [`measured`] says what was promised
//! of what was lost (I14), [`revoked`] what became of a revoked commitment, [`stakes`] what a channel has at stake (I8),
//! [`estimates`] which fee estimates the court had heard, and [`costs`] what a claim costs.

pub(crate) mod actions;
mod costs;
mod counted;
pub(crate) mod ending;
mod estimates;
pub(crate) mod host;
mod idle;
pub(crate) mod journal;
mod measured;
pub(crate) mod outcomes;
#[cfg(test)]
mod planted;
#[cfg(test)]
mod planted_worth;
mod prices;
mod queue;
pub(crate) mod recovery;
mod revoked;
mod sheet;
mod silence;
mod stakes;
pub(crate) mod unclaimed;
mod worth;

use crate::sim::violation::Violation;

type Verdict = Result<(), Violation>;

fn violated<T>(invariant: &'static str, what: impl Into<String>) -> Result<T, Violation> {
    Err(Violation::new(invariant, what))
}
