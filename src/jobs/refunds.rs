//! The refunds' job: asks providers for what was promised.

use std::time::Duration;

use crate::actions::Context;
use crate::actions::refunds::{Counts, send_due};
use crate::actions::stop::Stop;

/// How soon a new refund is seen.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Asks for what is due until it is told to stop.
pub(super) fn run(context: &Context, stop: &Stop) {
    while !stop.wait(LOOK_AGAIN) {
        match send_due(context, stop) {
            Ok(counts) if counts != Counts::default() => {
                log::info!("refunds: {} sent, {} failed, {} are asked for again", counts.sent, counts.failed, counts.waiting);
            }
            Ok(_) => {}
            Err(error) => log::error!("refunds cannot be sent: {error}"),
        }
    }
}
