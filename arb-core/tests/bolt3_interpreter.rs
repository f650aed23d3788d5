//! Every claim of both channel types under Bitcoin Core's interpreter: accepted as built, refused if anything is wrong.
//! The bounds of witness weights, too.
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
    ChannelType, ClaimPath, CompactSig, KeyError, Secret, claim_witness_weight, classify_spend, verify_sig,
    widest_script_len, witness,
};
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::{Amount, EcdsaSighashType, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use bitcoinconsensus::Error;
use support::{judge, sign};
use world::{FUNDING_SAT, Spot, TYPES, World, one_more};

/// What is made wrong in a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Twist {
    /// The signature is of another message.
    Signature,
    /// The counterparty's signature on a second-level transaction is of another message.
    OtherSignature,
    /// The signature is of another key.
    Key,
    /// The item that selects or unlocks the branch.
    Item,
    /// The dummy below CHECKMULTISIG (BIP 147).
    Dummy,
    /// The spent output's amount, after signing.
    Amount,
    /// The claim's output, after signing.
    Output,
    /// Sequence after signing.
    SequenceAfter,
    /// Locktime after signing.
    LockTimeAfter,
    /// The owner signs a sequence one block short, or any other if the script demands none.
    SequenceShort,
    /// The owner signs a locktime one block short.
    LockTimeShort,
    /// The owner signs a final sequence, which switches both locks off.
    SequenceFinal,
}

const TWISTS: [Twist; 12] = [
    Twist::Signature,
    Twist::OtherSignature,
    Twist::Key,
    Twist::Item,
    Twist::Dummy,
    Twist::Amount,
    Twist::Output,
    Twist::SequenceAfter,
    Twist::LockTimeAfter,
    Twist::SequenceShort,
    Twist::LockTimeShort,
    Twist::SequenceFinal,
];

/// Whether the interpreter must refuse; `None` if the claim has nothing to twist so.
fn must_refuse(world: &World, kind: ClaimPath, twist: Twist) -> Option<bool> {
    let second_level = matches!(kind, ClaimPath::HtlcTimeout | ClaimPath::HtlcSuccess);
    let unsigned = kind == ClaimPath::AnchorByAnyone;
    match twist {
        Twist::OtherSignature | Twist::Dummy => second_level.then_some(true),
        Twist::Signature | Twist::Key => (!unsigned).then_some(true),
        Twist::Item => Some(true),
        // Nobody signs the anchor's spend by anybody: only its sequence counts.
        Twist::Amount | Twist::Output | Twist::LockTimeAfter => Some(!unsigned),
        Twist::SequenceAfter => Some(true),
        // The counterparty signed version, locktime and sequence of a second-level transaction.
        Twist::SequenceShort => Some(second_level || world.csv(kind).is_some()),
        Twist::LockTimeShort => Some(second_level || world.cltv(kind).is_some()),
        Twist::SequenceFinal => Some(second_level || world.csv(kind).is_some() || world.cltv(kind).is_some()),
    }
}

/// The witness with its deciding item replaced by one that its script must refuse.
fn wrong_item(world: &World, kind: ClaimPath, witness: &Witness) -> Witness {
    let mut items = witness.to_vec();
    let place = items.len() - 2;
    let other_key = world.point(&Secret([9; 32])).0.to_vec();
    match kind {
        ClaimPath::ToLocal | ClaimPath::SecondLevelOutput => items[place] = vec![1],
        ClaimPath::ToLocalPenalty | ClaimPath::SecondLevelPenalty => items[place] = vec![],
        ClaimPath::ToRemote if world.channel_type == ChannelType::StaticRemotekey => items[1] = other_key,
        ClaimPath::ToRemote | ClaimPath::Anchor => items.insert(0, vec![1]),
        ClaimPath::AnchorByAnyone => items[place] = vec![1],
        ClaimPath::HtlcTimeout | ClaimPath::DirectTimeout => items[place] = vec![0; 32],
        ClaimPath::HtlcSuccess | ClaimPath::DirectPreimage => items[place][0] ^= 1,
        ClaimPath::OfferedPenalty | ClaimPath::ReceivedPenalty => items[place] = other_key,
    }
    Witness::from_slice(&items)
}

