//! The coins that pay for a transaction.

use crate::api::plan::FeeInputs;
use crate::sweep::price::{FRAME_WEIGHT, WALLET_INPUT_WEIGHT, WEIGHT_MAX, WIDEST_OUTPUT_WEIGHT, output_weight};
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

    /// Keeps only as many coins as fit into a transaction with claims of this weight (A29): nodes relay no heavier one. Those
    /// that came first stay.
    pub(crate) fn fit(&mut self, claims_weight: u64) {
        self.coins.truncate(coins_max(claims_weight));
    }

    /// The weight of coins and change in a transaction, in weight units.
    pub(crate) fn weight(&self) -> u64 {
        let coins = u64::try_from(self.coins.len()).unwrap_or(u64::MAX);
        WALLET_INPUT_WEIGHT.saturating_mul(coins).saturating_add(output_weight(&self.change))
    }
}

/// How many coins a transaction has room for, with change and with claims of this weight.
pub(crate) fn coins_max(claims_weight: u64) -> usize {
    let taken = claims_weight.saturating_add(FRAME_WEIGHT).saturating_add(WIDEST_OUTPUT_WEIGHT);
    let coins = WEIGHT_MAX.saturating_sub(taken).checked_div(WALLET_INPUT_WEIGHT).unwrap_or(0);
    usize::try_from(coins).unwrap_or(usize::MAX)
}
