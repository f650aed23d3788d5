//! Measurements: what the court's judgement is worth beside that of others, on the same ground.

pub mod fees;
