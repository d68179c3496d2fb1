//! BAI2, the cash management balance reporting specifications, version 2.
//!
//! A file is 01 (file), 02 (group: one day), 03 (account, with balances and sums), 16 (one movement), 88 (continues whatever
//! stands before it), 49, 98 and 99 (the trailers with control totals). Fields are divided by commas, a record ends with `/`
//! or, where its last field is free text, with its line. Amounts have two implied decimals.
//!
//! Control totals: the total of 49 is the sum of every amount field of the account's 03 and 16 records with their 88s,
//! balances and sums included, each with its own sign; 98 adds up the 49s and 99 the 98s. Each trailer also counts the
//! physical records, itself included.
//!
//! The direction of a movement is in its type code: 100s to 300s and 920 to 959 are credits, 400s to 600s and 960 to 999 are
//! debits. Entries of a group that the bank calls interim for the current day (as-of-date modifier 3) are pending: the
//! report of the closed day brings them again.
//!
//! Seen from banks and read too: signs and leading zeros, blanks around fields, several records in one line, a text that goes
//! on in a line of its own without 88, text records closed with `/`, records without any line ends in blocks of the length
//! that the 01 record gives.

mod records;

use chrono::NaiveDate;
use records::{Fields, Record};

use super::text::{balance, bounded, clean, currency, digits, plausible, reference, short_day, shown, sum};
use super::{BankEntry, BankEntryKind, BankFile, BankFileError, BankFormat, ControlTotal, MOST_ENTRIES, MOST_STATEMENTS, Statement, reasons};

/// Reads a BAI2 file.
///
/// # Errors
/// [`BankFileError`] when the file is not BAI2 version 2, is incomplete, asks for more than entries can say (a group that
/// deletes or is a test), or disagrees with its control totals.
pub fn read(bytes: &[u8]) -> Result<BankFile, BankFileError> {
    let text = super::text::decode(bytes);
    let records = records::split(&text)?;
    let mut reader = Reader::default();
    for record in &records {
        reader.take(record)?;
    }
    reader.finish()
}

/// What has been read so far, and the sums that the trailers must give.
#[derive(Default)]
struct Reader {
    statements: Vec<Statement>,
    entries: usize,
    /// What the bank calls the file.
    file: Option<String>,
    group: Option<Group>,
    account: Option<Account>,
    /// Sum, groups and records of the file.
    control: i128,
    groups: u64,
    records: u64,
    controls: Vec<ControlTotal>,
    closed: bool,
}

struct Group {
    as_of: NaiveDate,
    currency: Option<String>,
    corrects: bool,
    interim: bool,
    control: i128,
    accounts: u64,
    records: u64,
}

struct Account {
    statement: Statement,
    control: i128,
    records: u64,
}

impl Reader {
    fn take(&mut self, record: &Record<'_>) -> Result<(), BankFileError> {
        let mut fields = Fields::of(record);
        if self.closed {
            return Err(order(record, "nothing after the file trailer 99"));
        }
        if self.file.is_none() && record.code != "01" {
            return Err(order(record, "the file header 01"));
        }
        self.records += record.physical();
        if let Some(group) = &mut self.group {
            group.records += record.physical();
        }
        if let Some(account) = &mut self.account {
            account.records += record.physical();
        }
        match (record.code, self.group.is_some(), self.account.is_some()) {
            ("01", _, _) if self.file.is_none() => self.file_header(&mut fields),
            ("02", false, _) => self.group_header(record, &mut fields),
            ("03", true, false) => self.account_header(record, &mut fields),
            ("16", true, true) => self.detail(record, &mut fields),
            ("49", true, true) => self.account_trailer(&mut fields),
            ("98", true, false) => self.group_trailer(&mut fields),
            ("99", false, _) => self.file_trailer(record, &mut fields),
            (_, _, true) => Err(order(record, "a transaction 16 or the account trailer 49")),
            (_, true, false) => Err(order(record, "an account 03 or the group trailer 98")),
            (_, false, _) => Err(order(record, "a group 02 or the file trailer 99")),
        }
    }

    fn file_header(&mut self, fields: &mut Fields<'_>) -> Result<(), BankFileError> {
        fields.required("sender identification")?;
        fields.required("receiver identification")?;
        let created = fields.required("file creation date")?;
        day(&created.place, "file creation date", &created.text)?;
        fields.next("file creation time");
        let id = fields.required("file identification number")?;
        fields.next("physical record length");
        fields.next("block size");
        let version = fields.required("version number")?;
        if digits::<u32>(&version.text) != Some(2) {
            return Err(version.wrong("version number", "2, for BAI2"));
        }
        fields.end()?;
        self.file = Some(clean(&format!("{} {}", created.text, id.text)));
        Ok(())
    }

