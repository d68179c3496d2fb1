//! Schedules: when runs begin by themselves, and what became of the last ones.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::{Say, frame};
use crate::actions::Context;
use crate::actions::schedule::{ScheduleView, overview};
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::frame::{Frame, act, page};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/schedule", show);
}

#[derive(Template)]
#[template(path = "staff/schedule.html")]
struct SchedulePage {
    frame: Frame,
    say: Say,
    schedules: Vec<ScheduleView>,
}

/// The badge of an outcome.
pub(super) fn outcome_badge(status: &str) -> &'static str {
    match status {
        "done" => "good",
        "held" => "warn",
        "failed" => "bad",
        _ => "water",
    }
}

/// `GET /staff/schedule`.
async fn show(context: web::Data<Context>, viewer: Viewer) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let acting = viewer.acting(&context);
    let schedules = act(move || overview(&acting)).await?;
    page(StatusCode::OK, &SchedulePage { frame: frame(&context, &viewer, "/staff/schedule"), say: Say::new(&context), schedules })
}
