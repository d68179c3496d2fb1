//! What an account used, period by period, as it was billed: for the chart, its table and its file.

use std::collections::BTreeMap;
use std::io::Write;

use chrono::{Months, NaiveDate};

use super::account_view::{Whose, find};
use super::{ActionError, Context};
use crate::db::account_views::{self as rows, AccountHead, UsageRow};
use crate::db::billing::bill_number;
use crate::db::{DbConnection, rates};
use crate::domain::billing::SegmentInputs;
use crate::domain::ids::AgreementId;
use crate::domain::metering::ReadKind;
use crate::domain::money::Money;
use crate::domain::quantity::from_milli;
use crate::domain::rates::{Tariff, Unit};

/// Periods of a chart: a year and the one that began it.
const CHARTED: usize = 13;
/// Periods that are looked at for the same season a year before.
const LOOKED_AT: i64 = 27;
/// Periods of a file: more than a service has in a lifetime of monthly bills.
const MOST_PERIODS: i64 = 1200;
/// Services of one account that are shown.
const MOST_SERVICES: i64 = 50;

/// The usage of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceUsage {
    /// The agreement.
    pub agreement_id: AgreementId,
    /// The service's id in files.
    pub service_id: String,
    /// The tariff schedule.
    pub schedule: String,
    /// Where.
    pub address: String,
    /// The unit of the latest period.
    pub unit: Unit,
    /// The periods, oldest first.
    pub periods: Vec<UsagePeriod>,
}

/// What was used in one billed period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsagePeriod {
    /// The bill.
    pub bill_number: String,
    /// The opening read's date.
    pub start_on: NaiveDate,
    /// The closing read's date.
    pub end_on: NaiveDate,
    /// Its days.
    pub days: i64,
    /// Usage, in thousandths of the unit.
    pub usage_milli: i64,
    /// The unit, as its tariff had it.
    pub unit: Unit,
    /// Charges, in cents.
    pub total_cents: i64,
    /// Whether the closing read was estimated.
    pub estimated: bool,
    /// Usage of the same season a year before, in thousandths.
    pub year_before_milli: Option<i64>,
}

/// The latest periods of each measured service of an account, the services that go on first.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no such account that may be looked at.
pub fn usage_history(context: &Context, number: &str, whose: Whose) -> Result<(AccountHead, Vec<ServiceUsage>), ActionError> {
    load(context, number, whose, LOOKED_AT).map(|(head, mut services)| {
        for service in &mut services {
            let surplus = service.periods.len().saturating_sub(CHARTED);
            service.periods.drain(..surplus);
        }
        (head, services)
    })
}

/// Writes every billed period of an account as CSV, oldest first.
///
/// # Errors
/// As [`usage_history`], or what writing says.
pub fn export_usage(context: &Context, number: &str, whose: Whose, out: impl Write) -> Result<(), ActionError> {
    let (_, services) = load(context, number, whose, MOST_PERIODS)?;
    let broken = |error: csv::Error| ActionError::Form(format!("the file cannot be written: {error}"));
    let mut table = csv::Writer::from_writer(out);
    table.write_record(["service_id", "bill_number", "period_start", "read_on", "days", "usage", "unit", "read_kind", "charges"]).map_err(broken)?;
    for service in &services {
        for period in &service.periods {
            let kind = if period.estimated { "estimated" } else { "actual" };
            let row = [
                service.service_id.clone(),
                period.bill_number.clone(),
                period.start_on.to_string(),
                period.end_on.to_string(),
                period.days.to_string(),
                from_milli(period.usage_milli).to_string(),
                period.unit.to_string(),
                kind.to_owned(),
                Money::from_cents(period.total_cents).to_string(),
            ];
            table.write_record(row).map_err(broken)?;
        }
    }
    table.flush().map_err(|error| broken(error.into()))
}

fn load(context: &Context, number: &str, whose: Whose, limit: i64) -> Result<(AccountHead, Vec<ServiceUsage>), ActionError> {
    let today = context.today();
    context.database.snapshot(|conn| {
        let head = find(conn, number, whose)?;
        let mut services = Vec::new();
        for service in rows::services(conn, head.id, today, MOST_SERVICES)? {
            let found = rows::usage(conn, service.agreement_id, limit)?;
            let periods = periods(conn, &found)?;
            // A service without a meter has nothing to chart.
            let Some(unit) = periods.last().map(|period| period.unit.clone()) else { continue };
            services.push(ServiceUsage {
                agreement_id: service.agreement_id,
                service_id: service.code,
                schedule: service.schedule,
                address: service.address,
                unit,
                periods,
            });
        }
        Ok((head, services))
    })
}

