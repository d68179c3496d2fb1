//! Asking who decides: the password and a code of the second factor, from the terminal without showing the password, or as two
//! lines of standard input. Neither ever stands on a command line, where others could read it.

use std::io::{self, BufRead, IsTerminal, Read};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::Failure;
use super::print;
use crate::actions::sign_in::{Attempt, Proven, minutes_until, prove};
use crate::actions::{ActionError, Context};

/// No line that is read is longer.
const LONGEST_LINE: u64 = 4_096;

/// Somebody who proves to be who `--by` says.
pub(super) fn of_actor(context: &Context) -> Result<Proven, Failure> {
    let password = ask(&format!("Password of {}: ", context.actor), true)?;
    let code = ask("Code of the second factor: ", false)?;
    match prove(context, &context.actor, &password, &code)? {
        Attempt::Accepted(proven) => Ok(proven),
        Attempt::Wrong => Err(ActionError::Refused(format!(
            "that is not the password and a new code of '{}': whoever decides gives both, the password first",
            context.actor
        ))
        .into()),
        Attempt::Blocked { until } => {
            let minutes = minutes_until(context.now(), until);
            Err(ActionError::Refused(format!("there were too many wrong passwords or codes: try again in {minutes} minutes")).into())
        }
    }
}

fn ask(prompt: &str, hidden: bool) -> Result<String, Failure> {
    let fault = |error: io::Error| Failure::No(format!("standard input: {error}"));
    let input = io::stdin();
    if !input.is_terminal() {
        return read_line().map_err(fault);
    }
    print::prompt(prompt);
    if !hidden {
        return read_line().map_err(fault);
    }
    let shown = tcgetattr(&input).map_err(|error| fault(error.into()))?;
    let mut quiet = shown.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&input, OptionalActions::Flush, &quiet).map_err(|error| fault(error.into()))?;
    let line = read_line();
    tcsetattr(&input, OptionalActions::Flush, &shown).map_err(|error| fault(error.into()))?;
    print::message("");
    line.map_err(fault)
}

fn read_line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().take(LONGEST_LINE).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
