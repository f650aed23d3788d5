//! The faults of the simulator, in prose.
//!
//! - The *process* dies. Before a step is appended: what waited is lost, and node and chain report it again. After the
//!   append and before any action: what was released is due again. After the actions: their answers are lost, and so are
//!   the wallet's reservations.
//! - The *storage* fails. A write is lost, or it is durable but reported as failed. The process lives on, reopens the
//!   journal and catches up.
//! - The *chain* reorganises. Up to six blocks are disconnected. The same blocks follow, or empty ones, or blocks with
//!   another close in the place of the one that confirmed.
//! - The *counterparty* breaks every promise that a careful court survives. It closes with any commitment that it ever
//!   held, claims HTLCs that it agreed to fail, stops acting, and reveals preimages late. Before it publishes a revoked
//!   commitment it adds HTLCs and removes them from the newer ones again. Then it claims in an order of its own, with many
//!   HTLCs in one transaction, and over two channels if it has two. It may mine the first blocks itself and leave our
//!   claims out: if that lasts longer than its delay, I14 does not promise what it takes.
//! - Some *channels* were running before the court heard of them, and the node may have lost the records of their past
//!   commitments.
//! - The *market* sets the price of block space, calm or wild; the estimator knows only its past.
//! - An *adversary*, in some worlds, acts on our transactions before every block: it outbids, cycles, stalls, pins, fills
//!   the mempool, or mines.
//!
//! - Our *wallet*, in some worlds, has one to three coins and no more. One that it believes in may be gone, and the signer
//!   may refuse whatever spends another one. There the *node* refuses some batches of claims for a reason that nothing explains,
//!   and has no carve-out. In some of these worlds many claims with one deadline queue for the coins.
//!
//! - In worlds that are drawn for what the court believes, the *node* tells everything again after every start, acknowledges
//!   outcomes up to 500 blocks late, and tells something else of a revoked commitment first. Channels join late: in the middle
//!   of an update, or after their close. The *journal* may come from a backup, and the node's own store may be as old.
//!   *Searches* are answered late, also after a reorg. A *mempool* shows preimages that no block ever has.
//!
//! Left out: transactions that are never relayed, mempools that differ, a signer that refuses a claim, a node that lies
//! about its own commitments, a storage that loses what it acknowledged. A reorg as deep as the depth at which rights are
//! given up only brings the same blocks back: no court could answer another close that late.
//!
//! Process and storage are in [`process`], the chain in [`reorgs`], counterparties that submit and mine in
//! [`counterparty`], the adversary in [`adversary`], backups in [`backup`]. Wallet, signer and node are drawn in
//! [`economy`](super::plan::economy), the faults of process and storage are drawn in
//! [`faults`](super::plan::faults).

mod adversary;
mod backup;
mod counterparty;
mod process;
mod reorgs;
