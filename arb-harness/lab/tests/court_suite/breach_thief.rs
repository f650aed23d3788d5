//! What a cheat gains from an operator's bad luck: blocks that are caught up late, a chain that is searched late, a
//! revocation that comes after the commitment confirmed.

use arb_core::{
    Acknowledged, Action, CloseKind, ContractKind, ContractOutcome, Event, FoundSpend, Link, Rejected, Scanned, Side,
    SignRequest, Signed, Upstream,
};
use arb_harness::signer::Signer;
use arb_lab::fixture::ChannelFixture;
use bitcoin::{OutPoint, Transaction};

use crate::bench::{Bench, START, TYPES, channel, height, offered, output_of, received, state};
use crate::breach::{OFFERED, concluded, outcomes, second_level, to_the_end};

/// A channel whose revoked commitment 0 has an HTLC that we sent, which is in the newer ones, too.
fn forwarding(channel_type: arb_core::bolt3::ChannelType) -> (Bench, ChannelFixture, Transaction) {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, channel_type));
    let htlcs = [offered(0, 50_000, 1, 480, Link::Own)];
    bench.open(&mut fixture, &htlcs);
    bench.update(&mut fixture, 1, &htlcs);
    let revoked = fixture.remote_commitment_tx(0).unwrap();
    (bench, fixture, revoked)
}

#[test]
fn r11_no_origin_is_failed_while_blocks_that_may_show_its_preimage_are_not_heard() {
    for channel_type in TYPES {
        let (mut bench, fixture, revoked) = forwarding(channel_type);
        // The embedder was away: what the cheat did is in blocks that are still to come.
        bench.best = Some(START + 60);
        bench.block(std::slice::from_ref(&revoked));
        assert_eq!(bench.close_kind(&fixture), Some(CloseKind::Revoked));
        bench.blocks_to(START + 20);
        assert_eq!(bench.outcome(&fixture, OFFERED), None, "buried, but the next block may show the preimage");
        bench.block(&[second_level(&fixture, 0, OFFERED, Some(1))]);
        assert_eq!(bench.origin(&fixture, OFFERED), Some(Acknowledged::Settled));
        bench.blocks_to(START + 60);
        bench.best = None;
        to_the_end(&mut bench, &fixture);
        assert_eq!(concluded(&bench, OFFERED), 1);
    }
}

#[test]
fn r11_once_all_blocks_are_heard_a_buried_revoked_commitment_fails_what_has_no_preimage() {
    for channel_type in TYPES {
        let (mut bench, fixture, revoked) = forwarding(channel_type);
        bench.best = Some(START + 30);
        bench.block(std::slice::from_ref(&revoked));
        bench.blocks_to(START + 29);
        assert_eq!(bench.outcome(&fixture, OFFERED), None);
        bench.block(&[]);
        assert_eq!(bench.origin(&fixture, OFFERED), Some(Acknowledged::Failed));
    }
}

#[test]
fn r5_no_origin_is_failed_before_the_outputs_of_a_revoked_commitment_were_searched() {
    for channel_type in TYPES {
        let (mut bench, mut fixture) = (Bench::new(), channel(1, channel_type));
        let htlcs = [offered(0, 50_000, 1, 480, Link::Own)];
        let setup = fixture.setup().clone();
        bench.signer.add_channel(setup.id, setup.funding, setup.local.clone());
        bench.hear(fixture.opened(fixture.standing(0, 0).unwrap()));
        bench.open_states(&mut fixture, &htlcs);
        bench.update(&mut fixture, 1, &htlcs);
        let scanned = |parent, spends| {
            let (channel, through) = (setup.id, height(START));
            Event::Scanned(Box::new(Scanned { channel, parent, through, spends }))
        };
        let at = |depth: u32, tx: Transaction| vec![FoundSpend { height: height(START - depth), tx }];
        let revoked = fixture.remote_commitment_tx(0).unwrap();
        bench.hear(scanned(setup.funding.txid, at(30, revoked.clone())));
        let load = bench.court.actions_due().into_iter().find(|action| matches!(action, Action::LoadRevoked { .. }));
        let answer = bench.answer(load.unwrap()).unwrap();
        bench.hear(answer);
        assert_eq!(bench.close_kind(&fixture), Some(CloseKind::Revoked));
        assert_eq!(bench.outcome(&fixture, OFFERED), None, "nobody has said yet that its output is unspent");
        bench.hear(scanned(revoked.compute_txid(), at(20, second_level(&fixture, 0, OFFERED, Some(1)))));
        assert!(matches!(bench.outcome(&fixture, OFFERED), Some(Upstream::Settled(_))));
        bench.settle();
        to_the_end(&mut bench, &fixture);
        assert_eq!(concluded(&bench, OFFERED), 1);
    }
}

