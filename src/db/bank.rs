//! Bank files and their movements: what a bank sent, what became of each movement, and mappings of columns by name.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::DbConnection;
use super::bulk::{in_list, insert_all, reserve_ids};
use super::schema::{bank_entry, bank_file, bank_mapping, todo, unapplied_credit};
use crate::domain::ids::{AccountId, BankEntryId, BankFileId, PaymentId, RefundId, UnappliedCreditId};

/// So many keys are looked up at once.
const KEYS_AT_ONCE: usize = 500;

/// A file as stored, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize)]
#[diesel(table_name = bank_file)]
pub struct FileRow {
    /// Identity.
    pub id: BankFileId,
    /// The hash of its bytes.
    pub sha256: String,
    /// Its name.
    pub name: String,
    /// Its format.
    pub format: String,
    /// The mapping of its columns.
    pub mapping: Option<String>,
    /// How many movements it told of, also those that were known.
    pub entries: i32,
    /// What they brought in, in cents.
    pub credits_cents: i64,
    /// What they took out, in cents.
    pub debits_cents: i64,
    /// When it was imported, UTC.
    pub received_at: NaiveDateTime,
    /// By whom.
    pub received_by: String,
}

/// A file to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = bank_file, treat_none_as_default_value = false)]
pub struct NewFile {
    /// The hash of its bytes.
    pub sha256: String,
    /// Its name.
    pub name: String,
    /// Its format.
    pub format: String,
    /// The mapping of its columns.
    pub mapping: Option<String>,
    /// How many movements it told of.
    pub entries: i32,
    /// What they brought in, in cents.
    pub credits_cents: i64,
    /// What they took out, in cents.
    pub debits_cents: i64,
    /// Now.
    pub received_at: NaiveDateTime,
    /// By whom.
    pub received_by: String,
    /// Its bytes as they came.
    pub body: Vec<u8>,
}

/// A movement, as stored and to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize)]
#[diesel(table_name = bank_entry, treat_none_as_default_value = false)]
pub struct EntryRow {
    /// Identity.
    pub id: BankEntryId,
    /// The file that told of it first.
    pub file_id: BankFileId,
    /// Where in that file.
    pub place: String,
    /// The utility's account with the bank.
    pub bank_account: String,
    /// What it is known by, unique within the bank account.
    pub entry_key: String,
    /// What moved, in cents: money in is positive.
    pub amount_cents: i64,
    /// The day of the booking.
    pub booked_on: NaiveDate,
    /// The day from which it counts.
    pub value_on: Option<NaiveDate>,
    /// ISO 4217 code, where the file tells.
    pub currency: Option<String>,
    /// `credit`, `debit`, `return` or `dishonored_return`.
    pub kind: String,
    /// The format's own code.
    pub code: String,
    /// Why it was returned: the code.
    pub return_code: Option<String>,
    /// Why it was returned, in words.
    pub return_reason: Option<String>,
    /// What is returned.
    pub original_ref: Option<String>,
    /// Of a refused return: the return.
    pub return_ref: Option<String>,
    /// The bank's own reference.
    pub bank_ref: Option<String>,
    /// The bank's reference of the booking that it is a part of.
    pub booking_ref: Option<String>,
    /// What payer or utility wrote, one reference to a line.
    pub reference: String,
    /// Who paid, or was paid.
    pub party_name: String,
    /// Their account.
    pub party_account: String,
    /// Everything else.
    pub text: String,
    /// `waiting`, `applied`, `settled` or `set_aside`.
    pub status: String,
    /// Which account the program takes it for; once it is applied, the account of its first part.
    pub suggested_account_id: Option<AccountId>,
    /// How sure, in percent.
    pub confidence: i32,
    /// Why.
    pub why: String,
    /// Who decided last.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<NaiveDateTime>,
    /// Why a person decided so.
    pub note: Option<String>,
    /// The payment that a return took back, or that a refused return gave back.
    pub returned_payment_id: Option<PaymentId>,
    /// The refund that it carried out, or brought back.
    pub refund_id: Option<RefundId>,
}

