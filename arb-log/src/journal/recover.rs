//! From rows and frames back to a court. Nothing is judged here: what was recorded is folded (R3).

use super::checkpoint::CourtRow;
use super::{COURT, Journal, JournalError, Rows};
use crate::frame::{FrameError, Raw};
use crate::storage::{Key, Space, Storage};
use arb_core::{ChainArbitrator, ChannelArbitrator, ChannelIndex, Event, JournalIdentity, Tombstone};
use core::ops::ControlFlow;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::vec::IntoIter;

/// How many channel rows are decoded at a time, so that a court of a million channels is not in memory twice.
const PAGE: usize = 1024;

impl<S: Storage> Journal<S> {
    /// Rebuilds the court as it was after the last frame. In an empty storage a new journal is begun, with the identity as its
    /// first frame.
    ///
    /// Of the identity only network and journal id are compared: its tip and policy were those of the first start.
    ///
    /// # Errors
    /// If the journal has another network or id, if a frame that is needed is missing or bad, or if a checkpoint's row is
    /// bad. Nothing is repaired or left out: the court could be wrong, with money on it.
    pub fn recover(&mut self, identity: &JournalIdentity) -> Result<ChainArbitrator, JournalError<S::Error>> {
        self.writable()?;
        let recovered = self.recover_unfenced(identity);
        if recovered.is_err() && !self.is_latched() {
            // If two owners start at once, rows change while the one that lost reads them, which looks like corruption. It
            // is told that it is fenced.
            self.look();
            self.writable()?;
        }
        recovered
    }

    /// Folds the frames that are durable but not in the court: the append that was reported failed. Answers their number.
    ///
    /// # Errors
    /// If frames are missing or bad, or the court has frames that the storage lost.
    pub fn catch_up(&mut self, court: &mut ChainArbitrator) -> Result<u64, JournalError<S::Error>> {
        self.writable()?;
        let (before, stored) = (court.sequence(), self.last_sequence());
        if before > stored {
            return Err(JournalError::StorageBehind { court: before, stored });
        }
        self.fold_rest(court)?;
        Ok(court.sequence().saturating_sub(before))
    }

    fn recover_unfenced(&mut self, identity: &JournalIdentity) -> Result<ChainArbitrator, JournalError<S::Error>> {
        self.check_counted()?;
        let (mut court, rows) = self.load_checkpoint()?;
        if court.sequence() > 0 {
            same_journal(&court, identity)?;
        }
        if self.last_sequence() == 0 {
            self.rows = Some(rows);
            let mut step = court.step();
            step.hear(&Event::JournalOpened(identity.clone())).map_err(JournalError::Identity)?;
            step.commit(self)?;
            return Ok(court);
        }
        self.fold_rest(&mut court)?;
        same_journal(&court, identity)?;
        self.rows = Some(rows);
        Ok(court)
    }

