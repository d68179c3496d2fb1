//! The staff's first page: what waits, what runs, and the search box.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::{Say, frame};
use crate::actions::Context;
use crate::actions::run_view::{Overview, overview};
use crate::actions::schedule::{ScheduleView, overview as schedules};
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::frame::{Frame, act, page};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff", show);
}

#[derive(Template)]
#[template(path = "staff/overview.html")]
struct OverviewPage {
    frame: Frame,
    say: Say,
    text: String,
    view: Overview,
    schedules: Vec<ScheduleView>,
    decides: bool,
}

/// `GET /staff`.
async fn show(context: web::Data<Context>, viewer: Viewer) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let acting = viewer.acting(&context);
    let (view, schedules) = act(move || Ok((overview(&acting)?, schedules(&acting)?))).await?;
    let decides = viewer.may(Permission::DecideRuns);
    let frame = frame(&context, &viewer, "/staff");
    page(StatusCode::OK, &OverviewPage { frame, say: Say::new(&context), text: String::new(), view, schedules, decides })
}
