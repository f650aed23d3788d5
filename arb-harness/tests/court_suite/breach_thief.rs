//! What a cheat gains from an operator's bad luck: blocks that are caught up late, a chain that is searched late, a
//! revocation that comes after the commitment confirmed.

use arb_core::{Acknowledged, Action, CloseKind, Event, FoundSpend, Link, Scanned, Upstream};
use arb_harness::fixture::ChannelFixture;
use bitcoin::Transaction;

use crate::bench::{Bench, START, TYPES, channel, height, offered};
use crate::breach::{OFFERED, concluded, second_level, to_the_end};

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
