//! Holding one bill back from collection, and letting it go.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::forms::{Field, Form, Kind, Sent};
use super::{ListQuery, Say, account_path, frame};
use crate::actions::Context;
use crate::actions::bill_holds::{BillHolds, HoldKind, bill_holds, hold_bill, release_bill};
use crate::actions::sign_in::looked_at;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/bills/{number}/hold", show);
    routes.post("/staff/bills/{number}/hold", change);
}

#[derive(Template)]
#[template(path = "staff/holds/bill.html")]
struct HoldPage {
    frame: Frame,
    say: Say,
    account_link: String,
    bill: BillHolds,
    form: Form,
}

fn is_open(bill: &BillHolds, kind: HoldKind) -> bool {
    bill.holds.iter().any(|hold| hold.released_at.is_none() && hold.kind == kind.as_str())
}

fn fields(bill: &BillHolds) -> Form {
    let choice = |kind, hold: (&str, &str), release: (&str, &str)| {
        let (value, words) = if is_open(bill, kind) { release } else { hold };
        (value.to_owned(), words.to_owned())
    };
    let choices = vec![
        choice(HoldKind::Held, ("hold", "Hold it back"), ("release", "Let it go: it is not held back any more")),
        choice(HoldKind::Disputed, ("dispute", "The customer questions it"), ("settle", "The customer's question is settled")),
    ];
    Form::new(vec![
        Field::new("what", "What to do", Kind::Choice(choices)),
        Field::new("note", "Note", Kind::Words).hint("Why, in words: it stands in the audit trail"),
    ])
}

fn load(acting: &Context, number: &str) -> Result<BillHolds, crate::actions::ActionError> {
    let bill = bill_holds(acting, number)?;
    looked_at(acting, &bill.account)?;
    Ok(bill)
}

fn shown(context: &Context, viewer: &Viewer, bill: BillHolds, form: Form, notice: Option<String>) -> Result<HttpResponse, PageError> {
    let status = if form.refused() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let frame = frame(context, viewer, "/staff").noting(notice);
    page(status, &HoldPage { frame, say: Say::new(context), account_link: account_path(&bill.account), bill, form })
}

/// `GET /staff/bills/{number}/hold`.
async fn show(
    context: web::Data<Context>,
    viewer: Viewer,
    number: web::Path<String>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let bill = act(move || load(&acting, &number)).await?;
    let form = fields(&bill);
    let notice = query.into_inner().done.map(|_| "It is written down.".to_owned());
    shown(&context, &viewer, bill, form, notice)
}

/// `POST /staff/bills/{number}/hold`.
async fn change(context: web::Data<Context>, number: web::Path<String>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let (at, asked) = (acting.clone(), number.into_inner());
    let bill = act(move || load(&at, &asked)).await?;
    let mut form = fields(&bill).filled(&sent);
    let what = form.parse("what", |text| match text {
        "hold" => Ok((HoldKind::Held, true)),
        "release" => Ok((HoldKind::Held, false)),
        "dispute" => Ok((HoldKind::Disputed, true)),
        "settle" => Ok((HoldKind::Disputed, false)),
        other => Err(format!("'{other}' is no choice")),
    });
    let note = form.text("note");
    if let (Some((kind, hold)), Some(note)) = (what, note) {
        let number = bill.bill_number.clone();
        let done = act(move || if hold { hold_bill(&acting, &number, kind, &note) } else { release_bill(&acting, &number, kind, &note) }).await;
        match done {
            Ok(()) => return Ok(go_to(&format!("/staff/bills/{}/hold?done=yes", bill.bill_number))),
            Err(error) => form.take_refusal(error)?,
        }
    }
    shown(&context, &viewer, bill, form, None)
}
