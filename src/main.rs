//! The program: parses its words, starts the log, calls the library.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    aquabills::cli::run(aquabills::cli::Cli::parse())
}
