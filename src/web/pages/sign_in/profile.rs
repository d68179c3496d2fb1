//! One's own sign-in: the password, the second factor, where one is signed in.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::enter::{Next, Nothing, signed_out};
use super::{Problem, judged};
use crate::actions::Context;
use crate::actions::sign_in as verbs;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::viewer::Viewer;

const HERE: &str = "/profile/sign-in";
const WRONG_PASSWORD: &str = "The current password is not right.";

/// The fields of a change of the password.
#[derive(Deserialize)]
pub(super) struct Change {
    current: String,
    password: String,
    repeated: String,
}

/// The session to end.
#[derive(Deserialize)]
pub(super) struct OneSession {
    session: String,
}

/// The password again, to be sure.
#[derive(Deserialize)]
pub(super) struct Again {
    current: String,
}

struct SessionLine {
    key: String,
    browser: String,
    begun: String,
    last_used: String,
    is_this: bool,
}

#[derive(Template)]
#[template(path = "sign_in/profile.html")]
struct ProfilePage<'a> {
    frame: Frame,
    viewer: &'a Viewer,
    shortest: usize,
    has_factor: bool,
    sessions: Vec<SessionLine>,
    problem: Option<&'a str>,
}

/// `GET /profile/sign-in`.
pub(super) async fn show(context: web::Data<Context>, viewer: Viewer, query: web::Query<Next>) -> Result<HttpResponse, PageError> {
    let done = match query.done.as_deref() {
        Some("password") => Some("The password was changed. Other sessions have ended."),
        Some("session") => Some("The session has ended."),
        Some("factor") => Some("The second factor was removed."),
        _ => None,
    };
    profile(&context, &viewer, done, None).await
}

async fn profile(context: &web::Data<Context>, viewer: &Viewer, done: Option<&str>, problem: Option<&Problem>) -> Result<HttpResponse, PageError> {
    let (inner, who) = (context.clone(), viewer.clone());
    let (has_factor, sessions) = act(move || {
        let sessions = verbs::list_sessions(&inner, who.login_id, who.role, &who.session)?;
        Ok((verbs::has_factor(&inner, who.login_id)?, sessions))
    })
    .await?;
    let zone = context.config.time_zone;
    let local = |at: chrono::NaiveDateTime| at.and_utc().with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string();
    let line = |view: verbs::SessionView| SessionLine {
        browser: if view.user_agent.is_empty() { "A browser without a name".to_owned() } else { view.user_agent },
        key: view.key,
        begun: local(view.created_at),
        last_used: local(view.last_seen_at),
        is_this: view.is_this,
    };
    let sessions = sessions.into_iter().map(line).collect();
    let frame = Frame::new(context, Some(viewer), HERE).noting(done.map(str::to_owned));
    let status = problem.map_or(StatusCode::OK, |problem| problem.status);
    let text = problem.map(|problem| problem.text.as_str());
    let shortest = context.config.sign_in.shortest_password;
    let response = page(status, &ProfilePage { frame, viewer, shortest, has_factor, sessions, problem: text })?;
    Ok(match problem {
        Some(problem) => problem.answer(response),
        None => response,
    })
}

/// `POST /profile/sign-in/password`.
pub(super) async fn change_password(context: web::Data<Context>, checked: CheckedForm<Change>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form } = checked;
    if form.password != form.repeated {
        let problem = Problem::wrong("The two new passwords differ: please type the same one twice.");
        return profile(&context, &viewer, None, Some(&problem)).await;
    }
    let (inner, login, session) = (context.clone(), viewer.login_id, viewer.session.clone());
    let outcome = act(move || verbs::change_password(&inner, login, &session, &form.current, &form.password)).await;
    match judged(&context, outcome, WRONG_PASSWORD)? {
        Ok(()) => Ok(go_to("/profile/sign-in?done=password")),
        Err(problem) => profile(&context, &viewer, None, Some(&problem)).await,
    }
}

/// `POST /profile/sign-in/end`: one session of the list.
pub(super) async fn end_session(context: web::Data<Context>, checked: CheckedForm<OneSession>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form } = checked;
    let is_this = viewer.session == form.session;
    let acting = viewer.acting(&context);
    act(move || verbs::revoke_session(&acting, viewer.login_id, &form.session)).await?;
    if is_this { signed_out(&context) } else { Ok(go_to("/profile/sign-in?done=session")) }
}

/// `POST /profile/sign-in/end-all`: out, everywhere.
pub(super) async fn end_all(context: web::Data<Context>, checked: CheckedForm<Nothing>) -> Result<HttpResponse, PageError> {
    let acting = checked.viewer.acting(&context);
    act(move || verbs::sign_out_everywhere(&acting, checked.viewer.login_id)).await?;
    signed_out(&context)
}

/// `POST /profile/sign-in/drop-factor`: a customer does without.
pub(super) async fn drop_factor(context: web::Data<Context>, checked: CheckedForm<Again>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form } = checked;
    let (inner, login, session) = (context.clone(), viewer.login_id, viewer.session.clone());
    let outcome = act(move || verbs::drop_factor(&inner, login, &session, &form.current)).await;
    match judged(&context, outcome, WRONG_PASSWORD)? {
        Ok(()) => Ok(go_to("/profile/sign-in?done=factor")),
        Err(problem) => profile(&context, &viewer, None, Some(&problem)).await,
    }
}
