//! Outbidding and stalling.

use arb_core::{HtlcRef, Side};
use arb_lab::adversary::{ActKind, Adversary, Tactic};
use arb_lab::chain::Reject;
use arb_lab::peer::{Peer, PeerPlan};

use crate::support::*;

#[test]
fn each_of_our_claims_is_outbid_at_the_lowest_price() {
    for owner in [Side::Local, Side::Remote] {
        let mut scene = Scene::new(owner, 3, Tactic::Replace);
        let claims = [scene.claim([0, 1], 2000), scene.claim([2], 900)];
        for claim in &claims {
            scene.submit(claim);
        }
        let acts = scene.act();
        assert_eq!(acts.iter().map(|act| act.kind).collect::<Vec<_>>(), [ActKind::Replaced; 2], "{owner:?}");
        assert!(claims.iter().all(|claim| !scene.waits(claim)));
        let mut htlcs: Vec<HtlcRef> = acts.iter().flat_map(|act| act.htlcs.clone()).collect();
        htlcs.sort_unstable();
        assert_eq!(htlcs, [0, 1, 2].map(HtlcRef::offered));
        for act in &acts {
            let tx = act.tx.as_ref().unwrap();
            let (vsize, size) = (u64::try_from(tx.vsize()).unwrap(), act.htlcs.len());
            let (ours, our_fee) = if size == 2 { (&claims[0], 2000) } else { (&claims[1], 900) };
            // What rule 4 asks, or the rate that beats ours; a signature that came out short may cost one more.
            let rate = our_fee * 1000 / u64::try_from(ours.vsize()).unwrap();
            let least = (our_fee + vsize).max(((rate + 1) * vsize).div_ceil(1000));
            assert!((least..=least + rate.div_ceil(1000) + 1).contains(&act.cost_sat), "{} {least}", act.cost_sat);
        }
        assert_eq!(scene.adversary.spend_sat(), acts.iter().map(|act| act.cost_sat).sum::<u64>());
        assert_eq!(scene.act(), [], "its own are not fought");
        scene.chain.mine();
        assert_eq!(scene.open(), [0_usize; 0]);
    }
}

#[test]
fn a_batch_leaves_no_dust() {
    for (owner, spare_sat) in [(Side::Local, COIN_SAT), (Side::Remote, COIN_SAT + 2 * HTLC_SAT)] {
        let mut scene = Scene::new(owner, 2, Tactic::Replace);
        assert!(scene.try_claim([0, 1], spare_sat - 294).is_some());
        for rest_sat in [293, 1] {
            assert!(scene.try_claim([0, 1], spare_sat - rest_sat).is_none());
        }
        assert!(scene.try_claim([0, 1], spare_sat + 1).is_none());
        // Nothing at all is left: the second level's own outputs are enough for a transaction.
        assert_eq!(scene.try_claim([0, 1], spare_sat).is_some(), owner == Side::Local);
    }
}

#[test]
fn without_a_preimage_it_can_do_nothing_about_what_we_offered() {
    let mut scene = Scene::new(Side::Local, 2, Tactic::Replace);
    scene.adversary = adversary(0, Tactic::Replace, 5, &mut scene.chain);
    let claim = scene.claim([0, 1], 2000);
    scene.submit(&claim);
    assert_eq!(scene.act(), []);
    assert!(scene.waits(&claim));
    assert_eq!(scene.adversary.spend_sat(), 0);
}

#[test]
fn it_takes_back_what_it_offered_from_the_expiry_on() {
    for owner in [Side::Local, Side::Remote] {
        let mut scene = Scene::received(owner, 4, Tactic::Replace, EXPIRY - 2);
        let claim = scene.claim(0..4, 2000);
        scene.submit(&claim);
        assert_eq!(scene.act(), []);
        scene.chain.mine_at(u32::MAX, 0);
        let [act] = scene.act().try_into().unwrap();
        assert_eq!(act.htlcs, [1, 3].map(HtlcRef::received), "{owner:?}: the two that have expired");
        assert!(!scene.waits(&claim));
        scene.chain.mine();
        assert_eq!(scene.open(), [0, 2]);
    }
}

#[test]
fn different_expiries_share_a_transaction_on_our_commitment_only() {
    for (owner, taken) in [(Side::Local, 5), (Side::Remote, 3)] {
        let mut scene = Scene::received(owner, 5, Tactic::Replace, EXPIRY);
        let claim = scene.claim(0..5, 2000);
        scene.submit(&claim);
        let [act] = scene.act().try_into().unwrap();
        assert_eq!(act.htlcs.len(), taken, "{owner:?}: on its own, our signatures cover the lock");
    }
}

#[test]
fn one_htlc_of_the_batch_goes_in_each_block_and_the_rest_has_to_be_put_together_again() {
    for owner in [Side::Local, Side::Remote] {
        const COUNT: usize = 40;
        let mut scene = Scene::new(owner, 40, Tactic::Stall);
        let mut spent = 0;
        for round in 0..COUNT {
            let open = scene.open();
            assert_eq!(open.len(), COUNT - round, "{owner:?}");
            let batch = scene.claim(open.iter().copied(), 40_000);
            scene.submit(&batch);
            let acts = scene.act();
            let [act] = acts.as_slice() else { panic!("{owner:?} {round}: {acts:?}") };
            assert_eq!((act.kind, act.htlcs.len()), (ActKind::Stalled, 1));
            assert!(!scene.waits(&batch), "the whole batch is out for one HTLC");
            spent += act.cost_sat;
            let block = scene.chain.mine_at(0, u64::MAX);
            assert_eq!(block.txs.len(), 1);
            assert!(matches!(scene.chain.submit(batch), Err(Reject::MissingInputs { .. })));
        }
        assert_eq!(scene.adversary.counts()[&ActKind::Stalled], 40);
        scene.adversary.settle(&scene.chain);
        assert_eq!(scene.adversary.spend_sat(), spent);
        assert!(spent > 40 * 40_000, "it paid for our batch each time: {spent}");
    }
}

#[test]
fn the_same_seed_does_the_same() {
    let run = |seed| {
        let mut scene = Scene::new(Side::Local, 10, Tactic::Stall);
        let preimages = (0..10).map(|id| (preimage(id), 0)).collect();
        let peer = Peer::new(PeerPlan { preimages, sweeps: false, ..PeerPlan::default() }, &[0xee; 32]);
        scene.adversary = Adversary::new(peer, Tactic::Stall, seed);
        let mut acts = Vec::new();
        for _ in 0..4 {
            let batch = scene.claim(scene.open(), 4000);
            scene.submit(&batch);
            acts.extend(scene.act());
            scene.chain.mine();
        }
        acts
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
