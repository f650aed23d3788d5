//! `check_amounts` refuses exactly what `build` refuses, if all keys are good.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "fixed test values")]

use arb_core::bolt3::{Basepoints, ChannelType, CommitmentHtlc, CommitmentTerms, PaymentHash, Point, Secret};
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{OutPoint, Txid};
use proptest::prelude::*;

fn point(byte: u8) -> Point {
    Point::from_secret(&Secp256k1::new(), &Secret([byte; 32])).unwrap()
}

fn basepoints(byte: u8) -> Basepoints {
    Basepoints {
        revocation: point(byte),
        payment: point(byte + 1),
        delayed_payment: point(byte + 2),
        htlc: point(byte + 3),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn check_amounts_agrees_with_build(
        anchors: bool,
        owner_is_opener: bool,
        delay in 0_u16..3,
        dust in prop_oneof![Just(0_u64), Just(354), Just(546)],
        feerate in prop_oneof![Just(0_u32), 200_u32..2_000, Just(u32::MAX)],
        balances in (prop_oneof![0_u64..3_000_000, 40_000_000_u64..60_000_000], 0_u64..60_000_000),
        htlcs in proptest::collection::vec((any::<bool>(), 0_u64..5_000_000, 1_u32..700), 0..6),
    ) {
        let (owner, other) = (basepoints(10), basepoints(20));
        let htlcs: Vec<CommitmentHtlc> = htlcs
            .into_iter()
            .map(|(offered_by_owner, amount_msat, cltv_expiry)| CommitmentHtlc {
                offered_by_owner,
                amount_msat,
                payment_hash: PaymentHash([7; 32]),
                cltv_expiry,
            })
            .collect();
        let terms = CommitmentTerms {
            channel_type: if anchors { ChannelType::AnchorsZeroFeeHtlcTx } else { ChannelType::StaticRemotekey },
            funding: OutPoint::new(Txid::all_zeros(), 0),
            funding_value_sat: 100_000,
            owner_funding: point(1),
            other_funding: point(2),
            owner: &owner,
            other: &other,
            owner_is_opener,
            owner_delay_blocks: delay,
            owner_dust_limit_sat: dust,
            number: 3,
            point: point(3),
            feerate_sat_per_kw: feerate,
            owner_msat: balances.0,
            other_msat: balances.1,
            htlcs: &htlcs,
        };
        let built = terms.build(&Secp256k1::new()).map(|built| built.fee_sat);
        prop_assert_eq!(terms.check_amounts().err(), built.err());
    }
}
