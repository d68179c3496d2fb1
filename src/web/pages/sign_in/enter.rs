//! The sign-in's first page, and the way out.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::{Problem, client_of, go_on_with, judged};
use crate::actions::Context;
use crate::actions::sign_in::{self as verbs, Stage};
use crate::web::error::{PageError, local_path, with_next};
use crate::web::form::{CheckedForm, PublicForm, our_cookie, public_token};
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::viewer::{HalfViewer, MaybeViewer, session_cookie};

/// The page that was asked for before the sign-in.
#[derive(Debug, Deserialize)]
pub(super) struct Next {
    pub(super) next: Option<String>,
    pub(super) done: Option<String>,
}

/// The fields of the form.
#[derive(Deserialize)]
pub(super) struct Fields {
    email: String,
    password: String,
    next: Option<String>,
}

/// A form with nothing but its hidden token.
#[derive(Debug, Deserialize)]
pub(super) struct Nothing {}

#[derive(Template)]
#[template(path = "sign_in/sign_in.html")]
struct SignInPage<'a> {
    frame: Frame,
    csrf: String,
    email: &'a str,
    next: &'a str,
    problem: Option<&'a str>,
}

/// `GET /sign-in`.
pub(super) async fn show(
    request: HttpRequest,
    context: web::Data<Context>,
    query: web::Query<Next>,
    viewer: MaybeViewer,
) -> Result<HttpResponse, PageError> {
    let next = local_path(query.next.as_deref());
    if viewer.0.is_some() {
        return Ok(go_to(next));
    }
    let done = match query.done.as_deref() {
        Some("password") => Some("The password was set. Please sign in with it."),
        Some("out") => Some("You are signed out."),
        _ => None,
    };
    let frame = Frame::new(&context, None, "").noting(done.map(str::to_owned));
    form(&request, &context, frame, "", next, None)
}

fn form(
    request: &HttpRequest,
    context: &Context,
    frame: Frame,
    email: &str,
    next: &str,
    problem: Option<&Problem>,
) -> Result<HttpResponse, PageError> {
    let (csrf, cookie) = public_token(request, context);
    let status = problem.map_or(StatusCode::OK, |problem| problem.status);
    let text = problem.map(|problem| problem.text.as_str());
    let mut response = page(status, &SignInPage { frame, csrf, email, next, problem: text })?;
    if let Some(cookie) = cookie {
        response.add_cookie(&cookie).map_err(PageError::internal)?;
    }
    Ok(match problem {
        Some(problem) => problem.answer(response),
        None => response,
    })
}

/// `POST /sign-in`. Whether the address or the password was wrong is not told.
pub(super) async fn sign_in(request: HttpRequest, context: web::Data<Context>, fields: PublicForm<Fields>) -> Result<HttpResponse, PageError> {
    let Fields { email, password, next } = fields.0;
    let client = client_of(&request, &context);
    let (inner, address) = (context.clone(), email.clone());
    let outcome = act(move || verbs::sign_in(&inner, &address, &password, &client)).await;
    let next = local_path(next.as_deref());
    match judged(&context, outcome, "The address or the password is not right.")? {
        Ok(entered) => {
            let place = match entered.stage {
                Stage::Full => next.to_owned(),
                Stage::NeedsFactor => with_next("/sign-in/second-factor", Some(next)),
                Stage::NeedsSetUp => with_next("/sign-in/set-up-factor", Some(next)),
            };
            go_on_with(&context, entered.token, &place)
        }
        Err(problem) => form(&request, &context, Frame::new(&context, None, ""), email.trim(), next, Some(&problem)),
    }
}

/// `POST /sign-out`.
pub(super) async fn sign_out(context: web::Data<Context>, checked: CheckedForm<Nothing, HalfViewer>) -> Result<HttpResponse, PageError> {
    let viewer = checked.viewer.viewer;
    let acting = viewer.acting(&context);
    act(move || verbs::sign_out(&acting, viewer.login_id, &viewer.session)).await?;
    signed_out(&context)
}

/// Back to the sign-in, without the session's cookie.
pub(super) fn signed_out(context: &Context) -> Result<HttpResponse, PageError> {
    let mut response = go_to("/sign-in?done=out");
    let mut cookie = our_cookie(context, session_cookie(context), String::new());
    cookie.make_removal();
    response.add_cookie(&cookie).map_err(PageError::internal)?;
    Ok(response)
}
