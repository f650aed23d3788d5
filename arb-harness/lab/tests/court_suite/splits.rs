//! Several HTLCs that we sent for one upstream HTLC, and upstream HTLCs that do not fit or are gone.

use arb_core::{
    Acknowledged, Action, Alert, Conclusion, Event, FailReason, Freshness, Htlc, HtlcRef, Link, Rejected, Upstream,
};
use arb_lab::fixture::ChannelFixture;

use crate::incidents_outcomes::peer_takes;
use crate::test_court::{
    ANCHORS, START, TestCourt, channel, height, key, learned, offered, preimage, received, started, state,
};
use arb_core::Side;

const HTLC: HtlcRef = HtlcRef::offered(0);
const INCOMING: HtlcRef = HtlcRef::received(0);

/// One incoming HTLC that was forwarded in two channels: the first forward has failed on chain.
fn split() -> (TestCourt, ChannelFixture, ChannelFixture, ChannelFixture) {
    let (mut test, mut up) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut up, &[received(0, 101_000, 1, START + 300)]);
    let link = Link::Forward(key(&up, INCOMING));
    let (mut first, mut second) = (channel(2, ANCHORS), channel(3, ANCHORS));
    test.open(&mut first, &[offered(0, 50_000, 1, START + 5, link)]);
    test.open(&mut second, &[offered(0, 50_000, 1, START + 100, link)]);
    test.block(&[first.remote_commitment_tx(0).unwrap()]);
    test.mine_to(START + 20);
    assert_eq!(test.outcome(&first, HTLC), Some(Upstream::Failed(FailReason::TimedOut)));
    (test, up, first, second)
}

fn fails(test: &TestCourt) -> usize {
    test.court.actions_due().iter().filter(|due| matches!(due, Action::FailUpstream { .. })).count()
}

#[test]
fn a9_an_incoming_htlc_is_failed_with_the_last_of_its_links() {
    let (mut test, up, first, second) = split();
    assert_eq!((fails(&test), test.acknowledged(&first, HTLC)), (0, None), "the second one may be paid");
    // A node that failed it nevertheless does not end the waiting for the preimage.
    let mut other = test.fork();
    other.hear(Event::UpstreamAcknowledged { htlc: key(&first, HTLC), outcome: Acknowledged::Failed });
    other.hear(Event::HtlcGivenUp { htlc: key(&up, INCOMING) });
    test.block(&[second.remote_commitment_tx(0).unwrap()]);
    test.mine_to(START + 120);
    for fixture in [&first, &second] {
        assert_eq!(test.acknowledged(fixture, HTLC), Some(Acknowledged::Failed));
    }
    test.again(&Event::HtlcGivenUp { htlc: key(&up, INCOMING) });
}

#[test]
fn a9_an_incoming_htlc_is_settled_with_the_first_of_its_links() {
    let (mut test, up, first, second) = split();
    let mut told = test.fork();
    test.block(&[second.remote_commitment_tx(0).unwrap()]);
    test.block(&[peer_takes(&second, Side::Remote, 0, HTLC, 1)]);
    for fixture in [&first, &second] {
        assert_eq!(test.acknowledged(fixture, HTLC), Some(Acknowledged::Settled));
    }
    assert_eq!(test.court.channel(test.index(&up)).unwrap().usable(INCOMING), Some(preimage(1)));
    let concluded = test.frames.0.iter().flat_map(|frame| &frame.entries).flat_map(|entry| &entry.concluded);
    let usable =
        concluded.filter(|record| record.what == Conclusion::PreimageUsable { htlc: INCOMING, preimage: preimage(1) });
    assert_eq!(usable.count(), 1, "once, though both are paid for it");
    // The second channel is open, and the node tells the preimage.
    told.hear(learned(&second, HTLC, 1));
    told.settle();
    assert_eq!((told.outcome(&second, HTLC), fails(&told)), (None, 0));
    assert_eq!(told.acknowledged(&first, HTLC), Some(Acknowledged::Settled));
}

