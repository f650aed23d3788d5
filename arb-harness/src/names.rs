//! Names of contracts, resolvers, outcomes and closes: one word each, the same in tables, in `--json` and in every tool.

use arb_core::{CloseKind, ContractId, ContractKind, ContractOutcome, ResolverKind};

/// The word for a contract's kind: `to_local`, `htlc`, `revoked_second_level`, …
pub const fn kind_name(kind: ContractKind) -> &'static str {
    match kind {
        ContractKind::ToLocal => "to_local",
        ContractKind::ToRemote => "to_remote",
        ContractKind::Anchor => "anchor",
        ContractKind::Htlc => "htlc",
        ContractKind::RevokedToLocal => "revoked_to_local",
        ContractKind::RevokedSecondLevel => "revoked_second_level",
    }
}

/// The word for a resolver, as the front page of `arb-core` lists them: `CommitSweep`, `OutgoingContest`, …
pub const fn resolver_name(kind: ResolverKind) -> &'static str {
    match kind {
        ResolverKind::CommitSweep => "CommitSweep",
        ResolverKind::OutgoingContest => "OutgoingContest",
        ResolverKind::OutgoingTimeout => "OutgoingTimeout",
        ResolverKind::IncomingContest => "IncomingContest",
        ResolverKind::IncomingSuccess => "IncomingSuccess",
        ResolverKind::Anchor => "Anchor",
        ResolverKind::Breach => "Breach",
    }
}

/// The word for how a contract ended: `claimed`, `taken_by_peer`, …
pub const fn outcome_name(outcome: ContractOutcome) -> &'static str {
    match outcome {
        ContractOutcome::Claimed => "claimed",
        ContractOutcome::TakenByPeer => "taken_by_peer",
        ContractOutcome::Lost => "lost",
        ContractOutcome::Unclaimed => "unclaimed",
        ContractOutcome::Uneconomic => "uneconomic",
        ContractOutcome::NoOutput => "no_output",
    }
}

/// The word for whose commitment closed the channel: `ours`, `theirs`, `pending` (theirs, not yet current), `superseded` (an
/// old one of ours), …
pub const fn close_name(kind: CloseKind) -> &'static str {
    match kind {
        CloseKind::Local => "ours",
        CloseKind::Remote => "theirs",
        CloseKind::RemotePending => "pending",
        CloseKind::Revoked => "revoked",
        CloseKind::Mutual => "mutual",
        CloseKind::Unknown => "unknown",
        CloseKind::Superseded => "superseded",
    }
}

/// A contract's outpoint, or its HTLC with `(no output)` if it has none.
pub fn contract_name(id: &ContractId) -> String {
    match id {
        ContractId::Output(outpoint) => outpoint.to_string(),
        ContractId::NoOutput(htlc) => format!("{htlc} (no output)"),
    }
}
