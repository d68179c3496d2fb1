//! Work that runs by itself beside the web application: starting and stopping it. What is done is a verb in `actions`.

mod autopay;
mod bank_folder;
mod collections;
mod housekeeping;
mod inbox;
pub mod mailer;
mod reconciler;
mod refunds;
mod scheduler;
mod sweeper;
mod watcher;

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::actions::Context;
use crate::actions::stop::Stop;

/// How often the end of the jobs is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The jobs of a server.
pub struct Jobs {
    stop: Stop,
    threads: Vec<(&'static str, JoinHandle<()>)>,
}

impl Jobs {
    /// Starts every job in a thread of its own; each ends soon after `stop` is requested.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(context: &Context, stop: &Stop) -> std::io::Result<Self> {
        let mut jobs = Self { stop: stop.clone(), threads: Vec::new() };
        jobs.add("scheduler", context, scheduler::run)?;
        jobs.add("mailer", context, send_notices)?;
        jobs.add("inbox", context, inbox::run)?;
        jobs.add("autopay", context, autopay::run)?;
        jobs.add("refunds", context, refunds::run)?;
        jobs.add("watcher", context, watcher::run)?;
        jobs.add("reconciler", context, reconciler::run)?;
        jobs.add("sweeper", context, sweeper::run)?;
        jobs.add("bank folder", context, bank_folder::run)?;
        jobs.add("collections", context, collections::run)?;
        jobs.add("housekeeping", context, housekeeping::run)?;
        Ok(jobs)
    }

    fn add(&mut self, name: &'static str, context: &Context, job: fn(&Context, &Stop)) -> std::io::Result<()> {
        let (context, stop) = (Context { actor: name.to_owned(), ..context.clone() }, self.stop.clone());
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || job(&context, &stop))?;
        self.threads.push((name, thread));
        Ok(())
    }

    /// Stops every job and waits for so long that each finishes the piece at hand. One that does not is left behind:
    /// the process ends, and the database holds nothing of an unfinished piece. Returns whether all ended.
    #[must_use]
    pub fn stop(self, patience: Duration) -> bool {
        self.stop.request();
        let since = Instant::now();
        let mut all_ended = true;
        for (name, thread) in self.threads {
            while !thread.is_finished() && since.elapsed() < patience {
                thread::sleep(LOOK_AGAIN);
            }
            let ended = thread.is_finished() && thread.join().is_ok();
            if !ended {
                log::warn!("the job {name} did not end by itself");
            }
            all_ended &= ended;
        }
        all_ended
    }
}

/// Sends what is due until it is told to stop.
fn send_notices(context: &Context, stop: &Stop) {
    match mailer::Mailer::start(context) {
        Ok(mailer) => {
            while !stop.wait(Duration::from_secs(3600)) {}
            mailer.stop();
        }
        Err(error) => log::error!("notices are not sent: {error}"),
    }
}
