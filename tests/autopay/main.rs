//! Autopay: a bill is drawn once, on its day, never more than is still due, never when it must not be; whatever breaks.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

mod crashes;
mod days;
mod desk;
mod enrolment;
mod laws;
mod sandbox;
#[path = "../support/mod.rs"]
mod support;

use aquabills::actions::account_view::Whose;
use aquabills::actions::autopay::enrol::{Enrolment, begin};
use aquabills::actions::autopay::view::{AutopayView, autopay_view};
use aquabills::actions::autopay::{Counts, run_due};
use aquabills::actions::inbox::settle;
use aquabills::actions::notices::{NoticeFilter, list};
use aquabills::actions::stop::Stop;
use aquabills::domain::money::Money;
use chrono::{TimeDelta, TimeZone, Utc};
use support::fake_autopay::{Fake, Made};
use support::{TARIFF, Town};

/// A town of so many customers with addresses, and a provider. The bill of `A1` for May is 47.50.
pub(crate) fn peopled(mut town: Town, count: usize) -> (Town, Fake) {
    town.tariff(TARIFF).expect("the tariff is accepted");
    let row = |n: usize| format!("A{n},S{n},HOME,M{n},4,Person {n},p{n}@town.example");
    let rows: Vec<String> = (1..=count).map(row).collect();
    let header = "customer_id,service_id,rate_class,meter_id,register_digits,name,email";
    assert_eq!(town.services(&format!("{header}\n{}\n", rows.join("\n"))).expect("the services are read").refused, 0);
    for n in 1..=count {
        town.reads(&[&format!("M{n},2026-05-01,100"), &format!("M{n},2026-06-01,115")]);
    }
    town.configure(|config| config.mail.staff = vec!["desk@utility.example".to_owned()]);
    let fake = Fake::join(&mut town.context);
    (town, fake)
}

/// Enrols an account with a limit, all the way.
pub(crate) fn enrol(town: &Town, fake: &Fake, account: &str, limit: Option<&str>) {
    let token = begin_enrolment(town, account, limit, &format!("form-{account}-{}", town.context.now()));
    fake.customers_save("Visa ending 4242");
    wait(town, 60);
    run(town);
    assert!(!token.is_empty());
    assert_eq!(view(town, account).mandate.expect("a mandate").state.as_str(), "active");
}

/// Begins to enrol.
pub(crate) fn begin_enrolment(town: &Town, account: &str, limit: Option<&str>, form_key: &str) -> String {
    let wish = Enrolment {
        account: account.to_owned(),
        whose: Whose::Anybody,
        login: None,
        limit: limit.map(|limit| limit.parse::<Money>().expect("an amount")),
        form_key: form_key.to_owned(),
    };
    begin(&town.context, &wish).expect("it is begun")
}

/// One round of the job.
pub(crate) fn run(town: &Town) -> Counts {
    run_due(&town.context, &Stop::default()).expect("a round of the job")
}

/// Applies what waits.
pub(crate) fn apply(town: &Town) {
    settle(&town.context, true, &Stop::default()).expect("the inbox is settled");
}

pub(crate) fn view(town: &Town, account: &str) -> AutopayView {
    autopay_view(&town.context, account, Whose::Anybody).expect("the account is there")
}

/// `state amount` of each draw of an account, oldest first; the amount is what was drawn, or announced.
pub(crate) fn draws(town: &Town, account: &str) -> Vec<String> {
    let mut draws = view(town, account).draws;
    draws.reverse();
    draws.iter().map(|draw| format!("{} {}", draw.state, Money::from_cents(draw.drawn_cents.unwrap_or(draw.amount_cents)))).collect()
}

/// The kinds of notices to a customer about autopay, refunds and corrections, oldest first.
pub(crate) fn told(town: &Town, account: &str) -> Vec<String> {
    let filter = NoticeFilter { account: Some(account.to_owned()), ..NoticeFilter::default() };
    let mut all = list(&town.context, &filter, None, 1_000).expect("the notices are listed");
    all.reverse();
    all.iter().map(|notice| notice.kind.as_str().to_owned()).filter(|kind| kind.starts_with("autopay")).collect()
}

/// Puts the clock to noon of a day.
pub(crate) fn on(town: &Town, day: &str) {
    let noon = support::day(day).and_hms_opt(12, 0, 0).expect("noon");
    town.context.clock.set(Utc.from_utc_datetime(&noon));
}

/// Moves the clock on by seconds.
pub(crate) fn wait(town: &Town, seconds: i64) {
    town.context.clock.set(Utc.from_utc_datetime(&town.context.now()) + TimeDelta::seconds(seconds));
}

/// The only draw that the provider made.
pub(crate) fn only(fake: &Fake) -> Made {
    let draws = fake.draws();
    assert_eq!(draws.len(), 1, "{draws:?}");
    draws[0].clone()
}
