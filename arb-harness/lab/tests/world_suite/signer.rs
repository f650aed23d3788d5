//! The signer's signatures under the script interpreter, and the requests that it refuses.

use arb_core::bolt3::{ChannelType, CompactSig, OutputKind, Point, witness};
use arb_core::{ActionId, ChannelId, InputSignature, InputToSign, Side, SignRequest, SigningKey};
use arb_harness::keys::WalletKeys;
use arb_harness::signer::{KeySigner, SignError, Signer};
use arb_lab::chain::Chain;
use arb_lab::fixture::{ChannelFixture, Commitment};
use arb_lab::wallet::SmallWallet;
use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, EcdsaSighashType, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};

use crate::support::{NUMBER, TYPES, chain_with, published};

fn signer(fixture: &ChannelFixture) -> KeySigner {
    let mut signer = KeySigner::new(WalletKeys::from_seed(&[5; 32]));
    signer.add_channel(fixture.id(), fixture.setup().funding, fixture.setup().local.clone());
    signer
}

fn spend(outpoint: OutPoint, txout: &TxOut, sequence: u32, lock_time: u32) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::from_consensus(lock_time),
        input: vec![TxIn {
            previous_output: outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence(sequence),
            witness: Witness::new(),
        }],
        output: vec![TxOut { value: txout.value / 2, script_pubkey: WalletKeys::from_seed(&[5; 32]).script_for(b"x") }],
    }
}

fn request(
    fixture: &ChannelFixture,
    tx: &Transaction,
    spent: &TxOut,
    key: SigningKey,
    script: &ScriptBuf,
) -> SignRequest {
    SignRequest {
        id: ActionId([0; 16]),
        channel: fixture.id(),
        tx: tx.clone(),
        prevouts: vec![spent.clone()],
        inputs: vec![InputToSign { index: 0, key, script: script.clone(), sighash: EcdsaSighashType::All }],
    }
}

fn channel_sig(answer: &[InputSignature]) -> CompactSig {
    match answer {
        [InputSignature::Channel(signature)] => *signature,
        other => panic!("{other:?}"),
    }
}

fn output(commitment: &Commitment, kind: OutputKind) -> (OutPoint, TxOut, Option<ScriptBuf>) {
    let vout = commitment.built.outputs.iter().position(|found| *found == kind).unwrap();
    let outpoint = commitment.outpoint(u32::try_from(vout).unwrap());
    (outpoint, commitment.built.tx.output[vout].clone(), commitment.scripts[vout].clone())
}

fn mined(fixture: &ChannelFixture, owner: Side, blocks: u32) -> Chain {
    let mut chain = chain_with(fixture);
    chain.mine_txs(vec![fixture.commitment_tx(owner, NUMBER).unwrap()]).unwrap();
    (0..blocks).for_each(|_| drop(chain.mine()));
    chain
}

#[test]
fn our_commitment_with_the_signer_s_signature_is_the_fixture_s() {
    for channel_type in TYPES {
        let fixture = published(channel_type);
        let commitment = fixture.commitment(Side::Local, NUMBER).unwrap();
        let setup = fixture.setup();
        let key = SigningKey::Funding(setup.funding);
        let request = request(&fixture, &commitment.built.tx, &setup.funding_txout(), key, &setup.funding_script());
        let ours = channel_sig(&signer(&fixture).sign(&request).unwrap());
        let theirs = fixture.signatures(&commitment).unwrap().commitment;
        let mut tx = commitment.built.tx;
        tx.input[0].witness =
            witness::commitment(&setup.local.funding_point(), &ours, &setup.remote.funding_point(), &theirs);
        assert_eq!(tx, fixture.local_commitment_tx(NUMBER).unwrap());
    }
}

#[test]
fn the_balance_on_either_commitment_is_spent_with_its_signature() {
    for channel_type in TYPES {
        let fixture = published(channel_type);
        let ours = fixture.commitment(Side::Local, NUMBER).unwrap();
        let (outpoint, txout, script) = output(&ours, OutputKind::ToOwner);
        let script = script.unwrap();
        let mut tx = spend(outpoint, &txout, 144, 0);
        let key = SigningKey::DelayedPayment(ours.built.keys.per_commitment_point);
        let sig = channel_sig(&signer(&fixture).sign(&request(&fixture, &tx, &txout, key, &script)).unwrap());
        tx.input[0].witness = witness::delayed(&sig, &script);
        mined(&fixture, Side::Local, 143).submit(tx).unwrap();

        let theirs = fixture.commitment(Side::Remote, NUMBER).unwrap();
        let (outpoint, txout, script) = output(&theirs, OutputKind::ToOther);
        let signed_script = script.clone().unwrap_or(txout.script_pubkey.clone());
        let mut tx = spend(outpoint, &txout, 1, 0);
        let request = request(&fixture, &tx, &txout, SigningKey::Payment, &signed_script);
        let sig = channel_sig(&signer(&fixture).sign(&request).unwrap());
        let payment = fixture.setup().local.basepoints().payment;
        tx.input[0].witness = witness::to_remote(&sig, &payment, script.as_deref());
        mined(&fixture, Side::Remote, 0).submit(tx).unwrap();
    }
}

