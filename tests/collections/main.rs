//! Collections: what becomes of bills that are not paid, or not understood, day by day, to the cent, whatever breaks.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

mod calendar;
mod commands;
mod deposits;
mod disputes;
mod holds;
mod kills;
mod laws;
mod leak;
mod pages;
mod plans;
#[path = "../support/mod.rs"]
mod support;
mod together;

use aquabills::actions::account_view::Whose;
use aquabills::actions::collections::daily::{Options, Report, run_daily};
use aquabills::actions::collections::view::{CollectionsView, collections_view};
use aquabills::actions::notices::{NoticeFilter, list};
use aquabills::actions::payments::{COUNTER_PROVIDER, NewPayment, post_payment};
use aquabills::actions::policy::store_policy;
use aquabills::db::DbConnection;
use aquabills::domain::ids::AccountId;
use aquabills::domain::ledger::Tender;
use chrono::{TimeZone, Utc};
use diesel::RunQueryDsl;
use support::{TARIFF, Town, day};

/// The policy of these stories.
pub(crate) const POLICY: &str = r#"
title = "Story policy"
effective_on = 2025-01-01

[credits]
citation = "Resolution 1"
approval_above = "400.00"
approval_total_above = "900.00"
approval_days = 30
approvers = ["supervisor"]
request_days = 14
largest = "5000.00"

[late_fees]
citation = "Rule 11"
grace_days = 5
fee = "5.00"
percent = "1.5"
smallest_overdue = "10.00"
largest = "20.00"

[dunning]
citation = "Code 777"
smallest_overdue = "20.00"
disconnection = true
[[dunning.steps]]
name = "Reminder"
after_days = 10
notice_days = 14
[[dunning.steps]]
name = "Final notice"
after_days = 20
notice_days = 10

[disputes]
citation = "Rule 15"
open_days = 60
answer_days = 10
reopen_days = 30
pay_days = 14

[pay_plans]
citation = "Rule 9"
most_instalments = 12
smallest_instalment = "5.00"
grace_days = 5

[deposits]
citation = "Rule 4"
largest = "500.00"
interest_percent = "1.25"
refund_after_months = 12

[leak_relief]
citation = "Rule 17"
percent = 50
at_least_above = 100
largest = "1000.00"
once_in_months = 12
most_bills = 2
"#;

/// The number of `A1`'s first bill.
pub(crate) const BILL: &str = "00001-0000001";

/// A town of so many customers with addresses and a policy, billed on 15 June: 47.50 each, due on 6 July.
pub(crate) fn billed(town: Town, count: usize) -> Town {
    let town = peopled(town, count);
    town.bill("2026-06-01");
    town
}

/// The same before the bill.
pub(crate) fn peopled(town: Town, count: usize) -> Town {
    town.tariff(TARIFF).expect("the tariff is accepted");
    store_policy(&town.context, "policy.toml", POLICY).expect("the policy is accepted");
    let row = |n: usize| format!("A{n},S{n},HOME,M{n},4,Person {n},p{n}@town.example");
    let rows: Vec<String> = (1..=count).map(row).collect();
    let header = "customer_id,service_id,rate_class,meter_id,register_digits,name,email";
    assert_eq!(town.services(&format!("{header}\n{}\n", rows.join("\n"))).expect("the services are read").refused, 0);
    let reads: Vec<String> = (1..=count).flat_map(|n| [format!("M{n},2026-05-01,100"), format!("M{n},2026-06-01,115")]).collect();
    town.reads(&reads.iter().map(String::as_str).collect::<Vec<_>>());
    town
}

/// Puts the clock to noon of a day.
pub(crate) fn on(town: &Town, date: &str) {
    let noon = day(date).and_hms_opt(12, 0, 0).expect("noon");
    town.context.clock.set(Utc.from_utc_datetime(&noon));
}

/// The daily look of a day.
pub(crate) fn look(town: &Town, date: &str) -> Report {
    on(town, date);
    run_daily(&town.context, &Options::default()).expect("the day goes through")
}

/// The daily looks from one day to another.
pub(crate) fn look_daily(town: &Town, from: &str, to: &str) -> Report {
    let mut sum = Report::default();
    for date in day(from).iter_days().take_while(|date| *date <= day(to)) {
        let report = look(town, &date.to_string());
        sum.fees += report.fees;
        sum.fees_cents += report.fees_cents;
        sum.fees_taken_back += report.fees_taken_back;
        sum.reminders += report.reminders;
        sum.letters += report.letters;
        sum.work_items += report.work_items;
        sum.reminders_ended += report.reminders_ended;
        sum.plans_kept += report.plans_kept;
        sum.plans_broken += report.plans_broken;
        sum.deposits_applied += report.deposits_applied;
        sum.interest_cents += report.interest_cents;
    }
    sum
}

/// A payment with a value date.
pub(crate) fn pay_on(town: &Town, account: &str, amount: &str, date: &str, reference: &str) {
    let payment = NewPayment {
        account_id: AccountId(0),
        amount: amount.parse().expect("an amount"),
        effective_on: day(date),
        tender: Tender::Cash,
        provider: COUNTER_PROVIDER.to_owned(),
        reference: reference.to_owned(),
    };
    post_payment(&town.context, account, &payment).expect("the payment is posted");
}

pub(crate) fn view(town: &Town, account: &str) -> CollectionsView {
    collections_view(&town.context, account, Whose::Anybody).expect("the account is there")
}

/// The kinds of all notices to a customer, oldest first, without bills and payments.
pub(crate) fn told(town: &Town, account: &str) -> Vec<String> {
    let filter = NoticeFilter { account: Some(account.to_owned()), ..NoticeFilter::default() };
    let mut all = list(&town.context, &filter, None, 1_000).expect("the notices are listed");
    all.reverse();
    let kinds = all.iter().map(|notice| notice.kind.as_str().to_owned());
    kinds.filter(|kind| !matches!(kind.as_str(), "bill_ready" | "payment_received")).collect()
}

/// Runs a statement of the test's own.
pub(crate) fn sql(town: &Town, statement: &str) {
    let done = town.context.database.write(|conn: &mut DbConnection| diesel::sql_query(statement).execute(conn));
    done.expect("the statement is right");
}

/// The mail server takes every reminder that waits, on a day.
pub(crate) fn mailed(town: &Town, date: &str) {
    sql(town, &format!("UPDATE notice SET status = 'sent', sent_at = '{date} 09:00:00' WHERE kind = 'payment_reminder' AND status = 'queued'"));
}
