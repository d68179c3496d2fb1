//! Autopay's job: draws what is due, and looks after mandates that are being made or are over.

use std::time::Duration;

use crate::actions::Context;
use crate::actions::autopay::{Counts, run_due, run_often};
use crate::actions::stop::Stop;

/// How soon a customer who comes back from the provider is seen, and a day that has begun.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Whether a mandate is over by itself is looked at once an hour.
const ROUNDS_OF_AN_HOUR: u32 = 1_800;

/// Does what is due until it is told to stop.
pub(super) fn run(context: &Context, stop: &Stop) {
    for round in (0..ROUNDS_OF_AN_HOUR).cycle() {
        if stop.wait(LOOK_AGAIN) {
            return;
        }
        match if round == 0 { run_due(context, stop) } else { run_often(context, stop) } {
            Ok(counts) if counts != Counts::default() => log::info!(
                "autopay: {} mandates active, {} ended, {} draws made, {} skipped, {} declined, {} waiting",
                counts.activated,
                counts.ended,
                counts.drawn,
                counts.skipped,
                counts.failed,
                counts.waiting
            ),
            Ok(_) => {}
            Err(error) => log::error!("autopay cannot go on: {error}"),
        }
    }
}
