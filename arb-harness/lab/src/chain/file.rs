//! The chain on disk: one append-only file with one record for each block, disconnect and planted coin.
//!
//! After the magic, a file holds frames `len u32 | crc32c u32 | payload`, little-endian. The checksum covers the frame's
//! position and length, too, so a copy of a frame elsewhere is invalid. Each append is synced before the call returns. A
//! damaged end without a valid frame behind it is a torn write and is cut. A damaged frame *with a valid one behind it*
//! refuses to open. The file is locked: one process at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 8] = b"arbchain";
const FORMAT: u16 = 1;
const HEAD: usize = 8;
/// The longest payload: a block of four million weight units, and some room.
const PAYLOAD_MAX: usize = 8_000_000;

/// Why a chain file could not be created, opened or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainFileError {
    /// The path is a folder.
    #[error("{} is a folder; a chain needs a file", path.display())]
    IsFolder {
        /// Path of the chain file.
        path: PathBuf,
    },
    /// The file does not begin like a chain file.
    #[error("{} is not a chain file", path.display())]
    NotAChain {
        /// Path of the chain file.
        path: PathBuf,
    },
    /// The file was written by a later format.
    #[error("{} has format {format}; this program reads format {FORMAT}", path.display())]
    FromTheFuture {
        /// Path of the chain file.
        path: PathBuf,
        /// The format found.
        format: u16,
    },
    /// The file holds a chain of another network or start height.
    #[error("{} is a chain that begins at height {start_height} of network {network:02x?}; another one is configured", path.display())]
    OtherChain {
        /// Path of the chain file.
        path: PathBuf,
        /// The magic bytes of the network found.
        network: [u8; 4],
        /// The start height found.
        start_height: u32,
    },
    /// Another process has the file open.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// Path of the chain file.
        path: PathBuf,
    },
    /// A frame is damaged although valid frames follow: the file was changed after it was written.
    #[error("{} is corrupt at byte {offset}: a valid record follows a damaged one", path.display())]
    Corrupt {
        /// Path of the chain file.
        path: PathBuf,
        /// Where the damaged frame begins.
        offset: u64,
    },
    /// A frame is intact but its record does not follow from those before it.
    #[error("the record at byte {offset} of {} does not follow from those before it", path.display())]
    Unreplayable {
        /// Path of the chain file.
        path: PathBuf,
        /// Where the frame begins.
        offset: u64,
    },
    /// The operating system returned an error.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// Path of the chain file.
        path: PathBuf,
        /// The operation that failed, as a verb.
        doing: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// One change of the chain. Transactions are in consensus encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Record {
    Genesis { format: u16, network: [u8; 4], start_height: u32 },
    Block { hash: [u8; 32], txs: Vec<Vec<u8>> },
    Disconnect { hash: [u8; 32] },
    PlantTransaction(Vec<u8>),
    PlantCoin { outpoint: Vec<u8>, txout: Vec<u8> },
}

/// The open file, positioned at its end. After the first failure it writes nothing.
#[derive(Debug)]
pub(super) struct ChainFile {
    file: File,
    path: PathBuf,
    end: u64,
    failure: Option<ChainFileError>,
}

/// The contents of a file when it was opened.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) file: ChainFile,
    /// The records after the first, each with the position of its frame.
    pub(super) records: Vec<(u64, Record)>,
    /// Bytes of a torn write that were cut off.
    pub(super) cut: u64,
}

