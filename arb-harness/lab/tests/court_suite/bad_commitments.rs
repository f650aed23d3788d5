//! Invalid commitments, HTLCs and secrets (R14): each has its own refusal, and court and step stay as they were.

use arb_core::bolt3::{CompactSig, Secret, SecretStore};
use arb_core::{Event, Heard, HtlcKey, HtlcRef, Link, Rejected, Side, TAG_MAX};

use crate::test_court::{
    ANCHORS, CAPACITY_SAT, TYPES, TestCourt, channel, height, offered, preimage, received, running, state,
};

fn local(event: Event) -> arb_core::LocalCommitmentSigned {
    let Event::LocalCommitmentSigned(heard) = event else { panic!("{event:?}") };
    *heard
}

fn remote(event: Event) -> arb_core::RemoteCommitmentSigned {
    let Event::RemoteCommitmentSigned(heard) = event else { panic!("{event:?}") };
    *heard
}

#[test]
fn wrong_commitment_signature() {
    for channel_type in TYPES {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        test.open_bare(&fixture);
        let mut heard = local(fixture.local_signed(0, state(&[])).unwrap());
        heard.signatures[0].commitment = CompactSig([1; 64]);
        let txid = fixture.commitment(Side::Local, 0).unwrap().built.txid;
        let event = Event::LocalCommitmentSigned(heard.into());
        assert_eq!(test.refuse(&event), Rejected::WrongCommitmentSignature { txid });
    }
}

#[test]
fn wrong_htlc_signature_names_the_output() {
    for channel_type in TYPES {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        test.open_bare(&fixture);
        let htlcs = [received(0, 60_000, 2, 500), received(1, 70_000, 3, 500)];
        let mut heard = local(fixture.local_signed(0, state(&htlcs)).unwrap());
        heard.signatures[0].htlcs.swap(0, 1);
        let commitment = fixture.commitment(Side::Local, 0).unwrap();
        let vout = commitment.built.htlc_vouts[0].unwrap();
        let event = Event::LocalCommitmentSigned(heard.into());
        assert_eq!(test.refuse(&event), Rejected::WrongHtlcSignature { txid: commitment.built.txid, vout });
    }
}

#[test]
fn one_signature_too_many_or_too_few() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open_bare(&fixture);
    let good = local(fixture.local_signed(0, state(&[received(0, 60_000, 2, 500)])).unwrap());
    let mut none = good.clone();
    none.signatures[0].htlcs.clear();
    let why = test.refuse(&Event::LocalCommitmentSigned(none.into()));
    assert_eq!(why, Rejected::SignatureCount { expected: 1, got: 0 });
    let mut two = good;
    two.signatures.push(two.signatures[0].clone());
    let why = test.refuse(&Event::LocalCommitmentSigned(two.into()));
    assert_eq!(why, Rejected::SignatureCount { expected: 1, got: 2 });
}

#[test]
fn a_check_for_another_commitment_is_made_again() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[]);
    let good = fixture.local_signed(1, state(&[received(0, 60_000, 2, 500)])).unwrap();
    let checked = test.court.check(&good).unwrap().unwrap();
    // The same signatures over a commitment with another feerate.
    let mut other = local(good.clone());
    other.update.feerate_sat_per_kw += 1;
    let other = Event::LocalCommitmentSigned(other.into());
    let mut step = test.court.step();
    assert!(matches!(step.hear_checked(&other, &checked), Err(Rejected::WrongCommitmentSignature { .. })));
    // Other signatures over the same commitment.
    let mut forged = local(good.clone());
    forged.signatures[0].htlcs[0] = CompactSig([1; 64]);
    let forged = Event::LocalCommitmentSigned(forged.into());
    assert!(matches!(step.hear_checked(&forged, &checked), Err(Rejected::WrongHtlcSignature { .. })));
    assert_eq!(step.hear_checked(&good, &checked), Ok(Heard::Accepted));
    step.commit(&mut test.frames).unwrap();
}

