//! A simulated channel with its peer, off chain: updates proposed, signed and revoked in the order of BOLT 2, seen from
//! both sides.
//!
//! An update goes through four stages. Ours: proposed; in a remote commitment that we signed; that commitment is the only
//! unrevoked remote one; in our commitment. Theirs: proposed; in our commitment; in a remote commitment that we signed;
//! that commitment is the only unrevoked remote one. In the last stage the update is irrevocably committed on both sides.
//!
//! ```text
//! ours:   0 ──RemoteCommitmentSigned──► 1 ──RemoteRevoked──► 2 ──LocalCommitmentSigned──► 3
//! theirs: 0 ──LocalCommitmentSigned───► 1 ──RemoteCommitmentSigned──► 2 ──RemoteRevoked──► 3
//! ```

use std::collections::BTreeSet;

use arb_core::{CloseKind, Event, Htlc, HtlcKey, HtlcRef, Sheet, Side};
use bitcoin::Transaction;

use crate::balance_oracle::Unclaimed;
use crate::fixture::{ChannelFixture, CommitmentState, FixtureError};
use crate::peer::Peer;
use crate::sim::plan::ChannelPlan;

/// The last stage of an update.
const DONE: u8 = 3;

/// What an update changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Add(Htlc),
    Fulfil(HtlcRef),
    Fail(HtlcRef),
}

#[derive(Clone, Debug)]
struct Update {
    by: Side,
    change: Change,
    stage: u8,
}

/// A message of the commitment dance, as the event that the court hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    LocalSigned,
    RemoteSigned,
    RemoteRevoked,
}

/// A simulated channel with its counterparty.
#[derive(Clone, Debug)]
pub(crate) struct SimChannel {
    pub(crate) plan: ChannelPlan,
    pub(crate) fixture: ChannelFixture,
    pub(crate) peer: Peer,
    updates: Vec<Update>,
    /// The number of our newest commitment.
    pub(crate) local: u64,
    /// The number of the counterparty's oldest unrevoked commitment.
    pub(crate) remote: u64,
    /// Whether the counterparty also holds the next commitment.
    pub(crate) pending: bool,
    /// Whether the court has frozen the channel: no more updates.
    pub(crate) frozen: bool,
    /// The height at which that was seen.
    pub(crate) frozen_at: Option<u32>,
    /// The height at which the channel joined the court.
    pub(crate) joined: Option<u32>,
    /// Whether a close was begun.
    pub(crate) closing: bool,
    /// HTLCs that we sent and that an unrevoked commitment had when the court froze the channel, or later. Each needs an
    /// outcome (I4).
    pub(crate) owed: BTreeSet<HtlcRef>,
    /// Whether our next commitment is on its way to the court. From the frame that accepts it on, it is our newest.
    pub(crate) arriving: bool,
    /// The height at which the counterparty revoked the commitment that had already confirmed.
    pub(crate) revoked_late: Option<u32>,
    /// The mutual close that both sides have signed.
    pub(crate) mutual: Option<Transaction>,
    /// What the chain said when the court was done with the channel.
    pub(crate) measured: Option<Measured>,
    /// The next HTLC ids, ours first.
    ids: (u64, u64),
}

/// What the chain says about a closed channel.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) kind: CloseKind,
    /// The tip height of the measurement.
    pub(crate) height: u32,
    /// The balance sheet by the balance oracle.
    pub(crate) sheet: Option<Sheet>,
    /// Satoshis of a revoked commitment lost although I14 promises them.
    pub(crate) lost_sat: u64,
    /// The outputs that did not come back.
    pub(crate) unclaimed: Unclaimed,
    /// Satoshis that a cheating peer took because our claims had no chance to confirm.
    pub(crate) kept_out_sat: u64,
}

impl SimChannel {
    pub(crate) fn new(plan: ChannelPlan, fixture: ChannelFixture, peer: Peer) -> Self {
        Self {
            plan,
            fixture,
            peer,
            updates: Vec::new(),
            local: 0,
            remote: 0,
            pending: false,
            frozen: false,
            frozen_at: None,
            joined: None,
            closing: false,
            owed: BTreeSet::new(),
            arriving: false,
            revoked_late: None,
            mutual: None,
            measured: None,
            ids: (0, 0),
        }
    }