/// The owner's choice of sequence and locktime, before it signs.
fn twist_locks(world: &World, kind: ClaimPath, twist: Twist, tx: &mut Transaction) {
    if twist == Twist::SequenceShort {
        let short = world.csv(kind).map_or(7, |blocks| blocks - 1);
        tx.input[0].sequence = Sequence::from_consensus(short.into());
    }
    if twist == Twist::LockTimeShort {
        let lock_time = tx.lock_time.to_consensus_u32();
        tx.lock_time = LockTime::from_consensus(lock_time.checked_sub(1).unwrap_or(5));
    }
    if twist == Twist::SequenceFinal {
        tx.input[0].sequence = Sequence::MAX;
    }
}

/// The signature and the counterparty's signature over `tx`, one of them wrong if that is the twist.
fn signatures(world: &World, kind: ClaimPath, twist: Twist, spot: &Spot, tx: &Transaction) -> (CompactSig, CompactSig) {
    // The counterparty signed the form before the owner changed it.
    let mut presigned = world.unsigned(kind, spot);
    if twist == Twist::OtherSignature {
        presigned.lock_time = LockTime::from_consensus(1);
    }
    let message = if twist == Twist::Signature { [1; 32] } else { world.message(tx, spot, EcdsaSighashType::All) };
    let key = if twist == Twist::Key { Secret([9; 32]) } else { world.key(kind) };
    (sign(&world.secp, message, &key), world.counterparty_sig(&presigned, spot))
}

fn verdict(world: &World, kind: ClaimPath, twist: Twist) -> Result<(), Error> {
    let mut spot = world.spot(kind);
    let mut tx = world.unsigned(kind, &spot);
    twist_locks(world, kind, twist, &mut tx);
    let (sig, other_sig) = signatures(world, kind, twist, &spot, &tx);
    let mut witness = world.witness(kind, &spot, &sig, &other_sig);
    if twist == Twist::Item {
        witness = wrong_item(world, kind, &witness);
    }
    if twist == Twist::Dummy {
        let mut items = witness.to_vec();
        items[0] = vec![1];
        witness = Witness::from_slice(&items);
    }
    if twist == Twist::Amount {
        spot.output.value = one_more(spot.output.value);
    }
    if twist == Twist::Output {
        tx.output[0].value = one_more(tx.output[0].value);
    }
    if twist == Twist::SequenceAfter {
        let sequence = tx.input[0].sequence.to_consensus_u32();
        tx.input[0].sequence = Sequence::from_consensus(sequence.checked_sub(1).unwrap_or(5));
    }
    if twist == Twist::LockTimeAfter {
        tx.lock_time = LockTime::from_consensus(tx.lock_time.to_consensus_u32() + 1);
    }
    tx.input[0].witness = witness;
    judge(&spot.output, &tx, 0)
}

#[test]
fn every_claim_is_accepted_and_read_back_as_what_it_is() {
    for world in TYPES.map(World::new) {
        for kind in world.kinds() {
            let spot = world.spot(kind);
            let tx = world.signed(kind, &spot);
            assert_eq!(judge(&spot.output, &tx, 0), Ok(()), "{:?} {kind:?}", world.channel_type);
            let path = classify_spend(&spot.output.script_pubkey, &tx.input[0].witness);
            assert_eq!(path, world.path(kind), "{:?} {kind:?}", world.channel_type);
        }
    }
}

