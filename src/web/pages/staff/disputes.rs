//! Questions about bills: one with its answer, or the form to give it.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::forms::{Field, Form, Kind, Sent};
use super::{ListQuery, Say, account_path, frame};
use crate::actions::Context;
use crate::actions::collections::disputes::{Answering, DisputeView, answer_dispute, show_dispute};
use crate::actions::sign_in::looked_at;
use crate::domain::disputes::Answer;
use crate::domain::ids::DisputeId;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/disputes/{id}", show);
    routes.post("/staff/disputes/{id}", answer);
}

#[derive(Template)]
#[template(path = "staff/collections/dispute.html")]
struct DisputePage {
    frame: Frame,
    say: Say,
    account_link: String,
    view: DisputeView,
    /// The answer's fields; none when it was given, or the viewer may not.
    form: Form,
    answers: bool,
}

fn fields() -> Form {
    let choices = [("upheld", "The customer is right"), ("partly", "The customer is right in part"), ("declined", "The bill stands")];
    Form::new(vec![
        Field::new("answer", "Answer", Kind::Choice(choices.map(|(value, words)| (value.to_owned(), words.to_owned())).to_vec())),
        Field::new("words", "In words", Kind::Words).hint("The customer reads them, in an e-mail and on the bill's page"),
        Field::new("remedy", "What puts the bill right", Kind::Text)
            .hint("The reference of the credit that you gave, or the number of the bill that was taken back or took its place. Empty when the bill stands")
            .optional(),
    ])
}

fn load(acting: &Context, id: DisputeId) -> Result<DisputeView, crate::actions::ActionError> {
    let view = show_dispute(acting, id)?;
    looked_at(acting, &view.account)?;
    Ok(view)
}

fn shown(context: &Context, viewer: &Viewer, view: DisputeView, form: Form, notice: Option<String>) -> Result<HttpResponse, PageError> {
    let status = if form.refused() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let answers = viewer.may(Permission::WorkAccounts) && view.row.answer.is_none();
    let frame = frame(context, viewer, "/staff/todos").noting(notice);
    page(status, &DisputePage { frame, say: Say::new(context), account_link: account_path(&view.account), view, form, answers })
}

/// `GET /staff/disputes/{id}`.
async fn show(context: web::Data<Context>, viewer: Viewer, id: web::Path<i64>, query: web::Query<ListQuery>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let acting = viewer.acting(&context);
    let id = DisputeId(id.into_inner());
    let view = act(move || load(&acting, id)).await?;
    let notice = query.into_inner().done.map(|_| "The answer is given; the customer is told.".to_owned());
    shown(&context, &viewer, view, fields(), notice)
}

/// `POST /staff/disputes/{id}`.
async fn answer(context: web::Data<Context>, id: web::Path<i64>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let id = DisputeId(id.into_inner());
    let at = acting.clone();
    let view = act(move || load(&at, id)).await?;
    let mut form = fields().filled(&sent);
    let answer = form.parse("answer", str::parse::<Answer>);
    let words = form.text("words");
    let remedy = form.fields.iter().find(|field| field.name == "remedy").map(|field| field.value.clone()).filter(|remedy| !remedy.is_empty());
    if let (Some(answer), Some(words)) = (answer, words) {
        let answering = Answering { answer, words, remedy };
        match act(move || answer_dispute(&acting, id, &answering)).await {
            Ok(_) => return Ok(go_to(&format!("/staff/disputes/{id}?done=yes"))),
            Err(error) => form.take_refusal(error)?,
        }
    }
    shown(&context, &viewer, view, form, None)
}