    /// The events that open the channel in the court, with the first commitment of each side and no HTLCs.
    pub(crate) fn opening_events(&mut self) -> Result<Vec<Event>, FixtureError> {
        let empty = self.content(|_| true);
        (self.local, self.remote) = self.plan.adopted;
        let (local, remote) = self.plan.adopted;
        let opened = self.fixture.opened(self.fixture.standing(local, remote)?);
        let commitments =
            [self.fixture.local_signed(local, empty.clone())?, self.fixture.remote_signed(remote, empty)?];
        Ok([opened].into_iter().chain(commitments).chain([self.fixture.adopted()]).collect())
    }

    pub(crate) fn key(&self, htlc: HtlcRef) -> HtlcKey {
        HtlcKey { channel: self.fixture.id(), htlc }
    }

    /// Whether the channel still takes updates.
    pub(crate) fn is_open(&self) -> bool {
        !self.frozen && !self.closing
    }

    /// What a side could still send (sat): proposals count, only what ended irrevocably is given back, and an eighth of the
    /// capacity is kept.
    pub(crate) fn spendable_sat(&self, by: Side) -> u64 {
        let state = self.content(|update| matches!(update.change, Change::Add(_)) || update.stage == DONE);
        let msat = if by == Side::Local { state.local_msat } else { state.remote_msat };
        (msat / 1000).saturating_sub(self.plan.capacity_sat / 8)
    }

    pub(crate) fn next_id(&mut self, by: Side) -> HtlcRef {
        let (offered, received) = &mut self.ids;
        match by {
            Side::Local => {
                *offered += 1;
                HtlcRef::offered(*offered - 1)
            }
            Side::Remote => {
                *received += 1;
                HtlcRef::received(*received - 1)
            }
        }
    }

    pub(crate) fn propose(&mut self, by: Side, change: Change) {
        self.updates.push(Update { by, change, stage: 0 });
    }

    /// Proposes, for the receiving side, to fulfil or fail an HTLC: once, if the channel takes updates and the HTLC is
    /// irrevocably committed.
    pub(crate) fn propose_end(&mut self, htlc: HtlcRef, fulfil: bool) -> bool {
        if !self.is_open() || self.is_ending(htlc) || !self.is_committed(htlc) {
            return false;
        }
        let by = if htlc.is_offered() { Side::Remote } else { Side::Local };
        self.propose(by, if fulfil { Change::Fulfil(htlc) } else { Change::Fail(htlc) });
        true
    }

    fn is_ending(&self, htlc: HtlcRef) -> bool {
        self.updates.iter().any(|update| update.change == Change::Fulfil(htlc) || update.change == Change::Fail(htlc))
    }

    /// Whether an HTLC is or was irrevocably committed on both sides.
    pub(crate) fn is_committed(&self, htlc: HtlcRef) -> bool {
        let add = |update: &&Update| matches!(&update.change, Change::Add(added) if added.key == htlc);
        self.updates.iter().find(add).is_some_and(|update| update.stage == DONE)
    }

    /// Whether an HTLC is irrevocably committed and its end is not proposed.
    pub(crate) fn stands(&self, htlc: HtlcRef) -> bool {
        self.is_committed(htlc) && !self.is_ending(htlc)
    }

    /// Whether a commitment with this HTLC was ever signed.
    pub(crate) fn was_sent(&self, htlc: HtlcRef) -> bool {
        let add = |update: &&Update| matches!(&update.change, Change::Add(added) if added.key == htlc);
        self.updates.iter().find(add).is_some_and(|update| update.stage > 0)
    }

    /// The HTLCs that are irrevocably committed and whose end is not proposed.
    pub(crate) fn settled_adds(&self) -> Vec<Htlc> {
        let adds = self.updates.iter().filter(|update| update.stage == DONE);
        let adds = adds.filter_map(|update| match &update.change {
            Change::Add(htlc) => Some(htlc.clone()),
            Change::Fulfil(_) | Change::Fail(_) => None,
        });
        adds.filter(|htlc| !self.is_ending(htlc.key)).collect()
    }

    /// Every HTLC that was ever added.
    pub(crate) fn htlcs(&self) -> impl Iterator<Item = &Htlc> {
        self.updates.iter().filter_map(|update| match &update.change {
            Change::Add(htlc) => Some(htlc),
            Change::Fulfil(_) | Change::Fail(_) => None,
        })
    }

    /// HTLCs whose failure is irrevocable.
    pub(crate) fn failed_for_good(&self) -> Vec<HtlcRef> {
        let failed = self.updates.iter().filter(|update| update.stage == DONE);
        let failed = failed.filter_map(|update| match update.change {
            Change::Fail(htlc) => Some(htlc),
            Change::Add(_) | Change::Fulfil(_) => None,
        });
        failed.collect()
    }

