//! Taking a bank's file in: whole, in one transaction, or not at all.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use chrono::NaiveDateTime;
use diesel::result::Error as DieselError;
use flate2::read::MultiGzDecoder;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::keep::{doubt, fresh, make_way, tell_missing, tell_renamed};
use super::plan::{Fate, Planned, kind_of, plan, told as told_of};
use super::reread::Reread;
use super::returns::{Fees, Found, find_refused, find_returned, give_back, take_back};
use super::{mappings, origin_of, payment_of, payouts, waiting_of};
use crate::actions::payments::{NewPayment, post_all_within};
use crate::actions::{ActionError, Context};
use crate::db::bank::{self, Decided, EntryRow, NewFile};
use crate::db::payments::PaymentRow;
use crate::db::payouts::open_items;
use crate::db::provider_payments::RefundRow;
use crate::db::{DbConnection, LostRace, bank_match, ledger, operations};
use crate::domain::ids::{AccountId, BankFileId};
use crate::domain::money::Money;
use crate::domain::payouts::file_reference;
use crate::domain::quantity::counted;
use crate::formats::bank::{self as formats, BankEntryKind, BankFile, BankFormat, FormatChoice, LARGEST_FILE_BYTES, Totals};

/// A file to be imported.
#[derive(Debug, Clone)]
pub struct NewBankFile {
    /// Its name, for people.
    pub name: String,
    /// Its bytes, not compressed.
    pub bytes: Vec<u8>,
    /// Its format; none means that its opening tells.
    pub format: Option<BankFormat>,
    /// The saved mapping by which a CSV file is read.
    pub mapping: Option<String>,
    /// Finds out what would happen, and changes nothing.
    pub dry_run: bool,
}

/// What importing a file did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BankReport {
    /// The file; none for a dry run.
    pub file_id: Option<BankFileId>,
    /// Its name.
    pub name: String,
    /// The hash of its bytes.
    pub sha256: String,
    /// Its format.
    pub format: BankFormat,
    /// Everything that the file tells of.
    pub entries: u64,
    /// What came in, in cents, of all booked entries; none when the file has several currencies.
    pub credits_cents: Option<i64>,
    /// What went out, in cents.
    pub debits_cents: Option<i64>,
    /// How many of the entries are returns.
    pub returns: u64,
    /// How many are not booked yet: they are told and never stored as money.
    pub pending: u64,
    /// How many move no money.
    pub notices: u64,
    /// Movements that are new.
    pub accepted: u64,
    /// Movements that were known from this or another file.
    pub unchanged: u64,
    /// New movements that moved an account.
    pub applied: u64,
    /// New movements that wait for a clerk.
    pub waiting: u64,
    /// New movements that are a provider's payouts, our refunds, or returns that a provider tells of.
    pub settled: u64,
    /// New movements that concern no customer.
    pub set_aside: u64,
    /// Movements of earlier files that a statement which replaces them leaves out.
    pub missing: u64,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Each statement's totals.
    pub statements: Vec<StatementReport>,
    /// What the bank tells without moving money, the first of it.
    pub told: Vec<String>,
    /// Known movements that name another account or bill now, the first of them.
    pub warnings: Vec<String>,
}

/// A statement's totals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatementReport {
    /// The utility's account with the bank.
    pub bank_account: String,
    /// The bank's own name of the statement.
    pub statement_ref: Option<String>,
    /// Its currency.
    pub currency: Option<String>,
    /// The balance before it, in cents.
    pub opening_cents: Option<i64>,
    /// The balance after it, in cents.
    pub closing_cents: Option<i64>,
    /// How many entries.
    pub entries: u64,
    /// What came in, in cents.
    pub credits_cents: i64,
    /// What went out, in cents.
    pub debits_cents: i64,
    /// How many returns.
    pub returns: u64,
    /// How many are not booked yet.
    pub pending: u64,
}