#[test]
fn secret_that_does_not_fit_its_point() {
    let (mut test, mut fixture) = running();
    test.hear(fixture.remote_signed(1, state(&[])).unwrap());
    let Event::RemoteRevoked(mut heard) = fixture.remote_revoked(0).unwrap() else { panic!() };
    heard.secret = Secret([7; 32]);
    assert_eq!(test.refuse(&Event::RemoteRevoked(heard)), Rejected::SecretNotOfPoint { number: 0 });
}

#[test]
fn secret_that_contradicts_the_store() {
    // Another secret for a number whose secret is stored.
    let (mut test, mut fixture) = running();
    test.update(&mut fixture, 1, &[]);
    let Event::RemoteRevoked(mut heard) = fixture.remote_revoked(0).unwrap() else { panic!() };
    heard.secret = Secret([7; 32]);
    assert_eq!(test.refuse(&Event::RemoteRevoked(heard)), Rejected::SecretContradicts { number: 0 });

    // Secrets that fit their points but not each other: that of number 1 does not yield that of number 0 (BOLT 3, shachain).
    let mut setup = channel(2, ANCHORS).setup().clone();
    setup.remote = setup.remote.with_commitment_secret(0, Secret([9; 32]));
    let mut fixture = arb_lab::fixture::ChannelFixture::new(setup);
    let mut test = TestCourt::new();
    test.open(&mut fixture, &[]);
    test.update(&mut fixture, 1, &[]);
    test.hear(fixture.remote_signed(2, state(&[])).unwrap());
    let why = test.refuse(&fixture.remote_revoked(1).unwrap());
    assert_eq!(why, Rejected::SecretContradicts { number: 1 });
}

#[test]
fn number_skipped() {
    let (mut test, fixture) = running();
    // That above the next one is proof of a newer state: the tests of A4 have it. While a channel joins, it is a mistake.
    for side in [Side::Local, Side::Remote] {
        let mut joins = channel(if side == Side::Local { 2 } else { 3 }, ANCHORS);
        test.hear(joins.opened(joins.standing(0, 0).unwrap()));
        joins.sign_unheard(side, 1, state(&[]));
        let skipped = joins.whole(side, 1).unwrap();
        assert_eq!(test.refuse(&skipped), Rejected::WrongNumber { expected: 0, got: 1 });
    }
    let early = fixture.remote_revoked(0).unwrap();
    assert_eq!(test.refuse(&early), Rejected::WrongNumber { expected: 0, got: 0 }, "no newer commitment is signed");
}

#[test]
fn a_third_unrevoked_remote_commitment() {
    let (mut test, mut fixture) = running();
    test.hear(fixture.remote_signed(1, state(&[])).unwrap());
    let third = fixture.remote_signed(2, state(&[])).unwrap();
    assert_eq!(test.refuse(&third), Rejected::RevocationMissing { pending: 1 });
}

#[test]
fn point_that_is_not_the_announced_one() {
    let (mut test, mut fixture) = running();
    test.update(&mut fixture, 1, &[]);
    let mut heard = remote(fixture.remote_signed(2, state(&[])).unwrap());
    heard.update.point = fixture.setup().remote.point(9).unwrap();
    let event = Event::RemoteCommitmentSigned(heard.into());
    assert_eq!(test.refuse(&event), Rejected::WrongPoint { number: 2 });
}

#[test]
fn htlc_id_twice() {
    let (mut test, mut fixture) = running();
    let twice = |key| Rejected::HtlcTwice(key);
    let first = remote(fixture.remote_signed(1, state(&[])).unwrap());
    let with = |added: Vec<arb_core::Htlc>| {
        let mut heard = first.clone();
        let sum: u64 = added.iter().map(|htlc| htlc.amount_msat).sum();
        heard.update.local_msat -= sum;
        heard.update.added = added;
        Event::RemoteCommitmentSigned(heard.into())
    };
    // Twice in one update.
    let new = offered(1, 10_000, 3, 500, Link::Own);
    assert_eq!(test.refuse(&with(vec![new.clone(), new.clone()])), twice(HtlcRef::offered(1)));
    // The commitment before has it.
    let old = offered(0, 50_000, 1, 500, Link::Own);
    assert_eq!(test.refuse(&with(vec![old])), twice(HtlcRef::offered(0)));
    // The other side's commitment has this id with other content.
    test.hear(fixture.local_signed(1, state(&[new])).unwrap());
    let other = offered(1, 10_000, 4, 500, Link::Own);
    assert_eq!(test.refuse(&with(vec![other])), twice(HtlcRef::offered(1)));
    // It was on an earlier commitment and is removed.
    let (mut test, mut fixture) = running();
    test.update(&mut fixture, 1, &[]);
    let mut heard = remote(fixture.remote_signed(2, state(&[])).unwrap());
    heard.update.added.push(offered(0, 50_000, 1, 500, Link::Own));
    assert_eq!(test.refuse(&Event::RemoteCommitmentSigned(heard.into())), twice(HtlcRef::offered(0)));
}

