//! Answers of signer and wallet that cannot be taken.

use arb_core::bolt3::CompactSig;
use arb_core::{
    Action, ActionId, BroadcastAnswer, BroadcastRejection, CloseReason, Event, FeeInput, FeeInputsOffered, HtlcRef,
    InputSignature, Link, Rejected, Side, SignRequest, Signed,
};
use arb_harness::signer::Signer;
use arb_lab::fixture::ChannelFixture;
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, ScriptBuf, Txid};

use crate::bench::{ANCHORS, Bench, START, channel, offered, output_of};

/// Our commitment confirmed and its HTLC expired: a coin is asked for. Nothing but the script was answered.
fn wanting() -> (Bench, ChannelFixture, OutPoint) {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[offered(0, 500_000, 1, START + 3, Link::Own)]);
    bench.block(&[fixture.local_commitment_tx(0).unwrap()]);
    bench.block(&[]);
    bench.quiet_block(&[]);
    let owner = output_of(&fixture, Side::Local, 0, HtlcRef::offered(0));
    (bench, fixture, owner)
}

fn wanted_coin(bench: &Bench) -> (ActionId, u64) {
    let find = |action: &Action| match action {
        Action::RequestFeeInputs { id, amount_sat, .. } => Some((*id, *amount_sat)),
        _ => None,
    };
    bench.court.actions_due().iter().find_map(find).expect("a coin is wanted")
}

fn wanted_signature(bench: &Bench) -> SignRequest {
    let find = |action: Action| match action {
        Action::Sign(request) => Some(request),
        _ => None,
    };
    bench.court.actions_due().into_iter().find_map(find).expect("a signature is wanted")
}

fn offer(bench: &Bench, fixture: &ChannelFixture, request: ActionId, value_sat: u64) -> FeeInputsOffered {
    let script = bench.keys.script_for(b"coin");
    let outpoint = OutPoint::new(Txid::from_byte_array([5; 32]), 1);
    let inputs = vec![FeeInput { outpoint, value_sat, script: script.clone() }];
    FeeInputsOffered { channel: fixture.id(), request, inputs, change: script }
}

/// What a coin pays for its own input at the feerate that it was asked for with.
fn own_fee_sat(bench: &Bench) -> u64 {
    let find = |action: &Action| match action {
        Action::RequestFeeInputs { feerate_sat_per_kw, .. } => Some(u64::from(*feerate_sat_per_kw)),
        _ => None,
    };
    let feerate = bench.court.actions_due().iter().find_map(find).expect("a coin is wanted");
    (arb_core::sweep::WALLET_INPUT_WEIGHT * feerate).div_ceil(1000)
}

fn offering(offer: &FeeInputsOffered) -> Event {
    Event::FeeInputsOffered(Box::new(offer.clone()))
}

#[test]
fn fee_inputs_that_cannot_be_used() {
    let (mut bench, fixture, _) = wanting();
    let (request, amount_sat) = wanted_coin(&bench);
    let good = offer(&bench, &fixture, request, amount_sat + own_fee_sat(&bench));
    let bad = Rejected::BadFeeInput(good.inputs[0].outpoint);
    let mut small = good.clone();
    small.inputs[0].value_sat -= 1;
    let too_small = Rejected::FeeInputsTooSmall { amount_sat, net_sat: amount_sat - 1 };
    assert_eq!(bench.refuse(&offering(&small)), too_small);
    let mut other = good.clone();
    other.inputs[0].script = fixture.setup().funding_txout().script_pubkey;
    assert_eq!(bench.refuse(&offering(&other)), bad, "P2WSH");
    let mut two = good.clone();
    two.inputs.push(two.inputs[0].clone());
    assert_eq!(bench.refuse(&offering(&two)), bad, "there twice");
    let mut none = good.clone();
    none.inputs.clear();
    assert_eq!(bench.refuse(&offering(&none)), Rejected::FeeInputsTooSmall { amount_sat, net_sat: 0 });
    let mut nowhere = good.clone();
    nowhere.change = ScriptBuf::new();
    assert_eq!(bench.refuse(&offering(&nowhere)), Rejected::BadScript);
    bench.hear(offering(&good));
    bench.again(&offering(&good));
}

#[test]
fn a_coin_that_is_in_use() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    // Two locktimes, two transactions.
    let htlcs = [offered(0, 500_000, 1, START + 3, Link::Own), offered(1, 500_000, 2, START + 4, Link::Own)];
    bench.open(&mut fixture, &htlcs);
    bench.block(&[fixture.local_commitment_tx(0).unwrap()]);
    bench.block(&[]);
    bench.quiet_block(&[]);
    bench.quiet_block(&[]);
    let (request, amount_sat) = wanted_coin(&bench);
    let first = offer(&bench, &fixture, request, amount_sat + own_fee_sat(&bench));
    bench.hear(offering(&first));
    let (request, amount_sat) = wanted_coin(&bench);
    let second = offer(&bench, &fixture, request, amount_sat + own_fee_sat(&bench));
    assert_eq!(bench.refuse(&offering(&second)), Rejected::BadFeeInput(first.inputs[0].outpoint));
    // A funding output is no coin either.
    let mut funding = second;
    funding.inputs[0].outpoint = fixture.setup().funding;
    assert_eq!(bench.refuse(&offering(&funding)), Rejected::BadFeeInput(fixture.setup().funding));
}

