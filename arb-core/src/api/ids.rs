//! Identities (R7): channels, HTLCs, contracts, actions and requests.
//!
//! Tests: arb-core/tests/bolt3_incidents.rs, arb-harness/lab/tests/court_suite/incidents_outcomes.rs

use bitcoin::OutPoint;
use bitcoin::hashes::{Hash, HashEngine, sha256};
use core::fmt;
use serde::{Deserialize, Serialize};

/// The identity that the node knows a channel by, opaque to the court; usually BOLT 2's `channel_id`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChannelId(pub [u8; 32]);

/// A channel's number inside the court and its log: dense, never reused (R5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChannelIndex(u32);

impl ChannelIndex {
    /// The index of this number.
    pub const fn new(index: u32) -> Self {
        Self(index)
    }

    /// The index as a number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Which way an HTLC goes, seen from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// We sent it (outgoing).
    Offered,
    /// The counterparty offered it to us (incoming).
    Received,
}

/// An HTLC inside its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub struct HtlcRef {
    pub direction: Direction,
    /// BOLT 2's `id`, counted by the side that offered it.
    pub id: u64,
}

impl HtlcRef {
    /// The HTLC with this id that we sent.
    pub const fn offered(id: u64) -> Self {
        Self { direction: Direction::Offered, id }
    }

    /// The HTLC with this id that the counterparty sent.
    pub const fn received(id: u64) -> Self {
        Self { direction: Direction::Received, id }
    }

    /// Whether we sent it.
    pub const fn is_offered(self) -> bool {
        matches!(self.direction, Direction::Offered)
    }
}

/// The only identity of an HTLC: channel, direction, HTLC id (R7). Never (hash, amount).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub struct HtlcKey {
    pub channel: ChannelId,
    /// Direction and id inside that channel.
    pub htlc: HtlcRef,
}

/// One output of a confirmed commitment, or one HTLC that has none there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ContractId {
    /// An output, by its outpoint.
    Output(OutPoint),
    /// An HTLC that the confirmed commitment has no output for.
    NoOutput(HtlcRef),
}

/// The stable identity of an action (R4): the same action has the same id after a restart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActionId(pub [u8; 16]);

impl ActionId {
    /// Hashes a tag, the channel, and the parts that tell the action from others of its tag.
    pub(crate) fn of(tag: &str, channel: &ChannelId, parts: &[&[u8]]) -> Self {
        let mut engine = sha256::Hash::engine();
        engine.input(tag.as_bytes());
        engine.input(&channel.0);
        for part in parts {
            // Lengths keep ("ab", "c") and ("a", "bc") apart.
            engine.input(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            engine.input(part);
        }
        let hash = sha256::Hash::from_engine(engine).to_byte_array();
        let (head, _) = hash.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
        Self(*head)
    }
}

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

macro_rules! hex_names {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex(f, &self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex(f, &self.0)
            }
        }
    )*};
}
hex_names!(ChannelId, ActionId);

impl fmt::Display for ChannelIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for HtlcRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::Offered => "offered",
            Direction::Received => "received",
        };
        write!(f, "{direction} {}", self.id)
    }
}

impl fmt::Display for HtlcKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.channel, self.htlc)
    }
}

/// An outpoint as it is hashed into an action's id.
pub(crate) fn outpoint_bytes(outpoint: &OutPoint) -> [u8; 36] {
    let mut bytes = [0; 36];
    let (txid, vout) = bytes.split_at_mut(32);
    txid.copy_from_slice(&outpoint.txid.to_byte_array());
    vout.copy_from_slice(&outpoint.vout.to_le_bytes());
    bytes
}

/// An HTLC as it is hashed into an action's id.
pub(crate) fn htlc_bytes(htlc: &HtlcRef) -> [u8; 9] {
    let mut bytes = [0; 9];
    let (direction, id) = bytes.split_at_mut(1);
    direction.copy_from_slice(&[u8::from(htlc.is_offered())]);
    id.copy_from_slice(&htlc.id.to_le_bytes());
    bytes
}

/// The id of the action that reports a contract's end.
pub(crate) fn report_id(channel: &ChannelId, id: &ContractId) -> ActionId {
    match id {
        ContractId::Output(outpoint) => ActionId::of("report", channel, &[&outpoint_bytes(outpoint)]),
        ContractId::NoOutput(htlc) => ActionId::of("report", channel, &[&htlc_bytes(htlc)]),
    }
}
