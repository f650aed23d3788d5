//! Which transaction spends the funding: classified, never assumed (R6).
//!
//! What *we signed* decides: the obscured number names a commitment, that commitment is rebuilt and compared by txid;
//! revoked comes before mutual (B1); scripts that an attacker chooses never decide, nor does a number alone (B59).

use crate::bolt3::ObscureFactor;
use crate::channel::{ChannelArbitrator, CloseKind, Commitment, Level, Rebuilt};
use crate::facts::{ChannelFacts, Funding, Side};
use crate::units::Height;
use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::{Transaction, Txid};

/// A confirmed spend of a funding output.
#[derive(Clone, Debug)]
pub(crate) struct Close {
    pub(crate) kind: CloseKind,
    pub(crate) height: Height,
    pub(crate) txid: Txid,
    /// Which of the channel's fundings it spends.
    pub(crate) funding: usize,
    /// The commitment number that the transaction shows.
    pub(crate) number: Option<u64>,
    /// Whose commitment it is; for the kinds that we did not build, the counterparty's.
    pub(crate) owner: Side,
    /// The commitment as we rebuilt it, for the kinds that are in the set.
    pub(crate) rebuilt: Option<Rebuilt>,
    /// Which of the set's remote commitments it is.
    remote: Option<usize>,
}

impl Close {
    /// The commitment in the channel's set, for the kinds that are in it.
    pub(crate) fn commitment<'a>(&self, channel: &'a ChannelArbitrator) -> Option<&'a Commitment> {
        match self.kind {
            CloseKind::Local => channel.set.local.as_ref().map(|local| &local.commitment),
            CloseKind::Remote | CloseKind::RemotePending => channel.set.remotes.get(self.remote?),
            CloseKind::Revoked | CloseKind::Mutual | CloseKind::Unknown => None,
        }
    }

    /// The funding output that was spent.
    pub(crate) fn funding<'a>(&self, facts: &'a ChannelFacts) -> Option<&'a Funding> {
        facts.fundings.get(self.funding)
    }
}

/// The confirmed spend of a funding output, if there is one.
pub(crate) fn classify(channel: &ChannelArbitrator, secp: &Secp256k1<All>) -> Option<Close> {
    let spends = channel.chain.kept.iter().filter(|(_, kept)| kept.level == Level::Funding);
    // Fundings that replace each other (a splice) can both be spent: the earliest spend is the close.
    let (txid, kept) = spends.min_by_key(|(txid, kept)| (kept.height, **txid))?;
    let (funding_index, funding) = channel
        .facts
        .fundings
        .iter()
        .enumerate()
        .find(|(_, funding)| kept.tx.input.iter().any(|input| input.previous_output == funding.outpoint))?;
    let number = commitment_number(&channel.facts, &kept.tx);
    let mut close = Close {
        kind: CloseKind::Unknown,
        height: kept.height,
        txid: *txid,
        funding: funding_index,
        number,
        owner: Side::Remote,
        rebuilt: None,
        remote: None,
    };
    if let Some(number) = number {
        if let Some((kind, owner, remote, rebuilt)) = in_the_set(channel, secp, number, funding, *txid) {
            close.kind = kind;
            close.owner = owner;
            close.remote = remote;
            close.rebuilt = Some(rebuilt);
            return Some(close);
        }
        // Without stored state the number and the secret are what tells a revoked commitment.
        if number < channel.set.next_revoked && channel.set.secrets.get(number).is_some() {
            close.kind = CloseKind::Revoked;
            return Some(close);
        }
    }
    if channel.ratchet.closings.contains_key(txid) {
        close.kind = CloseKind::Mutual;
    }
    Some(close)
}

/// The number that a transaction shows, if it has a commitment's form at all.
pub(crate) fn commitment_number(facts: &ChannelFacts, tx: &Transaction) -> Option<u64> {
    let opener = facts.side(facts.opener).basepoints.payment;
    let accepter = facts.side(facts.opener.other()).basepoints.payment;
    ObscureFactor::new(&opener, &accepter).number_of(tx)
}

impl ChannelArbitrator {
    /// Whether this is one of the counterparty's commitments that can confirm, rebuilt and compared by txid.
    pub(crate) fn is_remote_of_set(&self, tx: &Transaction) -> bool {
        let Some(number) = commitment_number(&self.facts, tx) else { return false };
        let spends = |funding: &&Funding| tx.input.iter().any(|input| input.previous_output == funding.outpoint);
        let Some(funding) = self.facts.fundings.iter().find(spends) else { return false };
        let found = in_the_set(self, &Secp256k1::new(), number, funding, tx.compute_txid());
        found.is_some_and(|(_, owner, ..)| owner == Side::Remote)
    }
}

fn in_the_set(
    channel: &ChannelArbitrator,
    secp: &Secp256k1<All>,
    number: u64,
    funding: &Funding,
    txid: Txid,
) -> Option<(CloseKind, Side, Option<usize>, Rebuilt)> {
    let same = |owner, commitment: &Commitment| {
        let rebuilt = channel.rebuild(secp, owner, commitment, funding, &[])?;
        (rebuilt.built.txid == txid).then_some(rebuilt)
    };
    if let Some(local) = channel.set.local.as_ref().filter(|local| local.commitment.number == number) {
        if let Some(rebuilt) = same(Side::Local, &local.commitment) {
            return Some((CloseKind::Local, Side::Local, None, rebuilt));
        }
    }
    let oldest = channel.set.remotes.first()?.number;
    let remotes = channel.set.remotes.iter().enumerate().filter(|(_, remote)| remote.number == number);
    for (index, remote) in remotes {
        if let Some(rebuilt) = same(Side::Remote, remote) {
            let kind = if number == oldest { CloseKind::Remote } else { CloseKind::RemotePending };
            return Some((kind, Side::Remote, Some(index), rebuilt));
        }
    }
    None
}
