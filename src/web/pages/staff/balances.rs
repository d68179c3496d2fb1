//! What becomes of a balance at the end: the final bill at once, a credit paid out, a balance carried to another account.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use chrono::NaiveDate;
use serde::Deserialize;

use super::accounts::{Top, look};
use super::adjustments::outcome_at;
use super::forms::{Field, Form, Kind, Sent, parse_day, value};
use super::payments::AccountForm;
use super::runs_act::{go_on, in_background};
use super::services::refuse_account;
use super::{Say, account_path, frame, fresh_reference};
use crate::actions::balances::{PayOut, Transfer, ask_pay_out, ask_transfer};
use crate::actions::bill_run::{RunOptions, RunReport, run_bills, start_run};
use crate::actions::refundable::{Safe, refundable};
use crate::actions::run_view::{run_page, unfinished_run_of};
use crate::actions::service_view::last_end;
use crate::actions::staff_account::{Head, bills, services};
use crate::actions::{ActionError, Context};
use crate::db::billing::{ACCOUNT_CYCLE, bill_number};
use crate::domain::ids::RunId;
use crate::domain::money::Money;
use crate::domain::payouts::Payee;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/accounts/{number}/refund", refund_form);
    routes.post("/staff/accounts/{number}/refund", refund);
    routes.get("/staff/accounts/{number}/transfer", transfer_form);
    routes.post("/staff/accounts/{number}/transfer", transfer);
    routes.get("/staff/accounts/{number}/final-bill", final_form);
    routes.post("/staff/accounts/{number}/final-bill", make_final);
}

fn reference_field(context: &Context) -> Field {
    Field::new("reference", "Reference", Kind::Text)
        .hint("One entry for one reference: sending it twice posts it once")
        .value(fresh_reference(context, 'B'))
}

fn note_field() -> Field {
    Field::new("note", "Note", Kind::Words).hint("Why, in words: it stands in the ledger for good")
}

// --- refund --------------------------------------------------------------------------------------

/// How money is paid out: the value and what it is called.
const WAYS: [(&str, &str); 3] =
    [("hand", "A person makes the transfer"), ("payout", "By the next file for the bank"), ("cheque", "By cheque, in the next file of cheques")];

fn refund_fields(context: &Context, head: &Head, safe: &Safe) -> Form {
    let now = safe.now();
    let credit = if now.is_positive() { now.to_string() } else { String::new() };
    let ways = WAYS.map(|(value, words)| (value.to_owned(), words.to_owned())).to_vec();
    let kinds =
        [("checking", "Checking or current account"), ("savings", "Savings account")].map(|(value, words)| (value.to_owned(), words.to_owned()));
    Form::new(vec![
        Field::new("amount", "Amount", Kind::Money).hint("No more than the credit that is safe to give back").value(credit),
        Field::new("way", "How", Kind::Choice(ways)).value("hand"),
        Field::new("payee", "Name of the payee", Kind::Text).hint("For a file or a cheque").value(head.name.clone()).optional(),
        Field::new("bank_code", "Routing number or BIC", Kind::Text).hint("For the bank's file").optional(),
        Field::new("bank_account", "Account number or IBAN", Kind::Text).hint("For the bank's file, without spaces").optional(),
        Field::new("account_kind", "Kind of account", Kind::Choice(kinds.to_vec())).value("checking").optional(),
        Field::new("address", "Address", Kind::Text)
            .hint("For a cheque: where it is sent")
            .value(head.mailing_address.clone().or_else(|| head.address.clone()).unwrap_or_default())
            .optional(),
        note_field(),
        reference_field(context),
    ])
}

/// Who is paid: nobody in particular by a person's transfer.
struct Paid(Option<Payee>);

/// Who is paid, as the form says. Nothing when something is missing.
fn payee_of(form: &mut Form) -> Option<Paid> {
    let value = |form: &Form, name: &str| form.fields.iter().find(|field| field.name == name).map(|field| field.value.clone()).unwrap_or_default();
    match value(form, "way").as_str() {
        // A form without the field is one of before, and a person's transfer.
        "hand" | "" => Some(Paid(None)),
        "payout" => {
            let (name, bank_code, bank_account) = (form.text("payee"), form.text("bank_code"), form.text("bank_account"));
            let savings = value(form, "account_kind") == "savings";
            Some(Paid(Some(Payee::Payout { name: name?, bank_code: bank_code?, bank_account: bank_account?, savings })))
        }
        "cheque" => {
            let (name, address) = (form.text("payee"), form.text("address"));
            Some(Paid(Some(Payee::Cheque { name: name?, address: address? })))
        }
        _ => {
            form.refuse("way", "Please choose one of these.");
            None
        }
    }
}

