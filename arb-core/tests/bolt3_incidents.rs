//! Incidents that the transaction layer must not repeat, one test each, and the pitfalls of building commitments.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail by panicking, in its helpers too"
)]

mod support;
#[path = "support/world.rs"]
mod world;

use arb_core::bolt3::{
    ChannelType, ClaimPath, CommitmentError, CommitmentHtlc, CommitmentTerms, ObscureFactor, OutputKind, PaymentHash,
    Point, Preimage, Secret, SpendPath, classify_spend, parse_script, point_of_secret, preimages_in,
    received_htlc_script, sighash_p2wsh, verify_sig, witness,
};
use bitcoin::absolute::LockTime;
use bitcoin::{EcdsaSighashType, Script, ScriptBuf, Sequence, Witness};
use proptest::prelude::*;
use support::judge;
use world::{EXPIRY, FUNDING_SAT, TYPES, World};

/// B8: two HTLCs with one hash and one amount. Their outputs are identical, so the expiry's rank decides.
#[test]
fn b8_equal_offered_outputs_are_told_apart_by_expiry_rank() {
    let mut world = World::new(ChannelType::AnchorsZeroFeeHtlcTx);
    let first = CommitmentHtlc { cltv_expiry: EXPIRY + 40, ..world.htlcs[0] };
    let second = CommitmentHtlc { cltv_expiry: EXPIRY, ..world.htlcs[0] };
    world.htlcs = vec![first, second];
    let built = world.build();
    let vouts: Vec<_> = built.htlc_vouts.iter().map(|vout| vout.unwrap()).collect();
    assert_eq!(vouts[0], vouts[1] + 1, "the later expiry comes second, whatever the order of the terms");
    let output = |vout: u32| built.tx.output[usize::try_from(vout).unwrap()].clone();
    assert_eq!(output(vouts[0]), output(vouts[1]), "nothing on chain tells them apart");
    assert_eq!(built.htlcs_in_output_order(), [1, 0]);
    // Each one's timeout carries its own expiry and spends its own outpoint.
    for (htlc, vout) in world.htlcs.iter().zip(&vouts) {
        let index = usize::from(htlc.cltv_expiry == EXPIRY);
        let tx = world.second_level(&built, index);
        assert_eq!(tx.lock_time, LockTime::from_consensus(htlc.cltv_expiry));
        assert_eq!(tx.input[0].previous_output.vout, *vout);
    }
}

/// B8: HTLCs that are equal in everything take their outputs in the order of the terms.
#[test]
fn b8_identical_htlcs_take_outputs_in_the_order_of_the_terms() {
    let mut world = World::new(ChannelType::StaticRemotekey);
    let (offered, received) = (world.htlcs[0], world.htlcs[1]);
    world.htlcs = vec![offered, received, offered, offered];
    let built = world.build();
    assert_eq!(built.htlc_vouts, [Some(0), Some(3), Some(1), Some(2)]);
    assert_eq!(built.htlcs_in_output_order(), [0, 2, 3, 1]);
}

/// B36, B37: a spend without a witness, or with one too short for its script, is unknown and causes no panic.
#[test]
fn b36_b37_missing_and_short_witnesses_are_unknown() {
    for world in TYPES.map(World::new) {
        for kind in world.kinds() {
            let spot = world.spot(kind);
            let spk = &spot.output.script_pubkey;
            assert_eq!(classify_spend(spk, &Witness::new()), SpendPath::Unknown);
            let full = world.signed(kind, &spot).input[0].witness.to_vec();
            for missing in 1..full.len() {
                // Items are missing at the front: the script is last and matches, its stack is short.
                let short = Witness::from_slice(&full[missing..]);
                assert_eq!(classify_spend(spk, &short), SpendPath::Unknown, "{kind:?} without {missing}");
                let without_script = Witness::from_slice(&full[..full.len() - missing]);
                assert_eq!(classify_spend(spk, &without_script), SpendPath::Unknown, "{kind:?} without script");
            }
        }
        let tx = world.build().tx;
        assert_eq!(preimages_in(&tx).count(), 0);
    }
}

/// B38: a penalty has three items like a preimage claim, but the second is a 33-byte key.
#[test]
fn b38_a_revocation_key_is_not_a_preimage() {
    for world in TYPES.map(World::new) {
        for kind in [ClaimPath::OfferedPenalty, ClaimPath::ReceivedPenalty] {
            let spot = world.spot(kind);
            let tx = world.signed(kind, &spot);
            assert_eq!(judge(&spot.output, &tx, 0), Ok(()));
            assert_eq!(tx.input[0].witness.len(), 3);
            assert_eq!(classify_spend(&spot.output.script_pubkey, &tx.input[0].witness), SpendPath::Revocation);
            assert_eq!(preimages_in(&tx).count(), 0);
        }
        // 32 bytes of the wrong preimage fail the script: neither a preimage nor a timeout.
        let spot = world.spot(ClaimPath::DirectPreimage);
        let mut items = world.signed(ClaimPath::DirectPreimage, &spot).input[0].witness.to_vec();
        items[1] = vec![0; 32];
        assert_eq!(classify_spend(&spot.output.script_pubkey, &Witness::from_slice(&items)), SpendPath::Unknown);
    }
}