/// What is to be signed for an outpoint.
fn asked(bench: &Bench, outpoint: OutPoint) -> SignRequest {
    let due = bench.court.actions_due().into_iter();
    let requests = due.filter_map(|action| if let Action::Sign(request) = action { Some(request) } else { None });
    let spends = |request: &SignRequest| request.tx.input.iter().any(|input| input.previous_output == outpoint);
    requests.into_iter().find(spends).unwrap()
}

#[test]
fn r4_a_request_for_another_key_is_another_request() {
    for channel_type in TYPES {
        let (mut bench, mut fixture) = (Bench::new(), channel(1, channel_type));
        let htlcs = [offered(0, 50_000, 1, 410, Link::Own), received(0, 70_000, 2, 460)];
        bench.open(&mut fixture, &htlcs);
        bench.hear(fixture.remote_signed(1, state(&htlcs)).unwrap());
        bench.block(&[fixture.remote_commitment_tx(0).unwrap()]);
        bench.blocks_to(409);
        bench.quiet_block(&[]);
        let outpoint = output_of(&fixture, Side::Remote, 0, OFFERED);
        let before = asked(&bench, outpoint);
        // Revoked while the signer is at work: the same transaction, but with the revocation key.
        bench.hear(fixture.remote_revoked(0).unwrap());
        let after = asked(&bench, outpoint);
        assert_eq!(before.tx, after.tx);
        assert_ne!(before.inputs, after.inputs);
        assert_ne!(before.id, after.id, "who answered the first request has not answered this one");
        let late = bench.signer.sign(&before).unwrap();
        let late = Signed { channel: fixture.id(), request: before.id, signatures: late };
        assert_eq!(bench.refuse(&Event::Signed(Box::new(late))), Rejected::UnknownRequest(before.id));
        to_the_end(&mut bench, &fixture);
        assert_eq!(outcomes(&bench, ContractKind::Htlc), [ContractOutcome::Claimed; 2]);
    }
}

#[test]
fn i9_a_claim_that_waited_for_an_expiry_is_planned_anew_once_it_need_not_wait() {
    for channel_type in TYPES {
        let (mut bench, mut fixture) = (Bench::new(), channel(1, channel_type));
        let htlcs = [offered(0, 50_000, 1, 410, Link::Own), received(0, 70_000, 2, 460)];
        bench.open(&mut fixture, &htlcs);
        bench.hear(fixture.remote_signed(1, state(&htlcs)).unwrap());
        bench.block(&[fixture.remote_commitment_tx(0).unwrap()]);
        bench.blocks_to(411);
        bench.hear(fixture.remote_revoked(0).unwrap());
        bench.settle();
        // A reorg to below the expiry: the transaction is not final any more, and the output can be had without it.
        bench.disconnect_to(405);
        bench.settle();
        let outpoint = output_of(&fixture, Side::Remote, 0, OFFERED);
        let now: Vec<_> = bench.sent.iter().filter(|(at, _)| *at == 405).map(|(_, tx)| tx).collect();
        assert!(now.iter().all(|tx| tx.lock_time.to_consensus_u32() <= 405));
        assert!(now.iter().any(|tx| tx.input.iter().any(|input| input.previous_output == outpoint)));
        to_the_end(&mut bench, &fixture);
        assert_eq!(outcomes(&bench, ContractKind::Htlc), [ContractOutcome::Claimed; 2]);
    }
}
