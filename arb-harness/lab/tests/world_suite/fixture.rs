//! The fixture against the vectors of BOLT 3, the script interpreter, and the changes that its events carry.

use arb_core::bolt3::{ChannelType, CompactSig, verify_sig};
use arb_core::{Event, HtlcRef, LocalCommitmentSigned, Side};
use arb_lab::fixture::{ChannelFixture, ChannelSetup, Close, FixtureError};
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::secp256k1::{Secp256k1, ecdsa};

use crate::support::{NUMBER, TYPES, chain_with, published};
use crate::vectors::{APPENDIX_C, APPENDIX_F, Published};

fn of(channel_type: ChannelType) -> Published {
    match channel_type {
        ChannelType::StaticRemotekey => APPENDIX_C,
        ChannelType::AnchorsZeroFeeHtlcTx => APPENDIX_F,
    }
}

fn from_der(hex: &str) -> CompactSig {
    let der: Vec<u8> = bitcoin::hex::FromHex::from_hex(hex).unwrap();
    CompactSig(ecdsa::Signature::from_der(&der).unwrap().serialize_compact())
}

fn signed(event: Event) -> LocalCommitmentSigned {
    let Event::LocalCommitmentSigned(signed) = event else { panic!("{event:?}") };
    *signed
}

#[test]
fn the_local_commitment_is_the_published_one_byte_for_byte() {
    for channel_type in TYPES {
        let mut fixture = ChannelFixture::bolt3(channel_type);
        let heard = signed(fixture.local_signed(NUMBER, ChannelFixture::bolt3_state(channel_type)).unwrap());
        let vector = of(channel_type);
        assert_eq!(serialize_hex(&fixture.local_commitment_tx(NUMBER).unwrap()), vector.commitment_tx);
        let [signatures] = heard.signatures.as_slice() else { panic!("one funding") };
        assert_eq!(signatures.commitment, from_der(vector.remote_signature));
        assert_eq!(signatures.htlcs, vector.remote_htlc_signatures.map(from_der));
    }
}

#[test]
fn another_state_is_not_the_published_one() {
    for channel_type in TYPES {
        let mut fixture = ChannelFixture::bolt3(channel_type);
        let mut state = ChannelFixture::bolt3_state(channel_type);
        state.feerate_sat_per_kw += 10;
        fixture.local_signed(NUMBER, state).unwrap();
        assert_ne!(serialize_hex(&fixture.local_commitment_tx(NUMBER).unwrap()), of(channel_type).commitment_tx);
    }
}

#[test]
fn the_published_point_is_ours() {
    let fixture = ChannelFixture::bolt3(ChannelType::StaticRemotekey);
    let published = "025f7117a78150fe2ef97db7cfc83bd57b2e2c0d0dd25eaf467a4a1c2a45ce1486";
    let point: [u8; 33] = bitcoin::hex::FromHex::from_hex(published).unwrap();
    assert_eq!(fixture.setup().local.point(NUMBER).unwrap().0, point);
}

#[test]
fn both_sides_commitments_are_accepted_by_the_chain() {
    for channel_type in TYPES {
        for side in [Side::Local, Side::Remote] {
            let fixture = published(channel_type);
            let mut chain = chain_with(&fixture);
            let tx = fixture.commitment_tx(side, NUMBER).unwrap();
            chain.submit(tx).unwrap();
            assert_eq!(chain.mine().txs.len(), 1, "{channel_type:?} {side:?}");
        }
    }
}

#[test]
fn a_commitment_signed_for_another_channel_is_refused_by_the_chain() {
    let fixture = published(ChannelType::StaticRemotekey);
    let mut setup = ChannelSetup { funding_value_sat: 10_000_001, ..fixture.setup().clone() };
    setup.funding = fixture.setup().funding;
    let mut other = ChannelFixture::new(setup);
    other.sign_unheard(Side::Local, NUMBER, ChannelFixture::bolt3_state(ChannelType::StaticRemotekey));
    let mut chain = chain_with(&fixture);
    assert!(chain.submit(other.local_commitment_tx(NUMBER).unwrap()).is_err(), "signed for another funding value");
}

#[test]
fn the_counterparty_s_signatures_verify_in_output_order() {
    for channel_type in TYPES {
        let fixture = published(channel_type);
        let commitment = fixture.commitment(Side::Local, NUMBER).unwrap();
        let signatures = fixture.signatures(&commitment).unwrap();
        let secp = Secp256k1::new();
        let digest = commitment.built.sighash(fixture.setup().funding_value_sat);
        verify_sig(&secp, &digest, &signatures.commitment, &fixture.setup().remote.funding_point()).unwrap();
        let order = commitment.built.htlcs_in_output_order();
        assert_eq!(order.len(), signatures.htlcs.len());
        for (index, signature) in order.into_iter().zip(signatures.htlcs) {
            assert_eq!(fixture.second_level(&commitment, index).unwrap().other_sig, signature);
        }
    }
}

