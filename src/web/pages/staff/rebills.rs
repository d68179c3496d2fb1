//! Cancelling bills and billing them anew: what it would come to, the form, and how far a request is.

use std::sync::mpsc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::forms::{Field, Form, Kind, Sent, value};
use super::{ListQuery, PAGE_ROWS, Say, account_path, frame};
use crate::actions::rebill::{
    AccountPreview, BillKey, Preview, RebillKind, RebillPage, Wanted, begin, bills_named, bills_of_run, note_failure, preview, rebill_page, resume,
    waits_for,
};
use crate::actions::sign_in::{looked_at, new_token};
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context};
use crate::domain::ids::{ApprovalId, RebillId, RunId};
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/bills/{number}/rebill", bill_form);
    routes.post("/staff/bills/{number}/rebill", bill_act);
    routes.get("/staff/runs/{id}/rebill", run_form);
    routes.post("/staff/runs/{id}/rebill", run_act);
    routes.get("/staff/rebills/{id}", show);
    routes.post("/staff/rebills/{id}/resume", go_on);
}

/// A small request is done within this time, and the page shows its end at once.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Which bills a form is about.
#[derive(Debug, Clone)]
enum About {
    /// One bill.
    Bill(String),
    /// Every bill of a run that stands.
    Run(RunId),
}

impl About {
    fn bills(&self, context: &Context) -> Result<Vec<BillKey>, ActionError> {
        match self {
            Self::Bill(number) => bills_named(context, std::slice::from_ref(number)),
            Self::Run(run) => bills_of_run(context, *run),
        }
    }

    /// Where the bills themselves are shown.
    fn link(&self) -> String {
        match self {
            Self::Bill(number) => format!("/bills/{number}"),
            Self::Run(run) => format!("/staff/runs/{run}"),
        }
    }

    fn title(&self) -> String {
        match self {
            Self::Bill(number) => format!("Bill {number}"),
            Self::Run(run) => format!("Run {run}"),
        }
    }

    fn permission(&self) -> Permission {
        match self {
            Self::Bill(_) => Permission::WorkAccounts,
            Self::Run(_) => Permission::DecideRuns,
        }
    }
}

#[derive(Template)]
#[template(path = "staff/rebills/form.html")]
struct FormPage {
    frame: Frame,
    say: Say,
    title: String,
    back: String,
    foreseen: Preview,
    sums: Sums,
    /// The request that waits for a second person.
    waits: Option<ApprovalId>,
    form: Form,
}

/// The figures of a preview.
struct Sums {
    accounts: i64,
    refused: i64,
    /// Accounts that are not shown.
    more: i64,
    bills: i64,
    before_cents: i64,
    after_cents: i64,
    difference_cents: i64,
}

impl Sums {
    fn of(foreseen: &Preview) -> Self {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let (all, possible) = (foreseen.accounts.len(), foreseen.possible().count());
        let (before_cents, after_cents) = (foreseen.before_cents(), foreseen.after_cents());
        Self {
            accounts: count(possible),
            refused: count(all.saturating_sub(possible)),
            more: count(all.saturating_sub(PAGE_ROWS)),
            bills: count(foreseen.bills()),
            before_cents,
            after_cents,
            difference_cents: after_cents - before_cents,
        }
    }
}

#[allow(clippy::unused_self, reason = "templates call methods")]
impl FormPage {
    /// Accounts that are shown.
    fn shown(&self) -> impl Iterator<Item = &AccountPreview> {
        self.foreseen.accounts.iter().take(PAGE_ROWS)
    }

    fn link(&self, account: &str) -> String {
        account_path(account)
    }
}

/// What the page showed, in a word: the form is good for just that.
fn seen(foreseen: &Preview) -> String {
    format!("{}:{}:{}:{}", foreseen.bills(), foreseen.before_cents(), foreseen.after_cents(), foreseen.through_on)
}

fn fields(viewer: &Viewer, foreseen: &Preview) -> Form {
    let choices =
        vec![("rebill".to_owned(), "Cancel and bill anew".to_owned()), ("cancel".to_owned(), "Only cancel: a later run bills these days".to_owned())];
    let mut fields = vec![
        Field::new("what", "What to do", Kind::Choice(choices)).value("rebill"),
        Field::new("reason", "Why", Kind::Words).hint("It stands in the audit trail; the customer does not read it"),
    ];
    if foreseen.gates.iter().any(|gate| !gate.passed) && viewer.may(Permission::DecideRuns) {
        let hint = "A gate would hold it: see below. It is done all the same only with a reason";
        fields.push(Field::new("override_gates", "Why it is done although a gate failed", Kind::Words).hint(hint).optional());
    }
    fields.push(Field::new("key", "", Kind::Hidden).value(new_token()));
    fields.push(Field::new("seen", "", Kind::Hidden).value(seen(foreseen)));
    Form::new(fields)
}

