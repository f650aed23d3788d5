//! Invariant I11, checked from outside: the court's balance sheet must balance, and equal the oracle's to the satoshi.

use arb_core::Sheet;

/// Why the satoshis of a close are not all accounted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Imbalance {
    /// The channel is not resolved.
    #[error("the court has no balance sheet: the channel is not resolved")]
    NoSheet,
    /// The oracle reads the chain.
    #[error("the oracle has no balance sheet: the funding is not spent")]
    NoOracle,
    /// The two sheets differ.
    #[error("{term}: the court says {court_sat}, the oracle {oracle_sat}")]
    Differs {
        /// The first term that differs.
        term: &'static str,
        court_sat: u64,
        oracle_sat: u64,
    },
    /// The two sheets are equal, but do not balance.
    #[error("capacity + wallet_in are {left_sat} sat, but the other terms add up to {right_sat} sat")]
    Unbalanced {
        /// capacity + wallet_in.
        left_sat: u64,
        /// The sum of all other terms.
        right_sat: u64,
    },
}

/// The terms of a sheet, in I11's order: the first two are on its left side.
pub(crate) const fn terms(sheet: &Sheet) -> [(&'static str, u64); 9] {
    [
        ("capacity", sheet.capacity_sat),
        ("wallet_in", sheet.wallet_in_sat),
        ("swept", sheet.swept_sat),
        ("wallet_change", sheet.wallet_change_sat),
        ("fees", sheet.fees_sat),
        ("peer", sheet.peer_sat),
        ("contested_unclaimed", sheet.contested_unclaimed_sat),
        ("uneconomic", sheet.uneconomic_sat),
        ("lost", sheet.lost_sat),
    ]
}

/// capacity + wallet_in, and the sum of all other terms; added here, not by the court.
pub(crate) fn sides(sheet: &Sheet) -> (u64, u64) {
    let (left, right) = terms(sheet).into_iter().enumerate().partition::<Vec<_>, _>(|(place, _)| *place < 2);
    let sum =
        |terms: Vec<(usize, (&str, u64))>| terms.iter().fold(0, |sum: u64, (_, (_, sat))| sum.saturating_add(*sat));
    (sum(left), sum(right))
}

/// Compares the court's sheet with the oracle's.
///
/// # Errors
/// If a sheet is missing, if a term differs, or if the sheet does not balance.
pub(crate) fn compare(court: Option<&Sheet>, oracle: Option<&Sheet>) -> Result<(), Imbalance> {
    let court = court.ok_or(Imbalance::NoSheet)?;
    let oracle = oracle.ok_or(Imbalance::NoOracle)?;
    for ((term, court_sat), (_, oracle_sat)) in terms(court).into_iter().zip(terms(oracle)) {
        if court_sat != oracle_sat {
            return Err(Imbalance::Differs { term, court_sat, oracle_sat });
        }
    }
    match sides(court) {
        (left_sat, right_sat) if left_sat != right_sat => Err(Imbalance::Unbalanced { left_sat, right_sat }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) const SHEET: Sheet = Sheet {
        capacity_sat: 10_000,
        wallet_in_sat: 500,
        swept_sat: 6_000,
        wallet_change_sat: 300,
        fees_sat: 700,
        peer_sat: 3_000,
        contested_unclaimed_sat: 250,
        uneconomic_sat: 200,
        lost_sat: 50,
    };

    #[test]
    fn the_same_twice_and_balanced_is_good() {
        assert_eq!(compare(Some(&SHEET), Some(&SHEET)), Ok(()));
        assert!(SHEET.balances(), "and the court's own sum agrees");
    }

    #[test]
    fn one_satoshi_in_any_term_is_found_on_either_side() {
        for place in 0..9 {
            let mut moved = SHEET;
            let term = [
                &mut moved.capacity_sat,
                &mut moved.wallet_in_sat,
                &mut moved.swept_sat,
                &mut moved.wallet_change_sat,
                &mut moved.fees_sat,
                &mut moved.peer_sat,
                &mut moved.contested_unclaimed_sat,
                &mut moved.uneconomic_sat,
                &mut moved.lost_sat,
            ];
            *term.into_iter().nth(place).unwrap() += 1;
            for (court, oracle) in [(&moved, &SHEET), (&SHEET, &moved)] {
                let found = compare(Some(court), Some(oracle));
                assert!(matches!(found, Err(Imbalance::Differs { .. })), "term {place}: {found:?}");
            }
            let found = compare(Some(&moved), Some(&moved));
            assert!(matches!(found, Err(Imbalance::Unbalanced { .. })), "term {place}, in both: {found:?}");
        }
    }

    #[test]
    fn a_satoshi_moved_from_one_term_to_another_still_balances_and_is_found() {
        let moved = Sheet { peer_sat: SHEET.peer_sat + 1, lost_sat: SHEET.lost_sat - 1, ..SHEET };
        assert!(moved.balances());
        let found = compare(Some(&moved), Some(&SHEET));
        assert_eq!(found, Err(Imbalance::Differs { term: "peer", court_sat: 3_001, oracle_sat: 3_000 }));
    }

    #[test]
    fn a_missing_sheet_is_not_a_good_one() {
        assert_eq!(compare(None, Some(&SHEET)), Err(Imbalance::NoSheet));
        assert_eq!(compare(Some(&SHEET), None), Err(Imbalance::NoOracle));
    }
}
