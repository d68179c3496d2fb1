//! What pages show of an account: read in one snapshot, every amount from the ledger's own rows.

use chrono::NaiveDate;
use serde::Serialize;

use super::autopay::view::{DrawView, next_draw};
use super::checkout::{PendingPayment, pending};
use super::corrections::{Corrected, Corrections};
use super::{ActionError, Context};
use crate::db::account_views::{self as rows, AccountHead, ActivityRow, DatedBill, ServiceRow};
use crate::db::billing::bill_number;
use crate::db::payments::{self, PaymentRow};
use crate::db::{DbConnection, ledger, refunds};
use crate::domain::ids::{AccountId, PersonId, RunId};
use crate::domain::money::Money;
use crate::domain::wording;

/// Rows of activity beside the balance.
const RECENT: i64 = 6;
/// Rows on one page of a list.
const PAGE: i64 = 25;
/// Services of one account that are shown.
const MOST_SERVICES: i64 = 50;
/// Later than any position of a ledger.
const END: i64 = i64::MAX;

/// Whose accounts somebody may look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Those of one person: a customer's own.
    Person(PersonId),
    /// Everybody's: staff.
    Anybody,
}

impl Whose {
    /// Whether a person's accounts may be looked at.
    #[must_use]
    pub fn allows(self, person: PersonId) -> bool {
        match self {
            Self::Person(own) => own == person,
            Self::Anybody => true,
        }
    }
}

/// Finds an account that may be looked at. One of somebody else is as absent as one that does not exist.
pub(super) fn find(conn: &mut DbConnection, number: &str, whose: Whose) -> Result<AccountHead, ActionError> {
    let head = rows::head(conn, number)?.filter(|head| whose.allows(head.person_id));
    head.ok_or_else(|| ActionError::not_found("account", number))
}

/// An account as its overview shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountView {
    /// The account, its person and its balance.
    pub head: AccountHead,
    /// What is to be paid, and by when.
    pub due: Due,
    /// The last payment that was posted, returned or not.
    pub last_payment: Option<PaymentRow>,
    /// What of it was given back, in cents.
    pub last_payment_back_cents: i64,
    /// Payments that are on their way: not in the balance yet.
    pub pending: Vec<PendingPayment>,
    /// The last bill that stands.
    pub last_bill: Option<DatedBill>,
    /// What autopay will draw next.
    pub next_draw: Option<DrawView>,
    /// Its services.
    pub services: Vec<ServiceRow>,
    /// What happened last, newest first.
    pub recent: Vec<Activity>,
    /// Whether there is more in the ledger.
    pub more: bool,
}

/// What is to be paid now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing, and nothing is left over.
    Nothing,
    /// Nothing: this much, in cents, is left over for the next bill.
    Credit(i64),
    /// This much, in cents, by the last bill's due date; none before the first bill.
    By {
        /// The balance, in cents.
        cents: i64,
        /// The due date.
        on: Option<NaiveDate>,
        /// Whether that day has passed.
        overdue: bool,
    },
}

impl Due {
    fn of(balance_cents: i64, last_bill: Option<&DatedBill>, today: NaiveDate) -> Self {
        match balance_cents {
            0 => Self::Nothing,
            cents if cents < 0 => Self::Credit(-cents),
            cents => {
                let on = last_bill.map(|bill| bill.due_on);
                Self::By { cents, on, overdue: on.is_some_and(|on| on < today) }
            }
        }
    }
}

/// An account by its number.
///
/// # Errors
/// [`ActionError::NotFound`] when there is none that may be looked at.
pub fn account_view(context: &Context, number: &str, whose: Whose) -> Result<AccountView, ActionError> {
    let today = context.today();
    context.database.snapshot(|conn| {
        let head = find(conn, number, whose)?;
        let last_bill = rows::bills(conn, head.id, END, RECENT)?.into_iter().find(|bill| bill.status == "issued");
        let found = rows::activity(conn, head.id, 0, END, RECENT + 1)?;
        let mut recent = stories(conn, head.id, found)?;
        let last_payment = payments::latest(conn, head.id)?;
        let last_payment_back_cents = match last_payment.as_ref().and_then(|row| Some((row.provider_payment_id?, row.part))) {
            Some((payment, part)) => refunds::given_back_cents(conn, payment, part)?,
            None => 0,
        };
        let more = recent.len() > usize::try_from(RECENT).unwrap_or(usize::MAX);
        recent.truncate(usize::try_from(RECENT).unwrap_or(usize::MAX));
        Ok(AccountView {
            due: Due::of(head.balance_cents, last_bill.as_ref(), today),
            last_payment,
            last_payment_back_cents,
            pending: pending(conn, head.id)?,
            last_bill,
            next_draw: next_draw(conn, head.id)?,
            services: rows::services(conn, head.id, today, MOST_SERVICES)?,
            recent,
            more,
            head,
        })
    })
}