/// What was decided of a movement.
#[derive(Debug, Clone, PartialEq, Eq, AsChangeset)]
#[diesel(table_name = bank_entry, treat_none_as_null = true)]
pub struct Decided {
    /// `waiting`, `applied`, `settled` or `set_aside`.
    pub status: String,
    /// The account.
    pub suggested_account_id: Option<AccountId>,
    /// Who.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<NaiveDateTime>,
    /// Why, in words.
    pub note: Option<String>,
    /// The payment that was taken or given back.
    pub returned_payment_id: Option<PaymentId>,
    /// The refund that was carried out, or came back.
    pub refund_id: Option<RefundId>,
}

impl Decided {
    /// What a movement's row says, to be stored.
    #[must_use]
    pub fn as_in(row: &EntryRow) -> Self {
        Self {
            status: row.status.clone(),
            suggested_account_id: row.suggested_account_id,
            decided_by: row.decided_by.clone(),
            decided_at: row.decided_at,
            note: row.note.clone(),
            returned_payment_id: row.returned_payment_id,
            refund_id: row.refund_id,
        }
    }
}

/// Stores a file.
///
/// # Errors
/// Those of the database; a unique violation means that another import of it was first ([`super::LostRace`]).
pub fn insert_file(conn: &mut DbConnection, new: &NewFile) -> QueryResult<BankFileId> {
    diesel::insert_into(bank_file::table).values(new).returning(bank_file::id).get_result(conn)
}

/// A file by the hash of its bytes.
///
/// # Errors
/// Those of the database.
pub fn file_by_hash(conn: &mut DbConnection, sha256: &str) -> QueryResult<Option<FileRow>> {
    bank_file::table.filter(bank_file::sha256.eq(sha256)).select(FileRow::as_select()).first(conn).optional()
}

/// A file.
///
/// # Errors
/// Those of the database.
pub fn file(conn: &mut DbConnection, id: BankFileId) -> QueryResult<Option<FileRow>> {
    bank_file::table.filter(bank_file::id.eq(id)).select(FileRow::as_select()).first(conn).optional()
}

/// A page of files, newest first, before an id.
///
/// # Errors
/// Those of the database.
pub fn files(conn: &mut DbConnection, before: BankFileId, limit: i64) -> QueryResult<Vec<FileRow>> {
    bank_file::table.filter(bank_file::id.lt(before)).order(bank_file::id.desc()).limit(limit).select(FileRow::as_select()).load(conn)
}

/// Reserves ids for movements.
///
/// # Errors
/// Those of the database.
pub fn reserve_entries(conn: &mut DbConnection, count: usize) -> QueryResult<Vec<BankEntryId>> {
    Ok(reserve_ids(conn, "bank_entry", count)?.into_iter().map(BankEntryId).collect())
}

/// Stores movements.
///
/// # Errors
/// Those of the database; a unique violation means that another import told of one first ([`super::LostRace`]).
pub fn insert_entries(conn: &mut DbConnection, rows: &[EntryRow]) -> QueryResult<()> {
    insert_all!(conn, bank_entry::table, rows).map(|_| ())
}

/// Which of these keys of a bank account are there.
///
/// # Errors
/// Those of the database.
pub fn known_keys(conn: &mut DbConnection, bank_account: &str, keys: &[&str]) -> QueryResult<Vec<String>> {
    let mut known = Vec::new();
    for keys in keys.chunks(KEYS_AT_ONCE) {
        let here = bank_entry::bank_account.eq(bank_account).and(bank_entry::entry_key.eq_any(keys));
        known.extend(bank_entry::table.filter(here).select(bank_entry::entry_key).load::<String>(conn)?);
    }
    Ok(known)
}

/// A movement that is known by its key: what a file that tells of it again is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct KnownRow {
    /// Identity.
    pub id: BankEntryId,
    /// What it is known by.
    pub entry_key: String,
    /// What payer or utility wrote then, one reference to a line.
    pub reference: String,
    /// What became of it.
    pub status: String,
}

