//! One payment online: the way to the provider's page, and what is known when the customer comes back. The address holds the
//! attempt's token: whoever has it sees the amount and how the account's number ends, its owner sees more.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::standing_path;
use crate::actions::Context;
use crate::actions::checkout::{PartStanding, Shown, Stage, Standing, retry, standing};
use crate::domain::money::Money;
use crate::web::error::PageError;
use crate::web::form::{PublicForm, public_token};
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::pages::customers::account_link;
use crate::web::text::{Currency, Day, Unbroken};
use crate::web::viewer::{MaybeViewer, Viewer};

/// A page that waits looks again by itself so often: first soon, then slowly, and then not any more.
const QUICK_LOOKS: u32 = 10;
const MOST_LOOKS: u32 = 30;
const QUICK_SECONDS: u32 = 2;
const SLOW_SECONDS: u32 = 6;
/// A page of money that takes days looks again so often only: it is for the moment in which it turns out otherwise.
const LOOKS_AT_DAYS: u32 = 5;
/// Before so many looks nobody is asked whether they did not finish: the word of it may just be on its way.
const LOOKS_BEFORE_DOUBT: u32 = 5;

/// How somebody comes to the page, and how often it looked again.
#[derive(Debug, Default, Deserialize)]
pub(super) struct How {
    /// `done` and `unpaid` are the ways back from the provider.
    back: Option<String>,
    wait: Option<String>,
}

impl How {
    /// How often the page looked again by itself; it stands still for whoever changes the address by hand.
    fn looks(&self) -> u32 {
        self.wait.as_deref().map_or(0, |wait| wait.parse().unwrap_or(u32::MAX))
    }

    /// Whether the provider sent them back as having paid. What it refused before that does not matter any more.
    fn is_done(&self) -> bool {
        self.back.as_deref() == Some("done") || self.wait.is_some()
    }
}

/// A form with nothing but its hidden token.
#[derive(Debug, Deserialize)]
pub(super) struct Nothing {}

#[derive(Template)]
#[template(path = "payments/standing.html")]
struct StandingPage {
    frame: Frame,
    currency: Currency,
    csrf: String,
    path: String,
    title: &'static str,
    amount: String,
    parts: Vec<PartLine>,
    stage: Stage,
    /// Whether all accounts are of whoever looks.
    own: bool,
    /// Whether somebody came back without having paid.
    unpaid: bool,
    /// Whether somebody came back having paid, by the provider's word.
    done: bool,
    looks: Looks,
    /// What did not go back, once some of it did.
    kept: String,
    /// Where one begins anew.
    anew: String,
}

/// What the payment is for.
struct PartLine {
    account: Unbroken,
    link: Option<String>,
    amount: String,
    balance: Option<String>,
}

impl PartLine {
    fn new(part: &PartStanding, currency: &Currency) -> Self {
        let (account, link, balance) = match &part.account {
            Shown::Own { number, balance } => (number.clone(), Some(account_link(number)), Some(currency.balance(balance.cents()))),
            Shown::Masked { ending } => (format!("ending in {ending}"), None, None),
        };
        Self { account: Unbroken(account), link, balance, amount: currency.money(part.amount.cents()) }
    }
}

/// Whether the page looks again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    /// There is nothing to wait for, or whoever looks does not want it.
    Not,
    /// It does.
    Again {
        /// After so many seconds.
        seconds: u32,
        /// The how manieth time.
        count: u32,
    },
    /// It did often enough.
    Enough,
}

impl Looks {
    fn of(stage: &Stage, how: &How) -> Self {
        let (waits, most) = match stage {
            Stage::Received => (true, MOST_LOOKS),
            Stage::Open { .. } => (how.is_done(), MOST_LOOKS),
            Stage::OnItsWay => (true, LOOKS_AT_DAYS),
            _ => (false, 0),
        };
        let slow = *stage == Stage::OnItsWay;
        match how.looks() {
            u32::MAX => Self::Not,
            _ if !waits => Self::Not,
            count if count >= most && slow => Self::Not,
            count if count >= most => Self::Enough,
            count => Self::Again { seconds: if count < QUICK_LOOKS && !slow { QUICK_SECONDS } else { SLOW_SECONDS }, count: count + 1 },
        }
    }
}

/// What is known, in a few words.
fn title(stage: &Stage, how: &How) -> &'static str {
    match stage {
        Stage::NotOpened => "The payment could not be begun",
        Stage::Open { .. } if how.is_done() => "Waiting for word of your payment",
        Stage::Open { declined: Some(_), .. } => "The payment was declined",
        Stage::Open { .. } if how.back.as_deref() == Some("unpaid") => "You have not paid",
        Stage::Open { .. } => "Your payment is not finished",
        Stage::Received => "Payment received, not yet posted",
        Stage::OnItsWay => "Your payment is on its way",
        Stage::Posted { back, .. } if back.is_empty() => "Paid, thank you",
        Stage::Posted { .. } => "Paid, and money went back",
        Stage::Failed { .. } => "The payment did not go through",
        Stage::Expired => "The time to pay is over",
        Stage::Returned { .. } => "This payment went back",
    }
}

/// Where an attempt stands, for whoever looks.
async fn look(context: &web::Data<Context>, viewer: Option<&Viewer>, token: &str) -> Result<Standing, PageError> {
    let person = viewer.and_then(|viewer| viewer.person_id);
    let (inner, token) = (context.clone(), token.to_owned());
    act(move || standing(&inner, &token, person)).await
}

