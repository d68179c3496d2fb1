//! The differences as a CSV file: one row for each, with the rows of both sides beside each other.

use std::io::Write;

use super::view::{DifferenceView, differences};
use crate::actions::{ActionError, Context};
use crate::db::reconciliation::DifferenceFilter;
use crate::domain::money::Money;
use crate::domain::reconciliation::SideRow;

/// The columns of the file.
pub const HEADER: [&str; 14] = [
    "day",
    "kind",
    "account",
    "reference",
    "ledger",
    "provider",
    "bank",
    "apart",
    "our_rows",
    "their_rows",
    "cause",
    "action",
    "first_seen_at",
    "last_seen_at",
];

/// So many rows are read at a time.
const PAGE: usize = 1_000;

/// Writes the differences that are there, newest day first. Returns the number of rows.
///
/// # Errors
/// Those of the database and of writing.
pub fn export_differences(context: &Context, filter: &DifferenceFilter<'_>, out: &mut dyn Write) -> Result<u64, ActionError> {
    let failed = |error: csv::Error| ActionError::File { path: "the export".to_owned(), source: std::io::Error::other(error) };
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(HEADER).map_err(failed)?;
    let (mut filter, mut written) = (*filter, 0);
    loop {
        let (rows, next) = differences(context, &filter, PAGE)?;
        for row in &rows {
            writer.write_record(record(row)).map_err(failed)?;
            written += 1;
        }
        match next {
            Some(next) => filter.after = Some(next),
            None => break,
        }
    }
    writer.flush().map_err(|source| ActionError::File { path: "the export".to_owned(), source })?;
    Ok(written)
}

fn record(row: &DifferenceView) -> [String; 14] {
    let money = |amount: Option<Money>| amount.map(|amount| amount.to_string()).unwrap_or_default();
    [
        row.day.to_string(),
        row.kind.as_str().to_owned(),
        plain(row.about().unwrap_or_default()),
        plain(&row.reference),
        money(row.ledger),
        money(row.provider),
        money(row.bank),
        row.detail.gap.to_string(),
        plain(&lines(&row.ours())),
        plain(&lines(&row.theirs())),
        plain(&row.detail.cause),
        row.detail.action.as_str().to_owned(),
        row.first_seen_at.to_string(),
        row.last_seen_at.to_string(),
    ]
}

fn lines(rows: &[&SideRow]) -> String {
    let line = |row: &&SideRow| {
        let amount = row.amount.map(|amount| format!(" {amount}")).unwrap_or_default();
        let account = row.account.as_ref().map(|account| format!(" ({account})")).unwrap_or_default();
        format!("{} {} {}{amount}{account}", row.on, row.what, row.reference)
    };
    rows.iter().map(line).collect::<Vec<_>>().join("; ")
}

/// Text that others chose, so that no spreadsheet takes it for a formula.
fn plain(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_others_wrote_is_a_formula() {
        for (text, expected) in [("pi_1", "pi_1"), ("=HYPERLINK(1)", "'=HYPERLINK(1)"), ("@x", "'@x"), ("-1", "'-1"), ("", "")] {
            assert_eq!(plain(text), expected);
        }
    }
}
