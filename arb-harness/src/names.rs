//! The names of contracts, resolvers, outcomes and closes: one word each, the same in tables, in `--json` and in every tool.

use arb_core::{CloseKind, ContractId, ContractKind, ContractOutcome, ResolverKind};

/// The name of a contract's kind.
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

/// The name of a resolver.
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

/// The name of an outcome.
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

/// The name of a close's kind.
pub const fn close_name(kind: CloseKind) -> &'static str {
    match kind {
        CloseKind::Local => "ours",
        CloseKind::Remote => "theirs",
        CloseKind::RemotePending => "pending",
        CloseKind::Revoked => "revoked",
        CloseKind::Mutual => "mutual",
        CloseKind::Unknown => "unknown",
    }
}

/// A contract by its outpoint, or the HTLC that has none.
pub fn contract_name(id: &ContractId) -> String {
    match id {
        ContractId::Output(outpoint) => outpoint.to_string(),
        ContractId::NoOutput(htlc) => format!("{htlc} (no output)"),
    }
}
