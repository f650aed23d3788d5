//! BOLT 3 Appendix D (per-commitment secrets) and Appendix E (key derivation).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail by panicking, in its helpers too"
)]

mod support;

use arb_core::bolt3::{
    COMMITMENT_NUMBER_MAX, KeyError, Point, Secret, SecretError, SecretStore, commitment_secret, derive_private_key,
    derive_public_key, point_of_secret, revocation_private_key, revocation_public_key,
};
use bitcoin::secp256k1::Secp256k1;
use serde_json::Value;
use support::unhex;

fn data(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

fn secrets() -> Value {
    data(include_str!("../testdata/bolt3_secrets.json"))
}

/// The vectors name secrets by index, the library by commitment number.
fn number_of(step: &Value) -> u64 {
    COMMITMENT_NUMBER_MAX - step["I"].as_u64().unwrap()
}

#[test]
fn appendix_d_generation() {
    let secrets = secrets();
    let cases = secrets["generation"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let seed = unhex(case["seed"].as_str().unwrap());
        let expected = Secret(unhex(case["output"].as_str().unwrap()));
        assert!(commitment_secret(&seed, number_of(case)) == expected, "{}", case["name"]);
    }
}

#[test]
fn appendix_d_storage() {
    let secrets = secrets();
    let cases = secrets["storage"].as_array().unwrap();
    assert_eq!(cases.len(), 9);
    for case in cases {
        let mut store = SecretStore::default();
        for step in case["steps"].as_array().unwrap() {
            let secret = Secret(unhex(step["secret"].as_str().unwrap()));
            let before = store.clone();
            match store.insert(number_of(step), secret) {
                Ok(()) => assert_eq!(step["ok"], true, "{}: {step}", case["name"]),
                Err(SecretError::Contradiction { .. }) => {
                    assert_eq!(step["ok"], false, "{}: {step}", case["name"]);
                    assert_eq!(store, before, "a refused secret changes nothing");
                }
                Err(error) => panic!("{}: {error}", case["name"]),
            }
        }
    }
}

#[test]
fn appendix_d_a_contradiction_names_the_slot_that_it_contradicts() {
    let mut store = SecretStore::default();
    for number in 0..3 {
        store.insert(number, commitment_secret(&[7; 32], number)).unwrap();
    }
    // Numbers 0 to 2 fill slots 0 and 1; number 3 fills slot 2 and must yield both.
    let error = store.insert(3, commitment_secret(&[8; 32], 3));
    assert_eq!(error, Err(SecretError::Contradiction { slot: 0 }));
    let error = store.insert(1, commitment_secret(&[8; 32], 1));
    assert_eq!(error, Err(SecretError::Contradiction { slot: 1 }));
    assert_eq!(store.insert(1, commitment_secret(&[7; 32], 1)), Ok(()), "a known secret may be inserted again");
}

#[test]
fn store_yields_every_secret_it_was_given_and_nothing_newer() {
    let seed = [0x5a; 32];
    // From 0, and across a number that fills a high slot.
    for start in [0, (1 << 20) - 40] {
        let mut store = SecretStore::default();
        for number in start..start + 80 {
            store.insert(number, commitment_secret(&seed, number)).unwrap();
            assert!((start..=number).all(|known| store.get(known) == Some(commitment_secret(&seed, known))));
            assert_eq!(store.get(number + 1), None);
            assert_eq!(store.newest_number(), Some(number));
        }
        assert!(store.len() <= 49);
        let bytes = postcard::to_allocvec(&store).unwrap();
        assert_eq!(postcard::from_bytes::<SecretStore>(&bytes).unwrap(), store);
    }
}

#[test]
fn store_refuses_gaps_and_numbers_that_do_not_exist() {
    let mut store = SecretStore::default();
    let secret = |number| commitment_secret(&[3; 32], number);
    store.insert(5, secret(5)).unwrap();
    assert_eq!(store.insert(7, secret(7)), Err(SecretError::OutOfOrder { number: 7, expected: 6 }));
    assert_eq!(store.insert(1, secret(1)), Err(SecretError::OutOfOrder { number: 1, expected: 6 }));
    let beyond = COMMITMENT_NUMBER_MAX + 1;
    assert_eq!(store.insert(beyond, secret(0)), Err(SecretError::NumberOutOfRange(beyond)));
    assert_eq!(store.get(u64::MAX), None);
    let mut last = SecretStore::default();
    last.insert(COMMITMENT_NUMBER_MAX, secret(COMMITMENT_NUMBER_MAX)).unwrap();
    assert_eq!(last.get(0), Some(secret(0)), "index 0 is the seed's own secret and yields all others");
}

#[test]
fn appendix_e_key_derivation() {
    let secp = Secp256k1::new();
    let vector = data(include_str!("../testdata/bolt3_key_derivation.json"));
    let point = |name: &str| Point(unhex(vector[name].as_str().unwrap()));
    let secret = |name: &str| Secret(unhex(vector[name].as_str().unwrap()));
    let (base, commitment) = (secret("base_secret"), secret("per_commitment_secret"));
    assert_eq!(point_of_secret(&secp, &base), Ok(point("base_point")));
    assert_eq!(point_of_secret(&secp, &commitment), Ok(point("per_commitment_point")));
    let (base_point, at) = (point("base_point"), point("per_commitment_point"));
    assert_eq!(derive_public_key(&secp, &base_point, &at), Ok(point("localpubkey")));
    assert!(derive_private_key(&secp, &base, &at) == Ok(secret("localprivkey")));
    assert_eq!(revocation_public_key(&secp, &base_point, &at), Ok(point("revocationpubkey")));
    assert!(revocation_private_key(&secp, &base, &commitment) == Ok(secret("revocationprivkey")));
}

#[test]
fn bytes_that_are_no_key_are_refused_by_name() {
    let secp = Secp256k1::new();
    let good = point_of_secret(&secp, &Secret([1; 32])).unwrap();
    let bad = Point([0xff; 33]);
    assert_eq!(derive_public_key(&secp, &bad, &good), Err(KeyError::InvalidPoint));
    assert_eq!(derive_public_key(&secp, &good, &bad), Err(KeyError::InvalidPoint));
    assert_eq!(revocation_public_key(&secp, &good, &bad), Err(KeyError::InvalidPoint));
    assert_eq!(derive_private_key(&secp, &Secret([1; 32]), &bad), Err(KeyError::InvalidPoint));
    assert_eq!(point_of_secret(&secp, &Secret([0; 32])), Err(KeyError::InvalidSecret));
    assert_eq!(revocation_private_key(&secp, &Secret([1; 32]), &Secret([0xff; 32])), Err(KeyError::InvalidSecret));
}
