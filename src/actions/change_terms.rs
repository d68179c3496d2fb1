//! Another rate class or other attributes of a service from a day on.

use chrono::NaiveDate;
use serde::Serialize;

use super::tariffs::load_book;
use super::{ActionError, Context};
use crate::db::customers::{self, AgreementRow, TermRow};
use crate::db::{DbConnection, billing, operations, overcharges};
use crate::domain::billing::TariffBook;
use crate::domain::ids::AgreementId;
use crate::domain::rates::Attributes;

/// A change of terms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TermChange {
    /// The service.
    pub service: String,
    /// The first day of the new terms.
    pub effective_on: NaiveDate,
    /// Another rate class.
    pub rate_class: Option<String>,
    /// Attributes that get a value; an empty one goes away. The others stay.
    pub attributes: Vec<(String, String)>,
    /// Why, in words.
    pub note: String,
}

/// The terms from a day on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Terms {
    /// The first day.
    pub effective_on: NaiveDate,
    /// The rate class.
    pub rate_class: String,
    /// The attributes.
    pub attributes: Attributes,
    /// Whether they were so already.
    pub unchanged: bool,
}

/// Changes the terms of a service from a day on. A period in which they change is priced by the days of each.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown service, [`ActionError::Refused`] when the service is billed beyond that day, later terms were
/// entered already, or the tariff cannot price the new terms.
pub fn change_terms(context: &Context, change: &TermChange) -> Result<Terms, ActionError> {
    set_terms(context, change, false)
}

/// The same for terms that were wrong when the service was billed: from a day on that is billed already, until the next terms that
/// were entered. The bills stay as they were sent; the account is looked at again, and what it was charged too much or too
/// little is found.
///
/// # Errors
/// As [`change_terms`], but for what is billed.
pub fn correct_terms(context: &Context, change: &TermChange) -> Result<Terms, ActionError> {
    set_terms(context, change, true)
}

fn set_terms(context: &Context, change: &TermChange, corrects: bool) -> Result<Terms, ActionError> {
    if change.note.trim().is_empty() {
        return Err(ActionError::Refused("note: it is empty: expected why, in words".to_owned()));
    }
    let book = load_book(context)?;
    context.database.write(|conn| {
        customers::lock_terms(conn, true)?;
        let found = customers::service_points_by_code(conn, &[&change.service])?.into_iter().next();
        let (point, _) = found.ok_or_else(|| ActionError::not_found("service", &change.service))?;
        // What is put right may have ended since.
        let fits = |row: &AgreementRow| row.end_on.is_none_or(|end| corrects && change.effective_on < end);
        let served = |row: &AgreementRow| corrects && row.start_on.is_none_or(|start| start <= change.effective_on) && fits(row);
        let agreements = customers::latest_agreements_at(conn, &[point.id])?;
        let agreement = agreements.iter().find(|row| served(row)).cloned().or_else(|| agreements.into_iter().next_back().filter(fits));
        let agreement =
            agreement.ok_or_else(|| ActionError::Refused(format!("service: '{}' is served to nobody: its terms do not change", change.service)))?;
        let on = change.effective_on;
        if let Some(start) = agreement.start_on.filter(|start| *start > on) {
            return Err(ActionError::Refused(format!("effective_on: service '{}' began on {start}, after {on}", change.service)));
        }
        let terms = customers::terms_of(conn, agreement.id)?;
        let in_force = terms.iter().rev().find(|row| row.effective_on <= on);
        let (class, before) = in_force.map_or((&agreement.rate_class, &agreement.attributes), |row| (&row.rate_class, &row.attributes));
        let before: Attributes = serde_json::from_str(before).map_err(|error| ActionError::Form(error.to_string()))?;
        let mut attributes = before.clone();
        for (name, value) in &change.attributes {
            attributes.set(name, value);
        }
        let rate_class = change.rate_class.clone().unwrap_or_else(|| class.clone());
        let unchanged = rate_class == *class && attributes == before;
        if unchanged {
            return Ok(Terms { effective_on: on, rate_class, attributes, unchanged });
        }
        if corrects {
            let why = format!("terms of service {} from {on} put right", change.service);
            overcharges::queue(conn, &[agreement.account_id], &why, context.now())?;
        } else {
            still_open(conn, &change.service, agreement.id, &terms, on)?;
        }
        book.check_terms(&agreement.schedule, &rate_class, &attributes, on).map_err(|error| ActionError::Refused(error.to_string()))?;
        stays_metered(&book, &agreement.schedule, (class, &rate_class), on)?;
        let text = serde_json::to_string(&attributes).map_err(|error| ActionError::Form(error.to_string()))?;
        let row = TermRow {
            agreement_id: agreement.id,
            effective_on: on,
            rate_class: rate_class.clone(),
            attributes: text.clone(),
            entered_at: context.now(),
            entered_by: context.actor.clone(),
            note: change.note.clone(),
        };
        customers::set_term(conn, &row)?;
        let detail = format!("from {on}: {rate_class} {text}: {}", change.note);
        operations::audit(conn, context.now(), &context.actor, "service.terms", &change.service, &detail)?;
        Ok(Terms { effective_on: on, rate_class, attributes, unchanged })
    })
}

/// From a day on terms can change that is not billed yet and after which nothing else was agreed.
fn still_open(conn: &mut DbConnection, service: &str, agreement: AgreementId, terms: &[TermRow], on: NaiveDate) -> Result<(), ActionError> {
    let billed = billing::billed_through(conn, &[agreement])?.into_iter().map(|(_, day)| day).next();
    if let Some(billed) = billed.filter(|billed| *billed > on) {
        return Err(ActionError::Refused(format!(
            "effective_on: service '{service}' is billed through {billed}, beyond {on}: take that bill back first"
        )));
    }
    match terms.iter().find(|row| row.effective_on > on) {
        Some(later) => Err(ActionError::Refused(format!("effective_on: other terms begin on {}: expected a day from then on", later.effective_on))),
        None => Ok(()),
    }
}

/// A service does not lose or get a meter by its terms: periods between reads and those of the calendar do not follow each
/// other, and what was used or due in between would be billed to nobody.
fn stays_metered(book: &TariffBook, schedule: &str, (before, after): (&str, &str), on: NaiveDate) -> Result<(), ActionError> {
    let metered = |class: &str| book.settings_on(schedule, class, on).is_none_or(|settings| settings.metered);
    if metered(before) == metered(after) {
        return Ok(());
    }
    Err(ActionError::Refused(format!(
        "rate_class: '{before}' and '{after}' are not both by meter, and their periods do not follow each other: end this service and begin another"
    )))
}
