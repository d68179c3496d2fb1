//! Paying without signing in: first the account and its postcode, then the amount.

use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::{must_be_set_up, parse_amount, sentence, standing_path};
use crate::actions::checkout::{GuestAccount, begin_as_guest, find_as_guest};
use crate::actions::sign_in::{Attempt, Client, new_token};
use crate::actions::{ActionError, Context};
use crate::web::error::PageError;
use crate::web::form::{PublicForm, public_token};
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::pages::sign_in::{Problem, client_of};
use crate::web::text::Currency;
use crate::web::viewer::MaybeViewer;

/// A guess takes at least so long, so that its time does not tell which part of it was right.
const ANSWER_AFTER: Duration = Duration::from_millis(150);
/// What is said of a wrong pair.
const WRONG: &str = "We do not find an account with this number and this postcode. Please check both: they are on your bill.";

/// The fields of the first form.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Pair {
    #[serde(default)]
    number: String,
    #[serde(default)]
    postcode: String,
}

/// The fields of the second form: the pair again, and how much.
#[derive(Debug, Deserialize)]
pub(super) struct Sent {
    #[serde(default)]
    number: String,
    #[serde(default)]
    postcode: String,
    #[serde(default)]
    amount: String,
    #[serde(default)]
    key: String,
}

#[derive(Template)]
#[template(path = "payments/guest.html")]
struct GuestPage<'a> {
    frame: Frame,
    csrf: String,
    number: &'a str,
    postcode: &'a str,
    problem: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "payments/guest_amount.html")]
struct AmountPage<'a> {
    frame: Frame,
    csrf: String,
    key: String,
    number: &'a str,
    postcode: &'a str,
    sign: String,
    due: String,
    owed: bool,
    on_its_way: Option<String>,
    amount: String,
    error: Option<String>,
}

/// The first form, with what is wrong.
fn pair_form(
    request: &HttpRequest,
    context: &Context,
    viewer: &MaybeViewer,
    pair: &Pair,
    problem: Option<&Problem>,
) -> Result<HttpResponse, PageError> {
    let (csrf, cookie) = public_token(request, context);
    let frame = Frame::new(context, viewer.0.as_ref(), "/pay");
    let status = problem.map_or(StatusCode::OK, |problem| problem.status);
    let text = problem.map(|problem| problem.text.as_str());
    let mut response = page(status, &GuestPage { frame, csrf, number: pair.number.trim(), postcode: pair.postcode.trim(), problem: text })?;
    if let Some(cookie) = cookie {
        response.add_cookie(&cookie).map_err(PageError::internal)?;
    }
    Ok(match problem {
        Some(problem) => problem.answer(response),
        None => response,
    })
}

/// `GET /pay/guest`.
pub(super) async fn ask(request: HttpRequest, context: web::Data<Context>, viewer: MaybeViewer) -> Result<HttpResponse, PageError> {
    must_be_set_up(&context)?;
    pair_form(&request, &context, &viewer, &Pair::default(), None)
}

/// The account of a pair, or the first form again.
async fn account_of(
    request: &HttpRequest,
    context: &web::Data<Context>,
    viewer: &MaybeViewer,
    pair: &Pair,
) -> Result<Result<GuestAccount, HttpResponse>, PageError> {
    let started = Instant::now();
    let client = client_of(request, context);
    let (inner, number, postcode) = (context.clone(), pair.number.clone(), pair.postcode.clone());
    let outcome = act(move || find_as_guest(&inner, &number, &postcode, &client)).await;
    if let Some(rest) = ANSWER_AFTER.checked_sub(started.elapsed()) {
        actix_web::rt::time::sleep(rest).await;
    }
    let problem = match outcome? {
        Attempt::Accepted(account) => return Ok(Ok(account)),
        Attempt::Wrong => Problem::wrong(WRONG),
        Attempt::Blocked { until } => Problem::blocked(context.now(), until),
    };
    pair_form(request, context, viewer, pair, Some(&problem)).map(Err)
}

