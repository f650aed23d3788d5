//! The only mutator of a channel, live and on recovery (R1). It judges nothing: `admit` accepted what was heard, `decide`
//! decided what was concluded. A conclusion that cannot follow is an error, because then the log contradicts itself.
//!
//! Outcomes only rise (R8) and ratchets never fall (R10).
//!
//! Tests: `arb-harness/lab/tests/court_suite/ratchets.rs`, `arb-harness/lab/tests/court_suite/outcomes.rs`.

use crate::api::event::{
    Acknowledged, BroadcastAnswer, Bump, CloseReason, ClosingSigned, CommitmentUpdate, FeeInputsOffered,
    LocalCommitmentSigned, PeerState, RemoteCommitmentSigned, RemoteRevoked, Scanned,
};
use crate::api::facts::{Link, Side, Standing};
use crate::api::ids::{ActionId, Direction, HtlcRef};
use crate::api::notice::{Alert, FreezeReason, Notice};
use crate::api::outcome::{FailReason, Upstream};
use crate::api::past::{CommitmentRow, RevokedCommitment};
use crate::api::plan::{FeeInputs, Sweep};
use crate::api::policy::Policy;
use crate::api::record::Conclusion;
use crate::api::units::{Blocks, Height};
use crate::bolt3::{CompactSig, Point, Preimage};
use crate::channel::age::Reading;
use crate::channel::chain::Tier;
use crate::channel::commitments::{Commitment, CommitmentSet, LocalCommitment};
use crate::channel::requests::{ScriptsRequest, SignedTx, SweepState};
use crate::channel::state::{ChannelArbitrator, HtlcState, Released, Seen, Shown, Usable};
use crate::sweep::Order;
use alloc::boxed::Box;
use alloc::vec::Vec;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{OutPoint, ScriptBuf, Transaction, Txid};

/// Replaced, unsigned versions that are kept: a signer may lag this many replacements.
const UNSIGNED_MAX: usize = 16;

impl ChannelArbitrator {
    /// The node has a newer commitment of ours, of theirs, or revocation than the court can follow: our state is old (A4).
    pub(crate) fn hear_newer(&mut self, shown: Shown) {
        let known = &mut self.state.ratchet.shown;
        *known = Shown { local: known.local.max(shown.local), remote: known.remote.max(shown.remote) };
        self.state.ratchet.outdated = true;
    }

    pub(crate) fn hear_local_signed(&mut self, heard: &LocalCommitmentSigned) {
        let update = &heard.update;
        let commitment = Commitment::updated(self.state.set.base(Side::Local, update.number).as_deref(), update);
        self.forget_replaced(update);
        self.add_htlcs(update);
        self.state.set.next_local = heard.update.number.saturating_add(1);
        // Our previous commitment, or the version that this one replaces, is gone: it is never chosen, signed or sent again (R10).
        self.state.set.local = Some(LocalCommitment {
            commitment,
            signatures: heard.signatures.clone(),
            added: update.added.iter().map(|htlc| htlc.key).collect(),
            removed: update.removed.clone(),
        });
        self.state.ratchet.commitment_signed.clear();
        self.settle_set();
    }

    /// Returns the row that the log keeps, so that the commitment can be rebuilt if it confirms after its revocation (R15).
    pub(crate) fn hear_remote_signed(&mut self, heard: &RemoteCommitmentSigned) -> CommitmentRow {
        let base = self.state.set.base(Side::Remote, heard.update.number);
        let commitment = Commitment::updated(base.as_deref(), &heard.update);
        self.add_htlcs(&heard.update);
        self.state.set.remotes.push(commitment);
        self.settle_set();
        self.row_of_last(&heard.update)
    }

