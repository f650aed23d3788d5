//! The transactions and scripts of BOLT 3, built and read back.
//!
//! Two channel types: `option_static_remotekey`, and `option_anchors` with zero-fee HTLC transactions. Everything is a pure
//! function of its arguments: no randomness, no chain, no signing. The same terms always give the same bytes, which lets
//! the court prove whose commitment confirmed.
//!
//! Words: the *owner* holds and broadcasts a commitment transaction, the *other* side is its counterparty. BOLT 3 says
//! "local" and "remote", which change sides with the reader.
//!
//! Not here: taproot channels, version 3 (zero-fee) commitments, closing transactions, and any policy on fees.
//!
//! Tests: arb-core/tests/bolt3_appendix_c_f.rs, arb-core/tests/bolt3_appendix_d_e.rs, arb-core/tests/bolt3_interpreter.rs,
//! arb-core/tests/bolt3_incidents.rs

mod commitment;
mod keys;
mod number;
mod scripts;
mod second_level;
mod secrets;
mod spend;
mod terms;
mod types;
mod weight;
pub mod witness;

pub use commitment::{BuiltCommitment, CommitmentTerms, OutputKind, is_trimmed};
pub use keys::{
    Basepoints, CommitmentKeys, KeyError, derive_private_key, derive_public_key, point_of_secret,
    revocation_private_key, revocation_public_key,
};
pub use number::{COMMITMENT_NUMBER_MAX, ObscureFactor};
pub use scripts::{
    ANCHOR_SAT, anchor_script, delayed_script, funding_redeem_script, offered_htlc_script, p2wpkh,
    received_htlc_script, to_remote_script, to_remote_script_pubkey,
};
pub use second_level::{counterparty_sighash_type, htlc_script, second_level_fee_sat, second_level_tx};
pub use secrets::{SecretError, SecretStore, commitment_secret};
pub use spend::{ScriptTemplate, SpendPath, classify_spend, legible_witness, parse_script, preimages_in, revealed_by};
pub use terms::{CommitmentError, CommitmentHtlc, HTLC_EXPIRY_LIMIT};
pub use types::{ChannelType, CompactSig, PaymentHash, Point, Preimage, Secret};
pub use weight::{
    ClaimPath, HTLC_OUTPUT_WEIGHT, INPUT_BASE_WEIGHT, SIGNATURE_SIZE_MAX, claim_witness_weight, commitment_weight,
    widest_script_len,
};
pub use witness::{SighashError, sighash_p2wpkh, sighash_p2wsh, verify_sig};
