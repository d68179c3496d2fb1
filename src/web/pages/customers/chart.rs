//! The usage chart: bars as positions that a template draws, with the table and the words that say the same.
//!
//! Across, positions are hundredths of a percent, so that the chart fits any screen; down, they are pixels.

use chrono::{Datelike, NaiveDate};

use crate::actions::usage_history::{ServiceUsage, UsagePeriod};
use crate::web::text::{self, Currency, Day};

/// Where the plot begins across, in hundredths of a percent: left of it stand the scale's numbers.
const LEFT: i64 = 1_150;
/// Where it ends.
const RIGHT: i64 = 10_000;
/// The top of the plot in pixels.
const TOP: i64 = 22;
/// Its bottom, where the bars stand.
const BOTTOM: i64 = 206;
/// Fewer bars than this do not become wider.
const FEWEST_SLOTS: i64 = 6;
/// At most so many parts of the scale.
const SCALE_PARTS: i64 = 4;

/// A chart with its table.
pub(super) struct Chart {
    /// Tells the charts of a page apart.
    pub number: usize,
    pub service_id: String,
    /// `Water`, `Sewer`.
    pub service: &'static str,
    pub address: String,
    pub unit: String,
    pub unit_in_full: Option<&'static str>,
    /// The chart in words, for those who do not see it.
    pub summary: String,
    pub scale: Vec<ScaleLine>,
    pub bars: Vec<Bar>,
    pub any_estimated: bool,
    pub any_before: bool,
    /// The same as a table, newest first.
    pub rows: Vec<UsageLine>,
}

/// A line of the scale.
pub(super) struct ScaleLine {
    pub y: i64,
    pub label: String,
}

/// The bars of one period.
pub(super) struct Bar {
    pub x: String,
    pub width: String,
    pub y: i64,
    pub height: i64,
    pub before: Option<ThinBar>,
    pub estimated: bool,
    /// Where its labels are centred.
    pub middle: String,
    /// Just above the bar.
    pub above: i64,
    /// The month's first letter, and the others: a phone has room for one.
    pub month: (String, String),
    pub year: Option<String>,
    pub title: String,
}

/// The bar of the same season a year before.
pub(super) struct ThinBar {
    pub x: String,
    pub width: String,
    pub y: i64,
    pub height: i64,
}

/// One period as a row.
pub(super) struct UsageLine {
    pub bill_number: String,
    pub end_on: Day,
    pub days: i64,
    pub usage: String,
    pub year_before: Option<String>,
    pub estimated: bool,
    pub charges: String,
}

impl Chart {
    pub(super) fn new(number: usize, service: &ServiceUsage, currency: &Currency) -> Self {
        let periods = &service.periods;
        let largest = periods.iter().flat_map(|period| [Some(period.usage_milli), period.year_before_milli]).flatten().max().unwrap_or(0);
        let step = step(largest);
        let parts = ((largest + step - 1) / step).max(1);
        let top = parts.saturating_mul(step);
        let unit = service.unit.to_string();
        Self {
            number,
            service_id: service.service_id.clone(),
            service: text::service(&service.schedule),
            address: service.address.clone(),
            unit_in_full: text::unit_in_full(&unit),
            summary: summary(periods, &unit),
            scale: (0..=parts).map(|part| ScaleLine { y: height_of(part * step, top).0, label: text::quantity(part * step) }).collect(),
            bars: bars(periods, top, &unit),
            any_estimated: periods.iter().any(|period| period.estimated),
            any_before: periods.iter().any(|period| period.year_before_milli.is_some()),
            rows: periods.iter().rev().map(|period| UsageLine::new(period, currency)).collect(),
            unit,
        }
    }
}

impl UsageLine {
    fn new(period: &UsagePeriod, currency: &Currency) -> Self {
        Self {
            bill_number: period.bill_number.clone(),
            end_on: Day(period.end_on),
            days: period.days,
            usage: text::quantity(period.usage_milli),
            year_before: period.year_before_milli.map(text::quantity),
            estimated: period.estimated,
            charges: currency.money(period.total_cents),
        }
    }
}

/// The step of a scale: 1, 2 or 5 times a power of ten, so that a few of them reach the largest value.
fn step(largest: i64) -> i64 {
    let mut power: i64 = 1;
    loop {
        for step in [power, power.saturating_mul(2), power.saturating_mul(5)] {
            if largest <= step.saturating_mul(SCALE_PARTS) {
                return step;
            }
        }
        power = power.saturating_mul(10);
    }
}

/// Top and height of a bar, in pixels.
fn height_of(value: i64, top: i64) -> (i64, i64) {
    let whole = i128::from(BOTTOM - TOP);
    let height = i64::try_from(i128::from(value) * whole / i128::from(top.max(1))).unwrap_or(0);
    // What was used is never drawn as nothing.
    let height = if value > 0 { height.max(2) } else { height };
    (BOTTOM - height, height)
}

/// Hundredths of a percent as an attribute.
fn percent(hundredths: i64) -> String {
    format!("{}.{:02}%", hundredths / 100, hundredths % 100)
}

