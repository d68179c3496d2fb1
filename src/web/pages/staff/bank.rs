//! What banks sent: what waits with what it is taken for, the files, one movement.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::{PAGE_ROWS, Say, frame, said, segment};
use crate::actions::bank::import::BankReport;
use crate::actions::bank::view::{EntryView, FileView, count_waiting, list_files, list_waiting, show_entry, show_file};
use crate::actions::bank::{credits, mappings};
use crate::actions::search::{Results, search};
use crate::actions::staff_account::{Slice, one_more};
use crate::actions::{ActionError, Context};
use crate::db::bank::EntryRow;
use crate::db::provider_payments::UnappliedRow;
use crate::domain::ids::{AccountId, BankEntryId, BankFileId, UnappliedCreditId};
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::frame::{Frame, act, page};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/bank", overview);
    routes.get("/staff/bank/files/{id}", file);
    routes.get("/staff/bank/movements/{id}", movement);
}

/// Files on the first page.
const FILES_SHOWN: usize = 10;
/// A movement is divided over so many accounts on a page.
pub(super) const PARTS: usize = 5;

/// Where lists begin, and what was just done.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct BankQuery {
    from: Option<i64>,
    files: Option<i64>,
    status: Option<String>,
    done: Option<String>,
}

#[derive(Template)]
#[template(path = "staff/bank/overview.html")]
pub(super) struct Overview {
    pub(super) frame: Frame,
    say: Say,
    waiting: Vec<EntryView>,
    count: i64,
    older: Option<String>,
    files: Vec<FileView>,
    older_files: Option<String>,
    credits: Vec<UnappliedRow>,
    mappings: Vec<String>,
    works: bool,
    /// What is wrong with what was just sent.
    pub(super) problem: Option<String>,
    /// What the import of a file did.
    pub(super) report: Option<BankReport>,
}

/// Everything of the first page.
pub(super) async fn load(context: &Context, viewer: &Viewer, query: &BankQuery) -> Result<Overview, PageError> {
    let acting = viewer.acting(context);
    let (after, before) = (BankEntryId(query.from.unwrap_or(0)), BankFileId(query.files.unwrap_or(i64::MAX)));
    let (waiting, count, files, credits, mappings) = act(move || {
        let waiting = Slice::cut(list_waiting(&acting, after, one_more(PAGE_ROWS))?, PAGE_ROWS, |view| view.row.id.0);
        let files = Slice::cut(list_files(&acting, before, one_more(FILES_SHOWN))?, FILES_SHOWN, |view| view.file.id.0);
        let credits = credits::waiting(&acting, UnappliedCreditId(0), one_more(PAGE_ROWS))?;
        let mappings = mappings::list(&acting)?.into_iter().map(|row| row.name).collect();
        Ok((waiting, count_waiting(&acting)?, files, credits, mappings))
    })
    .await?;
    Ok(Overview {
        frame: frame(context, viewer, "/staff/bank"),
        say: Say::new(context),
        waiting: waiting.rows,
        count,
        older: waiting.next.map(|next| format!("/staff/bank?from={next}")),
        files: files.rows,
        older_files: files.next.map(|next| format!("/staff/bank?files={next}")),
        credits,
        mappings,
        works: viewer.may(Permission::WorkAccounts),
        problem: None,
        report: None,
    })
}

/// `GET /staff/bank`.
async fn overview(context: web::Data<Context>, viewer: Viewer, query: web::Query<BankQuery>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let mut view = load(&context, &viewer, &query).await?;
    view.frame = view.frame.noting(query.done.as_deref().and_then(done_in_words));
    page(StatusCode::OK, &view)
}

/// What was just done, in words.
fn done_in_words(code: &str) -> Option<String> {
    let (what, id) = code.split_once('.')?;
    let id: i64 = id.parse().ok()?;
    let words = match what {
        "applied" => "was applied",
        "settled" => "was settled as a refund",
        "set_aside" => "was set aside",
        "waiting" => "waits again",
        "unchanged" => "was decided just so before; nothing was changed",
        "credit" => return Some("The money was applied.".to_owned()),
        "dismissed" => return Some("The money was dismissed.".to_owned()),
        _ => return None,
    };
    Some(format!("Movement {id} {words}."))
}

#[derive(Template)]
#[template(path = "staff/bank/file.html")]
struct FilePage {
    frame: Frame,
    say: Say,
    view: FileView,
    entries: Vec<EntryView>,
    status: Option<String>,
    older: Option<String>,
}

