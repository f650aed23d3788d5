//! What a journal needs from a database: an ordered map of byte rows with atomic, fenced batches. It knows no frame.
//!
//! Small on purpose, so that every test writes its own: one table, one owner row. The journal trusts a storage for order,
//! atomicity and fencing, and for nothing else: every row that it writes carries its own checksum.

use core::fmt;
use core::ops::{ControlFlow, Range};

/// What a row is about; the first byte of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// The journal's own: the court row of the last checkpoint.
    Meta,
    /// The frames, numbered by sequence.
    Frame,
    /// One row for each channel, as of the last checkpoint that found it changed.
    Channel,
    /// Past commitments of the counterparty, by channel and number: a change, or a whole set. Written with the frame that
    /// heard them, removed when their channel is gone.
    Commitment,
    /// One row for each channel that an irrevocable close resolved. Written with the court row, and never removed.
    Tombstone,
}

impl Space {
    /// The byte that stands for it; fixed for ever.
    const fn byte(self) -> u8 {
        match self {
            Self::Meta => 0,
            Self::Frame => 1,
            Self::Channel => 2,
            Self::Commitment => 3,
            Self::Tombstone => 4,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Meta),
            1 => Some(Self::Frame),
            2 => Some(Self::Channel),
            3 => Some(Self::Commitment),
            4 => Some(Self::Tombstone),
            5.. => None,
        }
    }
}

/// A row's key: 13 bytes whose bytewise order is the order of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What the row is about.
    pub space: Space,
    /// The channel, or 0 where a row belongs to none.
    pub channel: u32,
    /// The frame's sequence, the commitment's number, or 0.
    pub number: u64,
}

impl Key {
    /// A key from its parts.
    pub const fn new(space: Space, channel: u32, number: u64) -> Self {
        Self { space, channel, number }
    }

    /// Where the frame with this sequence is.
    pub const fn frame(sequence: u64) -> Self {
        Self::new(Space::Frame, 0, sequence)
    }

    /// Where this channel's row is.
    pub const fn channel(index: u32) -> Self {
        Self::new(Space::Channel, index, 0)
    }

    /// Where the row of this past commitment of the counterparty is.
    pub const fn commitment(channel: u32, number: u64) -> Self {
        Self::new(Space::Commitment, channel, number)
    }

    /// Where what stays of this resolved channel is.
    pub const fn tombstone(index: u32) -> Self {
        Self::new(Space::Tombstone, index, 0)
    }

    /// The key as bytes: space, then channel and number big-endian, so that bytewise order is the keys' order.
    pub fn to_bytes(self) -> [u8; 13] {
        let mut bytes = [self.space.byte(); 13];
        let parts = self.channel.to_be_bytes().into_iter().chain(self.number.to_be_bytes());
        bytes.iter_mut().skip(1).zip(parts).for_each(|(to, from)| *to = from);
        bytes
    }

    /// The key that these bytes are, if they are one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let ([space], bytes) = bytes.split_first_chunk()?;
        let (channel, bytes) = bytes.split_first_chunk()?;
        let number = bytes.try_into().ok()?;
        Some(Self::new(Space::from_byte(*space)?, u32::from_be_bytes(*channel), u64::from_be_bytes(number)))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{}/{}", self.space, self.channel, self.number)
    }
}

/// Rows that change together: all of them or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Every row whose key is in one of these ranges goes, before anything is put.
    pub remove: Vec<Range<Key>>,
    /// These rows are there afterwards, whatever was there before.
    pub put: Vec<(Key, Vec<u8>)>,
    /// How many frames it appends: what `next_sequence` grows by.
    pub appended: u64,
}

/// Who may write, and what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Counts owners. Only the newest may write.
    pub epoch: u64,
    /// The sequence of the next frame; 1 in an empty storage.
    pub next_sequence: u64,
}

/// Why a batch was not written, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteError<E> {
    /// The condition does not hold; nothing was written.
    Fenced {
        /// The epoch that does hold.
        epoch: u64,
        /// The sequence that does hold.
        next_sequence: u64,
    },
    /// Something failed. Whether the batch is durable is **unknown**.
    Failed(E),
}

