//! Commitments of the counterparty with arbitrary changes, and a record next to the court of what was signed.
#![allow(dead_code, reason = "every test file uses a part of it")]

use super::{Error, hear, id, point};
use arb_core::bolt3::{PaymentHash, commitment_secret};
use arb_core::{
    ChainArbitrator, CommitmentRow, CommitmentUpdate, Event, Frame, Height, Htlc, HtlcRef, Link,
    RemoteCommitmentSigned, RemoteRevoked, RevokedCommitment, RevokedHtlc,
};
use arb_log::memory::Memory;
use arb_log::{Journal, Key, Storage, frame};
use core::ops::ControlFlow;
use std::collections::BTreeMap;

/// What a commitment changes: HTLCs that are added, positions (modulo) of those that are removed, and the feerate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) offered: u8,
    pub(crate) received: u8,
    pub(crate) removed: Vec<usize>,
    pub(crate) feerate: u32,
}

impl Change {
    /// Only the feerate.
    pub(crate) fn fee(feerate: u32) -> Self {
        Self { feerate, ..Self::default() }
    }

    /// Adds one HTLC.
    pub(crate) fn add() -> Self {
        Self { offered: 1, feerate: 253, ..Self::default() }
    }
}

/// Every commitment that was signed for the counterparty in one channel, in full: the naive record that the rows replace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Book {
    pub(crate) channel: u8,
    pub(crate) signed: BTreeMap<u64, Vec<RevokedCommitment>>,
    next_id: u64,
}

impl Book {
    pub(crate) fn new(channel: u8) -> Self {
        Self { channel, ..Self::default() }
    }

    pub(crate) fn newest(&self) -> Option<u64> {
        self.signed.keys().next_back().copied()
    }

    /// The next commitment, after the revocation that must come before it.
    pub(crate) fn next(&mut self, change: &Change) -> Vec<Event> {
        let number = self.newest().map_or(0, |newest| newest + 1);
        let revoked = number.checked_sub(2).map(|oldest| revocation(self.channel, oldest));
        let signed = self.sign(number, change, &[]);
        revoked.into_iter().chain([signed]).collect()
    }

    /// The newest commitment again with other content; an HTLC of the candidate before may be added again.
    pub(crate) fn candidate(&mut self, change: &Change) -> Option<Event> {
        let number = self.newest().filter(|newest| *newest > 0)?;
        let before = self.signed[&(number - 1)].last().unwrap().htlcs.clone();
        let last = self.signed[&number].last().unwrap();
        let again: Vec<RevokedHtlc> =
            last.htlcs.iter().filter(|htlc| !before.contains(htlc)).take(1).copied().collect();
        (self.signed[&number].len() < 8).then(|| self.sign(number, change, &again))
    }

    fn sign(&mut self, number: u64, change: &Change, again: &[RevokedHtlc]) -> Event {
        let before = number.checked_sub(1).map(|before| self.signed[&before].last().unwrap().htlcs.clone());
        let mut htlcs = before.unwrap_or_default();
        let removed: Vec<HtlcRef> = change
            .removed
            .iter()
            .filter_map(|place| {
                let place = place.checked_rem(htlcs.len())?;
                Some(htlcs.remove(place).key)
            })
            .collect();
        let mut fresh = |key: fn(u64) -> HtlcRef| {
            self.next_id += 1;
            htlc(key(self.next_id))
        };
        let offered = (0..change.offered).map(|_| fresh(HtlcRef::offered)).collect::<Vec<_>>();
        let received = (0..change.received).map(|_| fresh(HtlcRef::received)).collect::<Vec<_>>();
        let again = again.iter().map(|known| htlc(known.key));
        let added: Vec<Htlc> = again.chain(offered).chain(received).collect();
        htlcs.extend(added.iter().map(RevokedHtlc::from));
        htlcs.sort_by_key(|htlc| htlc.key);
        // Balances and HTLCs are the funding exactly.
        let local_msat = 500_000_000 - number;
        let remote_msat = 1_000_000_000 - local_msat - htlcs.iter().map(|htlc| htlc.amount_msat).sum::<u64>();
        let feerate_sat_per_kw = change.feerate;
        let update = CommitmentUpdate {
            channel: id(self.channel),
            number,
            point: point(commitment_secret(&[self.channel; 32], number)),
            feerate_sat_per_kw,
            local_msat,
            remote_msat,
            added,
            removed,
            whole: false,
        };
        let signed = RevokedCommitment { feerate_sat_per_kw, local_msat, remote_msat, htlcs };
        let candidates = self.signed.entry(number).or_default();
        // An identical commitment is not a new candidate.
        if !candidates.contains(&signed) {
            candidates.push(signed);
        }
        Event::RemoteCommitmentSigned(Box::new(RemoteCommitmentSigned { update }))
    }
}

