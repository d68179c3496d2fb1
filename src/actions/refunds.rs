//! Refunds: money given back. Of one payment through the provider that brought it, or a credit balance by bank.
//!
//! The account is charged when the refund is asked for, in one transaction with the refund's own row. The provider is asked
//! after, by the job, under the refund's own name: the same name is the same refund, whoever asks and however often. The
//! provider's reference comes with its answer, with an event, or never. What is certain not to arrive, or cannot be reached for
//! too long, is the customer's again; should it turn out to have gone through after all, the account is charged again.

use chrono::{NaiveDateTime, TimeDelta};
use rand::Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::approvals::{self, Checked, Outcome, Wanted};
use super::payments::Posted;
use super::policy::policies_within;
use super::refundable::refundable_within;
use super::sign_in::new_token;
use super::stop::Stop;
use super::{ActionError, Context, account_named, balances, notices};
use crate::clock::local_date;
use crate::db::customers::{self, AccountRow};
use crate::db::operations::Subject;
use crate::db::payouts;
use crate::db::provider_payments::{self as payments, NewRefund, RefundRow};
use crate::db::refunds::{self as rows, Refundable};
use crate::db::{DbConnection, ledger, operations};
use crate::domain::ids::{AccountId, ProviderPaymentId, RefundBatchId, RefundId};
use crate::domain::money::Money;
use crate::domain::notices::{Addressee, Facts, NewNotice, RefundFailed, RefundSent};
use crate::domain::payments::PaymentState;
use crate::domain::payouts::Payee;
use crate::domain::policy::Policy;
use crate::domain::retry::{Retry, most_of_a_round, retry};
use crate::providers::{ProviderError, RefundOrder};
use crate::telemetry::metrics::{self, Area};

/// The reason code of money that is given back.
const REFUND: &str = "refund";
/// The reason code of a refund that did not arrive.
const FAILED: &str = "refund-failed";
/// Who pays a credit out: the utility's own bank.
pub const PAYOUT: &str = "payout";
/// Whoever asks the provider has so long before somebody else may: longer than any call takes.
const CLAIM_MINUTES: i64 = 10;
/// So many refunds are asked about in one round.
const ROUND: i64 = 200;
/// No refund changes its mind more often.
const MOST_TURNS: i64 = 50;
/// So many refunds of an account are shown.
const MOST: i64 = 100;

/// What is to be given back of a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundWish {
    /// The account's number.
    pub account: String,
    /// The payment's reference.
    pub payment: String,
    /// How much.
    pub amount: Money,
    /// Our reference: the same again changes nothing.
    pub reference: String,
    /// Why, in words.
    pub note: String,
}

/// What can be given back of a payment now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Available {
    /// What of the payment is not given back yet, in cents.
    pub of_payment_cents: i64,
    /// What the account has to its good, in cents.
    pub credit_cents: i64,
    /// What of it no other payer's bank can take back any more, in cents.
    pub safe_cents: i64,
    /// What the rest waits for, and until when.
    pub why_not: String,
}

impl Available {
    /// The most that can be given back.
    #[must_use]
    pub fn most(&self) -> Money {
        Money::from_cents(self.of_payment_cents.min(self.credit_cents).min(self.safe_cents).max(0))
    }
}

/// Gives money of a payment back through the provider that brought it, when it needs no second person.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account or payment; [`ActionError::Refused`] when the money is not certain, is given
/// back already, is more than the account has to its good, needs a second person, or the reference stands for something else.
pub fn refund_payment(context: &Context, wish: &RefundWish) -> Result<Posted, ActionError> {
    approvals::give(context, &Wanted::GiveBack(wish.clone()))
}

/// Gives money of a payment back, or asks a second person for it where the policy wants one.
///
/// # Errors
/// As [`refund_payment`].
pub fn ask_refund(context: &Context, wish: &RefundWish) -> Result<Outcome, ActionError> {
    approvals::ask(context, &Wanted::GiveBack(wish.clone()))
}

