//! Journals for plain-text accounting programs: hledger, beancount, and CSV.
//!
//! Every entry carries the customer's balance after it as an assertion, so that the other program checks our
//! arithmetic and not only our syntax. hledger asserts behind each posting; beancount only at the start of a day,
//! so there each account's balance is asserted on the day after its last entry.

use std::collections::BTreeMap;
use std::io::{self, Write};

use chrono::NaiveDate;

use crate::domain::ledger::RECEIVABLE;
use crate::domain::money::Money;

/// The form of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalFormat {
    /// For `hledger check -s`.
    Hledger,
    /// For `bean-check`.
    Beancount,
    /// One row for each posting.
    Csv,
}

/// One transaction of the journal.
#[derive(Debug, Clone)]
pub struct JournalEntry {
    /// The ledger's own number.
    pub id: i64,
    /// The customer's account number.
    pub account: String,
    /// Position in that account's ledger.
    pub account_seq: i64,
    /// The date it was posted, the utility's.
    pub posted_on: NaiveDate,
    /// The value date.
    pub effective_on: NaiveDate,
    /// Kind and source.
    pub kind: String,
    /// What it stands for.
    pub source: String,
    /// The customer's balance after it.
    pub balance_after: Money,
    /// General-ledger account and amount.
    pub postings: Vec<(String, Money)>,
}

/// A general-ledger account: code, name, kind.
pub type GlAccount = (String, String, String);

/// Writes a journal entry by entry, in ledger order.
pub struct JournalWriter<'a> {
    out: &'a mut dyn Write,
    format: JournalFormat,
    currency: String,
    kinds: BTreeMap<String, String>,
    /// For beancount: each customer's last entry and balance.
    last: BTreeMap<String, (NaiveDate, Money)>,
    /// The latest date written: entries never go back in time, whatever the clock did.
    latest: NaiveDate,
}

impl<'a> JournalWriter<'a> {
    /// Begins a journal with its declarations. `first_on` is the date of the first entry.
    ///
    /// # Errors
    /// Those of writing.
    pub fn begin(
        out: &'a mut dyn Write,
        format: JournalFormat,
        currency: &str,
        chart: &[GlAccount],
        customers: &mut dyn Iterator<Item = String>,
        first_on: NaiveDate,
    ) -> io::Result<Self> {
        let kinds: BTreeMap<String, String> = chart.iter().map(|(code, _, kind)| (code.clone(), kind.clone())).collect();
        let mut writer = Self { out, format, currency: currency.to_owned(), kinds, last: BTreeMap::new(), latest: first_on };
        match format {
            JournalFormat::Hledger => writer.declare_hledger(customers)?,
            JournalFormat::Beancount => writer.declare_beancount(customers, first_on)?,
            JournalFormat::Csv => writeln!(writer.out, "id,account,account_seq,posted_on,effective_on,kind,source,gl_account,amount,balance_after")?,
        }
        Ok(writer)
    }

    fn declare_hledger(&mut self, customers: &mut dyn Iterator<Item = String>) -> io::Result<()> {
        writeln!(self.out, "commodity {} 1000.00", self.currency)?;
        for (code, kind) in self.kinds.iter().filter(|(code, _)| *code != RECEIVABLE) {
            writeln!(self.out, "account {}", hledger_name(code, kind))?;
        }
        for customer in customers {
            writeln!(self.out, "account assets:receivable:{}", customer_name(&customer))?;
        }
        writeln!(self.out)
    }

    fn declare_beancount(&mut self, customers: &mut dyn Iterator<Item = String>, first_on: NaiveDate) -> io::Result<()> {
        writeln!(self.out, "option \"operating_currency\" \"{}\"", self.currency)?;
        for (code, kind) in self.kinds.iter().filter(|(code, _)| *code != RECEIVABLE) {
            writeln!(self.out, "{first_on} open {} {}", beancount_name(code, kind), self.currency)?;
        }
        for customer in customers {
            writeln!(self.out, "{first_on} open Assets:Receivable:N{} {}", customer_name(&customer), self.currency)?;
        }
        writeln!(self.out)
    }

