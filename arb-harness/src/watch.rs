//! What the court cannot see, because it has no clock and no wallet: a source of blocks that says nothing, and a wallet that
//! could not pay for the closes of the channels that are open (I17).
//!
//! Tests: `arb-harness/lab/tests/sweeper_suite/watch.rs`.

use core::time::Duration;

use arb_core::sweep::ReserveAdvice;
use arb_core::{ChainArbitrator, Height};

/// What an operator should know, and can do something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// No block came for a long time. Either the network found none, or the source is cut off: deadlines may pass that the court
    /// does not see. Compare the height with another source.
    #[error("no block came for {} minutes after block {tip}: is the source cut off?", silent.as_secs() / 60)]
    SourceSilent {
        /// The court's tip.
        tip: Height,
        /// For how long no block came.
        silent: Duration,
    },
    /// The wallet has less than the closes of all open channels would need now. Send it confirmed coins, or close channels.
    #[error(
        "the wallet has {has_sat} sat free, but the closes of {} channels would need {} sat in about {} coins",
        advice.channels, advice.amount_sat, advice.coins
    )]
    WalletLow {
        /// What the channels would need.
        advice: ReserveAdvice,
        /// What the wallet has free, in satoshi.
        has_sat: u64,
    },
}

/// Looks on a timer, and warns once of each thing until it has ended.
#[derive(Clone, Debug)]
pub struct Watch {
    patience: Duration,
    tip: Option<Height>,
    /// When the tip was seen first.
    since: Duration,
    is_silent: bool,
    is_low: bool,
}

impl Watch {
    /// Blocks are 10 minutes apart on average. An hour and a half without one comes about once in two months by chance.
    pub const PATIENCE: Duration = Duration::from_secs(90 * 60);

    /// A watch that warns of a source after so much time without a block: [`PATIENCE`](Self::PATIENCE) on the main network.
    pub const fn new(patience: Duration) -> Self {
        Self { patience, tip: None, since: Duration::ZERO, is_silent: false, is_low: false }
    }

    /// The warnings that are new. `now` is a monotonic time since any beginning; `free_sat` is what the wallet has free in
    /// confirmed coins, in satoshi. It looks at every channel, so call it every minute or so, not for every event.
    pub fn look(&mut self, court: &ChainArbitrator, free_sat: u64, now: Duration) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let tip = court.tip().height;
        if self.tip != Some(tip) {
            self.tip = Some(tip);
            self.since = now;
        }
        let silent = now.saturating_sub(self.since);
        let was_silent = core::mem::replace(&mut self.is_silent, silent >= self.patience);
        if self.is_silent && !was_silent {
            warnings.push(Warning::SourceSilent { tip, silent });
        }
        let advice = court.reserve_advice();
        let was_low = core::mem::replace(&mut self.is_low, free_sat < advice.amount_sat);
        if self.is_low && !was_low {
            warnings.push(Warning::WalletLow { advice, has_sat: free_sat });
        }
        warnings
    }
}
