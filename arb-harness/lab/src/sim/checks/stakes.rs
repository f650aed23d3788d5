//! What a channel has at stake (I8), from its true contents.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::bolt3::{ChannelType, OutputKind};
use arb_core::{Event, Frame, HtlcKey, Link, Side};
use bitcoin::{OutPoint, Transaction, Txid};

use super::costs;
use crate::fixture::{Commitment, FixtureError};
use crate::sim::violation::Violation;
use crate::sim::world::World;
use crate::sim::world::channel::SimChannel;

/// What a channel has at stake, from its true contents.
#[derive(Clone, Debug, Default)]
pub(crate) struct AtStake {
    /// The HTLC outputs of its unrevoked commitments: the amount in satoshi, and the height by which a claim should
    /// confirm; `None` if it has no deadline.
    pub(crate) htlcs: BTreeMap<OutPoint, (u64, Option<u32>)>,
    /// Outputs whose claim has a fee that the counterparty's signature fixes.
    pub(crate) signed: BTreeSet<OutPoint>,
    /// HTLC outputs of our own commitments: a claim has a second stage.
    pub(crate) first_stages: BTreeSet<OutPoint>,
    /// The weight of a second stage alone, with the narrowest output of a wallet.
    pub(crate) second_weight: u64,
    /// What each commitment has for us, in satoshi: our main output and all HTLCs with an output.
    pub(crate) commitments: BTreeMap<Txid, u64>,
    /// The most that a child of a commitment may cost (sat).
    pub(crate) child_sat: u64,
    /// The penalty outputs of revoked commitments, each of which was confirmed at some time.
    pub(crate) penalties: BTreeMap<OutPoint, PenaltyOutput>,
    /// The CSV delay of the cheating peer's outputs.
    pub(crate) delay_blocks: u32,
}

/// An output of a revoked commitment that a penalty claims.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PenaltyOutput {
    /// Its value in satoshi.
    pub(crate) amount_sat: u64,
    /// For an HTLC: the height from which on an HTLC transaction of the cheating peer can spend it.
    pub(crate) htlc: Option<u32>,
}

impl AtStake {
    /// Adds the penalty outputs of this transaction, if it is a revoked commitment of the channel.
    pub(crate) fn add_if_revoked(&mut self, channel: &SimChannel, tx: &Transaction) -> Result<(), FixtureError> {
        let funding = channel.fixture.setup().funding;
        if tx.input.iter().all(|input| input.previous_output != funding) {
            return Ok(());
        }
        let Some(commitment) = channel.fixture.recognise(tx)? else { return Ok(()) };
        if commitment.owner != Side::Remote || commitment.number >= channel.remote {
            return Ok(());
        }
        for (outpoint, position) in penalty_outputs(&commitment) {
            let output = usize::try_from(outpoint.vout).ok().and_then(|vout| commitment.built.tx.output.get(vout));
            let Some(output) = output else { continue };
            let htlc = position.and_then(|position| commitment.htlcs.get(position));
            let htlc = htlc.map(|htlc| if htlc.key.is_offered() { 0 } else { htlc.cltv_expiry.get() });
            self.penalties.insert(outpoint, PenaltyOutput { amount_sat: output.value.to_sat(), htlc });
        }
        Ok(())
    }
}

/// The outputs of a commitment that a penalty claims once it is revoked, each with its HTLC's position, if it has one.
pub(crate) fn penalty_outputs(commitment: &Commitment) -> Vec<(OutPoint, Option<usize>)> {
    let outputs = (0..).zip(&commitment.built.outputs);
    let outputs = outputs.filter_map(|(vout, kind)| match kind {
        OutputKind::ToOwner => Some((commitment.outpoint(vout), None)),
        OutputKind::Htlc(position) => Some((commitment.outpoint(vout), Some(*position))),
        OutputKind::ToOther | OutputKind::OwnerAnchor | OutputKind::OtherAnchor => None,
    });
    outputs.collect()
}

/// What a commitment has for us in satoshi: our main output, and all HTLCs with an output.
fn for_us_sat(commitment: &Commitment) -> u64 {
    let outputs = commitment.built.outputs.iter().zip(&commitment.built.tx.output);
    let ours = outputs.filter(|(kind, _)| match (kind, commitment.owner) {
        (OutputKind::ToOwner, Side::Local)
        | (OutputKind::ToOther, Side::Remote)
        | (OutputKind::Htlc(_), Side::Local | Side::Remote) => true,
        (OutputKind::ToOwner, Side::Remote)
        | (OutputKind::ToOther, Side::Local)
        | (OutputKind::OwnerAnchor | OutputKind::OtherAnchor, Side::Local | Side::Remote) => false,
    });
    ours.map(|(_, output)| output.value.to_sat()).sum()
}

impl World {
    /// What a channel has at stake, with the revoked commitments that were in a block of the journal.
    pub(crate) fn at_stake(&self, channel: usize, frames: &[Frame]) -> Result<AtStake, Violation> {
        let at = &self.channels[channel];
        let policy = &self.plan.policy;
        let children =
            at.htlcs().map(|htlc| htlc.amount_sat() / u64::from(policy.budget_divisor * policy.child_divisor));
        let child_sat = children.sum::<u64>() + policy.idle_child_sat;
        let delay_blocks = u32::from(at.plan.delays.1);
        let second_weight = costs::second_weight(at.plan.channel_type);
        let mut at_stake = AtStake { child_sat, delay_blocks, second_weight, ..AtStake::default() };
        for entry in frames.iter().flat_map(|frame| &frame.entries) {
            let mut txs: Vec<&Transaction> = Vec::new();
            if let Event::BlockConnected(block) = &entry.heard {
                txs.extend(&block.txs);
            } else if let Event::Scanned(scanned) = &entry.heard {
                txs.extend(scanned.spends.iter().map(|found| &found.tx));
            }
            for tx in txs {
                at_stake.add_if_revoked(at, tx).map_err(Violation::world)?;
            }
        }
        let expiry_of = |key: &HtlcKey| {
            let at = self.channels.iter().find(|at| at.fixture.id() == key.channel)?;
            at.htlcs().find(|htlc| htlc.key == key.htlc).map(|htlc| htlc.cltv_expiry.get())
        };
        for side in [Side::Local, Side::Remote] {
            for number in at.fixture.states(side).keys() {
                let commitment = at.fixture.commitment(side, *number).map_err(Violation::world)?;
                at_stake.commitments.insert(commitment.built.txid, for_us_sat(&commitment));
            }
        }
        for (side, number) in at.unrevoked() {
            let commitment = at.fixture.commitment(side, number).map_err(Violation::world)?;
            for (position, htlc) in commitment.htlcs.iter().enumerate() {
                let Ok((outpoint, _, _)) = commitment.htlc_output(position) else { continue };
                let upstream = match htlc.link {
                    Link::Forward(received) => expiry_of(&received),
                    Link::Relay { deadline } => Some(deadline.get()),
                    Link::Own | Link::Received => None,
                };
                let deadline = if htlc.key.is_offered() {
                    upstream.map(|expiry| expiry.saturating_sub(policy.upstream_margin.get()))
                } else {
                    Some(htlc.cltv_expiry.get())
                };
                at_stake.htlcs.insert(outpoint, (htlc.amount_sat(), deadline));
                if side == Side::Local {
                    at_stake.first_stages.insert(outpoint);
                }
                if side == Side::Local && at.plan.channel_type == ChannelType::StaticRemotekey {
                    at_stake.signed.insert(outpoint);
                }
            }
        }
        Ok(at_stake)
    }
}
