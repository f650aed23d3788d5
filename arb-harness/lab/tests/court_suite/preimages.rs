//! Preimages that chain and mempool show (R8): for open channels, in what spends an unconfirmed commitment, and for HTLCs that
//! are told later.

use arb_core::{
    Acknowledged, Action, CloseReason, ContractOutcome, Event, FreezeReason, Freshness, Heard, HtlcRef, Link, Rejected,
    RejectedClass, Side, Stage, Upstream,
};
use arb_lab::fixture::ChannelFixture;
use arb_lab::fixture::hostile::unsigned;
use arb_lab::process::all_told;
use bitcoin::OutPoint;

use crate::incidents_outcomes::peer_takes;
use crate::test_court::{
    ANCHORS, START, TYPES, TestCourt, channel, key, learned, offered, preimage, received, started, state,
};

const HTLC: HtlcRef = HtlcRef::offered(0);
const SETTLED: Option<Upstream> = Some(Upstream::Settled(preimage_1()));

const fn preimage_1() -> arb_core::bolt3::Preimage {
    arb_core::bolt3::Preimage([1; 32])
}

/// A forward over two open channels, and a third channel that is closed, of which the first output of the close is returned.
fn forward_and_old_close(expiry: u32) -> (TestCourt, ChannelFixture, ChannelFixture, OutPoint) {
    let (mut test, mut up, mut down) = (TestCourt::new(), channel(1, ANCHORS), channel(2, ANCHORS));
    test.open(&mut up, &[received(0, 51_000, 1, expiry + 40)]);
    test.open(&mut down, &[offered(0, 50_000, 1, expiry, Link::Forward(key(&up, HtlcRef::received(0))))]);
    let mut old = channel(3, ANCHORS);
    test.open(&mut old, &[]);
    let close = old.remote_commitment_tx(0).unwrap();
    test.block(std::slice::from_ref(&close));
    (test, up, down, OutPoint { txid: close.compute_txid(), vout: 0 })
}

/// A transaction of anybody that spends this output, with the preimage as a spare item.
fn shows(outpoint: OutPoint) -> bitcoin::Transaction {
    let witness = vec![preimage(1).0.to_vec(), vec![0x51]];
    unsigned([(outpoint, witness)], 1, 300, &bitcoin::ScriptBuf::new())
}

fn settles(test: &TestCourt) -> usize {
    let due = test.court.actions_due();
    due.iter().filter(|due| matches!(due, Action::SettleUpstream { .. })).count()
}

#[test]
fn a5_what_chain_or_mempool_shows_settles_the_htlc_of_an_open_channel_at_once() {
    for in_block in [true, false] {
        let (mut test, up, down, old) = forward_and_old_close(START + 30);
        test.acknowledges = false;
        if in_block {
            test.block(&[shows(old)]);
        } else {
            test.hear(Event::MempoolSeen { tx: shows(old) });
            test.settle();
        }
        assert_eq!(test.docket(&down).stage, Stage::Open);
        assert_eq!(test.outcome(&down, HTLC), SETTLED);
        // It stays due, also after other notices are carried out and after a restart.
        assert_eq!(settles(&test), 1);
        test.restart();
        assert_eq!(settles(&test), 1);
        // The upstream HTLC can be claimed on chain before it expires.
        let usable = test.court.channel(test.index(&up)).unwrap().usable(HtlcRef::received(0));
        assert_eq!(usable, Some(preimage(1)));
        let mut late = test.fork();
        // The deadline is off once the settlement is acknowledged, and not before.
        test.hear(Event::UpstreamAcknowledged { htlc: key(&down, HTLC), outcome: Acknowledged::Settled });
        test.blocks_to(START + 49);
        assert_eq!(test.docket(&down).stage, Stage::Open);
        late.blocks_to(START + 49);
        let frozen = late.court.channel(late.index(&down)).unwrap().frozen();
        assert_eq!(frozen, Some(FreezeReason::Deadline(HTLC)));
        // The counterparty settles or fails it by messages: nothing is left.
        test.update(&mut { down }, 1, &[]);
    }
}

#[test]
fn a5_what_the_node_told_of_an_open_channel_it_settles_itself() {
    let (mut test, _, down, old) = forward_and_old_close(START + 30);
    test.hear(learned(&down, HTLC, 1));
    test.block(&[shows(old)]);
    assert_eq!((test.outcome(&down, HTLC), settles(&test)), (None, 0));
    test.blocks_to(START + 49);
    assert_eq!(test.docket(&down).stage, Stage::Open);
}

