//! Which answers of a search are believed, and what they tell besides spends.

use arb_core::bolt3::ChannelType;
use arb_core::{
    Action, Alert, ChannelId, CloseReason, Event, FoundSpend, HtlcRef, Link, Rejected, Scanned, Side, Standing, Tip,
    Upstream,
};
use arb_lab::fixture::ChannelFixture;
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Txid};

use crate::incidents_outcomes::peer_takes;
use crate::test_court::{ANCHORS, START, TYPES, TestCourt, channel, height, offered, preimage, state};

const HTLC: HtlcRef = HtlcRef::offered(0);

fn searched(channel: ChannelId, parent: Txid, through: Tip, spends: Vec<FoundSpend>) -> Scanned {
    Scanned { channel, parent, through, confirmed: None, spends }
}

fn hears(scanned: Scanned) -> Event {
    Event::Scanned(Box::new(scanned))
}

fn is_searched_for(test: &TestCourt, wanted: Txid) -> bool {
    let due = test.court.actions_due();
    due.iter().any(|action| matches!(action, Action::SearchSpends { parent, .. } if *parent == wanted))
}

/// A channel whose close and the payment of its HTLC are found by the search for its funding.
fn found_in_parts(parts: bool) -> (TestCourt, ChannelFixture) {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let setup = fixture.setup().clone();
    test.signer.add_channel(setup.id, setup.funding, setup.local);
    test.hear(fixture.opened(Standing::default()));
    test.open_states(&mut fixture, &[offered(0, 50_000, 1, START + 90, Link::Own)]);
    let close = fixture.remote_commitment_tx(0).unwrap();
    let takes = peer_takes(&fixture, Side::Remote, 0, HTLC, 1);
    let found = [(START - 9, close), (START - 5, takes)].map(|(at, tx)| FoundSpend { height: height(at), tx });
    let (parent, through) = (setup.funding.txid, test.court.tip());
    if parts {
        let [first, last] = found.clone();
        let part = Event::ScannedPart(Box::new(searched(fixture.id(), parent, through, vec![first])));
        test.hear(part.clone());
        test.again(&part);
        assert!(is_searched_for(&test, parent), "the rest is due");
        test.hear(hears(searched(fixture.id(), parent, through, vec![last])));
        test.again(&part);
    } else {
        test.hear(hears(searched(fixture.id(), parent, through, found.to_vec())));
    }
    assert!(!is_searched_for(&test, parent));
    test.hear(fixture.adopted());
    test.settle();
    (test, fixture)
}

#[test]
fn a51_what_a_search_found_may_be_told_in_parts() {
    let [(one, fixture), (parts, _)] = [false, true].map(found_in_parts);
    assert_eq!(parts.outcome(&fixture, HTLC), Some(Upstream::Settled(preimage(1))));
    assert_eq!(parts.docket(&fixture).contracts, one.docket(&fixture).contracts);
}

#[test]
fn a51_an_event_that_does_not_fit_into_a_frame_is_refused() {
    let (mut test, fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.hear(fixture.opened(Standing::default()));
    let mut tx = peer_tx(&fixture);
    tx.output[0].script_pubkey = bitcoin::ScriptBuf::from_bytes(vec![0x51; Scanned::BYTES_MAX]);
    let got = tx.total_size();
    let spends = vec![FoundSpend { height: height(START), tx }];
    let large = searched(fixture.id(), fixture.setup().funding.txid, test.court.tip(), spends);
    let what = "list of what a search found";
    for event in [hears(large.clone()), Event::ScannedPart(Box::new(large))] {
        // Not `refuse`, which prints events.
        assert_eq!(test.try_hear(&event), Err(Rejected::TooLong { what, got, max: Scanned::BYTES_MAX }));
    }
}

/// A search saw the HTLC's timeout in a block that a reorg takes before the answer comes. On the new branch the output is
/// unspent, and then the counterparty takes it with the preimage.
#[test]
fn a10_a_search_of_a_branch_that_is_gone_is_refused_and_due_again() {
    for channel_type in TYPES {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        test.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own)]);
        let close = fixture.remote_commitment_tx(0).unwrap();
        let parent = close.compute_txid();
        test.quiet_block(&[close]);
        for _ in 0..3 {
            test.quiet_block(&[]);
        }
        let gone = test.court.tip();
        test.disconnect_to(START + 2);
        test.quiet_block(&[]);
        test.quiet_block(&[]);
        assert_eq!(test.tip(), gone.height.get());
        let spends = vec![FoundSpend { height: gone.height, tx: peer_takes(&fixture, Side::Remote, 0, HTLC, 1) }];
        for found in [spends, Vec::new()] {
            let refused = test.refuse(&hears(searched(fixture.id(), parent, gone, found)));
            let tip = test.court.tip();
            assert!(
                matches!(refused, Rejected::SearchedElsewhere { reached, tip: at, .. } if reached == gone && at == tip)
            );
            assert!(is_searched_for(&test, parent));
        }
        assert_eq!(test.outcome(&fixture, HTLC), None);
        // One that reached a block below the fork is as good as one that reached the tip.
        test.hear(hears(searched(fixture.id(), parent, test.tip_at(START + 1), Vec::new())));
        assert!(!is_searched_for(&test, parent));
        test.block(&[peer_takes(&fixture, Side::Remote, 0, HTLC, 1)]);
        assert_eq!(test.outcome(&fixture, HTLC), Some(Upstream::Settled(preimage(1))));
    }
}

