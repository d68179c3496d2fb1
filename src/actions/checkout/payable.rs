//! What can be paid online: the accounts of a person, what is due on each, and what is on its way already.

use chrono::NaiveDate;

use crate::actions::account_view::{Whose, find};
use crate::actions::{ActionError, Context};
use crate::db::account_views::{self as views, AccountHead};
use crate::db::{DbConnection, provider_payments as rows};
use crate::domain::ids::{AccountId, PersonId};
use crate::domain::money::Money;

/// So many accounts can be paid at once.
pub const MOST_ACCOUNTS: usize = 25;
/// So many payments that are on their way are shown of one account.
const MOST_PENDING: i64 = 10;
/// So much more than is due can be paid, in cents: more is a slip of the finger.
const MOST_IN_ADVANCE_CENTS: i64 = 1_000_000;
/// No provider takes more at once, in cents.
const MOST_AT_ONCE_CENTS: i64 = 99_999_999;

/// A payment whose customer is through and whose money is not in the ledger yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingPayment {
    /// What of it is for the account.
    pub amount: Money,
    /// Whether it comes from a bank account, which takes days.
    pub from_bank: bool,
    /// The day of the payment.
    pub made_on: NaiveDate,
}

/// The payments of an account that are on their way.
pub(in crate::actions) fn pending(conn: &mut DbConnection, account: AccountId) -> Result<Vec<PendingPayment>, ActionError> {
    let found = rows::pending_of_account(conn, account, MOST_PENDING)?;
    let one = |(row, cents): (rows::ProviderPaymentRow, i64)| PendingPayment {
        amount: Money::from_cents(cents),
        from_bank: row.tender == "transfer",
        made_on: row.made_on,
    };
    Ok(found.into_iter().map(one).collect())
}

/// An account that somebody may pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayableAccount {
    /// The account.
    pub head: AccountHead,
    /// What is on its way already.
    pub pending: Vec<PendingPayment>,
}

impl PayableAccount {
    pub(super) fn of(conn: &mut DbConnection, head: AccountHead) -> Result<Self, ActionError> {
        Ok(Self { pending: pending(conn, head.id)?, head })
    }

    /// What is on its way already.
    #[must_use]
    pub fn on_its_way(&self) -> Money {
        Money::checked_sum(self.pending.iter().map(|payment| payment.amount)).unwrap_or_default()
    }

    /// What is due and not on its way already; never negative.
    #[must_use]
    pub fn due(&self) -> Money {
        let open = Money::from_cents(self.head.balance_cents).checked_sub(self.on_its_way()).unwrap_or_default();
        open.max(Money::ZERO)
    }
}

/// The accounts of a person that can be paid together: first those that were asked for by their numbers, then the others.
///
/// # Errors
/// [`ActionError::NotFound`] when one that was asked for is not theirs.
pub fn payable_accounts(context: &Context, person: PersonId, asked: &[String]) -> Result<Vec<PayableAccount>, ActionError> {
    let most = i64::try_from(MOST_ACCOUNTS).unwrap_or(i64::MAX);
    context.database.snapshot(|conn| {
        let mut heads: Vec<AccountHead> = Vec::new();
        let others = views::heads_of_person(conn, person, AccountId(0), most)?;
        for number in asked.iter().take(MOST_ACCOUNTS) {
            let head = find(conn, number, Whose::Person(person))?;
            if heads.iter().all(|known| known.id != head.id) {
                heads.push(head);
            }
        }
        for head in others {
            if heads.iter().all(|known| known.id != head.id) {
                heads.push(head);
            }
        }
        heads.truncate(MOST_ACCOUNTS);
        heads.into_iter().map(|head| PayableAccount::of(conn, head)).collect()
    })
}

/// Checks an amount for an account.
///
/// # Errors
/// [`ActionError::Refused`] with what was expected, the account's number first.
pub(super) fn check_amount(head: &AccountHead, amount: Money) -> Result<(), ActionError> {
    let number = &head.number;
    if !amount.is_positive() {
        return Err(ActionError::Refused(format!("{number}: expected an amount above 0.00")));
    }
    let in_advance = Money::from_cents(MOST_IN_ADVANCE_CENTS);
    let most = Money::from_cents(head.balance_cents.max(0).saturating_add(MOST_IN_ADVANCE_CENTS).min(MOST_AT_ONCE_CENTS));
    if amount > most {
        let why = if most.cents() == MOST_AT_ONCE_CENTS {
            "no more can be paid at once".to_owned()
        } else {
            format!("the balance and {in_advance} in advance")
        };
        return Err(ActionError::Refused(format!("{number}: expected at most {most}: {why}")));
    }
    Ok(())
}

/// Why less than the provider takes is not begun.
pub(super) fn under_least(about: &str, least: Money) -> ActionError {
    ActionError::Refused(format!(
        "{about}: expected at least {least}, the least that can be paid online; what is more than is due is kept for the next bill"
    ))
}

/// The sum of a payment.
///
/// # Errors
/// [`ActionError::Refused`] when it is more than can be paid at once.
pub(super) fn total(parts: &[(AccountId, Money)]) -> Result<Money, ActionError> {
    let most = Money::from_cents(MOST_AT_ONCE_CENTS);
    let total = Money::checked_sum(parts.iter().map(|(_, amount)| *amount)).filter(|total| *total <= most);
    total.ok_or_else(|| ActionError::Refused(format!("together: expected at most {most} at once")))
}
