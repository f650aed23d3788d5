//! Heard events, in words.

use arb_core::{
    Acknowledged, BroadcastAnswer, BroadcastRejection, Bump, ChannelId, CloseReason, CommitmentUpdate, Event,
    FeeInputsOffered, Fees, Freshness, Height, PeerState, Scanned, Started,
};

use super::{outpoint, txid};

/// An event, without the channel that it is about.
pub(crate) fn event(event: &Event) -> String {
    match event {
        Event::JournalOpened(identity) => {
            format!("journal opened: {}, from height {}", identity.network, identity.tip.height)
        }
        Event::PolicySet(_) => "the policy is set".to_owned(),
        Event::Started(start) => started(start),
        Event::ChannelOpened(opened) => {
            let value_sat: u64 = opened.facts.fundings.iter().map(|funding| funding.value_sat).sum();
            format!("channel {} opened, {value_sat} sat", opened.facts.id)
        }
        Event::ChannelRestored(facts) => format!("channel {} restored from a backup", facts.id),
        Event::ChannelSignals { .. } => "the channel has a new short channel id".to_owned(),
        Event::LocalCommitmentSigned(heard) => commitment("our", &heard.update),
        Event::LocalCommitmentSignedAgain(heard) => format!("{}, in another version", commitment("our", &heard.update)),
        Event::RemoteCommitmentSigned(heard) => commitment("their", &heard.update),
        Event::RemoteRevoked(heard) => format!("their commitment {} revoked", heard.number),
        Event::PreimageLearned { usable_for, .. } => {
            let htlcs = usable_for.iter().map(|key| key.htlc.to_string()).collect::<Vec<_>>();
            format!("the node knows a preimage for HTLC {}", htlcs.join(", HTLC "))
        }
        Event::HtlcGivenUp { htlc } => format!("the node will never have a preimage for HTLC {}", htlc.htlc),
        Event::UpstreamAcknowledged { htlc, outcome } => match outcome {
            Acknowledged::Settled => format!("the node has settled HTLC {} upstream", htlc.htlc),
            Acknowledged::Failed => format!("the node has failed HTLC {} upstream", htlc.htlc),
        },
        Event::PeerStateSeen { peer, .. } => {
            let PeerState { next_commitment_number, next_revocation_number, .. } = peer;
            format!("the peer expects commitment {next_commitment_number} and revocation {next_revocation_number}")
        }
        Event::ChannelAdoptedAnew { standing, .. } => {
            let (local, remote) = (standing.next_local, standing.next_remote);
            format!("the channel is told anew, from our commitment {local} and their commitment {remote} on")
        }
        Event::CloseRequested { why, .. } => match why {
            CloseReason::Operator => "the operator wants a close".to_owned(),
            CloseReason::PeerError => "the peer sent an error".to_owned(),
        },
        Event::ClosingSigned(heard) => format!("closing transaction {} signed", txid(&heard.tx.compute_txid())),
        Event::ChannelForgotten { .. } => "the node forgets the channel".to_owned(),
        Event::BumpRequested { bump, .. } => bumped(bump),
        Event::ClaimAbandoned { outpoint: claim, .. } => format!("{} is given up by the operator", outpoint(claim)),
        Event::ChannelPolicySet { policy: Some(_), .. } => "the channel gets a policy of its own".to_owned(),
        Event::ChannelPolicySet { policy: None, .. } => "the channel follows the court's policy".to_owned(),
        Event::AdoptionComplete { channel: None, .. } => "the node has told everything of every channel".to_owned(),
        Event::AdoptionComplete { channel: Some(_), .. } => "the node has told everything of the channel".to_owned(),
        Event::BlockConnected(block) => format!("block {} with {} transactions", block.height, block.txs.len()),
        Event::BlockDisconnected(block) => format!("block {} left the chain", block.height),
        Event::Scanned(scan) => scanned(scan),
        Event::ScannedPart(scan) => format!("{}, and more", scanned(scan)),
        Event::MempoolSeen { tx } => format!("{} in the mempool", txid(&tx.compute_txid())),
        Event::FeesEstimated(estimate) => fees(estimate),
        Event::BroadcastAnswered { txid: id, answer, .. } => format!("{} {}", txid(id), broadcast(*answer)),
        Event::Signed(heard) => format!("{} signatures for {}", heard.signatures.len(), heard.request),
        Event::SigningRefused { why, .. } => format!("the signer refuses: {why}"),
        Event::ScriptsOffered { .. } => "the wallet offers a script for the sweeps".to_owned(),
        Event::FeeInputsOffered(offer) => coins(offer),
        Event::FeeInputsRefused { missing_sat, .. } => format!("the wallet lacks {missing_sat} sat"),
        Event::RevokedLoaded { number, candidates, .. } => match candidates.as_slice() {
            [] => format!("neither journal nor node knows what revoked commitment {number} was"),
            [one] => format!("revoked commitment {number} had {} HTLCs", one.htlcs.len()),
            several => format!("revoked commitment {number} is one of {} candidates", several.len()),
        },
        Event::NeverFunded { .. } => "no funding of the channel can confirm any more".to_owned(),
        Event::PointLoaded { number, point: Some(_), .. } => format!("the node tells our point of commitment {number}"),
        Event::PointLoaded { number, point: None, .. } => {
            format!("the node cannot tell our point of commitment {number}")
        }
        Event::Performed { id, .. } => format!("{id} was carried out"),
        Event::Failed { id, why, .. } => format!("{id} could not be carried out: {why}"),
    }
}

