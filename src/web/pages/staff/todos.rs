//! What waits for a clerk: the most money first, with what a decision needs, decided one by one or several at once.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::forms::{Sent, value};
use super::{PAGE_ROWS, Say, frame, said, segment};
use crate::actions::held::{Decision, ToDoCount, ToDoFilter, ToDoView, count_todos, decide_some, holds_a_bill, list_todos};
use crate::actions::staff_account::{Slice, one_more, settle_for_accounts};
use crate::actions::{ActionError, Context};
use crate::domain::ids::ToDoId;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::routes::Routes;
use crate::web::text::plural;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/todos", list);
    routes.post("/staff/todos", decide);
}

/// Which items, and where the page begins.
#[derive(Debug, Clone, Default, Deserialize)]
struct ToDoQuery {
    kind: Option<String>,
    account: Option<String>,
    from: Option<i64>,
    done: Option<String>,
}

impl ToDoQuery {
    fn filter(&self) -> ToDoFilter {
        ToDoFilter { kind: said(self.kind.as_ref()), account: said(self.account.as_ref()) }
    }
}

#[derive(Template)]
#[template(path = "staff/todos.html")]
struct ToDosPage {
    frame: Frame,
    say: Say,
    counts: Vec<ToDoCount>,
    filter: ToDoFilter,
    items: Vec<ToDoView>,
    older: Option<String>,
    works: bool,
    problem: Option<String>,
    note: String,
    chosen: Vec<i64>,
}

impl ToDosPage {
    fn is_kind(&self, kind: &str) -> bool {
        self.filter.kind.as_deref() == Some(kind)
    }

    /// Whether the list has something that a bill waits for.
    fn has_held(&self) -> bool {
        self.items.iter().any(|item| holds_a_bill(&item.kind))
    }

    /// Whether the list has something that only wants to be dealt with.
    fn has_closable(&self) -> bool {
        self.items.iter().any(|item| !holds_a_bill(&item.kind))
    }

    fn is_chosen(&self, item: &ToDoView) -> bool {
        self.chosen.contains(&item.id.0)
    }
}

/// Where a question about a bill is answered, when an item is about one.
fn dispute_link(item: &ToDoView) -> Option<String> {
    item.subject_key.as_deref()?.strip_prefix("dispute:").map(|id| format!("/staff/disputes/{id}"))
}

/// What an item is about, in words.
pub(super) fn kind_words(kind: &str) -> &'static str {
    match kind {
        "read_limit" => "Doubtful read",
        "bill_limit" => "High bill",
        "read_missing" => "Missing read",
        "stuck_register" => "Register stands still",
        "low_use" => "Unusually low use",
        "vacant_use" => "Use while nobody was served",
        "refund_failed" => "Refund to look at",
        "rebill_waits" => "Cancelled and not billed anew",
        "final_credit" => "Credit after a move out",
        "unapplied_credit" => "Money that fits no account",
        "approval" => "Waits for a second person",
        "bank_return" => "Returned by the bank",
        "dispute" => "Question about a bill",
        "dunning_letter" => "Reminder to send by letter",
        "disconnection" => "Decide about a disconnection",
        "leak_relief_gone" => "Leak relief went with its bill",
        "written_off_paid" => "Payment of a debt that was written off",
        "collections_failed" => "Account that could not be looked at",
        "bank_correction" => "Corrected bank statement",
        _ => "Something to look at",
    }
}

/// A list's address with its filters.
fn list_path(filter: &ToDoFilter, more: &str) -> String {
    let part = |name: &str, value: &Option<String>| value.as_deref().map(|value| format!("{name}={}", segment(value)));
    let parts = [part("kind", &filter.kind), part("account", &filter.account), (!more.is_empty()).then(|| more.to_owned())];
    let query: Vec<String> = parts.into_iter().flatten().collect();
    if query.is_empty() { "/staff/todos".to_owned() } else { format!("/staff/todos?{}", query.join("&")) }
}

async fn load(context: &Context, viewer: &Viewer, query: &ToDoQuery) -> Result<ToDosPage, PageError> {
    let acting = viewer.acting(context);
    let (filter, after) = (query.filter(), query.from.map(ToDoId));
    let asked = filter.clone();
    let (counts, Slice { rows, next }) = act(move || {
        let rows = list_todos(&acting, &asked, after, one_more(PAGE_ROWS))?;
        Ok((count_todos(&acting)?, Slice::cut(rows, PAGE_ROWS, |item| item.id.0)))
    })
    .await?;
    let older = next.map(|next| list_path(&filter, &format!("from={next}")));
    let works = viewer.may(Permission::WorkAccounts);
    let frame = frame(context, viewer, "/staff/todos");
    Ok(ToDosPage { frame, say: Say::new(context), counts, filter, items: rows, older, works, problem: None, note: String::new(), chosen: Vec::new() })
}

/// `GET /staff/todos`.
async fn list(context: web::Data<Context>, viewer: Viewer, query: web::Query<ToDoQuery>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let mut view = load(&context, &viewer, &query).await?;
    let done = query.done.as_deref().and_then(done_in_words);
    view.frame = view.frame.noting(done);
    page(StatusCode::OK, &view)
}

/// What was just done, in words.
fn done_in_words(code: &str) -> Option<String> {
    let (what, count) = code.split_once('.')?;
    let count: i64 = count.parse().ok()?;
    let verb = match what {
        "released" => "released",
        "rejected" => "rejected",
        "closed" => "closed",
        _ => return None,
    };
    Some(match count {
        0 => "It was decided before. Nothing was changed.".to_owned(),
        count => format!("{} {verb}.", plural(count, "item")),
    })
}

/// `POST /staff/todos`: decides about the ticked items, or about the one whose button was pressed.
async fn decide(context: web::Data<Context>, query: web::Query<ToDoQuery>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let chosen: Vec<i64> = sent.iter().filter(|(name, _)| name == "item").filter_map(|(_, id)| id.parse().ok()).take(200).collect();
    let note = value(&sent, "note").to_owned();
    let (decision, what) = match value(&sent, "decision") {
        "release" => (Decision::Release, "released"),
        "reject" => (Decision::Reject, "rejected"),
        "close" => (Decision::Release, "closed"),
        _ => return Err(PageError::Refused("decision: expected release, reject or close".to_owned())),
    };
    let problem = if chosen.is_empty() {
        Some("Tick the items that you decide about.".to_owned())
    } else {
        let acting = viewer.acting(&context);
        let (ids, words): (Vec<ToDoId>, String) = (chosen.iter().copied().map(ToDoId).collect(), note.clone());
        let decided = act(move || match what {
            "rejected" => decide_some(&acting, &ids, decision, &words),
            _ => settle_for_accounts(&acting, &ids, what == "closed", &words),
        });
        match decided.await {
            Ok(count) => {
                return Ok(go_to(&list_path(&query.filter(), &format!("done={what}.{count}"))));
            }
            Err(PageError::Action(ActionError::Refused(reason))) => Some(reason),
            Err(error) => return Err(error),
        }
    };
    let mut view = load(&context, &viewer, &query).await?;
    (view.problem, view.note, view.chosen) = (problem, note, chosen);
    page(StatusCode::UNPROCESSABLE_ENTITY, &view)
}
