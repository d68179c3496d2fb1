//! A list of cheques for positive pay: the bank pays what stands in it, with this number, amount and payee, and nothing else.
//!
//! CSV with a header; `issue` is a cheque to be paid, `void` one that is not. The last line has the counts and sums of both.

use chrono::NaiveDate;

/// A line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cheque {
    /// Its number.
    pub number: i64,
    /// Whether it is not to be paid.
    pub void: bool,
    /// Our name of the refund.
    pub reference: String,
    /// The account's number.
    pub account: String,
    /// How much, in cents.
    pub amount_cents: i64,
    /// Who is paid.
    pub name: String,
    /// Where it is sent.
    pub address: String,
}

/// Writes the list.
///
/// # Errors
/// When a line cannot be written as CSV.
pub fn write(issued_on: NaiveDate, bank_account: &str, cheques: &[Cheque]) -> Result<String, csv::Error> {
    let mut out = csv::Writer::from_writer(Vec::new());
    let money = |cents: i64| crate::domain::money::Money::from_cents(cents).to_string();
    let day = issued_on.to_string();
    out.write_record(["record", "bank_account", "cheque_number", "issued_on", "amount", "payee", "address", "account", "reference"])?;
    for cheque in cheques {
        let record = if cheque.void { "void" } else { "issue" };
        let (number, amount) = (cheque.number.to_string(), money(cheque.amount_cents));
        // A payee whose name a spreadsheet would take for a formula is still a name.
        out.write_record([record, bank_account, &number, &day, &amount, &cheque.name, &cheque.address, &cheque.account, &cheque.reference])?;
    }
    for (record, void) in [("total issue", false), ("total void", true)] {
        let of: Vec<&Cheque> = cheques.iter().filter(|cheque| cheque.void == void).collect();
        let amount = money(of.iter().map(|cheque| cheque.amount_cents).sum());
        out.write_record([record, bank_account, &of.len().to_string(), &day, &amount, "", "", "", ""])?;
    }
    let bytes = out.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
