//! The rates engine: laws, published bills, refusals, warnings.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on must fail loudly")]

mod laws;
mod lint;
mod pricing;
mod published;
mod rates_support;
mod refusals;