/// Checks a refund as things stand, within a transaction, and takes the locks of its payment and its account.
pub(super) fn check_within(conn: &mut DbConnection, context: &Context, policy: &Policy, wish: &RefundWish) -> Result<Checked, ActionError> {
    balances::check_words(&wish.reference, &wish.note)?;
    let account = account_named(conn, &wish.account)?;
    let (found, payment) = locked(conn, &account, &wish.payment)?;
    if let Some(posted) = balances::already(conn, &account, REFUND, Some(wish.amount), &wish.reference)? {
        let same = rows::at(conn, account.id, posted.account_seq)?;
        return match same.filter(|row| row.provider_payment_id == Some(payment)) {
            Some(_) => Ok(Checked::Done(posted)),
            None => Err(ActionError::Refused(format!("reference: '{}' stands for another refund already", wish.reference))),
        };
    }
    let available = available_within(conn, context, policy, &account, &found, payment)?;
    if wish.amount <= Money::ZERO || wish.amount.cents() > available.of_payment_cents.min(available.credit_cents) {
        return Err(ActionError::Refused(format!(
            "amount: {} of this payment can still be given back, and account {} has {} to its good: expected more than 0 and no more than either",
            Money::from_cents(available.of_payment_cents.max(0)),
            wish.account,
            Money::from_cents(available.credit_cents)
        )));
    }
    if wish.amount > available.most() {
        return Err(ActionError::Refused(format!("amount: {}", available.why_not)));
    }
    Ok(Checked::Ready { account: account.id, movement: wish.amount, reason: "Payment given back".to_owned() })
}

/// Takes a checked refund out of its account, within a transaction that holds the locks.
pub(super) fn give_back_checked(conn: &mut DbConnection, context: &Context, wish: &RefundWish) -> Result<Posted, ActionError> {
    let account = account_named(conn, &wish.account)?;
    let (found, payment) = locked(conn, &account, &wish.payment)?;
    let known = payments::by_id(conn, payment)?.ok_or_else(|| ActionError::not_found("payment", &wish.payment))?;
    let posted = balances::post(context, conn, &account, REFUND, wish.amount, &wish.reference, &wish.note)?;
    let now = context.now();
    let new = NewRefund {
        token: new_token(),
        account_id: account.id,
        amount_cents: wish.amount.cents(),
        way: "provider".to_owned(),
        provider_payment_id: Some(payment),
        part: found.part,
        provider: known.provider,
        merchant: known.merchant,
        provider_ref: None,
        state: "created".to_owned(),
        made_on: context.today(),
        reason: wish.note.clone(),
        account_seq: posted.account_seq,
        attempts: 0,
        next_attempt_at: Some(now),
        created_at: now,
        updated_at: now,
    };
    payments::insert_refund(conn, &new)?;
    Ok(posted)
}

/// A payment of an account with the locks of both, in the order in which events take them.
fn locked(conn: &mut DbConnection, account: &AccountRow, reference: &str) -> Result<(Refundable, ProviderPaymentId), ActionError> {
    let missing = || ActionError::not_found("payment through a provider", reference);
    let find = |conn: &mut DbConnection| -> Result<_, ActionError> {
        let found = rows::refundable(conn, account.id, reference)?.ok_or_else(missing)?;
        let payment = found.provider_payment_id.ok_or_else(missing)?;
        Ok((found, payment))
    };
    let (_, payment) = find(conn)?;
    payments::lock(conn, payment)?;
    ledger::lock_accounts(conn, &[account.id])?;
    find(conn)
}