pub(crate) fn revocation(channel: u8, number: u64) -> Event {
    let secret = |number| commitment_secret(&[channel; 32], number);
    Event::RemoteRevoked(Box::new(RemoteRevoked {
        channel: id(channel),
        number,
        secret: secret(number),
        next_point: point(secret(number + 2)),
    }))
}

pub(crate) fn htlc(key: HtlcRef) -> Htlc {
    let low = u8::try_from(key.id % 251).unwrap();
    Htlc {
        key,
        amount_msat: 1_000 + key.id,
        payment_hash: PaymentHash([low; 32]),
        cltv_expiry: Height::new(100_000 + u32::from(low)),
        link: if key.is_offered() { Link::Own } else { Link::Received },
        tag: vec![low],
    }
}

/// Hears the next commitment of a channel.
pub(crate) fn sign(court: &mut ChainArbitrator, journal: &mut Journal<Memory>, book: &mut Book, change: &Change) {
    let events = book.next(change);
    hear(court, journal, &events).unwrap();
}

/// What was signed, by channel index and commitment number, computed naively from the frames alone.
pub(crate) fn told_by_frames<S: Storage>(journal: &Journal<S>) -> BTreeMap<(u32, u64), Vec<RevokedCommitment>> {
    let mut told: BTreeMap<(u32, u64), Vec<RevokedCommitment>> = BTreeMap::new();
    let mut court = ChainArbitrator::new();
    let each = |frame: Frame| {
        // A move is a step, so no frame of these stories opens a channel and signs in it.
        for entry in &frame.entries {
            let Event::RemoteCommitmentSigned(heard) = &entry.heard else { continue };
            let (index, update) = (court.index_of(&heard.update.channel).unwrap().get(), &heard.update);
            let before = update.number.checked_sub(1).and_then(|before| told.get(&(index, before)));
            let before = before.and_then(|candidates| candidates.last().cloned()).unwrap_or_default();
            let mut htlcs = before.htlcs;
            htlcs.retain(|htlc| !update.removed.contains(&htlc.key));
            htlcs.extend(update.added.iter().map(RevokedHtlc::from));
            htlcs.sort_by_key(|htlc| htlc.key);
            let (feerate_sat_per_kw, local_msat) = (update.feerate_sat_per_kw, update.local_msat);
            let remote_msat = update.remote_msat;
            let signed = RevokedCommitment { feerate_sat_per_kw, local_msat, remote_msat, htlcs };
            told.entry((index, update.number)).or_default().push(signed);
        }
        court.fold(&frame).unwrap();
        ControlFlow::<()>::Continue(())
    };
    assert!(journal.frames(0..u64::MAX, each).map_err(|_| ()).unwrap().is_none());
    told
}

/// Every row of a past commitment that the store has.
pub(crate) fn rows(memory: &Memory) -> Vec<(u32, u64)> {
    let keys = memory.keys().into_iter().filter(|key| key.space == arb_log::Space::Commitment);
    keys.map(|key| (key.channel, key.number)).collect()
}

/// What the log answers for one of these rows.
pub(crate) fn asked(journal: &Journal<Memory>, (index, number): (u32, u64)) -> Result<Vec<RevokedCommitment>, Error> {
    journal.revoked(arb_core::ChannelIndex::new(index), number)
}

/// A row as it is written: channel, number, row.
pub(crate) type Row = (u32, u64, CommitmentRow);

pub(crate) fn decoded(bytes: &[u8]) -> CommitmentRow {
    frame::Raw::whole(bytes).unwrap().value::<Row>().unwrap().2
}

/// The bytes of every row of a past commitment.
pub(crate) fn row_bytes(memory: &Memory) -> BTreeMap<(u32, u64), Vec<u8>> {
    let bytes = |(channel, number)| memory.row(Key::commitment(channel, number)).unwrap();
    rows(memory).into_iter().map(|key| (key, bytes(key))).collect()
}

/// Everything that was signed is found, and nothing else.
pub(crate) fn finds_all(journal: &Journal<Memory>, court: &ChainArbitrator, books: &[Book]) {
    for book in books {
        let index = court.index_of(&id(book.channel)).unwrap();
        for (number, candidates) in &book.signed {
            assert_eq!(journal.revoked(index, *number).as_ref(), Ok(candidates), "{index:?} {number}");
        }
        let next = book.newest().map_or(0, |newest| newest + 1);
        assert_eq!(journal.revoked(index, next), Ok(vec![]), "{index:?} {next}");
    }
}
