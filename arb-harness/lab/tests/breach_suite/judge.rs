//! What must hold at the end of every cell, seen from the chain and from the node.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use arb_core::bolt3::{ChannelType, OutputKind, SpendPath, classify_spend};
use arb_core::{
    Acknowledged, Alert, BroadcastAnswer, BroadcastRejection, ChannelId, CloseKind, Conclusion, ContractKind,
    ContractOutcome, ContractReport, Event, HtlcKey, HtlcRef, Sheet, Side, TakenBy,
};
use arb_lab::balance_oracle::{self, Knowledge, Known};
use arb_lab::check::check;
use arb_lab::fixture::{ChannelFixture, Commitment};
use bitcoin::{OutPoint, Txid};

use crate::cell::{Behaviour, Cell, KNOWN, NEWEST, REVOKED};
use crate::world::{PEER_COINS_SAT, Played, hash_of, play};

/// What must be equal with and without restarts.
#[derive(Debug, PartialEq, Eq)]
struct Ending {
    contracts: BTreeMap<(ChannelId, ContractKind, Option<HtlcRef>), ContractOutcome>,
    outcomes: BTreeMap<HtlcKey, Acknowledged>,
    sheets: BTreeMap<ChannelId, Sheet>,
}

/// Plays a cell with and without restarts; an error says what is wrong.
pub fn judge(cell: Cell) -> Result<(), String> {
    let [without, with] = [false, true].map(|restarts| {
        let ending = catch_unwind(AssertUnwindSafe(|| {
            let played = play(cell, restarts);
            assert!(
                played.restarts.0 == played.restarts.1 && (played.restarts.0 > 0) == restarts,
                "{:?}",
                played.restarts
            );
            ending(cell, &played)
        }));
        ending.map_err(|why| {
            let said = why.downcast_ref::<String>().map(String::as_str).or_else(|| why.downcast_ref::<&str>().copied());
            format!("{cell:?}, restarts: {restarts}: {}", said.unwrap_or_default())
        })
    });
    if without? == with? { Ok(()) } else { Err(format!("{cell:?}: restarts change the end")) }
}

fn ending(cell: Cell, played: &Played) -> Ending {
    for fixture in &played.fixtures {
        let revoked = fixture.commitment(Side::Remote, REVOKED).unwrap();
        raced_as_meant(cell, played, &revoked);
        all_ends_with_us(played, &revoked);
        contracts(played, fixture, &revoked);
        balances(played, fixture);
        alerts(played, fixture, &revoked);
    }
    shared_as_meant(cell, played);
    // The peer's wallet must not have gained anything: it has at most the coins that it began with.
    assert!(played.chain.value_of_unspent(&played.peers) <= PEER_COINS_SAT);
    upstream_outcomes(cell, played);
    answers(played);
    check(&played.court, &played.frames).unwrap_or_else(|failure| panic!("{failure}\n{failure:#?}"));
    let mut contracts = BTreeMap::new();
    for (channel, report) in &played.node.reports {
        assert_eq!(contracts.insert((*channel, report.kind, report.htlc), report.outcome), None, "{report:?}");
    }
    let outcomes = played.node.origins.iter().map(|(key, (done, _))| (*key, *done)).collect();
    Ending { contracts, outcomes, sheets: played.node.sheets.clone() }
}

fn htlc_outputs(commitment: &Commitment) -> impl Iterator<Item = (HtlcRef, OutPoint)> {
    let outputs = commitment.htlcs.iter().enumerate();
    outputs.filter_map(|(index, htlc)| Some((htlc.key, commitment.htlc_output(index).ok()?.0)))
}

fn spend_of(played: &Played, outpoint: OutPoint) -> (SpendPath, Txid, usize) {
    let (_, txid, input) = played.chain.spender_of(&outpoint).unwrap_or_else(|| panic!("{outpoint} is unspent"));
    let spent = &played.chain.confirmed(&outpoint.txid).unwrap().1.output[usize::try_from(outpoint.vout).unwrap()];
    let witness = &played.chain.confirmed(&txid).unwrap().1.input[input].witness;
    (classify_spend(&spent.script_pubkey, witness), txid, input)
}

