//! Autopay of one account, as the desk sees it: the mandate, its draws, and pausing or ending it with a note.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::accounts::{Top, look};
use super::forms::{Field, Form, Kind, Sent};
use super::{ListQuery, Say, account_path, frame};
use crate::actions::Context;
use crate::actions::account_view::Whose;
use crate::actions::autopay::manage::{Change, change_for};
use crate::actions::autopay::view::draw_words;
use crate::actions::autopay::view::{AutopayView, autopay_view};
use crate::actions::staff_account::Head;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/accounts/{number}/autopay", show);
    routes.post("/staff/accounts/{number}/autopay", change);
}

#[derive(Template)]
#[template(path = "staff/autopay/account.html")]
struct AutopayPage {
    frame: Frame,
    say: Say,
    top: Top,
    view: AutopayView,
    /// What may be changed; nothing when there is nothing to change.
    form: Option<Form>,
}

fn fields(view: &AutopayView) -> Form {
    let paused = view.mandate.as_ref().is_some_and(|mandate| mandate.state.as_str() == "paused");
    let mut choices = vec![("end".to_owned(), "End it".to_owned())];
    if !paused {
        choices.insert(0, ("pause".to_owned(), "Pause it".to_owned()));
    }
    Form::new(vec![
        Field::new("what", "What to do", Kind::Choice(choices)),
        Field::new("note", "Note", Kind::Words).hint("Why, in words: it stands in the audit trail. The customer is told that it was us"),
    ])
}

fn load(acting: &Context, number: &str) -> Result<(Head, AutopayView), crate::actions::ActionError> {
    let head = look(acting, number)?;
    let view = autopay_view(acting, &head.number, Whose::Anybody)?;
    Ok((head, view))
}

fn shown(
    context: &Context,
    viewer: &Viewer,
    (head, view): (Head, AutopayView),
    form: Option<Form>,
    notice: Option<String>,
) -> Result<HttpResponse, PageError> {
    let top = Top::new(viewer, head, "autopay");
    let form = form.or_else(|| view.mandate.as_ref().map(|_| fields(&view))).filter(|_| top.works);
    let status = if form.as_ref().is_some_and(Form::refused) { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    page(status, &AutopayPage { frame: frame(context, viewer, "/staff").noting(notice), say: Say::new(context), top, view, form })
}

/// `GET /staff/accounts/{number}/autopay`.
async fn show(
    context: web::Data<Context>,
    viewer: Viewer,
    number: web::Path<String>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let acting = viewer.acting(&context);
    let loaded = act(move || load(&acting, &number)).await?;
    let notice = match query.into_inner().done.as_deref() {
        Some("pause") => Some("Autopay is paused; the customer is told.".to_owned()),
        Some("end") => Some("Autopay has ended; the customer is told.".to_owned()),
        _ => None,
    };
    shown(&context, &viewer, loaded, None, notice)
}

/// `POST /staff/accounts/{number}/autopay`.
async fn change(context: web::Data<Context>, number: web::Path<String>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let at = acting.clone();
    let (head, view) = act(move || load(&at, &number)).await?;
    let mut form = fields(&view).filled(&sent);
    let what = form.parse("what", |text| match text {
        "pause" => Ok((Change::Pause, "pause")),
        "end" => Ok((Change::End, "end")),
        other => Err(format!("'{other}' is no choice: expected pause or end")),
    });
    let note = form.text("note");
    if let (Some((wanted, done)), Some(note)) = (what, note) {
        let account = head.number.clone();
        match act(move || change_for(&acting, &account, wanted, &note)).await {
            Ok(()) => return Ok(go_to(&format!("{}/autopay?done={done}", account_path(&head.number)))),
            Err(error) => form.take_refusal(error)?,
        }
    }
    shown(&context, &viewer, (head, view), Some(form), None)
}
