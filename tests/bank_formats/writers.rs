//! Small writers of each format, for tests only: what they write must be read back as it was.
//!
//! Digits that a control total protects stand between `⟦` and `⟧`; [`Marked::of`] takes the marks out and remembers where
//! they stood.

use std::fmt::Write as _;

use aquabills::formats::bank::{BankEntry, BankEntryKind, Statement};
use chrono::{Datelike, NaiveDate};

/// A file and the places of its protected digits.
#[derive(Debug, Clone)]
pub struct Marked {
    pub bytes: Vec<u8>,
    pub protected: Vec<usize>,
}

impl Marked {
    pub fn of(text: &str) -> Self {
        let mut marked = Self { bytes: Vec::new(), protected: Vec::new() };
        let mut inside = false;
        for letter in text.chars() {
            match letter {
                '⟦' => inside = true,
                '⟧' => inside = false,
                _ => {
                    if inside && letter.is_ascii_digit() {
                        marked.protected.push(marked.bytes.len());
                    }
                    marked.bytes.extend(letter.to_string().as_bytes());
                }
            }
        }
        marked
    }
}

fn protected(value: impl std::fmt::Display) -> String {
    format!("⟦{value}⟧")
}

// --- BAI2 -------------------------------------------------------------------------------------------------------

/// One group for each statement; texts of every other entry go on in an 88.
pub fn bai2(statements: &[Statement], days: &[NaiveDate]) -> Marked {
    let mut file = "01,091000019,RIVERSIDE,240315,0600,1,,,2/\n".to_owned();
    let (mut total, mut records) = (0_i64, 2_usize);
    for (statement, day) in statements.iter().zip(days) {
        let status = if statement.corrects { 3 } else { 1 };
        let _ = writeln!(file, "02,RIVERSIDE,091000019,{status},{},2400,,2/", day.format("%y%m%d"));
        let (account, sum, lines) = bai2_account(statement);
        file.push_str(&account);
        let _ = writeln!(file, "98,{},{},{}/", protected(sum), protected(1), protected(lines + 2));
        total += sum;
        records += lines + 2;
    }
    let _ = writeln!(file, "99,{},{},{}/", protected(total), protected(statements.len()), protected(records));
    Marked::of(&file)
}

fn bai2_account(statement: &Statement) -> (String, i64, usize) {
    let mut text = format!("03,{},{}", statement.bank_account, statement.currency.as_deref().unwrap_or_default());
    let (mut sum, mut lines) = (0_i64, 2_usize);
    for (code, balance) in [("010", statement.opening), ("015", statement.closing)] {
        if let Some(balance) = balance {
            let _ = write!(text, ",{code},{},,", protected(balance.cents()));
            sum += balance.cents();
        }
    }
    text.push_str("/\n");
    for (at, entry) in statement.entries.iter().enumerate() {
        let size = entry.amount.cents().abs();
        let funds = entry.value_on.map_or_else(|| "Z".to_owned(), |day| format!("V,{},", day.format("%y%m%d")));
        let references = format!("{},{}", entry.bank_ref.as_deref().unwrap_or_default(), entry.references.first().map_or("", String::as_str));
        let (first, second) = if at % 2 == 0 { entry.text.split_once(' ').unwrap_or((&entry.text, "")) } else { (entry.text.as_str(), "") };
        let _ = writeln!(text, "16,{},{},{funds},{references},{first}", entry.code, protected(size));
        sum += size;
        lines += 1;
        if !second.is_empty() {
            let _ = writeln!(text, "88,{second}");
            lines += 1;
        }
    }
    let _ = writeln!(text, "49,{},{}/", protected(sum), protected(lines));
    (text, sum, lines)
}

// --- camt.053 ---------------------------------------------------------------------------------------------------