/// `GET /staff/bank/files/{id}`.
async fn file(context: web::Data<Context>, viewer: Viewer, id: web::Path<i64>, query: web::Query<BankQuery>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let acting = viewer.acting(&context);
    let (id, status, after) = (BankFileId(*id), said(query.status.as_ref()), BankEntryId(query.from.unwrap_or(0)));
    let asked = status.clone();
    let (view, rows) = act(move || show_file(&acting, id, asked.as_deref(), after, one_more(PAGE_ROWS))).await?;
    let Slice { rows: entries, next } = Slice::cut(rows, PAGE_ROWS, |view| view.row.id.0);
    let only = status.as_deref().map(|status| format!("&status={}", segment(status))).unwrap_or_default();
    let older = next.map(|next| format!("/staff/bank/files/{id}?from={next}{only}"));
    page(StatusCode::OK, &FilePage { frame: frame(&context, &viewer, "/staff/bank"), say: Say::new(&context), view, entries, status, older })
}

/// What the page of a movement asks for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct MovementQuery {
    #[serde(default)]
    pub(super) q: String,
    pub(super) account: Option<String>,
}

#[derive(Template)]
#[template(path = "staff/bank/movement.html")]
pub(super) struct MovementPage {
    frame: Frame,
    say: Say,
    view: EntryView,
    works: bool,
    text: String,
    found: Option<Results>,
    /// What the form of accounts and amounts has.
    pub(super) shares: Vec<(String, String)>,
    pub(super) payment: String,
    pub(super) note: String,
    pub(super) problem: Option<String>,
}

/// Everything of a movement's page.
pub(super) async fn load_movement(context: &Context, viewer: &Viewer, id: i64, query: &MovementQuery) -> Result<MovementPage, PageError> {
    let acting = viewer.acting(context);
    let text: String = query.q.chars().filter(|letter| !letter.is_control()).take(200).collect();
    let asked = text.clone();
    let (view, found) = act(move || {
        let found = if asked.trim().is_empty() { None } else { Some(search(&acting, &asked, AccountId(0), PAGE_ROWS)?) };
        Ok((show_entry(&acting, BankEntryId(id))?, found))
    })
    .await?;
    let suggested = view.account.as_ref().map(|account| account.number.clone()).unwrap_or_default();
    let mut shares = vec![(said(query.account.as_ref()).unwrap_or(suggested), String::new())];
    shares.resize(PARTS, (String::new(), String::new()));
    Ok(MovementPage {
        frame: frame(context, viewer, "/staff/bank"),
        say: Say::new(context),
        view,
        works: viewer.may(Permission::WorkAccounts),
        text,
        found,
        shares,
        payment: String::new(),
        note: String::new(),
        problem: None,
    })
}

/// `GET /staff/bank/movements/{id}`.
async fn movement(
    context: web::Data<Context>,
    viewer: Viewer,
    id: web::Path<i64>,
    query: web::Query<MovementQuery>,
) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    load_movement(&context, &viewer, *id, &query).await?.answer(StatusCode::OK)
}

impl MovementPage {
    pub(super) fn answer(&self, status: StatusCode) -> Result<HttpResponse, PageError> {
        page(status, self)
    }

    /// Whether it is divided over accounts: money that came in for the first time.
    fn is_credit(&self) -> bool {
        self.view.row.kind == "credit"
    }
}

/// A refusal as a sentence for the page; what is none goes on as an error.
pub(super) fn refusal(error: PageError) -> Result<String, PageError> {
    match error {
        PageError::Action(error @ (ActionError::Refused(_) | ActionError::Form(_) | ActionError::NotFound { .. })) => Ok(error.to_string()),
        other => Err(other),
    }
}

/// What a movement is, in words.
fn kind_words(row: &EntryRow) -> &'static str {
    match (row.kind.as_str(), row.amount_cents < 0) {
        ("credit", _) => "Money in",
        ("return", true) => "Returned payment",
        ("return", false) => "Refund that came back",
        ("dishonored_return", _) => "Refused return",
        _ => "Money out",
    }
}

/// What became of a movement, in words.
fn status_words(status: &str) -> &'static str {
    match status {
        "applied" => "applied",
        "settled" => "settled",
        "set_aside" => "set aside",
        _ => "waiting",
    }
}

fn status_badge(status: &str) -> &'static str {
    match status {
        "applied" | "settled" => "good",
        "set_aside" => "",
        _ => "warn",
    }
}

/// A format's name for people.
fn format_words(format: &str) -> &'static str {
    match format {
        "bai2" => "BAI2",
        "camt053" => "camt.053",
        "camt054" => "camt.054",
        "ach" => "NACHA",
        _ => "CSV",
    }
}

/// The references in one line.
fn references(row: &EntryRow) -> String {
    row.reference.lines().collect::<Vec<_>>().join(" · ")
}

/// Why, as a sentence.
fn sentence(why: &str) -> String {
    let mut letters = why.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str().trim_end_matches('.')))
}
