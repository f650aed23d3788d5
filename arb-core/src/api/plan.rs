//! What the sweeper decided, as the log and tools show it: requests for coins, plans, planned transactions.

use crate::api::event::FeeInput;
use crate::api::units::Height;
use crate::api::wire;
use alloc::vec::Vec;
use bitcoin::{OutPoint, ScriptBuf, Transaction};
use serde::{Deserialize, Serialize};

/// A transaction that the court planned for a group of claims. All else that it takes to complete it follows from the
/// claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// What was decided.
    pub plan: Plan,
    /// The unsigned transaction.
    #[serde(with = "wire::tx")]
    pub tx: Transaction,
}

/// A decision about one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The group.
    pub group: u32,
    /// Its claims, in the order of the inputs.
    pub members: Vec<OutPoint>,
    /// The coins that pay.
    pub fee_inputs: FeeInputs,
    /// What its claims want, in satoshi per kiloweight.
    pub wanted_sat_per_kw: u32,
    /// What it offers.
    pub feerate_sat_per_kw: u32,
    /// Its fee.
    pub fee_sat: u64,
    /// Why it offers less than is wanted, if it does.
    pub limit: Option<Limit>,
}

/// Why a transaction offers less than its claims want.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// The budgets, or the policy's cap, bear no more.
    Budget,
    /// The wallet's coins are worth no more.
    Coins,
}

/// Coins of the wallet, and where change goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeInputs {
    /// The coins.
    pub coins: Vec<FeeInput>,
    /// Where change goes.
    pub change: ScriptBuf,
}

impl FeeInputs {
    /// What the coins are worth.
    pub fn value_sat(&self) -> u64 {
        self.coins.iter().fold(0, |sum, coin| sum.saturating_add(coin.value_sat))
    }
}

/// A request for coins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The claim that the coins are for.
    pub owner: OutPoint,
    /// What they have to be worth together, after paying for their own inputs.
    pub amount_sat: u64,
    /// The feerate that their inputs are counted with, in satoshi per kiloweight.
    pub feerate_sat_per_kw: u32,
    /// When the claim is due: coins go to the nearest deadline first.
    pub deadline: Option<Height>,
    /// What is at stake: then to the greatest value.
    pub value_sat: u64,
    /// The tip when it was asked.
    pub at: Height,
}

/// Confirmed coins that the wallet should have free. The fees of anchor channels come from the wallet: without coins a
/// commitment cannot be hurried and no HTLC of ours reaches its second stage (LDK #4592, #4670: reserves that were too low).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReserveAdvice {
    /// Channels that would need coins.
    pub channels: u64,
    /// How many separate coins: one for each commitment, and one for each HTLC that may have to stand alone.
    pub coins: u64,
    /// What they should be worth together, in satoshi, at today's feerate for a claim within six blocks.
    pub amount_sat: u64,
}