#[test]
fn a42_a_preimage_counts_in_a_spend_of_a_commitment_that_is_unconfirmed() {
    for (channel_type, side) in TYPES.into_iter().flat_map(|kind| [(kind, Side::Local), (kind, Side::Remote)]) {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        test.open(&mut fixture, &[offered(0, 50_000, 1, START + 30, Link::Own)]);
        let takes = Event::MempoolSeen { tx: peer_takes(&fixture, side, 0, HTLC, 1) };
        test.again(&takes);
        match side {
            // Ours is in view once its signature was given out.
            Side::Local => {
                test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
                test.settle();
            }
            Side::Remote => {
                let tx = fixture.remote_commitment_tx(0).unwrap();
                test.hear(Event::MempoolSeen { tx });
            }
        }
        // Also from a checkpoint or a log.
        test.restart();
        test.hear(takes.clone());
        assert_eq!(test.outcome(&fixture, HTLC), SETTLED, "{channel_type:?} {side:?}");
        test.again(&takes);
    }
}

#[test]
fn a42_in_one_step_and_after_a_reorg() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[offered(0, 50_000, 1, START + 30, Link::Own)]);
    let (close, takes) = (fixture.remote_commitment_tx(0).unwrap(), peer_takes(&fixture, Side::Remote, 0, HTLC, 1));
    let mut other = test.fork();
    let mut step = other.court.step();
    step.hear(&Event::MempoolSeen { tx: close.clone() }).unwrap();
    step.hear(&Event::MempoolSeen { tx: takes.clone() }).unwrap();
    step.commit(&mut other.frames).unwrap();
    assert_eq!(other.outcome(&fixture, HTLC), SETTLED);
    // Seen, but ours confirmed, and the block leaves in the step that shows the preimage.
    test.hear(Event::MempoolSeen { tx: close.clone() });
    let mut other = test.fork();
    other.block(&[fixture.local_commitment_tx(0).unwrap()]);
    let leaves = other.disconnection();
    let mut step = other.court.step();
    step.hear(&leaves).unwrap();
    step.hear(&Event::MempoolSeen { tx: takes.clone() }).unwrap();
    step.commit(&mut other.frames).unwrap();
    assert_eq!(other.outcome(&fixture, HTLC), SETTLED);
    // Seen, confirmed, and unconfirmed again.
    test.block(&[close]);
    test.disconnect_to(START);
    test.hear(Event::MempoolSeen { tx: takes });
    assert_eq!(test.outcome(&fixture, HTLC), SETTLED);
}

#[test]
fn a42_a_revoked_commitment_is_in_view_too() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let htlcs = [offered(0, 50_000, 1, START + 30, Link::Own)];
    test.open(&mut fixture, &htlcs);
    test.update(&mut fixture, 1, &htlcs);
    test.update(&mut fixture, 2, &htlcs);
    // The newest one was seen first, and another revoked one before it.
    for number in [2, 1, 0] {
        let tx = fixture.remote_commitment_tx(number).unwrap();
        test.hear(Event::MempoolSeen { tx });
    }
    test.hear(Event::MempoolSeen { tx: peer_takes(&fixture, Side::Remote, 0, HTLC, 1) });
    assert_eq!(test.outcome(&fixture, HTLC), SETTLED);
}

#[test]
fn a15_what_was_shown_counts_for_an_upstream_htlc_that_is_told_later() {
    let (mut test, mut up, mut down) = (TestCourt::new(), channel(1, ANCHORS), channel(2, ANCHORS));
    test.open_bare(&up);
    test.open(&mut down, &[offered(0, 50_000, 1, START + 30, Link::Forward(key(&up, HtlcRef::received(0))))]);
    test.block(&[down.remote_commitment_tx(0).unwrap()]);
    test.block(&[peer_takes(&down, Side::Remote, 0, HTLC, 1)]);
    test.open_states(&mut up, &[received(0, 51_000, 1, START + 70), received(1, 51_000, 1, START + 70)]);
    let usable = |test: &TestCourt, id| test.court.channel(test.index(&up)).unwrap().usable(HtlcRef::received(id));
    assert_eq!(usable(&test, 0), Some(preimage(1)));
    assert_eq!(usable(&test, 1), None, "never for a received HTLC without a link (R8)");
}

#[test]
fn a15_what_was_shown_counts_for_an_htlc_that_is_told_later() {
    // In the channel's own close, which is heard before the commitments are told.
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let setup = fixture.setup().clone();
    test.signer.add_channel(setup.id, setup.funding, setup.local);
    test.hear(fixture.opened(fixture.standing(0, 0).unwrap()));
    let htlcs = [offered(0, 50_000, 1, START + 30, Link::Own)];
    let mut told = fixture.clone();
    fixture.remote_signed(0, state(&htlcs)).unwrap();
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    test.block(&[peer_takes(&fixture, Side::Remote, 0, HTLC, 1)]);
    test.open_states(&mut told, &htlcs);
    assert_eq!(test.outcome(&fixture, HTLC), SETTLED);
    test.hear(fixture.adopted());
    // For another part of the same payment, which goes out later.
    let mut other = channel(2, ANCHORS);
    test.open(&mut other, &htlcs);
    assert_eq!(test.outcome(&other, HTLC), SETTLED);
}

