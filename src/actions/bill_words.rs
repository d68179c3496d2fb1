//! A bill in words: what its page and its paper both say. Both are made from this, so that no figure and no sentence can be on
//! one and not on the other. What belongs here: which lines there are and what they say. What does not: how they look.

use std::collections::BTreeSet;

use chrono::NaiveDate;

use super::Context;
use super::account_view::{Activity, Story, told};
use super::autopay::view::draw_words;
use super::show_bill::{BillView, RatePart, SegmentView};
use crate::domain::billing::CORRECTION;
use crate::domain::metering::{ReadKind, Span};
use crate::domain::quantity::from_milli;
use crate::domain::rates::ChargeLine;
use crate::domain::winter::WinterQuarter;
use crate::domain::wording::{self, Currency};

/// Everything that a bill says of itself. Amounts are texts with their currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillWords {
    /// Its number.
    pub number: String,
    /// Whether every service of it ended.
    pub is_final: bool,
    /// Whether a part of it rests on an estimate.
    pub estimated: bool,
    /// The account's number.
    pub account: String,
    /// The customer's name.
    pub name: String,
    /// Where paper goes.
    pub address: Option<String>,
    /// Its date.
    pub bill_on: NaiveDate,
    /// When it is due.
    pub due_on: NaiveDate,
    /// The balance after the bill before.
    pub previous_balance: String,
    /// Payments and changes since, oldest first.
    pub entries: Vec<EntryWords>,
    /// Payments since, together.
    pub payments: String,
    /// Everything else since, together, when there was any.
    pub adjustments: Option<String>,
    /// The charges of this bill.
    pub charges: String,
    /// What is to be paid.
    pub amount_due: String,
    /// Whether something is to be paid.
    pub owed: bool,
    /// The last payment that is in it.
    pub deducted: Option<Deducted>,
    /// The ledger position that it was cut off at.
    pub cut_off_seq: i64,
    /// How it was taken back, when it was.
    pub cancelled: Option<CancelledWords>,
    /// One part for each agreement and period.
    pub segments: Vec<SegmentWords>,
    /// What autopay does about it.
    pub draw: Option<DrawWords>,
    /// How it is held back from collection.
    pub held: Option<String>,
    /// How the account stands by now, when something was posted since the bill.
    pub now: Option<NowWords>,
    /// How customers pay, in the utility's own words.
    pub how_to_pay: String,
    /// Where anybody can pay it, in full; none where nothing is paid online.
    pub pay_address: Option<String>,
}

/// How an account stands by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NowWords {
    /// Its balance.
    pub balance: String,
    /// Whether something is to be paid.
    pub owed: bool,
    /// `is` due, or `was`.
    pub is_due: &'static str,
}

/// The draw of a bill, and from what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrawWords {
    /// Whether it will be drawn as things are.
    pub will_be_drawn: bool,
    /// What was or will be drawn.
    pub amount: String,
    /// The day.
    pub on: NaiveDate,
    /// From what.
    pub method: String,
    /// Where it stands.
    pub words: &'static str,
    /// What else there is to know.
    pub note: Option<String>,
}

/// The last payment that is in a bill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deducted {
    /// Whether it came since the bill before.
    pub is_new: bool,
    /// How much.
    pub amount: String,
    /// Its value date.
    pub on: NaiveDate,
    /// Its reference; empty when it has none.
    pub reference: String,
}

/// How a bill was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelledWords {
    /// The value date.
    pub on: NaiveDate,
    /// The reversal's amount.
    pub amount: String,
    /// The reversal's ledger position.
    pub seq: i64,
    /// The number of the bill that came in its place.
    pub replaced: Option<String>,
}

/// A payment or change between two bills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryWords {
    /// Its value date.
    pub on: NaiveDate,
    /// What happened.
    pub words: String,
    /// What else there is to know.
    pub note: Option<String>,
    /// How much.
    pub amount: String,
}