#[test]
fn every_claim_is_refused_by_the_interpreter_when_anything_is_wrong() {
    let mut refused = 0;
    for world in TYPES.map(World::new) {
        for kind in world.kinds() {
            for twist in TWISTS {
                let Some(must_refuse) = must_refuse(&world, kind, twist) else { continue };
                let expected = if must_refuse { Err(Error::ERR_SCRIPT) } else { Ok(()) };
                assert_eq!(verdict(&world, kind, twist), expected, "{:?} {kind:?} {twist:?}", world.channel_type);
                refused += usize::from(must_refuse);
            }
        }
    }
    // Guards against a table that demands no refusals.
    assert!(refused > 180, "only {refused} refusals");
}

#[test]
fn witness_weights_bound_what_is_signed_and_bound_it_closely() {
    for world in TYPES.map(World::new) {
        for kind in world.kinds() {
            let spot = world.spot(kind);
            let tx = world.signed(kind, &spot);
            let size = u64::try_from(tx.input[0].witness.size()).unwrap();
            let script_len = spot.script.as_ref().map(|script| u64::try_from(script.len()).unwrap());
            let bound = claim_witness_weight(kind, world.channel_type, script_len);
            let signatures = tx.input[0].witness.iter().filter(|item| matches!(item.len(), 69..=73)).count() as u64;
            assert!((bound - signatures * 4..=bound).contains(&size), "{kind:?}: {size} of {bound}");
            assert!(script_len <= widest_script_len(kind, world.channel_type), "{kind:?}");
            assert!(bound <= claim_witness_weight(kind, world.channel_type, None));
        }
    }
}

/// The weights of BOLT 3 with 73 bytes for a signature; a witness script's length is given where BOLT 3 assumes one.
#[test]
fn witness_weights_are_the_specification_s() {
    let weight = claim_witness_weight;
    let (plain, anchors) = (ChannelType::StaticRemotekey, ChannelType::AnchorsZeroFeeHtlcTx);
    assert_eq!(weight(ClaimPath::HtlcTimeout, plain, None), 285);
    assert_eq!(weight(ClaimPath::HtlcTimeout, anchors, None), 288);
    // BOLT 3 counts the widest expiry here.
    assert_eq!(weight(ClaimPath::HtlcSuccess, plain, None), 324);
    assert_eq!(weight(ClaimPath::HtlcSuccess, anchors, None), 327);
    assert_eq!(weight(ClaimPath::ToLocal, plain, Some(77)), 154);
    assert_eq!(weight(ClaimPath::ToLocalPenalty, plain, Some(77)), 155);
    assert_eq!(weight(ClaimPath::ToRemote, plain, None), 109);
    assert_eq!(weight(ClaimPath::ToRemote, anchors, None), 113);
    assert_eq!(weight(ClaimPath::Anchor, anchors, None), 116);
    assert_eq!(weight(ClaimPath::AnchorByAnyone, anchors, None), 43);
    assert_eq!(weight(ClaimPath::DirectPreimage, anchors, None), 245);
    assert_eq!(weight(ClaimPath::DirectTimeout, anchors, Some(142)), 219);
    assert_eq!(weight(ClaimPath::OfferedPenalty, plain, None), 243);
    assert_eq!(weight(ClaimPath::ReceivedPenalty, anchors, Some(142)), 252);
}

#[test]
fn the_funding_spend_needs_both_signatures_in_key_order() {
    let world = World::new(ChannelType::AnchorsZeroFeeHtlcTx);
    let (terms, built) = (world.terms(), world.build());
    let spent = TxOut { value: Amount::from_sat(FUNDING_SAT), script_pubkey: built.funding_script.to_p2wsh() };
    let message = built.sighash(FUNDING_SAT);
    let (owner, other) =
        (sign(&world.secp, message, &world.owner.funding), sign(&world.secp, message, &world.other.funding));
    let verdict = |owner_sig: &CompactSig, other_sig: &CompactSig| {
        let mut tx = built.tx.clone();
        tx.input[0].witness = witness::commitment(&terms.owner_funding, owner_sig, &terms.other_funding, other_sig);
        judge(&spent, &tx, 0)
    };
    assert_eq!(verdict(&owner, &other), Ok(()));
    assert_eq!(verdict(&other, &owner), Err(Error::ERR_SCRIPT));
    assert_eq!(verdict(&owner, &owner), Err(Error::ERR_SCRIPT));
    assert_ne!(built.sighash(FUNDING_SAT + 1), message);
    // The builder sorts by key, so owner and other side can be swapped.
    assert_eq!(
        witness::commitment(&terms.owner_funding, &owner, &terms.other_funding, &other),
        witness::commitment(&terms.other_funding, &other, &terms.owner_funding, &owner)
    );
}

