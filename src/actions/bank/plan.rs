//! What is to become of each movement of a file, before anything is written: the slow part, without any lock.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{Datelike, NaiveDate, TimeDelta};

use super::matching::judge;
use super::payouts::{Paid, Payouts, may_be_payout_of};
use crate::actions::payments::EARLIEST_YEAR;
use crate::actions::{ActionError, Context};
use crate::db::bank::{self, EntryRow};
use crate::db::bank_match::OpenPayout;
use crate::domain::ids::{AccountId, BankEntryId, BankFileId, RefundBatchId, RefundId};
use crate::domain::ledger::check_amount;
use crate::domain::matching::{Suggestion, Told, pieces};
use crate::domain::money::Money;
use crate::formats::bank::{BankEntry, BankEntryKind, BankFile, Statement};

/// Banks book a day ahead around holidays; further ahead a date is mistyped.
const MOST_DAYS_AHEAD: i64 = 31;

/// A booked movement, and what is to become of it.
#[derive(Debug)]
pub(super) struct Planned {
    /// The row to be stored; its ids are set then.
    pub(super) row: EntryRow,
    /// Where it belongs.
    pub(super) fate: Fate,
}

/// What is to become of a movement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is posted to this account at once.
    Apply(AccountId),
    /// It is what a provider sent or took.
    Payout(OpenPayout),
    /// It carries out this refund.
    Refund(RefundId),
    /// It carries out this file of payouts.
    Batch(RefundBatchId),
    /// It took something back: what, is found when it is written.
    Return,
    /// A return was refused: which, is found when it is written.
    Dishonored,
    /// It concerns no customer.
    Aside,
    /// A clerk decides.
    Wait,
    /// An earlier file told of it.
    Known,
}

/// Everything of a file that moved money, before anybody looked at it.
pub(super) fn told(context: &Context, file: &BankFile, name: &str) -> Result<Vec<Planned>, ActionError> {
    check_days(context, file, name)?;
    let mut planned = Vec::new();
    for (statement, keys) in file.statements.iter().zip(file.entry_keys()) {
        for (entry, key) in statement.entries.iter().zip(keys) {
            let Some(kind) = kind_of(&entry.kind) else { continue };
            planned.push(Planned { row: row(statement, entry, key, kind), fate: first_fate(entry) });
        }
    }
    Ok(planned)
}

/// What is to become of it.
pub(super) fn plan(context: &Context, file: &BankFile, mut planned: Vec<Planned>) -> Result<Vec<Planned>, ActionError> {
    let mut by_account: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Planned { row, .. } in &planned {
        by_account.entry(&row.bank_account).or_default().push(&row.entry_key);
    }
    let mut known: HashMap<String, HashSet<String>> = HashMap::new();
    for (account, keys) in by_account {
        let keys = context.database.read(|conn| bank::known_keys(conn, account, &keys))?;
        known.insert(account.to_owned(), keys.into_iter().collect());
    }
    for Planned { row, fate } in &mut planned {
        // What is known is not judged again; whether it is, is looked at once more when it is written.
        if known.get(&row.bank_account).is_some_and(|keys| keys.contains(&row.entry_key)) {
            *fate = Fate::Known;
        }
    }
    settle_by_rule(context, &mut planned)?;
    match_accounts(context, file, &mut planned)?;
    Ok(planned)
}

/// A date that no bank can mean refuses the file.
fn check_days(context: &Context, file: &BankFile, name: &str) -> Result<(), ActionError> {
    let latest = context.today() + TimeDelta::days(MOST_DAYS_AHEAD);
    for entry in file.statements.iter().flat_map(|statement| &statement.entries) {
        let wrong = |field: &str, day: NaiveDate| {
            let fault = format!("{day} is out of range: expected a day from {EARLIEST_YEAR}-01-01 to {latest}");
            Err(ActionError::Form(format!("{name}: {}: {field}: {fault}", entry.place)))
        };
        // Money may count from a day far ahead; it is booked near today.
        if entry.booked_on.year() < EARLIEST_YEAR || entry.booked_on > latest {
            return wrong("booking date", entry.booked_on);
        }
        if let Some(day) = entry.value_on.filter(|day| day.year() < EARLIEST_YEAR) {
            return wrong("value date", day);
        }
    }
    Ok(())
}