/// Consensus does not look at an item that the script drops: unusual but valid timeouts are still timeouts.
#[test]
fn items_that_nodes_do_not_relay_are_read_as_the_interpreter_reads_them() {
    for world in TYPES.map(World::new) {
        let cases = [
            // The script drops the selector of a timeout whatever it is, also one of a key's size.
            (ClaimPath::HtlcTimeout, vec![2; 33]),
            (ClaimPath::DirectTimeout, vec![2; 33]),
            // True and false have many encodings; MINIMALIF is policy only.
            (ClaimPath::ToLocalPenalty, vec![0, 7]),
            (ClaimPath::ToLocal, vec![0, 0x80]),
        ];
        for (kind, item) in cases {
            let spot = world.spot(kind);
            let mut tx = world.signed(kind, &spot);
            let mut items = tx.input[0].witness.to_vec();
            let place = items.len() - 2;
            items[place] = item;
            tx.input[0].witness = Witness::from_slice(&items);
            assert_eq!(judge(&spot.output, &tx, 0), Ok(()), "{kind:?}");
            assert_eq!(classify_spend(&spot.output.script_pubkey, &tx.input[0].witness), world.path(kind), "{kind:?}");
        }
    }
}

/// B39: an annex after the script does not shift the items.
#[test]
fn b39_an_annex_does_not_hide_the_preimage() {
    let world = World::new(ChannelType::AnchorsZeroFeeHtlcTx);
    for kind in world.kinds() {
        let spot = world.spot(kind);
        let mut tx = world.signed(kind, &spot);
        tx.input[0].witness.push([0x50, 1, 2, 3]);
        assert_eq!(classify_spend(&spot.output.script_pubkey, &tx.input[0].witness), world.path(kind), "{kind:?}");
        let shows = matches!(kind, ClaimPath::HtlcSuccess | ClaimPath::DirectPreimage);
        let shown: Vec<_> = preimages_in(&tx).collect();
        assert_eq!(shown, if shows { vec![(0, world.preimage)] } else { vec![] });
    }
    // A single item is never an annex (BIP 341).
    assert_eq!(classify_spend(&ScriptBuf::new(), &Witness::from_slice(&[[0x50]])), SpendPath::Unknown);
}

/// B40: no search over fees or expiries. Each HTLC's own data gives exactly the transaction that the counterparty signed.
#[test]
fn b40_each_htlc_signature_fits_its_own_transaction_and_no_other() {
    for channel_type in TYPES {
        let mut world = World::new(channel_type);
        let (offered, received) = (world.htlcs[0], world.htlcs[1]);
        let vary = |htlc: CommitmentHtlc, by: u8| CommitmentHtlc {
            payment_hash: PaymentHash([by; 32]),
            cltv_expiry: htlc.cltv_expiry + u32::from(by),
            ..htlc
        };
        world.htlcs = vec![offered, vary(offered, 1), received, vary(received, 2)];
        let (terms, built) = (world.terms(), world.build());
        let message = |htlc: usize| {
            let (vout, tx) = (built.htlc_vouts[htlc].unwrap(), world.second_level(&built, htlc));
            let script = built.output_script(&terms, vout).unwrap();
            let value_sat = built.tx.output[usize::try_from(vout).unwrap()].value.to_sat();
            sighash_p2wsh(&tx, 0, &script, value_sat, EcdsaSighashType::All).unwrap()
        };
        let key = world.point(&Secret([5; 32]));
        for signed in 0..4 {
            let sig = support::sign(&world.secp, message(signed), &Secret([5; 32]));
            for asked in 0..4 {
                assert_eq!(verify_sig(&world.secp, &message(asked), &sig, &key).is_ok(), asked == signed);
            }
        }
    }
}