/// Which of these keys of a bank account are there, with what was told then.
///
/// # Errors
/// Those of the database.
pub fn known(conn: &mut DbConnection, bank_account: &str, keys: &[&str]) -> QueryResult<Vec<KnownRow>> {
    let mut known = Vec::new();
    for keys in keys.chunks(KEYS_AT_ONCE) {
        let here = bank_entry::bank_account.eq(bank_account).and(bank_entry::entry_key.eq_any(keys));
        let said = (bank_entry::id, bank_entry::entry_key, bank_entry::reference, bank_entry::status);
        known.extend(bank_entry::table.filter(here).select(said).load::<KnownRow>(conn)?);
    }
    Ok(known)
}

/// The movements of a bank account that have one of these references of the bank's.
///
/// # Errors
/// Those of the database.
pub fn of_references(conn: &mut DbConnection, bank_account: &str, references: &[&str]) -> QueryResult<Vec<EntryRow>> {
    let mut found = Vec::new();
    for references in references.chunks(KEYS_AT_ONCE) {
        let here = bank_entry::bank_account.eq(bank_account).and(bank_entry::bank_ref.eq_any(references));
        found.extend(bank_entry::table.filter(here).order(bank_entry::id).select(EntryRow::as_select()).load::<EntryRow>(conn)?);
    }
    Ok(found)
}

/// The movements of a bank account on these days: all, or only those without a reference of the bank's.
///
/// # Errors
/// Those of the database.
pub fn of_days(conn: &mut DbConnection, bank_account: &str, days: &[NaiveDate], only_without_reference: bool) -> QueryResult<Vec<EntryRow>> {
    let mut found = Vec::new();
    for days in days.chunks(KEYS_AT_ONCE) {
        let here = bank_entry::bank_account.eq(bank_account).and(bank_entry::booked_on.eq_any(days));
        let mut query = bank_entry::table.filter(here).order(bank_entry::id).into_boxed();
        if only_without_reference {
            query = query.filter(bank_entry::bank_ref.is_null());
        }
        found.extend(query.select(EntryRow::as_select()).load::<EntryRow>(conn)?);
    }
    Ok(found)
}

/// Movements that a person looks at beside this one: with the same reference of the bank's, or of the same day and amount.
///
/// # Errors
/// Those of the database.
pub fn beside(conn: &mut DbConnection, row: &EntryRow, limit: i64) -> QueryResult<Vec<EntryRow>> {
    let of_day =
        bank_entry::booked_on.eq(row.booked_on).and(bank_entry::amount_cents.eq(row.amount_cents)).and(bank_entry::reference.eq(&row.reference));
    let other = bank_entry::bank_account.eq(&row.bank_account).and(bank_entry::id.ne(row.id));
    let mut query = bank_entry::table.filter(other).order(bank_entry::id).limit(limit).into_boxed();
    query = match &row.bank_ref {
        Some(reference) => query.filter(of_day.or(bank_entry::bank_ref.is_not_null().and(bank_entry::bank_ref.eq(reference)))),
        None => query.filter(of_day),
    };
    query.select(EntryRow::as_select()).load(conn)
}

/// The movements of a bank account that are parts of these bookings.
///
/// # Errors
/// Those of the database.
pub fn of_bookings(conn: &mut DbConnection, bank_account: &str, bookings: &[&str]) -> QueryResult<Vec<EntryRow>> {
    let mut found = Vec::new();
    for bookings in bookings.chunks(KEYS_AT_ONCE) {
        let here = bank_entry::bank_account.eq(bank_account).and(bank_entry::booking_ref.eq_any(bookings));
        found.extend(bank_entry::table.filter(here).order(bank_entry::id).select(EntryRow::as_select()).load::<EntryRow>(conn)?);
    }
    Ok(found)
}