fn available_within(
    conn: &mut DbConnection,
    context: &Context,
    policy: &Policy,
    account: &AccountRow,
    found: &Refundable,
    payment: ProviderPaymentId,
) -> Result<Available, ActionError> {
    let reference = found.provider_ref.as_deref().unwrap_or_default();
    let state = payments::by_id(conn, payment)?.map(|row| row.state).unwrap_or_default();
    if state != PaymentState::Succeeded.as_str() {
        return Err(ActionError::Refused(format!("payment {reference} is {state}: only money that is certain is given back")));
    }
    if found.returned_seq.is_some() && found.restored_seq.is_none() {
        return Err(ActionError::Refused(format!("payment {reference} went back already")));
    }
    let of_payment_cents = found.amount_cents.saturating_sub(rows::given_back_cents(conn, payment, found.part)?);
    let safe = refundable_within(conn, context, policy, account.id, Some(found.id))?;
    let why_not = safe.why_not(Money::from_cents(of_payment_cents.min(safe.credit.cents())));
    Ok(Available { of_payment_cents, credit_cents: safe.credit.cents(), safe_cents: safe.now().cents(), why_not })
}

/// What can be given back of a payment now.
///
/// # Errors
/// As [`refund_payment`].
pub fn available(context: &Context, account: &str, payment: &str) -> Result<Available, ActionError> {
    context.database.snapshot(|conn| {
        let account = account_named(conn, account)?;
        let missing = || ActionError::not_found("payment through a provider", payment);
        let found = rows::refundable(conn, account.id, payment)?.ok_or_else(missing)?;
        let id = found.provider_payment_id.ok_or_else(missing)?;
        let policy = policies_within(conn)?.on(context.today()).clone();
        available_within(conn, context, &policy, &account, &found, id)
    })
}

/// Writes down that a credit is paid out by bank, within the transaction that charges the account. The refund is called as its
/// reference, which the bank's transfer carries.
pub(super) fn pay_out_within(
    context: &Context,
    conn: &mut DbConnection,
    account: AccountId,
    posted: Posted,
    wish: (Money, &str, &str),
    payee: Option<&Payee>,
) -> Result<(), ActionError> {
    let ((amount, reference, note), now) = (wish, context.now());
    let new = NewRefund {
        token: reference.to_owned(),
        account_id: account,
        amount_cents: amount.cents(),
        way: PAYOUT.to_owned(),
        provider_payment_id: None,
        part: 1,
        provider: PAYOUT.to_owned(),
        merchant: super::payments::MERCHANT.to_owned(),
        provider_ref: None,
        state: "created".to_owned(),
        made_on: context.today(),
        reason: note.to_owned(),
        account_seq: posted.account_seq,
        attempts: 0,
        next_attempt_at: None,
        created_at: now,
        updated_at: now,
    };
    let id = payments::insert_refund(conn, &new)?;
    if let Some(payee) = payee {
        payouts::insert_payee(conn, id, payee)?;
    }
    Ok(())
}

/// What a round of the job did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Refunds that the provider has.
    pub sent: u64,
    /// Refunds that it refused, or that were given up: the money is the customer's again.
    pub failed: u64,
    /// Refunds that are asked for again later.
    pub waiting: u64,
}

/// Asks providers for the refunds that are due.
///
/// # Errors
/// Those of the database; what became of each refund is in the table.
pub fn send_due(context: &Context, stop: &Stop) -> Result<Counts, ActionError> {
    let mut counts = Counts::default();
    let due = context.database.read(|conn| {
        let mut due = rows::due(conn, context.now(), false, ROUND)?;
        // Those that failed together do not come back together.
        let most = most_of_a_round(rows::count_again(conn)?).min(ROUND);
        due.extend(rows::due(conn, context.now(), true, most)?);
        Ok::<_, ActionError>(due)
    })?;
    for id in due {
        if stop.is_requested() {
            break;
        }
        match send_one(context, id)? {
            Some("created") => {
                metrics::retried(Area::Refunds);
                counts.waiting += 1;
            }
            Some("failed") => counts.failed += 1,
            Some(_) => counts.sent += 1,
            None => {}
        }
    }
    Ok(counts)
}

