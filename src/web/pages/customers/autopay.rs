//! Autopay, for the customer: what will be drawn, when, from what and up to what; setting it up, pausing, changing, ending it.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use askama::Template;
use serde::Deserialize;

use super::{AccountHeading, account_link, frame, look, whose};
use crate::actions::account_view::Whose;
use crate::actions::autopay::enrol::{Enrolment, Progress, begin, progress};
use crate::actions::autopay::manage::{Change, change_own};
use crate::actions::autopay::view::{AutopayView, DrawView, autopay_view, draw_words};
use crate::actions::sign_in::new_token;
use crate::actions::{ActionError, Context};
use crate::clock::local_date;
use crate::domain::autopay::MandateState;
use crate::domain::money::Money;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::pages::payments::parse_amount;
use crate::web::text::{self, Currency, Day};
use crate::web::viewer::Viewer;

/// Which attempt, and what was just done.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    attempt: Option<String>,
    done: Option<String>,
}

/// The form that sets autopay up.
#[derive(Debug, Default, Deserialize)]
pub(super) struct SetUp {
    #[serde(default)]
    form_key: String,
    #[serde(default)]
    limit: String,
}

/// The forms that change it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    what: String,
    #[serde(default)]
    limit: String,
}

#[derive(Template)]
#[template(path = "customers/autopay.html")]
struct AutopayPage {
    frame: Frame,
    heading: AccountHeading,
    tab: &'static str,
    mandate: Option<MandateLine>,
    draws: Vec<DrawLine>,
    offered: bool,
    /// Where an attempt goes on; an empty text when the provider could not be reached.
    going_on: Option<String>,
    attempt: String,
    due_now: Option<String>,
    notice_days: String,
    days_before_due: u32,
    form_key: String,
    limit: String,
    limit_error: Option<String>,
}

struct MandateLine {
    active: bool,
    method: String,
    limit: Option<String>,
    since: Day,
    because: Option<String>,
}

/// A draw in words.
pub(in crate::web) struct DrawLine {
    pub(in crate::web) bill: String,
    pub(in crate::web) amount: String,
    pub(in crate::web) on: Day,
    pub(in crate::web) badge: &'static str,
    pub(in crate::web) words: &'static str,
    pub(in crate::web) note: Option<String>,
}

impl DrawLine {
    pub(in crate::web) fn new(draw: &DrawView, currency: &Currency) -> Self {
        let (badge, words, note) = draw_words(draw);
        Self {
            bill: draw.bill_number.clone(),
            amount: currency.money(draw.drawn_cents.unwrap_or(draw.amount_cents)),
            on: Day(draw.draw_on),
            badge,
            words,
            note,
        }
    }
}

fn done_words(done: &str) -> Option<&'static str> {
    match done {
        "pause" => Some("Autopay is paused. Nothing is drawn until you take it up again."),
        "resume" => Some("Autopay goes on. Bills that come from now on are drawn."),
        "end" => Some("Autopay has ended. Please pay your bills yourself from now on."),
        "limit" => Some("The limit is changed."),
        _ => None,
    }
}

/// `GET /account/{number}/autopay`; with an attempt, after asking the provider how far it got.
pub(super) async fn show(context: Data<Context>, viewer: Viewer, number: Path<String>, query: Query<Asked>) -> Result<HttpResponse, PageError> {
    let Asked { attempt, done } = query.into_inner();
    let token = attempt.clone().filter(|_| !viewer.is_staff());
    let (view, found) = look(&context, &viewer, number.into_inner(), move |context, number, whose| {
        let found = token.map(|token| progress(context, &token, whose)).transpose()?;
        Ok((autopay_view(context, number, whose)?, found))
    })
    .await?;
    let mut shown = autopay_page(&context, &viewer, &view);
    let mut notice = done.as_deref().and_then(done_words).map(str::to_owned);
    match found {
        Some(Progress::Open(url)) => shown.going_on = Some(url.unwrap_or_default()),
        Some(Progress::NotOpened) => shown.going_on = Some(String::new()),
        Some(Progress::Done) => notice = Some("Autopay is set up. We tell you before each draw how much and when.".to_owned()),
        Some(Progress::Over) => notice = Some("Setting autopay up was not finished. Nothing is drawn. You can begin again.".to_owned()),
        None => {}
    }
    shown.attempt = attempt.unwrap_or_default();
    shown.frame = shown.frame.noting(notice);
    page(StatusCode::OK, &shown)
}

