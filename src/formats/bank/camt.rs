//! ISO 20022 camt.053 (statement) and camt.054 (notification), any version 001.02 and later, told by their namespace.
//!
//! The direction of an entry is its own `CdtDbtInd`: a reversal (`RvslInd`) carries the direction of the reversing booking.
//! What is checked: the counts and sums of `TxsSummry`; opening balance and booked entries against the closing balance, where
//! all are in the account's currency and the statement is on one page; the parts of a batch against the booking; counts and
//! sums of `Btch`. An entry is in the account's currency: what payer and bank did in others is not booked and is not read.
//!
//! A document type declaration is refused, so that no entity can be defined; depth and number of elements are bounded.

mod details;
mod entry;
mod summary;
mod xml;

use std::borrow::Cow;

use chrono::NaiveDate;
use xml::{Document, Node, Step};

use super::text::{clean, currency, latin1, line_of, marked_utf16, shown};
use super::{BankFile, BankFileError, BankFormat, ControlTotal, MOST_ENTRIES, MOST_STATEMENTS, Statement};
use summary::{Balance, Summary};

const NAMESPACE: &str = "urn:iso:std:iso:20022:tech:xsd:";

/// Reads a camt.053 or camt.054 file.
///
/// # Errors
/// [`BankFileError`] when the file is not well-formed XML, is another message, is incomplete, has amounts that are no whole
/// cents of the account's currency, or disagrees with its own sums and balances.
pub fn read(bytes: &[u8]) -> Result<BankFile, BankFileError> {
    let text = decode(bytes)?;
    let (mut document, namespace) = Document::open(&text)?;
    let format = format_of(&namespace).ok_or_else(|| other_message("Document", &namespace))?;
    let (body, part) = match format {
        BankFormat::Camt054 => ("BkToCstmrDbtCdtNtfctn", "Ntfctn"),
        _ => ("BkToCstmrStmt", "Stmt"),
    };
    let mut statements = None;
    let mut controls = Vec::new();
    while let Step::Start(name) = document.step()? {
        if name != body || statements.is_some() {
            return Err(BankFileError::new("Document", body, format!("another element stands here; expected {body} once")));
        }
        statements = Some(message(&mut document, format, part, &mut controls)?);
    }
    document.end()?;
    let statements = statements.ok_or_else(|| BankFileError::new("Document", body, "it is missing: the file is not complete"))?;
    Ok(BankFile { format, statements, controls })
}

/// The format that the opening of an XML document shows.
pub(super) fn format_of_opening(opening: &str) -> Result<BankFormat, BankFileError> {
    let opening = root_of(opening);
    let namespaces = opening.match_indices(NAMESPACE).map(|(at, _)| opening[at..].split(['"', '\'', '<', '>']).next().unwrap_or_default());
    let mut found = namespaces.peekable();
    let first = found.peek().copied().unwrap_or_default().to_owned();
    found.find_map(format_of).ok_or_else(|| other_message("Document", &first))
}

/// From the root on: what stands in a declaration or in a comment before it says nothing of the message.
fn root_of(opening: &str) -> &str {
    let mut rest = opening.trim_start();
    loop {
        let end = if rest.starts_with("<?") {
            "?>"
        } else if rest.starts_with("<!--") {
            "-->"
        } else {
            return rest;
        };
        rest = rest.split_once(end).map_or("", |(_, after)| after.trim_start());
    }
}

fn format_of(namespace: &str) -> Option<BankFormat> {
    let message = namespace.strip_prefix(NAMESPACE)?;
    let (name, version) = message.split_at_checked("camt.053.001.".len())?;
    let known = version.len() == 2 && version.bytes().all(|byte| byte.is_ascii_digit()) && version != "00";
    match name {
        "camt.053.001." if known => Some(BankFormat::Camt053),
        "camt.054.001." if known => Some(BankFormat::Camt054),
        _ => None,
    }
}

fn other_message(place: &str, namespace: &str) -> BankFileError {
    let found = shown(namespace.strip_prefix(NAMESPACE).unwrap_or(namespace));
    let fault = if namespace.contains("camt.052") {
        format!("{found} is a report within the day, not booked yet; expected the statement camt.053 or the notification camt.054")
    } else {
        format!("{found} found; expected the namespace {NAMESPACE}camt.053.001.NN or camt.054.001.NN")
    };
    BankFileError::new(place, "namespace", fault)
}