fn send_one(context: &Context, id: RefundId) -> Result<Option<&'static str>, ActionError> {
    let asked = context.database.write(|conn| {
        let now = context.now();
        if !rows::claim(conn, id, now, now + TimeDelta::minutes(CLAIM_MINUTES))? {
            return Ok::<_, ActionError>(None);
        }
        let Some(row) = rows::by_id(conn, id)? else { return Ok(None) };
        let payment = row.provider_payment_id.map(|payment| payments::by_id(conn, payment)).transpose()?.flatten();
        Ok(payment.and_then(|payment| payment.provider_ref).map(|reference| (row, reference)))
    })?;
    let Some((row, payment_ref)) = asked else { return Ok(None) };
    let order = RefundOrder { token: row.token.clone(), payment_ref, amount: Money::from_cents(row.amount_cents) };
    let answer = match context.providers.by_name(&row.provider).filter(|provider| provider.merchant() == row.merchant) {
        Some(provider) => provider.refund(&order),
        None => Err(ProviderError::Unreachable { provider: row.provider.clone(), reason: "it is not set up".to_owned() }),
    };
    context.database.write(|conn| record(context, conn, id, &answer)).map(Some)
}

/// Writes down what the provider answered. An event may have been quicker: then the refund is where the event put it.
fn record(context: &Context, conn: &mut DbConnection, id: RefundId, answer: &Result<String, ProviderError>) -> Result<&'static str, ActionError> {
    let row = lock_refund(conn, id)?;
    let now = context.now();
    let still_open = row.state == "created";
    match answer {
        // An event told of it without our name: the account was charged for it as money that was taken back elsewhere.
        Ok(reference) if row.provider_ref.is_none() && rows::another_is_called(conn, &row, reference)? => {
            rows::ask_again(conn, id, &format!("{reference} was told as a refund made elsewhere: that one counts"), None)?;
            if is_charged(conn, &row)? {
                give_back_within(context, conn, &row, false, now)?;
            }
            Ok("submitted")
        }
        Ok(reference) => {
            let state = if still_open { "submitted" } else { row.state.as_str() };
            follow_within(context, conn, &row, (state, Some(reference)), now)?;
            Ok("submitted")
        }
        Err(_) if !still_open => Ok("submitted"),
        Err(ProviderError::Refused { reason, .. }) => {
            fail_within(context, conn, &row, reason, now)?;
            Ok("failed")
        }
        // Nobody knows whether it was made. The same again is safe.
        Err(error) => match retry(row.created_at, now, u32::try_from(row.attempts).unwrap_or(u32::MAX), rand::rng().random()) {
            Retry::At(next) => {
                rows::ask_again(conn, id, &error.to_string(), Some(next))?;
                Ok("created")
            }
            Retry::GiveUp => {
                fail_within(context, conn, &row, &error.to_string(), now)?;
                Ok("failed")
            }
        },
    }
}

/// A refund with the locks of its payment and its account, in the order in which events take them.
fn lock_refund(conn: &mut DbConnection, id: RefundId) -> Result<RefundRow, ActionError> {
    let gone = || ActionError::not_found("refund", id.to_string());
    let seen = rows::by_id(conn, id)?.ok_or_else(gone)?;
    if let Some(payment) = seen.provider_payment_id {
        payments::lock(conn, payment)?;
    }
    ledger::lock_accounts(conn, &[seen.account_id])?;
    rows::by_id(conn, id)?.ok_or_else(gone)
}

/// Brings a refund of ours to what is known of it, within a transaction that holds the locks of its payment and its account.
pub(super) fn follow_within(
    context: &Context,
    conn: &mut DbConnection,
    refund: &RefundRow,
    (state, reference): (&str, Option<&str>),
    now: NaiveDateTime,
) -> Result<(), ActionError> {
    if state == "failed" {
        if reference.is_some() && refund.provider_ref.is_none() {
            payments::set_refund(conn, refund.id, &refund.state, reference, now)?;
        }
        return fail_within(context, conn, refund, "the provider could not deliver it", now);
    }
    if refund.state != state || (reference.is_some() && refund.provider_ref.is_none()) {
        payments::set_refund(conn, refund.id, state, reference, now)?;
    }
    if !is_charged(conn, refund)? {
        charge_again_within(context, conn, refund, now)?;
    }
    let notice = sent_notice(context, conn, refund, now)?;
    notices::queue(conn, context, notice)
}

