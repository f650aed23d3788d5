//! Blocks that do not follow the tip, unknown channels, and other invalid events: each has its own refusal, and court and
//! step stay as they were.

use arb_core::bolt3::ChannelType;
use arb_core::{
    Acknowledged, Block, Bump, ChainArbitrator, ClosingSigned, ContractKind, ContractStatus, Disconnected, Event, Fees,
    Freshness, HtlcRef, Policy, Rejected, Scanned, Side,
};
use arb_lab::fixture::{ChannelFixture, CommitmentState};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Transaction};

use crate::test_court::{
    ANCHORS, CAPACITY_SAT, START, TestCourt, channel, height, identity, key, learned, offered, output_of, preimage,
    received, running, spend, started, state,
};

fn block(event: Event) -> Block {
    let Event::BlockConnected(block) = event else { panic!("{event:?}") };
    *block
}

#[test]
fn nothing_is_heard_before_genesis() {
    let fixture = channel(1, ANCHORS);
    let mut court = ChainArbitrator::new();
    let events = [
        started("early", Freshness::Trusted, START),
        fixture.opened(fixture.standing(0, 0).unwrap()),
        Event::PolicySet(Policy::default()),
    ];
    for event in &events {
        assert_eq!(court.step().hear(event), Err(Rejected::JournalNotOpened));
    }
    assert_eq!(court, ChainArbitrator::new());
    let test = TestCourt::new();
    assert_eq!(test.frames.0.len(), 3);
}

#[test]
fn second_genesis() {
    let mut test = TestCourt::new();
    let mut other = identity();
    other.journal = [2; 32];
    assert_eq!(test.refuse(&Event::JournalOpened(other)), Rejected::OtherIdentity);
    test.again(&Event::JournalOpened(identity()));
}

#[test]
fn unsound_policy() {
    let mut test = TestCourt::new();
    let unsound = [
        Policy { budget_divisor: 0, ..Policy::default() },
        Policy { max_inputs: 0, ..Policy::default() },
        Policy { incremental_sat_per_kw: 0, ..Policy::default() },
        Policy { irrevocable_depth: arb_core::Blocks::new(5), ..Policy::default() },
        Policy { fail_depth: (arb_core::Blocks::new(6), arb_core::Blocks::new(3)), ..Policy::default() },
    ];
    for policy in unsound {
        assert_eq!(test.refuse(&Event::PolicySet(policy.clone())), Rejected::UnsoundPolicy);
        let mut first = identity();
        first.policy = policy;
        assert_eq!(ChainArbitrator::new().step().hear(&Event::JournalOpened(first)), Err(Rejected::UnsoundPolicy));
    }
}

#[test]
fn blocks_that_do_not_follow() {
    let (mut test, _fixture) = running();
    test.block(&[]);
    let tip = test.court.tip();
    let good = block(test.next_block(&[]));
    let connect = |block: Block| Event::BlockConnected(Box::new(block));
    let got = height(START + 3);
    let gap = connect(Block { height: got, best_height: got, ..good.clone() });
    assert_eq!(test.refuse(&gap), Rejected::HeightGap { tip, got });
    let other = connect(Block { height: tip.height, hash: BlockHash::from_byte_array([9; 32]), ..good.clone() });
    assert_eq!(test.refuse(&other), Rejected::HeightGap { tip, got: tip.height });
    let parent = BlockHash::from_byte_array([8; 32]);
    let orphan = connect(Block { parent, ..good.clone() });
    assert_eq!(test.refuse(&orphan), Rejected::UnknownParent { tip, got: parent });
    let behind = connect(Block { best_height: tip.height, ..good.clone() });
    assert_eq!(test.refuse(&behind), Rejected::BadBestHeight { height: good.height, best: tip.height });
}

#[test]
fn only_the_tip_is_disconnected() {
    let (mut test, _fixture) = running();
    test.block(&[]);
    test.block(&[]);
    let tip = test.court.tip();
    let Event::BlockDisconnected(good) = test.disconnection() else { panic!() };
    let hash = BlockHash::from_byte_array([9; 32]);
    for wrong in [
        Disconnected { hash, ..good },
        Disconnected { height: height(START + 1), hash: good.parent, ..good },
        Disconnected { height: height(START + 9), ..good },
    ] {
        assert_eq!(test.refuse(&Event::BlockDisconnected(wrong)), Rejected::NotTheTip { tip });
    }
}

