//! What a clerk does with a movement: gives it to an account or several, names what it returned, sets it aside, or takes all of
//! that back. A movement is decided once: whoever comes second is told.

use chrono::NaiveDateTime;
use serde::Serialize;

use super::returns::{Fees, give_back, take_back};
use super::{check_currency, keep, origin_of, payment_of, payouts, waiting_of};
use crate::actions::payments::{NewPayment, post_all_within, supersede_within};
use crate::actions::{ActionError, Context, account_named, refunds};
use crate::db::bank::{self, Decided, EntryRow};
use crate::db::payments::PaymentRow;
use crate::db::{DbConnection, bank_match, customers, ledger, operations};
use crate::domain::ids::{AccountId, BankEntryId};
use crate::domain::ledger::check_amount;
use crate::domain::money::Money;

/// A movement is divided over no more accounts.
const MOST_PARTS: usize = 20;

/// A part of a movement for one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The account's number.
    pub account: String,
    /// How much; without it, what the others leave.
    pub amount: Option<Money>,
}

/// What to do with a movement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is for these accounts; of a return, the account whose payment it returned, and that payment's reference when the
    /// account has several of the amount.
    Assign {
        /// The accounts.
        shares: Vec<Share>,
        /// The reference of the payment that is returned.
        payment: Option<String>,
    },
    /// It concerns no customer's account.
    SetAside,
    /// What was decided is taken back: it waits again.
    Undo,
}

/// What became of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The movement.
    pub entry: BankEntryId,
    /// Where it stands now.
    pub status: String,
    /// Whether it was decided just so before.
    pub unchanged: bool,
}

/// What a page remembers of a movement that it showed: whoever decides by it decides about what was seen.
#[must_use]
pub fn stamp(row: &EntryRow) -> String {
    format!("{}@{}", row.status, row.decided_at.map(|at| at.to_string()).unwrap_or_default())
}

/// Decides about a movement. With `seen`, only as long as it stands as it was shown ([`stamp`]).
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown movement or account, [`ActionError::Refused`] when it was decided otherwise, or the
/// decision does not fit it: then nothing is changed.
pub fn decide(context: &Context, id: BankEntryId, verdict: &Verdict, note: &str, seen: Option<&str>) -> Result<Outcome, ActionError> {
    let note = note.trim();
    if note.chars().count() > 1_000 {
        return Err(ActionError::Refused("note: it is too long: expected at most 1000 characters".to_owned()));
    }
    if note.is_empty() && !matches!(verdict, Verdict::Assign { .. }) {
        return Err(ActionError::Refused("note: it is empty: expected why, in words".to_owned()));
    }
    context.database.write(|conn| {
        let row = bank::lock_entry(conn, id)?.ok_or_else(|| ActionError::not_found("bank movement", id.to_string()))?;
        let mut desk = Desk { context, conn, row, note };
        if let Some(seen) = seen.filter(|seen| *seen != stamp(&desk.row)) {
            return desk.seen_before(verdict, seen);
        }
        match verdict {
            Verdict::Assign { shares, payment } => desk.assign(shares, payment.as_deref()),
            Verdict::SetAside => desk.set_aside(),
            Verdict::Undo => desk.undo(),
        }
    })
}

fn refuse<T>(words: &str) -> Result<T, ActionError> {
    Err(ActionError::Refused(words.to_owned()))
}

struct Desk<'a> {
    context: &'a Context,
    conn: &'a mut DbConnection,
    row: EntryRow,
    note: &'a str,
}

