//! Incidents of other implementations, by the ids of `arb_core::incidents`: which outcome an HTLC that we sent gets.

use arb_core::{
    Acknowledged, Alert, CloseKind, ContractOutcome, Event, FailReason, HtlcRef, Link, Side, StageRecord, Upstream,
};
use arb_lab::fixture::{ChannelFixture, ChannelSetup, Close};
use arb_lab::peer::Claimant;
use bitcoin::{ScriptBuf, Transaction};

use crate::test_court::{
    ANCHORS, CAPACITY_SAT, RATES, START, TYPES, TestCourt, channel, key, learned, offered, output_of, position,
    preimage, received, spend, state,
};

const SETTLED: fn(u8) -> Option<Upstream> = |secret| Some(Upstream::Settled(preimage(secret)));

fn failed(why: FailReason) -> Option<Upstream> {
    Some(Upstream::Failed(why))
}

/// The counterparty's spend, with the preimage, of an HTLC that we offered, on its commitment or on ours.
pub fn peer_takes(fixture: &ChannelFixture, side: Side, number: u64, htlc: HtlcRef, secret: u8) -> Transaction {
    let commitment = fixture.commitment(side, number).unwrap();
    let claimant = Claimant { fixture, side: Side::Remote, commitment: &commitment, rates: RATES };
    let index = position(fixture, side, number, htlc);
    match side {
        Side::Local => claimant.direct(index, Some(preimage(secret)), ScriptBuf::new()).unwrap().unwrap(),
        Side::Remote => claimant.second_level(index, Some(preimage(secret)), None).unwrap(),
    }
}

#[test]
fn b1_a_revoked_close_is_not_mutual_whatever_it_pays_to() {
    for channel_type in TYPES {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        test.open(&mut fixture, &[offered(0, 50_000, 1, 500, Link::Own)]);
        test.update(&mut fixture, 1, &[]);
        let revoked = fixture.remote_commitment_tx(0).unwrap();
        // The counterparty's closing script equals the script of its output on the revoked commitment.
        let script = revoked.output.last().unwrap().script_pubkey.clone();
        let close = Close {
            local_sat: 4_000_000,
            local_script: fixture.setup().fallback_script.clone(),
            remote_sat: 4_000_000,
            remote_script: script,
        };
        test.hear(fixture.mutual_close(close).unwrap().event);
        // Number and secret decide even if the revoked txid is on the list of closings.
        let closing = arb_core::ClosingSigned { channel: fixture.id(), tx: revoked.clone(), local_output: None };
        test.hear(Event::ClosingSigned(Box::new(closing)));
        test.block(std::slice::from_ref(&revoked));
        assert_eq!(test.close_kind(&fixture), Some(CloseKind::Revoked));
        assert!(matches!(test.alerts(&fixture)[..], [Alert::RevokedCommitment { number: 0, .. }]));
        // Its outputs are watched, because a preimage may be shown there.
        let outpoint = output_of(&fixture, Side::Remote, 0, HtlcRef::offered(0));
        assert!(test.court.channel(test.index(&fixture)).unwrap().watches(&outpoint));
    }
}

#[test]
fn b4_a_preimage_for_an_htlc_that_only_their_commitment_still_has_settles() {
    for channel_type in TYPES {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        let htlc = HtlcRef::offered(0);
        test.open(&mut fixture, &[offered(0, 50_000, 1, 500, Link::Own)]);
        // The counterparty fails it: our commitment 1 no longer has it, theirs still does.
        test.hear(fixture.local_signed(1, state(&[])).unwrap());
        test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
        assert_eq!(test.outcome(&fixture, htlc), None);
        test.block(&[peer_takes(&fixture, Side::Remote, 0, htlc, 1)]);
        assert_eq!(test.outcome(&fixture, htlc), SETTLED(1));
        assert_eq!(test.acknowledged(&fixture, htlc), Some(Acknowledged::Settled));
    }
}

