//! Revoked commitments when the court learns late: blocks that are caught up (R11), outputs that are searched late (R5), and
//! a revocation that comes after the commitment confirmed (R4, I9).

use arb_core::bolt3::ChannelType;
use arb_core::{
    Acknowledged, Action, CloseKind, ContractKind, ContractOutcome, Event, FoundSpend, Link, Rejected, Scanned, Side,
    SignRequest, Signed, Upstream,
};
use arb_harness::signer::Signer;
use arb_lab::fixture::ChannelFixture;
use bitcoin::{OutPoint, Transaction};

use crate::breach::{OFFERED, concluded, moved_on, outcomes, second_level, to_the_end};
use crate::test_court::{START, TYPES, TestCourt, channel, height, identity, offered, output_of, received, state};

/// [`moved_on`] with one HTLC that we sent, on the revoked commitment and on the newer ones.
fn with_an_offered_htlc(channel_type: ChannelType) -> (TestCourt, ChannelFixture, Transaction) {
    let htlcs = [offered(0, 50_000, 1, 480, Link::Own)];
    moved_on(channel_type, &htlcs, &htlcs)
}

#[test]
fn r11_no_origin_is_failed_while_blocks_that_may_show_its_preimage_are_not_heard() {
    for channel_type in TYPES {
        let (mut test, fixture, revoked) = with_an_offered_htlc(channel_type);
        // We were offline: what the counterparty did is in blocks that are not heard yet.
        test.best = Some(START + 60);
        test.block(std::slice::from_ref(&revoked));
        assert_eq!(test.close_kind(&fixture), Some(CloseKind::Revoked));
        test.blocks_to(START + 20);
        assert_eq!(test.outcome(&fixture, OFFERED), None, "buried, but the next block may show the preimage");
        test.block(&[second_level(&fixture, 0, OFFERED, Some(1))]);
        assert_eq!(test.acknowledged(&fixture, OFFERED), Some(Acknowledged::Settled));
        test.blocks_to(START + 60);
        test.best = None;
        to_the_end(&mut test, &fixture);
        assert_eq!(concluded(&test, OFFERED), 1);
    }
}

#[test]
fn r11_once_all_blocks_are_heard_a_buried_revoked_commitment_fails_what_has_no_preimage() {
    for channel_type in TYPES {
        let (mut test, fixture, revoked) = with_an_offered_htlc(channel_type);
        test.best = Some(START + 30);
        test.block(std::slice::from_ref(&revoked));
        test.blocks_to(START + 29);
        assert_eq!(test.outcome(&fixture, OFFERED), None);
        test.block(&[]);
        assert_eq!(test.acknowledged(&fixture, OFFERED), Some(Acknowledged::Failed));
    }
}

#[test]
fn r5_no_origin_is_failed_before_the_outputs_of_a_revoked_commitment_were_searched() {
    for channel_type in TYPES {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        let htlcs = [offered(0, 50_000, 1, 480, Link::Own)];
        let setup = fixture.setup().clone();
        test.signer.add_channel(setup.id, setup.funding, setup.local.clone());
        test.hear(fixture.opened(fixture.standing(0, 0).unwrap()));
        test.hear(fixture.adopted());
        test.open_states(&mut fixture, &htlcs);
        test.update(&mut fixture, 1, &htlcs);
        let scanned = |parent, spends| {
            let (channel, through) = (setup.id, identity().tip);
            Event::Scanned(Box::new(Scanned { channel, parent, through, confirmed: None, spends }))
        };
        let at = |depth: u32, tx: Transaction| vec![FoundSpend { height: height(START - depth), tx }];
        let revoked = fixture.remote_commitment_tx(0).unwrap();
        test.hear(scanned(setup.funding.txid, at(30, revoked.clone())));
        let load = test.court.actions_due().into_iter().find(|action| matches!(action, Action::LoadRevoked { .. }));
        let answer = test.answer(load.unwrap()).unwrap();
        test.hear(answer);
        assert_eq!(test.close_kind(&fixture), Some(CloseKind::Revoked));
        assert_eq!(test.outcome(&fixture, OFFERED), None, "the spends of its output are not searched for yet");
        test.hear(scanned(revoked.compute_txid(), at(20, second_level(&fixture, 0, OFFERED, Some(1)))));
        assert!(matches!(test.outcome(&fixture, OFFERED), Some(Upstream::Settled(_))));
        test.settle();
        to_the_end(&mut test, &fixture);
        assert_eq!(concluded(&test, OFFERED), 1);
    }
}

