//! One entry (6) with its addenda (7): what it is, who is behind it, and which way its money goes.

use chrono::NaiveDate;

use super::super::text::{bounded, filled, plausible, reference, short_day, shown};
use super::super::{BankEntry, BankEntryKind, BankFileError, reasons};
use super::Batch;
use super::records::Line;

/// The standard's number of addenda has four digits.
const MOST_ADDENDA: usize = 9_999;

/// An entry while its addenda are read.
pub struct Entry {
    place: String,
    code: String,
    pub is_debit: bool,
    /// The eight digits of the receiving bank.
    pub bank: u64,
    account: String,
    pub cents: u64,
    id: String,
    name: String,
    trace: String,
    expects_addenda: bool,
    addenda: usize,
    /// Payment information, as it is.
    told: Vec<String>,
    /// The name of an international payment's originator.
    originator: Option<String>,
    /// The last return or change that the addenda tell of.
    back: Option<Back>,
}

/// An addenda 98 or 99.
struct Back {
    code: String,
    original: Option<String>,
    returned: Option<String>,
    words: Vec<String>,
}

impl Entry {
    pub fn of(line: &Line<'_>, class: &str) -> Result<Self, BankFileError> {
        let code = line.text((2, 3));
        let is_debit = direction(&code).ok_or_else(|| {
            line.wrong("transaction code", &format!("{} found; expected one like 22 (credit), 27 (debit), 21 or 26 (return)", shown(&code)))
        })?;
        let (account, id, name) = match class {
            "IAT" => (line.text((40, 74)), String::new(), String::new()),
            "CIE" => (line.text((13, 29)), line.text((55, 76)), line.text((40, 54))),
            "CTX" => (line.text((13, 29)), line.text((40, 54)), line.text((59, 74))),
            _ => (line.text((13, 29)), line.text((40, 54)), line.text((55, 76))),
        };
        let trace = line.text((80, 94));
        if trace.is_empty() {
            return Err(line.wrong("trace number", "it is missing"));
        }
        Ok(Self {
            place: line.place(),
            is_debit,
            bank: line.number((4, 11), "receiving bank")?,
            cents: line.number((30, 39), "amount")?,
            expects_addenda: line.text((79, 79)) == "1",
            code,
            account,
            id,
            name,
            trace,
            addenda: 0,
            told: Vec::new(),
            originator: None,
            back: None,
        })
    }

    pub fn addenda(&mut self, line: &Line<'_>) -> Result<(), BankFileError> {
        self.addenda += 1;
        if self.addenda > MOST_ADDENDA {
            return Err(line.wrong("addenda", &format!("more than {MOST_ADDENDA} addenda of one entry")));
        }
        match line.text((2, 3)).as_str() {
            "98" => self.back = Some(change(line)?),
            "99" => self.back = Some(returned(line)?),
            "10" => self.name = line.text((47, 81)),
            "11" => self.originator = filled(&line.text((4, 38))),
            "02" | "05" | "12" | "13" | "14" | "15" | "16" | "17" | "18" => self.told.extend(filled(&line.text((4, 83)))),
            other => return Err(line.wrong("addenda type", &format!("{} found; expected 02, 05, 10 to 18, 98 or 99", shown(other)))),
        }
        Ok(())
    }

    /// The account of the utility's that it belongs to, and the entry.
    pub fn finish(self, batch: &Batch, created: NaiveDate) -> Result<(String, BankEntry), BankFileError> {
        if self.expects_addenda && self.addenda == 0 {
            return Err(BankFileError::new(self.place, "addenda indicator", "1 found, but no addenda record follows"));
        }
        let kind = self.kind()?;
        let cents = i64::try_from(self.cents).unwrap_or(i64::MAX);
        let amount = plausible(&self.place, "amount", if self.is_debit { -cents } else { cents })?;
        let is_plain = self.back.is_none();
        // Of a plain entry the account is the utility's and the company is who pays; of what comes back the company is the
        // utility and the account the customer's.
        let company = filled(&batch.company).or_else(|| self.originator.clone());
        let (own, party_name, party_account) =
            if is_plain { (self.account.clone(), company, None) } else { (batch.company_id.clone(), filled(&self.name), filled(&self.account)) };
        let own = filled(&own).or_else(|| filled(&batch.company)).unwrap_or_else(|| batch.bank.clone());
        let words = self.back.iter().flat_map(|back| back.words.clone()).chain(self.told.clone()).chain(filled(&batch.description));
        let named = filled(&self.name).filter(|_| is_plain).map(|name| format!("for {name}"));
        let words: Vec<String> = words.chain(named).collect();
        Ok((
            own,
            BankEntry {
                amount,
                // The day on which the clearing house settled it. The effective date of a return is that of the first entry.
                booked_on: batch.settled_on.or(batch.effective_on.filter(|_| is_plain)).unwrap_or(created),
                value_on: batch.effective_on.filter(|_| is_plain),
                kind,
                code: format!("{}/{}", batch.class, self.code),
                bank_ref: reference(&self.trace),
                booking_ref: None,
                references: reference(&self.id).into_iter().collect(),
                party_name,
                party_account,
                text: bounded(&self.place, "addenda", &words.join("; "))?,
                place: self.place,
            },
        ))
    }

