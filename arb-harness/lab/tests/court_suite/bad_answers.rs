//! Answers of signer and wallet that are refused (R14), or change nothing when they are repeated.

use arb_core::bolt3::CompactSig;
use arb_core::{
    Action, ActionId, BroadcastAnswer, BroadcastRejection, CloseReason, Event, FeeInput, FeeInputsOffered, HtlcRef,
    InputSignature, Link, Rejected, Side, SignRequest, Signed,
};
use arb_harness::signer::Signer;
use arb_lab::fixture::ChannelFixture;
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, ScriptBuf, Txid};

use crate::test_court::{ANCHORS, START, TestCourt, channel, offered, output_of};

/// Our commitment is confirmed and its HTLC has expired, so a coin is requested. Only the request for a script was answered.
fn needing_a_coin() -> (TestCourt, ChannelFixture, OutPoint) {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[offered(0, 500_000, 1, START + 3, Link::Own)]);
    test.block(&[fixture.local_commitment_tx(0).unwrap()]);
    test.block(&[]);
    test.quiet_block(&[]);
    let owner = output_of(&fixture, Side::Local, 0, HtlcRef::offered(0));
    (test, fixture, owner)
}

fn requested_coin(test: &TestCourt) -> (ActionId, u64) {
    let find = |action: &Action| match action {
        Action::RequestFeeInputs { id, amount_sat, .. } => Some((*id, *amount_sat)),
        _ => None,
    };
    test.court.actions_due().iter().find_map(find).expect("a coin is requested")
}

fn requested_signature(test: &TestCourt) -> SignRequest {
    let find = |action: Action| match action {
        Action::Sign(request) => Some(request),
        _ => None,
    };
    test.court.actions_due().into_iter().find_map(find).expect("a signature is requested")
}

fn offer(test: &TestCourt, fixture: &ChannelFixture, request: ActionId, value_sat: u64) -> FeeInputsOffered {
    let script = test.keys.script_for(b"coin");
    let outpoint = OutPoint::new(Txid::from_byte_array([5; 32]), 1);
    let inputs = vec![FeeInput { outpoint, value_sat, script: script.clone() }];
    FeeInputsOffered { channel: fixture.id(), request, inputs, change: script }
}

/// The fee, in sat, of a coin's own input at the feerate of the request.
fn own_fee_sat(test: &TestCourt) -> u64 {
    let find = |action: &Action| match action {
        Action::RequestFeeInputs { feerate_sat_per_kw, .. } => Some(u64::from(*feerate_sat_per_kw)),
        _ => None,
    };
    let feerate = test.court.actions_due().iter().find_map(find).expect("a coin is requested");
    // 273 weight units are 69 virtual bytes (A59).
    (69 * 4 * feerate).div_ceil(1000)
}

fn offering(offer: &FeeInputsOffered) -> Event {
    Event::FeeInputsOffered(Box::new(offer.clone()))
}

#[test]
fn fee_inputs_that_cannot_be_used() {
    let (mut test, fixture, _) = needing_a_coin();
    let (request, amount_sat) = requested_coin(&test);
    let good = offer(&test, &fixture, request, amount_sat + own_fee_sat(&test));
    let bad = Rejected::BadFeeInput(good.inputs[0].outpoint);
    let mut small = good.clone();
    small.inputs[0].value_sat -= 1;
    let too_small = Rejected::FeeInputsTooSmall { amount_sat, net_sat: amount_sat - 1 };
    assert_eq!(test.refuse(&offering(&small)), too_small);
    let mut other = good.clone();
    other.inputs[0].script = fixture.setup().funding_txout().script_pubkey;
    assert_eq!(test.refuse(&offering(&other)), bad, "P2WSH");
    let mut two = good.clone();
    two.inputs.push(two.inputs[0].clone());
    assert_eq!(test.refuse(&offering(&two)), bad, "the same coin twice");
    let mut none = good.clone();
    none.inputs.clear();
    assert_eq!(test.refuse(&offering(&none)), Rejected::FeeInputsTooSmall { amount_sat, net_sat: 0 });
    let mut nowhere = good.clone();
    nowhere.change = ScriptBuf::new();
    assert_eq!(test.refuse(&offering(&nowhere)), Rejected::BadScript);
    test.hear(offering(&good));
    test.again(&offering(&good));
}

