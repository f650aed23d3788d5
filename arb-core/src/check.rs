//! Signature checks (R14): our rebuilt commitment must carry the counterparty's signatures before the event is heard, and
//! the signer's answer must fit its transaction.
//!
//! Pure in (channel, event): [`ChainArbitrator::check`] may run on many threads; its result holds only for the commitment
//! that it was made for.
//!
//! Tests: arb-harness/lab/tests/court_suite/bad_commitments.rs, arb-harness/lab/tests/court_suite/bad_answers.rs

use crate::admit::admission::Admission;
use crate::admit::admit;
use crate::api::event::{CommitmentSignatures, Event, LocalCommitmentSigned, RemoteCommitmentSigned, Signed};
use crate::api::facts::{ChannelFacts, Funding, Side};
use crate::api::reject::Rejected;
use crate::bolt3::{
    CommitmentHtlc, CompactSig, counterparty_sighash_type, htlc_script, second_level_tx, sighash_p2wsh, verify_sig,
};
use crate::channel::{ChannelArbitrator, Commitment, Rebuilt};
use crate::claims::sign::{Refusal, commitment_signature, complete_sweep, verify_commitment, verify_sweep};
use crate::claims::wants::wants;
use crate::court::ChainArbitrator;
use crate::court::apply::Proof;
use crate::court::draft::{CourtView, Draft};
use alloc::vec::Vec;
use bitcoin::secp256k1::{All, Secp256k1};

/// Proof that signatures were checked, for exactly this commitment of this channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    facts: ChannelFacts,
    commitment: Commitment,
    /// What its HTLCs are: an id may have another content by now, after the channel was adopted anew or opened again (A49).
    htlcs: Vec<CommitmentHtlc>,
    signatures: Vec<CommitmentSignatures>,
}

impl Checked {
    fn new(channel: &ChannelArbitrator, heard: &LocalCommitmentSigned) -> Self {
        let (facts, commitment) = (channel.facts.clone(), local_commitment(channel, heard));
        let htlcs = channel.bolt3_htlcs(Side::Local, &commitment, &heard.update.added);
        Self { facts, commitment, htlcs, signatures: heard.signatures.clone() }
    }

    /// Whether it was made for this event: facts, commitment with its HTLCs, and signatures.
    fn is_for(&self, channel: &ChannelArbitrator, heard: &LocalCommitmentSigned) -> bool {
        *self == Self::new(channel, heard)
    }
}

/// Our commitment, as the event describes it.
fn local_commitment(channel: &ChannelArbitrator, heard: &LocalCommitmentSigned) -> Commitment {
    Commitment::updated(channel.set.base(Side::Local, heard.update.number).as_deref(), &heard.update)
}

impl ChainArbitrator {
    /// Checks an event's signatures ahead of [`Step::hear_checked`](crate::Step::hear_checked); `None` if it has none
    /// that can be checked ahead.
    ///
    /// # Errors
    /// The refusal that `hear` would answer.
    pub fn check(&self, event: &Event) -> Result<Option<Checked>, Rejected> {
        let (Event::LocalCommitmentSigned(heard) | Event::LocalCommitmentSignedAgain(heard)) = event else {
            return Ok(None);
        };
        let draft = Draft::new(self, false);
        let court = CourtView::new(self, &draft);
        if admit(court, event)? != Admission::New {
            return Ok(None);
        }
        let Some(channel) = court.channel_of(&heard.update.channel) else { return Ok(None) };
        verify_local(&Secp256k1::new(), channel, heard)?;
        Ok(Some(Checked::new(channel, heard)))
    }
}

/// Verifies what an admitted event must prove.
pub(crate) fn verify(court: CourtView<'_>, event: &Event, checked: Option<&Checked>) -> Result<Proof, Rejected> {
    match event {
        Event::LocalCommitmentSigned(heard) | Event::LocalCommitmentSignedAgain(heard) => {
            let Some(channel) = court.channel_of(&heard.update.channel) else { return Ok(Proof::Nothing) };
            if !checked.is_some_and(|checked| checked.is_for(channel, heard)) {
                verify_local(&Secp256k1::new(), channel, heard)?;
            }
            Ok(Proof::Nothing)
        }
        Event::RemoteCommitmentSigned(heard) => verify_remote(court, heard).map(|()| Proof::Nothing),
        Event::Signed(heard) => verify_signed(court, heard),
        Event::JournalOpened(_)
        | Event::PolicySet(_)
        | Event::Started(_)
        | Event::ChannelOpened(_)
        | Event::ChannelRestored(_)
        | Event::ChannelSignals { .. }
        | Event::RemoteRevoked(_)
        | Event::PreimageLearned { .. }
        | Event::HtlcGivenUp { .. }
        | Event::UpstreamAcknowledged { .. }
        | Event::PeerStateSeen { .. }
        | Event::CloseRequested { .. }
        | Event::ClosingSigned(_)
        | Event::ChannelForgotten { .. }
        | Event::BumpRequested { .. }
        | Event::ClaimAbandoned { .. }
        | Event::ChannelPolicySet { .. }
        | Event::AdoptionComplete { .. }
        | Event::ChannelAdoptedAnew { .. }
        | Event::BlockConnected(_)
        | Event::BlockDisconnected(_)
        | Event::Scanned(_)
        | Event::ScannedPart(_)
        | Event::MempoolSeen { .. }
        | Event::FeesEstimated(_)
        | Event::BroadcastAnswered { .. }
        | Event::SigningRefused { .. }
        | Event::ScriptsOffered { .. }
        | Event::FeeInputsOffered(_)
        | Event::FeeInputsRefused { .. }
        | Event::RevokedLoaded { .. }
        | Event::PointLoaded { .. }
        | Event::NeverFunded { .. }
        | Event::Performed { .. }
        | Event::Failed { .. } => Ok(Proof::Nothing),
    }
}