#[test]
fn a15_what_the_mempool_showed_before_an_htlc_is_told_is_not_lost() {
    // In a spend of the channel's own unconfirmed commitment, or of another channel's output; in the mempool only, or in a block
    // that a reorg takes away again. The node is telling a channel that joins, or everything after a start.
    for (elsewhere, in_block, joins) in
        [(false, false, true), (true, false, true), (true, true, true), (true, false, false)]
    {
        let (mut test, mut up, mut down, old) = forward_and_old_close(START + 30);
        let mut third = channel(4, ANCHORS);
        let link = Link::Forward(key(&up, HtlcRef::received(1)));
        let htlcs = [offered(0, 20_000, 7, START + 30, link)];
        let setup = third.setup().clone();
        test.signer.add_channel(setup.id, setup.funding, setup.local);
        test.hear(third.opened(third.standing(0, 0).unwrap()));
        test.settle();
        if !joins {
            test.hear(third.adopted());
            test.hear(started("again", Freshness::Trusted, START));
        }
        let told = [third.remote_signed(0, state(&htlcs)).unwrap(), third.local_signed(0, state(&htlcs)).unwrap()];
        let tx = if elsewhere {
            unsigned([(old, vec![preimage(7).0.to_vec(), vec![0x51]])], 1, 300, &bitcoin::ScriptBuf::new())
        } else {
            let tx = third.remote_commitment_tx(0).unwrap();
            test.hear(Event::MempoolSeen { tx });
            peer_takes(&third, Side::Remote, 0, HTLC, 7)
        };
        if in_block {
            test.quiet_block(&[tx]);
            test.disconnect_to(START + 1);
        } else {
            let event = Event::MempoolSeen { tx };
            test.hear(event.clone());
            test.again(&event);
        }
        assert_eq!(test.recovered(), test.court);
        told.into_iter().for_each(|event| drop(test.hear(event)));
        test.hear(if joins { third.adopted() } else { all_told() });
        assert_eq!(test.outcome(&third, HTLC), Some(Upstream::Settled(preimage(7))));
        // And its upstream HTLC, which is told last.
        let more = [received(0, 51_000, 1, START + 70), received(1, 21_000, 7, START + 70)];
        test.update(&mut up, 1, &more);
        let usable = test.court.channel(test.index(&up)).unwrap().usable(HtlcRef::received(1));
        assert_eq!(usable, Some(preimage(7)), "{elsewhere} {in_block} {joins}");
        test.update(&mut down, 1, &[]);
    }
}

#[test]
fn a15_once_everything_is_told_nothing_is_kept_for_later() {
    let (mut test, _, _, old) = forward_and_old_close(START + 30);
    let tx = unsigned([(old, vec![vec![7; 32], vec![0x51]])], 1, 300, &bitcoin::ScriptBuf::new());
    test.again(&Event::MempoolSeen { tx });
}

#[test]
fn a15_what_is_kept_for_later_is_bounded() {
    let (mut test, _, _, old) = forward_and_old_close(START + 30);
    test.hear(started("again", Freshness::Trusted, START));
    let many = |from: u16| {
        let items = (from..from + 400).map(|n| [n.to_le_bytes(); 16].concat()).collect();
        Event::MempoolSeen { tx: unsigned([(old, items)], 1, 300, &bitcoin::ScriptBuf::new()) }
    };
    test.hear(many(0));
    test.hear(many(400));
    test.again(&many(800));
}

