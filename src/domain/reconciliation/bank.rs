//! What reached the bank: the payouts of providers, and payments by transfer.

use chrono::NaiveDate;

use super::{Action, Difference, Finding, Kind, Pair, Rules, Side, SideRow, business_days_after, size};
use crate::domain::ids::AccountId;
use crate::domain::money::Money;

/// A payout, beside its movements and the bank's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutView {
    /// The provider.
    pub provider: String,
    /// Our identity there.
    pub merchant: String,
    /// The provider's name of it.
    pub reference: String,
    /// How much.
    pub amount: Money,
    /// The day on which it arrives, as the provider says.
    pub arrives_on: NaiveDate,
    /// Whether it will never arrive, as the provider says.
    pub failed: bool,
    /// What its movements come to, less fees; none while they are not known.
    pub movements: Option<Money>,
    /// The bank's entry that brought it: its key, day and amount.
    pub entry: Option<(String, NaiveDate, Money)>,
}

impl PayoutView {
    fn shown(&self) -> SideRow {
        let what = "payout".to_owned();
        SideRow { side: Side::Provider, on: self.arrives_on, what, reference: self.reference.clone(), amount: Some(self.amount), account: None }
    }

    fn key(&self, what: &str) -> String {
        ["payout", &self.provider, &self.merchant, &self.reference, what].join("|")
    }
}

/// Whether the bank's side is known: without any of its files there is nothing to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BankKnown(pub bool);

/// Compares a payout with its movements and with the bank.
#[must_use]
pub fn compare_payout(view: &PayoutView, rules: &Rules, bank: BankKnown) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(movements) = view.movements.filter(|sum| *sum != view.amount) {
        findings.push(Finding::Differs(Box::new(does_not_add_up(view, movements))));
    }
    if !bank.0 || (view.failed && view.entry.is_none()) {
        return findings;
    }
    findings.push(match &view.entry {
        Some((_, _, amount)) if *amount == view.amount => Finding::Agreed { pair: Pair::Payouts, day: view.arrives_on, amount: *amount },
        None if rules.today <= business_days_after(view.arrives_on, rules.payout_days) => {
            Finding::InTransit { key: view.key("bank"), day: view.arrives_on, gap: size(view.amount) }
        }
        entry => Finding::Differs(Box::new(not_at_bank(view, entry.as_ref(), rules))),
    });
    findings
}

fn does_not_add_up(view: &PayoutView, movements: Money) -> Difference {
    let sum = SideRow {
        side: Side::Provider,
        on: view.arrives_on,
        what: "its movements less fees".to_owned(),
        reference: view.reference.clone(),
        amount: Some(movements),
        account: None,
    };
    Difference {
        key: view.key("sum"),
        kind: Kind::PayoutDoesNotAddUp,
        pair: Pair::Balance,
        day: view.arrives_on,
        account: None,
        reference: view.reference.clone(),
        ledger: None,
        provider: Some(view.amount),
        bank: None,
        gap: size(view.amount - movements),
        rows: vec![view.shown(), sum],
        cause: "a movement of this payout is missing in the provider's list, or was changed after it".to_owned(),
        action: Action::AskProvider,
    }
}

fn not_at_bank(view: &PayoutView, entry: Option<&(String, NaiveDate, Money)>, rules: &Rules) -> Difference {
    let arrived = entry.map_or(Money::ZERO, |(_, _, amount)| *amount);
    let cause = match entry {
        None => format!(
            "no movement of the bank shows it {} business days after it should arrive: the bank's file is missing, or the money is",
            rules.payout_days
        ),
        Some(_) => "the bank shows another amount".to_owned(),
    };
    let mut rows = vec![view.shown()];
    rows.extend(entry.map(|(key, on, amount)| SideRow {
        side: Side::Bank,
        on: *on,
        what: "credit".to_owned(),
        reference: key.clone(),
        amount: Some(*amount),
        account: None,
    }));
    Difference {
        key: view.key("bank"),
        kind: Kind::PayoutNotAtBank,
        pair: Pair::Payouts,
        day: view.arrives_on,
        account: None,
        reference: view.reference.clone(),
        ledger: None,
        provider: Some(view.amount),
        bank: entry.map(|(_, _, amount)| *amount),
        gap: size(view.amount - arrived),
        rows,
        cause,
        action: Action::ImportBankFile,
    }
}

