//! People who come and go: a move out and a move in at a service, with the readings of the day.

use actix_web::{HttpResponse, web};
use chrono::NaiveDate;

use super::forms::{Field, Form, Kind, Sent, parse_day, value};
use super::services::{ServiceForm, done_at, is_free};
use crate::actions::moves::{MoveIn, MoveOut, Reading, move_in, move_out};
use crate::actions::service_view::{ServicePage, service_page};
use crate::actions::staff_account::head;
use crate::actions::{ActionError, Context};
use crate::db::service_views::InstalledRegister;
use crate::domain::quantity::parse_milli;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::act;
use crate::web::routes::Routes;
use crate::web::text::{date, quantity, words};
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/services/{code}/move-out", out_form);
    routes.post("/staff/services/{code}/move-out", out);
    routes.get("/staff/services/{code}/move-in", in_form);
    routes.post("/staff/services/{code}/move-in", in_);
}

/// What a form calls a register: by its meter, so that a page that is old never gives a reading to another one.
fn register_field(row: &InstalledRegister) -> String {
    let plain = |text: &str| -> String {
        text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("_{byte:02x}") }).collect()
    };
    format!("reading-{}-{}", plain(&row.meter), plain(&row.register))
}

fn reading_field(row: &InstalledRegister) -> Field {
    let register = if row.register == "1" { String::new() } else { format!(", register {}", row.register) };
    let last = row.last_read_on.zip(row.last_reading_milli);
    let last = last.map_or_else(|| "not read yet".to_owned(), |(on, milli)| format!("{} on {}", quantity(milli), date(on)));
    Field::new(register_field(row), format!("Reading of meter {}{register}", row.meter), Kind::Reading)
        .hint(format!("Service {}; last: {last}. Empty when it was read on that day.", row.service_id))
        .optional()
}

fn unread_field() -> Field {
    Field::new("unread", "A meter without a reading here could not be read", Kind::Tick).hint("What it showed then waits for a read or an estimate")
}

/// The readings that were entered; a meter that is left out was read on that day, or could not be.
fn parse_readings(form: &mut Form, sent: &Sent, registers: &[InstalledRegister], on: Option<NaiveDate>) -> Option<Vec<Reading>> {
    let unread = value(sent, "unread") == "yes";
    let mut readings = Vec::new();
    let mut whole = true;
    for row in registers {
        let name = register_field(row);
        if value(sent, &name).is_empty() {
            let known = unread || (on.is_some() && row.last_read_on == on);
            if !known {
                form.refuse(&name, "Please fill this in, or tick below that it could not be read.");
                whole = false;
            }
            continue;
        }
        match form.parse(&name, parse_milli) {
            Some(reading_milli) => readings.push(Reading { meter: row.meter.clone(), register: row.register.clone(), reading_milli }),
            None => whole = false,
        }
    }
    whole.then_some(readings)
}

/// Takes a verb's refusal to the field that it is about: the verbs name meters where the form has a field for each.
fn refuse(form: &mut Form, registers: &[InstalledRegister], error: PageError) -> Result<(), PageError> {
    let PageError::Action(ActionError::Refused(message)) = error else { return form.take_refusal(error) };
    for row in registers {
        if let Some(reason) = message.strip_prefix(&format!("meter {}: ", row.meter)) {
            form.refuse(&register_field(row), reason.strip_prefix("reading: ").unwrap_or(reason));
            return Ok(());
        }
    }
    let message = message.strip_prefix("effective_on: ").map_or_else(|| message.clone(), |rest| format!("on: {rest}"));
    form.take_refusal(PageError::Action(ActionError::Refused(message)))
}

// --- out -----------------------------------------------------------------------------------------

/// The services at the premise that an account has.
fn services_of(service: &ServicePage, account: &str) -> Vec<String> {
    let own = service.current().filter(|current| current.account.number == account).map(|_| service.code.clone());
    let others = service.neighbours.iter().filter(|(_, who)| who.as_ref().is_some_and(|who| who.number == account)).map(|(code, _)| code.clone());
    own.into_iter().chain(others).collect()
}

