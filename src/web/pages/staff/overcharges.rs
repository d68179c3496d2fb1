//! Overcharges: the cases with the most money first, and each with its findings, what was billed beside what should have been.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::forms::{Sent, value};
use super::{PAGE_ROWS, Say, frame};
use crate::actions::overcharges::cases::{self, CaseView, FindingView};
use crate::actions::overcharges::scan::{ScanReport, scan_all};
use crate::actions::staff_account::{Slice, one_more};
use crate::actions::{ActionError, Context};
use crate::db::overcharges::OpenSums;
use crate::domain::ids::{CaseId, FindingId};
use crate::domain::overcharges::Side;
use crate::domain::quantity::from_milli;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, PATIENCE, act, go_to, page, patiently};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/overcharges", list);
    routes.post("/staff/overcharges", look);
    routes.get("/staff/overcharges/{case}", show);
    routes.post("/staff/overcharges/{case}/dismiss", dismiss);
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Query {
    /// Also closed cases.
    all: Option<String>,
    /// Where the page begins: so many cases, or a finding, are passed over.
    from: Option<i64>,
    done: Option<String>,
}

#[derive(Template)]
#[template(path = "staff/overcharges/list.html")]
struct CasesPage {
    frame: Frame,
    say: Say,
    decides: bool,
    all: bool,
    open: OpenSums,
    cases: Vec<CaseView>,
    older: Option<String>,
}

#[derive(Template)]
#[template(path = "staff/overcharges/case.html")]
struct CasePage {
    frame: Frame,
    say: Say,
    decides: bool,
    case: CaseView,
    findings: Vec<FindingView>,
    older: Option<String>,
    problem: Option<String>,
    note: String,
}

/// Where a case stands, in words.
pub(super) fn status_words(status: &str) -> (&'static str, &'static str) {
    match status {
        "open" => ("open", "bad"),
        "mending" => ("being put right", "water"),
        "settled" => ("put right", "good"),
        "dismissed" => ("dismissed", "soft"),
        _ => ("no longer there", "soft"),
    }
}

impl CasePage {
    /// Usage, readings, class and attributes of a period: what its charge was made from.
    fn made_from(side: &Side) -> Vec<String> {
        let inputs = &side.inputs;
        let mut told = vec![format!("{} used", from_milli(side.usage_milli))];
        for span in &inputs.spans {
            let multiplier = if span.register.multiplier_milli == 1000 {
                String::new()
            } else {
                format!(", multiplier {}", from_milli(span.register.multiplier_milli))
            };
            let (from, to) = (from_milli(span.from_milli), from_milli(span.to_milli));
            told.push(format!("read {from} on {}, {to} on {} ({}){multiplier}", span.from_on, span.to_on, span.kind));
        }
        told.push(format!("class {}", inputs.rate_class));
        told.extend(inputs.attributes.iter().map(|(name, value)| format!("{name} {value}")));
        if let Some(days) = inputs.standard_days {
            told.push(format!("by the days of {days}"));
        }
        if inputs.slices.len() > 1 {
            let days: Vec<String> = inputs.slices.iter().map(|slice| slice.days.to_string()).collect();
            told.push(format!("rates or terms of {} days", days.join(" and ")));
        }
        told
    }
}

/// `GET /staff/overcharges`.
async fn list(context: web::Data<Context>, viewer: Viewer, query: web::Query<Query>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let acting = viewer.acting(&context);
    let (all, from) = (query.all.is_some(), query.from.unwrap_or(0).max(0));
    let (open, mut cases) = act(move || Ok((cases::open(&acting)?, cases::list(&acting, all, from, one_more(PAGE_ROWS))?))).await?;
    let rows = i64::try_from(PAGE_ROWS).unwrap_or(i64::MAX);
    let more = cases.len() > PAGE_ROWS;
    cases.truncate(PAGE_ROWS);
    let older = more.then(|| format!("/staff/overcharges?from={}{}", from.saturating_add(rows), if all { "&all=yes" } else { "" }));
    let notice = query.done.as_deref().and_then(done_in_words);
    let decides = viewer.may(Permission::DecideRuns);
    let frame = frame(&context, &viewer, "/staff/overcharges").noting(notice);
    page(StatusCode::OK, &CasesPage { frame, say: Say::new(&context), decides, all, open, cases, older })
}

/// What was just done, in words.
fn done_in_words(code: &str) -> Option<String> {
    Some(match code {
        "nothing" => "Every bill was derived again: nothing is new.".to_owned(),
        "new" => "Every bill was derived again: what is new is listed.".to_owned(),
        "going" => "The look takes longer: it goes on by itself, and this page shows what it finds.".to_owned(),
        "dismissed" => "The case is dismissed: the same differences are not found again.".to_owned(),
        _ => return None,
    })
}

/// `POST /staff/overcharges`: derives every bill again. Sent twice, it finds the same as once.
async fn look(context: web::Data<Context>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, .. } = sent;
    viewer.must(Permission::DecideRuns)?;
    let acting = viewer.acting(&context);
    let done = match patiently("overcharges", PATIENCE, move || scan_all(&acting, &|_, _| {})).await? {
        Some(Ok(ScanReport { found: 0, gone: 0, .. })) => "nothing",
        Some(Ok(_)) => "new",
        Some(Err(error)) => return Err(PageError::Action(error)),
        None => "going",
    };
    Ok(go_to(&format!("/staff/overcharges?done={done}")))
}

async fn shown(
    context: &Context,
    viewer: &Viewer,
    (id, from): (CaseId, i64),
    status: StatusCode,
    (problem, note): (Option<String>, String),
) -> Result<HttpResponse, PageError> {
    let acting = viewer.acting(context);
    let (case, found) = act(move || cases::show(&acting, id, FindingId(from), one_more(PAGE_ROWS))).await?;
    let Slice { rows, next } = Slice::cut(found, PAGE_ROWS, |finding| finding.row.id.0);
    let view = CasePage {
        frame: frame(context, viewer, "/staff/overcharges"),
        say: Say::new(context),
        decides: viewer.may(Permission::DecideRuns),
        case,
        findings: rows,
        older: next.map(|next| format!("/staff/overcharges/{id}?from={next}")),
        problem,
        note,
    };
    page(status, &view)
}

/// `GET /staff/overcharges/{case}`.
async fn show(context: web::Data<Context>, viewer: Viewer, id: web::Path<i64>, query: web::Query<Query>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let at = (CaseId(*id), query.from.unwrap_or(0).max(0));
    shown(&context, &viewer, at, StatusCode::OK, (None, String::new())).await
}

/// `POST /staff/overcharges/{case}/dismiss`.
async fn dismiss(context: web::Data<Context>, id: web::Path<i64>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::DecideRuns)?;
    let id = CaseId(*id);
    let note = value(&sent, "note").to_owned();
    let (acting, words) = (viewer.acting(&context), note.clone());
    match act(move || cases::dismiss(&acting, id, &words)).await {
        Ok(_) => Ok(go_to("/staff/overcharges?done=dismissed")),
        Err(PageError::Action(ActionError::Refused(reason))) => {
            shown(&context, &viewer, (id, 0), StatusCode::UNPROCESSABLE_ENTITY, (Some(reason), note)).await
        }
        Err(error) => Err(error),
    }
}
