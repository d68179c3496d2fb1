//! Payouts and cheques: what waits for the next file for the bank, the files that were made, and each with its lines.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::bank::refusal;
use super::forms::{Sent, value};
use super::{PAGE_ROWS, Say, account_path, frame, segment};
use crate::actions::Context;
use crate::actions::approvals::Outcome;
use crate::actions::payout_view::{BatchView, Waits, batches, file_name, show_batch, take_file, waits};
use crate::actions::staff_account::{Slice, one_more};
use crate::actions::void_batch::{Voided, void_batch};
use crate::db::payouts::{BatchRow, Line};
use crate::domain::ids::{ApprovalId, RefundBatchId, RefundId};
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/payouts", overview);
    routes.get("/staff/payouts/{id}", show);
    routes.post("/staff/payouts/{id}/void", void);
    routes.get("/staff/payouts/{id}/file.txt", file);
}

/// Files on the first page.
const FILES_SHOWN: usize = 10;

/// Where lists begin, and what was just done.
#[derive(Debug, Clone, Default, Deserialize)]
struct Query {
    from: Option<i64>,
    files: Option<i64>,
    done: Option<String>,
}

#[derive(Template)]
#[template(path = "staff/payouts/overview.html")]
struct Overview {
    frame: Frame,
    say: Say,
    waits: Waits,
    more: Option<String>,
    files: Vec<BatchView>,
    older: Option<String>,
    works: bool,
}

/// `GET /staff/payouts`.
async fn overview(context: web::Data<Context>, viewer: Viewer, query: web::Query<Query>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let acting = viewer.acting(&context);
    let (after, before) = (RefundId(query.from.unwrap_or(0)), RefundBatchId(query.files.unwrap_or(i64::MAX)));
    let (mut waits, files) = act(move || Ok((waits(&acting, after, one_more(PAGE_ROWS))?, batches(&acting, before, one_more(FILES_SHOWN))?))).await?;
    let waiting = Slice::cut(std::mem::take(&mut waits.payouts), PAGE_ROWS, |payout| payout.id.0);
    waits.payouts = waiting.rows;
    let files = Slice::cut(files, FILES_SHOWN, |view| view.batch.id.0);
    let view = Overview {
        frame: frame(&context, &viewer, "/staff/bank"),
        say: Say::new(&context),
        waits,
        more: waiting.next.map(|next| format!("/staff/payouts?from={next}")),
        files: files.rows,
        older: files.next.map(|next| format!("/staff/payouts?files={next}")),
        works: viewer.may(Permission::WorkAccounts),
    };
    page(StatusCode::OK, &view)
}

#[derive(Template)]
#[template(path = "staff/payouts/file.html")]
struct FilePage {
    frame: Frame,
    say: Say,
    view: BatchView,
    lines: Vec<Line>,
    more: Option<String>,
    works: bool,
    /// The request that waits for a second person.
    waits: Option<ApprovalId>,
    /// What is wrong with what was just sent.
    problem: Option<String>,
    note: String,
}

impl FilePage {
    /// Whether any of it can still come back with the rest.
    fn can_come_back(&self) -> bool {
        self.works && self.view.out.payouts > 0 && self.view.paid.payouts == 0
    }

    fn is_of_cheques(&self) -> bool {
        self.view.batch.medium == "cheque"
    }
}

async fn shown(
    context: &Context,
    viewer: &Viewer,
    (id, query): (i64, &Query),
    status: StatusCode,
    (problem, note): (Option<String>, String),
) -> Result<HttpResponse, PageError> {
    let acting = viewer.acting(context);
    let after = i32::try_from(query.from.unwrap_or(0)).unwrap_or(i32::MAX);
    let (view, rows, waits) = act(move || show_batch(&acting, RefundBatchId(id), after, one_more(PAGE_ROWS))).await?;
    let Slice { rows: lines, next } = Slice::cut(rows, PAGE_ROWS, |line| line.line_no.into());
    let notice = query.done.as_deref().and_then(done_in_words).map(str::to_owned);
    let file = FilePage {
        frame: frame(context, viewer, "/staff/bank").noting(notice),
        say: Say::new(context),
        view,
        lines,
        more: next.map(|next| format!("/staff/payouts/{id}?from={next}")),
        works: viewer.may(Permission::WorkAccounts),
        waits,
        problem,
        note,
    };
    page(status, &file)
}

