//! The court on a bench: bad input, the order of log and actions, incidents of other implementations by name, the policy's
//! rules, and scenarios as text.
#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test for something else")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one variant and panics at the others")]

mod bad_answers;
mod bad_commitments;
mod bad_input;
mod bench;
mod breach;
mod breach_state;
mod breach_thief;
mod duplicates;
mod going_to_chain;
mod incidents_contracts;
mod incidents_outcomes;
mod incidents_restart;
mod log_order;
mod names;
mod outcomes;
mod parts;
mod properties;
mod ratchets;
mod scenarios;
mod story;
