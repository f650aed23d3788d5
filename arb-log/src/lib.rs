//! The ArbitratorLog.
