//! The cheat: what it does before it plays an old commitment, which one that is, and whose blocks come after it.

use arb_core::bolt3::OutputKind;
use arb_core::{HtlcRef, Side};
use bitcoin::Transaction;

use super::Violation;
use super::lane::Message;
use super::plan::Withholds;
use super::world::{Destiny, World};
use crate::chain::BlockTemplate;
use crate::fixture::{ChannelFixture, Commitment};
use crate::peer::{Peer, Withheld};

impl World {
    /// Plays an old commitment of a channel, or one that will be old soon.
    pub(super) fn cheat(&mut self, lane: usize) -> Result<(), Violation> {
        // Whoever cheats on several channels does so at once.
        let all = if self.plan.one_peer { 0..self.lanes.len() } else { lane..lane + 1 };
        for of in all {
            for _ in 0..core::mem::take(&mut self.lanes[of].plan.cheat.rounds) {
                self.history(of)?;
            }
        }
        self.mine(self.lanes[lane].plan.cheat.waits)?;
        if self.lanes[lane].plan.cheat.confesses.is_some() {
            if !self.lanes[lane].pending {
                self.sign_pending(lane)?;
            }
            self.publish(lane, self.lanes[lane].remote);
            return Ok(());
        }
        match self.old_number(lane) {
            Some(number) => self.publish(lane, number),
            None => self.request_close(lane),
        }
        Ok(())
    }

    /// A number of a commitment that is revoked: any, and now and then that of our own newest one.
    pub(super) fn old_number(&mut self, lane: usize) -> Option<u64> {
        let at = &self.lanes[lane];
        let (own, last) = (at.local, at.remote.checked_sub(1)?);
        let before = at.plan.adopted.1;
        if before > 0 && self.rng.percent(60) {
            return Some(self.rng.between(0, before - 1));
        }
        if own <= last && self.rng.percent(25) {
            return Some(own);
        }
        Some(self.rng.between(0, last))
    }

    /// HTLCs come, and most of those that there are go again.
    fn history(&mut self, lane: usize) -> Result<(), Violation> {
        for _ in 0..self.rng.between(1, 4) {
            if !self.lanes[lane].is_open() {
                return Ok(());
            }
            if self.rng.percent(50) {
                self.receive_on(lane);
            } else {
                self.pay_on(lane);
            }
        }
        self.dance_out(lane)?;
        let blocks = self.rng.blocks(0, 2);
        self.mine(blocks)?;
        for htlc in self.lanes[lane].settled_adds() {
            if !self.rng.percent(60) {
                continue;
            }
            if htlc.key.is_offered() {
                let fulfil = self.rng.percent(50);
                self.peer_ends_on(lane, fulfil);
            } else {
                self.node_ends(lane, htlc.key);
            }
        }
        self.dance_out(lane)
    }

    /// The node ends an HTLC that it has not forwarded, in whichever way it can.
    fn node_ends(&mut self, lane: usize, htlc: HtlcRef) {
        let received = self.lanes[lane].key(htlc);
        let waits = |payment: &super::world::Payment| {
            payment.received == received && !payment.told && payment.forwarded.is_none()
        };
        let Some(index) = self.payments.iter().position(waits) else { return };
        match self.payments[index].destiny {
            Destiny::Known(_) => self.settle_back(index),
            Destiny::Forward | Destiny::GivenUp(_) | Destiny::Never => self.fail_back(index),
        }
    }

    /// The commitment dance of one channel, until nothing is left to say.
    fn dance_out(&mut self, lane: usize) -> Result<(), Violation> {
        for _ in 0..12 {
            let at = &self.lanes[lane];
            let next = [Message::RemoteRevoked, Message::LocalSigned, Message::RemoteSigned];
            let Some(message) = next.into_iter().find(|message| at.is_open() && at.may(*message)) else { break };
            if !self.exchange(lane, message)? {
                break;
            }
        }
        Ok(())
    }

    /// A counterparty whose commitment confirmed reveals its secret afterwards, if it means to.
    pub(super) fn confess(&mut self) -> Result<(), Violation> {
        for lane in 0..self.lanes.len() {
            let at = &self.lanes[lane];
            let Some(after) = at.plan.cheat.confesses.filter(|_| at.pending && at.closing) else { continue };
            let Some((closed, commitment)) = self.closed_by(lane) else { continue };
            let is_current = commitment.owner == Side::Remote && commitment.number == at.remote;
            if !is_current || self.height() < closed + after {
                continue;
            }
            // It is revoked in the step in which that is heard.
            let event = self.lanes[lane].message(Message::RemoteRevoked).map_err(Violation::world)?;
            self.lanes[lane].heard(Message::RemoteRevoked);
            self.lanes[lane].confessed = Some(self.height());
            if !self.ask(event)? {
                return Err(Violation::world("a revocation was refused"));
            }
            self.counts.one("revoked/confessed");
            self.node_reacts()?;
        }
        Ok(())
    }

