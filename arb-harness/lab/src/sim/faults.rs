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
//! The *market* prices a place in a block, calm or wild, and the estimator knows only its past. An *opponent*, in some worlds,
//! acts on our transactions before every block: outbids, cycles, stalls, pins, fills the mempool, or mines.
//!
//! Left out: transactions that are never relayed, mempools that differ, a signer or a wallet that refuses, a node that lies
//! about its own commitments, a storage that loses what it acknowledged. A reorg that is as deep as the depth at which rights
//! are given up only brings the same blocks back: what it would cost otherwise is no fault of a court.
//!
//! Faults are drawn from a stream of their own, so that the same run can be played without them (I3).

use super::rng::Rng;

/// What happens to the process or its storage in one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The process dies before the append.
    CrashBefore,
    /// The process dies after the append, before any action.
    CrashAfter,
    /// The process dies after the actions, before their answers are heard.
    CrashPerformed,
    /// The append is lost.
    Lost,
    /// The append is durable and reported failed.
    Unreported,
}

/// Draws faults.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    rng: Rng,
    /// In a hundred turns.
    chance: u64,
}

impl Faults {
    /// The faults of a seed; some runs have many, some few.
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed, 2);
        let chance = rng.pick(&[2, 8, 25]).unwrap_or(0);
        Self { rng, chance }
    }

    /// None.
    pub(super) fn none() -> Self {
        Self { rng: Rng::new(0, 2), chance: 0 }
    }

    /// From now on there are none: the healing phase.
    pub(super) fn heal(&mut self) {
        self.chance = 0;
    }

    /// What happens in this turn.
    pub(super) fn draw(&mut self) -> Option<Fault> {
        if !self.rng.percent(self.chance) {
            return None;
        }
        let all = [Fault::CrashBefore, Fault::CrashAfter, Fault::CrashPerformed, Fault::Lost, Fault::Unreported];
        self.rng.pick(&all)
    }
}
