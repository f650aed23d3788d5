//! Tactics `Replace` and `Stall`: our claims are outbid, or one HTLC of a batch is taken in every block.

use arb_core::{HtlcRef, Side};
use arb_lab::adversary::{ActKind, Adversary, Tactic};
use arb_lab::chain::Reject;
use arb_lab::peer::{Peer, PeerPlan};

use crate::support::*;

#[test]
fn each_of_our_claims_is_outbid_at_the_lowest_price() {
    for owner in [Side::Local, Side::Remote] {
        let mut close = ContestedClose::new(owner, 3, Tactic::Replace);
        let claims = [close.claim([0, 1], 2000), close.claim([2], 900)];
        for claim in &claims {
            close.submit(claim);
        }
        let acts = close.act();
        assert_eq!(acts.iter().map(|act| act.kind).collect::<Vec<_>>(), [ActKind::Replaced; 2], "{owner:?}");
        assert!(claims.iter().all(|claim| !close.waits(claim)));
        let mut htlcs: Vec<HtlcRef> = acts.iter().flat_map(|act| act.htlcs.clone()).collect();
        htlcs.sort_unstable();
        assert_eq!(htlcs, [0, 1, 2].map(HtlcRef::offered));
        for act in &acts {
            let tx = act.tx.as_ref().unwrap();
            let (vsize, size) = (u64::try_from(tx.vsize()).unwrap(), act.htlcs.len());
            let (ours, our_fee) = if size == 2 { (&claims[0], 2000) } else { (&claims[1], 900) };
            // The fee of BIP 125 rule 4, or the feerate above ours; a short signature may round it up by one.
            let rate = our_fee * 1000 / u64::try_from(ours.vsize()).unwrap();
            let least = (our_fee + vsize).max(((rate + 1) * vsize).div_ceil(1000));
            assert!((least..=least + rate.div_ceil(1000) + 1).contains(&act.cost_sat), "{} {least}", act.cost_sat);
        }
        assert_eq!(close.adversary.spend_sat(), acts.iter().map(|act| act.cost_sat).sum::<u64>());
        assert_eq!(close.act(), [], "its own transactions are not replaced");
        close.chain.mine();
        assert_eq!(close.open(), [0_usize; 0]);
    }
}

#[test]
fn a_batch_leaves_no_dust() {
    for (owner, spare_sat) in [(Side::Local, COIN_SAT), (Side::Remote, COIN_SAT + 2 * HTLC_SAT)] {
        let mut close = ContestedClose::new(owner, 2, Tactic::Replace);
        assert!(close.try_claim([0, 1], spare_sat - 294).is_some());
        for rest_sat in [293, 1] {
            assert!(close.try_claim([0, 1], spare_sat - rest_sat).is_none());
        }
        assert!(close.try_claim([0, 1], spare_sat + 1).is_none());
        // With no change at all, the outputs of the second levels still make a transaction.
        assert_eq!(close.try_claim([0, 1], spare_sat).is_some(), owner == Side::Local);
    }
}

#[test]
fn without_a_preimage_it_can_do_nothing_about_what_we_offered() {
    let mut close = ContestedClose::new(Side::Local, 2, Tactic::Replace);
    close.adversary = adversary(0, Tactic::Replace, 5, &mut close.chain);
    let claim = close.claim([0, 1], 2000);
    close.submit(&claim);
    assert_eq!(close.act(), []);
    assert!(close.waits(&claim));
    assert_eq!(close.adversary.spend_sat(), 0);
}

#[test]
fn it_takes_back_what_it_offered_from_the_expiry_on() {
    for owner in [Side::Local, Side::Remote] {
        let mut close = ContestedClose::received(owner, 4, Tactic::Replace, EXPIRY - 2);
        let claim = close.claim(0..4, 2000);
        close.submit(&claim);
        assert_eq!(close.act(), []);
        close.chain.mine_at(u32::MAX, 0);
        let [act] = close.act().try_into().unwrap();
        assert_eq!(act.htlcs, [1, 3].map(HtlcRef::received), "{owner:?}: the two that have expired");
        assert!(!close.waits(&claim));
        close.chain.mine();
        assert_eq!(close.open(), [0, 2]);
    }
}

#[test]
fn different_expiries_share_a_transaction_on_our_commitment_only() {
    for (owner, taken) in [(Side::Local, 5), (Side::Remote, 3)] {
        let mut close = ContestedClose::received(owner, 5, Tactic::Replace, EXPIRY);
        let claim = close.claim(0..5, 2000);
        close.submit(&claim);
        let [act] = close.act().try_into().unwrap();
        assert_eq!(act.htlcs.len(), taken, "{owner:?}: on its own commitment our signatures cover the locktime");
    }
}

#[test]
fn one_htlc_of_the_batch_goes_in_each_block_and_the_rest_has_to_be_put_together_again() {
    for owner in [Side::Local, Side::Remote] {
        const COUNT: usize = 40;
        let mut close = ContestedClose::new(owner, 40, Tactic::Stall);
        let mut spent = 0;
        for round in 0..COUNT {
            let open = close.open();
            assert_eq!(open.len(), COUNT - round, "{owner:?}");
            let batch = close.claim(open.iter().copied(), 40_000);
            close.submit(&batch);
            let acts = close.act();
            let [act] = acts.as_slice() else { panic!("{owner:?} {round}: {acts:?}") };
            assert_eq!((act.kind, act.htlcs.len()), (ActKind::Stalled, 1));
            assert!(!close.waits(&batch), "one HTLC replaces the whole batch");
            spent += act.cost_sat;
            let block = close.chain.mine_at(0, u64::MAX);
            assert_eq!(block.txs.len(), 1);
            assert!(matches!(close.chain.submit(batch), Err(Reject::MissingInputs { .. })));
        }
        assert_eq!(close.adversary.counts()[&ActKind::Stalled], 40);
        close.adversary.settle(&close.chain);
        assert_eq!(close.adversary.spend_sat(), spent);
        assert!(spent > 40 * 40_000, "each replacement pays for our batch: {spent}");
    }
}

#[test]
fn the_same_seed_does_the_same() {
    let run = |seed| {
        let mut close = ContestedClose::new(Side::Local, 10, Tactic::Stall);
        let preimages = (0..10).map(|id| (preimage(id), 0)).collect();
        let peer = Peer::new(PeerPlan { preimages, sweeps: false, ..PeerPlan::default() }, &[0xee; 32]);
        close.adversary = Adversary::new(peer, Tactic::Stall, seed);
        let mut acts = Vec::new();
        for _ in 0..4 {
            let batch = close.claim(close.open(), 4000);
            close.submit(&batch);
            acts.extend(close.act());
            close.chain.mine();
        }
        acts
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