/// The `Sign` request that is due for a spend of this outpoint.
fn asked(test: &TestCourt, outpoint: OutPoint) -> SignRequest {
    let due = test.court.actions_due().into_iter();
    let requests = due.filter_map(|action| if let Action::Sign(request) = action { Some(request) } else { None });
    let spends = |request: &SignRequest| request.tx.input.iter().any(|input| input.previous_output == outpoint);
    requests.into_iter().find(spends).unwrap()
}

#[test]
fn r4_a_request_for_another_key_is_another_request() {
    for channel_type in TYPES {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        let htlcs = [offered(0, 50_000, 1, 410, Link::Own), received(0, 70_000, 2, 460)];
        test.open(&mut fixture, &htlcs);
        test.hear(fixture.remote_signed(1, state(&htlcs)).unwrap());
        test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
        test.blocks_to(409);
        test.quiet_block(&[]);
        let outpoint = output_of(&fixture, Side::Remote, 0, OFFERED);
        let before = asked(&test, outpoint);
        // The commitment is revoked before the signer answers: the transaction stays, the key is now the revocation key.
        test.hear(fixture.remote_revoked(0).unwrap());
        let after = asked(&test, outpoint);
        assert_eq!(before.tx, after.tx);
        assert_ne!(before.inputs, after.inputs);
        assert_ne!(before.id, after.id, "an answer to the first request does not answer the second");
        let late = test.signer.sign(&before).unwrap();
        let late = Signed { channel: fixture.id(), request: before.id, signatures: late };
        assert_eq!(test.refuse(&Event::Signed(Box::new(late))), Rejected::UnknownRequest(before.id));
        to_the_end(&mut test, &fixture);
        assert_eq!(outcomes(&test, ContractKind::Htlc), [ContractOutcome::Claimed; 2]);
    }
}

#[test]
fn i9_a_claim_that_waited_for_an_expiry_is_planned_anew_once_it_need_not_wait() {
    for channel_type in TYPES {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        let htlcs = [offered(0, 50_000, 1, 410, Link::Own), received(0, 70_000, 2, 460)];
        test.open(&mut fixture, &htlcs);
        test.hear(fixture.remote_signed(1, state(&htlcs)).unwrap());
        test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
        test.blocks_to(411);
        test.hear(fixture.remote_revoked(0).unwrap());
        test.settle();
        // A reorg to below the expiry: the old claim is not final any more, and the penalty needs no locktime.
        test.disconnect_to(405);
        // A3: nothing is sent before the first block of the new chain; until then the court is behind.
        let earlier = test.sent.len();
        test.settle();
        assert_eq!(test.sent.len(), earlier);
        test.block(&[]);
        test.settle();
        let outpoint = output_of(&fixture, Side::Remote, 0, OFFERED);
        let now: Vec<_> = test.sent[earlier..].iter().map(|(_, tx)| tx).collect();
        assert!(now.iter().all(|tx| tx.lock_time.to_consensus_u32() <= 406));
        assert!(now.iter().any(|tx| tx.input.iter().any(|input| input.previous_output == outpoint)));
        to_the_end(&mut test, &fixture);
        assert_eq!(outcomes(&test, ContractKind::Htlc), [ContractOutcome::Claimed; 2]);
    }
}
