//! How values become bytes: a fixed header that can be checked before anything is believed, then postcard.
//!
//! ```text
//! offset  size  field
//!      0     4  length of the payload, at most PAYLOAD_MAX
//!      4     4  CRC-32C over everything but itself
//!      8     8  sequence
//!     16     2  version of the payload's format
//!     18     …  payload: postcard
//! ```
//!
//! Little-endian. The version is outside the payload, because postcard is positional: only the header's layout can never
//! change. The checksum finds accidents (torn writes, rot), not attackers: anyone who can write to the log can forge it.
//!
//! Frames and the rows of a checkpoint use the same form. Postcard alone would accept trailing bytes and several spellings
//! of one number; here one value has one encoding, so equal bytes and equal values mean the same.

use arb_core::{Entry, Frame};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of everything this build writes, and the only one that it reads. The crate's front page has all of them.
pub const VERSION: u16 = 2;

/// The most bytes that a payload may have; checked before anything is allocated. It is more than any step needs, because a
/// block has at most 4 MB.
pub const PAYLOAD_MAX: usize = 64 * 1024 * 1024;

/// The header's size.
pub const HEADER_LEN: usize = 18;

/// Why bytes are not what was written, or why a value cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The bytes end too early.
    #[error("{got} bytes, expected {expected}")]
    Short {
        /// How many the header promises (or the header itself has).
        expected: usize,
        /// How many are there.
        got: usize,
    },
    /// The payload is longer than any payload may be.
    #[error("the payload has {got} bytes; at most {PAYLOAD_MAX} are allowed")]
    TooLong {
        /// Its length.
        got: usize,
    },
    /// The checksum does not fit the bytes.
    #[error("checksum {got:08x}, expected {expected:08x}")]
    Checksum {
        /// What the header says.
        expected: u32,
        /// What the bytes have.
        got: u32,
    },
    /// The bytes are another frame.
    #[error("sequence {got}, expected {expected}")]
    Sequence {
        /// The sequence that belongs here.
        expected: u64,
        /// The sequence in the header.
        got: u64,
    },
    /// A newer build wrote it. Skipping an unknown frame would give a wrong state, with money on it.
    #[error("version {got} is from the future: this build reads up to {VERSION}")]
    FromTheFuture {
        /// Its version.
        got: u16,
    },
    /// An older build wrote it, before the format was frozen.
    #[error("version {got} was read by earlier builds only: this build reads version {VERSION}")]
    Outdated {
        /// Its version.
        got: u16,
    },
    /// No build ever wrote such a version.
    #[error("version {got} never existed")]
    NoSuchVersion {
        /// Its version.
        got: u16,
    },
    /// The payload is not a value of its version, although its checksum fits.
    #[error("the payload cannot be decoded as frame format version {version}")]
    Malformed {
        /// Its version.
        version: u16,
    },
    /// The payload is a value in an encoding that no build writes.
    #[error("the payload is not in the one encoding that version {version} has for it")]
    NotCanonical {
        /// Its version.
        version: u16,
    },
    /// Something follows where nothing should.
    #[error("{count} bytes too many")]
    Trailing {
        /// How many bytes.
        count: usize,
    },
    /// The value has no encoding.
    #[error("the value cannot be encoded")]
    Unencodable,
}

/// Bytes whose length and checksum are right; nothing else about them was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a> {
    /// The sequence.
    pub sequence: u64,
    /// The version of the payload's format.
    pub version: u16,
    /// The payload.
    pub payload: &'a [u8],
}

/// The header's fields and the payload, as they lie there.
struct Parts<'a> {
    len: &'a [u8; 4],
    crc: &'a [u8; 4],
    seq: &'a [u8; 8],
    version: &'a [u8; 2],
    payload: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Raw<'a> {
    /// Splits the first frame off some bytes and checks its checksum; also answers what follows the frame.
    pub fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), FrameError> {
        let parts = parts(bytes)?;
        let expected = u32::from_le_bytes(*parts.crc);
        let got = checksum(parts.len, parts.seq, parts.version, parts.payload);
        if got != expected {
            return Err(FrameError::Checksum { expected, got });
        }
        let (sequence, version) = (u64::from_le_bytes(*parts.seq), u16::from_le_bytes(*parts.version));
        Ok((Self { sequence, version, payload: parts.payload }, parts.rest))
    }

    /// The frame that is exactly these bytes.
    pub fn whole(bytes: &'a [u8]) -> Result<Self, FrameError> {
        match Self::split(bytes)? {
            (raw, []) => Ok(raw),
            (_, rest) => Err(FrameError::Trailing { count: rest.len() }),
        }
    }

    /// The value in it. Until release 0.1 only [`VERSION`] is read; any other is refused by its number.
    pub fn value<T: Serialize + DeserializeOwned>(&self) -> Result<T, FrameError> {
        match self.version {
            0 => Err(FrameError::NoSuchVersion { got: 0 }),
            VERSION => canonical(self.version, self.payload),
            got if got < VERSION => Err(FrameError::Outdated { got }),
            got => Err(FrameError::FromTheFuture { got }),
        }
    }
}

