//! Replacement cycling: our timeout claim and the preimage are both gone, and only a payment to itself is left.

use arb_core::Side;
use arb_core::bolt3::{SpendPath, classify_spend};
use arb_lab::adversary::{ActKind, Tactic};

use crate::support::*;

#[test]
fn neither_our_claim_nor_the_preimage_is_left_and_the_way_out_is_paid_for() {
    for owner in [Side::Local, Side::Remote] {
        let mut scene = Scene::new(owner, 1, Tactic::Cycle);
        let claim = scene.claim([0], 1000);
        scene.submit(&claim);
        let acts = scene.act();
        let [into, out] = acts.as_slice() else { panic!("{acts:?}") };
        assert_eq!((into.kind, out.kind), (ActKind::CycleIn, ActKind::CycleOut));
        let (into_tx, out_tx) = (into.tx.clone().unwrap(), out.tx.clone().unwrap());
        assert!(!scene.waits(&claim) && !scene.waits(&into_tx) && scene.waits(&out_tx));
        assert_eq!(scene.chain.mempool().count(), 1);
        let (outpoint, txout, _) = scene.commitment.htlc_output(0).unwrap();
        assert!(scene.chain.mempool_spender(&outpoint).is_none(), "nobody spends the HTLC any more");
        let at = into_tx.input.iter().position(|input| input.previous_output == outpoint).unwrap();
        let path = classify_spend(&txout.script_pubkey, &into_tx.input[at].witness);
        let shown = match owner {
            Side::Local => SpendPath::Preimage(preimage(0)),
            Side::Remote => SpendPath::SecondLevelSuccess(preimage(0)),
        };
        assert_eq!(path, shown, "who watched the mempool has seen it");
        let vsize = |tx: &bitcoin::Transaction| u64::try_from(tx.vsize()).unwrap();
        assert!(into.cost_sat >= 1000 + vsize(&into_tx) && out.cost_sat >= into.cost_sat + vsize(&out_tx));
        assert_eq!(scene.adversary.spend_sat(), out.cost_sat, "what was replaced cost nothing");
        scene.chain.mine();
        scene.adversary.settle(&scene.chain);
        assert_eq!((scene.adversary.spend_sat(), scene.open().len()), (out.cost_sat, 1));
    }
}

#[test]
fn forty_htlcs_in_one_transaction_or_in_forty_are_cycled_in_every_block() {
    for owner in [Side::Local, Side::Remote] {
        for single in [true, false] {
            let mut scene = Scene::new(owner, 40, Tactic::Cycle);
            let mut last = 0;
            for round in 1..=12_u32 {
                let claims = match single {
                    true => vec![scene.claim(0..40, 20_000)],
                    false => (0..40).map(|index| scene.claim([index], 1000)).collect(),
                };
                for claim in &claims {
                    scene.submit(claim);
                }
                let acts = scene.act();
                assert_eq!(acts.len(), 2, "{owner:?} {single} {round}");
                assert!(claims.iter().all(|claim| !scene.waits(claim)));
                scene.chain.mine_at(0, u64::MAX);
                assert_eq!(scene.open().len(), 40);
                assert!(scene.adversary.spend_sat() > last + 20_000);
                last = scene.adversary.spend_sat();
                assert_eq!(scene.adversary.counts()[&ActKind::CycleOut], round);
            }
        }
    }
}

#[test]
fn while_nothing_of_its_own_confirms_it_cycles_with_the_coins_that_wait() {
    let mut scene = Scene::new(Side::Local, 1, Tactic::Cycle);
    for round in 0..25 {
        let claim = scene.claim([0], 1000);
        scene.submit(&claim);
        assert_eq!(scene.act().len(), 2, "round {round}");
        assert!(!scene.waits(&claim));
        scene.chain.mine_at(u32::MAX, u64::MAX);
    }
    assert!(scene.chain.mempool().count() <= 20, "no more than it has coins");
}

#[test]
fn our_preimage_claims_are_cycled_with_its_timeouts_once_those_are_final() {
    for (owner, acts) in [(Side::Local, 2), (Side::Remote, 4)] {
        let mut scene = Scene::received(owner, 2, Tactic::Cycle, EXPIRY);
        let claims = [scene.claim([0], 1000), scene.claim([1], 1000)];
        claims.iter().for_each(|claim| scene.submit(claim));
        assert_eq!(scene.act().len(), acts, "{owner:?}: one cycle for each lock of its own commitment");
        assert!(claims.iter().all(|claim| !scene.waits(claim)));
        assert_eq!(scene.chain.mempool().count(), acts / 2);
        scene.chain.mine();
        assert_eq!(scene.open(), [0, 1]);
    }
}
