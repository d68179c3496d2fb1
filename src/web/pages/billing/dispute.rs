//! A customer questions a bill, and reads what was answered. A clerk may ask for them.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use askama::Template;
use serde::Deserialize;

use crate::actions::collections::disputes::{Asking, BillDisputes, DisputeView, bill_disputes, open_dispute};
use crate::actions::sign_in::{looked_at, new_token};
use crate::actions::{ActionError, Context};
use crate::domain::disputes::{Answer, REASONS};
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::pages::customers::{account_link, whose};
use crate::web::text::{Currency, Day};
use crate::web::viewer::Viewer;

/// What the form sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Sent {
    reason: String,
    about: String,
    words: String,
    key: String,
}

/// What was just done.
#[derive(Deserialize)]
pub(super) struct Done {
    done: Option<String>,
}

#[derive(Template)]
#[template(path = "billing/dispute.html")]
struct DisputePage {
    frame: Frame,
    number: String,
    account: String,
    account_link: String,
    bill_on: Day,
    due_on: Day,
    amount_due: String,
    asked: Vec<Question>,
    /// Why it cannot be questioned; none when it can.
    refusal: Option<String>,
    reasons: Vec<Choice>,
    parts: Vec<Choice>,
    words: String,
    key: String,
    problem: Option<String>,
}

/// One of a list.
struct Choice {
    value: String,
    words: String,
    chosen: bool,
}

/// A question and its answer, in words.
struct Question {
    on: Day,
    reason: String,
    about: String,
    words: String,
    answer_by: Day,
    overdue: bool,
    answer: Option<Answered>,
}

struct Answered {
    on: Day,
    outcome: &'static str,
    words: String,
    remedy: Option<String>,
}

impl Question {
    fn new(view: &DisputeView) -> Self {
        let row = &view.row;
        let answer = row.answer.as_deref().and_then(|answer| answer.parse::<Answer>().ok());
        Self {
            on: Day(row.asked_on),
            reason: view.reason_words.clone(),
            about: row.about.clone(),
            words: row.words.clone(),
            answer_by: Day(row.due_on),
            overdue: view.overdue,
            answer: answer.map(|answer| Answered {
                on: Day(row.answered_on.unwrap_or(row.asked_on)),
                outcome: answer.words(),
                words: row.answer_words.clone().unwrap_or_default(),
                remedy: row.remedy.clone(),
            }),
        }
    }
}

fn may_ask(viewer: &Viewer) -> bool {
    !viewer.is_staff() || viewer.may(Permission::WorkAccounts)
}

fn shown(context: &Context, viewer: &Viewer, bill: &BillDisputes, sent: Sent, problem: Option<String>, notice: Option<String>) -> DisputePage {
    let currency = Currency::new(&context.config.currency);
    let active = if viewer.is_staff() { "/staff" } else { "/account" };
    let refusal = bill.refusal.clone().or_else(|| (!may_ask(viewer)).then(|| "only its customer, or a clerk for them, questions it".to_owned()));
    let part = |part: &String| Choice { chosen: *part == sent.about, words: part.clone(), value: part.clone() };
    DisputePage {
        frame: Frame::new(context, Some(viewer), active).noting(notice),
        number: bill.bill_number.clone(),
        account: bill.account.clone(),
        account_link: account_link(&bill.account),
        bill_on: Day(bill.bill_on),
        due_on: Day(bill.due_on),
        amount_due: currency.balance(bill.amount_due_cents),
        asked: bill.disputes.iter().map(Question::new).collect(),
        refusal,
        reasons: REASONS.map(|(value, words)| Choice { value: value.to_owned(), words: words.to_owned(), chosen: value == sent.reason }).into(),
        parts: bill.parts.iter().map(part).collect(),
        key: if sent.key.is_empty() { new_token() } else { sent.key },
        words: sent.words,
        problem,
    }
}

/// `GET /bills/{number}/dispute`.
pub(super) async fn form(context: Data<Context>, viewer: Viewer, number: Path<String>, query: Query<Done>) -> Result<HttpResponse, PageError> {
    let whose = whose(&viewer)?;
    let (acting, number) = (viewer.acting(&context), number.into_inner());
    let bill = act(move || {
        let bill = bill_disputes(&acting, &number, whose)?;
        looked_at(&acting, &bill.account)?;
        Ok(bill)
    })
    .await?;
    let notice =
        query.done.as_ref().map(|_| "Thank you, we have your question. Until it is answered nothing is drawn and no fee is charged.".to_owned());
    page(StatusCode::OK, &shown(&context, &viewer, &bill, Sent::default(), None, notice))
}

/// `POST /bills/{number}/dispute`.
pub(super) async fn ask(context: Data<Context>, number: Path<String>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    let whose = whose(&viewer)?;
    if !may_ask(&viewer) {
        return Err(PageError::NotAllowed);
    }
    let (acting, number) = (viewer.acting(&context), number.into_inner());
    let asking = Asking {
        bill: number.clone(),
        about: sent.about.trim().to_owned(),
        reason: sent.reason.clone(),
        words: sent.words.clone(),
        form_key: sent.key.clone(),
    };
    let (at, asked) = (acting.clone(), number.clone());
    let bill = act(move || bill_disputes(&at, &asked, whose)).await?;
    match act(move || open_dispute(&acting, &asking, whose)).await {
        Ok(_) => Ok(go_to(&format!("/bills/{}/dispute?done=asked", bill.bill_number))),
        Err(PageError::Action(ActionError::Refused(message))) => {
            let problem = message.split_once(": ").map_or(message.as_str(), |(_, rest)| rest).to_owned();
            page(StatusCode::UNPROCESSABLE_ENTITY, &shown(&context, &viewer, &bill, sent, Some(problem), None))
        }
        Err(error) => Err(error),
    }
}
