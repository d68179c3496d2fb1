//! `aquabills demo`: a demonstration town with two years of history, served.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::print;
use super::{Failure, Global};
use crate::actions::Context;
use crate::actions::check_ledger::check_ledger;
use crate::actions::demo::{MONTHS, TownOptions, TownReport, forget_sign_ins, is_complete, make_town, sign_ins};
use crate::actions::sign_in::{code_at, new_token};
use crate::actions::verify_bills::verify_bills;
use crate::config::{Config, ProviderSettings, Secret};
use crate::domain::money::Money;
use crate::providers;
use crate::sandbox::{Options, Running, Sandbox};
use crate::web::Application;

/// What the demonstration's payment provider is called.
const SANDBOX: &str = "sandbox";
/// The file of what was paid with it, in the town's folder.
const SANDBOX_STATE: &str = "sandbox.jsonl";

/// Makes a demonstration town, bills it, and serves it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The town's folder: its settings, its files and its database
    #[arg(long, default_value = "aquabills-demo")]
    folder: PathBuf,
    /// Makes the town anew, throwing the old one away
    #[arg(long)]
    fresh: bool,
    /// Makes the town and does not serve it
    #[arg(long)]
    no_serve: bool,
    /// Accounts of a new town
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(20..=10_000))]
    accounts: u16,
    /// Prints the code of the moment of a member of the demonstration's staff, and does nothing else
    #[arg(long, value_name = "EMAIL")]
    code: Option<String>,
    /// Address and port to serve at
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: String,
    /// Address and port of the payment provider beside it, which takes no real money; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "LISTEN")]
    sandbox_listen: String,
    /// Serves without a payment provider: nothing is paid online
    #[arg(long)]
    no_sandbox: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    if let Some(email) = &args.code {
        return tell_code(&args.folder, email);
    }
    if global.database_named {
        return Err(Failure::Use("the demonstration has a database of its own: say --folder, not --database".to_owned()));
    }
    let file = args.folder.join("town.db");
    // Before anything is made or thrown away: most often another demonstration is being served there.
    let listen = if args.no_serve { args.listen.clone() } else { free_address(&args.listen)? };
    let _alone = take_folder(&args.folder)?;
    let complete = is_complete(&args.folder) && file.exists();
    if args.fresh || !complete {
        if file.exists() && !args.fresh {
            print::message("the town was not made to its end: it is made anew");
        }
        remove_town(&args.folder, &file)?;
    }
    let town =
        Global { database: file.display().to_string(), database_named: true, config: settings(&args.folder, &listen)?, actor: global.actor.clone() };
    let context = town.context()?;
    if args.fresh || !complete {
        let started = Instant::now();
        let bar = print::progress("months");
        let options = TownOptions { accounts: usize::from(args.accounts), months: MONTHS };
        let made = make_town(&context, &args.folder, options, &|done, all| print::show_parts(&bar, done, all));
        bar.finish_and_clear();
        tell(&made?, started)?;
    } else {
        print::line(&format!("the town in {} is kept as it was (--fresh makes it anew)", args.folder.display()))?;
    }
    let sound = prove(&context)?;
    if args.no_serve || !sound {
        return Ok(sound);
    }
    let (context, _sandbox) = if args.no_sandbox { (context, None) } else { with_sandbox(context, args, &listen)? };
    let application = Application::build(context.clone(), &listen).map_err(|error| Failure::No(format!("{listen}: {error}")))?;
    tell_sign_ins(&args.folder)?;
    print::line(&format!("serving Millbrook Water at {} (stop with Ctrl-C)", application.address()))?;
    super::serve::serve(&context, application, true)?;
    Ok(true)
}

/// The address to serve at, with the port that it will be.
fn free_address(listen: &str) -> Result<String, Failure> {
    let bound = TcpListener::bind(listen).and_then(|listener| listener.local_addr());
    Ok(bound.map_err(|error| Failure::No(format!("{listen}: {error}")))?.to_string())
}

/// Starts a payment provider beside the town, with secrets that are good for this run, and lets the town pay with it. It ends
/// with its handle; what was paid with it stays in the town's folder.
fn with_sandbox(context: Context, args: &Args, listen: &str) -> Result<(Context, Option<Running>), Failure> {
    let (key, secret) = (format!("sk_test_{}", new_token()), format!("whsec_{}", new_token()));
    let options = Options {
        listen: args.sandbox_listen.clone(),
        key: key.clone(),
        webhook_secret: secret.clone(),
        endpoints: vec![format!("http://{listen}/callbacks/{SANDBOX}")],
        state: Some(args.folder.join(SANDBOX_STATE)),
        ..Options::default()
    };
    let running = Sandbox::start(options).map_err(|error| Failure::No(format!("{}: {error}", args.sandbox_listen)))?;
    let settings = ProviderSettings {
        name: SANDBOX.to_owned(),
        merchant: "acct_millbrook".to_owned(),
        base_url: running.address().to_owned(),
        secret_key: Some(Secret::new(key)),
        webhook_secrets: vec![Secret::new(secret)],
        ..ProviderSettings::default()
    };
    let providers = providers::open(&[settings]);
    print::line(&format!("payments: a provider that takes no real money is at {}", running.address()))?;
    Ok((Context { providers, ..context }, Some(running)))
}