/// The text of the document: UTF-8, UTF-16 with its mark, or Latin-1 where the declaration says so.
fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, BankFileError> {
    if let Some(text) = marked_utf16(bytes) {
        return Ok(Cow::Owned(text));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let declaration = String::from_utf8_lossy(bytes.get(..200).unwrap_or(bytes)).to_ascii_lowercase();
    let declaration = declaration.strip_prefix("<?xml").and_then(|rest| rest.split("?>").next()).unwrap_or_default();
    if ["iso-8859-1", "iso-8859-15", "windows-1252", "latin1", "latin-1"].iter().any(|name| declaration.contains(name)) {
        return Ok(Cow::Owned(latin1(bytes)));
    }
    std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|error| {
        let line = line_of(bytes, error.valid_up_to());
        BankFileError::new(format!("line {line}"), "encoding", "it is not UTF-8; expected UTF-8, or a declaration of the encoding ISO-8859-1")
    })
}

/// The message below the root: a group header, then the statements or notifications.
fn message(
    document: &mut Document<'_>,
    format: BankFormat,
    part: &'static str,
    controls: &mut Vec<ControlTotal>,
) -> Result<Vec<Statement>, BankFileError> {
    let mut created = None;
    let mut statements: Vec<Statement> = Vec::new();
    let mut entries = 0_usize;
    while let Step::Start(name) = document.step()? {
        match name {
            "GrpHdr" if created.is_none() => {
                let header = document.subtree(name, "GrpHdr")?;
                header.required("GrpHdr", "MsgId")?;
                created = Some(date_text("GrpHdr", "CreDtTm", &header.required("GrpHdr", "CreDtTm")?)?);
            }
            _ if name == part => {
                let Some(created) = created else {
                    return Err(BankFileError::new(part, "GrpHdr", "it is missing; expected the group header before the first statement"));
                };
                if statements.len() >= MOST_STATEMENTS {
                    return Err(BankFileError::new(part, part, format!("more than {MOST_STATEMENTS} in one file")));
                }
                let place = format!("{part} {}", statements.len() + 1);
                let statement = StatementReader::new(place, format, created).read(document, &mut entries, controls)?;
                statements.push(statement);
            }
            "SplmtryData" => {
                document.subtree(name, "SplmtryData")?;
            }
            _ => return Err(BankFileError::new("message", "element", format!("an unexpected element; expected one GrpHdr, then {part}"))),
        }
    }
    if created.is_none() {
        return Err(BankFileError::new("message", "GrpHdr", "it is missing: the file is not complete"));
    }
    if statements.is_empty() {
        return Err(BankFileError::new("message", part, format!("it is missing; expected at least one {part}: the file is not complete")));
    }
    Ok(statements)
}

/// A statement or notification while its elements go by.
struct StatementReader {
    place: String,
    format: BankFormat,
    /// The day on which the message, or better the statement, was made.
    created: NaiveDate,
    id: Option<String>,
    account: Option<String>,
    currency: Option<String>,
    one_page: bool,
    balances: Vec<Balance>,
    summary: Option<Summary>,
    booked: Vec<entry::Booking>,
}

impl StatementReader {
    const fn new(place: String, format: BankFormat, created: NaiveDate) -> Self {
        let (id, account, currency, summary) = (None, None, None, None);
        Self { place, format, created, id, account, currency, one_page: true, balances: Vec::new(), summary, booked: Vec::new() }
    }

    fn read(mut self, document: &mut Document<'_>, entries: &mut usize, controls: &mut Vec<ControlTotal>) -> Result<Statement, BankFileError> {
        let mut number = 0_usize;
        while let Step::Start(name) = document.step()? {
            if name == "Ntry" {
                number += 1;
                let place = format!("{}, Ntry {number}", self.place);
                let node = document.subtree(name, &place)?;
                let booking = entry::read(&node, &place, &mut self.currency, self.created)?;
                *entries += booking.entries.len();
                if *entries > MOST_ENTRIES {
                    return Err(BankFileError::new(place, "Ntry", format!("more than {MOST_ENTRIES} entries in one file")));
                }
                self.booked.push(booking);
            } else {
                let node = document.subtree(name, &self.place)?;
                self.element(name, &node)?;
            }
        }
        self.finish(controls)
    }

