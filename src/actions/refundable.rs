//! How much of a credit may be given back now: what no payer's bank can take back any more, and from when the rest is safe.

use chrono::{Days, NaiveDate, NaiveTime};
use serde::Serialize;

use super::policy::policies_within;
use super::{ActionError, Context, account_named};
use crate::clock::local_date;
use crate::db::payouts::Standing;
use crate::db::{DbConnection, ledger, payouts};
use crate::domain::bank_tenders::{BankTender, bank_tender};
use crate::domain::ids::{AccountId, PaymentId};
use crate::domain::money::Money;
use crate::domain::policy::Policy;

/// As people call the tender of a refund by cheque that is said to be lost.
const LOST_CHEQUE: &str = "lost cheque";
/// No return window is longer.
const LONGEST_WINDOW_DAYS: u64 = 731;

/// A payment that can still be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pending {
    /// Its reference.
    pub reference: String,
    /// Form of money.
    pub tender: String,
    /// What of it was not given back yet.
    pub amount: Money,
    /// The first day on which it counts as safe.
    pub safe_from: NaiveDate,
}

/// What of an account's credit can be given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Safe {
    /// What the account has to its good; 0 when it owes.
    pub credit: Money,
    /// Payments that can still be taken back, the first to become safe first.
    pub pending: Vec<Pending>,
    /// The policy's authority.
    pub citation: String,
}

impl Safe {
    /// What can be given back now.
    #[must_use]
    pub fn now(&self) -> Money {
        let held = Money::checked_sum(self.pending.iter().map(|payment| payment.amount));
        held.and_then(|held| self.credit.checked_sub(held)).map_or(Money::ZERO, |safe| safe.max(Money::ZERO))
    }

    /// The first day on which this much can be given back, if the account stays as it is; none when it never is.
    #[must_use]
    pub fn possible_from(&self, amount: Money) -> Option<NaiveDate> {
        let mut safe = self.pending.iter().try_fold(self.credit, |left, payment| left.checked_sub(payment.amount))?;
        for payment in &self.pending {
            safe = safe.checked_add(payment.amount)?;
            if safe >= amount {
                return Some(payment.safe_from).filter(|day| *day < NaiveDate::MAX);
            }
        }
        None
    }

    /// Why an amount cannot be given back now, and from when it can.
    #[must_use]
    pub fn why_not(&self, amount: Money) -> String {
        let shown = |payment: &Pending| {
            let until = if payment.safe_from == NaiveDate::MAX {
                "the next file of cheques tells the bank not to pay it".to_owned()
            } else {
                payment.safe_from.to_string()
            };
            format!("{} by {} ({}) until {until}", payment.amount, payment.tender, payment.reference)
        };
        let payments: Vec<String> = self.pending.iter().take(5).map(shown).collect();
        let from = self.possible_from(amount).map_or_else(String::new, |day| format!("; {amount} can be given back from {day} on"));
        format!(
            "{} of the credit of {} can be given back now: the payer's bank can still take back {}{from} ({})",
            self.now(),
            self.credit,
            payments.join(", "),
            self.citation
        )
    }
}

/// What of an account's credit can be given back today.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account.
pub fn refundable(context: &Context, account: &str) -> Result<Safe, ActionError> {
    context.database.snapshot(|conn| {
        let account = account_named(conn, account)?;
        let policy = policies_within(conn)?.on(context.today()).clone();
        refundable_within(conn, context, &policy, account.id, None)
    })
}

/// The same within a transaction. A payment that goes back to its own card is no danger to itself: its holder cannot dispute what
/// was given back. A direct debit can be taken back even then.
pub(super) fn refundable_within(
    conn: &mut DbConnection,
    context: &Context,
    policy: &Policy,
    account: AccountId,
    to_its_own: Option<PaymentId>,
) -> Result<Safe, ActionError> {
    let today = context.today();
    let since = today.checked_sub_days(Days::new(LONGEST_WINDOW_DAYS)).unwrap_or(NaiveDate::MIN).and_time(NaiveTime::MIN);
    let credit = (-ledger::position(conn, account)?.balance).max(Money::ZERO);
    let mut pending = Vec::new();
    for payment in payouts::standing_since(conn, account, since)? {
        let posted_on = local_date(payment.posted_at, context.config.time_zone);
        let (tender, drawn) = tender_of(&payment);
        let safe_from = policy.refunds.return_days.safe_from(&tender, drawn, payment.effective_on.max(posted_on));
        let amount = Money::from_cents(payment.amount_cents.saturating_sub(payment.given_back_cents));
        let goes_back = to_its_own == Some(payment.id) && payment.tender == "card";
        if safe_from > today && amount.is_positive() && !goes_back {
            pending.push(Pending { reference: payment.reference.unwrap_or_default(), tender, amount, safe_from });
        }
    }
    // A cheque that is said to be lost may still be cashed until the bank is told not to pay it.
    for (token, cents) in payouts::unvoided_cheques(conn, account)? {
        let amount = Money::from_cents(cents);
        pending.push(Pending { reference: token, tender: LOST_CHEQUE.to_owned(), amount, safe_from: NaiveDate::MAX });
    }
    pending.sort_by_key(|payment| payment.safe_from);
    Ok(Safe { credit, pending, citation: policy.refunds.citation.clone() })
}

/// By what a payment came, and whether we drew it: of money that came by bank as far as the bank's file tells.
fn tender_of(payment: &Standing) -> (String, bool) {
    let (Some(format), Some(code)) = (&payment.bank_format, &payment.bank_code) else {
        return (payment.tender.clone(), payment.drawn == 1);
    };
    match bank_tender(format, code) {
        BankTender::Transfer => ("transfer".to_owned(), false),
        BankTender::DirectDebit => ("transfer".to_owned(), true),
        BankTender::Cheque => ("cheque".to_owned(), false),
        BankTender::Unknown => ("bank, it is not known how".to_owned(), false),
    }
}
