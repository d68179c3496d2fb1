//! `aquabills sandbox-provider`: a payment provider for demonstrations and tests, on a port of its own.

use std::future::poll_fn;
use std::path::PathBuf;
use std::task::Poll;

use actix_web::rt::System;
use actix_web::rt::signal::unix::{SignalKind, signal};

use super::Failure;
use super::print;
use crate::sandbox::{Faults, Options, Sandbox};

/// Serves a payment provider that takes no real money, and makes faults on demand.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address and port; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: String,
    /// Where a browser reaches it [default: where it listens]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Where callbacks go; may be given several times
    #[arg(long, value_name = "URL")]
    endpoint: Vec<String>,
    /// The secret key that callers must have
    #[arg(long, env = "AQUABILLS_SANDBOX_KEY", hide_env_values = true, default_value = "sk_test_sandbox")]
    key: String,
    /// The secret that callbacks are signed with
    #[arg(long, env = "AQUABILLS_SANDBOX_WEBHOOK_SECRET", hide_env_values = true, default_value = "whsec_sandbox")]
    webhook_secret: String,
    /// Keeps everything in this file over a restart [default: in memory only]
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Names, delays and orders are drawn from this number [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// How many callbacks may be on their way at once; 1 makes their order the seed's alone
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Faults from the beginning, as the JSON object of /sandbox/faults
    #[arg(long, value_name = "JSON")]
    faults: Option<String>,
    /// Delivers each event so often
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=50))]
    duplicates: Option<u32>,
    /// Holds callbacks until they are released
    #[arg(long)]
    hold: bool,
    /// With --hold: lets go of all as soon as so many wait
    #[arg(long, value_name = "COUNT", requires = "hold")]
    burst: Option<usize>,
    /// Lets go of what was held in any order
    #[arg(long)]
    shuffle: bool,
    /// Delays each callback by up to so many milliseconds: they overtake each other
    #[arg(long, value_name = "MS")]
    delay_ms: Option<u64>,
    /// Never delivers so many of a thousand events
    #[arg(long, value_name = "COUNT")]
    lose_permille: Option<u32>,
    /// When a bank debit succeeds, in milliseconds after it was submitted [default: 5000]
    #[arg(long, value_name = "MS")]
    bank_settles_ms: Option<u64>,
}

impl Args {
    fn faults(&self) -> Result<Faults, Failure> {
        let wrong = |error: serde_json::Error| Failure::Use(format!("--faults: {error}"));
        let mut faults: Faults = self.faults.as_deref().map(serde_json::from_str).transpose().map_err(wrong)?.unwrap_or_default();
        faults.duplicates = self.duplicates.unwrap_or(faults.duplicates);
        faults.hold |= self.hold;
        faults.shuffle |= self.shuffle;
        faults.burst = self.burst.unwrap_or(faults.burst);
        faults.delay_ms = self.delay_ms.map_or(faults.delay_ms, |most| [0, most]);
        faults.lose_permille = self.lose_permille.unwrap_or(faults.lose_permille);
        faults.bank_settles_ms = self.bank_settles_ms.or(faults.bank_settles_ms);
        match faults.fault() {
            Some(fault) => Err(Failure::Use(format!("faults: {fault}"))),
            None => Ok(faults),
        }
    }
}

pub(super) fn run(args: &Args) -> Result<bool, Failure> {
    let options = Options {
        listen: args.listen.clone(),
        public_url: args.public_url.clone(),
        key: args.key.clone(),
        webhook_secret: args.webhook_secret.clone(),
        endpoints: args.endpoint.clone(),
        seed: args.seed,
        state: args.state.clone(),
        faults: args.faults()?,
        workers: usize::from(args.workers),
        ..Options::default()
    };
    let sandbox = Sandbox::build(options).map_err(|error| Failure::No(format!("{}: {error}", args.listen)))?;
    print::line(&format!("sandbox provider at {} (stop with Ctrl-C)", sandbox.address()))?;
    let system = System::new();
    // Signals are listened for before anything is begun, so that none is lost.
    let (mut terminate, mut interrupt) =
        system.block_on(async { Ok::<_, std::io::Error>((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)) })?;
    let told = poll_fn(move |task| if terminate.poll_recv(task).is_ready() { Poll::Ready(()) } else { interrupt.poll_recv(task).map(|_| ()) });
    system.block_on(sandbox.run_until(told)).map_err(|error| Failure::No(error.to_string()))?;
    Ok(true)
}