/// Entries with the same booking reference become the transactions of one `Ntry`.
pub fn camt053(statements: &[Statement]) -> Marked {
    let mut file = "<?xml version=\"1.0\"?>\n<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.08\"><BkToCstmrStmt>\
                    <GrpHdr><MsgId>M</MsgId><CreDtTm>2024-03-15T20:00:00</CreDtTm></GrpHdr>\n"
        .to_owned();
    for statement in statements {
        let currency = statement.currency.as_deref().expect("a currency");
        let _ = writeln!(
            file,
            "<Stmt><Id>{}</Id><CreDtTm>2024-03-15T20:00:00</CreDtTm><Acct><Id><IBAN>{}</IBAN></Id><Ccy>{currency}</Ccy></Acct>",
            escaped(statement.statement_ref.as_deref().expect("a reference")),
            statement.bank_account
        );
        for (code, balance) in [("OPBD", statement.opening), ("CLBD", statement.closing)] {
            let balance = balance.expect("a balance").cents();
            let _ = writeln!(file, "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>{}</Bal>", amount(balance, currency));
        }
        let bookings: Vec<&[BankEntry]> = statement.entries.chunk_by(|one, other| one.booking_ref == other.booking_ref).collect();
        let gross: i64 = bookings.iter().map(|parts| net(parts).abs()).sum();
        let _ = writeln!(
            file,
            "<TxsSummry><TtlNtries><NbOfNtries>{}</NbOfNtries><Sum>{}</Sum></TtlNtries></TxsSummry>",
            protected(bookings.len()),
            protected(decimal(gross))
        );
        for parts in bookings {
            file.push_str(&booking(parts, currency));
        }
        file.push_str("</Stmt>\n");
    }
    file.push_str("</BkToCstmrStmt></Document>\n");
    Marked::of(&file)
}

fn net(parts: &[BankEntry]) -> i64 {
    parts.iter().map(|entry| entry.amount.cents()).sum()
}

fn booking(parts: &[BankEntry], currency: &str) -> String {
    let first = &parts[0];
    let status = if first.kind == BankEntryKind::Pending { "PDNG" } else { "BOOK" };
    let value = first.value_on.map_or_else(String::new, |day| format!("<ValDt><Dt>{day}</Dt></ValDt>"));
    let mut text = format!(
        "<Ntry>{}<Sts><Cd>{status}</Cd></Sts><BookgDt><Dt>{}</Dt></BookgDt>{value}<AcctSvcrRef>{}</AcctSvcrRef>\
         <BkTxCd><Prtry><Cd>{}</Cd></Prtry></BkTxCd><NtryDtls><Btch><NbOfTxs>{}</NbOfTxs></Btch>\n",
        amount(net(parts), currency),
        first.booked_on,
        escaped(first.booking_ref.as_deref().expect("a reference")),
        first.code,
        protected(parts.len())
    );
    for entry in parts {
        let role = match (&entry.kind, entry.amount.is_negative()) {
            (BankEntryKind::Return { .. }, true) | (BankEntryKind::Credit | BankEntryKind::Pending, false) => "Dbtr",
            (BankEntryKind::Return { .. }, false) | (_, true) => "Cdtr",
            _ => "Dbtr",
        };
        let _ =
            write!(text, "<TxDtls><Refs><EndToEndId>{}</EndToEndId></Refs>{}", escaped(&entry.references[0]), amount(entry.amount.cents(), currency));
        let _ = write!(
            text,
            "<RltdPties><{role}><Pty><Nm>{}</Nm></Pty></{role}><{role}Acct><Id><Othr><Id>{}</Id></Othr></Id></{role}Acct></RltdPties>",
            escaped(entry.party_name.as_deref().expect("a name")),
            escaped(entry.party_account.as_deref().expect("an account"))
        );
        let _ = write!(text, "<RmtInf><Ustrd>{}</Ustrd></RmtInf>", escaped(&entry.text));
        if let BankEntryKind::Return { reason_code, .. } = &entry.kind {
            let _ = write!(text, "<RtrInf><Rsn><Cd>{reason_code}</Cd></Rsn></RtrInf>");
        }
        text.push_str("</TxDtls>\n");
    }
    text.push_str("</NtryDtls></Ntry>\n");
    text
}

fn amount(cents: i64, currency: &str) -> String {
    let side = if cents < 0 { "DBIT" } else { "CRDT" };
    format!("<Amt Ccy=\"{currency}\">{}</Amt><CdtDbtInd>{side}</CdtDbtInd>", protected(decimal(cents.abs())))
}