/// A page of a person's own accounts.
///
/// # Errors
/// Those of the database.
pub fn own_accounts(context: &Context, person: PersonId, after: AccountId) -> Result<Vec<AccountHead>, ActionError> {
    Ok(context.database.read(|conn| rows::heads_of_person(conn, person, after, PAGE))?)
}

/// A page of a list that goes back in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The account.
    pub head: AccountHead,
    /// The rows, newest first.
    pub rows: Vec<T>,
    /// Where the next older page begins: its rows lie before this position.
    pub older: Option<i64>,
}

impl<T> Page<T> {
    /// A page from one row more than it shows.
    fn of(head: AccountHead, mut rows: Vec<T>, seq: impl Fn(&T) -> i64) -> Self {
        let most = usize::try_from(PAGE).unwrap_or(usize::MAX);
        let more = rows.len() > most;
        rows.truncate(most);
        let older = rows.last().filter(|_| more).map(seq);
        Self { head, rows, older }
    }
}

/// A page of an account's bills before a ledger position.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no such account that may be looked at.
pub fn account_bills(context: &Context, number: &str, whose: Whose, before: Option<i64>) -> Result<Page<DatedBill>, ActionError> {
    context.database.snapshot(|conn| {
        let head = find(conn, number, whose)?;
        let bills = rows::bills(conn, head.id, before.unwrap_or(END), PAGE + 1)?;
        Ok(Page::of(head, bills, |bill| bill.account_seq))
    })
}

/// A page of an account's ledger before a position.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no such account that may be looked at.
pub fn account_activity(context: &Context, number: &str, whose: Whose, before: Option<i64>) -> Result<Page<Activity>, ActionError> {
    context.database.snapshot(|conn| {
        let head = find(conn, number, whose)?;
        let found = rows::activity(conn, head.id, 0, before.unwrap_or(END), PAGE + 1)?;
        let stories = stories(conn, head.id, found)?;
        Ok(Page::of(head, stories, |row| row.account_seq))
    })
}

/// One ledger row as what happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Activity {
    /// Position in the account's ledger.
    pub account_seq: i64,
    /// Value date.
    pub effective_on: NaiveDate,
    /// Movement of the balance, in cents.
    pub amount_cents: i64,
    /// Balance after it, in cents.
    pub balance_after_cents: i64,
    /// What happened.
    pub story: Story,
}

/// What a ledger row stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Story {
    /// A bill was issued.
    Bill {
        /// Its number.
        number: String,
        /// Its date.
        on: NaiveDate,
        /// Whether it was taken back later.
        cancelled: bool,
    },
    /// A bill was taken back.
    BillReversal {
        /// Its number.
        number: String,
        /// Its date.
        on: NaiveDate,
    },
    /// Money was received.
    Payment {
        /// Form of money.
        tender: String,
        /// Its reference.
        reference: Option<String>,
        /// When it was returned.
        returned_on: Option<NaiveDate>,
        /// Whether a correction took it out of the ledger later.
        corrected: bool,
    },
    /// Money went back.
    PaymentReversal {
        /// The payment's date.
        paid_on: NaiveDate,
        /// Its reference.
        reference: Option<String>,
        /// Why.
        reason: Option<String>,
    },
    /// Something was posted that was not so, and is taken out again.
    Correction {
        /// What is taken out.
        of: Corrected,
        /// The day of the payment or refund.
        on: NaiveDate,
        /// Its reference.
        reference: Option<String>,
    },
    /// A part of a payment went back to the payer.
    Refund {
        /// Its reference.
        reference: Option<String>,
        /// Why.
        reason: String,
    },
    /// A credit or a charge.
    Adjustment {
        /// The reason code's name.
        reason: String,
    },
    /// Something that this program does not know.
    Other {
        /// Its kind.
        kind: String,
    },
}

/// Tells ledger rows as stories.
pub(super) fn stories(conn: &mut DbConnection, account: AccountId, found: Vec<ActivityRow>) -> Result<Vec<Activity>, ActionError> {
    let reasons = if found.iter().any(|row| row.kind == "adjustment") { ledger::reasons(conn)? } else { Vec::new() };
    let reason_of = |source: &str| {
        let code = source.split(':').nth(1).unwrap_or_default();
        reasons.iter().find(|reason| reason.code == code).map_or_else(|| code.to_owned(), |reason| reason.name.clone())
    };
    let corrections = Corrections::load(conn, account, found.iter().map(|row| (row.account_seq, row.source.as_str())))?;
    Ok(found
        .into_iter()
        .map(|row| Activity {
            account_seq: row.account_seq,
            effective_on: row.effective_on,
            amount_cents: row.amount_cents,
            balance_after_cents: row.balance_after_cents,
            story: story(account, row, &corrections, &reason_of),
        })
        .collect())
}

