//! NACHA files of the American clearing house: returns, dishonored and contested returns, notifications of change, and plain
//! entries with their addenda.
//!
//! Whose money moves which way is in the transaction code, which always speaks to the one for whom the file is made out: here
//! the utility, to whom its bank hands the file. A code ending in 1 to 4 is a credit, money in; one ending in 6 to 9 (of loan
//! accounts 5 and 6) is a debit, money out. So:
//! - a returned debit (26, 36…: the utility had collected from a customer, the customer's bank gives it back) is money out;
//! - a returned credit (21, 31…: the utility had paid a refund, it comes back) is money in;
//! - a plain credit (22, 32…: a customer pays the utility) is money in, a plain debit money out;
//! - a contested dishonored return (R71 to R77: the customer's bank insists on its return) is a return like the first;
//! - a dishonored return (R61 to R70) is made out to the bank that had returned something. In a file that is made out to the
//!   utility it is therefore the utility's own return that was refused, and a debit is money out again. Where a bank hands the
//!   utility a copy of what it dishonored on the utility's behalf, it is the customer's return that was refused, and the
//!   money comes in: to be seen from the original trace number, which is then one that the utility collected. The file
//!   cannot tell the two apart, so the sign is that of the code, and a person or a match decides.
//!
//! A notification of change (C01…, class COR) moves no money; nor does a test entry (23, 28…).
//!
//! What is checked: 94 characters in every record, the order of the records, entry and addenda counts, entry hashes (the sum
//! of the eight digits of the receiving banks, of which the last ten digits count), debit and credit totals of every batch
//! and of the file, numbers of batches and blocks, and that each batch control names its batch.

mod entry;
mod records;

use chrono::{Datelike, Days, NaiveDate};
use entry::Entry;
use records::{Line, lines};

use super::text::{clean, digits, short_day, shown, sum};
use super::{BankFile, BankFileError, BankFormat, ControlTotal, MOST_ENTRIES, MOST_STATEMENTS, Statement};

/// Ten digits of an entry hash count.
const HASH_MODULUS: u64 = 10_000_000_000;

/// Reads a NACHA file.
///
/// # Errors
/// [`BankFileError`] when a record is not of the format, does not belong where it stands, or a count, hash or total of a
/// batch or of the file disagrees; also for accounting advices (class ADV), which are no entries.
pub fn read(bytes: &[u8]) -> Result<BankFile, BankFileError> {
    let text = super::text::decode(bytes);
    let lines = lines(&text)?;
    let mut reader = Reader::default();
    for line in &lines {
        reader.take(line)?;
    }
    reader.finish(lines.len())
}

/// Counts and sums as a control record has them.
#[derive(Default, Clone, Copy)]
struct Control {
    entries_and_addenda: u64,
    hash: u64,
    debits: u64,
    credits: u64,
}

impl Control {
    fn add(&mut self, other: Self) {
        self.entries_and_addenda += other.entries_and_addenda;
        self.hash = (self.hash + other.hash) % HASH_MODULUS;
        self.debits += other.debits;
        self.credits += other.credits;
    }

    /// Compares with a control record; positions of count, hash, debits and credits as the standard numbers them.
    fn check(&self, line: &Line<'_>, of: &str, at: [(usize, usize); 4]) -> Result<(), BankFileError> {
        let [count, hash, debits, credits] = at;
        let found = line.number(count, "entry and addenda count")?;
        if found != self.entries_and_addenda {
            return Err(line.wrong("entry and addenda count", &format!("the file says {found}, but {of} has {}", self.entries_and_addenda)));
        }
        let found = line.number(hash, "entry hash")?;
        if found != self.hash {
            return Err(line.wrong("entry hash", &format!("the file says {found:010}, but the receiving banks of {of} give {:010}", self.hash)));
        }
        for (at, name, computed) in [(debits, "total debit amount", self.debits), (credits, "total credit amount", self.credits)] {
            let found = line.number(at, name)?;
            if found != computed {
                let (found, computed) = (sum(found.into()), sum(computed.into()));
                return Err(line.wrong(name, &format!("the file says {found}, but the entries of {of} give {computed}")));
            }
        }
        Ok(())
    }
}

/// What a batch header says.
struct Batch {
    service_class: String,
    company: String,
    company_id: String,
    class: String,
    description: String,
    effective_on: Option<NaiveDate>,
    settled_on: Option<NaiveDate>,
    bank: String,
    number: String,
    control: Control,
    open: Option<Entry>,
    /// Where this batch's statements begin.
    first: usize,
}

#[derive(Default)]
struct Reader {
    header: Option<Header>,
    batch: Option<Batch>,
    batches: u64,
    control: Control,
    statements: Vec<Statement>,
    entries: usize,
    /// Records up to the file control.
    records: Option<u64>,
    seen: u64,
    blocks: u64,
    controls: Vec<ControlTotal>,
}

