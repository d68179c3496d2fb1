//! One account: who, what is owed, and behind it the ledger, bills, services, reads, notices and the trail.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::{ListQuery, PAGE_ROWS, Say, account_path, frame};
use crate::actions::corrections::Corrected;
use crate::actions::notices::{NoticeFilter, NoticeView, list};
use crate::actions::sign_in::looked_at;
use crate::actions::staff_account::{self as desk, BillLine, Head, LedgerLine, ReadLine, ServiceLine, Slice, Source};
use crate::actions::{ActionError, Context};
use crate::db::operations::AuditRow;
use crate::domain::ids::NoticeId;
use crate::domain::notices::NoticeStatus;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::frame::{Frame, act, page};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/accounts/{number}", ledger);
    routes.get("/staff/accounts/{number}/bills", bills);
    routes.get("/staff/accounts/{number}/services", services);
    routes.get("/staff/accounts/{number}/reads", reads);
    routes.get("/staff/accounts/{number}/notices", notices);
    routes.get("/staff/accounts/{number}/trail", trail);
}

/// What every page of an account has above its own part.
pub(super) struct Top {
    pub head: Head,
    /// The account's own address.
    pub path: String,
    /// The tab that is shown.
    pub tab: &'static str,
    /// Whether the viewer may change something.
    pub works: bool,
    /// Whether the viewer may read the audit trail.
    pub audits: bool,
}

impl Top {
    pub(super) fn new(viewer: &Viewer, head: Head, tab: &'static str) -> Self {
        let path = account_path(&head.number);
        Self { head, path, tab, works: viewer.may(Permission::WorkAccounts), audits: viewer.may(Permission::ReadAudit) }
    }
}

/// The head of an account, for somebody who may look; the look is written down.
pub(super) fn look(acting: &Context, number: &str) -> Result<Head, ActionError> {
    let head = desk::head(acting, number)?;
    looked_at(acting, &head.number)?;
    Ok(head)
}

/// The top of an account's page and what its tab shows below; the look is written down.
async fn tab<T: Send + 'static>(
    context: &Context,
    viewer: &Viewer,
    number: web::Path<String>,
    name: &'static str,
    load: impl FnOnce(&Context, &Head) -> Result<T, ActionError> + Send + 'static,
) -> Result<(Top, T), PageError> {
    let acting = viewer.acting(context);
    let (head, loaded) = act(move || {
        let head = look(&acting, &number)?;
        let loaded = load(&acting, &head)?;
        Ok((head, loaded))
    })
    .await?;
    Ok((Top::new(viewer, head, name), loaded))
}

/// A page's address with where the next part begins.
fn older(path: &str, next: Option<i64>) -> Option<String> {
    next.map(|next| format!("{path}?from={next}"))
}

#[derive(Template)]
#[template(path = "staff/account/ledger.html")]
struct LedgerPage {
    frame: Frame,
    say: Say,
    top: Top,
    services: Vec<ServiceLine>,
    lines: Vec<LedgerLine>,
    older: Option<String>,
}

/// `GET /staff/accounts/{number}`: the account with its ledger.
async fn ledger(
    context: web::Data<Context>,
    viewer: Viewer,
    number: web::Path<String>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let ListQuery { from, done } = query.into_inner();
    let (top, (lines, services)) = tab(&context, &viewer, number, "ledger", move |acting, head| {
        let lines = desk::ledger(acting, head.id, from.unwrap_or(i64::MAX), PAGE_ROWS)?;
        Ok((lines, desk::services(acting, head.id)?))
    })
    .await?;
    let say = Say::new(&context);
    let notice = done.and_then(|code| done_in_words(&code, &lines, &say, &top.head));
    let Slice { rows: lines, next } = lines;
    let older = older(&top.path, next);
    let frame = frame(&context, &viewer, "/staff").noting(notice);
    page(StatusCode::OK, &LedgerPage { frame, say, top, services, lines, older })
}

/// What was just done, in words that are made from the ledger, not from the address.
fn done_in_words(code: &str, lines: &Slice<LedgerLine>, say: &Say, head: &Head) -> Option<String> {
    let balance = say.balance(&head.balance);
    let (what, seq) = code.split_once('.').unwrap_or((code, ""));
    match what {
        "read-accepted" => return Some("The read is accepted.".to_owned()),
        "read-held" => return Some("The read is kept and waits for a decision: it is outside the limits.".to_owned()),
        "billed-before" => return Some("Nothing is left to bill up to that day: it had happened already. Nothing was changed.".to_owned()),
        "read-known" => return Some("This read was there already. Nothing was changed.".to_owned()),
        _ => {}
    }
    let seq: i64 = seq.parse().ok()?;
    let line = lines.rows.iter().find(|line| line.seq == seq)?;
    let amount = say.currency.money(line.amount.cents().abs());
    match what {
        "posted" => Some(format!("{} of {amount} is posted. The balance is now {balance}.", line.words())),
        "known" => Some(format!("{} of {amount} was posted before. Nothing was posted twice. The balance is {balance}.", line.words())),
        _ => None,
    }
}

