//! `aquabills serve`: the web application.

use super::print;
use super::{Failure, Global};
use crate::web::Application;

/// Serves the web application.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address and port [default: the setting `listen`, 127.0.0.1:8080]
    #[arg(long)]
    listen: Option<String>,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.context()?;
    let listen = args.listen.as_deref().unwrap_or(&global.config.listen);
    let application = Application::build(context, listen).map_err(|error| Failure::No(format!("{listen}: {error}")))?;
    print::line(&format!("serving {} at {}", global.config.utility_name, application.address()))?;
    application.run().map_err(|error| Failure::No(error.to_string()))?;
    Ok(true)
}
