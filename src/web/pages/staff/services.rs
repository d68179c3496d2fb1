//! One service: who had it, on what terms, by which meters; its terms changed, its meter exchanged, its owner agreed.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::forms::{Field, Form, Kind, Sent, parse_day, value};
use super::{ListQuery, Say, frame, segment};
use crate::actions::change_terms::{TermChange, change_terms};
use crate::actions::exchange_meter::{Exchange, ExchangeOutcome, exchange_meter};
use crate::actions::moves::set_owner;
use crate::actions::service_view::{Pairs, ServicePage, rate_classes, service_page};
use crate::actions::{ActionError, Context};
use crate::domain::quantity::parse_milli;
use crate::domain::rates::Attributes;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::routes::Routes;
use crate::web::text::{date, quantity, words};
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/services/{code}", show);
    routes.get("/staff/services/{code}/terms", terms_form);
    routes.post("/staff/services/{code}/terms", terms);
    routes.get("/staff/services/{code}/exchange", exchange_form);
    routes.post("/staff/services/{code}/exchange", exchange);
    routes.get("/staff/services/{code}/owner", owner_form);
    routes.post("/staff/services/{code}/owner", owner);
}

/// A service's own address.
pub(super) fn service_path(code: &str) -> String {
    format!("/staff/services/{}", segment(code))
}

#[derive(Template)]
#[template(path = "staff/services/service.html")]
struct ServiceView {
    frame: Frame,
    say: Say,
    path: String,
    service: ServicePage,
    works: bool,
    audits: bool,
}

impl ServiceView {
    /// Whether somebody can move in: nobody is served, or the owner between two tenants.
    fn is_free(&self) -> bool {
        is_free(&self.service)
    }
}

/// Whether nobody is served, or only the owner between two tenants.
pub(super) fn is_free(service: &ServicePage) -> bool {
    service.current().is_none_or(|current| service.owner.as_ref() == Some(&current.account))
}

/// `GET /staff/services/{code}`.
async fn show(context: web::Data<Context>, viewer: Viewer, code: web::Path<String>, query: web::Query<ListQuery>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let acting = viewer.acting(&context);
    let service = act(move || service_page(&acting, &code)).await?;
    let notice = query.done.as_deref().and_then(done_in_words);
    let view = ServiceView {
        frame: frame(&context, &viewer, "/staff").noting(notice),
        say: Say::new(&context),
        path: service_path(&service.code),
        service,
        works: viewer.may(Permission::WorkAccounts),
        audits: viewer.may(Permission::ReadAudit),
    };
    page(StatusCode::OK, &view)
}

/// What was just done, in words.
fn done_in_words(code: &str) -> Option<String> {
    let (what, how) = code.split_once('.').unwrap_or((code, ""));
    let words = match what {
        "moved-out" => "The move out is entered. The final bill is made by the next run, or at once from the account.",
        "moved-in" => "The move in is entered.",
        "terms" => "The new terms are entered.",
        "exchanged" => "The meters are exchanged.",
        "owner" => "Who takes the service over between two tenants is changed.",
        _ => return None,
    };
    Some(match how {
        "known" => "It had happened already. Nothing was changed.".to_owned(),
        "held" => format!("{words} A reading is outside the limits and waits for a decision in the work list."),
        _ => words.to_owned(),
    })
}

/// Where a verb's outcome is shown: what was done, and whether it had happened already or a reading is held.
pub(super) fn done_at(code: &str, what: &str, unchanged: bool, held: bool) -> HttpResponse {
    let how = match (unchanged, held) {
        (_, true) => ".held",
        (true, false) => ".known",
        (false, false) => "",
    };
    go_to(&format!("{}?done={what}{how}", service_path(code)))
}

#[derive(Template)]
#[template(path = "staff/services/form.html")]
pub(super) struct ServiceForm {
    pub frame: Frame,
    pub path: String,
    pub service: ServicePage,
    pub title: &'static str,
    /// What will happen, one sentence each.
    pub leads: Vec<String>,
    pub button: &'static str,
    /// Why there is nothing to fill in.
    pub blocked: Option<String>,
    pub form: Form,
}

