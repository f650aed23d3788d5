//! Heights and distances in blocks: the only clock that the core knows (R5).
//!
//! All arithmetic saturates or is checked; none can wrap or panic.
//!
//! Tests: in this file

use core::fmt;
use serde::{Deserialize, Serialize};

/// Height of a block in the best chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Height(u32);

/// A number of blocks: a CSV delay, a safety margin, a depth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Blocks(u32);

impl Height {
    /// The greatest height there can be, for "never".
    pub const MAX: Self = Self(u32::MAX);

    /// A height from its number.
    pub const fn new(height: u32) -> Self {
        Self(height)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// This many blocks later.
    pub const fn after(self, distance: Blocks) -> Self {
        Self(self.0.saturating_add(distance.0))
    }

    /// This many blocks earlier.
    pub const fn before(self, distance: Blocks) -> Self {
        Self(self.0.saturating_sub(distance.0))
    }

    /// The next height.
    pub const fn next(self) -> Self {
        self.after(Blocks(1))
    }

    /// Blocks from `earlier` to `self`; `None` if `earlier` is in the future, so that a reorg below a fact never
    /// makes it look buried.
    pub const fn since(self, earlier: Self) -> Option<Blocks> {
        match self.0.checked_sub(earlier.0) {
            Some(distance) => Some(Blocks(distance)),
            None => None,
        }
    }

    /// Whether something confirmed at `at` has `depth` confirmations when `self` is the tip (a transaction in the
    /// tip has one).
    pub fn buries(self, at: Self, depth: Blocks) -> bool {
        self >= Self::buried_at(at, depth)
    }

    /// The tip height at which something confirmed at `at` has `depth` confirmations.
    pub const fn buried_at(at: Self, depth: Blocks) -> Self {
        Self(at.0.saturating_add(depth.0.saturating_sub(1)))
    }
}

impl Blocks {
    /// A distance from its number of blocks.
    pub const fn new(blocks: u32) -> Self {
        Self(blocks)
    }

    /// The number of blocks.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_in_the_future_is_never_buried() {
        let at = Height::new(100);
        assert!(!Height::new(99).buries(at, Blocks::new(1)));
        assert!(Height::new(100).buries(at, Blocks::new(1)));
        assert!(!Height::new(104).buries(at, Blocks::new(6)));
        assert!(Height::new(105).buries(at, Blocks::new(6)));
        assert_eq!(Height::new(99).since(at), None);
    }

    #[test]
    fn heights_saturate() {
        assert_eq!(Height::MAX.after(Blocks::new(5)), Height::MAX);
        assert_eq!(Height::new(3).before(Blocks::new(5)), Height::new(0));
    }
}