fn story(account: AccountId, row: ActivityRow, corrections: &Corrections, reason_of: &dyn Fn(&str) -> String) -> Story {
    if let Some(correction) = corrections.correction(&row.source) {
        return Story::Correction { of: correction.what, on: correction.on, reference: correction.reference };
    }
    if let Some(refund) = corrections.refund(row.account_seq).filter(|_| row.source.starts_with("refund:")) {
        return Story::Refund { reference: refund.provider_ref.clone(), reason: refund.reason.clone() };
    }
    let bill = row.bill_run.zip(row.bill_on).map(|(run, on)| (bill_number(RunId(run), account), on));
    match (row.kind.as_str(), bill, row.tender) {
        ("bill", Some((number, on)), _) => Story::Bill { number, on, cancelled: row.bill_status.as_deref() == Some("cancelled") },
        ("bill_reversal", Some((number, on)), _) => Story::BillReversal { number, on },
        ("payment", _, Some(tender)) => {
            Story::Payment { tender, reference: row.reference, returned_on: row.returned_on, corrected: row.superseded_seq.is_some() }
        }
        ("payment_reversal", _, Some(_)) => {
            Story::PaymentReversal { paid_on: row.paid_on.unwrap_or(row.effective_on), reference: row.reference, reason: row.return_reason }
        }
        ("adjustment", _, _) => Story::Adjustment { reason: reason_of(&row.source) },
        _ => Story::Other { kind: row.kind },
    }
}

impl Activity {
    /// The movement as money.
    #[must_use]
    pub fn amount(&self) -> Money {
        Money::from_cents(self.amount_cents)
    }
}

/// What happened, as a customer is told of it, and what else there is to know.
#[must_use]
pub fn told(story: &Story) -> (String, Option<String>) {
    let with_reference = |reference: &Option<String>| reference.as_ref().map(|reference| format!("reference {reference}"));
    match story {
        Story::Bill { on, cancelled, .. } => (format!("Bill of {}", wording::whole_date(*on)), cancelled.then(|| "taken back later".to_owned())),
        Story::BillReversal { on, .. } => (format!("Bill of {} taken back", wording::whole_date(*on)), None),
        Story::Payment { tender, reference, returned_on, corrected } => {
            let how = match tender.as_str() {
                "cash" => "in cash",
                "cheque" => "by cheque",
                "card" => "by card",
                _ => "by bank transfer",
            };
            let note = with_reference(reference).map_or_else(|| how.to_owned(), |reference| format!("{how}, {reference}"));
            match returned_on {
                _ if *corrected => ("Payment".to_owned(), Some(format!("{note}; corrected later"))),
                Some(on) => ("Payment received".to_owned(), Some(format!("{note}; returned on {}", wording::whole_date(*on)))),
                None => ("Payment received, thank you".to_owned(), Some(note)),
            }
        }
        Story::PaymentReversal { paid_on, reference, reason } => {
            let notes: Vec<String> = reason.iter().cloned().chain(with_reference(reference)).collect();
            (format!("Returned payment of {}", wording::whole_date(*paid_on)), (!notes.is_empty()).then(|| notes.join(", ")))
        }
        Story::Correction { of, on, reference } => {
            let on = wording::whole_date(*on);
            let words = match of {
                Corrected::Payment => format!("Correction of the payment of {on}"),
                Corrected::Return => format!("Return of the payment of {on} taken back: it counts"),
                Corrected::Refund => format!("Refund of {on} taken back"),
            };
            (words, with_reference(reference))
        }
        Story::Refund { reference, reason } => {
            let notes: Vec<String> = std::iter::once(reason.clone()).chain(with_reference(reference)).collect();
            ("Refund of a payment".to_owned(), Some(notes.join(", ")))
        }
        Story::Adjustment { reason } => (reason.clone(), None),
        Story::Other { kind } => (wording::words(kind), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bill(due_on: NaiveDate) -> DatedBill {
        let bill_on = due_on - chrono::TimeDelta::days(21);
        DatedBill {
            run_id: RunId(1),
            account_id: AccountId(1),
            account_seq: 1,
            status: "issued".to_owned(),
            total_cents: 1,
            amount_due_cents: 1,
            bill_on,
            due_on,
        }
    }

    #[test]
    fn what_is_due_is_the_balance() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let last = bill(day("2026-06-08"));
        assert_eq!(Due::of(0, Some(&last), day("2026-06-15")), Due::Nothing);
        assert_eq!(Due::of(-250, Some(&last), day("2026-06-15")), Due::Credit(250));
        let due = |today| Due::of(100, Some(&last), day(today));
        assert_eq!(due("2026-06-08"), Due::By { cents: 100, on: Some(day("2026-06-08")), overdue: false });
        assert_eq!(due("2026-06-09"), Due::By { cents: 100, on: Some(day("2026-06-08")), overdue: true });
        assert_eq!(Due::of(100, None, day("2026-06-15")), Due::By { cents: 100, on: None, overdue: false });
    }
}