/// The movements of a bank account on these days: what a statement that replaces an earlier one is compared with.
///
/// # Errors
/// Those of the database.
pub fn keys_of_days(
    conn: &mut DbConnection,
    bank_account: &str,
    from: NaiveDate,
    to: NaiveDate,
    limit: i64,
) -> QueryResult<Vec<(BankEntryId, String, i64)>> {
    bank_entry::table
        .filter(bank_entry::bank_account.eq(bank_account).and(bank_entry::booked_on.between(from, to)))
        .order(bank_entry::id)
        .limit(limit)
        .select((bank_entry::id, bank_entry::entry_key, bank_entry::amount_cents))
        .load(conn)
}

/// A movement.
///
/// # Errors
/// Those of the database.
pub fn entry(conn: &mut DbConnection, id: BankEntryId) -> QueryResult<Option<EntryRow>> {
    bank_entry::table.filter(bank_entry::id.eq(id)).select(EntryRow::as_select()).first(conn).optional()
}

/// Takes a movement's lock, so that it is decided once, and reads it. SQLite has one writer at a time and needs none.
///
/// # Errors
/// Those of the database.
pub fn lock_entry(conn: &mut DbConnection, id: BankEntryId) -> QueryResult<Option<EntryRow>> {
    if let DbConnection::Postgres(conn) = conn {
        diesel::sql_query("SELECT id FROM bank_entry WHERE id = $1 FOR UPDATE").bind::<BigInt, _>(id).execute(conn)?;
    }
    entry(conn, id)
}

/// Notes what was decided of a movement.
///
/// # Errors
/// Those of the database.
pub fn decide(conn: &mut DbConnection, id: BankEntryId, decided: &Decided) -> QueryResult<usize> {
    diesel::update(bank_entry::table.filter(bank_entry::id.eq(id))).set(decided).execute(conn)
}

/// Notes anew why a movement is taken for what it is taken, and how surely.
///
/// # Errors
/// Those of the database.
pub fn set_why(conn: &mut DbConnection, id: BankEntryId, why: &str, confidence: i32) -> QueryResult<usize> {
    let said = (bank_entry::why.eq(why), bank_entry::confidence.eq(confidence));
    diesel::update(bank_entry::table.filter(bank_entry::id.eq(id))).set(said).execute(conn)
}

/// Lets one import in at a time: one that waited sees all that the one before it wrote. SQLite has one writer at a time.
///
/// # Errors
/// Those of the database.
pub fn lock_imports(conn: &mut DbConnection) -> QueryResult<()> {
    if let DbConnection::Postgres(conn) = conn {
        diesel::sql_query("LOCK TABLE bank_file IN SHARE ROW EXCLUSIVE MODE").execute(conn)?;
    }
    Ok(())
}

/// A page of the movements that wait, oldest first, after an id.
///
/// # Errors
/// Those of the database.
pub fn waiting(conn: &mut DbConnection, after: BankEntryId, limit: i64) -> QueryResult<Vec<EntryRow>> {
    bank_entry::table
        .filter(bank_entry::status.eq("waiting").and(bank_entry::id.gt(after)))
        .order(bank_entry::id)
        .limit(limit)
        .select(EntryRow::as_select())
        .load(conn)
}

/// How many movements wait.
///
/// # Errors
/// Those of the database.
pub fn waiting_count(conn: &mut DbConnection) -> QueryResult<i64> {
    bank_entry::table.filter(bank_entry::status.eq("waiting")).count().get_result(conn)
}

/// A page of a file's movements in their order, after an id, with one status or all.
///
/// # Errors
/// Those of the database.
pub fn entries_of_file(
    conn: &mut DbConnection,
    file: BankFileId,
    status: Option<&str>,
    after: BankEntryId,
    limit: i64,
) -> QueryResult<Vec<EntryRow>> {
    let mut query =
        bank_entry::table.filter(bank_entry::file_id.eq(file).and(bank_entry::id.gt(after))).order(bank_entry::id).limit(limit).into_boxed();
    if let Some(status) = status {
        query = query.filter(bank_entry::status.eq(status));
    }
    query.select(EntryRow::as_select()).load(conn)
}

