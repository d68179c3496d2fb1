//! The gates of a bill run: what must hold before anything is issued. One that fails holds the whole run.

use serde::{Deserialize, Serialize};

use super::money::Money;
use super::quantity::counted;

/// What a run counted, summed over its chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RunTotals {
    /// Service agreements due.
    pub due: i64,
    /// Of these, billed.
    pub billed: i64,
    /// Of these, held with a reason.
    pub held: i64,
    /// Of these, excluded with a reason.
    pub excluded: i64,
    /// Bills: one for each account with something to bill.
    pub bills: i64,
    /// Segments: one for each agreement and period.
    pub segments: i64,
    /// The sum of the bills' charges, in cents.
    pub total_cents: i64,
    /// Agreements whose charge can be compared with an earlier one.
    pub compared: i64,
    /// Of these, those that rise beyond the limit.
    pub risen: i64,
    /// Segments recomputed by the second evaluator.
    pub recomputed: i64,
    /// Of these, those that came out otherwise.
    pub recomputed_wrong: i64,
    /// Payments that were received and that the ledger does not show.
    pub unapplied: i64,
}

impl RunTotals {
    /// The sum with another part of the run.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            due: self.due + other.due,
            billed: self.billed + other.billed,
            held: self.held + other.held,
            excluded: self.excluded + other.excluded,
            bills: self.bills + other.bills,
            segments: self.segments + other.segments,
            total_cents: self.total_cents + other.total_cents,
            compared: self.compared + other.compared,
            risen: self.risen + other.risen,
            recomputed: self.recomputed + other.recomputed,
            recomputed_wrong: self.recomputed_wrong + other.recomputed_wrong,
            unapplied: self.unapplied + other.unapplied,
        }
    }
}

/// The last run that this one can be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparable {
    /// How many segments it billed.
    pub segments: i64,
    /// The sum of their charges, in cents.
    pub total_cents: i64,
}

/// The limits of the gates.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GateLimits {
    /// How far the run's total may differ from the last comparable run's, in percent.
    pub total_change_percent: i64,
    /// How far the average charge may differ, in percent.
    pub average_change_percent: i64,
    /// An agreement's daily charge "rises" when it grows by more than this, in percent.
    pub rise_percent: i64,
    /// How many of the compared agreements may rise, in percent.
    pub risen_share_percent: i64,
    /// With fewer comparisons than this, shares and averages say nothing.
    pub fewest_compared: i64,
    /// One segment in this many is recomputed by the second evaluator (1 = all).
    pub recompute_one_in: i64,
}

impl Default for GateLimits {
    fn default() -> Self {
        Self {
            total_change_percent: 50,
            average_change_percent: 50,
            rise_percent: 100,
            risen_share_percent: 20,
            fewest_compared: 50,
            recompute_one_in: 50,
        }
    }
}

/// The outcome of one gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateResult {
    /// Which gate.
    pub gate: String,
    /// Whether it lets the run pass.
    pub passed: bool,
    /// What it saw, in words and figures.
    pub detail: String,
}

fn result(gate: &str, passed: bool, detail: String) -> GateResult {
    GateResult { gate: gate.to_owned(), passed, detail }
}

/// Judges a priced run.
///
/// `agreements_due` is counted anew from the agreements, independently of what the chunks reported.
#[must_use]
pub fn judge(limits: &GateLimits, totals: &RunTotals, agreements_due: i64, last: Option<Comparable>) -> Vec<GateResult> {
    vec![
        completeness(totals, agreements_due),
        result("no unapplied payment", totals.unapplied == 0, format!("{} still to be applied to the ledger", counted(totals.unapplied, "payment"))),
        total_change(limits, totals, last),
        average_change(limits, totals, last),
        rises(limits, totals),
        result(
            "independent recomputation",
            totals.recomputed_wrong == 0 && (totals.recomputed > 0 || totals.segments == 0),
            format!(
                "{} of {} recomputed by the second evaluator: {}",
                totals.recomputed,
                counted(totals.segments, "segment"),
                counted(totals.recomputed_wrong, "difference")
            ),
        ),
    ]
}

/// What a run that bills accounts anew is held against: their cancelled bills, and what billing them anew was foreseen to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BilledBefore {
    /// How many segments the cancelled bills had.
    pub segments: i64,
    /// The sum of their charges, in cents.
    pub total_cents: i64,
    /// What was foreseen when somebody decided to cancel them, in cents; none while it is only tried.
    pub expected_cents: Option<i64>,
}

