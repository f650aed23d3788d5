//! What the sweeper decided, as the log and tools show it: planned transactions, and requests for coins.

use crate::api::event::FeeInput;
use crate::api::units::{Blocks, Height};
use crate::api::wire;
use alloc::vec::Vec;
use bitcoin::{OutPoint, ScriptBuf, Transaction};
use serde::{Deserialize, Serialize};

/// A transaction that the court planned for a group of claims; its witnesses follow from the claims.
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
    /// The number of the group that the transaction is for.
    pub group: u32,
    /// The outputs that it claims, in the order of its inputs.
    pub members: Vec<OutPoint>,
    /// The wallet's coins that pay, and where change goes.
    pub fee_inputs: FeeInputs,
    /// The feerate that its claims want, in satoshi per kiloweight.
    pub wanted_sat_per_kw: u32,
    /// The feerate that it offers, in satoshi per kiloweight.
    pub feerate_sat_per_kw: u32,
    /// Its fee, in satoshi.
    pub fee_sat: u64,
    /// Why it offers less than is wanted, if it does.
    pub limit: Option<Limit>,
    /// Where what is wanted comes from.
    pub reason: Reason,
}

/// Why a transaction offers what it offers, by its most urgent claim: the one with the nearest deadline, and of those the one
/// that wants the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The output of that claim.
    pub outpoint: OutPoint,
    /// What decided the feerate.
    pub branch: Branch,
    /// The height by which the claim should be confirmed; `None` if nobody contests it.
    pub deadline: Option<Height>,
    /// What it may cost, in satoshi.
    pub budget_sat: u64,
    /// What is at stake, in satoshi: its value; for a child, everything of the commitment that is ours and in time.
    pub at_stake_sat: u64,
    /// The estimate that was used, in satoshi per kiloweight.
    pub estimate_sat_per_kw: u32,
    /// The age of that estimate in blocks; `None` before the first one: then it is the policy's fallback.
    pub estimate_age: Option<Blocks>,
}

/// What decided a feerate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Branch {
    /// The estimate for what nobody contests.
    Lazy,
    /// The estimate for the blocks that the claim can wait.
    Estimate,
    /// More than the next block's estimate: no time is left to wait for the end of a fee spike.
    Pressing,
    /// The curve from the estimate to the whole budget.
    Curve,
    /// The whole budget, because it hardly buys the next block.
    Tight,
    /// The whole budget, because the deadline is one block away or over.
    Deadline,
    /// The steep curve of a claim that was first wanted after its deadline.
    Late,
    /// More than the last offer, which was refused for its fee.
    Pressed,
    /// What the operator asked for.
    Bumped,
    /// What was wanted before: it never falls.
    Kept,
    /// The price of replacing the transaction before (BIP 125).
    Replaces,
    /// The counterparty's signature fixes the fee.
    Signed,
}

/// Why a claim is not made: at the least feerate that is of use it costs more than its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declined {
    /// The least feerate that is of use, in satoshi per kiloweight: the least that nodes relay; without a deadline, the
    /// lazy estimate.
    pub least_sat_per_kw: u32,
    /// What the claim's part of a transaction costs at that feerate, in satoshi.
    pub cost_sat: u64,
    /// What it may cost, in satoshi.
    pub budget_sat: u64,
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
    /// The scriptPubKey that change pays to.
    pub change: ScriptBuf,
}

impl FeeInputs {
    /// The sum of the coins, in satoshi.
    pub fn value_sat(&self) -> u64 {
        self.coins.iter().fold(0, |sum, coin| sum.saturating_add(coin.value_sat))
    }
}

/// A request for coins of the wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The output whose claim the coins pay for.
    pub owner: OutPoint,
    /// What the coins must be worth together, in satoshi, after paying for their own inputs.
    pub amount_sat: u64,
    /// The feerate that the coins' own inputs are counted with, in satoshi per kiloweight.
    pub feerate_sat_per_kw: u32,
    /// The height by which the claim should be confirmed; the nearest deadline is served first.
    pub deadline: Option<Height>,
    /// What is at stake, in satoshi; of equal deadlines the greatest value is served first.
    pub value_sat: u64,
    /// The tip when it was asked.
    pub at: Height,
}

/// Confirmed coins that the wallet should have free. The fees of anchor channels come from the wallet: without coins no
/// commitment is hurried, and no HTLC transaction of ours can be sent (LDK #4592, #4670: reserves that were too low).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReserveAdvice {
    /// Open channels that would need coins.
    pub channels: u64,
    /// The number of separate coins: one for each commitment, and one for each HTLC that may stand alone.
    pub coins: u64,
    /// What they should be worth together, in satoshi, at the current estimate for six blocks.
    pub amount_sat: u64,
}
