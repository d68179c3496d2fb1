//! The money that hangs on a doubtful read: what its usage costs at the rates in force.

use std::collections::HashMap;

use super::take::Doubt;
use crate::actions::ActionError;
use crate::actions::tariffs::read_book;
use crate::db::DbConnection;
use crate::db::metering::{self, PricedTerms};
use crate::domain::billing::{AgreementTerms, TariffBook, charge, plan};
use crate::domain::ids::{AgreementId, ReadId};
use crate::domain::limits::Reading;
use crate::domain::metering::{Period, ReadKind, Register, Span};

/// Prices each doubtful read, in their order, in cents; none where there is nothing to count from or no price. The tariffs
/// are loaded only when there is any doubt.
pub(super) fn price(conn: &mut DbConnection, doubts: &[Doubt]) -> Result<Vec<Option<i64>>, ActionError> {
    if doubts.iter().all(|doubt| doubt.since.is_none()) {
        return Ok(vec![None; doubts.len()]);
    }
    let book = read_book(conn)?;
    let mut agreements: Vec<AgreementId> = doubts.iter().map(|doubt| doubt.agreement).collect();
    agreements.sort_unstable();
    agreements.dedup();
    let terms: HashMap<AgreementId, PricedTerms> = metering::priced_terms(conn, &agreements)?.into_iter().map(|terms| (terms.id, terms)).collect();
    let cents = |doubt: &Doubt| cost(&book, terms.get(&doubt.agreement)?, &doubt.register, doubt.since?, doubt.reading);
    Ok(doubts.iter().map(cents).collect())
}

/// What a register's use between two readings costs.
pub(super) fn cost(book: &TariffBook, terms: &PricedTerms, register: &Register, from: Reading, to: Reading) -> Option<i64> {
    let span = Span {
        register: register.clone(),
        from_read: ReadId(0),
        to_read: ReadId(0),
        from_on: from.on,
        to_on: to.on,
        from_milli: from.milli,
        to_milli: to.milli,
        kind: ReadKind::Actual,
    };
    let period = Period { start_on: from.on, end_on: to.on, spans: vec![span], estimated: false, settles_since: None, whole_days: None };
    let terms = AgreementTerms {
        schedule: terms.schedule.clone(),
        rate_class: terms.rate_class.clone(),
        attributes: serde_json::from_str(&terms.attributes).ok()?,
        start_on: None,
        end_on: None,
        changes: Vec::new(),
    };
    // What cannot be priced has no figure here; the run says why when it is billed.
    let inputs = plan(&terms, period, book, &[]).ok()?;
    charge(&inputs, book).ok().map(|charge| charge.charge.total.cents())
}
