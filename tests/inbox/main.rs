//! The inbox: whatever the order, the repetition and the interruptions of a provider's events, the ledger is the same (P4, P5).
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

#[path = "../support/mod.rs"]
mod support;

mod orders;
mod provider;
mod rules;
mod scenarios;
mod stories;

use aquabills::actions::Context;
use aquabills::actions::inbox::{Settled, settle};
use aquabills::actions::ledger_hash::{NetRow, net_ledger};
use aquabills::actions::stop::Stop;
use aquabills::db::provider_payments::{self, NewCheckout, NewProviderPayment};
use aquabills::db::{customers, operations};
use aquabills::domain::ids::{AccountId, ToDoId};
use support::Town;

/// Applies whatever waits, also what failed before.
pub(crate) fn settle_all(context: &Context) -> Settled {
    settle(context, true, &Stop::default()).expect("the inbox is settled")
}

/// Accounts `A1` to `A{count}` and this provider.
pub(crate) fn town(mut town: Town, count: usize) -> Town {
    provider::with_paper(&mut town.context);
    let rows: Vec<String> = (1..=count).map(|n| format!("A{n},S{n},HOME,M{n}")).collect();
    town.with_services(&rows.iter().map(String::as_str).collect::<Vec<_>>())
}

/// An account's identity.
pub(crate) fn account_id(context: &Context, number: &str) -> AccountId {
    context.database.read(|conn| customers::account_by_number(conn, number)).expect("a read").expect("the account").id
}

/// What a customer does before the provider sends anything: an attempt to pay so much for these accounts.
pub(crate) fn attempt(context: &Context, payment: &str, parts: &[(&str, i64)]) {
    let now = context.now();
    let parts: Vec<(AccountId, i64)> = parts.iter().map(|(number, cents)| (account_id(context, number), *cents)).collect();
    let amount_cents = parts.iter().map(|(_, cents)| cents).sum();
    let checkout = NewCheckout {
        token: format!("token-{payment}"),
        form_key: format!("form-{payment}"),
        provider: provider::NAME.to_owned(),
        merchant: provider::MERCHANT.to_owned(),
        purpose: "pay".to_owned(),
        amount_cents,
        login_id: None,
        status: "created".to_owned(),
        created_at: now,
        updated_at: now,
    };
    let begun: Result<(), aquabills::actions::ActionError> = context.database.write(|conn| {
        let id = provider_payments::insert_checkout(conn, &checkout, &parts)?;
        let new = NewProviderPayment {
            provider: provider::NAME.to_owned(),
            merchant: provider::MERCHANT.to_owned(),
            provider_ref: None,
            checkout_id: Some(id),
            state: "created".to_owned(),
            amount_cents,
            currency: "USD".to_owned(),
            tender: "card".to_owned(),
            made_on: context.today(),
            trace_id: format!("{payment:0>32}"),
            created_at: now,
            updated_at: now,
        };
        let payment = provider_payments::insert(conn, &new)?;
        provider_payments::set_parts(conn, payment, &parts)?;
        Ok(())
    });
    begun.expect("the attempt is stored");
}

/// An account's net ledger without what differs between two accounts that lived the same: their numbers and references.
pub(crate) fn net(context: &Context, account: &str, payment: &str) -> Vec<NetRow> {
    let rows = net_ledger(context, account).expect("the net ledger");
    rows.into_iter().map(|row| NetRow { account: "A".to_owned(), business: row.business.replace(payment, "P"), ..row }).collect()
}

/// How many open work items there are of a kind.
pub(crate) fn open_todos(context: &Context, kind: &str) -> usize {
    let all = context.database.read(|conn| operations::open_todos(conn, ToDoId(0), 1000)).expect("the work items");
    all.iter().filter(|item| item.kind == kind).count()
}
