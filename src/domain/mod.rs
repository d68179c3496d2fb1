//! The rules of the trade as pure functions over values: no SQL, no HTTP, no files, no clock.
//!
//! What belongs here: money, rates, usage from registers, billing periods, proration, ledger entries, gates.
//! What does not: anything that reads or writes the outside world.

pub mod alarms;
pub mod autopay;
pub mod billing;
pub mod calendar;
pub mod estimate;
pub mod gates;
pub mod ids;
pub mod ledger;
pub mod limits;
pub mod matching;
pub mod metering;
pub mod money;
pub mod notices;
pub mod passwords;
pub mod payments;
pub mod postcode;
pub mod quantity;
pub mod rates;
pub mod reconciliation;
pub mod retry;
pub mod roles;
pub mod schedule;
pub mod winter;
pub mod wording;
