//! Which transaction spends the funding: classified, never assumed (R6).
//!
//! What *we signed* decides: the obscured number (BOLT 3) names a commitment, which is rebuilt and compared by txid. Revoked
//! comes before mutual (B1). Scripts that an attacker chooses never decide, nor does a number alone (B59): a commitment that we
//! cannot rebuild is revoked only if it is not an old one of ours (A32).
//!
//! Tests: `arb-harness/lab/tests/court_suite/incidents_outcomes.rs`, `arb-harness/lab/tests/court_suite/breach_state.rs`.

use crate::api::facts::{ChannelFacts, Funding, Side};
use crate::api::past::RevokedCommitment;
use crate::api::stage::CloseKind;
use crate::bolt3::{CommitmentKeys, ObscureFactor, Point, delayed_script, point_of_secret};
use crate::channel::chain::Tier;
use crate::channel::close::{Close, Penalty};
use crate::channel::commitments::{Commitment, Rebuilt};
use crate::channel::state::{ChannelArbitrator, Memo};
use crate::channel::whose::{Whose, own, whose};
use alloc::sync::Arc;
use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::{Transaction, Txid};

/// The confirmed spend of a funding output, classified; `None` while none is confirmed.
pub(crate) fn classify(channel: &ChannelArbitrator, secp: &Secp256k1<All>) -> Option<Close> {
    let spends = channel.chain.kept.iter().filter(|(_, kept)| kept.tier == Tier::Funding);
    // Two fundings that replace each other (a splice) can both be spent: the earliest spend is the close.
    let (txid, kept) = spends.min_by_key(|(txid, kept)| (kept.height, **txid))?;
    let (funding_index, funding) =
        channel.facts.fundings.iter().enumerate().find(|(_, funding)| kept.spends(&funding.outpoint))?;
    let number = kept.number;
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
        asks_point: false,
        own: None,
        remote: None,
        past: None,
    };
    if let Some(number) = number {
        if let Some((kind, owner, remote, rebuilt)) = find_in_set(channel, secp, number, funding, *txid) {
            close.kind = kind;
            close.owner = owner;
            close.remote = remote;
            close.rebuilt = Some(rebuilt);
            return Some(close);
        }
        if let Some(close) = not_in_set(channel, secp, &close, number, funding) {
            return Some(close);
        }
    }
    if channel.ratchet.closings.contains_key(txid) {
        close.kind = CloseKind::Mutual;
    }
    Some(close)
}

/// The close by a commitment that is none of the set; `None` if it is not known what it is and nobody need be asked.
///
/// Number and secret tell that the counterparty's commitment of this number is revoked; which HTLCs it has, a candidate tells
/// only by its txid (B46). Until one does, or until nobody knows any, the candidates are asked for. But ours has the same
/// numbers: what may be an old one of ours is no breach before an output proves it (A32).
fn not_in_set(
    channel: &ChannelArbitrator,
    secp: &Secp256k1<All>,
    close: &Close,
    number: u64,
    funding: &Funding,
) -> Option<Close> {
    let mut close = close.clone();
    let penalty = channel.penalty(secp, number);
    let stored = channel.revoked.get(&number).filter(|_| penalty.is_some());
    let found = stored.and_then(|candidates| channel.rebuild_past(secp, number, candidates, funding, close.txid));
    let loading = penalty.is_some() && found.is_none() && stored.is_none_or(|candidates| !candidates.is_empty());
    let outputs = channel.chain.kept.get(&close.txid).map(|kept| &kept.outputs).into_iter().flatten();
    let scripts = outputs.map(|(_, output)| output.script_pubkey.as_script());
    let whose = match &found {
        Some(_) => Whose::Theirs,
        None => whose(channel, secp, number, penalty.as_ref(), scripts),
    };
    match (whose, penalty) {
        (Whose::Theirs, Some(penalty)) => {
            close.kind = CloseKind::Revoked;
            close.loading = loading;
            close.penalty = Some(penalty);
            (close.past, close.rebuilt) = found.unzip();
        }
        (Whose::Theirs, None) => return None,
        (Whose::Ours(own), _) => {
            close.kind = CloseKind::Superseded;
            close.owner = Side::Local;
            close.asks_point = !channel.points.contains_key(&number);
            close.own = own.map(|own| *own);
        }
        (Whose::Undecided, _) => {
            close.loading = loading;
            close.asks_point = !channel.points.contains_key(&number);
        }
    }
    Some(close)
}

/// The commitment number that a transaction shows (BOLT 3); `None` if it does not have the form of a commitment.
pub(crate) fn commitment_number(facts: &ChannelFacts, tx: &Transaction) -> Option<u64> {
    let opener = facts.side(facts.opener).basepoints.payment;
    let accepter = facts.side(facts.opener.other()).basepoints.payment;
    ObscureFactor::new(&opener, &accepter).number_of(tx)
}

impl ChannelArbitrator {
    /// Classifies the close again: due after each change of the set, of the closings, or of the funding's spends, and after
    /// decoding.
    pub(crate) fn reclassify(&mut self) {
        let spent = self.state.chain.kept.values().any(|kept| kept.tier == Tier::Funding);
        // Keys are derived only once something spends a funding, so an open channel costs next to nothing here.
        self.state.close = Memo(if spent { classify(self, &Secp256k1::new()).map(Arc::new) } else { None });
    }