/// Judges a priced run that bills accounts anew.
///
/// It exists because the bills before it were wrong, so how far it is from them says nothing. What it must be is what whoever
/// cancelled them was shown.
#[must_use]
pub fn judge_anew(limits: &GateLimits, totals: &RunTotals, agreements_due: i64, before: &BilledBefore) -> Vec<GateResult> {
    let mut gates = judge(limits, totals, agreements_due, None);
    let (now, was) = (Money::from_cents(totals.total_cents), Money::from_cents(before.total_cents));
    let foreseen = before.expected_cents.map(Money::from_cents);
    let told = foreseen.map(|foreseen| format!(", {foreseen} foreseen")).unwrap_or_default();
    let detail = format!(
        "{now} in {} now, {was} in {} of the bills in their place{told}",
        counted(totals.segments, "segment"),
        counted(before.segments, "segment")
    );
    for gate in &mut gates {
        match gate.gate.as_str() {
            "change of total" => *gate = result("change of total", foreseen.is_none_or(|foreseen| foreseen == now), detail.clone()),
            "change of average bill" => *gate = result("change of average bill", true, "it bills anew what was wrong".to_owned()),
            _ => {}
        }
    }
    gates
}

/// P6: nobody is forgotten.
fn completeness(totals: &RunTotals, agreements_due: i64) -> GateResult {
    let accounted = totals.billed + totals.held + totals.excluded;
    result(
        "completeness",
        accounted == agreements_due && totals.due == agreements_due,
        format!(
            "{} billed + {} held + {} excluded = {accounted} of {} due",
            totals.billed,
            totals.held,
            totals.excluded,
            counted(agreements_due, "agreement")
        ),
    )
}

/// The last run, when it had enough bills to speak of an average. A run that bills far fewer than the last one is
/// compared all the same: a file of reads that breaks off is just what the gates are for.
fn comparable(limits: &GateLimits, last: Option<Comparable>) -> Option<Comparable> {
    last.filter(|last| last.segments >= limits.fewest_compared && last.total_cents > 0)
}

fn total_change(limits: &GateLimits, totals: &RunTotals, last: Option<Comparable>) -> GateResult {
    let name = "change of total";
    if totals.segments == 0 {
        return result(name, true, "nothing is billed".to_owned());
    }
    let Some(last) = comparable(limits, last) else { return result(name, true, "no comparable run before this one".to_owned()) };
    let change = percent_change(i128::from(last.total_cents), i128::from(totals.total_cents));
    let detail = format!(
        "{} now, {} in the last comparable run: {change:+}%, limit {}%",
        Money::from_cents(totals.total_cents),
        Money::from_cents(last.total_cents),
        limits.total_change_percent
    );
    result(name, change.abs() <= i128::from(limits.total_change_percent), detail)
}

fn average_change(limits: &GateLimits, totals: &RunTotals, last: Option<Comparable>) -> GateResult {
    let name = "change of average bill";
    if totals.segments == 0 {
        return result(name, true, "nothing is billed".to_owned());
    }
    let Some(last) = comparable(limits, last) else { return result(name, true, "no comparable run before this one".to_owned()) };
    // total/segments against last.total/last.segments, cross-multiplied to stay exact
    let now = i128::from(totals.total_cents) * i128::from(last.segments);
    let before = i128::from(last.total_cents) * i128::from(totals.segments);
    let change = percent_change(before, now);
    result(name, change.abs() <= i128::from(limits.average_change_percent), format!("{change:+}%, limit {}%", limits.average_change_percent))
}

fn rises(limits: &GateLimits, totals: &RunTotals) -> GateResult {
    let share = if totals.compared == 0 { 0 } else { totals.risen * 100 / totals.compared };
    let passed = totals.compared < limits.fewest_compared || totals.risen * 100 <= limits.risen_share_percent * totals.compared;
    let few = if totals.compared < limits.fewest_compared { format!("; fewer than {} say nothing", limits.fewest_compared) } else { String::new() };
    let detail = format!(
        "{} of {} comparable agreements ({share}%) rise by more than {}% a day, limit {}%{few}",
        totals.risen, totals.compared, limits.rise_percent, limits.risen_share_percent
    );
    result("share of rising bills", passed, detail)
}

