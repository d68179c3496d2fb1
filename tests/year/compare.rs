//! Bill by bill: what the program issued beside what it should have.

use aquabills::actions::show_bill::{BillView, show_bill};
use aquabills::db::billing::{self, bill_number};
use aquabills::domain::ids::AccountId;

use crate::model::{Bill, Segment, Town as Model};
use crate::teller::Teller;

/// Everything in which the program's town and the model's differ.
pub fn differences(teller: &Teller, model: &Model) -> Vec<String> {
    let mut found = Vec::new();
    let bills = every_bill(teller);
    for account in model.accounts() {
        let ours: Vec<&(BillView, i64)> = bills.iter().filter(|(bill, _)| bill.account == *account).collect();
        let theirs: Vec<&Bill> = model.bills.iter().filter(|bill| bill.account == *account).collect();
        if ours.len() != theirs.len() {
            found.push(format!("{account}: {} bills, expected {}", ours.len(), theirs.len()));
        }
        for ((ours, tax), theirs) in ours.into_iter().zip(theirs) {
            bill(ours, theirs, &mut found);
            taxes(ours, *tax, theirs, &mut found);
        }
        let (balance, expected) = (teller.town.balance(account), shown(model.balance(account)));
        if balance != expected {
            found.push(format!("{account}: balance {balance}, expected {expected}"));
        }
    }
    runs(teller, model, &mut found);
    found
}

/// Every bill with the tax in it, also those taken back, by account in the order in which they were issued.
pub fn every_bill(teller: &Teller) -> Vec<(BillView, i64)> {
    let context = &teller.town.context;
    let rows = context.database.read(|conn| billing::bills_in_range(conn, AccountId(0), AccountId(i64::MAX))).expect("the bills are read");
    let view = |row: &billing::BillRow| show_bill(context, &bill_number(row.run_id, row.account_id)).expect("the bill is shown");
    rows.iter().map(|row| (view(row), row.tax_cents)).collect()
}

/// Taxes are cents of lines that add up to the total: each is within a cent of the exact one, for each period on the bill.
fn taxes(ours: &BillView, tax_cents: i64, theirs: &Bill, found: &mut Vec<String>) {
    let settled: usize = ours.segments.iter().filter_map(|segment| segment.inputs.settles.as_ref()).map(|settles| 2 * settles.periods.len()).sum();
    let periods = i128::try_from(ours.segments.len() + settled).expect("a count");
    if (i128::from(tax_cents) * 1_000_000 - theirs.tax_micro).abs() >= periods * 1_000_000 {
        found.push(format!("{} of {}: tax {}, expected {} millionths of a cent", ours.account, ours.bill_on, tax_cents, theirs.tax_micro));
    }
}

pub fn shown(cents: i128) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
}

fn bill(ours: &BillView, theirs: &Bill, found: &mut Vec<String>) {
    let name = format!("{} of {}", ours.account, ours.bill_on);
    let mut segments: Vec<Segment> = ours.segments.iter().map(segment_of).collect();
    segments.sort();
    if segments != theirs.segments {
        let differ = |a: &[Segment], b: &[Segment]| a.iter().filter(|one| !b.contains(one)).map(|one| format!("\n      {one:?}")).collect::<String>();
        found.push(format!("{name}: segments{}\n    expected{}", differ(&segments, &theirs.segments), differ(&theirs.segments, &segments)));
    }
    let mut amount = |what: &str, ours: i64, theirs: i128| {
        if i128::from(ours) != theirs {
            found.push(format!("{name}: {what} {}, expected {}", shown(ours.into()), shown(theirs)));
        }
    };
    amount("previous balance", ours.previous_balance_cents, theirs.previous);
    amount("payments", ours.payments_cents, theirs.payments);
    amount("adjustments", ours.adjustments_cents, theirs.adjustments);
    amount("charges", ours.charges_cents, theirs.charges());
    amount("amount due", ours.amount_due_cents, theirs.due);
    for segment in &ours.segments {
        let lines: i64 = segment.lines.iter().map(|line| line.amount_cents.cents()).sum();
        amount("the lines' sum", lines, segment.total_cents.into());
    }
    let last = ours.last_payment.as_ref().map(|last| (i128::from(last.amount_cents), last.effective_on, last.reference.clone()));
    if last != theirs.last_payment {
        found.push(format!("{name}: last payment {last:?}, expected {:?}", theirs.last_payment));
    }
    if (ours.bill_on, ours.status.as_str()) != (theirs.on, if theirs.cancelled { "cancelled" } else { "issued" }) {
        found.push(format!("{name}: {} of {}, expected cancelled {} of {}", ours.status, ours.bill_on, theirs.cancelled, theirs.on));
    }
}

fn segment_of(segment: &aquabills::actions::show_bill::SegmentView) -> Segment {
    Segment {
        service: segment.service_id.clone(),
        start: segment.inputs.start_on,
        end: segment.inputs.end_on,
        usage_milli: thousandths(&segment.usage),
        cents: segment.total_cents.into(),
    }
}

fn thousandths(text: &str) -> i128 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{part:0<3}").parse().expect("a usage")
}

/// Nobody is forgotten (P6), and each run counted what the model did.
fn runs(teller: &Teller, model: &Model, found: &mut Vec<String>) {
    if teller.reports.len() != model.counts.len() {
        found.push(format!("{} runs, expected {}", teller.reports.len(), model.counts.len()));
    }
    for (report, counts) in teller.reports.iter().zip(&model.counts) {
        let totals = report.totals;
        let ours = [totals.due, totals.billed, totals.held, totals.excluded, totals.bills, totals.segments].map(i128::from);
        let theirs = [counts.due, counts.billed, counts.held, counts.excluded, counts.bills, counts.segments];
        let theirs = theirs.map(|count| i128::try_from(count).expect("a count"));
        if ours != theirs || i128::from(totals.total_cents) != counts.cents {
            found.push(format!("run {:?}: {ours:?} {}, expected {theirs:?} {}", report.run_id, totals.total_cents, counts.cents));
        }
        if totals.billed + totals.held + totals.excluded != totals.due || totals.recomputed != totals.segments || totals.recomputed_wrong != 0 {
            found.push(format!("run {:?}: {totals:?}", report.run_id));
        }
    }
}
