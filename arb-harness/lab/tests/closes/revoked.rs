//! The scenarios with a revoked commitment: which outputs the cheating peer gets, and when.

use std::collections::BTreeMap;

use arb_core::bolt3::{SpendPath, classify_spend};
use arb_core::{Alert, ContractId, ContractKind, ContractOutcome, HtlcRef, Side, TakenBy};
use arb_lab::demo::stage::WITHHELD;
use arb_lab::demo::{Preimages, Scenario};
use arb_lab::fixture::ChannelFixture;

use super::Played;

/// How each HTLC of the revoked commitment was spent, and how many blocks after the commitment.
fn spends(scenario: Scenario, played: &Played) -> BTreeMap<HtlcRef, (u32, SpendPath)> {
    let (mut fixture, number) = (ChannelFixture::bolt3(scenario.channel_type), ChannelFixture::BOLT3_NUMBER);
    fixture.sign_unheard(Side::Remote, number, ChannelFixture::bolt3_state(scenario.channel_type));
    let commitment = fixture.commitment(Side::Remote, number).unwrap();
    let (confirmed, _) = played.chain.confirmed(&commitment.built.txid).expect("the revoked commitment is confirmed");
    let spend = |(index, htlc): (usize, &arb_core::Htlc)| {
        let (outpoint, txout, _) = commitment.htlc_output(index).unwrap();
        let (height, txid, input) = played.chain.spender_of(&outpoint)?;
        let (_, tx) = played.chain.confirmed(&txid)?;
        Some((htlc.key, (height - confirmed, classify_spend(&txout.script_pubkey, &tx.input[input].witness))))
    };
    commitment.htlcs.iter().enumerate().filter_map(spend).collect()
}

/// Panics unless the peer takes its HTLCs in the block after its commitment, and in the end keeps only those whose penalties
/// a miner withheld.
pub fn judge(scenario: Scenario, played: &Played) {
    wins_the_next_block(scenario, played);
    keeps_what_was_withheld(scenario, played);
}

fn wins_the_next_block(scenario: Scenario, played: &Played) {
    let (name, preimages) = (scenario.name(), ChannelFixture::bolt3_preimages());
    let (won, with_preimage): (Vec<HtlcRef>, _) = match scenario.preimages {
        Preimages::Known => (vec![HtlcRef::offered(2), HtlcRef::offered(3)], true),
        Preimages::Never => ([0, 1, 4].map(HtlcRef::received).to_vec(), false),
        Preimages::Late | Preimages::None => (Vec::new(), false),
    };
    let spends = spends(scenario, played);
    let at_once: Vec<HtlcRef> = spends.iter().filter(|(_, (after, _))| *after == 1).map(|(htlc, _)| *htlc).collect();
    assert_eq!(at_once, won, "{name}");
    for htlc in won {
        let success = || SpendPath::SecondLevelSuccess(preimages[&htlc]);
        let path = if with_preimage { success() } else { SpendPath::SecondLevelTimeout };
        assert_eq!(spends[&htlc].1, path, "{name} {htlc}");
    }
}

fn keeps_what_was_withheld(scenario: Scenario, played: &Played) {
    let name = scenario.name();
    let lost: &[HtlcRef] = if scenario.withheld { &WITHHELD } else { &[] };
    let reports = &played.ending.reports;
    let kinds = [ContractKind::RevokedToLocal, ContractKind::ToRemote].map(|kind| (kind, None));
    let htlcs = ChannelFixture::bolt3_preimages().into_keys().map(|htlc| (ContractKind::Htlc, Some(htlc)));
    let mut lost_outputs = Vec::new();
    for (kind, htlc) in kinds.into_iter().chain(htlcs) {
        let of = reports.iter().filter(|report| (report.kind, report.htlc) == (kind, htlc)).collect::<Vec<_>>();
        let [report] = of.as_slice() else { panic!("{name} {kind:?} {htlc:?}: {of:?}") };
        let is_lost = htlc.is_some_and(|htlc| lost.contains(&htlc));
        let expected = if is_lost { ContractOutcome::Lost } else { ContractOutcome::Claimed };
        assert_eq!(report.outcome, expected, "{name} {kind:?} {htlc:?}");
        assert_eq!(report.outcome.taken_by(), if is_lost { TakenBy::Peer } else { TakenBy::Us });
        if let (true, ContractId::Output(outpoint)) = (is_lost, report.id) {
            lost_outputs.push(outpoint);
        }
    }
    // The only other contract is our anchor, which is uneconomic.
    let others = reports.iter().filter(|report| report.outcome.taken_by() == TakenBy::Nobody);
    assert!(others.clone().all(|report| report.kind == ContractKind::Anchor), "{name}: {reports:?}");
    assert_eq!(reports.len(), 7 + others.count(), "{name}: {reports:?}");
    // One alert for each lost output, and none for another.
    let outpoint = |alert: &Alert| if let Alert::OutputLost { outpoint, .. } = alert { Some(*outpoint) } else { None };
    let mut alerts: Vec<_> = played.node.alerts.iter().filter_map(|(_, alert)| outpoint(alert)).collect();
    alerts.sort_unstable();
    lost_outputs.sort_unstable();
    assert_eq!(alerts, lost_outputs, "{name}");
    assert_eq!(played.ending.sheet.map(|sheet| sheet.lost_sat > 0), Some(scenario.withheld), "{name}");
}
