//! Whole runs: a seed reproduces its report, and every satoshi is accounted for.

use arb_lab::bench::fees::claims::draw;
use arb_lab::bench::fees::engine::play;
use arb_lab::bench::fees::verdict::{Verdict, judge};
use arb_lab::bench::fees::{Contestant, FeesOptions, FeesReport, run};
use arb_lab::market::{Market, MarketKind, Tape};

fn report(seed: u64, closes: u32, seeds: u32) -> FeesReport {
    run(&FeesOptions { seed, closes, seeds }, &mut |_| {})
}

#[test]
fn a_seed_is_a_report_and_seeds_add_up() {
    let mut told = Vec::new();
    let both = run(&FeesOptions { seed: 11, closes: 30, seeds: 2 }, &mut |done| told.push(done));
    assert_eq!(told, (1..=8).collect::<Vec<_>>());
    assert_eq!(both, report(11, 30, 2));
    let (first, second) = (report(11, 30, 1), report(12, 30, 1));
    assert_ne!(first.markets, second.markets);
    assert_eq!((both.seed, both.closes), (11, 60));
    for ((both, first), second) in both.markets.iter().zip(&first.markets).zip(&second.markets) {
        for ((both, first), second) in both.policies.iter().zip(&first.policies).zip(&second.policies) {
            assert_eq!((both.policy, both.claims_due), (first.policy, first.claims_due + second.claims_due));
            assert_eq!(both.fees_sat, first.fees_sat + second.fees_sat);
            assert_eq!(both.replacements, first.replacements + second.replacements);
        }
    }
}

#[test]
fn value_is_recovered_or_lost_or_a_fee() {
    for kind in MarketKind::ALL {
        for seed in [1, 2] {
            let tape = Tape::of(&Market::new(kind, seed), 8_064);
            for close in draw(seed, 60) {
                let verdicts = judge(&close, &tape);
                // A second-level output is worth what its HTLC was, once.
                let counted = close.claims.iter().filter(|claim| claim.after.is_none());
                let counted = counted.filter(|claim| verdicts[claim.id] == Verdict::Counted);
                let value_sat: u64 = counted.map(|claim| claim.amount_sat).sum();
                for contestant in Contestant::ALL {
                    let account = play(&close, &verdicts, &tape, &mut *contestant.policy());
                    let out = account.lost_sat + account.fees_from_value_sat;
                    assert_eq!(
                        i128::from(value_sat),
                        i128::from(account.recovered_sat) + i128::from(out),
                        "{account:?}"
                    );
                    assert_eq!(account.value_sat, value_sat);
                    assert!(account.deadlines_missed <= account.claims_due);
                }
            }
        }
    }
}

#[test]
fn the_markets_differ_as_they_should() {
    let report = report(1, 150, 1);
    let names: Vec<&str> = report.markets.iter().map(|market| market.market).collect();
    assert_eq!(names, ["calm", "day-night", "spike", "flood"]);
    let hopeless: Vec<u64> = report.markets.iter().map(|market| market.policies[0].hopeless).collect();
    assert!(hopeless[0] < hopeless[1] && hopeless[1] < hopeless[3], "{hopeless:?}");
    for market in &report.markets {
        let policies: Vec<&str> = market.policies.iter().map(|policy| policy.policy).collect();
        assert_eq!(policies, ["arb", "lnd", "ldk", "eclair"]);
        assert!(market.policies.iter().all(|policy| policy.claims_due > 100 && policy.recovered_sat > 0));
    }
}
