//! Housekeeping: what has served its time is cleared away, once an hour.

use std::time::Duration;

use crate::actions::Context;
use crate::actions::approvals::expire_due;
use crate::actions::schedule::forget_old;
use crate::actions::sign_in::sweep;
use crate::actions::stop::Stop;

const INTERVAL: Duration = Duration::from_secs(3600);

pub(super) fn run(context: &Context, stop: &Stop) {
    loop {
        clear(context);
        if stop.wait(INTERVAL) {
            return;
        }
    }
}

fn clear(context: &Context) {
    match forget_old(context) {
        Ok(0) => {}
        Ok(count) => log::info!("housekeeping: {count} old moments of schedules are forgotten"),
        Err(error) => log::warn!("housekeeping: old moments of schedules: {error}"),
    }
    match expire_due(context) {
        Ok(0) => {}
        Ok(count) => log::info!("housekeeping: {count} requests expired, which no second person decided about"),
        Err(error) => log::warn!("housekeeping: requests for a second person: {error}"),
    }
    match sweep(context) {
        Ok(swept) => log::debug!("housekeeping: {} sessions, {} links, {} counts are swept", swept.sessions, swept.links, swept.throttles),
        Err(error) => log::warn!("housekeeping: ended sessions: {error}"),
    }
}