/// A value as bytes, header and all.
pub fn encode<T: Serialize + ?Sized>(sequence: u64, value: &T) -> Result<Vec<u8>, FrameError> {
    let payload = postcard::to_allocvec(value).map_err(|_| FrameError::Unencodable)?;
    seal(sequence, VERSION, &payload)
}

/// The value with this sequence, from exactly its bytes.
pub fn decode<T: Serialize + DeserializeOwned>(sequence: u64, bytes: &[u8]) -> Result<T, FrameError> {
    let raw = Raw::whole(bytes)?;
    if raw.sequence != sequence {
        return Err(FrameError::Sequence { expected: sequence, got: raw.sequence });
    }
    raw.value()
}

/// A step's frame as bytes: its sequence is in the header only, its entries are the payload.
pub fn encode_frame(frame: &Frame) -> Result<Vec<u8>, FrameError> {
    encode(frame.sequence, &frame.entries)
}

/// The frame with this sequence, from exactly its bytes.
pub fn decode_frame(sequence: u64, bytes: &[u8]) -> Result<Frame, FrameError> {
    let entries = decode::<Vec<Entry>>(sequence, bytes)?;
    Ok(Frame { sequence, entries })
}

/// Puts the header before a payload.
fn seal(sequence: u64, version: u16, payload: &[u8]) -> Result<Vec<u8>, FrameError> {
    let too_long = FrameError::TooLong { got: payload.len() };
    if payload.len() > PAYLOAD_MAX {
        return Err(too_long);
    }
    let len = u32::try_from(payload.len()).map_err(|_| too_long)?.to_le_bytes();
    let (seq, version) = (sequence.to_le_bytes(), version.to_le_bytes());
    let crc = checksum(&len, &seq, &version, payload).to_le_bytes();
    Ok([&len[..], &crc, &seq, &version, payload].concat())
}

/// Splits the header's fields and the payload off; none of it can panic.
fn parts(bytes: &[u8]) -> Result<Parts<'_>, FrameError> {
    let header = |bytes: &'_ [u8]| FrameError::Short { expected: HEADER_LEN, got: bytes.len() };
    let (len, after_len) = bytes.split_first_chunk().ok_or_else(|| header(bytes))?;
    let (crc, after_crc) = after_len.split_first_chunk().ok_or_else(|| header(bytes))?;
    let (seq, after_seq) = after_crc.split_first_chunk().ok_or_else(|| header(bytes))?;
    let (version, body) = after_seq.split_first_chunk().ok_or_else(|| header(bytes))?;
    let size = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
    if size > PAYLOAD_MAX {
        return Err(FrameError::TooLong { got: size });
    }
    let cut = FrameError::Short { expected: HEADER_LEN.saturating_add(size), got: bytes.len() };
    let (payload, rest) = body.split_at_checked(size).ok_or(cut)?;
    Ok(Parts { len, crc, seq, version, payload, rest })
}

/// CRC-32C over everything but itself.
fn checksum(len: &[u8; 4], seq: &[u8; 8], version: &[u8; 2], payload: &[u8]) -> u32 {
    [&seq[..], version, payload].into_iter().fold(crc32c::crc32c(len), crc32c::crc32c_append)
}

