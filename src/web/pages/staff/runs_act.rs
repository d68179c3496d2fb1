//! What a supervisor does with bill runs: start, approve, discard, take back, go on after an interruption.
//!
//! The work itself is done by a thread of its own, so that it survives the request; what it fails with is written into
//! the run's trail, where its page finds it. A run that the program left half done is gone on with by a button.

use std::sync::mpsc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::forms::{Field, Form, Kind, Sent, parse_day, value};
use super::runs::{RunTop, Summary};
use super::{Say, frame};
use crate::actions::bill_run::{RunOptions, RunReport, continue_run, discard_run, roll_back_run, run_bills, start_run};
use crate::actions::run_view::{cycles, note_failure, run_page};
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context};
use crate::db::billing::RunRow;
use crate::domain::ids::RunId;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/run", start_form);
    routes.post("/staff/run", start);
    routes.post("/staff/runs/{id}/approve", approve);
    routes.post("/staff/runs/{id}/discard", discard);
    routes.post("/staff/runs/{id}/resume", resume);
    routes.get("/staff/runs/{id}/rollback", rollback_form);
    routes.post("/staff/runs/{id}/rollback", rollback);
}

/// A small run is done within this time, and the page shows its end at once.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Does a run's work in a thread of its own, and waits a moment for it.
pub(super) async fn in_background(
    context: Context,
    id: RunId,
    work: impl FnOnce(&Context) -> Result<(), ActionError> + Send + 'static,
) -> Result<(), PageError> {
    let (done, wait) = mpsc::channel();
    let runner = move || {
        if let Err(error) = work(&context) {
            log::warn!("run {id}: {error}");
            if let Err(error) = note_failure(&context, id, &error) {
                log::error!("run {id}: its failure could not be written down: {error}");
            }
        }
        // Nobody waits any more when the work took longer.
        done.send(()).ok();
    };
    std::thread::Builder::new().name(format!("run-{id}")).spawn(runner).map_err(PageError::internal)?;
    act(move || {
        wait.recv_timeout(PATIENCE).ok();
        Ok(())
    })
    .await
}

/// Prices the run, and issues it when that is asked for: this one, and no other of its cycle and day that came in its place.
pub(super) fn go_on(context: &Context, run: &RunRow, approve: bool, override_gates: Option<String>) -> Result<(), ActionError> {
    let all = RunOptions::approving_all(run.through_on, &|_, _, _| {});
    continue_run(context, run.id, &RunOptions { approve, override_gates, ..all }, &Stop::default()).map(|_| ())
}

#[derive(Template)]
#[template(path = "staff/run/start.html")]
struct StartPage {
    frame: Frame,
    say: Say,
    form: Form,
    trial: Option<RunReport>,
}

fn start_fields(context: &Context, cycles: Vec<String>) -> Form {
    let mut choices = vec![("all".to_owned(), "Every cycle".to_owned())];
    choices.extend(cycles.into_iter().map(|cycle| (cycle.clone(), cycle)));
    Form::new(vec![
        Field::new("cycle", "Cycle", Kind::Choice(choices)),
        Field::new("through", "Bill reads up to and including", Kind::Date).hint("Today or earlier").value(context.today().to_string()),
        Field::new("dry_run", "Only try: price and judge, write nothing", Kind::Tick),
    ])
}

/// `GET /staff/run`: which cycle, up to which day.
async fn start_form(context: web::Data<Context>, viewer: Viewer) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::DecideRuns)?;
    let acting = viewer.acting(&context);
    let known = act(move || cycles(&acting)).await?;
    let form = start_fields(&context, known);
    page(StatusCode::OK, &StartPage { frame: frame(&context, &viewer, "/staff/runs"), say: Say::new(&context), form, trial: None })
}

