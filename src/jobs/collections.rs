//! The collections' job: once a day, in the morning, every account of which something is open is looked at.

use std::time::Duration;

use chrono::{NaiveDate, Timelike};

use crate::actions::collections::daily::{Options, run_daily};
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context};
use crate::telemetry::metrics;

/// How soon a day that has begun is seen, and what failed is tried again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Not before this hour, by the utility's clock: what banks send in the night counts first.
const FIRST_HOUR: u32 = 6;

/// Looks once a day until it is told to stop.
pub(super) fn run(context: &Context, stop: &Stop) {
    let mut done = None;
    loop {
        match look(context, stop, &mut done) {
            Ok(()) => metrics::beat("collections", context.now().and_utc().timestamp()),
            // The other server looks.
            Err(ActionError::Busy { holder, .. }) => log::debug!("collections: {holder} is at it"),
            Err(ActionError::Stopped) => return,
            Err(error) => log::error!("collections cannot go on: {error}"),
        }
        if stop.wait(LOOK_AGAIN) {
            return;
        }
    }
}

/// Looks when the day's hour has come and this process did not yet. A look that was interrupted left accounts without this day:
/// it goes on with them, and one that was complete finds next to nothing.
fn look(context: &Context, stop: &Stop, done: &mut Option<NaiveDate>) -> Result<(), ActionError> {
    let (today, hour) = (context.today(), context.now().and_utc().with_timezone(&context.config.time_zone).hour());
    if hour < FIRST_HOUR || *done == Some(today) {
        return Ok(());
    }
    let report = run_daily(context, &Options { stop: stop.clone(), ..Options::default() })?;
    *done = Some(report.day);
    if report.did_something() {
        log::info!(
            "collections: {} accounts, {} fees, {} taken back, {} reminders, {} letters, {} work items, {} plans kept, {} broken, {} deposits applied, {} accounts failed",
            report.accounts,
            report.fees,
            report.fees_taken_back,
            report.reminders,
            report.letters,
            report.work_items,
            report.plans_kept,
            report.plans_broken,
            report.deposits_applied,
            report.failed
        );
    }
    Ok(())
}