/// Rows, newest first, as periods, oldest first; those without a meter's read are left out.
fn periods(conn: &mut DbConnection, found: &[UsageRow]) -> Result<Vec<UsagePeriod>, ActionError> {
    let mut units = Units::default();
    let mut periods = Vec::new();
    for row in found.iter().rev() {
        let inputs: SegmentInputs =
            serde_json::from_str(&row.inputs).map_err(|error| ActionError::Form(format!("a stored segment cannot be read: {error}")))?;
        if inputs.spans.is_empty() {
            continue;
        }
        let version = inputs.slices.last().map(|slice| slice.sha256.as_str()).unwrap_or_default();
        periods.push(UsagePeriod {
            bill_number: bill_number(row.run_id, row.account_id),
            start_on: row.period_start_on,
            end_on: row.period_end_on,
            days: (row.period_end_on - row.period_start_on).num_days(),
            usage_milli: row.usage_milli,
            unit: units.of(conn, version)?,
            total_cents: row.total_cents,
            estimated: inputs.spans.iter().any(|span| span.kind == ReadKind::Estimated),
            year_before_milli: None,
        });
    }
    compare_with_year_before(&mut periods);
    Ok(periods)
}

/// The units of tariff versions, each looked up once.
#[derive(Debug, Default)]
pub(super) struct Units {
    known: BTreeMap<String, Unit>,
}

impl Units {
    /// The unit of a version, by the hash of its text.
    pub(super) fn of(&mut self, conn: &mut DbConnection, sha256: &str) -> Result<Unit, ActionError> {
        if let Some(unit) = self.known.get(sha256) {
            return Ok(unit.clone());
        }
        let row = rates::by_sha256(conn, &[sha256])?.into_iter().next().ok_or_else(|| ActionError::not_found("tariff version", sha256))?;
        let tariff = Tariff::parse(&row.source).map_err(|errors| ActionError::Form(errors.to_string()))?;
        let unit = tariff.metadata().bill_unit.clone();
        self.known.insert(sha256.to_owned(), unit.clone());
        Ok(unit)
    }
}

/// Finds for each period the one that ended a year before, give or take half its length, when it is in the same unit.
fn compare_with_year_before(periods: &mut [UsagePeriod]) {
    let known: Vec<(NaiveDate, i64, Unit)> = periods.iter().map(|period| (period.end_on, period.usage_milli, period.unit.clone())).collect();
    for period in periods {
        let Some(a_year_before) = period.end_on.checked_sub_months(Months::new(12)) else { continue };
        let distance = |end: NaiveDate| (end - a_year_before).num_days().abs();
        let nearest = known.iter().filter(|(_, _, unit)| *unit == period.unit).min_by_key(|(end, _, _)| distance(*end));
        period.year_before_milli = nearest.filter(|(end, _, _)| distance(*end) * 2 <= period.days).map(|(_, usage, _)| *usage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(start: &str, end: &str, usage_milli: i64) -> UsagePeriod {
        let (start_on, end_on): (NaiveDate, NaiveDate) = (start.parse().unwrap(), end.parse().unwrap());
        UsagePeriod {
            bill_number: String::new(),
            start_on,
            end_on,
            days: (end_on - start_on).num_days(),
            usage_milli,
            unit: Unit::Ccf,
            total_cents: 0,
            estimated: false,
            year_before_milli: None,
        }
    }

    #[test]
    fn the_same_season_a_year_before_is_found_by_its_end() {
        let mut periods = vec![
            period("2025-01-02", "2025-02-03", 1),
            period("2025-02-03", "2025-03-01", 2),
            period("2026-01-01", "2026-02-01", 3),
            period("2026-02-01", "2026-03-02", 4),
            period("2026-03-02", "2026-04-01", 5),
        ];
        compare_with_year_before(&mut periods);
        let before: Vec<_> = periods.iter().map(|period| period.year_before_milli).collect();
        assert_eq!(before, [None, None, Some(1), Some(2), None]);
    }
}
