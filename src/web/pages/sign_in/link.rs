//! Mailed links: asking for one, and setting a password with it.

use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::{Problem, client_of, sentence};
use crate::actions::sign_in as verbs;
use crate::actions::{ActionError, Context};
use crate::web::error::PageError;
use crate::web::form::{PublicForm, public_token};
use crate::web::frame::{Frame, act, go_to, page};

/// The answer takes at least so long, so that its time does not tell whether an address is known.
const ANSWER_AFTER: Duration = Duration::from_millis(250);

/// The field of the form that asks.
#[derive(Deserialize)]
pub(super) struct Asked {
    email: String,
}

/// The fields of the form that sets.
#[derive(Deserialize)]
pub(super) struct NewPassword {
    password: String,
    repeated: String,
}

#[derive(Template)]
#[template(path = "sign_in/link.html")]
struct AskPage<'a> {
    frame: Frame,
    csrf: String,
    problem: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "sign_in/link_sent.html")]
struct SentPage {
    frame: Frame,
    minutes: u32,
}

#[derive(Template)]
#[template(path = "sign_in/set_password.html")]
struct SetPage<'a> {
    frame: Frame,
    csrf: String,
    owner: &'a verbs::LinkOwner,
    token: &'a str,
    shortest: usize,
    problem: Option<&'a str>,
}

/// `GET /sign-in/link`.
pub(super) async fn ask(request: HttpRequest, context: web::Data<Context>) -> Result<HttpResponse, PageError> {
    ask_form(&request, &context, None)
}

fn ask_form(request: &HttpRequest, context: &Context, problem: Option<&Problem>) -> Result<HttpResponse, PageError> {
    let (csrf, cookie) = public_token(request, context);
    let frame = Frame::new(context, None, "");
    let status = problem.map_or(StatusCode::OK, |problem| problem.status);
    let mut response = page(status, &AskPage { frame, csrf, problem: problem.map(|problem| problem.text.as_str()) })?;
    if let Some(cookie) = cookie {
        response.add_cookie(&cookie).map_err(PageError::internal)?;
    }
    Ok(match problem {
        Some(problem) => problem.answer(response),
        None => response,
    })
}

/// `POST /sign-in/link`: the same answer for every address.
pub(super) async fn request(request: HttpRequest, context: web::Data<Context>, asked: PublicForm<Asked>) -> Result<HttpResponse, PageError> {
    let started = Instant::now();
    let client = client_of(&request, &context);
    let inner = context.clone();
    let outcome = act(move || verbs::request_link(&inner, &asked.0.email, &client)).await;
    if let Some(rest) = ANSWER_AFTER.checked_sub(started.elapsed()) {
        actix_web::rt::time::sleep(rest).await;
    }
    if let Some(until) = outcome? {
        return ask_form(&request, &context, Some(&Problem::blocked(context.now(), until)));
    }
    let frame = Frame::new(&context, None, "");
    page(StatusCode::OK, &SentPage { frame, minutes: context.config.sign_in.link_minutes })
}

/// `GET /password/{token}`: looking does not use the link up.
pub(super) async fn show(request: HttpRequest, context: web::Data<Context>, token: web::Path<String>) -> Result<HttpResponse, PageError> {
    set_form(&request, &context, &token, None).await
}

async fn set_form(request: &HttpRequest, context: &web::Data<Context>, token: &str, problem: Option<&Problem>) -> Result<HttpResponse, PageError> {
    let (inner, key) = (context.clone(), token.to_owned());
    let owner = act(move || verbs::link_owner(&inner, &key)).await?;
    let frame = Frame::new(context, None, "");
    let Some(owner) = owner else {
        return Err(PageError::Gone("This link is not good any more. Links are good once and for a short time; please ask for another."));
    };
    let (csrf, cookie) = public_token(request, context);
    let status = problem.map_or(StatusCode::OK, |problem| problem.status);
    let text = problem.map(|problem| problem.text.as_str());
    let shortest = context.config.sign_in.shortest_password;
    let mut response = page(status, &SetPage { frame, csrf, owner: &owner, token, shortest, problem: text })?;
    if let Some(cookie) = cookie {
        response.add_cookie(&cookie).map_err(PageError::internal)?;
    }
    Ok(response)
}

/// `POST /password/{token}`.
pub(super) async fn set(
    request: HttpRequest,
    context: web::Data<Context>,
    token: web::Path<String>,
    fields: PublicForm<NewPassword>,
) -> Result<HttpResponse, PageError> {
    let NewPassword { password, repeated } = fields.0;
    if password != repeated {
        let problem = Problem::wrong("The two passwords differ: please type the same one twice.");
        return set_form(&request, &context, &token, Some(&problem)).await;
    }
    let (inner, key) = (context.clone(), token.to_string());
    match act(move || verbs::set_password_by_link(&inner, &key, &password)).await {
        Ok(()) => Ok(go_to("/sign-in?done=password")),
        Err(PageError::Action(ActionError::Refused(text))) => set_form(&request, &context, &token, Some(&Problem::wrong(&sentence(&text)))).await,
        Err(error) => Err(error),
    }
}