    fn kind(&self) -> Result<BankEntryKind, BankFileError> {
        let last = self.code.chars().last().unwrap_or_default();
        if let Some(back) = &self.back {
            return self.kind_of(back);
        }
        match last {
            '1' | '6' => {
                let fault = format!("{} is a return, but no addenda record 98 or 99 says of what", self.code);
                Err(BankFileError::new(&self.place, "transaction code", fault))
            }
            '3' | '8' if self.cents != 0 => {
                let fault = format!("{} is a test entry, but it has an amount; expected zeros", self.code);
                Err(BankFileError::new(&self.place, "amount", fault))
            }
            '3' | '4' | '8' | '9' if self.cents == 0 => {
                let meaning = if matches!(last, '3' | '8') { "test entry, no money" } else { "information without money" };
                Ok(BankEntryKind::Notice { notice_code: self.code.clone(), meaning: meaning.to_owned(), original_ref: None })
            }
            _ if self.is_debit => Ok(BankEntryKind::Debit),
            _ => Ok(BankEntryKind::Credit),
        }
    }

    fn kind_of(&self, back: &Back) -> Result<BankEntryKind, BankFileError> {
        let original_ref = back.original.clone();
        if back.code.starts_with('C') {
            if self.cents != 0 {
                return Err(BankFileError::new(&self.place, "amount", "a notification of change has an amount; expected zeros"));
            }
            let meaning = reasons::ach_change(&back.code).unwrap_or("notification of change").to_owned();
            return Ok(BankEntryKind::Notice { notice_code: back.code.clone(), meaning, original_ref });
        }
        let reason = reasons::ach_return(&back.code).unwrap_or("a reason that is not in the list").to_owned();
        let reason_code = back.code.clone();
        Ok(if is_dishonored(&back.code) {
            BankEntryKind::DishonoredReturn { reason_code, reason, original_ref, return_ref: back.returned.clone() }
        } else {
            BankEntryKind::Return { reason_code, reason, original_ref }
        })
    }
}

/// Whether the code is a debit; nothing for one that is none of the standard's. Twenties are checking accounts, thirties
/// savings, forties the general ledger, fifties loans.
fn direction(code: &str) -> Option<bool> {
    let mut letters = code.chars();
    match (letters.next()?, letters.next()?, letters.next()) {
        ('2' | '3' | '4' | '5', '1'..='4', None) => Some(false),
        ('2' | '3' | '4', '6'..='9', None) | ('5', '5' | '6', None) => Some(true),
        _ => None,
    }
}

fn is_dishonored(code: &str) -> bool {
    matches!(code, "R61" | "R62" | "R63" | "R64" | "R65" | "R66" | "R67" | "R68" | "R69" | "R70")
}

fn is_contested(code: &str) -> bool {
    matches!(code, "R71" | "R72" | "R73" | "R74" | "R75" | "R76" | "R77")
}

/// A notification of change: what was wrong, and what is right.
fn change(line: &Line<'_>) -> Result<Back, BankFileError> {
    let code = coded(line, 'C', "change code")?;
    let corrected = filled(&line.text((36, 64))).map(|data| format!("corrected: {data}"));
    Ok(Back { code, original: reference(&line.text((7, 21))), returned: None, words: corrected.into_iter().collect() })
}

/// A return, a dishonored or a contested one: what stands after the original trace number differs.
fn returned(line: &Line<'_>) -> Result<Back, BankFileError> {
    let code = coded(line, 'R', "return reason code")?;
    let mut words = Vec::new();
    let mut back = None;
    if is_dishonored(&code) || is_contested(&code) {
        back = reference(&line.text((39, 53)));
        let first = line.text((57, 58));
        words.extend(reasons::ach_return(&format!("R{first}")).map(|reason| format!("returned as R{first}: {reason}")));
        if is_dishonored(&code) {
            words.extend(filled(&line.text((59, 79))));
        } else {
            words.extend(reference(&line.text((59, 73))).map(|trace| format!("dishonored as {trace}")));
        }
    } else {
        words.extend(short_day(&line.text((22, 27))).filter(|_| matches!(code.as_str(), "R14" | "R15")).map(|day| format!("date of death {day}")));
        words.extend(filled(&line.text((36, 79))));
    }
    Ok(Back { code, original: reference(&line.text((7, 21))), returned: back, words })
}

fn coded(line: &Line<'_>, letter: char, name: &str) -> Result<String, BankFileError> {
    let code = line.text((4, 6));
    let rest = code.strip_prefix(letter).unwrap_or_default();
    if rest.len() == 2 && rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(code);
    }
    Err(line.wrong(name, &format!("{} found; expected {letter} and two digits", shown(&code))))
}