    pub(crate) fn hear_revoked(&mut self, heard: &RemoteRevoked) {
        // Admission checked the secret against the store, so inserting it does not fail.
        if self.state.set.secrets.insert(heard.number, heard.secret).is_ok() {
            // The commitment has confirmed already: its content is at hand now and need not be loaded from the log.
            let remotes = self.state.set.remotes.iter().filter(|remote| remote.number == heard.number);
            let past: Vec<RevokedCommitment> = remotes.map(|remote| self.as_past(remote)).collect();
            if self.shows(heard.number) && self.gives_a_txid(heard.number, &past) {
                self.state.revoked.insert(heard.number, past);
            }
            self.state.set.remotes.retain(|remote| remote.number > heard.number);
            self.state.set.next_revoked = heard.number.saturating_add(1);
            // BOLT 2: `revoke_and_ack` for number n brings the per-commitment point of number n + 2.
            self.state.set.announced = Some((heard.number.saturating_add(2), heard.next_point));
            self.settle_set();
        }
    }

    pub(crate) fn hear_revoked_loaded(&mut self, number: u64, candidates: &[RevokedCommitment]) {
        self.state.revoked.insert(number, candidates.to_vec());
        self.reclassify();
    }

    pub(crate) fn hear_point_loaded(&mut self, number: u64, point: Option<Point>) {
        self.state.points.insert(number, point);
        self.reclassify();
    }

    fn add_htlcs(&mut self, update: &CommitmentUpdate) {
        for htlc in &update.added {
            self.state.ratchet.held_htlc = true;
            let next = match htlc.key.direction {
                Direction::Offered => &mut self.state.next_htlc.0,
                Direction::Received => &mut self.state.next_htlc.1,
            };
            *next = (*next).max(htlc.key.id.saturating_add(1));
            // Told anew with another content, it has another hash.
            let fits = |known: &Usable| known.preimage.hash() == htlc.payment_hash;
            if self.state.ratchet.usable.get(&htlc.key).is_some_and(|known| !fits(known)) {
                self.state.ratchet.usable.remove(&htlc.key);
            }
            self.state.htlcs.entry(htlc.key).or_insert_with(|| HtlcState {
                htlc: htlc.clone(),
                upstream_expiry: match htlc.link {
                    Link::Relay { deadline } => Some(deadline),
                    Link::Own | Link::Forward(_) | Link::Received => None,
                },
                irrevocable: false,
            });
        }
    }

    /// Updates what depends on the set after it changed: marks HTLCs that are now irrevocably committed, and drops those that
    /// no commitment holds any more.
    fn settle_set(&mut self) {
        let in_local = |key: &HtlcRef| {
            self.state.set.local.as_ref().is_some_and(|local| local.commitment.position(*key).is_some())
        };
        // The oldest number may have several candidates, each of which the counterparty may hold (A8).
        let oldest = self.state.set.remotes.first().map(|remote| remote.number);
        let in_oldest_remote = |key: &HtlcRef| {
            let mut candidates = self.state.set.remotes.iter().filter(|remote| Some(remote.number) == oldest);
            candidates.any(|remote| remote.position(*key).is_some())
        };
        let in_both: Vec<HtlcRef> =
            self.state.htlcs.keys().filter(|key| in_local(key) && in_oldest_remote(key)).copied().collect();
        for key in in_both {
            if let Some(state) = self.state.htlcs.get_mut(&key) {
                state.irrevocable = true;
            }
        }
        self.reclassify();
        // A frozen channel owes each of its HTLCs an outcome (I4), so none is dropped.
        if self.state.ratchet.frozen.is_none() {
            let set = &self.state.set;
            let released = &self.state.ratchet.released;
            let owed = |key: &HtlcRef| released.get(key).is_some_and(|released| released.acknowledged.is_none());
            let held = |key: &HtlcRef| set.all().any(|(_, commitment)| commitment.position(*key).is_some());
            let gone: Vec<HtlcRef> = self.state.htlcs.keys().filter(|key| !held(key) && !owed(key)).copied().collect();
            let gone: Vec<HtlcState> = gone.iter().filter_map(|key| self.state.htlcs.remove(key)).collect();
            // While a channel joins, perhaps anew, they may still be told.
            if self.state.adopted.is_some() {
                self.forget_raised(&gone);
            }
            self.forget_gone();
        }
    }

