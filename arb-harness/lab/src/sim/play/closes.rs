//! How channels close, each as its plan has it.

use arb_core::{CloseKind, Side};

use crate::fixture::Close;
use crate::peer::Publish;
use crate::sim::plan::seeds::our_script;
use crate::sim::violation::Violation;
use crate::sim::world::World;
use crate::sim::world::lane::Message;

impl World {
    /// Begins the close of a channel that is still open.
    pub(crate) fn close_next(&mut self) -> Result<(), Violation> {
        let open: Vec<usize> = (0..self.lanes.len()).filter(|lane| !self.lanes[*lane].closing).collect();
        match self.rng.pick(&open) {
            Some(lane) => self.close(lane),
            None => Ok(()),
        }
    }

    /// Begins a channel's close, as its plan has it and as far as it is possible.
    fn close(&mut self, lane: usize) -> Result<(), Violation> {
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
}
