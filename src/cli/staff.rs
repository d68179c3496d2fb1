//! `aquabills staff`: the utility's people who may sign in. The first administrator is made here.

use std::io::Read;

use super::print;
use super::{Failure, Global};
use crate::actions::Context;
use crate::actions::sign_in::{self, NewStaff, StaffMember};
use crate::domain::roles::Role;

/// No password that is read is longer.
const LONGEST_INPUT: u64 = 4096;

/// Lists, adds and changes the utility's people who may sign in.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lets somebody in; prints a link to set the password unless one is given
    Add {
        /// The address to sign in with
        #[arg(long)]
        email: String,
        /// The name
        #[arg(long)]
        name: String,
        /// clerk, supervisor, auditor or administrator
        #[arg(long)]
        role: Role,
        /// Reads the first password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Lists who may sign in
    List {
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Shuts somebody out; their sessions end at once
    Disable {
        /// Their address
        email: String,
    },
    /// Lets somebody in again
    Enable {
        /// Their address
        email: String,
    },
    /// Takes a second factor away (also a customer's): the next sign-in sets up another
    ResetFactor {
        /// Their address
        email: String,
    },
    /// Prints a link to set a password
    Link {
        /// Their address
        email: String,
    },
}

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    match &args.command {
        Command::Add { email, name, role, password_stdin } => {
            let password = if *password_stdin { Some(read_password()?) } else { None };
            let context = global.context()?;
            let new = NewStaff { email: email.clone(), name: name.clone(), role: *role, password, mail_link: false };
            match sign_in::add_staff(&context, &new)? {
                Some(path) => print_link(&context, &path)?,
                None => print::message(&format!("{email} may sign in as {role}; the first sign-in sets up a second factor")),
            }
        }
        Command::List { json } => list(&global.existing()?, *json)?,
        Command::Disable { email } => {
            sign_in::set_staff_disabled(&global.existing()?, email, true)?;
            print::message(&format!("{email} may not sign in any more; every session has ended"));
        }
        Command::Enable { email } => {
            sign_in::set_staff_disabled(&global.existing()?, email, false)?;
            print::message(&format!("{email} may sign in"));
        }
        Command::ResetFactor { email } => {
            sign_in::reset_factor(&global.existing()?, email)?;
            print::message(&format!("the second factor of {email} is removed; the next sign-in sets up another"));
        }
        Command::Link { email } => {
            let context = global.existing()?;
            let path = sign_in::send_link(&context, email, false)?;
            print_link(&context, &path)?;
        }
    }
    Ok(true)
}

/// The link is the result; what it is for is a message.
fn print_link(context: &Context, path: &str) -> Result<(), Failure> {
    print::message("a link to set the password, good once and for a day:");
    print::line(&format!("{}{path}", context.config.public_url.trim_end_matches('/')))
}

/// A password never stands on a command line, where others could read it.
fn read_password() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin().lock().take(LONGEST_INPUT).read_to_string(&mut text).map_err(|error| Failure::No(format!("standard input: {error}")))?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    Ok(password.strip_suffix('\r').unwrap_or(password).to_owned())
}

fn list(context: &Context, json: bool) -> Result<(), Failure> {
    let people = sign_in::list_staff(context)?;
    if json {
        return print::json(&serde_json::json!({ "staff": people }));
    }
    for person in &people {
        print::line(&format!("{:<32} {:<14} {:<22} {}", person.email, person.role, state(person), person.name))?;
    }
    Ok(())
}

fn state(person: &StaffMember) -> &'static str {
    match (person.disabled_at, person.has_password, person.has_factor) {
        (Some(_), _, _) => "disabled",
        (None, false, _) => "no password yet",
        (None, true, false) => "no second factor yet",
        (None, true, true) => "ready",
    }
}