    /// Forgets what is known of HTLCs that are gone. While a channel joins, perhaps anew, they may still be told (A4).
    fn forget_gone(&mut self) {
        if self.state.ratchet.frozen.is_none() && self.state.adopted.is_some() {
            let (htlcs, ratchet) = (&self.state.htlcs, &mut self.state.ratchet);
            ratchet.released.retain(|key, _| htlcs.contains_key(key));
            ratchet.usable.retain(|key, _| htlcs.contains_key(key));
            ratchet.given_up.retain(|key| htlcs.contains_key(key));
        }
    }

    /// `shown`: by a transaction; else the node told it.
    pub(crate) fn hear_usable(&mut self, htlc: HtlcRef, preimage: Preimage, since: Height, shown: bool) {
        if !self.state.htlcs.contains_key(&htlc) {
            if !shown {
                self.hear_usable_early(htlc, preimage);
            }
            return;
        }
        self.state.ratchet.usable.entry(htlc).or_insert(Usable { preimage, since, shown });
    }

    pub(crate) fn hear_acknowledged(&mut self, htlc: HtlcRef, outcome: Acknowledged) {
        if let Some(released) = self.state.ratchet.released.get_mut(&htlc) {
            released.acknowledged = Some(outcome);
        }
    }

    pub(crate) fn hear_closing(&mut self, heard: &ClosingSigned) {
        self.state.ratchet.closings.insert(heard.tx.compute_txid(), heard.local_output);
        self.reclassify();
    }

    /// A confirmed transaction. Its watched outputs are [`watched_of`](Self::watched_of) from now on.
    pub(crate) fn hear_tx(&mut self, height: Height, txid: Txid, tx: &Transaction) {
        let _kept = self.keep(height, txid, tx);
        self.confirmed(height, &txid);
    }

    /// Keeps what matters of a confirmed transaction. Returns whether anything does.
    fn keep(&mut self, height: Height, txid: Txid, tx: &Transaction) -> bool {
        let Some(kept) = self.legible(height, tx) else { return false };
        for input in &tx.input {
            self.state.requests.sweeper.spent(&input.previous_output);
        }
        let tier = kept.tier;
        self.state.chain.keep(txid, kept);
        if tier == Tier::Funding {
            self.shown_on_chain();
            self.reclassify();
        }
        true
    }

    /// A transaction confirmed that may be a funding.
    fn confirmed(&mut self, height: Height, txid: &Txid) {
        for (funding, facts) in self.state.facts.fundings.iter().zip(&mut self.state.chain.fundings) {
            if funding.outpoint.txid == *txid {
                facts.confirmed.get_or_insert(height);
            }
        }
        if self.is_funded() {
            self.shown_on_chain();
        }
    }

    /// The spends that a search found, with their `txids`.
    pub(crate) fn hear_found(&mut self, heard: &Scanned, txids: &[Txid]) {
        // Twice: one may spend an output of another that confirmed in the same block and is listed after it.
        for (spend, txid) in heard.spends.iter().zip(txids).chain(heard.spends.iter().zip(txids)) {
            if self.keep(spend.height, *txid, &spend.tx) {
                self.confirmed(spend.height, txid);
            }
        }
    }

    /// A search came to its end.
    pub(crate) fn hear_scanned(&mut self, heard: &Scanned) {
        if let Some(kept) = self.state.chain.kept.get_mut(&heard.parent) {
            kept.scanned = true;
        }
        for (funding, facts) in self.state.facts.fundings.iter().zip(&mut self.state.chain.fundings) {
            if funding.outpoint.txid == heard.parent {
                facts.scanned = true;
                facts.confirmed = facts.confirmed.or(heard.confirmed);
            }
        }
        if self.is_funded() {
            self.shown_on_chain();
        }
    }