#[test]
fn a10_only_blocks_that_the_court_remembers_are_believed() {
    let (mut test, fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.blocks_to(START + 120);
    test.hear(fixture.opened(Standing::default()));
    let parent = fixture.setup().funding.txid;
    let tip = test.court.tip();
    let unknown = Tip { hash: BlockHash::all_zeros(), ..tip };
    let ahead = Tip { height: tip.height.next(), ..tip };
    // `irrevocable_depth` is 100: block START + 21 is the oldest that counts.
    for reached in [unknown, ahead, test.tip_at(START + 20)] {
        let refused = test.refuse(&hears(searched(fixture.id(), parent, reached, Vec::new())));
        assert_eq!(refused, Rejected::SearchedElsewhere { reached, tip, kept: 100 });
    }
    let short = test.refuse(&hears(searched(fixture.id(), parent, test.tip_at(START + 21), Vec::new())));
    let (through, needed) = (height(START + 21), tip.height);
    assert_eq!(short, Rejected::ScanTooShort { through, needed });
    // What was found above the block that it names is another chain's.
    let spends = vec![FoundSpend { height: tip.height.next(), tx: peer_tx(&fixture) }];
    let found = Scanned { spends, ..searched(fixture.id(), parent, tip, Vec::new()) };
    let confirmed = Scanned { confirmed: Some(tip.height.next()), ..searched(fixture.id(), parent, tip, Vec::new()) };
    for above in [found, confirmed] {
        assert_eq!(test.refuse(&hears(above)), Rejected::HeightGap { tip, got: tip.height.next() });
    }
    test.hear(hears(searched(fixture.id(), parent, tip, Vec::new())));
    assert!(!is_searched_for(&test, parent));
}

fn peer_tx(fixture: &ChannelFixture) -> bitcoin::Transaction {
    let mut signed = fixture.clone();
    signed.remote_signed(0, state(&[])).unwrap();
    signed.remote_commitment_tx(0).unwrap()
}

/// A channel whose funding confirmed before the court heard of it, and nobody said so; an HTLC expires.
fn unconfirmed(channel_type: ChannelType) -> (TestCourt, ChannelFixture, Txid) {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
    let mut facts = fixture.facts();
    facts.fundings[0].confirmed = None;
    let setup = fixture.setup().clone();
    test.signer.add_channel(setup.id, setup.funding, setup.local);
    let opened = arb_core::ChannelOpened { facts, standing: Standing::default() };
    test.hear(Event::ChannelOpened(Box::new(opened)));
    let link = Link::Relay { deadline: height(START + 90) };
    test.open_states(&mut fixture, &[offered(0, 50_000, 1, START + 5, link)]);
    test.hear(fixture.adopted());
    (test, fixture, setup.funding.txid)
}

#[test]
fn a21_a_search_tells_that_the_funding_is_confirmed() {
    for channel_type in TYPES {
        for late in [false, true] {
            let (mut test, fixture, parent) = unconfirmed(channel_type);
            let found = |test: &TestCourt| Scanned {
                confirmed: Some(height(START - 3)),
                ..searched(fixture.id(), parent, test.court.tip(), Vec::new())
            };
            let alerts = |test: &TestCourt| {
                let is =
                    |alert: &Alert| matches!(alert, Alert::FundingUnconfirmed { number: 0, amount_sat: 4_950_000 });
                test.court.docket(test.index(&fixture)).unwrap().alerts.iter().filter(|alert| is(alert)).count()
            };
            if !late {
                let heard = found(&test);
                test.hear(hears(heard));
            }
            // Nothing is answered, so neither is the search.
            while test.tip() < START + 30 {
                test.quiet_block(&[]);
            }
            assert!(test.court.channel(test.index(&fixture)).unwrap().frozen().is_some(), "its deadline has passed");
            let sent =
                |test: &TestCourt| test.court.actions_due().iter().any(|action| matches!(action, Action::Sign(_)));
            assert_eq!(sent(&test), !late);
            assert_eq!(alerts(&test), usize::from(late), "while nothing can be sent, a person is told");
            if late {
                let heard = found(&test);
                test.hear(hears(heard));
                assert!(sent(&test), "our commitment is asked for at once");
            }
            assert!(!test.court.channel(test.index(&fixture)).unwrap().watches_parent(&parent));
        }
    }
}

/// While blocks are missing, one of them may have the funding (R11); and no alert is raised where nothing would be sent.
#[test]
fn a21_the_alert_waits_for_the_best_block_and_for_going_to_chain() {
    let (mut test, fixture, _) = unconfirmed(ANCHORS);
    let alerts = |test: &TestCourt| test.court.docket(test.index(&fixture)).unwrap().alerts.len();
    test.best = Some(START + 3);
    test.quiet_block(&[]);
    test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    assert_eq!(alerts(&test), 0);
    test.best = None;
    test.quiet_block(&[]);
    test.quiet_block(&[]);
    assert_eq!(alerts(&test), 1);
}