async fn foresee(viewer: &Viewer, context: &Context, about: &About) -> Result<Preview, PageError> {
    viewer.must(about.permission())?;
    let (acting, about) = (viewer.acting(context), about.clone());
    act(move || {
        let bills = about.bills(&acting)?;
        if bills.is_empty() {
            return Err(ActionError::Refused("none of its bills stands: there is nothing to cancel".to_owned()));
        }
        let foreseen = preview(&acting, &bills, RebillKind::Rebill)?;
        if let (About::Bill(_), Some(account)) = (&about, foreseen.accounts.first()) {
            looked_at(&acting, &account.account)?;
        }
        Ok(foreseen)
    })
    .await
}

async fn shown(context: &Context, viewer: &Viewer, about: &About, foreseen: Preview, form: Form) -> Result<HttpResponse, PageError> {
    let acting = viewer.acting(context);
    let (foreseen, waits) = act(move || {
        let waits = waits_for(&acting, &foreseen)?;
        Ok::<_, ActionError>((foreseen, waits))
    })
    .await?;
    let status = if form.refused() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let frame = frame(context, viewer, "/staff");
    page(
        status,
        &FormPage { frame, say: Say::new(context), title: about.title(), back: about.link(), sums: Sums::of(&foreseen), waits, foreseen, form },
    )
}

async fn form_page(context: &Context, viewer: &Viewer, about: About) -> Result<HttpResponse, PageError> {
    let foreseen = foresee(viewer, context, &about).await?;
    let form = fields(viewer, &foreseen);
    shown(context, viewer, &about, foreseen, form).await
}

/// `GET /staff/bills/{number}/rebill`: what cancelling it, and billing it anew, would come to.
async fn bill_form(context: web::Data<Context>, viewer: Viewer, number: web::Path<String>) -> Result<HttpResponse, PageError> {
    form_page(&context, &viewer, About::Bill(number.into_inner())).await
}

/// `GET /staff/runs/{id}/rebill`: the same of every bill of a run.
async fn run_form(context: web::Data<Context>, viewer: Viewer, id: web::Path<i64>) -> Result<HttpResponse, PageError> {
    form_page(&context, &viewer, About::Run(RunId(*id))).await
}

/// `POST /staff/bills/{number}/rebill`.
async fn bill_act(context: web::Data<Context>, number: web::Path<String>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    decide(&context, About::Bill(number.into_inner()), sent).await
}

/// `POST /staff/runs/{id}/rebill`.
async fn run_act(context: web::Data<Context>, id: web::Path<i64>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    decide(&context, About::Run(RunId(*id)), sent).await
}

async fn decide(context: &Context, about: About, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(about.permission())?;
    let (acting, key) = (viewer.acting(context), value(&sent, "key").to_owned());
    if key.is_empty() {
        return form_page(context, &viewer, about).await;
    }
    // The same form again is the same request, whatever became of the bills by then.
    let (at, token) = (acting.clone(), key.clone());
    if let Some(id) = act(move || crate::actions::rebill::known(&at, &token)).await? {
        return Ok(go_to(&format!("/staff/rebills/{id}")));
    }
    let foreseen = foresee(&viewer, context, &about).await?;
    let mut form = fields(&viewer, &foreseen).filled(&sent);
    let kind = form.parse("what", |text| match text {
        "rebill" => Ok(RebillKind::Rebill),
        "cancel" => Ok(RebillKind::Cancel),
        other => Err(format!("'{other}' is no choice")),
    });
    let reason = form.text("reason");
    if value(&sent, "seen") != seen(&foreseen) {
        form.problem = Some("What it comes to has changed since this page was made. Please look at it again, and send it once more.".to_owned());
        for field in form.fields.iter_mut().filter(|field| field.name == "seen") {
            field.value = seen(&foreseen);
        }
    }
    let override_gates = Some(value(&sent, "override_gates").to_owned()).filter(|why| !why.is_empty() && viewer.may(Permission::DecideRuns));
    if let (Some(kind), Some(reason), None) = (kind, reason, &form.problem) {
        match start(acting, about.clone(), kind, reason, key, override_gates).await {
            Ok(id) => return Ok(go_to(&format!("/staff/rebills/{id}"))),
            Err(error) => form.take_refusal(error)?,
        }
    }
    shown(context, &viewer, &about, foreseen, form).await
}

