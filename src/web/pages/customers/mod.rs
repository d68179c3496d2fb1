//! What customers see of their own accounts: what is due, bills, activity, usage, and their profile.
//!
//! Staff may look at these pages too. Each look is written into the audit trail; an account of somebody else is as absent
//! as one that does not exist.

mod account;
pub(in crate::web) mod autopay;
mod chart;
mod collections;
mod lists;
mod profile;
mod reading;
mod usage;

use actix_web::web::Data;

use crate::actions::account_view::{Activity, Story, Whose, told};
use crate::actions::sign_in::looked_at;
use crate::actions::{ActionError, Context};
use crate::db::account_views::AccountHead;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::frame::{Frame, act};
use crate::web::routes::Routes;
use crate::web::text::{self, Currency, Day, Unbroken};
use crate::web::viewer::Viewer;

/// The routes of this area.
pub(in crate::web) fn routes(routes: &mut Routes) {
    routes.get("/account", account::accounts);
    routes.get("/account/{number}", account::overview);
    routes.get("/account/{number}/bills", lists::bills);
    routes.get("/account/{number}/activity", lists::activity);
    routes.get("/account/{number}/usage", usage::usage);
    routes.get("/account/{number}/usage.csv", usage::download);
    routes.get("/account/{number}/reading", reading::form);
    routes.post("/account/{number}/reading", reading::enter);
    routes.get("/account/{number}/autopay", autopay::show);
    routes.post("/account/{number}/autopay", autopay::set_up);
    routes.post("/account/{number}/autopay/change", autopay::change);
    routes.get("/profile", profile::profile);
    routes.post("/profile", profile::save);
}

/// Whose accounts a viewer may look at.
pub(in crate::web) fn whose(viewer: &Viewer) -> Result<Whose, PageError> {
    match viewer.person_id {
        _ if viewer.may(Permission::LookAtAccounts) => Ok(Whose::Anybody),
        Some(person) if !viewer.is_staff() => Ok(Whose::Person(person)),
        _ => Err(PageError::NotFound),
    }
}

/// Loads what a page shows of an account, and writes down that it was looked at.
async fn look<T: Send + 'static>(
    context: &Data<Context>,
    viewer: &Viewer,
    number: String,
    load: impl FnOnce(&Context, &str, Whose) -> Result<T, ActionError> + Send + 'static,
) -> Result<T, PageError> {
    let whose = whose(viewer)?;
    let acting = viewer.acting(context);
    act(move || {
        let found = load(&acting, &number, whose)?;
        looked_at(&acting, &number)?;
        Ok(found)
    })
    .await
}

/// The frame of an account's pages.
fn frame(context: &Context, viewer: &Viewer) -> Frame {
    Frame::new(context, Some(viewer), "/account")
}

/// The head of an account's pages: who, where, and the tabs.
struct AccountHeading {
    number: String,
    link: String,
    name: String,
    address: Option<String>,
    /// Whether staff looks at it.
    staff: bool,
}

impl AccountHeading {
    fn new(head: &AccountHead, viewer: &Viewer) -> Self {
        Self {
            number: head.number.clone(),
            link: account_link(&head.number),
            name: head.name.clone(),
            address: head.address.clone(),
            staff: viewer.is_staff(),
        }
    }
}

/// The address of an account's overview.
pub(in crate::web) fn account_link(number: &str) -> String {
    format!("/account/{}", text::segment(number))
}

/// One row of activity, in words.
struct ActivityLine {
    day: Day,
    /// What happened.
    words: String,
    /// Where it is told in full.
    link: Option<String>,
    /// What else is to be known.
    note: Option<Unbroken>,
    amount: String,
    balance: String,
}

impl ActivityLine {
    fn new(row: &Activity, currency: &Currency) -> Self {
        let (words, note) = told(&row.story);
        let link = match &row.story {
            Story::Bill { number, .. } | Story::BillReversal { number, .. } => Some(format!("/bills/{number}")),
            _ => None,
        };
        Self {
            day: Day(row.effective_on),
            words,
            link,
            note: note.map(Unbroken),
            amount: currency.money(row.amount_cents),
            balance: currency.balance(row.balance_after_cents),
        }
    }
}
