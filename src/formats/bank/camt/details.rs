//! The transactions of a booking (`TxDtls`): their amounts, which must add up to it, their references and parties.

use std::collections::BTreeSet;

use super::super::text::{digits, reference, shown, sum};
use super::super::{BankEntry, BankEntryKind, BankFileError, LARGEST_FILE_BYTES, LONGEST_TEXT_BYTES};
use super::entry::{self, Common, Side, amount, kind};
use super::xml::Node;
use crate::domain::money::Money;

/// Of a batch without amounts not more transactions than these are told in the one entry that stands for it.
const MOST_TOLD: usize = 50;
/// Where a transaction's amount stands, the one that was booked first.
const AMOUNTS: [&[&str]; 4] = [&["Amt"], &["AmtDtls", "TxAmt", "Amt"], &["AmtDtls", "InstdAmt", "Amt"], &["AmtDtls", "CntrValAmt", "Amt"]];

/// What makes one entry different from its neighbours in the same booking.
pub struct Part {
    pub place: String,
    pub cents: i64,
    pub kind: BankEntryKind,
    pub code: String,
    pub bank_ref: Option<String>,
    pub references: Vec<String>,
    pub party_name: Option<String>,
    pub party_account: Option<String>,
    pub text: String,
}

/// The entries of a booking: one for each transaction where their amounts are told, otherwise one for all.
pub fn read(node: &Node<'_>, common: &Common<'_>) -> Result<Vec<BankEntry>, BankFileError> {
    let groups: Vec<Vec<&Node<'_>>> = node.all("NtryDtls").map(|group| group.all("TxDtls").collect()).collect();
    let all: Vec<&Node<'_>> = groups.iter().flatten().copied().collect();
    let amounts = match all.as_slice() {
        [] => None,
        [one] => {
            check_single(node, one, common)?;
            None
        }
        many => amounts_of_batch(node, many, common)?,
    };
    check_batches(node, common, amounts.as_ref())?;
    let Some(amounts) = amounts else {
        return Ok(vec![entry::entry(common, whole(&all, common))?]);
    };
    // What the bank says of the whole is told with every part, and must not grow beyond what a file may be.
    let told = common.text.as_ref().map_or(0, String::len).saturating_mul(all.len());
    if told > LARGEST_FILE_BYTES {
        return Err(BankFileError::new(common.place, "AddtlNtryInf", format!("too long for a booking of {} transactions", all.len())));
    }
    let own: Vec<Option<String>> = all.iter().map(|details| details.text(&["Refs", "AcctSvcrRef"]).as_deref().and_then(reference)).collect();
    let distinct = own.iter().flatten().filter(|own| common.bank_ref.as_ref() != Some(*own)).collect::<BTreeSet<_>>().len() == all.len();
    let mut entries = Vec::with_capacity(all.len() + 1);
    for (at, ((details, cents), own)) in all.iter().zip(&amounts.parts).zip(own).enumerate() {
        let numbered = common.bank_ref.as_ref().map(|whole| format!("{whole}/{}", at + 1));
        let bank_ref = if distinct { own } else { numbered };
        let place = format!("{}, TxDtls {}", common.place, at + 1);
        entries.push(entry::entry(common, part(details, common, place, *cents, bank_ref))?);
    }
    if amounts.charges != 0 {
        entries.push(entry::entry(common, charges(common, amounts.charges))?);
    }
    Ok(entries)
}

/// The transactions' amounts with the sign of the account, and what the bank kept back of their sum.
struct Amounts {
    parts: Vec<i64>,
    charges: i64,
}

/// The amount of the only transaction may differ from the booking by charges alone, or be told in another currency.
fn check_single(node: &Node<'_>, details: &Node<'_>, common: &Common<'_>) -> Result<(), BankFileError> {
    let Some(told) = details.child("Amt").filter(|told| told.ccy.as_deref() == Some(common.currency.as_str())) else {
        return Ok(());
    };
    let place = format!("{}, TxDtls 1", common.place);
    let (_, cents) = amount(&place, "Amt", told)?;
    let has_charges = node.child("Chrgs").is_some() || details.child("Chrgs").is_some();
    if cents == common.cents.abs() || has_charges {
        return Ok(());
    }
    let fault = format!("the transaction says {}, but {} was booked", Money::from_cents(cents), Money::from_cents(common.cents.abs()));
    Err(BankFileError::new(place, "Amt", fault))
}