/// `GET /pay/{token}`: what is known of the payment.
pub(super) async fn show(
    request: HttpRequest,
    context: web::Data<Context>,
    viewer: MaybeViewer,
    token: web::Path<String>,
    how: web::Query<How>,
) -> Result<HttpResponse, PageError> {
    let found = look(&context, viewer.0.as_ref(), &token).await?;
    let looks = Looks::of(&found.stage, &how);
    let (csrf, cookie) = public_token(&request, &context);
    let view = standing_page(&context, viewer.0.as_ref(), csrf, &token, &how, found);
    let mut response = page(StatusCode::OK, &view)?;
    if let Some(cookie) = cookie.filter(|_| view.stage == Stage::NotOpened) {
        response.add_cookie(&cookie).map_err(PageError::internal)?;
    }
    if let Looks::Again { seconds, count } = looks {
        let value = HeaderValue::from_str(&format!("{seconds}; url={}?wait={count}", view.path)).map_err(PageError::internal)?;
        response.headers_mut().insert(HeaderName::from_static("refresh"), value);
    }
    Ok(response)
}

fn standing_page(context: &Context, viewer: Option<&Viewer>, csrf: String, token: &str, how: &How, found: Standing) -> StandingPage {
    let currency = Currency::new(&context.config.currency);
    let parts: Vec<PartLine> = found.parts.iter().map(|part| PartLine::new(part, &currency)).collect();
    StandingPage {
        frame: Frame::new(context, viewer, "/pay"),
        csrf,
        path: standing_path(token),
        title: title(&found.stage, how),
        amount: currency.money(found.amount.cents()),
        parts,
        own: found.own,
        unpaid: how.back.as_deref() == Some("unpaid"),
        done: how.is_done(),
        looks: Looks::of(&found.stage, how),
        kept: currency.money(kept(&found).cents()),
        anew: if found.own { "/pay".to_owned() } else { "/pay/guest".to_owned() },
        stage: found.stage,
        currency,
    }
}

/// What of a payment did not go back.
fn kept(found: &Standing) -> Money {
    let Stage::Posted { back, .. } = &found.stage else { return found.amount };
    let back = Money::checked_sum(back.iter().map(|back| back.amount)).unwrap_or_default();
    found.amount.checked_sub(back).unwrap_or_default().max(Money::ZERO)
}

impl StandingPage {
    /// Whether somebody who came back as having paid may not have finished after all: the provider says so, and its word had time.
    fn is_unfinished(&self) -> bool {
        let waited = match self.looks {
            Looks::Again { count, .. } => count > LOOKS_BEFORE_DOUBT,
            Looks::Not | Looks::Enough => true,
        };
        waited && matches!(self.stage, Stage::Open { asked: true, .. })
    }

    /// An amount for people.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "templates call methods with references")]
    fn money(&self, amount: &Money) -> String {
        self.currency.money(amount.cents())
    }

    /// The day on which it went back.
    #[allow(clippy::unused_self, clippy::trivially_copy_pass_by_ref, reason = "templates call methods with references")]
    fn day(&self, on: &chrono::NaiveDate) -> Day {
        Day(*on)
    }
}

/// `POST /pay/{token}`: the provider is asked again for its page.
pub(super) async fn try_again(context: web::Data<Context>, token: web::Path<String>, _form: PublicForm<Nothing>) -> Result<HttpResponse, PageError> {
    let (inner, asked) = (context.clone(), token.to_string());
    act(move || retry(&inner, &asked)).await?;
    Ok(go_to(&format!("{}/provider", standing_path(&token))))
}

#[derive(Template)]
#[template(path = "payments/provider.html")]
struct ProviderPage {
    frame: Frame,
    url: String,
    /// Whose page it is.
    host: String,
    amount: String,
    path: String,
}

/// `GET /pay/{token}/provider`: on to the provider's own page. Not by a redirect: browsers hold one that follows a form to what
/// the content policy says of forms, and ours may go to us only.
pub(super) async fn go_on(context: web::Data<Context>, viewer: MaybeViewer, token: web::Path<String>) -> Result<HttpResponse, PageError> {
    let found = look(&context, viewer.0.as_ref(), &token).await?;
    let path = standing_path(&token);
    let Stage::Open { url: Some(url), .. } = found.stage else { return Ok(go_to(&path)) };
    let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest).to_owned();
    let amount = Currency::new(&context.config.currency).money(found.amount.cents());
    page(StatusCode::OK, &ProviderPage { frame: Frame::new(&context, viewer.0.as_ref(), "/pay"), host, amount, path, url })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_waits_ends_by_itself() {
        let looks = |stage: &Stage, back: Option<&str>, wait: Option<&str>| {
            Looks::of(stage, &How { back: back.map(str::to_owned), wait: wait.map(str::to_owned) })
        };
        let open = Stage::Open { url: None, declined: None, asked: true };
        assert_eq!(looks(&Stage::Received, None, None), Looks::Again { seconds: 2, count: 1 });
        assert_eq!(looks(&Stage::Received, None, Some("29")), Looks::Again { seconds: 6, count: 30 });
        assert_eq!(looks(&Stage::Received, None, Some("30")), Looks::Enough);
        assert_eq!(looks(&Stage::Received, None, Some("off")), Looks::Not);
        assert_eq!(looks(&Stage::Posted { instead_of: None, back: Vec::new() }, Some("done"), None), Looks::Not);
        assert_eq!(looks(&Stage::OnItsWay, None, None), Looks::Again { seconds: 6, count: 1 });
        assert_eq!(looks(&Stage::OnItsWay, None, Some("5")), Looks::Not);
        assert_eq!(looks(&open, None, None), Looks::Not);
        assert_eq!(looks(&open, Some("unpaid"), None), Looks::Not);
        assert_eq!(looks(&open, Some("done"), None), Looks::Again { seconds: 2, count: 1 });
    }
}
