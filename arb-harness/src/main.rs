//! The `arb` program.
fn main() {}