    pub(crate) fn hear_broadcast(&mut self, txid: &Txid, answer: BroadcastAnswer, caught_up: bool) {
        let rejected = match answer {
            BroadcastAnswer::Accepted | BroadcastAnswer::Known => None,
            BroadcastAnswer::Rejected(why) => Some(why),
        };
        let requests = &mut self.state.requests;
        match requests.sweeps.iter_mut().find(|(_, state)| state.txid == *txid) {
            Some((group, state)) => {
                state.rejected = rejected;
                match rejected {
                    None => requests.sweeper.accepted(*group),
                    // While blocks are missing, one of them may be the reason: nobody is suspected (A3).
                    Some(why) if caught_up => requests.sweeper.rejected(*group, why),
                    Some(_) => {}
                }
            }
            None => requests.commitment_rejected = rejected.map(|why| (*txid, why)),
        }
    }

    pub(crate) fn hear_commitment_signature(&mut self, funding: OutPoint, signature: CompactSig) {
        // It is public from now on.
        let facts = self.state.facts.fundings.iter().find(|facts| facts.outpoint == funding);
        let rebuilt =
            self.state.set.local.as_ref().zip(facts).and_then(|(local, funding)| {
                self.rebuild(&Secp256k1::new(), Side::Local, &local.commitment, funding, &[])
            });
        if let Some(built) = rebuilt.map(|rebuilt| rebuilt.built) {
            let outputs = u32::try_from(built.outputs.len()).unwrap_or(u32::MAX);
            self.state.ratchet.in_view.insert(built.txid, outputs);
        }
        self.state.ratchet.commitment_signed.entry(funding).or_insert(signature);
    }

    pub(crate) fn hear_sweep_signed(&mut self, group: u32, tx: Transaction) {
        let Some(state) = self.state.requests.sweeps.get_mut(&group) else { return };
        let txid = tx.compute_txid();
        if txid == state.txid {
            state.signed.get_or_insert(SignedTx(tx));
            state.before = None;
            state.unsigned.clear();
        } else if let Some(place) = state.unsigned.iter().position(|sweep| sweep.tx.compute_txid() == txid) {
            // This version was replaced while its signature was on its way. It is sent until a newer version is signed.
            state.before = Some(SignedTx(tx));
            state.unsigned.drain(..=place);
        }
    }

    pub(crate) fn hear_script(&mut self, script: &ScriptBuf) {
        self.state.requests.scripts = ScriptsRequest::Offered(script.clone());
    }

    pub(crate) fn hear_fee_inputs(&mut self, heard: &FeeInputsOffered) {
        if let Some(owner) = self.coins_asked(&heard.request).map(|ask| ask.owner) {
            let fee_inputs = FeeInputs { coins: heard.inputs.clone(), change: heard.change.clone() };
            self.state.requests.sweeper.offered(&owner, fee_inputs);
        }
    }

    pub(crate) fn hear_fee_inputs_refused(&mut self, request: &ActionId, missing_sat: u64) {
        if let Some(owner) = self.coins_asked(request).map(|ask| ask.owner) {
            self.state.requests.sweeper.refused(&owner, missing_sat);
        }
    }

    /// Merges the operator's bump with earlier ones: the highest feerate, the nearest deadline, the largest budget and bound.
    pub(crate) fn hear_bump(&mut self, outpoint: Option<OutPoint>, bump: &Bump) {
        let known = self.state.requests.bumps.entry(outpoint).or_default();
        known.feerate_sat_per_kw = known.feerate_sat_per_kw.max(bump.feerate_sat_per_kw);
        known.deadline = [known.deadline, bump.deadline].into_iter().flatten().min();
        known.budget_sat = known.budget_sat.max(bump.budget_sat);
        known.bound_sat = known.bound_sat.max(bump.bound_sat);
    }