/// What we are about to sign for the counterparty must be a commitment transaction (BOLT 3).
fn verify_remote(court: CourtView<'_>, heard: &RemoteCommitmentSigned) -> Result<(), Rejected> {
    let Some(channel) = court.channel_of(&heard.update.channel) else { return Ok(()) };
    let base = channel.set.base(Side::Remote, heard.update.number);
    let commitment = Commitment::updated(base.as_deref(), &heard.update);
    let htlcs = channel.bolt3_htlcs(Side::Remote, &commitment, &heard.update.added);
    let mut fundings = channel.facts.fundings.iter();
    let buildable =
        fundings.all(|funding| channel.terms(Side::Remote, &commitment, funding, &htlcs).check_amounts().is_ok());
    if buildable { Ok(()) } else { Err(Rejected::CannotBuild) }
}

/// The commitment of each funding, as the event describes it.
fn rebuild<'a>(
    secp: &Secp256k1<All>,
    channel: &'a ChannelArbitrator,
    heard: &LocalCommitmentSigned,
) -> Result<Vec<(&'a Funding, Rebuilt)>, Rejected> {
    let commitment = local_commitment(channel, heard);
    let build = |funding: &'a Funding| {
        let rebuilt = channel.rebuild(secp, Side::Local, &commitment, funding, &heard.update.added);
        Ok((funding, rebuilt.ok_or(Rejected::CannotBuild)?))
    };
    channel.facts.fundings.iter().map(build).collect()
}

/// Verifies the counterparty's signatures on each funding's version of our commitment and on its HTLC transactions.
fn verify_local(
    secp: &Secp256k1<All>,
    channel: &ChannelArbitrator,
    heard: &LocalCommitmentSigned,
) -> Result<(), Rejected> {
    for ((funding, rebuilt), given) in rebuild(secp, channel, heard)?.iter().zip(&heard.signatures) {
        let txid = rebuilt.built.txid;
        let sighash = rebuilt.built.sighash(funding.value_sat);
        verify_sig(secp, &sighash, &given.commitment, &funding.remote_key)
            .map_err(|_| Rejected::WrongCommitmentSignature { txid })?;
        let order = rebuilt.built.htlcs_in_output_order();
        if order.len() != given.htlcs.len() {
            return Err(Rejected::SignatureCount { expected: order.len(), got: given.htlcs.len() });
        }
        for (position, signature) in order.iter().zip(&given.htlcs) {
            let vout = rebuilt.built.htlc_vouts.get(*position).copied().flatten().ok_or(Rejected::CannotBuild)?;
            verify_htlc(secp, channel, heard, rebuilt, *position, vout, signature)
                .ok_or(Rejected::WrongHtlcSignature { txid, vout })?;
        }
    }
    Ok(())
}

/// Verifies one HTLC signature: over the second-level transaction, by the counterparty's tweaked HTLC key.
fn verify_htlc(
    secp: &Secp256k1<All>,
    channel: &ChannelArbitrator,
    heard: &LocalCommitmentSigned,
    rebuilt: &Rebuilt,
    position: usize,
    vout: u32,
    signature: &CompactSig,
) -> Option<()> {
    let facts = &channel.facts;
    let htlc = rebuilt.htlcs.get(position)?;
    let keys = &rebuilt.built.keys;
    let feerate = heard.update.feerate_sat_per_kw;
    let delay = facts.local.delay_blocks;
    let tx = second_level_tx(facts.channel_type, rebuilt.built.txid, vout, htlc, feerate, keys, delay).ok()?;
    let script = htlc_script(facts.channel_type, htlc, keys);
    let sighash_type = counterparty_sighash_type(facts.channel_type);
    let sighash = sighash_p2wsh(&tx, 0, &script, htlc.amount_sat(), sighash_type).ok()?;
    verify_sig(secp, &sighash, signature, &keys.other_htlc).ok()
}

/// Verifies the signer's answer against the transaction that was to be signed.
fn verify_signed(court: CourtView<'_>, heard: &Signed) -> Result<Proof, Rejected> {
    let view = court.index_of(&heard.channel).and_then(|index| court.channel_view(index));
    let Some(view) = view else { return Ok(Proof::Nothing) };
    let channel = view.channel;
    let secp = Secp256k1::new();
    let proof = match channel.sweep_asked(&heard.request) {
        Some((group, _, sweep)) => {
            let wants = wants(&view);
            complete_sweep(channel, &wants, sweep, &heard.signatures).and_then(|tx| {
                verify_sweep(&secp, channel, &wants, sweep, &heard.signatures)?;
                Ok(Proof::Sweep { group, tx })
            })
        }
        None => match channel.commitment_asked(&secp, &heard.request) {
            Some((funding, rebuilt)) => commitment_signature(&heard.signatures).and_then(|signature| {
                verify_commitment(&secp, &funding, &rebuilt, &signature)?;
                Ok(Proof::Commitment { funding: funding.outpoint, signature })
            }),
            None => return Err(Rejected::UnknownRequest(heard.request)),
        },
    };
    proof.map_err(|refusal| match refusal {
        Refusal::Count { expected } => Rejected::SignatureCount { expected, got: heard.signatures.len() },
        Refusal::Wrong { input } => Rejected::WrongSignature { request: heard.request, input },
    })
}