/// The amounts of a batch in the account's currency, from the first place where all transactions have them and they add up.
fn amounts_of_batch(node: &Node<'_>, all: &[&Node<'_>], common: &Common<'_>) -> Result<Option<Amounts>, BankFileError> {
    let kept = i128::from(kept_back(node, all, common)?);
    let mut any = false;
    let mut wrong_sum = None;
    for path in AMOUNTS {
        let mut parts = Vec::with_capacity(all.len());
        for (at, details) in all.iter().enumerate() {
            let place = format!("{}, TxDtls {}", common.place, at + 1);
            let Some(told) = details.at(path).filter(|told| told.ccy.as_deref() == Some(common.currency.as_str())) else {
                continue;
            };
            let (_, cents) = amount(&place, &path.join(", "), told)?;
            let side = if details.child("CdtDbtInd").is_some() { Side::of(&place, details)? } else { common.side };
            parts.push(if side == Side::Debit { -cents } else { cents });
        }
        any |= !parts.is_empty();
        if parts.len() < all.len() {
            continue;
        }
        let total: i128 = parts.iter().copied().map(i128::from).sum();
        let left = i128::from(common.cents) - total;
        if left == 0 || left == kept {
            return Ok(Some(Amounts { parts, charges: i64::try_from(left).unwrap_or_default() }));
        }
        wrong_sum.get_or_insert(total);
    }
    if let Some(total) = wrong_sum {
        let fault =
            format!("{} was booked, but the amounts of its {} transactions add up to {}", Money::from_cents(common.cents), all.len(), sum(total));
        return Err(BankFileError::new(common.place, "Amt", fault));
    }
    if any {
        let fault = format!("some of the {} transactions have an amount in {} and some have none; expected all or none", all.len(), common.currency);
        return Err(BankFileError::new(common.place, "TxDtls, Amt", fault));
    }
    Ok(None)
}

/// What was kept back of a batch: told of the whole booking, or else of each transaction.
fn kept_back(node: &Node<'_>, all: &[&Node<'_>], common: &Common<'_>) -> Result<i64, BankFileError> {
    if node.child("Chrgs").is_some() {
        return charges_of(node, common);
    }
    all.iter().try_fold(0_i64, |total, details| Ok(total.saturating_add(charges_of(details, common)?)))
}

/// What the bank says that it kept back of the booking, or of a transaction (negative), or gave (positive).
fn charges_of(node: &Node<'_>, common: &Common<'_>) -> Result<i64, BankFileError> {
    let mut total = 0_i64;
    for charges in node.all("Chrgs") {
        let records: Vec<&Node<'_>> = if charges.child("Rcrd").is_some() { charges.all("Rcrd").collect() } else { vec![charges] };
        for record in records {
            let told = record.child("Amt").or_else(|| record.child("TtlChrgsAndTaxAmt"));
            let Some(told) = told.filter(|told| told.ccy.as_deref() == Some(common.currency.as_str())) else {
                continue;
            };
            let (_, cents) = amount(common.place, "Chrgs, Amt", told)?;
            let gives = record.child("CdtDbtInd").is_some() && Side::of(common.place, record)? == Side::Credit;
            total = total.saturating_add(if gives { cents } else { -cents });
        }
    }
    Ok(total)
}