#[test]
fn a_scan_of_the_future() {
    let (mut test, fixture) = running();
    let tx = fixture.remote_commitment_tx(0).unwrap();
    let spends = vec![arb_core::FoundSpend { height: height(START + 1), tx }];
    let (parent, through) = (fixture.setup().funding.txid, test.court.tip());
    let event = Event::Scanned(Box::new(Scanned { channel: fixture.id(), parent, through, confirmed: None, spends }));
    assert_eq!(test.refuse(&event), Rejected::HeightGap { tip: test.court.tip(), got: height(START + 1) });
}

#[test]
fn fees_that_do_not_rise_or_are_nothing() {
    let mut test = TestCourt::new();
    for by_target in [vec![], vec![(6, 300), (6, 200)], vec![(6, 300), (2, 400)], vec![(6, 0)]] {
        let event = Event::FeesEstimated(Fees::new(by_target, 250));
        assert_eq!(test.refuse(&event), Rejected::BadFees);
    }
}

#[test]
fn unknown_channel() {
    let (mut test, _fixture) = running();
    let mut other = channel(2, ANCHORS);
    let id = other.id();
    let remote = other.remote_signed(0, state(&[])).unwrap();
    let local = other.local_signed(0, state(&[])).unwrap();
    let request = arb_core::ActionId([1; 16]);
    let events = [
        remote,
        local,
        other.remote_revoked(0).unwrap(),
        Event::ChannelSignals { channel: id, short_channel_id: 1 },
        learned(&other, HtlcRef::received(0), 1),
        Event::HtlcGivenUp { htlc: key(&other, HtlcRef::received(0)) },
        Event::UpstreamAcknowledged { htlc: key(&other, HtlcRef::offered(0)), outcome: Acknowledged::Failed },
        other.peer_is_current(),
        Event::CloseRequested { channel: id, why: arb_core::CloseReason::Operator },
        Event::ChannelForgotten { channel: id },
        Event::SigningRefused { channel: id, request, why: String::new() },
        Event::ScriptsOffered { channel: id, request, script: other.setup().fallback_script.clone() },
        Event::FeeInputsRefused { channel: id, request, missing_sat: 1 },
        Event::ChannelPolicySet { channel: id, policy: None },
    ];
    for event in &events {
        assert_eq!(test.refuse(event), Rejected::UnknownChannel(id), "{event:?}");
    }
}

#[test]
fn htlcs_that_are_not_there() {
    let (mut test, fixture) = running();
    let nobody = HtlcRef::received(9);
    assert_eq!(test.refuse(&learned(&fixture, nobody, 2)), Rejected::UnknownHtlc(nobody));
    let event = Event::HtlcGivenUp { htlc: key(&fixture, nobody) };
    assert_eq!(test.refuse(&event), Rejected::UnknownHtlc(nobody));
    let ours = HtlcRef::offered(0);
    let event = Event::HtlcGivenUp { htlc: key(&fixture, ours) };
    assert!(matches!(test.refuse(&event), Rejected::BadHtlc { htlc, .. } if htlc == ours));
}

#[test]
fn wrong_preimage() {
    let (mut test, fixture) = running();
    let (right, wrong) = (key(&fixture, HtlcRef::received(0)), key(&fixture, HtlcRef::offered(0)));
    assert_eq!(test.refuse(&learned(&fixture, wrong.htlc, 2)), Rejected::WrongPreimage(wrong));
    // One HTLC that the preimage fits does not make the event valid for the other.
    let event = Event::PreimageLearned { preimage: preimage(2), usable_for: vec![right, wrong] };
    assert_eq!(test.refuse(&event), Rejected::WrongPreimage(wrong));
    let channel = test.court.channel(test.index(&fixture)).unwrap();
    assert_eq!(channel.usable(right.htlc), None);
}