#[test]
fn a15_while_a_channel_joins_an_htlc_with_a_lower_id_is_not_over() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let setup = fixture.setup().clone();
    test.signer.add_channel(setup.id, setup.funding, setup.local);
    test.hear(fixture.opened(fixture.standing(5, 5).unwrap()));
    let (three, five) = (received(3, 1_000_000, 1, START + 90), received(5, 20_000, 2, START + 90));
    test.hear(fixture.local_signed(5, state(std::slice::from_ref(&five))).unwrap());
    let told = learned(&fixture, HtlcRef::received(3), 1);
    let given_up = Event::HtlcGivenUp { htlc: key(&fixture, HtlcRef::received(3)) };
    let done = Event::UpstreamAcknowledged { htlc: key(&fixture, HtlcRef::offered(3)), outcome: Acknowledged::Settled };
    for (event, htlc) in [(&given_up, HtlcRef::received(3)), (&done, HtlcRef::offered(3))] {
        // What `refuse` hears around it would end the adoption.
        let answer = test.try_hear(event).unwrap_err();
        assert_eq!((answer.class(), answer), (RejectedClass::NotYet, Rejected::HtlcNotTold(htlc)));
    }
    // A preimage is kept for it.
    test.hear(told.clone());
    test.hear(fixture.remote_signed(5, state(&[three, five])).unwrap());
    test.again(&told);
    let committed = vec![key(&fixture, HtlcRef::received(3))];
    test.hear(Event::AdoptionComplete { channel: Some(fixture.id()), committed });
    test.block(&[fixture.remote_commitment_tx(5).unwrap()]);
    test.mine_to(START + 250);
    assert_eq!(test.contract_report(&fixture, HtlcRef::received(3)), Some(ContractOutcome::Claimed));
    // Once all is told, what was never told is over.
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[received(5, 20_000, 2, START + 90)]);
    assert_eq!(test.try_hear(&told), Ok(Heard::Past));
}

#[test]
fn a15_what_was_shown_stays_for_a_channel_that_is_adopted_anew() {
    // The preimage is shown before the upstream channel begins anew, while it joins, and after.
    for shown in 0..3 {
        let (mut test, mut up, mut down) = (TestCourt::new(), channel(1, ANCHORS), channel(2, ANCHORS));
        let htlcs = [received(0, 51_000, 1, START + 70)];
        test.open(&mut up, &htlcs);
        test.open(&mut down, &[offered(0, 50_000, 1, START + 30, Link::Forward(key(&up, HtlcRef::received(0))))]);
        test.block(&[down.remote_commitment_tx(0).unwrap()]);
        let show = |test: &mut TestCourt, now| {
            if now == shown {
                test.block(&[peer_takes(&down, Side::Remote, 0, HTLC, 1)]);
            }
        };
        show(&mut test, 0);
        test.hear(up.peer_is_newer());
        test.settle();
        up.sign_unheard(Side::Local, 8, state(&htlcs));
        up.sign_unheard(Side::Remote, 8, state(&htlcs));
        let standing = Box::new(up.standing(8, 8).unwrap());
        test.hear(Event::ChannelAdoptedAnew { channel: up.id(), standing });
        show(&mut test, 1);
        test.hear(up.whole(Side::Local, 8).unwrap());
        test.hear(up.whole(Side::Remote, 8).unwrap());
        test.hear(up.adopted());
        show(&mut test, 2);
        let usable = test.court.channel(test.index(&up)).unwrap().usable(HtlcRef::received(0));
        assert_eq!(usable, Some(preimage(1)), "{shown}");
    }
}

#[test]
fn a15_what_was_known_stays_for_an_htlc_that_is_told_anew_and_for_no_other() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let stays = received(2, 53_000, 1, START + 70);
    let htlcs = [received(0, 51_000, 1, START + 70), received(1, 52_000, 1, START + 70), stays.clone()];
    test.open(&mut fixture, &htlcs);
    for id in [0, 1, 2] {
        test.hear(learned(&fixture, HtlcRef::received(id), 1));
    }
    test.hear(fixture.peer_is_newer());
    test.settle();
    // Number 1 has another content now, which the old preimage does not fit.
    let htlcs = [received(1, 52_000, 3, START + 70), stays];
    fixture.sign_unheard(Side::Local, 8, state(&htlcs));
    fixture.sign_unheard(Side::Remote, 8, state(&htlcs));
    let standing = Box::new(fixture.standing(8, 8).unwrap());
    test.hear(Event::ChannelAdoptedAnew { channel: fixture.id(), standing });
    test.hear(fixture.whole(Side::Remote, 8).unwrap());
    test.hear(fixture.whole(Side::Local, 8).unwrap());
    test.hear(fixture.adopted());
    let usable = |id| test.court.channel(test.index(&fixture)).unwrap().usable(HtlcRef::received(id));
    assert_eq!([usable(0), usable(1), usable(2)], [None, None, Some(preimage(1))]);
    test.hear(learned(&fixture, HtlcRef::received(1), 3));
}

#[test]
fn a15_a_preimage_for_an_unknown_htlc_is_refused_by_name() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[offered(0, 50_000, 1, START + 30, Link::Own)]);
    let usable_for = vec![key(&fixture, HTLC), key(&fixture, HtlcRef::received(5))];
    let event = Event::PreimageLearned { preimage: preimage(1), usable_for };
    assert_eq!(test.refuse(&event), Rejected::UnknownHtlc(HtlcRef::received(5)));
}