fn refund_page(context: &Context, viewer: &Viewer, (head, safe): (Head, Safe), form: Form) -> AccountForm {
    let say = Say::new(context);
    let lead = if head.balance.is_negative() {
        let held = if safe.pending.is_empty() { String::new() } else { format!(" {}.", say.told_of_money(&safe.why_not(safe.credit))) };
        let now = safe.now();
        format!("The balance is {}. {} can be paid out now.{held}", say.balance(&head.balance), say.money(&now))
    } else {
        format!("The balance is {}: there is no credit to pay out.", say.balance(&head.balance))
    };
    let top = Top::new(viewer, head, "");
    AccountForm { frame: frame(context, viewer, "/staff"), top, title: "Pay a credit out", lead, button: "Pay it out", form }
}

fn look_safely(acting: &Context, number: &str) -> Result<(Head, Safe), ActionError> {
    let head = look(acting, number)?;
    let safe = refundable(acting, &head.number)?;
    Ok((head, safe))
}

/// `GET /staff/accounts/{number}/refund`.
async fn refund_form(context: web::Data<Context>, viewer: Viewer, number: web::Path<String>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let (head, safe) = act(move || look_safely(&acting, &number)).await?;
    let form = refund_fields(&context, &head, &safe);
    refund_page(&context, &viewer, (head, safe), form).answer()
}

/// `POST /staff/accounts/{number}/refund`.
async fn refund(context: web::Data<Context>, number: web::Path<String>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let at = acting.clone();
    let (head, safe) = act(move || look_safely(&at, &number)).await?;
    let mut form = refund_fields(&context, &head, &safe).filled(&sent);
    let amount = form.parse("amount", Money::parse_paid);
    let note = form.text("note");
    let reference = form.text("reference");
    let payee = payee_of(&mut form);
    if let (Some(amount), Some(note), Some(reference), Some(Paid(payee))) = (amount, note, reference, payee) {
        let account = head.number.clone();
        let wish = PayOut { account, amount: Some(amount), reference, note, payee };
        match act(move || ask_pay_out(&acting, &wish)).await {
            Ok(outcome) => return Ok(outcome_at(&account_path(&head.number), &outcome)),
            Err(error) => form.take_refusal(error)?,
        }
    }
    refund_page(&context, &viewer, (head, safe), form).answer()
}

// --- transfer ------------------------------------------------------------------------------------

/// What a transfer would do, shown before it does.
struct Preview {
    to: Head,
    /// This account's balance after it.
    from_after: Money,
    /// The other account's balance after it.
    to_after: Money,
    /// The form to confirm with.
    form: Form,
}

#[derive(Template)]
#[template(path = "staff/balances/transfer.html")]
struct TransferPage {
    frame: Frame,
    say: Say,
    top: Top,
    form: Form,
    preview: Option<Preview>,
}

impl TransferPage {
    fn new(context: &Context, viewer: &Viewer, head: Head, form: Form, preview: Option<Preview>) -> Self {
        Self { frame: frame(context, viewer, "/staff"), say: Say::new(context), top: Top::new(viewer, head, ""), form, preview }
    }

    fn answer(&self) -> Result<HttpResponse, PageError> {
        page(if self.form.refused() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }, self)
    }
}

fn transfer_fields(context: &Context) -> Form {
    Form::new(vec![
        Field::new("to", "To account", Kind::Text).hint("The number of the account that the whole balance goes to"),
        note_field(),
        reference_field(context),
    ])
}

/// `GET /staff/accounts/{number}/transfer`.
async fn transfer_form(context: web::Data<Context>, viewer: Viewer, number: web::Path<String>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let head = act(move || look(&acting, &number)).await?;
    TransferPage::new(&context, &viewer, head, transfer_fields(&context), None).answer()
}

