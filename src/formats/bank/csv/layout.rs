//! The mapping with its columns found in a file, and what a row says by it.

use chrono::NaiveDate;

use super::super::text::{bounded, clean, digits, filled, reference, shown, sum};
use super::super::{BankEntry, BankEntryKind, BankFileError, ControlTotal, Statement};
use super::cells::{DateFormat, Row, cents, fold};
use super::mapping::{AmountColumns, BankAccount, Column, CsvMapping};
use crate::domain::money::Money;

/// The columns, counted from 0.
pub struct Layout<'m> {
    mapping: &'m CsvMapping,
    dates: DateFormat,
    width: usize,
    names: Vec<String>,
    date: usize,
    value_date: Option<usize>,
    reference: Vec<usize>,
    name: Option<usize>,
    account: Option<usize>,
    text: Vec<usize>,
    bank_reference: Option<usize>,
    code: Option<usize>,
    bank_account: Option<usize>,
    currency: Option<usize>,
    amount: Amounts,
}

enum Amounts {
    Signed { amount: usize, inverted: bool },
    Columns { credit: usize, debit: usize },
    Indicator { amount: usize, indicator: usize, credit: Vec<String>, debit: Vec<String> },
}

/// The first row, whose width all others must have, and the names in it.
struct First {
    place: String,
    width: usize,
    names: Vec<String>,
}

impl First {
    fn find(&self, field: &str, column: &Column) -> Result<usize, BankFileError> {
        let wrong = |fault| Err(BankFileError::new(&self.place, field, fault));
        match column {
            Column::Number(number) if *number > self.width => {
                wrong(format!("it is column {number} of the mapping, but the row has {} columns", self.width))
            }
            Column::Number(number) => Ok(number.saturating_sub(1)),
            Column::Name(name) => {
                let mut found = self.names.iter().enumerate().filter(|(_, known)| **known == fold(name)).map(|(at, _)| at);
                match (found.next(), found.next()) {
                    (Some(at), None) => Ok(at),
                    (Some(_), Some(_)) => wrong(format!("two columns are named {}; expected one, or a number in the mapping", shown(name))),
                    _ => wrong(format!("no column is named {}; the header is {}", shown(name), shown(&self.names.join(", ")))),
                }
            }
        }
    }

    fn maybe(&self, field: &str, column: Option<&Column>) -> Result<Option<usize>, BankFileError> {
        column.map(|column| self.find(field, column)).transpose()
    }

    fn all(&self, field: &str, columns: &[Column]) -> Result<Vec<usize>, BankFileError> {
        columns.iter().map(|column| self.find(field, column)).collect()
    }

    fn amounts(&self, columns: &AmountColumns) -> Result<Amounts, BankFileError> {
        let folded = |words: &[String]| words.iter().map(|word| fold(word)).collect();
        Ok(match columns {
            AmountColumns::Signed { amount, inverted } => Amounts::Signed { amount: self.find("amount", amount)?, inverted: *inverted },
            AmountColumns::Columns { credit, debit } => Amounts::Columns { credit: self.find("credit", credit)?, debit: self.find("debit", debit)? },
            AmountColumns::Indicator { amount, indicator, credit, debit } => {
                let (amount, indicator) = (self.find("amount", amount)?, self.find("indicator", indicator)?);
                Amounts::Indicator { amount, indicator, credit: folded(credit), debit: folded(debit) }
            }
        })
    }
}

impl<'m> Layout<'m> {
    /// Finds the columns by the header, or in the first row where there is none.
    pub fn of(mapping: &'m CsvMapping, first: &Row) -> Result<Self, BankFileError> {
        let names = if mapping.header { first.folded() } else { Vec::new() };
        let row = First { place: first.place(), width: first.width(), names };
        let bank_account = match &mapping.bank_account {
            BankAccount::Column(column) => Some(row.find("bank account", column)?),
            BankAccount::Fixed(_) => None,
        };
        Ok(Self {
            amount: row.amounts(&mapping.amount)?,
            dates: DateFormat::of(&mapping.date_format).map_err(|fault| BankFileError::new("mapping", "date_format", fault))?,
            date: row.find("date", &mapping.date)?,
            value_date: row.maybe("value date", mapping.value_date.as_ref())?,
            reference: row.all("reference", &mapping.reference)?,
            name: row.maybe("name", mapping.name.as_ref())?,
            account: row.maybe("account", mapping.account.as_ref())?,
            text: row.all("text", &mapping.text)?,
            bank_reference: row.maybe("bank reference", mapping.bank_reference.as_ref())?,
            code: row.maybe("code", mapping.code.as_ref())?,
            bank_account,
            currency: row.maybe("currency", mapping.currency_column.as_ref())?,
            width: row.width,
            names: row.names,
            mapping,
        })
    }