    fn group_header(&mut self, record: &Record<'_>, fields: &mut Fields<'_>) -> Result<(), BankFileError> {
        fields.next("ultimate receiver identification");
        fields.required("originator identification")?;
        let status = fields.next("group status");
        let corrects = match status.text.as_str() {
            "" | "0" | "1" => false,
            "3" => true,
            "2" => return Err(status.wrong("group status", "1 (update) or 3 (correction): this group deletes what was sent before")),
            "4" => return Err(status.wrong("group status", "1 (update) or 3 (correction): this group is only a test")),
            _ => return Err(status.wrong("group status", "1 (update), 2 (deletion), 3 (correction) or 4 (test)")),
        };
        let as_of = fields.required("as-of date")?;
        let as_of = day(&as_of.place, "as-of date", &as_of.text)?;
        fields.next("as-of time");
        let code = fields.next("currency code");
        let currency = if code.text.is_empty() { None } else { Some(currency(&code.place, "currency code", &code.text)?) };
        let modifier = fields.next("as-of date modifier");
        if !matches!(modifier.text.as_str(), "" | "1" | "2" | "3" | "4") {
            return Err(modifier.wrong("as-of date modifier", "1, 2, 3, 4 or nothing"));
        }
        fields.end()?;
        let (interim, records) = (modifier.text == "3", record.physical());
        self.group = Some(Group { as_of, currency, corrects, interim, control: 0, accounts: 0, records });
        Ok(())
    }

    fn account_header(&mut self, record: &Record<'_>, fields: &mut Fields<'_>) -> Result<(), BankFileError> {
        let (Some(file), Some(group)) = (&self.file, &self.group) else {
            return Err(order(record, "a group 02"));
        };
        if self.statements.len() >= MOST_STATEMENTS {
            return Err(BankFileError::new(record.place(), "account", format!("more than {MOST_STATEMENTS} accounts in one file")));
        }
        let number = fields.required("customer account number")?;
        let code = fields.next("currency code");
        let own = if code.text.is_empty() { None } else { Some(currency(&code.place, "currency code", &code.text)?) };
        let statement = Statement {
            bank_account: bounded(&number.place, "customer account number", &number.text)?,
            statement_ref: Some(file.clone()),
            currency: own.or_else(|| group.currency.clone()),
            opening: None,
            closing: None,
            corrects: group.corrects,
            entries: Vec::new(),
        };
        let mut account = Account { statement, control: 0, records: record.physical() };
        while fields.more() {
            account.summary(fields)?;
        }
        self.account = Some(account);
        Ok(())
    }

    fn detail(&mut self, record: &Record<'_>, fields: &mut Fields<'_>) -> Result<(), BankFileError> {
        let (Some(group), Some(account)) = (&self.group, &mut self.account) else {
            return Err(order(record, "an account 03"));
        };
        self.entries += 1;
        if self.entries > MOST_ENTRIES {
            return Err(BankFileError::new(record.place(), "transaction", format!("more than {MOST_ENTRIES} entries in one file")));
        }
        let code = fields.required("type code")?;
        let number = type_code(&code.text).ok_or_else(|| code.wrong("type code", "three digits"))?;
        let field = fields.next("amount");
        let cents = if field.text.is_empty() { 0 } else { field.amount("amount")? };
        if cents < 0 {
            return Err(field.wrong("amount", "no minus sign: the type code says the direction"));
        }
        account.control += i128::from(cents);
        let kind = Direction::of(number)
            .ok_or_else(|| code.wrong("type code", "one of a single credit (101 to 399, 920 to 959) or debit (401 to 699, 960 to 999), or 890"))?;
        if kind != Direction::Message && field.text.is_empty() {
            return Err(field.wrong("amount", "an amount in cents"));
        }
        if kind == Direction::Message && cents != 0 {
            return Err(field.wrong("amount", "nothing: type code 890 moves no money"));
        }
        let value_on = fields.funds()?;
        let bank = fields.next("bank reference number");
        let customer = fields.next("customer reference number");
        let text = bounded(&record.place(), "text", &fields.text())?;
        let cents = if kind == Direction::Debit { -cents } else { cents };
        let customer = reference(&bounded(&customer.place, "customer reference number", &customer.text)?);
        account.statement.entries.push(BankEntry {
            place: record.place(),
            amount: plausible(&field.place, "amount", cents)?,
            booked_on: group.as_of,
            value_on,
            kind: if group.interim && kind != Direction::Message { BankEntryKind::Pending } else { kind.entry(number, &text, customer.clone()) },
            code: format!("{number:03}"),
            bank_ref: reference(&bounded(&bank.place, "bank reference number", &bank.text)?),
            booking_ref: None,
            references: customer.into_iter().collect(),
            party_name: None,
            party_account: None,
            text,
        });
        Ok(())
    }

    fn account_trailer(&mut self, fields: &mut Fields<'_>) -> Result<(), BankFileError> {
        let (Some(group), Some(account)) = (&mut self.group, self.account.take()) else {
            return Ok(());
        };
        fields.control("account control total", account.control, "the amounts of the account's 03 and 16 records")?;
        fields.count("number of records", account.records, "records from 03 to 49")?;
        fields.end()?;
        group.control += account.control;
        group.accounts += 1;
        self.statements.push(account.statement);
        Ok(())
    }

