//! One `Ntry`: a booking, and the entries that it is made of.

use chrono::NaiveDate;

use super::super::text::{bounded, currency, plausible, reference, shown};
use super::super::{BankEntry, BankEntryKind, BankFileError, reasons};
use super::date_text;
use super::details::{self, Part};
use super::xml::Node;
use crate::domain::money::Money;

/// A booking as the statement's sums count it, and its entries.
pub struct Booking {
    /// Its amount, with the sign of the account.
    pub cents: i64,
    pub side: Side,
    pub is_booked: bool,
    pub code: String,
    pub entries: Vec<BankEntry>,
}

/// `CdtDbtInd`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Credit,
    Debit,
}

impl Side {
    pub fn of(place: &str, node: &Node<'_>) -> Result<Self, BankFileError> {
        match node.required(place, "CdtDbtInd")?.as_str() {
            "CRDT" => Ok(Self::Credit),
            "DBIT" => Ok(Self::Debit),
            other => Err(BankFileError::new(place, "CdtDbtInd", format!("{} found; expected CRDT or DBIT", shown(other)))),
        }
    }

    pub fn signed(self, cents: i128) -> i128 {
        if self == Self::Debit { -cents } else { cents }
    }
}

/// What all entries of a booking have is not longer than this, in bytes; the standard allows 35 letters.
const LONGEST_SHARED_BYTES: usize = 200;
/// The same for the text; the standard allows 500 letters.
const LONGEST_SHARED_TEXT_BYTES: usize = 2_000;

/// What all entries of a booking have in common.
pub struct Common<'n> {
    pub place: &'n str,
    pub currency: String,
    pub cents: i64,
    pub side: Side,
    pub is_booked: bool,
    pub is_reversal: bool,
    pub booked_on: NaiveDate,
    pub value_on: Option<NaiveDate>,
    pub code: String,
    pub bank_ref: Option<String>,
    pub text: Option<String>,
}

pub fn read(node: &Node<'_>, place: &str, account: &mut Option<String>, created: NaiveDate) -> Result<Booking, BankFileError> {
    let common = common(node, place, account, created)?;
    let entries = details::read(node, &common)?;
    Ok(Booking { cents: common.cents, side: common.side, is_booked: common.is_booked, code: common.code, entries })
}

fn common<'n>(node: &Node<'_>, place: &'n str, account: &mut Option<String>, created: NaiveDate) -> Result<Common<'n>, BankFileError> {
    let amount = node.one(place, "Amt")?.ok_or_else(|| BankFileError::new(place, "Amt", "it is missing: the file is not complete"))?;
    let (code, cents) = self::amount(place, "Amt", amount)?;
    if let Some(account) = account.as_ref().filter(|account| **account != code) {
        let fault = format!("the entry is in {code}, the account in {account}; expected the amount that was booked on the account");
        return Err(BankFileError::new(place, "Amt, Ccy", fault));
    }
    *account = Some(code.clone());
    let side = Side::of(place, node)?;
    let is_reversal = match node.one(place, "RvslInd")?.and_then(Node::own_text).as_deref() {
        None | Some("false" | "0") => false,
        Some("true" | "1") => true,
        Some(other) => return Err(BankFileError::new(place, "RvslInd", format!("{} found; expected true or false", shown(other)))),
    };
    let value_on = date(node, place, "ValDt")?;
    let shared = |field: &str, text: Option<String>, most: usize| match text {
        Some(text) if text.len() > most => Err(BankFileError::new(place, field, format!("it has {} bytes; at most {most} are read", text.len()))),
        text => Ok(text),
    };
    let own_ref = shared("AcctSvcrRef", node.one(place, "AcctSvcrRef")?.and_then(Node::own_text), LONGEST_SHARED_BYTES)?;
    Ok(Common {
        place,
        currency: code,
        cents: if side == Side::Debit { -cents } else { cents },
        side,
        is_booked: is_booked(node, place)?,
        is_reversal,
        // Some notifications have no day of booking: they are made when it is booked.
        booked_on: date(node, place, "BookgDt")?.or(value_on).unwrap_or(created),
        value_on,
        code: shared("BkTxCd", node.child("BkTxCd").and_then(self::code), LONGEST_SHARED_BYTES)?.unwrap_or_default(),
        bank_ref: own_ref.as_deref().and_then(reference),
        text: shared("AddtlNtryInf", node.text(&["AddtlNtryInf"]), LONGEST_SHARED_TEXT_BYTES)?,
    })
}

/// Booked, or only announced. Version 02 has the code itself in `Sts`, later ones in `Sts, Cd`.
fn is_booked(node: &Node<'_>, place: &str) -> Result<bool, BankFileError> {
    let status = node.one(place, "Sts")?.ok_or_else(|| BankFileError::new(place, "Sts", "it is missing: the file is not complete"))?;
    let code = status.text(&["Cd"]).or_else(|| status.text(&["Prtry"])).or_else(|| status.own_text()).unwrap_or_default();
    match code.as_str() {
        "BOOK" => Ok(true),
        "PDNG" | "INFO" | "FUTR" => Ok(false),
        other => Err(BankFileError::new(place, "Sts", format!("{} found; expected BOOK, PDNG, INFO or FUTR", shown(other)))),
    }
}