    /// What a row says: the utility's account, and the entry.
    pub fn read(&self, row: &Row) -> Result<(String, BankEntry), BankFileError> {
        // A comma too many would move all that follows it.
        if row.width() != self.width {
            return Err(row.wrong("row", format!("it has {} columns; expected {} as in the first row", row.width(), self.width)));
        }
        let place = row.place();
        let booked_on = self.day(row, "date", self.date)?;
        let amount = Money::from_cents(self.amount(row)?);
        let texts: Vec<String> = self.text.iter().map(|at| row.cell(*at)).filter(|text| !text.is_empty()).collect();
        let cell = |at: Option<usize>| at.and_then(|at| filled(&row.cell(at)));
        let entry = BankEntry {
            amount,
            booked_on,
            value_on: self.value_date.filter(|at| !row.cell(*at).is_empty()).map(|at| self.day(row, "value date", at)).transpose()?,
            kind: if amount.is_negative() { BankEntryKind::Debit } else { BankEntryKind::Credit },
            code: cell(self.code).unwrap_or_default(),
            bank_ref: cell(self.bank_reference).as_deref().and_then(reference),
            booking_ref: None,
            references: self.reference.iter().filter_map(|at| reference(&row.cell(*at))).collect(),
            party_name: cell(self.name),
            party_account: cell(self.account),
            text: bounded(&place, "text", &texts.join(" "))?,
            place,
        };
        Ok((self.bank_account(row)?, entry))
    }

    /// The name of a column for a message.
    fn label(&self, field: &str, at: usize) -> String {
        match self.names.get(at).filter(|name| !name.is_empty()) {
            Some(name) => format!("{field} (column {})", shown(name)),
            None => format!("{field} (column {})", at + 1),
        }
    }

    fn amount(&self, row: &Row) -> Result<i64, BankFileError> {
        match &self.amount {
            Amounts::Signed { amount, inverted } => {
                let cents = self.required(row, *amount)?;
                Ok(if *inverted { -cents } else { cents })
            }
            Amounts::Columns { credit, debit } => self.of_two(row, *credit, *debit),
            Amounts::Indicator { amount, indicator, credit, debit } => {
                let cents = self.required(row, *amount)?;
                if cents < 0 {
                    return Err(row.wrong(&self.label("amount", *amount), "it has a minus sign; expected none, because a column says the direction"));
                }
                let word = fold(&row.cell(*indicator));
                if credit.contains(&word) {
                    return Ok(cents);
                }
                if debit.contains(&word) {
                    return Ok(-cents);
                }
                let fault = format!("{} found; expected one of {} or {}", shown(&row.cell(*indicator)), credit.join(", "), debit.join(", "));
                Err(row.wrong(&self.label("indicator", *indicator), fault))
            }
        }
    }

    fn of_two(&self, row: &Row, credit: usize, debit: usize) -> Result<i64, BankFileError> {
        let (come, gone) = (self.cents(row, "credit", credit)?, self.cents(row, "debit", debit)?);
        match (come.filter(|cents| *cents != 0), gone.filter(|cents| *cents != 0)) {
            (Some(cents), None) if cents > 0 => Ok(cents),
            (Some(_), None) => Err(row.wrong(&self.label("credit", credit), "it has a minus sign; expected money in without one")),
            (None, Some(cents)) => Ok(-cents.abs()),
            (Some(_), Some(_)) => Err(row.wrong("amount", "both the credit and the debit column have an amount; expected one of them")),
            (None, None) if come.or(gone).is_some() => Ok(0),
            (None, None) => Err(row.wrong("amount", "neither the credit nor the debit column has an amount; expected one of them")),
        }
    }