/// Notes that a payout is in a file for the bank, and tells the customer, within a transaction that holds its account's lock.
pub(super) fn submitted_within(context: &Context, conn: &mut DbConnection, id: RefundId, now: NaiveDateTime) -> Result<(), ActionError> {
    let row = rows::by_id(conn, id)?.ok_or_else(|| ActionError::not_found("refund", id.to_string()))?;
    follow_within(context, conn, &row, ("submitted", None), now)
}

/// Notes that the bank carried a payout out, and tells the customer, within a transaction.
pub(super) fn paid_out_within(context: &Context, conn: &mut DbConnection, id: RefundId, bank: &str, now: NaiveDateTime) -> Result<(), ActionError> {
    let row = rows::by_id(conn, id)?.ok_or_else(|| ActionError::not_found("refund", id.to_string()))?;
    follow_within(context, conn, &row, ("succeeded", Some(bank)), now)
}

/// Notes that a refund does not arrive, by what the bank or the provider says: the money is the customer's again, and staff is
/// told. Done once.
pub(super) fn fail_within(
    context: &Context,
    conn: &mut DbConnection,
    refund: &RefundRow,
    reason: &str,
    now: NaiveDateTime,
) -> Result<(), ActionError> {
    fail_noted(context, conn, refund, (reason, false), now).map(|_| ())
}

/// The same, also by what one person says alone; where the money is in the ledger again.
fn fail_noted(
    context: &Context,
    conn: &mut DbConnection,
    refund: &RefundRow,
    (reason, alone): (&str, bool),
    now: NaiveDateTime,
) -> Result<Option<Posted>, ActionError> {
    let was_sent = matches!(refund.state.as_str(), "submitted" | "succeeded");
    if refund.state != "failed" {
        payments::set_refund(conn, refund.id, "failed", None, now)?;
        rows::ask_again(conn, refund.id, reason, None)?;
    }
    if !is_charged(conn, refund)? {
        return Ok(None);
    }
    let posted = give_back_within(context, conn, refund, alone, now)?;
    let amount = Money::from_cents(refund.amount_cents);
    raise(conn, refund, &format!("a refund of {amount} did not arrive: {reason}"), now)?;
    tell_failed(context, conn, refund, (reason, was_sent), now)?;
    Ok(Some(posted))
}

/// Raises the work item of a refund's turn; that of the turn before is done with.
fn raise(conn: &mut DbConnection, refund: &RefundRow, reason: &str, now: NaiveDateTime) -> Result<(), ActionError> {
    let turn = rows::turns(conn, refund.id)?;
    let key = |turn: i64| format!("refund:{}:{turn}", refund.id);
    operations::resolve_about(conn, &key(turn - 1), "aquabills", reason, now)?;
    let (account, amount_cents) = (refund.account_id, refund.amount_cents);
    operations::raise_about(conn, &Subject { kind: "refund_failed", key: &key(turn), account, amount_cents, due_on: None, reason }, now)?;
    Ok(())
}

fn tell_failed(
    context: &Context,
    conn: &mut DbConnection,
    refund: &RefundRow,
    (reason, was_sent): (&str, bool),
    now: NaiveDateTime,
) -> Result<(), ActionError> {
    let facts = Facts::RefundFailed(RefundFailed {
        account: customers::account_number(conn, refund.account_id)?,
        amount_cents: refund.amount_cents,
        reason: reason.to_owned(),
        balance_cents: ledger::position(conn, refund.account_id)?.balance.cents(),
    });
    let (key, happened_on) = (format!("refund:{}:failed", refund.id), local_date(now, context.config.time_zone));
    let mut news = vec![NewNotice { key: format!("{key}:staff"), to: Addressee::Staff, happened_on, facts: facts.clone() }];
    // The customer is told of what they were told of before.
    if was_sent {
        news.push(NewNotice { key, to: Addressee::Account(refund.account_id), happened_on, facts });
    }
    notices::queue_many(conn, context, &news)
}

