//! Bill runs: the list, one run with its progress and gates, whom it left out, what it bills.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::{ListQuery, PAGE_ROWS, Say, frame};
use crate::actions::Context;
use crate::actions::run_view::{RunLine, RunPage, exceptions, run_bills_of, run_page, runs as list_runs};
use crate::actions::staff_account::Slice;
use crate::db::billing::{NamedException, bill_number};
use crate::db::desk::RunBillCard;
use crate::domain::ids::RunId;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::frame::{Frame, act, page};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/runs", list);
    routes.get("/staff/runs/{id}", show);
    routes.get("/staff/runs/{id}/held", held);
    routes.get("/staff/runs/{id}/excluded", excluded);
    routes.get("/staff/runs/{id}/bills", bills);
}

/// Where a run stands, in words.
pub(super) fn status_words(status: &str) -> &'static str {
    match status {
        "pricing" => "being priced",
        "review" => "waits for approval",
        "gates_failed" => "held by its gates",
        "issuing" => "being issued",
        "issued" => "issued",
        "discarded" => "discarded",
        "rolling_back" => "being taken back",
        "rolled_back" => "taken back",
        _ => "unknown",
    }
}

/// The badge of a run's status.
pub(super) fn status_badge(status: &str) -> &'static str {
    match status {
        "issued" => "good",
        "review" | "pricing" | "issuing" => "water",
        "gates_failed" | "rolling_back" => "warn",
        "rolled_back" => "bad",
        _ => "",
    }
}

#[derive(Template)]
#[template(path = "staff/runs.html")]
struct RunsPage {
    frame: Frame,
    say: Say,
    runs: Vec<RunLine>,
    older: Option<String>,
    decides: bool,
}

/// `GET /staff/runs`.
async fn list(context: web::Data<Context>, viewer: Viewer, query: web::Query<ListQuery>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let acting = viewer.acting(&context);
    let before = query.from.unwrap_or(i64::MAX);
    let slice = act(move || list_runs(&acting, before, PAGE_ROWS)).await?;
    let older = slice.next.map(|next| format!("/staff/runs?from={next}"));
    let decides = viewer.may(Permission::DecideRuns);
    page(StatusCode::OK, &RunsPage { frame: frame(&context, &viewer, "/staff/runs"), say: Say::new(&context), runs: slice.rows, older, decides })
}

/// What every page of a run has above its own part.
pub(super) struct RunTop {
    pub page: RunPage,
    pub tab: &'static str,
    pub decides: bool,
}

impl RunTop {
    pub(super) fn new(viewer: &Viewer, page: RunPage, tab: &'static str) -> Self {
        Self { page, tab, decides: viewer.may(Permission::DecideRuns) }
    }

    /// Whether somebody is at work on it now.
    pub(super) fn at_work(&self) -> bool {
        self.page.progress.is_some() && self.page.somebody_at_work
    }

    /// Whether it was interrupted and nobody is at work on it.
    pub(super) fn interrupted(&self) -> bool {
        self.page.progress.is_some() && !self.page.somebody_at_work
    }

    /// Why the last attempt to work on it ended early, while nothing came of it since.
    pub(super) fn failure(&self) -> Option<&str> {
        self.page.events.first().filter(|event| event.action == "run.failed").map(|event| event.detail.as_str())
    }

    /// Gates that hold it.
    pub(super) fn failed_gates(&self) -> usize {
        self.page.report.gates.iter().filter(|gate| !gate.passed).count()
    }
}

#[derive(Template)]
#[template(path = "staff/run/summary.html")]
pub(super) struct Summary {
    pub frame: Frame,
    pub say: Say,
    pub top: RunTop,
    pub problem: Option<String>,
    pub reason: String,
}