/// So much of what moves no money, and of warnings, is told.
const MOST_TOLD: usize = 20;

/// Reads a file for an import: `.gz` is unpacked.
///
/// # Errors
/// [`ActionError::File`] when it cannot be read, [`ActionError::Form`] when it is too large.
pub fn read_file(path: &Path) -> Result<Vec<u8>, ActionError> {
    let wrong = |source| ActionError::file(path, source);
    if path.is_dir() {
        return Err(wrong(std::io::Error::other("it is a directory")));
    }
    let file = File::open(path).map_err(wrong)?;
    let gzipped = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    let source: Box<dyn Read> = if gzipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut bytes = Vec::new();
    // One byte more than is read: a larger file is refused, not cut off.
    let most = u64::try_from(LARGEST_FILE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    source.take(most).read_to_end(&mut bytes).map_err(wrong)?;
    Ok(bytes)
}

/// Imports a file. The same file again, or a movement that another file told of, adds nothing.
///
/// # Errors
/// [`ActionError::Form`] with file, place, field and what was expected when the file is refused: then nothing of it is used.
/// [`ActionError::NotFound`] for a mapping that was not saved.
pub fn import_bank_file(context: &Context, new: &NewBankFile) -> Result<BankReport, ActionError> {
    let file = read(context, new)?;
    let sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(&new.bytes));
    let told = told_of(context, &file, &new.name)?;
    let before = context.database.read(|conn| match bank::file_by_hash(conn, &sha256)? {
        Some(known) => Reread::of(conn, known, file.format, &told).map(Some),
        None => Ok(None),
    });
    if let Some(before) = before? {
        before.check(&new.name)?;
        if before.is_same() {
            let work = Work { context, new, file: &file, planned: &told, sha256 };
            return Ok(BankReport { dry_run: new.dry_run, ..work.nothing_new(&before) });
        }
    }
    let planned = plan(context, &file, told)?;
    let work = Work { context, new, file: &file, planned: &planned, sha256 };
    let outcome = context.database.write(|conn| {
        let report = work.write(conn)?;
        // A dry run does everything, and then takes it back.
        if new.dry_run { Err(Halt::Dry(Box::new(report))) } else { Ok(report) }
    });
    match outcome {
        Ok(report) => Ok(report),
        Err(Halt::Dry(report)) => Ok(BankReport { file_id: None, dry_run: true, ..*report }),
        Err(Halt::Failed(error)) => Err(error),
    }
}

/// Why a transaction is not committed.
enum Halt {
    Failed(ActionError),
    Dry(Box<BankReport>),
}

impl From<ActionError> for Halt {
    fn from(error: ActionError) -> Self {
        Self::Failed(error)
    }
}

impl From<DieselError> for Halt {
    fn from(error: DieselError) -> Self {
        Self::Failed(error.into())
    }
}

impl LostRace for Halt {
    fn lost_race(&self) -> bool {
        matches!(self, Self::Failed(error) if error.lost_race())
    }
}

fn read(context: &Context, new: &NewBankFile) -> Result<BankFile, ActionError> {
    let mapping = new.mapping.as_deref().map(|name| mappings::load(context, name)).transpose()?;
    let choice = match (new.format, &mapping) {
        (None | Some(BankFormat::Csv), Some(mapping)) => FormatChoice::Csv(mapping),
        (Some(_), Some(_)) => return Err(ActionError::Refused("mapping: only CSV files have one".to_owned())),
        (Some(BankFormat::Csv), None) => return Err(ActionError::Refused("mapping: a CSV file needs the name of a saved mapping".to_owned())),
        (Some(BankFormat::Bai2), None) => FormatChoice::Bai2,
        (Some(BankFormat::Camt053 | BankFormat::Camt054), None) => FormatChoice::Camt,
        (Some(BankFormat::Ach), None) => FormatChoice::Ach,
        (None, None) => FormatChoice::Detect,
    };
    let file = formats::read(&new.bytes, choice).map_err(|error| ActionError::Form(format!("{}: {error}", new.name)))?;
    match new.format {
        Some(asked) if asked != file.format => {
            Err(ActionError::Form(format!("{}: format: it is {}, not {}", new.name, file.format.name(), asked.name())))
        }
        _ => Ok(file),
    }
}

