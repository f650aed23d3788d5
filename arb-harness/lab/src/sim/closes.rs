//! How channels close, and how the chain turns under them.

use arb_core::{CloseKind, CloseReason, Docket, Event, Side};
use bitcoin::Transaction;

use super::Violation;
use super::invariants;
use super::lane::{Change, Message};
use super::plan::Turn;
use super::seeds::our_script;
use super::world::World;
use crate::fixture::Close;
use crate::peer::Publish;

impl World {
    /// Begins the close of a channel that is still open.
    pub(super) fn close_next(&mut self) -> Result<(), Violation> {
        let open: Vec<usize> = (0..self.lanes.len()).filter(|lane| !self.lanes[*lane].closing).collect();
        match self.rng.pick(&open) {
            Some(lane) => self.close(lane),
            None => Ok(()),
        }
    }

    /// Begins a channel's close, as its plan has it and as far as it is possible.
    pub(super) fn close(&mut self, lane: usize) -> Result<(), Violation> {
        let kind = self.lanes[lane].plan.close;
        self.note(|| format!("lane {lane} closes: {kind:?}"));
        match kind {
            CloseKind::Local => self.request_close(lane),
            CloseKind::Remote => self.publish(lane, self.lanes[lane].remote),
            CloseKind::RemotePending => {
                if !self.lanes[lane].pending {
                    self.sign_pending(lane)?;
                }
                let newest = self.lanes[lane].remotes().last().copied().unwrap_or(0);
                self.publish(lane, newest);
            }
            CloseKind::Unknown => {
                let at = &mut self.lanes[lane];
                let newest = at.remotes().last().copied().unwrap_or(0);
                if let Some(state) = at.fixture.states(Side::Remote).get(&newest).cloned() {
                    at.fixture.sign_unheard(Side::Remote, newest + 2, state);
                    self.publish(lane, newest + 2);
                }
            }
            CloseKind::Revoked => self.cheat(lane)?,
            CloseKind::Mutual => self.close_mutually(lane)?,
        }
        self.lanes[lane].closing = true;
        match (0..self.lanes.len()).find(|other| self.plan.one_peer && !self.lanes[*other].closing) {
            Some(other) => self.close(other),
            None => Ok(()),
        }
    }

    pub(super) fn request_close(&mut self, lane: usize) {
        let why = if self.rng.percent(50) { CloseReason::Operator } else { CloseReason::PeerError };
        self.tell(Event::CloseRequested { channel: self.lanes[lane].fixture.id(), why });
    }

    pub(super) fn publish(&mut self, lane: usize, number: u64) {
        let height = self.height();
        self.note(|| format!("lane {lane}: the counterparty publishes its commitment {number}"));
        self.lanes[lane].peer.plan_mut().publishes = Some((height, Publish::Commitment(number)));
    }

    /// Gets a remote commitment signed that the counterparty will not answer.
    pub(super) fn sign_pending(&mut self, lane: usize) -> Result<(), Violation> {
        if !self.lanes[lane].is_open() {
            return Ok(());
        }
        if !self.lanes[lane].may(Message::RemoteSigned) {
            let height = self.height();
            let at = &mut self.lanes[lane];
            let key = at.next_id(Side::Local);
            let preimage = self.new_preimage();
            let at = &mut self.lanes[lane];
            let htlc = arb_core::Htlc {
                key,
                amount_msat: 9_000_000.min(at.spendable_sat(Side::Local) * 1000).max(1),
                payment_hash: preimage.hash(),
                cltv_expiry: arb_core::Height::new(height + 45),
                link: arb_core::Link::Own,
                tag: Vec::new(),
            };
            at.propose(Side::Local, Change::Add(htlc));
            if self.rng.percent(50) {
                self.lanes[lane].peer.plan_mut().preimages.insert(preimage, height);
            }
        }
        self.exchange(lane, Message::RemoteSigned)?;
        self.counts.one("htlc/only_pending");
        Ok(())
    }

    /// Ends every HTLC off chain and closes by agreement, if the court lets all of it pass.
    fn close_mutually(&mut self, lane: usize) -> Result<(), Violation> {
        for htlc in self.lanes[lane].settled_adds() {
            self.lanes[lane].propose_end(htlc.key, false);
        }
        for _ in 0..24 {
            let at = &self.lanes[lane];
            let next = [Message::RemoteRevoked, Message::LocalSigned, Message::RemoteSigned];
            let Some(message) = next.into_iter().find(|message| at.is_open() && at.may(*message)) else { break };
            if !self.exchange(lane, message)? {
                break;
            }
            for htlc in self.lanes[lane].settled_adds() {
                self.lanes[lane].propose_end(htlc.key, false);
            }
        }
        let at = &self.lanes[lane];
        if !at.is_open() || !at.is_quiet() || !at.on_unrevoked().is_empty() {
            self.request_close(lane);
            return Ok(());
        }
        let Some(state) = at.fixture.states(Side::Local).get(&at.local) else { return Ok(()) };
        let fee_sat = self.weather.mutual_fee_sat();
        let (local_sat, remote_sat) = (state.local_msat / 1000, state.remote_msat / 1000);
        let remote_script = at.peer.wallet().deposit_script();
        let close = Close {
            local_sat: if at.plan.opener == Side::Local { local_sat - fee_sat } else { local_sat },
            local_script: our_script(),
            remote_sat: if at.plan.opener == Side::Remote { remote_sat - fee_sat } else { remote_sat },
            remote_script,
        };
        let close = at.fixture.mutual_close(close).map_err(Violation::world)?;
        if self.ask(close.event)? {
            let height = self.height();
            self.lanes[lane].mutual = Some(close.tx.clone());
            match self.old_number(lane).filter(|_| self.rng.percent(20)) {
                Some(number) => self.publish(lane, number),
                None => {
                    self.lanes[lane].peer.plan_mut().publishes = Some((height, Publish::Transaction(close.tx)));
                }
            }
        }
        Ok(())
    }