#[derive(Template)]
#[template(path = "staff/account/bills.html")]
struct BillsPage {
    frame: Frame,
    say: Say,
    top: Top,
    bills: Vec<BillLine>,
    older: Option<String>,
}

/// `GET /staff/accounts/{number}/bills`.
async fn bills(
    context: web::Data<Context>,
    viewer: Viewer,
    number: web::Path<String>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let from = query.from.unwrap_or(i64::MAX);
    let load = move |acting: &Context, head: &Head| desk::bills(acting, head.id, from, PAGE_ROWS);
    let (top, slice) = tab(&context, &viewer, number, "bills", load).await?;
    let older = older(&format!("{}/bills", top.path), slice.next);
    page(StatusCode::OK, &BillsPage { frame: frame(&context, &viewer, "/staff"), say: Say::new(&context), top, bills: slice.rows, older })
}

#[derive(Template)]
#[template(path = "staff/account/services.html")]
struct ServicesPage {
    frame: Frame,
    say: Say,
    top: Top,
    services: Vec<ServiceLine>,
}

/// `GET /staff/accounts/{number}/services`.
async fn services(context: web::Data<Context>, viewer: Viewer, number: web::Path<String>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let load = |acting: &Context, head: &Head| desk::services(acting, head.id);
    let (top, services) = tab(&context, &viewer, number, "services", load).await?;
    page(StatusCode::OK, &ServicesPage { frame: frame(&context, &viewer, "/staff"), say: Say::new(&context), top, services })
}

#[derive(Template)]
#[template(path = "staff/account/reads.html")]
struct ReadsPage {
    frame: Frame,
    say: Say,
    top: Top,
    reads: Vec<ReadLine>,
    older: Option<String>,
}

/// `GET /staff/accounts/{number}/reads`.
async fn reads(
    context: web::Data<Context>,
    viewer: Viewer,
    number: web::Path<String>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let from = query.from.unwrap_or(0).max(0);
    let load = move |acting: &Context, head: &Head| desk::reads(acting, head.id, from, PAGE_ROWS);
    let (top, slice) = tab(&context, &viewer, number, "reads", load).await?;
    let older = older(&format!("{}/reads", top.path), slice.next);
    page(StatusCode::OK, &ReadsPage { frame: frame(&context, &viewer, "/staff"), say: Say::new(&context), top, reads: slice.rows, older })
}

#[derive(Template)]
#[template(path = "staff/account/notices.html")]
struct NoticesPage {
    frame: Frame,
    say: Say,
    top: Top,
    notices: Vec<NoticeView>,
    older: Option<String>,
}

/// `GET /staff/accounts/{number}/notices`.
async fn notices(
    context: web::Data<Context>,
    viewer: Viewer,
    number: web::Path<String>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let after = query.from.map(NoticeId);
    let (top, slice) = tab(&context, &viewer, number, "notices", move |acting, head| {
        let filter = NoticeFilter { account: Some(head.number.clone()), ..NoticeFilter::default() };
        let rows = list(acting, &filter, after, desk::one_more(PAGE_ROWS))?;
        Ok(Slice::cut(rows, PAGE_ROWS, |notice| notice.id.0))
    })
    .await?;
    let older = older(&format!("{}/notices", top.path), slice.next);
    page(StatusCode::OK, &NoticesPage { frame: frame(&context, &viewer, "/staff"), say: Say::new(&context), top, notices: slice.rows, older })
}

#[derive(Template)]
#[template(path = "staff/account/trail.html")]
struct TrailPage {
    frame: Frame,
    say: Say,
    top: Top,
    events: Vec<AuditRow>,
    older: Option<String>,
}

/// `GET /staff/accounts/{number}/trail`: who looked at this account, and who changed it.
async fn trail(
    context: web::Data<Context>,
    viewer: Viewer,
    number: web::Path<String>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::ReadAudit)?;
    let before = query.from.unwrap_or(i64::MAX);
    let load = move |acting: &Context, head: &Head| desk::trail(acting, head, before, PAGE_ROWS);
    let (top, slice) = tab(&context, &viewer, number, "trail", load).await?;
    let older = older(&format!("{}/trail", top.path), slice.next);
    page(StatusCode::OK, &TrailPage { frame: frame(&context, &viewer, "/staff"), say: Say::new(&context), top, events: slice.rows, older })
}

/// Whether an entry with this reason can be taken back: what becomes of a whole balance has ways of its own.
fn is_undoable(reason: &str) -> bool {
    !matches!(reason, "refund" | "transfer" | "refund-failed")
}

/// The badge of a notice's status.
pub(super) fn notice_badge(status: NoticeStatus) -> &'static str {
    match status {
        NoticeStatus::Sent => "good",
        NoticeStatus::Bounced | NoticeStatus::GivenUp => "bad",
        NoticeStatus::Suppressed => "",
        _ => "water",
    }
}