fn bars(periods: &[UsagePeriod], top: i64, unit: &str) -> Vec<Bar> {
    let count = i64::try_from(periods.len()).unwrap_or(i64::MAX);
    let slot = (RIGHT - LEFT) / count.max(FEWEST_SLOTS);
    let any_before = periods.iter().any(|period| period.year_before_milli.is_some());
    let (width, thin) = if any_before { (slot * 50 / 100, slot * 22 / 100) } else { (slot * 64 / 100, 0) };
    let mut bars = Vec::new();
    let mut year = None;
    for (period, at) in periods.iter().zip(0..) {
        let x = LEFT + at * slot + (slot - width - thin) / 2;
        let (y, height) = height_of(period.usage_milli, top);
        let before = period.year_before_milli.map(|value| {
            let (y, height) = height_of(value, top);
            ThinBar { x: percent(x + width), width: percent(thin), y, height }
        });
        let new_year = year != Some(period.end_on.year());
        year = Some(period.end_on.year());
        bars.push(Bar {
            x: percent(x),
            width: percent(width),
            y,
            height,
            before,
            estimated: period.estimated,
            middle: percent(x + width / 2),
            above: y - 5,
            month: month(period.end_on),
            year: new_year.then(|| period.end_on.year().to_string()),
            title: title(period, unit),
        });
    }
    bars
}

fn month(day: NaiveDate) -> (String, String) {
    let name = day.format("%b").to_string();
    let rest = name.chars().skip(1).collect();
    (name.chars().take(1).collect(), rest)
}

fn title(period: &UsagePeriod, unit: &str) -> String {
    let estimated = if period.estimated { ", estimated" } else { "" };
    let before = period.year_before_milli.map(|milli| format!("; a year before {} {unit}", text::quantity(milli))).unwrap_or_default();
    let (from, to) = (text::date(period.start_on), text::date(period.end_on));
    format!("{from} to {to}: {} {unit}{estimated}{before}", text::quantity(period.usage_milli))
}

fn summary(periods: &[UsagePeriod], unit: &str) -> String {
    let (Some(first), Some(last)) = (periods.first(), periods.last()) else { return "No usage yet.".to_owned() };
    let count = i64::try_from(periods.len()).unwrap_or(i64::MAX);
    let least = periods.iter().map(|period| period.usage_milli).min().unwrap_or(0);
    let most = periods.iter().map(|period| period.usage_milli).max().unwrap_or(0);
    let mut words = format!(
        "Water used in {} from {} to {}: between {} and {} {unit}. Latest: {} {unit}",
        text::plural(count, "period"),
        text::date(first.start_on),
        text::date(last.end_on),
        text::quantity(least),
        text::quantity(most),
        text::quantity(last.usage_milli),
    );
    if let Some(before) = last.year_before_milli {
        words.push_str(&format!(", a year before {} {unit}", text::quantity(before)));
    }
    let estimated = i64::try_from(periods.iter().filter(|period| period.estimated).count()).unwrap_or(0);
    if estimated > 0 {
        words.push_str(&format!(". {} estimated", text::plural(estimated, "period")));
    }
    words.push('.');
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::AgreementId;
    use crate::domain::rates::Unit;

    fn usage(values: &[(i64, Option<i64>, bool)]) -> ServiceUsage {
        let mut start_on: chrono::NaiveDate = "2025-11-15".parse().unwrap();
        let mut periods = Vec::new();
        for (usage_milli, year_before_milli, estimated) in values {
            let end_on = start_on + chrono::Months::new(1);
            periods.push(UsagePeriod {
                bill_number: "00001-0000001".to_owned(),
                start_on,
                end_on,
                days: (end_on - start_on).num_days(),
                usage_milli: *usage_milli,
                unit: Unit::Ccf,
                total_cents: 100,
                estimated: *estimated,
                year_before_milli: *year_before_milli,
            });
            start_on = end_on;
        }
        let text = |text: &str| text.to_owned();
        ServiceUsage { agreement_id: AgreementId(1), service_id: text("S"), schedule: text("water"), address: text("1 Road"), unit: Unit::Ccf, periods }
    }

    #[test]
    fn the_scale_is_round_and_covers_the_largest() {
        assert_eq!([0, 1, 4, 5, 8, 9, 20, 21, 40_001].map(step), [1, 1, 1, 2, 2, 5, 5, 10, 20_000]);
        let chart = Chart::new(1, &usage(&[(18_000, None, false), (0, None, false)]), &Currency::new("USD"));
        let labels: Vec<&str> = chart.scale.iter().map(|line| line.label.as_str()).collect();
        assert_eq!(labels, ["0", "5", "10", "15", "20"]);
        assert_eq!((chart.scale[0].y, chart.scale[4].y), (BOTTOM, TOP));
        assert_eq!((chart.bars[0].height, chart.bars[1].height), ((BOTTOM - TOP) * 18 / 20, 0));
    }

    #[test]
    fn the_chart_is_told_in_words() {
        let chart = Chart::new(1, &usage(&[(18_000, None, true), (7_500, Some(9_000), false)]), &Currency::new("USD"));
        assert_eq!(
            chart.summary,
            "Water used in 2 periods from 15 Nov 2025 to 15 Jan 2026: between 7.5 and 18 ccf. Latest: 7.5 ccf, a year before 9 ccf. 1 period estimated."
        );
        assert!(chart.bars[1].before.is_some() && chart.any_before && chart.any_estimated);
        assert_eq!((chart.bars[0].year.as_deref(), chart.bars[1].year.as_deref()), (Some("2025"), Some("2026")));
        assert_eq!(chart.rows[0].usage, "7.5", "the table begins with the newest");
    }

    #[test]
    fn nothing_used_is_a_chart_too() {
        let chart = Chart::new(1, &usage(&[(0, None, false)]), &Currency::new("USD"));
        assert_eq!(chart.bars[0].height, 0);
        assert_eq!(Chart::new(1, &usage(&[]), &Currency::new("USD")).summary, "No usage yet.");
    }
}
