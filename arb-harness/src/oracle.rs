//! The outside oracle of invariant I11: where every satoshi of a closed channel went, told from the chain's own coins and
//! spent transactions and from the true content of the confirmed commitment, without asking the court.
//!
//! It knows what the court cannot: which commitment an "unknown" one really is, and which scripts are whose.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::bolt3::OutputKind;
use arb_core::{HtlcRef, Sheet, Side};
use bitcoin::{OutPoint, ScriptBuf, Transaction};

use crate::chain::Chain;
use crate::fixture::{ChannelFixture, Commitment, FixtureError};

/// What the oracle is told about our side.
pub struct Known<'a> {
    /// The channel.
    pub fixture: &'a ChannelFixture,
    /// Every script of our wallet, the fallback script included.
    pub ours: &'a BTreeSet<ScriptBuf>,
    /// From which tip height on a received HTLC's preimage might be used.
    pub usable_since: &'a BTreeMap<HtlcRef, u32>,
    /// Whether the court knew the confirmed commitment: what it did not know it cannot claim, except its main output.
    pub known_commitment: bool,
}

/// The sheet of a channel whose funding is spent; `None` while it is not.
///
/// # Errors
/// If the fixture cannot rebuild its own commitment.
pub fn sheet(chain: &Chain, known: &Known<'_>) -> Result<Option<Sheet>, FixtureError> {
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
            for (vout, kind) in (0..).zip(&commitment.built.outputs) {
                output(chain, known, &commitment, commitment.outpoint(vout), *kind, &mut sheet);
            }
        }
    }
    Ok(Some(sheet))
}

fn output(
    chain: &Chain,
    known: &Known<'_>,
    commitment: &Commitment,
    outpoint: OutPoint,
    kind: OutputKind,
    sheet: &mut Sheet,
) {
    let value_sat = value(&commitment.built.tx, outpoint.vout);
    match (kind, commitment.owner) {
        (OutputKind::ToOwner, Side::Local) | (OutputKind::ToOther, Side::Remote) => {
            own(chain, known, outpoint, value_sat, sheet);
        }
        (OutputKind::ToOwner | OutputKind::OwnerAnchor, Side::Remote)
        | (OutputKind::ToOther | OutputKind::OtherAnchor, Side::Local) => sheet.peer_sat += value_sat,
        (OutputKind::OwnerAnchor, Side::Local) | (OutputKind::OtherAnchor, Side::Remote) => {
            let taken = chain.spender_of(&outpoint).is_some();
            *(if taken { &mut sheet.lost_sat } else { &mut sheet.uneconomic_sat }) += value_sat;
        }
        (OutputKind::Htlc(index), Side::Local | Side::Remote) => {
            if let Some(htlc) = commitment.htlcs.get(index) {
                self::htlc(chain, known, commitment.owner, htlc.key, outpoint, value_sat, sheet);
            }
        }
    }
}

/// An output that only we have a right to.
fn own(chain: &Chain, known: &Known<'_>, outpoint: OutPoint, value_sat: u64, sheet: &mut Sheet) {
    match spender(chain, outpoint) {
        None => sheet.uneconomic_sat += value_sat,
        Some((_, tx, _)) if pays_us(known, tx) => {
            sheet.swept_sat += total(tx);
            sheet.fees_sat += value_sat - total(tx);
        }
        Some(_) => sheet.lost_sat += value_sat,
    }
}

fn htlc(
    chain: &Chain,
    known: &Known<'_>,
    owner: Side,
    htlc: HtlcRef,
    outpoint: OutPoint,
    value_sat: u64,
    sheet: &mut Sheet,
) {
    let usable = known.usable_since.get(&htlc).copied();
    let Some((height, tx, input)) = spender(chain, outpoint) else {
        let claimable = known.known_commitment && (htlc.is_offered() || usable.is_some());
        *(if claimable { &mut sheet.uneconomic_sat } else { &mut sheet.contested_unclaimed_sat }) += value_sat;
        return;
    };
    let witness = &tx.input[input].witness;
    // A second-level transaction is the commitment owner's; its paired output has the input's index (BOLT 3).
    let second_level = witness.len() == 5;
    let paired_sat = if second_level { value(tx, u32::try_from(input).unwrap_or(u32::MAX)) } else { value_sat };
    if second_level && owner == Side::Local {
        let fee_sat = chain.fee_of(&tx.compute_txid()).unwrap_or(0);
        sheet.wallet_in_sat += fee_sat + total(tx) - value_sat;
        sheet.wallet_change_sat += total(tx) - paired_sat;
        sheet.fees_sat += fee_sat;
        let child = OutPoint::new(tx.compute_txid(), u32::try_from(input).unwrap_or(u32::MAX));
        own(chain, known, child, paired_sat, sheet);
    } else if !second_level && owner == Side::Remote && pays_us(known, tx) {
        sheet.swept_sat += total(tx);
        sheet.fees_sat += value_sat - total(tx);
    } else {
        let shows_preimage = witness.iter().any(|item| item.len() == 32);
        let theirs =
            if htlc.is_offered() { shows_preimage } else { usable.is_none_or(|since| since >= height) };
        *(if theirs { &mut sheet.peer_sat } else { &mut sheet.lost_sat }) += paired_sat;
        sheet.fees_sat += value_sat - paired_sat;
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