/// One service's charges for one period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentWords {
    /// The service's id.
    pub service_id: String,
    /// `Water`, `Sewer`.
    pub service: &'static str,
    /// Whether the service ended with it.
    pub is_last: bool,
    /// How the read that closes it was estimated, when it was.
    pub estimated: Option<Estimated>,
    /// The winter that it is charged by.
    pub winter: Option<WinterWords>,
    /// Where it is delivered.
    pub address: String,
    /// The rate class.
    pub rate: String,
    /// The first day.
    pub start_on: NaiveDate,
    /// The last day.
    pub end_on: NaiveDate,
    /// `31 days`.
    pub days: String,
    /// How much was used.
    pub usage: String,
    /// In what.
    pub unit: String,
    /// The same in full.
    pub unit_in_full: Option<&'static str>,
    /// The meter reads.
    pub reads: Vec<ReadWords>,
    /// The days at each rate; empty when one rate held all the time.
    pub rate_days: Vec<RateDays>,
    /// The lines of its charge.
    pub groups: Vec<LineGroup>,
    /// What it comes to.
    pub total: String,
    /// What of the account its price depends on: name and value.
    pub terms: Vec<(String, String)>,
}

/// What a meter's register counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadWords {
    /// The opening read's date.
    pub from_on: NaiveDate,
    /// The opening read.
    pub from: String,
    /// The closing read's date.
    pub to_on: NaiveDate,
    /// The closing read.
    pub to: String,
    /// How the closing read came to be.
    pub kind: &'static str,
    /// Whether it was estimated.
    pub estimated: bool,
    /// `31 days`.
    pub days: String,
    /// What was counted.
    pub counted: String,
    /// `× 10`, and the register's own unit.
    pub multiplier: Option<String>,
}

/// The days at one rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateDays {
    /// `31 days`.
    pub days: String,
    /// The rate's first day.
    pub from: NaiveDate,
}

/// The lines of one tariff version, or of one sort.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineGroup {
    /// The tariff version, where there is more than one.
    pub title: Option<RateDays>,
    /// `Discounts`, `Taxes`.
    pub sort: Option<&'static str>,
    /// What a customer may ask about it.
    pub explained: Option<String>,
    /// The lines.
    pub lines: Vec<LineWords>,
}

/// One line of a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineWords {
    /// What is charged.
    pub label: String,
    /// Quantity and price.
    pub working: Option<String>,
    /// What it comes to.
    pub amount: String,
}

/// An estimate that closes a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimated {
    /// The read's date.
    pub on: NaiveDate,
    /// How it was made.
    pub basis: Option<String>,
}

/// The winter whose use is charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WinterWords {
    /// Its length: `90 days`.
    pub days: String,
    /// The year that it ended in.
    pub year: i32,
    /// What was counted in it.
    pub counted: Option<String>,
}

