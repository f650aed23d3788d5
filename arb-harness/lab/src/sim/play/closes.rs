//! Closes, each as the channel's plan has it.

use arb_core::{CloseKind, Side};

use crate::fixture::Close;
use crate::peer::Publish;
use crate::sim::plan::act::ReorgKind;
use crate::sim::plan::seeds::our_script;
use crate::sim::violation::Violation;
use crate::sim::world::World;
use crate::sim::world::channel::Message;

impl World {
    /// Begins the close of one channel that is still open.
    pub(crate) fn close_next(&mut self) -> Result<(), Violation> {
        let open: Vec<usize> = (0..self.channels.len()).filter(|channel| !self.channels[*channel].closing).collect();
        match self.rng.pick(&open) {
            Some(channel) => self.close(channel),
            None => Ok(()),
        }
    }

    /// Begins a channel's close: the one of its plan, or the nearest that is possible.
    fn close(&mut self, channel: usize) -> Result<(), Violation> {
        let at = &self.channels[channel];
        let kind = at.plan.close;
        // Only what the counterparty does alone can happen to a channel that the court does not know.
        let is_theirs =
            matches!(kind, CloseKind::Remote | CloseKind::RemotePending | CloseKind::Unknown | CloseKind::Revoked);
        if at.joined.is_none() && (!is_theirs || at.plan.cheater.revokes_late.is_some()) {
            self.join(channel)?;
        }
        self.note(|| format!("channel {channel} closes: {kind:?}"));
        match kind {
            // No plan has a superseded one: only we could publish it.
            CloseKind::Local | CloseKind::Superseded => {
                self.queue_up(channel)?;
                self.request_close(channel);
            }
            CloseKind::Remote => self.publish(channel, self.channels[channel].remote),
            CloseKind::RemotePending => {
                if !self.channels[channel].pending {
                    self.sign_pending(channel)?;
                }
                let newest = self.channels[channel].remotes().last().copied().unwrap_or(0);
                self.publish(channel, newest);
            }
            CloseKind::Unknown => {
                let at = &mut self.channels[channel];
                let newest = at.remotes().last().copied().unwrap_or(0);
                if let Some(state) = at.fixture.states(Side::Remote).get(&newest).cloned() {
                    at.fixture.sign_unheard(Side::Remote, newest + 2, state);
                    self.publish(channel, newest + 2);
                }
            }
            CloseKind::Revoked => self.publish_revoked(channel)?,
            CloseKind::Mutual => self.close_mutually(channel)?,
        }
        self.channels[channel].closing = true;
        match (0..self.channels.len()).find(|other| self.plan.one_peer && !self.channels[*other].closing) {
            Some(other) => self.close(other),
            None => Ok(()),
        }
    }

    /// Fails every HTLC off chain and closes by agreement, if the court accepts every message on the way.
    fn close_mutually(&mut self, channel: usize) -> Result<(), Violation> {
        for htlc in self.channels[channel].settled_adds() {
            self.channels[channel].propose_end(htlc.key, false);
        }
        for _ in 0..24 {
            let at = &self.channels[channel];
            let next = [Message::RemoteRevoked, Message::LocalSigned, Message::RemoteSigned];
            let Some(message) = next.into_iter().find(|message| at.is_open() && at.may(*message)) else { break };
            if !self.exchange(channel, message)? {
                break;
            }
            for htlc in self.channels[channel].settled_adds() {
                self.channels[channel].propose_end(htlc.key, false);
            }
        }
        let at = &self.channels[channel];
        if !at.is_open() || !at.is_quiet() || !at.on_unrevoked().is_empty() {
            self.request_close(channel);
            return Ok(());
        }
        let Some(state) = at.fixture.states(Side::Local).get(&at.local) else { return Ok(()) };
        let fee_sat = self.conditions.mutual_fee_sat();
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
            self.channels[channel].mutual = Some(close.tx.clone());
            match self.old_number(channel).filter(|_| self.rng.percent(20)) {
                Some(number) => self.publish(channel, number),
                None => {
                    self.channels[channel].peer.plan_mut().publishes = Some((height, Publish::Transaction(close.tx)));
                    self.lose_the_close(channel)?;
                }
            }
        }
        Ok(())
    }

    /// Takes a confirmed mutual close off the chain for ever, if the world has that (A20).
    fn lose_the_close(&mut self, channel: usize) -> Result<(), Violation> {
        let depth = self.free_depth().min(2);
        if depth == 0 || !self.belief.as_ref().is_some_and(|belief| belief.mutual_leaves) {
            return Ok(());
        }
        self.mine(depth)?;
        self.channels[channel].peer.plan_mut().publishes = None;
        self.plan.reorgs += 1;
        self.counts.one("belief/mutual_left");
        self.reorg(ReorgKind::Empty, depth)
    }
}
