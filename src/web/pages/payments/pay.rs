//! Paying one's own accounts: which of them, and how much for each.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Query};
use askama::Template;
use serde::Deserialize;

use super::{must_be_set_up, parse_amount, sentence, standing_path};
use crate::actions::checkout::{MOST_ACCOUNTS, PayableAccount, Payer, Wish, begin as begin_payment, payable_accounts};
use crate::actions::sign_in::{Attempt, new_token};
use crate::actions::{ActionError, Context};
use crate::domain::ids::PersonId;
use crate::domain::money::Money;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::pages::sign_in::Problem;
use crate::web::text::Currency;
use crate::web::viewer::Viewer;

/// The account that somebody comes from.
#[derive(Deserialize)]
pub(super) struct Asked {
    account: Option<String>,
}

/// The form as it was sent: `account-1`, `pay-1`, `amount-1` and so on for each account, and the form's key.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Sent(Vec<(String, String)>);

impl Sent {
    fn one(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// Each account that was on the form: its number, whether it was chosen, and what was typed beside it.
    fn rows(&self) -> Vec<SentRow> {
        let row = |at: usize| SentRow {
            number: self.one(&format!("account-{at}")).to_owned(),
            chosen: !self.one(&format!("pay-{at}")).is_empty(),
            amount: self.one(&format!("amount-{at}")).to_owned(),
        };
        (1..=MOST_ACCOUNTS).map(row).filter(|row| !row.number.is_empty()).collect()
    }
}

struct SentRow {
    number: String,
    chosen: bool,
    amount: String,
}

#[derive(Template)]
#[template(path = "payments/pay.html")]
struct PayPage {
    frame: Frame,
    key: String,
    sign: String,
    choices: Vec<Choice>,
    problem: Option<String>,
}

impl PayPage {
    fn any_wrong(&self) -> bool {
        self.choices.iter().any(|choice| choice.error.is_some())
    }
}

/// An account on the form.
struct Choice {
    number: String,
    address: Option<String>,
    balance: String,
    /// Whether something is owed.
    owed: bool,
    on_its_way: Option<String>,
    chosen: bool,
    amount: String,
    error: Option<String>,
}

impl Choice {
    fn new(account: &PayableAccount, currency: &Currency, chosen: bool) -> Self {
        let (due, on_its_way) = (account.due(), account.on_its_way());
        Self {
            number: account.head.number.clone(),
            address: account.head.address.clone(),
            balance: currency.balance(account.head.balance_cents),
            owed: account.head.balance_cents > 0,
            on_its_way: on_its_way.is_positive().then(|| currency.money(on_its_way.cents())),
            chosen,
            amount: if due.is_positive() { due.to_string() } else { String::new() },
            error: None,
        }
    }
}

/// The person whose accounts are paid; staff has none.
fn payer(viewer: &Viewer) -> Option<PersonId> {
    viewer.person_id.filter(|_| !viewer.is_staff())
}

/// `GET /pay`.
pub(super) async fn choose(context: Data<Context>, viewer: Viewer, asked: Query<Asked>) -> Result<HttpResponse, PageError> {
    must_be_set_up(&context)?;
    let Some(person) = payer(&viewer) else { return Ok(go_to("/staff")) };
    let acting = viewer.acting(&context);
    let wanted: Vec<String> = asked.into_inner().account.into_iter().collect();
    let (accounts, wanted) = act(move || Ok((payable_accounts(&acting, person, &wanted)?, wanted))).await?;
    let currency = Currency::new(&context.config.currency);
    let only = accounts.len() == 1;
    let chosen =
        |account: &PayableAccount| only || if wanted.is_empty() { account.due().is_positive() } else { wanted.contains(&account.head.number) };
    let choices = accounts.iter().map(|account| Choice::new(account, &currency, chosen(account))).collect();
    page(StatusCode::OK, &pay_page(&context, &viewer, new_token(), choices, None))
}

fn pay_page(context: &Context, viewer: &Viewer, key: String, choices: Vec<Choice>, problem: Option<String>) -> PayPage {
    let sign = Currency::new(&context.config.currency).sign().to_owned();
    PayPage { frame: Frame::new(context, Some(viewer), "/pay"), key, sign, choices, problem }
}

/// `POST /pay`.
pub(super) async fn begin(context: Data<Context>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form } = sent;
    must_be_set_up(&context)?;
    let person = payer(&viewer).ok_or(PageError::NotAllowed)?;
    let currency = Currency::new(&context.config.currency);
    let rows = form.rows();
    let mut faults = BTreeMap::new();
    let mut parts: Vec<(String, Money)> = Vec::new();
    for row in rows.iter().filter(|row| row.chosen) {
        match parse_amount(&row.amount, &currency) {
            Ok(amount) => parts.push((row.number.clone(), amount)),
            Err(fault) => drop(faults.insert(row.number.clone(), fault)),
        }
    }
    let mut problem = None;
    if parts.is_empty() && faults.is_empty() {
        problem = Some(Problem::wrong("Please choose at least one account."));
    }
    if problem.is_none() && faults.is_empty() {
        let wish = Wish { form_key: form.one("key").to_owned(), parts, payer: Payer::Person { login: viewer.login_id, person } };
        let acting = viewer.acting(&context);
        match act(move || begin_payment(&acting, &wish)).await {
            Ok(Attempt::Accepted(token)) => return Ok(go_to(&format!("{}/provider", standing_path(&token)))),
            Ok(Attempt::Blocked { until }) => problem = Some(Problem::blocked(context.now(), until)),
            Ok(Attempt::Wrong) => return Err(PageError::NotFound),
            Err(PageError::Action(ActionError::Refused(text))) => match rows.iter().find_map(|row| about(&text, &row.number)) {
                Some((number, fault)) => drop(faults.insert(number, sentence(fault, &currency))),
                None => problem = Some(Problem::wrong(&sentence(&text, &currency))),
            },
            Err(error) => return Err(error),
        }
    }
    again(&context, &viewer, person, &form, faults, problem).await
}

/// A refusal that begins with an account's number is about that account.
fn about<'a>(refusal: &'a str, number: &str) -> Option<(String, &'a str)> {
    refusal.strip_prefix(number)?.strip_prefix(": ").map(|fault| (number.to_owned(), fault))
}

/// The form again, as it was filled in, with what is wrong.
async fn again(
    context: &Data<Context>,
    viewer: &Viewer,
    person: PersonId,
    form: &Sent,
    faults: BTreeMap<String, String>,
    problem: Option<Problem>,
) -> Result<HttpResponse, PageError> {
    let (acting, rows) = (viewer.acting(context), form.rows());
    let numbers: Vec<String> = rows.iter().map(|row| row.number.clone()).collect();
    let accounts = act(move || payable_accounts(&acting, person, &numbers)).await?;
    let currency = Currency::new(&context.config.currency);
    let mut choices: Vec<Choice> = accounts.iter().map(|account| Choice::new(account, &currency, false)).collect();
    for choice in &mut choices {
        choice.error = faults.get(&choice.number).cloned();
        if let Some(row) = rows.iter().find(|row| row.number == choice.number) {
            choice.chosen = row.chosen;
            choice.amount.clone_from(&row.amount);
        }
    }
    let text = problem.as_ref().map(|problem| problem.text.clone());
    let status = problem.as_ref().map_or(StatusCode::UNPROCESSABLE_ENTITY, |problem| problem.status);
    let answer = page(status, &pay_page(context, viewer, form.one("key").to_owned(), choices, text))?;
    Ok(match problem {
        Some(problem) => problem.answer(answer),
        None => answer,
    })
}
