//! BOLT 3 Appendix C (static remote key) and Appendix F (anchors): every transaction is rebuilt byte for byte.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail by panicking, in its helpers too"
)]

mod support;

use arb_core::bolt3::{
    Basepoints, BuiltCommitment, ChannelType, CommitmentHtlc, CommitmentTerms, ObscureFactor, OutputKind, Point,
    Preimage, Secret, SpendPath, classify_spend, counterparty_sighash_type, second_level_tx, sighash_p2wsh, verify_sig,
    witness,
};
use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::{Amount, EcdsaSighashType, OutPoint, TxOut, Txid};
use serde_json::Value;
use support::{from_der, judge, serialized, sign, unhex};

const DATA: &str = include_str!("../testdata/bolt3_commitment_vectors.json");

/// What all vectors have in common.
struct Common {
    secp: Secp256k1<All>,
    value: Value,
    owner: Basepoints,
    other: Basepoints,
    htlcs: Vec<(CommitmentHtlc, Preimage)>,
}

impl Common {
    fn new() -> Self {
        let data: Value = serde_json::from_str(DATA).unwrap();
        let value = data["static_remotekey"]["common"].clone();
        let point = |name: &str| Point(unhex(value[name].as_str().unwrap()));
        // The vectors lack the owner's revocation basepoint and the other side's delayed one: no key of the owner's
        // commitment depends on them.
        let filler = point("local_payment_basepoint");
        let owner = Basepoints {
            revocation: filler,
            payment: point("local_payment_basepoint"),
            delayed_payment: point("local_delayed_payment_basepoint"),
            htlc: point("local_htlc_basepoint"),
        };
        let other = Basepoints {
            revocation: point("remote_revocation_basepoint"),
            payment: point("remote_payment_basepoint"),
            delayed_payment: filler,
            htlc: point("remote_htlc_basepoint"),
        };
        let htlcs = data["static_remotekey"]["htlcs"].as_array().unwrap().iter().map(read_htlc).collect();
        Self { secp: Secp256k1::new(), value, owner, other, htlcs }
    }

    fn point(&self, name: &str) -> Point {
        Point(unhex(self.value[name].as_str().unwrap()))
    }

    /// Private keys in the vectors carry a trailing 01.
    fn secret(&self, name: &str) -> Secret {
        let [key @ .., _] = unhex::<33>(self.value[name].as_str().unwrap());
        Secret(key)
    }

    fn number(&self, name: &str) -> u64 {
        self.value[name].as_u64().unwrap()
    }

    fn terms<'a>(
        &'a self,
        channel_type: ChannelType,
        vector: &Value,
        htlcs: &'a [CommitmentHtlc],
    ) -> CommitmentTerms<'a> {
        let txid: Txid = self.value["funding_tx_id"].as_str().unwrap().parse().unwrap();
        let dust = vector["local_dust_limit_satoshi"].as_u64();
        CommitmentTerms {
            channel_type,
            funding: OutPoint::new(txid, 0),
            funding_value_sat: self.number("funding_amount_satoshi"),
            owner_funding: self.point("local_funding_pubkey"),
            other_funding: self.point("remote_funding_pubkey"),
            owner: &self.owner,
            other: &self.other,
            owner_is_opener: true,
            owner_delay_blocks: self.number("local_delay").try_into().unwrap(),
            owner_dust_limit_sat: dust.unwrap_or_else(|| self.number("local_dust_limit_satoshi")),
            number: self.number("commitment_number"),
            point: self.point("local_per_commitment_point"),
            feerate_sat_per_kw: vector["local_feerate_per_kw"].as_u64().unwrap().try_into().unwrap(),
            owner_msat: vector["to_local_msat"].as_u64().unwrap(),
            other_msat: vector["to_remote_msat"].as_u64().unwrap(),
            htlcs,
        }
    }
}