#[test]
fn b7_a_revoked_close_fails_every_outgoing_htlc_by_id_once_it_is_buried() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[]);
    // Three HTLCs with one hash and amount, one with another hash, and one whose preimage we know.
    let live = [0, 1, 2].map(|id| offered(id, 50_000, 1, 500, Link::Own));
    let live = [&live[..], &[offered(3, 50_000, 2, 500, Link::Own), offered(4, 50_000, 3, 500, Link::Own)]].concat();
    test.update(&mut fixture, 1, &live);
    test.hear(learned(&fixture, HtlcRef::offered(4), 3));
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    assert_eq!(test.close_kind(&fixture), Some(CloseKind::Revoked));
    let depth = test.court.policy().fail_depth(CAPACITY_SAT).get();
    test.blocks_to(START + depth - 1);
    let outcomes = |test: &TestCourt| (0..5).map(|id| test.outcome(&fixture, HtlcRef::offered(id))).collect::<Vec<_>>();
    assert_eq!(outcomes(&test), [None, None, None, None, SETTLED(3)]);
    test.block(&[]);
    let fail = failed(FailReason::Revoked);
    assert_eq!(outcomes(&test), [fail, fail, fail, fail, SETTLED(3)]);
    let done = (0..5).map(|id| test.acknowledged(&fixture, HtlcRef::offered(id)));
    let expected = [Acknowledged::Failed, Acknowledged::Failed, Acknowledged::Failed, Acknowledged::Failed];
    assert!(done.eq(expected.into_iter().chain([Acknowledged::Settled]).map(Some)));
    assert_eq!(test.node.contradictions, []);
}

#[test]
fn b8_of_two_htlcs_with_one_hash_and_amount_each_gets_its_own_outcome() {
    for (channel_type, side) in TYPES.into_iter().flat_map(|kind| [(kind, Side::Local), (kind, Side::Remote)]) {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        test.open(&mut fixture, &[offered(0, 50_000, 1, 520, Link::Own), offered(1, 50_000, 1, 500, Link::Own)]);
        test.block(&[fixture.commitment_tx(side, 0).unwrap()]);
        // Id 1 expires first and is claimed after its timeout; the preimage is not known.
        test.mine_to(500);
        let first = output_of(&fixture, side, 0, HtlcRef::offered(1));
        let ours = test.sent.iter().any(|(_, tx)| tx.input.iter().any(|input| input.previous_output == first));
        assert!(ours, "{channel_type:?} {side:?}: the HTLC that expired is not claimed");
        let second = output_of(&fixture, side, 0, HtlcRef::offered(0));
        assert!(!test.sent.iter().any(|(_, tx)| tx.input.iter().any(|input| input.previous_output == second)));
        test.mine_to(510);
        assert_eq!(test.outcome(&fixture, HtlcRef::offered(1)), failed(FailReason::TimedOut));
        assert_eq!(test.outcome(&fixture, HtlcRef::offered(0)), None);
        // The counterparty takes the other one with the preimage. The outcome of id 1 was acknowledged and stays a failure.
        test.block(&[peer_takes(&fixture, side, 0, HtlcRef::offered(0), 1)]);
        assert_eq!(test.outcome(&fixture, HtlcRef::offered(0)), SETTLED(1));
        assert_eq!(test.outcome(&fixture, HtlcRef::offered(1)), failed(FailReason::TimedOut));
        test.mine_to(800);
        let outcome = |id| {
            let reports = test.node.reports.iter();
            let mut of = reports.filter(|(_, report)| report.htlc == Some(HtlcRef::offered(id)));
            of.next().map(|(_, report)| report.outcome)
        };
        assert_eq!((outcome(0), outcome(1)), (Some(ContractOutcome::TakenByPeer), Some(ContractOutcome::Claimed)));
    }
}

#[test]
fn b38_a_revocation_key_is_no_preimage_and_no_error() {
    for side in [Side::Local, Side::Remote] {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
        let htlc = HtlcRef::offered(0);
        test.open(&mut fixture, &[offered(0, 50_000, 1, 500, Link::Own)]);
        test.block(&[fixture.commitment_tx(side, 0).unwrap()]);
        let commitment = fixture.commitment(side, 0).unwrap();
        let (outpoint, _, script) = commitment.htlc_output(0).unwrap();
        let key = commitment.built.keys.revocation.0.to_vec();
        let witness = vec![vec![0x30; 71], key, script.to_bytes()];
        test.block(&[spend(&[(outpoint, witness)], ScriptBuf::new(), 1000)]);
        assert_eq!(test.outcome(&fixture, htlc), None);
        test.blocks_to(START + 2 + test.court.policy().fail_depth(CAPACITY_SAT).get());
        assert_eq!(test.outcome(&fixture, htlc), failed(FailReason::TimedOut));
        test.blocks_to(START + 110);
        assert_eq!(test.contract_report(&fixture, htlc), Some(ContractOutcome::Lost));
    }
}

#[test]
fn b39_an_annex_hides_no_preimage() {
    for side in [Side::Local, Side::Remote] {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
        let htlc = HtlcRef::offered(0);
        test.open(&mut fixture, &[offered(0, 50_000, 1, 500, Link::Own)]);
        test.block(&[fixture.commitment_tx(side, 0).unwrap()]);
        let mut tx = peer_takes(&fixture, side, 0, htlc, 1);
        tx.input[0].witness.push([0x50, 1, 2]);
        test.block(&[tx]);
        assert_eq!(test.outcome(&fixture, htlc), SETTLED(1));
        test.blocks_to(START + 110);
        assert_eq!(test.contract_report(&fixture, htlc), Some(ContractOutcome::TakenByPeer));
    }
}