    /// The commitment that spends a channel's funding, and where it confirmed.
    pub(super) fn closed_by(&self, lane: usize) -> Option<(u32, Commitment)> {
        let fixture = &self.lanes[lane].fixture;
        let (height, txid, _) = self.chain.spender_of(&fixture.setup().funding)?;
        let (_, tx) = self.chain.confirmed(&txid)?;
        Some((height, fixture.recognise(tx).ok()??))
    }

    /// The same, if it is revoked.
    pub(super) fn revoked(&self, lane: usize) -> Option<(u32, Commitment)> {
        let remote = self.lanes[lane].remote;
        self.closed_by(lane).filter(|(_, commitment)| commitment.owner == Side::Remote && commitment.number < remote)
    }

    /// Whose miner makes the next block: that of a cheat, for as long as its plan says. One enemy at a time.
    pub(super) fn thief(&self) -> Option<usize> {
        let mines = |lane: &usize| {
            let at = &self.lanes[*lane];
            let closed = self.chain.spender_of(&at.fixture.setup().funding);
            let is_time = closed.is_some_and(|(height, ..)| self.height() < height + at.plan.cheat.mines);
            is_time && !at.plan.dead && self.revoked(*lane).is_some()
        };
        (0..self.lanes.len()).find(mines).filter(|_| self.foe.is_none())
    }

    /// A cheat's own block.
    pub(super) fn thiefs_block(&mut self) -> Result<Option<BlockTemplate>, Violation> {
        let Some((lane, (_, commitment))) = self.thief().and_then(|lane| Some((lane, self.revoked(lane)?))) else {
            return Ok(None);
        };
        let htlcs = (0..).zip(&commitment.built.outputs).filter(|(_, kind)| matches!(kind, OutputKind::Htlc(_)));
        let withheld = match self.lanes[lane].plan.cheat.withholds {
            Withholds::Nothing => Withheld::Nothing,
            Withholds::Htlcs => Withheld::Of(htlcs.map(|(vout, _)| commitment.outpoint(vout)).collect()),
            Withholds::Everything => Withheld::Everything,
        };
        self.counts.one("revoked/own_block");
        let is_one = self.is_one_peer();
        let (peer, fixtures) = peer_of(&mut self.lanes, lane, is_one);
        let template = peer.template(&fixtures, &self.chain, &withheld).map_err(Violation::world)?;
        Ok(Some(template))
    }

    /// What a channel's counterparty would submit now: of all its channels, and nothing for the second of them.
    pub(super) fn peer_acts(&mut self, lane: usize) -> Result<Vec<Transaction>, Violation> {
        let is_one = self.is_one_peer();
        if is_one && lane > 0 {
            return Ok(Vec::new());
        }
        let (peer, fixtures) = peer_of(&mut self.lanes, lane, is_one);
        peer.act_on(&fixtures, &self.chain).map_err(Violation::world)
    }

    /// Whether both channels are with the first one's counterparty: from when on both are closed, so that what was
    /// published is settled.
    fn is_one_peer(&self) -> bool {
        let closed = |at: &super::lane::Lane| self.chain.spender_of(&at.fixture.setup().funding).is_some();
        let acts = |at: &super::lane::Lane| !at.plan.dead;
        let all = self.lanes.iter().all(|at| closed(at) && acts(at));
        self.plan.one_peer && self.foe.is_none() && all
    }
}

/// Who acts for a channel, and on which channels: if both are with one counterparty, that is the first one's.
fn peer_of(lanes: &mut [super::lane::Lane], lane: usize, is_one: bool) -> (&mut Peer, Vec<&ChannelFixture>) {
    if is_one {
        let more: Vec<_> = lanes.iter().flat_map(|at| at.peer.plan().preimages.clone()).collect();
        let mut peers = Vec::new();
        let mut fixtures = Vec::new();
        for at in lanes {
            peers.push(&mut at.peer);
            fixtures.push(&at.fixture);
        }
        let first = peers.swap_remove(0);
        for (preimage, from) in more {
            let known = first.plan_mut().preimages.entry(preimage).or_insert(from);
            *known = from.min(*known);
        }
        return (first, fixtures);
    }
    let at = &mut lanes[lane];
    (&mut at.peer, vec![&at.fixture])
}