fn read_htlc(value: &Value) -> (CommitmentHtlc, Preimage) {
    let preimage = Preimage(unhex(value["payment_preimage"].as_str().unwrap()));
    let htlc = CommitmentHtlc {
        offered_by_owner: value["direction"] == "local->remote",
        amount_msat: value["amount_msat"].as_u64().unwrap(),
        payment_hash: preimage.hash(),
        cltv_expiry: value["expiry"].as_u64().unwrap().try_into().unwrap(),
    };
    (htlc, preimage)
}

/// Checks a list of vectors; returns how many commitments and how many second-level transactions it has.
fn run(list: &str, channel_type: ChannelType) -> (usize, usize) {
    let common = Common::new();
    let data: Value = serde_json::from_str(DATA).unwrap();
    let vectors = data[list]["vectors"].as_array().unwrap();
    let mut second_level = 0;
    for vector in vectors {
        let uses = vector["uses_htlcs"].as_array().unwrap();
        let used: Vec<_> = uses.iter().map(|id| common.htlcs[usize::try_from(id.as_u64().unwrap()).unwrap()]).collect();
        let htlcs: Vec<_> = used.iter().map(|(htlc, _)| *htlc).collect();
        let terms = common.terms(channel_type, vector, &htlcs);
        let built = terms.build(&common.secp).unwrap();
        check_keys(&common, &built);
        check_commitment(&common, &terms, &built, vector);
        check_named_outputs(&terms, &built, vector, uses);
        second_level += check_second_level(&common, &terms, &built, vector, &used);
    }
    (vectors.len(), second_level)
}

fn check_keys(common: &Common, built: &BuiltCommitment) {
    assert_eq!(built.keys.revocation, common.point("local_revocation_pubkey"));
    assert_eq!(built.keys.owner_delayed, common.point("local_delayedpubkey"));
    assert_eq!(built.keys.owner_htlc, common.point("local_htlcpubkey"));
    assert_eq!(built.keys.other_htlc, common.point("remote_htlcpubkey"));
}

fn check_commitment(common: &Common, terms: &CommitmentTerms<'_>, built: &BuiltCommitment, vector: &Value) {
    let name = vector["name"].as_str().unwrap();
    let sighash = built.sighash(terms.funding_value_sat);
    let other_sig = from_der(vector["remote_signature"].as_str().unwrap());
    assert_eq!(verify_sig(&common.secp, &sighash, &other_sig, &terms.other_funding), Ok(()), "{name}");
    assert_eq!(other_sig, sign(&common.secp, sighash, &common.secret("remote_funding_privkey")), "{name}");
    let owner_sig = sign(&common.secp, sighash, &common.secret("local_funding_privkey"));
    if let Some(given) = vector["local_signature"].as_str() {
        assert_eq!(owner_sig, from_der(given), "{name}");
    }
    let mut signed = built.tx.clone();
    signed.input[0].witness = witness::commitment(&terms.owner_funding, &owner_sig, &terms.other_funding, &other_sig);
    assert_eq!(serialized(&signed), vector["commit_tx"].as_str().unwrap(), "{name}");

    let funding =
        TxOut { value: Amount::from_sat(terms.funding_value_sat), script_pubkey: built.funding_script.to_p2wsh() };
    assert_eq!(judge(&funding, &signed, 0), Ok(()), "{name}");
    assert_eq!(classify_spend(&funding.script_pubkey, &signed.input[0].witness), SpendPath::Funding);
    let factor = ObscureFactor::new(&terms.owner.payment, &terms.other.payment);
    assert_eq!(factor.get(), 0x2bb0_3852_1914);
    assert_eq!(factor.number_of(&signed), Some(42), "{name}");
    let paid: u64 = signed.output.iter().map(|output| output.value.to_sat()).sum();
    assert_eq!(built.fee_sat, terms.funding_value_sat - paid);
    if let Some(fee) = vector["actual_fee_sat"].as_u64() {
        assert_eq!(built.fee_sat, fee, "{name}");
    }
}

