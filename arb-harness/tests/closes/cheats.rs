//! The world of the scenarios with a revoked commitment: what the cheat wins, it wins where the scenario says so.

use std::collections::BTreeMap;

use arb_core::bolt3::{SpendPath, classify_spend};
use arb_core::{CloseKind, HtlcRef, Side};
use arb_harness::demo::{Preimages, Scenario};
use arb_harness::fixture::ChannelFixture;

use super::{Played, play};

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

#[test]
fn a_cheat_wins_the_block_after_its_commitment() {
    for scenario in Scenario::revoked() {
        let name = scenario.name();
        let played = play(scenario);
        assert_eq!(played.ending.close, Some(CloseKind::Revoked), "{name}");
        assert_eq!(played.process.appends, played.process.restarts, "{name}: it did not die after every append");
        assert!(played.oracle.balances(), "{name}: {:?}", played.oracle);
        let preimages = ChannelFixture::bolt3_preimages();
        let (won, expected): (Vec<HtlcRef>, _) = match scenario.preimages {
            Preimages::Known => (vec![HtlcRef::offered(2), HtlcRef::offered(3)], true),
            Preimages::Never => ([0, 1, 4].map(HtlcRef::received).to_vec(), false),
            Preimages::Late | Preimages::None => (Vec::new(), false),
        };
        let spends = spends(scenario, &played);
        let at_once: Vec<HtlcRef> =
            spends.iter().filter(|(_, (after, _))| *after == 1).map(|(htlc, _)| *htlc).collect();
        assert_eq!(at_once, won, "{name}");
        for htlc in won {
            let path =
                if expected { SpendPath::SecondLevelSuccess(preimages[&htlc]) } else { SpendPath::SecondLevelTimeout };
            assert_eq!(spends[&htlc].1, path, "{name} {htlc}");
        }
    }
}
