//! What people look at: files with what became of them, movements with what they are taken for.

use std::collections::HashMap;

use serde::Serialize;

use super::decide::stamp;
use crate::actions::{ActionError, Context};
use crate::db::bank::{self, EntryRow, FileRow, StatusFigures};
use crate::db::customers::AccountCard;
use crate::db::{DbConnection, bank_match, customers};
use crate::domain::ids::{AccountId, BankEntryId, BankFileId};

/// So many movements are shown beside one.
const MOST_BESIDE: i64 = 10;

/// A file and what became of its movements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileView {
    /// The file.
    #[serde(flatten)]
    pub file: FileRow,
    /// Movements that it told of first.
    pub accepted: i64,
    /// Of these, how many moved an account.
    pub applied: i64,
    /// How many wait.
    pub waiting: i64,
    /// How many settled a payout, a refund, or are told by a provider.
    pub settled: i64,
    /// How many concern no customer.
    pub set_aside: i64,
    /// The figures by bank account and status.
    pub figures: Vec<StatusFigures>,
}

/// A movement with what it is taken for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EntryView {
    /// The movement.
    #[serde(flatten)]
    pub row: EntryRow,
    /// The account that it is taken for.
    pub account: Option<AccountLine>,
    /// To which accounts it was applied, with how many cents.
    pub parts: Vec<(String, i64)>,
    /// Movements to be looked at beside it: of the same bank reference, or of the same day, amount and reference. Only of one
    /// that is shown by itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<EntryRow>,
    /// What a form remembers of it.
    #[serde(skip)]
    pub stamp: String,
}

/// An account in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountLine {
    /// Its number.
    pub number: String,
    /// The customer's name.
    pub name: String,
    /// The address of its latest service.
    pub address: Option<String>,
    /// The balance, in cents.
    pub balance_cents: i64,
}

/// A page of files, newest first, before an id.
///
/// # Errors
/// Those of the database.
pub fn list_files(context: &Context, before: BankFileId, limit: i64) -> Result<Vec<FileView>, ActionError> {
    context.database.snapshot(|conn| {
        let files = bank::files(conn, before, limit)?;
        let ids: Vec<BankFileId> = files.iter().map(|file| file.id).collect();
        let figures = bank::figures(conn, &ids)?;
        Ok(files.into_iter().map(|file| FileView::of(file, &figures)).collect())
    })
}

/// A file and a page of its movements, after an id, with one status or all.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no such file.
pub fn show_file(
    context: &Context,
    id: BankFileId,
    status: Option<&str>,
    after: BankEntryId,
    limit: i64,
) -> Result<(FileView, Vec<EntryView>), ActionError> {
    context.database.snapshot(|conn| {
        let file = bank::file(conn, id)?.ok_or_else(|| ActionError::not_found("bank file", id.to_string()))?;
        let figures = bank::figures(conn, &[id])?;
        let entries = bank::entries_of_file(conn, id, status, after, limit)?;
        Ok((FileView::of(file, &figures), views(conn, entries)?))
    })
}

/// A page of the movements that wait, oldest first, after an id.
///
/// # Errors
/// Those of the database.
pub fn list_waiting(context: &Context, after: BankEntryId, limit: i64) -> Result<Vec<EntryView>, ActionError> {
    context.database.snapshot(|conn| {
        let entries = bank::waiting(conn, after, limit)?;
        views(conn, entries)
    })
}

/// How many movements wait.
///
/// # Errors
/// Those of the database.
pub fn count_waiting(context: &Context) -> Result<i64, ActionError> {
    Ok(context.database.read(bank::waiting_count)?)
}

/// One movement.
///
/// # Errors
/// [`ActionError::NotFound`] when there is none.
pub fn show_entry(context: &Context, id: BankEntryId) -> Result<EntryView, ActionError> {
    context.database.snapshot(|conn| {
        let row = bank::entry(conn, id)?.ok_or_else(|| ActionError::not_found("bank movement", id.to_string()))?;
        let beside = bank::beside(conn, &row, MOST_BESIDE)?;
        let view = views(conn, vec![row])?.pop().ok_or_else(|| ActionError::not_found("bank movement", id.to_string()))?;
        Ok(EntryView { beside, ..view })
    })
}

impl FileView {
    fn of(file: FileRow, figures: &[StatusFigures]) -> Self {
        let figures: Vec<StatusFigures> = figures.iter().filter(|row| row.file_id == file.id).cloned().collect();
        let count = |status: &str| figures.iter().filter(|row| status.is_empty() || row.status == status).map(|row| row.entries).sum();
        Self {
            file,
            accepted: count(""),
            applied: count("applied"),
            waiting: count("waiting"),
            settled: count("settled"),
            set_aside: count("set_aside"),
            figures,
        }
    }
}

fn views(conn: &mut DbConnection, rows: Vec<EntryRow>) -> Result<Vec<EntryView>, ActionError> {
    let mut accounts: Vec<AccountId> = rows.iter().filter_map(|row| row.suggested_account_id).collect();
    let mut parts: HashMap<BankEntryId, Vec<(AccountId, i64)>> = HashMap::new();
    for row in rows.iter().filter(|row| row.status == "applied" && row.kind == "credit") {
        let payments = bank_match::payments_of_entry(conn, row.id)?;
        accounts.extend(payments.iter().map(|payment| payment.account_id));
        parts.insert(row.id, payments.iter().map(|payment| (payment.account_id, payment.amount_cents)).collect());
    }
    accounts.sort_unstable();
    accounts.dedup();
    let cards: HashMap<AccountId, AccountCard> = customers::account_cards(conn, &accounts)?.into_iter().map(|card| (card.id, card)).collect();
    let line = |card: &AccountCard| AccountLine {
        number: card.number.clone(),
        name: card.name.clone(),
        address: card.address.clone().filter(|address| !address.is_empty()),
        balance_cents: card.balance_cents,
    };
    let view = |row: EntryRow| EntryView {
        account: row.suggested_account_id.and_then(|id| cards.get(&id)).map(line),
        parts: parts.get(&row.id).into_iter().flatten().filter_map(|(account, cents)| Some((cards.get(account)?.number.clone(), *cents))).collect(),
        stamp: stamp(&row),
        beside: Vec::new(),
        row,
    };
    Ok(rows.into_iter().map(view).collect())
}