#[test]
fn acknowledging_an_outcome_that_was_never_released() {
    let (mut test, fixture) = running();
    let htlc = key(&fixture, HtlcRef::offered(0));
    for outcome in [Acknowledged::Failed, Acknowledged::Settled] {
        let event = Event::UpstreamAcknowledged { htlc, outcome };
        assert_eq!(test.refuse(&event), Rejected::NoSuchOutcome(htlc));
    }
    // A failure was released, but a settlement is acknowledged.
    test.acknowledges = false;
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    test.blocks_to(500);
    let spent = output_of(&fixture, Side::Remote, 0, HtlcRef::offered(0));
    test.block(&[spend(&[(spent, vec![])], bitcoin::ScriptBuf::new(), 1000)]);
    test.blocks_to(510);
    assert!(matches!(test.outcome(&fixture, htlc.htlc), Some(arb_core::Upstream::Failed(_))));
    let event = Event::UpstreamAcknowledged { htlc, outcome: Acknowledged::Settled };
    assert_eq!(test.refuse(&event), Rejected::NoSuchOutcome(htlc));
}

#[test]
fn forgetting_a_channel_that_held_an_htlc() {
    let (mut test, mut fixture) = running();
    let event = Event::ChannelForgotten { channel: fixture.id() };
    assert_eq!(test.refuse(&event), Rejected::CannotForget(fixture.id()));
    // Also after the HTLC was removed.
    test.update(&mut fixture, 1, &[]);
    assert_eq!(test.refuse(&event), Rejected::CannotForget(fixture.id()));
    // A channel that is closing cannot be forgotten either.
    let mut other = channel(2, ANCHORS);
    test.open(&mut other, &[]);
    test.block(&[other.remote_commitment_tx(0).unwrap()]);
    let event = Event::ChannelForgotten { channel: other.id() };
    assert_eq!(test.refuse(&event), Rejected::CannotForget(other.id()));
}

#[test]
fn a33_a_channel_with_a_balance_of_ours_is_not_forgotten() {
    for (confirmed, ours) in [(true, true), (true, false), (false, true)] {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
        let Event::ChannelOpened(mut opened) = fixture.opened(fixture.standing(0, 0).unwrap()) else { panic!() };
        if !confirmed {
            opened.facts.fundings[0].confirmed = None;
        }
        test.hear(Event::ChannelOpened(opened));
        if ours {
            test.open_states(&mut fixture, &[]);
        }
        test.hear(fixture.adopted());
        test.settle();
        let event = Event::ChannelForgotten { channel: fixture.id() };
        if ours {
            // An unconfirmed funding may confirm; that it cannot, only `NeverFunded` says.
            assert_eq!(test.refuse(&event), Rejected::CannotForget(fixture.id()));
        } else {
            test.hear(event);
        }
    }
}

/// A channel whose funding transaction, which is returned, is not confirmed; their first commitment pays us, or does not.
fn unconfirmed(pays_us: bool) -> (TestCourt, ChannelFixture, Transaction) {
    let mut setup = channel(1, ANCHORS).setup().clone();
    setup.opener = Side::Remote;
    let (mut test, mut fixture) = (TestCourt::new(), ChannelFixture::new(setup));
    let Event::ChannelOpened(mut opened) = fixture.opened(fixture.standing(0, 0).unwrap()) else { panic!() };
    let funding = spend(&[(bitcoin::OutPoint::null(), vec![])], bitcoin::ScriptBuf::new(), 1000);
    opened.facts.fundings[0].outpoint = bitcoin::OutPoint::new(funding.compute_txid(), 0);
    opened.facts.fundings[0].confirmed = None;
    test.hear(Event::ChannelOpened(opened));
    let theirs = CommitmentState { local_msat: 0, remote_msat: CAPACITY_SAT * 1000, ..state(&[]) };
    test.hear(fixture.remote_signed(0, if pays_us { state(&[]) } else { theirs }).unwrap());
    (test, fixture, funding)
}

#[test]
fn a33_forgetting_waits_for_blocks_for_the_search_and_for_the_node() {
    let (mut test, fixture, _) = unconfirmed(false);
    let event = Event::ChannelForgotten { channel: fixture.id() };
    let too_soon = Rejected::ForgottenTooSoon(fixture.id());
    assert_eq!(too_soon.class(), arb_core::RejectedClass::NotYet);
    let mut unsearched = test.fork();
    unsearched.hear(fixture.adopted());
    assert_eq!(unsearched.refuse(&event), too_soon, "it is not searched");
    test.settle();
    let mut untold = test.fork();
    untold.hear(Event::ChannelSignals { channel: fixture.id(), short_channel_id: 1 });
    let answer = untold.court.clone().step().hear(&event);
    assert_eq!(answer, Err(too_soon.clone()), "it joins");
    test.hear(fixture.adopted());
    test.best = Some(START + 2);
    test.quiet_block(&[]);
    assert_eq!(test.refuse(&event), too_soon, "a block is missing");
    test.best = None;
    test.quiet_block(&[]);
    test.hear(started("again", Freshness::Trusted, START));
    let answer = test.court.clone().step().hear(&event);
    assert_eq!(answer, Err(too_soon), "a start is to be told");
    test.hear(arb_lab::process::all_told());
    test.hear(event.clone());
    test.again(&event);
}

