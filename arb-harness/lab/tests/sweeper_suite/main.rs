//! The sweeper alone, and a court with the embedded chain.
//!
//! - `curve`, `groups`, `coins`, `refusals`: the rules of the sweeper with figures.
//! - `reasons`: why an offer is what it is, and why a claim is declined, as the records say it.
//! - `incidents_desk`: incidents of other sweepers, by the ids of `arb_core::incidents`.
//! - `faults_worth`, `faults_prices`, `faults_coins`, `faults_commitments`, `faults_bounds`: faults of this project by their ids
//!   (A…), on whole closes.
//! - `faults_sweeper`: the same on the sweeper alone.
//! - `faults_grid`: A1 and A31 over amounts and feerates, for both channel types, commitments and directions.
//! - `operator`: outputs that are given up, bounds for fees.
//! - `waiting`: what is told of outputs that wait (I12).
//! - `watch`: what the harness warns of (I17).
//! - `properties`: I7 and I8 over drawn claims, estimates, wallets and reorgs.
//! - `closes`, `valid`: whole closes on the embedded chain (I9), children, coins, bumps and reserves.
#![allow(clippy::unwrap_used, reason = "clippy does not know the helpers of tests as test code")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one variant and panics at the others")]

mod closes;
mod coins;
mod curve;
mod faults_bounds;
mod faults_coins;
mod faults_commitments;
mod faults_grid;
mod faults_prices;
mod faults_sweeper;
mod faults_worth;
mod groups;
mod incidents_desk;
mod operator;
mod properties;
mod reasons;
mod refusals;
mod test_sweeper;
mod valid;
mod waiting;
mod watch;
mod world;