#[test]
fn the_same_commitment_with_other_content_is_no_duplicate() {
    // All sums are equal and every id is known; only payment hash and expiry differ. A duplicate permits the node to sign,
    // so this must not count as one: it is refused, because one id names one HTLC.
    let (mut test, mut fixture) = running();
    let htlcs = [offered(0, 50_000, 1, 500, Link::Own), received(0, 60_000, 2, 500)];
    let added = |secret, expiry| [htlcs.as_slice(), &[offered(1, 10_000, secret, expiry, Link::Own)]].concat();
    test.hear(fixture.remote_signed(1, state(&added(3, 500))).unwrap());
    test.again(&fixture.remote_signed(1, state(&added(3, 500))).unwrap());
    for other in [added(4, 500), added(3, 501)] {
        let event = fixture.remote_signed(1, state(&other)).unwrap();
        assert_eq!(test.refuse(&event), Rejected::HtlcTwice(HtlcRef::offered(1)));
    }
}

#[test]
fn a_candidate_with_the_same_balances_is_no_duplicate() {
    // The second candidate keeps HTLC 0; the first replaced it by HTLC 1. The balances are equal, the transactions are not.
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let first = [offered(0, 50_000, 1, 500, Link::Own)];
    test.open(&mut fixture, &first);
    let second = [offered(1, 50_000, 3, 500, Link::Own)];
    test.hear(fixture.remote_signed(1, state(&second)).unwrap());
    test.hear(fixture.remote_signed(1, state(&first)).unwrap());
    let tx = fixture.remote_commitment_tx(1).unwrap();
    test.block(&[tx]);
    assert_eq!(test.close_kind(&fixture), Some(arb_core::CloseKind::RemotePending));
}

#[test]
fn removing_what_is_not_there() {
    let (mut test, mut fixture) = running();
    let mut heard = remote(fixture.remote_signed(1, state(&[])).unwrap());
    heard.update.removed.push(HtlcRef::received(8));
    let event = Event::RemoteCommitmentSigned(heard.into());
    assert_eq!(test.refuse(&event), Rejected::UnknownHtlc(HtlcRef::received(8)));
}

#[test]
fn sum_above_capacity() {
    let (mut test, mut fixture) = running();
    let mut much = state(&[]);
    much.local_msat += 1;
    let event = fixture.remote_signed(1, much).unwrap();
    let capacity_msat = CAPACITY_SAT * 1000;
    assert_eq!(test.refuse(&event), Rejected::NotTheFunding { sum_msat: capacity_msat + 1, capacity_msat });
    let mut much = state(&[]);
    much.local_msat = u64::MAX;
    let mut heard = remote(fixture.remote_signed(1, state(&[])).unwrap());
    heard.update.local_msat = much.local_msat;
    let event = Event::RemoteCommitmentSigned(heard.into());
    assert_eq!(test.refuse(&event), Rejected::NotTheFunding { sum_msat: u64::MAX, capacity_msat });
}

#[test]
fn too_many_htlcs() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[]);
    let many: Vec<_> = (0..484).map(|id| received(id, 1000, 2, 500)).collect();
    let event = fixture.remote_signed(1, state(&many)).unwrap();
    assert_eq!(test.refuse(&event), Rejected::TooManyHtlcs { got: 484 });
    test.hear(fixture.remote_signed(1, state(&many[..483])).unwrap());
}

