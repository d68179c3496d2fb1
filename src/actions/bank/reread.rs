//! A file that was imported before and is read otherwise now, by another mapping of its columns.
//!
//! What it was taken for stands until a person takes it back: then the file is imported again, and its movements make way for
//! what it says now. Only CSV can be read in two ways.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDateTime;

use super::keep::{Renamed, made_way, read_anew};
use super::plan::Planned;
use super::waiting_of;
use crate::actions::{ActionError, Context};
use crate::db::DbConnection;
use crate::db::bank::{self, Decided, EntryRow, FileRow};
use crate::domain::ids::BankEntryId;
use crate::domain::money::Money;
use crate::formats::bank::{BankFormat, MOST_ENTRIES};

/// So many differences are told of a file.
const MOST_TOLD: usize = 5;

/// What differs between a file as it was imported and as it is read now.
pub(super) struct Reread {
    /// The file as it was imported.
    pub(super) known: FileRow,
    /// What was told of a place, and is told otherwise now: the place's number, what was stored, what differs in words.
    changed: HashMap<usize, (EntryRow, String)>,
    /// Places of which nothing is stored, neither as they were read nor as they are read now.
    pub(super) unplaced: Vec<usize>,
    /// Movements that made way before, and are what the file says again.
    revived: Vec<EntryRow>,
    /// Movements that stay what they are, under another name.
    pub(super) renamed: Vec<Renamed>,
}

impl Reread {
    /// Compares a file with what was stored of it.
    pub(super) fn of(conn: &mut DbConnection, known: FileRow, format: BankFormat, told: &[Planned]) -> Result<Self, ActionError> {
        let mut reread = Self { known, changed: HashMap::new(), unplaced: Vec::new(), revived: Vec::new(), renamed: Vec::new() };
        if format != BankFormat::Csv {
            return Ok(reread);
        }
        let most = i64::try_from(MOST_ENTRIES).unwrap_or(i64::MAX).saturating_mul(10);
        let stored = bank::entries_of_file(conn, reread.known.id, None, BankEntryId(0), most)?;
        let (gone, stands): (Vec<EntryRow>, Vec<EntryRow>) = stored.into_iter().partition(made_way);
        let gone: HashMap<(&str, &str), &EntryRow> = gone.iter().map(|row| ((row.bank_account.as_str(), row.entry_key.as_str()), row)).collect();
        let mut by_place: HashMap<String, EntryRow> = stands.into_iter().map(|row| (row.place.clone(), row)).collect();
        for (at, Planned { row, .. }) in told.iter().enumerate() {
            let Some(then) = by_place.remove(&row.place) else {
                reread.unplaced.push(at);
                continue;
            };
            if let Some(words) = difference(&then, row) {
                reread.revived.extend(gone.get(&(row.bank_account.as_str(), row.entry_key.as_str())).copied().cloned());
                reread.changed.insert(at, (then, words));
            } else {
                reread.renamed.extend(Renamed::of(row, then.id, &then.status, &then.reference));
            }
        }
        reread.keep_unknown(conn, told)?;
        Ok(reread)
    }

    /// What another file told of first has no place here: it is known by its key, or by its day and amount.
    fn keep_unknown(&mut self, conn: &mut DbConnection, told: &[Planned]) -> Result<(), ActionError> {
        let mut keys: HashMap<&str, Vec<&str>> = HashMap::new();
        for row in self.unplaced.iter().filter_map(|at| told.get(*at)).map(|planned| &planned.row) {
            keys.entry(&row.bank_account).or_default().push(&row.entry_key);
        }
        let mut known: HashMap<&str, HashSet<String>> = HashMap::new();
        for (bank_account, keys) in keys {
            known.insert(bank_account, bank::known_keys(conn, bank_account, &keys)?.into_iter().collect());
        }
        let mut left = Vec::new();
        for at in std::mem::take(&mut self.unplaced) {
            let Some(Planned { row, .. }) = told.get(at) else { continue };
            if known.get(row.bank_account.as_str()).is_some_and(|keys| keys.contains(&row.entry_key)) {
                continue;
            }
            let of_day = bank::of_days(conn, &row.bank_account, &[row.booked_on], false)?;
            let same = |other: &EntryRow| !made_way(other) && (other.amount_cents, &other.reference) == (row.amount_cents, &row.reference);
            if !of_day.iter().any(same) {
                left.push(at);
            }
        }
        self.unplaced = left;
        Ok(())
    }

