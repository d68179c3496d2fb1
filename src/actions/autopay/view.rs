//! What pages and commands show of an account's autopay.

use chrono::{NaiveDate, NaiveDateTime};
use serde::Serialize;

use super::{label, state_of};
use crate::actions::account_view::{Whose, find};
use crate::actions::{ActionError, Context};
use crate::db::DbConnection;
use crate::db::account_views::AccountHead;
use crate::db::autopay::{self as rows, MandateRow, ShownDraw};
use crate::db::billing::bill_number;
use crate::domain::autopay::{DrawState, MandateState, SkipReason};
use crate::domain::ids::{AccountId, RunId};

/// So many draws are shown.
const MOST_DRAWS: i64 = 24;
/// So many mandates are shown.
const MOST_MANDATES: i64 = 10;

/// A mandate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MandateView {
    /// Where it stands.
    pub state: MandateState,
    /// From what is drawn.
    pub method: Option<String>,
    /// Above it nothing is drawn, in cents.
    pub limit_cents: Option<i64>,
    /// Since when.
    pub since: NaiveDateTime,
    /// Why it is paused, or over.
    pub because: Option<String>,
}

/// A draw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DrawView {
    /// Of which bill.
    pub bill_number: String,
    /// What was announced, in cents.
    pub amount_cents: i64,
    /// What was drawn, in cents.
    pub drawn_cents: Option<i64>,
    /// The day.
    pub draw_on: NaiveDate,
    /// When the bill is due.
    pub due_on: NaiveDate,
    /// Where it stands.
    pub state: DrawState,
    /// Why it is skipped, waits, or failed.
    pub reason: Option<String>,
    /// From what.
    pub method: Option<String>,
    /// The limit, in cents.
    pub limit_cents: Option<i64>,
    /// Whether the mandate draws.
    pub mandate: MandateState,
    /// The provider's name of the payment.
    pub provider_ref: Option<String>,
}

impl DrawView {
    fn new(row: ShownDraw) -> Result<Self, ActionError> {
        let state: DrawState = row.state.parse().map_err(ActionError::Form)?;
        let skipped: Option<SkipReason> = row.reason.as_deref().and_then(|reason| reason.parse().ok());
        Ok(Self {
            bill_number: bill_number(row.run_id, row.account_id),
            amount_cents: row.amount_cents,
            drawn_cents: row.drawn_cents,
            draw_on: row.draw_on,
            due_on: row.due_on,
            state,
            reason: skipped.map(|why| why.sentence().to_owned()).or(row.reason),
            method: row.method_label,
            limit_cents: row.limit_cents,
            mandate: row.mandate_state.parse().map_err(ActionError::Form)?,
            provider_ref: row.provider_ref,
        })
    }

    /// Whether it will be drawn as things are: nothing that is paused, or above the limit.
    #[must_use]
    pub fn will_be_drawn(&self) -> bool {
        self.state == DrawState::Announced && self.mandate == MandateState::Active && self.limit_cents.is_none_or(|limit| self.amount_cents <= limit)
    }
}

/// An account's autopay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutopayView {
    /// The account.
    pub head: AccountHead,
    /// The mandate that counts: the one that draws or is paused, else one that is being made.
    pub mandate: Option<MandateView>,
    /// Mandates that are over, newest first.
    pub past: Vec<MandateView>,
    /// The draws, newest first.
    pub draws: Vec<DrawView>,
    /// Whether a mandate can be made here.
    pub offered: bool,
}

/// An account's autopay.
///
/// # Errors
/// [`ActionError::NotFound`] for an account that may not be looked at.
pub fn autopay_view(context: &Context, number: &str, whose: Whose) -> Result<AutopayView, ActionError> {
    context.database.snapshot(|conn| {
        let head = find(conn, number, whose)?;
        let mandates = rows::mandates_of(conn, head.id, MOST_MANDATES)?.into_iter().map(mandate_view).collect::<Result<Vec<_>, _>>()?;
        let (live, others): (Vec<_>, Vec<_>) =
            mandates.into_iter().partition(|mandate| matches!(mandate.state, MandateState::Active | MandateState::Paused));
        let past = others.into_iter().filter(|mandate| mandate.state == MandateState::Ended).collect();
        let draws = rows::draws_of(conn, head.id, MOST_DRAWS)?.into_iter().map(DrawView::new).collect::<Result<_, _>>()?;
        Ok(AutopayView { mandate: live.into_iter().next(), past, draws, offered: context.providers.first().is_some(), head })
    })
}

fn mandate_view(row: MandateRow) -> Result<MandateView, ActionError> {
    Ok(MandateView {
        state: state_of(&row)?,
        method: row.method_label.is_some().then(|| label(&row)),
        limit_cents: row.limit_cents,
        since: row.active_at.unwrap_or(row.created_at),
        because: row.ended_because,
    })
}

/// The last draw of a bill.
pub(in crate::actions) fn draw_of_bill(conn: &mut DbConnection, run: RunId, account: AccountId) -> Result<Option<DrawView>, ActionError> {
    rows::shown_draw_of_bill(conn, run, account)?.map(DrawView::new).transpose()
}

/// The next draw of an account.
pub(in crate::actions) fn next_draw(conn: &mut DbConnection, account: AccountId) -> Result<Option<DrawView>, ActionError> {
    rows::next_draw_of(conn, account)?.map(DrawView::new).transpose()
}

/// Where a draw stands, as people say it: the look of its badge, the words in it, and what else there is to know.
#[must_use]
pub fn draw_words(draw: &DrawView) -> (&'static str, &'static str, Option<String>) {
    let reason = draw.reason.as_ref().map(|reason| sentence(reason));
    match draw.state {
        DrawState::Announced if draw.mandate != MandateState::Active => ("warn", "not drawn", Some("Autopay is paused.".to_owned())),
        DrawState::Announced if !draw.will_be_drawn() => ("warn", "not drawn", Some("It is above the limit.".to_owned())),
        DrawState::Announced if reason.is_some() => ("warn", "waits", reason),
        DrawState::Announced => ("water", "will be drawn", None),
        DrawState::Skipped => ("", "not drawn", reason),
        DrawState::Drawing => ("water", "being drawn", None),
        DrawState::Submitted => ("water", "on its way", None),
        DrawState::Succeeded => ("good", "drawn", None),
        DrawState::Failed => ("bad", "declined", reason),
        DrawState::Returned => ("bad", "went back", reason),
    }
}

/// A reason as a sentence.
fn sentence(reason: &str) -> String {
    let mut letters = reason.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str().trim_end_matches('.')))
}
