//! What billing accounts would give, without keeping it: within a transaction that is taken back.

use chrono::NaiveDate;

use super::price::{Anew, RunTerms, price_data};
use super::price_data::ChunkData;
use crate::actions::{ActionError, Context};
use crate::db::DbConnection;
use crate::db::billing::{ChunkRow, SegmentRow};
use crate::domain::billing::TariffBook;
use crate::domain::gates::RunTotals;
use crate::domain::ids::{AccountId, AgreementId, RunId};

/// What billing accounts would give.
pub(in crate::actions) struct Foreseen {
    /// What a run would count.
    pub(in crate::actions) totals: RunTotals,
    /// What it would bill.
    pub(in crate::actions) segments: Vec<SegmentRow>,
    /// Whom it would not bill.
    pub(in crate::actions) left_out: Vec<LeftOut>,
}

/// An agreement that would not be billed.
pub(in crate::actions) struct LeftOut {
    pub(in crate::actions) account_id: AccountId,
    /// Whether it would be held; else there is nothing to bill.
    pub(in crate::actions) held: bool,
    pub(in crate::actions) reason: String,
}

/// Prices the accounts of a cycle in a range as a run through a day would, by what this transaction sees; of what is
/// to be billed anew only that.
pub(in crate::actions) fn foresee_within(
    conn: &mut DbConnection,
    context: &Context,
    book: &TariffBook,
    (cycle, through): (&str, NaiveDate),
    anew: Option<Anew>,
    (first, last): (AccountId, AccountId),
) -> Result<Foreseen, ActionError> {
    let run = RunTerms { run_id: RunId(0), cycle: cycle.to_owned(), through, blind: false, anew };
    let chunk = ChunkRow::open(run.run_id, 1, first, last);
    let priced = price_data(context, &run, book, ChunkData::load_within(conn, &run, &chunk, book)?)?;
    let account_of = |agreement: AgreementId| priced.basis.due.iter().find(|due| due.id == agreement).map(|due| due.account_id);
    let left_out = priced
        .exceptions
        .iter()
        .filter_map(|row| Some(LeftOut { account_id: account_of(row.agreement_id)?, held: row.outcome == "held", reason: row.reason.clone() }));
    Ok(Foreseen { totals: priced.totals, left_out: left_out.collect(), segments: priced.segments })
}