/// B59: a commitment that carries our current number need not be ours: the rebuilt txid decides.
#[test]
fn b59_the_same_number_on_both_sides_is_two_transactions() {
    for world in TYPES.map(World::new) {
        let ours = world.terms();
        let mut theirs = world.terms();
        (theirs.owner, theirs.other) = (ours.other, ours.owner);
        (theirs.owner_funding, theirs.other_funding) = (ours.other_funding, ours.owner_funding);
        (theirs.owner_msat, theirs.other_msat) = (ours.other_msat, ours.owner_msat);
        theirs.owner_is_opener = false;
        let mirrored: Vec<_> = world
            .htlcs
            .iter()
            .map(|htlc| CommitmentHtlc { offered_by_owner: !htlc.offered_by_owner, ..*htlc })
            .collect();
        theirs.htlcs = &mirrored;
        let (our_build, their_build) = (ours.build(&world.secp).unwrap(), theirs.build(&world.secp).unwrap());
        let factor = ObscureFactor::new(&ours.owner.payment, &ours.other.payment);
        assert_eq!(factor.number_of(&our_build.tx), Some(7));
        assert_eq!(factor.number_of(&their_build.tx), Some(7));
        assert_ne!(our_build.txid, their_build.txid);
        assert_eq!(our_build.txid, ours.build(&world.secp).unwrap().txid, "a rebuild is the same transaction");
        // A spend of the funding output with a forged number: the number is readable, the txid is neither side's.
        let mut forged = our_build.tx.clone();
        forged.output.pop();
        assert_eq!(factor.number_of(&forged), Some(7));
        assert_ne!(forged.compute_txid(), our_build.txid);
    }
}

#[test]
fn numbers_are_read_only_from_transactions_of_a_commitment_s_form() {
    let world = World::new(ChannelType::StaticRemotekey);
    let factor = ObscureFactor::new(&world.owner_base.payment, &world.other_base.payment);
    let mut tx = world.build().tx;
    for number in [0, 1, 0xff_ffff, 0x100_0000, 0xffff_ffff_ffff] {
        tx.lock_time = factor.lock_time(number);
        tx.input[0].sequence = factor.sequence(number);
        assert_eq!(factor.number_of(&tx), Some(number));
    }
    for (sequence, lock_time) in [(0xffff_ffff, 0), (0xffff_fffd, 800_000), (0x8000_0000, 0), (0, 0x2000_0000)] {
        let mut close = tx.clone();
        close.input[0].sequence = Sequence::from_consensus(sequence);
        close.lock_time = LockTime::from_consensus(lock_time);
        assert_eq!(factor.number_of(&close), None);
    }
    let mut two = tx.clone();
    two.input.push(tx.input[0].clone());
    assert_eq!(factor.number_of(&two), None);
    two.input.clear();
    assert_eq!(factor.number_of(&two), None);
}

/// An offered script with anchors and a received one without them can both be 136 bytes long.
#[test]
fn scripts_of_equal_length_are_told_apart_by_their_opcodes() {
    let world = World::new(ChannelType::AnchorsZeroFeeHtlcTx);
    let offered = world.spot(ClaimPath::DirectPreimage).script.unwrap();
    let key = world.owner_base.htlc;
    let received = received_htlc_script(ChannelType::StaticRemotekey, &key, &key, &key, &PaymentHash([1; 32]), 16);
    assert_eq!((offered.len(), received.len()), (136, 136));
    let name = |script: &Script| format!("{:?}", parse_script(script).unwrap());
    assert!(name(&offered).starts_with("Offered { channel_type: AnchorsZeroFeeHtlcTx"));
    assert!(name(&received).starts_with("Received { channel_type: StaticRemotekey"));
    for expiry in [0, 1, 16, 17, 127, 128, 255, 256, 32_767, 32_768, 0x7f_ffff, 0x80_0000, 499_999_999] {
        let script = received_htlc_script(world.channel_type, &key, &key, &key, &PaymentHash([1; 32]), expiry);
        assert!(name(&script).ends_with(&format!("cltv_expiry: {expiry} }}")));
    }
}

#[test]
fn terms_that_make_no_sense_are_refused_by_name() {
    let world = World::new(ChannelType::AnchorsZeroFeeHtlcTx);
    let build = |terms: CommitmentTerms<'_>| terms.build(&world.secp).map(|built| built.txid);
    let terms = world.terms();
    assert!(build(terms).is_ok());
    assert_eq!(build(changed(terms, |t| t.owner_delay_blocks = 0)), Err(CommitmentError::ZeroDelay));
    assert_eq!(build(changed(terms, |t| t.number = 1 << 48)), Err(CommitmentError::NumberOutOfRange(1 << 48)));
    for (owner_msat, other_msat) in [(FUNDING_SAT * 1000, 0), (u64::MAX, u64::MAX), (600_000_001, 290_000_000)] {
        let refused = build(changed(terms, |t| (t.owner_msat, t.other_msat) = (owner_msat, other_msat)));
        assert_eq!(refused, Err(CommitmentError::BalancesExceedFunding));
    }
    // The opener has nothing: nobody pays for the other side's anchor.
    let no_opener_balance = changed(terms, |t| {
        (t.owner_msat, t.other_msat, t.htlcs) = (0, FUNDING_SAT * 1000, &[]);
    });
    assert_eq!(build(no_opener_balance), Err(CommitmentError::OutputsExceedFunding));
    let late = [CommitmentHtlc { cltv_expiry: 500_000_000, ..world.htlcs[0] }];
    let refused = build(CommitmentTerms { htlcs: &late, ..terms });
    assert_eq!(refused, Err(CommitmentError::ExpiryNotAHeight { cltv_expiry: 500_000_000 }));
    let refused = build(changed(terms, |t| t.owner_funding = Point([0; 33])));
    assert!(matches!(refused, Err(CommitmentError::Key(_))));
}