/// One incoming HTLC, and two channels without commitments yet that it is forwarded to.
fn two_links() -> (TestCourt, ChannelFixture, [(ChannelFixture, Htlc); 2]) {
    let (mut test, mut up) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut up, &[received(0, 101_000, 1, START + 300)]);
    let link = Link::Forward(key(&up, INCOMING));
    let links = [(2, START + 5), (3, START + 100)].map(|(number, expiry)| {
        let fixture = channel(number, ANCHORS);
        test.open_bare(&fixture);
        (fixture, offered(0, 50_000, 1, expiry, link))
    });
    (test, up, links)
}

/// Two channels, of which the first holds a part of an incoming HTLC that fails on chain while the node has not told everything of
/// the second: because that joins, or after a start.
fn untold(joins: bool) -> (TestCourt, ChannelFixture, ChannelFixture, (ChannelFixture, Htlc)) {
    let (mut test, up, [(mut first, one), (second, two)]) = two_links();
    test.open_states(&mut first, &[one]);
    let second = if joins {
        let third = channel(4, ANCHORS);
        let setup = third.setup().clone();
        test.signer.add_channel(setup.id, setup.funding, setup.local);
        test.hear(third.opened(third.standing(0, 0).unwrap()));
        third
    } else {
        test.hear(started("again", Freshness::Trusted, START));
        test.hear(up.adopted());
        test.hear(first.adopted());
        second
    };
    test.block(&[first.remote_commitment_tx(0).unwrap()]);
    test.mine_to(START + 40);
    (test, up, first, (second, two))
}

#[test]
fn a9_no_failure_leaves_before_every_channel_is_told() {
    for joins in [true, false] {
        let (mut test, up, first, (mut second, two)) = untold(joins);
        assert_eq!(test.outcome(&first, HTLC), Some(Upstream::Failed(FailReason::TimedOut)));
        assert_eq!((fails(&test), test.acknowledged(&first, HTLC)), (0, None), "{joins}");
        // Nor does a word of the node that it has failed it end the waiting for a preimage.
        let mut other = test.fork();
        other.hear(Event::UpstreamAcknowledged { htlc: key(&first, HTLC), outcome: Acknowledged::Failed });
        let given_up = Event::HtlcGivenUp { htlc: key(&up, INCOMING) };
        other.fork().hear(given_up.clone());
        other.hear(second.adopted());
        other.again(&given_up);
        // The second part is told, and paid.
        let mut paid = test.fork();
        paid.open_states(&mut second.clone(), std::slice::from_ref(&two));
        paid.hear(second.adopted());
        paid.settle();
        assert_eq!((fails(&paid), paid.acknowledged(&first, HTLC)), (0, None), "it may be paid");
        paid.hear(learned(&second, HTLC, 1));
        paid.settle();
        assert_eq!(paid.acknowledged(&first, HTLC), Some(Acknowledged::Settled));
        assert_eq!(paid.alerts(&first), []);
        // There is no second part: what waited is due with the word, and not only in the next block.
        test.open_states(&mut second, &[]);
        let due = test.hear(second.adopted());
        let failed = |due: &Action| matches!(due, Action::FailUpstream { htlc, .. } if *htlc == key(&first, HTLC));
        assert_eq!(due.iter().filter(|due| failed(due)).count(), 1, "{joins}");
        assert_eq!(test.recovered(), test.court);
        test.settle();
        assert_eq!((test.acknowledged(&first, HTLC), test.alerts(&first)), (Some(Acknowledged::Failed), vec![]));
        test.again(&given_up);
    }
}

#[test]
fn a9_a_node_that_never_tells_a_channel_holds_a_failure_until_it_would_be_given_up() {
    for joins in [true, false] {
        let (mut test, up, first, _) = untold(joins);
        let giveup = START + 300 - test.court.policy().upstream_giveup.get();
        test.mine_to(giveup - 1);
        assert_eq!((fails(&test), test.alerts(&first)), (0, vec![]), "{joins}");
        test.acknowledges = false;
        test.mine();
        let risk = Alert::Risk { htlc: HTLC, why: FailReason::TimedOut, amount_sat: 50_000 };
        assert_eq!((fails(&test), test.alerts(&first)), (1, vec![risk]), "the risk is on record");
        test.hear(Event::UpstreamAcknowledged { htlc: key(&first, HTLC), outcome: Acknowledged::Failed });
        test.again(&Event::HtlcGivenUp { htlc: key(&up, INCOMING) });
    }
}

