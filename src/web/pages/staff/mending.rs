//! Putting a case of overcharges right: what it would come to, and the button.

use std::sync::mpsc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::forms::{Field, Form, Kind, Sent, value};
use super::{Say, account_path, frame};
use crate::actions::approvals::WAITS;
use crate::actions::overcharges::cases::{CaseView, show as show_case};
use crate::actions::overcharges::mend::{MendReport, Mending, foresee, last_failure, mend, note_failure};
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context};
use crate::domain::ids::{CaseId, FindingId};
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/overcharges/{id}/mend", show);
    routes.post("/staff/overcharges/{id}/mend", decide);
}

/// A small case is put right within this time, and the page shows its end at once.
const PATIENCE: Duration = Duration::from_millis(1500);

#[derive(Template)]
#[template(path = "staff/rebills/mend.html")]
struct MendPage {
    frame: Frame,
    say: Say,
    case: CaseView,
    report: MendReport,
    sums: Sums,
    failure: Option<String>,
    form: Form,
}

/// The figures of what it comes to.
struct Sums {
    rebilled: i64,
    credited: i64,
    told: i64,
    by_policy: i64,
    left: i64,
}

#[allow(clippy::unused_self, reason = "templates call methods")]
impl MendPage {
    fn link(&self, account: &str) -> String {
        account_path(account)
    }

    /// What ended the last attempt, unless it only waited for a second person.
    fn failed(&self) -> Option<&String> {
        self.failure.as_ref().filter(|why| !why.starts_with(WAITS))
    }

    fn is_open(&self) -> bool {
        self.case.row.status == "open" || self.case.row.status == "mending"
    }
}

/// What the page showed, in a word: the form is good for just that.
fn seen(report: &MendReport) -> String {
    format!("{}:{}:{}:{}:{}:{}", report.rebilled, report.credited, report.credited_cents, report.told, report.by_policy, report.left)
}

fn fields(report: &MendReport) -> Form {
    Form::new(vec![
        Field::new("override_gates", "Why bills are made anew although a gate failed", Kind::Words).hint("Only where a gate held it").optional(),
        Field::new("sure", "I have seen whom it concerns", Kind::Tick),
        Field::new("seen", "", Kind::Hidden).value(seen(report)),
    ])
}

async fn load(context: &Context, viewer: &Viewer, id: CaseId) -> Result<(CaseView, MendReport, Option<String>), PageError> {
    viewer.must(Permission::DecideRuns)?;
    let acting = viewer.acting(context);
    act(move || {
        let (case, _) = show_case(&acting, id, FindingId(0), 1)?;
        Ok((case, foresee(&acting, id)?, last_failure(&acting, id)?))
    })
    .await
}

fn shown(context: &Context, viewer: &Viewer, loaded: (CaseView, MendReport, Option<String>), form: Form) -> Result<HttpResponse, PageError> {
    let (case, report, failure) = loaded;
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let sums = Sums {
        rebilled: count(report.rebilled),
        credited: count(report.credited),
        told: count(report.told),
        by_policy: count(report.by_policy),
        left: count(report.left),
    };
    let status = if form.refused() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    page(status, &MendPage { frame: frame(context, viewer, "/staff/overcharges"), say: Say::new(context), case, report, sums, failure, form })
}

/// `GET /staff/overcharges/{id}/mend`: what putting the case right would come to.
async fn show(context: web::Data<Context>, viewer: Viewer, id: web::Path<i64>) -> Result<HttpResponse, PageError> {
    let loaded = load(&context, &viewer, CaseId(*id)).await?;
    let form = fields(&loaded.1);
    shown(&context, &viewer, loaded, form)
}

/// `POST /staff/overcharges/{id}/mend`. A case is put right once: the same form again goes on with it, or changes nothing.
async fn decide(context: web::Data<Context>, id: web::Path<i64>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    let id = CaseId(*id);
    let loaded = load(&context, &viewer, id).await?;
    if loaded.0.row.status == "settled" {
        return Ok(go_to(&format!("/staff/overcharges/{id}/mend")));
    }
    let mut form = fields(&loaded.1).filled(&sent);
    if value(&sent, "sure") != "yes" {
        form.problem = Some("Please tick that you have seen whom it concerns.".to_owned());
    } else if loaded.0.row.status == "open" && value(&sent, "seen") != seen(&loaded.1) {
        form = fields(&loaded.1);
        form.problem = Some("What it comes to has changed since this page was made. Please look at it again, and send it once more.".to_owned());
    }
    if form.refused() {
        return shown(&context, &viewer, loaded, form);
    }
    let override_gates = Some(value(&sent, "override_gates").to_owned()).filter(|why| !why.is_empty());
    in_background(viewer.acting(&context), id, override_gates).await?;
    Ok(go_to(&format!("/staff/overcharges/{id}/mend")))
}

/// Puts the case right in a thread of its own, and waits a moment for it.
async fn in_background(context: Context, case: CaseId, override_gates: Option<String>) -> Result<(), PageError> {
    let (done, wait) = mpsc::channel();
    let runner = move || {
        let wanted = Mending { case, override_gates, progress: &|_, _, _| {} };
        if let Err(error) = mend(&context, &wanted, &Stop::default()) {
            log::warn!("case {case} of overcharges: {error}");
            if let Err(error) = note_failure(&context, case, &error) {
                log::error!("case {case} of overcharges: its failure could not be written down: {error}");
            }
        }
        // Nobody waits any more when the work took longer.
        done.send(()).ok();
    };
    std::thread::Builder::new().name(format!("mend-{case}")).spawn(runner).map_err(PageError::internal)?;
    act(move || {
        wait.recv_timeout(PATIENCE).ok();
        Ok::<_, ActionError>(())
    })
    .await
}