fn decimal(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

// --- NACHA ------------------------------------------------------------------------------------------------------

/// One batch for each statement, all returns or all payments. Effective and settlement days are those of its first entry.
pub fn ach(statements: &[Statement]) -> Marked {
    let mut lines = vec![format!("101 123456780 0910000192403150730A094101{:<23}{:<23}{:<8}", "RIVERSIDE WATER", "FIRST VALLEY BANK", "")];
    let (mut entries, mut hash, mut debits, mut credits) = (0_usize, 0_u64, 0_i64, 0_i64);
    for (at, statement) in statements.iter().enumerate() {
        let first = &statement.entries[0];
        let is_return = matches!(first.kind, BankEntryKind::Return { .. });
        let (company, id) = if is_return {
            ("RIVERSIDE WATER", statement.bank_account.as_str())
        } else {
            (first.party_name.as_deref().expect("a name"), "9330001112")
        };
        let effective = first.value_on.map_or_else(String::new, |day| day.format("%y%m%d").to_string());
        let settled = format!("{:03}", first.booked_on.ordinal());
        let number = at + 1;
        lines.push(format!("5200{company:<16}{:20}{id:<10}PPD{:<10}{:6}{effective:<6}{settled}109100001{number:07}", "", "WATER", ""));
        let (mut count, mut own_hash, mut own_debits, mut own_credits) = (0_usize, 0_u64, 0_i64, 0_i64);
        for entry in &statement.entries {
            let (written, records) = ach_entry(entry, statement, is_return);
            lines.extend(written);
            count += records;
            own_hash += 9_140_060;
            let cents = entry.amount.cents();
            own_debits += (-cents).max(0);
            own_credits += cents.max(0);
        }
        lines.push(format!("8200⟦{count:06}⟧⟦{own_hash:010}⟧⟦{own_debits:012}⟧⟦{own_credits:012}⟧{id:<10}{:25}09100001{number:07}", ""));
        entries += count;
        hash += own_hash;
        debits += own_debits;
        credits += own_credits;
    }
    let (batches, blocks) = (statements.len(), (lines.len() + 1).div_ceil(10));
    lines.push(format!("9⟦{batches:06}⟧⟦{blocks:06}⟧⟦{entries:08}⟧⟦{hash:010}⟧⟦{debits:012}⟧⟦{credits:012}⟧{:39}", ""));
    while lines.len() % 10 > 0 {
        lines.push("9".repeat(94));
    }
    Marked::of(&(lines.join("\n") + "\n"))
}

fn ach_entry(entry: &BankEntry, statement: &Statement, is_return: bool) -> (Vec<String>, usize) {
    let trace = entry.bank_ref.as_deref().expect("a trace number");
    let code = &entry.code[4..];
    let id = entry.references.first().map_or("", String::as_str);
    let (account, name) = if is_return {
        (entry.party_account.as_deref().expect("an account"), entry.party_name.as_deref().expect("a name"))
    } else {
        (statement.bank_account.as_str(), "RIVERSIDE WATER")
    };
    let size = entry.amount.cents().abs();
    let first = format!("6{code}⟦09140060⟧6{account:<17}⟦{size:010}⟧{id:<15}{name:<22}  1{trace}");
    let second = if let BankEntryKind::Return { reason_code, original_ref, .. } = &entry.kind {
        let info = entry.text.strip_suffix("; WATER").unwrap_or_default();
        format!("799{reason_code}{:<15}{:6}09140060{info:<44}{trace}", original_ref.as_deref().expect("an original"), "")
    } else {
        let info = entry.text.strip_suffix("; WATER; for RIVERSIDE WATER").unwrap_or_default();
        format!("705{info:<80}0001{}", &trace[8..])
    };
    (vec![first, second], 2)
}

// --- CSV --------------------------------------------------------------------------------------------------------

/// The columns of `csv_mapping` in `laws`, with a footer.
pub fn csv(statements: &[Statement]) -> Marked {
    let mut file = "account,date,value,amount,payer,payer account,reference,bank,text\n".to_owned();
    let (mut count, mut total) = (0_usize, 0_i64);
    for statement in statements {
        for entry in &statement.entries {
            let optional = |text: &Option<String>| quoted(text.as_deref().unwrap_or_default());
            let cents = entry.amount.cents();
            let sign = if cents < 0 { "-" } else { "" };
            let cells = [
                statement.bank_account.clone(),
                entry.booked_on.to_string(),
                entry.value_on.map_or_else(String::new, |day| day.to_string()),
                format!("{sign}{}", protected(decimal(cents.abs()))),
                optional(&entry.party_name),
                optional(&entry.party_account),
                quoted(entry.references.first().map_or("", String::as_str)),
                optional(&entry.bank_ref),
                quoted(&entry.text),
            ];
            let _ = writeln!(file, "{}", cells.join(","));
            count += 1;
            total += cents;
        }
    }
    let sign = if total < 0 { "-" } else { "" };
    let _ = writeln!(file, "END OF LIST,{},{sign}{}", protected(count), protected(decimal(total.abs())));
    Marked::of(&file)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}