    fn group_trailer(&mut self, fields: &mut Fields<'_>) -> Result<(), BankFileError> {
        let Some(group) = self.group.take() else {
            return Ok(());
        };
        fields.control("group control total", group.control, "the group's account control totals")?;
        fields.count("number of accounts", group.accounts, "accounts in the group")?;
        fields.count("number of records", group.records, "records from 02 to 98")?;
        fields.end()?;
        self.control += group.control;
        self.groups += 1;
        Ok(())
    }

    fn file_trailer(&mut self, record: &Record<'_>, fields: &mut Fields<'_>) -> Result<(), BankFileError> {
        fields.control("file control total", self.control, "the file's group control totals")?;
        fields.count("number of groups", self.groups, "groups in the file")?;
        fields.count("number of records", self.records, "records from 01 to 99")?;
        fields.end()?;
        let place = record.place();
        self.controls.extend(ControlTotal::amount(&place, "file control total", self.control));
        self.controls.push(ControlTotal::count(&place, "number of groups", self.groups));
        self.controls.push(ControlTotal::count(&place, "number of records", self.records));
        self.closed = true;
        Ok(())
    }

    fn finish(self) -> Result<BankFile, BankFileError> {
        let missing = match (self.closed, &self.account, &self.group) {
            (true, _, _) => return Ok(BankFile { format: BankFormat::Bai2, statements: self.statements, controls: self.controls }),
            (_, Some(_), _) => "the account trailer 49, the group trailer 98 and the file trailer 99 are missing",
            (_, None, Some(_)) => "the group trailer 98 and the file trailer 99 are missing",
            (_, None, None) => "the file trailer 99 is missing",
        };
        Err(BankFileError::new("end of file", "record", format!("{missing}: the file is not complete")))
    }
}

impl Account {
    /// One of the balances and sums of an 03 record: type, amount, item count, funds type.
    fn summary(&mut self, fields: &mut Fields<'_>) -> Result<(), BankFileError> {
        let code = fields.next("type code");
        let amount = fields.next("amount");
        if code.text.is_empty() {
            // A bank without anything to say leaves the fields empty, some with one comma more than needed.
            let count = fields.next("item count");
            if let Some(field) = [&amount, &count].into_iter().find(|field| !field.text.is_empty()) {
                return Err(field.wrong("type code", "a type code before an amount or item count"));
            }
            return fields.funds().map(|_| ());
        }
        let number = type_code(&code.text).ok_or_else(|| code.wrong("type code", "three digits"))?;
        let cents = if amount.text.is_empty() { None } else { Some(amount.amount("amount")?) };
        let count = fields.next("item count");
        if !count.text.is_empty() && digits::<u64>(&count.text).is_none() {
            return Err(count.wrong("item count", "a whole number or nothing"));
        }
        fields.funds()?;
        self.control += i128::from(cents.unwrap_or(0));
        let told = || cents.map(|cents| balance(&amount.place, "amount", cents.into())).transpose();
        match number {
            10 => self.statement.opening = told()?,
            15 => self.statement.closing = told()?,
            _ => {}
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Credit,
    Debit,
    Message,
}

impl Direction {
    /// 100 and 400 are the sums of all credits and debits, never one of them.
    const fn of(number: u16) -> Option<Self> {
        match number {
            101..=399 | 920..=959 => Some(Self::Credit),
            401..=699 | 960..=999 => Some(Self::Debit),
            890 => Some(Self::Message),
            _ => None,
        }
    }

    fn entry(self, number: u16, text: &str, customer: Option<String>) -> BankEntryKind {
        if self == Self::Message {
            return BankEntryKind::Notice { notice_code: "890".to_owned(), meaning: "message of the bank".to_owned(), original_ref: None };
        }
        let Some(meaning) = reasons::bai2_return(number) else {
            return if self == Self::Credit { BankEntryKind::Credit } else { BankEntryKind::Debit };
        };
        // Banks write the clearing house's reason into the text.
        let mut words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
        let told = words.find_map(|word| reasons::ach_return(word).map(|reason| (word, reason)));
        let (code, reason) = told.map_or_else(|| (format!("{number:03}"), meaning), |(code, reason)| (code.to_owned(), reason));
        BankEntryKind::Return { reason_code: code, reason: reason.to_owned(), original_ref: customer }
    }
}

fn type_code(text: &str) -> Option<u16> {
    (text.len() == 3).then(|| digits(text)).flatten()
}

fn day(place: &str, field: &str, text: &str) -> Result<NaiveDate, BankFileError> {
    short_day(text).ok_or_else(|| BankFileError::new(place, field, format!("{} is no date; expected year, month and day as YYMMDD", shown(text))))
}

fn order(record: &Record<'_>, expected: &str) -> BankFileError {
    BankFileError::new(record.place(), "record code", format!("{} does not belong here; expected {expected}", record.code))
}

fn disagrees(place: &str, field: &str, found: i128, computed: i128, of: &str) -> BankFileError {
    BankFileError::new(place, field, format!("the file says {}, but {of} add up to {}", sum(found), sum(computed)))
}
