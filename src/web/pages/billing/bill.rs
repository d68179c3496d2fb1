//! One bill in full, for its customer and for staff, on a screen and on paper.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use askama::Template;

use crate::actions::Context;
use crate::actions::account_view::Activity;
use crate::actions::show_bill::{BillView, RatePart, SegmentView, show_bill_to};
use crate::actions::sign_in::looked_at;
use crate::domain::metering::{ReadKind, Span};
use crate::domain::quantity::from_milli;
use crate::domain::rates::ChargeLine;
use crate::web::error::PageError;
use crate::web::frame::{Frame, act, page};
use crate::web::pages::customers::{account_link, told, whose};
use crate::web::text::{self, Currency, Day};
use crate::web::viewer::Viewer;

#[derive(Template)]
#[template(path = "billing/bill.html")]
struct BillPage {
    frame: Frame,
    number: String,
    account: String,
    account_link: String,
    name: String,
    address: Option<String>,
    bill_on: Day,
    due_on: Day,
    previous_balance: String,
    entries: Vec<EntryLine>,
    payments: String,
    adjustments: Option<String>,
    charges: String,
    amount_due: String,
    /// Whether something is to be paid.
    owed: bool,
    /// What the account owes now, when that is another amount.
    balance_now: Option<String>,
    deducted: Option<Deducted>,
    cut_off_seq: i64,
    cancelled: Option<CancelledView>,
    segments: Vec<SegmentPart>,
    how_to_pay: String,
}

/// The last payment that is in the bill.
struct Deducted {
    amount: String,
    on: Day,
    reference: String,
}

/// How the bill was taken back.
struct CancelledView {
    on: Day,
    amount: String,
    seq: i64,
}

/// A payment or change between two bills.
struct EntryLine {
    day: Day,
    words: String,
    note: Option<String>,
    amount: String,
}

impl EntryLine {
    fn new(row: &Activity, currency: &Currency) -> Self {
        let (words, note) = told(&row.story);
        Self { day: Day(row.effective_on), words, note, amount: currency.money(row.amount_cents) }
    }
}

/// One service's charges for one period.
struct SegmentPart {
    service_id: String,
    address: String,
    rate: String,
    start_on: Day,
    end_on: Day,
    days: String,
    usage: String,
    unit: String,
    unit_in_full: Option<&'static str>,
    reads: Vec<ReadLine>,
    /// The days at each rate; empty when one rate held all the time.
    rate_days: Vec<RateDays>,
    groups: Vec<LineGroup>,
    total: String,
    /// What of the account its price depends on.
    terms: Vec<(String, String)>,
}

/// What a meter's register counted.
struct ReadLine {
    from_on: Day,
    from: String,
    to_on: Day,
    to: String,
    kind: &'static str,
    /// How it was estimated.
    basis: Option<String>,
    estimated: bool,
    days: String,
    counted: String,
    /// `× 10`, and the register's own unit.
    multiplier: Option<String>,
}

/// The days at one rate.
#[derive(Clone)]
struct RateDays {
    days: String,
    from: Day,
}

/// The lines of one tariff version.
struct LineGroup {
    title: Option<RateDays>,
    lines: Vec<LineView>,
}

/// One line of a charge.
struct LineView {
    label: String,
    working: Option<String>,
    amount: String,
}

/// `GET /bills/{number}`: a bill of somebody else is as absent as one that does not exist.
pub(super) async fn bill(context: Data<Context>, viewer: Viewer, number: Path<String>) -> Result<HttpResponse, PageError> {
    let whose = whose(&viewer)?;
    let acting = viewer.acting(&context);
    let number = number.into_inner();
    let bill = act(move || {
        let bill = show_bill_to(&acting, &number, whose)?;
        looked_at(&acting, &bill.account)?;
        Ok(bill)
    })
    .await?;
    let active = if viewer.is_staff() { "/staff" } else { "/account" };
    page(StatusCode::OK, &BillPage::new(Frame::new(&context, Some(&viewer), active), &bill, &context))
}

impl BillPage {
    fn new(frame: Frame, bill: &BillView, context: &Context) -> Self {
        let currency = Currency::new(&context.config.currency);
        let owes_otherwise = bill.balance_now_cents != bill.amount_due_cents;
        Self {
            frame,
            number: bill.bill_number.clone(),
            account: bill.account.clone(),
            account_link: account_link(&bill.account),
            name: bill.name.clone(),
            address: bill.mailing_address.clone(),
            bill_on: Day(bill.bill_on),
            due_on: Day(bill.due_on),
            previous_balance: currency.balance(bill.previous_balance_cents),
            entries: bill.since.iter().map(|row| EntryLine::new(row, &currency)).collect(),
            payments: currency.money(bill.payments_cents),
            adjustments: (bill.adjustments_cents != 0 || has_adjustments(bill)).then(|| currency.money(bill.adjustments_cents)),
            charges: currency.money(bill.charges_cents),
            amount_due: currency.balance(bill.amount_due_cents),
            owed: bill.amount_due_cents > 0,
            balance_now: owes_otherwise.then(|| currency.balance(bill.balance_now_cents)),
            deducted: bill.last_payment.as_ref().map(|payment| Deducted {
                amount: currency.money(payment.amount_cents),
                on: Day(payment.effective_on),
                reference: payment.reference.clone(),
            }),
            cut_off_seq: bill.cut_off_seq,
            cancelled: bill.cancelled.as_ref().map(|cancelled| CancelledView {
                on: Day(cancelled.effective_on),
                amount: currency.money(cancelled.amount_cents),
                seq: cancelled.account_seq,
            }),
            segments: bill.segments.iter().map(|segment| SegmentPart::new(segment, &currency)).collect(),
            how_to_pay: context.config.how_to_pay.clone(),
        }
    }
}

