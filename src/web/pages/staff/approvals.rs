//! Requests that wait for a second person: what is asked for and what it does, to be approved, rejected or withdrawn.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::forms::{Sent, value};
use super::{PAGE_ROWS, Say, frame};
use crate::actions::approvals::{ApprovalView, SHARES, Seen, Status, Verdict, decide, list_decided, list_waiting, show};
use crate::actions::staff_account::{Slice, one_more};
use crate::actions::{ActionError, Context};
use crate::domain::ids::ApprovalId;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/approvals", list);
    routes.get("/staff/approvals/{id}", view);
    routes.post("/staff/approvals/{id}", decided);
}

/// Where the parts of the list begin.
#[derive(Debug, Clone, Default, Deserialize)]
struct ApprovalsQuery {
    from: Option<i64>,
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "staff/approvals/list.html")]
struct ApprovalsPage {
    frame: Frame,
    say: Say,
    waiting: Vec<ApprovalView>,
    more: Option<i64>,
    decided: Vec<ApprovalView>,
    older: Option<i64>,
}

impl Status {
    /// The look of its badge, and what it is called.
    fn badge(self) -> (&'static str, &'static str) {
        match self {
            Self::Waiting => ("warn", "waits"),
            Self::Approved => ("good", "approved"),
            Self::Rejected => ("bad", "rejected"),
            Self::Withdrawn => ("", "withdrawn"),
            Self::Expired => ("", "expired"),
        }
    }
}

impl ApprovalView {
    /// What it is, as a sentence begins.
    fn title(&self) -> String {
        let mut letters = self.subject.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    }
}

/// `GET /staff/approvals`.
async fn list(context: web::Data<Context>, viewer: Viewer, query: web::Query<ApprovalsQuery>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let acting = viewer.acting(&context);
    let (after, before) = (ApprovalId(query.from.unwrap_or(0)), ApprovalId(query.before.unwrap_or(i64::MAX)));
    let (waiting, decided) = act(move || {
        let waiting = list_waiting(&acting, after, one_more(PAGE_ROWS))?;
        let decided = list_decided(&acting, before, one_more(PAGE_ROWS))?;
        Ok((Slice::cut(waiting, PAGE_ROWS, |view| view.id.0), Slice::cut(decided, PAGE_ROWS, |view| view.id.0)))
    })
    .await?;
    let view = ApprovalsPage {
        frame: frame(&context, &viewer, "/staff/approvals"),
        say: Say::new(&context),
        waiting: waiting.rows,
        more: waiting.next,
        decided: decided.rows,
        older: decided.next,
    };
    page(StatusCode::OK, &view)
}

#[derive(Template)]
#[template(path = "staff/approvals/show.html")]
struct ApprovalPage {
    frame: Frame,
    say: Say,
    view: ApprovalView,
    problem: Option<String>,
    note: String,
}

impl ApprovalPage {
    fn waits(&self) -> bool {
        self.view.status == Status::Waiting
    }

    /// Whether there may be more accounts than it tells of.
    fn shows_some(&self) -> bool {
        self.view.shares.len() >= SHARES
    }
}

/// What was just done.
#[derive(Debug, Default, Deserialize)]
struct DoneQuery {
    done: Option<String>,
}

/// `GET /staff/approvals/{id}`.
async fn view(context: web::Data<Context>, viewer: Viewer, id: web::Path<i64>, query: web::Query<DoneQuery>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let acting = viewer.acting(&context);
    let view = act(move || show(&acting, ApprovalId(*id))).await?;
    let notice = match query.done.as_deref() {
        Some("asked") => Some("A second person must approve it: nothing is posted yet. They find it on this page.".to_owned()),
        Some("approved") => Some("It is approved and done.".to_owned()),
        Some("rejected") => Some("It is rejected. Nothing was posted.".to_owned()),
        Some("withdrawn") => Some("It is withdrawn. Nothing was posted.".to_owned()),
        Some("before") => Some("It was decided so before. Nothing was done twice.".to_owned()),
        _ => None,
    };
    let frame = frame(&context, &viewer, "/staff/approvals").noting(notice);
    page(StatusCode::OK, &ApprovalPage { frame, say: Say::new(&context), view, problem: None, note: String::new() })
}

/// `POST /staff/approvals/{id}`.
async fn decided(context: web::Data<Context>, id: web::Path<i64>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    if !viewer.may(Permission::WorkAccounts) {
        viewer.must(Permission::ApproveMoney)?;
    }
    let id = ApprovalId(*id);
    let acting = viewer.acting(&context);
    let at = acting.clone();
    let known = act(move || show(&at, id)).await?;
    let note = value(&sent, "note").to_owned();
    let problem = match parse(&sent, &known) {
        Err(problem) => problem,
        Ok((verdict, seen)) => {
            let words = note.clone();
            match act(move || decide(&acting, id, verdict, &seen, &words)).await {
                Ok(decided) => {
                    let done = if decided.unchanged { "before" } else { decided.decision.as_str() };
                    return Ok(go_to(&format!("/staff/approvals/{id}?done={done}")));
                }
                Err(PageError::Action(ActionError::Refused(reason) | ActionError::Violated(reason))) => reason,
                Err(error) => return Err(error),
            }
        }
    };
    let acting = viewer.acting(&context);
    let view = act(move || show(&acting, id)).await?;
    let frame = frame(&context, &viewer, "/staff/approvals");
    page(StatusCode::UNPROCESSABLE_ENTITY, &ApprovalPage { frame, say: Say::new(&context), view, problem: Some(problem), note })
}

/// The decision, and what the form says was seen. A request about an account was shown with its balance: without it, nothing is
/// approved.
fn parse(sent: &Sent, known: &ApprovalView) -> Result<(Verdict, Seen), String> {
    let verdict = match value(sent, "decision") {
        "approve" => Verdict::Approve,
        "reject" => Verdict::Reject,
        "withdraw" => Verdict::Withdraw,
        _ => return Err("decision: expected approve, reject or withdraw".to_owned()),
    };
    let position: Option<i64> = value(sent, "position").parse().ok();
    if verdict == Verdict::Approve && known.position.is_some() && position.is_none() {
        return Err("the balance that was shown is missing: look again".to_owned());
    }
    Ok((verdict, Seen { sha256: value(sent, "seen").to_owned(), position }))
}