#[test]
fn a33_a_forgotten_channel_ends_only_while_its_funding_is_known_to_be_unconfirmed() {
    for pays_us in [true, false] {
        let (mut test, fixture, funding) = unconfirmed(pays_us);
        test.settle();
        test.hear(fixture.adopted());
        let channel = fixture.id();
        test.hear(if pays_us { Event::NeverFunded { channel } } else { Event::ChannelForgotten { channel } });
        // The freeze is carried out while a block is missing, and that block has the funding.
        test.best = Some(START + 2);
        test.quiet_block(&[]);
        test.settle();
        assert!(test.court.index_of(&channel).is_some());
        test.best = None;
        let mut without = test.fork();
        without.block(&[]);
        assert_eq!(without.court.index_of(&channel), None);
        test.block(&[funding]);
        test.block(&[]);
        assert_eq!(test.court.index_of(&channel).is_some(), pays_us, "the counterparty can close it, and pays us then");
    }
}

#[test]
fn a_closing_spends_the_funding_and_has_the_output_that_is_ours() {
    let (mut test, fixture) = running();
    let tx = spend(&[(fixture.setup().funding, vec![])], bitcoin::ScriptBuf::new(), 1000);
    let elsewhere = spend(&[(bitcoin::OutPoint::null(), vec![])], bitcoin::ScriptBuf::new(), 1000);
    for (tx, local_output) in [(tx, Some(1)), (elsewhere, None)] {
        let event = Event::ClosingSigned(Box::new(ClosingSigned { channel: fixture.id(), tx, local_output }));
        assert_eq!(test.refuse(&event), Rejected::NotAClosing);
    }
}

#[test]
fn a20_a_closing_is_refused_while_an_htlc_is_on_a_commitment_that_can_confirm() {
    let closing = |fixture: &ChannelFixture, sat| {
        let tx = spend(&[(fixture.setup().funding, vec![])], fixture.setup().fallback_script.clone(), sat);
        let closing = ClosingSigned { channel: fixture.id(), tx, local_output: Some(0) };
        Event::ClosingSigned(Box::new(closing))
    };
    // One of either direction, also one too small for an output, on our commitment only, on theirs only, on their pending one.
    let htlcs = [offered(0, 50_000, 1, 500, arb_core::Link::Own), received(0, 300, 2, 500)];
    for htlc in htlcs {
        let (none, one) = (state(&[]), state(std::slice::from_ref(&htlc)));
        for (ours, theirs, pending) in [(&one, &none, &none), (&none, &one, &none), (&none, &none, &one)] {
            let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
            test.open_bare(&fixture);
            test.hear(fixture.local_signed(0, ours.clone()).unwrap());
            test.hear(fixture.remote_signed(0, theirs.clone()).unwrap());
            test.hear(fixture.remote_signed(1, pending.clone()).unwrap());
            let why = test.refuse(&closing(&fixture, 1000));
            assert_eq!((why.class(), why), (arb_core::RejectedClass::NotYet, Rejected::HtlcPending(htlc.key)));
            test.hear(fixture.local_signed(1, none.clone()).unwrap());
            test.hear(fixture.remote_revoked(0).unwrap());
            test.hear(fixture.remote_signed(2, none.clone()).unwrap());
            test.hear(fixture.remote_revoked(1).unwrap());
            test.hear(closing(&fixture, 1000));
            // What was signed then is no news now.
            test.hear(fixture.remote_signed(3, state(&[received(1, 9_000, 3, 500)])).unwrap());
            test.again(&closing(&fixture, 1000));
            assert_eq!(test.refuse(&closing(&fixture, 2000)), Rejected::HtlcPending(HtlcRef::received(1)));
        }
    }
}

#[test]
fn what_is_not_revoked_cannot_be_loaded() {
    let (mut test, fixture) = running();
    for number in [0, 1, u64::MAX] {
        let event = Event::RevokedLoaded { channel: fixture.id(), number, candidates: Vec::new() };
        assert_eq!(test.refuse(&event), Rejected::NotRevoked { number });
    }
}

