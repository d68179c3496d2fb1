//! The list of somebody's accounts, and the overview of one.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use askama::Template;
use serde::Deserialize;

use super::autopay::DrawLine;
use super::chart::Chart;
use super::lists::BillLine;
use super::{AccountHeading, ActivityLine, account_link, frame, look, reading};
use crate::actions::Context;
use crate::actions::account_view::{AccountView, Due, account_view, own_accounts};
use crate::actions::checkout::PendingPayment;
use crate::actions::usage_history::usage_history;
use crate::db::account_views::{AccountHead, ServiceRow};
use crate::db::payments::PaymentRow;
use crate::domain::ids::AccountId;
use crate::web::error::PageError;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::pages::payments::pay_link;
use crate::web::text::{self, Currency, Day};
use crate::web::viewer::Viewer;

/// Where a page of somebody's accounts begins.
#[derive(Deserialize)]
pub(super) struct After {
    after: Option<i64>,
}

#[derive(Template)]
#[template(path = "customers/accounts.html")]
struct AccountsPage {
    frame: Frame,
    accounts: Vec<AccountLine>,
    next: Option<i64>,
}

struct AccountLine {
    number: String,
    link: String,
    address: Option<String>,
    balance: String,
    state: &'static str,
}

impl AccountLine {
    fn new(head: &AccountHead, currency: &Currency) -> Self {
        let state = match head.balance_cents {
            0 => "nothing to pay",
            cents if cents < 0 => "in your favour",
            _ => "to pay",
        };
        Self {
            number: head.number.clone(),
            link: account_link(&head.number),
            address: head.address.clone(),
            balance: currency.balance(head.balance_cents),
            state,
        }
    }
}

/// `GET /account`: the only account, or the list of them.
pub(super) async fn accounts(context: Data<Context>, viewer: Viewer, query: Query<After>) -> Result<HttpResponse, PageError> {
    let Some(person) = viewer.person_id else { return Ok(go_to("/staff")) };
    let after = AccountId(query.after.unwrap_or(0));
    let acting = viewer.acting(&context);
    let found = act(move || own_accounts(&acting, person, after)).await?;
    if let ([only], None) = (found.as_slice(), query.after) {
        return Ok(go_to(&account_link(&only.number)));
    }
    let currency = Currency::new(&context.config.currency);
    let next = (found.len() >= 25).then(|| found.last().map(|head| head.id.0)).flatten();
    let accounts = found.iter().map(|head| AccountLine::new(head, &currency)).collect();
    page(StatusCode::OK, &AccountsPage { frame: frame(&context, &viewer), accounts, next })
}

/// What was just done.
#[derive(Deserialize)]
pub(super) struct Done {
    done: Option<String>,
}

#[derive(Template)]
#[template(path = "customers/account.html")]
struct AccountPage {
    frame: Frame,
    heading: AccountHeading,
    tab: &'static str,
    due: DueView,
    next_draw: Option<DrawLine>,
    last_payment: Option<PaymentLine>,
    last_bill: Option<BillLine>,
    services: Vec<ServiceView>,
    /// Whether there is a meter that the customer may read.
    can_send_reading: bool,
    activity: Vec<ActivityLine>,
    more: bool,
    chart: Option<Chart>,
    how_to_pay: String,
    /// What is on its way and not yet deducted.
    pending: Vec<PendingLine>,
    /// Where its customer pays.
    pay_link: Option<String>,
}

/// What is to be paid now, in words.
struct DueView {
    /// The big figure.
    amount: String,
    /// `owed`, `nothing` or `credit`.
    state: &'static str,
    on: Option<Day>,
    overdue: bool,
}

impl DueView {
    fn new(due: Due, currency: &Currency) -> Self {
        match due {
            Due::Nothing => Self { amount: currency.money(0), state: "nothing", on: None, overdue: false },
            Due::Credit(cents) => Self { amount: currency.balance(-cents), state: "credit", on: None, overdue: false },
            Due::By { cents, on, overdue } => Self { amount: currency.money(cents), state: "owed", on: on.map(Day), overdue },
        }
    }
}

struct PendingLine {
    amount: String,
    from_bank: bool,
    on: Day,
}

