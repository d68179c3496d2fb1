//! One bill in full, for its customer and for staff, on a screen and on paper.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use askama::Template;

use crate::actions::Context;
use crate::actions::account_view::Activity;
use crate::actions::autopay::view::DrawView;
use crate::actions::show_bill::{BillView, RatePart, SegmentView, show_bill_to};
use crate::actions::sign_in::looked_at;
use crate::domain::billing::CORRECTION;
use crate::domain::metering::{ReadKind, Span};
use crate::domain::quantity::from_milli;
use crate::domain::rates::ChargeLine;
use crate::domain::roles::Permission;
use crate::domain::winter::WinterQuarter;
use crate::web::error::PageError;
use crate::web::frame::{Frame, act, page};
use crate::web::pages::customers::autopay::DrawLine;
use crate::web::pages::customers::{account_link, told, whose};
use crate::web::pages::payments::pay_link;
use crate::web::text::{self, Currency, Day, Unbroken};
use crate::web::viewer::Viewer;

#[derive(Template)]
#[template(path = "billing/bill.html")]
struct BillPage {
    frame: Frame,
    number: String,
    /// Whether every service of it ended.
    is_final: bool,
    /// Whether a part of it rests on an estimate.
    estimated: bool,
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
    /// What the account owes now, when something was posted since.
    balance_now: Option<BalanceNow>,
    /// `is` due, or `was`.
    is_due: &'static str,
    deducted: Option<Deducted>,
    cut_off_seq: i64,
    cancelled: Option<CancelledView>,
    segments: Vec<SegmentPart>,
    /// What autopay does about it.
    draw: Option<DrawPart>,
    /// How it is held back from collection.
    held: Option<String>,
    /// Where staff holds it.
    hold_link: Option<String>,
    /// Where staff cancels it, or bills it anew.
    rebill_link: Option<String>,
    /// The bill that came for it.
    replaced: Option<String>,
    how_to_pay: String,
    /// Where anybody can pay it, in full, for paper; none where nothing is paid online.
    pay_address: Option<String>,
    /// Where its customer pays it.
    pay_link: Option<String>,
}

/// What came of the account since the bill.
struct BalanceNow {
    amount: String,
    /// Whether anything is to be paid.
    owed: bool,
}

impl BillPage {
    /// Whether what the bill asked for is through, and nothing else is to be paid.
    fn is_settled(&self) -> bool {
        self.balance_now.as_ref().is_some_and(|now| !now.owed)
    }
}

/// The draw of the bill, and from what.
struct DrawPart {
    line: DrawLine,
    will_be_drawn: bool,
    method: String,
}

impl DrawPart {
    fn new(draw: &DrawView, currency: &Currency) -> Self {
        let method = draw.method.clone().unwrap_or_default();
        Self { line: DrawLine::new(draw, currency), will_be_drawn: draw.will_be_drawn(), method }
    }
}

/// The last payment that is in the bill.
struct Deducted {
    /// Whether it came since the bill before.
    is_new: bool,
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
    note: Option<Unbroken>,
    amount: String,
}

impl EntryLine {
    fn new(row: &Activity, currency: &Currency) -> Self {
        let (words, note) = told(&row.story);
        Self { day: Day(row.effective_on), words, note: note.map(Unbroken), amount: currency.money(row.amount_cents) }
    }
}