/// The value that a payload is: the whole payload, in the one encoding that it has.
fn canonical<T: Serialize + DeserializeOwned>(version: u16, payload: &[u8]) -> Result<T, FrameError> {
    let (value, rest) = postcard::take_from_bytes::<T>(payload).map_err(|_| FrameError::Malformed { version })?;
    if !rest.is_empty() {
        return Err(FrameError::Trailing { count: rest.len() });
    }
    let again = postcard::to_allocvec(&value).map_err(|_| FrameError::Unencodable)?;
    if again != payload {
        return Err(FrameError::NotCanonical { version });
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Sample = (u32, Option<String>, Vec<u8>);

    /// Written by hand from the table above, once. The format is frozen at release 0.1; until then a change of these bytes
    /// raises [`VERSION`], which is one of them; after it this literal is never touched again.
    const GOLDEN: &[u8] = &[
        0x0a, 0x00, 0x00, 0x00, // ten bytes of payload
        0x40, 0xf1, 0x0e, 0x83, // CRC-32C, computed bit by bit outside this crate
        0x2a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // sequence 42
        0x02, 0x00, // version 2
        0xac, 0x02, // 300
        0x01, 0x03, b'a', b'r', b'b', // Some("arb")
        0x02, 0x07, 0xff, // [7, 255]
    ];

    fn sample() -> Sample {
        (300, Some("arb".into()), vec![7, 255])
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(decode::<Sample>(42, GOLDEN), Ok(sample()));
        assert_eq!(encode(42, &sample()).unwrap(), GOLDEN);
    }

    #[test]
    fn every_flipped_bit_is_found() {
        for bit in 0..GOLDEN.len() * 8 {
            let mut bytes = GOLDEN.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(decode::<Sample>(42, &bytes).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn every_cut_is_found() {
        for len in 0..GOLDEN.len() {
            let expected = if len < HEADER_LEN { HEADER_LEN } else { GOLDEN.len() };
            assert_eq!(decode::<Sample>(42, &GOLDEN[..len]), Err(FrameError::Short { expected, got: len }));
        }
    }

    #[test]
    fn trailing_bytes_are_refused_behind_the_frame_and_inside_it() {
        let behind = [GOLDEN, &[0, 0, 0]].concat();
        assert_eq!(decode::<Sample>(42, &behind), Err(FrameError::Trailing { count: 3 }));
        let inside = seal(42, VERSION, &[&GOLDEN[HEADER_LEN..], &[0]].concat()).unwrap();
        assert_eq!(decode::<Sample>(42, &inside), Err(FrameError::Trailing { count: 1 }));
    }

    #[test]
    fn another_spelling_of_the_same_value_is_refused() {
        let bytes = seal(1, VERSION, &[0x80, 0x00]).unwrap();
        assert_eq!(postcard::from_bytes::<u32>(&[0x80, 0x00]), Ok(0), "postcard alone accepts it");
        assert_eq!(decode::<u32>(1, &bytes), Err(FrameError::NotCanonical { version: VERSION }));
    }

    #[test]
    fn what_is_no_value_is_malformed() {
        let bytes = seal(1, VERSION, &[2]).unwrap();
        assert_eq!(decode::<bool>(1, &bytes), Err(FrameError::Malformed { version: VERSION }));
    }

    #[test]
    fn a_newer_version_is_refused_and_one_that_never_was() {
        let newer = seal(42, VERSION + 1, &GOLDEN[HEADER_LEN..]).unwrap();
        assert_eq!(decode::<Sample>(42, &newer), Err(FrameError::FromTheFuture { got: VERSION + 1 }));
        let none = seal(42, 0, &GOLDEN[HEADER_LEN..]).unwrap();
        assert_eq!(decode::<Sample>(42, &none), Err(FrameError::NoSuchVersion { got: 0 }));
    }

    #[test]
    fn another_sequence_is_refused() {
        assert_eq!(decode::<Sample>(43, GOLDEN), Err(FrameError::Sequence { expected: 43, got: 42 }));
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_it_is_believed() {
        let mut bytes = GOLDEN.to_vec();
        bytes[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(decode::<Sample>(42, &bytes), Err(FrameError::TooLong { got: u32::MAX as usize }));
        let long = vec![0u8; PAYLOAD_MAX + 1];
        assert_eq!(seal(1, VERSION, &long), Err(FrameError::TooLong { got: PAYLOAD_MAX + 1 }));
    }

    #[test]
    fn a_length_that_only_claims_to_be_long_allocates_nothing() {
        // A vector of 2^32 - 1 elements in five bytes: an error, not an allocation.
        let bytes = seal(1, VERSION, &[0xff, 0xff, 0xff, 0xff, 0x0f]).unwrap();
        assert_eq!(decode::<Vec<u64>>(1, &bytes), Err(FrameError::Malformed { version: VERSION }));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(sequence: u64, value: Sample) {
            let bytes = encode(sequence, &value).unwrap();
            prop_assert_eq!(decode::<Sample>(sequence, &bytes), Ok(value));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            prop_assert!(decode::<Sample>(0, &bytes).is_err());
        }

        #[test]
        fn no_payload_panics_and_what_is_accepted_is_canonical(payload: Vec<u8>) {
            let bytes = seal(7, VERSION, &payload).unwrap();
            if let Ok(value) = decode::<Sample>(7, &bytes) {
                prop_assert_eq!(encode(7, &value).unwrap(), bytes);
            }
        }
    }
}
