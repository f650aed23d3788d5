//! The coins that pay for a transaction.

use crate::api::plan::FeeInputs;
use crate::sweep::price::{WALLET_INPUT_WEIGHT, output_weight};
use crate::sweep::terms::CHANGE_MIN_SAT;

impl FeeInputs {
    /// Adds the coins of another answer of the wallet. Coins that are held stay for as long as their sweep lives (B56).
    pub(crate) fn add(&mut self, other: Self) {
        for coin in other.coins {
            if self.coins.iter().all(|held| held.outpoint != coin.outpoint) {
                self.coins.push(coin);
            }
        }
        if self.change.is_empty() {
            self.change = other.change;
        }
    }

    /// Keeps only the smallest coin that pays the whole budget, if there is one: other coins would only add weight.
    pub(crate) fn keep_needed(&mut self, budget_sat: u64) {
        let needed = budget_sat.saturating_add(CHANGE_MIN_SAT);
        let enough = self.coins.iter().filter(|coin| coin.value_sat >= needed);
        let one = enough.min_by_key(|coin| (coin.value_sat, coin.outpoint)).map(|coin| coin.outpoint);
        if let Some(one) = one {
            self.coins.retain(|coin| coin.outpoint == one);
        }
    }

    /// The weight of coins and change in a transaction, in weight units.
    pub(crate) fn weight(&self) -> u64 {
        let coins = u64::try_from(self.coins.len()).unwrap_or(u64::MAX);
        WALLET_INPUT_WEIGHT.saturating_mul(coins).saturating_add(output_weight(&self.change))
    }
}
