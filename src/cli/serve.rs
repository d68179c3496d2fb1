//! `aquabills serve`: the web application, and the work that runs by itself.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use actix_web::rt::System;
use actix_web::rt::signal::unix::{SignalKind, signal};

use super::print;
use super::{Failure, Global};
use crate::actions::Context;
use crate::actions::stop::Stop;
use crate::jobs::Jobs;
use crate::telemetry::{metrics, otlp};
use crate::web::Application;

/// How long the jobs may take to finish the piece at hand when the program ends.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long spans may take to leave when the program ends.
const LAST_SPANS: Duration = Duration::from_secs(2);

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
    context.providers.ready().map_err(Failure::Use)?;
    let listen = args.listen.as_deref().unwrap_or(&global.config.listen);
    let application = Application::build(context.clone(), listen).map_err(|error| Failure::No(format!("{listen}: {error}")))?;
    print::line(&format!("serving {} at {}", global.config.utility_name, application.address()))?;
    serve(&context, application, !args.no_jobs)?;
    Ok(true)
}

/// Serves, with the jobs beside it, until SIGTERM or SIGINT. Both are told at once: a run that a job is at is left after
/// the chunk at hand, and gone on with at the next start.
pub(super) fn serve(context: &Context, application: Application, with_jobs: bool) -> Result<(), Failure> {
    let system = System::new();
    // Signals are listened for before anything is begun, so that none is lost.
    let (mut terminate, mut interrupt) =
        system.block_on(async { Ok::<_, std::io::Error>((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)) })?;
    let stop = Stop::default();
    metrics::started(context.now().and_utc().timestamp());
    let exporter = otlp::start(&context.config.telemetry)?;
    let jobs = if with_jobs { Some(Jobs::start(context, &stop)?) } else { None };
    let told = async move {
        poll_fn(|task| if terminate.poll_recv(task).is_ready() { Poll::Ready(()) } else { interrupt.poll_recv(task).map(|_| ()) }).await;
        stop.request();
    };
    let served = system.block_on(application.run_until(told));
    if let Some(jobs) = jobs
        && !jobs.stop(PATIENCE)
    {
        print::message("a job did not end in time; the next start goes on where it stopped");
    }
    exporter.stop(LAST_SPANS);
    served.map_err(|error| Failure::No(error.to_string()))
}
