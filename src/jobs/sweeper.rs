//! The sweeper: looks soon at what a correction touched, and every night at everything, for bills that are not what they should be.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::actions::overcharges::nightly::scan_if_due;
use crate::actions::overcharges::queue::sweep_queue;
use crate::actions::overcharges::scan::ScanReport;
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context};
use crate::telemetry::metrics;

/// A look at everything that failed, or that another server is at, is begun anew after so long at the earliest.
const AFTER_FAILURE: Duration = Duration::from_secs(600);

/// Looks until it is told to stop.
pub(super) fn run(context: &Context, stop: &Stop) {
    let settings = &context.config.overcharges;
    if !settings.enabled {
        log::info!("overcharges.enabled is false: the server does not derive bills again by itself");
        return;
    }
    let mut again: Option<Instant> = None;
    while !stop.wait(Duration::from_secs(u64::from(settings.queue_seconds))) {
        if report(context, sweep_queue(context, stop)).is_break() {
            return;
        }
        // Whatever becomes of the queue, the night's look at everything is not left out.
        if again.is_some_and(|again| Instant::now() < again) {
            continue;
        }
        let outcome = scan_if_due(context, stop, &|_, _| alive(context));
        again = matches!(&outcome, Err(error) if !matches!(error, ActionError::Stopped)).then(|| Instant::now() + AFTER_FAILURE);
        if report(context, outcome).is_break() {
            return;
        }
    }
}

/// Says what came of a look; breaks when it was asked to end.
fn report(context: &Context, outcome: Result<Option<ScanReport>, ActionError>) -> ControlFlow<()> {
    match outcome {
        Ok(report) => {
            alive(context);
            if let Some(report) = report {
                tell(&report);
            }
        }
        Err(ActionError::Stopped) => return ControlFlow::Break(()),
        // Another server looks at everything; what it finds is in the same tables.
        Err(ActionError::Busy { holder, .. }) => log::debug!("overcharges: {holder} is at it"),
        Err(error) => log::error!("bills cannot be derived again: {error}"),
    }
    ControlFlow::Continue(())
}

fn alive(context: &Context) {
    metrics::beat("sweeper", context.now().and_utc().timestamp());
}

fn tell(report: &ScanReport) {
    if let Some(first) = report.first_unjudged.first() {
        let (count, account, service) = (report.unjudged, &first.account, &first.service_id);
        log::warn!("overcharges: {count} services cannot be judged, the first is {service} of account {account}: {}", first.reason);
    }
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
