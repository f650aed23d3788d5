//! Commitments that are changed, crossing, or revoked late (R14, I5).

use arb_core::{ChainArbitrator, Event, FailReason, Heard, Htlc, HtlcKey, HtlcRef, Link, Standing, Upstream};

use arb_lab::process::all_told;

use crate::support::{
    block, blocks_to, channel, court, fixture, hash, hear, learned, offered, open, received, scanned, state, to_sign,
    try_hear,
};

/// R14: an update with another HTLC under the same id and amount is no duplicate.
#[test]
fn a_changed_payment_hash_is_no_duplicate() {
    let (mut court, mut fixture) = (court(), fixture(1));
    open(&mut court, &mut fixture, Vec::new());
    let event = fixture.remote_signed(1, state(vec![offered(0, 50_000, 300, 1)])).unwrap();
    hear(&mut court, &event);
    assert_eq!(try_hear(&mut court, &event), Ok(Heard::Duplicate));
    let Event::RemoteCommitmentSigned(mut other) = event else { panic!() };
    other.update.added[0].payment_hash = hash(2);
    assert!(try_hear(&mut court, &Event::RemoteCommitmentSigned(other.clone())).is_err());
    // Nor is an update without the HTLC.
    other.update.added.clear();
    assert_ne!(try_hear(&mut court, &Event::RemoteCommitmentSigned(other)), Ok(Heard::Duplicate));
}

/// Two running channels can both be adopted if each has an HTLC that was forwarded from the other.
#[test]
fn channels_with_crossing_forwards_are_adopted() {
    let (mut court, mut one, mut other) = (court(), fixture(1), fixture(2));
    let from = |upstream: HtlcKey, secret| Htlc { link: Link::Forward(upstream), ..offered(0, 40_000, 300, secret) };
    let upstream = |channel| HtlcKey { channel, htlc: HtlcRef::received(0) };
    let (first, second) = (from(upstream(other.id()), 2), from(upstream(one.id()), 1));
    hear(&mut court, &one.opened(Standing::default()));
    hear(&mut court, &other.opened(Standing::default()));
    hear(&mut court, &all_told());
    hear(&mut court, &one.local_signed(0, state(vec![first, received(0, 50_000, 400, 1)])).unwrap());
    hear(&mut court, &other.local_signed(0, state(vec![second, received(0, 50_000, 400, 2)])).unwrap());
}

/// A counterparty that revokes the commitment which it published does not stop our claims.
#[test]
fn revoking_a_confirmed_commitment_stops_no_claim() {
    let (mut court, mut fixture) = (court(), fixture(1));
    open(&mut court, &mut fixture, vec![received(0, 1_000_000, 300, 1)]);
    hear(&mut court, &fixture.remote_signed(1, state(Vec::new())).unwrap());
    let tx = fixture.remote_commitment_tx(0).unwrap();
    let txid = tx.compute_txid();
    hear(&mut court, &learned(&fixture, HtlcRef::received(0), 1));
    hear(&mut court, &block(101, 101, vec![tx]));
    blocks_to(&mut court, 103);
    let claims = |court: &ChainArbitrator| {
        let spends = |tx: &bitcoin::Transaction| tx.input.iter().any(|input| input.previous_output.txid == txid);
        to_sign(court).iter().filter(|tx| spends(tx)).count()
    };
    let before = claims(&court);
    assert!(before >= 1);
    hear(&mut court, &fixture.remote_revoked(0).unwrap());
    // The old claims continue, and the counterparty's main output is claimed too.
    assert!(claims(&court) > before, "{before}");
}

/// I5: a commitment that is revoked after it confirmed fails its HTLCs only once it is buried, and as a revoked close.
#[test]
fn a_commitment_revoked_after_it_confirmed_fails_what_it_holds_when_it_is_buried() {
    let (mut court, mut fixture) = (court(), fixture(1));
    hear(&mut court, &fixture.opened(Standing::default()));
    hear(&mut court, &fixture.adopted());
    hear(&mut court, &scanned(&fixture, fixture.setup().funding.txid, 100));
    hear(&mut court, &fixture.remote_signed(0, state(vec![offered(0, 1_000_000, 300, 1)])).unwrap());
    hear(&mut court, &fixture.local_signed(0, state(Vec::new())).unwrap());
    hear(&mut court, &fixture.remote_signed(1, state(Vec::new())).unwrap());
    // The counterparty publishes the commitment with the HTLC, and revokes it afterwards.
    let tx = fixture.remote_commitment_tx(0).unwrap();
    hear(&mut court, &block(101, 101, vec![tx.clone()]));
    hear(&mut court, &scanned(&fixture, tx.compute_txid(), 101));
    hear(&mut court, &fixture.remote_revoked(0).unwrap());
    assert_eq!(channel(&court, &fixture).released().count(), 0);
    blocks_to(&mut court, 102);
    assert_eq!(channel(&court, &fixture).released().count(), 0);
    blocks_to(&mut court, 110);
    let failed = Upstream::Failed(FailReason::Revoked);
    let released: Vec<Upstream> = channel(&court, &fixture).released().map(|(_, outcome, _)| outcome).collect();
    assert_eq!(released, [failed]);
}
