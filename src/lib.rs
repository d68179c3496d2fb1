//! AquaBills: the billing system of a water utility.
//!
//! # Architecture
//!
//! One crate: this library and a thin program. Arrows point down only; a test holds them:
//!
//! ```text
//! web | cli | jobs  →  actions  →  db  →  domain
//!                        ↓                  ↑
//!           formats, providers, telemetry ──┘
//! ```
//!
//! - [`domain`]: the rules as pure functions over values: money, rates, metering, billing, ledger, gates.
//! - [`db`]: everything that knows SQL, on SQLite and on PostgreSQL.
//! - [`actions`]: one file per business verb; opens the one transaction.
//! - [`formats`]: the forms of files.
//! - [`mail`]: how a notice becomes a message and leaves, by SMTP or into a folder; [`jobs`] bring it together with the outbox.
//! - [`pdf`]: a bill as a file for paper, made from the same words as its page.
//! - [`providers`]: how we call payment providers and understand what they send; [`sandbox`]: a provider of our own, a
//!   program apart that shares nothing with ours but the interface.
//! - [`telemetry`]: metrics, log lines and traces that leave the program.
//! - [`web`], [`cli`], [`jobs`]: how people and the clock reach the verbs.
//!
//! In every layer the same area names are used: customers, metering, rates, billing, ledger, payments,
//! reconciliation, overcharges, notices, operations.

pub mod actions;
pub mod cli;
pub mod clock;
pub mod config;
pub mod db;
pub mod domain;
pub mod formats;
pub mod jobs;
pub mod mail;
pub mod pdf;
pub mod providers;
pub mod sandbox;
pub mod telemetry;
pub mod web;