/// What became of a file's movements: how many of one bank account have a status, and their sums.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName, serde::Serialize)]
pub struct StatusFigures {
    /// The file.
    #[diesel(sql_type = BigInt)]
    pub file_id: BankFileId,
    /// The utility's account with the bank.
    #[diesel(sql_type = Text)]
    pub bank_account: String,
    /// The status.
    #[diesel(sql_type = Text)]
    pub status: String,
    /// How many.
    #[diesel(sql_type = BigInt)]
    pub entries: i64,
    /// What they brought in, in cents.
    #[diesel(sql_type = BigInt)]
    pub credits_cents: i64,
    /// What they took out, in cents.
    #[diesel(sql_type = BigInt)]
    pub debits_cents: i64,
}

/// What became of the movements of these files.
///
/// # Errors
/// Those of the database.
pub fn figures(conn: &mut DbConnection, files: &[BankFileId]) -> QueryResult<Vec<StatusFigures>> {
    let list = in_list(files.iter().map(|id| id.0));
    diesel::sql_query(format!(
        "SELECT file_id, bank_account, status, CAST(count(*) AS BIGINT) AS entries, \
            CAST(coalesce(sum(CASE WHEN amount_cents > 0 THEN amount_cents ELSE 0 END), 0) AS BIGINT) AS credits_cents, \
            CAST(coalesce(sum(CASE WHEN amount_cents < 0 THEN -amount_cents ELSE 0 END), 0) AS BIGINT) AS debits_cents \
         FROM bank_entry WHERE file_id IN ({list}) GROUP BY file_id, bank_account, status ORDER BY file_id, bank_account, status"
    ))
    .load(conn)
}

/// Money of the bank that waits for an account, to be noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWaiting {
    /// The movement.
    pub entry: BankEntryId,
    /// The work item's kind.
    pub kind: &'static str,
    /// How much, in cents; negative for money that was taken back.
    pub amount_cents: i64,
    /// The day of the money.
    pub received_on: NaiveDate,
    /// The reference that it came with.
    pub reference: String,
    /// Who paid.
    pub payer: String,
    /// What the work item says.
    pub reason: String,
}

#[derive(Insertable)]
#[diesel(table_name = unapplied_credit, treat_none_as_default_value = false)]
struct NewUnapplied {
    id: UnappliedCreditId,
    bank_entry_id: Option<BankEntryId>,
    amount_cents: i64,
    received_on: NaiveDate,
    reference: String,
    payer: String,
    status: String,
    created_at: NaiveDateTime,
}

#[derive(Insertable)]
#[diesel(table_name = todo, treat_none_as_default_value = false)]
struct NewItem {
    kind: String,
    status: String,
    amount_cents: Option<i64>,
    reason: String,
    raised_at: NaiveDateTime,
    unapplied_credit_id: Option<UnappliedCreditId>,
}

/// Notes money of the bank that waits, with a work item each.
///
/// # Errors
/// Those of the database.
pub fn wait_for_account(conn: &mut DbConnection, rows: &[NewWaiting], now: NaiveDateTime) -> QueryResult<()> {
    let ids = reserve_ids(conn, "unapplied_credit", rows.len())?;
    let (mut credits, mut items) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for (row, id) in rows.iter().zip(ids) {
        let id = UnappliedCreditId(id);
        credits.push(NewUnapplied {
            id,
            bank_entry_id: Some(row.entry),
            amount_cents: row.amount_cents,
            received_on: row.received_on,
            reference: row.reference.clone(),
            payer: row.payer.clone(),
            status: "waiting".to_owned(),
            created_at: now,
        });
        items.push(item(row, id, now));
    }
    insert_all!(&mut *conn, unapplied_credit::table, &credits)?;
    insert_all!(conn, todo::table, &items).map(|_| ())
}

fn item(row: &NewWaiting, id: UnappliedCreditId, now: NaiveDateTime) -> NewItem {
    NewItem {
        kind: row.kind.to_owned(),
        status: "open".to_owned(),
        amount_cents: Some(row.amount_cents.abs()),
        reason: row.reason.clone(),
        raised_at: now,
        unapplied_credit_id: Some(id),
    }
}

