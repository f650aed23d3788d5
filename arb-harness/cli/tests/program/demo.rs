//! The demonstration, and the tools that read its journals.

use std::fs;

use arb_lab::demo::Scenario;
use serde_json::Value;

use super::support::{Folder, arb, command, end, json, kept, refused};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn sorted<const N: usize>(mut names: [&str; N]) -> [&str; N] {
    names.sort_unstable();
    names
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no whole number"))
}

#[test]
fn a_scenario_as_json_says_everything_in_integers_and_lower_case() {
    let (code, report) = json(&["demo", "--scenario", "anchors-theirs-late"]);
    assert_eq!(code, 0);
    assert_eq!(keys(&report), sorted(["schema", "scenarios", "all_resolved", "sats_balance"]));
    assert_eq!((&report["all_resolved"], &report["sats_balance"]), (&Value::Bool(true), &Value::Bool(true)));
    let [scenario] = report["scenarios"].as_array().unwrap().as_slice() else { panic!("{report}") };
    let names = [
        "name",
        "channel_type",
        "closed_by",
        "appends",
        "restarts",
        "reorgs",
        "blocks",
        "journal_bytes",
        "resolved",
        "balance",
        "contracts",
    ];
    assert_eq!(keys(scenario), sorted(names));
    assert_eq!(scenario["name"], "anchors-theirs-late");
    assert_eq!(scenario["channel_type"], "anchors_zero_fee_htlc_tx");
    assert_eq!(scenario["closed_by"], "theirs");
    // It dies after every append but that of its start. That is a frame in the journal, too.
    let (appends, restarts) = (number(&scenario["appends"]), number(&scenario["restarts"]));
    assert!(restarts < appends && appends <= 3 * restarts + 3, "{restarts} restarts, {appends} appends");
    assert!(number(&scenario["appends"]) > 20 && number(&scenario["blocks"]) > 100);
    assert!(number(&scenario["journal_bytes"]) > 1_000);
    let balance = &scenario["balance"];
    let right = [
        "swept_sat",
        "wallet_change_sat",
        "fees_sat",
        "peer_sat",
        "contested_unclaimed_sat",
        "uneconomic_sat",
        "lost_sat",
    ];
    let left = number(&balance["capacity_sat"]) + number(&balance["wallet_in_sat"]);
    assert_eq!(left, right.iter().map(|term| number(&balance[*term])).sum::<u64>());
    assert_eq!(keys(balance).len(), 9);
    let contracts = scenario["contracts"].as_array().unwrap();
    assert_eq!(contracts.len(), 7);
    contracts.iter().for_each(a_contract);
}