/// The peer got exactly the HTLC outputs that the cell gives it.
fn raced_as_meant(cell: Cell, played: &Played, revoked: &Commitment) {
    for (htlc, outpoint) in htlc_outputs(revoked) {
        let by_peer = match spend_of(played, outpoint).0 {
            SpendPath::SecondLevelSuccess(_) => htlc.is_offered().then_some(true),
            SpendPath::SecondLevelTimeout => (!htlc.is_offered()).then_some(true),
            SpendPath::Revocation => Some(false),
            _ => None,
        };
        assert_eq!(by_peer, Some(cell.is_taken_by_peer(htlc, cell.reorg)), "{htlc}");
    }
}

/// The peer took its HTLCs in the number of transactions that the cell says: one for each locktime, over both channels, or
/// one for each HTLC.
fn shared_as_meant(cell: Cell, played: &Played) {
    let mut by_peer: BTreeMap<bool, Vec<Txid>> = BTreeMap::new();
    for fixture in &played.fixtures {
        for (htlc, outpoint) in htlc_outputs(&fixture.commitment(Side::Remote, REVOKED).unwrap()) {
            let (path, txid, _) = spend_of(played, outpoint);
            if path != SpendPath::Revocation {
                by_peer.entry(htlc.is_offered()).or_default().push(txid);
            }
        }
    }
    let shares = matches!(cell.behaviour, Behaviour::Aggregated | Behaviour::TwoChannels)
        && cell.channel_type == ChannelType::AnchorsZeroFeeHtlcTx;
    for txids in by_peer.values() {
        let different = txids.iter().collect::<BTreeSet<_>>().len();
        assert_eq!(different, if shares { 1 } else { txids.len() }, "{txids:?}");
    }
}

/// Every output but the anchors ends under a script of ours, through at most one HTLC transaction of the peer.
fn all_ends_with_us(played: &Played, revoked: &Commitment) {
    for (vout, kind) in (0..).zip(&revoked.built.outputs) {
        let mut outpoint = revoked.outpoint(vout);
        match kind {
            OutputKind::OwnerAnchor | OutputKind::OtherAnchor => continue,
            OutputKind::Htlc(_) => {
                let (path, txid, input) = spend_of(played, outpoint);
                if matches!(path, SpendPath::SecondLevelSuccess(_) | SpendPath::SecondLevelTimeout) {
                    // Its output has the index of its input (SIGHASH_SINGLE).
                    outpoint = OutPoint::new(txid, u32::try_from(input).unwrap());
                }
            }
            OutputKind::ToOwner | OutputKind::ToOther => {}
        }
        let (_, txid, _) = spend_of(played, outpoint);
        for output in &played.chain.confirmed(&txid).unwrap().1.output {
            assert!(played.ours.contains(&output.script_pubkey), "{kind:?} {outpoint} goes to {output:?}");
        }
    }
}

/// One report for each output that can be ours, and one for each HTLC of the newest commitment without an output.
fn contracts(played: &Played, fixture: &ChannelFixture, revoked: &Commitment) {
    let mut expected = BTreeMap::new();
    for kind in &revoked.built.outputs {
        let (contract, taken_by) = match *kind {
            OutputKind::ToOwner => ((ContractKind::RevokedToLocal, None), TakenBy::Us),
            OutputKind::ToOther => ((ContractKind::ToRemote, None), TakenBy::Us),
            OutputKind::Htlc(index) => ((ContractKind::Htlc, Some(revoked.htlcs[index].key)), TakenBy::Us),
            OutputKind::OtherAnchor => ((ContractKind::Anchor, None), TakenBy::Nobody),
            OutputKind::OwnerAnchor => continue,
        };
        expected.insert(contract, taken_by);
    }
    let newest = &fixture.states(Side::Remote)[&NEWEST].htlcs;
    for htlc in newest {
        expected.entry((ContractKind::Htlc, Some(htlc.key))).or_insert(TakenBy::Nobody);
    }
    let reports = || played.node.reports.iter().filter(|(channel, _)| *channel == fixture.id()).map(|(_, own)| own);
    let of = |report: &ContractReport| ((report.kind, report.htlc), report.outcome.taken_by());
    assert_eq!(reports().map(of).collect::<BTreeMap<_, _>>(), expected);
    assert_eq!(reports().count(), expected.len());
    for report in reports() {
        assert_eq!(report.close, CloseKind::Revoked, "{report:?}");
        assert_ne!(report.outcome, ContractOutcome::Unclaimed, "{report:?}");
    }
}

