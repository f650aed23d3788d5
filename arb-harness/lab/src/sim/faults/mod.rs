//! The faults, in prose.
//!
//! The *process* dies: before a step is appended (what waited is lost, the node and the chain say it again), after the append
//! and before any action (what was released is due again), or after the actions (their answers are lost, and so are the
//! wallet's reservations). The *storage* fails: a write is lost, or is durable and reported failed all the same; the process
//! lives on, reopens the journal and catches up. The *chain* turns: up to six blocks leave and come back the same, come
//! back without their transactions, or with another commitment in the place of the one that confirmed. The *counterparty*
//! breaks every promise that costs us nothing if we are careful: it closes with any commitment that it ever held, claims what
//! it agreed to fail, dies, and tells preimages late. Before it plays an old commitment it puts HTLCs into it and takes them
//! out of the newer ones again; then it claims in an order of its own, many HTLCs in one transaction, over two channels if it
//! has two, and mines the first blocks itself, with what it likes of ours left out: for less time than its delay, or for more,
//! and what it gets then was not promised. Some channels were running before the court heard of them, and the node may have
//! forgotten what their old commitments were.
//!
//! The *market* prices a place in a block, calm or wild, and the estimator knows only its past. An *adversary*, in some worlds,
//! acts on our transactions before every block: outbids, cycles, stalls, pins, fills the mempool, or mines.
//!
//! Left out: transactions that are never relayed, mempools that differ, a signer or a wallet that refuses, a node that lies
//! about its own commitments, a storage that loses what it acknowledged. A reorg that is as deep as the depth at which rights
//! are given up only brings the same blocks back: what it would cost otherwise is no fault of a court.
//!
//! Process and storage are in [`process`], the chain in [`reorgs`], counterparties that act and mine in [`counterparty`],
//! adversaries in [`adversary`]. Faults are drawn in [`super::plan`], from a stream of their own, so that the same run can be
//! played without them (I3).

mod adversary;
mod counterparty;
mod process;
mod reorgs;
