//! The sweeper: every claim in time, at the least cost. The crate's front page explains how.
//!
//! The [`Sweeper`] works on weights, values and deadlines alone ([`Terms`]). Its [`Order`]s say which claims share a
//! transaction, what each transaction offers, and which coins are asked for. It is public, so that it can be measured next to
//! other policies on any fee market. Above it, the court turns a channel's contracts into terms, and plans into transactions
//! and records.
//!
//! What was given out is never taken back (R10). A claim is over once its outpoint is spent, whichever version of its
//! transaction confirms (B53).
//!
//! Claims of different channels never share a transaction. That would save each channel the fixed weight of a transaction and
//! one output. But one counterparty's spend or pin would delay another channel's claim (R13, I13); what follows from a refusal
//! would depend on more than one channel (R5, R9); and fee and change would be split between balance sheets (I11). So each
//! channel has a sweeper of its own.
//!
//! Tests: `arb-harness/lab/tests/sweeper_suite/properties.rs`, `arb-harness/lab/tests/sweeper_suite/groups.rs`.

pub(crate) mod curve;
mod fee_inputs;
pub(crate) mod price;
mod round;
pub(crate) mod sweeper;
pub(crate) mod terms;

pub use crate::api::plan::{Ask, Branch, Declined, FeeInputs, Limit, Plan, Reason, ReserveAdvice};
pub use curve::{Now, Price};
pub use price::{WALLET_INPUT_WEIGHT, wallet_input_fee_sat};
pub use sweeper::{Group, Order, Sweeper, Trouble};
pub use terms::{Class, Parent, Pays, Stake, Terms};

pub(crate) use sweeper::Shortage;
