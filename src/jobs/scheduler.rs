//! The scheduler: runs what is due, and looks again soon.

use std::time::Duration;

use crate::actions::Context;
use crate::actions::schedule::{DueOptions, run_due};
use crate::actions::stop::Stop;

/// The pause between two looks at the clock. It is short and does not depend on when the next moment is, so that a
/// clock that is set, or a machine that slept, is noticed at once.
const TICK: Duration = Duration::from_secs(20);

pub(super) fn run(context: &Context, stop: &Stop) {
    if context.config.schedule.is_empty() {
        log::info!("there are no schedules");
        return;
    }
    let options = DueOptions { retry_now: false, stop: stop.clone(), progress: &|_, _, _| {} };
    let due = run_due(context, &options).len();
    log::info!("the scheduler watches {} schedules, of which {due} called for something just now", context.config.schedule.len());
    while !stop.wait(TICK) {
        // What became of each is in the table and in the log already.
        let _ = run_due(context, &options);
    }
}
