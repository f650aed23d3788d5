//! Preimages that a transaction in the mempool shows, and that no block ever has (A5, A42).

use arb_core::bolt3::Preimage;
use arb_core::{Acknowledged, Event, HtlcKey};
use bitcoin::{OutPoint, ScriptBuf};

use crate::fixture::hostile::unsigned;
use crate::sim::checks::outcomes;
use crate::sim::violation::Violation;
use crate::sim::world::World;

impl World {
    /// After an act: sometimes anybody spends an old output with the preimage of an HTLC that we sent on an open channel. The
    /// court must settle its upstream HTLC at once.
    pub(crate) fn show_a_preimage(&mut self) -> Result<(), Violation> {
        let Some(percent) = self.belief.as_ref().map(|belief| belief.shows_percent) else { return Ok(()) };
        if !self.rng.percent(percent) {
            return Ok(());
        }
        let Some(((key, preimage), outpoint)) = self.rng.pick(&self.unshown()).zip(self.watched_output()) else {
            return Ok(());
        };
        let witness = vec![preimage.0.to_vec(), vec![0x51]];
        let tx = unsigned([(outpoint, witness)], 1, 300, &ScriptBuf::new());
        self.counts.one("belief/shown");
        self.note(|| format!("{} shows the preimage of {}", tx.compute_txid(), key.htlc));
        self.tell(Event::MempoolSeen { tx });
        self.settle()?;
        let settled = self.node.origins.get(&key).map(|(done, _)| *done) == Some(Acknowledged::Settled);
        outcomes::invariant_i4_what_a_mempool_shows_is_settled(
            key.htlc,
            settled || self.process.manners.is_late(&key),
        )?;
        self.node_reacts()
    }

    /// HTLCs that we sent, irrevocably committed on open channels, whose preimage the court does not know.
    fn unshown(&self) -> Vec<(HtlcKey, Preimage)> {
        let Some(court) = self.court() else { return Vec::new() };
        let mut unshown = Vec::new();
        for at in self.channels.iter().filter(|at| at.is_open()) {
            let view = court.index_of(&at.fixture.id()).and_then(|index| court.channel(index));
            let Some(view) = view.filter(|view| view.frozen().is_none()) else { continue };
            for htlc in at.settled_adds().into_iter().filter(|htlc| htlc.key.is_offered()) {
                let known = self.preimages.made().iter().find(|preimage| preimage.hash() == htlc.payment_hash);
                let key = at.key(htlc.key);
                let is_new = view.usable(htlc.key).is_none() && !self.seen.fulfilled.contains(&key);
                unshown.extend(
                    known.filter(|_| is_new && !self.node.origins.contains_key(&key)).map(|known| (key, *known)),
                );
            }
        }
        unshown
    }

    /// An output that the court watches for a channel that is closed.
    fn watched_output(&self) -> Option<OutPoint> {
        let court = self.court()?;
        for channel in 0..self.channels.len() {
            let Some((_, commitment)) = self.closed_by(channel) else { continue };
            let view = court.index_of(&self.channels[channel].fixture.id()).and_then(|index| court.channel(index));
            let outputs = 0..u32::try_from(commitment.built.tx.output.len()).unwrap_or(0);
            let outpoints = outputs.map(|vout| commitment.outpoint(vout));
            let found = outpoints.into_iter().find(|outpoint| view.is_some_and(|view| view.watches(outpoint)));
            if found.is_some() {
                return found;
            }
        }
        None
    }
}
