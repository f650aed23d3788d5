//! Forty HTLCs on one close, and an adversary that acts before every block: what it pays, and what it takes.
//!
//! `cargo run --release -p arb-lab --example contest`
#![allow(clippy::print_stdout, reason = "a program that prints a table")]

use std::io::IsTerminal;

use arb_core::Side;
use arb_lab::contest::{self, Ended};

fn main() -> Result<(), String> {
    println!(
        "{:>6} {:<7} {:<6} {:<8} {:<6} {:>6} {:>5} {:>12} {:>10} {:>5} {:>8} {:>5} {:>5}",
        "sat/vB",
        "close",
        "tactic",
        "mempool",
        "coins",
        "blocks",
        "acts",
        "its spend",
        "our fees",
        "ours",
        "upstream",
        "late",
        "lost"
    );
    for (coins, contest) in contest::all() {
        let ended = contest::play(contest)?;
        let close = if contest.owner == Side::Local { "ours" } else { "theirs" };
        let mempool = if contest.sees_mempool { "seen" } else { "not seen" };
        let (price, tactic) = (contest.feerate_sat_per_kw / 250, format!("{:?}", contest.tactic));
        println!("{price:>6} {close:<7} {tactic:<6} {mempool:<8} {coins:<6} {}", text(&ended));
    }
    Ok(())
}

fn text(ended: &Ended) -> String {
    let count = |which: &dyn Fn(&contest::Fate) -> bool| ended.fates.iter().filter(|fate| which(fate)).count();
    let acts: u32 = ended.acts.values().sum();
    let ours = count(&|fate| fate.claimed.is_some());
    let upstream = count(&|fate| fate.claimed.is_none() && fate.settled.is_some());
    let (late, lost) = (count(&|fate| fate.is_late()), count(&|fate| fate.is_lost()));
    let cheapest = ended.fates.iter().filter(|fate| fate.is_late()).map(|fate| fate.spent_on_it_sat).min();
    let cheapest = cheapest.map_or(String::new(), |sat| format!("  the cheapest miss cost it {sat} sat"));
    let open = if ended.is_resolved { "" } else { "  not resolved" };
    let (blocks, spend, fees) = (ended.blocks, ended.spend_sat, ended.fees_sat);
    let lost = painted(&format!("{lost:>5}"), lost == 0);
    format!("{blocks:>6} {acts:>5} {spend:>12} {fees:>10} {ours:>5} {upstream:>8} {late:>5} {lost}{cheapest}{open}")
}

/// Green if `good`, else red, on a terminal with colours.
fn painted(word: &str, good: bool) -> String {
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    match (colours, good) {
        (false, _) => word.to_owned(),
        (true, true) => format!("\u{1b}[32m{word}\u{1b}[0m"),
        (true, false) => format!("\u{1b}[31m{word}\u{1b}[0m"),
    }
}
