//! Where an attempt stands, as honestly as it is known: what the provider said in its events, and whether the ledger has it.

use chrono::{NaiveDate, TimeDelta};

use crate::actions::{ActionError, Context};
use crate::db::account_views;
use crate::db::provider_payments::{self as rows, CheckoutRow, ProviderPaymentRow};
use crate::db::{DbConnection, payments, refunds};
use crate::domain::ids::{AccountId, PersonId};
use crate::domain::money::Money;
use crate::domain::payments::{PaymentState, TAKEN_BY_BANK};
use crate::providers::CheckoutStatus;

/// The provider is asked about an attempt at most so often.
const ASK_AGAIN_SECONDS: i64 = 1;

/// Where a payment stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// The provider could not be reached: nothing was charged, and it can be tried again.
    NotOpened,
    /// The customer can pay at this address.
    Open {
        /// Where.
        url: Option<String>,
        /// Why the provider did not take it so far, when it was tried.
        declined: Option<String>,
        /// Whether the provider said just now that nothing was paid yet.
        asked: bool,
    },
    /// The provider has it; the ledger does not yet.
    Received,
    /// It comes from a bank account, which takes days.
    OnItsWay,
    /// It is in the ledger, though it may have gone back since.
    Posted {
        /// What was begun, when something else came.
        instead_of: Option<Money>,
        /// What of it went back, in the order of the days.
        back: Vec<Back>,
    },
    /// It will not come.
    Failed {
        /// Why, when the provider says so.
        reason: Option<String>,
    },
    /// The time to pay is over.
    Expired,
    /// It had come and went back.
    Returned {
        /// When.
        on: Option<NaiveDate>,
        /// Why, when the provider says so.
        reason: Option<String>,
    },
}

/// A part of a posted payment that went back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Back {
    /// When.
    pub on: NaiveDate,
    /// How much.
    pub amount: Money,
    /// Whether the payer's bank took it, and it was not given.
    pub by_bank: bool,
}

/// What may be told of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// To its owner: all.
    Own {
        /// The number.
        number: String,
        /// The balance now.
        balance: Money,
    },
    /// To anybody else: how its number ends.
    Masked {
        /// The last letters of the number.
        ending: String,
    },
}

/// What of a payment is for one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartStanding {
    /// Which account, as far as it may be told.
    pub account: Shown,
    /// How much.
    pub amount: Money,
}

/// A payment as its page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The provider's name.
    pub provider: String,
    /// What is paid: what came, once that is in the ledger.
    pub amount: Money,
    /// For what.
    pub parts: Vec<PartStanding>,
    /// Where it stands.
    pub stage: Stage,
    /// Whether all of it is for accounts of whoever looks.
    pub own: bool,
}

/// Where the attempt with this token stands, for whoever holds the token; `person` is whose accounts may be named.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no such attempt.
pub fn standing(context: &Context, token: &str, person: Option<PersonId>) -> Result<Standing, ActionError> {
    let load = || {
        context.database.snapshot(|conn| {
            let checkout = rows::checkout_by_token(conn, token)?.filter(|checkout| checkout.purpose == "pay");
            let checkout = checkout.ok_or_else(|| ActionError::not_found("payment", "of this address"))?;
            let view = view(conn, &checkout, person)?;
            Ok::<_, ActionError>((checkout, view))
        })
    };
    let (checkout, mut view) = load()?;
    if let Stage::Open { asked, .. } = &mut view.stage {
        match ask(context, &checkout)? {
            Answer::Moved => return Ok(load()?.1),
            Answer::StillOpen => *asked = true,
            Answer::None => {}
        }
    }
    Ok(view)
}

/// What the provider said when it was asked.
enum Answer {
    /// Something that was not known.
    Moved,
    /// That the customer can still pay.
    StillOpen,
    /// Nothing, or it was asked a moment ago.
    None,
}

/// Asks the provider whether the customer is through, when no event has told it yet. The answer moves the attempt and no
/// balance: the ledger waits for events.
fn ask(context: &Context, checkout: &CheckoutRow) -> Result<Answer, ActionError> {
    let provider = context.providers.by_name(&checkout.provider).filter(|provider| provider.merchant() == checkout.merchant);
    let (Some(provider), Some(session)) = (provider, &checkout.session_ref) else { return Ok(Answer::None) };
    let now = context.now();
    let not_since = now - TimeDelta::seconds(ASK_AGAIN_SECONDS);
    if !context.database.write(|conn| rows::take_turn(conn, checkout.id, not_since, now).map_err(ActionError::from))? {
        return Ok(Answer::None);
    }
    let status = match provider.checkout(session) {
        Ok(session) => match session.status {
            CheckoutStatus::Open => return Ok(Answer::StillOpen),
            CheckoutStatus::Complete => "complete",
            CheckoutStatus::Expired => "expired",
        },
        Err(error) => {
            log::warn!("where a checkout stands cannot be asked now: {}", error.kind());
            return Ok(Answer::None);
        }
    };
    let moved = context.database.write(|conn| rows::move_checkout(conn, checkout.id, status, context.now()).map_err(ActionError::from))?;
    Ok(if moved > 0 { Answer::Moved } else { Answer::None })
}

