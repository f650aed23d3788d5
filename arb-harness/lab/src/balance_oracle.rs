//! The balance oracle of invariant I11: where every satoshi of a closed channel went. It reads the chain's coins and spends
//! and the true contents of the confirmed commitment, and does not ask the court.
//!
//! It knows more than the court: which commitment an "unknown" close is, and whose each script is.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::bolt3::OutputKind;
use arb_core::{HtlcRef, Sheet, Side};
use bitcoin::{OutPoint, ScriptBuf, Transaction, Txid};

use crate::chain::Chain;
use crate::fixture::{ChannelFixture, Commitment, FixtureError};

/// What the oracle needs to know of our side.
pub struct Known<'a> {
    /// The channel with the keys and commitments of both sides.
    pub fixture: &'a ChannelFixture,
    /// Every script of our wallet, the fallback script included.
    pub ours: &'a BTreeSet<ScriptBuf>,
    /// The tip height from which on we could claim a received HTLC with its preimage.
    pub usable_since: &'a BTreeMap<HtlcRef, u32>,
    /// What the court knows of the confirmed commitment.
    pub commitment: Knowledge,
}

/// What the court knows of a commitment, and so what it can claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knowledge {
    /// The commitment is not revoked and known: every output of ours can be claimed.
    Live,
    /// The commitment is unknown: only our main output can be claimed.
    Nothing,
    /// The commitment is a revoked one of the counterparty: everything but the counterparty's anchor can be claimed.
    Revoked,
    /// The commitment is revoked and its HTLCs are unknown: only the outputs of the counterparty's HTLC transactions can be
    /// claimed.
    RevokedUntold,
}

/// An output that only we had a right to, and that we did not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// Its value in satoshi.
    pub value_sat: u64,
    /// The height at which its transaction confirmed.
    pub since: u32,
}

/// An output of ours that nobody has spent. All of them together are the sheet's `uneconomic_sat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unspent {
    /// The output: of the commitment, or of an HTLC transaction.
    pub outpoint: OutPoint,
    /// Its value in satoshi.
    pub value_sat: u64,
    /// What it is.
    pub what: UnspentKind,
}

/// What an unspent output of ours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnspentKind {
    /// Our anchor.
    Anchor,
    /// An output that only we have a right to.
    Own,
    /// An HTLC output that we could claim.
    Htlc(HtlcRef),
}

/// An HTLC output that we could claim and that the counterparty took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The output of the commitment.
    pub outpoint: OutPoint,
    /// Its HTLC.
    pub htlc: HtlcRef,
    /// Its value in satoshi.
    pub value_sat: u64,
    /// The height at which the counterparty took it.
    pub height: u32,
}

/// The outputs of ours that did not come back, one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unclaimed {
    /// Those that nobody has spent.
    pub unspent: Vec<Unspent>,
    /// HTLCs that the counterparty took, of a commitment that is not revoked.
    pub taken: Vec<Taken>,
}

/// The outputs of ours that did not come back; none while the funding is unspent.
///
/// # Errors
/// If the fixture cannot rebuild its own commitment.
pub fn unclaimed(chain: &Chain, known: &Known<'_>) -> Result<Unclaimed, FixtureError> {
    Ok(judge(chain, known)?.map(|judged| judged.unclaimed).unwrap_or_default())
}

/// The balance sheet of a channel; `None` while its funding is unspent.
///
/// # Errors
/// If the fixture cannot rebuild its own commitment.
pub fn sheet(chain: &Chain, known: &Known<'_>) -> Result<Option<Sheet>, FixtureError> {
    Ok(judge(chain, known)?.map(|judged| judged.sheet))
}

/// The outputs that only we had a right to and that we did not get. HTLCs are among them only on a revoked commitment,
/// where all of them are ours.
///
/// # Errors
/// If the fixture cannot rebuild its own commitment.
pub fn missed(chain: &Chain, known: &Known<'_>) -> Result<Vec<Missed>, FixtureError> {
    Ok(judge(chain, known)?.map_or_else(Vec::new, |judged| judged.missed))
}

/// What became of a closed channel.
struct Judged {
    sheet: Sheet,
    missed: Vec<Missed>,
    unclaimed: Unclaimed,
}

