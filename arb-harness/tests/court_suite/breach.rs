//! Revoked commitments: recognised, rebuilt from the log's rows, every output taken, through the cheat's second level.

use std::collections::BTreeSet;

use arb_core::{CloseKind, ContractKind, Link};
use arb_harness::fixture::ChannelFixture;
use bitcoin::{OutPoint, Transaction, TxOut};

use crate::bench::{Bench, START, TYPES, channel, offered, received};

/// A channel whose revoked commitment 0 has an HTLC each way, and whose newer ones have none.
fn cheated(channel_type: arb_core::bolt3::ChannelType) -> (Bench, ChannelFixture, Transaction) {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, channel_type));
    bench.open(&mut fixture, &[offered(0, 50_000, 1, 450, Link::Own), received(0, 70_000, 2, 460)]);
    bench.update(&mut fixture, 1, &[]);
    let revoked = fixture.remote_commitment_tx(0).unwrap();
    (bench, fixture, revoked)
}

/// What our transactions of the last block spend, each run by the interpreter over the transactions that it builds on.
fn spent(bench: &Bench, parents: &[&Transaction]) -> BTreeSet<OutPoint> {
    let tip = bench.tip();
    let ours = bench.sent.iter().filter(|(at, _)| *at == tip).map(|(_, tx)| tx);
    let mut spent = BTreeSet::new();
    for tx in ours {
        let prevouts: Vec<TxOut> = tx
            .input
            .iter()
            .map(|input| {
                let parent = parents.iter().find(|parent| parent.compute_txid() == input.previous_output.txid);
                parent.unwrap().output[input.previous_output.vout as usize].clone()
            })
            .collect();
        let bytes = bitcoin::consensus::serialize(tx);
        for (input, prevout) in prevouts.iter().enumerate() {
            let (script, sat) = (prevout.script_pubkey.as_bytes(), prevout.value.to_sat());
            bitcoinconsensus::verify(script, sat, &bytes, None, input).unwrap();
        }
        spent.extend(tx.input.iter().map(|input| input.previous_output));
    }
    spent
}

#[test]
fn every_output_of_a_revoked_commitment_is_taken() {
    for channel_type in TYPES {
        let (mut bench, fixture, revoked) = cheated(channel_type);
        bench.block(std::slice::from_ref(&revoked));
        assert_eq!(bench.close_kind(&fixture), Some(CloseKind::Revoked));
        let txid = revoked.compute_txid();
        let docket = bench.docket(&fixture);
        let kinds: Vec<ContractKind> = docket.contracts.iter().map(|contract| contract.kind).collect();
        assert_eq!(kinds.iter().filter(|kind| **kind == ContractKind::Htlc).count(), 2, "{kinds:?}");
        assert!(kinds.contains(&ContractKind::RevokedToLocal) && kinds.contains(&ContractKind::ToRemote));
        let spent = spent(&bench, &[&revoked]);
        for (vout, output) in revoked.output.iter().enumerate() {
            let is_anchor = output.value.to_sat() == 330;
            let outpoint = OutPoint::new(txid, u32::try_from(vout).unwrap());
            assert_eq!(spent.contains(&outpoint), !is_anchor, "{channel_type:?} output {vout}");
        }
        assert_eq!(bench.tip(), START + 1);
    }
}