/// `GET /staff/runs/{id}`.
async fn show(
    context: web::Data<Context>,
    viewer: Viewer,
    id: web::Path<i64>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let acting = viewer.acting(&context);
    let run = act(move || run_page(&acting, RunId(*id))).await?;
    let notice = query.done.as_deref().and_then(done_in_words).map(str::to_owned);
    let top = RunTop::new(&viewer, run, "summary");
    let frame = frame(&context, &viewer, "/staff/runs").noting(notice);
    page(StatusCode::OK, &Summary { frame, say: Say::new(&context), top, problem: None, reason: String::new() })
}

/// What was just done, in words.
fn done_in_words(code: &str) -> Option<&'static str> {
    match code {
        "started" => Some("The run is started."),
        "approved" => Some("The run is approved and is being issued."),
        "discarded" => Some("The run is discarded: its periods can be billed again."),
        "resumed" => Some("The run goes on."),
        "rolled-back" => Some("The run is being taken back."),
        _ => None,
    }
}

#[derive(Template)]
#[template(path = "staff/run/exceptions.html")]
struct ExceptionsPage {
    frame: Frame,
    say: Say,
    top: RunTop,
    rows: Vec<NamedException>,
    older: Option<String>,
}

/// `GET /staff/runs/{id}/held`.
async fn held(context: web::Data<Context>, viewer: Viewer, id: web::Path<i64>, query: web::Query<ListQuery>) -> Result<HttpResponse, PageError> {
    left_out(&context, &viewer, *id, query.from, "held").await
}

/// `GET /staff/runs/{id}/excluded`.
async fn excluded(context: web::Data<Context>, viewer: Viewer, id: web::Path<i64>, query: web::Query<ListQuery>) -> Result<HttpResponse, PageError> {
    left_out(&context, &viewer, *id, query.from, "excluded").await
}

async fn left_out(context: &Context, viewer: &Viewer, id: i64, from: Option<i64>, outcome: &'static str) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let acting = viewer.acting(context);
    let (run, Slice { rows, next }) = act(move || {
        let run = run_page(&acting, RunId(id))?;
        let slice = exceptions(&acting, RunId(id), outcome, from.unwrap_or(0), PAGE_ROWS)?;
        Ok((run, slice))
    })
    .await?;
    let older = next.map(|next| format!("/staff/runs/{id}/{outcome}?from={next}"));
    let top = RunTop::new(viewer, run, outcome);
    page(StatusCode::OK, &ExceptionsPage { frame: frame(context, viewer, "/staff/runs"), say: Say::new(context), top, rows, older })
}

#[derive(Template)]
#[template(path = "staff/run/bills.html")]
struct RunBillsPage {
    frame: Frame,
    say: Say,
    top: RunTop,
    rows: Vec<RunBillCard>,
    older: Option<String>,
}

impl RunBillsPage {
    fn number(&self, row: &RunBillCard) -> String {
        bill_number(self.top.page.run.id, row.account_id)
    }
}

/// `GET /staff/runs/{id}/bills`.
async fn bills(context: web::Data<Context>, viewer: Viewer, id: web::Path<i64>, query: web::Query<ListQuery>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let acting = viewer.acting(&context);
    let (id, from) = (*id, query.from.unwrap_or(0));
    let (run, Slice { rows, next }) = act(move || {
        let run = run_page(&acting, RunId(id))?;
        let slice = run_bills_of(&acting, RunId(id), from, PAGE_ROWS)?;
        Ok((run, slice))
    })
    .await?;
    let older = next.map(|next| format!("/staff/runs/{id}/bills?from={next}"));
    let top = RunTop::new(&viewer, run, "bills");
    page(StatusCode::OK, &RunBillsPage { frame: frame(&context, &viewer, "/staff/runs"), say: Say::new(&context), top, rows, older })
}

/// An event of a run in words.
pub(super) fn event_words(action: &str) -> &str {
    match action {
        "run.start" => "started",
        "run.priced" => "priced and judged",
        "run.approve" => "approved",
        "run.issued" => "issued",
        "run.discard" => "discarded",
        "run.roll_back" => "taking back began",
        "run.rolled_back" => "taken back",
        "run.failed" => "an attempt ended early",
        other => other,
    }
}