impl ChainFile {
    /// Creates a file; an existing one is an error.
    pub(super) fn create(path: &Path, network: [u8; 4], start_height: u32) -> Result<Self, ChainFileError> {
        refuse_folder(path)?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path);
        let mut this = Self::locked(file.map_err(|e| io_error(path, "create", e))?, path)?;
        this.begin(network, start_height)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| io_error(path, "sync the folder of", e))?;
        Ok(this)
    }

    /// Opens a file and reads its intact part.
    pub(super) fn open(path: &Path, network: [u8; 4], start_height: u32) -> Result<Recovered, ChainFileError> {
        refuse_folder(path)?;
        let file = OpenOptions::new().read(true).write(true).open(path);
        let mut this = Self::locked(file.map_err(|e| io_error(path, "open", e))?, path)?;
        let mut bytes = Vec::new();
        this.file.read_to_end(&mut bytes).map_err(|e| io_error(path, "read", e))?;
        let start = file_start(network, start_height);
        if bytes.len() < start.len() && start.starts_with(&bytes) {
            let cut = length(&bytes); // torn while it was created: it never held a record
            this.begin(network, start_height)?;
            return Ok(Recovered { file: this, records: Vec::new(), cut });
        }
        let (mut records, whole) = this.read_frames(&bytes)?;
        match records.first() {
            Some((_, Record::Genesis { format, .. })) if *format > FORMAT => {
                return Err(ChainFileError::FromTheFuture { path: this.path, format: *format });
            }
            Some((_, Record::Genesis { network: n, start_height: s, .. })) if (*n, *s) == (network, start_height) => {}
            Some((_, Record::Genesis { network, start_height, .. })) => {
                let (network, start_height) = (*network, *start_height);
                return Err(ChainFileError::OtherChain { path: this.path, network, start_height });
            }
            Some(_) | None => return Err(ChainFileError::NotAChain { path: this.path }),
        }
        records.remove(0);
        this.cut_to(length(bytes.get(..whole).unwrap_or_default()))?;
        Ok(Recovered { file: this, records, cut: length(bytes.get(whole..).unwrap_or_default()) })
    }

    /// Appends a record and syncs it. The first failure is kept and ends all writing.
    pub(super) fn append(&mut self, record: &Record) {
        if self.failure.is_none() {
            self.failure = self.try_append(record).map_err(|e| io_error(&self.path, "write", e)).err();
        }
    }

    pub(super) fn failure(&self) -> Option<&ChainFileError> {
        self.failure.as_ref()
    }

    /// The error for a record that does not follow from those before it.
    pub(super) fn unreplayable(&self, offset: u64) -> ChainFileError {
        ChainFileError::Unreplayable { path: self.path.clone(), offset }
    }

    fn try_append(&mut self, record: &Record) -> io::Result<()> {
        let frame = frame(self.end, record)?;
        self.file.write_all(&frame)?;
        self.file.sync_data()?;
        self.end = self.end.saturating_add(length(&frame));
        Ok(())
    }

    fn locked(file: File, path: &Path) -> Result<Self, ChainFileError> {
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path: path.to_path_buf(), end: 0, failure: None }),
            Err(TryLockError::WouldBlock) => Err(ChainFileError::InUse { path: path.to_path_buf() }),
            Err(TryLockError::Error(source)) => Err(io_error(path, "lock", source)),
        }
    }

    fn begin(&mut self, network: [u8; 4], start_height: u32) -> Result<(), ChainFileError> {
        self.cut_to(0)?;
        let bytes = file_start(network, start_height);
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_all());
        written.map_err(|e| io_error(&self.path, "write", e))?;
        self.end = length(&bytes);
        Ok(())
    }

    fn cut_to(&mut self, end: u64) -> Result<(), ChainFileError> {
        let cut = self.file.set_len(end).and_then(|()| self.file.seek(SeekFrom::Start(end)));
        cut.and_then(|_| self.file.sync_all()).map_err(|e| io_error(&self.path, "truncate", e))?;
        self.end = end;
        Ok(())
    }

    /// All intact records, and where they end.
    fn read_frames(&self, bytes: &[u8]) -> Result<(Vec<(u64, Record)>, usize), ChainFileError> {
        if !bytes.starts_with(MAGIC) {
            return Err(ChainFileError::NotAChain { path: self.path.clone() });
        }
        let (mut records, mut at) = (Vec::new(), MAGIC.len());
        while at < bytes.len() {
            let offset = length(bytes.get(..at).unwrap_or_default());
            match payload_at(bytes, at) {
                Some(payload) => {
                    records.push((offset, decode(payload).ok_or_else(|| self.unreplayable(offset))?));
                    at += HEAD + payload.len();
                }
                None if (at + 1..bytes.len()).any(|later| payload_at(bytes, later).is_some()) => {
                    return Err(ChainFileError::Corrupt { path: self.path.clone(), offset });
                }
                None => break,
            }
        }
        Ok((records, at))
    }
}