    /// Whether it says what it said.
    pub(super) fn is_same(&self) -> bool {
        self.changed.is_empty() && self.unplaced.is_empty()
    }

    /// Whether what stands at a place is to be stored.
    pub(super) fn is_changed(&self, at: usize) -> bool {
        self.changed.contains_key(&at) || self.unplaced.binary_search(&at).is_ok()
    }

    /// The movements that make way.
    pub(super) fn leaving(&self) -> HashSet<BankEntryId> {
        self.changed.values().map(|(then, _)| then.id).collect()
    }

    /// Why what has no place in the earlier import waits.
    pub(super) fn doubt(&self) -> String {
        format!("this file was imported before as file {}{}, and then it was no such movement", self.known.id, self.by_mapping())
    }

    fn by_mapping(&self) -> String {
        self.known.mapping.as_ref().map(|mapping| format!(" with mapping {mapping}")).unwrap_or_default()
    }

    /// Refuses to read it otherwise as long as what it was taken for stands.
    pub(super) fn check(&self, name: &str) -> Result<(), ActionError> {
        let mut standing: Vec<(usize, &EntryRow, &String)> = self
            .changed
            .iter()
            .filter(|(_, (then, _))| then.status == "applied" || then.status == "settled")
            .map(|(at, (then, words))| (*at, then, words))
            .collect();
        standing.sort_unstable_by_key(|(at, ..)| *at);
        let Some(((_, first, words), more)) = standing.split_first() else { return Ok(()) };
        let told = |then: &EntryRow, words: &str| format!("{}: {words}: take it back with `aquabills bank undo {}`", then.place, then.id);
        let before = format!("imported before as file {}{}, where ", self.known.id, self.by_mapping());
        let first = format!("{}: {before}{words}: take it back with `aquabills bank undo {}`", first.place, first.id);
        let others = more.iter().take(MOST_TOLD - 1).map(|(_, then, words)| format!("; {}", told(then, words))).collect::<String>();
        let rest = more.len().saturating_sub(MOST_TOLD - 1);
        let rest = if rest > 0 { format!("; and {rest} more") } else { String::new() };
        Err(ActionError::Form(format!("{name}: {first}{others}{rest}, then import again. Nothing was changed")))
    }

    /// What the file was taken for makes way; what made way before and is right again waits.
    pub(super) fn make_way(&self, context: &Context, conn: &mut DbConnection, mapping: Option<&str>, now: NaiveDateTime) -> Result<(), ActionError> {
        let by = mapping.map(|mapping| format!("with mapping {mapping}")).unwrap_or_default();
        for (then, words) in self.changed.values() {
            read_anew(context, conn, then.id, &format!("{by}: {words}"), now)?;
        }
        for row in &self.revived {
            let why = format!("its file was read by another mapping meanwhile, and {by} again");
            let row = EntryRow { status: "waiting".to_owned(), why, decided_at: Some(now), decided_by: None, note: None, ..row.clone() };
            bank::decide(conn, row.id, &Decided::as_in(&row))?;
            bank::set_why(conn, row.id, &row.why, 0)?;
            bank::wait_again(conn, &waiting_of(&row), now)?;
        }
        Ok(())
    }

    /// How many movements wait again.
    pub(super) fn revived(&self) -> u64 {
        u64::try_from(self.revived.len()).unwrap_or(u64::MAX)
    }
}

/// What differs, in words; none when it is the same money.
fn difference(then: &EntryRow, now: &EntryRow) -> Option<String> {
    let mut words = Vec::new();
    if then.bank_account != now.bank_account {
        words.push(format!("this movement stands under bank account {}, and is under {} now", then.bank_account, now.bank_account));
    }
    if then.amount_cents != now.amount_cents {
        let (then, now) = (Money::from_cents(then.amount_cents), Money::from_cents(now.amount_cents));
        words.push(format!("this movement was {then} and is {now} now"));
    }
    if then.booked_on != now.booked_on {
        words.push(format!("this movement was of {} and is of {} now", then.booked_on, now.booked_on));
    }
    (!words.is_empty()).then(|| words.join(", "))
}
