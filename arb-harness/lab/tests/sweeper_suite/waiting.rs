//! Outputs that wait: once each has waited for `irrevocable_depth` blocks, a person is told what a spend of it needs, and once
//! more when it is given up (I12).

use arb_core::bolt3::ChannelType;
use arb_core::{Alert, Conclusion, Event, Height, HtlcRef, Link, Notice, Side, SigningKey, UnclaimedOutput};
use arb_harness::keys::ChannelKeys;
use bitcoin::OutPoint;

use crate::world::{BEGIN, World, offered, received};

const STATIC: ChannelType = ChannelType::StaticRemotekey;
const ANCHORS: ChannelType = ChannelType::AnchorsZeroFeeHtlcTx;
const COINS: [u64; 6] = [400_000, 300_000, 200_000, 200_000, 150_000, 100_000];
/// The policy's `irrevocable_depth`.
const DEPTH: u32 = 100;

/// The outputs that were told to wait, each with the height since which it could be claimed, in order.
fn told(world: &World) -> Vec<(UnclaimedOutput, Height)> {
    let of = |alert: &Alert| match alert {
        Alert::OutputWaits { output, since } => Some((output.clone(), *since)),
        _ => None,
    };
    world.node.alerts.iter().filter_map(|(_, alert)| of(alert)).collect()
}

/// An output that the chain has with this value and these scripts.
fn assert_true(world: &World, output: &UnclaimedOutput) {
    let coin = &world.chain.utxo(&output.outpoint).expect("it is unspent").txout;
    assert_eq!((coin.value.to_sat(), &coin.script_pubkey), (output.amount_sat, &output.script_pubkey));
    match &output.witness_script {
        Some(script) => assert_eq!(script.to_p2wsh(), output.script_pubkey),
        None => assert!(output.script_pubkey.is_p2wpkh()),
    }
}

fn our_keys(world: &World) -> ChannelKeys {
    world.fixture.setup().local.clone()
}

/// Whether the script asks for the public key of this private key.
fn asks_for(output: &UnclaimedOutput, secret: arb_core::bolt3::Secret) -> bool {
    let key = arb_core::bolt3::point_of_secret(arb_harness::keys::secp(), &secret).unwrap();
    let script = output.witness_script.as_ref().unwrap_or(&output.script_pubkey);
    [&key.0[..], &key.hash160()[..]].iter().any(|part| script.as_bytes().windows(part.len()).any(|at| at == *part))
}

#[test]
fn an_output_that_does_not_confirm_is_told_after_the_depth_and_once() {
    let mut world = World::new(ANCHORS, &[], &COINS, 1_000);
    world.confirm(world.commitment(Side::Remote));
    let since = world.court.tip().height.get();
    world.mine_empty_to(since - BEGIN + DEPTH - 1);
    assert_eq!(told(&world), [], "one block before");
    world.mine_empty();
    let [(output, from)] = &told(&world)[..] else { panic!("{:?}", told(&world)) };
    assert_eq!((from.get(), output.key), (since, SigningKey::Payment));
    assert_true(&world, output);
    assert!(asks_for(output, our_keys(&world).secrets().payment));
    world.mine_empty_to(since - BEGIN + 3 * DEPTH);
    assert_eq!(told(&world).len(), 1, "told once");
}

#[test]
fn each_kind_of_output_is_told_with_the_key_that_its_script_asks_for() {
    for channel_type in [STATIC, ANCHORS] {
        for side in [Side::Local, Side::Remote] {
            let htlcs = [offered(0, 90_000, 10, Link::Own), received(0, 80_000, 60)];
            let mut world = World::new(channel_type, &htlcs, &COINS, 1_000);
            world.learn(HtlcRef::received(0));
            world.confirm(world.commitment(side));
            world.mine_empty_to(400);
            let (keys, case) = (our_keys(&world), format!("{channel_type:?}, {side:?}"));
            let told = told(&world);
            assert_eq!(told.len(), 3, "{case}: our main output and two HTLCs: {told:?}");
            for (output, _) in &told {
                assert_true(&world, output);
                let secret = match output.key {
                    SigningKey::Payment => keys.secrets().payment,
                    SigningKey::Htlc(point) => keys.htlc_secret(&point).unwrap(),
                    SigningKey::DelayedPayment(point) => keys.delayed_secret(&point).unwrap(),
                    other => panic!("{case}: {other:?}"),
                };
                assert!(asks_for(output, secret), "{case}: {output:?}");
            }
            let of_htlcs = told.iter().filter(|(output, _)| matches!(output.key, SigningKey::Htlc(_)));
            assert_eq!(of_htlcs.count(), 2, "{case}");
        }
    }
}