async fn start(
    acting: Context,
    about: About,
    kind: RebillKind,
    reason: String,
    token: String,
    override_gates: Option<String>,
) -> Result<RebillId, PageError> {
    let (at, overriding) = (acting.clone(), override_gates.clone());
    let id = act(move || {
        let bills = about.bills(&at)?;
        let wanted = Wanted { override_gates, ..Wanted::new(bills, kind, reason, token) };
        begin(&at, &wanted)
    })
    .await?;
    in_background(acting, id, overriding).await?;
    Ok(id)
}

/// Does a request's work in a thread of its own, and waits a moment for it.
async fn in_background(context: Context, id: RebillId, override_gates: Option<String>) -> Result<(), PageError> {
    let (done, wait) = mpsc::channel();
    let runner = move || {
        if let Err(error) = resume(&context, id, override_gates, &Stop::default()) {
            log::warn!("request {id} to bill anew: {error}");
            if let Err(error) = note_failure(&context, id, &error) {
                log::error!("request {id} to bill anew: its failure could not be written down: {error}");
            }
        }
        // Nobody waits any more when the work took longer.
        done.send(()).ok();
    };
    std::thread::Builder::new().name(format!("rebill-{id}")).spawn(runner).map_err(PageError::internal)?;
    act(move || {
        wait.recv_timeout(PATIENCE).ok();
        Ok(())
    })
    .await
}

#[derive(Template)]
#[template(path = "staff/rebills/show.html")]
struct ShowPage {
    frame: Frame,
    say: Say,
    at: RebillPage,
    older: Option<String>,
    may_work: bool,
    decides: bool,
}

#[allow(clippy::unused_self, reason = "templates call methods")]
impl ShowPage {
    fn done(&self) -> bool {
        self.at.report.rebill.status == "done"
    }

    /// Whether it stopped before its end.
    fn interrupted(&self) -> bool {
        !self.done() && !self.at.somebody_at_work
    }

    fn link(&self, account: &str) -> String {
        account_path(account)
    }

    fn state_words(&self, state: &str) -> &'static str {
        match (state, self.at.report.rebill.kind.as_str()) {
            ("open", _) => "waits",
            ("refused", _) => "left as it is",
            ("cancelled", "cancel") => "cancelled",
            ("cancelled", _) => "cancelled, not billed anew yet",
            ("billed", _) => "billed anew",
            _ => "unknown",
        }
    }

    fn state_badge(&self, state: &str) -> &'static str {
        match state {
            "billed" => "good",
            "refused" => "warn",
            _ => "water",
        }
    }
}

/// `GET /staff/rebills/{id}`: how far a request is.
async fn show(context: web::Data<Context>, viewer: Viewer, id: web::Path<i64>, query: web::Query<ListQuery>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let acting = viewer.acting(&context);
    let (id, from) = (*id, query.from.unwrap_or(0));
    let at = act(move || rebill_page(&acting, RebillId(id), from, PAGE_ROWS)).await?;
    let older = at.accounts.next.map(|next| format!("/staff/rebills/{id}?from={next}"));
    let (may_work, decides) = (viewer.may(Permission::WorkAccounts), viewer.may(Permission::DecideRuns));
    page(StatusCode::OK, &ShowPage { frame: frame(&context, &viewer, "/staff"), say: Say::new(&context), at, older, may_work, decides })
}

/// `POST /staff/rebills/{id}/resume`: goes on with a request that was interrupted, or that a gate held.
async fn go_on(context: web::Data<Context>, id: web::Path<i64>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let (at, id) = (acting.clone(), RebillId(*id));
    act(move || crate::actions::rebill::report(&at, id)).await?;
    let override_gates = Some(value(&sent, "override_gates").to_owned()).filter(|why| !why.is_empty() && viewer.may(Permission::DecideRuns));
    in_background(acting, id, override_gates).await?;
    Ok(go_to(&format!("/staff/rebills/{id}")))
}
