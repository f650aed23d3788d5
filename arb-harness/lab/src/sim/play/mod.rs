//! What happens in a turn of the world: acts become updates, messages, preimages, blocks and closes.

mod blocks;
mod closes;
mod dance;
mod finish;
mod joining;
mod node;
mod opening;
mod publish;
mod queue;
mod revoked;
mod showing;
#[cfg(test)]
mod stories;
mod updates;

use crate::sim::plan::act::Act;
use crate::sim::plan::conditions::FLAT_MOST;
use crate::sim::violation::Violation;
use crate::sim::world::World;

impl World {
    /// Carries an act out, if it is possible now.
    pub(crate) fn act(&mut self, act: Act) -> Result<(), Violation> {
        self.note(|| format!("{act:?}"));
        match act {
            Act::Mine(blocks) => self.mine(blocks)?,
            Act::Receive => self.receive(),
            Act::Pay => self.pay(),
            Act::Forward => self.forward(),
            Act::Dance(messages) => {
                for _ in 0..messages {
                    self.dance()?;
                }
            }
            Act::PeerFulfils => self.peer_ends(true),
            Act::PeerFails => self.peer_ends(false),
            Act::NodeSpeaks => self.node_speaks(),
            Act::Fees => {
                self.plan.feerate_sat_per_kw = self.rng.blocks(253, FLAT_MOST);
                self.tell_fees();
            }
            Act::Close => self.close_next()?,
            Act::Reorg(turn, depth) => self.reorg(turn, depth)?,
        }
        self.deliver();
        self.settle()?;
        self.node_reacts()?;
        self.show_a_preimage()
    }
}
