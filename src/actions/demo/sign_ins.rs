//! The demonstration's sign-ins: made by the sign-in's own verbs, written into the town's folder, and told at each start.
//!
//! Nobody else's sign-in is ever written down: these are of people who do not exist, in a town that does not exist.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use chrono::Days;
use rand::Rng;

use super::at_noon;
use crate::actions::sign_in::{
    Attempt, Client, NewStaff, add_staff, code_at, confirm_factor, current_session, propose_factor, request_link, send_link, set_password_by_link,
    sign_in,
};
use crate::actions::{ActionError, Context};
use crate::domain::roles::Role;

/// The file in the town's folder.
const FILE: &str = "sign-ins.txt";
/// Whose account the customer's sign-in shows: a house with a dog, where the meter was not read for three months.
pub(super) const CUSTOMER_HOUSE: usize = 29;
const WORDS: [&str; 24] = [
    "amber", "basalt", "cedar", "delta", "ember", "fathom", "granite", "harbour", "islet", "juniper", "kestrel", "lagoon", "meadow", "nimbus",
    "otter", "pebble", "quartz", "ripple", "sparrow", "thistle", "umber", "velvet", "willow", "zephyr",
];

/// Somebody who may sign in to the demonstration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoSignIn {
    /// What as.
    pub role: Role,
    /// The address.
    pub email: String,
    /// The password.
    pub password: String,
    /// The secret of the second factor, in base 32; none for a customer.
    pub secret: Option<String>,
}

impl DemoSignIn {
    fn line(&self) -> String {
        let secret = self.secret.as_deref().map(|secret| format!(" {secret}")).unwrap_or_default();
        format!("{} {} {}{secret}", self.role, self.email, self.password)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (role, email, password) = (words.next()?.parse().ok()?, words.next()?.to_owned(), words.next()?.to_owned());
        Some(Self { role, email, password, secret: words.next().map(str::to_owned) })
    }
}

/// Lets a customer and one of each of the staff's roles in, and writes down how.
///
/// # Errors
/// Those of the verbs, or [`ActionError::File`].
pub(super) fn make(context: &Context, folder: &Path, customer: &str) -> Result<(), ActionError> {
    // The day before, so that the first code that somebody gives has not been used.
    let eve = context.today().checked_sub_days(Days::new(1)).unwrap_or_else(|| context.today());
    let then = at_noon(context, eve);
    let mut made = vec![let_customer_in(&then, customer)?];
    let staff = [
        (Role::Clerk, "Casey Clerk"),
        (Role::Supervisor, "Sam Supervisor"),
        (Role::Auditor, "Audrey Auditor"),
        (Role::Administrator, "Adrian Administrator"),
    ];
    for (role, name) in staff {
        made.push(let_in(&then, role, name)?);
    }
    let lines: Vec<String> = made.iter().map(DemoSignIn::line).collect();
    let path = folder.join(FILE);
    let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path);
    file.and_then(|mut file| file.write_all((lines.join("\n") + "\n").as_bytes())).map_err(|source| ActionError::file(&path, source))
}

/// The sign-ins of the town in a folder.
///
/// # Errors
/// [`ActionError::File`] when they cannot be read.
pub fn sign_ins(folder: &Path) -> Result<Vec<DemoSignIn>, ActionError> {
    let path = folder.join(FILE);
    let text = std::fs::read_to_string(&path).map_err(|source| ActionError::file(&path, source))?;
    Ok(text.lines().filter_map(DemoSignIn::parse).collect())
}

/// Whether a town was made to its end: the sign-ins are written last.
#[must_use]
pub fn is_whole(folder: &Path) -> bool {
    folder.join(FILE).exists()
}

/// Takes the sign-ins of a town away that is to be made anew.
///
/// # Errors
/// [`ActionError::File`] when they cannot be removed.
pub fn forget_sign_ins(folder: &Path) -> Result<(), ActionError> {
    let path = folder.join(FILE);
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(ActionError::file(&path, source)),
        _ => Ok(()),
    }
}

fn let_in(context: &Context, role: Role, name: &str) -> Result<DemoSignIn, ActionError> {
    let (email, password) = (format!("{role}@millbrook.example"), new_password());
    let new = NewStaff { email: email.clone(), name: name.to_owned(), role, password: Some(password.clone()), mail_link: false };
    add_staff(context, &new)?;
    let client = Client::default();
    let Attempt::Accepted(entered) = sign_in(context, &email, &password, &client)? else { return Err(refused(&email)) };
    let session = current_session(context, &entered.token)?.ok_or_else(|| refused(&email))?;
    let secret: String = propose_factor(context, session.login.id)?.secret.split_whitespace().collect();
    let code = code_at(&secret, context.now()).ok_or_else(|| refused(&email))?;
    let Attempt::Accepted(_) = confirm_factor(context, session.login.id, &session.session, &code, &client)? else { return Err(refused(&email)) };
    Ok(DemoSignIn { role, email, password, secret: Some(secret) })
}

fn let_customer_in(context: &Context, email: &str) -> Result<DemoSignIn, ActionError> {
    request_link(context, email, &Client::default())?;
    let path = send_link(context, email, false)?;
    let password = new_password();
    set_password_by_link(context, path.rsplit('/').next().unwrap_or_default(), &password)?;
    Ok(DemoSignIn { role: Role::Customer, email: email.to_owned(), password, secret: None })
}

fn refused(email: &str) -> ActionError {
    ActionError::Refused(format!("the demonstration's sign-in {email} was refused"))
}

fn new_password() -> String {
    let mut random = rand::rng();
    let mut words: Vec<String> = (0..4).filter_map(|_| WORDS.get(random.random_range(0..WORDS.len())).map(|word| (*word).to_owned())).collect();
    words.push(random.random_range(100..1000).to_string());
    words.join("-")
}