struct Work<'a> {
    context: &'a Context,
    new: &'a NewBankFile,
    file: &'a BankFile,
    planned: &'a [Planned],
    sha256: String,
}

impl Work<'_> {
    fn write(&self, conn: &mut DbConnection) -> Result<BankReport, ActionError> {
        bank::lock_imports(conn)?;
        // Another import of it may have been quicker.
        let again = match bank::file_by_hash(conn, &self.sha256)? {
            Some(known) => Some(Reread::of(conn, known, self.file.format, self.planned)?),
            None => None,
        };
        if let Some(again) = &again {
            again.check(&self.new.name)?;
            if again.is_same() {
                return Ok(self.nothing_new(again));
            }
        }
        let mut report = self.report();
        let fresh = fresh(conn, self.planned, self.file.format, again.as_ref())?;
        let now = self.context.now();
        let file_id = match &again {
            Some(again) => {
                again.make_way(self.context, conn, self.new.mapping.as_deref(), now)?;
                again.known.id
            }
            None => bank::insert_file(conn, &self.new_file(&report, now))?,
        };
        make_way(self.context, conn, &fresh.in_parts, &self.new.name, now)?;
        let mut new = Vec::with_capacity(fresh.new.len());
        for (at, id) in fresh.new.iter().zip(bank::reserve_entries(conn, fresh.new.len())?) {
            let Some(planned) = self.planned.get(*at) else { continue };
            let mut planned = Planned { row: EntryRow { id, file_id, ..planned.row.clone() }, fate: planned.fate.clone() };
            if let Some(words) = fresh.doubted.get(at) {
                doubt(&mut planned, words);
            }
            new.push(planned);
        }
        report.file_id = Some(file_id);
        let revived = again.as_ref().map_or(0, Reread::revived);
        report.accepted = u64::try_from(new.len()).unwrap_or(u64::MAX) + revived;
        report.unchanged = booked(self.file) - report.accepted;
        report.missing = tell_missing(conn, self.file, now)?;
        report.warnings = shortened(tell_renamed(conn, &fresh.renamed, &self.new.name, now)?);
        self.settle(conn, new, &mut report)?;
        report.waiting += revived;
        let detail = format!("{}: {}, {} applied, {} waiting", self.new.name, counted(report.accepted, "movement"), report.applied, report.waiting);
        operations::audit(conn, now, &self.context.actor, "bank.import", &format!("bank file {file_id}"), &detail)?;
        Ok(report)
    }

    /// Stores the new movements and does what is to become of each.
    fn settle(&self, conn: &mut DbConnection, mut new: Vec<Planned>, report: &mut BankReport) -> Result<(), ActionError> {
        lock(conn, &new)?;
        let now = self.context.now();
        for planned in &mut new {
            let status = match planned.fate {
                Fate::Apply(_) => "applied",
                Fate::Aside => "set_aside",
                _ => "waiting",
            };
            status.clone_into(&mut planned.row.status);
            planned.row.decided_at = (status != "waiting").then_some(now);
        }
        let rows: Vec<EntryRow> = new.iter().map(|planned| planned.row.clone()).collect();
        bank::insert_entries(conn, &rows)?;
        self.post(conn, &new, now)?;
        let mut waiting = Vec::new();
        let mut fees = Fees::default();
        for planned in &mut new {
            let status = self.finish(conn, planned, &mut fees, now)?;
            match status {
                "applied" => report.applied += 1,
                "settled" => report.settled += 1,
                "set_aside" => report.set_aside += 1,
                _ => {
                    report.waiting += 1;
                    waiting.push(waiting_of(&planned.row));
                }
            }
        }
        bank::wait_for_account(conn, &waiting, now)?;
        Ok(())
    }

    /// Posts the money that is applied at once.
    fn post(&self, conn: &mut DbConnection, new: &[Planned], now: NaiveDateTime) -> Result<(), ActionError> {
        let today = self.context.today();
        let applied = new.iter().filter_map(|planned| match planned.fate {
            Fate::Apply(account) => Some((&planned.row, account)),
            _ => None,
        });
        let payments: Vec<(&EntryRow, NewPayment)> =
            applied.map(|(row, account)| (row, payment_of(row, account, Money::from_cents(row.amount_cents), today))).collect();
        let with_origin: Vec<_> = payments.iter().map(|(row, payment)| (payment, origin_of(row, 1))).collect();
        post_all_within(self.context, conn, &with_origin, now)
    }

    /// What is decided one by one, after the file's own payments are posted: a return may be of one of them.
    fn finish(&self, conn: &mut DbConnection, planned: &mut Planned, fees: &mut Fees, now: NaiveDateTime) -> Result<&'static str, ActionError> {
        let row = &mut planned.row;
        match &planned.fate {
            Fate::Apply(_) => Ok("applied"),
            Fate::Aside => Ok("set_aside"),
            Fate::Payout(payout) if bank_match::settle_payout(conn, payout.id, row.id)? == 1 => decided(conn, row, "settled", now),
            Fate::Wait | Fate::Known | Fate::Payout(_) => Ok("waiting"),
            Fate::Refund(refund) => {
                payouts::carry_out(self.context, conn, row, *refund, now)?;
                row.refund_id = Some(*refund);
                decided(conn, row, "settled", now)
            }
            Fate::Batch(batch) => {
                payouts::carry_out_batch(self.context, conn, row, *batch, now)?;
                decided(conn, row, "settled", now)
            }
            Fate::Return if row.amount_cents > 0 => came_back(self.context, conn, row, now),
            Fate::Return => returned(self.context, conn, row, fees, now),
            Fate::Dishonored => refused(self.context, conn, row, now),
        }
    }

    fn new_file(&self, report: &BankReport, now: NaiveDateTime) -> NewFile {
        let of = |totals: fn(&StatementReport) -> i64| {
            let ledger = &self.context.config.currency;
            let ours = report.statements.iter().filter(|statement| statement.currency.as_ref().is_none_or(|currency| currency == ledger));
            ours.map(totals).fold(0_i64, i64::saturating_add)
        };
        NewFile {
            sha256: self.sha256.clone(),
            name: self.new.name.clone(),
            format: format_name(self.file.format).to_owned(),
            mapping: self.new.mapping.clone(),
            entries: i32::try_from(self.planned.len()).unwrap_or(i32::MAX),
            credits_cents: report.credits_cents.unwrap_or_else(|| of(|statement| statement.credits_cents)),
            debits_cents: report.debits_cents.unwrap_or_else(|| of(|statement| statement.debits_cents)),
            received_at: now,
            received_by: self.context.actor.clone(),
            body: self.new.bytes.clone(),
        }
    }

    /// The file was imported before, and says what it said.
    fn nothing_new(&self, before: &Reread) -> BankReport {
        let warnings = shortened(before.renamed.iter().map(|one| one.words.clone()).collect());
        BankReport { file_id: Some(before.known.id), unchanged: booked(self.file), warnings, ..self.report() }
    }

    fn report(&self) -> BankReport {
        let totals = self.file.totals();
        let count = |of: fn(&Totals) -> u64| totals.statements.iter().map(|statement| of(&statement.totals)).sum();
        let only = |of: fn(&Totals) -> Money| match totals.currencies.as_slice() {
            [] => Some(0),
            [one] => Some(of(&one.totals).cents()),
            _ => None,
        };
        BankReport {
            file_id: None,
            name: self.new.name.clone(),
            sha256: self.sha256.clone(),
            format: self.file.format,
            entries: count(|totals| totals.entries),
            credits_cents: only(|totals| totals.credit_sum),
            debits_cents: only(|totals| totals.debit_sum),
            returns: count(|totals| totals.returns + totals.dishonored),
            pending: count(|totals| totals.pending),
            notices: count(|totals| totals.notices),
            accepted: 0,
            unchanged: 0,
            applied: 0,
            waiting: 0,
            settled: 0,
            set_aside: 0,
            missing: 0,
            dry_run: false,
            statements: totals.statements.iter().map(StatementReport::of).collect(),
            told: told(self.file),
            warnings: Vec::new(),
        }
    }
}

