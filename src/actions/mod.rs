//! One file per business verb. Each verb opens the one transaction in which it acts.
//!
//! What belongs here: authorising against state, calling the rules, writing through `db`. What does not: SQL,
//! HTTP, printing.

mod account_named;
pub mod account_view;
pub mod adjust;
pub mod alarms;
pub mod approvals;
pub mod audit_trail;
pub mod autopay;
pub mod balances;
pub mod bank;
pub mod bench;
pub mod bill_holds;
pub mod bill_run;
pub mod bill_words;
pub mod change_terms;
pub mod check_ledger;
pub mod checkout;
pub mod collections;
pub mod correct_meter;
pub mod corrections;
pub mod demo;
pub mod drill;
pub mod enter_read;
pub mod estimate;
pub mod exchange_meter;
pub mod export_bills;
pub mod export_ledger;
pub mod held;
pub mod import;
pub mod inbox;
pub mod inbox_view;
pub mod lease;
pub mod ledger_hash;
pub mod moves;
pub mod notice_view;
pub mod notices;
pub mod overcharges;
pub mod payments;
pub mod payout_batch;
pub mod payout_view;
pub mod policy;
pub mod rebill;
pub mod reconcile;
pub mod refundable;
pub mod refunds;
pub mod run_view;
pub mod schedule;
pub mod search;
mod service_data;
pub mod service_view;
pub mod show_bill;
pub mod sign_in;
pub mod staff_account;
pub mod stop;
pub mod tariffs;
pub mod trace_view;
pub mod undo;
pub mod usage_history;
pub mod verify_bills;
pub mod void_batch;

mod context;
mod error;

pub use account_named::account_named;
pub use context::Context;
pub use error::ActionError;