/// Change from `before` to `now` in whole percent, rounded away from zero so that a limit is never met by rounding.
fn percent_change(before: i128, now: i128) -> i128 {
    if before == 0 {
        return if now == 0 { 0 } else { 100 };
    }
    let difference = (now - before) * 100;
    let quotient = difference / before;
    if difference % before == 0 { quotient } else { quotient + difference.signum() * before.signum() }
}

/// Whether a daily charge rises beyond the limit: `now/now_days > before/before_days * (1 + percent/100)`.
#[must_use]
pub fn rises_beyond(limits: &GateLimits, before: Money, before_days: i64, now: Money, now_days: i64) -> bool {
    let now = i128::from(now.cents()) * i128::from(before_days) * 100;
    let bound = i128::from(before.cents()) * i128::from(now_days) * i128::from(100 + limits.rise_percent);
    now > bound
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals() -> RunTotals {
        RunTotals {
            due: 100,
            billed: 90,
            held: 6,
            excluded: 4,
            bills: 90,
            segments: 90,
            total_cents: 900_000,
            compared: 80,
            risen: 2,
            recomputed: 2,
            recomputed_wrong: 0,
            unapplied: 0,
        }
    }

    fn failed(results: &[GateResult]) -> Vec<&str> {
        results.iter().filter(|gate| !gate.passed).map(|gate| gate.gate.as_str()).collect()
    }

    #[test]
    fn a_usual_run_passes() {
        let last = Some(Comparable { segments: 92, total_cents: 880_000 });
        assert_eq!(failed(&judge(&GateLimits::default(), &totals(), 100, last)), Vec::<&str>::new());
    }

    #[test]
    fn each_gate_holds_what_it_is_for() {
        let limits = GateLimits::default();
        let last = Some(Comparable { segments: 90, total_cents: 900_000 });
        assert_eq!(failed(&judge(&limits, &totals(), 101, last)), ["completeness"]);
        assert_eq!(failed(&judge(&limits, &RunTotals { unapplied: 1, ..totals() }, 100, last)), ["no unapplied payment"]);
        let doubled = RunTotals { total_cents: 1_800_001, ..totals() };
        assert_eq!(failed(&judge(&limits, &doubled, 100, last)), ["change of total", "change of average bill"]);
        let risen = RunTotals { risen: 17, ..totals() };
        assert_eq!(failed(&judge(&limits, &risen, 100, last)), ["share of rising bills"]);
        let wrong = RunTotals { recomputed_wrong: 1, ..totals() };
        assert_eq!(failed(&judge(&limits, &wrong, 100, last)), ["independent recomputation"]);
    }

    #[test]
    fn a_town_of_which_a_fifth_was_read_is_held() {
        let last = Some(Comparable { segments: 90, total_cents: 900_000 });
        let truncated = RunTotals { billed: 18, excluded: 76, bills: 18, segments: 18, total_cents: 180_000, ..totals() };
        assert_eq!(failed(&judge(&GateLimits::default(), &truncated, 100, last)), ["change of total"]);
    }

    #[test]
    fn bills_that_are_made_anew_are_held_against_what_was_foreseen() {
        let limits = GateLimits::default();
        let before = BilledBefore { segments: 90, total_cents: 9_000_000, expected_cents: Some(900_000) };
        assert_eq!(failed(&judge_anew(&limits, &totals(), 100, &before)), Vec::<&str>::new(), "a tenth of what was billed is just what was wanted");
        let other = BilledBefore { expected_cents: Some(900_001), ..before };
        assert_eq!(failed(&judge_anew(&limits, &totals(), 100, &other)), ["change of total"]);
        let tried = BilledBefore { expected_cents: None, ..before };
        assert_eq!(failed(&judge_anew(&limits, &totals(), 101, &tried)), ["completeness"]);
    }

    #[test]
    fn a_change_just_over_the_limit_is_over_it() {
        assert_eq!(percent_change(900_000, 1_350_000), 50);
        assert_eq!(percent_change(900_000, 1_350_001), 51);
        assert_eq!(percent_change(900_000, 449_999), -51);
        assert_eq!(percent_change(0, 1), 100);
    }

    #[test]
    fn a_rise_is_measured_by_the_day() {
        let limits = GateLimits::default();
        let cents = Money::from_cents;
        assert!(!rises_beyond(&limits, cents(3000), 30, cents(12_000), 60));
        assert!(rises_beyond(&limits, cents(3000), 30, cents(12_001), 60));
    }
}