/// An ordered map of byte rows with atomic, fenced batches.
///
/// # The contract
///
/// - **Atomic**: a batch is there as a whole or not at all, after any crash. First its ranges are removed, then its rows
///   put, then `next_sequence` grows by `appended`.
/// - **Fenced**: a batch whose [`Condition`] is not the present one, in epoch *and* sequence, changes nothing and answers
///   [`WriteError::Fenced`] with the present one. Check and write are one transaction: of two owners that race, at most one
///   succeeds. An empty batch is only that check.
/// - **Durable when `Ok`**: what was written survives loss of power. A storage that cannot promise this must not answer.
/// - **Unknown when [`Failed`](WriteError::Failed)**: the batch may be durable, now or later (a commit whose answer was
///   lost). But not later than the next `claim`, because a claim raises the epoch that the batch was written under.
/// - [`read`](Self::read) and [`scan`](Self::scan) see everything that was written, and tell apart "no row" and "failed".
/// - A storage that has to be opened anew after an error does so by itself at the next call. A panic of a database library
///   is turned into an error by the storage, not by the journal.
///
/// # Example
///
/// The least that is a storage: enough for a test, and durable as long as the process.
///
/// ```
/// use arb_log::{Batch, Condition, Key, Storage, WriteError};
/// use std::collections::BTreeMap;
/// use std::convert::Infallible;
/// use std::ops::{ControlFlow, Range};
///
/// struct Tiny { rows: BTreeMap<Key, Vec<u8>>, now: Condition }
///
/// impl Storage for Tiny {
///     type Error = Infallible;
///
///     fn claim(&mut self) -> Result<Condition, Infallible> {
///         self.now.epoch += 1;
///         Ok(self.now)
///     }
///
///     fn write(&mut self, expected: Condition, batch: &Batch) -> Result<(), WriteError<Infallible>> {
///         if expected != self.now {
///             return Err(WriteError::Fenced { epoch: self.now.epoch, next_sequence: self.now.next_sequence });
///         }
///         for range in &batch.remove {
///             self.rows.retain(|key, _| !range.contains(key));
///         }
///         self.rows.extend(batch.put.iter().cloned());
///         self.now.next_sequence += batch.appended;
///         Ok(())
///     }
///
///     fn read(&self, key: Key) -> Result<Option<Vec<u8>>, Infallible> {
///         Ok(self.rows.get(&key).cloned())
///     }
///
///     fn scan(
///         &self,
///         range: Range<Key>,
///         visit: &mut dyn FnMut(Key, &[u8]) -> ControlFlow<()>,
///     ) -> Result<(), Infallible> {
///         let _stopped = self.rows.range(range).try_for_each(|(key, row)| visit(*key, row));
///         Ok(())
///     }
/// }
///
/// let mut storage = Tiny { rows: BTreeMap::new(), now: Condition { epoch: 0, next_sequence: 1 } };
/// let owner = storage.claim()?;
/// let batch = Batch { put: vec![(Key::frame(1), vec![1, 2, 3])], appended: 1, ..Batch::default() };
/// assert_eq!(storage.write(owner, &batch), Ok(()));
/// assert_eq!(storage.read(Key::frame(1))?, Some(vec![1, 2, 3]));
/// // The same condition again: it does not hold any more.
/// assert_eq!(storage.write(owner, &batch), Err(WriteError::Fenced { epoch: 1, next_sequence: 2 }));
/// # Ok::<(), Infallible>(())
/// ```
pub trait Storage {
    /// Why something failed.
    type Error: core::error::Error + 'static;

    /// Becomes the owner: raises the epoch, durably, and says what holds from now on. Every earlier owner is fenced, and
    /// no write of theirs can become durable afterwards.
    fn claim(&mut self) -> Result<Condition, Self::Error>;

    /// Writes a batch, if the condition holds: atomic, and durable when `Ok`.
    fn write(&mut self, expected: Condition, batch: &Batch) -> Result<(), WriteError<Self::Error>>;

    /// The row with this key, if there is one.
    fn read(&self, key: Key) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Shows the rows in this range in the order of their keys, until `visit` breaks off. An empty or reversed range has
    /// none.
    fn scan(&self, range: Range<Key>, visit: &mut dyn FnMut(Key, &[u8]) -> ControlFlow<()>) -> Result<(), Self::Error>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_key() -> impl Strategy<Value = Key> {
        use Space::{Channel, Commitment, Frame, Meta, Tombstone};
        let space = prop_oneof![Just(Meta), Just(Frame), Just(Channel), Just(Commitment), Just(Tombstone)];
        (space, any::<u32>(), any::<u64>()).prop_map(|(space, channel, number)| Key { space, channel, number })
    }

    proptest! {
        #[test]
        fn bytes_are_ordered_as_keys_are(one in any_key(), other in any_key()) {
            prop_assert_eq!(one.to_bytes().cmp(&other.to_bytes()), one.cmp(&other));
        }

        #[test]
        fn keys_come_back_from_their_bytes(key in any_key()) {
            prop_assert_eq!(Key::from_bytes(&key.to_bytes()), Some(key));
        }
    }

    #[test]
    fn a_key_has_these_bytes() {
        let key = Key::new(Space::Channel, 0x0102_0304, 0x1112_1314_1516_1718);
        let bytes = [2, 1, 2, 3, 4, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18];
        assert_eq!(key.to_bytes(), bytes);
        assert_eq!(key.to_string(), "Channel/16909060/1230066625199609624");
    }

    #[test]
    fn what_is_no_key_is_none() {
        assert_eq!(Key::from_bytes(&[5; 13]), None, "space 5 does not exist");
        assert_eq!(Key::from_bytes(&[1; 12]), None, "too short");
        assert_eq!(Key::from_bytes(&[1; 14]), None, "too long");
    }
}