    /// Folds every frame that the court does not have.
    pub(super) fn fold_rest(&self, court: &mut ChainArbitrator) -> Result<(), JournalError<S::Error>> {
        let range = court.sequence().saturating_add(1)..self.now.next_sequence;
        let failed = self.each_frame(range, |frame| match court.fold(&frame) {
            Ok(()) => ControlFlow::Continue(()),
            Err(why) => ControlFlow::Break(JournalError::Mismatch { sequence: frame.sequence, why }),
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// No frame may be after the last one that the storage counts: it would be overwritten.
    fn check_counted(&self) -> Result<(), JournalError<S::Error>> {
        let next_sequence = self.now.next_sequence;
        let mut end = Ok(());
        let mut visit = |key: Key, _: &[u8]| {
            end = Err(JournalError::Uncounted { found: key.number, next_sequence });
            ControlFlow::Break(())
        };
        self.storage
            .scan(Key::frame(next_sequence)..Key::frame(u64::MAX), &mut visit)
            .map_err(JournalError::Storage)?;
        end
    }

    /// The court as of the last checkpoint's court row, with channel rows that may be newer.
    pub(super) fn load_checkpoint(&self) -> Result<(ChainArbitrator, Rows), JournalError<S::Error>> {
        let Some(bytes) = self.storage.read(COURT).map_err(JournalError::Storage)? else {
            // A torn first checkpoint leaves channel rows without a court row. The frames have all that they have.
            let mut channels = BTreeSet::new();
            let mut visit = |key: Key, _: &[u8]| {
                channels.insert(key.channel);
                ControlFlow::Continue(())
            };
            let all = Key::channel(0)..Key::channel(u32::MAX);
            self.storage.scan(all, &mut visit).map_err(JournalError::Storage)?;
            return Ok((ChainArbitrator::new(), Rows { court: 0, bound: 0, channels }));
        };
        let (sequence, row) = self.row::<CourtRow>(COURT, &bytes)?;
        if row.snapshot.sequence != sequence {
            return Err(JournalError::Misplaced { key: COURT });
        }
        let tombstones = self.tombstones(sequence, row.tombstones)?;
        let mut pages = Pages {
            journal: self,
            next: Some(Key::channel(0)),
            page: Vec::new().into_iter(),
            bound: row.bound,
            channels: BTreeSet::new(),
            used: 0,
            failed: None,
        };
        let court = ChainArbitrator::restore(row.snapshot, tombstones, &mut pages);
        let Pages { channels, used, failed, .. } = pages;
        if let Some(error) = failed {
            return Err(error);
        }
        let court = court.map_err(|why| JournalError::Mismatch { sequence, why })?;
        if used != row.live {
            return Err(JournalError::ChannelRows { expected: row.live, found: used });
        }
        Ok((court, Rows { court: sequence, bound: row.bound, channels }))
    }

    /// What stays of resolved channels, as of this court row.
    fn tombstones(&self, court: u64, expected: u32) -> Result<Vec<Tombstone>, JournalError<S::Error>> {
        let (mut all, mut bad) = (Vec::new(), Ok(()));
        let mut visit = |key: Key, bytes: &[u8]| {
            match self.row::<Tombstone>(key, bytes) {
                Ok((_, stone)) if key == Key::tombstone(stone.channel.get()) && stone.sequence <= court => {
                    all.push(stone)
                }
                Ok(_) => bad = Err(JournalError::Misplaced { key }),
                Err(error) => bad = Err(error),
            }
            if bad.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let rows = Key::tombstone(0)..Key::new(Space::Tombstone, u32::MAX, u64::MAX);
        self.storage.scan(rows, &mut visit).map_err(JournalError::Storage)?;
        bad?;
        let found = u32::try_from(all.len()).unwrap_or(u32::MAX);
        if found == expected { Ok(all) } else { Err(JournalError::Tombstones { expected, found }) }
    }

    /// A row that is not a frame, and the frame that it stands for.
    pub(super) fn row<T: Serialize + DeserializeOwned>(
        &self,
        key: Key,
        bytes: &[u8],
    ) -> Result<(u64, T), JournalError<S::Error>> {
        let bad = |why: FrameError| JournalError::BadRow { key, why };
        let raw = Raw::whole(bytes).map_err(bad)?;
        let (sequence, last) = (raw.sequence, self.last_sequence());
        if sequence > last {
            return Err(JournalError::RowAhead { key, sequence, last });
        }
        Ok((sequence, raw.value().map_err(bad)?))
    }

    fn channel_row(&self, key: Key, bytes: &[u8]) -> Result<ChannelArbitrator, JournalError<S::Error>> {
        let (sequence, (index, channel)) = self.row::<(u32, ChannelArbitrator)>(key, bytes)?;
        if key != Key::channel(index) || channel.changed_at() > sequence {
            return Err(JournalError::Misplaced { key });
        }
        Ok(channel)
    }
}

/// Refuses a court of another network or journal id than the embedder's.
fn same_journal<E>(court: &ChainArbitrator, wanted: &JournalIdentity) -> Result<(), JournalError<E>> {
    let found = court.identity().ok_or(JournalError::JournalNotOpened)?;
    if found.network != wanted.network {
        return Err(JournalError::OtherNetwork { expected: wanted.network, found: found.network });
    }
    if found.journal != wanted.journal {
        return Err(JournalError::OtherJournal { expected: wanted.journal, found: found.journal });
    }
    Ok(())
}

/// The channel rows, a page at a time: a storage pushes rows, the court pulls channels.
struct Pages<'a, S: Storage> {
    journal: &'a Journal<S>,
    /// Where the next page begins; `None` after the last.
    next: Option<Key>,
    page: IntoIter<(ChannelIndex, ChannelArbitrator)>,
    bound: u32,
    channels: BTreeSet<u32>,
    used: u32,
    failed: Option<JournalError<S::Error>>,
}

impl<S: Storage> Pages<'_, S> {
    fn turn(&mut self, from: Key) -> Result<(), JournalError<S::Error>> {
        let mut page = Vec::new();
        let mut bad = Ok(());
        let (journal, bound, channels) = (self.journal, self.bound, &mut self.channels);
        let mut next = None;
        let mut visit = |key: Key, bytes: &[u8]| {
            if page.len() == PAGE {
                next = Some(key);
                return ControlFlow::Break(());
            }
            channels.insert(key.channel);
            // Channels from `bound` on were opened after the court row: a torn checkpoint left their rows. They are not
            // used, because their whole story is in frames that are still to be folded, and must be told in order: such a
            // channel may have the id of one that is forgotten only in those frames.
            if key.channel >= bound {
                return ControlFlow::Continue(());
            }
            match journal.channel_row(key, bytes) {
                Ok(channel) => page.push((ChannelIndex::new(key.channel), channel)),
                Err(error) => bad = Err(error),
            }
            if bad.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let rest = from..Key::new(Space::Channel, u32::MAX, u64::MAX);
        self.journal.storage.scan(rest, &mut visit).map_err(JournalError::Storage)?;
        bad?;
        self.next = next;
        self.page = page.into_iter();
        Ok(())
    }
}

impl<S: Storage> Iterator for Pages<'_, S> {
    type Item = (ChannelIndex, ChannelArbitrator);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.page.next() {
                self.used = self.used.saturating_add(1);
                return Some(row);
            }
            let from = self.next.take()?;
            if let Err(error) = self.turn(from) {
                self.failed = Some(error);
                return None;
            }
        }
    }
}