impl BillWords {
    /// A bill in words.
    #[must_use]
    pub fn new(bill: &BillView, context: &Context) -> Self {
        let currency = Currency::new(&context.config.currency);
        Self {
            number: bill.bill_number.clone(),
            is_final: !bill.segments.is_empty() && bill.segments.iter().all(|segment| segment.is_last),
            estimated: bill.segments.iter().any(|segment| segment.inputs.is_estimated()),
            account: bill.account.clone(),
            name: bill.name.clone(),
            address: bill.mailing_address.clone(),
            bill_on: bill.bill_on,
            due_on: bill.due_on,
            previous_balance: currency.balance(bill.previous_balance_cents),
            entries: bill.since.iter().map(|row| EntryWords::new(row, &currency)).collect(),
            payments: currency.money(bill.payments_cents),
            adjustments: (bill.adjustments_cents != 0 || has_adjustments(bill)).then(|| currency.money(bill.adjustments_cents)),
            charges: currency.money(bill.charges_cents),
            amount_due: currency.balance(bill.amount_due_cents),
            owed: bill.amount_due_cents > 0,
            deducted: bill.last_payment.as_ref().map(|payment| Deducted {
                is_new: bill.payments_cents < 0,
                amount: currency.money(payment.amount_cents),
                on: payment.effective_on,
                reference: payment.reference.clone(),
            }),
            cut_off_seq: bill.cut_off_seq,
            cancelled: bill.cancelled.as_ref().map(|cancelled| CancelledWords {
                on: cancelled.effective_on,
                amount: currency.money(cancelled.amount_cents),
                seq: cancelled.account_seq,
                replaced: bill.replaced_by.clone(),
            }),
            segments: bill.segments.iter().map(|segment| SegmentWords::new(segment, &currency)).collect(),
            draw: bill.draw.as_ref().map(|draw| {
                let (_, words, note) = draw_words(draw);
                let amount = currency.money(draw.drawn_cents.unwrap_or(draw.amount_cents));
                let method = draw.method.clone().unwrap_or_default();
                DrawWords { will_be_drawn: draw.will_be_drawn(), amount, on: draw.draw_on, method, words, note }
            }),
            held: (!bill.held.is_empty()).then(|| bill.held.join(" and ")),
            now: bill.moved_since.then(|| NowWords {
                balance: currency.balance(bill.balance_now_cents),
                owed: bill.balance_now_cents > 0,
                is_due: if bill.due_on < context.today() { "was" } else { "is" },
            }),
            how_to_pay: context.config.how_to_pay.clone(),
            pay_address: context.providers.first().map(|_| format!("{}/pay/guest", context.config.public_url.trim_end_matches('/'))),
        }
    }

    /// A bill in the words of the day of its issue: whatever was posted since, the file in the mail about it stays the same.
    #[must_use]
    pub fn as_issued(bill: &BillView, context: &Context) -> Self {
        Self { now: None, ..Self::new(bill, context) }
    }

    /// Whether what the bill asked for is through, and nothing else is to be paid.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.now.as_ref().is_some_and(|now| !now.owed)
    }

    /// Whether it asks for money: how it is paid is told then.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.owed && self.cancelled.is_none() && !self.is_settled()
    }

    /// What stands above the amount.
    #[must_use]
    pub fn amount_title(&self) -> &'static str {
        match (self.owed, self.now.is_some() && self.cancelled.is_none()) {
            (true, true) => "This bill asked for",
            (true, false) => "Amount due",
            (false, _) => "Nothing to pay",
        }
    }
}

/// Whether anything but payments happened, though it may have come to nothing.
fn has_adjustments(bill: &BillView) -> bool {
    use Story::{Correction, Payment, PaymentReversal, Refund};
    bill.since.iter().any(|row| !matches!(row.story, Payment { .. } | PaymentReversal { .. } | Correction { .. } | Refund { .. }))
}

impl EntryWords {
    fn new(row: &Activity, currency: &Currency) -> Self {
        let (words, note) = told(&row.story);
        Self { on: row.effective_on, words, note, amount: currency.money(row.amount_cents) }
    }
}

impl WinterWords {
    fn new(winter: &WinterQuarter, unit: &str) -> Self {
        let plain = winter.spans.iter().all(|span| span.register.multiplier_milli == 1000 && span.register.unit.is_none());
        let counted: i64 = winter.spans.iter().map(|span| span.register.counted_milli(span.from_milli, span.to_milli).0).sum();
        let counted = plain.then(|| format!("{} {unit}", wording::quantity(counted)));
        Self { days: wording::plural(i64::from(winter.days), "day"), year: winter.year, counted }
    }
}