/// The same for a movement that was decided and waits again.
///
/// # Errors
/// Those of the database.
pub fn wait_again(conn: &mut DbConnection, row: &NewWaiting, now: NaiveDateTime) -> QueryResult<()> {
    let known = unapplied_credit::table.filter(unapplied_credit::bank_entry_id.eq(Some(row.entry)));
    let id: Option<UnappliedCreditId> = known.select(unapplied_credit::id).first(conn).optional()?;
    let Some(id) = id else { return wait_for_account(conn, std::slice::from_ref(row), now) };
    diesel::update(unapplied_credit::table.filter(unapplied_credit::id.eq(id)))
        .set((
            unapplied_credit::status.eq("waiting"),
            unapplied_credit::settled_at.eq(None::<NaiveDateTime>),
            unapplied_credit::settled_by.eq(None::<String>),
            unapplied_credit::note.eq(None::<String>),
        ))
        .execute(conn)?;
    diesel::insert_into(todo::table).values(item(row, id, now)).execute(conn).map(|_| ())
}

/// Ends the waiting of a movement: `applied`, or `dismissed` when no customer's account gets it. Its work item is closed.
///
/// # Errors
/// Those of the database.
pub fn end_waiting(conn: &mut DbConnection, entry: BankEntryId, status: &str, by: &str, note: Option<&str>, now: NaiveDateTime) -> QueryResult<()> {
    let waiting = unapplied_credit::bank_entry_id.eq(Some(entry)).and(unapplied_credit::status.eq("waiting"));
    let id: Option<UnappliedCreditId> = unapplied_credit::table.filter(waiting).select(unapplied_credit::id).first(conn).optional()?;
    let Some(id) = id else { return Ok(()) };
    diesel::update(unapplied_credit::table.filter(unapplied_credit::id.eq(id)))
        .set((
            unapplied_credit::status.eq(status),
            unapplied_credit::settled_at.eq(Some(now)),
            unapplied_credit::settled_by.eq(Some(by)),
            unapplied_credit::note.eq(note),
        ))
        .execute(conn)?;
    diesel::update(todo::table.filter(todo::unapplied_credit_id.eq(Some(id)).and(todo::status.eq("open"))))
        .set((todo::status.eq("released"), todo::resolved_by.eq(Some(by)), todo::resolved_at.eq(Some(now)), todo::note.eq(note)))
        .execute(conn)?;
    Ok(())
}

/// A mapping of columns as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize)]
#[diesel(table_name = bank_mapping, treat_none_as_default_value = false)]
pub struct MappingRow {
    /// Its name.
    pub name: String,
    /// Its text, TOML.
    pub settings: String,
    /// Who saved it.
    pub saved_by: String,
    /// When, UTC.
    pub saved_at: NaiveDateTime,
}

/// A mapping.
///
/// # Errors
/// Those of the database.
pub fn mapping(conn: &mut DbConnection, name: &str) -> QueryResult<Option<MappingRow>> {
    bank_mapping::table.find(name).select(MappingRow::as_select()).first(conn).optional()
}

/// The first mappings, by name.
///
/// # Errors
/// Those of the database.
pub fn mappings(conn: &mut DbConnection, limit: i64) -> QueryResult<Vec<MappingRow>> {
    bank_mapping::table.order(bank_mapping::name).limit(limit).select(MappingRow::as_select()).load(conn)
}

/// Saves a mapping, in the place of one with the same name.
///
/// # Errors
/// Those of the database.
pub fn save_mapping(conn: &mut DbConnection, row: &MappingRow) -> QueryResult<()> {
    remove_mapping(conn, &row.name)?;
    diesel::insert_into(bank_mapping::table).values(row).execute(conn).map(|_| ())
}

/// Removes a mapping; 0 rows means that there was none.
///
/// # Errors
/// Those of the database.
pub fn remove_mapping(conn: &mut DbConnection, name: &str) -> QueryResult<usize> {
    diesel::delete(bank_mapping::table.find(name)).execute(conn)
}
