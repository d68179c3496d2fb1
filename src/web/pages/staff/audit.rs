//! The audit trail: who looked at what, and who changed it.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::forms::parse_day;
use super::{PAGE_ROWS, Say, frame, said, segment};
use crate::actions::Context;
use crate::actions::audit_trail::{Question, audit_trail};
use crate::actions::staff_account::Slice;
use crate::db::operations::AuditRow;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::frame::{Frame, act, page};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/audit", trail);
}

#[derive(Debug, Clone, Default, Deserialize)]
struct AuditQuery {
    actor: Option<String>,
    action: Option<String>,
    subject: Option<String>,
    from_day: Option<String>,
    to_day: Option<String>,
    from: Option<i64>,
}

/// Areas of actions, to choose from.
pub(super) const AREAS: [(&str, &str); 10] = [
    ("account.", "Accounts: looks, reads, decisions"),
    ("payment.", "Payments"),
    ("adjustment.", "Adjustments"),
    ("read.", "Reads"),
    ("held.", "Decisions"),
    ("run.", "Bill runs"),
    ("sign_in.", "Sign-ins"),
    ("login.", "Staff's sign-ins"),
    ("notices.", "Notices"),
    ("tariff.", "Tariffs"),
];

#[derive(Template)]
#[template(path = "staff/audit.html")]
struct AuditPage {
    frame: Frame,
    say: Say,
    asked: Question,
    problem: Option<String>,
    events: Vec<AuditRow>,
    older: Option<String>,
}

impl AuditPage {
    fn is_area(&self, area: &str) -> bool {
        self.asked.action.as_deref() == Some(area)
    }
}

/// `GET /staff/audit`.
async fn trail(context: web::Data<Context>, viewer: Viewer, query: web::Query<AuditQuery>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::ReadAudit)?;
    let query = query.into_inner();
    let mut problem = None;
    let mut day = |text: Option<String>| match said(text.as_ref()).map(|text| parse_day(&text)).transpose() {
        Ok(day) => day,
        Err(error) => {
            problem = Some(error);
            None
        }
    };
    let (from, to) = (day(query.from_day), day(query.to_day));
    let asked = Question {
        actor: said(query.actor.as_ref()),
        action: said(query.action.as_ref()),
        subject: said(query.subject.as_ref()),
        from,
        to,
        before: query.from,
    };
    let acting = viewer.acting(&context);
    let question = asked.clone();
    let Slice { rows: events, next } = act(move || audit_trail(&acting, &question, PAGE_ROWS)).await?;
    let older = next.map(|next| older(&asked, next));
    let frame = frame(&context, &viewer, "/staff/audit");
    page(StatusCode::OK, &AuditPage { frame, say: Say::new(&context), asked, problem, events, older })
}

fn older(asked: &Question, next: i64) -> String {
    let part = |name: &str, value: Option<String>| value.map(|value| format!("&{name}={}", segment(&value))).unwrap_or_default();
    format!(
        "/staff/audit?from={next}{}{}{}{}{}",
        part("actor", asked.actor.clone()),
        part("action", asked.action.clone()),
        part("subject", asked.subject.clone()),
        part("from_day", asked.from.map(|day| day.to_string())),
        part("to_day", asked.to.map(|day| day.to_string()))
    )
}
