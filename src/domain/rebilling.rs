//! Which bills go together when one of them is cancelled: the later bills of its account that stand on its periods.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use super::ids::{AgreementId, RunId};

/// A segment of an account's bill: what it bills, from when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BilledPeriod {
    /// The bill's run.
    pub run_id: RunId,
    /// The agreement.
    pub agreement_id: AgreementId,
    /// Its first day.
    pub start_on: NaiveDate,
}

/// The bills of one account that are cancelled when these are: those themselves, and every bill that bills a later period of an
/// agreement than one that is cancelled. Such a bill began where the cancelled one ended, and may settle its estimates; and its
/// own other periods go with it, until nothing more stands on anything that goes.
#[must_use]
pub fn cancelled_together(asked: &BTreeSet<RunId>, periods: &[BilledPeriod]) -> BTreeSet<RunId> {
    let mut gone = asked.clone();
    loop {
        let mut first: BTreeMap<AgreementId, NaiveDate> = BTreeMap::new();
        for period in periods.iter().filter(|period| gone.contains(&period.run_id)) {
            let start = first.entry(period.agreement_id).or_insert(period.start_on);
            *start = period.start_on.min(*start);
        }
        let stands = |period: &&BilledPeriod| first.get(&period.agreement_id).is_some_and(|start| period.start_on > *start);
        let before = gone.len();
        gone.extend(periods.iter().filter(stands).map(|period| period.run_id));
        // Each round adds a bill or is the last one.
        if gone.len() == before {
            return gone;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(run: i64, agreement: i64, start: &str) -> BilledPeriod {
        BilledPeriod { run_id: RunId(run), agreement_id: AgreementId(agreement), start_on: start.parse().expect("a date") }
    }

    fn together(asked: &[i64], periods: &[BilledPeriod]) -> Vec<i64> {
        let asked = asked.iter().map(|run| RunId(*run)).collect();
        cancelled_together(&asked, periods).into_iter().map(|run| run.0).collect()
    }

    #[test]
    fn the_last_bill_goes_alone() {
        let periods = [period(1, 1, "2026-01-01"), period(2, 1, "2026-02-01"), period(3, 1, "2026-03-01")];
        assert_eq!(together(&[3], &periods), [3]);
        assert_eq!(together(&[2], &periods), [2, 3], "the third bill began where the second ended");
        assert_eq!(together(&[1], &periods), [1, 2, 3]);
    }

    #[test]
    fn a_bill_that_goes_takes_what_stands_on_its_other_services_along() {
        // Water is billed monthly, a fire line every three months with it.
        let periods = [period(1, 1, "2026-01-01"), period(2, 1, "2026-02-01"), period(2, 2, "2026-01-01"), period(3, 2, "2026-04-01")];
        assert_eq!(together(&[1], &periods), [1, 2, 3]);
        assert_eq!(together(&[3], &periods), [3]);
    }

    #[test]
    fn a_service_of_its_own_stands_on_nothing() {
        let periods = [period(1, 1, "2026-01-01"), period(2, 2, "2026-02-01")];
        assert_eq!(together(&[1], &periods), [1]);
    }
}