#[test]
fn an_htlc_of_theirs_is_claimed_with_its_signature() {
    for channel_type in TYPES {
        let fixture = published(channel_type);
        let theirs = fixture.commitment(Side::Remote, NUMBER).unwrap();
        let index = theirs.htlcs.iter().position(|htlc| !htlc.key.is_offered()).unwrap();
        let (outpoint, txout, script) = theirs.htlc_output(index).unwrap();
        let mut tx = spend(outpoint, txout, 1, 0);
        let key = SigningKey::Htlc(theirs.built.keys.per_commitment_point);
        let sig = channel_sig(&signer(&fixture).sign(&request(&fixture, &tx, txout, key, script)).unwrap());
        let preimage = ChannelFixture::bolt3_preimages()[&theirs.htlcs[index].key];
        tx.input[0].witness = witness::direct_preimage(&sig, &preimage, script);
        mined(&fixture, Side::Remote, 0).submit(tx).unwrap();
    }
}

#[test]
fn a_coin_of_the_wallet_is_spent_with_its_signature() {
    let fixture = published(ChannelType::AnchorsZeroFeeHtlcTx);
    let mut chain = chain_with(&fixture);
    let script = SmallWallet::from_seed(&[5; 32]).deposit_script();
    let coin = chain.mint(script.clone(), 10_000);
    let txout = TxOut { value: Amount::from_sat(10_000), script_pubkey: script.clone() };
    let mut tx = spend(coin, &txout, 0xffff_fffd, 0);
    let request = request(&fixture, &tx, &txout, SigningKey::Wallet(coin), &script);
    let answer = signer(&fixture).sign(&request).unwrap();
    let [InputSignature::Wallet { signature, key }] = answer.as_slice() else { panic!("{answer:?}") };
    tx.input[0].witness = witness::to_remote(signature, key, None);
    chain.submit(tx).unwrap();
}

#[test]
fn the_same_request_has_the_same_signature() {
    let fixture = published(ChannelType::StaticRemotekey);
    let commitment = fixture.commitment(Side::Local, NUMBER).unwrap();
    let (outpoint, txout, script) = output(&commitment, OutputKind::ToOwner);
    let key = SigningKey::DelayedPayment(commitment.built.keys.per_commitment_point);
    let tx = spend(outpoint, &txout, 144, 0);
    let request = request(&fixture, &tx, &txout, key, &script.unwrap());
    assert_eq!(signer(&fixture).sign(&request), signer(&fixture).sign(&request));
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let fixture = published(ChannelType::StaticRemotekey);
    let commitment = fixture.commitment(Side::Local, NUMBER).unwrap();
    let point = commitment.built.keys.per_commitment_point;
    let (outpoint, txout, script) = output(&commitment, OutputKind::ToOwner);
    let (script, tx) = (script.unwrap(), spend(outpoint, &txout, 144, 0));
    let good = request(&fixture, &tx, &txout, SigningKey::DelayedPayment(point), &script);
    let refusal = |change: &dyn Fn(&mut SignRequest)| {
        let mut request = good.clone();
        change(&mut request);
        signer(&fixture).sign(&request).unwrap_err()
    };
    assert!(signer(&fixture).sign(&good).is_ok());
    let other = ChannelId([1; 32]);
    assert_eq!(refusal(&|request| request.channel = other), SignError::UnknownChannel(other));
    assert_eq!(refusal(&|request| request.inputs[0].index = 1), SignError::NoSuchInput { index: 1 });
    assert_eq!(refusal(&|request| request.prevouts.clear()), SignError::Prevouts { inputs: 1, prevouts: 0 });
    let funding = SigningKey::Funding(outpoint);
    assert_eq!(refusal(&|request| request.inputs[0].key = funding), SignError::UnknownFunding(outpoint));
    let not_in_it = [
        SigningKey::Payment,
        SigningKey::Htlc(point),
        SigningKey::Funding(fixture.setup().funding),
        SigningKey::DelayedPayment(fixture.setup().local.point(7).unwrap()),
    ];
    for key in not_in_it {
        assert_eq!(refusal(&|request| request.inputs[0].key = key), SignError::KeyNotInScript { index: 0 });
    }
    let no_point = SigningKey::Htlc(Point([9; 33]));
    assert!(matches!(refusal(&|request| request.inputs[0].key = no_point), SignError::Key(_)));
    let elsewhere = fixture.setup().funding_script();
    assert_eq!(refusal(&|request| request.inputs[0].script = elsewhere.clone()), SignError::OtherScript { index: 0 });
    let wallet = SigningKey::Wallet(outpoint);
    assert_eq!(refusal(&|request| request.inputs[0].key = wallet), SignError::UnknownCoin(outpoint));
}

#[test]
fn a_p2wpkh_output_of_another_key_is_refused() {
    let fixture = published(ChannelType::StaticRemotekey);
    let ours = fixture.commitment(Side::Local, NUMBER).unwrap();
    // `to_remote` on our own commitment is the counterparty's.
    let (outpoint, txout, _) = output(&ours, OutputKind::ToOther);
    let tx = spend(outpoint, &txout, 1, 0);
    let mut request = request(&fixture, &tx, &txout, SigningKey::Payment, &txout.script_pubkey);
    assert_eq!(signer(&fixture).sign(&request), Err(SignError::KeyNotInScript { index: 0 }));
    let own = fixture.commitment(Side::Remote, NUMBER).unwrap();
    request.inputs[0].script = output(&own, OutputKind::ToOther).1.script_pubkey;
    assert_eq!(signer(&fixture).sign(&request), Err(SignError::OtherScript { index: 0 }));
}