#[test]
fn a_coin_that_is_in_use() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    // The HTLCs have different locktimes, so each needs a transaction and a coin of its own.
    let htlcs = [offered(0, 500_000, 1, START + 3, Link::Own), offered(1, 500_000, 2, START + 4, Link::Own)];
    test.open(&mut fixture, &htlcs);
    test.block(&[fixture.local_commitment_tx(0).unwrap()]);
    test.block(&[]);
    test.quiet_block(&[]);
    test.quiet_block(&[]);
    let (request, amount_sat) = requested_coin(&test);
    let first = offer(&test, &fixture, request, amount_sat + own_fee_sat(&test));
    test.hear(offering(&first));
    let (request, amount_sat) = requested_coin(&test);
    let second = offer(&test, &fixture, request, amount_sat + own_fee_sat(&test));
    assert_eq!(test.refuse(&offering(&second)), Rejected::BadFeeInput(first.inputs[0].outpoint));
    // A channel's funding output is refused as a coin too.
    let mut funding = second;
    funding.inputs[0].outpoint = fixture.setup().funding;
    assert_eq!(test.refuse(&offering(&funding)), Rejected::BadFeeInput(fixture.setup().funding));
}

#[test]
fn wrong_signature_for_a_sweep() {
    let (mut test, fixture, _) = needing_a_coin();
    let (request, amount_sat) = requested_coin(&test);
    test.hear(offering(&offer(&test, &fixture, request, amount_sat + 10_000)));
    let request = requested_signature(&test);
    let good = test.signer.sign(&request).unwrap();
    let signed = |signatures: Vec<InputSignature>| {
        Event::Signed(Box::new(Signed { channel: fixture.id(), request: request.id, signatures }))
    };
    let forged = InputSignature::Channel(CompactSig([3; 64]));
    let why = test.refuse(&signed(vec![forged, good[1]]));
    assert_eq!(why, Rejected::WrongSignature { request: request.id, input: 0 });
    let InputSignature::Wallet { key, .. } = good[1] else { panic!() };
    let forged = InputSignature::Wallet { signature: CompactSig([3; 64]), key };
    let why = test.refuse(&signed(vec![good[0], forged]));
    assert_eq!(why, Rejected::WrongSignature { request: request.id, input: 1 });
    // A valid signature with a key that the coin does not pay to.
    let InputSignature::Wallet { signature, .. } = good[1] else { panic!() };
    let forged = InputSignature::Wallet { signature, key: fixture.setup().local.funding_point() };
    let why = test.refuse(&signed(vec![good[0], forged]));
    assert_eq!(why, Rejected::WrongSignature { request: request.id, input: 1 });
    let why = test.refuse(&signed(vec![good[0]]));
    assert_eq!(why, Rejected::SignatureCount { expected: 2, got: 1 });
    test.hear(signed(good.clone()));
    test.again(&signed(good));
}

#[test]
fn wrong_signature_for_our_commitment() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[]);
    test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    let request = requested_signature(&test);
    let forged = vec![InputSignature::Channel(CompactSig([3; 64]))];
    let event = Event::Signed(Box::new(Signed { channel: fixture.id(), request: request.id, signatures: forged }));
    assert_eq!(test.refuse(&event), Rejected::WrongSignature { request: request.id, input: 0 });
    assert!(test.court.actions_due().iter().all(|action| !matches!(action, Action::Broadcast { .. })));
}

#[test]
fn answers_to_what_nobody_asked() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[]);
    let (channel, request) = (fixture.id(), ActionId([1; 16]));
    let script = fixture.setup().fallback_script.clone();
    let signed = Signed { channel, request, signatures: Vec::new() };
    let events = [
        Event::Signed(Box::new(signed)),
        Event::SigningRefused { channel, request, why: String::new() },
        Event::ScriptsOffered { channel, request, script },
    ];
    for event in &events {
        assert_eq!(test.refuse(event), Rejected::UnknownRequest(request), "{event:?}");
    }
}

