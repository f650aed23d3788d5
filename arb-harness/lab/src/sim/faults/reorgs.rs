//! Reorgs: blocks are disconnected, and the same blocks, empty blocks or another close follow (I6).

use arb_core::{Action, ChainArbitrator, Docket, Side};
use bitcoin::Transaction;

use crate::sim::checks::recovery;
use crate::sim::plan::act::ReorgKind;
use crate::sim::violation::Violation;
use crate::sim::world::World;

impl World {
    /// Reorganises the chain, if reorgs are left and this one is possible.
    pub(crate) fn reorg(&mut self, turn: ReorgKind, depth: u32) -> Result<(), Violation> {
        if self.plan.reorgs == 0 {
            return Ok(());
        }
        let depth = match turn {
            ReorgKind::Same => self.same_blocks(depth)?,
            ReorgKind::Empty => self.empty_blocks(depth.min(self.free_depth()))?,
            ReorgKind::Swap => self.swap()?,
        };
        if let Some(depth) = depth {
            self.plan.reorgs -= 1;
            self.counts.one(match depth {
                0..=2 => "reorg/1-2",
                3..=4 => "reorg/3-4",
                _ => "reorg/5-6",
            });
        }
        Ok(())
    }

    fn dockets(&self) -> Vec<Docket> {
        let court = self.court();
        court.into_iter().flat_map(|court| court.channels().filter_map(|(index, _)| court.docket(index))).collect()
    }

    fn is_searching(&self) -> bool {
        let due = self.court().map(ChainArbitrator::actions_due).unwrap_or_default();
        due.iter().any(|action| matches!(action, Action::SearchSpends { .. }))
    }

    fn same_blocks(&mut self, depth: u32) -> Result<Option<u32>, Violation> {
        self.settle()?;
        let before = self.dockets();
        let is_searching = self.is_searching();
        let mut dropped = self.chain.reorg_drop(depth);
        let depth = u32::try_from(dropped.len()).unwrap_or(0);
        if depth == 0 {
            return Ok(None);
        }
        // The court may hear the disconnects alone, or together with the blocks that follow.
        if self.rng.percent(50) {
            self.settle()?;
        }
        while let Some(block) = dropped.pop() {
            self.chain.mine_txs(block.txs).map_err(Violation::world)?;
        }
        self.settle()?;
        // The answer to a search changes the docket, whatever the chain does.
        if !is_searching {
            recovery::invariant_i6_the_same_blocks_give_the_same_docket(&before, &self.dockets())?;
        }
        self.counts.one("reorg/same_blocks");
        Ok(Some(depth))
    }

    fn empty_blocks(&mut self, depth: u32) -> Result<Option<u32>, Violation> {
        let dropped = self.chain.reorg_drop(depth);
        let depth = u32::try_from(dropped.len()).unwrap_or(0);
        if depth == 0 {
            return Ok(None);
        }
        self.chain.clear_mempool();
        self.forget_fair_blocks();
        for _ in 0..=depth {
            self.chain.mine();
        }
        self.settle()?;
        self.counts.one("reorg/empty_blocks");
        Ok(Some(depth))
    }

    /// The transactions that could confirm in the place of the close, with the depth of the close; none if it is too deep.
    fn other_closes(&mut self, channel: usize) -> Result<Vec<(usize, u32, Transaction)>, Violation> {
        let mut possible = Vec::new();
        let height = self.height();
        let old = self.channels[channel].remote;
        let old: Vec<u64> = (0..old.min(2)).map(|_| self.rng.between(0, old - 1)).collect();
        let at = &self.channels[channel];
        let Some((closed, txid, _)) = self.chain.spender_of(&at.fixture.setup().funding) else { return Ok(possible) };
        let depth = height + 1 - closed;
        if depth > self.free_depth().min(6) {
            return Ok(possible);
        }
        let old = old.into_iter().map(|number| (Side::Remote, number));
        let mut txs: Vec<Transaction> = at.mutual.iter().cloned().collect();
        for (side, number) in at.unrevoked().into_iter().chain(old) {
            let tx = at.fixture.commitment_tx(side, number).map_err(Violation::world)?;
            // Nobody can mine our commitment before the court has broadcast it.
            if side == Side::Remote || self.seen.actions.public.contains(&tx.compute_txid()) {
                txs.push(tx);
            }
        }
        // Mutual closes are rare, so each counts three times in the draw.
        txs.extend(core::iter::repeat_n(at.mutual.clone(), 2).flatten());
        txs.retain(|tx| tx.compute_txid() != txid);
        possible.extend(txs.into_iter().map(|tx| (channel, depth, tx)));
        Ok(possible)
    }

    /// Replaces the confirmed close of one channel by another close.
    fn swap(&mut self) -> Result<Option<u32>, Violation> {
        let mut possible = Vec::new();
        for channel in 0..self.channels.len() {
            possible.extend(self.other_closes(channel)?);
        }
        let Some((channel, depth, tx)) = self.rng.pick::<(usize, u32, Transaction)>(&possible) else { return Ok(None) };
        self.note(|| format!("channel {channel}: {} takes the place of what confirmed", tx.compute_txid()));
        let before = self.revoked(channel).is_some();
        self.chain.reorg_drop(depth);
        self.chain.clear_mempool();
        self.forget_fair_blocks();
        let is_mutual = self.channels[channel].mutual.as_ref() == Some(&tx);
        self.chain.mine_txs(vec![tx]).map_err(Violation::world)?;
        for _ in 0..depth {
            self.chain.mine();
        }
        match (before, self.revoked(channel).is_some()) {
            (true, true) => self.counts.one("reorg/between_revoked"),
            (true, false) => self.counts.one("reorg/from_revoked"),
            (false, true) => self.counts.one("reorg/to_revoked"),
            (false, false) => {}
        }
        if is_mutual {
            self.counts.one("reorg/to_mutual");
        }
        self.settle()?;
        self.counts.one("reorg/commitment_swap");
        Ok(Some(depth))
    }

    /// Blocks that were disconnected gave our transactions no chance.
    fn forget_fair_blocks(&mut self) {
        let height = self.height();
        self.seen.fair_blocks.retain(|block| *block <= height);
    }
}