    /// An unconfirmed spend of a funding output was seen that is no closing transaction.
    pub(crate) fn hear_seen(&mut self, tx: &Transaction, txid: Txid, tip: Height, estimate_sat_per_kw: u32) {
        self.state.ratchet.peer_on_chain = true;
        if self.is_new_in_view(&txid, tx) {
            self.state.ratchet.in_view.insert(txid, u32::try_from(tx.output.len()).unwrap_or(u32::MAX));
        }
        if self.is_revoked(tx) {
            self.state.ratchet.cheat_seen.get_or_insert(tip);
        } else if self.is_remote_of_set(tx) {
            let seen = || Seen { tx: SignedTx(tx.clone()), since: tip, estimate_sat_per_kw };
            self.state.ratchet.seen.entry(txid).or_insert_with(seen);
        }
    }

    /// A new channel. It is judged again after catching up, if blocks are missing. Earlier suspicions of a stale journal (F5)
    /// do not concern it: the node told its state after them.
    pub(crate) fn opened(&mut self, caught_up: bool, suspicions: u64) {
        self.state.deferred = !caught_up;
        self.state.ratchet.cleared = suspicions;
    }

    /// The channel comes from a backup, so its state may be old: nothing of ours is ever sent (F5).
    pub(crate) fn hear_restored(&mut self) {
        self.state.ratchet.outdated = true;
    }

    /// An entry touches the channel. If blocks are missing, or if the node has not told everything, it is judged again after
    /// that (R11), whatever touched it: an alarm, a preimage whose deadline has passed, or a close.
    pub(crate) fn touched(&mut self, tip: Height, caught_up: bool, told: bool) {
        self.state.seen = tip;
        self.state.deferred = !caught_up;
        self.state.untold = !told;
    }

    /// The node has told everything of this channel; `starts` is the court's count.
    pub(crate) fn hear_adopted(&mut self, starts: u64) {
        self.state.adopted = Some(starts);
        self.forget_gone();
        // What it said of an HTLC that it never told is void, but for the word that was just heard.
        self.state.ratchet.told_early.retain(|_, said| {
            said.preimage = None;
            said.is_committed
        });
    }

    /// An HTLC is irrevocably committed, although one side's commitment has it no more (A7).
    pub(crate) fn hear_committed(&mut self, htlc: HtlcRef) {
        match self.state.htlcs.get_mut(&htlc) {
            Some(state) => state.irrevocable = true,
            None => self.hear_committed_early(htlc),
        }
    }

    /// The frame of this sequence changed the channel and is durable.
    pub(crate) fn committed(&mut self, sequence: u64) {
        self.state.changed_at = sequence;
    }

    pub(crate) fn hear_signals(&mut self, short_channel_id: u64) {
        self.state.short_channel_id = Some(short_channel_id);
    }

    pub(crate) fn hear_policy(&mut self, policy: Option<&Policy>) {
        self.state.policy = policy.cloned().map(Box::new);
    }

    pub(crate) fn hear_given_up(&mut self, htlc: HtlcRef) {
        self.state.ratchet.given_up.insert(htlc);
    }

    pub(crate) fn hear_peer_state(&mut self, peer: &PeerState, suspicions: u64) {
        match self.reads(peer) {
            Reading::Current => self.state.ratchet.cleared = suspicions,
            // It has our revocation of the commitment before, and may hold two unrevoked ones of its own.
            Reading::Newer => self.hear_newer(Shown {
                local: peer.next_revocation_number,
                remote: peer.next_commitment_number.saturating_sub(2),
            }),
            Reading::Claim => {
                let claim = (peer.next_commitment_number, peer.next_revocation_number);
                self.state.ratchet.claimed = self.state.ratchet.claimed.max(Some(claim));
            }
            Reading::Nothing => {}
        }
    }