    /// The deepest reorg that may bring anything: below the depth at which rights are given up.
    pub(super) fn free_depth(&self) -> u32 {
        let depth = |capacity| self.plan.policy.fail_depth(capacity).get();
        let least = self.lanes.iter().map(|lane| depth(lane.plan.capacity_sat)).min().unwrap_or(1);
        least.saturating_sub(1)
    }

    /// The chain turns.
    pub(super) fn reorg(&mut self, turn: Turn, depth: u32) -> Result<(), Violation> {
        if self.plan.reorgs == 0 {
            return Ok(());
        }
        let turned = match turn {
            Turn::Same => self.same_blocks(depth)?,
            Turn::Empty => self.empty_blocks(depth.min(self.free_depth()))?,
            Turn::Swap => self.swap()?,
        };
        if let Some(depth) = turned {
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

    fn same_blocks(&mut self, depth: u32) -> Result<Option<u32>, Violation> {
        self.settle()?;
        let before = self.dockets();
        let mut dropped = self.chain.reorg_drop(depth);
        let depth = u32::try_from(dropped.len()).unwrap_or(0);
        if depth == 0 {
            return Ok(None);
        }
        // The court may see the shorter chain, or only its end.
        if self.rng.percent(50) {
            self.settle()?;
        }
        while let Some(block) = dropped.pop() {
            self.chain.mine_txs(block.txs).map_err(Violation::world)?;
        }
        self.settle()?;
        invariants::invariant_i6_the_same_blocks_give_the_same_docket(&before, &self.dockets())?;
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
        self.forget_fair();
        for _ in 0..=depth {
            self.chain.mine();
        }
        self.settle()?;
        self.counts.one("reorg/empty_blocks");
        Ok(Some(depth))
    }

    /// What could confirm in the place of what closed a channel, if that is not buried, and how deep that is.
    fn others(&mut self, lane: usize) -> Result<Vec<(usize, u32, Transaction)>, Violation> {
        let mut possible = Vec::new();
        let height = self.height();
        let old = self.lanes[lane].remote;
        let old: Vec<u64> = (0..old.min(2)).map(|_| self.rng.between(0, old - 1)).collect();
        let at = &self.lanes[lane];
        let Some((closed, txid, _)) = self.chain.spender_of(&at.fixture.setup().funding) else { return Ok(possible) };
        let depth = height + 1 - closed;
        if depth > self.free_depth().min(6) {
            return Ok(possible);
        }
        let old = old.into_iter().map(|number| (Side::Remote, number));
        let mut txs: Vec<Transaction> = at.mutual.iter().cloned().collect();
        for (side, number) in at.unrevoked().into_iter().chain(old) {
            let tx = at.fixture.commitment_tx(side, number).map_err(Violation::world)?;
            // Ours is nobody's to mine before the court has given it out.
            if side == Side::Remote || self.watchman.public.contains(&tx.compute_txid()) {
                txs.push(tx);
            }
        }
        // What was agreed on is there too seldom to be one among many.
        txs.extend(core::iter::repeat_n(at.mutual.clone(), 2).flatten());
        txs.retain(|tx| tx.compute_txid() != txid);
        possible.extend(txs.into_iter().map(|tx| (lane, depth, tx)));
        Ok(possible)
    }

    /// Another commitment confirms in the place of the one that did, or another close.
    fn swap(&mut self) -> Result<Option<u32>, Violation> {
        let mut possible = Vec::new();
        for lane in 0..self.lanes.len() {
            possible.extend(self.others(lane)?);
        }
        let Some((lane, depth, tx)) = self.rng.pick::<(usize, u32, Transaction)>(&possible) else { return Ok(None) };
        self.note(|| format!("lane {lane}: {} takes the place of what confirmed", tx.compute_txid()));
        let before = self.revoked(lane).is_some();
        self.chain.reorg_drop(depth);
        self.chain.clear_mempool();
        self.forget_fair();
        let is_mutual = self.lanes[lane].mutual.as_ref() == Some(&tx);
        self.chain.mine_txs(vec![tx]).map_err(Violation::world)?;
        for _ in 0..depth {
            self.chain.mine();
        }
        match (before, self.revoked(lane).is_some()) {
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

    /// Blocks that left were no chance of anybody's.
    fn forget_fair(&mut self) {
        let height = self.height();
        self.fair.retain(|fair| *fair <= height);
    }
}