/// The registers that somebody who leaves is billed by: those of their services; all of the premise once they have gone.
fn registers_of(service: &ServicePage, account: &str) -> Vec<InstalledRegister> {
    let theirs = services_of(service, account);
    let wanted = |row: &&InstalledRegister| theirs.is_empty() || theirs.contains(&row.service_id);
    service.at_premise.iter().filter(wanted).cloned().collect()
}

fn out_fields(context: &Context, account: &str, registers: &[InstalledRegister]) -> Form {
    let mut fields = vec![
        Field::new("account", "", Kind::Hidden).value(account),
        Field::new("on", "Last day", Kind::Date)
            .hint("Today or earlier; it is the first day of whoever comes next")
            .value(context.today().to_string()),
    ];
    fields.extend(registers.iter().map(reading_field));
    if !registers.is_empty() {
        fields.push(unread_field());
    }
    fields.push(
        Field::new("mailing_address", "New address", Kind::Text).hint("Where the final bill goes on paper, when that is another place").optional(),
    );
    fields.push(Field::new("note", "Note", Kind::Words).optional());
    Form::new(fields)
}

fn out_page(context: &Context, viewer: &Viewer, service: ServicePage, form: Form) -> ServiceForm {
    let mut leads = Vec::new();
    if let Some(current) = service.current() {
        let ending = services_of(&service, &current.account.number).join(", ");
        leads.push(format!("Account {} ({}) leaves {}: {ending} ends.", current.account.number, current.account.name, service.address));
        if let Some(owner) = service.owner.as_ref().filter(|owner| **owner != current.account) {
            leads.push(format!("{} goes on for its owner, account {} ({}).", service.code, owner.number, owner.name));
        }
        leads.push("The next run makes the final bill; it can be made at once from the account.".to_owned());
    }
    let blocked = service.current().is_none().then(|| "Nobody is served here: nobody can move out.".to_owned());
    // What went wrong is said even where there is nothing to fill in any more.
    let blocked = blocked.filter(|_| !form.refused());
    ServiceForm { leads, blocked, ..ServiceForm::new(context, viewer, service, "Move out", "Move out", form) }
}

/// `GET /staff/services/{code}/move-out`.
async fn out_form(context: web::Data<Context>, viewer: Viewer, code: web::Path<String>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let service = act(move || service_page(&acting, &code)).await?;
    let account = service.current().map_or_else(String::new, |current| current.account.number.clone());
    let form = out_fields(&context, &account, &registers_of(&service, &account));
    out_page(&context, &viewer, service, form).answer()
}

/// `POST /staff/services/{code}/move-out`.
async fn out(context: web::Data<Context>, code: web::Path<String>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let at = acting.clone();
    let service = act(move || service_page(&at, &code)).await?;
    let account = value(&sent, "account").to_owned();
    let registers = registers_of(&service, &account);
    let mut form = out_fields(&context, &account, &registers).filled(&sent);
    if account.is_empty() {
        form.problem = Some("The form does not say who leaves: please open it again.".to_owned());
    }
    if let Some(movement) = parse_out(&mut form, &sent, &registers, &service.code).filter(|_| !account.is_empty()) {
        match act(move || move_out(&acting, &movement)).await {
            Ok(report) => return Ok(done_at(&service.code, "moved-out", report.unchanged, !report.held.is_empty())),
            Err(error) => refuse(&mut form, &registers, error)?,
        }
    }
    out_page(&context, &viewer, service, form).answer()
}

fn parse_out(form: &mut Form, sent: &Sent, registers: &[InstalledRegister], code: &str) -> Option<MoveOut> {
    let on = form.parse("on", parse_day);
    let readings = parse_readings(form, sent, registers, on);
    let address = value(sent, "mailing_address");
    Some(MoveOut {
        account: value(sent, "account").to_owned(),
        service: code.to_owned(),
        on: on?,
        readings: readings?,
        mailing_address: (!address.is_empty()).then(|| address.to_owned()),
        note: value(sent, "note").to_owned(),
    })
}

// --- in ------------------------------------------------------------------------------------------