fn sent_notice(context: &Context, conn: &mut DbConnection, refund: &RefundRow, now: NaiveDateTime) -> Result<NewNotice, ActionError> {
    let payment = refund.provider_payment_id.map(|id| payments::by_id(conn, id)).transpose()?.flatten();
    let sent_on = local_date(now, context.config.time_zone);
    Ok(NewNotice {
        key: format!("refund:{}:sent", refund.id),
        to: Addressee::Account(refund.account_id),
        happened_on: sent_on,
        facts: Facts::RefundSent(RefundSent {
            amount_cents: refund.amount_cents,
            sent_on,
            payment_reference: payment.and_then(|payment| payment.provider_ref),
            instead_of_cents: None,
            balance_cents: ledger::position(conn, refund.account_id)?.balance.cents(),
        }),
    })
}

fn is_charged(conn: &mut DbConnection, refund: &RefundRow) -> Result<bool, ActionError> {
    Ok(rows::turns(conn, refund.id)? % 2 == 0)
}

/// What a refund's turn is called: by the account, what charged it and the turn's number, so that two equal ledgers call it the same.
/// A name that somebody took before, or asked for, is passed over.
fn turn_name(conn: &mut DbConnection, refund: &RefundRow, account: &str, turn: i64) -> Result<String, ActionError> {
    let charge = ledger::transactions_of(conn, refund.account_id, refund.account_seq - 1, 1)?.pop();
    let about = format!("{account}|{}|{turn}", charge.map(|row| row.source).unwrap_or_default());
    let hash = data_encoding::HEXLOWER.encode(Sha256::digest(about).get(..8).unwrap_or_default());
    let plain = format!("RF-{hash}/{turn}");
    let names = std::iter::once(plain.clone()).chain((2..=MOST_TURNS).map(|n| format!("{plain}/{n}")));
    for name in names {
        if ledger::adjustment_by_reference(conn, &name)?.is_none() && crate::db::approvals::by_reference(conn, &name)?.is_none() {
            return Ok(name);
        }
    }
    Err(ActionError::Refused(format!("reference: every name that refund {} could have stands for something else already", refund.id)))
}

/// Posts a refund's next turn.
fn turn(context: &Context, conn: &mut DbConnection, refund: &RefundRow, what: (Money, &str), alone: bool) -> Result<Posted, ActionError> {
    let (amount, note) = what;
    let turn = rows::turns(conn, refund.id)? + 1;
    if turn > MOST_TURNS {
        return Err(ActionError::Refused(format!(
            "refund {} failed and went through more than {MOST_TURNS} times: a person must look at it",
            refund.id
        )));
    }
    let code = if turn % 2 == 1 { FAILED } else { REFUND };
    let number = customers::account_number(conn, refund.account_id)?;
    let account = account_named(conn, &number)?;
    let name = turn_name(conn, refund, &number, turn)?;
    let posted = balances::post(context, conn, &account, code, amount, &name, note)?;
    rows::insert_turn(conn, refund, turn, posted.account_seq, alone)?;
    Ok(posted)
}

/// Gives a refund that failed back to the account, within a transaction that holds its lock.
fn give_back_within(context: &Context, conn: &mut DbConnection, refund: &RefundRow, alone: bool, now: NaiveDateTime) -> Result<Posted, ActionError> {
    let posted = turn(context, conn, refund, (-Money::from_cents(refund.amount_cents), "the refund did not arrive"), alone)?;
    payments::supersede_refund(conn, refund.id, posted.account_seq, now)?;
    Ok(posted)
}

