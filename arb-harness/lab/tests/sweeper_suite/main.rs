//! The sweeper: the desk's rules with figures, its invariants over drawn markets, and incidents of other implementations by
//! name, on a desk alone and on a court with the embedded chain.
#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test for something else")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one variant and panics at the others")]

mod closes;
mod coins;
mod curve;
mod groups;
mod incidents_desk;
mod properties;
mod refusals;
mod table;
mod town;
mod valid;
