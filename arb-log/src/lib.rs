//! The ArbitratorLog: frames, storage, journal.
#![forbid(unsafe_code)]

pub mod frame;
pub mod memory;
mod storage;

pub use frame::FrameError;
pub use storage::{Batch, Condition, Key, Space, Storage, WriteError};
