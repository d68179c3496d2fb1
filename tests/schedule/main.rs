//! Scheduled runs: when they are due, that each is run once, and what servers make of them.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

mod moments;
mod servers;
mod stories;
#[path = "../support/mod.rs"]
mod support;
