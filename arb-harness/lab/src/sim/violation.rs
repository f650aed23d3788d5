//! The error that ends a run: an invariant does not hold.

use std::fmt::Display;

/// An invariant that does not hold, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) invariant: &'static str,
    pub(crate) what: String,
}

impl Violation {
    pub(crate) fn new(invariant: &'static str, what: impl Into<String>) -> Self {
        Self { invariant, what: what.into() }
    }

    /// The simulated world is wrong: a bug of the simulator.
    pub(crate) fn world(why: impl Display) -> Self {
        Self::new("world", why.to_string())
    }
}