/// What was just done, in words.
fn done_in_words(code: &str) -> Option<&'static str> {
    match code {
        "void" => Some("What the file paid came back: the money is the customers\u{2019} again."),
        "unchanged" => Some("All of it had come back before. Nothing was changed."),
        _ => None,
    }
}

/// `GET /staff/payouts/{id}`.
async fn show(context: web::Data<Context>, viewer: Viewer, id: web::Path<i64>, query: web::Query<Query>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    shown(&context, &viewer, (*id, &query), StatusCode::OK, (None, String::new())).await
}

/// `POST /staff/payouts/{id}/void`. Sent twice, it does the same as once: what came back is back.
async fn void(context: web::Data<Context>, id: web::Path<i64>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let (id, note) = (*id, value(&sent, "note").to_owned());
    let (acting, words) = (viewer.acting(&context), note.clone());
    match act(move || void_batch(&acting, RefundBatchId(id), &words)).await {
        Ok(Voided::Waits(waiting)) => Ok(super::adjustments::outcome_at("", &Outcome::Waits(waiting))),
        Ok(Voided::Done(report)) => {
            let done = if report.came_back == 0 { "unchanged" } else { "void" };
            Ok(go_to(&format!("/staff/payouts/{id}?done={done}")))
        }
        Err(error) => {
            let problem = refusal(error)?;
            shown(&context, &viewer, (id, &Query::default()), StatusCode::UNPROCESSABLE_ENTITY, (Some(problem), note)).await
        }
    }
}

/// `GET /staff/payouts/{id}/file.txt`: the same bytes as when it was made.
async fn file(context: web::Data<Context>, viewer: Viewer, id: web::Path<i64>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let id = RefundBatchId(*id);
    let (batch, body) = act(move || take_file(&acting, id)).await?;
    let (name, kind) = file_name(&batch);
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, kind))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(body))
}

/// By which way a payout goes, in words.
fn way_words(medium: Option<&str>) -> &'static str {
    match medium {
        Some("payout") => "by the next file for the bank",
        Some("cheque") => "by cheque",
        _ => "a person makes the transfer",
    }
}

/// What kind of file it is, in words.
fn kind_words(batch: &BatchRow) -> &'static str {
    match batch.format.as_str() {
        "positive-pay" => "Cheques",
        "ach" => "NACHA",
        _ => "pain.001",
    }
}

/// Where a file is: the look of its badge, and what it is called.
fn batch_badge(view: &BatchView) -> (&'static str, &'static str) {
    match (view.paid.payouts > 0, view.back.payouts > 0, view.out.payouts > 0) {
        (false, _, true) => ("water", "sent"),
        (true, false, false) => ("good", "paid"),
        (true, _, _) => ("warn", "paid in part"),
        (false, true, false) => ("bad", "came back"),
        (false, false, false) => ("soft", "pays nothing"),
    }
}

/// What became of a line: the look of its badge, and what it is called.
fn line_badge(line: &Line) -> (&'static str, &'static str) {
    match (line.what.as_str(), line.state.as_str()) {
        ("void", _) => ("soft", "not to be paid"),
        (_, "succeeded") => ("good", "paid"),
        (_, "created" | "submitted") => ("water", "sent"),
        _ => ("bad", "came back"),
    }
}

/// Where it is said what became of a payout.
fn payout_path(account: &str, token: &str) -> String {
    format!("{}/payouts/{}", account_path(account), segment(token))
}