#[test]
fn a9_a_link_that_was_paid_off_chain_and_is_gone_still_settles() {
    // The other link is there when the preimage comes, or it is told later, while the paid one is still there.
    for later in [false, true] {
        let (mut test, _, [(mut first, one), (mut second, two)]) = two_links();
        if !later {
            test.open_states(&mut first, std::slice::from_ref(&one));
        }
        test.open_states(&mut second, &[two]);
        test.hear(learned(&second, HTLC, 1));
        if later {
            test.open_states(&mut first, &[one]);
        }
        test.update(&mut second, 1, &[]);
        test.block(&[first.remote_commitment_tx(0).unwrap()]);
        test.mine_to(START + 20);
        assert_eq!(test.outcome(&first, HTLC), Some(Upstream::Settled(preimage(1))), "{later}");
        assert_eq!(test.acknowledged(&first, HTLC), Some(Acknowledged::Settled));
    }
}

#[test]
fn a9_a_node_that_settled_for_a_link_that_nobody_knows_says_so() {
    let (mut test, up, [(mut first, one), (mut second, two)]) = two_links();
    test.open_states(&mut second, &[two]);
    test.hear(learned(&second, HTLC, 1));
    test.update(&mut second, 1, &[]);
    test.open_states(&mut first, &[one]);
    test.acknowledges = false;
    test.block(&[first.remote_commitment_tx(0).unwrap()]);
    test.mine_to(START + 20);
    assert_eq!(fails(&test), 1);
    let settled = Event::UpstreamAcknowledged { htlc: key(&first, HTLC), outcome: Acknowledged::Settled };
    test.hear(settled.clone());
    test.again(&settled);
    test.hear(learned(&first, HTLC, 1));
    assert_eq!((fails(&test), test.alerts(&first)), (0, vec![]), "no loss");
    // The incoming HTLC is not given up for it.
    test.hear(Event::HtlcGivenUp { htlc: key(&up, INCOMING) });
}

#[test]
fn a49_an_upstream_htlc_has_the_same_hash_and_does_not_expire_first() {
    let (mut test, mut up, mut down) = (TestCourt::new(), channel(1, ANCHORS), channel(2, ANCHORS));
    test.open(&mut up, &[received(0, 51_000, 1, START + 50)]);
    test.open_bare(&down);
    let mut refused = |secret, expiry, why| {
        let htlcs = [offered(0, 50_000, secret, expiry, Link::Forward(key(&up, INCOMING)))];
        for event in [down.remote_signed(0, state(&htlcs)).unwrap(), down.local_signed(0, state(&htlcs)).unwrap()] {
            assert_eq!(test.refuse(&event), Rejected::BadHtlc { htlc: HTLC, why });
        }
    };
    refused(2, START + 20, "its upstream HTLC has another payment hash");
    refused(1, START + 51, "its upstream HTLC expires before it");
    test.open_states(&mut down, &[offered(0, 50_000, 1, START + 50, Link::Forward(key(&up, INCOMING)))]);
}

/// Of one that the court does not know, the deadline is what the node tells with the link.
#[test]
fn a49_a_relayed_htlc_does_not_expire_after_its_upstream() {
    for (joins, deadline) in [(false, START + 49), (true, START + 49), (false, START + 50)] {
        let (mut test, mut down) = (TestCourt::new(), channel(1, ANCHORS));
        let htlcs = [offered(0, 50_000, 1, START + 50, Link::Relay { deadline: height(deadline) })];
        if joins {
            test.hear(down.opened(down.standing(0, 0).unwrap()));
        } else {
            test.open_bare(&down);
        }
        for event in [down.remote_signed(0, state(&htlcs)).unwrap(), down.local_signed(0, state(&htlcs)).unwrap()] {
            if joins || deadline == START + 50 {
                test.hear(event);
            } else {
                let why = "its upstream HTLC expires before it";
                assert_eq!(test.refuse(&event), Rejected::BadHtlc { htlc: HTLC, why });
            }
        }
        test.settle();
        let warned = test.alerts(&down).iter().any(|alert| matches!(alert, Alert::UpstreamExpiresFirst { .. }));
        assert_eq!(warned, joins);
    }
}

