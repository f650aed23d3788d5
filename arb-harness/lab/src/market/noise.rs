//! Random numbers by index (the finish of splitmix64 over a counter). Block 70,000 is drawn without the blocks before it,
//! and the same index always gives the same number.

/// The numbers of one seed and name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noise {
    key: u64,
}

impl Noise {
    /// The numbers of this seed and name. Draws with one name do not change those with another.
    pub(crate) fn new(seed: u64, name: u64) -> Self {
        Self { key: mix(mix(seed).wrapping_add(mix(name.wrapping_add(0x9e37_79b9_7f4a_7c15)))) }
    }

    /// The number with this index.
    pub(crate) fn at(&self, index: u64) -> u64 {
        mix(self.key.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// The number with this index, from `low` to `high`, both possible.
    pub(crate) fn between(&self, index: u64, low: u64, high: u64) -> u64 {
        let width = u128::from(high.saturating_sub(low)) + 1;
        // The upper half of the product is less than `width`, and has no bias of a remainder.
        let drawn = (u128::from(self.at(index)) * width) >> 64;
        low + u64::try_from(drawn).unwrap_or(0)
    }
}

fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn an_index_is_a_number_and_names_and_seeds_differ() {
        let draw = |seed, name| [0, 1, 70_000].map(|index| Noise::new(seed, name).at(index));
        assert_eq!(draw(1, 0), draw(1, 0));
        assert_ne!(draw(1, 0), draw(1, 1));
        assert_ne!(draw(1, 0), draw(2, 0));
        assert_ne!(draw(0, 0)[0], 0, "no seed is dull");
    }

    #[test]
    fn bounds_are_possible_and_kept() {
        let noise = Noise::new(7, 0);
        let drawn: BTreeSet<u64> = (0..1_000).map(|index| noise.between(index, 3, 5)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(noise.between(0, 9, 9), 9);
        assert!((0..100).any(|index| noise.between(index, 0, u64::MAX) > u64::MAX / 2));
    }
}