    fn element(&mut self, name: &str, node: &Node<'_>) -> Result<(), BankFileError> {
        match name {
            "Id" => self.id = once(&self.place, "Id", self.id.take(), node.own_text())?,
            "Acct" => {
                let id = node.child("Id");
                let number = id.and_then(|id| id.text(&["IBAN"]).map(|iban| iban.replace(' ', "")).or_else(|| id.text(&["Othr", "Id"])));
                self.account = once(&self.place, "Acct", self.account.take(), number)?;
                if let Some(code) = node.text(&["Ccy"]) {
                    self.currency = Some(currency(&self.place, "Acct, Ccy", &code)?);
                }
            }
            "CreDtTm" => {
                if let Some(text) = node.own_text() {
                    self.created = date_text(&self.place, "CreDtTm", &text)?;
                }
            }
            "StmtPgntn" | "NtfctnPgntn" => {
                let first = node.text(&["PgNb"]).is_none_or(|number| number.trim_start_matches('0') == "1");
                self.one_page = first && node.text(&["LastPgInd"]).is_none_or(|last| last == "true" || last == "1");
            }
            "Bal" => self.balances.push(Balance::of(&format!("{}, Bal {}", self.place, self.balances.len() + 1), node)?),
            "TxsSummry" if self.summary.is_some() => {
                return Err(BankFileError::new(&self.place, "TxsSummry", "it stands there twice; expected it once"));
            }
            "TxsSummry" => self.summary = Some(Summary::of(&self.place, node)?),
            _ => {}
        }
        if self.balances.len() > MOST_STATEMENTS {
            return Err(BankFileError::new(&self.place, "Bal", format!("more than {MOST_STATEMENTS} balances")));
        }
        Ok(())
    }

    fn finish(mut self, controls: &mut Vec<ControlTotal>) -> Result<Statement, BankFileError> {
        let missing = |field: &str| BankFileError::new(&self.place, field, "it is missing: the file is not complete");
        let (Some(id), Some(account)) = (self.id.take(), self.account.take()) else {
            return Err(missing(if self.id.is_none() { "Id" } else { "Acct, Id" }));
        };
        if let Some(summary) = &self.summary {
            controls.extend(summary.check(&self.place, &self.booked)?);
        }
        if self.currency.is_none() {
            self.currency = summary::currency_of(&self.balances);
        }
        let (opening, closing) = match &self.currency {
            Some(code) => summary::opening_and_closing(&self.balances, code)?,
            None => (None, None),
        };
        if self.format == BankFormat::Camt053 && self.one_page {
            controls.extend(summary::check_balances(&self.place, opening, closing, &self.booked)?);
        }
        let entries = self.booked.into_iter().flat_map(|booking| booking.entries).collect();
        Ok(Statement { bank_account: account, statement_ref: Some(id), currency: self.currency, opening, closing, corrects: false, entries })
    }
}

/// A value that may stand there once.
fn once(place: &str, field: &str, before: Option<String>, value: Option<String>) -> Result<Option<String>, BankFileError> {
    match (before, value) {
        (None, Some(value)) => Ok(Some(value)),
        (None, None) => Err(BankFileError::new(place, field, "it is empty: the file is not complete")),
        (Some(_), _) => Err(BankFileError::new(place, field, "it stands there twice; expected it once")),
    }
}

/// The day of a date or a time as it is written, in the time zone in which it is written.
fn date_text(place: &str, field: &str, text: &str) -> Result<NaiveDate, BankFileError> {
    let text = clean(text);
    let (day, rest) = text.split_at_checked(10).unwrap_or((text.as_str(), ""));
    let plain = day.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let time = rest.is_empty()
        || (rest.starts_with(['T', 'Z', '+', '-']) && rest.bytes().skip(1).all(|byte| byte.is_ascii_digit() || b":.Z+-".contains(&byte)));
    let parsed = NaiveDate::parse_from_str(day, "%Y-%m-%d").ok().filter(|_| plain && time && rest.len() <= 30);
    parsed.ok_or_else(|| BankFileError::new(place, field, format!("{} is no date; expected year, month and day as 2014-12-31", shown(&text))))
}
