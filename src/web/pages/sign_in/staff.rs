//! The utility's people: an administrator lets them in and out.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::{Problem, sentence};
use crate::actions::sign_in as verbs;
use crate::actions::{ActionError, Context};
use crate::domain::roles::{Permission, Role};
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::viewer::Viewer;

const HERE: &str = "/staff/logins";

/// The fields of somebody new.
#[derive(Deserialize)]
pub(super) struct New {
    email: String,
    name: String,
    role: String,
}

/// Whose sign-in.
#[derive(Deserialize)]
pub(super) struct Whose {
    email: String,
}

/// What was just done.
#[derive(Deserialize)]
pub(super) struct Done {
    done: Option<String>,
}

#[derive(Template)]
#[template(path = "sign_in/staff.html")]
struct StaffPage<'a> {
    frame: Frame,
    viewer: &'a Viewer,
    people: Vec<verbs::StaffMember>,
    problem: Option<&'a str>,
}

/// `GET /staff/logins`.
pub(super) async fn list(context: web::Data<Context>, viewer: Viewer, query: web::Query<Done>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::ManageLogins)?;
    let done = match query.done.as_deref() {
        Some("added") => Some("The sign-in was added, and a link to set a password is on its way."),
        Some("disabled") => Some("The sign-in is disabled, and its sessions have ended."),
        Some("enabled") => Some("The sign-in is enabled."),
        Some("factor") => Some("The second factor was removed: the next sign-in sets up another."),
        Some("link") => Some("A link to set a password is on its way."),
        _ => None,
    };
    show(&context, &viewer, done, None).await
}

async fn show(context: &web::Data<Context>, viewer: &Viewer, done: Option<&str>, problem: Option<&Problem>) -> Result<HttpResponse, PageError> {
    let inner = context.clone();
    let people = act(move || verbs::list_staff(&inner)).await?;
    let frame = Frame::new(context, Some(viewer), HERE).noting(done.map(str::to_owned));
    let status = problem.map_or(StatusCode::OK, |problem| problem.status);
    page(status, &StaffPage { frame, viewer, people, problem: problem.map(|problem| problem.text.as_str()) })
}

/// Runs a change and shows the page again.
async fn change(
    context: web::Data<Context>,
    viewer: Viewer,
    done: &str,
    verb: impl FnOnce(&Context) -> Result<(), ActionError> + Send + 'static,
) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::ManageLogins)?;
    let acting = viewer.acting(&context);
    match act(move || verb(&acting)).await {
        Ok(()) => Ok(go_to(&format!("{HERE}?done={done}"))),
        Err(PageError::Action(error @ (ActionError::Refused(_) | ActionError::NotFound { .. }))) => {
            show(&context, &viewer, None, Some(&Problem::wrong(&sentence(&error.to_string())))).await
        }
        Err(error) => Err(error),
    }
}

/// `POST /staff/logins`: somebody new, who gets a link.
pub(super) async fn add(context: web::Data<Context>, checked: CheckedForm<New>) -> Result<HttpResponse, PageError> {
    let New { email, name, role } = checked.form;
    change(context, checked.viewer, "added", move |context| {
        let role: Role = role.parse().map_err(ActionError::Refused)?;
        verbs::add_staff(context, &verbs::NewStaff { email, name, role, password: None, mail_link: true }).map(|_| ())
    })
    .await
}

/// `POST /staff/logins/disable`.
pub(super) async fn disable(context: web::Data<Context>, checked: CheckedForm<Whose>) -> Result<HttpResponse, PageError> {
    let email = checked.form.email;
    change(context, checked.viewer, "disabled", move |context| verbs::set_staff_disabled(context, &email, true)).await
}

/// `POST /staff/logins/enable`.
pub(super) async fn enable(context: web::Data<Context>, checked: CheckedForm<Whose>) -> Result<HttpResponse, PageError> {
    let email = checked.form.email;
    change(context, checked.viewer, "enabled", move |context| verbs::set_staff_disabled(context, &email, false)).await
}

/// `POST /staff/logins/reset-factor`.
pub(super) async fn reset_factor(context: web::Data<Context>, checked: CheckedForm<Whose>) -> Result<HttpResponse, PageError> {
    let email = checked.form.email;
    change(context, checked.viewer, "factor", move |context| verbs::reset_factor(context, &email)).await
}

/// `POST /staff/logins/link`.
pub(super) async fn send_link(context: web::Data<Context>, checked: CheckedForm<Whose>) -> Result<HttpResponse, PageError> {
    let email = checked.form.email;
    change(context, checked.viewer, "link", move |context| verbs::send_link(context, &email, true).map(|_| ())).await
}