/// `POST /pay/guest`: the account is found, and the page asks how much.
pub(super) async fn find(
    request: HttpRequest,
    context: web::Data<Context>,
    viewer: MaybeViewer,
    sent: PublicForm<Pair>,
) -> Result<HttpResponse, PageError> {
    must_be_set_up(&context)?;
    match account_of(&request, &context, &viewer, &sent.0).await? {
        Ok(account) => {
            let amount = if account.due.is_positive() { account.due.to_string() } else { String::new() };
            amount_form(&request, &context, &viewer, &account, &sent.0.postcode, (new_token(), amount, None))
        }
        Err(response) => Ok(response),
    }
}

/// The second form; `filled` is its key, what is in its field, and what is wrong with that.
fn amount_form(
    request: &HttpRequest,
    context: &Context,
    viewer: &MaybeViewer,
    account: &GuestAccount,
    postcode: &str,
    filled: (String, String, Option<String>),
) -> Result<HttpResponse, PageError> {
    let (csrf, cookie) = public_token(request, context);
    let currency = Currency::new(&context.config.currency);
    let (key, amount, error) = filled;
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let view = AmountPage {
        frame: Frame::new(context, viewer.0.as_ref(), "/pay"),
        csrf,
        key,
        number: &account.number,
        postcode,
        sign: currency.sign().to_owned(),
        due: currency.money(account.due.cents()),
        owed: account.due.is_positive(),
        on_its_way: account.on_its_way.is_positive().then(|| currency.money(account.on_its_way.cents())),
        amount,
        error,
    };
    let mut response = page(status, &view)?;
    if let Some(cookie) = cookie {
        response.add_cookie(&cookie).map_err(PageError::internal)?;
    }
    Ok(response)
}

/// `POST /pay/guest/amount`: the pair is checked again, and the payment begins.
pub(super) async fn begin(
    request: HttpRequest,
    context: web::Data<Context>,
    viewer: MaybeViewer,
    sent: PublicForm<Sent>,
) -> Result<HttpResponse, PageError> {
    must_be_set_up(&context)?;
    let Sent { number, postcode, amount: typed, key } = sent.0;
    let pair = Pair { number, postcode };
    let currency = Currency::new(&context.config.currency);
    let fault = match parse_amount(&typed, &currency) {
        Err(fault) => fault,
        Ok(amount) => {
            let client = client_of(&request, &context);
            let started = (context.clone(), key.clone(), pair.number.clone(), pair.postcode.clone());
            let outcome = act(move || started_by(&started, amount, &client)).await;
            let problem = match outcome {
                Ok(Attempt::Accepted(token)) => return Ok(go_to(&format!("{}/provider", standing_path(&token)))),
                Ok(Attempt::Wrong) => Problem::wrong(WRONG),
                Ok(Attempt::Blocked { until }) => Problem::blocked(context.now(), until),
                Err(PageError::Action(ActionError::Refused(text))) => {
                    let text = text.strip_prefix(&format!("{}: ", pair.number.trim())).unwrap_or(&text);
                    return refused(&request, &context, &viewer, &pair, (key, typed, sentence(text, &currency))).await;
                }
                Err(error) => return Err(error),
            };
            return pair_form(&request, &context, &viewer, &pair, Some(&problem));
        }
    };
    refused(&request, &context, &viewer, &pair, (key, typed, fault)).await
}

fn started_by(
    (context, key, number, postcode): &(web::Data<Context>, String, String, String),
    amount: crate::domain::money::Money,
    client: &Client,
) -> Result<Attempt<String>, ActionError> {
    begin_as_guest(context, key, (number, postcode), amount, client)
}

/// The second form again, with what is wrong with the amount.
async fn refused(
    request: &HttpRequest,
    context: &web::Data<Context>,
    viewer: &MaybeViewer,
    pair: &Pair,
    (key, typed, fault): (String, String, String),
) -> Result<HttpResponse, PageError> {
    match account_of(request, context, viewer, pair).await? {
        Ok(account) => amount_form(request, context, viewer, &account, &pair.postcode, (key, typed, Some(fault))),
        Err(response) => Ok(response),
    }
}