#[test]
fn a49_an_upstream_htlc_that_expires_first_is_told_where_it_cannot_be_refused() {
    // A channel joins with one, or the upstream HTLC is told later.
    for (joins, expiry) in [(true, START + 51), (true, START + 50), (false, START + 51), (false, START + 50)] {
        let (mut test, mut up, mut down) = (TestCourt::new(), channel(1, ANCHORS), channel(2, ANCHORS));
        test.open_bare(&up);
        let htlcs = [offered(0, 50_000, 1, expiry, Link::Forward(key(&up, INCOMING)))];
        let incoming = [received(0, 51_000, 1, START + 50)];
        if joins {
            test.open_states(&mut up, &incoming);
            test.hear(down.opened(down.standing(0, 0).unwrap()));
            test.open_states(&mut down, &htlcs);
            test.hear(down.adopted());
        } else {
            test.open(&mut down, &htlcs);
            test.open_states(&mut up, &incoming);
        }
        test.settle();
        let (cltv_expiry, upstream_expiry) = (height(expiry), height(START + 50));
        let alert = Alert::UpstreamExpiresFirst { htlc: HTLC, amount_sat: 50_000, cltv_expiry, upstream_expiry };
        let alerts = if expiry > START + 50 { vec![alert] } else { Vec::new() };
        assert_eq!(test.alerts(&down), alerts, "{joins}");
    }
}

#[test]
fn a49_an_upstream_htlc_of_another_hash_that_is_told_later_is_none() {
    let (mut test, mut up, mut down) = (TestCourt::new(), channel(1, ANCHORS), channel(2, ANCHORS));
    test.open_bare(&up);
    test.open(&mut down, &[offered(0, 50_000, 1, START + 30, Link::Forward(key(&up, INCOMING)))]);
    test.open_states(&mut up, &[received(0, 51_000, 2, START + 70)]);
    test.hear(Event::ChannelSignals { channel: down.id(), short_channel_id: 7 });
    test.settle();
    let alert = Alert::UpstreamOfOtherHash { htlc: HTLC, amount_sat: 50_000, upstream: key(&up, INCOMING) };
    assert_eq!(test.alerts(&down), [alert]);
    test.block(&[down.remote_commitment_tx(0).unwrap()]);
    test.block(&[peer_takes(&down, Side::Remote, 0, HTLC, 1)]);
    assert_eq!(test.court.channel(test.index(&up)).unwrap().usable(INCOMING), None, "it does not fit");
    assert_eq!(test.acknowledged(&down, HTLC), Some(Acknowledged::Settled));
}

#[test]
fn a50_nothing_is_given_up_for_an_upstream_channel_that_left_the_court() {
    let (mut test, mut up, mut down) = (TestCourt::new(), channel(1, ANCHORS), channel(2, ANCHORS));
    test.open_bare(&up);
    let htlc: Htlc = offered(0, 3_000, 1, START + 600, Link::Forward(key(&up, INCOMING)));
    test.open(&mut down, &[htlc]);
    test.open_states(&mut up, &[received(0, 4_000, 1, START + 10)]);
    test.hear(Event::HtlcGivenUp { htlc: key(&up, INCOMING) });
    test.block(&[up.remote_commitment_tx(0).unwrap()]);
    test.mine_to(START + 300);
    assert_eq!(test.court.index_of(&up.id()), None, "resolved");
    assert_eq!(test.outcome(&down, HTLC), None);
    test.hear(Event::ChannelSignals { channel: down.id(), short_channel_id: 7 });
    assert_eq!(test.outcome(&down, HTLC), None);
}
