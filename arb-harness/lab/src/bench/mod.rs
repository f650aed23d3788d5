//! Measurements of the court's decisions against those of other implementations, under equal conditions.

pub mod fees;