#[test]
fn b59_a_revoked_number_that_is_also_ours_is_revoked() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[]);
    // Our commitment is number 1; theirs moves on to 2, so their revoked 1 has the number of ours.
    test.update(&mut fixture, 1, &[offered(0, 50_000, 1, 500, Link::Own)]);
    test.hear(fixture.remote_signed(2, state(&[])).unwrap());
    test.hear(fixture.remote_revoked(1).unwrap());
    test.block(&[fixture.remote_commitment_tx(1).unwrap()]);
    assert_eq!(test.close_kind(&fixture), Some(CloseKind::Revoked));
    test.disconnect_to(START);
    test.block(&[fixture.local_commitment_tx(1).unwrap()]);
    assert_eq!(test.close_kind(&fixture), Some(CloseKind::Local));
}

/// A channel whose sides trim offered HTLCs at different amounts.
fn asymmetric() -> (TestCourt, ChannelFixture) {
    // The dust limit is 546 sat on both, but HTLC-success on their commitment costs more than HTLC-timeout on ours.
    let (mut test, fixture) = (TestCourt::new(), channel(1, arb_core::bolt3::ChannelType::StaticRemotekey));
    test.open_bare(&fixture);
    (test, fixture)
}

#[test]
fn b63_an_htlc_that_one_unrevoked_commitment_has_an_output_for_is_not_failed_at_once() {
    // At 1000 sat/kw HTLC-timeout costs 663 sat and HTLC-success 703: from 1209 to 1248 sat only ours has an output.
    let sat = 546 + 663 + 20;
    let htlc = HtlcRef::offered(0);
    let (mut test, mut fixture) = asymmetric();
    test.hear(fixture.remote_signed(0, state(&[offered(0, sat, 1, 500, Link::Own)])).unwrap());
    test.hear(fixture.local_signed(0, state(&[offered(0, sat, 1, 500, Link::Own)])).unwrap());
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    assert_eq!(test.outcome(&fixture, htlc), None, "a reorg to our commitment would bring its output back");
    let depth = test.court.policy().fail_depth(CAPACITY_SAT).get();
    test.blocks_to(START + depth);
    assert_eq!(test.outcome(&fixture, htlc), failed(FailReason::NotOnConfirmed));
    assert_eq!(test.contract(&fixture, htlc).stage, StageRecord::Done(ContractOutcome::NoOutput));

    // Trimmed on both: no commitment that can confirm has an output, so it fails at once (LL7, RL5).
    let (mut test, mut fixture) = asymmetric();
    test.open_states(&mut fixture, &[offered(0, 546 + 600, 1, 500, Link::Own)]);
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    assert_eq!(test.outcome(&fixture, htlc), failed(FailReason::OnNoCommitment));
}

#[test]
fn b63_nor_is_one_that_only_their_pending_commitment_has() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let htlc = HtlcRef::offered(0);
    test.open(&mut fixture, &[]);
    test.hear(fixture.remote_signed(1, state(&[offered(0, 50_000, 1, 500, Link::Own)])).unwrap());
    test.block(&[fixture.local_commitment_tx(0).unwrap()]);
    assert_eq!(test.outcome(&fixture, htlc), None);
    // The reorg for which the failure had to wait.
    test.disconnect_to(START);
    test.block(&[fixture.remote_commitment_tx(1).unwrap()]);
    assert_eq!(test.close_kind(&fixture), Some(CloseKind::RemotePending));
    test.block(&[peer_takes(&fixture, Side::Remote, 1, htlc, 1)]);
    assert_eq!(test.outcome(&fixture, htlc), SETTLED(1));
}

#[test]
fn l7_an_htlc_trimmed_on_the_confirmed_commitment_only_gets_exactly_one_outcome() {
    let sat = 546 + 663 + 20;
    for side in [Side::Local, Side::Remote] {
        let (mut test, mut fixture) = asymmetric();
        let upstream = &mut channel(2, ANCHORS);
        test.open(upstream, &[received(7, 2000, 1, 540)]);
        let link = Link::Forward(key(upstream, HtlcRef::received(7)));
        test.open_states(&mut fixture, &[offered(0, sat, 1, 500, link)]);
        test.block(&[fixture.commitment_tx(side, 0).unwrap()]);
        test.mine_to(530);
        let outcomes: Vec<_> = test.frames.0.iter().flat_map(|frame| &frame.entries).collect();
        let released = outcomes.iter().flat_map(|entry| &entry.concluded);
        let released = released.filter(|record| matches!(record.what, arb_core::Conclusion::Released { .. })).count();
        assert_eq!(released, 1, "{side:?}");
        assert_eq!(test.acknowledged(&fixture, HtlcRef::offered(0)), Some(Acknowledged::Failed), "{side:?}");
    }
}