/// Who may sign in, one to a line.
fn tell_sign_ins(folder: &Path) -> Result<(), Failure> {
    for somebody in sign_ins(folder)? {
        let secret = somebody.secret.map(|secret| format!(" {secret}")).unwrap_or_default();
        print::line(&format!("sign-in: {} {} {}{secret}", somebody.role, somebody.email, somebody.password))?;
    }
    print::line(&format!(
        "the last word of a member of staff is the secret of the second factor: put it into an authenticator app, or ask for the code of the moment \
         with `aquabills demo --folder {} --code EMAIL`",
        folder.display()
    ))
}

/// The code of the moment.
fn tell_code(folder: &Path, email: &str) -> Result<bool, Failure> {
    let known = sign_ins(folder)?.into_iter().find(|somebody| somebody.email == email);
    let secret = known.and_then(|somebody| somebody.secret);
    let secret = secret.ok_or_else(|| Failure::No(format!("the demonstration in {} has no member of staff {email}", folder.display())))?;
    let now = crate::clock::Clock::System.now();
    print::line(&code_at(&secret, now).unwrap_or_default())?;
    Ok(true)
}

/// The town's settings are a file like any other's: written once, and then what the file says.
fn settings(folder: &Path, listen: &str) -> Result<Config, Failure> {
    let path = folder.join("aquabills.toml");
    if !path.exists() {
        let mail = std::fs::canonicalize(folder)?.join("mail");
        let text = format!(
            "# Settings of Millbrook, a town that does not exist.\n\
             utility_name = \"Millbrook Water\"\n\
             time_zone = \"America/Los_Angeles\"\n\
             currency = \"USD\"\n\
             public_url = \"http://{listen}\"\n\n\
             [gates]\n\
             recompute_one_in = 10\n\n\
             [sign_in]\n\
             # The demonstration is reached at this machine alone, without TLS.\n\
             secure_cookies = false\n\n\
             [mail]\n\
             transport = \"folder\"\n\
             folder = '{}'\n\
             from = \"Millbrook Water <billing@millbrook.example>\"\n\
             staff = [\"supervisor@millbrook.example\"]\n\n\
             [[schedule]]\n\
             name = \"monthly-bills\"\n\
             cycle = \"town\"\n\
             cron = \"0 4 18 * *\"\n\
             days_back = 3\n\
             estimate = true\n",
            mail.display()
        );
        std::fs::write(&path, text)?;
    }
    let config = Config::load(Some(&path)).map_err(|error| Failure::Use(error.to_string()))?;
    // Links lead to where the town is served now.
    let public_url = if listen.ends_with(":0") { config.public_url.clone() } else { format!("http://{listen}") };
    Ok(Config { public_url, ..config })
}

/// The folder is this program's alone: two would make one town at once.
fn take_folder(folder: &Path) -> Result<std::fs::File, Failure> {
    let failed = |error: std::io::Error| Failure::No(format!("{}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let lock = std::fs::File::create(folder.join("demo.lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(Failure::No(format!(
            "another demonstration is at work in {}: stop it first (Ctrl+C where it runs), or make one of your own with --folder",
            folder.display()
        ))),
        Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Only the files of SQLite in the town's own folder, by name, and the sign-ins to it.
fn remove_town(folder: &Path, file: &Path) -> Result<(), Failure> {
    forget_sign_ins(folder)?;
    for suffix in ["", "-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(PathBuf::from(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Failure::No(format!("{}: {error}", file.display()))),
            _ => {}
        }
    }
    match std::fs::remove_file(folder.join(SANDBOX_STATE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::No(format!("{}: {error}", folder.display()))),
        _ => Ok(()),
    }
}

fn tell(made: &TownReport, started: Instant) -> Result<(), Failure> {
    print::line(&format!(
        "Millbrook: {} accounts, two years, {} runs with {} bills, {} payments ({} returned), {} estimated reads, {} moves, {} meters exchanged; \
         made in {} ms",
        made.accounts,
        made.runs,
        made.bills,
        made.payments,
        made.returned,
        made.estimated,
        made.moves,
        made.exchanges,
        started.elapsed().as_millis()
    ))
}

/// Shows that the town's bills can be made again and its ledger is sound.
fn prove(context: &Context) -> Result<bool, Failure> {
    let bills = verify_bills(context, &|_, _| {})?;
    print::line(&format!(
        "verify: {} made again from their inputs, {}",
        print::count(bills.bills, "bill"),
        print::count(bills.differences, "difference")
    ))?;
    let ledger = check_ledger(context, &|_| {})?;
    let balance = Money::from_cents(ledger.balance_cents);
    print::line(&format!(
        "ledger check: {}, balance {balance}, {}",
        print::count(ledger.transactions, "transaction"),
        print::count(ledger.faults, "fault")
    ))?;
    Ok(bills.differences == 0 && ledger.faults == 0)
}
