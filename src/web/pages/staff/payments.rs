//! Payments: taken over the counter, shown, returned.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::accounts::{Top, look};
use super::forms::{Field, Form, Kind, Sent, parse_day, value};
use super::{Say, frame, fresh_reference};
use crate::actions::payments::{COUNTER_PROVIDER, NewPayment, Posted, post_payment, return_payment};
use crate::actions::staff_account::{Head, payment};
use crate::actions::{ActionError, Context};
use crate::db::payments::PaymentRow;
use crate::domain::ids::AccountId;
use crate::domain::ledger::Tender;
use crate::domain::money::Money;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::routes::Routes;
use crate::web::text::words;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/accounts/{number}/payment", take_form);
    routes.post("/staff/accounts/{number}/payment", take);
    routes.get("/staff/accounts/{number}/payments/{seq}", show);
    routes.get("/staff/accounts/{number}/payments/{seq}/return", return_form);
    routes.post("/staff/accounts/{number}/payments/{seq}/return", give_back);
}

#[derive(Template)]
#[template(path = "staff/account/form.html")]
pub(super) struct AccountForm {
    pub frame: Frame,
    pub top: Top,
    pub title: &'static str,
    pub lead: String,
    pub button: &'static str,
    pub form: Form,
}

impl AccountForm {
    /// The page, with 422 when something is wrong with what was entered.
    pub(super) fn answer(&self) -> Result<HttpResponse, PageError> {
        page(if self.form.refused() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }, self)
    }
}

/// Where a posted entry is shown, with a word on whether it is new.
pub(super) fn shown_at(path: &str, posted: Posted) -> HttpResponse {
    let what = if posted.unchanged { "known" } else { "posted" };
    go_to(&format!("{path}?done={what}.{}", posted.account_seq))
}

fn payment_form(context: &Context) -> Form {
    let tenders = Tender::ALL.map(|tender| (tender.as_str().to_owned(), words(tender.as_str()))).to_vec();
    Form::new(vec![
        Field::new("amount", "Amount", Kind::Money).hint("What was received, like 40.00"),
        Field::new("tender", "Form of money", Kind::Choice(tenders)).value("cash"),
        Field::new("effective_on", "Received on", Kind::Date).hint("The value date: today or earlier").value(context.today().to_string()),
        Field::new("reference", "Receipt number", Kind::Text)
            .hint("One payment for one number: sending it twice posts it once")
            .value(fresh_reference(context, 'P')),
    ])
}

fn take_page(context: &Context, viewer: &Viewer, head: Head, form: Form) -> AccountForm {
    let say = Say::new(context);
    let lead = format!("The balance is {}.", say.balance(&head.balance));
    let top = Top::new(viewer, head, "");
    AccountForm { frame: frame(context, viewer, "/staff"), top, title: "Take a payment", lead, button: "Post the payment", form }
}

/// `GET /staff/accounts/{number}/payment`.
async fn take_form(context: web::Data<Context>, viewer: Viewer, number: web::Path<String>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let head = act(move || look(&acting, &number)).await?;
    take_page(&context, &viewer, head, payment_form(&context)).answer()
}

/// `POST /staff/accounts/{number}/payment`.
async fn take(context: web::Data<Context>, number: web::Path<String>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let asked = number.into_inner();
    let (at, known) = (acting.clone(), asked.clone());
    let head = act(move || look(&at, &known)).await?;
    let mut form = payment_form(&context).filled(&sent);
    if let Some(payment) = parse_payment(&mut form) {
        match act(move || post_payment(&acting, &asked, &payment)).await {
            Ok(posted) => return Ok(shown_at(&super::account_path(&head.number), posted)),
            Err(error) => form.take_refusal(error)?,
        }
    }
    take_page(&context, &viewer, head, form).answer()
}