/// `POST /staff/accounts/{number}/transfer`: shows both balances first, and acts when that is confirmed.
async fn transfer(context: web::Data<Context>, number: web::Path<String>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let at = acting.clone();
    let head = act(move || look(&at, &number)).await?;
    let mut form = transfer_fields(&context).filled(&sent);
    let to = form.text("to");
    let note = form.text("note");
    let reference = form.text("reference");
    let mut preview = None;
    if let (Some(to), Some(note), Some(reference)) = (to, note, reference) {
        let from = head.number.clone();
        if let Ok(shown) = Money::parse(value(&sent, "shown")) {
            let wish = Transfer::new(&from, &to, &reference, &note, Some(shown));
            match act(move || ask_transfer(&acting, &wish)).await {
                Ok(outcome) => return Ok(outcome_at(&account_path(&head.number), &outcome)),
                Err(error) => refuse_account(&mut form, "to", error)?,
            }
        } else {
            preview = preview_of(acting, &head, to, &mut form).await?;
        }
    }
    TransferPage::new(&context, &viewer, head, form, preview).answer()
}

async fn preview_of(acting: Context, head: &Head, to: String, form: &mut Form) -> Result<Option<Preview>, PageError> {
    if to == head.number {
        form.refuse("to", format!("it is account {to} itself: expected another one"));
        return Ok(None);
    }
    if head.balance == Money::default() {
        form.problem = Some("The balance is 0: there is nothing to carry.".to_owned());
        return Ok(None);
    }
    let to = match act(move || look(&acting, &to)).await {
        Ok(to) => to,
        Err(error) => {
            refuse_account(form, "to", error)?;
            return Ok(None);
        }
    };
    let Some(to_after) = to.balance.checked_add(head.balance) else {
        form.problem = Some("The balance is too large to be carried.".to_owned());
        return Ok(None);
    };
    let hidden = |name: &'static str, value: String| Field::new(name, "", Kind::Hidden).value(value);
    let mut fields: Vec<Field> = form.fields.iter().map(|field| Field { kind: Kind::Hidden, ..field.clone() }).collect();
    fields.push(hidden("shown", head.balance.to_string()));
    Ok(Some(Preview { to, from_after: Money::default(), to_after, form: Form::new(fields) }))
}

// --- final bill ----------------------------------------------------------------------------------

/// How far the bill goes.
#[derive(Debug, Default, Deserialize)]
struct FinalQuery {
    through: Option<String>,
}

#[derive(Template)]
#[template(path = "staff/balances/final.html")]
struct FinalPage {
    frame: Frame,
    say: Say,
    top: Top,
    through: String,
    /// Services that go on: what is read of them up to the day is billed along.
    going_on: Vec<String>,
    /// A run of this account that waits for somebody.
    waiting: Option<RunId>,
    /// What a bill would be now.
    trial: Option<RunReport>,
    /// The balance with that bill.
    after: Option<Money>,
    problem: Option<String>,
}

impl FinalPage {
    fn answer(&self) -> Result<HttpResponse, PageError> {
        page(if self.problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }, self)
    }
}

/// What is known before a final bill is shown.
struct Basis {
    head: Head,
    going_on: Vec<String>,
    last_end: Option<NaiveDate>,
    /// A run of this account that waits for somebody.
    waiting: Option<RunId>,
}

fn basis(acting: &Context, number: &str) -> Result<Basis, ActionError> {
    let head = look(acting, number)?;
    let all = services(acting, head.id)?;
    let going_on = all.into_iter().filter(|service| service.end_on.is_none()).map(|service| service.service_id).collect();
    let last_end = last_end(acting, head.id)?;
    let waiting = unfinished_run_of(acting, &cycle_of(&head.number))?;
    Ok(Basis { head, going_on, last_end, waiting })
}

fn cycle_of(number: &str) -> String {
    format!("{ACCOUNT_CYCLE}{number}")
}

fn try_bill(acting: &Context, number: &str, through: NaiveDate) -> Result<RunReport, ActionError> {
    let all = RunOptions::approving_all(through, &|_, _, _| {});
    run_bills(acting, &RunOptions { cycle: cycle_of(number), approve: false, dry_run: true, ..all })
}