    /// Whether a confirmed spend of a funding shows this number.
    pub(crate) fn shows(&self, number: u64) -> bool {
        let spends = self.chain.kept.values().filter(|kept| kept.tier == Tier::Funding);
        spends.into_iter().any(|kept| kept.number == Some(number))
    }

    /// The keys and scripts that punish the counterparty's commitment of this number; `None` while it is not revoked.
    fn penalty(&self, secp: &Secp256k1<All>, number: u64) -> Option<Penalty> {
        let secret = self.set.secrets.get(number).filter(|_| number < self.set.next_revoked)?;
        let point = point_of_secret(secp, &secret).ok()?;
        let (owner, other) = (&self.facts.remote, &self.facts.local);
        let keys = CommitmentKeys::derive(secp, &point, &owner.basepoints, &other.basepoints).ok()?;
        let script = delayed_script(&keys.revocation, owner.delay_blocks, &keys.owner_delayed);
        let script_pubkey = script.to_p2wsh();
        Some(Penalty { secret, keys, script, script_pubkey })
    }

    /// The candidate of a revoked number that is the transaction with this id, rebuilt; `None` if none is.
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

    /// Whether one of the candidates of a revoked number is a transaction that is on chain.
    pub(crate) fn gives_a_txid(&self, number: u64, candidates: &[RevokedCommitment]) -> bool {
        let secp = Secp256k1::new();
        let spends = self.chain.kept.iter().filter(|(_, kept)| kept.number == Some(number));
        spends.into_iter().any(|(txid, _)| {
            let mut fundings = self.facts.fundings.iter();
            fundings.any(|funding| self.rebuild_past(&secp, number, candidates, funding, *txid).is_some())
        })
    }

    /// Whether this is a commitment that the counterparty has revoked: it shows a revoked number, is none that can confirm, and
    /// its outputs prove that it is not an old one of ours, which has the same numbers (A32).
    pub(crate) fn is_revoked(&self, tx: &Transaction) -> bool {
        let Some(number) = commitment_number(&self.facts, tx) else { return false };
        let secp = Secp256k1::new();
        let Some(penalty) = self.penalty(&secp, number).filter(|_| self.owner_in_set(tx).is_none()) else {
            return false;
        };
        let scripts = tx.output.iter().map(|output| output.script_pubkey.as_script());
        match whose(self, &secp, number, Some(&penalty), scripts) {
            Whose::Theirs => true,
            Whose::Ours(_) | Whose::Undecided => false,
        }
    }

    /// Whether this point, as ours, gives an output of a confirmed commitment with this number.
    pub(crate) fn fits_own(&self, number: u64, point: &Point) -> bool {
        let Some(own) = own(&self.facts, &Secp256k1::new(), point) else { return false };
        let kept = self.chain.kept.values().filter(|kept| kept.number == Some(number));
        kept.into_iter().flat_map(|kept| kept.outputs.values()).any(|output| output.script_pubkey == own.script_pubkey)
    }

    /// Whether this is one of the counterparty's commitments that can confirm, rebuilt and compared by txid.
    pub(crate) fn is_remote_of_set(&self, tx: &Transaction) -> bool {
        self.owner_in_set(tx) == Some(Side::Remote)
    }

    /// Whose commitment this is, if it is one that can confirm.
    fn owner_in_set(&self, tx: &Transaction) -> Option<Side> {
        let number = commitment_number(&self.facts, tx)?;
        let spends = |funding: &&Funding| tx.input.iter().any(|input| input.previous_output == funding.outpoint);
        let funding = self.facts.fundings.iter().find(spends)?;
        let found = find_in_set(self, &Secp256k1::new(), number, funding, tx.compute_txid());
        found.map(|(_, owner, ..)| owner)
    }
}

/// The commitment of the set that is the transaction with this id: its kind and owner, its index among the set's remote
/// commitments, and the commitment rebuilt.
fn find_in_set(
    channel: &ChannelArbitrator,
    secp: &Secp256k1<All>,
    number: u64,
    funding: &Funding,
    txid: Txid,
) -> Option<(CloseKind, Side, Option<usize>, Rebuilt)> {
    let rebuilt_if_same = |owner, commitment: &Commitment| {
        let rebuilt = channel.rebuild(secp, owner, commitment, funding, &[])?;
        (rebuilt.built.txid == txid).then_some(rebuilt)
    };
    if let Some(local) = channel.set.local.as_ref().filter(|local| local.commitment.number == number) {
        if let Some(rebuilt) = rebuilt_if_same(Side::Local, &local.commitment) {
            return Some((CloseKind::Local, Side::Local, None, rebuilt));
        }
    }
    let oldest = channel.set.remotes.first()?.number;
    let remotes = channel.set.remotes.iter().enumerate().filter(|(_, remote)| remote.number == number);
    for (index, remote) in remotes {
        if let Some(rebuilt) = rebuilt_if_same(Side::Remote, remote) {
            let kind = if number == oldest { CloseKind::Remote } else { CloseKind::RemotePending };
            return Some((kind, Side::Remote, Some(index), rebuilt));
        }
    }
    None
}
