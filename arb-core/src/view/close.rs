//! Which transaction spends the funding: classified, never assumed (R6).
//!
//! What *we signed* decides: the obscured number names a commitment, that commitment is rebuilt and compared by txid;
//! revoked comes before mutual (B1); scripts that an attacker chooses never decide, nor does a number alone (B59).

use crate::bolt3::{CommitmentKeys, ObscureFactor, Secret, delayed_script, point_of_secret};
use crate::channel::{ChannelArbitrator, CloseKind, Commitment, Level, Rebuilt};
use crate::facts::{ChannelFacts, Funding, Side};
use crate::revoked::RevokedCommitment;
use crate::units::Height;
use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::{ScriptBuf, Transaction, Txid};

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
    /// The commitment as we rebuilt it: from the set, or a revoked one from what was loaded.
    pub(crate) rebuilt: Option<Rebuilt>,
    /// What a revoked one is punished with.
    pub(crate) penalty: Option<Penalty>,
    /// It is revoked, and what it was has not been loaded yet.
    pub(crate) loading: bool,
    /// Which of the set's remote commitments it is.
    remote: Option<usize>,
    /// The commitment that was loaded and is this one.
    past: Option<Commitment>,
}

/// The keys of a revoked commitment, and the script of everything on it that the cheat has to wait for.
#[derive(Clone, Debug)]
pub(crate) struct Penalty {
    pub(crate) secret: Secret,
    pub(crate) keys: CommitmentKeys,
    pub(crate) script: ScriptBuf,
    pub(crate) script_pubkey: ScriptBuf,
}

impl Close {
    /// The commitment, for the kinds that are in the channel's set, and for a revoked one that we could rebuild.
    pub(crate) fn commitment<'a>(&'a self, channel: &'a ChannelArbitrator) -> Option<&'a Commitment> {
        match self.kind {
            CloseKind::Local => channel.set.local.as_ref().map(|local| &local.commitment),
            CloseKind::Remote | CloseKind::RemotePending => channel.set.remotes.get(self.remote?),
            CloseKind::Revoked => self.past.as_ref(),
            CloseKind::Mutual | CloseKind::Unknown => None,
        }
    }

    /// Whether its HTLCs cannot be told from its outputs: any of them may be one, and its spend may show a preimage.
    pub(crate) const fn is_foreign(&self) -> bool {
        match self.kind {
            CloseKind::Unknown => true,
            CloseKind::Revoked => self.rebuilt.is_none(),
            CloseKind::Local | CloseKind::Remote | CloseKind::RemotePending | CloseKind::Mutual => false,
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
        penalty: None,
        loading: false,
        remote: None,
        past: None,
    };
    if let Some(number) = number {
        if let Some((kind, owner, remote, rebuilt)) = in_the_set(channel, secp, number, funding, *txid) {
            close.kind = kind;
            close.owner = owner;
            close.remote = remote;
            close.rebuilt = Some(rebuilt);
            return Some(close);
        }
        if let Some(penalty) = channel.penalty(secp, number) {
            return Some(revoked(channel, secp, close, number, funding, penalty));
        }
    }
    if channel.ratchet.closings.contains_key(txid) {
        close.kind = CloseKind::Mutual;
    }
    Some(close)
}

/// A commitment whose secret we hold. What was stored of it decides, by txid (B46); where nothing was stored, the number and
/// the secret are all that tells.
fn revoked(
    channel: &ChannelArbitrator,
    secp: &Secp256k1<All>,
    mut close: Close,
    number: u64,
    funding: &Funding,
    penalty: Penalty,
) -> Close {
    let stored = channel.revoked.get(&number);
    let found = stored.and_then(|candidates| channel.rebuild_past(secp, number, candidates, funding, close.txid));
    if found.is_none() && stored.is_some_and(|candidates| !candidates.is_empty()) {
        return close;
    }
    close.kind = CloseKind::Revoked;
    close.loading = stored.is_none();
    close.penalty = Some(penalty);
    (close.past, close.rebuilt) = found.unzip();
    close
}

/// The number that a transaction shows, if it has a commitment's form at all.
pub(crate) fn commitment_number(facts: &ChannelFacts, tx: &Transaction) -> Option<u64> {
    let opener = facts.side(facts.opener).basepoints.payment;
    let accepter = facts.side(facts.opener.other()).basepoints.payment;
    ObscureFactor::new(&opener, &accepter).number_of(tx)
}

impl ChannelArbitrator {
    /// Whether a confirmed spend of a funding shows this number.
    pub(crate) fn shows(&self, number: u64) -> bool {
        let spends = self.chain.kept.values().filter(|kept| kept.level == Level::Funding);
        spends.into_iter().any(|kept| commitment_number(&self.facts, &kept.tx) == Some(number))
    }

    /// What the counterparty's revoked commitment of this number is punished with; `None` while it is not revoked.
    fn penalty(&self, secp: &Secp256k1<All>, number: u64) -> Option<Penalty> {
        let secret = self.set.secrets.get(number).filter(|_| number < self.set.next_revoked)?;
        let point = point_of_secret(secp, &secret).ok()?;
        let (owner, other) = (&self.facts.remote, &self.facts.local);
        let keys = CommitmentKeys::derive(secp, &point, &owner.basepoints, &other.basepoints).ok()?;
        let script = delayed_script(&keys.revocation, owner.delay_blocks, &keys.owner_delayed);
        let script_pubkey = script.to_p2wsh();
        Some(Penalty { secret, keys, script, script_pubkey })
    }

    /// The one of these candidates of a revoked number that is the transaction with this id.
    pub(crate) fn rebuild_past(
        &self,
        secp: &Secp256k1<All>,
        number: u64,
        candidates: &[RevokedCommitment],
        funding: &Funding,
        txid: Txid,
    ) -> Option<(Commitment, Rebuilt)> {
        let point = point_of_secret(secp, &self.set.secrets.get(number)?).ok()?;
        candidates.iter().find_map(|past| {
            let commitment = Commitment {
                number,
                point,
                feerate_sat_per_kw: past.feerate_sat_per_kw,
                local_msat: past.local_msat,
                remote_msat: past.remote_msat,
                htlcs: past.htlcs.iter().map(|htlc| htlc.key).collect(),
            };
            let htlcs = past.htlcs.iter().map(|htlc| htlc.on_theirs()).collect();
            let rebuilt = self.build(secp, Side::Remote, &commitment, funding, htlcs)?;
            (rebuilt.built.txid == txid).then_some((commitment, rebuilt))
        })
    }

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
