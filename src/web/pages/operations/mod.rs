//! The front page, the health check, and what every area shares.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use askama::Template;

use crate::actions::{ActionError, Context};
use crate::db::billing::{self, RunRow};
use crate::web::frame::Frame;
use crate::web::{ICON, STYLE};

/// The front page: what this is and how the last runs went.
#[derive(Template)]
#[template(path = "operations/front.html")]
struct Front {
    frame: Frame,
    version: &'static str,
    runs: Vec<RunLine>,
}

struct RunLine {
    id: i64,
    cycle: String,
    through: String,
    status: String,
    bills: i64,
    held: i64,
}

#[derive(Template)]
#[template(path = "operations/error.html")]
struct ErrorPage {
    frame: Frame,
    title: &'static str,
    message: &'static str,
}

/// Runs on the front page.
const RUNS_SHOWN: i64 = 5;

/// `GET /health`: 200 when the database answers, 503 when it does not.
pub(in crate::web) async fn health(context: web::Data<Context>) -> HttpResponse {
    let asked = web::block(move || context.database.read(|conn| billing::latest_runs(conn, 1)).map(|_| ())).await;
    let answers = matches!(asked, Ok(Ok(())));
    let status = if answers { "ok" } else { "database unreachable" };
    let body = serde_json::json!({ "status": status, "version": env!("CARGO_PKG_VERSION") });
    let mut response = if answers { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.insert_header((CACHE_CONTROL, "no-store")).json(body)
}

/// `GET /`.
pub(in crate::web) async fn front(context: web::Data<Context>) -> HttpResponse {
    let utility = context.config.utility_name.clone();
    match web::block(move || load_runs(&context)).await {
        Ok(Ok(runs)) => page(HttpResponse::Ok(), &Front { frame: Frame::signed_out(&utility), version: env!("CARGO_PKG_VERSION"), runs }),
        Ok(Err(error)) => failed(utility, &error),
        Err(error) => failed(utility, &error),
    }
}

fn load_runs(context: &Context) -> Result<Vec<RunLine>, ActionError> {
    context.database.snapshot(|conn| {
        let runs = billing::latest_runs(conn, RUNS_SHOWN)?;
        runs.into_iter().map(|run| Ok(run_line(&run, &billing::run_totals(conn, run.id)?))).collect()
    })
}

fn run_line(run: &RunRow, totals: &crate::domain::gates::RunTotals) -> RunLine {
    RunLine {
        id: run.id.0,
        cycle: run.cycle.clone(),
        through: run.through_on.to_string(),
        status: run.status.replace('_', " "),
        bills: totals.bills,
        held: totals.held,
    }
}

/// `GET /static/style.css`.
pub(in crate::web) async fn style() -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/css; charset=utf-8")).insert_header((CACHE_CONTROL, "public, max-age=3600")).body(STYLE)
}

/// `GET /static/icon.svg`.
pub(in crate::web) async fn icon() -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "image/svg+xml")).insert_header((CACHE_CONTROL, "public, max-age=86400")).body(ICON)
}

/// Whatever has no route.
pub(in crate::web) async fn not_found(context: web::Data<Context>) -> HttpResponse {
    let utility = context.config.utility_name.clone();
    page(HttpResponse::NotFound(), &ErrorPage { frame: Frame::signed_out(&utility), title: "Page not found", message: "There is no page at this address." })
}

fn failed(utility: String, error: &dyn std::fmt::Display) -> HttpResponse {
    log::error!("a page could not be made: {error}");
    let message = "The page could not be made. Nothing was changed; please try again in a moment.";
    page(HttpResponse::InternalServerError(), &ErrorPage { frame: Frame::signed_out(&utility), title: "Something went wrong", message })
}

fn page(mut response: actix_web::HttpResponseBuilder, template: &impl Template) -> HttpResponse {
    match template.render() {
        Ok(html) => response.content_type("text/html; charset=utf-8").insert_header((CACHE_CONTROL, "no-store")).body(html),
        Err(error) => {
            log::error!("a template failed: {error}");
            HttpResponse::InternalServerError().finish()
        }
    }
}
