//! Feerates, as the node knows them.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Feerates that the node's estimator gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fees {
    /// (confirmation target in blocks, satoshi per kiloweight), by rising target.
    pub by_target: Vec<(u16, u32)>,
    /// The least feerate that the node relays at all (`minrelaytxfee`), in satoshi per kiloweight.
    pub relay_floor_sat_per_kw: u32,
    /// The least feerate that its mempool takes now (`mempoolminfee`), in satoshi per kiloweight. It counts where it is above the
    /// relay floor: while the mempool is full.
    pub mempool_min_sat_per_kw: u32,
    /// What a replacement pays for its own weight on top of what it replaces (`incrementalrelayfee`), in satoshi per
    /// kiloweight. It counts where it is above the policy's.
    pub incremental_sat_per_kw: u32,
}

impl Fees {
    /// The estimates of a node whose mempool is not full, and whose incremental relay feerate is no more than the policy's.
    pub fn new(by_target: Vec<(u16, u32)>, relay_floor_sat_per_kw: u32) -> Self {
        Self { by_target, relay_floor_sat_per_kw, mempool_min_sat_per_kw: 0, incremental_sat_per_kw: 0 }
    }

    /// The least feerate that the node takes now, in satoshi per kiloweight.
    pub fn least_sat_per_kw(&self) -> u32 {
        self.relay_floor_sat_per_kw.max(self.mempool_min_sat_per_kw)
    }
}