/// Counts and sums of `Btch` against the transactions that are listed with it.
fn check_batches(node: &Node<'_>, common: &Common<'_>, amounts: Option<&Amounts>) -> Result<(), BankFileError> {
    let mut first = 0_usize;
    for (at, group) in node.all("NtryDtls").enumerate() {
        let listed = group.all("TxDtls").count();
        let place = format!("{}, NtryDtls {}, Btch", common.place, at + 1);
        let mine = amounts.map(|amounts| amounts.parts.iter().skip(first).take(listed).copied().map(i128::from).sum::<i128>());
        first += listed;
        let Some(batch) = group.child("Btch") else { continue };
        if let Some(text) = batch.text(&["NbOfTxs"]) {
            let count = digits::<usize>(&text);
            let count = count.ok_or_else(|| BankFileError::new(&place, "NbOfTxs", format!("{} found; expected a whole number", shown(&text))))?;
            if listed > 0 && count != listed {
                return Err(BankFileError::new(&place, "NbOfTxs", format!("the file says {count}, but {listed} transactions are listed")));
            }
        }
        let total = batch.child("TtlAmt").filter(|total| total.ccy.as_deref() == Some(common.currency.as_str()));
        if let (Some(total), Some(mine)) = (total, mine.filter(|_| listed > 0)) {
            let (_, cents) = amount(&place, "TtlAmt", total)?;
            if i128::from(cents) != mine.abs() {
                let fault = format!("the file says {}, but the listed transactions add up to {}", Money::from_cents(cents), sum(mine.abs()));
                return Err(BankFileError::new(&place, "TtlAmt", fault));
            }
        }
    }
    Ok(())
}