#[test]
fn htlcs_that_cannot_be() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[]);
    let mut refused = |htlc: arb_core::Htlc| test.refuse(&fixture.remote_signed(1, state(&[htlc])).unwrap());
    let mut long = offered(0, 1000, 1, 500, Link::Own);
    long.tag = vec![0; TAG_MAX + 1];
    assert_eq!(refused(long), Rejected::TooLong { what: "tag", got: TAG_MAX + 1, max: TAG_MAX });
    let nothing = offered(0, 0, 1, 500, Link::Own);
    assert!(matches!(refused(nothing), Rejected::BadHtlc { why: "it has no amount", .. }));
    let unsent = offered(0, 1000, 1, 500, Link::Received);
    assert!(matches!(refused(unsent), Rejected::BadHtlc { why: "an offered HTLC has an origin", .. }));
    let mut own = received(0, 1000, 1, 500);
    own.link = Link::Own;
    assert!(matches!(refused(own), Rejected::BadHtlc { why: "a received HTLC has no origin here", .. }));
    let late = offered(0, 1000, 1, 500_000_000, Link::Own);
    assert!(matches!(refused(late), Rejected::BadHtlc { why: "its expiry is a time, not a height", .. }));
}

#[test]
fn upstream_unknown() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[]);
    // An upstream HTLC may be told later, when channels are adopted one after the other; its channel must be known.
    let upstream = HtlcKey { channel: channel(2, ANCHORS).id(), htlc: HtlcRef::received(0) };
    let htlc = offered(0, 50_000, 1, 500, Link::Forward(upstream));
    let event = fixture.remote_signed(1, state(&[htlc])).unwrap();
    assert_eq!(test.refuse(&event), Rejected::UnknownUpstream(upstream));
}

#[test]
fn an_upstream_is_received_not_offered() {
    let (mut test, mut fixture) = running();
    let upstream = HtlcKey { channel: fixture.id(), htlc: HtlcRef::offered(0) };
    let mut heard = remote(fixture.remote_signed(1, state(&[])).unwrap());
    heard.update.local_msat -= 10_000_000;
    heard.update.added.push(offered(1, 10_000, 3, 500, Link::Forward(upstream)));
    let why = test.refuse(&Event::RemoteCommitmentSigned(heard.into()));
    assert_eq!(why, Rejected::UnknownUpstream(upstream));
}

#[test]
fn frozen_channel() {
    let (mut test, mut fixture) = running();
    test.hear(Event::CloseRequested { channel: fixture.id(), why: arb_core::CloseReason::Operator });
    let frozen = Rejected::Frozen(fixture.id());
    assert_eq!(test.refuse(&fixture.remote_signed(1, state(&[])).unwrap()), frozen);
    assert_eq!(test.refuse(&fixture.local_signed(1, state(&[])).unwrap()), frozen);
    // A frozen channel still hears everything else (R10).
    test.hear(Event::PreimageLearned {
        preimage: preimage(2),
        usable_for: vec![HtlcKey { channel: fixture.id(), htlc: HtlcRef::received(0) }],
    });
}

#[test]
fn outdated_channel() {
    let (mut test, mut fixture) = running();
    test.hear(fixture.peer_is_newer());
    let event = fixture.remote_signed(1, state(&[])).unwrap();
    assert_eq!(test.refuse(&event), Rejected::Outdated(fixture.id()));
}

