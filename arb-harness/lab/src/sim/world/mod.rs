//! The world of one run: a chain, one or two channels with their counterparties, a node, and the process that runs the
//! court and may die.

mod build;
pub(crate) mod channel;
mod facts;
pub(crate) mod manners;
pub(crate) mod payment;
pub(crate) mod process;
pub(crate) mod seen;
pub(crate) mod signer;
mod telling;

use arb_core::bolt3::Preimage;
use arb_core::{ChainArbitrator, Event};

use crate::adversary::Adversary;
use crate::chain::Chain;
use crate::notebook::Notebook;
use crate::sim::checks::unclaimed::Sums;
use crate::sim::counts::Counts;
use crate::sim::plan::Plan;
use crate::sim::plan::belief::Belief;
use crate::sim::plan::conditions::Conditions;
use crate::sim::plan::economy::Economy;
use crate::sim::plan::rng::Rng;
use channel::SimChannel;
use payment::{Payment, Preimages};
use process::Process;
use seen::Seen;

/// All state of one run.
pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) plan: Plan,
    pub(crate) conditions: Conditions,
    pub(crate) economy: Economy,
    /// What is hard to believe; `None` in most worlds.
    pub(crate) belief: Option<Belief>,
    /// The channel whose counterparty is the adversary, while it acts.
    pub(crate) adversary: Option<(usize, Adversary)>,
    pub(crate) chain: Chain,
    pub(crate) channels: Vec<SimChannel>,
    pub(crate) node: Notebook,
    pub(crate) payments: Vec<Payment>,
    /// What the node has told of HTLCs, and tells again after a start; empty in worlds that are easy to believe.
    pub(crate) told: Vec<Event>,
    pub(crate) preimages: Preimages,
    pub(crate) process: Process,
    pub(crate) seen: Seen,
    pub(crate) counts: Counts,
    /// What did not come back, and what claims cost.
    pub(crate) sums: Sums,
    pub(crate) trace: Option<Vec<String>>,
    /// How often the process was run until it was idle.
    pub(crate) steps: u64,
}

impl World {
    /// Makes a preimage that no other HTLC of this run has.
    pub(crate) fn new_preimage(&mut self) -> Preimage {
        self.preimages.make()
    }

    /// The court of the live process, or of the process that died.
    pub(crate) fn court(&self) -> Option<&ChainArbitrator> {
        self.process.court()
    }

    /// Queues an event of the node; the process hears it in its next turn.
    pub(crate) fn tell(&mut self, event: Event) {
        if self.remember(&event) {
            self.note(|| format!("told {}", short(&event)));
            self.process.inbox.push(event);
        }
    }

    /// Queues the present fee estimate.
    pub(crate) fn tell_fees(&mut self) {
        let estimate = self.conditions.estimate(&self.chain, self.plan.feerate_sat_per_kw);
        self.process.inbox.push(estimate);
    }

    /// Adds a line to the trace, if there is one.
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        let height = self.chain.tip().0;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{height}: {}", line()));
        }
    }
}

/// The first 160 characters of an event, for the trace.
pub(crate) fn short(event: &Event) -> String {
    let mut text = format!("{event:?}");
    let end = text.char_indices().map(|(index, _)| index).nth(160).unwrap_or(text.len());
    text.truncate(end);
    text
}