impl StatementReport {
    fn of(statement: &formats::StatementTotals) -> Self {
        Self {
            bank_account: statement.bank_account.clone(),
            statement_ref: statement.statement_ref.clone(),
            currency: statement.currency.clone(),
            opening_cents: statement.opening.map(Money::cents),
            closing_cents: statement.closing.map(Money::cents),
            entries: statement.totals.entries,
            credits_cents: statement.totals.credit_sum.cents(),
            debits_cents: statement.totals.debit_sum.cents(),
            returns: statement.totals.returns + statement.totals.dishonored,
            pending: statement.totals.pending,
        }
    }
}

/// The first of them, and how many more there are.
fn shortened(mut warnings: Vec<String>) -> Vec<String> {
    let more = warnings.len().saturating_sub(MOST_TOLD);
    warnings.truncate(MOST_TOLD);
    if more > 0 {
        warnings.push(format!("and {more} more"));
    }
    warnings
}

/// How many movements a file tells of that are booked.
fn booked(file: &BankFile) -> u64 {
    let entries = file.statements.iter().flat_map(|statement| &statement.entries);
    entries.filter(|entry| kind_of(&entry.kind).is_some()).map(|_| 1).sum()
}

/// The name of a format that tables and options use.
#[must_use]
pub fn format_name(format: BankFormat) -> &'static str {
    match format {
        BankFormat::Bai2 => "bai2",
        BankFormat::Camt053 => "camt053",
        BankFormat::Camt054 => "camt054",
        BankFormat::Ach => "ach",
        BankFormat::Csv => "csv",
    }
}