/// `POST /staff/run`: starts a run, or tries one.
async fn start(context: web::Data<Context>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::DecideRuns)?;
    let acting = viewer.acting(&context);
    let at = acting.clone();
    let known = act(move || cycles(&at)).await?;
    let mut form = start_fields(&context, known.clone()).filled(&sent);
    let cycle = form.parse("cycle", |cycle| {
        let there = cycle == "all" || known.iter().any(|known| known == cycle);
        if there { Ok(cycle.to_owned()) } else { Err(format!("there is no cycle '{cycle}'")) }
    });
    let through = form.parse("through", |text| {
        let day = parse_day(text)?;
        if day > context.today() { Err(format!("{day} is in the future: expected a day up to {}", context.today())) } else { Ok(day) }
    });
    let mut trial = None;
    if let (Some(cycle), Some(through)) = (cycle, through) {
        let outcome = if value(&sent, "dry_run") == "yes" {
            act(move || try_run(&acting, &cycle, through)).await.map(|report| trial = Some(report))
        } else {
            match begin(acting, cycle, through).await {
                Ok(id) => return Ok(go_to(&format!("/staff/runs/{id}?done=started"))),
                Err(error) => Err(error),
            }
        };
        if let Err(error) = outcome {
            form.take_refusal(error)?;
        }
    }
    let status = if form.refused() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    page(status, &StartPage { frame: frame(&context, &viewer, "/staff/runs"), say: Say::new(&context), form, trial })
}

fn try_run(context: &Context, cycle: &str, through: chrono::NaiveDate) -> Result<RunReport, ActionError> {
    let all = RunOptions::approving_all(through, &|_, _, _| {});
    run_bills(context, &RunOptions { cycle: cycle.to_owned(), approve: false, dry_run: true, ..all })
}

async fn begin(acting: Context, cycle: String, through: chrono::NaiveDate) -> Result<RunId, PageError> {
    let at = acting.clone();
    let run = act(move || {
        let id = start_run(&at, &cycle, through)?;
        run_page(&at, id)
    })
    .await?
    .run;
    let id = run.id;
    in_background(acting, id, move |context| go_on(context, &run, false, None)).await?;
    Ok(id)
}

/// The run's page again, with what stood in the way.
fn refused(context: &Context, viewer: &Viewer, top: RunTop, problem: &str, reason: &str, status: StatusCode) -> Result<HttpResponse, PageError> {
    let (problem, reason) = (Some(problem.to_owned()), reason.to_owned());
    page(status, &Summary { frame: frame(context, viewer, "/staff/runs"), say: Say::new(context), top, problem, reason })
}

