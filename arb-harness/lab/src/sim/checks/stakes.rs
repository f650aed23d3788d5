//! What is at stake in a channel, for I8: told from its true contents.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::bolt3::{ChannelType, OutputKind};
use arb_core::{Event, Frame, HtlcKey, Link, Side};
use bitcoin::{OutPoint, Transaction};

use crate::fixture::{Commitment, FixtureError};
use crate::sim::violation::Violation;
use crate::sim::world::World;
use crate::sim::world::channel::SimChannel;

/// What is at stake in a channel, told from its true contents.
#[derive(Clone, Debug, Default)]
pub(crate) struct AtStake {
    /// The HTLC outputs of its commitments: the amount, and the height by which a claim should be confirmed, where that does
    /// not depend on when the commitment confirmed.
    pub(crate) htlcs: BTreeMap<OutPoint, (u64, Option<u32>)>,
    /// Outputs whose claim has the fee that the counterparty signed.
    pub(crate) signed: BTreeSet<OutPoint>,
    /// The most that a commitment's child may cost.
    pub(crate) child_sat: u64,
    /// The outputs of revoked commitments that confirmed at some time.
    pub(crate) penalties: BTreeMap<OutPoint, PenaltyOutput>,
    /// The delay of everything that is the cheat's.
    pub(crate) delay_blocks: u32,
}

/// An output of a revoked commitment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PenaltyOutput {
    /// What it is worth.
    pub(crate) amount_sat: u64,
    /// From which height on the cheat's HTLC transaction can spend it, if that is what it is.
    pub(crate) htlc: Option<u32>,
}

impl AtStake {
    /// If this is a revoked commitment of a channel, its outputs are at stake.
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

/// The outputs of a commitment that are punished once it is revoked: each with its HTLC's position, if it is one.
pub(crate) fn penalty_outputs(commitment: &Commitment) -> Vec<(OutPoint, Option<usize>)> {
    let outputs = (0..).zip(&commitment.built.outputs);
    let punished = outputs.filter_map(|(vout, kind)| match kind {
        OutputKind::ToOwner => Some((commitment.outpoint(vout), None)),
        OutputKind::Htlc(position) => Some((commitment.outpoint(vout), Some(*position))),
        OutputKind::ToOther | OutputKind::OwnerAnchor | OutputKind::OtherAnchor => None,
    });
    punished.collect()
}

impl World {
    /// What is at stake in a channel, for I8.
    pub(crate) fn at_stake(&self, channel: usize, frames: &[Frame]) -> Result<AtStake, Violation> {
        let at = &self.channels[channel];
        let policy = &self.plan.policy;
        let children =
            at.htlcs().map(|htlc| htlc.amount_sat() / u64::from(policy.budget_divisor * policy.child_divisor));
        let child_sat = children.sum::<u64>().max(policy.idle_child_sat);
        let delay_blocks = u32::from(at.plan.delays.1);
        let mut at_stake = AtStake { child_sat, delay_blocks, ..AtStake::default() };
        for entry in frames.iter().flat_map(|frame| &frame.entries) {
            let Event::BlockConnected(block) = &entry.heard else { continue };
            for tx in &block.txs {
                at_stake.add_if_revoked(at, tx).map_err(Violation::world)?;
            }
        }
        let expiry_of = |key: &HtlcKey| {
            let at = self.channels.iter().find(|at| at.fixture.id() == key.channel)?;
            at.htlcs().find(|htlc| htlc.key == key.htlc).map(|htlc| htlc.cltv_expiry.get())
        };
        for (side, number) in at.unrevoked() {
            let commitment = at.fixture.commitment(side, number).map_err(Violation::world)?;
            for (position, htlc) in commitment.htlcs.iter().enumerate() {
                let Ok((outpoint, _, _)) = commitment.htlc_output(position) else { continue };
                let upstream = match htlc.link {
                    Link::Forward(origin) => expiry_of(&origin),
                    Link::Relay { deadline } => Some(deadline.get()),
                    Link::Own | Link::Received => None,
                };
                let deadline = if htlc.key.is_offered() {
                    upstream.map(|expiry| expiry.saturating_sub(policy.upstream_margin.get()))
                } else {
                    Some(htlc.cltv_expiry.get())
                };
                at_stake.htlcs.insert(outpoint, (htlc.amount_sat(), deadline));
                if side == Side::Local && at.plan.channel_type == ChannelType::StaticRemotekey {
                    at_stake.signed.insert(outpoint);
                }
            }
        }
        Ok(at_stake)
    }
}