impl ServiceForm {
    pub(super) fn new(context: &Context, viewer: &Viewer, service: ServicePage, title: &'static str, button: &'static str, form: Form) -> Self {
        let path = service_path(&service.code);
        Self { frame: frame(context, viewer, "/staff"), path, service, title, leads: Vec::new(), button, blocked: None, form }
    }

    /// The page, with 422 when something is wrong with what was entered.
    pub(super) fn answer(&self) -> Result<HttpResponse, PageError> {
        page(if self.form.refused() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }, self)
    }
}

/// Takes a verb's refusal to the form; an account that is not there is a mistake at the field where it was named.
pub(super) fn refuse_account(form: &mut Form, field: &str, error: PageError) -> Result<(), PageError> {
    match error {
        PageError::Action(error @ ActionError::NotFound { .. }) => {
            form.refuse(field, error.to_string());
            Ok(())
        }
        error => form.take_refusal(error),
    }
}

// --- terms ---------------------------------------------------------------------------------------

/// Attributes as lines to edit.
fn lines(pairs: &Pairs) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("\n")
}

/// The attributes of such lines.
fn parse_lines(text: &str) -> Result<Attributes, String> {
    let mut attributes = Attributes::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once('=').ok_or_else(|| format!("'{line}': expected NAME=VALUE, like meter_size=1\""))?;
        if name.trim().is_empty() {
            return Err(format!("'{line}': expected a name before the ="));
        }
        attributes.set(name.trim(), value);
    }
    Ok(attributes)
}

/// What somebody changed from one set of attributes to another: an empty value takes one away. What another clerk changed
/// meanwhile stays.
fn changed(before: &Attributes, after: &Attributes) -> Vec<(String, String)> {
    let gone = before.iter().filter(|(name, _)| after.get(name).is_none()).map(|(name, _)| (name.to_owned(), String::new()));
    let set = after.iter().filter(|(name, value)| before.get(name) != Some(value)).map(|(name, value)| (name.to_owned(), value.to_owned()));
    gone.chain(set).collect()
}

fn terms_fields(context: &Context, service: &ServicePage, classes: &[String]) -> Form {
    let latest = service.agreements.first().and_then(|tenancy| tenancy.latest());
    let class = latest.map_or_else(String::new, |terms| terms.rate_class.clone());
    let attributes = latest.map_or_else(String::new, |terms| lines(&terms.attributes));
    let choices = classes.iter().map(|class| (class.clone(), words(class))).collect();
    Form::new(vec![
        Field::new("effective_on", "From", Kind::Date)
            .hint("The first day of the new terms, not before the last billed day")
            .value(context.today().to_string()),
        Field::new("rate_class", "Rate class", Kind::Choice(choices)).value(class.clone()),
        Field::new("attributes", "Attributes", Kind::Words)
            .hint("One for each line, like dwelling_units=4; a line that is taken out goes away")
            .value(attributes.clone())
            .optional(),
        Field::new("note", "Note", Kind::Words).hint("Why, in words"),
        Field::new("class_before", "", Kind::Hidden).value(class),
        Field::new("attributes_before", "", Kind::Hidden).value(attributes),
    ])
}

fn terms_page(context: &Context, viewer: &Viewer, service: ServicePage, form: Form) -> ServiceForm {
    let blocked = service.current().is_none().then(|| "Nobody is served here: the terms of a service without a customer do not change.".to_owned());
    let mut leads = Vec::new();
    if let Some(current) = service.current() {
        let through = current.billed_through.map_or_else(|| "is not billed yet".to_owned(), |day| format!("is billed through {}", date(day)));
        leads.push(format!("Account {} ({}) {through}.", current.account.number, current.account.name));
    }
    leads.push("A period in which the terms change is priced by the days of each.".to_owned());
    ServiceForm { leads, blocked, ..ServiceForm::new(context, viewer, service, "Change the terms", "Change the terms", form) }
}

