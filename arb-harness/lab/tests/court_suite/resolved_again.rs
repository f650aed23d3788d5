//! A channel that an irrevocable close resolved is told again, because the node died before it noted that (A52).

use arb_core::{Action, ChannelOpened, CloseReason, Event, Freshness, Heard, HtlcRef, Link, Rejected, Side, Standing};
use arb_lab::fixture::ChannelFixture;

use crate::test_court::{START, TYPES, TestCourt, channel, key, learned, offered, preimage, received};

/// A channel after its irrevocable close, of which the court knows no more than that.
fn resolved(channel_type: arb_core::bolt3::ChannelType, side: Side) -> (TestCourt, ChannelFixture) {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
    test.open(&mut fixture, &[offered(0, 50_000, 1, START + 20, Link::Own), received(0, 60_000, 2, START + 20)]);
    test.block(&[fixture.commitment_tx(side, 0).unwrap()]);
    test.mine_to(START + 500);
    assert_eq!(test.node.sheets.len(), 1);
    assert_eq!(test.court.index_of(&fixture.id()), None);
    (test, fixture)
}

fn opened(fixture: &ChannelFixture) -> Event {
    fixture.opened(fixture.standing(0, 0).unwrap())
}

/// Hears in a step of its own that the channel is opened; panics unless that is no news.
fn told_again(test: &mut TestCourt, event: &Event) -> Vec<Action> {
    let mut step = test.court.step();
    assert_eq!(step.hear(event), Ok(Heard::Duplicate));
    step.commit(&mut test.frames).unwrap()
}

#[test]
fn a52_a_resolved_channel_that_is_opened_again_is_resolved_once_more() {
    for channel_type in TYPES {
        for side in [Side::Local, Side::Remote] {
            let (mut test, fixture) = resolved(channel_type, side);
            let sheet = test.node.sheets.clone();
            let alerts = test.node.alerts.len();
            // Once at every start, until the node has noted it.
            for run in 0..3 {
                test.restart();
                test.hear(crate::test_court::started(&format!("run {run}"), Freshness::Trusted, START));
                let due = told_again(&mut test, &opened(&fixture));
                let [Action::ChannelResolved { id, channel, .. }] = due[..] else { panic!("{due:?}") };
                assert_eq!(channel, fixture.id());
                // It stays due, also in later blocks and after a crash, under its id (R4).
                test.again(&opened(&fixture));
                test.quiet_block(&[]);
                assert_eq!(test.court.actions_due(), due);
                assert_eq!(test.recovered().actions_due(), due);
                test.settle();
                assert_eq!(test.court.actions_due(), []);
                test.again(&Event::Performed { channel, id });
            }
            assert_eq!(test.node.sheets, sheet, "the same sheet, under the same channel");
            assert_eq!(test.node.alerts.len(), alerts);
            assert_eq!(test.court.channels().count(), 0);
            assert_eq!(test.recovered(), test.court);
        }
    }
}

#[test]
fn a52_other_facts_are_a_mistake_and_a_backup_is_no_new_channel() {
    let (mut test, fixture) = resolved(TYPES[0], Side::Remote);
    let mut facts = fixture.facts();
    assert_eq!(told_again(&mut test, &Event::ChannelRestored(Box::new(facts.clone()))).len(), 1);
    facts.local.delay_blocks += 1;
    let other = |facts: arb_core::ChannelFacts| {
        let standing = Standing::default();
        [
            Event::ChannelOpened(Box::new(arb_core::ChannelOpened { facts: facts.clone(), standing })),
            Event::ChannelRestored(Box::new(facts)),
        ]
    };
    for event in other(facts) {
        assert_eq!(test.refuse(&event), Rejected::OtherFacts(fixture.id()));
    }
}

#[test]
fn a52_the_rest_of_what_is_told_of_a_resolved_channel_is_past() {
    let (mut test, fixture) = resolved(TYPES[0], Side::Remote);
    let htlc = key(&fixture, HtlcRef::received(0));
    let past = [
        fixture.whole(Side::Local, 0).unwrap(),
        fixture.whole(Side::Remote, 0).unwrap(),
        fixture.remote_revoked(0).unwrap(),
        learned(&fixture, HtlcRef::received(0), 2),
        Event::HtlcGivenUp { htlc },
        fixture.adopted(),
    ];
    for event in &past {
        let before = test.court.clone();
        assert_eq!(test.try_hear(event), Ok(Heard::Past), "{event:?}");
        assert_eq!(test.court, before);
    }
    // A preimage for other channels, too, and the word that ends a start are heard.
    let mut live = channel(2, TYPES[0]);
    test.open(&mut live, &[received(0, 60_000, 2, START + 900)]);
    let usable_for = vec![htlc, key(&live, HtlcRef::received(0))];
    test.hear(Event::PreimageLearned { preimage: preimage(2), usable_for });
    test.hear(crate::test_court::started("again", Freshness::Trusted, START));
    test.hear(Event::AdoptionComplete { channel: None, committed: vec![htlc] });
    // What a person asks of it is refused, not swallowed.
    let close = Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator };
    assert_eq!(test.refuse(&close), Rejected::UnknownChannel(fixture.id()));
}

#[test]
fn a52_a_forgotten_channel_may_be_opened_again() {
    let (mut test, fixture) = (TestCourt::new(), channel(1, TYPES[0]));
    // A channel is forgotten only if its funding never confirmed (A33).
    let mut facts = fixture.facts();
    facts.fundings[0].confirmed = None;
    let opened = |_: &ChannelFixture| {
        let opened = ChannelOpened { facts: facts.clone(), standing: Standing::default() };
        Event::ChannelOpened(Box::new(opened))
    };
    test.hear(opened(&fixture));
    test.hear(fixture.adopted());
    test.settle();
    test.hear(Event::ChannelForgotten { channel: fixture.id() });
    test.settle();
    assert_eq!(test.court.index_of(&fixture.id()), None);
    assert_eq!(test.court.tombstones().count(), 0);
    test.hear(opened(&fixture));
    assert!(test.court.index_of(&fixture.id()).is_some());
}

#[test]
fn a52_a_channel_that_is_resolved_and_told_again_in_one_step_is_known() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, TYPES[0]));
    test.open(&mut fixture, &[offered(0, 50_000, 1, START + 20, Link::Own)]);
    test.acknowledges = false;
    test.block(&[fixture.commitment_tx(Side::Remote, 0).unwrap()]);
    test.mine_to(START + 500);
    // Only the node's acknowledgement is missing.
    test.acknowledges = true;
    let failure = test.court.actions_due().pop().unwrap();
    let acknowledged = test.answer(failure).unwrap();
    let action = test.hear(acknowledged).pop().unwrap();
    let Action::ChannelResolved { id, channel, .. } = action else { panic!() };
    let mut step = test.court.step();
    assert_eq!(step.hear(&Event::Performed { channel, id }), Ok(Heard::Accepted));
    assert_eq!(step.hear(&opened(&fixture)), Ok(Heard::Duplicate));
    assert_eq!(step.commit(&mut test.frames).unwrap(), [action]);
    assert_eq!(test.court.channels().count(), 0);
    assert_eq!(test.recovered(), test.court);
}