    fn required(&self, row: &Row, at: usize) -> Result<i64, BankFileError> {
        self.cents(row, "amount", at)?.ok_or_else(|| row.wrong(&self.label("amount", at), "it is empty"))
    }

    fn cents(&self, row: &Row, field: &str, at: usize) -> Result<Option<i64>, BankFileError> {
        let text = row.cell(at);
        if text.is_empty() {
            return Ok(None);
        }
        cents(&text, self.mapping.decimal, self.mapping.thousands).map(Some).map_err(|fault| row.wrong(&self.label(field, at), fault))
    }

    fn day(&self, row: &Row, field: &str, at: usize) -> Result<NaiveDate, BankFileError> {
        let text = row.cell(at);
        let wrong = || row.wrong(&self.label(field, at), format!("{} is no date; expected it as {}", shown(&text), self.mapping.date_format));
        self.dates.parse(&text).ok_or_else(wrong)
    }

    /// The utility's account of a row, whose currency must be the file's.
    fn bank_account(&self, row: &Row) -> Result<String, BankFileError> {
        if let Some(at) = self.currency {
            let (found, expected) = (row.cell(at), self.mapping.currency.as_deref().unwrap_or_default());
            if found != expected {
                return Err(row.wrong(&self.label("currency", at), format!("{} found; expected {expected}", shown(&found))));
            }
        }
        match (&self.mapping.bank_account, self.bank_account) {
            (BankAccount::Fixed(account), _) => Ok(clean(account)),
            (BankAccount::Column(_), at) => {
                let at = at.unwrap_or_default();
                filled(&row.cell(at)).ok_or_else(|| row.wrong(&self.label("bank account", at), "it is empty"))
            }
        }
    }

    pub fn is_footer(&self, row: &Row) -> bool {
        self.mapping.footer.as_ref().is_some_and(|footer| fold(&row.cell(0)).starts_with(&fold(&footer.marker)))
    }

    /// The footer must be there when the mapping has one, and agree with the rows.
    pub fn check_footer(&self, row: Option<&Row>, statements: &[Statement]) -> Result<Vec<ControlTotal>, BankFileError> {
        let mut checked = Vec::new();
        let Some(footer) = &self.mapping.footer else {
            return Ok(checked);
        };
        let missing =
            || BankFileError::new("end of file", "footer", format!("no row begins with {}: the file is not complete", shown(&footer.marker)));
        let row = row.ok_or_else(missing)?;
        let (count, credits, debits) = sums(statements);
        if let Some(number) = footer.count {
            let text = row.cell(number - 1);
            if digits::<u64>(&text) != Some(count) {
                return Err(row.wrong("footer, count", format!("{} found; the file has {count} rows", shown(&text))));
            }
            checked.push(ControlTotal::count(&row.place(), "footer, count", count));
        }
        let inverted = matches!(self.amount, Amounts::Signed { inverted: true, .. });
        let net = if inverted { debits - credits } else { credits - debits };
        let sums = [("footer, total", footer.total, net), ("footer, credits", footer.credits, credits), ("footer, debits", footer.debits, debits)];
        for (name, column, computed) in sums {
            let Some(number) = column else { continue };
            let text = row.cell(number - 1);
            let found = i128::from(cents(&text, self.mapping.decimal, self.mapping.thousands).map_err(|fault| row.wrong(name, fault))?);
            let told_negative = name != "footer, total" && found == -computed;
            if found != computed && !told_negative {
                return Err(row.wrong(name, format!("{} found; the rows add up to {}", shown(&text), sum(computed))));
            }
            checked.extend(ControlTotal::amount(&row.place(), name, found));
        }
        Ok(checked)
    }
}

/// What all entries add up to: count, credits and debits (as a positive amount) in cents.
fn sums(statements: &[Statement]) -> (u64, i128, i128) {
    let all = statements.iter().flat_map(|statement| &statement.entries).map(|entry| i128::from(entry.amount.cents()));
    all.fold((0, 0, 0), |(count, credits, debits), cents| (count + 1, credits + cents.max(0), debits - cents.min(0)))
}
