//! What the four HTLC resolvers share: the claim of an HTLC output, its second level, and its end after any spend.
//!
//! ```text
//! spent by us on our commitment ──► second-level output: Waiting ──mature──► ClaimWanted ──spent──► Spent ──► Done
//! spent by us on theirs, or by the peer on either ──► Spent ──irrevocable──► Done(Claimed | TakenByPeer | Lost)
//! ```
//!
//! Tests: `arb-harness/lab/tests/court_suite/incidents_contracts.rs`, `arb-harness/lab/tests/court_suite/scenarios.rs`.

use crate::api::facts::Side;
use crate::api::ids::HtlcRef;
use crate::api::outcome::ContractOutcome;
use crate::api::units::Height;
use crate::bolt3::{ChannelType, CompactSig, OutputKind, SpendPath, delayed_script, htlc_script};
use crate::channel::SpendOf;
use crate::resolver::Next;
use crate::resolver::kit::{Claim, ClaimWay, ResolverKit};
use bitcoin::{OutPoint, Sequence, TxOut};

/// Who spent an HTLC output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taker {
    /// We, by a second-level transaction: its output at the input's index should be a delayed one of ours.
    UsSecondLevel,
    /// We, straight to our wallet.
    UsDirect,
    /// The counterparty, by a path that shows the preimage.
    PeerWithPreimage,
    /// The counterparty, by the timeout path.
    PeerTimeout,
    /// Anyone, by a path that an HTLC output of this commitment does not offer to an honest spender.
    Unknown,
}

/// Whose spend this is. The owner of the commitment spends its HTLC outputs through a second-level transaction, the other side
/// directly, and each path needs the key of its side (BOLT 3).
pub(crate) const fn taker(owner: Side, path: &SpendPath) -> Taker {
    match (owner, path) {
        (Side::Local, SpendPath::SecondLevelSuccess(_) | SpendPath::SecondLevelTimeout) => Taker::UsSecondLevel,
        (Side::Remote, SpendPath::Preimage(_) | SpendPath::Timeout) => Taker::UsDirect,
        (Side::Local, SpendPath::Preimage(_)) | (Side::Remote, SpendPath::SecondLevelSuccess(_)) => {
            Taker::PeerWithPreimage
        }
        (Side::Local, SpendPath::Timeout) | (Side::Remote, SpendPath::SecondLevelTimeout) => Taker::PeerTimeout,
        (
            Side::Local | Side::Remote,
            SpendPath::Revocation
            | SpendPath::Delayed
            | SpendPath::Funding
            | SpendPath::ToRemote
            | SpendPath::AnchorKey
            | SpendPath::AnchorAnyone
            | SpendPath::Unknown,
        ) => Taker::Unknown,
    }
}