fn a_contract(contract: &Value) {
    let names = [
        "contract",
        "htlc_id",
        "direction",
        "amount_sat",
        "resolver_chain",
        "outcome",
        "upstream",
        "taken_by",
        "txids",
        "fee_sat",
    ];
    assert_eq!(keys(contract), sorted(names));
    let is_one_of = |name: &str, of: &[&str]| assert!(of.iter().any(|one| contract[name] == *one), "{contract}");
    is_one_of("contract", &["to_local", "to_remote", "anchor", "htlc"]);
    is_one_of("upstream", &["settled", "failed", "none"]);
    is_one_of("taken_by", &["us", "peer", "nobody"]);
    if contract["contract"] == "htlc" {
        is_one_of("direction", &["offered", "received"]);
        number(&contract["htlc_id"]);
    } else {
        assert!(contract["direction"].is_null() && contract["htlc_id"].is_null());
    }
    number(&contract["amount_sat"]);
    number(&contract["fee_sat"]);
    assert!(!contract["resolver_chain"].as_array().unwrap().is_empty());
    for txid in contract["txids"].as_array().unwrap() {
        let txid = txid.as_str().unwrap();
        assert!(txid.len() == 64 && txid.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{txid}");
    }
}

#[test]
fn for_people_there_are_two_tables_with_both_columns_and_nothing_is_left() {
    let folder = Folder::new("tables");
    let output =
        command(&["demo", "--scenario", "static-mutual-empty-reorg"]).env("TMPDIR", folder.path()).output().unwrap();
    let (text, progress) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{text}\n{progress}");
    for part in ["resolver chain", "court", "oracle", "+ capacity", "− lost", "the two agree", "1 reorgs"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(progress.starts_with("[1/1] 26-static-mutual-empty-reorg: resolved"), "{progress}");
    assert_eq!(folder.files(), [""; 0], "the temporary folder is gone");
}

#[test]
fn what_is_kept_is_two_files_and_every_tool_reads_them() {
    let kept = kept("static-ours-late");
    let names = ["03-static-ours-late.chain", "03-static-ours-late.redb"];
    assert_eq!(kept.folder.files(), names);
    let journal = kept.journal.to_str().unwrap();
    let appends = &kept.report["scenarios"][0]["appends"];

    let (code, replayed) = json(&["replay", journal, "--check"]);
    assert_eq!((code, &replayed["first_difference"]), (0, &Value::Null));
    assert_eq!((&replayed["frames"], &replayed["decided"]), (appends, appends), "every frame was an append");
    assert!(arb(&["replay", journal, "--check"]).stdout.contains("no difference"));

    let (code, history) = json(&["history", journal]);
    let told = history["frames"].as_array().unwrap();
    assert_eq!((code, told.len() as u64), (0, number(appends)));
    let lines = arb(&["history", journal]).stdout;
    assert_eq!(lines.lines().count() as u64, number(appends), "a line a frame");
    assert!(
        lines.contains("the operator wants a close → frozen") && lines.contains("the channel is resolved"),
        "{lines}"
    );

    let (code, inspected) = json(&["inspect", journal]);
    assert_eq!((code, &inspected["frames"], &inspected["network"]), (0, appends, &Value::from("regtest")));
    assert_eq!(inspected["channels"], Value::Array(vec![]), "it is resolved and gone");
    let (_, inspected) = json(&["inspect", journal, "--at", "30"]);
    let channel = &inspected["channels"][0];
    assert_eq!((&inspected["frames"], &channel["stage"]), (&Value::from(30), &Value::from("resolving")));
    let contracts = channel["contracts"].as_array().unwrap();
    assert!(contracts.iter().any(|contract| contract["stage"] == "contested"), "{channel}");
    assert!(number(&channel["limbo_sat"]) > 6_000_000);

    let id = channel["id"].as_str().unwrap();
    let (_, only) = json(&["history", journal, "--channel", id]);
    let only = only["frames"].as_array().unwrap();
    assert!(!only.is_empty() && only.len() < told.len());
    assert_eq!(kept.folder.files(), names, "reading left no file");

    let file = kept.folder.join("report.arb");
    let file = file.to_str().unwrap();
    assert_eq!(json(&["export", journal, file]).1["frames"], *appends);
    for reading in [&["replay", "--check"][..], &["history"], &["inspect"], &["inspect", "--at", "30"]] {
        let of = |path| json(&[reading, &[path]].concat());
        assert_eq!(of(file), of(journal), "{reading:?} says the same of both");
    }
    assert!(refused(&["export", journal, file]).contains("exists"), "nothing is overwritten");
}

#[test]
fn reading_fences_nobody() {
    use arb_harness::redb_store::RedbStore;
    use arb_log::Storage;
    let kept = kept("static-mutual-empty");
    let epoch = |store: &mut RedbStore| store.claim().unwrap().epoch;
    let before = epoch(&mut RedbStore::open(&kept.journal).unwrap());
    for tool in [&["history"][..], &["replay", "--check"], &["inspect"]] {
        assert_eq!(arb(&[tool, &[kept.journal.to_str().unwrap()]].concat()).code, 0);
    }
    assert_eq!(epoch(&mut RedbStore::open(&kept.journal).unwrap()), before + 1, "the second claim is this test's own");
}

#[test]
fn a_finished_demonstration_is_not_overwritten_and_resuming_it_shows_it_again() {
    let kept = kept("anchors-mutual-empty");
    let folder = kept.folder.path().to_str().unwrap();
    let said = refused(&["demo", "--scenario", "anchors-mutual-empty", "--keep", folder]);
    assert!(said.contains("arb resume"), "{said}");
    let chain = fs::read(&kept.chain).unwrap();
    let (code, resumed) = json(&["resume", folder]);
    assert_eq!((code, end(&resumed)), (0, end(&kept.report)));
    assert_eq!(fs::read(&kept.chain).unwrap(), chain, "the chain did not grow");
}

#[test]
fn the_simulator_runs_from_its_seed() {
    let (code, report) = json(&["sim", "--seed", "7", "--runs", "2"]);
    assert_eq!((number(&report["seed"]), number(&report["runs"])), (7, 2), "{report}");
    // The simulator's own tests check that a run is good; this one checks the exit code.
    let bad = ["invariant_violations", "unresolved", "lost_sat", "given_up_sat"]
        .iter()
        .any(|count| number(&report[*count]) > 0);
    assert_eq!(code, i32::from(bad), "{report}");
    let names = [
        "schema",
        "seed",
        "runs",
        "steps",
        "runs_per_s",
        "invariant_violations",
        "unresolved",
        "lost_sat",
        "uneconomic_sat",
        "anchors_sat",
        "priced_out_sat",
        "out_of_reach_sat",
        "given_up_sat",
        "paid_sat",
        "gained_sat",
        "overpaid_sat",
        "counts",
        "failures",
    ];
    assert_eq!(keys(&report), sorted(names));
    assert_eq!(json(&["sim", "--seed", "7", "--runs", "2"]).1["counts"], report["counts"], "the same again");
    let threads = json(&["sim", "--seed", "7", "--runs", "2", "--jobs", "2", "--stop-at-first"]).1;
    assert_eq!(threads["counts"], report["counts"], "on two threads, too");
    let money = json(&["sim", "--seed", "7", "--runs", "2", "--focus", "money"]).1;
    assert_ne!(money["counts"], report["counts"], "other worlds");
    assert_eq!(arb(&["sim", "--runs", "0"]).code, 2);
    assert_eq!(arb(&["sim", "--jobs", "0"]).code, 2);
    assert_eq!(arb(&["sim", "--focus", "love"]).code, 2);
}

#[test]
fn an_unknown_scenario_is_refused_with_the_list() {
    let said = refused(&["demo", "--scenario", "anchors-ours-sometimes"]);
    for scenario in Scenario::all() {
        assert!(said.contains(&scenario.name()), "{said}");
    }
    assert_eq!(arb(&["demo", "--sometimes"]).code, 2);
    assert_eq!(arb(&["plead"]).code, 2);
    assert_eq!(arb(&["--help"]).code, 0);
}
