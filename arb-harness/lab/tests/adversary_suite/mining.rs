//! Tactic `Mine`: the counterparty mines a share of the blocks, with its own claims and without ours.

use arb_core::Side;
use arb_lab::adversary::{ActKind, Tactic};

use crate::support::*;

#[test]
fn in_its_own_block_ours_are_missing_and_its_claims_are_free() {
    for owner in [Side::Local, Side::Remote] {
        let mut close = ContestedClose::new(owner, 3, Tactic::Mine { percent: 100 });
        let claim = close.claim([0, 1, 2], 3000);
        close.submit(&claim);
        assert_eq!(close.act(), []);
        let template = close.adversary.mines(&close.fixture, &close.chain).unwrap().unwrap();
        assert!(template.leaves_out.contains(&claim.compute_txid()));
        let block = close.chain.mine_template(template).unwrap();
        assert_eq!(block.txs.len(), 1);
        assert_eq!(close.chain.fee_of(&block.txs[0].compute_txid()), Some(0), "{owner:?}");
        assert_eq!((close.open().len(), close.waits(&claim)), (0, false));
        assert_eq!(close.adversary.spend_sat(), 3000, "the fee of our claim, which it left out");
    }
}

#[test]
fn without_preimages_it_only_censors() {
    let mut close = ContestedClose::new(Side::Remote, 2, Tactic::Mine { percent: 100 });
    close.adversary = adversary(0, Tactic::Mine { percent: 100 }, 0, &mut close.chain);
    let claim = close.claim([0, 1], 3000);
    close.submit(&claim);
    for _ in 0..5 {
        let template = close.adversary.mines(&close.fixture, &close.chain).unwrap().unwrap();
        assert_eq!(close.chain.mine_template(template).unwrap().txs, []);
        assert!(close.waits(&claim));
    }
    assert_eq!(close.chain.mine().txs, [claim]);
}

#[test]
fn its_share_of_the_blocks_is_what_was_asked_for() {
    for (percent, range) in [(0, 0..=0), (30, 40..=80), (100, 200..=200)] {
        let mut close = ContestedClose::new(Side::Local, 1, Tactic::Mine { percent });
        let own = (0..200).filter(|_| close.adversary.mines(&close.fixture, &close.chain).unwrap().is_some()).count();
        assert!(range.contains(&own), "{own} of 200 at {percent}");
        assert_eq!(close.adversary.counts().get(&ActKind::Mined).copied().unwrap_or(0), u32::try_from(own).unwrap());
    }
    let mut other = ContestedClose::new(Side::Local, 1, Tactic::Stall);
    assert_eq!(other.adversary.mines(&other.fixture, &other.chain), Ok(None));
}