/// Charges the account again for a refund that was taken for failed and went through after all.
fn charge_again_within(context: &Context, conn: &mut DbConnection, refund: &RefundRow, now: NaiveDateTime) -> Result<(), ActionError> {
    let amount = Money::from_cents(refund.amount_cents);
    turn(context, conn, refund, (amount, "the refund went through after all"), false)?;
    let words = format!("a refund of {amount} that was taken for failed went through after all: the account is charged for it again");
    raise(conn, refund, &words, now)
}

/// What became of a payout, as the bank shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayoutNews {
    /// The bank sent it: under this reference.
    Sent(String),
    /// It came back, or was never sent: why.
    Failed(String),
}

/// A payout that somebody says came back: the bank showed nothing yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CameBack {
    /// The account's number.
    pub account: String,
    /// The payout's reference.
    pub payout: String,
    /// The turn that it is: it may come back again.
    pub turn: i64,
    /// Why, in words.
    pub note: String,
}

impl CameBack {
    pub(super) fn reference(&self) -> String {
        format!("{}/came-back/{}", self.payout, self.turn)
    }
}

/// Writes down what became of a payout, or asks a second person for it where the policy wants one: money that was sent is the
/// customer's again on one person's word only as far as a credit is. The same again changes nothing.
///
/// # Errors
/// [`ActionError::NotFound`] when the account has no such payout, [`ActionError::Refused`] for words that are missing, and for a
/// payout that goes by file or cheque and is in none.
pub fn settle_payout(context: &Context, account: &str, reference: &str, news: &PayoutNews) -> Result<Outcome, ActionError> {
    let (PayoutNews::Sent(words) | PayoutNews::Failed(words)) = news;
    check_news(words)?;
    context.database.write(|conn| {
        let row = payout_named(conn, account, reference)?;
        let (now, (is_named, is_batched)) = (context.now(), rows::is_batched(conn, row.id)?);
        match news {
            PayoutNews::Sent(bank) if row.state != "succeeded" => {
                if is_named && !is_batched {
                    return Err(ActionError::Refused(format!("payout {reference} is in no file for the bank yet: it cannot have been sent")));
                }
                follow_within(context, conn, &row, ("succeeded", Some(bank.trim())), now)?;
                operations::audit(conn, now, &context.actor, "refund.sent", account, &format!("{reference}: {bank}"))?;
            }
            // What is in no file has not left: it is only called back.
            PayoutNews::Failed(why) if row.state == "created" && is_named && !is_batched => {
                fail_within(context, conn, &row, why.trim(), now)?;
                operations::audit(conn, now, &context.actor, "refund.fail", account, &format!("{reference}: {why}"))?;
            }
            PayoutNews::Failed(why) if row.state != "failed" => {
                let turn = rows::turns(conn, row.id)? + 1;
                let wish = CameBack { account: account.to_owned(), payout: reference.to_owned(), turn, note: why.trim().to_owned() };
                return approvals::ask_within(conn, context, &Wanted::CameBack(wish));
            }
            _ => {}
        }
        Ok(Outcome::Permitted)
    })
}

/// Refuses words that say nothing.
pub(super) fn check_news(words: &str) -> Result<(), ActionError> {
    if words.trim().is_empty() || words.len() > 500 {
        return Err(ActionError::Refused("words: expected the bank's reference, or why it failed, up to 500 letters".to_owned()));
    }
    Ok(())
}

/// A payout of an account with the locks of both.
fn payout_named(conn: &mut DbConnection, account: &str, reference: &str) -> Result<RefundRow, ActionError> {
    let account = account_named(conn, account)?;
    let found = payments::refund_by_token(conn, reference)?.filter(|row| row.account_id == account.id && row.way == PAYOUT);
    let row = found.ok_or_else(|| ActionError::not_found("payout", reference))?;
    lock_refund(conn, row.id)
}