#[test]
fn a34_only_scripts_that_a_wallet_can_own_are_paid_to() {
    let (mut test, fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let opened = |script: Vec<u8>| {
        let Event::ChannelOpened(mut opened) = fixture.opened(fixture.standing(0, 0).unwrap()) else { panic!() };
        opened.facts.fallback_script = bitcoin::ScriptBuf::from_bytes(script);
        Event::ChannelOpened(opened)
    };
    let hash = |head: &[u8], len: usize, tail: &[u8]| [head, &vec![7; len], tail].concat();
    let bad = [
        Vec::new(),
        vec![0x6a, 1, 1],
        vec![0x51],
        vec![0x51; 11_000],
        hash(&[0x52, 32], 32, &[]),
        hash(&[0, 20], 19, &[]),
    ];
    for script in bad {
        assert_eq!(test.refuse(&opened(script)), Rejected::BadScript);
    }
    let good = [
        hash(&[0, 20], 20, &[]),
        hash(&[0, 32], 32, &[]),
        hash(&[0x51, 32], 32, &[]),
        hash(&[0x76, 0xa9, 20], 20, &[0x88, 0xac]),
        hash(&[0xa9, 20], 20, &[0x87]),
    ];
    for script in good {
        test.fork().hear(opened(script));
    }
}

#[test]
fn a56_balances_and_htlcs_are_the_funding_exactly() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[]);
    let dust = [offered(0, 100, 1, 500, Link::Own)];
    let capacity_msat = CAPACITY_SAT * 1000;
    // No signature covers an HTLC that is too small for an output.
    let mut without = state(&dust);
    without.htlcs.clear();
    let why = Rejected::NotTheFunding { sum_msat: capacity_msat - 100_000, capacity_msat };
    let mut other = fixture.clone();
    for event in [other.local_signed(1, without.clone()).unwrap(), other.remote_signed(1, without).unwrap()] {
        assert_eq!(test.refuse(&event), why);
    }
    test.update(&mut fixture, 1, &dust);
    // Fundings of several values have no such sum.
    let two = channel(2, ANCHORS);
    let Event::ChannelOpened(mut opened) = two.opened(two.standing(0, 0).unwrap()) else { panic!() };
    let mut larger = opened.facts.fundings[0].clone();
    larger.outpoint.vout += 1;
    larger.value_sat += 1;
    opened.facts.fundings.push(larger);
    assert_eq!(test.refuse(&Event::ChannelOpened(opened)), Rejected::BadFundings);
}

#[test]
fn facts_that_cannot_be() {
    let (mut test, fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let mut refused = |change: &dyn Fn(&mut arb_core::ChannelOpened)| {
        let Event::ChannelOpened(mut opened) = fixture.opened(fixture.standing(0, 0).unwrap()) else { panic!() };
        change(&mut opened);
        test.refuse(&Event::ChannelOpened(opened))
    };
    assert_eq!(refused(&|opened| opened.facts.local.delay_blocks = 0), Rejected::BadDelay(0));
    assert_eq!(refused(&|opened| opened.facts.remote.delay_blocks = 0), Rejected::BadDelay(0));
    assert_eq!(refused(&|opened| opened.facts.fundings.clear()), Rejected::BadFundings);
    assert_eq!(refused(&|opened| opened.facts.fundings[0].value_sat = 0), Rejected::BadFundings);
    assert_eq!(refused(&|opened| opened.facts.fundings.push(opened.facts.fundings[0].clone())), Rejected::BadFundings);
    assert_eq!(refused(&|opened| opened.facts.fallback_script.clear_all()), Rejected::BadScript);
    assert_eq!(refused(&|opened| opened.facts.local.basepoints.htlc.0[0] = 9), Rejected::BadKey);
    let missing = Rejected::BadStanding { next_remote: 3, missing: 0 };
    assert_eq!(refused(&|opened| opened.standing.next_remote = 3), missing);
}

trait ClearAll {
    fn clear_all(&mut self);
}

impl ClearAll for bitcoin::ScriptBuf {
    fn clear_all(&mut self) {
        *self = Self::new();
    }
}

#[test]
fn a_channel_with_other_facts_and_a_funding_of_another_channel() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[]);
    let mut setup = fixture.setup().clone();
    setup.watch_from = height(7);
    let other = arb_lab::fixture::ChannelFixture::new(setup.clone());
    assert_eq!(test.refuse(&other.opened(other.standing(0, 0).unwrap())), Rejected::OtherFacts(fixture.id()));
    setup.id = channel(2, ANCHORS).id();
    let second = arb_lab::fixture::ChannelFixture::new(setup);
    let why = test.refuse(&second.opened(arb_core::Standing { secrets: SecretStore::default(), ..Default::default() }));
    let outpoint = fixture.setup().funding;
    assert_eq!(why, Rejected::FundingTaken { outpoint, channel: fixture.id() });
}
