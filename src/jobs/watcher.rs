//! The watcher: looks at the figures, opens and ends alarms, and looks again at what was applied.

use std::time::Duration;

use crate::actions::alarms::{Local, look};
use crate::actions::inbox::{Rechecks, recheck};
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context};
use crate::telemetry::metrics;

pub(super) fn run(context: &Context, stop: &Stop) {
    let settings = &context.config.alarms;
    if !settings.enabled {
        log::warn!("nobody watches: alarms.enabled is off");
        return;
    }
    let mut rechecks = Rechecks::default();
    loop {
        if let Err(error) = watch(context, &mut rechecks, stop) {
            log::error!("the figures cannot be looked at: {error}");
        }
        if stop.wait(Duration::from_secs(u64::from(settings.look_seconds))) {
            return;
        }
    }
}

fn watch(context: &Context, rechecks: &mut Rechecks, stop: &Stop) -> Result<(), ActionError> {
    recheck(context, rechecks, stop)?;
    let local = Local {
        last_minute: metrics::last_minute(),
        refused: metrics::refused_last_hour(),
        silent: silent(context),
        disagreeing: rechecks.disagreeing(),
    };
    let looked = look(context, &local)?;
    for kind in looked.opened {
        log::error!(alarm = kind.as_str(); "alarm: {}", kind.title());
    }
    for kind in looked.closed {
        log::info!(alarm = kind.as_str(); "the alarm is over: {}", kind.title());
    }
    metrics::beat("watcher", context.now().and_utc().timestamp());
    Ok(())
}

/// The jobs of this process that gave no sign of life for too long.
fn silent(context: &Context) -> Vec<(&'static str, i64)> {
    let now = context.now().and_utc().timestamp();
    let limit = context.config.alarms.silent_seconds();
    metrics::beats().into_iter().map(|(job, at)| (job, now - at)).filter(|(job, ago)| *job != "watcher" && *ago > limit).collect()
}
