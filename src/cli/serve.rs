//! `aquabills serve`: the web application, and the work that runs by itself.

use std::thread;
use std::time::Duration;

use actix_web::rt::System;
use actix_web::rt::signal::unix::{SignalKind, signal};

use super::print;
use super::{Failure, Global};
use crate::actions::stop::Stop;
use crate::jobs::Jobs;
use crate::web::Application;

/// How long the jobs may take to finish the piece at hand when the program ends.
const PATIENCE: Duration = Duration::from_secs(8);

/// Serves the web application, and runs due schedules beside it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address and port [default: the setting `listen`, 127.0.0.1:8080]
    #[arg(long)]
    listen: Option<String>,
    /// Serves pages only: schedules are run by another server, or by `bill --due`
    #[arg(long)]
    no_jobs: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.context()?;
    let listen = args.listen.as_deref().unwrap_or(&global.config.listen);
    let application = Application::build(context.clone(), listen).map_err(|error| Failure::No(format!("{listen}: {error}")))?;
    let stop = Stop::default();
    stop_on_signal(&stop)?;
    let jobs = if args.no_jobs { None } else { Some(Jobs::start(&context, &stop)?) };
    print::line(&format!("serving {} at {}", global.config.utility_name, application.address()))?;
    let served = application.run();
    // What a job leaves unfinished is gone on with at the next start: not an error.
    if let Some(jobs) = jobs
        && !jobs.stop(PATIENCE)
    {
        print::message("a job did not end in time; the next start goes on where it stopped");
    }
    served.map_err(|error| Failure::No(error.to_string()))?;
    Ok(true)
}

/// Asks the jobs to stop as soon as the signal comes: the web server listens for itself, and may take a while.
fn stop_on_signal(stop: &Stop) -> Result<(), Failure> {
    let stop = stop.clone();
    let listen = async move {
        let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
        let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
            log::warn!("signals cannot be listened for: jobs are stopped when the web server has ended");
            return;
        };
        std::future::poll_fn(|task| if terminate.poll_recv(task).is_ready() { std::task::Poll::Ready(Some(())) } else { interrupt.poll_recv(task) })
            .await;
        stop.request();
    };
    thread::Builder::new().name("signals".to_owned()).spawn(move || System::new().block_on(listen))?;
    Ok(())
}