fn changed<'a>(terms: CommitmentTerms<'a>, change: impl FnOnce(&mut CommitmentTerms<'a>)) -> CommitmentTerms<'a> {
    let mut changed = terms;
    change(&mut changed);
    changed
}

/// At the limit an HTLC has an output, one satoshi below it has none; the fee counts only if the second level pays it.
#[test]
fn trimming_is_strict_and_depends_on_direction_and_type() {
    let mut world = World::new(ChannelType::StaticRemotekey);
    let at = |offered_by_owner, amount_sat: u64| CommitmentHtlc {
        offered_by_owner,
        amount_msat: amount_sat * 1000 + 999,
        ..World::new(ChannelType::StaticRemotekey).htlcs[0]
    };
    world.htlcs = vec![at(true, 546 + 663), at(true, 546 + 662), at(false, 546 + 703), at(false, 546 + 702)];
    let trimmed = |world: &World| {
        let built = world.build();
        let vouts: Vec<_> = built.htlc_vouts.iter().map(Option::is_none).collect();
        let asked: Vec<_> = world.htlcs.iter().map(|htlc| world.terms().is_trimmed(htlc)).collect();
        assert_eq!(vouts, asked, "`is_trimmed` agrees with `build`");
        vouts
    };
    assert_eq!(trimmed(&world), [false, true, false, true]);
    world.channel_type = ChannelType::AnchorsZeroFeeHtlcTx;
    assert_eq!(trimmed(&world), [false; 4]);
    world.htlcs = vec![at(true, 546), at(false, 545)];
    assert_eq!(trimmed(&world), [false, true]);
}

/// An anchor exists for a side that has a balance, and for both as soon as there is an HTLC.
#[test]
fn anchors_follow_balances_and_htlcs() {
    let world = World::new(ChannelType::AnchorsZeroFeeHtlcTx);
    let kinds = |terms: CommitmentTerms<'_>| terms.build(&world.secp).unwrap().outputs;
    let one_balance = changed(world.terms(), |t| (t.other_msat, t.htlcs) = (0, &[]));
    assert_eq!(kinds(one_balance), [OutputKind::OwnerAnchor, OutputKind::ToOwner]);
    let with_htlc = changed(world.terms(), |t| t.other_msat = 0);
    assert!(kinds(with_htlc).contains(&OutputKind::OtherAnchor));
}

/// A P2WPKH witness is a `to_remote` claim only if its key hashes to the output's program.
#[test]
fn a_p2wpkh_spend_needs_the_key_of_its_program() {
    let world = World::new(ChannelType::StaticRemotekey);
    let spot = world.spot(ClaimPath::ToRemote);
    let sig = support::sign(&world.secp, [1; 32], &Secret([1; 32]));
    let other_key = point_of_secret(&world.secp, &Secret([9; 32])).unwrap();
    let read = |key: &Point| classify_spend(&spot.output.script_pubkey, &witness::to_remote(&sig, key, None));
    assert_eq!(read(&other_key), SpendPath::Unknown);
    assert_eq!(read(&world.other_base.payment), SpendPath::ToRemote);
}

proptest! {
    /// R6: any witness on any output gets an answer.
    #[test]
    fn classification_is_total(
        items in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..7),
        kind in 0usize..11,
        cut in 0usize..150,
    ) {
        let world = World::new(ChannelType::StaticRemotekey);
        let kind = world.kinds().nth(kind).unwrap();
        let spot = world.spot(kind);
        let witness = Witness::from_slice(&items);
        prop_assert_eq!(classify_spend(&spot.output.script_pubkey, &witness), SpendPath::Unknown);
        let script = spot.script.unwrap_or_default();
        // With the right script on top, random items below it are no preimage of its hash.
        let mut with_script = items.clone();
        with_script.push(script.to_bytes());
        let path = classify_spend(&spot.output.script_pubkey, &Witness::from_slice(&with_script));
        prop_assert!(!matches!(path, SpendPath::Preimage(Preimage(_)) | SpendPath::SecondLevelSuccess(Preimage(_))));
        // A truncated script is no script of BOLT 3, and random bytes are none.
        let bytes = script.to_bytes();
        if cut < bytes.len() {
            prop_assert_eq!(parse_script(Script::from_bytes(&bytes[..cut])), None);
        }
        for item in &items {
            prop_assert_eq!(parse_script(Script::from_bytes(item)), None);
        }
    }
}
