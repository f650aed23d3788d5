//! `arb inspect` on the sweeper: its transactions, the coins that it asks for, and the reserve advice.

use arb_core::{Conclusion, Event, Frame};
use serde_json::Value;

use super::support::{arb, frames, json, kept};

/// The first frame from `from` on with such a conclusion.
fn first(frames: &[Frame], from: u64, is: impl Fn(&Conclusion) -> bool) -> u64 {
    let has = |frame: &&Frame| frame.entries.iter().flat_map(|entry| &entry.concluded).any(|record| is(&record.what));
    frames.iter().filter(|frame| frame.sequence >= from).find(has).expect("there is such a frame").sequence
}

fn at(journal: &str, sequence: u64) -> (Value, String) {
    let sequence = sequence.to_string();
    let (code, value) = json(&["inspect", journal, "--at", &sequence]);
    let text = arb(&["inspect", journal, "--at", &sequence]);
    assert_eq!((code, text.code), (0, 0));
    (value, text.stdout)
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn what_is_asked_of_the_wallet_and_what_is_under_way() {
    let kept = kept("anchors-ours-known");
    let journal = kept.journal.to_str().unwrap();
    let frames = frames(&kept.journal);

    let asked = first(&frames, 1, |record| matches!(record, Conclusion::FeeInputsRequested(_)));
    let (value, text) = at(journal, asked);
    let wanted = &value["channels"][0]["coins_wanted"][0];
    assert_eq!(keys(wanted), ["amount_sat", "claim", "deadline", "missing_sat", "value_sat"]);
    assert!(wanted["amount_sat"].as_u64() > Some(0) && wanted["value_sat"].as_u64() > Some(0), "{wanted}");
    assert!(wanted["missing_sat"].is_null(), "nobody has answered: {wanted}");
    let line = format!("coins wanted: {} sat for {}", wanted["amount_sat"], wanted["claim"].as_str().unwrap());
    assert!(text.contains(&line), "{text}");

    let with_coins = |record: &Conclusion| matches!(record, Conclusion::SweepPlanned(sweep) if !sweep.plan.fee_inputs.coins.is_empty());
    let planned = first(&frames, asked, |record| with_coins(record));
    let (value, text) = at(journal, planned);
    let sweeps = value["channels"][0]["sweeps"].as_array().unwrap();
    let sweep = sweeps.iter().find(|sweep| sweep["coins"].as_array().is_some_and(|coins| !coins.is_empty())).unwrap();
    let mut names = [
        "number",
        "txid",
        "claims",
        "wanted_sat_per_kw",
        "offered_sat_per_kw",
        "limit",
        "fee_sat",
        "coins",
        "signed",
        "trouble",
        "reason",
    ];
    names.sort_unstable();
    assert_eq!(keys(sweep), names);
    assert_eq!((&sweep["signed"], &sweep["trouble"]), (&Value::Bool(false), &Value::Null));
    assert!(sweep["offered_sat_per_kw"].as_u64() <= sweep["wanted_sat_per_kw"].as_u64(), "{sweep}");
    assert!(!sweep["claims"].as_array().unwrap().is_empty() && sweep["fee_sat"].as_u64() > Some(0), "{sweep}");
    assert!(text.contains("sat/kw wanted / offered") && text.contains("waits for the signer"), "{text}");
    let reason = &sweep["reason"];
    let names =
        ["at_stake_sat", "branch", "budget_sat", "claim", "deadline", "estimate_age_blocks", "estimate_sat_per_kw"];
    assert_eq!(keys(reason), names);
    assert!(reason["budget_sat"].as_u64() <= reason["at_stake_sat"].as_u64(), "{reason}");
    let told = format!("{} sat at stake, up to {} sat for fees", reason["at_stake_sat"], reason["budget_sat"]);
    assert!(text.contains(&told), "{text}");
    let history = arb(&["history", journal]).stdout;
    assert!(history.contains(&told), "the frames say it, too");
}

#[test]
fn the_advice_is_for_channels_that_are_open() {
    let kept = kept("anchors-theirs-late");
    let journal = kept.journal.to_str().unwrap();
    let frames = frames(&kept.journal);
    let signed = |event: &Event| matches!(event, Event::RemoteCommitmentSigned(_));
    let opened = frames.iter().find(|frame| frame.entries.iter().any(|entry| signed(&entry.heard))).unwrap();
    let (value, text) = at(journal, opened.sequence);
    let advice = &value["reserve_advice"];
    assert_eq!(keys(advice), ["channels", "coins", "sat"]);
    assert_eq!(advice["channels"], 1);
    assert!(advice["coins"].as_u64() > Some(1), "the commitment, and each HTLC: {advice}");
    assert!(advice["sat"].as_u64() > advice["coins"].as_u64(), "{advice}");
    assert!(text.contains(&format!("reserve: {} confirmed coins, {} sat", advice["coins"], advice["sat"])), "{text}");
    // At the last frame the channel is closed and gone.
    let (value, text) = at(journal, frames.last().unwrap().sequence);
    assert_eq!(value["reserve_advice"]["channels"], 0);
    assert!(text.contains("no open channel needs coins"), "{text}");
}
