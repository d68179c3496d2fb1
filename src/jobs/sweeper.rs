//! The sweeper: looks soon at what a correction touched, and every night at everything, for bills that are not what they should be.

use std::time::Duration;

use chrono::{NaiveDateTime, NaiveTime};

use crate::actions::overcharges::queue::sweep_queue;
use crate::actions::overcharges::scan::{ScanReport, scan_all_until};
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context};
use crate::telemetry::metrics;

/// Looks until it is told to stop.
pub(super) fn run(context: &Context, stop: &Stop) {
    let settings = &context.config.overcharges;
    if !settings.enabled {
        log::info!("overcharges.enabled is false: the server does not derive bills again by itself");
        return;
    }
    let mut seen = local(context);
    while !stop.wait(Duration::from_secs(u64::from(settings.queue_seconds))) {
        let mut outcome = sweep_queue(context, stop);
        let now = local(context);
        if outcome.is_ok() && passed(seen, now, settings.nightly_at) {
            outcome = scan_all_until(context, stop, &|_, _| alive(context)).map(Some);
        }
        match outcome {
            Ok(report) => {
                seen = now;
                alive(context);
                if let Some(report) = report {
                    tell(&report);
                }
            }
            Err(ActionError::Stopped) => return,
            // Another server looks at everything; what it finds is in the same tables.
            Err(ActionError::Busy { holder, .. }) => {
                log::debug!("overcharges: {holder} is at it");
                seen = now;
            }
            Err(error) => log::error!("bills cannot be derived again: {error}"),
        }
    }
}

fn alive(context: &Context) {
    metrics::beat("sweeper", context.now().and_utc().timestamp());
}

/// Now, by the utility's clocks.
fn local(context: &Context) -> NaiveDateTime {
    context.now().and_utc().with_timezone(&context.config.time_zone).naive_local()
}

/// Whether a time of day has come between two moments: of any day, when more than one passed.
fn passed(from: NaiveDateTime, to: NaiveDateTime, at: NaiveTime) -> bool {
    let mut day = from.date();
    while day <= to.date() {
        let moment = day.and_time(at);
        if from < moment && moment <= to {
            return true;
        }
        match day.succ_opt() {
            Some(next) if (to.date() - day).num_days() <= 1 => day = next,
            _ => return true,
        }
    }
    false
}

fn tell(report: &ScanReport) {
    if report.found > 0 || report.open.findings > 0 {
        log::warn!(
            "overcharges: {} new findings, {} gone, {} open over {} cents too much and {} too little",
            report.found,
            report.gone,
            report.open.findings,
            report.open.over_cents,
            report.open.under_cents
        );
    } else {
        log::info!("overcharges: {} services looked at, every bill is what it should be", report.services);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_night_comes_once() {
        let at = NaiveTime::from_hms_opt(2, 30, 0).expect("a time");
        let moment = |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect("a moment");
        for (from, to, expected) in [
            ("2026-01-01 02:29", "2026-01-01 02:30", true),
            ("2026-01-01 02:30", "2026-01-01 02:31", false),
            ("2026-01-01 22:00", "2026-01-02 02:00", false),
            ("2026-01-01 22:00", "2026-01-02 03:00", true),
            ("2026-01-01 22:00", "2026-01-09 01:00", true),
            // A clock that was set back.
            ("2026-01-02 03:00", "2026-01-01 22:00", false),
        ] {
            assert_eq!(passed(moment(from), moment(to), at), expected, "{from} to {to}");
        }
    }
}