/// What the bank tells without moving money, in words.
fn told(file: &BankFile) -> Vec<String> {
    let entries = file.statements.iter().flat_map(|statement| &statement.entries);
    let told = entries.filter_map(|entry| match &entry.kind {
        BankEntryKind::Pending => Some(format!("{}: {} of {} is not booked yet", entry.place, entry.amount, entry.booked_on)),
        BankEntryKind::Notice { notice_code, meaning, original_ref } => {
            let of = original_ref.as_ref().map(|reference| format!(" ({reference})")).unwrap_or_default();
            Some(format!("{}: {notice_code} {meaning}{of}", entry.place))
        }
        _ => None,
    });
    told.take(MOST_TOLD).collect()
}

/// Takes the locks of every account that the file moves, ascending.
fn lock(conn: &mut DbConnection, new: &[Planned]) -> Result<(), ActionError> {
    let mut accounts: Vec<AccountId> = Vec::new();
    for planned in new {
        match &planned.fate {
            Fate::Apply(account) => accounts.push(*account),
            Fate::Batch(batch) => accounts.extend(open_items(conn, *batch)?.into_iter().map(|(_, account)| account)),
            Fate::Return => {
                if let Found::Payment(payments) = find_returned(conn, &planned.row)? {
                    accounts.extend(payments.iter().map(|payment| payment.account_id));
                }
            }
            Fate::Dishonored => accounts.extend(find_refused(conn, &planned.row)?.iter().flatten().map(|payment| payment.account_id)),
            _ => {}
        }
    }
    accounts.sort_unstable();
    accounts.dedup();
    ledger::lock_accounts(conn, &accounts)?;
    Ok(())
}