struct Header {
    created: NaiveDate,
    name: String,
}

impl Reader {
    fn take(&mut self, line: &Line<'_>) -> Result<(), BankFileError> {
        if self.records.is_some() {
            return if line.is_padding() {
                Ok(())
            } else {
                Err(line.wrong("record type", "a record after the file control 9; expected only lines of nines"))
            };
        }
        self.seen += 1;
        match (line.kind(), self.header.is_some(), self.batch.is_some()) {
            ('1', false, _) => self.file_header(line),
            (_, false, _) => Err(line.order("the file header 1")),
            ('5', true, false) => self.batch_header(line),
            ('9', true, false) if !line.is_padding() => self.file_control(line),
            (_, true, false) => Err(line.order("a batch header 5 or the file control 9")),
            ('6', true, true) => self.entry(line),
            ('7', true, true) => self.addenda(line),
            ('8', true, true) => self.batch_control(line),
            (_, true, true) => Err(line.order("an entry 6, an addenda 7 or the batch control 8")),
        }
    }

    fn file_header(&mut self, line: &Line<'_>) -> Result<(), BankFileError> {
        for (at, name, expected) in
            [((2, 3), "priority code", "01"), ((35, 37), "record size", "094"), ((38, 39), "blocking factor", "10"), ((40, 40), "format code", "1")]
        {
            let found = line.text(at);
            if found != expected {
                return Err(line.wrong(name, &format!("{} found; expected {expected}", shown(&found))));
            }
        }
        let date = line.text((24, 29));
        let created = short_day(&date).ok_or_else(|| line.wrong("file creation date", &format!("{} is no date; expected YYMMDD", shown(&date))))?;
        self.header = Some(Header { created, name: clean(&format!("{date}{}", line.text((34, 34)))) });
        Ok(())
    }