/// The court's sheet equals the sheet that the oracle takes from the chain, and nothing is lost (I11).
fn balances(played: &Played, fixture: &ChannelFixture) {
    let (ours, usable_since) = (&played.ours, &BTreeMap::new());
    let known = Known { fixture, ours, usable_since, commitment: Knowledge::Revoked };
    let oracle = balance_oracle::sheet(&played.chain, &known).unwrap().unwrap();
    let sheet = played.node.sheets[&fixture.id()];
    assert_eq!(sheet, oracle, "the court's sheet is not the oracle's");
    assert!(sheet.balances() && sheet.lost_sat == 0 && sheet.contested_unclaimed_sat == 0, "{sheet:?}");
}

/// The only alert says that a revoked commitment confirmed: nothing is lost, late, refused or unknown.
fn alerts(played: &Played, fixture: &ChannelFixture, revoked: &Commitment) {
    let alerts = played.node.alerts.iter().filter(|(channel, _)| *channel == fixture.id()).map(|(_, alert)| alert);
    let expected = Alert::RevokedCommitment { number: REVOKED, txid: revoked.built.txid };
    assert_eq!(alerts.collect::<Vec<_>>(), [&expected]);
    assert!(played.node.damage.is_empty(), "{:?}", played.node.damage);
}

/// Every HTLC that we sent and that is on the newest commitment has one outcome: settled if we knew its preimage or the peer
/// showed it in time, else failed. The world checks the time in every block.
fn upstream_outcomes(cell: Cell, played: &Played) {
    assert!(played.node.contradictions.is_empty(), "{:?}", played.node.contradictions);
    let mut expected = BTreeMap::new();
    for fixture in &played.fixtures {
        for htlc in cell.outgoing() {
            let key = HtlcKey { channel: fixture.id(), htlc };
            let settled = htlc == KNOWN || cell.is_shown(false);
            expected.insert(key, if settled { Acknowledged::Settled } else { Acknowledged::Failed });
            let shown = htlc != KNOWN && cell.is_shown(true);
            assert_eq!(played.shown.contains(&hash_of(&played.fixtures, &key)), shown, "{htlc}");
        }
    }
    let outcomes: BTreeMap<_, _> = played.node.origins.iter().map(|(key, (done, _))| (*key, *done)).collect();
    assert_eq!(outcomes, expected);
    let records = played.frames.iter().flat_map(|frame| &frame.entries).flat_map(|entry| &entry.concluded);
    let mut released = BTreeSet::new();
    for record in records {
        if let Conclusion::Released { htlc, .. } = record.what {
            assert!(released.insert((record.channel, htlc)), "{htlc} twice");
        }
    }
    assert_eq!(released.len(), expected.len());
}

/// Every transaction of ours was accepted or lost a race; none was invalid.
fn answers(played: &Played) {
    for event in played.frames.iter().flat_map(|frame| &frame.entries).map(|entry| &entry.heard) {
        if let Event::BroadcastAnswered { answer: BroadcastAnswer::Rejected(why), .. } = event {
            assert_eq!(*why, BroadcastRejection::ConflictInMempool, "{event:?}");
        }
        assert!(!matches!(event, Event::SigningRefused { .. } | Event::Failed { .. }), "{event:?}");
    }
}