#[test]
fn wrong_signature_for_a_sweep() {
    let (mut bench, fixture, _) = wanting();
    let (request, amount_sat) = wanted_coin(&bench);
    bench.hear(offering(&offer(&bench, &fixture, request, amount_sat + 10_000)));
    let request = wanted_signature(&bench);
    let good = bench.signer.sign(&request).unwrap();
    let signed = |signatures: Vec<InputSignature>| {
        Event::Signed(Box::new(Signed { channel: fixture.id(), request: request.id, signatures }))
    };
    let forged = InputSignature::Channel(CompactSig([3; 64]));
    let why = bench.refuse(&signed(vec![forged, good[1]]));
    assert_eq!(why, Rejected::WrongSignature { request: request.id, input: 0 });
    let InputSignature::Wallet { key, .. } = good[1] else { panic!() };
    let forged = InputSignature::Wallet { signature: CompactSig([3; 64]), key };
    let why = bench.refuse(&signed(vec![good[0], forged]));
    assert_eq!(why, Rejected::WrongSignature { request: request.id, input: 1 });
    // A valid signature with a key that the coin does not pay to.
    let InputSignature::Wallet { signature, .. } = good[1] else { panic!() };
    let forged = InputSignature::Wallet { signature, key: fixture.setup().local.funding_point() };
    let why = bench.refuse(&signed(vec![good[0], forged]));
    assert_eq!(why, Rejected::WrongSignature { request: request.id, input: 1 });
    let why = bench.refuse(&signed(vec![good[0]]));
    assert_eq!(why, Rejected::SignatureCount { expected: 2, got: 1 });
    bench.hear(signed(good.clone()));
    bench.again(&signed(good));
}

#[test]
fn wrong_signature_for_our_commitment() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[]);
    bench.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    let request = wanted_signature(&bench);
    let forged = vec![InputSignature::Channel(CompactSig([3; 64]))];
    let event = Event::Signed(Box::new(Signed { channel: fixture.id(), request: request.id, signatures: forged }));
    assert_eq!(bench.refuse(&event), Rejected::WrongSignature { request: request.id, input: 0 });
    assert!(bench.court.actions_due().iter().all(|action| !matches!(action, Action::Broadcast { .. })));
}

#[test]
fn answers_to_what_nobody_asked() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[]);
    let (channel, request) = (fixture.id(), ActionId([1; 16]));
    let script = fixture.setup().fallback_script.clone();
    let signed = Signed { channel, request, signatures: Vec::new() };
    let events = [
        Event::Signed(Box::new(signed)),
        Event::SigningRefused { channel, request, why: String::new() },
        Event::ScriptsOffered { channel, request, script },
    ];
    for event in &events {
        assert_eq!(bench.refuse(event), Rejected::UnknownRequest(request), "{event:?}");
    }
}

#[test]
fn a_script_that_is_empty() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[]);
    bench.quiet_block(&[fixture.remote_commitment_tx(0).unwrap()]);
    let find = |action: &Action| match action {
        Action::RequestScripts { id, .. } => Some(*id),
        _ => None,
    };
    let request = bench.court.actions_due().iter().find_map(find).unwrap();
    let offer = |script| Event::ScriptsOffered { channel: fixture.id(), request, script };
    assert_eq!(bench.refuse(&offer(ScriptBuf::new())), Rejected::BadScript);
    bench.hear(offer(fixture.setup().fallback_script.clone()));
}

#[test]
fn answers_are_news_once() {
    let (mut bench, fixture, owner) = wanting();
    let (request, amount_sat) = wanted_coin(&bench);
    let refused = Event::FeeInputsRefused { channel: fixture.id(), request, missing_sat: 7 };
    bench.hear(refused.clone());
    bench.again(&refused);
    let missing = arb_core::Alert::FeeInputsMissing { owner, missing_sat: 7 };
    assert!(bench.docket(&fixture).alerts.contains(&missing));
    // It was asked for more than the next block needs: now what is needed will do.
    let (request, needed_sat) = wanted_coin(&bench);
    assert!(needed_sat < amount_sat);
    bench.hear(offering(&offer(&bench, &fixture, request, amount_sat + 10_000)));
    let request = wanted_signature(&bench);
    let refused = Event::SigningRefused { channel: fixture.id(), request: request.id, why: "locked".into() };
    bench.hear(refused.clone());
    bench.again(&refused);
    // It is still asked for, in every block.
    assert_eq!(wanted_signature(&bench).id, request.id);
    let txid = request.tx.compute_txid();
    let answered = |answer| Event::BroadcastAnswered { channel: fixture.id(), txid, answer };
    let conflict = answered(BroadcastAnswer::Rejected(BroadcastRejection::ConflictInMempool));
    bench.hear(conflict.clone());
    bench.again(&conflict);
    bench.hear(answered(BroadcastAnswer::Accepted));
    bench.again(&answered(BroadcastAnswer::Known));
}