fn autopay_page(context: &Context, viewer: &Viewer, view: &AutopayView) -> AutopayPage {
    let currency = Currency::new(&context.config.currency);
    let settings = &context.config.autopay;
    let mandate = view.mandate.as_ref().map(|mandate| MandateLine {
        active: mandate.state == MandateState::Active,
        method: mandate.method.clone().unwrap_or_default(),
        limit: mandate.limit_cents.map(|cents| currency.money(cents)),
        since: Day(local_date(mandate.since, context.config.time_zone)),
        because: mandate.because.clone(),
    });
    let announced = view.draws.iter().any(|draw| draw.state.is_open());
    AutopayPage {
        frame: frame(context, viewer),
        heading: AccountHeading::new(&view.head, viewer),
        tab: "autopay",
        mandate,
        draws: view.draws.iter().map(|draw| DrawLine::new(draw, &currency)).collect(),
        offered: view.offered,
        going_on: None,
        attempt: String::new(),
        due_now: (view.head.balance_cents > 0 && !announced).then(|| currency.money(view.head.balance_cents)),
        notice_days: text::plural(i64::from(settings.notice_days), "day"),
        days_before_due: settings.days_before_due,
        form_key: new_token(),
        limit: view.mandate.as_ref().and_then(|mandate| mandate.limit_cents).map(|cents| Money::from_cents(cents).to_string()).unwrap_or_default(),
        limit_error: None,
    }
}

/// A limit as it was typed: nothing is any amount.
fn parse_limit(context: &Context, text: &str) -> Result<Option<Money>, String> {
    if text.trim().is_empty() { Ok(None) } else { parse_amount(text, &Currency::new(&context.config.currency)).map(Some) }
}

/// Only customers give and change mandates here; staff has a page of its own, with a note.
fn customers_own(viewer: &Viewer) -> Result<Whose, PageError> {
    if viewer.is_staff() { Err(PageError::NotAllowed) } else { whose(viewer) }
}

/// The page again, with what is wrong with the limit.
async fn refuse(context: &Data<Context>, viewer: &Viewer, number: String, limit: String, fault: String) -> Result<HttpResponse, PageError> {
    let view = look(context, viewer, number, autopay_view).await?;
    let mut shown = autopay_page(context, viewer, &view);
    shown.limit = limit;
    shown.limit_error = Some(fault.strip_prefix("limit: ").unwrap_or(&fault).to_owned());
    page(StatusCode::UNPROCESSABLE_ENTITY, &shown)
}

/// `POST /account/{number}/autopay`: begins, and leads on to the provider.
pub(super) async fn set_up(context: Data<Context>, sent: CheckedForm<SetUp>, number: Path<String>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form } = sent;
    let (whose, number) = (customers_own(&viewer)?, number.into_inner());
    // Whether it is theirs is asked first, so that another's account is as absent as one that is not there.
    look(&context, &viewer, number.clone(), autopay_view).await?;
    let limit = match parse_limit(&context, &form.limit) {
        Ok(limit) => limit,
        Err(fault) => return refuse(&context, &viewer, number, form.limit, fault).await,
    };
    let wish = Enrolment { account: number.clone(), whose, login: Some(viewer.login_id), limit, form_key: form.form_key };
    let acting = viewer.acting(&context);
    match act(move || begin(&acting, &wish)).await {
        Ok(token) => Ok(go_to(&format!("{}/autopay?attempt={token}", account_link(&number)))),
        Err(PageError::Action(ActionError::Refused(fault))) => refuse(&context, &viewer, number, form.limit, fault).await,
        Err(error) => Err(error),
    }
}

/// `POST /account/{number}/autopay/change`.
pub(super) async fn change(context: Data<Context>, sent: CheckedForm<Wanted>, number: Path<String>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form } = sent;
    let (whose, number) = (customers_own(&viewer)?, number.into_inner());
    look(&context, &viewer, number.clone(), autopay_view).await?;
    let wanted = match form.what.as_str() {
        "pause" => Ok(Change::Pause),
        "resume" => Ok(Change::Resume),
        "end" => Ok(Change::End),
        "limit" => parse_limit(&context, &form.limit).map(Change::Limit),
        _ => Err("choose what is to change".to_owned()),
    };
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(fault) => return refuse(&context, &viewer, number, form.limit, fault).await,
    };
    let (acting, named) = (viewer.acting(&context), number.clone());
    match act(move || change_own(&acting, &named, whose, wanted)).await {
        Ok(()) => Ok(go_to(&format!("{}/autopay?done={}", account_link(&number), form.what))),
        Err(PageError::Action(ActionError::Refused(fault))) => refuse(&context, &viewer, number, form.limit, fault).await,
        Err(error) => Err(error),
    }
}
