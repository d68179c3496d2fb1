//! The watch: figures of the moment, alarms that are on and that were, what ledger and provider differed by at the last looks.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::{ListQuery, PAGE_ROWS, Say, frame, words};
use crate::actions::Context;
use crate::actions::alarms::{WatchView, watch};
use crate::db::alarms::AlarmRow;
use crate::domain::alarms::AlarmKind;
use crate::domain::ids::AlarmId;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::frame::{Frame, act, page};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/watch", show);
}

#[derive(Template)]
#[template(path = "staff/watch.html")]
struct WatchPage {
    frame: Frame,
    say: Say,
    view: WatchView,
    jobs: Vec<(&'static str, chrono::NaiveDateTime)>,
    /// Whether this is the first page of the alarms that are over.
    first: bool,
}

impl AlarmRow {
    fn known(&self) -> Option<AlarmKind> {
        self.kind.parse().ok()
    }

    /// What people call it; a kind of another version of the program by its name.
    fn title(&self) -> String {
        self.known().map_or_else(|| words(&self.kind), |kind| kind.title().to_owned())
    }

    fn advice(&self) -> &'static str {
        self.known().map_or("", AlarmKind::advice)
    }

    fn path(&self) -> &'static str {
        self.known().map_or("/staff/watch", AlarmKind::path)
    }

    /// How long it lasted.
    fn lasted(&self) -> String {
        span((self.over_at.unwrap_or(self.seen_at) - self.since).num_seconds())
    }
}

/// A time span as people say it.
pub(super) fn span(seconds: i64) -> String {
    use super::plural;
    match seconds {
        ..120 => plural(seconds.max(0), "second"),
        120..7_200 => plural(seconds / 60, "minute"),
        7_200..172_800 => plural(seconds / 3_600, "hour"),
        _ => plural(seconds / 86_400, "day"),
    }
}

/// `GET /staff/watch`.
async fn show(context: web::Data<Context>, viewer: Viewer, query: web::Query<ListQuery>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let acting = viewer.acting(&context);
    let before = query.from.map_or(AlarmId(i64::MAX), AlarmId);
    let view = act(move || watch(&acting, before, PAGE_ROWS)).await?;
    let at = |seconds: i64| chrono::DateTime::from_timestamp(seconds, 0).unwrap_or_default().naive_utc();
    let jobs = crate::telemetry::metrics::beats().into_iter().map(|(job, seconds)| (job, at(seconds))).collect();
    let frame = frame(&context, &viewer, "/staff/watch");
    page(StatusCode::OK, &WatchPage { frame, say: Say::new(&context), view, jobs, first: query.from.is_none() })
}
