//! Watching: metrics, alarms, traces of payments, log lines, spans for a collector.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

#[path = "../support/mod.rs"]
mod support;

mod alarms;
mod logs;
mod metrics;
mod spans;
mod stage;
mod traces;
