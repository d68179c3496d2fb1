//! Collections of one account, as the desk sees them: what is open since when, fees, reminders, plans, deposits, reliefs, questions.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::accounts::{Top, look};
use super::{ListQuery, Say, frame};
use crate::actions::Context;
use crate::actions::account_view::Whose;
use crate::actions::collections::deposits::DepositView;
use crate::actions::collections::view::{CollectionsView, FeeView, collections_view};
use crate::db::collections::dunning::StepRow;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::frame::{Frame, act, page};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/accounts/{number}/collections", show);
}

#[derive(Template)]
#[template(path = "staff/collections/account.html")]
struct CollectionsPage {
    frame: Frame,
    say: Say,
    top: Top,
    view: CollectionsView,
}

#[allow(clippy::unused_self, reason = "templates call methods")]
impl CollectionsPage {
    fn fee_state(&self, fee: &FeeView) -> (&'static str, &'static str) {
        match fee.row.undone.as_deref() {
            Some("waived") => ("good", "waived"),
            Some(_) => ("good", "taken back"),
            None => ("warn", "stands"),
        }
    }

    fn sent(&self, step: &StepRow) -> String {
        match step.sent_at() {
            Some(at) => format!("sent {}", self.say.at(&at)),
            None if step.letters > 0 => "waits for a letter".to_owned(),
            None => "not sent yet".to_owned(),
        }
    }

    fn deposit_state(&self, deposit: &DepositView) -> (&'static str, &'static str) {
        match (deposit.row.applied_seq, deposit.is_paid) {
            (Some(_), _) if deposit.row.applied_because.as_ref().is_some_and(|why| why.starts_with("withdrawn: ")) => ("", "withdrawn"),
            (Some(_), _) => ("good", "applied"),
            (None, true) => ("", "held"),
            (None, false) => ("bad", "its payment went back"),
        }
    }

    /// Whether anything of the account can be divided into instalments.
    fn may_agree(&self) -> bool {
        self.top.works && self.view.balance_cents > 0 && self.view.plan().is_none()
    }
}

/// `GET /staff/accounts/{number}/collections`.
async fn show(
    context: web::Data<Context>,
    viewer: Viewer,
    number: web::Path<String>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let acting = viewer.acting(&context);
    let (head, view) = act(move || {
        let head = look(&acting, &number)?;
        let view = collections_view(&acting, &head.number, Whose::Anybody)?;
        Ok((head, view))
    })
    .await?;
    let notice = query.into_inner().done.and_then(|done| done_in_words(&done));
    let top = Top::new(&viewer, head, "collections");
    page(StatusCode::OK, &CollectionsPage { frame: frame(&context, &viewer, "/staff").noting(notice), say: Say::new(&context), top, view })
}

/// What was just done, in words.
fn done_in_words(code: &str) -> Option<String> {
    let words = match code {
        "waived" => "The fee is waived; the customer is told.",
        "agreed" => "The pay plan is agreed; the customer is told.",
        "cancelled" => "The pay plan is cancelled; the customer is told.",
        "taken" => "The deposit is taken and held apart.",
        "applied" => "The deposit is applied with its interest; the customer is told.",
        "refunded" => "The deposit is applied, and what it left to the customer's good is paid out.",
        "withdrawn" => "The deposit is withdrawn; the customer is told.",
        "relieved" => "The relief is credited; the customer is told.",
        "written-off" => "The debt is written off.",
        "undone" => "It is taken back.",
        "waits" => "It waits for a second person. When they have agreed, send the same form again.",
        "known" => "It was done before. Nothing was done twice.",
        _ => return None,
    };
    Some(words.to_owned())
}