fn date(node: &Node<'_>, place: &str, name: &str) -> Result<Option<NaiveDate>, BankFileError> {
    let Some(child) = node.one(place, name)? else {
        return Ok(None);
    };
    let text = child.text(&["Dt"]).or_else(|| child.text(&["DtTm"]));
    let text = text.ok_or_else(|| BankFileError::new(place, name, "it is empty; expected Dt or DtTm"))?;
    date_text(place, name, &text).map(Some)
}

/// Domain, family and sub-family, or the bank's own code.
pub fn code(node: &Node<'_>) -> Option<String> {
    let domain = node.child("Domn").map(|domain| {
        let parts = [domain.text(&["Cd"]), domain.text(&["Fmly", "Cd"]), domain.text(&["Fmly", "SubFmlyCd"])];
        parts.into_iter().flatten().collect::<Vec<_>>().join("/")
    });
    domain.filter(|code| !code.is_empty()).or_else(|| node.text(&["Prtry", "Cd"]))
}

/// A positive amount in cents and its currency.
pub fn amount(place: &str, field: &str, node: &Node<'_>) -> Result<(String, i64), BankFileError> {
    let code = node.ccy.as_deref().ok_or_else(|| BankFileError::new(place, format!("{field}, Ccy"), "it is missing: the file is not complete"))?;
    let code = currency(place, &format!("{field}, Ccy"), code)?;
    let text = node.own_text().unwrap_or_default();
    let cents = whole_cents(place, field, &text)?;
    if cents < 0 {
        return Err(BankFileError::new(place, field, format!("{} found; expected no minus sign: CdtDbtInd says the direction", shown(&text))));
    }
    Ok((code, plausible(place, field, i64::try_from(cents).unwrap_or(i64::MAX))?.cents()))
}

/// A decimal number in cents; more than two decimals only where the others are zeros.
pub fn whole_cents(place: &str, field: &str, text: &str) -> Result<i128, BankFileError> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() > 30 || (whole.is_empty() && fraction.is_empty()) || !plain(whole) || !plain(fraction) {
        return Err(BankFileError::new(place, field, format!("{} is no amount; expected digits with at most two decimals, like 12.34", shown(text))));
    }
    let (cents, rest) = fraction.split_at(fraction.len().min(2));
    if rest.bytes().any(|byte| byte != b'0') {
        return Err(BankFileError::new(place, field, format!("{} has a fraction of a cent; expected at most two decimals", shown(text))));
    }
    let number: i128 = format!("{whole}{cents:0<2}").parse().unwrap_or(i128::MAX);
    Ok(if text.starts_with('-') { -number } else { number })
}

/// What the entry is, from its status, its reason of return, its reversal sign and its codes.
pub fn kind(common: &Common<'_>, details: Option<&Node<'_>>, code: &str, amount: Money, original_ref: Option<String>) -> BankEntryKind {
    if !common.is_booked {
        return BankEntryKind::Pending;
    }
    let returned = details.and_then(|details| details.child("RtrInf"));
    let told = returned.and_then(|returned| returned.text(&["Rsn", "Cd"]).or_else(|| returned.text(&["Rsn", "Prtry"])));
    let subfamily = code.rsplit('/').next().filter(|_| code.contains('/')).unwrap_or_default();
    let back = reasons::iso_subfamily(subfamily);
    if returned.is_some() || back.is_some() || common.is_reversal {
        let reason_code = told.unwrap_or_else(|| if back.is_some() { subfamily.to_owned() } else { "RVSL".to_owned() });
        let reason = reasons::iso_return(&reason_code).or_else(|| reasons::ach_return(&reason_code)).or(back).unwrap_or("reversed");
        return BankEntryKind::Return { reason: reason.to_owned(), reason_code, original_ref };
    }
    match amount.cents() {
        0 if common.side == Side::Debit => BankEntryKind::Debit,
        0.. => BankEntryKind::Credit,
        _ => BankEntryKind::Debit,
    }
}

/// An entry of the booking: the whole of it, or one part.
pub fn entry(common: &Common<'_>, part: Part) -> Result<BankEntry, BankFileError> {
    Ok(BankEntry {
        amount: plausible(&part.place, "Amt", part.cents)?,
        booked_on: common.booked_on,
        value_on: common.value_on,
        kind: part.kind,
        code: part.code,
        bank_ref: part.bank_ref,
        booking_ref: common.bank_ref.clone(),
        references: part.references,
        party_name: part.party_name,
        party_account: part.party_account,
        text: bounded(&part.place, "text", &part.text)?,
        place: part.place,
    })
}
