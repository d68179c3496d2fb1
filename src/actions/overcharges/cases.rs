//! What was found, for people: cases with the most money first, each with its findings and both sides of them.

use serde::Serialize;

use crate::actions::{ActionError, Context};
use crate::db::overcharges::{self, CaseSums, NamedFinding, OpenSums};
use crate::db::{operations, rebills};
use crate::domain::ids::{CaseId, FindingId};
use crate::domain::money::Money;
use crate::domain::overcharges::{Cause, Evidence};

/// A case as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseView {
    /// The case with its sums.
    #[serde(flatten)]
    pub row: CaseSums,
    /// Why, for people.
    pub title: String,
}

impl CaseView {
    fn of(row: CaseSums) -> Self {
        let title = row.cause.parse::<Cause>().map_or_else(|_| row.cause.clone(), |cause| cause.title().to_owned());
        Self { row, title }
    }

    /// What was charged too much and is still open.
    #[must_use]
    pub fn over(&self) -> Money {
        Money::from_cents(self.row.over_cents)
    }

    /// What was charged too little and is still open.
    #[must_use]
    pub fn under(&self) -> Money {
        Money::from_cents(self.row.under_cents)
    }
}

/// A finding as people see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FindingView {
    /// The finding.
    #[serde(flatten)]
    pub row: NamedFinding,
    /// Both sides' working.
    pub evidence: Evidence,
}

/// A page of cases: what is to be done first, then the most money, then the oldest.
///
/// # Errors
/// Those of the database.
pub fn list(context: &Context, all: bool, offset: i64, limit: i64) -> Result<Vec<CaseView>, ActionError> {
    let rows = context.database.read(|conn| overcharges::cases(conn, all, offset, limit))?;
    Ok(rows.into_iter().map(CaseView::of).collect())
}

/// What is open in the whole utility.
///
/// # Errors
/// Those of the database.
pub fn open(context: &Context) -> Result<OpenSums, ActionError> {
    Ok(context.database.read(overcharges::open_sums)?)
}

/// A case with a page of its findings, after one.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no such case.
pub fn show(context: &Context, id: CaseId, after: FindingId, limit: i64) -> Result<(CaseView, Vec<FindingView>), ActionError> {
    context.database.snapshot(|conn| {
        let case = overcharges::case_sums(conn, id)?.ok_or_else(|| ActionError::not_found("case", id.to_string()))?;
        let findings = overcharges::named_findings(conn, id, after, limit)?;
        Ok((CaseView::of(case), findings.into_iter().map(view).collect::<Result<Vec<_>, _>>()?))
    })
}

fn view(mut row: NamedFinding) -> Result<FindingView, ActionError> {
    let text = std::mem::take(&mut row.evidence);
    let evidence = if text == "{}" { Evidence::default() } else { parse(&text)? };
    Ok(FindingView { row, evidence })
}

fn parse(text: &str) -> Result<Evidence, ActionError> {
    serde_json::from_str(text).map_err(|error| ActionError::Form(format!("what a finding keeps cannot be read: {error}")))
}

/// Dismisses a case with everything that is open in it: the same differences are not found again.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no such case, [`ActionError::Refused`] when the note is empty, or the case is closed or
/// being mended.
pub fn dismiss(context: &Context, id: CaseId, note: &str) -> Result<usize, ActionError> {
    if note.trim().is_empty() {
        return Err(ActionError::Refused("note: it is empty: expected why nothing is to be done, in words".to_owned()));
    }
    context.database.write(|conn| {
        let now = context.now();
        let case = overcharges::lock_case(conn, id)?.ok_or_else(|| ActionError::not_found("case", id.to_string()))?;
        match case.status.as_str() {
            "open" => {}
            // What could not be put right is let be by a person; what is on its way is not.
            "mending" => {
                if let Some(row) = rebills::of_case(conn, id)?.into_iter().find(|row| row.status != "done") {
                    return Err(ActionError::Refused(format!(
                        "case {id} is mending: its bills are being made anew by request {}: let that end first (`aquabills overcharges mend {id}`)",
                        row.id
                    )));
                }
            }
            other => return Err(ActionError::Refused(format!("case {id} is {other}: only an open one is dismissed"))),
        }
        let dismissed = overcharges::dismiss_all(conn, id, &context.actor, now)?;
        overcharges::close_case(conn, id, "dismissed", &context.actor, note.trim(), now)?;
        let detail = format!("{dismissed} findings of {} {}: {}", case.cause, case.subject, note.trim());
        operations::audit(conn, now, &context.actor, "overcharges.dismiss", &format!("case {id}"), &detail)?;
        Ok(dismissed)
    })
}