fn judge(chain: &Chain, known: &Known<'_>) -> Result<Option<Judged>, FixtureError> {
    let (mut missed, mut unclaimed) = (Vec::new(), Unclaimed::default());
    let setup = known.fixture.setup();
    let Some((_, txid, _)) = chain.spender_of(&setup.funding) else { return Ok(None) };
    let Some((_, close)) = chain.confirmed(&txid) else { return Ok(None) };
    let mut sheet = Sheet { capacity_sat: setup.funding_value_sat, ..Sheet::default() };
    sheet.fees_sat = setup.funding_value_sat - total(close);
    match known.fixture.recognise(close)? {
        None => {
            for output in &close.output {
                let is_ours = known.ours.contains(&output.script_pubkey);
                let term = if is_ours { &mut sheet.swept_sat } else { &mut sheet.peer_sat };
                *term += output.value.to_sat();
            }
        }
        Some(commitment) => {
            let counted = BTreeSet::new();
            let (own_fees_sat, commitment) = (0, &commitment);
            let mut tally = Tally { chain, known, commitment, counted, own_fees_sat, sheet, missed, unclaimed };
            for (vout, kind) in (0..).zip(&commitment.built.outputs) {
                tally.output(commitment.outpoint(vout), *kind);
            }
            sheet = tally.sheet;
            (missed, unclaimed) = (tally.missed, tally.unclaimed);
            // Subtracted at the end, since one of several outputs may be worth less than the fee that all of them paid.
            sheet.swept_sat -= tally.own_fees_sat;
        }
    }
    Ok(Some(Judged { sheet, missed, unclaimed }))
}

/// The sums so far, over the outputs of one commitment.
struct Tally<'a> {
    chain: &'a Chain,
    known: &'a Known<'a>,
    commitment: &'a Commitment,
    /// Our transactions whose fee is counted already: several outputs may share one.
    counted: BTreeSet<Txid>,
    /// The fees that these paid out of swept outputs (sat).
    own_fees_sat: u64,
    sheet: Sheet,
    missed: Vec<Missed>,
    unclaimed: Unclaimed,
}

