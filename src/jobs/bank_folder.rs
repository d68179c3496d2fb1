//! The folder that banks' files come into, looked at all the time.

use std::time::Duration;

use crate::actions::Context;
use crate::actions::bank::folder::Watch;
use crate::actions::stop::Stop;

/// Takes in what comes until it is told to stop. Without a folder in the settings there is nothing to do.
pub(super) fn run(context: &Context, stop: &Stop) {
    let settings = &context.config.bank;
    if settings.folder.as_os_str().is_empty() {
        return;
    }
    let interval = Duration::from_secs(settings.poll_seconds.into());
    let mut watch = Watch::default();
    loop {
        match watch.look(context, &settings.folder) {
            Ok(looked) => {
                looked.imported.iter().for_each(|name| log::info!("bank folder: {name} is imported"));
                looked.refused.iter().for_each(|(name, reason)| log::error!("bank folder: {name} is refused: {reason}"));
            }
            Err(error) => log::error!("bank folder: {error}"),
        }
        if stop.wait(interval) {
            return;
        }
    }
}
