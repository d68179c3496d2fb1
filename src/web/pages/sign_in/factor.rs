//! The second factor: given at the sign-in, set up before it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::enter::Next;
use super::{Problem, client_of, go_on_with, judged};
use crate::actions::Context;
use crate::actions::sign_in::{self as verbs, Stage};
use crate::web::error::{PageError, local_path};
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::viewer::HalfViewer;

const WRONG_CODE: &str = "The code is not right. Codes change every half minute, and each is good once: please wait for the next one.";

/// The fields of both forms.
#[derive(Deserialize)]
pub(super) struct Code {
    code: String,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "sign_in/second_factor.html")]
struct AskPage<'a> {
    frame: Frame,
    csrf: &'a str,
    next: &'a str,
    problem: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "sign_in/set_up_factor.html")]
struct SetUpPage<'a> {
    frame: Frame,
    csrf: &'a str,
    next: &'a str,
    obligatory: bool,
    proposal: verbs::Proposal,
    problem: Option<&'a str>,
}

/// `GET /sign-in/second-factor`.
pub(super) async fn ask(context: web::Data<Context>, query: web::Query<Next>, half: HalfViewer) -> Result<HttpResponse, PageError> {
    let next = local_path(query.next.as_deref());
    match half.stage {
        Stage::NeedsFactor => ask_form(&context, &half, next, None),
        Stage::NeedsSetUp => Err(PageError::NeedsSetUp { next: query.next.clone() }),
        Stage::Full => Ok(go_to(next)),
    }
}

fn ask_form(context: &Context, half: &HalfViewer, next: &str, problem: Option<&Problem>) -> Result<HttpResponse, PageError> {
    let frame = Frame::new(context, None, "");
    let text = problem.map(|problem| problem.text.as_str());
    let status = problem.map_or(StatusCode::OK, |problem| problem.status);
    let response = page(status, &AskPage { frame, csrf: &half.viewer.csrf, next, problem: text })?;
    Ok(match problem {
        Some(problem) => problem.answer(response),
        None => response,
    })
}

/// `POST /sign-in/second-factor`.
pub(super) async fn give(
    request: HttpRequest,
    context: web::Data<Context>,
    checked: CheckedForm<Code, HalfViewer>,
) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer: half, form } = checked;
    let next = local_path(form.next.as_deref());
    match half.stage {
        Stage::Full => return Ok(go_to(next)),
        Stage::NeedsSetUp => return Err(PageError::NeedsSetUp { next: None }),
        Stage::NeedsFactor => {}
    }
    let client = client_of(&request, &context);
    let (inner, login, session) = (context.clone(), half.viewer.login_id, half.viewer.session.clone());
    let code = form.code.clone();
    let outcome = act(move || verbs::give_factor(&inner, login, &session, &code, &client)).await;
    match judged(&context, outcome, WRONG_CODE)? {
        Ok(token) => go_on_with(&context, token, next),
        Err(problem) => ask_form(&context, &half, next, Some(&problem)),
    }
}

/// `GET /sign-in/set-up-factor`. Staff must; a customer may.
pub(super) async fn propose(context: web::Data<Context>, query: web::Query<Next>, half: HalfViewer) -> Result<HttpResponse, PageError> {
    let next = local_path(query.next.as_deref());
    if half.stage == Stage::NeedsFactor {
        return Err(PageError::NeedsFactor { next: query.next.clone() });
    }
    set_up_form(&context, &half, next, None).await
}

async fn set_up_form(context: &web::Data<Context>, half: &HalfViewer, next: &str, problem: Option<&Problem>) -> Result<HttpResponse, PageError> {
    let (inner, login) = (context.clone(), half.viewer.login_id);
    let proposal = act(move || verbs::propose_factor(&inner, login)).await?;
    let known = (half.stage == Stage::Full).then_some(&half.viewer);
    let frame = Frame::new(context, known, "/profile/sign-in");
    let text = problem.map(|problem| problem.text.as_str());
    let status = problem.map_or(StatusCode::OK, |problem| problem.status);
    let obligatory = half.viewer.is_staff();
    let response = page(status, &SetUpPage { frame, csrf: &half.viewer.csrf, next, obligatory, proposal, problem: text })?;
    Ok(match problem {
        Some(problem) => problem.answer(response),
        None => response,
    })
}

/// `POST /sign-in/set-up-factor`.
pub(super) async fn confirm(
    request: HttpRequest,
    context: web::Data<Context>,
    checked: CheckedForm<Code, HalfViewer>,
) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer: half, form } = checked;
    if half.stage == Stage::NeedsFactor {
        return Err(PageError::NeedsFactor { next: form.next });
    }
    let client = client_of(&request, &context);
    let (inner, login, session) = (context.clone(), half.viewer.login_id, half.viewer.session.clone());
    let code = form.code.clone();
    let outcome = act(move || verbs::confirm_factor(&inner, login, &session, &code, &client)).await;
    let next = local_path(form.next.as_deref());
    match judged(&context, outcome, WRONG_CODE)? {
        Ok(token) => go_on_with(&context, token, next),
        Err(problem) => set_up_form(&context, &half, next, Some(&problem)).await,
    }
}
