//! What an embedder says once about a channel and about each HTLC; it never changes afterwards.

use crate::api::ids::{ChannelId, HtlcKey, HtlcRef};
use crate::api::units::Height;
use crate::bolt3::{Basepoints, ChannelType, PaymentHash, Point, SecretStore};
use alloc::vec::Vec;
use bitcoin::{OutPoint, ScriptBuf};
use serde::{Deserialize, Serialize};

/// One of the two sides of a channel, seen from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Side {
    /// Us.
    Local,
    /// The channel counterparty.
    Remote,
}

/// What one side brought to the channel (BOLT 2 `open_channel` and `accept_channel`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideFacts {
    /// The points that this side's keys are derived from (BOLT 3).
    pub basepoints: Basepoints,
    /// CSV delay, in blocks, of this side's own outputs on this side's own commitments: the `to_self_delay` that the
    /// *other* side asked for.
    pub delay_blocks: u16,
    /// The `dust_limit_satoshis` of this side's own commitments.
    pub dust_limit_sat: u64,
}

/// One funding output. Splices and dual funding add to the list; a close may spend any of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Funding {
    /// The 2-of-2 output.
    pub outpoint: OutPoint,
    /// Its value, in satoshi.
    pub value_sat: u64,
    /// Our funding key.
    pub local_key: Point,
    /// The counterparty's funding key.
    pub remote_key: Point,
    /// The height at which it confirmed, if it had when the channel was opened in the court.
    pub confirmed: Option<Height>,
}

/// Everything about a channel that never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelFacts {
    /// The identity that the node knows the channel by.
    pub id: ChannelId,
    /// Which scripts and transactions it uses.
    pub channel_type: ChannelType,
    /// Its funding outputs; signatures for them come in this order.
    pub fundings: Vec<Funding>,
    /// Our side.
    pub local: SideFacts,
    /// The counterparty's side.
    pub remote: SideFacts,
    /// Who opened the channel: that side pays the commitment's fee, and its payment basepoint comes first in the hash
    /// that obscures the commitment number (BOLT 3).
    pub opener: Side,
    /// The scriptPubKey that sweeps pay to if the wallet offers no fresh one.
    pub fallback_script: ScriptBuf,
    /// The first height of the chain that can hold a spend of the fundings.
    pub watch_from: Height,
}

impl ChannelFacts {
    /// The facts of one side.
    pub fn side(&self, side: Side) -> &SideFacts {
        match side {
            Side::Local => &self.local,
            Side::Remote => &self.remote,
        }
    }
}

impl Side {
    /// The counterparty of this side.
    pub const fn other(self) -> Self {
        match self {
            Self::Local => Self::Remote,
            Self::Remote => Self::Local,
        }
    }
}

/// How far a channel has come when the court first hears of it, so that a running one is adopted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The number of the next local commitment to be reported; 0 for a new channel.
    pub next_local: u64,
    /// The number of the next remote commitment to be reported; 0 for a new channel.
    pub next_remote: u64,
    /// The counterparty's secrets of all remote commitments below `next_remote`, and no others.
    pub secrets: SecretStore,
}

/// Where an HTLC that we sent comes from, or that it was sent to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Link {
    /// Offered: our own payment, without an upstream.
    Own,
    /// Offered: forwarded for this HTLC, which is in a channel of this court.
    Forward(HtlcKey),
    /// Offered: forwarded for something outside this court.
    Relay {
        /// The height at which that can no longer be settled.
        deadline: Height,
    },
    /// Received: the counterparty sent it.
    Received,
}

/// The most bytes of an HTLC's opaque tag.
pub const TAG_MAX: usize = 64;

/// One HTLC, as it was added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub struct Htlc {
    /// Direction and id; the channel is known where it is used.
    pub key: HtlcRef,
    /// Amount in millisatoshi.
    pub amount_msat: u64,
    pub payment_hash: PaymentHash,
    /// The absolute timelock (BOLT 2 `cltv_expiry`).
    pub cltv_expiry: Height,
    /// Where it comes from.
    pub link: Link,
    /// Opaque to the court, returned in every action about this HTLC; at most [`TAG_MAX`] bytes.
    pub tag: Vec<u8>,
}

impl Htlc {
    /// The amount in whole satoshi, rounded down (BOLT 3).
    pub const fn amount_sat(&self) -> u64 {
        self.amount_msat / 1000
    }
}
