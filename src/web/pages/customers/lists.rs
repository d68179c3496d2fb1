//! Everything that happened on an account, a page at a time: its bills and its ledger.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use askama::Template;
use serde::Deserialize;

use super::{AccountHeading, ActivityLine, frame, look};
use crate::actions::Context;
use crate::actions::account_view::{account_activity, account_bills};
use crate::db::account_views::DatedBill;
use crate::db::billing::bill_number;
use crate::web::error::PageError;
use crate::web::frame::{Frame, page};
use crate::web::text::{Currency, Day};
use crate::web::viewer::Viewer;

/// Where a page of a list begins: before this position of the ledger.
#[derive(Deserialize)]
pub(super) struct Before {
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "customers/bills.html")]
struct BillsPage {
    frame: Frame,
    heading: AccountHeading,
    tab: &'static str,
    bills: Vec<BillLine>,
    older: Option<i64>,
    /// Whether this is not the newest page.
    paged: bool,
}

/// A bill in a list of bills.
pub(super) struct BillLine {
    pub(super) number: String,
    pub(super) on: Day,
    pub(super) due_on: Day,
    pub(super) charges: String,
    pub(super) amount_due: String,
    pub(super) cancelled: bool,
}

impl BillLine {
    pub(super) fn new(bill: &DatedBill, currency: &Currency) -> Self {
        Self {
            number: bill_number(bill.run_id, bill.account_id),
            on: Day(bill.bill_on),
            due_on: Day(bill.due_on),
            charges: currency.money(bill.total_cents),
            amount_due: currency.balance(bill.amount_due_cents),
            cancelled: bill.status == "cancelled",
        }
    }
}

/// `GET /account/{number}/bills`: every bill, newest first.
pub(super) async fn bills(context: Data<Context>, viewer: Viewer, number: Path<String>, query: Query<Before>) -> Result<HttpResponse, PageError> {
    let before = query.before;
    let found = look(&context, &viewer, number.into_inner(), move |context, number, whose| account_bills(context, number, whose, before)).await?;
    let currency = Currency::new(&context.config.currency);
    let view = BillsPage {
        frame: frame(&context, &viewer),
        heading: AccountHeading::new(&found.head, &viewer),
        tab: "bills",
        bills: found.rows.iter().map(|bill| BillLine::new(bill, &currency)).collect(),
        older: found.older,
        paged: before.is_some(),
    };
    page(StatusCode::OK, &view)
}

#[derive(Template)]
#[template(path = "customers/activity.html")]
struct ActivityPage {
    frame: Frame,
    heading: AccountHeading,
    tab: &'static str,
    balance: String,
    activity: Vec<ActivityLine>,
    older: Option<i64>,
    /// Whether this is not the newest page.
    paged: bool,
}

/// `GET /account/{number}/activity`: the whole ledger, newest first.
pub(super) async fn activity(context: Data<Context>, viewer: Viewer, number: Path<String>, query: Query<Before>) -> Result<HttpResponse, PageError> {
    let before = query.before;
    let found = look(&context, &viewer, number.into_inner(), move |context, number, whose| account_activity(context, number, whose, before)).await?;
    let currency = Currency::new(&context.config.currency);
    let view = ActivityPage {
        frame: frame(&context, &viewer),
        heading: AccountHeading::new(&found.head, &viewer),
        tab: "activity",
        balance: currency.balance(found.head.balance_cents),
        activity: found.rows.iter().map(|row| ActivityLine::new(row, &currency)).collect(),
        older: found.older,
        paged: before.is_some(),
    };
    page(StatusCode::OK, &view)
}
