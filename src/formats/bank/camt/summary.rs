//! What a statement says of itself: balances, and the counts and sums of its entries.

use super::super::text::{WITHOUT_CENTS, balance, digits, shown, sum};
use super::super::{BankFileError, ControlTotal};
use super::entry::{self, Booking, Side};
use super::xml::Node;
use crate::domain::money::Money;

/// Each sum of a code is compared with every entry: more kinds of booking than these no bank has.
const MOST_CODES: usize = 200;

/// A balance, in whatever currency it is.
pub struct Balance {
    place: String,
    code: String,
    currency: String,
    amount: String,
    side: Side,
}

impl Balance {
    pub fn of(place: &str, node: &Node<'_>) -> Result<Self, BankFileError> {
        let missing = |field: &str| BankFileError::new(place, field, "it is missing: the file is not complete");
        let amount = node.one(place, "Amt")?.ok_or_else(|| missing("Amt"))?;
        let kind = node.child("Tp").and_then(|kind| kind.child("CdOrPrtry")).ok_or_else(|| missing("Tp, CdOrPrtry"))?;
        Ok(Self {
            place: place.to_owned(),
            code: kind.text(&["Cd"]).or_else(|| kind.text(&["Prtry"])).ok_or_else(|| missing("Tp, CdOrPrtry, Cd"))?,
            currency: amount.ccy.as_deref().ok_or_else(|| missing("Amt, Ccy"))?.to_owned(),
            amount: amount.own_text().ok_or_else(|| missing("Amt"))?,
            side: Side::of(place, node)?,
        })
    }

    fn money(&self) -> Result<Money, BankFileError> {
        let cents = entry::whole_cents(&self.place, "Amt", &self.amount)?;
        balance(&self.place, "Amt", self.side.signed(cents))
    }
}

/// The currency of the booked balances of an account without currency and without entries.
pub fn currency_of(balances: &[Balance]) -> Option<String> {
    let booked = balances.iter().find(|balance| matches!(balance.code.as_str(), "CLBD" | "OPBD"));
    booked.map(|balance| balance.currency.clone()).filter(|code| code.len() == 3 && !WITHOUT_CENTS.contains(&code.as_str()))
}

/// The booked balances before and after, of those in the account's currency. Where a file gives two different ones of a kind
/// (the parts of a statement on several pages), it is not known which one counts.
pub fn opening_and_closing(balances: &[Balance], currency: &str) -> Result<(Option<Money>, Option<Money>), BankFileError> {
    let of = |code: &str| -> Result<Option<Money>, BankFileError> {
        let found = balances.iter().filter(|balance| balance.code == code && balance.currency == currency);
        let found = found.map(Balance::money).collect::<Result<Vec<_>, _>>()?;
        Ok(found.first().copied().filter(|first| found.iter().all(|other| other == first)))
    };
    let opening = match of("OPBD")? {
        Some(opening) => Some(opening),
        None => of("PRCD")?,
    };
    Ok((opening, of("CLBD")?))
}

/// Opening balance and booked entries must give the closing balance.
pub fn check_balances(
    place: &str,
    opening: Option<Money>,
    closing: Option<Money>,
    booked: &[Booking],
) -> Result<Option<ControlTotal>, BankFileError> {
    let (Some(opening), Some(closing)) = (opening, closing) else {
        return Ok(None);
    };
    let moved: i128 = booked.iter().filter(|booking| booking.is_booked).map(|booking| i128::from(booking.cents)).sum();
    let computed = i128::from(opening.cents()) + moved;
    if computed == i128::from(closing.cents()) {
        return Ok(ControlTotal::amount(place, "closing balance (Bal CLBD)", computed));
    }
    let fault = format!("the file says {closing}, but the opening balance {opening} and the booked entries {} give {}", sum(moved), sum(computed));
    Err(BankFileError::new(place, "closing balance (Bal CLBD)", fault))
}

/// The counts and sums that a statement gives of its entries.
pub struct Summary {
    rows: Vec<Row>,
}

struct Row {
    name: String,
    /// Which entries it is about.
    side: Option<Side>,
    code: Option<String>,
    count: Option<u64>,
    sum: Option<i128>,
    net: Option<i128>,
}