/// One service's charges for one period.
struct SegmentPart {
    service_id: String,
    /// `Water`, `Sewer`.
    service: &'static str,
    /// Whether the service ended with it.
    is_last: bool,
    /// How the read that closes it was estimated, when it was.
    estimated: Option<Estimated>,
    /// The winter that it is charged by.
    winter: Option<WinterWords>,
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

/// The lines of one tariff version, or of one sort.
#[derive(Default)]
struct LineGroup {
    title: Option<RateDays>,
    /// `Discounts`, `Taxes`.
    sort: Option<&'static str>,
    /// What a customer may ask about it.
    explained: Option<String>,
    lines: Vec<LineView>,
}

/// An estimate that closes a period.
struct Estimated {
    on: Day,
    /// How it was made.
    basis: Option<String>,
}

/// The winter whose use is charged.
struct WinterWords {
    days: String,
    year: i32,
    /// What was counted in it.
    counted: Option<String>,
}

impl WinterWords {
    fn new(winter: &WinterQuarter, unit: &str) -> Self {
        let plain = winter.spans.iter().all(|span| span.register.multiplier_milli == 1000 && span.register.unit.is_none());
        let counted: i64 = winter.spans.iter().map(|span| span.register.counted_milli(span.from_milli, span.to_milli).0).sum();
        let counted = plain.then(|| format!("{} {unit}", text::quantity(counted)));
        Self { days: text::plural(i64::from(winter.days), "day"), year: winter.year, counted }
    }
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
    let mut shown = BillPage::new(Frame::new(&context, Some(&viewer), active), &bill, &context);
    shown.rebill_link =
        (viewer.may(Permission::WorkAccounts) && bill.cancelled.is_none()).then(|| format!("/staff/bills/{}/rebill", bill.bill_number));
    shown.hold_link = viewer.may(Permission::WorkAccounts).then(|| format!("/staff/bills/{}/hold", bill.bill_number));
    shown.pay_link = pay_link(&context, &bill.account).filter(|_| !viewer.is_staff() && bill.balance_now_cents > 0);
    page(StatusCode::OK, &shown)
}

impl BillPage {
    fn new(frame: Frame, bill: &BillView, context: &Context) -> Self {
        let currency = Currency::new(&context.config.currency);
        Self {
            frame,
            number: bill.bill_number.clone(),
            is_final: !bill.segments.is_empty() && bill.segments.iter().all(|segment| segment.is_last),
            estimated: bill.segments.iter().any(|segment| segment.inputs.is_estimated()),
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
            balance_now: bill.moved_since.then(|| BalanceNow { amount: currency.balance(bill.balance_now_cents), owed: bill.balance_now_cents > 0 }),
            is_due: if bill.due_on < context.today() { "was" } else { "is" },
            deducted: bill.last_payment.as_ref().map(|payment| Deducted {
                is_new: bill.payments_cents < 0,
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
            draw: bill.draw.as_ref().map(|draw| DrawPart::new(draw, &currency)),
            held: (!bill.held.is_empty()).then(|| bill.held.join(" and ")),
            hold_link: None,
            rebill_link: None,
            replaced: bill.replaced_by.clone(),
            how_to_pay: context.config.how_to_pay.clone(),
            pay_address: context.providers.first().map(|_| format!("{}/pay/guest", context.config.public_url.trim_end_matches('/'))),
            pay_link: None,
        }
    }
}

/// Whether anything but payments happened, though it may have come to nothing.
fn has_adjustments(bill: &BillView) -> bool {
    use crate::actions::account_view::Story::{Correction, Payment, PaymentReversal, Refund};
    bill.since.iter().any(|row| !matches!(row.story, Payment { .. } | PaymentReversal { .. } | Correction { .. } | Refund { .. }))
}

impl SegmentPart {
    fn new(segment: &SegmentView, currency: &Currency) -> Self {
        let inputs = &segment.inputs;
        Self {
            service_id: segment.service_id.clone(),
            service: text::service(&segment.schedule),
            is_last: segment.is_last,
            estimated: estimated(segment),
            winter: inputs.winter.as_ref().map(|winter| WinterWords::new(winter, &segment.unit)),
            address: segment.address.clone(),
            rate: text::words(&inputs.rate_class),
            start_on: Day(inputs.start_on),
            end_on: Day(inputs.end_on),
            days: text::plural(segment.days, "day"),
            usage: grouped(&segment.usage),
            unit: segment.unit.clone(),
            unit_in_full: text::unit_in_full(&segment.unit),
            reads: inputs.spans.iter().map(ReadLine::new).collect(),
            rate_days: if segment.rates.len() > 1 { segment.rates.iter().map(RateDays::new).collect() } else { Vec::new() },
            groups: groups(segment, currency),
            total: currency.money(segment.total_cents),
            terms: inputs.attributes.iter().map(|(name, value)| (text::words(name), value.to_owned())).collect(),
        }
    }
}

/// The estimate that closes a period, when one does.
fn estimated(segment: &SegmentView) -> Option<Estimated> {
    let inputs = &segment.inputs;
    let span = inputs.spans.iter().find(|span| span.kind == ReadKind::Estimated && span.to_on == inputs.end_on)?;
    Some(Estimated { on: Day(span.to_on), basis: segment.bases.get(&span.to_read).map(|basis| text::with_dates(basis)) })
}

/// A decimal text with commas between its thousands.
fn grouped(number: &str) -> String {
    number.parse().map_or_else(|_| number.to_owned(), |number| text::decimal(number, 3))
}

impl ReadLine {
    fn new(span: &Span) -> Self {
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
    let (corrections, charges): (Vec<_>, Vec<_>) = segment.lines.iter().partition(|line| line.part == CORRECTION);
    let mut groups: Vec<LineGroup> =
        by_rates(segment, &charges).into_iter().flat_map(|(title, lines)| by_sort(title, &lines, segment, currency)).collect();
    if !corrections.is_empty() {
        let lines = corrections.iter().map(|line| LineView::new(line, segment, currency)).collect();
        groups.push(LineGroup { sort: Some("Corrections"), explained: Some(explained(segment)), lines, title: None });
    }
    groups
}

/// What a correction is, in one sentence.
fn explained(segment: &SegmentView) -> String {
    let periods = segment.inputs.settles.as_ref().map_or(&[][..], |settles| settles.periods.as_slice());
    let which = match periods {
        [one] => format!("The bill for {} to {} was an estimate", text::whole_date(one.start_on), text::whole_date(one.end_on)),
        _ => "Earlier bills were estimates".to_owned(),
    };
    format!("{which}. The meter has been read since, so it is known what was used: the difference is settled here.")
}

/// The sort of a line that is no plain charge.
fn sort_of(line: &ChargeLine) -> Option<&'static str> {
    match line.part.split_once(':').map_or(line.part.as_str(), |(sort, _)| sort) {
        "minimum" => Some("Minimum"),
        "discount" => Some("Discounts"),
        "fee" => Some("Fees"),
        "tax" => Some("Taxes"),
        _ => None,
    }
}

/// Lines that follow each other and are of one sort stand together.
fn by_sort(title: Option<RateDays>, lines: &[&ChargeLine], segment: &SegmentView, currency: &Currency) -> Vec<LineGroup> {
    let mut groups: Vec<LineGroup> = Vec::new();
    for line in lines {
        let (sort, view) = (sort_of(line), LineView::new(line, segment, currency));
        match groups.last_mut() {
            Some(group) if group.sort == sort => group.lines.push(view),
            _ => groups.push(LineGroup { sort, lines: vec![view], ..LineGroup::default() }),
        }
    }
    if let Some(first) = groups.first_mut() {
        first.title = title;
    }
    groups
}

fn by_rates<'a>(segment: &SegmentView, lines: &[&'a ChargeLine]) -> Vec<(Option<RateDays>, Vec<&'a ChargeLine>)> {
    let mut parts: Vec<Vec<&'a ChargeLine>> = vec![Vec::new()];
    let mut seen = BTreeSet::new();
    for line in lines {
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
        return vec![(None, lines.to_vec())];
    }
    parts.into_iter().zip(&segment.rates).map(|(lines, rate)| (Some(RateDays::new(rate)), lines)).collect()
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
            None if line.part == CORRECTION => text::with_money(&text::with_dates(&line.label), currency),
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
