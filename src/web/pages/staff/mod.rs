//! The staff's pages, one file for each area; here is what they share: how they say things, their forms, their pagers.

mod accounts;
mod adjustments;
mod approvals;
mod audit;
mod autopay;
mod balances;
mod bank;
mod bank_act;
mod collections;
mod collections_act;
mod disputes;
mod forms;
mod holds;
mod mending;
mod moves;
mod notices;
mod overcharges;
mod overview;
mod payments;
mod payouts;
mod reads;
mod rebills;
mod reconciliation;
mod refunds;
mod runs;
mod runs_act;
mod schedule;
mod search;
mod services;
mod todos;
mod trace;
mod watch;

use chrono::{NaiveDate, NaiveDateTime};
use chrono_tz::Tz;
use rand::Rng;
use serde::Deserialize;

use crate::actions::Context;
use crate::domain::money::Money;
use crate::web::frame::Frame;
use crate::web::routes::Routes;
use crate::web::text::{Currency, Day, Moment, Unbroken, decimal, plural, quantity, service, with_dates, with_money, words};
use crate::web::viewer::Viewer;

/// The routes of the staff's pages.
pub(in crate::web) fn routes(routes: &mut Routes) {
    overview::routes(routes);
    search::routes(routes);
    payments::routes(routes);
    adjustments::routes(routes);
    approvals::routes(routes);
    reads::routes(routes);
    balances::routes(routes);
    autopay::routes(routes);
    refunds::routes(routes);
    holds::routes(routes);
    rebills::routes(routes);
    mending::routes(routes);
    collections::routes(routes);
    collections_act::routes(routes);
    disputes::routes(routes);
    accounts::routes(routes);
    services::routes(routes);
    moves::routes(routes);
    todos::routes(routes);
    runs::routes(routes);
    runs_act::routes(routes);
    bank::routes(routes);
    bank_act::routes(routes);
    payouts::routes(routes);
    notices::routes(routes);
    reconciliation::routes(routes);
    overcharges::routes(routes);
    schedule::routes(routes);
    watch::routes(routes);
    trace::routes(routes);
    audit::routes(routes);
}

/// Rows on one page of a list.
const PAGE_ROWS: usize = 25;

/// How these pages say money and moments.
#[derive(Debug, Clone)]
struct Say {
    currency: Currency,
    zone: Tz,
    now: NaiveDateTime,
}

#[allow(clippy::trivially_copy_pass_by_ref, clippy::unused_self, reason = "templates call methods with references")]
impl Say {
    fn new(context: &Context) -> Self {
        Self { currency: Currency::new(&context.config.currency), zone: context.config.time_zone, now: context.now() }
    }

    fn money(&self, amount: &Money) -> String {
        self.currency.money(amount.cents())
    }

    fn cents(&self, cents: &i64) -> String {
        self.currency.money(*cents)
    }

    fn balance(&self, amount: &Money) -> String {
        self.currency.balance(amount.cents())
    }

    fn at(&self, moment: &NaiveDateTime) -> Moment {
        Moment::new(*moment, self.zone)
    }

    fn day(&self, day: &NaiveDate) -> Day {
        Day(*day)
    }

    fn quantity(&self, milli: &i64) -> String {
        quantity(*milli)
    }

    fn days(&self, days: &i64) -> String {
        plural(*days, "day")
    }

    /// A count with its noun.
    fn count(&self, count: &i64, noun: &str) -> String {
        plural(*count, noun)
    }

    /// A number with commas between its thousands.
    fn number(&self, number: &i64) -> String {
        decimal((*number).into(), 0)
    }

    /// A sentence that was stored for machines, with days as people write them.
    fn told(&self, sentence: &str) -> String {
        with_dates(sentence)
    }

    /// The same with amounts: for what speaks of money only.
    fn told_of_money(&self, sentence: &str) -> String {
        with_money(&with_dates(sentence), &self.currency)
    }

    /// Why a work item waits, as a sentence.
    fn reason(&self, kind: &str, reason: &str) -> String {
        let told = if kind == "bill_limit" { self.told_of_money(reason) } else { with_dates(reason) };
        let mut letters = told.chars();
        letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str().trim_end_matches('.')))
    }

    /// Days from one day to another.
    fn between(&self, from: &NaiveDate, to: &NaiveDate) -> String {
        plural((*to - *from).num_days(), "day")
    }

    /// A text whose numbers and addresses stay in one piece.
    fn unbroken(&self, text: &str) -> Unbroken {
        Unbroken(text.to_owned())
    }

    /// How long ago: `today`, `1 day`, `12 days`.
    fn age(&self, since: &NaiveDateTime) -> String {
        match (self.now - *since).num_days() {
            ..=0 => "less than a day".to_owned(),
            days => plural(days, "day"),
        }
    }
}

/// What a list's address says besides its own filters.
#[derive(Debug, Default, Deserialize)]
struct ListQuery {
    /// Where the page begins.
    from: Option<i64>,
    /// What was just done: a code that the page turns into words.
    done: Option<String>,
}

/// The frame of a page of the staff.
fn frame(context: &Context, viewer: &Viewer, active: &str) -> Frame {
    Frame::new(context, Some(viewer), active)
}

/// An account's own address.
fn account_path(number: &str) -> String {
    format!("/staff/accounts/{}", segment(number))
}

/// A text as one part of an address: whatever is not plain is escaped.
fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// A reference of our own for a form: the form sent twice has the same one, and so moves money once.
fn fresh_reference(context: &Context, letter: char) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789";
    let mut random = rand::rng();
    let tail: String = (0..7).filter_map(|_| LETTERS.get(random.random_range(0..LETTERS.len())).copied().map(char::from)).collect();
    format!("{letter}{}-{tail}", context.today().format("%y%m%d"))
}

/// Text of a query that says something: trimmed, and none when nothing is left.
fn said(text: Option<&String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}