fn in_fields(context: &Context, registers: &[InstalledRegister]) -> Form {
    let mut fields = vec![
        Field::new("account", "Account", Kind::Text).hint("Its number; one that is not known makes a new account"),
        Field::new("name", "Name", Kind::Text).hint("Of a new customer; empty for an account that is there already").optional(),
        Field::new("email", "E-mail", Kind::Text).hint("Where a new customer's notices go").optional(),
        Field::new("on", "First day", Kind::Date)
            .hint("Today or earlier, not before the last day of whoever was there")
            .value(context.today().to_string()),
    ];
    fields.extend(registers.iter().map(reading_field));
    if !registers.is_empty() {
        fields.push(unread_field());
    }
    fields.push(Field::new("note", "Note", Kind::Words).optional());
    Form::new(fields)
}

fn in_page(context: &Context, viewer: &Viewer, service: ServicePage, form: Form) -> ServiceForm {
    let codes: Vec<&str> = std::iter::once(service.code.as_str()).chain(service.neighbours.iter().map(|(code, _)| code.as_str())).collect();
    let mut leads = vec![format!("Every service at {} begins for the account, on the terms that it had: {}.", service.address, codes.join(", "))];
    if let Some((before, terms)) = service.agreements.first().and_then(|before| Some((before, before.latest()?))) {
        let ended = before.end_on.map_or_else(|| "the owner has it now".to_owned(), |day| format!("ended {}", date(day)));
        leads.push(format!("{} was account {}'s ({ended}), class {}.", service.code, before.account.number, words(&terms.rate_class)));
    }
    let blocked = service
        .current()
        .filter(|_| !is_free(&service))
        .map(|current| format!("Account {} ({}) is served here: it moves out first.", current.account.number, current.account.name));
    let blocked = blocked.filter(|_| !form.refused());
    ServiceForm { leads, blocked, ..ServiceForm::new(context, viewer, service, "Move in", "Move in", form) }
}

/// `GET /staff/services/{code}/move-in`.
async fn in_form(context: web::Data<Context>, viewer: Viewer, code: web::Path<String>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let service = act(move || service_page(&acting, &code)).await?;
    let form = in_fields(&context, &service.at_premise);
    in_page(&context, &viewer, service, form).answer()
}

/// `POST /staff/services/{code}/move-in`.
async fn in_(context: web::Data<Context>, code: web::Path<String>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let at = acting.clone();
    let service = act(move || service_page(&at, &code)).await?;
    let registers = service.at_premise.clone();
    let mut form = in_fields(&context, &registers).filled(&sent);
    if let Some(movement) = parse_in(&mut form, &sent, &registers, &service.code) {
        match act(move || come(&acting, &movement)).await {
            Ok((unchanged, held)) => return Ok(done_at(&service.code, "moved-in", unchanged, held)),
            Err(error) => refuse(&mut form, &registers, error)?,
        }
    }
    in_page(&context, &viewer, service, form).answer()
}

/// Moves somebody in; a name beside the number of an account that is somebody else's is a mistake in the number.
fn come(acting: &Context, movement: &MoveIn) -> Result<(bool, bool), ActionError> {
    let known = match head(acting, &movement.account) {
        Ok(head) => Some(head.name),
        Err(ActionError::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };
    if let (Some(known), Some(name)) = (known, &movement.name)
        && known != *name
    {
        return Err(ActionError::Refused(format!(
            "account: {} is the account of {known}: expected a number that is free for a new customer, or no name",
            movement.account
        )));
    }
    let report = move_in(acting, movement)?;
    Ok((report.unchanged, !report.held.is_empty()))
}

fn parse_in(form: &mut Form, sent: &Sent, registers: &[InstalledRegister], code: &str) -> Option<MoveIn> {
    let account = form.text("account");
    let on = form.parse("on", parse_day);
    let readings = parse_readings(form, sent, registers, on);
    let given = |name: &str| Some(value(sent, name).to_owned()).filter(|text| !text.is_empty());
    Some(MoveIn {
        account: account?,
        name: given("name"),
        email: given("email"),
        service: code.to_owned(),
        on: on?,
        readings: readings?,
        note: value(sent, "note").to_owned(),
    })
}