fn decided(conn: &mut DbConnection, row: &mut EntryRow, status: &'static str, now: NaiveDateTime) -> Result<&'static str, ActionError> {
    status.clone_into(&mut row.status);
    row.decided_at = Some(now);
    bank::decide(conn, row.id, &Decided::as_in(row))?;
    bank::set_why(conn, row.id, &row.why, row.confidence)?;
    Ok(status)
}

/// A payment was returned.
fn returned(
    context: &Context,
    conn: &mut DbConnection,
    row: &mut EntryRow,
    fees: &mut Fees,
    now: NaiveDateTime,
) -> Result<&'static str, ActionError> {
    match find_returned(conn, row)? {
        Found::Payment(payments) => {
            let payment = take_back(context, conn, &payments, row, fees, now)?;
            note_payment(row, &payment, "it returns payment");
            decided(conn, row, "applied", now)
        }
        Found::Providers(payment) => {
            note_payment(row, &payment, &format!("{} tells of it by itself: it is about payment", payment.provider));
            decided(conn, row, "settled", now)
        }
        Found::Nothing(why) => {
            row.why = if row.suggested_account_id.is_some() { format!("{why}; {}", row.why) } else { why };
            bank::set_why(conn, row.id, &row.why, row.confidence)?;
            Ok("waiting")
        }
    }
}

/// A return was refused: the money stays with us.
fn refused(context: &Context, conn: &mut DbConnection, row: &mut EntryRow, now: NaiveDateTime) -> Result<&'static str, ActionError> {
    let Some(payments) = find_refused(conn, row)? else {
        "no return that we know has its references and amount".clone_into(&mut row.why);
        bank::set_why(conn, row.id, &row.why, row.confidence)?;
        return Ok("waiting");
    };
    give_back(context, conn, &payments, now)?;
    if let Some(payment) = payments.first() {
        note_payment(row, payment, "its return was refused, it stands again: payment");
    }
    decided(conn, row, "applied", now)
}

/// Whether a bank's words are what we, the file, or the bank itself call a refund.
fn is_called(refund: &RefundRow, text: &str) -> bool {
    text == refund.token || text == file_reference(refund.id) || refund.provider_ref.as_deref() == Some(text)
}

/// A refund that we had paid out came back: it is the customer's again.
fn came_back(context: &Context, conn: &mut DbConnection, row: &mut EntryRow, now: NaiveDateTime) -> Result<&'static str, ActionError> {
    let references: Vec<&str> = row.original_ref.as_deref().into_iter().chain(row.reference.lines()).collect();
    let paid = bank_match::paid_payouts(conn, row.amount_cents)?;
    let named = paid.iter().filter(|refund| references.iter().any(|text| is_called(refund, text)));
    let mut named = named.cloned();
    let (Some(refund), None) = (named.next(), named.next()) else {
        "no refund that we paid out has its reference and amount".clone_into(&mut row.why);
        bank::set_why(conn, row.id, &row.why, row.confidence)?;
        return Ok("waiting");
    };
    ledger::lock_accounts(conn, &[refund.account_id])?;
    crate::actions::refunds::fail_within(context, conn, &refund, "the bank sent it back", now)?;
    row.refund_id = Some(refund.id);
    row.suggested_account_id = Some(refund.account_id);
    row.why = format!("our refund {} came back", refund.token);
    decided(conn, row, "applied", now)
}

fn note_payment(row: &mut EntryRow, payment: &PaymentRow, words: &str) {
    row.returned_payment_id = Some(payment.id);
    row.suggested_account_id = Some(payment.account_id);
    row.confidence = 100;
    row.why = format!("{words} {} of {}", payment.provider_ref.as_deref().unwrap_or_default(), payment.effective_on);
}