fn terms_basis(acting: &Context, code: &str) -> Result<(ServicePage, Vec<String>), ActionError> {
    let service = service_page(acting, code)?;
    let schedule = service.agreements.first().map_or_else(String::new, |tenancy| tenancy.schedule.clone());
    let classes = rate_classes(acting, &schedule)?;
    Ok((service, classes))
}

/// `GET /staff/services/{code}/terms`.
async fn terms_form(context: web::Data<Context>, viewer: Viewer, code: web::Path<String>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let (service, classes) = act(move || terms_basis(&acting, &code)).await?;
    let form = terms_fields(&context, &service, &classes);
    terms_page(&context, &viewer, service, form).answer()
}

/// `POST /staff/services/{code}/terms`.
async fn terms(context: web::Data<Context>, code: web::Path<String>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let at = acting.clone();
    let (service, classes) = act(move || terms_basis(&at, &code)).await?;
    let mut form = terms_fields(&context, &service, &classes).filled(&sent);
    if let Some(change) = parse_terms(&mut form, &sent, &service.code) {
        match act(move || change_terms(&acting, &change)).await {
            Ok(terms) => return Ok(done_at(&service.code, "terms", terms.unchanged, false)),
            Err(error) => form.take_refusal(error)?,
        }
    }
    terms_page(&context, &viewer, service, form).answer()
}

fn parse_terms(form: &mut Form, sent: &Sent, code: &str) -> Option<TermChange> {
    let effective_on = form.parse("effective_on", parse_day);
    let class = form.text("rate_class");
    let note = form.text("note");
    let before = parse_lines(value(sent, "attributes_before")).unwrap_or_default();
    let after = match parse_lines(value(sent, "attributes")) {
        Ok(after) => Some(after),
        Err(reason) => {
            form.refuse("attributes", reason);
            None
        }
    };
    let class = class?;
    let rate_class = (class != value(sent, "class_before")).then_some(class);
    Some(TermChange { service: code.to_owned(), effective_on: effective_on?, rate_class, attributes: changed(&before, &after?), note: note? })
}

// --- exchange ------------------------------------------------------------------------------------

fn exchange_fields(context: &Context, service: &ServicePage) -> Form {
    let meter = service.meter();
    let old = meter.map_or_else(String::new, |meter| meter.meter.clone());
    let digits = meter.map_or_else(String::new, |meter| meter.digits.to_string());
    let multiplier = meter.map_or_else(|| "1".to_owned(), |meter| quantity(meter.multiplier_milli));
    Form::new(vec![
        Field::new("exchanged_on", "Exchanged on", Kind::Date).hint("Today or earlier").value(context.today().to_string()),
        Field::new("old_meter_id", "Old meter", Kind::Text).hint("The number on the meter that is taken out").value(old),
        Field::new("final_reading", "Its last reading", Kind::Reading),
        Field::new("new_meter_id", "New meter", Kind::Text).hint("The number on the meter that is put in"),
        Field::new("initial_reading", "Its first reading", Kind::Reading).value("0"),
        Field::new("register_digits", "Its digits", Kind::Reading).hint("Before the point").value(digits),
        Field::new("multiplier", "Its multiplier", Kind::Reading).hint("What one unit of its register counts for").value(multiplier),
    ])
}

fn exchange_page(context: &Context, viewer: &Viewer, service: ServicePage, form: Form) -> ServiceForm {
    let blocked = service.meter().is_none().then(|| "No meter is in place at this service.".to_owned());
    let mut leads = Vec::new();
    if let Some((meter, on, last)) = service.meter().and_then(|meter| Some((meter, meter.last_read_on?, meter.last_reading_milli?))) {
        leads.push(format!("Meter {} showed {} on {}.", meter.meter, quantity(last), date(on)));
    }
    leads.push("The last reading is judged like any read: one outside the limits is held, an impossible one is refused.".to_owned());
    ServiceForm { leads, blocked, ..ServiceForm::new(context, viewer, service, "Exchange the meter", "Exchange the meters", form) }
}

