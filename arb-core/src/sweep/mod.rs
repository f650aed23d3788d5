//! The sweeper: every claim in time, at the least cost (the crate's front page has the whole of it).
//!
//! Two layers. The *desk* ([`Sweeper`], [`Terms`], [`Order`]) works on weights, values and deadlines alone: which claims share a
//! transaction, what each offers, which coins are asked for. It is public, so that it can be measured against others on any
//! fee market. Below it, this crate turns a channel's contracts into terms, and plans into transactions and records.
//!
//! What was given out is never taken back (R10); completion is known by outpoint, whichever version confirms (B53).
//!
//! Claims of different channels never share a transaction. A shared one would save each channel the frame and an output of a
//! transaction, and cost what the rest of this crate rests on: one counterparty's spend or pin would delay another channel's
//! claim (R13, I13); what follows from a refusal could not be worked out from one channel alone (R5, R9); and fee and change
//! would be parted between balance sheets (I11). So the desk is a channel's own, like everything else.

pub(crate) mod curve;
mod fee_inputs;
pub(crate) mod price;
mod round;
pub(crate) mod sweeper;
pub(crate) mod terms;

pub use crate::api::plan::{Ask, FeeInputs, Limit, Plan, ReserveAdvice};
pub use curve::{Now, Price};
pub use price::WALLET_INPUT_WEIGHT;
pub use sweeper::{Group, Order, Sweeper, Trouble};
pub use terms::{Class, Parent, Pays, Stake, Terms};

pub(crate) use price::fee_sat;
pub(crate) use sweeper::Shortage;