/// Appendix C names outputs in its comments: kind, amount and witness script.
fn check_named_outputs(terms: &CommitmentTerms<'_>, built: &BuiltCommitment, vector: &Value, uses: &[Value]) {
    for named in vector["comments_outputs"].as_array().unwrap_or(&Vec::new()) {
        let found = built.outputs.iter().enumerate().any(|(vout, kind)| {
            let kind_matches = match *kind {
                OutputKind::ToOwner => named["kind"] == "to_local",
                OutputKind::ToOther => named["kind"] == "to_remote",
                OutputKind::Htlc(index) => named["htlc"] == uses[index],
                OutputKind::OwnerAnchor | OutputKind::OtherAnchor => false,
            };
            let script = built.output_script(terms, vout.try_into().unwrap());
            let script_matches = script.is_none_or(|script| named["wscript"] == script.to_hex_string());
            kind_matches && script_matches && named["amount_sat"] == built.tx.output[vout].value.to_sat()
        });
        assert!(found, "{}: {named}", vector["name"]);
    }
}

fn check_second_level(
    common: &Common,
    terms: &CommitmentTerms<'_>,
    built: &BuiltCommitment,
    vector: &Value,
    used: &[(CommitmentHtlc, Preimage)],
) -> usize {
    let wanted = vector["htlc_txs"].as_array().unwrap();
    let order = built.htlcs_in_output_order();
    assert_eq!(order.len(), wanted.len(), "{}", vector["name"]);
    for (index, wanted) in order.iter().zip(wanted) {
        let (htlc, preimage) = &used[*index];
        let vout = built.htlc_vouts[*index].unwrap();
        if let Some(given) = wanted["output_index"].as_u64() {
            assert_eq!(u64::from(vout), given);
        }
        let mut tx = second_level_tx(
            terms.channel_type,
            built.txid,
            vout,
            htlc,
            terms.feerate_sat_per_kw,
            &built.keys,
            terms.owner_delay_blocks,
        )
        .unwrap();
        let spent = built.tx.output[usize::try_from(vout).unwrap()].clone();
        let script = built.output_script(terms, vout).unwrap();
        let other_type = counterparty_sighash_type(terms.channel_type);
        let message = |kind| sighash_p2wsh(&tx, 0, &script, spent.value.to_sat(), kind).unwrap();
        let other_sig = from_der(wanted["remote_htlc_signature"].as_str().unwrap());
        assert_eq!(verify_sig(&common.secp, &message(other_type), &other_sig, &built.keys.other_htlc), Ok(()));
        let owner_sig = sign(&common.secp, message(EcdsaSighashType::All), &common.secret("local_privkey"));
        if let Some(given) = wanted["local_htlc_signature"].as_str() {
            assert_eq!(owner_sig, from_der(given));
        }
        tx.input[0].witness = if htlc.offered_by_owner {
            witness::htlc_timeout(&other_sig, other_type, &owner_sig, &script)
        } else {
            witness::htlc_success(&other_sig, other_type, &owner_sig, preimage, &script)
        };
        assert_eq!(serialized(&tx), wanted["tx"].as_str().unwrap(), "{}", vector["name"]);
        assert_eq!(judge(&spent, &tx, 0), Ok(()));
        let path = classify_spend(&spent.script_pubkey, &tx.input[0].witness);
        let expected = if htlc.offered_by_owner {
            SpendPath::SecondLevelTimeout
        } else {
            SpendPath::SecondLevelSuccess(*preimage)
        };
        assert_eq!(path, expected);
    }
    wanted.len()
}

#[test]
fn appendix_c_sixteen_commitments_and_thirty_three_htlc_transactions() {
    assert_eq!(run("static_remotekey", ChannelType::StaticRemotekey), (16, 33));
}

#[test]
fn appendix_f_nine_commitments_and_fifteen_htlc_transactions() {
    assert_eq!(run("anchors_zero_fee_htlc_tx", ChannelType::AnchorsZeroFeeHtlcTx), (9, 15));
}
