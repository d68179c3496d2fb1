//! Money that may be told twice without saying so: it is never posted by itself, a person looks at both.
//!
//! Two kinds. The bank's own reference again, over another amount or on another day: one of the two is wrong, or the bank uses
//! its references again. And files of which one has the bank's references and the other has not: only what they say of a
//! movement can tell whether it is the same.
//!
//! A reference is an identity over all days in BAI2, camt and CSV. A clearing house's trace number is one only on its day: banks
//! count them anew. What stands for "no reference" (NOTPROVIDED, zeros) was left out when the file was read, and cheque numbers
//! and batch names are no bank's reference of a movement.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::NaiveDate;

use super::keep::made_way;
use crate::actions::ActionError;
use crate::db::DbConnection;
use crate::db::bank::{self, EntryRow};
use crate::domain::ids::{BankEntryId, BankFileId};
use crate::domain::money::Money;
use crate::formats::bank::BankFormat;

/// A new movement's place in its file, and its row.
pub(super) type At<'a> = (usize, &'a EntryRow);

/// What is told of doubts: names of files, read once.
pub(super) struct Doubts<'a> {
    /// How long a reference is an identity.
    pub(super) format: BankFormat,
    /// Movements that make way for this file's.
    pub(super) leaving: &'a HashSet<BankEntryId>,
    /// The file, when it was imported before and is read again.
    pub(super) again: Option<BankFileId>,
    names: HashMap<BankFileId, String>,
}

impl<'a> Doubts<'a> {
    pub(super) fn new(format: BankFormat, leaving: &'a HashSet<BankEntryId>, again: Option<BankFileId>) -> Self {
        Self { format, leaving, again, names: HashMap::new() }
    }