fn view(conn: &mut DbConnection, checkout: &CheckoutRow, person: Option<PersonId>) -> Result<Standing, ActionError> {
    let payment = rows::of_checkout(conn, checkout.id)?;
    let begun = rows::checkout_parts(conn, checkout.id)?;
    let shares = match payment.as_ref().filter(|payment| is_posted(payment)) {
        Some(payment) => posted_shares(conn, payment, &begun)?,
        None => begun,
    };
    let mut parts = Vec::new();
    for (account, cents) in shares {
        let head = account_views::head_by_id(conn, account)?.ok_or_else(|| ActionError::not_found("account", account.to_string()))?;
        let account = if person == Some(head.person_id) {
            Shown::Own { number: head.number, balance: Money::from_cents(head.balance_cents) }
        } else {
            Shown::Masked { ending: ending(&head.number) }
        };
        parts.push(PartStanding { account, amount: Money::from_cents(cents) });
    }
    let amount = Money::checked_sum(parts.iter().map(|part| part.amount)).unwrap_or_default();
    Ok(Standing {
        provider: checkout.provider.clone(),
        amount,
        own: parts.iter().all(|part| matches!(part.account, Shown::Own { .. })),
        parts,
        stage: stage(conn, checkout, payment, amount)?,
    })
}

/// Whether the ledger decides what is told of it, and not the attempt any more.
fn is_posted(payment: &ProviderPaymentRow) -> bool {
    payment.state == PaymentState::Succeeded.as_str() || payment.state == PaymentState::Returned.as_str()
}

/// What the ledger has of a payment for each account that it was begun for.
fn posted_shares(conn: &mut DbConnection, payment: &ProviderPaymentRow, begun: &[(AccountId, i64)]) -> Result<Vec<(AccountId, i64)>, ActionError> {
    let posted = payments::of_provider_payment(conn, payment.id)?;
    let share = |account: AccountId| posted.iter().filter(|row| row.account_id == account).map(|row| row.amount_cents).sum();
    Ok(begun.iter().map(|(account, _)| (*account, share(*account))).collect())
}

/// What of a posted payment is not what it was when it was begun.
fn posted(conn: &mut DbConnection, checkout: &CheckoutRow, payment: Option<&ProviderPaymentRow>, amount: Money) -> Result<Stage, ActionError> {
    let begun = Money::from_cents(checkout.amount_cents);
    let found = match payment {
        Some(payment) => refunds::given_back(conn, payment.id)?,
        None => Vec::new(),
    };
    let back =
        |(on, cents, reason): (NaiveDate, i64, String)| Back { on, amount: Money::from_cents(cents), by_bank: reason.starts_with(TAKEN_BY_BANK) };
    Ok(Stage::Posted { instead_of: Some(begun).filter(|begun| *begun != amount), back: found.into_iter().map(back).collect() })
}

/// How a number ends: at most a half of it, and at most four letters.
fn ending(number: &str) -> String {
    let letters: Vec<char> = number.chars().collect();
    let shown = (letters.len() / 2).clamp(1, 4);
    letters.iter().skip(letters.len().saturating_sub(shown)).collect()
}

fn stage(conn: &mut DbConnection, checkout: &CheckoutRow, payment: Option<ProviderPaymentRow>, amount: Money) -> Result<Stage, ActionError> {
    let state = payment.as_ref().and_then(|payment| payment.state.parse().ok()).unwrap_or(PaymentState::Created);
    let reason = payment.as_ref().and_then(|payment| payment.reason.clone());
    let from_bank = payment.as_ref().is_some_and(|payment| payment.tender == "transfer");
    Ok(match state {
        PaymentState::Succeeded => posted(conn, checkout, payment.as_ref(), amount)?,
        PaymentState::Returned => {
            let posted = match &payment {
                Some(payment) => payments::of_provider_payment(conn, payment.id)?,
                None => Vec::new(),
            };
            Stage::Returned { on: posted.iter().find_map(|row| row.returned_on), reason }
        }
        PaymentState::Submitted if from_bank => Stage::OnItsWay,
        PaymentState::Submitted => Stage::Received,
        // A card that was declined can be followed by another one, as long as the provider's page is open.
        PaymentState::Created | PaymentState::Failed => match checkout.status.as_str() {
            "created" => Stage::NotOpened,
            "open" => Stage::Open { url: checkout.session_url.clone(), declined: reason.filter(|_| state == PaymentState::Failed), asked: false },
            // Whoever is through by card has paid: what failed was the card before. A bank says only days later that it fails.
            "complete" if state == PaymentState::Created || !from_bank => Stage::Received,
            "expired" if state == PaymentState::Created => Stage::Expired,
            _ => Stage::Failed { reason },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::ending;

    #[test]
    fn a_masked_number_shows_at_most_half_of_it() {
        assert_eq!(["A1", "C00042", "1234567890", "7", "Äß12"].map(ending), ["1", "042", "7890", "7", "12"]);
    }
}