/// The word that tables use; none for what moved no money yet.
pub(super) fn kind_of(kind: &BankEntryKind) -> Option<&'static str> {
    match kind {
        BankEntryKind::Credit => Some("credit"),
        BankEntryKind::Debit => Some("debit"),
        BankEntryKind::Return { .. } => Some("return"),
        BankEntryKind::DishonoredReturn { .. } => Some("dishonored_return"),
        BankEntryKind::Pending | BankEntryKind::Notice { .. } => None,
    }
}

fn first_fate(entry: &BankEntry) -> Fate {
    match entry.kind {
        _ if entry.amount.is_zero() => Fate::Aside,
        BankEntryKind::Return { .. } => Fate::Return,
        BankEntryKind::DishonoredReturn { .. } => Fate::Dishonored,
        BankEntryKind::Debit => Fate::Aside,
        _ => Fate::Wait,
    }
}

fn row(statement: &Statement, entry: &BankEntry, key: String, kind: &str) -> EntryRow {
    let (return_code, return_reason, original_ref, return_ref) = match &entry.kind {
        BankEntryKind::Return { reason_code, reason, original_ref } => (Some(reason_code), Some(reason), original_ref.as_ref(), None),
        BankEntryKind::DishonoredReturn { reason_code, reason, original_ref, return_ref } => {
            (Some(reason_code), Some(reason), original_ref.as_ref(), return_ref.as_ref())
        }
        _ => (None, None, None, None),
    };
    EntryRow {
        id: BankEntryId(0),
        file_id: BankFileId(0),
        place: entry.place.clone(),
        bank_account: statement.bank_account.clone(),
        entry_key: key,
        amount_cents: entry.amount.cents(),
        booked_on: entry.booked_on,
        value_on: entry.value_on,
        currency: statement.currency.clone(),
        kind: kind.to_owned(),
        code: entry.code.clone(),
        return_code: return_code.cloned(),
        return_reason: return_reason.cloned(),
        original_ref: original_ref.cloned(),
        return_ref: return_ref.cloned(),
        bank_ref: entry.bank_ref.clone(),
        booking_ref: entry.booking_ref.clone(),
        reference: entry.references.join("\n"),
        party_name: entry.party_name.clone().unwrap_or_default(),
        party_account: entry.party_account.clone().unwrap_or_default(),
        text: entry.text.clone(),
        status: "waiting".to_owned(),
        suggested_account_id: None,
        confidence: 0,
        why: String::new(),
        decided_by: None,
        decided_at: None,
        note: None,
        returned_payment_id: None,
        refund_id: None,
    }
}

