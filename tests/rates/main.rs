//! The rates engine: laws, published bills, refusals, warnings.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, clippy::match_same_arms, reason = "a test that cannot go on must fail loudly")]

mod examples;
mod laws;
mod lint;
mod pricing;
mod published;
mod rates_support;
mod refusals;
