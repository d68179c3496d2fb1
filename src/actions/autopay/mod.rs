//! Autopay: a customer lets us draw what is due from a way to pay that is saved with the provider.
//!
//! [`mod@enrol`] makes a mandate, [`mod@manage`] changes it. [`mod@announce`] tells the customer of each bill that will be drawn,
//! in the transaction that issues it. [`mod@draw`] draws on the day: what is decided is committed before the provider is asked, and
//! the draw's own name is the idempotency key, so that a crash at any point ends in one draw. [`mod@follow`] keeps a draw in step
//! with the payment that it became.

pub mod announce;
pub mod draw;
pub mod enrol;
pub mod follow;
pub mod manage;
pub mod view;

use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context};
use crate::db::DbConnection;
use crate::db::autopay::{self as rows, BillDue, DrawRow, MandateRow};
use crate::domain::autopay::MandateState;

/// Whoever asks the provider has so long before somebody else may: longer than any call takes.
const CLAIM_MINUTES: i64 = 10;
/// So much is looked at in one round.
const ROUND: i64 = 200;
/// What is said of a way to pay without a name.
const UNNAMED: &str = "your saved way to pay";

/// What a round of the job did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    /// Mandates that became active.
    pub activated: u64,
    /// Mandates that ended by themselves, or never came about.
    pub ended: u64,
    /// Draws that the provider has.
    pub drawn: u64,
    /// Draws that are not made.
    pub skipped: u64,
    /// Draws that were declined.
    pub failed: u64,
    /// Draws that wait: for an answer, an event, or a held bill.
    pub waiting: u64,
}

/// Does what is due: asks about customers who have not come back, draws, and ends mandates of accounts that are closed.
///
/// # Errors
/// Those of the database; what became of each draw is in the tables.
pub fn run_due(context: &Context, stop: &Stop) -> Result<Counts, ActionError> {
    let mut counts = run_often(context, stop)?;
    manage::end_of_the_gone(context, &mut counts)?;
    Ok(counts)
}

/// The same without the look at every mandate: what costs next to nothing while nothing is due.
///
/// # Errors
/// As [`run_due`].
pub fn run_often(context: &Context, stop: &Stop) -> Result<Counts, ActionError> {
    let mut counts = Counts::default();
    enrol::ask_about_pending(context, stop, &mut counts)?;
    draw::draw_due(context, stop, &mut counts)?;
    Ok(counts)
}

fn label(mandate: &MandateRow) -> String {
    mandate.method_label.clone().unwrap_or_else(|| UNNAMED.to_owned())
}

fn state_of(mandate: &MandateRow) -> Result<MandateState, ActionError> {
    mandate.state.parse().map_err(ActionError::Form)
}

fn mandate_of(conn: &mut DbConnection, draw: &DrawRow) -> Result<MandateRow, ActionError> {
    rows::mandate_by_id(conn, draw.mandate_id)?.ok_or_else(|| ActionError::not_found("mandate", draw.mandate_id.to_string()))
}

fn bill_of(conn: &mut DbConnection, draw: &DrawRow) -> Result<BillDue, ActionError> {
    rows::bill_due(conn, draw.run_id, draw.account_id)?.ok_or_else(|| ActionError::not_found("bill", draw.id.to_string()))
}