/// The first bytes of every file: the magic and the genesis record.
fn file_start(network: [u8; 4], start_height: u32) -> Vec<u8> {
    let genesis = Record::Genesis { format: FORMAT, network, start_height };
    let first = frame(length(MAGIC), &genesis).expect("a genesis record is a few bytes");
    [MAGIC.as_slice(), &first].concat()
}

/// The frame of a record that will begin at `offset`.
fn frame(offset: u64, record: &Record) -> io::Result<Vec<u8>> {
    let payload = postcard::to_allocvec(record).map_err(io::Error::other)?;
    let len = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= PAYLOAD_MAX);
    let len = len.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
    Ok([&len.to_le_bytes(), &checksum(offset, len, &payload).to_le_bytes(), payload.as_slice()].concat())
}

/// The payload of the frame at `at`, if a valid frame begins there.
fn payload_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let (before, rest) = bytes.split_at_checked(at)?;
    let (len, rest) = rest.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let len = u32::from_le_bytes(*len);
    let size = usize::try_from(len).ok().filter(|size| (1..=PAYLOAD_MAX).contains(size))?;
    let payload = rest.get(..size)?;
    (checksum(length(before), len, payload) == u32::from_le_bytes(*crc)).then_some(payload)
}

fn checksum(offset: u64, len: u32, payload: &[u8]) -> u32 {
    let head = crc32c::crc32c_append(crc32c::crc32c(&offset.to_le_bytes()), &len.to_le_bytes());
    crc32c::crc32c_append(head, payload)
}

/// The record, if the payload is exactly one record.
fn decode(payload: &[u8]) -> Option<Record> {
    let (record, rest) = postcard::take_from_bytes(payload).ok()?;
    rest.is_empty().then_some(record)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("a length in memory fits 64 bits")
}

fn refuse_folder(path: &Path) -> Result<(), ChainFileError> {
    if path.is_dir() { Err(ChainFileError::IsFolder { path: path.to_path_buf() }) } else { Ok(()) }
}

fn io_error(path: &Path, doing: &'static str, source: io::Error) -> ChainFileError {
    ChainFileError::Io { path: path.to_path_buf(), doing, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_write_is_kept_and_ends_all_writing() {
        let path = std::env::temp_dir().join(format!("arb-chain-readonly-{}", std::process::id()));
        std::fs::write(&path, []).unwrap();
        let file = File::open(&path).unwrap(); // read only: every write fails
        let mut chain_file = ChainFile { file, path: path.clone(), end: 0, failure: None };
        chain_file.append(&Record::Disconnect { hash: [1; 32] });
        assert!(matches!(chain_file.failure(), Some(ChainFileError::Io { doing: "write", .. })));
        assert_eq!(chain_file.end, 0);
        chain_file.file = OpenOptions::new().write(true).open(&path).unwrap();
        chain_file.append(&Record::Disconnect { hash: [2; 32] });
        assert_eq!(std::fs::read(&path).unwrap(), []);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_frame_moved_elsewhere_is_not_valid_there() {
        let record = Record::Disconnect { hash: [7; 32] };
        let frame = frame(0, &record).unwrap();
        assert_eq!(payload_at(&frame, 0).and_then(decode), Some(record));
        assert_eq!(payload_at(&[&[0], frame.as_slice()].concat(), 1), None);
    }
}