    /// The channel begins anew with this standing; what is public of it stays public (R10).
    pub(crate) fn hear_adopted_anew(&mut self, standing: Standing, suspicions: u64) {
        let (id, state) = (self.state.facts.id, &mut self.state);
        state.set = CommitmentSet::new(standing);
        state.adopted = None;
        let ratchet = &mut state.ratchet;
        ratchet.told_early.clear();
        (ratchet.outdated, ratchet.claimed, ratchet.cleared) = (false, None, suspicions);
        ratchet.seen.clear();
        if ratchet.frozen == Some(FreezeReason::Outdated) {
            ratchet.frozen = None;
            // It may be frozen and outdated once more, and the node is told again.
            for notice in [Notice::Freeze(FreezeReason::Outdated), Notice::Alert(Alert::Outdated)] {
                let notice = notice.id(&id);
                state.raised.remove(&notice);
                state.outbox.remove(&notice);
            }
        }
        self.settle_set();
    }

    pub(crate) fn hear_close_requested(&mut self, why: CloseReason) {
        self.state.ratchet.close_requested.get_or_insert(why);
        self.take_back_end();
    }

    pub(crate) fn hear_abandoned(&mut self, outpoint: OutPoint) {
        self.state.requests.sweeper.abandoned.insert(outpoint);
    }

    pub(crate) fn hear_forgotten(&mut self) {
        self.state.ratchet.forgotten = true;
    }

    pub(crate) fn hear_never_funded(&mut self) {
        self.state.ratchet.never_funded = true;
        self.state.ratchet.forgotten = true;
    }

    pub(crate) fn hear_signing_refused(&mut self, request: ActionId, tip: Height, pause: Blocks) {
        self.state.requests.refused.insert(request);
        let group = self.sweep_asked(&request).map(|(group, ..)| group);
        if let Some(group) = group {
            self.state.requests.sweeper.signing_refused(group, tip, pause);
        }
    }

    /// The signer answered the request with signatures, so it is no longer refused.
    pub(crate) fn hear_signer_answered(&mut self, request: &ActionId) {
        self.state.requests.refused.remove(request);
    }

    pub(crate) fn hear_performed(&mut self, id: &ActionId) {
        self.state.outbox.remove(id);
    }