/// What became of a bank's movement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryState {
    /// Nobody decided yet.
    Waiting,
    /// It is a provider's payout that is known.
    PaidOut,
    /// It was taken for a provider's payout, and none is known that it could be.
    UnknownPayout,
    /// It was posted to accounts.
    Posted,
    /// It came, and waits for an account as unapplied credit.
    Unapplied,
}

/// A bank's movement, beside what it posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryView {
    /// The bank account and the bank's reference.
    pub key: String,
    /// How much: money to us is positive.
    pub amount: Money,
    /// The bank's day.
    pub booked_on: NaiveDate,
    /// The reference that it came with.
    pub reference: String,
    /// What became of it.
    pub state: EntryState,
    /// What the ledger has of it.
    pub posted: Money,
    /// Whose, when it is one account's: identity and number.
    pub account: Option<(AccountId, String)>,
}

impl EntryView {
    fn difference_key(&self) -> String {
        format!("bank|{}", self.key)
    }
}

/// Compares a bank's movement with what it posted.
#[must_use]
pub fn compare_entry(view: &EntryView, rules: &Rules) -> Option<Finding> {
    let (kind, cause, action) = match view.state {
        EntryState::PaidOut => return None,
        EntryState::Posted if view.posted == view.amount => {
            return Some(Finding::Agreed { pair: Pair::Bank, day: view.booked_on, amount: view.amount });
        }
        EntryState::Posted => (
            Kind::BankAmountsDiffer,
            "what was posted from this movement is not its amount: a payment of it was changed or taken out".to_owned(),
            Action::LookAtAccount,
        ),
        EntryState::Waiting | EntryState::Unapplied if !rules.is_past(view.booked_on, rules.bank_days) => {
            return Some(Finding::InTransit { key: view.difference_key(), day: view.booked_on, gap: size(view.amount) });
        }
        EntryState::Waiting => {
            (Kind::BankEntryWaiting, format!("nobody decided within {} days what this movement is", rules.bank_days), Action::MatchBankEntry)
        }
        EntryState::Unapplied => (Kind::UnappliedCredit, format!("{} came and nobody knows for which account", view.amount), Action::AssignAccount),
        EntryState::UnknownPayout if rules.today <= business_days_after(view.booked_on, rules.payout_days) => {
            return Some(Finding::InTransit { key: view.difference_key(), day: view.booked_on, gap: size(view.amount) });
        }
        EntryState::UnknownPayout => (
            Kind::UnknownPayout,
            "it was taken for a provider's payout, and the provider tells of none of this amount".to_owned(),
            Action::AskProvider,
        ),
    };
    let posted = matches!(view.state, EntryState::Posted).then_some(view.posted);
    let number = view.account.as_ref().map(|(_, number)| number.clone());
    let row = |side, what: &str, amount| SideRow {
        side,
        on: view.booked_on,
        what: what.to_owned(),
        reference: view.reference.clone(),
        amount,
        account: number.clone(),
    };
    let mut rows = vec![row(Side::Bank, if view.amount.is_negative() { "debit" } else { "credit" }, Some(view.amount))];
    rows.extend(posted.map(|posted| row(Side::Ledger, "posted from it", Some(posted))));
    Some(Finding::Differs(Box::new(Difference {
        key: view.difference_key(),
        kind,
        pair: if view.state == EntryState::UnknownPayout { Pair::Payouts } else { Pair::Bank },
        day: view.booked_on,
        account: view.account.as_ref().map(|(id, _)| *id),
        reference: if view.reference.is_empty() { view.key.clone() } else { view.reference.clone() },
        ledger: posted,
        provider: None,
        bank: Some(view.amount),
        gap: size(view.amount - posted.unwrap_or_default()),
        rows,
        cause,
        action,
    })))
}

/// Whether what a bank says of a movement names a payout. Banks set spaces, signs and capitals as they like.
#[must_use]
pub fn names_payout(bank_text: &str, payout_ref: &str, statement_text: &str) -> bool {
    let plain = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect::<String>();
    let (said, name, shown) = (plain(bank_text), plain(payout_ref), plain(statement_text));
    let found = |wanted: &str| wanted.len() >= SHORTEST_NAME && said.contains(wanted);
    found(&name) || found(&shown)
}

/// A shorter text would be found in anything.
const SHORTEST_NAME: usize = 4;