impl SegmentWords {
    fn new(segment: &SegmentView, currency: &Currency) -> Self {
        let inputs = &segment.inputs;
        Self {
            service_id: segment.service_id.clone(),
            service: wording::service(&segment.schedule),
            is_last: segment.is_last,
            estimated: estimated(segment),
            winter: inputs.winter.as_ref().map(|winter| WinterWords::new(winter, &segment.unit)),
            address: segment.address.clone(),
            rate: wording::words(&inputs.rate_class),
            start_on: inputs.start_on,
            end_on: inputs.end_on,
            days: wording::plural(segment.days, "day"),
            usage: grouped(&segment.usage),
            unit: segment.unit.clone(),
            unit_in_full: wording::unit_in_full(&segment.unit),
            reads: inputs.spans.iter().map(ReadWords::new).collect(),
            rate_days: if segment.rates.len() > 1 { segment.rates.iter().map(RateDays::new).collect() } else { Vec::new() },
            groups: groups(segment, currency),
            total: currency.money(segment.total_cents),
            terms: inputs.attributes.iter().map(|(name, value)| (wording::words(name), value.to_owned())).collect(),
        }
    }
}

/// The estimate that closes a period, when one does.
fn estimated(segment: &SegmentView) -> Option<Estimated> {
    let inputs = &segment.inputs;
    let span = inputs.spans.iter().find(|span| span.kind == ReadKind::Estimated && span.to_on == inputs.end_on)?;
    Some(Estimated { on: span.to_on, basis: segment.bases.get(&span.to_read).map(|basis| wording::with_dates(basis)) })
}

/// A decimal text with commas between its thousands.
fn grouped(number: &str) -> String {
    number.parse().map_or_else(|_| number.to_owned(), |number| wording::decimal(number, 3))
}

impl ReadWords {
    fn new(span: &Span) -> Self {
        let estimated = span.kind == ReadKind::Estimated;
        let multiplier = (span.register.multiplier_milli != 1000).then(|| format!("× {}", from_milli(span.register.multiplier_milli)));
        let unit = span.register.unit.clone();
        let (counted, _) = span.register.counted_milli(span.from_milli, span.to_milli);
        Self {
            from_on: span.from_on,
            from: wording::quantity(span.from_milli),
            to_on: span.to_on,
            to: wording::quantity(span.to_milli),
            kind: wording::read_kind(span.kind),
            estimated,
            days: wording::plural((span.to_on - span.from_on).num_days(), "day"),
            counted: wording::quantity(counted),
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
        let lines = corrections.iter().map(|line| LineWords::new(line, segment, currency)).collect();
        groups.push(LineGroup { sort: Some("Corrections"), explained: Some(explained(segment)), lines, title: None });
    }
    groups
}

/// What a correction is, in one sentence.
fn explained(segment: &SegmentView) -> String {
    let periods = segment.inputs.settles.as_ref().map_or(&[][..], |settles| settles.periods.as_slice());
    let which = match periods {
        [one] => format!("The bill for {} to {} was an estimate", wording::whole_date(one.start_on), wording::whole_date(one.end_on)),
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
        let (sort, view) = (sort_of(line), LineWords::new(line, segment, currency));
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
        Self { days: wording::plural(i64::from(part.days), "day"), from: part.effective_on }
    }
}

impl LineWords {
    fn new(line: &ChargeLine, segment: &SegmentView, currency: &Currency) -> Self {
        let unit = &segment.unit;
        let label = match line.tier {
            None if line.part == CORRECTION => wording::with_money(&wording::with_dates(&line.label), currency),
            None => wording::words(&line.label),
            Some(tier) => {
                let from = wording::decimal(tier.from, 3);
                let block = match tier.to {
                    Some(to) if tier.from.is_zero() => format!("up to {} {unit}", wording::decimal(to, 3)),
                    Some(to) => format!("{from} to {} {unit}", wording::decimal(to, 3)),
                    None if tier.from.is_zero() => "all usage".to_owned(),
                    None => format!("above {from} {unit}"),
                };
                format!("{}, tier {}: {block}", wording::words(&line.label), tier.number)
            }
        };
        let working = line.quantity.zip(line.price).map(|(quantity, price)| format!("{} × {}", wording::decimal(quantity, 3), currency.price(price)));
        Self { label, working, amount: currency.money(line.amount_cents.cents()) }
    }
}
