//! Pins on HTLC claims and on commitments, the anchor carve-out, and claims that are priced out of the mempool.

use arb_core::Side;
use arb_core::bolt3::OutputKind;
use arb_harness::keys::WalletKeys;
use arb_lab::adversary::{ActKind, Batch, Tactic};
use arb_lab::chain::{Chain, ChainConfig, Reject, Submitted};
use bitcoin::{Amount, TxOut};

use crate::support::*;

#[test]
fn who_replaces_a_pinned_claim_pays_for_all_its_descendants() {
    for owner in [Side::Local, Side::Remote] {
        let mut close = ContestedClose::new(owner, 3, Tactic::Pin { descendants: 24, outputs_each: 100 });
        let acts = close.act();
        assert_eq!(close.adversary.counts()[&ActKind::Pinned], 1);
        assert_eq!(close.adversary.counts()[&ActKind::Junk], 24, "{owner:?}");
        assert_eq!(acts[0].htlcs.len(), 3);
        let junk_sat: u64 = acts.iter().map(|act| act.cost_sat).sum();
        assert!(junk_sat > 70_000, "at least 1 sat/vB: {junk_sat}");
        assert_eq!(close.adversary.spend_sat(), junk_sat);
        // A claim of one of the three HTLCs already conflicts with the pin, and must pay for all of it.
        let cheap = close.claim([1], 0);
        let needed = close.chain.price_of(&cheap);
        assert_eq!(needed, junk_sat + u64::try_from(cheap.vsize()).unwrap());
        let short = close.claim([1], needed - 2);
        assert!(matches!(close.chain.submit(short), Err(Reject::ReplacementTooCheap { .. })));
        let enough = close.claim([1], needed + 2);
        close.submit(&enough);
        assert_eq!(close.chain.mempool().count(), 1);
        close.adversary.settle(&close.chain);
        assert_eq!(close.adversary.spend_sat(), 0, "a replaced pin costs the adversary nothing");
    }
}

#[test]
fn a_pin_outbids_the_claim_that_was_there_first() {
    let mut close = ContestedClose::new(Side::Local, 2, Tactic::Pin { descendants: 3, outputs_each: 0 });
    let claim = close.claim([0, 1], 2000);
    close.submit(&claim);
    let kinds: Vec<ActKind> = close.act().iter().map(|act| act.kind).collect();
    assert_eq!(kinds, [ActKind::Pinned, ActKind::Junk, ActKind::Junk, ActKind::Junk]);
    assert!(!close.waits(&claim));
    assert_eq!(close.act(), [], "a pin that stands is not repeated");
}

#[test]
fn a_pinned_commitment_leaves_our_anchor_the_carve_out() {
    for owner in [Side::Local, Side::Remote] {
        let fixture = fixture(2);
        let mut chain = Chain::new(ChainConfig { start_height: START, ..ChainConfig::default() });
        fixture.plant(&mut chain).unwrap();
        let mut adversary = adversary(2, Tactic::Pin { descendants: 23, outputs_each: 0 }, 1, &mut chain);
        let keys = WalletKeys::from_seed(&[3; 32]);
        let to = keys.script_for(b"ours");
        let coin = chain.mint(to.clone(), 200_000);
        chain.submit(fixture.commitment_tx(owner, 1).unwrap()).unwrap();
        let acts = adversary.act(&fixture, &mut chain).unwrap();
        assert_eq!(acts.len(), 24, "{owner:?}");
        assert_eq!(chain.mempool().count(), 25);
        let commitment = fixture.commitment(owner, 1).unwrap();
        let kind = if owner == Side::Local { OutputKind::OwnerAnchor } else { OutputKind::OtherAnchor };
        let vout = commitment.built.outputs.iter().position(|output| *output == kind).unwrap();
        let coins = [(coin, TxOut { value: Amount::from_sat(200_000), script_pubkey: to.clone() })];
        let mut bump = Batch {
            fixture: &fixture,
            side: Side::Local,
            commitment: &commitment,
            targets: &[],
            anchor: Some(u32::try_from(vout).unwrap()),
            coins: &coins,
            keys: &keys,
            to: &to,
            extra: (320, 300),
        };
        let large = bump.pay(90_000).unwrap().unwrap();
        assert!(large.vsize() > 10_000);
        let refused = Reject::TooManyDescendants { of: commitment.built.txid, count: 26, limit: 25 };
        assert_eq!(chain.submit(large), Err(refused), "the carve-out is for small children");
        bump.extra = (0, 0);
        let child = bump.pay(20_000).unwrap().unwrap();
        assert_eq!(chain.submit(child.clone()), Ok(Submitted::Accepted));
        let block = chain.mine_at(5_000, u64::MAX);
        assert_eq!(block.txs, [fixture.commitment_tx(owner, 1).unwrap(), child]);
    }
}

#[test]
fn our_claims_are_priced_out_for_some_blocks_and_the_full_mempool_is_paid_for() {
    let tactic = Tactic::Evict { up_to_sat_per_kvb: 20_000, blocks: 3 };
    let mut close = ContestedClose::new(Side::Local, 2, tactic);
    let (low, high) = (close.claim([0], 1000), close.claim([1], 2000));
    close.submit(&low);
    close.submit(&high);
    let minimum = 2000 * 1000 / u64::try_from(high.vsize()).unwrap() + 1;
    for block in 1..=3 {
        let acts = close.act();
        assert_eq!(acts.len(), 1, "block {block}");
        assert_eq!((acts[0].kind, acts[0].cost_sat), (ActKind::Evicted, 1_000_000 * minimum / 1000));
        assert!(!close.waits(&low) && !close.waits(&high));
        assert!(matches!(close.chain.submit(high.clone()), Err(Reject::BelowMempoolMinimum { .. })));
        close.chain.mine();
    }
    assert_eq!(close.adversary.spend_sat(), 3 * 1000 * minimum);
    assert_eq!(close.act(), [], "the tactic ends after three blocks");
    assert_eq!(close.chain.mempool_min_feerate(), 0);
    close.submit(&high);
    // This claim pays more than the adversary would evict.
    let dear = close.claim([0], 10_000);
    close.submit(&dear);
    assert_eq!(close.act(), []);
    assert!(close.waits(&dear));
}