#[test]
fn a_script_that_is_empty() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[]);
    test.quiet_block(&[fixture.remote_commitment_tx(0).unwrap()]);
    let find = |action: &Action| match action {
        Action::RequestScripts { id, .. } => Some(*id),
        _ => None,
    };
    let request = test.court.actions_due().iter().find_map(find).unwrap();
    let offer = |script| Event::ScriptsOffered { channel: fixture.id(), request, script };
    assert_eq!(test.refuse(&offer(ScriptBuf::new())), Rejected::BadScript);
    assert_eq!(test.refuse(&offer(ScriptBuf::from_bytes(vec![0x51]))), Rejected::BadScript, "A34");
    test.hear(offer(fixture.setup().fallback_script.clone()));
}

#[test]
fn answers_are_news_once() {
    let (mut test, fixture, owner) = needing_a_coin();
    let (request, amount_sat) = requested_coin(&test);
    let refused = Event::FeeInputsRefused { channel: fixture.id(), request, missing_sat: 7 };
    test.hear(refused.clone());
    test.again(&refused);
    let missing = arb_core::Alert::FeeInputsMissing { owner, missing_sat: 7 };
    assert!(test.docket(&fixture).alerts.contains(&missing));
    // The first request was for more than the next block needs; the next one is for what is needed.
    let (request, needed_sat) = requested_coin(&test);
    assert!(needed_sat < amount_sat);
    test.hear(offering(&offer(&test, &fixture, request, amount_sat + 10_000)));
    let request = requested_signature(&test);
    let txid = request.tx.compute_txid();
    let answered = |answer| Event::BroadcastAnswered { channel: fixture.id(), txid, answer };
    let conflict = answered(BroadcastAnswer::Rejected(BroadcastRejection::ConflictInMempool));
    test.hear(conflict.clone());
    test.again(&conflict);
    test.hear(answered(BroadcastAnswer::Accepted));
    test.again(&answered(BroadcastAnswer::Known));
}

/// A36: a sweep whose coins nobody signs for is given up and other coins are asked for.
#[test]
fn a36_a_refused_signature_is_news_once_and_other_coins_are_asked_for() {
    let (mut test, fixture, _) = needing_a_coin();
    let (request, amount_sat) = requested_coin(&test);
    test.hear(offering(&offer(&test, &fixture, request, amount_sat + 10_000)));
    let id = requested_signature(&test).id;
    let refused = Event::SigningRefused { channel: fixture.id(), request: id, why: "locked".into() };
    test.hear(refused.clone());
    test.again(&refused);
    let signing = |action: &Action| matches!(action, Action::Sign(asked) if asked.id == id);
    assert!(!test.court.actions_due().iter().any(signing));
    test.quiet_block(&[]);
    let refused = OutPoint::new(Txid::from_byte_array([5; 32]), 1);
    let asks_for_others =
        |action: &Action| matches!(action, Action::RequestFeeInputs { exclude, .. } if exclude.contains(&refused));
    assert!(test.court.actions_due().iter().any(asks_for_others));
}

/// A59: the wallet and the court count a coin's own input alike, so the least coin that the wallet offers is taken.
#[test]
fn a59_the_least_coin_that_will_do_is_taken_and_one_satoshi_less_is_not() {
    let (mut test, fixture, _) = needing_a_coin();
    let (request, amount_sat) = requested_coin(&test);
    let least_sat = amount_sat + own_fee_sat(&test);
    let less = offering(&offer(&test, &fixture, request, least_sat - 1));
    assert!(matches!(test.refuse(&less), Rejected::FeeInputsTooSmall { .. }));
    let feerate = test.court.actions_due().iter().find_map(|action| match action {
        Action::RequestFeeInputs { feerate_sat_per_kw, .. } => Some(*feerate_sat_per_kw),
        _ => None,
    });
    assert_eq!(least_sat - arb_core::sweep::wallet_input_fee_sat(feerate.unwrap()), amount_sat);
    test.hear(offering(&offer(&test, &fixture, request, least_sat)));
    requested_signature(&test);
}