    /// Applies one conclusion; `pause` is how long a refused coin is not offered.
    ///
    /// # Errors
    /// What of it cannot follow from the state before: the log contradicts itself.
    pub(crate) fn conclude(&mut self, conclusion: &Conclusion, tip: Height, pause: Blocks) -> Result<(), &'static str> {
        match conclusion {
            Conclusion::UpstreamLinked { htlc, expiry } => {
                let state = self.state.htlcs.get_mut(htlc).ok_or("an upstream expiry for an unknown HTLC")?;
                state.upstream_expiry = Some(*expiry);
            }
            Conclusion::PreimageUsable { htlc, preimage } => self.hear_usable(*htlc, *preimage, tip, true),
            Conclusion::ShownEarly { preimage, is_watched } => self.hear_shown_early(*preimage, *is_watched),
            Conclusion::EarlyForgotten => self.forget_shown_early(),
            Conclusion::GaveUp { htlc } => self.hear_given_up(*htlc),
            Conclusion::Frozen(why) => {
                self.state.ratchet.frozen.get_or_insert(*why);
            }
            Conclusion::WentToChain => self.state.ratchet.went_to_chain = true,
            Conclusion::Released { htlc, outcome } => self.release(*htlc, *outcome)?,
            Conclusion::ScriptsRequested => {
                if self.state.requests.scripts == ScriptsRequest::NotAsked {
                    self.state.requests.scripts = ScriptsRequest::Asked { at: tip };
                }
            }
            Conclusion::FeeInputsRequested(ask) => self.state.requests.sweeper.apply(&Order::Ask(*ask), tip),
            Conclusion::FeeInputsReturned { owner } => {
                self.state.requests.sweeper.apply(&Order::Return { owner: *owner }, tip);
            }
            Conclusion::SweepPlanned(sweep) => {
                self.state.requests.sweeper.forget_coins(tip, pause);
                self.planned(sweep, tip);
            }
            Conclusion::SweepDropped { group, pauses } => {
                self.state.requests.sweeps.remove(group).ok_or("a dropped sweep that is not planned")?;
                self.state.requests.sweeper.forget_coins(tip, pause);
                self.state.requests.sweeper.apply(&Order::Drop { group: *group, pauses: *pauses }, tip);
            }
            Conclusion::Uneconomic { outpoint, why } => {
                self.state.requests.sweeper.apply(&Order::Uneconomic { outpoint: *outpoint, why: *why }, tip);
            }
            Conclusion::Bumped { outpoint, to_sat_per_kw, .. } => {
                self.state.requests.sweeper.bump(outpoint, *to_sat_per_kw, tip);
            }
            Conclusion::Noticed(notice) => {
                let id = notice.id(&self.state.facts.id);
                if !self.state.raised.insert(id) {
                    return Err("a notice that was raised before");
                }
                self.state.outbox.insert(id, (**notice).clone());
            }
            // Recovery ignores these explanations; replay compares them (R9).
            Conclusion::Classified { .. } | Conclusion::HandedOff { .. } | Conclusion::Staged { .. } => {}
        }
        Ok(())
    }

    fn planned(&mut self, sweep: &Sweep, tip: Height) {
        let plan = &sweep.plan;
        let requests = &mut self.state.requests;
        requests.coins.extend(plan.fee_inputs.coins.iter().map(|coin| (coin.outpoint, coin.value_sat)));
        // The last signed version is sent until the new one is signed.
        let (mut before, mut unsigned) = (None, Vec::new());
        if let Some(state) = requests.sweeps.remove(&plan.group) {
            unsigned = state.unsigned;
            if state.signed.is_none() {
                unsigned.push(state.sweep);
                let surplus = unsigned.len().saturating_sub(UNSIGNED_MAX);
                unsigned.drain(..surplus);
            }
            before = state.signed.or(state.before);
        }
        let txid = sweep.tx.compute_txid();
        let state = SweepState { sweep: sweep.clone(), txid, signed: None, before, unsigned, rejected: None };
        requests.sweeps.insert(plan.group, state);
        requests.sweeper.apply(&Order::Plan(plan.clone()), tip);
    }

    /// Releases an outcome upstream: nothing < failing < settled, and it only rises (R8).
    fn release(&mut self, htlc: HtlcRef, outcome: Upstream) -> Result<(), &'static str> {
        let state = Released { outcome, acknowledged: None };
        match (self.state.ratchet.released.get(&htlc).map(|released| released.outcome), outcome) {
            (None, Upstream::Failed(_) | Upstream::Settled(_)) | (Some(Upstream::Failed(_)), Upstream::Settled(_)) => {
                self.state.ratchet.released.insert(htlc, state);
                if outcome == Upstream::Failed(FailReason::GivenUpForUpstream) {
                    let amount_sat = self.state.htlcs.get(&htlc).map_or(0, |state| state.htlc.amount_sat());
                    let wagered_sat = &mut self.state.ratchet.wagered_sat;
                    *wagered_sat = wagered_sat.saturating_add(amount_sat);
                }
                Ok(())
            }
            (Some(Upstream::Failed(_) | Upstream::Settled(_)), Upstream::Failed(_))
            | (Some(Upstream::Settled(_)), Upstream::Settled(_)) => Err("an outcome that does not rise"),
        }
    }

    /// Removes the chain's facts of this height and above (R9).
    pub(crate) fn disconnect(&mut self, height: Height) {
        self.state.chain.disconnect(height);
        self.take_back_end();
        self.reclassify();
    }
}

#[cfg(test)]
mod tests;
