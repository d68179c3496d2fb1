//! A read that a clerk enters for an account.

use actix_web::{HttpResponse, web};

use super::accounts::{Top, look};
use super::forms::{Field, Form, Kind, Sent, parse_day, value};
use super::payments::AccountForm;
use super::frame;
use crate::actions::Context;
use crate::actions::enter_read::{NewRead, ReadOutcome};
use crate::actions::staff_account::{Head, RegisterLine, enter_read_for, registers};
use crate::domain::metering::ReadKind;
use crate::domain::quantity::parse_milli;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{act, go_to};
use crate::web::routes::Routes;
use crate::web::text::date;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/accounts/{number}/read", enter_form);
    routes.post("/staff/accounts/{number}/read", enter);
}

/// What a form calls a register.
fn register_key(row: &RegisterLine) -> String {
    format!("{} {}", row.meter, row.register)
}

/// A register as a choice: what the form calls it, and what a clerk knows it by.
fn register_choice(row: &RegisterLine) -> (String, String) {
    let last = row.last_read.as_ref().map_or_else(|| "no read yet".to_owned(), |(day, reading)| format!("{reading} on {}", date(*day)));
    let register = if row.register == "1" { String::new() } else { format!(" register {}", row.register) };
    (register_key(row), format!("{} · meter {}{register} · last {last}", row.service_id, row.meter))
}

fn fields(context: &Context, rows: &[RegisterLine]) -> Form {
    let kinds = vec![
        ("actual".to_owned(), "Read by us".to_owned()),
        ("customer".to_owned(), "Read by the customer".to_owned()),
        ("final".to_owned(), "Final read".to_owned()),
    ];
    let only = if let [row] = rows { register_key(row) } else { String::new() };
    let digits = rows.iter().map(|row| row.digits).max().unwrap_or(0);
    Form::new(vec![
        Field::new("register", "Meter", Kind::Choice(rows.iter().map(register_choice).collect())).value(only),
        Field::new("reading", "Reading", Kind::Reading).hint(format!("What the register shows, up to {digits} digits before the point")),
        Field::new("read_on", "Read on", Kind::Date).hint("Today or earlier").value(context.today().to_string()),
        Field::new("kind", "How it came to be", Kind::Choice(kinds)).value("actual"),
        Field::new("vouch", "I have checked it: take it although it looks doubtful", Kind::Tick)
            .hint("Without this, a read outside the limits waits for a decision"),
        Field::new("note", "Why it is right", Kind::Text).hint("Needed with the tick above").optional(),
    ])
}

fn enter_page(context: &Context, viewer: &Viewer, head: Head, form: Form) -> AccountForm {
    let lead = "A read is judged like those of a file: one outside the limits is held, an impossible one is refused.".to_owned();
    let top = Top::new(viewer, head, "");
    AccountForm { frame: frame(context, viewer, "/staff"), top, title: "Enter a read", lead, button: "Enter the read", form }
}

/// `GET /staff/accounts/{number}/read`.
async fn enter_form(context: web::Data<Context>, viewer: Viewer, number: web::Path<String>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let (head, rows) = act(move || {
        let head = look(&acting, &number)?;
        let rows = registers(&acting, head.id)?;
        Ok((head, rows))
    })
    .await?;
    let mut form = fields(&context, &rows);
    if rows.is_empty() {
        form.problem = Some("No meter is in place at a service of this account.".to_owned());
    }
    enter_page(&context, &viewer, head, form).answer()
}

/// `POST /staff/accounts/{number}/read`.
async fn enter(context: web::Data<Context>, number: web::Path<String>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let at = acting.clone();
    let (head, rows) = act(move || {
        let head = look(&at, &number)?;
        let rows = registers(&at, head.id)?;
        Ok((head, rows))
    })
    .await?;
    let mut form = fields(&context, &rows).filled(&sent);
    if let Some(read) = parse(&mut form, &rows) {
        let vouched = (value(&sent, "vouch") == "yes").then(|| value(&sent, "note").to_owned());
        let known = head.clone();
        let outcome = act(move || enter_read_for(&acting, &known, &read, vouched.as_deref())).await;
        let path = super::account_path(&head.number);
        match outcome {
            Ok(ReadOutcome::Accepted) => return Ok(go_to(&format!("{path}?done=read-accepted"))),
            Ok(ReadOutcome::Held(_)) => return Ok(go_to(&format!("{path}?done=read-held"))),
            Ok(ReadOutcome::Unchanged) => return Ok(go_to(&format!("{path}?done=read-known"))),
            Ok(ReadOutcome::Refused(reason)) => form.take_refusal(PageError::Action(crate::actions::ActionError::Refused(reason)))?,
            Err(error) => form.take_refusal(error)?,
        }
    }
    enter_page(&context, &viewer, head, form).answer()
}

fn parse(form: &mut Form, rows: &[RegisterLine]) -> Option<NewRead> {
    let register = form.parse("register", |key| {
        rows.iter().find(|row| register_key(row) == key).ok_or_else(|| "it is not in the list: expected one of the account's meters".to_owned())
    });
    let reading_milli = form.parse("reading", parse_milli);
    let read_on = form.parse("read_on", parse_day);
    let kind = form.parse("kind", str::parse::<ReadKind>);
    let register = register?;
    Some(NewRead {
        meter: register.meter.clone(),
        register: register.register.clone(),
        read_on: read_on?,
        reading_milli: reading_milli?,
        kind: kind?,
    })
}
