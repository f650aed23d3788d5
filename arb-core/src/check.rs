//! Signature checks (R14): the rebuilt commitment must carry the counterparty's signatures before an event is heard.
//!
//! Pure in (channel, event): [`ChainArbitrator::check`] may run on many threads; its result holds only for the
//! commitment that it was made for.

use crate::api::event::{CommitmentSignatures, Event, LocalCommitmentSigned, Signed};
use crate::api::facts::{Funding, Side};
use crate::api::reject::Rejected;
use crate::bolt3::{counterparty_sighash_type, htlc_script, second_level_tx, sighash_p2wsh, verify_sig};
use crate::channel::{ChannelArbitrator, Commitment, Rebuilt};
use crate::claims::sign::{Refusal, complete_commitment, complete_sweep};
use crate::claims::wants::wants;
use crate::court::ChainArbitrator;
use crate::court::draft::{Draft, View};
use crate::view::ChannelView;
use alloc::vec::Vec;
use bitcoin::Txid;
use bitcoin::secp256k1::{All, Secp256k1};

/// Proof that signatures were checked, for exactly these commitments and signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    txids: Vec<Txid>,
    signatures: Vec<CommitmentSignatures>,
}

impl ChainArbitrator {
    /// Checks an event's signatures ahead of [`Step::hear_checked`](crate::Step::hear_checked). `None`: the event has
    /// none that can be checked ahead.
    ///
    /// # Errors
    /// The refusal that `hear` would answer.
    pub fn check(&self, event: &Event) -> Result<Option<Checked>, Rejected> {
        let Event::LocalCommitmentSigned(heard) = event else { return Ok(None) };
        let draft = Draft::new(self, false);
        let view = View::new(self, &draft);
        if crate::admit::admit(view, event)? == crate::admit::admission::Admission::Duplicate {
            return Ok(None);
        }
        let Some(channel) = channel(view, heard) else { return Ok(None) };
        let secp = Secp256k1::new();
        let rebuilt = rebuild(&secp, channel, heard)?;
        signatures(&secp, channel, heard, &rebuilt)?;
        Ok(Some(Checked {
            txids: rebuilt.iter().map(|(_, rebuilt)| rebuilt.built.txid).collect(),
            signatures: heard.signatures.clone(),
        }))
    }
}

/// Verifies whatever an admitted event has to prove.
pub(crate) fn verify(view: View<'_>, event: &Event, checked: Option<&Checked>) -> Result<(), Rejected> {
    if let Event::LocalCommitmentSigned(heard) = event {
        let Some(channel) = channel(view, heard) else { return Ok(()) };
        let secp = Secp256k1::new();
        let rebuilt = rebuild(&secp, channel, heard)?;
        let txids = rebuilt.iter().map(|(_, rebuilt)| &rebuilt.built.txid);
        let known =
            checked.is_some_and(|checked| checked.signatures == heard.signatures && checked.txids.iter().eq(txids));
        return if known { Ok(()) } else { signatures(&secp, channel, heard, &rebuilt) };
    }
    if let Event::RemoteCommitmentSigned(heard) = event {
        // What we are about to sign must at least exist.
        let index = view.index_of(&heard.update.channel);
        let Some(channel) = index.and_then(|index| view.channel(index)) else { return Ok(()) };
        let commitment = Commitment::updated(channel.set.base(Side::Remote, heard.update.number), &heard.update);
        let htlcs = channel.bolt3_htlcs(Side::Remote, &commitment, &heard.update.added);
        let mut fundings = channel.facts.fundings.iter();
        let buildable =
            fundings.all(|funding| channel.terms(Side::Remote, &commitment, funding, &htlcs).check_amounts().is_ok());
        return if buildable { Ok(()) } else { Err(Rejected::CannotBuild) };
    }
    if let Event::Signed(heard) = event {
        return signed(view, heard);
    }
    Ok(())
}

fn channel<'a>(view: View<'a>, heard: &LocalCommitmentSigned) -> Option<&'a ChannelArbitrator> {
    view.index_of(&heard.update.channel).and_then(|index| view.channel(index))
}

/// The commitment of each funding, as the event describes it.
fn rebuild<'a>(
    secp: &Secp256k1<All>,
    channel: &'a ChannelArbitrator,
    heard: &LocalCommitmentSigned,
) -> Result<Vec<(&'a Funding, Rebuilt)>, Rejected> {
    let commitment = Commitment::updated(channel.set.base(Side::Local, heard.update.number), &heard.update);
    let build = |funding: &'a Funding| {
        let rebuilt = channel.rebuild(secp, Side::Local, &commitment, funding, &heard.update.added);
        Ok((funding, rebuilt.ok_or(Rejected::CannotBuild)?))
    };
    channel.facts.fundings.iter().map(build).collect()
}

fn signatures(
    secp: &Secp256k1<All>,
    channel: &ChannelArbitrator,
    heard: &LocalCommitmentSigned,
    rebuilt: &[(&Funding, Rebuilt)],
) -> Result<(), Rejected> {
    for ((funding, rebuilt), given) in rebuilt.iter().zip(&heard.signatures) {
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
            htlc_signature(secp, channel, heard, rebuilt, *position, vout, signature)
                .ok_or(Rejected::WrongHtlcSignature { txid, vout })?;
        }
    }
    Ok(())
}

/// Checks one HTLC signature: over the second-level transaction, with the counterparty's tweaked HTLC key.
fn htlc_signature(
    secp: &Secp256k1<All>,
    channel: &ChannelArbitrator,
    heard: &LocalCommitmentSigned,
    rebuilt: &Rebuilt,
    position: usize,
    vout: u32,
    signature: &crate::bolt3::CompactSig,
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

/// The signer's answer fits the transaction that was to be signed.
fn signed(view: View<'_>, heard: &Signed) -> Result<(), Rejected> {
    let Some(channel) = view.index_of(&heard.channel).and_then(|index| view.channel(index)) else { return Ok(()) };
    let secp = Secp256k1::new();
    let court = view.court();
    let answer = match channel.sweep_asked(&heard.request) {
        Some((_, _, sweep)) => {
            let wants = wants(&ChannelView::new(channel, court.tip.height, &court.policy));
            complete_sweep(&secp, channel, &wants, sweep, &heard.signatures).map(|_| ())
        }
        None => match channel.commitment_asked(&secp, &heard.request) {
            Some((funding, rebuilt)) => complete_commitment(&secp, &funding, &rebuilt, &heard.signatures).map(|_| ()),
            None => return Err(Rejected::UnknownRequest(heard.request)),
        },
    };
    answer.map_err(|refusal| match refusal {
        Refusal::Count { expected } => Rejected::SignatureCount { expected, got: heard.signatures.len() },
        Refusal::Wrong { input } => Rejected::WrongSignature { request: heard.request, input },
    })
}