#[test]
fn a_revoked_output_is_told_with_the_secret_that_the_peer_revealed() {
    let mut world = World::new(ANCHORS, &[offered(0, 90_000, 100, Link::Own)], &COINS, 1_000);
    world.revoke();
    world.confirm(world.commitment(Side::Remote));
    world.mine_empty_to(DEPTH + 20);
    let (keys, revealed) = (our_keys(&world), world.fixture.setup().remote.secret(0));
    let told = told(&world);
    let penalties: Vec<&UnclaimedOutput> =
        told.iter().map(|(output, _)| output).filter(|output| output.key != SigningKey::Payment).collect();
    assert_eq!((told.len(), penalties.len()), (3, 2), "our main output, theirs, and the HTLC");
    for output in penalties {
        assert_true(&world, output);
        assert_eq!(output.key, SigningKey::Revocation(revealed), "the secret is the peer's");
        assert!(asks_for(output, keys.revocation_secret(&revealed).unwrap()));
    }
}

#[test]
fn a_preimage_that_comes_late_begins_the_waiting() {
    let mut world = World::new(ANCHORS, &[received(0, 80_000, 300)], &COINS, 1_000);
    world.confirm(world.commitment(Side::Remote));
    world.mine_empty_to(150);
    let before = told(&world).len();
    world.learn(HtlcRef::received(0));
    world.mine_empty_to(150 + DEPTH - 1);
    assert_eq!(told(&world).len(), before, "claimable for less than the depth");
    world.mine_empty();
    let [.., (output, since)] = &told(&world)[..] else { panic!() };
    assert_eq!((output.outpoint, since.get()), (world.output(Side::Remote, HtlcRef::received(0)), BEGIN + 150));
}

/// Our HTLC transaction confirmed, and its output costs too much for now.
fn declined_second_level() -> (World, OutPoint) {
    let mut world = World::new(ANCHORS, &[offered(0, 24_000, 10, Link::Own)], &COINS, 1_000);
    world.confirm(world.commitment(Side::Local));
    world.mine_to(12);
    let (_, txid, input) = world.chain.spender_of(&world.output(Side::Local, HtlcRef::offered(0))).unwrap();
    while world.chain.tip().0 < BEGIN + 300 {
        world.mine();
        world.estimate(80_000);
    }
    (world, OutPoint::new(txid, u32::try_from(input).unwrap()))
}

#[test]
fn the_report_of_what_was_given_up_names_it_once_more() {
    let (mut world, second) = declined_second_level();
    let [(output, _)] = &told(&world)[..] else { panic!("{:?}", told(&world)) };
    assert_eq!(output.outpoint, second, "declined, and told");
    assert_true(&world, output);
    world.hear(&Event::ClaimAbandoned { channel: world.id(), outpoint: second });
    world.settle();
    let left: Vec<_> = world.node.reports.iter().filter_map(|(_, report)| report.unclaimed.as_deref()).collect();
    assert_eq!(left, [output], "the other contracts left nothing of ours");
}

#[test]
fn what_is_told_holds_no_private_key_of_ours() {
    let (mut world, second) = declined_second_level();
    world.hear(&Event::ClaimAbandoned { channel: world.id(), outpoint: second });
    world.settle();
    let mut revoked = World::new(ANCHORS, &[offered(0, 90_000, 100, Link::Own)], &COINS, 1_000);
    revoked.revoke();
    revoked.confirm(revoked.commitment(Side::Remote));
    revoked.mine_empty_to(DEPTH + 20);
    for world in [&world, &revoked] {
        let notices = world.concluded().filter_map(|what| match what {
            Conclusion::Noticed(notice) => Some(&**notice),
            _ => None,
        });
        let notices: Vec<&Notice> = notices.collect();
        let bytes = postcard::to_allocvec(&notices).unwrap();
        let (keys, point) = (our_keys(world), world.fixture.setup().local.point(0).unwrap());
        let secrets = keys.secrets();
        let mut all = vec![secrets.funding, secrets.revocation, secrets.payment, secrets.delayed_payment, secrets.htlc];
        all.extend([secrets.commitment_seed, keys.htlc_secret(&point).unwrap(), keys.delayed_secret(&point).unwrap()]);
        all.push(keys.revocation_secret(&world.fixture.setup().remote.secret(0)).unwrap());
        all.extend((0..3).map(|number| keys.secret(number)));
        let holds = |part: &[u8]| bytes.windows(part.len()).any(|at| at == part);
        assert!(told(world).iter().all(|(output, _)| holds(output.script_pubkey.as_bytes())), "it is looked through");
        assert!(all.iter().all(|secret| !holds(&secret.0)));
    }
}