#[test]
fn what_nobody_claims_cannot_be_raised() {
    let (mut test, fixture) = running();
    let bump = Bump { feerate_sat_per_kw: 1000, ..Bump::default() };
    let outpoint = bitcoin::OutPoint::null();
    let event = Event::BumpRequested { channel: fixture.id(), outpoint: Some(outpoint), bump };
    assert_eq!(test.refuse(&event), Rejected::NothingToBump(outpoint));
}

#[test]
fn texts_are_bounded() {
    let (mut test, fixture) = running();
    let long = "x".repeat(257);
    let too_long = |what| Rejected::TooLong { what, got: 257, max: 256 };
    assert_eq!(test.refuse(&started(&long, Freshness::Trusted, START)), too_long("build"));
    let id = arb_core::ActionId([0; 16]);
    let event = Event::Failed { channel: fixture.id(), id, why: long };
    assert_eq!(test.refuse(&event), too_long("reason"));
}

/// A41: whatever the close, a bump that can raise nothing of it is refused by name.
#[test]
fn a41_a_close_without_a_fee_that_can_be_raised_says_so() {
    let bump = Bump { feerate_sat_per_kw: 20_000, ..Bump::default() };
    let raise = |id, outpoint| Event::BumpRequested { channel: id, outpoint, bump };
    for channel_type in [ChannelType::StaticRemotekey, ANCHORS] {
        let opened = || {
            let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
            test.open(&mut fixture, &[]);
            (test, fixture)
        };
        // A mutual close: both sides signed its fee.
        let (mut test, fixture) = opened();
        let tx = spend(&[(fixture.setup().funding, Vec::new())], fixture.setup().fallback_script.clone(), 5_000);
        let closing = ClosingSigned { channel: fixture.id(), tx: tx.clone(), local_output: Some(0) };
        test.hear(Event::ClosingSigned(Box::new(closing)));
        test.block(&[tx]);
        assert_eq!(test.close_kind(&fixture), Some(arb_core::CloseKind::Mutual));
        let refused = Rejected::NothingToRaise(fixture.id());
        assert_eq!(test.refuse(&raise(fixture.id(), None)), refused, "{channel_type:?}: mutual");
        // Theirs, and our main output is spent: at most the anchor is left.
        let (mut test, fixture) = opened();
        test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
        assert!(
            test.court.clone().step().hear(&raise(fixture.id(), None)).is_ok(),
            "{channel_type:?}: our main output"
        );
        test.mine_to(START + 8);
        assert_eq!(test.refuse(&raise(fixture.id(), None)), refused, "{channel_type:?}: all is spent");
    }
    // A channel that the node forgot closes no more.
    let (mut test, fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open_bare(&fixture);
    test.hear(Event::ChannelForgotten { channel: fixture.id() });
    assert_eq!(test.refuse(&raise(fixture.id(), None)), Rejected::NothingToRaise(fixture.id()));
}

#[test]
fn a_bump_that_asks_for_nothing_more_is_no_news() {
    let (mut test, fixture) = running();
    let bump = |bump| Event::BumpRequested { channel: fixture.id(), outpoint: None, bump };
    test.again(&bump(Bump::default()));
    let bound = bump(Bump { bound_sat: Some(5_000), ..Bump::default() });
    test.hear(bound.clone());
    test.again(&bound);
    test.again(&bump(Bump { bound_sat: Some(4_999), ..Bump::default() }));
    test.hear(bump(Bump { bound_sat: Some(5_001), ..Bump::default() }));
    // A bump of one claim is no error when it is told again after the claim is over.
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    let ours = |contract: &ContractStatus| contract.kind == ContractKind::ToRemote;
    let output = test.docket(&fixture).contracts.into_iter().find(ours).unwrap().next_output;
    let of_one = |feerate_sat_per_kw| Event::BumpRequested {
        channel: fixture.id(),
        outpoint: output,
        bump: Bump { feerate_sat_per_kw, ..Bump::default() },
    };
    test.hear(of_one(9_000));
    test.mine_to(START + 5);
    test.again(&of_one(9_000));
    assert_eq!(test.refuse(&of_one(9_001)), Rejected::NothingToBump(output.unwrap()));
}
