//! Which movements of a file are new: not those that an earlier file told of, in whatever form.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{NaiveDate, NaiveDateTime};

use super::doubles::{Doubts, renamed};
use super::plan::{Fate, Planned};
use super::reread::Reread;
use crate::actions::{ActionError, Context};
use crate::db::DbConnection;
use crate::db::bank::{self, Decided, EntryRow, KnownRow};
use crate::db::operations::{self, NewToDo};
use crate::domain::ids::BankEntryId;
use crate::domain::money::Money;
use crate::domain::quantity::counted;
use crate::formats::bank::{BankFile, BankFormat};

/// How the words of a movement begin whose parts another file told of.
const TOLD_IN_PARTS: &str = "told in parts";
/// How the words of a movement begin whose file was read anew, otherwise.
const READ_ANEW: &str = "read anew";
/// So many movements of the days of a statement that replaces another are compared.
const MOST_COMPARED: i64 = 200_000;

/// What is new in a file.
pub(super) struct Fresh {
    /// The places of the new movements, in order.
    pub(super) new: Vec<usize>,
    /// Under whose booking another amount was told before: they are never applied at once.
    pub(super) doubted: HashMap<usize, String>,
    /// Movements that wait and whose parts this file tells.
    pub(super) in_parts: Vec<BankEntryId>,
    /// Movements that are known, and under another name now.
    pub(super) renamed: Vec<Renamed>,
}

/// A known movement that names another account, bill or customer now than it did.
pub(super) struct Renamed {
    /// The movement.
    pub(super) id: BankEntryId,
    /// What became of it.
    pub(super) status: String,
    /// In cents.
    pub(super) amount_cents: i64,
    /// What is told, with its place in the file.
    pub(super) words: String,
}

impl Renamed {
    /// None where both may name the same.
    pub(super) fn of(row: &EntryRow, id: BankEntryId, status: &str, then: &str) -> Option<Self> {
        let (now, then) = renamed(&row.reference, then)?;
        let words = format!("{}: unchanged, but it names {now} now, {then} then (movement {id})", row.place);
        Some(Self { id, status: status.to_owned(), amount_cents: row.amount_cents, words })
    }
}

/// The movements that are new. The caller holds the lock that lets one import in at a time.
pub(super) fn fresh(conn: &mut DbConnection, planned: &[Planned], format: BankFormat, again: Option<&Reread>) -> Result<Fresh, ActionError> {
    let mut by_account: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, planned) in planned.iter().enumerate() {
        by_account.entry(&planned.row.bank_account).or_default().push(at);
    }
    let mut fresh = Fresh { new: Vec::new(), doubted: HashMap::new(), in_parts: Vec::new(), renamed: Vec::new() };
    for (bank_account, places) in by_account {
        let rows: Vec<(usize, &EntryRow)> = places.into_iter().filter_map(|at| Some((at, &planned.get(at)?.row))).collect();
        let keys: Vec<&str> = rows.iter().map(|(_, row)| row.entry_key.as_str()).collect();
        let told: HashMap<String, KnownRow> = bank::known(conn, bank_account, &keys)?.into_iter().map(|row| (row.entry_key.clone(), row)).collect();
        let known: HashSet<String> = told.keys().cloned().collect();
        let same_money = compare_bookings(conn, bank_account, &rows, &known, &mut fresh)?;
        let is_new = |(at, row): &&(usize, &EntryRow)| {
            !known.contains(&row.entry_key) && !same_money.contains(at) && again.is_none_or(|again| again.is_changed(*at))
        };
        let new: Vec<(usize, &EntryRow)> = rows.iter().filter(is_new).copied().collect();
        let mut leaving: HashSet<BankEntryId> = fresh.in_parts.iter().copied().collect();
        leaving.extend(again.into_iter().flat_map(Reread::leaving));
        let mut doubts = Doubts::new(format, &leaving, again.map(|again| again.known.id));
        fresh.doubted.extend(doubts.of(conn, bank_account, &rows, &new)?);
        fresh.new.extend(new.iter().map(|(at, _)| *at));
        let then = rows.iter().filter_map(|(_, row)| Some((row, told.get(&row.entry_key)?)));
        fresh.renamed.extend(then.filter_map(|(row, then)| Renamed::of(row, then.id, &then.status, &then.reference)));
    }
    if let Some(again) = again {
        fresh.doubted.extend(again.unplaced.iter().map(|at| (*at, again.doubt())));
    }
    fresh.new.sort_unstable();
    Ok(fresh)
}

/// One booking is told as a whole in one file and in parts in another. Where the sums agree it is the same money: of the two
/// the parts say more, so a whole that nobody decided about yet makes way for them. Gives back the places of what is known so.
fn compare_bookings(
    conn: &mut DbConnection,
    bank_account: &str,
    rows: &[(usize, &EntryRow)],
    known: &HashSet<String>,
    fresh: &mut Fresh,
) -> Result<HashSet<usize>, ActionError> {
    let mut bookings: BTreeMap<(&str, NaiveDate), Vec<(usize, &EntryRow)>> = BTreeMap::new();
    for (at, row) in rows {
        if let Some(booking) = &row.booking_ref {
            bookings.entry((booking, row.booked_on)).or_default().push((*at, row));
        }
    }
    let mut names: Vec<&str> = bookings.keys().map(|(name, _)| *name).collect();
    names.dedup();
    let stored = bank::of_bookings(conn, bank_account, &names)?;
    let mut same_money = HashSet::new();
    for ((booking, day), told) in bookings {
        let is_part = |row: &&EntryRow| row.booking_ref.as_deref() == Some(booking) && row.booked_on == day && !row.why.starts_with(TOLD_IN_PARTS);
        let stored: Vec<&EntryRow> = stored.iter().filter(is_part).collect();
        let unknown: Vec<usize> = told.iter().filter(|(_, row)| !known.contains(&row.entry_key)).map(|(at, _)| *at).collect();
        if stored.is_empty() || unknown.is_empty() {
            continue;
        }
        let before: i128 = stored.iter().map(|row| i128::from(row.amount_cents)).sum();
        let now: i128 = told.iter().map(|(_, row)| i128::from(row.amount_cents)).sum();
        if before != now {
            let doubt = "under the same reference of the bank another amount was told before".to_owned();
            fresh.doubted.extend(unknown.into_iter().map(|at| (at, doubt.clone())));
        } else if told.len() > stored.len() && unknown.len() == told.len() && stored.iter().all(|row| row.status == "waiting") {
            fresh.in_parts.extend(stored.iter().map(|row| row.id));
        } else {
            same_money.extend(unknown);
        }
    }
    Ok(same_money)
}