/// Whether anything but payments happened, though it may have come to nothing.
fn has_adjustments(bill: &BillView) -> bool {
    use crate::actions::account_view::Story::{Payment, PaymentReversal};
    bill.since.iter().any(|row| !matches!(row.story, Payment { .. } | PaymentReversal { .. }))
}

impl SegmentPart {
    fn new(segment: &SegmentView, currency: &Currency) -> Self {
        let inputs = &segment.inputs;
        Self {
            service_id: segment.service_id.clone(),
            address: segment.address.clone(),
            rate: text::words(&inputs.rate_class),
            start_on: Day(inputs.start_on),
            end_on: Day(inputs.end_on),
            days: text::plural(segment.days, "day"),
            usage: grouped(&segment.usage),
            unit: segment.unit.clone(),
            unit_in_full: text::unit_in_full(&segment.unit),
            reads: inputs.spans.iter().map(|span| ReadLine::new(span, segment)).collect(),
            rate_days: if segment.rates.len() > 1 { segment.rates.iter().map(RateDays::new).collect() } else { Vec::new() },
            groups: groups(segment, currency),
            total: currency.money(segment.total_cents),
            terms: inputs.attributes.iter().map(|(name, value)| (text::words(name), value.to_owned())).collect(),
        }
    }
}

/// A decimal text with commas between its thousands.
fn grouped(number: &str) -> String {
    number.parse().map_or_else(|_| number.to_owned(), |number| text::decimal(number, 3))
}

impl ReadLine {
    fn new(span: &Span, segment: &SegmentView) -> Self {
        let estimated = span.kind == ReadKind::Estimated;
        let multiplier = (span.register.multiplier_milli != 1000).then(|| format!("× {}", from_milli(span.register.multiplier_milli)));
        let unit = span.register.unit.clone();
        let (counted, _) = span.register.counted_milli(span.from_milli, span.to_milli);
        Self {
            from_on: Day(span.from_on),
            from: text::quantity(span.from_milli),
            to_on: Day(span.to_on),
            to: text::quantity(span.to_milli),
            kind: text::read_kind(span.kind),
            basis: segment.bases.get(&span.to_read).filter(|_| estimated).map(|basis| text::with_dates(basis)),
            estimated,
            days: text::plural((span.to_on - span.from_on).num_days(), "day"),
            counted: text::quantity(counted),
            multiplier: match (multiplier, unit) {
                (Some(multiplier), Some(unit)) => Some(format!("{multiplier} {unit}")),
                (multiplier, unit) => multiplier.or(unit),
            },
        }
    }
}

/// The lines by tariff version. They come version by version: one that repeats a line begins the next. When that does
/// not give as many parts as there are versions, the lines stay together.
fn groups(segment: &SegmentView, currency: &Currency) -> Vec<LineGroup> {
    let mut parts: Vec<Vec<&ChargeLine>> = vec![Vec::new()];
    let mut seen = BTreeSet::new();
    for line in &segment.lines {
        let name = (line.part.as_str(), line.tier.map(|tier| tier.number));
        if segment.rates.len() > 1 && !seen.insert(name) {
            seen = BTreeSet::from([name]);
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(line);
        }
    }
    if parts.len() != segment.rates.len() || parts.len() == 1 {
        let lines = segment.lines.iter().map(|line| LineView::new(line, segment, currency)).collect();
        return vec![LineGroup { title: None, lines }];
    }
    let group = |(lines, rate): (&Vec<&ChargeLine>, &RatePart)| LineGroup {
        title: Some(RateDays::new(rate)),
        lines: lines.iter().map(|line| LineView::new(line, segment, currency)).collect(),
    };
    parts.iter().zip(&segment.rates).map(group).collect()
}

impl RateDays {
    fn new(part: &RatePart) -> Self {
        Self { days: text::plural(i64::from(part.days), "day"), from: Day(part.effective_on) }
    }
}

impl LineView {
    fn new(line: &ChargeLine, segment: &SegmentView, currency: &Currency) -> Self {
        let unit = &segment.unit;
        let label = match line.tier {
            None => text::words(&line.label),
            Some(tier) => {
                let from = text::decimal(tier.from, 3);
                let block = match tier.to {
                    Some(to) if tier.from.is_zero() => format!("up to {} {unit}", text::decimal(to, 3)),
                    Some(to) => format!("{from} to {} {unit}", text::decimal(to, 3)),
                    None if tier.from.is_zero() => "all usage".to_owned(),
                    None => format!("above {from} {unit}"),
                };
                format!("{}, tier {}: {block}", text::words(&line.label), tier.number)
            }
        };
        let working = line.quantity.zip(line.price).map(|(quantity, price)| format!("{} × {}", text::decimal(quantity, 3), currency.price(price)));
        Self { label, working, amount: currency.money(line.amount_cents.cents()) }
    }
}
