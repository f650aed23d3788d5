//! The court alone, fed with events by hand.
//!
//! - `adoption`, `i19`: running channels that join, in any order, and drawn lives of them (I19).
//! - `age`: whose state is newer (A4).
//! - `retelling`: starts after which the node tells everything again; `resolved_again`, also channels that are resolved.
//! - `bad_answers`, `bad_commitments`, `bad_input`: what is refused (R14), and that a refusal changes nothing (R1, I1).
//! - `log_order`, `duplicates`: records precede actions (R2, R3); an event that is heard again writes nothing.
//! - `exposure`: what is at the counterparty's mercy, and its bound (A12).
//! - `going_to_chain`, `outcomes`, `ratchets`: the policy's heights (R11, R12), one outcome for each HTLC that we sent (R8),
//!   what is public stays public (R10, I10), and what a reorg restores (I6).
//! - `channel_policy`: a policy for one channel.
//! - `hostile`: what somebody hostile writes into blocks costs no more than its size (I20), and little of it is kept.
//! - `breach`, `breach_state`, `breach_thief`: revoked commitments.
//! - `incidents_contracts`, `incidents_outcomes`, `incidents_restart`: incidents of other implementations, by the ids of
//!   `arb_core::incidents`.
//! - `never_funded`: channels whose funding never confirms (A19).
//! - `preimages`: those that chain and mempool show, for whom they count, and what is kept of them (R8).
//! - `properties`: drawn closes and arbitrary spends (I1, I4, I6).
//! - `searches`: which answers of a search are believed (A10), and what else they tell (A21).
//! - `signed_again`: another version of our newest commitment (A18), and checks that were made for another content (A49).
//! - `silence`: no deadline and no request passes in silence (I17, A35).
//! - `splits`: several HTLCs for one upstream HTLC (A9), and what an upstream HTLC must be (A49, A50).
//! - `superseded`: old commitments of ours, which are no breach (A32).
//! - `scenarios`: the duties of BOLT 5 as text files.
#![allow(clippy::unwrap_used, reason = "clippy does not know the helpers of tests as test code")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one variant and panics at the others")]

mod adoption;
mod age;
mod bad_answers;
mod bad_commitments;
mod bad_input;
mod breach;
mod breach_state;
mod breach_thief;
mod builders;
mod channel_policy;
mod duplicates;
mod early;
mod exposure;
mod going_to_chain;
mod hostile;
mod i19;
mod incidents_contracts;
mod incidents_outcomes;
mod incidents_restart;
mod log_order;
mod names;
mod never_funded;
mod outcomes;
mod preimages;
mod properties;
mod ratchets;
mod resolved_again;
mod retelling;
mod scenario_run;
mod scenarios;
mod searches;
mod signed_again;
mod silence;
mod splits;
mod superseded;
mod test_court;