/// Sets movements aside whose parts this file tells.
pub(super) fn make_way(context: &Context, conn: &mut DbConnection, ids: &[BankEntryId], name: &str, now: NaiveDateTime) -> Result<(), ActionError> {
    ids.iter().try_for_each(|id| leave(context, conn, *id, &format!("{TOLD_IN_PARTS} by {name}"), now))
}

/// Sets a movement aside whose file is read otherwise now.
pub(super) fn read_anew(context: &Context, conn: &mut DbConnection, id: BankEntryId, how: &str, now: NaiveDateTime) -> Result<(), ActionError> {
    leave(context, conn, id, &format!("{READ_ANEW} {how}"), now)
}

fn leave(context: &Context, conn: &mut DbConnection, id: BankEntryId, words: &str, now: NaiveDateTime) -> Result<(), ActionError> {
    let decided = Decided {
        status: "set_aside".to_owned(),
        suggested_account_id: None,
        decided_by: None,
        decided_at: Some(now),
        note: Some(words.to_owned()),
        returned_payment_id: None,
        refund_id: None,
    };
    bank::decide(conn, id, &decided)?;
    bank::set_why(conn, id, words, 0)?;
    bank::end_waiting(conn, id, "dismissed", &context.actor, Some(words), now)?;
    Ok(())
}

/// A movement that waits because of what was told before. Money that went out for no customer stays aside.
pub(super) fn doubt(planned: &mut Planned, doubt: &str) {
    if !matches!(planned.fate, Fate::Aside | Fate::Known) {
        planned.fate = Fate::Wait;
    }
    let why = &planned.row.why;
    planned.row.why = if why.is_empty() { doubt.to_owned() } else { format!("{why}; but {doubt}") };
}

/// What is told of known movements that have another name now; where one moved an account, a person is to look.
pub(super) fn tell_renamed(conn: &mut DbConnection, renamed: &[Renamed], name: &str, now: NaiveDateTime) -> Result<Vec<String>, ActionError> {
    let open = operations::open_reasons(conn, super::CORRECTED)?;
    let mut items = Vec::new();
    for one in renamed.iter().filter(|one| one.status == "applied") {
        let reason = format!("movement {} was applied; the file {name} tells of it again: {}", one.id, one.words);
        // Files that overlap tell of it day after day.
        let about = format!("movement {} was applied;", one.id);
        if !open.iter().any(|known| known.starts_with(&about)) {
            items.push(NewToDo { kind: super::CORRECTED.to_owned(), amount_cents: Some(one.amount_cents.abs()), ..NewToDo::about(reason, now) });
        }
    }
    operations::raise_new(conn, &items)?;
    Ok(renamed.iter().map(|one| one.words.clone()).collect())
}

/// Statements that replace earlier ones and no longer tell of movements that those told of: a work item each.
pub(super) fn tell_missing(conn: &mut DbConnection, file: &BankFile, now: NaiveDateTime) -> Result<u64, ActionError> {
    let keys = file.entry_keys();
    let mut items = Vec::new();
    let mut missing = 0;
    for (statement, _) in file.statements.iter().zip(&keys).filter(|(statement, _)| statement.corrects) {
        let days = || statement.entries.iter().map(|entry| entry.booked_on);
        let (Some(from), Some(to)) = (days().min(), days().max()) else { continue };
        let here = file.statements.iter().zip(&keys).filter(|(other, _)| other.bank_account == statement.bank_account);
        let told: HashSet<&String> = here.flat_map(|(_, keys)| keys).collect();
        let before = bank::keys_of_days(conn, &statement.bank_account, from, to, MOST_COMPARED)?;
        let gone: Vec<(BankEntryId, i64)> = before.into_iter().filter(|(_, key, _)| !told.contains(key)).map(|(id, _, cents)| (id, cents)).collect();
        let Some((first, cents)) = gone.first() else { continue };
        let count = i64::try_from(gone.len()).unwrap_or(i64::MAX);
        missing += u64::try_from(count).unwrap_or(0);
        let reason = format!(
            "a statement of bank account {} that replaces an earlier one leaves out {} from {from} to {to}, the first is movement {first} of {}",
            statement.bank_account,
            counted(count, "movement"),
            Money::from_cents(*cents)
        );
        items.push(NewToDo { kind: super::CORRECTED.to_owned(), amount_cents: Some(cents.abs()), ..NewToDo::about(reason, now) });
    }
    operations::raise_new(conn, &items)?;
    Ok(missing)
}

/// Whether a movement made way: for its parts, or for what its file says when it is read otherwise.
pub(super) fn made_way(row: &EntryRow) -> bool {
    row.status == "set_aside" && (row.why.starts_with(TOLD_IN_PARTS) || row.why.starts_with(READ_ANEW))
}