#[test]
fn d6_our_own_direct_timeout_is_no_preimage() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let htlc = HtlcRef::offered(0);
    test.open(&mut fixture, &[offered(0, 50_000, 1, START + 10, Link::Own)]);
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    test.mine_to(START + 12);
    let outpoint = output_of(&fixture, Side::Remote, 0, htlc);
    let (_, tx) = test.sent.iter().find(|(_, tx)| tx.input[0].previous_output == outpoint).unwrap();
    assert_eq!(tx.input[0].witness.len(), 3, "signature, nothing, script");
    assert_eq!(test.outcome(&fixture, htlc), None);
    test.mine_to(START + 16);
    assert_eq!(test.outcome(&fixture, htlc), failed(FailReason::TimedOut));
    test.mine_to(START + 120);
    assert_eq!(test.contract_report(&fixture, htlc), Some(ContractOutcome::Claimed));
}

#[test]
fn b27_a_preimage_on_chain_is_for_what_we_offered_and_its_upstream_alone() {
    // A preimage is shown downstream; an unrelated received HTLC has the same hash (CVE-2020-26896).
    let mut test = TestCourt::new();
    let (mut upstream, mut down, mut other) = (channel(1, ANCHORS), channel(2, ANCHORS), channel(3, ANCHORS));
    test.open(&mut upstream, &[received(0, 51_000, 1, 560)]);
    test.open(&mut down, &[offered(0, 50_000, 1, 500, Link::Forward(key(&upstream, HtlcRef::received(0))))]);
    test.open(&mut other, &[received(0, 50_000, 1, 500)]);
    test.block(&[down.remote_commitment_tx(0).unwrap()]);
    test.block(&[peer_takes(&down, Side::Remote, 0, HtlcRef::offered(0), 1)]);
    let usable = |fixture, htlc| test.court.channel(test.index(fixture)).unwrap().usable(htlc);
    assert_eq!(usable(&down, HtlcRef::offered(0)), Some(preimage(1)));
    assert_eq!(usable(&upstream, HtlcRef::received(0)), Some(preimage(1)));
    assert_eq!(usable(&other, HtlcRef::received(0)), None);
}

#[test]
fn two_fundings_a_close_on_either_is_classified() {
    for which in [0, 1] {
        let (mut test, fixture) = (TestCourt::new(), channel(1, ANCHORS));
        let second = ChannelSetup {
            funding: bitcoin::OutPoint::new(fixture.setup().funding.txid, 3),
            ..fixture.setup().clone()
        };
        let mut both = [fixture, ChannelFixture::new(second)];
        test.signer.add_channel(both[0].id(), both[0].setup().funding, both[0].setup().local.clone());
        let Event::ChannelOpened(mut opened) = both[0].opened(both[0].standing(0, 0).unwrap()) else { panic!() };
        opened.facts.fundings.extend(both[1].facts().fundings);
        test.hear(Event::ChannelOpened(opened));
        test.hear(both[0].adopted());
        test.settle();
        let htlcs = [offered(0, 50_000, 1, 500, Link::Own)];
        test.hear(both[0].remote_signed(0, state(&htlcs)).unwrap());
        both[1].remote_signed(0, state(&htlcs)).unwrap();
        let Event::LocalCommitmentSigned(mut signed) = both[0].local_signed(0, state(&htlcs)).unwrap() else {
            panic!()
        };
        let Event::LocalCommitmentSigned(other) = both[1].local_signed(0, state(&htlcs)).unwrap() else { panic!() };
        signed.signatures.extend(other.signatures);
        test.hear(Event::LocalCommitmentSigned(signed));
        let spent = &both[which];
        test.block(&[spent.local_commitment_tx(0).unwrap()]);
        assert_eq!(test.close_kind(spent), Some(CloseKind::Local));
        test.disconnect_to(START);
        test.block(&[spent.remote_commitment_tx(0).unwrap()]);
        assert_eq!(test.close_kind(spent), Some(CloseKind::Remote));
        test.block(&[peer_takes(spent, Side::Remote, 0, HtlcRef::offered(0), 1)]);
        assert_eq!(test.outcome(spent, HtlcRef::offered(0)), SETTLED(1));
    }
}
