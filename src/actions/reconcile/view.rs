//! What is stored of looks, for pages, commands and files: the sums of the last one, and the differences that are there.

use chrono::{NaiveDate, NaiveDateTime};
use serde::Serialize;

use super::DayLine;
pub use super::keep::Detail;
use crate::actions::staff_account::one_more;
use crate::actions::{ActionError, Context};
use crate::db::reconciliation::{DeltaRow, DifferenceFilter, DifferenceRow, last_delta, open_differences};
use crate::domain::money::Money;
use crate::domain::reconciliation::{Action, Kind, Side, SideRow};

/// The last standing look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastLook {
    /// When, UTC.
    pub looked_at: NaiveDateTime,
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: NaiveDate,
    /// How far the sides are apart.
    #[serde(rename = "delta_cents")]
    pub delta: Money,
    /// How many differences.
    pub differences: i64,
    /// Each day, newest first.
    pub days: Vec<DayLine>,
}

/// The last standing look; none before the first.
///
/// # Errors
/// Those of the database.
pub fn last_look(context: &Context) -> Result<Option<LastLook>, ActionError> {
    let row: Option<DeltaRow> = context.database.read(last_delta)?;
    row.map(|row| {
        let mut days: Vec<DayLine> = read(&row.days)?;
        days.reverse();
        Ok(LastLook {
            looked_at: row.looked_at,
            from: row.from_on,
            to: row.to_on,
            delta: Money::from_cents(row.delta_cents),
            differences: row.differences.into(),
            days,
        })
    })
    .transpose()
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, ActionError> {
    serde_json::from_str(text).map_err(|error| ActionError::Refused(format!("what a look kept cannot be read: {error}")))
}

/// A difference that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DifferenceView {
    /// Identity.
    pub id: i64,
    /// What differs.
    pub kind: Kind,
    /// The day that it counts on.
    pub day: NaiveDate,
    /// Whose money, by number, when it is one account's.
    pub account: Option<String>,
    /// The provider's, or the bank's, reference.
    pub reference: String,
    /// What the ledger says.
    #[serde(rename = "ledger_cents")]
    pub ledger: Option<Money>,
    /// What the provider says.
    #[serde(rename = "provider_cents")]
    pub provider: Option<Money>,
    /// What the bank says.
    #[serde(rename = "bank_cents")]
    pub bank: Option<Money>,
    /// When it was found first, UTC.
    pub first_seen_at: NaiveDateTime,
    /// When it was found last, UTC.
    pub last_seen_at: NaiveDateTime,
    /// Rows, cause and action.
    #[serde(flatten)]
    pub detail: Detail,
}

impl DifferenceView {
    /// The ledger's rows, and what waits in the inbox.
    #[must_use]
    pub fn ours(&self) -> Vec<&SideRow> {
        self.detail.rows.iter().filter(|row| matches!(row.side, Side::Ledger | Side::Inbox)).collect()
    }

    /// The provider's and the bank's rows.
    #[must_use]
    pub fn theirs(&self) -> Vec<&SideRow> {
        self.detail.rows.iter().filter(|row| matches!(row.side, Side::Provider | Side::Bank)).collect()
    }

    /// The account that an action is about: its own, or the one that its rows name.
    #[must_use]
    pub fn about(&self) -> Option<&str> {
        self.account.as_deref().or_else(|| self.detail.rows.iter().find_map(|row| row.account.as_deref()))
    }

    /// Whether the program may mend it by itself.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        self.detail.action.is_safe()
    }

    /// What mends it.
    #[must_use]
    pub fn action(&self) -> Action {
        self.detail.action
    }
}

/// Where a page begins: after the difference of this day and identity.
pub type PageStart = (NaiveDate, i64);

/// The differences that are there, newest day first, and where the next page begins.
///
/// # Errors
/// Those of the database.
pub fn differences(context: &Context, filter: &DifferenceFilter<'_>, rows: usize) -> Result<(Vec<DifferenceView>, Option<PageStart>), ActionError> {
    let mut found = context.database.read(|conn| open_differences(conn, filter, one_more(rows)))?;
    let more = found.len() > rows;
    found.truncate(rows);
    let next = found.last().filter(|_| more).map(|row| (row.day_on, row.id));
    let views = found.into_iter().map(view_of).collect::<Result<Vec<_>, _>>()?;
    Ok((views, next))
}

fn view_of(row: DifferenceRow) -> Result<DifferenceView, ActionError> {
    Ok(DifferenceView {
        id: row.id,
        kind: row.kind.parse().map_err(ActionError::Refused)?,
        day: row.day_on,
        account: row.account,
        reference: row.reference,
        ledger: row.ledger_cents.map(Money::from_cents),
        provider: row.provider_cents.map(Money::from_cents),
        bank: row.bank_cents.map(Money::from_cents),
        first_seen_at: row.first_seen_at,
        last_seen_at: row.last_seen_at,
        detail: read(&row.detail)?,
    })
}
