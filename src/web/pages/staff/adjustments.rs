//! Credits and charges that a clerk gives, with a reason and a note.

use actix_web::{HttpResponse, web};

use super::accounts::{Top, look};
use super::forms::{Field, Form, Kind, Sent, parse_day, value};
use super::payments::{AccountForm, shown_at};
use super::{Say, frame, fresh_reference};
use crate::actions::Context;
use crate::actions::adjust::{Adjustment, adjust};
use crate::actions::staff_account::{Head, adjustment_reasons};
use crate::db::ledger::ReasonRow;
use crate::domain::money::Money;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::act;
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/accounts/{number}/adjustment", give_form);
    routes.post("/staff/accounts/{number}/adjustment", give);
}

/// A reason with the direction that it goes.
fn reason_choice(reason: &ReasonRow) -> (String, String) {
    let way = match reason.direction.as_str() {
        "credit" => "credit",
        "debit" => "charge",
        _ => "credit or charge",
    };
    (reason.code.clone(), format!("{} ({way})", reason.name))
}

fn fields(context: &Context, reasons: &[ReasonRow]) -> Form {
    let ways =
        vec![("credit".to_owned(), "Credit: the customer owes less".to_owned()), ("charge".to_owned(), "Charge: the customer owes more".to_owned())];
    Form::new(vec![
        Field::new("reason", "Reason", Kind::Choice(reasons.iter().map(reason_choice).collect())),
        Field::new("way", "Credit or charge", Kind::Choice(ways)),
        Field::new("amount", "Amount", Kind::Money).hint("Without a sign, like 15.00"),
        Field::new("effective_on", "Value date", Kind::Date).hint("Today or earlier").value(context.today().to_string()),
        Field::new("note", "Note", Kind::Words).hint("Why, in words: it stands in the ledger for good"),
        Field::new("reference", "Reference", Kind::Text)
            .hint("One entry for one reference: sending it twice posts it once")
            .value(fresh_reference(context, 'A')),
    ])
}

fn give_page(context: &Context, viewer: &Viewer, head: Head, form: Form) -> AccountForm {
    let say = Say::new(context);
    let lead = format!("The balance is {}.", say.balance(&head.balance));
    let top = Top::new(viewer, head, "");
    AccountForm { frame: frame(context, viewer, "/staff"), top, title: "Credit or charge", lead, button: "Post it", form }
}

/// `GET /staff/accounts/{number}/adjustment`.
async fn give_form(context: web::Data<Context>, viewer: Viewer, number: web::Path<String>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let (head, reasons) = act(move || Ok((look(&acting, &number)?, adjustment_reasons(&acting)?))).await?;
    give_page(&context, &viewer, head, fields(&context, &reasons)).answer()
}

/// `POST /staff/accounts/{number}/adjustment`.
async fn give(context: web::Data<Context>, number: web::Path<String>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let at = acting.clone();
    let (head, reasons) = act(move || Ok((look(&at, &number)?, adjustment_reasons(&at)?))).await?;
    let mut form = fields(&context, &reasons).filled(&sent);
    if let Some(adjustment) = parse(&mut form, &head, &reasons, value(&sent, "way")) {
        match act(move || adjust(&acting, &adjustment)).await {
            Ok(posted) => return Ok(shown_at(&super::account_path(&head.number), posted)),
            Err(error) => form.take_refusal(error)?,
        }
    }
    give_page(&context, &viewer, head, form).answer()
}

fn parse(form: &mut Form, head: &Head, reasons: &[ReasonRow], way: &str) -> Option<Adjustment> {
    let text = |text: &str| Ok::<_, String>(text.to_owned());
    let reason =
        form.parse("reason", |code| reasons.iter().find(|reason| reason.code == code).cloned().ok_or_else(|| format!("there is no reason '{code}'")));
    let negative = form.parse("way", |way| match way {
        "credit" => Ok(true),
        "charge" => Ok(false),
        other => Err(format!("'{other}' is neither credit nor charge")),
    });
    let amount = form.parse("amount", Money::parse_paid);
    let effective_on = form.parse("effective_on", parse_day);
    let note = form.parse("note", text);
    let reference = form.parse("reference", text);
    let (reason, negative, amount) = (reason?, negative?, amount?);
    if !amount.is_positive() {
        form.refuse("amount", format!("{amount}: expected more than 0, without a sign; credit or charge is chosen above"));
        return None;
    }
    let fits = matches!((reason.direction.as_str(), way), ("either", _) | ("credit", "credit") | ("debit", "charge"));
    if !fits {
        let expected = if reason.direction == "credit" { "a credit" } else { "a charge" };
        form.refuse("way", format!("{} is always {expected}", reason.name));
        return None;
    }
    let amount = if negative { -amount } else { amount };
    let account = head.number.clone();
    Some(Adjustment { account, reason_code: reason.code, amount, effective_on: effective_on?, reference: reference?, note: note? })
}