    /// Whether every update is irrevocably committed.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.pending && self.updates.iter().all(|update| update.stage == DONE)
    }

    /// Whether a message of the dance is allowed now and would carry an update.
    pub(crate) fn may(&self, message: Message) -> bool {
        let some = |by: Side, stage: u8| self.updates.iter().any(|update| update.by == by && update.stage == stage);
        match message {
            Message::LocalSigned => some(Side::Remote, 0) || some(Side::Local, 2),
            Message::RemoteSigned => !self.pending && (some(Side::Local, 0) || some(Side::Remote, 1)),
            Message::RemoteRevoked => self.pending,
        }
    }

    /// The event for a message. It changes nothing here: only [`heard`](Self::heard) does.
    pub(crate) fn message(&mut self, message: Message) -> Result<Event, FixtureError> {
        match message {
            Message::LocalSigned => {
                let state = self.content(|update| match update.by {
                    Side::Local => update.stage >= 2,
                    Side::Remote => true,
                });
                self.fixture.local_signed(self.local + 1, state)
            }
            Message::RemoteSigned => {
                let state = self.content(|update| match update.by {
                    Side::Local => true,
                    Side::Remote => update.stage >= 1,
                });
                self.fixture.remote_signed(self.remote + 1, state)
            }
            Message::RemoteRevoked => self.fixture.remote_revoked(self.remote),
        }
    }

    /// Takes a message as sent, after the court has accepted it.
    pub(crate) fn heard(&mut self, message: Message) {
        let (ours, theirs) = match message {
            Message::LocalSigned => {
                self.local += 1;
                (2, 0)
            }
            Message::RemoteSigned => {
                self.pending = true;
                (0, 1)
            }
            Message::RemoteRevoked => {
                self.pending = false;
                self.remote += 1;
                (1, 2)
            }
        };
        for update in &mut self.updates {
            if update.stage == if update.by == Side::Local { ours } else { theirs } {
                update.stage += 1;
            }
        }
    }

    /// The numbers of the commitments that the counterparty holds and has not revoked.
    pub(crate) fn remotes(&self) -> Vec<u64> {
        if self.pending { vec![self.remote, self.remote + 1] } else { vec![self.remote] }
    }

    /// Whether this transaction is one of them.
    pub(crate) fn is_remote(&self, tx: &Transaction) -> bool {
        let known = self.fixture.recognise(tx).ok().flatten();
        known.is_some_and(|known| known.owner == Side::Remote && self.remotes().contains(&known.number))
    }

    /// The commitments that can confirm, by owner and number.
    pub(crate) fn unrevoked(&self) -> Vec<(Side, u64)> {
        let remotes = self.remotes().into_iter().map(|number| (Side::Remote, number));
        [(Side::Local, self.local)].into_iter().chain(remotes).collect()
    }

    /// The HTLCs of the commitments that can confirm.
    pub(crate) fn on_unrevoked(&self) -> Vec<Htlc> {
        let states =
            self.unrevoked().into_iter().filter_map(|(side, number)| self.fixture.states(side).get(&number).cloned());
        let mut htlcs: Vec<Htlc> = states.flat_map(|state| state.htlcs).collect();
        htlcs.sort_by_key(|htlc| htlc.key);
        htlcs.dedup_by_key(|htlc| htlc.key);
        htlcs
    }

    fn content(&self, has: impl Fn(&Update) -> bool) -> CommitmentState {
        let (mut local_msat, mut remote_msat) = self.plan.balances_msat();
        let mut htlcs: Vec<Htlc> = Vec::new();
        for update in self.updates.iter().filter(|update| has(update)) {
            match &update.change {
                Change::Add(htlc) => {
                    let from = if update.by == Side::Local { &mut local_msat } else { &mut remote_msat };
                    *from = from.saturating_sub(htlc.amount_msat);
                    htlcs.push(htlc.clone());
                }
                Change::Fulfil(key) | Change::Fail(key) => {
                    let Some(place) = htlcs.iter().position(|htlc| htlc.key == *key) else { continue };
                    let fulfilled = matches!(update.change, Change::Fulfil(_));
                    let to_us = key.is_offered() != fulfilled;
                    *(if to_us { &mut local_msat } else { &mut remote_msat }) += htlcs[place].amount_msat;
                    htlcs.remove(place);
                }
            }
        }
        CommitmentState { local_msat, remote_msat, feerate_sat_per_kw: self.plan.feerate_sat_per_kw, htlcs }
    }
}
