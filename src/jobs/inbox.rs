//! The inbox's job: applies what providers sent, as soon as it is there.

use std::time::Duration;

use crate::actions::Context;
use crate::actions::inbox::settle_at_pace;
use crate::actions::stop::Stop;
use crate::domain::retry::Pace;
use crate::telemetry::metrics;

/// How soon a new event is seen.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Applies what is due until it is told to stop.
pub(super) fn run(context: &Context, stop: &Stop) {
    let mut pace = Pace::default();
    while !stop.wait(LOOK_AGAIN) {
        match settle_at_pace(context, &mut pace, stop) {
            Ok(settled) => {
                metrics::beat("inbox", context.now().and_utc().timestamp());
                if settled.applied + settled.failed > 0 {
                    log::info!("{} events applied, {} failed", settled.applied, settled.failed);
                }
            }
            Err(error) => log::error!("the inbox cannot be settled: {error}"),
        }
    }
}
