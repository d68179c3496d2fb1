//! Reconciliation: each day's sums of ledger, providers and bank, and every difference with both rows beside each other.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use askama::Template;
use chrono::NaiveDate;
use serde::Deserialize;

use super::forms::{Sent, value};
use super::{PAGE_ROWS, Say, frame, said};
use crate::actions::reconcile::export::export_differences;
use crate::actions::reconcile::view::{DifferenceView, LastLook, differences, last_look};
use crate::actions::reconcile::{Backfill, Fetch, LookOptions, Report, reconcile};
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context};
use crate::db::reconciliation::DifferenceFilter;
use crate::domain::reconciliation::{Action, Kind};
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, PATIENCE, act, go_to, page, patiently};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/reconciliation", show);
    routes.get("/staff/reconciliation.csv", download);
    routes.post("/staff/reconciliation", look);
}

/// Where a person says whose money it is, and what a bank's movement is.
const MONEY_FOR_NOBODY: &str = "/staff/bank";

#[derive(Debug, Clone, Default, Deserialize)]
struct Query {
    day: Option<String>,
    kind: Option<String>,
    /// Where the page begins: day and number.
    after_day: Option<String>,
    after: Option<i64>,
    done: Option<String>,
}

/// Which differences are asked for.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    day: Option<NaiveDate>,
    kind: Option<Kind>,
    after: Option<(NaiveDate, i64)>,
}

impl Asked {
    fn read(query: &Query) -> Result<Self, PageError> {
        let refused = |error: String| PageError::Action(ActionError::Refused(error));
        let day = |text: Option<&String>| said(text).map(|text| super::forms::parse_day(&text)).transpose().map_err(refused);
        let after_day = day(query.after_day.as_ref())?;
        Ok(Self {
            day: day(query.day.as_ref())?,
            kind: said(query.kind.as_ref()).map(|text| text.parse()).transpose().map_err(refused)?,
            after: after_day.zip(query.after),
        })
    }

    fn filter(self) -> DifferenceFilter<'static> {
        DifferenceFilter { from: self.day, to: self.day, kind: self.kind.map(Kind::as_str), after: self.after }
    }

    /// The address of the page that begins after a difference.
    fn older(self, next: (NaiveDate, i64)) -> String {
        format!("/staff/reconciliation?after_day={}&after={}{}", next.0, next.1, self.parts("&"))
    }

    /// The address of the file with the same differences.
    fn file(self) -> String {
        format!("/staff/reconciliation.csv{}", self.parts("?"))
    }

    fn parts(self, first: &str) -> String {
        let day = self.day.map(|day| format!("day={day}"));
        let kind = self.kind.map(|kind| format!("kind={}", kind.as_str()));
        let parts: Vec<String> = day.into_iter().chain(kind).collect();
        if parts.is_empty() { String::new() } else { format!("{first}{}", parts.join("&")) }
    }
}

#[derive(Template)]
#[template(path = "staff/reconciliation.html")]
struct ReconciliationPage {
    frame: Frame,
    say: Say,
    decides: bool,
    problem: Option<String>,
    last: Option<LastLook>,
    asked: Asked,
    rows: Vec<DifferenceView>,
    older: Option<String>,
    file: String,
}

impl ReconciliationPage {
    /// Where a person mends a difference; none when there is no such page.
    fn place(row: &DifferenceView) -> Option<String> {
        match row.action() {
            Action::AssignAccount | Action::MatchBankEntry | Action::ImportBankFile => Some(MONEY_FOR_NOBODY.to_owned()),
            Action::LookAtAccount => row.about().map(super::account_path),
            _ => None,
        }
    }
}

async fn shown(context: &Context, viewer: &Viewer, query: Query, status: StatusCode, problem: Option<String>) -> Result<HttpResponse, PageError> {
    let asked = Asked::read(&query)?;
    let acting = viewer.acting(context);
    let (last, rows, next) = act(move || {
        let (rows, next) = differences(&acting, &asked.filter(), PAGE_ROWS)?;
        Ok((last_look(&acting)?, rows, next))
    })
    .await?;
    let notice = query.done.as_deref().and_then(done_in_words).map(str::to_owned);
    page(
        status,
        &ReconciliationPage {
            frame: frame(context, viewer, "/staff/reconciliation").noting(notice),
            say: Say::new(context),
            decides: viewer.may(Permission::DecideRuns),
            problem,
            last,
            asked,
            rows,
            older: next.map(|next| asked.older(next)),
            file: asked.file(),
        },
    )
}

/// What was just done, in words.
fn done_in_words(code: &str) -> Option<&'static str> {
    match code {
        "looked" => Some("Ledger, providers and bank were compared."),
        "nothing" => Some("The providers listed no event that had not arrived, and nothing waited."),
        "repaired" => Some("Missing events were fetched and applied, and everything was compared again."),
        "going" => Some("The look takes longer: it goes on by itself, and this page shows its end."),
        _ => None,
    }
}

/// `GET /staff/reconciliation`.
async fn show(context: web::Data<Context>, viewer: Viewer, query: web::Query<Query>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    shown(&context, &viewer, query.into_inner(), StatusCode::OK, None).await
}

/// `GET /staff/reconciliation.csv`.
async fn download(context: web::Data<Context>, viewer: Viewer, query: web::Query<Query>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let asked = Asked::read(&query)?;
    let acting = viewer.acting(&context);
    let table = act(move || {
        let mut table = Vec::new();
        export_differences(&acting, &asked.filter(), &mut table)?;
        Ok(table)
    })
    .await?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/csv; charset=utf-8"))
        .insert_header((CONTENT_DISPOSITION, "attachment; filename=\"differences.csv\""))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(table))
}

/// `POST /staff/reconciliation`: compares now, and brings lost events in when that is asked for. Sent twice, it does the same as
/// once: an event is applied once.
async fn look(context: web::Data<Context>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::DecideRuns)?;
    let backfill = match value(&sent, "action") {
        "look" => Backfill::Nothing,
        "repair" => Backfill::All,
        other => {
            let problem = format!("action: '{other}': expected look or repair");
            return shown(&context, &viewer, Query::default(), StatusCode::UNPROCESSABLE_ENTITY, Some(problem)).await;
        }
    };
    let acting = viewer.acting(&context);
    let done = match in_background(acting, backfill).await? {
        Some(Ok(report)) if backfill == Backfill::Nothing || !report.unreachable.is_empty() => {
            if let Some(down) = report.unreachable.first() {
                let problem = format!("{}. It was compared as far as it is known.", down.reason);
                return shown(&context, &viewer, Query::default(), StatusCode::OK, Some(problem)).await;
            }
            "looked"
        }
        Some(Ok(report)) if report.repaired.changed() => "repaired",
        Some(Ok(_)) => "nothing",
        Some(Err(error @ ActionError::Busy { .. })) => {
            return shown(&context, &viewer, Query::default(), StatusCode::CONFLICT, Some(error.to_string())).await;
        }
        Some(Err(error)) => return Err(PageError::Action(error)),
        None => "going",
    };
    Ok(go_to(&format!("/staff/reconciliation?done={done}")))
}

/// Looks in a thread of its own, so that it survives the request; what came of it when it is done soon.
async fn in_background(context: Context, backfill: Backfill) -> Result<Option<Result<Report, ActionError>>, PageError> {
    let options = LookOptions { from: None, to: None, fetch: Fetch::All, backfill, stop: Stop::default() };
    patiently("reconciliation", PATIENCE, move || reconcile(&context, &options)).await
}