impl PendingLine {
    fn new(payment: &PendingPayment, currency: &Currency) -> Self {
        Self { amount: currency.money(payment.amount.cents()), from_bank: payment.from_bank, on: Day(payment.made_on) }
    }
}

struct PaymentLine {
    amount: String,
    on: Day,
    returned_on: Option<Day>,
    /// What of it was given back, in words.
    back: Option<String>,
}

impl PaymentLine {
    fn new(row: &PaymentRow, back_cents: i64, currency: &Currency) -> Self {
        Self {
            amount: currency.money(row.amount_cents),
            on: Day(row.effective_on),
            returned_on: row.returned_on.filter(|_| row.restored_seq.is_none()).map(Day),
            back: match back_cents {
                0 => None,
                cents if cents >= row.amount_cents => Some("all of it".to_owned()),
                cents => Some(format!("{} of it", currency.money(cents))),
            },
        }
    }
}

struct ServiceView {
    /// `Water`, `Sewer`.
    service: &'static str,
    code: String,
    address: String,
    rate: String,
    meter: Option<String>,
    /// The service whose meter measures this one as well.
    measured_by: Option<&'static str>,
    since: Option<Day>,
    ended: Option<Day>,
    last_read: Option<LastRead>,
}

struct LastRead {
    reading: String,
    on: Day,
    kind: &'static str,
}

impl ServiceView {
    /// `before` are the services that are listed above it.
    fn new(row: &ServiceRow, before: &[ServiceRow]) -> Self {
        let owner = before.iter().find(|other| row.meter.is_some() && other.meter == row.meter);
        let kind = row.read_kind.as_deref().and_then(|kind| kind.parse().ok()).map_or("", text::read_kind);
        let last_read = row.reading_milli.zip(row.read_on).map(|(reading, on)| LastRead { reading: text::quantity(reading), on: Day(on), kind });
        Self {
            service: text::service(&row.schedule),
            measured_by: owner.map(|owner| text::service(&owner.schedule)),
            code: row.code.clone(),
            address: row.address.clone(),
            rate: text::words(&row.rate_class),
            meter: row.meter.clone(),
            since: row.start_on.map(Day),
            ended: row.end_on.map(Day),
            last_read,
        }
    }
}

/// `GET /account/{number}`: what is due, and what happened last.
pub(super) async fn overview(context: Data<Context>, viewer: Viewer, number: Path<String>, query: Query<Done>) -> Result<HttpResponse, PageError> {
    let (view, usage) = look(&context, &viewer, number.into_inner(), |context, number, whose| {
        let view = account_view(context, number, whose)?;
        let (_, usage) = usage_history(context, number, whose)?;
        Ok((view, usage))
    })
    .await?;
    let chart = usage.first().map(|service| Chart::new(1, service, &Currency::new(&context.config.currency)));
    let notice = query.done.as_deref().and_then(reading::thanks).map(str::to_owned);
    let mut shown = account_page(&context, &viewer, &view, chart);
    shown.frame = shown.frame.noting(notice);
    page(StatusCode::OK, &shown)
}

fn account_page(context: &Context, viewer: &Viewer, view: &AccountView, chart: Option<Chart>) -> AccountPage {
    let currency = Currency::new(&context.config.currency);
    AccountPage {
        frame: frame(context, viewer),
        heading: AccountHeading::new(&view.head, viewer),
        tab: "overview",
        due: DueView::new(view.due, &currency),
        next_draw: view.next_draw.as_ref().map(|draw| DrawLine::new(draw, &currency)),
        last_payment: view.last_payment.as_ref().map(|row| PaymentLine::new(row, view.last_payment_back_cents, &currency)),
        last_bill: view.last_bill.as_ref().map(|bill| BillLine::new(bill, &currency)),
        services: view.services.iter().enumerate().map(|(at, row)| ServiceView::new(row, view.services.get(..at).unwrap_or_default())).collect(),
        can_send_reading: !viewer.is_staff() && view.services.iter().any(|service| service.meter.is_some()),
        activity: view.recent.iter().map(|row| ActivityLine::new(row, &currency)).collect(),
        more: view.more,
        chart,
        how_to_pay: context.config.how_to_pay.clone(),
        pending: view.pending.iter().map(|payment| PendingLine::new(payment, &currency)).collect(),
        pay_link: pay_link(context, &view.head.number).filter(|_| !viewer.is_staff()),
    }
}