fn parse_payment(form: &mut Form) -> Option<NewPayment> {
    let amount = form.parse("amount", Money::parse_paid);
    let tender = form.parse("tender", str::parse::<Tender>);
    let effective_on = form.parse("effective_on", parse_day);
    let reference = form.parse("reference", |text| Ok::<_, String>(text.to_owned()));
    Some(NewPayment {
        account_id: AccountId(0),
        amount: amount?,
        tender: tender?,
        effective_on: effective_on?,
        provider: COUNTER_PROVIDER.to_owned(),
        reference: reference?,
    })
}

#[derive(Template)]
#[template(path = "staff/account/payment.html")]
struct PaymentPage {
    frame: Frame,
    say: Say,
    top: Top,
    payment: PaymentRow,
}

fn load(acting: &Context, (number, seq): &(String, i64)) -> Result<(Head, PaymentRow), ActionError> {
    let head = look(acting, number)?;
    let payment = payment(acting, head.id, *seq)?;
    Ok((head, payment))
}

/// `GET /staff/accounts/{number}/payments/{seq}`.
async fn show(context: web::Data<Context>, viewer: Viewer, place: web::Path<(String, i64)>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let acting = viewer.acting(&context);
    let (head, payment) = act(move || load(&acting, &place)).await?;
    let top = Top::new(&viewer, head, "");
    page(StatusCode::OK, &PaymentPage { frame: frame(&context, &viewer, "/staff"), say: Say::new(&context), top, payment })
}

fn return_fields(context: &Context) -> Form {
    let reasons = ["Not enough money in the account", "Account closed", "Stopped by the payer", "Recalled by the bank", "Entered by mistake"];
    let choices = reasons.iter().map(|reason| ((*reason).to_owned(), (*reason).to_owned())).collect();
    Form::new(vec![
        Field::new("effective_on", "Returned on", Kind::Date)
            .hint("The value date: today or earlier, not before the payment")
            .value(context.today().to_string()),
        Field::new("reason", "Why", Kind::Choice(choices)),
        Field::new("note", "More about it", Kind::Text).optional(),
    ])
}

fn return_page(context: &Context, viewer: &Viewer, head: Head, payment: &PaymentRow, form: Form) -> AccountForm {
    let say = Say::new(context);
    let after = Money::from_cents(payment.amount_cents).checked_add(head.balance).unwrap_or(head.balance);
    let lead = format!(
        "The payment of {} ({}, {}) goes back. The balance was {} and will be {}.",
        say.cents(&payment.amount_cents),
        payment.tender,
        payment.provider_ref.as_deref().unwrap_or("without a reference"),
        say.balance(&head.balance),
        say.balance(&after)
    );
    let top = Top::new(viewer, head, "");
    AccountForm { frame: frame(context, viewer, "/staff"), top, title: "Return a payment", lead, button: "Return this payment", form }
}

/// `GET /staff/accounts/{number}/payments/{seq}/return`: what will happen, before it does.
async fn return_form(context: web::Data<Context>, viewer: Viewer, place: web::Path<(String, i64)>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let (head, payment) = act(move || load(&acting, &place)).await?;
    return_page(&context, &viewer, head, &payment, return_fields(&context)).answer()
}

/// `POST /staff/accounts/{number}/payments/{seq}/return`.
async fn give_back(context: web::Data<Context>, place: web::Path<(String, i64)>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let at = acting.clone();
    let (head, payment) = act(move || load(&at, &place)).await?;
    let mut form = return_fields(&context).filled(&sent);
    let on = form.parse("effective_on", parse_day);
    let why = form.parse("reason", |text| Ok::<_, String>(text.to_owned()));
    let Some(reference) = payment.provider_ref.clone() else { return Err(PageError::NotFound) };
    if let (Some(on), Some(why)) = (on, why) {
        let note = value(&sent, "note");
        let why = if note.is_empty() { why } else { format!("{why}: {note}") };
        let provider = payment.provider.clone();
        match act(move || return_payment(&acting, &provider, &reference, on, &why)).await {
            Ok(posted) => return Ok(shown_at(&super::account_path(&head.number), posted)),
            Err(error) => form.take_refusal(error)?,
        }
    }
    return_page(&context, &viewer, head, &payment, form).answer()
}