/// `GET /staff/services/{code}/exchange`.
async fn exchange_form(context: web::Data<Context>, viewer: Viewer, code: web::Path<String>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let service = act(move || service_page(&acting, &code)).await?;
    let form = exchange_fields(&context, &service);
    exchange_page(&context, &viewer, service, form).answer()
}

/// `POST /staff/services/{code}/exchange`.
async fn exchange(context: web::Data<Context>, code: web::Path<String>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let at = acting.clone();
    let service = act(move || service_page(&at, &code)).await?;
    let mut form = exchange_fields(&context, &service).filled(&sent);
    if let Some(exchange) = parse_exchange(&mut form, &service.code) {
        match act(move || exchange_meter(&acting, &exchange)).await {
            Ok(ExchangeOutcome::Accepted { held }) => return Ok(done_at(&service.code, "exchanged", false, held.is_some())),
            Ok(ExchangeOutcome::Unchanged) => return Ok(done_at(&service.code, "exchanged", true, false)),
            Ok(ExchangeOutcome::Refused(reason)) => form.take_refusal(PageError::Action(ActionError::Refused(reason)))?,
            Err(error) => form.take_refusal(error)?,
        }
    }
    exchange_page(&context, &viewer, service, form).answer()
}

fn parse_exchange(form: &mut Form, code: &str) -> Option<Exchange> {
    let on = form.parse("exchanged_on", parse_day);
    let old_serial = form.text("old_meter_id");
    let final_milli = form.parse("final_reading", parse_milli);
    let new_serial = form.text("new_meter_id");
    let initial_milli = form.parse("initial_reading", parse_milli);
    let digits = form.parse("register_digits", |text| text.parse().map_err(|_| format!("'{text}' is not a number of digits: expected 1 to 12")));
    let multiplier_milli = form.parse("multiplier", parse_milli);
    Some(Exchange {
        service: code.to_owned(),
        on: on?,
        old_serial: old_serial?,
        final_milli: final_milli?,
        new_serial: new_serial?,
        initial_milli: initial_milli?,
        digits: digits?,
        multiplier_milli: multiplier_milli?,
    })
}

// --- owner ---------------------------------------------------------------------------------------

fn owner_fields(service: &ServicePage) -> Form {
    let now = service.owner.as_ref().map_or_else(String::new, |owner| owner.number.clone());
    Form::new(vec![
        Field::new("owner", "Account of the owner", Kind::Text).hint("Its number; empty when nobody takes the service over").value(now).optional(),
    ])
}

fn owner_page(context: &Context, viewer: &Viewer, service: ServicePage, form: Form) -> ServiceForm {
    let now = service.owner.as_ref().map_or_else(
        || "Nobody takes this service over now: after a move out nobody is served.".to_owned(),
        |owner| format!("Now it is account {} ({}).", owner.number, owner.name),
    );
    let leads = vec!["Who takes the service over when a tenant moves out, until the next one moves in.".to_owned(), now];
    ServiceForm { leads, ..ServiceForm::new(context, viewer, service, "Owner between two tenants", "Save", form) }
}

/// `GET /staff/services/{code}/owner`.
async fn owner_form(context: web::Data<Context>, viewer: Viewer, code: web::Path<String>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let service = act(move || service_page(&acting, &code)).await?;
    let form = owner_fields(&service);
    owner_page(&context, &viewer, service, form).answer()
}

/// `POST /staff/services/{code}/owner`.
async fn owner(context: web::Data<Context>, code: web::Path<String>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let at = acting.clone();
    let service = act(move || service_page(&at, &code)).await?;
    let mut form = owner_fields(&service).filled(&sent);
    let number = value(&sent, "owner").to_owned();
    let asked = service.code.clone();
    match act(move || set_owner(&acting, &asked, Some(number.as_str()).filter(|number| !number.is_empty()))).await {
        Ok(changed) => return Ok(done_at(&service.code, "owner", !changed, false)),
        Err(error) => refuse_account(&mut form, "owner", error)?,
    }
    owner_page(&context, &viewer, service, form).answer()
}
