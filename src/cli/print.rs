//! How commands speak: results on standard output, everything else on standard error.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use rust_decimal::Decimal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::db::OpenError;

/// Why a command did not do what it was told.
#[derive(Debug)]
pub enum Failure {
    /// The answer is no: exit status 1.
    No(String),
    /// It was used wrongly: exit status 2.
    Use(String),
}

impl Failure {
    /// 1 or 2.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::No(_) => ExitCode::from(1),
            Self::Use(_) => ExitCode::from(2),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Address(_) => Self::Use(error.to_string()),
            _ => Self::No(error.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::No(format!("writing failed: {error}"))
    }
}

/// Says what went wrong.
pub(super) fn error(failure: &Failure) {
    let (Failure::No(text) | Failure::Use(text)) = failure;
    message(&format!("error: {text}"));
}

/// Says something that is not a result.
pub(super) fn message(text: &str) {
    // Nobody listens on a closed standard error: nothing can be done about it.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Asks for something that is typed on the same line.
pub(super) fn prompt(text: &str) {
    // Nobody listens on a closed standard error: nothing can be done about it.
    let _ = write!(io::stderr().lock(), "{text}").and_then(|()| io::stderr().flush());
}

/// Prints a result line. A reader that has gone away (`| head`) is no error.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// A price with at least two decimals.
pub(super) fn price(price: Decimal) -> String {
    let mut price = price.normalize();
    if price.scale() < 2 {
        price.rescale(2);
    }
    price.to_string()
}

/// A count with its noun: `1 item`, `2 items`.
pub(super) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Prints one JSON object.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::No(error.to_string()))?;
    line(&text)
}

/// Standard output for much text. A reader that has gone away is told nothing more, and that is no error.
pub(super) struct Output {
    inner: io::BufWriter<io::Stdout>,
    gone: bool,
}

impl Output {
    /// Standard output.
    pub(super) fn new() -> Self {
        Self { inner: io::BufWriter::new(io::stdout()), gone: false }
    }

    fn forgive<T>(&mut self, outcome: io::Result<T>, instead: T) -> io::Result<T> {
        match outcome {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(instead)
            }
            outcome => outcome,
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.gone {
            return Ok(bytes.len());
        }
        let outcome = self.inner.write(bytes);
        self.forgive(outcome, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.gone {
            return Ok(());
        }
        let outcome = self.inner.flush();
        self.forgive(outcome, ())
    }
}

/// A progress bar for people; silent when standard error is not a terminal.
pub(super) fn progress(what: &str) -> ProgressBar {
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    if let Ok(style) = ProgressStyle::with_template("{msg:>10} [{bar:40}] {human_pos}/{human_len} {elapsed} (eta {eta})") {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// Shows how many of all parts of a piece of work are done.
pub(super) fn show_parts(bar: &ProgressBar, done: usize, all: usize) {
    bar.set_length(u64::try_from(all).unwrap_or(0));
    bar.set_position(u64::try_from(done).unwrap_or(0));
}

/// The same, and which step of the work it is.
pub(super) fn show_step(bar: &ProgressBar, step: &str, done: usize, all: usize) {
    bar.set_message(step.to_owned());
    show_parts(bar, done, all);
}

/// A spinner for work of unknown length.
pub(super) fn counter(what: &str) -> ProgressBar {
    let bar = progress(what);
    if let Ok(style) = ProgressStyle::with_template("{msg:>10} {human_pos} rows {elapsed} ({per_sec})") {
        bar.set_style(style);
    }
    bar
}