/// The page with what a bill up to that day would be.
async fn final_page(context: &Context, viewer: &Viewer, basis: Basis, through: &str, problem: Option<String>) -> Result<HttpResponse, PageError> {
    let acting = viewer.acting(context);
    let Basis { head, going_on, waiting, .. } = basis;
    let mut problem = problem;
    let mut trial = None;
    match parse_day(through).and_then(|day| not_future(context, day)) {
        Ok(day) => {
            let number = head.number.clone();
            match act(move || try_bill(&acting, &number, day)).await {
                Ok(report) => trial = Some(report),
                // An account that never had a service has nothing to bill.
                Err(PageError::Action(ActionError::NotFound { .. })) => problem = Some("This account never had a service.".to_owned()),
                Err(error) => return Err(error),
            }
        }
        Err(reason) => problem = Some(reason),
    }
    let after = trial.as_ref().and_then(|report| head.balance.checked_add(Money::from_cents(report.totals.total_cents)));
    let view = FinalPage {
        frame: frame(context, viewer, "/staff"),
        say: Say::new(context),
        top: Top::new(viewer, head, ""),
        through: through.to_owned(),
        going_on,
        waiting,
        trial,
        after,
        problem,
    };
    view.answer()
}

fn not_future(context: &Context, day: NaiveDate) -> Result<NaiveDate, String> {
    let today = context.today();
    if day > today { Err(format!("{day} is in the future: expected a day up to today, {today}")) } else { Ok(day) }
}

/// `GET /staff/accounts/{number}/final-bill`: what the bill would be.
async fn final_form(
    context: web::Data<Context>,
    viewer: Viewer,
    number: web::Path<String>,
    query: web::Query<FinalQuery>,
) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let basis = act(move || basis(&acting, &number)).await?;
    let through = query.into_inner().through.unwrap_or_else(|| basis.last_end.unwrap_or_else(|| context.today()).to_string());
    final_page(&context, &viewer, basis, &through, None).await
}

/// `POST /staff/accounts/{number}/final-bill`: makes the bill; when nothing is left to bill it had happened already.
async fn make_final(context: web::Data<Context>, number: web::Path<String>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let at = acting.clone();
    let basis = act(move || basis(&at, &number)).await?;
    let through = value(&sent, "through").to_owned();
    let Ok(day) = parse_day(&through).and_then(|day| not_future(&context, day)) else {
        return final_page(&context, &viewer, basis, &through, None).await;
    };
    if let Some(id) = basis.waiting {
        // What the same form sent before has priced; its page says where it stands.
        return Ok(go_to(&format!("/staff/runs/{id}")));
    }
    match bill_now(acting, basis.head.clone(), day).await {
        Ok(answer) => Ok(answer),
        Err(PageError::Action(error @ (ActionError::Refused(_) | ActionError::Busy { .. }))) => {
            final_page(&context, &viewer, basis, &through, Some(error.to_string())).await
        }
        Err(error) => Err(error),
    }
}

async fn bill_now(acting: Context, head: Head, day: NaiveDate) -> Result<HttpResponse, PageError> {
    let (at, number) = (acting.clone(), head.number.clone());
    let trial = act(move || try_bill(&at, &number, day)).await?;
    let path = account_path(&head.number);
    if trial.totals.bills == 0 {
        if trial.totals.held > 0 {
            return Err(PageError::Action(ActionError::Refused(format!("Nothing can be billed: {}", trial.held_because.join("; ")))));
        }
        return Ok(go_to(&format!("{path}?done=billed-before")));
    }
    let (at, number) = (acting.clone(), head.number.clone());
    let started = act(move || {
        let id = start_run(&at, &cycle_of(&number), day)?;
        run_page(&at, id)
    })
    .await?;
    let (id, run, at) = (started.run.id, started.run, acting.clone());
    in_background(acting, id, move |context| go_on(context, &run, true, None)).await?;
    let (run, latest) = act(move || Ok((run_page(&at, id)?.run, bills(&at, head.id, i64::MAX, 1)?))).await?;
    let bill = latest.rows.into_iter().find(|bill| bill.number == bill_number(id, head.id));
    match bill.filter(|_| run.status == "issued") {
        Some(bill) => Ok(go_to(&format!("{path}?done=posted.{}", bill.seq))),
        // Held by its gates, or still at work: the run's page says where it stands.
        None => Ok(go_to(&format!("/staff/runs/{id}"))),
    }
}