/// Payouts of providers and our own refunds are known by rule; what else went out concerns no customer.
fn settle_by_rule(context: &Context, planned: &mut [Planned]) -> Result<(), ActionError> {
    let days: Vec<NaiveDate> =
        planned.iter().filter(|planned| matches!(planned.fate, Fate::Aside | Fate::Wait)).map(|planned| planned.row.booked_on).collect();
    let (Some(from), Some(to)) = (days.iter().min(), days.iter().max()) else { return Ok(()) };
    let mut payouts = context.database.read(|conn| Payouts::load(conn, *from, *to))?;
    for planned in planned.iter_mut().filter(|planned| matches!(planned.fate, Fate::Aside | Fate::Wait)) {
        let row = &mut planned.row;
        if row.amount_cents == 0 {
            "nothing moved: it is a test of the bank's".clone_into(&mut row.why);
        } else if let Some(payout) = payouts.take(row) {
            row.why = format!("the payout {} of {}", payout.payout_ref, payout.provider);
            planned.fate = Fate::Payout(payout);
        } else if row.amount_cents < 0 {
            match context.database.read(|conn| payouts.refund_paid_by(conn, row))? {
                Paid::Refund(refund, why) => {
                    row.why = why;
                    planned.fate = Fate::Refund(refund);
                }
                Paid::Batch(batch, why) => {
                    row.why = why;
                    planned.fate = Fate::Batch(batch);
                }
                Paid::Perhaps(why) => {
                    row.why = why;
                    planned.fate = Fate::Wait;
                }
                Paid::Nothing if row.kind == "debit" && reads_like_a_return(row) => {
                    "it went out and reads like a return: what it returned is not said".clone_into(&mut row.why);
                    planned.fate = Fate::Wait;
                }
                Paid::Nothing => "money that went out, and no refund of ours: it concerns no customer".clone_into(&mut row.why),
            }
        }
    }
    Ok(())
}

/// Banks that have no code for it say it in words.
fn reads_like_a_return(row: &EntryRow) -> bool {
    const WORDS: &[&str] = &["RETURN", "RETURNED", "RTN", "RTD", "NSF", "CHARGEBACK", "UNPAID", "BOUNCED", "DISHONOURED", "DISHONORED", "REJECTED"];
    pieces(&format!("{} {}", row.reference, row.text)).iter().any(|piece| WORDS.contains(&piece.written.as_str()))
}

/// Matches what is left to accounts.
fn match_accounts(context: &Context, file: &BankFile, planned: &mut [Planned]) -> Result<(), ActionError> {
    let open =
        |planned: &&mut Planned| matches!(planned.fate, Fate::Wait | Fate::Return) && planned.row.amount_cents != 0 && planned.row.why.is_empty();
    let told: Vec<Told> = planned.iter_mut().filter(open).map(|planned| told_of(&planned.row)).collect();
    let judged = judge(context, &told)?;
    let settings = &context.config.bank;
    for (planned, suggestion) in planned.iter_mut().filter(open).zip(judged) {
        let Suggestion { account, confidence, why } = suggestion;
        let row = &mut planned.row;
        row.why = why;
        if account.is_none()
            && let Some(provider) = may_be_payout_of(context, row)
        {
            row.why = format!("{}; it may be a payout of {provider}: the next reconciliation tells", row.why);
        }
        row.confidence = i32::from(confidence);
        row.suggested_account_id = account.filter(|_| confidence >= settings.suggest_confidence);
        let Some(account) = account.filter(|_| row.kind == "credit" && row.amount_cents > 0 && confidence >= settings.auto_confidence) else {
            continue;
        };
        match doubt(context, file, row) {
            Some(doubt) => row.why = format!("{}; but {doubt}", row.why),
            None => planned.fate = Fate::Apply(account),
        }
    }
    Ok(())
}

/// What keeps money from being applied at once, however well it fits.
fn doubt(context: &Context, file: &BankFile, row: &EntryRow) -> Option<String> {
    let ledger = &context.config.currency;
    if let Some(other) = row.currency.as_ref().filter(|currency| *currency != ledger) {
        return Some(format!("it is in {other}, the ledger in {ledger}"));
    }
    if file.statements.iter().any(|statement| statement.corrects && statement.bank_account == row.bank_account) {
        return Some("its statement replaces an earlier one".to_owned());
    }
    check_amount(Money::from_cents(row.amount_cents)).err()
}

/// What the bank says of a movement, for the rule.
pub(super) fn told_of(row: &EntryRow) -> Told {
    let filled = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Told {
        amount: Money::from_cents(row.amount_cents.abs()),
        references: row.reference.lines().map(str::to_owned).collect(),
        party_name: filled(&row.party_name),
        party_account: filled(&row.party_account),
        text: row.text.clone(),
    }
}
