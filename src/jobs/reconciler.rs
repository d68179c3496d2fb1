//! The reconciler: looks at ledger, providers and bank beside each other every few minutes, and brings in what was lost.

use std::time::{Duration, Instant};

use crate::actions::reconcile::{Backfill, Fetch, LookOptions, Report, reconcile};
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context};

/// In between, only what is new is fetched; so often everything of the last days.
const WHOLE_EVERY: Duration = Duration::from_secs(6 * 3600);

/// Looks until it is told to stop.
pub(super) fn run(context: &Context, stop: &Stop) {
    let minutes = context.config.reconciliation.every_minutes;
    if minutes == 0 {
        log::info!("reconciliation.every_minutes is 0: the server does not compare ledger and providers by itself");
        return;
    }
    let mut whole: Option<Instant> = None;
    loop {
        let due = whole.is_none_or(|at| at.elapsed() >= WHOLE_EVERY);
        match reconcile(context, &options(context, due, stop)) {
            Ok(report) => {
                tell(&report);
                if due && report.unreachable.is_empty() {
                    whole = Some(Instant::now());
                }
            }
            // The other server looks; what it finds is in the same tables.
            Err(ActionError::Busy { holder, .. }) => log::debug!("reconciliation: {holder} is at it"),
            Err(ActionError::Stopped) => return,
            Err(error) => log::error!("ledger and providers cannot be compared: {error}"),
        }
        if stop.wait(Duration::from_secs(u64::from(minutes) * 60)) {
            return;
        }
    }
}

fn options(context: &Context, whole: bool, stop: &Stop) -> LookOptions {
    let backfill = match (context.config.reconciliation.backfill, whole) {
        (false, _) => Backfill::Nothing,
        (true, false) => Backfill::Recent,
        (true, true) => Backfill::All,
    };
    LookOptions { from: None, to: None, fetch: if whole { Fetch::All } else { Fetch::New }, backfill, stop: stop.clone() }
}

fn tell(report: &Report) {
    for down in &report.unreachable {
        log::warn!("reconciliation: {} could not be asked: {}", down.provider, down.reason);
    }
    if report.repaired.changed() {
        log::info!("reconciliation: {} lost events fetched, {} applied", report.repaired.fetched, report.repaired.applied);
    }
    if report.differences > 0 {
        log::warn!("reconciliation: {} differences over {} cents", report.differences, report.delta_cents);
    } else {
        log::debug!("reconciliation: ledger, providers and bank agree");
    }
}