    /// Why movements of one bank account wait: by their places. `all` is what the file tells of the account, `new` what of it is new.
    pub(super) fn of(
        &mut self,
        conn: &mut DbConnection,
        bank_account: &str,
        all: &[At<'_>],
        new: &[At<'_>],
    ) -> Result<HashMap<usize, String>, ActionError> {
        let mut doubts = self.same_look(conn, bank_account, all, new)?;
        doubts.extend(self.same_reference(conn, bank_account, all, new)?);
        Ok(doubts)
    }

    fn stays(&self, row: &EntryRow) -> bool {
        !made_way(row) && !self.leaving.contains(&row.id)
    }

    fn same_reference(
        &mut self,
        conn: &mut DbConnection,
        bank_account: &str,
        all: &[At<'_>],
        new: &[At<'_>],
    ) -> Result<HashMap<usize, String>, ActionError> {
        let distinct = |of: fn(&EntryRow) -> Option<&String>| new.iter().filter_map(|(_, row)| of(row)).map(String::as_str).collect::<BTreeSet<_>>();
        let references: Vec<&str> = distinct(|row| row.bank_ref.as_ref()).into_iter().collect();
        let bookings: Vec<&str> = distinct(|row| row.booking_ref.as_ref()).into_iter().collect();
        let mut stored = bank::of_references(conn, bank_account, &references)?;
        stored.extend(bank::of_bookings(conn, bank_account, &bookings)?);
        stored.retain(|row| self.stays(row));
        let (by_reference, by_booking) = (by_name(&stored, |row| row.bank_ref.as_ref()), by_name(&stored, |row| row.booking_ref.as_ref()));
        let fresh: HashSet<usize> = new.iter().map(|(at, _)| *at).collect();
        // Of this file, what stands before a movement is there already.
        let (mut here, mut booked) = (ByName::new(), ByName::new());
        let mut doubts = HashMap::new();
        for (at, row) in all {
            let (reference, booking) = (row.bank_ref.as_deref(), row.booking_ref.as_deref());
            if fresh.contains(at) {
                let before = [(&by_reference, reference), (&by_booking, booking), (&here, reference), (&booked, booking)];
                let before = before.into_iter().flat_map(|(rows, name)| name.and_then(|name| rows.get(name)).into_iter().flatten());
                if let Some(other) = before.copied().find(|other| is_doubtful(self.format, other, row)) {
                    doubts.insert(*at, self.there_already(conn, other, row)?);
                }
                if let Some(name) = reference {
                    here.entry(name).or_default().push(row);
                }
                if let Some(name) = booking {
                    booked.entry(name).or_default().push(row);
                }
            }
        }
        Ok(doubts)
    }

    fn there_already(&mut self, conn: &mut DbConnection, other: &EntryRow, row: &EntryRow) -> Result<String, ActionError> {
        let reference = row.bank_ref.as_ref().or(row.booking_ref.as_ref()).map_or("", String::as_str);
        let amount = Money::from_cents(other.amount_cents);
        let file = self.named(conn, other)?;
        let expected = if (other.booked_on, other.amount_cents) == (row.booked_on, row.amount_cents) {
            "each reference once"
        } else {
            "the same day and amount, or another reference"
        };
        Ok(format!("this bank reference is there already: {reference} of {} over {amount}, {file}; expected {expected}", other.booked_on))
    }

    /// Where the other one is, for people.
    fn named(&mut self, conn: &mut DbConnection, other: &EntryRow) -> Result<String, ActionError> {
        if other.id == BankEntryId(0) {
            return Ok(format!("in this file, {}", other.place));
        }
        Ok(format!("in file {} (movement {})", self.name(conn, other.file_id)?, other.id))
    }

    fn name(&mut self, conn: &mut DbConnection, id: BankFileId) -> Result<String, ActionError> {
        if let Some(name) = self.names.get(&id) {
            return Ok(name.clone());
        }
        let name = bank::file(conn, id)?.map_or_else(|| id.to_string(), |file| file.name);
        self.names.insert(id, name.clone());
        Ok(name)
    }

    /// Of files without the bank's references, movements are compared by what they say, however many there are of each.
    fn same_look(
        &mut self,
        conn: &mut DbConnection,
        bank_account: &str,
        all: &[At<'_>],
        new: &[At<'_>],
    ) -> Result<HashMap<usize, String>, ActionError> {
        let without = new.iter().filter(|(_, row)| row.bank_ref.is_none());
        let days: BTreeSet<NaiveDate> = without.map(|(_, row)| row.booked_on).collect();
        let others: BTreeSet<NaiveDate> = new.iter().map(|(_, row)| row.booked_on).filter(|day| !days.contains(day)).collect();
        let (days, others) = (Vec::from_iter(days), Vec::from_iter(others));
        let mut stored = bank::of_days(conn, bank_account, &days, false)?;
        stored.extend(bank::of_days(conn, bank_account, &others, true)?);
        // What this file tells by its key is spoken for.
        let told: HashSet<&str> = all.iter().map(|(_, row)| row.entry_key.as_str()).collect();
        stored.retain(|row| self.stays(row) && !told.contains(row.entry_key.as_str()) && Some(row.file_id) != self.again);
        let mut left: HashMap<(NaiveDate, i64), Vec<&EntryRow>> = HashMap::new();
        for row in &stored {
            left.entry((row.booked_on, row.amount_cents)).or_default().push(row);
        }
        let mut doubts = HashMap::new();
        for (at, row) in new {
            let Some(others) = left.get_mut(&(row.booked_on, row.amount_cents)) else { continue };
            // One that has the bank's reference is the likelier one to lack it here.
            let fit = |with: bool| move |other: &&EntryRow| other.bank_ref.is_some() == with && looks_like(other, row);
            let found = others.iter().position(fit(true)).or_else(|| others.iter().position(fit(false)));
            if let Some(place) = found {
                let other = others.swap_remove(place);
                let file = self.name(conn, other.file_id)?;
                let same = format!("it looks like movement {} of file {file}: the same day, amount and reference", other.id);
                doubts.insert(*at, format!("{same}; expected the bank's own reference in both, to tell them apart"));
            }
        }
        Ok(doubts)
    }
}

/// Movements by a reference.
type ByName<'a> = HashMap<&'a str, Vec<&'a EntryRow>>;

fn by_name(rows: &[EntryRow], name: fn(&EntryRow) -> Option<&String>) -> ByName<'_> {
    let mut named = ByName::new();
    for row in rows {
        if let Some(name) = name(row) {
            named.entry(name).or_default().push(row);
        }
    }
    named
}

/// Whether two movements under one reference are not both to be believed. What was booked and taken back has two directions.
fn is_doubtful(format: BankFormat, other: &EntryRow, row: &EntryRow) -> bool {
    if other.amount_cents.signum() != row.amount_cents.signum() || row.amount_cents == 0 {
        return false;
    }
    if format == BankFormat::Ach && other.booked_on != row.booked_on {
        return false;
    }
    let same_reference = row.bank_ref.is_some() && row.bank_ref == other.bank_ref;
    // Parts of one booking share its reference on its day; there their sums are compared.
    same_reference || other.booked_on != row.booked_on
}

/// Whether what two movements of one day and amount say may be the same. Of two that both have the bank's reference, that tells.
fn looks_like(other: &EntryRow, row: &EntryRow) -> bool {
    if other.bank_ref.is_some() && row.bank_ref.is_some() {
        return false;
    }
    let alike = |one: &str, two: &str| one.trim().to_lowercase() == two.trim().to_lowercase();
    let may_be = |one: &str, two: &str| one.trim().is_empty() || two.trim().is_empty() || alike(one, two);
    let unnamed = [&row.reference, &row.party_name, &other.party_name].iter().all(|text| text.trim().is_empty());
    alike(&other.reference, &row.reference) && may_be(&other.party_name, &row.party_name) && (!unnamed || may_be(&other.text, &row.text))
}

/// What a known movement names now and did not name then; none where both may be the same.
pub(super) fn renamed(now: &str, then: &str) -> Option<(String, String)> {
    let now: Vec<&str> = now.lines().filter(|line| !line.is_empty()).collect();
    let then: Vec<&str> = then.lines().filter(|line| !line.is_empty()).collect();
    // A statement and a notification of one movement need not tell all of its references.
    let differ = !now.is_empty() && !then.is_empty() && !now.iter().any(|one| then.iter().any(|other| one.eq_ignore_ascii_case(other)));
    differ.then(|| (now.join(" / "), then.join(" / ")))
}
