//! `arb bench fees`: its object, its table, and what it refuses.

use serde_json::Value;

use super::support::{arb, json, refused};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The keys in alphabetical order, as a parsed object has them.
fn sorted<const N: usize>(mut names: [&str; N]) -> Vec<&str> {
    names.sort_unstable();
    names.to_vec()
}

#[test]
fn the_object_has_every_market_and_every_policy() {
    let (code, report) = json(&["bench", "fees", "--seed", "5", "--closes", "12", "--seeds", "2"]);
    assert_eq!(code, 0);
    assert_eq!(keys(&report), sorted(["schema", "seed", "closes", "markets"]));
    assert_eq!((report["seed"].as_u64(), report["closes"].as_u64()), (Some(5), Some(24)));
    let markets = report["markets"].as_array().unwrap();
    let names: Vec<&str> = markets.iter().map(|market| market["market"].as_str().unwrap()).collect();
    assert_eq!(names, ["calm", "day-night", "spike", "flood"]);
    for market in markets {
        assert_eq!(keys(market), sorted(["market", "policies"]));
        let policies = market["policies"].as_array().unwrap();
        let names: Vec<&str> = policies.iter().map(|policy| policy["policy"].as_str().unwrap()).collect();
        assert_eq!(names, ["arb", "lnd", "ldk", "eclair"]);
        for policy in policies {
            let counts = [
                "claims_due",
                "hopeless",
                "deadlines_missed",
                "fees_sat",
                "recovered_sat",
                "lost_sat",
                "replacements",
                "policy",
            ];
            assert_eq!(keys(policy), sorted(counts));
            assert!(counts[..7].iter().all(|count| policy[*count].is_u64()), "{policy}");
            assert!(policy["claims_due"].as_u64() > Some(0) && policy["recovered_sat"].as_u64() > Some(0));
        }
    }
    assert_eq!(json(&["bench", "fees", "--seed", "5", "--closes", "12", "--seeds", "2"]).1, report, "the same again");
}

#[test]
fn the_table_marks_the_best() {
    let ran = arb(&["bench", "fees", "--closes", "40"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.starts_with("seed 1: 40 closes"), "{}", ran.stdout);
    assert_eq!(ran.stdout.matches("claims due").count(), 4, "{}", ran.stdout);
    for line in ran.stdout.lines().filter(|line| line.starts_with("│ policy")) {
        assert!(line.contains("fees sat") && line.contains("recovered sat"), "{line}");
    }
    assert!(ran.stdout.matches(" *").count() >= 4 * 5, "{}", ran.stdout);
    assert!(ran.stdout.matches(',').count() > 20, "thousands are separated: {}", ran.stdout);
    assert!(ran.stderr.contains("[4/4]"), "{}", ran.stderr);
}

#[test]
fn nothing_to_play_is_refused() {
    assert_eq!(refused(&["bench", "fees", "--closes", "0"]), "arb: --closes must be at least 1\n");
    assert_eq!(refused(&["bench", "fees", "--seeds", "0", "--json"]), "arb: --seeds must be at least 1\n");
    for bad in [&["bench"][..], &["bench", "fees", "--closes", "many"], &["bench", "fees", "--seed", "-1"]] {
        assert_eq!(arb(bad).code, 2, "{bad:?}");
    }
}