/// One entry for the whole booking: of its only transaction, of none, or of several without amounts.
fn whole(all: &[&Node<'_>], common: &Common<'_>) -> Part {
    let Some(first) = all.first() else {
        return Part {
            place: common.place.to_owned(),
            cents: common.cents,
            kind: kind(common, None, &common.code, Money::from_cents(common.cents), None),
            code: common.code.clone(),
            bank_ref: common.bank_ref.clone(),
            references: Vec::new(),
            party_name: None,
            party_account: None,
            text: common.text.clone().unwrap_or_default(),
        };
    };
    let own = first.text(&["Refs", "AcctSvcrRef"]).as_deref().and_then(reference).filter(|_| all.len() == 1);
    let mut whole = part(first, common, common.place.to_owned(), common.cents, common.bank_ref.clone().or(own));
    for details in all.iter().skip(1).take(MOST_TOLD) {
        let next = part(details, common, String::new(), 0, None);
        whole.references.extend(next.references.into_iter().filter(|reference| !whole.references.contains(reference)).collect::<Vec<_>>());
        if !next.text.is_empty() && !whole.text.contains(&next.text) && whole.text.len() < 4000 {
            whole.text = format!("{}; {}", whole.text, next.text);
        }
        if whole.party_name != next.party_name {
            (whole.party_name, whole.party_account) = (None, None);
        }
    }
    if all.len() > 1 {
        let told = format!("{} transactions without amounts of their own", all.len());
        whole.text = if whole.text.is_empty() { told } else { format!("{}; {told}", whole.text) };
    }
    whole
}

fn charges(common: &Common<'_>, cents: i64) -> Part {
    let side = if cents < 0 { BankEntryKind::Debit } else { BankEntryKind::Credit };
    Part {
        place: format!("{}, Chrgs", common.place),
        cents,
        kind: if common.is_booked { side } else { BankEntryKind::Pending },
        code: "CHRG".to_owned(),
        bank_ref: common.bank_ref.as_ref().map(|whole| format!("{whole}/charges")),
        references: Vec::new(),
        party_name: None,
        party_account: None,
        text: "charges of the bank".to_owned(),
    }
}

fn part(details: &Node<'_>, common: &Common<'_>, place: String, cents: i64, bank_ref: Option<String>) -> Part {
    let code = details.child("BkTxCd").and_then(entry::code).unwrap_or_else(|| common.code.clone());
    let refs = |name: &str| details.text(&["Refs", name]).as_deref().and_then(reference);
    let original = refs("EndToEndId").or_else(|| refs("TxId")).or_else(|| refs("InstrId")).or_else(|| refs("ChqNb")).or_else(|| refs("MndtId"));
    let kind = kind(common, Some(details), &code, Money::from_cents(cents), original);
    let (party_name, party_account) = party(details, cents < 0, matches!(kind, BankEntryKind::Return { .. }));
    Part {
        place,
        cents,
        bank_ref,
        references: references(details),
        text: text(details, common, party_name.as_ref()),
        kind,
        code,
        party_name,
        party_account,
    }
}

/// End-to-end, then what the remittance information refers to, then the rest.
fn references(details: &Node<'_>) -> Vec<String> {
    let refs = |name: &'static str| details.text(&["Refs", name]);
    let structured = details.child("RmtInf").into_iter().flat_map(|remittance| remittance.all("Strd"));
    let structured = structured.flat_map(|one| {
        let invoices = one.all("RfrdDocInf").map(|document| document.text(&["Nb"]));
        std::iter::once(one.text(&["CdtrRefInf", "Ref"])).chain(invoices).collect::<Vec<_>>()
    });
    let all = std::iter::once(refs("EndToEndId")).chain(structured).chain(["TxId", "InstrId", "MndtId", "ChqNb"].map(refs));
    let mut found: Vec<String> = Vec::new();
    for one in all.flatten().filter_map(|text| reference(&text)) {
        if !found.contains(&one) && found.len() < MOST_TOLD {
            found.push(one);
        }
    }
    found
}

/// The other side: who paid us, or whom we paid. A returned payment keeps the roles of the payment, so that the other side of
/// money that goes back is the debtor, and of our own payment that comes back the creditor.
fn party(details: &Node<'_>, is_out: bool, is_return: bool) -> (Option<String>, Option<String>) {
    let Some(parties) = details.child("RltdPties") else {
        return (None, None);
    };
    let roles = if is_out == is_return {
        [("Dbtr", "DbtrAcct", "UltmtDbtr"), ("Cdtr", "CdtrAcct", "UltmtCdtr")]
    } else {
        [("Cdtr", "CdtrAcct", "UltmtCdtr"), ("Dbtr", "DbtrAcct", "UltmtDbtr")]
    };
    let [(role, account, ultimate), _] = roles;
    let named = parties.child(role).and_then(name).or_else(|| parties.child(ultimate).and_then(name));
    let id = parties.child(account).and_then(|account| account.child("Id"));
    let number = id.and_then(|id| id.text(&["IBAN"]).map(|iban| iban.replace(' ', "")).or_else(|| id.text(&["Othr", "Id"])));
    (named, number)
}

/// The name stands in the role itself (version 02), or below `Pty` or the agent's identification (version 08).
fn name(node: &Node<'_>) -> Option<String> {
    node.text(&["Nm"]).or_else(|| node.text(&["Pty", "Nm"])).or_else(|| node.text(&["Agt", "FinInstnId", "Nm"]))
}

fn text(details: &Node<'_>, common: &Common<'_>, party: Option<&String>) -> String {
    let remittance = details.child("RmtInf");
    let unstructured = remittance.into_iter().flat_map(|remittance| remittance.all("Ustrd")).filter_map(Node::own_text);
    let structured = remittance.into_iter().flat_map(|remittance| remittance.all("Strd"));
    let additional = structured.flat_map(|one| one.all("AddtlRmtInf").filter_map(Node::own_text).collect::<Vec<_>>());
    let returned = details.child("RtrInf").into_iter().flat_map(|returned| returned.all("AddtlInf").filter_map(Node::own_text).collect::<Vec<_>>());
    let parties = details.child("RltdPties");
    let roles = [("debtor", "Dbtr"), ("for", "UltmtDbtr"), ("creditor", "Cdtr"), ("for", "UltmtCdtr")];
    let others = roles.into_iter().filter_map(|(word, role)| {
        let name = parties.and_then(|parties| parties.child(role)).and_then(name)?;
        (party != Some(&name)).then(|| format!("{word} {name}"))
    });
    let (mut pieces, mut length): (Vec<String>, usize) = (Vec::new(), 0);
    let all = unstructured.chain(additional).chain(returned).chain(details.text(&["AddtlTxInf"])).chain(common.text.clone()).chain(others);
    for piece in all {
        // What is longer than a text may be is refused by its length: no need to gather more of it.
        if length <= LONGEST_TEXT_BYTES && !pieces.contains(&piece) {
            length += piece.len();
            pieces.push(piece);
        }
    }
    pieces.join("; ")
}