impl ResolverKit<'_> {
    /// The stage or end of an HTLC output that was spent.
    pub(crate) fn follow_htlc(&self, htlc: HtlcRef, spend: &SpendOf) -> Next {
        match taker(self.owner(), &spend.path) {
            Taker::UsSecondLevel => self.follow_second_level(spend),
            Taker::UsDirect => self.follow(spend, ContractOutcome::Claimed),
            Taker::PeerWithPreimage | Taker::PeerTimeout | Taker::Unknown => {
                self.follow(spend, self.taken_by_peer(htlc, spend))
            }
        }
    }

    /// The outcome of an HTLC output that we did not spend. The counterparty may take what we offered with the preimage, and
    /// what it offered after the expiry, unless we could have claimed it before. Any other spend is a loss.
    pub(crate) fn taken_by_peer(&self, htlc: HtlcRef, spend: &SpendOf) -> ContractOutcome {
        let theirs = match taker(self.owner(), &spend.path) {
            Taker::PeerWithPreimage => htlc.is_offered(),
            Taker::PeerTimeout => !htlc.is_offered() && !self.could_have_claimed(htlc, spend.height),
            Taker::Unknown | Taker::UsDirect | Taker::UsSecondLevel => false,
        };
        if theirs { ContractOutcome::TakenByPeer } else { ContractOutcome::Lost }
    }

    /// Whether a received HTLC was irrevocable and had a usable preimage before the block in which it was taken.
    pub(crate) fn could_have_claimed(&self, htlc: HtlcRef, taken: Height) -> bool {
        let irrevocable = self.htlc(htlc).is_some_and(|state| state.irrevocable);
        irrevocable && self.channel.ratchet.usable.get(&htlc).is_some_and(|known| known.since < taken)
    }

    /// Our second-level transaction confirmed: its output is ours after the delay, if it exists (B19, L10).
    fn follow_second_level(&self, spend: &SpendOf) -> Next {
        let Some((outpoint, output)) = self.second_level_output(spend) else {
            return self.follow(spend, ContractOutcome::Lost);
        };
        match self.spend_of(&outpoint) {
            Some(last) if last.path == SpendPath::Delayed => self.follow(last, ContractOutcome::Claimed),
            Some(last) => self.follow(last, ContractOutcome::Lost),
            None => match self.second_level_claim(outpoint, output, spend.height) {
                Some(claim) => self.claim(claim),
                None => Next::Done(ContractOutcome::Lost),
            },
        }
    }

    /// The output of our second-level transaction at the input's index; `None` if it is missing or has another script.
    pub(crate) fn second_level_output(&self, spend: &SpendOf) -> Option<(OutPoint, &TxOut)> {
        let (outpoint, output) = self.child(spend.txid, spend.input)?;
        let keys = &self.close.rebuilt.as_ref()?.built.keys;
        let script = delayed_script(&keys.revocation, self.channel.facts.local.delay_blocks, &keys.owner_delayed);
        (output.script_pubkey == script.to_p2wsh()).then_some((outpoint, output))
    }

    fn second_level_claim(&self, outpoint: OutPoint, output: &TxOut, confirmed: Height) -> Option<Claim> {
        let keys = &self.close.rebuilt.as_ref()?.built.keys;
        let delay = self.channel.facts.local.delay_blocks;
        Some(Claim {
            outpoint,
            way: ClaimWay::SecondLevelOutput { point: keys.per_commitment_point },
            amount_sat: output.value.to_sat(),
            script_pubkey: output.script_pubkey.clone(),
            witness_script: Some(delayed_script(&keys.revocation, delay, &keys.owner_delayed)),
            sequence: Sequence::from_height(delay),
            lock_time: Height::new(0),
            since: Self::matures(confirmed, delay),
            deadline: None,
        })
    }

    /// The claim of an HTLC output: through our second-level transaction, or directly on their commitment. `None` if something
    /// that it needs is missing, such as the preimage.
    pub(crate) fn htlc_claim(&self, htlc: HtlcRef, outpoint: OutPoint, deadline: Height) -> Option<Claim> {
        let rebuilt = self.close.rebuilt.as_ref()?;
        let commitment = self.close.commitment(&self.channel.set)?;
        let position = commitment.position(htlc)?;
        let terms = rebuilt.htlcs.get(position)?;
        let output = self.output(&outpoint)?;
        let state = self.htlc(htlc)?;
        let point = rebuilt.built.keys.per_commitment_point;
        let peer_signature = || self.peer_signature(position);
        let preimage = || self.channel.usable(htlc);
        let way = match (self.owner(), htlc.is_offered()) {
            (Side::Local, true) => ClaimWay::HtlcTimeout { point, htlc, peer_signature: peer_signature()? },
            (Side::Local, false) => {
                ClaimWay::HtlcSuccess { point, htlc, peer_signature: peer_signature()?, preimage: preimage()? }
            }
            (Side::Remote, true) => ClaimWay::DirectTimeout { point, htlc },
            (Side::Remote, false) => ClaimWay::DirectPreimage { point, htlc, preimage: preimage()? },
        };
        let sequence = match (self.channel.facts.channel_type, self.owner()) {
            (ChannelType::AnchorsZeroFeeHtlcTx, Side::Local | Side::Remote) => Sequence::from_height(1),
            (ChannelType::StaticRemotekey, Side::Local) => Sequence::ZERO,
            // Replaceable, and not final: a final sequence would disable the locktime (BIP 65).
            (ChannelType::StaticRemotekey, Side::Remote) => Sequence::ENABLE_RBF_NO_LOCKTIME,
        };
        let expiry = state.htlc.cltv_expiry;
        let (lock_time, since) = if htlc.is_offered() { (expiry, expiry) } else { (Height::new(0), self.close.height) };
        Some(Claim {
            outpoint,
            way,
            amount_sat: output.value.to_sat(),
            script_pubkey: output.script_pubkey.clone(),
            witness_script: Some(htlc_script(self.channel.facts.channel_type, terms, &rebuilt.built.keys)),
            sequence,
            lock_time,
            since: since.max(self.close.height),
            deadline: Some(deadline),
        })
    }

    /// The counterparty's signature for the HTLC at this position of our commitment. The signatures are in the order of the
    /// HTLC outputs (B40).
    fn peer_signature(&self, position: usize) -> Option<CompactSig> {
        let rebuilt = self.close.rebuilt.as_ref()?;
        let local = self.channel.set.local.as_ref()?;
        let vout = usize::try_from(rebuilt.built.htlc_vouts.get(position).copied().flatten()?).ok()?;
        let before = rebuilt.built.outputs.get(..vout)?;
        let rank = before.iter().filter(|kind| matches!(kind, OutputKind::Htlc(_))).count();
        local.signatures.get(self.close.funding)?.htlcs.get(rank).copied()
    }
}