/// With anchors the counterparty signs SINGLE|ANYONECANPAY, so the owner may add an input that pays the fee; without
/// anchors it may not.
#[test]
fn only_anchor_channels_allow_a_fee_input_on_a_second_level_transaction() {
    for (channel_type, expected) in TYPES.into_iter().zip([Err(Error::ERR_SCRIPT), Ok(())]) {
        let world = World::new(channel_type);
        let spot: Spot = world.spot(ClaimPath::HtlcTimeout);
        let mut tx = world.unsigned(ClaimPath::HtlcTimeout, &spot);
        let other_sig = world.counterparty_sig(&tx, &spot);
        tx.input.push(TxIn { previous_output: OutPoint::new(Txid::from_byte_array([8; 32]), 0), ..TxIn::default() });
        tx.output.push(TxOut { value: Amount::from_sat(1000), script_pubkey: ScriptBuf::new() });
        let message = world.message(&tx, &spot, EcdsaSighashType::All);
        let sig = sign(&world.secp, message, &world.key(ClaimPath::HtlcTimeout));
        tx.input[0].witness = world.witness(ClaimPath::HtlcTimeout, &spot, &sig, &other_sig);
        assert_eq!(judge(&spot.output, &tx, 0), expected, "{channel_type:?}");
    }
}

/// B26 (CVE-2020-26895): consensus accepts a high s and nodes do not relay it, so the check of a peer's signature refuses it.
#[test]
fn b26_a_high_s_is_refused_although_the_interpreter_accepts_it() {
    let world = World::new(ChannelType::AnchorsZeroFeeHtlcTx);
    let spot = world.spot(ClaimPath::HtlcSuccess);
    let mut tx = world.unsigned(ClaimPath::HtlcSuccess, &spot);
    let low = world.counterparty_sig(&tx, &spot);
    let high = negate_s(&low);
    let message = world.message(&tx, &spot, EcdsaSighashType::SinglePlusAnyoneCanPay);
    let other_key = world.build().keys.other_htlc;
    assert_eq!(verify_sig(&world.secp, &message, &low, &other_key), Ok(()));
    assert_eq!(verify_sig(&world.secp, &message, &high, &other_key), Err(KeyError::HighS));
    let wrong = verify_sig(&world.secp, &[0; 32], &low, &other_key);
    assert_eq!(wrong, Err(KeyError::WrongSignature));
    let none = verify_sig(&world.secp, &message, &CompactSig([0xff; 64]), &other_key);
    assert_eq!(none, Err(KeyError::MalformedSignature));

    let own = world.message(&tx, &spot, EcdsaSighashType::All);
    let sig = sign(&world.secp, own, &world.key(ClaimPath::HtlcSuccess));
    tx.input[0].witness = world.witness(ClaimPath::HtlcSuccess, &spot, &sig, &high);
    assert_eq!(judge(&spot.output, &tx, 0), Ok(()));
}

/// The same signature with n - s. The library negates private keys, so s is read as one.
fn negate_s(sig: &CompactSig) -> CompactSig {
    let (r, s) = sig.halves();
    let s = bitcoin::secp256k1::SecretKey::from_slice(&s).unwrap().negate();
    CompactSig::from((r, s.secret_bytes()))
}