impl Summary {
    pub fn of(place: &str, node: &Node<'_>) -> Result<Self, BankFileError> {
        let mut rows = Vec::new();
        for (name, side) in [("TtlNtries", None), ("TtlCdtNtries", Some(Side::Credit)), ("TtlDbtNtries", Some(Side::Debit))] {
            if let Some(child) = node.one(place, name)? {
                rows.push(Row::of(place, format!("TxsSummry, {name}"), child, side, None)?);
            }
        }
        for (at, child) in node.all("TtlNtriesPerBkTxCd").enumerate() {
            let name = format!("TxsSummry, TtlNtriesPerBkTxCd {}", at + 1);
            if at >= MOST_CODES {
                return Err(BankFileError::new(place, name, format!("more than {MOST_CODES} sums of codes")));
            }
            rows.push(Row::of(place, name, child, None, child.child("BkTxCd").and_then(entry::code))?);
        }
        Ok(Self { rows })
    }

    pub fn check(&self, place: &str, booked: &[Booking]) -> Result<Vec<ControlTotal>, BankFileError> {
        let mut checked = Vec::new();
        for row in &self.rows {
            row.check(place, booked)?;
            checked.extend(row.count.map(|count| ControlTotal::count(place, &format!("{}, NbOfNtries", row.name), count)));
            checked.extend(row.sum.and_then(|sum| ControlTotal::amount(place, &format!("{}, Sum", row.name), sum)));
            checked.extend(row.net.and_then(|net| ControlTotal::amount(place, &format!("{}, TtlNetNtry", row.name), net)));
        }
        Ok(checked)
    }
}

impl Row {
    fn of(place: &str, name: String, node: &Node<'_>, side: Option<Side>, code: Option<String>) -> Result<Self, BankFileError> {
        let number = |field: &str| -> Result<Option<i128>, BankFileError> {
            node.text(&[field]).map(|text| entry::whole_cents(place, &format!("{name}, {field}"), &text)).transpose()
        };
        let count = node.text(&["NbOfNtries"]).map(|text| {
            let wrong = || BankFileError::new(place, format!("{name}, NbOfNtries"), format!("{} found; expected a whole number", shown(&text)));
            digits::<u64>(&text).ok_or_else(wrong)
        });
        let net = match node.child("TtlNetNtry") {
            Some(net) => {
                let amount = net.text(&["Amt"]).map(|text| entry::whole_cents(place, &format!("{name}, TtlNetNtry, Amt"), &text)).transpose()?;
                amount.map(|cents| Side::of(place, net).map(|side| side.signed(cents))).transpose()?
            }
            None => match (number("TtlNetNtryAmt")?, node.child("CdtDbtInd")) {
                (Some(cents), Some(_)) => Some(Side::of(place, node)?.signed(cents)),
                // Without a direction the size is all that is told.
                _ => None,
            },
        };
        let sum = number("Sum")?;
        Ok(Self { count: count.transpose()?, sum, net, side, code, name })
    }

    fn check(&self, place: &str, booked: &[Booking]) -> Result<(), BankFileError> {
        // A code of the summary may be of a whole family of the entries' codes.
        let belongs = |found: &str, code: &str| found.strip_prefix(code).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let of_code = |booking: &&Booking| self.code.as_ref().is_none_or(|code| belongs(&booking.code, code));
        let of_side = |booking: &&Booking| self.side.is_none_or(|side| booking.side == side);
        let mine: Vec<&Booking> = booked.iter().filter(of_code).filter(of_side).collect();
        let wrong = |field: &str, found: String, computed: String| {
            let fault = format!("the file says {found}, but its entries give {computed}");
            Err(BankFileError::new(place, format!("{}, {field}", self.name), fault))
        };
        let counted = u64::try_from(mine.len()).unwrap_or(u64::MAX);
        if let Some(count) = self.count.filter(|count| *count != counted) {
            return wrong("NbOfNtries", count.to_string(), counted.to_string());
        }
        let total: i128 = mine.iter().map(|booking| i128::from(booking.cents).abs()).sum();
        if let Some(found) = self.sum.filter(|found| *found != total) {
            return wrong("Sum", sum(found), sum(total));
        }
        let moved: i128 = mine.iter().map(|booking| i128::from(booking.cents)).sum();
        if let Some(found) = self.net.filter(|found| *found != moved) {
            return wrong("TtlNetNtry", sum(found), sum(moved));
        }
        Ok(())
    }
}