/// The channel that an event is about; `None` if it is about all, or the chain.
pub(crate) fn channel(event: &Event) -> Option<ChannelId> {
    match event {
        Event::ChannelOpened(opened) => Some(opened.facts.id),
        Event::ChannelRestored(facts) => Some(facts.id),
        Event::LocalCommitmentSigned(heard) | Event::LocalCommitmentSignedAgain(heard) => Some(heard.update.channel),
        Event::RemoteCommitmentSigned(heard) => Some(heard.update.channel),
        Event::RemoteRevoked(heard) => Some(heard.channel),
        Event::PreimageLearned { usable_for, .. } => usable_for.first().map(|key| key.channel),
        Event::HtlcGivenUp { htlc } | Event::UpstreamAcknowledged { htlc, .. } => Some(htlc.channel),
        Event::ClosingSigned(heard) => Some(heard.channel),
        Event::Scanned(scan) | Event::ScannedPart(scan) => Some(scan.channel),
        Event::Signed(heard) => Some(heard.channel),
        Event::FeeInputsOffered(offer) => Some(offer.channel),
        Event::AdoptionComplete { channel, .. } => *channel,
        Event::ChannelSignals { channel, .. }
        | Event::PeerStateSeen { channel, .. }
        | Event::ChannelAdoptedAnew { channel, .. }
        | Event::CloseRequested { channel, .. }
        | Event::ChannelForgotten { channel }
        | Event::BumpRequested { channel, .. }
        | Event::ClaimAbandoned { channel, .. }
        | Event::ChannelPolicySet { channel, .. }
        | Event::BroadcastAnswered { channel, .. }
        | Event::SigningRefused { channel, .. }
        | Event::ScriptsOffered { channel, .. }
        | Event::FeeInputsRefused { channel, .. }
        | Event::RevokedLoaded { channel, .. }
        | Event::PointLoaded { channel, .. }
        | Event::NeverFunded { channel }
        | Event::Performed { channel, .. }
        | Event::Failed { channel, .. } => Some(*channel),
        Event::JournalOpened(_)
        | Event::PolicySet(_)
        | Event::Started(_)
        | Event::BlockConnected(_)
        | Event::BlockDisconnected(_)
        | Event::MempoolSeen { .. }
        | Event::FeesEstimated(_) => None,
    }
}

/// The channel that an event adds to the court; `None` if it adds none.
pub(crate) fn opened(event: &Event) -> Option<ChannelId> {
    let adds = matches!(event, Event::ChannelOpened(_) | Event::ChannelRestored(_));
    channel(event).filter(|_| adds)
}

/// The tip's height after an event that moves the tip.
pub(crate) fn height_after(event: &Event) -> Option<u32> {
    if let Event::JournalOpened(identity) = event {
        return Some(identity.tip.height.get());
    }
    if let Event::BlockDisconnected(block) = event {
        return Some(block.height.get().saturating_sub(1));
    }
    if let Event::BlockConnected(block) = event { Some(block.height.get()) } else { None }
}

fn started(started: &Started) -> String {
    let freshness = match started.freshness {
        Freshness::Trusted => "",
        Freshness::Suspect => ", the journal may be stale",
    };
    format!("started by {}, best height {}{freshness}", started.build, height(started.best_height))
}

fn height(height: Height) -> String {
    if height == Height::MAX { "unknown".to_owned() } else { height.to_string() }
}

fn commitment(whose: &str, update: &CommitmentUpdate) -> String {
    let (added, removed) = (update.added.len(), update.removed.len());
    format!("{whose} commitment {} signed, {added} HTLCs added, {removed} removed", update.number)
}

fn scanned(scan: &Scanned) -> String {
    let (spends, through) = (scan.spends.len(), scan.through.height);
    let confirmed = scan.confirmed.map_or_else(String::new, |height| format!(", it confirmed at height {height}"));
    format!("{} searched up to height {through}: {spends} spends{confirmed}", txid(&scan.parent))
}

fn fees(fees: &Fees) -> String {
    let next = fees.by_target.first().map_or(fees.least_sat_per_kw(), |(_, feerate)| *feerate);
    format!("the estimate is {next} sat/kw")
}

fn bumped(bump: &Bump) -> String {
    let feerate = (bump.feerate_sat_per_kw > 0).then(|| format!("{} sat/kw", bump.feerate_sat_per_kw));
    let deadline = bump.deadline.map(|deadline| format!("by height {deadline}"));
    let budget = bump.budget_sat.map(|budget_sat| format!("for up to {budget_sat} sat"));
    let bound = bump.bound_sat.map(|bound_sat| format!("for up to {bound_sat} sat even if less is at stake"));
    let wishes: Vec<String> = [feerate, deadline, budget, bound].into_iter().flatten().collect();
    format!("the operator wants more: {}", wishes.join(", "))
}

fn coins(offer: &FeeInputsOffered) -> String {
    let coins = offer.inputs.iter().map(|coin| format!("{} ({} sat)", outpoint(&coin.outpoint), coin.value_sat));
    format!("the wallet offers {}", coins.collect::<Vec<_>>().join(", "))
}

const fn broadcast(answer: BroadcastAnswer) -> &'static str {
    match answer {
        BroadcastAnswer::Accepted => "was accepted",
        BroadcastAnswer::Known => "is known",
        BroadcastAnswer::Rejected(why) => match why {
            BroadcastRejection::FeeTooLow => "was refused: its fee is too low",
            BroadcastRejection::MissingInputs => "was refused: an input is missing",
            BroadcastRejection::ConflictInMempool => "was refused: another transaction spends the same output",
            BroadcastRejection::NonFinal => "was refused: not final",
            BroadcastRejection::TooLongChain => "was refused: too many ancestors",
            BroadcastRejection::ScriptFailure => "was refused: a script fails",
            BroadcastRejection::Unknown => "was refused: reason unknown",
        },
    }
}
