//! Notices: what was sent, to whom, when, and what came of it; one of them as its text.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::{PAGE_ROWS, Say, frame, said, segment};
use crate::actions::notice_view::{letter, show_notice};
use crate::actions::notices::{NoticeFilter, NoticeView, list as list_notices};
use crate::actions::staff_account::{Slice, one_more};
use crate::actions::{ActionError, Context};
use crate::domain::ids::NoticeId;
use crate::domain::notices::{NoticeKind, NoticeStatus};
use crate::domain::roles::Permission;
use crate::mail::message::{Words, words as words_of};
use crate::web::error::PageError;
use crate::web::frame::{Frame, act, page};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/notices", list);
    routes.get("/staff/notices/{id}", show);
}

#[derive(Debug, Clone, Default, Deserialize)]
struct NoticeQuery {
    account: Option<String>,
    recipient: Option<String>,
    status: Option<String>,
    kind: Option<String>,
    from: Option<i64>,
}

#[derive(Template)]
#[template(path = "staff/notices.html")]
struct NoticesPage {
    frame: Frame,
    say: Say,
    asked: NoticeFilter,
    problem: Option<String>,
    notices: Vec<NoticeView>,
    older: Option<String>,
}

/// `GET /staff/notices`.
async fn list(context: web::Data<Context>, viewer: Viewer, query: web::Query<NoticeQuery>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let query = query.into_inner();
    let refused = |error: String| PageError::Action(ActionError::Refused(error));
    let filter = NoticeFilter {
        account: said(query.account.as_ref()),
        recipient: said(query.recipient.as_ref()),
        status: said(query.status.as_ref()).map(|text| text.parse()).transpose().map_err(refused)?,
        kind: said(query.kind.as_ref()).map(|text| text.parse()).transpose().map_err(refused)?,
    };
    let acting = viewer.acting(&context);
    let (asked, after) = (filter.clone(), query.from.map(NoticeId));
    let found = act(move || list_notices(&acting, &asked, after, one_more(PAGE_ROWS))).await;
    let (rows, problem) = match found {
        Ok(rows) => (rows, None),
        Err(PageError::Action(error @ ActionError::NotFound { .. })) => (Vec::new(), Some(error.to_string())),
        Err(error) => return Err(error),
    };
    let Slice { rows: notices, next } = Slice::cut(rows, PAGE_ROWS, |notice| notice.id.0);
    let older = next.map(|next| older(&filter, next));
    let frame = frame(&context, &viewer, "/staff/notices");
    page(StatusCode::OK, &NoticesPage { frame, say: Say::new(&context), asked: filter, problem, notices, older })
}

fn older(filter: &NoticeFilter, next: i64) -> String {
    let part = |name: &str, value: Option<&str>| value.map(|value| format!("&{name}={}", segment(value))).unwrap_or_default();
    format!(
        "/staff/notices?from={next}{}{}{}{}",
        part("account", filter.account.as_deref()),
        part("recipient", filter.recipient.as_deref()),
        part("status", filter.status.map(NoticeStatus::as_str)),
        part("kind", filter.kind.map(NoticeKind::as_str))
    )
}

#[derive(Template)]
#[template(path = "staff/notice.html")]
struct NoticePage {
    frame: Frame,
    say: Say,
    notice: NoticeView,
    letter: Words,
}

/// `GET /staff/notices/{id}`: its text, without what is secret in it.
async fn show(context: web::Data<Context>, viewer: Viewer, id: web::Path<i64>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let acting = viewer.acting(&context);
    let (notice, row) = act(move || {
        let notice = show_notice(&acting, NoticeId(*id))?;
        let row = letter(&acting, NoticeId(*id))?;
        Ok((notice, row))
    })
    .await?;
    let letter = words_of(&context.config, &row).map_err(PageError::internal)?;
    page(StatusCode::OK, &NoticePage { frame: frame(&context, &viewer, "/staff/notices"), say: Say::new(&context), notice, letter })
}
