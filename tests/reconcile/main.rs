//! Reconciliation: whatever was lost, late, twice or changed between ledger, provider and bank is found to the cent, and what
//! may be mended is mended by events of the provider only.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

#[path = "../support/fake_provider.rs"]
mod fake_provider;
#[path = "../support/mod.rs"]
mod support;

mod bank;
mod commands;
mod laws;
mod pages;
mod sandbox;
mod stories;
mod timing;
mod volume;

use aquabills::actions::Context;
use aquabills::actions::inbox::settle;
use aquabills::actions::reconcile::view::{DifferenceView, differences};
use aquabills::actions::reconcile::{Backfill, Fetch, LookOptions, Report, reconcile};
use aquabills::actions::stop::Stop;
use aquabills::db::customers;
use aquabills::db::provider_payments::{self, NewCheckout, NewProviderPayment};
use aquabills::db::reconciliation::DifferenceFilter;
use aquabills::domain::ids::AccountId;
use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use fake_provider::{Books, MERCHANT, NAME, with_books};
use support::Town;

/// Accounts `A1` to `A{count}`, and a provider.
pub(crate) fn town(mut town: Town, count: usize) -> (Town, Books) {
    let books = with_books(&mut town.context, 3);
    let rows: Vec<String> = (1..=count).map(|n| format!("A{n},S{n},HOME,M{n}")).collect();
    (town.with_services(&rows.iter().map(String::as_str).collect::<Vec<_>>()), books)
}

/// Sets the clock.
pub(crate) fn at(town: &Town, moment: &str) {
    town.context.clock.set(moment.parse::<DateTime<Utc>>().expect("a moment"));
}

pub(crate) fn account_id(context: &Context, number: &str) -> AccountId {
    context.database.read(|conn| customers::account_by_number(conn, number)).expect("a read").expect("the account").id
}

/// What a customer does before the provider sends anything: an attempt to pay so much for an account.
pub(crate) fn attempt(context: &Context, provider: (&str, &str), token: &str, account: &str, cents: i64) {
    let now = context.now();
    let parts = [(account_id(context, account), cents)];
    let checkout = NewCheckout {
        token: token.to_owned(),
        form_key: format!("form-{token}"),
        provider: provider.0.to_owned(),
        merchant: provider.1.to_owned(),
        purpose: "pay".to_owned(),
        amount_cents: cents,
        login_id: None,
        status: "created".to_owned(),
        created_at: now,
        updated_at: now,
    };
    let begun: Result<(), aquabills::actions::ActionError> = context.database.write(|conn| {
        let id = provider_payments::insert_checkout(conn, &checkout, &parts)?;
        let new = NewProviderPayment {
            provider: provider.0.to_owned(),
            merchant: provider.1.to_owned(),
            provider_ref: None,
            checkout_id: Some(id),
            state: "created".to_owned(),
            amount_cents: cents,
            currency: "USD".to_owned(),
            tender: "card".to_owned(),
            made_on: context.today(),
            trace_id: format!("trace-{token}"),
            created_at: now,
            updated_at: now,
        };
        let payment = provider_payments::insert(conn, &new)?;
        provider_payments::set_parts(conn, payment, &parts)?;
        Ok(())
    });
    begun.expect("the attempt is stored");
}

/// An attempt at the fake provider, under the token that its events repeat.
pub(crate) fn wants_to_pay(town: &Town, payment: &str, account: &str, cents: i64) {
    attempt(&town.context, (NAME, MERCHANT), &format!("token-{payment}"), account, cents);
}

/// Applies whatever waits.
pub(crate) fn apply(town: &Town) {
    settle(&town.context, true, &Stop::default()).expect("the inbox is settled");
}

/// The standing look, as a command asks for it.
pub(crate) fn standing() -> LookOptions {
    LookOptions { from: None, to: None, fetch: Fetch::All, backfill: Backfill::Nothing, stop: Stop::default() }
}

pub(crate) fn look(town: &Town) -> Report {
    reconcile(&town.context, &standing()).expect("a look")
}

pub(crate) fn repair(town: &Town) -> Report {
    reconcile(&town.context, &LookOptions { backfill: Backfill::All, ..standing() }).expect("a look that repairs")
}

/// The differences that are stored as being there.
pub(crate) fn open(town: &Town) -> Vec<DifferenceView> {
    differences(&town.context, &DifferenceFilter::default(), 1000).expect("the differences").0
}

/// Kind, reference, and what ledger, provider and bank say, of each difference that is there.
pub(crate) fn told(town: &Town) -> Vec<String> {
    let say = |amount: Option<aquabills::domain::money::Money>| amount.map_or_else(|| "-".to_owned(), |amount| amount.to_string());
    let mut told: Vec<String> = open(town)
        .iter()
        .map(|row| format!("{} {} {} {} {}", row.kind.as_str(), row.reference, say(row.ledger), say(row.provider), say(row.bank)))
        .collect();
    told.sort();
    told
}

/// Writes into the database behind the program's back: triggers are taken away first.
pub(crate) fn tamper(town: &Town, sqlite: &str, postgres: &str) {
    let done: Result<(), aquabills::actions::ActionError> = town.context.database.write(|conn| match conn {
        aquabills::db::DbConnection::Sqlite(conn) => Ok(conn.batch_execute(sqlite)?),
        aquabills::db::DbConnection::Postgres(conn) => Ok(conn.batch_execute(postgres)?),
    });
    done.expect("the database is changed");
}