/// Checks what is said of a payout as things stand, within a transaction, and takes its account's lock.
pub(super) fn check_came_back(conn: &mut DbConnection, wish: &CameBack) -> Result<Checked, ActionError> {
    let row = payout_named(conn, &wish.account, &wish.payout)?;
    if row.state == "failed" || rows::turns(conn, row.id)? + 1 != wish.turn || !is_charged(conn, &row)? {
        return Err(ActionError::Refused(format!("payout {} did not arrive, as is known already", wish.payout)));
    }
    let movement = -Money::from_cents(row.amount_cents);
    Ok(Checked::Ready { account: row.account_id, movement, reason: "Payout that came back".to_owned() })
}

/// Gives a payout back that somebody says came back, within a transaction that checked it.
pub(super) fn came_back_checked(conn: &mut DbConnection, context: &Context, wish: &CameBack) -> Result<Posted, ActionError> {
    let row = payout_named(conn, &wish.account, &wish.payout)?;
    let alone = crate::db::approvals::by_reference(conn, &wish.reference())?.is_none();
    came_back_within(conn, context, &row, wish, alone)
}

/// The same by what one person says `alone`, or two say, within a transaction that holds the account's lock.
pub(super) fn came_back_within(
    conn: &mut DbConnection,
    context: &Context,
    row: &RefundRow,
    wish: &CameBack,
    alone: bool,
) -> Result<Posted, ActionError> {
    let now = context.now();
    operations::audit(conn, now, &context.actor, "refund.fail", &wish.account, &format!("{}: {}", wish.payout, wish.note))?;
    let posted = fail_noted(context, conn, row, (&wish.note, alone), now)?;
    posted.ok_or_else(|| ActionError::Refused(format!("payout {} did not arrive, as is known already", wish.payout)))
}

/// A refund as pages and commands show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefundView {
    /// Our own name of it: a payout's reference.
    pub token: String,
    /// How much, in cents.
    pub amount_cents: i64,
    /// `provider`, `payout` or `elsewhere`.
    pub way: String,
    /// The payment that it is of.
    pub payment: Option<String>,
    /// Its position in the ledger.
    pub account_seq: i64,
    /// Through whom.
    pub provider: String,
    /// The provider's, or the bank's, name of it.
    pub provider_ref: Option<String>,
    /// `created`, `submitted`, `succeeded`, `failed` or `returned`.
    pub state: String,
    /// The day.
    pub made_on: chrono::NaiveDate,
    /// Why it was made.
    pub reason: String,
    /// What the provider said last.
    pub error: Option<String>,
    /// How often the provider was asked.
    pub attempts: i32,
    /// When the provider is asked again.
    pub next_attempt_at: Option<NaiveDateTime>,
    /// The file for the bank that it is in.
    pub batch: Option<RefundBatchId>,
}

/// The refunds of an account, newest first.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account.
pub fn refunds_of(context: &Context, account: &str) -> Result<Vec<RefundView>, ActionError> {
    context.database.snapshot(|conn| {
        let account = account_named(conn, account)?;
        let mut views = Vec::new();
        for row in rows::of_account(conn, account.id, MOST)? {
            let payment = row.provider_payment_id.map(|id| payments::by_id(conn, id)).transpose()?.flatten();
            let batch = if row.way == PAYOUT { payouts::batch_paying(conn, row.id)? } else { None };
            views.push(RefundView {
                token: row.token,
                amount_cents: row.amount_cents,
                way: row.way,
                payment: payment.and_then(|payment| payment.provider_ref),
                account_seq: row.account_seq,
                provider: row.provider,
                provider_ref: row.provider_ref,
                state: row.state,
                made_on: row.made_on,
                reason: row.reason,
                error: row.error,
                attempts: row.attempts,
                next_attempt_at: row.next_attempt_at,
                batch,
            });
        }
        Ok(views)
    })
}