impl Tally<'_> {
    fn output(&mut self, outpoint: OutPoint, kind: OutputKind) {
        let commitment = self.commitment;
        let value_sat = value(&commitment.built.tx, outpoint.vout);
        let revoked = matches!(self.known.commitment, Knowledge::Revoked | Knowledge::RevokedUntold);
        match (kind, commitment.owner) {
            (OutputKind::ToOwner, Side::Remote) if revoked => self.own(outpoint, value_sat),
            (OutputKind::Htlc(_), Side::Remote) if revoked => self.penalty(outpoint, value_sat),
            (OutputKind::ToOwner, Side::Local) | (OutputKind::ToOther, Side::Remote) => self.own(outpoint, value_sat),
            (OutputKind::ToOwner | OutputKind::OwnerAnchor, Side::Remote)
            | (OutputKind::ToOther | OutputKind::OtherAnchor, Side::Local) => self.sheet.peer_sat += value_sat,
            (OutputKind::OwnerAnchor, Side::Local) | (OutputKind::OtherAnchor, Side::Remote) => {
                self.anchor(outpoint, value_sat);
            }
            (OutputKind::Htlc(index), Side::Local | Side::Remote) => {
                if let Some(htlc) = commitment.htlcs.get(index) {
                    self.htlc(htlc.key, outpoint, value_sat);
                }
            }
        }
    }

    /// The fee of one of our transactions, the first time that it is asked for.
    fn fee_once(&mut self, txid: Txid) -> Option<u64> {
        let fee_sat = self.chain.fee_of(&txid).unwrap_or(0);
        self.counted.insert(txid).then_some(fee_sat)
    }

    fn unspent(&mut self, outpoint: OutPoint, value_sat: u64, what: UnspentKind) {
        self.sheet.uneconomic_sat += value_sat;
        self.unclaimed.unspent.push(Unspent { outpoint, value_sat, what });
    }

    /// Our anchor: spent by a child of ours with the wallet's coins, by another transaction, or not at all.
    fn anchor(&mut self, outpoint: OutPoint, value_sat: u64) {
        match spender(self.chain, outpoint) {
            None => self.unspent(outpoint, value_sat, UnspentKind::Anchor),
            Some((_, tx, _)) if pays_us(self.known, tx) => {
                let (txid, change_sat) = (tx.compute_txid(), total(tx));
                let fee_sat = self.fee_once(txid).unwrap_or(0);
                self.sheet.wallet_in_sat += fee_sat + change_sat - value_sat;
                self.sheet.wallet_change_sat += change_sat;
                self.sheet.fees_sat += fee_sat;
            }
            Some(_) => self.sheet.lost_sat += value_sat,
        }
    }

    /// An output that only we have a right to.
    fn own(&mut self, outpoint: OutPoint, value_sat: u64) {
        match spender(self.chain, outpoint) {
            None => self.unspent(outpoint, value_sat, UnspentKind::Own),
            Some((_, tx, _)) if pays_us(self.known, tx) => return self.swept(tx.compute_txid(), value_sat),
            Some(_) => self.sheet.lost_sat += value_sat,
        }
        let since = self.chain.confirmed(&outpoint.txid).map_or(0, |(height, _)| height);
        self.missed.push(Missed { value_sat, since });
    }

    fn swept(&mut self, txid: Txid, value_sat: u64) {
        let fee_sat = self.fee_once(txid).unwrap_or(0);
        self.sheet.swept_sat += value_sat;
        self.own_fees_sat += fee_sat;
        self.sheet.fees_sat += fee_sat;
    }

    /// An HTLC on a revoked commitment: all of it is ours, also after an HTLC transaction of the counterparty. That
    /// transaction pays its fee from the HTLC or from other coins. Its paired output has the index of the input (BOLT 3).
    fn penalty(&mut self, outpoint: OutPoint, value_sat: u64) {
        match spender(self.chain, outpoint) {
            Some((_, tx, input)) if tx.input[input].witness.len() == 5 => {
                let below = OutPoint::new(tx.compute_txid(), u32::try_from(input).unwrap_or(u32::MAX));
                let paired_sat = value(tx, below.vout);
                self.sheet.fees_sat += value_sat - paired_sat;
                self.own(below, paired_sat);
            }
            // Without the record its script looks like any other.
            None if self.known.commitment == Knowledge::RevokedUntold => {
                self.sheet.contested_unclaimed_sat += value_sat;
            }
            Some(_) | None => self.own(outpoint, value_sat),
        }
    }

    fn htlc(&mut self, htlc: HtlcRef, outpoint: OutPoint, value_sat: u64) {
        let (known, owner) = (self.known, self.commitment.owner);
        let usable = known.usable_since.get(&htlc).copied();
        let Some((height, tx, input)) = spender(self.chain, outpoint) else {
            let claimable = known.commitment != Knowledge::Nothing && (htlc.is_offered() || usable.is_some());
            if claimable {
                self.unspent(outpoint, value_sat, UnspentKind::Htlc(htlc));
            } else {
                self.sheet.contested_unclaimed_sat += value_sat;
            }
            return;
        };
        let witness = &tx.input[input].witness;
        // A second-level transaction belongs to the commitment's owner; its paired output has the index of the input (BOLT
        // 3).
        let second_level = witness.len() == 5;
        let paired_sat = if second_level { value(tx, u32::try_from(input).unwrap_or(u32::MAX)) } else { value_sat };
        if second_level && owner == Side::Local {
            self.second_level(tx);
            let child = OutPoint::new(tx.compute_txid(), u32::try_from(input).unwrap_or(u32::MAX));
            self.own(child, paired_sat);
        } else if !second_level && owner == Side::Remote && pays_us(known, tx) {
            self.swept(tx.compute_txid(), value_sat);
        } else {
            let shows_preimage = witness.iter().any(|item| item.len() == 32);
            let theirs = if htlc.is_offered() { shows_preimage } else { usable.is_none_or(|since| since >= height) };
            *(if theirs { &mut self.sheet.peer_sat } else { &mut self.sheet.lost_sat }) += paired_sat;
            if !theirs {
                self.unclaimed.taken.push(Taken { outpoint, htlc, value_sat, height });
            }
            self.sheet.fees_sat += value_sat - paired_sat;
        }
    }

    /// Counts our own second-level transaction, with however many HTLCs: what the wallet gave and got.
    fn second_level(&mut self, tx: &Transaction) {
        let Some(fee_sat) = self.fee_once(tx.compute_txid()) else { return };
        let close = &self.commitment.built.tx;
        let (mut claimed_sat, mut paired_sat) = (0, 0);
        for (index, input) in (0_u32..).zip(&tx.input) {
            if input.previous_output.txid == self.commitment.built.txid {
                claimed_sat += value(close, input.previous_output.vout);
                paired_sat += value(tx, index);
            }
        }
        self.sheet.wallet_in_sat += fee_sat + total(tx) - claimed_sat;
        self.sheet.wallet_change_sat += total(tx) - paired_sat;
        self.sheet.fees_sat += fee_sat;
    }
}

fn spender(chain: &Chain, outpoint: OutPoint) -> Option<(u32, &Transaction, usize)> {
    let (height, txid, input) = chain.spender_of(&outpoint)?;
    let (_, tx) = chain.confirmed(&txid)?;
    Some((height, tx, input))
}

fn pays_us(known: &Known<'_>, tx: &Transaction) -> bool {
    tx.output.iter().any(|output| known.ours.contains(&output.script_pubkey))
}

fn total(tx: &Transaction) -> u64 {
    tx.output.iter().map(|output| output.value.to_sat()).sum()
}

fn value(tx: &Transaction, vout: u32) -> u64 {
    usize::try_from(vout).ok().and_then(|vout| tx.output.get(vout)).map_or(0, |output| output.value.to_sat())
}
