//! A counterparty that is a miner now and then.

use arb_core::Side;
use arb_lab::adversary::{ActKind, Tactic};

use crate::support::*;

#[test]
fn in_its_own_block_ours_are_missing_and_its_claims_are_free() {
    for owner in [Side::Local, Side::Remote] {
        let mut scene = Scene::new(owner, 3, Tactic::Mine { percent: 100 });
        let claim = scene.claim([0, 1, 2], 3000);
        scene.submit(&claim);
        assert_eq!(scene.act(), []);
        let template = scene.adversary.mines(&scene.fixture, &scene.chain).unwrap().unwrap();
        assert!(template.leaves_out.contains(&claim.compute_txid()));
        let block = scene.chain.mine_template(template).unwrap();
        assert_eq!(block.txs.len(), 1);
        assert_eq!(scene.chain.fee_of(&block.txs[0].compute_txid()), Some(0), "{owner:?}");
        assert_eq!((scene.open().len(), scene.waits(&claim)), (0, false));
        assert_eq!(scene.adversary.spend_sat(), 3000, "the fee that it did not take");
    }
}

#[test]
fn without_preimages_it_only_censors() {
    let mut scene = Scene::new(Side::Remote, 2, Tactic::Mine { percent: 100 });
    scene.adversary = adversary(0, Tactic::Mine { percent: 100 }, 0, &mut scene.chain);
    let claim = scene.claim([0, 1], 3000);
    scene.submit(&claim);
    for _ in 0..5 {
        let template = scene.adversary.mines(&scene.fixture, &scene.chain).unwrap().unwrap();
        assert_eq!(scene.chain.mine_template(template).unwrap().txs, []);
        assert!(scene.waits(&claim));
    }
    assert_eq!(scene.chain.mine().txs, [claim]);
}

#[test]
fn its_share_of_the_blocks_is_what_was_asked_for() {
    for (percent, range) in [(0, 0..=0), (30, 40..=80), (100, 200..=200)] {
        let mut scene = Scene::new(Side::Local, 1, Tactic::Mine { percent });
        let own = (0..200).filter(|_| scene.adversary.mines(&scene.fixture, &scene.chain).unwrap().is_some()).count();
        assert!(range.contains(&own), "{own} of 200 at {percent}");
        assert_eq!(scene.adversary.counts().get(&ActKind::Mined).copied().unwrap_or(0), u32::try_from(own).unwrap());
    }
    let mut other = Scene::new(Side::Local, 1, Tactic::Stall);
    assert_eq!(other.adversary.mines(&other.fixture, &other.chain), Ok(None));
}
