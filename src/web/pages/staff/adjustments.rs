//! Credits and charges that a clerk gives, with a reason and a note.

use actix_web::{HttpResponse, web};

use super::accounts::{Top, look};
use super::forms::{Field, Form, Kind, Sent, parse_day, value};
use super::payments::{AccountForm, shown_at};
use super::{Say, frame, fresh_reference};
use crate::actions::adjust::{Adjustment, ask};
use crate::actions::approvals::Outcome;
use crate::actions::staff_account::{Head, adjustment_reasons};
use crate::actions::undo::{Undo, adjustment_reference, undo, undoable};
use crate::actions::{ActionError, Context};
use crate::db::ledger::ReasonRow;
use crate::domain::money::Money;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{act, go_to};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/accounts/{number}/adjustment", give_form);
    routes.post("/staff/accounts/{number}/adjustment", give);
    routes.get("/staff/accounts/{number}/adjustments/{seq}/undo", undo_form);
    routes.post("/staff/accounts/{number}/adjustments/{seq}/undo", take_back);
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
        match act(move || ask(&acting, &adjustment)).await {
            Ok(outcome) => return Ok(outcome_at(&super::account_path(&head.number), &outcome)),
            Err(error) => form.take_refusal(error)?,
        }
    }
    give_page(&context, &viewer, head, form).answer()
}

/// Where what came of wanting something is shown: in the ledger, or as a request that waits.
pub(super) fn outcome_at(path: &str, outcome: &Outcome) -> HttpResponse {
    match outcome {
        Outcome::Done(posted) => shown_at(path, *posted),
        Outcome::Permitted => go_to(path),
        Outcome::Waits(waiting) => go_to(&format!("/staff/approvals/{}?done=asked", waiting.id)),
    }
}

// --- taken back ----------------------------------------------------------------------------------

/// What can be taken back at a position, or why nothing can.
type Undoable = Result<(String, Money), String>;

fn find_undo(acting: &Context, (number, seq): &(String, i64)) -> Result<(Head, Undoable), ActionError> {
    let head = look(acting, number)?;
    match undoable(acting, &head.number, *seq) {
        Ok(found) => Ok((head, Ok(found))),
        Err(ActionError::Refused(reason)) => Ok((head, Err(reason.strip_prefix("of: ").unwrap_or(&reason).to_owned()))),
        Err(error) => Err(error),
    }
}

fn undo_fields(context: &Context) -> Form {
    Form::new(vec![
        Field::new("note", "Note", Kind::Words).hint("Why, in words: it stands in the ledger for good"),
        Field::new("reference", "Reference", Kind::Text)
            .hint("One entry for one reference: sending it twice posts it once")
            .value(fresh_reference(context, 'U')),
    ])
}

fn undo_page(context: &Context, viewer: &Viewer, (head, found): (Head, Undoable), mut form: Form) -> AccountForm {
    let say = Say::new(context);
    let lead = match &found {
        Ok((reference, amount)) => {
            let what = if amount.is_negative() { "credit" } else { "charge" };
            let size = say.currency.money(amount.cents().abs());
            let after = head.balance.checked_sub(*amount).map(|after| say.balance(&after)).unwrap_or_default();
            format!(
                "The {what} {reference} of {size} is taken back by an entry of its own. The balance is {}, afterwards {after}.",
                say.balance(&head.balance)
            )
        }
        Err(reason) => {
            form.fields.clear();
            format!("It cannot be taken back: {reason}.")
        }
    };
    let top = Top::new(viewer, head, "");
    AccountForm { frame: frame(context, viewer, "/staff"), top, title: "Take it back", lead, button: "Take it back", form }
}

/// `GET /staff/accounts/{number}/adjustments/{seq}/undo`.
async fn undo_form(context: web::Data<Context>, viewer: Viewer, place: web::Path<(String, i64)>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let found = act(move || find_undo(&acting, &place)).await?;
    undo_page(&context, &viewer, found, undo_fields(&context)).answer()
}

/// `POST /staff/accounts/{number}/adjustments/{seq}/undo`.
async fn take_back(context: web::Data<Context>, place: web::Path<(String, i64)>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let at = acting.clone();
    let (number, seq) = place.into_inner();
    let (head, of) = act(move || {
        let head = look(&at, &number)?;
        let of = adjustment_reference(&at, head.id, seq)?;
        Ok((head, of))
    })
    .await?;
    let mut form = undo_fields(&context).filled(&sent);
    let (note, reference) = (form.text("note"), form.text("reference"));
    if let (Some(note), Some(reference)) = (note, reference) {
        let wish = Undo { account: head.number.clone(), of, reference, note };
        match act(move || undo(&acting, &wish)).await {
            Ok(outcome) => return Ok(outcome_at(&super::account_path(&head.number), &outcome)),
            Err(error) => form.take_refusal(error)?,
        }
    }
    let acting = viewer.acting(&context);
    let number = head.number;
    let found = act(move || find_undo(&acting, &(number, seq))).await?;
    undo_page(&context, &viewer, found, form).answer()
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