    fn batch_header(&mut self, line: &Line<'_>) -> Result<(), BankFileError> {
        let Some(header) = &self.header else {
            return Err(line.order("the file header 1"));
        };
        let class = line.text((51, 53));
        let service_class = line.text((2, 4));
        if class == "ADV" || service_class == "280" {
            return Err(line.wrong("standard entry class", "ADV is a batch of accounting advices, which are no entries; expected entries"));
        }
        if !matches!(service_class.as_str(), "200" | "220" | "225") {
            return Err(line.wrong("service class code", &format!("{} found; expected 200, 220 or 225", shown(&service_class))));
        }
        if class.len() != 3 || !class.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(line.wrong("standard entry class", &format!("{} found; expected three letters, like PPD", shown(&class))));
        }
        self.batch = Some(Batch {
            service_class,
            // An international batch has no company name there.
            company: if class == "IAT" { String::new() } else { line.text((5, 20)) },
            company_id: line.text((41, 50)),
            description: line.text((54, 63)),
            effective_on: short_day(&line.text((70, 75))).filter(|day| is_near(*day, header.created)),
            settled_on: settlement(&line.text((76, 78)), header.created),
            bank: line.text((80, 87)),
            number: line.text((88, 94)),
            class,
            control: Control::default(),
            open: None,
            first: self.statements.len(),
        });
        Ok(())
    }

    fn entry(&mut self, line: &Line<'_>) -> Result<(), BankFileError> {
        self.close_entry()?;
        let Some(batch) = &mut self.batch else { return Ok(()) };
        self.entries += 1;
        if self.entries > MOST_ENTRIES {
            return Err(line.wrong("entry", &format!("more than {MOST_ENTRIES} entries in one file")));
        }
        let entry = Entry::of(line, &batch.class)?;
        let (debits, credits) = if entry.is_debit { (entry.cents, 0) } else { (0, entry.cents) };
        batch.control.add(Control { entries_and_addenda: 1, hash: entry.bank, debits, credits });
        batch.open = Some(entry);
        Ok(())
    }

    fn addenda(&mut self, line: &Line<'_>) -> Result<(), BankFileError> {
        let Some(batch) = &mut self.batch else { return Ok(()) };
        batch.control.entries_and_addenda += 1;
        match &mut batch.open {
            Some(entry) => entry.addenda(line),
            None => Err(line.order("an entry 6 before its addenda")),
        }
    }

    /// Turns the entry that was read last, now that all its addenda are known, into one of a statement.
    fn close_entry(&mut self) -> Result<(), BankFileError> {
        let (Some(header), Some(batch)) = (&self.header, &mut self.batch) else {
            return Ok(());
        };
        let Some(entry) = batch.open.take() else {
            return Ok(());
        };
        let (bank_account, entry) = entry.finish(batch, header.created)?;
        let own = self.statements.get_mut(batch.first..).unwrap_or_default();
        // Entries of one batch are mostly for one account; the last statement is the likely one.
        if let Some(statement) = own.iter_mut().rev().take(50).find(|statement| statement.bank_account == bank_account) {
            statement.entries.push(entry);
            return Ok(());
        }
        if self.statements.len() >= MOST_STATEMENTS {
            return Err(BankFileError::new(entry.place, "account", format!("more than {MOST_STATEMENTS} accounts and batches in one file")));
        }
        let name = format!("{} batch {}", header.name, batch.number);
        self.statements.push(Statement {
            bank_account,
            statement_ref: Some(clean(&name)),
            currency: Some("USD".to_owned()),
            opening: None,
            closing: None,
            corrects: false,
            entries: vec![entry],
        });
        Ok(())
    }

    fn batch_control(&mut self, line: &Line<'_>) -> Result<(), BankFileError> {
        self.close_entry()?;
        let Some(batch) = self.batch.take() else { return Ok(()) };
        let same = [
            ((2, 4), "service class code", &batch.service_class),
            ((45, 54), "company identification", &batch.company_id),
            ((80, 87), "originating bank", &batch.bank),
            ((88, 94), "batch number", &batch.number),
        ];
        for (at, name, expected) in same {
            let found = line.text(at);
            if found != *expected {
                return Err(line.wrong(name, &format!("{} found; the batch header says {}", shown(&found), shown(expected))));
            }
        }
        batch.control.check(line, &format!("batch {}", batch.number), [(5, 10), (11, 20), (21, 32), (33, 44)])?;
        let (name, stray) = if batch.service_class == "220" { ("credits", batch.control.debits) } else { ("debits", batch.control.credits) };
        if batch.service_class != "200" && stray != 0 {
            let fault = format!("{} is for {name} only, but the batch has {} of the other", batch.service_class, sum(stray.into()));
            return Err(line.wrong("service class code", &fault));
        }
        self.batches += 1;
        self.control.add(batch.control);
        Ok(())
    }

    fn file_control(&mut self, line: &Line<'_>) -> Result<(), BankFileError> {
        let batches = line.number((2, 7), "batch count")?;
        if batches != self.batches {
            return Err(line.wrong("batch count", &format!("the file says {batches}, but there are {}", self.batches)));
        }
        self.blocks = line.number((8, 13), "block count")?;
        let blocks = self.seen.div_ceil(10);
        if self.blocks != blocks {
            return Err(
                line.wrong("block count", &format!("the file says {}, but its {} records fill {blocks} blocks of ten", self.blocks, self.seen))
            );
        }
        self.control.check(line, "the file", [(14, 21), (22, 31), (32, 43), (44, 55)])?;
        self.records = Some(self.seen);
        let place = line.place();
        let counts = [
            ("batch count", self.batches),
            ("block count", self.blocks),
            ("entry and addenda count", self.control.entries_and_addenda),
            ("entry hash", self.control.hash),
        ];
        self.controls.extend(counts.map(|(name, count)| ControlTotal::count(&place, name, count)));
        let amounts = [("total debit amount", self.control.debits), ("total credit amount", self.control.credits)];
        self.controls.extend(amounts.into_iter().filter_map(|(name, cents)| ControlTotal::amount(&place, name, cents.into())));
        Ok(())
    }

    fn finish(self, lines: usize) -> Result<BankFile, BankFileError> {
        if self.records.is_none() {
            let missing =
                if self.batch.is_some() { "the batch control 8 and the file control 9 are missing" } else { "the file control 9 is missing" };
            return Err(BankFileError::new("end of file", "record type", format!("{missing}: the file is not complete")));
        }
        let lines = u64::try_from(lines).unwrap_or(u64::MAX);
        if lines > self.blocks * 10 {
            let fault = format!("the file has {lines} lines, more than its {} blocks of ten", self.blocks);
            return Err(BankFileError::new("end of file", "block count", fault));
        }
        Ok(BankFile { format: BankFormat::Ach, statements: self.statements, controls: self.controls })
    }
}

/// An effective date that can be meant: returns copy the first entry's, test systems write any.
fn is_near(day: NaiveDate, created: NaiveDate) -> bool {
    let days = day.signed_duration_since(created).num_days();
    (-120..=120).contains(&days)
}

/// The settlement day, a number within a year that is not told: the one nearest to the file's creation.
fn settlement(text: &str, created: NaiveDate) -> Option<NaiveDate> {
    let number = digits::<u64>(text).filter(|number| (1..=366).contains(number))?;
    let years = [created.year() - 1, created.year(), created.year() + 1];
    let days = years.into_iter().filter_map(|year| {
        let day = NaiveDate::from_ymd_opt(year, 1, 1)?.checked_add_days(Days::new(number - 1))?;
        (day.year() == year).then_some(day)
    });
    days.min_by_key(|day| day.signed_duration_since(created).num_days().abs())
}
