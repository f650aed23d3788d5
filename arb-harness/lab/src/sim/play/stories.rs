//! Bugs that the simulator found, each as the shortest sequence of events that shows it.

use arb_core::{Acknowledged, Alert, Height, Htlc, HtlcKey, Link, Side};

use crate::peer::Publish;
use crate::sim::plan::act::Act;
use crate::sim::world::World;
use crate::sim::world::channel::{Change, Message};
use crate::sim::world::payment::{Intent, Payment};

/// Seed 1: two payments have one hash. The first HTLC expired, we took it back, and its upstream HTLC failed. Then the
/// counterparty claimed the second, which shows the preimage of both. That was reported as a loss, although nothing was
/// lost.
#[test]
fn a_preimage_that_another_htlc_of_the_same_hash_showed_is_no_loss() {
    let mut world = World::fair(5);
    world.open().ok().unwrap();
    let preimage = world.new_preimage();
    let mut keys = Vec::new();
    for expiry in [1_030, 1_070] {
        let key = world.channels[0].next_id(Side::Local);
        let cltv_expiry = Height::new(expiry);
        let payment_hash = preimage.hash();
        let htlc = Htlc { key, amount_msat: 50_000_000, payment_hash, cltv_expiry, link: Link::Own, tag: Vec::new() };
        world.channels[0].propose(Side::Local, Change::Add(htlc));
        keys.push(HtlcKey { channel: world.channels[0].fixture.id(), htlc: key });
    }
    for message in [Message::RemoteSigned, Message::RemoteRevoked, Message::LocalSigned] {
        assert_eq!(world.exchange(0, message).ok(), Some(true));
    }
    let number = world.channels[0].remote;
    let plan = world.channels[0].peer.plan_mut();
    plan.claims = true;
    plan.publishes = Some((0, Publish::Commitment(number)));
    // After the first was taken back and buried, before the second expires.
    plan.preimages.insert(preimage, 1_050);
    world.mine(65).ok().unwrap();
    let origin = |key: &HtlcKey| world.node.origins.get(key).map(|(done, _)| *done);
    assert_eq!(origin(&keys[0]), Some(Acknowledged::Failed));
    assert_eq!(origin(&keys[1]), Some(Acknowledged::Settled));
    let losses = world.node.alerts.iter().filter(|(_, alert)| matches!(alert, Alert::Loss { .. }));
    assert_eq!(losses.count(), 0);
}

/// Seed 20181: a mutual close failed a received HTLC off chain, and the node forwarded it afterwards, which no node does.
/// The court then rightly knows no upstream expiry: there is no upstream HTLC left.
#[test]
fn a_node_forwards_nothing_that_it_has_begun_to_fail() {
    for ends in [false, true] {
        let mut world = (1..).map(World::fair).find(|world| world.channels.len() == 2).unwrap();
        world.open().ok().unwrap();
        let preimage = world.new_preimage();
        let (key, payment_hash) = (world.channels[0].next_id(Side::Remote), preimage.hash());
        let (cltv_expiry, link) = (Height::new(1_150), Link::Received);
        let htlc = Htlc { key, amount_msat: 50_000_000, payment_hash, cltv_expiry, link, tag: Vec::new() };
        world.channels[0].propose(Side::Remote, Change::Add(htlc));
        for message in [Message::LocalSigned, Message::RemoteSigned, Message::RemoteRevoked] {
            assert_eq!(world.exchange(0, message).ok(), Some(true));
        }
        let (received, intent) = (world.channels[0].key(key), Intent::Forward);
        world.payments.push(Payment { channel: 0, received, preimage, intent, forwarded: Vec::new(), told: false });
        if ends {
            assert!(world.channels[0].propose_end(key, false));
        }
        world.act(Act::Forward).ok().unwrap();
        assert_eq!(world.payments[0].forwarded.is_empty(), ends);
        assert_eq!(world.channels[1].htlcs().count(), usize::from(!ends));
    }
}
