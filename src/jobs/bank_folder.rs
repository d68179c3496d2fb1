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
                // The reason quotes the file, which names people: it stands beside the file, not in the log.
                looked.refused.iter().for_each(|(name, _)| log::error!("bank folder: {name} is refused, for the reason in the file beside it"));
            }
            Err(error) => log::error!("bank folder: {error}"),
        }
        if stop.wait(interval) {
            return;
        }
    }
}
