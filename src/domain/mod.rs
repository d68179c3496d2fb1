//! The rules of the trade as pure functions over values: no SQL, no HTTP, no files, no clock.
//!
//! What belongs here: money, rates, usage from registers, billing periods, proration, ledger entries, gates.
//! What does not: anything that reads or writes the outside world.

pub mod aging;
pub mod alarms;
pub mod approvals;
pub mod autopay;
pub mod bank_tenders;
pub mod billing;
pub mod calendar;
pub mod disputes;
pub mod dunning;
pub mod estimate;
pub mod gates;
pub mod ids;
pub mod late_fees;
pub mod leak_relief;
pub mod ledger;
pub mod limits;
pub mod matching;
pub mod metering;
pub mod money;
pub mod notices;
pub mod overcharges;
pub mod passwords;
pub mod pay_plans;
pub mod payments;
pub mod payouts;
pub mod percent;
pub mod policy;
pub mod postcode;
pub mod quantity;
pub mod rates;
pub mod rebilling;
pub mod reconciliation;
pub mod retry;
pub mod roles;
pub mod schedule;
pub mod service;
pub mod winter;
pub mod wording;