impl Desk<'_> {
    /// Somebody else, or the same form, was here since the page was shown.
    fn seen_before(&mut self, verdict: &Verdict, seen: &str) -> Result<Outcome, ActionError> {
        if let Verdict::Assign { shares, .. } = verdict
            && seen.starts_with("waiting@")
            && self.is_so(shares)?
        {
            return Ok(self.unchanged());
        }
        self.decided_before()
    }

    fn unchanged(&self) -> Outcome {
        Outcome { entry: self.row.id, status: self.row.status.clone(), unchanged: true }
    }

    fn decided_before<T>(&mut self) -> Result<T, ActionError> {
        let by = self.row.decided_by.clone().unwrap_or_else(|| "the program".to_owned());
        let payments = bank_match::payments_of_entry(self.conn, self.row.id)?;
        let mut numbers = Vec::new();
        for payment in &payments {
            numbers.push(customers::account_number(self.conn, payment.account_id)?);
        }
        let what = match self.row.status.as_str() {
            "applied" if numbers.is_empty() => "applied".to_owned(),
            "applied" => format!("applied to {}", numbers.join(", ")),
            "settled" => "settled".to_owned(),
            "set_aside" => "set aside".to_owned(),
            _ => "looked at, and waits again".to_owned(),
        };
        Err(ActionError::Refused(format!("movement {} was decided meanwhile by {by}: it was {what}. Nothing was changed; look again", self.row.id)))
    }

    /// Whether it is applied to just these accounts.
    fn is_so(&mut self, shares: &[Share]) -> Result<bool, ActionError> {
        if self.row.status != "applied" || self.row.kind != "credit" {
            return Ok(false);
        }
        let wanted = self.divided(shares)?;
        let posted = bank_match::payments_of_entry(self.conn, self.row.id)?;
        Ok(posted.iter().map(|payment| (payment.account_id, Money::from_cents(payment.amount_cents))).eq(wanted))
    }

    fn assign(&mut self, shares: &[Share], payment: Option<&str>) -> Result<Outcome, ActionError> {
        if self.row.status != "waiting" {
            if self.is_so(shares)? {
                return Ok(self.unchanged());
            }
            return self.decided_before();
        }
        check_currency(&self.row, &self.context.config.currency)?;
        if self.row.kind == "credit" {
            return self.apply(shares);
        }
        let [Share { account, .. }] = shares else {
            return refuse("account: expected one account: money that went back, or out, is not divided");
        };
        let account = account_named(self.conn, account)?;
        ledger::lock_accounts(self.conn, &[account.id])?;
        match (self.row.kind.as_str(), self.row.amount_cents < 0) {
            ("return", true) => self.take_back(account.id, &account.number, payment),
            ("return", false) => self.refund_came_back(account.id, &account.number),
            ("dishonored_return", _) => self.give_back(account.id, &account.number),
            _ => self.went_out(account.id, &account.number, payment),
        }
    }

    /// The accounts with their amounts, which add up to the movement.
    fn divided(&mut self, shares: &[Share]) -> Result<Vec<(AccountId, Money)>, ActionError> {
        let whole = Money::from_cents(self.row.amount_cents);
        if shares.is_empty() || shares.len() > MOST_PARTS {
            return Err(ActionError::Refused(format!("account: expected 1 to {MOST_PARTS} accounts")));
        }
        let given = Money::checked_sum(shares.iter().filter_map(|share| share.amount));
        let rest = given.and_then(|given| whole.checked_sub(given)).ok_or_else(|| ActionError::Refused("amount: it is too large".to_owned()))?;
        let open = shares.iter().filter(|share| share.amount.is_none()).count();
        if open > 1 {
            return refuse("amount: expected an amount for each account but one");
        }
        if open == 0 && !rest.is_zero() {
            return Err(ActionError::Refused(format!("amount: the parts add up to {}: expected {whole}", whole - rest)));
        }
        let mut divided: Vec<(AccountId, Money)> = Vec::with_capacity(shares.len());
        for share in shares {
            let account = account_named(self.conn, &share.account)?;
            let amount = share.amount.unwrap_or(rest);
            if !amount.is_positive() {
                return Err(ActionError::Refused(format!("amount: {amount} for account {}: expected more than 0", account.number)));
            }
            check_amount(amount).map_err(ActionError::Refused)?;
            if divided.iter().any(|(known, _)| *known == account.id) {
                return Err(ActionError::Refused(format!("account: {} is there twice", account.number)));
            }
            divided.push((account.id, amount));
        }
        Ok(divided)
    }

    fn apply(&mut self, shares: &[Share]) -> Result<Outcome, ActionError> {
        let divided = self.divided(shares)?;
        let mut accounts: Vec<AccountId> = divided.iter().map(|(account, _)| *account).collect();
        accounts.sort_unstable();
        ledger::lock_accounts(self.conn, &accounts)?;
        let (now, today) = (self.context.now(), self.context.today());
        let payments: Vec<NewPayment> = divided.iter().map(|(account, amount)| payment_of(&self.row, *account, *amount, today)).collect();
        let posted: Vec<_> = payments.iter().zip(1..).map(|(payment, part)| (payment, origin_of(&self.row, part))).collect();
        post_all_within(self.context, self.conn, &posted, now)?;
        self.row.suggested_account_id = divided.first().map(|(account, _)| *account);
        let words = shares.iter().map(|share| share.account.as_str()).collect::<Vec<_>>().join(", ");
        self.finish("applied", "applied", &format!("to {words}"), now)
    }

    /// A payment of the account was returned.
    fn take_back(&mut self, account: AccountId, number: &str, reference: Option<&str>) -> Result<Outcome, ActionError> {
        let amount = Money::from_cents(-self.row.amount_cents);
        let mut standing = bank_match::standing_payments(self.conn, account, amount.cents())?;
        if let Some(reference) = reference {
            standing.retain(|payment| payment.provider_ref.as_deref() == Some(reference));
        }
        let payment = match standing.as_slice() {
            [one] => one.clone(),
            [] => return Err(ActionError::Refused(format!("account: {number} has no payment of {amount} that stands and fits"))),
            several => {
                let named =
                    several.iter().take(5).map(|payment| format!("{} of {}", payment.provider_ref.as_deref().unwrap_or("?"), payment.effective_on));
                let named = named.collect::<Vec<_>>().join(", ");
                return Err(ActionError::Refused(format!(
                    "payment: account {number} has {} payments of {amount}: name one of {named}",
                    several.len()
                )));
            }
        };
        if payment.provider_payment_id.is_some() {
            return Err(ActionError::Refused(format!(
                "payment: {} tells of this payment's return by itself: set the movement aside",
                payment.provider
            )));
        }
        let now = self.context.now();
        let taken = take_back(self.context, self.conn, &[payment], &self.row, &mut Fees::default(), now)?;
        self.row.returned_payment_id = Some(taken.id);
        self.row.suggested_account_id = Some(account);
        let detail = format!("as the return of payment {} of account {number}", taken.provider_ref.unwrap_or_default());
        self.finish("applied", "applied", &detail, now)
    }

    /// The return of a payment of the account was refused.
    fn give_back(&mut self, account: AccountId, number: &str) -> Result<Outcome, ActionError> {
        let amount = Money::from_cents(self.row.amount_cents.abs());
        let gone: Vec<PaymentRow> = bank_match::returned_payments(self.conn, account, amount.cents())?;
        let [payment] = gone.as_slice() else {
            return Err(ActionError::Refused(format!("account: {number} has {} returned payments of {amount}: expected one", gone.len())));
        };
        let now = self.context.now();
        give_back(self.context, self.conn, std::slice::from_ref(payment), now)?;
        self.row.returned_payment_id = Some(payment.id);
        self.row.suggested_account_id = Some(account);
        self.finish("applied", "applied", &format!("as the refused return of a payment of account {number}"), now)
    }

    /// Money that went out was a refund to the account's customer, or, of a bank that has no code for it, a return.
    fn went_out(&mut self, account: AccountId, number: &str, payment: Option<&str>) -> Result<Outcome, ActionError> {
        let open = bank_match::open_payouts(self.conn, -self.row.amount_cents)?;
        let Some(refund) = open.iter().find(|refund| refund.account_id == account && payment.is_none()) else {
            return self.take_back(account, number, payment);
        };
        let now = self.context.now();
        payouts::carry_out(self.context, self.conn, &self.row, refund.id, now)?;
        self.row.refund_id = Some(refund.id);
        self.row.suggested_account_id = Some(account);
        self.finish("settled", "dismissed", &format!("as the refund {} of account {number}", refund.token), now)
    }

    /// A refund to the account's customer came back.
    fn refund_came_back(&mut self, account: AccountId, number: &str) -> Result<Outcome, ActionError> {
        let amount = self.row.amount_cents;
        let paid: Vec<_> = bank_match::paid_payouts(self.conn, amount)?.into_iter().filter(|refund| refund.account_id == account).collect();
        let [refund] = paid.as_slice() else {
            return Err(ActionError::Refused(format!(
                "account: {number} has {} refunds of {} that were paid out: expected one",
                paid.len(),
                Money::from_cents(amount)
            )));
        };
        let now = self.context.now();
        refunds::fail_within(self.context, self.conn, refund, "the bank sent it back", now)?;
        self.row.refund_id = Some(refund.id);
        self.row.suggested_account_id = Some(account);
        self.finish("applied", "applied", &format!("as the refund {} that came back to account {number}", refund.token), now)
    }

    fn set_aside(&mut self) -> Result<Outcome, ActionError> {
        match self.row.status.as_str() {
            "waiting" => {}
            "set_aside" if self.row.decided_by.as_ref() == Some(&self.context.actor) && self.row.note.as_deref() == Some(self.note) => {
                return Ok(self.unchanged());
            }
            _ => return self.decided_before(),
        }
        self.row.suggested_account_id = None;
        self.finish("set_aside", "dismissed", "as no customer's", self.context.now())
    }

    fn undo(&mut self) -> Result<Outcome, ActionError> {
        let now = self.context.now();
        match (self.row.status.as_str(), self.row.kind.as_str()) {
            ("waiting", _) => return refuse("the movement waits already: there is nothing to take back"),
            ("set_aside", _) if keep::made_way(&self.row) => {
                let why = &self.row.why;
                return Err(ActionError::Refused(format!("this movement made way for others: {why}. Decide about those")));
            }
            ("set_aside", _) => {}
            ("settled", _) if self.row.refund_id.is_some() => return refuse("it carried a refund out, which stays so"),
            ("settled", _) => {
                bank_match::unsettle_payout(self.conn, self.row.id)?;
            }
            (_, "credit") => self.undo_payments(now)?,
            _ => self.undo_return(now)?,
        }
        self.row.status = "waiting".to_owned();
        (self.row.returned_payment_id, self.row.refund_id) = (None, None);
        self.note_decision(now)?;
        bank::wait_again(self.conn, &waiting_of(&self.row), now)?;
        self.audit("bank.undo", "it waits again", now)?;
        Ok(Outcome { entry: self.row.id, status: "waiting".to_owned(), unchanged: false })
    }

    fn undo_payments(&mut self, now: NaiveDateTime) -> Result<(), ActionError> {
        let payments = self.locked(|conn, row| bank_match::payments_of_entry(conn, row.id))?;
        if payments.iter().any(|payment| !payment.stands()) {
            return refuse("its payment was returned: take that back first");
        }
        for payment in &payments {
            supersede_within(self.conn, payment, now)?;
        }
        Ok(())
    }

    fn undo_return(&mut self, now: NaiveDateTime) -> Result<(), ActionError> {
        let Some(id) = self.row.returned_payment_id else {
            return refuse("a refund that came back stays in the account: charge it again with an adjustment");
        };
        let payments = self.locked(|conn, _| {
            let payment = bank_match::payment_by_id(conn, id)?;
            payment.map_or(Ok(Vec::new()), |payment| bank_match::parts_of(conn, &payment))
        })?;
        let stands = payments.iter().all(PaymentRow::stands);
        match self.row.kind.as_str() {
            "return" | "debit" if !stands => give_back(self.context, self.conn, &payments, now),
            "dishonored_return" if stands => {
                take_back(self.context, self.conn, &payments, &self.row, &mut Fees::default(), now)?;
                Ok(())
            }
            _ => refuse("another movement concerned the same payment since: take that back first"),
        }
    }

    /// Payments with their accounts' locks, read again under them.
    fn locked(
        &mut self,
        read: impl Fn(&mut DbConnection, &EntryRow) -> Result<Vec<PaymentRow>, diesel::result::Error>,
    ) -> Result<Vec<PaymentRow>, ActionError> {
        let mut accounts: Vec<AccountId> = read(self.conn, &self.row)?.iter().map(|payment| payment.account_id).collect();
        accounts.sort_unstable();
        accounts.dedup();
        ledger::lock_accounts(self.conn, &accounts)?;
        Ok(read(self.conn, &self.row)?)
    }

    fn finish(&mut self, status: &str, credit: &str, detail: &str, now: NaiveDateTime) -> Result<Outcome, ActionError> {
        self.row.status = status.to_owned();
        self.note_decision(now)?;
        let note = Some(self.note).filter(|note| !note.is_empty());
        bank::end_waiting(self.conn, self.row.id, credit, &self.context.actor, note, now)?;
        let action = if status == "set_aside" { "bank.set_aside" } else { "bank.assign" };
        self.audit(action, detail, now)?;
        Ok(Outcome { entry: self.row.id, status: status.to_owned(), unchanged: false })
    }

    fn note_decision(&mut self, now: NaiveDateTime) -> Result<(), ActionError> {
        self.row.decided_by = Some(self.context.actor.clone());
        self.row.decided_at = Some(now);
        self.row.note = Some(self.note.to_owned()).filter(|note| !note.is_empty());
        bank::decide(self.conn, self.row.id, &Decided::as_in(&self.row))?;
        Ok(())
    }

    fn audit(&mut self, action: &str, detail: &str, now: NaiveDateTime) -> Result<(), ActionError> {
        let number = match self.row.suggested_account_id.filter(|_| action == "bank.assign") {
            Some(account) => customers::account_number(self.conn, account)?,
            None => format!("movement {}", self.row.id),
        };
        let words = format!("movement {} of {}: {detail}", self.row.id, Money::from_cents(self.row.amount_cents));
        let words = if self.note.is_empty() { words } else { format!("{words}: {}", self.note) };
        operations::audit(self.conn, now, &self.context.actor, action, &number, &words)?;
        Ok(())
    }
}