#[test]
fn events_carry_what_changed_since_the_side_s_last_commitment() {
    let mut fixture = ChannelFixture::bolt3(ChannelType::StaticRemotekey);
    let mut state = ChannelFixture::bolt3_state(ChannelType::StaticRemotekey);
    let four = state.htlcs.pop().unwrap();
    let update = |event| signed(event).update;
    let first = update(fixture.local_signed(42, state.clone()).unwrap());
    assert_eq!((first.added.len(), first.removed.len()), (4, 0));
    state.htlcs.retain(|htlc| htlc.key != HtlcRef::offered(2));
    state.htlcs.push(four.clone());
    let second = update(fixture.local_signed(43, state.clone()).unwrap());
    assert_eq!((second.added, second.removed), (vec![four], vec![HtlcRef::offered(2)]));
    // The changes of the other side's commitments are counted separately.
    let Event::RemoteCommitmentSigned(remote) = fixture.remote_signed(42, state).unwrap() else { panic!() };
    assert_eq!((remote.update.added.len(), remote.update.removed.len()), (4, 0));
    assert_ne!(remote.update.point, second.point);
}

#[test]
fn a_standing_and_the_revocations_after_it_fit_together() {
    let fixture = published(ChannelType::StaticRemotekey);
    let mut secrets = fixture.standing(42, 42).unwrap().secrets;
    assert_eq!(secrets.newest_number(), Some(41));
    let Event::RemoteRevoked(revoked) = fixture.remote_revoked(42).unwrap() else { panic!() };
    secrets.insert(revoked.number, revoked.secret).unwrap();
    assert_eq!(revoked.next_point, fixture.setup().remote.point(44).unwrap());
}

#[test]
fn a_mutual_close_is_accepted_and_names_our_output() {
    let fixture = published(ChannelType::StaticRemotekey);
    let script = |name: &str| arb_harness::keys::WalletKeys::from_seed(&[3; 32]).script_for(name.as_bytes());
    let close = |local_sat, remote_sat| Close {
        local_sat,
        local_script: script("ours"),
        remote_sat,
        remote_script: script("theirs"),
    };
    for (local_sat, remote_sat, ours) in [
        (7_000_000, 2_999_000, Some(1)),
        (2_000_000, 7_999_000, Some(0)),
        (0, 9_999_000, None),
        (9_999_000, 0, Some(0)),
    ] {
        let mutual = fixture.mutual_close(close(local_sat, remote_sat)).unwrap();
        let Event::ClosingSigned(heard) = mutual.event else { panic!() };
        assert_eq!(heard.local_output, ours);
        assert_eq!(heard.tx.compute_txid(), mutual.tx.compute_txid());
        chain_with(&fixture).submit(mutual.tx).unwrap();
    }
    let refused = fixture.mutual_close(close(10_000_000, 1)).unwrap_err();
    assert_eq!(refused, FixtureError::ClosePaysTooMuch { outputs_sat: 10_000_001 });
}

#[test]
fn equal_outputs_stand_for_htlcs_in_rising_order_however_they_were_given() {
    let mut state = ChannelFixture::bolt3_state(ChannelType::StaticRemotekey);
    let one = state.htlcs.swap_remove(1);
    state.htlcs = [7, 6].map(|id| arb_core::Htlc { key: HtlcRef::received(id), ..one.clone() }).to_vec();
    let mut fixture = ChannelFixture::bolt3(ChannelType::StaticRemotekey);
    fixture.sign_unheard(Side::Local, 43, state);
    let commitment = fixture.commitment(Side::Local, 43).unwrap();
    let keys: Vec<_> = commitment.htlcs.iter().map(|htlc| htlc.key).collect();
    assert_eq!(keys, [HtlcRef::received(6), HtlcRef::received(7)]);
    assert_eq!(commitment.built.htlc_vouts, [Some(0), Some(1)]);
}

#[test]
fn what_was_never_signed_is_refused() {
    let fixture = published(ChannelType::StaticRemotekey);
    let refused = fixture.remote_commitment_tx(41).unwrap_err();
    assert_eq!(refused, FixtureError::NoSuchCommitment { side: Side::Remote, number: 41 });
}

#[test]
fn channels_of_one_seed_differ_and_work() {
    for channel_type in TYPES {
        let fixtures = [0, 1]
            .map(|number| ChannelFixture::new(ChannelSetup::from_seed(&[9; 32], number, channel_type, 10_000_000)));
        assert_ne!(fixtures[0].id(), fixtures[1].id());
        assert_ne!(fixtures[0].setup().funding, fixtures[1].setup().funding);
        for mut fixture in fixtures {
            fixture.sign_unheard(Side::Remote, 0, ChannelFixture::bolt3_state(channel_type));
            chain_with(&fixture).submit(fixture.remote_commitment_tx(0).unwrap()).unwrap();
        }
    }
}