/// `POST /staff/runs/{id}/approve`.
async fn approve(context: web::Data<Context>, id: web::Path<i64>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::DecideRuns)?;
    let acting = viewer.acting(&context);
    let (at, id) = (acting.clone(), RunId(*id));
    let top = RunTop::new(&viewer, act(move || run_page(&at, id)).await?, "summary");
    let reason = value(&sent, "reason").to_owned();
    let run = top.page.run.clone();
    if !["review", "gates_failed"].contains(&run.status.as_str()) {
        // Approved by the same form sent before, or by somebody else: its page says so.
        return Ok(go_to(&format!("/staff/runs/{id}")));
    }
    let overriding = run.status == "gates_failed";
    if overriding && reason.is_empty() {
        let problem = "reason: a gate holds this run: expected why it is issued all the same";
        return refused(&context, &viewer, top, problem, &reason, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let override_gates = overriding.then_some(reason);
    in_background(acting, id, move |context| go_on(context, &run, true, override_gates)).await?;
    Ok(go_to(&format!("/staff/runs/{id}?done=approved")))
}

/// `POST /staff/runs/{id}/discard`.
async fn discard(context: web::Data<Context>, id: web::Path<i64>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let viewer = sent.viewer;
    viewer.must(Permission::DecideRuns)?;
    let acting = viewer.acting(&context);
    let (at, id) = (acting.clone(), RunId(*id));
    let top = RunTop::new(&viewer, act(move || run_page(&at, id)).await?, "summary");
    if top.page.run.status == "discarded" {
        return Ok(go_to(&format!("/staff/runs/{id}")));
    }
    match act(move || discard_run(&acting, id)).await {
        Ok(()) => Ok(go_to(&format!("/staff/runs/{id}?done=discarded"))),
        Err(PageError::Action(error @ ActionError::Busy { .. })) => refused(&context, &viewer, top, &error.to_string(), "", StatusCode::CONFLICT),
        Err(PageError::Action(ActionError::Refused(problem))) => refused(&context, &viewer, top, &problem, "", StatusCode::UNPROCESSABLE_ENTITY),
        Err(error) => Err(error),
    }
}

/// `POST /staff/runs/{id}/resume`: goes on where a run was interrupted.
async fn resume(context: web::Data<Context>, id: web::Path<i64>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let viewer = sent.viewer;
    viewer.must(Permission::DecideRuns)?;
    let acting = viewer.acting(&context);
    let (at, id) = (acting.clone(), RunId(*id));
    let run = act(move || run_page(&at, id)).await?.run;
    match run.status.as_str() {
        "pricing" | "issuing" => in_background(acting, id, move |context| go_on(context, &run, false, None)).await?,
        "rolling_back" => in_background(acting, id, move |context| roll_back_run(context, id, "", |_, _| {})).await?,
        _ => return Ok(go_to(&format!("/staff/runs/{id}"))),
    }
    Ok(go_to(&format!("/staff/runs/{id}?done=resumed")))
}

#[derive(Template)]
#[template(path = "staff/run/rollback.html")]
struct RollbackPage {
    frame: Frame,
    say: Say,
    top: RunTop,
    form: Form,
}

fn rollback_fields() -> Form {
    Form::new(vec![
        Field::new("reason", "Why", Kind::Words).hint("It stands in the trail of this run"),
        Field::new("sure", "I have seen how many bills are taken back", Kind::Tick),
    ])
}

/// `GET /staff/runs/{id}/rollback`: how many bills and how much money, before it is done.
async fn rollback_form(context: web::Data<Context>, viewer: Viewer, id: web::Path<i64>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::DecideRuns)?;
    let acting = viewer.acting(&context);
    let id = RunId(*id);
    let top = RunTop::new(&viewer, act(move || run_page(&acting, id)).await?, "summary");
    if top.page.run.status != "issued" {
        return Ok(go_to(&format!("/staff/runs/{id}")));
    }
    let frame = frame(&context, &viewer, "/staff/runs");
    page(StatusCode::OK, &RollbackPage { frame, say: Say::new(&context), top, form: rollback_fields() })
}

/// `POST /staff/runs/{id}/rollback`.
async fn rollback(context: web::Data<Context>, id: web::Path<i64>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::DecideRuns)?;
    let acting = viewer.acting(&context);
    let (at, id) = (acting.clone(), RunId(*id));
    let top = RunTop::new(&viewer, act(move || run_page(&at, id)).await?, "summary");
    if top.page.run.status != "issued" {
        return Ok(go_to(&format!("/staff/runs/{id}")));
    }
    let mut form = rollback_fields().filled(&sent);
    let reason = form.parse("reason", |text| Ok::<_, String>(text.to_owned()));
    if value(&sent, "sure") != "yes" {
        form.problem = Some("Please tick that you have seen how many bills are taken back.".to_owned());
    }
    if let (Some(reason), None) = (reason, &form.problem) {
        in_background(acting, id, move |context| roll_back_run(context, id, &reason, |_, _| {})).await?;
        return Ok(go_to(&format!("/staff/runs/{id}?done=rolled-back")));
    }
    let frame = frame(&context, &viewer, "/staff/runs");
    page(StatusCode::UNPROCESSABLE_ENTITY, &RollbackPage { frame, say: Say::new(&context), top, form })
}
