//! Replacement cycling (B21): our claim and the preimage spend both leave the mempool, and only a payment of the adversary to
//! itself stays.

use arb_core::Side;
use arb_core::bolt3::{SpendPath, classify_spend};
use arb_lab::adversary::{ActKind, Tactic};

use crate::support::*;

#[test]
fn neither_our_claim_nor_the_preimage_is_left_and_the_way_out_is_paid_for() {
    for owner in [Side::Local, Side::Remote] {
        let mut close = ContestedClose::new(owner, 1, Tactic::Cycle);
        let claim = close.claim([0], 1000);
        close.submit(&claim);
        let acts = close.act();
        let [into, out] = acts.as_slice() else { panic!("{acts:?}") };
        assert_eq!((into.kind, out.kind), (ActKind::CycleIn, ActKind::CycleOut));
        let (into_tx, out_tx) = (into.tx.clone().unwrap(), out.tx.clone().unwrap());
        assert!(!close.waits(&claim) && !close.waits(&into_tx) && close.waits(&out_tx));
        assert_eq!(close.chain.mempool().count(), 1);
        let (outpoint, txout, _) = close.commitment.htlc_output(0).unwrap();
        assert!(close.chain.mempool_spender(&outpoint).is_none(), "the mempool has no spend of the HTLC");
        let at = into_tx.input.iter().position(|input| input.previous_output == outpoint).unwrap();
        let path = classify_spend(&txout.script_pubkey, &into_tx.input[at].witness);
        let shown = match owner {
            Side::Local => SpendPath::Preimage(preimage(0)),
            Side::Remote => SpendPath::SecondLevelSuccess(preimage(0)),
        };
        assert_eq!(path, shown, "the preimage was in the mempool");
        let vsize = |tx: &bitcoin::Transaction| u64::try_from(tx.vsize()).unwrap();
        assert!(into.cost_sat >= 1000 + vsize(&into_tx) && out.cost_sat >= into.cost_sat + vsize(&out_tx));
        assert_eq!(close.adversary.spend_sat(), out.cost_sat, "a replaced transaction costs nothing");
        close.chain.mine();
        close.adversary.settle(&close.chain);
        assert_eq!((close.adversary.spend_sat(), close.open().len()), (out.cost_sat, 1));
    }
}

#[test]
fn forty_htlcs_in_one_transaction_or_in_forty_are_cycled_in_every_block() {
    for owner in [Side::Local, Side::Remote] {
        for single in [true, false] {
            let mut close = ContestedClose::new(owner, 40, Tactic::Cycle);
            let mut last = 0;
            for round in 1..=12_u32 {
                let claims = match single {
                    true => vec![close.claim(0..40, 20_000)],
                    false => (0..40).map(|index| close.claim([index], 1000)).collect(),
                };
                for claim in &claims {
                    close.submit(claim);
                }
                let acts = close.act();
                assert_eq!(acts.len(), 2, "{owner:?} {single} {round}");
                assert!(claims.iter().all(|claim| !close.waits(claim)));
                close.chain.mine_at(0, u64::MAX);
                assert_eq!(close.open().len(), 40);
                assert!(close.adversary.spend_sat() > last + 20_000);
                last = close.adversary.spend_sat();
                assert_eq!(close.adversary.counts()[&ActKind::CycleOut], round);
            }
        }
    }
}

#[test]
fn while_nothing_of_its_own_confirms_it_cycles_with_the_coins_that_wait() {
    let mut close = ContestedClose::new(Side::Local, 1, Tactic::Cycle);
    for round in 0..25 {
        let claim = close.claim([0], 1000);
        close.submit(&claim);
        assert_eq!(close.act().len(), 2, "round {round}");
        assert!(!close.waits(&claim));
        close.chain.mine_at(u32::MAX, u64::MAX);
    }
    assert!(close.chain.mempool().count() <= 20, "at most one transaction for each coin");
}

#[test]
fn our_preimage_claims_are_cycled_with_its_timeouts_once_those_are_final() {
    for (owner, acts) in [(Side::Local, 2), (Side::Remote, 4)] {
        let mut close = ContestedClose::received(owner, 2, Tactic::Cycle, EXPIRY);
        let claims = [close.claim([0], 1000), close.claim([1], 1000)];
        claims.iter().for_each(|claim| close.submit(claim));
        assert_eq!(close.act().len(), acts, "{owner:?}: one cycle for each locktime on its own commitment");
        assert!(claims.iter().all(|claim| !close.waits(claim)));
        assert_eq!(close.chain.mempool().count(), acts / 2);
        close.chain.mine();
        assert_eq!(close.open(), [0, 1]);
    }
}
