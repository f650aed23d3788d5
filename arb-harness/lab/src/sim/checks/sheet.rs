//! I11: the balance sheet.

use arb_core::{CloseKind, Sheet};

use super::{Verdict, violated};

/// I11: the court's sheet balances, and equals what the chain says.
pub(crate) fn invariant_i11_every_satoshi_is_accounted_for(
    court: &Sheet,
    measured: Option<&Sheet>,
    close: CloseKind,
) -> Verdict {
    if !court.balances() {
        return violated("I11", format!("the sheet of a {close:?} close does not balance: {court:?}"));
    }
    let Some(measured) = measured else { return Ok(()) };
    let merged = |sheet: &Sheet| Sheet {
        peer_sat: sheet.peer_sat + sheet.contested_unclaimed_sat + sheet.lost_sat,
        contested_unclaimed_sat: 0,
        lost_sat: 0,
        ..*sheet
    };
    let same = match close {
        // Without a record of the commitment, the court cannot tell to whom an unspent output belongs, nor which of two
        // HTLCs of one hash and amount was spent. It may overstate what was lost, and never hides a loss.
        CloseKind::Unknown | CloseKind::Superseded => {
            merged(measured) == merged(court) && court.lost_sat >= measured.lost_sat
        }
        CloseKind::Local | CloseKind::Remote | CloseKind::RemotePending | CloseKind::Revoked | CloseKind::Mutual => {
            measured == court
        }
    };
    if !same {
        return violated("I11", format!("a {close:?} close: the court says {court:?}; the chain says {measured:?}"));
    }
    Ok(())
}