    /// Writes one entry.
    ///
    /// # Errors
    /// Those of writing.
    pub fn entry(&mut self, entry: &JournalEntry) -> io::Result<()> {
        self.latest = self.latest.max(entry.posted_on);
        match self.format {
            JournalFormat::Hledger => self.hledger(entry),
            JournalFormat::Beancount => self.beancount(entry),
            JournalFormat::Csv => self.csv(entry),
        }
    }

    fn hledger(&mut self, entry: &JournalEntry) -> io::Result<()> {
        writeln!(self.out, "{} ({}) {} {}", self.latest, entry.id, entry.kind, plain_text(&entry.source))?;
        for (code, amount) in &entry.postings {
            if code == RECEIVABLE {
                let customer = customer_name(&entry.account);
                writeln!(self.out, "    assets:receivable:{customer}  {} {amount} = {} {}", self.currency, self.currency, entry.balance_after)?;
            } else {
                writeln!(self.out, "    {}  {} {amount}", hledger_name(code, self.kind(code)), self.currency)?;
            }
        }
        writeln!(self.out)
    }

    fn beancount(&mut self, entry: &JournalEntry) -> io::Result<()> {
        writeln!(self.out, "{} * \"{} {}\"", self.latest, entry.kind, plain_text(&entry.source))?;
        for (code, amount) in &entry.postings {
            let name = if code == RECEIVABLE {
                format!("Assets:Receivable:N{}", customer_name(&entry.account))
            } else {
                beancount_name(code, self.kind(code))
            };
            writeln!(self.out, "  {name}  {amount} {}", self.currency)?;
        }
        self.last.insert(entry.account.clone(), (self.latest, entry.balance_after));
        writeln!(self.out)
    }

    fn csv(&mut self, entry: &JournalEntry) -> io::Result<()> {
        let mut rows = csv::Writer::from_writer(Vec::new());
        for (code, amount) in &entry.postings {
            rows.write_record([
                entry.id.to_string(),
                entry.account.clone(),
                entry.account_seq.to_string(),
                entry.posted_on.to_string(),
                entry.effective_on.to_string(),
                entry.kind.clone(),
                entry.source.clone(),
                code.clone(),
                amount.to_string(),
                entry.balance_after.to_string(),
            ])
            .map_err(io::Error::other)?;
        }
        self.out.write_all(&rows.into_inner().map_err(|error| io::Error::other(error.to_string()))?)
    }

    /// Ends the journal with what can only be asserted at the end.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(self) -> io::Result<()> {
        if self.format == JournalFormat::Beancount {
            for (account, (on, balance)) in &self.last {
                let day_after = on.succ_opt().unwrap_or(*on);
                writeln!(self.out, "{day_after} balance Assets:Receivable:N{}  {balance} ~ 0.00 {}", customer_name(account), self.currency)?;
            }
        }
        self.out.flush()
    }

    fn kind(&self, code: &str) -> &str {
        self.kinds.get(code).map_or("equity", String::as_str)
    }
}

/// A customer's number as a part of an account's name: letters and digits stay, a hyphen is doubled, and anything
/// else is spelled as `-x` and its code point in hex and `-`. Read from the left this has one meaning only, so two
/// customers never share a name and none is a part of another.
fn customer_name(number: &str) -> String {
    let spell = |c: char| match c {
        c if c.is_ascii_alphanumeric() => c.to_string(),
        '-' => "--".to_owned(),
        other => format!("-x{:x}-", u32::from(other)),
    };
    number.chars().map(spell).collect()
}

/// A text that only people read: without the marks that the journals' own languages use.
fn plain_text(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || matches!(c, '"' | '\\' | ';' | '|') { ' ' } else { c }).collect()
}

fn hledger_name(code: &str, kind: &str) -> String {
    let top = match kind {
        "asset" => "assets",
        "liability" => "liabilities",
        "income" => "income",
        "expense" => "expenses",
        _ => "equity",
    };
    format!("{top}:{code}")
}

fn beancount_name(code: &str, kind: &str) -> String {
    let top = match kind {
        "asset" => "Assets",
        "liability" => "Liabilities",
        "income" => "Income",
        "expense" => "Expenses",
        _ => "Equity",
    };
    let parts: Vec<String> = code
        .split(':')
        .map(|part| {
            let mut letters = part.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
        })
        .collect();
    format!("{top}:{}", parts.join(":"))
}
