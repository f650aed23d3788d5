//! What an embedder says or hears: events, actions, records, refusals, and the plain data inside them, with its encoding
//! and its text. An integration starts here. Nothing in this folder decides.

pub(crate) mod action;
pub(crate) mod event;
pub(crate) mod facts;
pub(crate) mod fees;
pub(crate) mod ids;
pub(crate) mod notice;
pub(crate) mod outcome;
pub(crate) mod past;
pub(crate) mod plan;
pub(crate) mod policy;
pub(crate) mod record;
pub(crate) mod reject;
pub(crate) mod sheet;
pub(crate) mod stage;
pub(crate) mod unclaimed;
pub(crate) mod units;
pub(crate) mod wire;
