//! Paying online over real HTTP: the application, a sandbox provider beside it, and what each party sees when forms come
//! twice, callbacks early, late or never, and the provider is down.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use aquabills::actions::ActionError;
use aquabills::actions::inbox::{keep_listed, settle};
use aquabills::actions::moves::{MoveOut, move_out};
use aquabills::actions::stop::Stop;
use aquabills::config::{ProviderSettings, Secret};
use aquabills::domain::roles::Role;
use aquabills::providers;
use aquabills::sandbox::{Options, Running, Sandbox};
use chrono::TimeDelta;
use data_encoding::HEXLOWER;
use diesel::RunQueryDsl;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use support::http::{Answer, Browser, Served, encoded};
use support::moves::reading;
use support::pages::{field, follow, open, says};
use support::{Town, day, lines, on_both};

const SECRET: &str = "whsec_of_this_story";

/// A town in which people pay online: Ada has two accounts, Bob one; everybody owes something.
struct Paying {
    town: Town,
    served: Served,
    _sandbox: Running,
    /// Speaks with the sandbox.
    desk: Browser,
}

fn people(town: &mut Town) {
    town.tariff(support::TARIFF).expect("the tariff is accepted");
    let services = "customer_id,service_id,rate_class,meter_id,register_digits,name,email,address\n\
                    A1,S1,HOME,M1,4,Ada Lovelace,ada@example.org,\"12 Mill Street, Millbrook 95900\"\n\
                    A2,S2,HOME,M2,4,Ada Lovelace,ada@example.org,\"1200 Mill Street, Millbrook 95901-0007\"\n\
                    B1,S3,HOME,M3,4,Bob Babbage,bob@example.org,\"3 Weir Lane, Millbrook 95900\"\n";
    assert_eq!(town.services(services).expect("the services are read").refused, 0);
    town.reads(&["M1,2026-05-01,100", "M1,2026-06-01,115", "M2,2026-05-01,0", "M2,2026-06-01,10", "M3,2026-05-01,0", "M3,2026-06-01,20"]);
    town.bill("2026-06-01");
    // Ada has two accounts.
    let sql = "UPDATE account SET person_id = (SELECT person_id FROM account WHERE number = 'A1') WHERE number = 'A2'";
    town.context.database.write(|conn| diesel::sql_query(sql).execute(conn).map_err(ActionError::from)).expect("the account is hers");
}

fn begin(town: Town) -> Paying {
    begin_with(town, ProviderSettings::default().least_amount_cents)
}

/// The same with a provider that is believed to take so little.
fn begin_with(mut town: Town, least_amount_cents: u32) -> Paying {
    people(&mut town);
    let options = Options {
        listen: "127.0.0.1:0".to_owned(),
        key: "sk_of_this_story".to_owned(),
        webhook_secret: SECRET.to_owned(),
        clock: town.context.clock.clone(),
        seed: Some(7),
        first_pause: Duration::from_millis(20),
        ..Options::default()
    };
    let sandbox = Sandbox::start(options).expect("the sandbox starts");
    let settings = ProviderSettings {
        merchant: "acct_story".to_owned(),
        base_url: sandbox.address().to_owned(),
        secret_key: Some(Secret::new("sk_of_this_story")),
        webhook_secrets: vec![Secret::new(SECRET)],
        timeout_ms: 3_000,
        least_amount_cents,
        ..ProviderSettings::default()
    };
    town.context.providers = providers::open(&[settings]);
    let served = Served::new(&mut town);
    let host = sandbox.address().trim_start_matches("http://").to_owned();
    let desk = Browser { host, ..served.browser() };
    let mut paying = Paying { town, served, _sandbox: sandbox, desk };
    let door = format!("[\"http://{}/callbacks/stripe\"]", paying.served.host);
    paying.put("/sandbox/endpoints", &door);
    paying
}

impl Paying {
    fn put(&mut self, path: &str, json: &str) {
        self.desk.extra = vec![("Content-Length".to_owned(), json.len().to_string())];
        let answer = self.desk.send("PUT", path, json);
        self.desk.extra.clear();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }

    fn faults(&mut self, json: &str) {
        self.put("/sandbox/faults", json);
    }

    /// Lets the customer act on the sandbox's page of a session, without the browser.
    fn at_provider(&mut self, session: &str, action: &str) -> Answer {
        self.desk.post(&format!("/sandbox/sessions/{session}/{action}"), "")
    }

    fn act(&mut self, payment: &str, action: &str, json: &str) {
        let answer = self.desk.post(&format!("/sandbox/payments/{payment}/{action}"), json);
        assert_eq!(answer.status, 200, "{action}: {}", answer.body);
    }

    /// The sandbox's payments, newest first.
    fn payments(&mut self) -> Vec<Value> {
        serde_json::from_str(&self.desk.get("/sandbox/payments").body).expect("JSON")
    }

    /// Waits until every callback was delivered, and applies what is in the inbox.
    fn settled(&mut self) {
        self.delivered();
        self.settle();
    }

    fn settle(&self) {
        let settled = settle(&self.town.context, true, &Stop::default()).expect("the inbox is settled");
        assert_eq!(settled.failed, 0);
    }

    fn delivered(&mut self) {
        for _ in 0..1_000 {
            let said: Value = serde_json::from_str(&self.desk.get("/sandbox/deliveries?limit=1").body).expect("JSON");
            if said["counts"]["pending"] == 0 {
                assert_eq!(said["counts"]["given_up"], 0);
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("callbacks are still on their way");
    }

    fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT CAST(count(*) AS TEXT) AS line FROM {table}");
        let found = self.town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, &sql)));
        found.expect("a count")[0].parse().expect("a number")
    }

    /// Some seconds go by.
    fn later(&self, seconds: i64) {
        let clock = &self.town.context.clock;
        clock.set((clock.now() + TimeDelta::seconds(seconds)).and_utc());
    }
}

/// Ada chooses these amounts on the page: returns where the form leads.
fn choose(ada: &mut Browser, amounts: &[(&str, &str)]) -> Answer {
    let page = open(ada, "/pay");
    sent(ada, &page, amounts)
}

/// Ada begins to pay for one account: the page of her payment, and the sandbox's session.
fn begun(ada: &mut Browser, amount: &str) -> (String, String) {
    let answer = choose(ada, &[("A1", amount)]);
    opened(ada, &answer)
}

/// Fills in the form of `/pay`.
fn sent(browser: &mut Browser, page: &Answer, amounts: &[(&str, &str)]) -> Answer {
    let mut fields: BTreeMap<String, String> = BTreeMap::from([("key".to_owned(), field(page, "key"))]);
    for at in 1..=25 {
        let name = format!("account-{at}");
        if !page.body.contains(&format!("name=\"{name}\"")) {
            break;
        }
        let number = field(page, &name);
        if let Some((_, amount)) = amounts.iter().find(|(account, _)| *account == number) {
            fields.insert(format!("pay-{at}"), "yes".to_owned());
            fields.insert(format!("amount-{at}"), (*amount).to_owned());
        }
        fields.insert(name, number);
    }
    let pairs: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    browser.post_form(page, "/pay", &pairs)
}

/// Follows a form to the page that leads on to the provider: the payment's own address, and the provider's session.
fn opened(browser: &mut Browser, answer: &Answer) -> (String, String) {
    let page = follow(browser, answer);
    let (_, rest) = page.body.split_once("http-equiv=\"refresh\" content=\"0; url=").unwrap_or_else(|| panic!("it leads nowhere: {}", page.body));
    let url = rest.split('"').next().expect("an end");
    let session = url.rsplit('/').next().expect("a name").to_owned();
    (answer.location().trim_end_matches("/provider").to_owned(), session)
}

/// What a page says, without markup.
fn heading(page: &Answer) -> String {
    let (_, rest) = page.body.split_once("<h1>").unwrap_or_else(|| panic!("no heading: {}", page.body));
    rest.split('<').next().expect("an end").to_owned()
}

on_both! {
    fn a_customer_pays_and_sees_received_then_posted_and_the_next_bill_deducts_it(town: Town) {
        let mut paying = begin(town);
        let mut ada = paying.served.customer("ada@example.org");
        says(&open(&mut ada, "/account/A1"), "href=\"/pay?account=A1\"");
        let page = open(&mut ada, "/pay?account=A1");
        assert_eq!(field(&page, "amount-1"), "47.50", "what is due is filled in: 10.00 + 10 × 2.00 + 5 × 3.50");
        let answer = sent(&mut ada, &page, &[("A1", "$40.00")]);
        let (mine, session) = opened(&mut ada, &answer);
        assert_eq!(heading(&open(&mut ada, &mine)), "Your payment is not finished");
        paying.later(5);
        let waiting = open(&mut ada, &format!("{mine}?back=done"));
        assert!(!waiting.body.contains("You did not finish?"), "its word may be on its way: {}", waiting.body);
        paying.later(5);
        says(&open(&mut ada, &format!("{mine}?wait=6")), "You did not finish?");
        says(&open(&mut ada, &format!("{mine}?back=unpaid")), "You came back without paying, and nothing was charged");
        paying.later(5);
        assert_eq!(paying.at_provider(&session, "card").status, 200);
        paying.delivered();
        let waiting = open(&mut ada, &format!("{mine}?back=done"));
        assert_eq!(heading(&waiting), "Payment received, not yet posted");
        assert_eq!(waiting.header("refresh"), format!("2; url={mine}?wait=1"));
        says(&open(&mut ada, "/account/A1"), "<strong class=\"nowrap\">$40.00</strong> is on its way");
        says(&open(&mut paying.served.staff(Role::Clerk), "/staff/accounts/A1"), "On its way, not yet deducted");
        assert_eq!(field(&open(&mut ada, "/pay?account=A1"), "amount-1"), "7.50", "what is on its way is not paid again");
        assert_eq!(paying.town.balance("A1"), "47.50", "what the provider says moves no balance");
        paying.settle();
        let posted = open(&mut ada, &format!("{mine}?wait=1"));
        assert_eq!((heading(&posted).as_str(), posted.header("refresh")), ("Paid, thank you", ""));
        says(&posted, "the balance is now <strong class=\"money\">$7.50</strong>");
        assert!(!open(&mut ada, "/account/A1").body.contains("is on its way"));
        paying.town.reads(&["M1,2026-06-15,116"]);
        paying.town.bill("2026-06-15");
        let bill = open(&mut ada, "/bills/00002-0000001");
        says(&bill, "Deducted: payment of <span class=\"nowrap\">$40.00</span> on");
        assert_eq!(paying.town.balance("A1"), "19.50");
        paying.town.assert_sound();
    }

    fn a_form_sent_twice_is_one_payment(town: Town) {
        let mut paying = begin(town);
        let ada = paying.served.customer("ada@example.org");
        let page = open(&mut ada.clone(), "/pay");
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let hands: Vec<_> = (0..6).map(|_| scope.spawn(|| sent(&mut ada.clone(), &page, &[("A1", "12.00")]))).collect();
            hands.into_iter().map(|hand| hand.join().expect("an answer")).collect()
        });
        assert!(answers.iter().all(|answer| answer.status == 303 && answer.location() == answers[0].location()), "{answers:?}");
        assert_eq!((paying.count("checkout"), paying.count("provider_payment")), (1, 1));
        let (_, session) = opened(&mut ada.clone(), &answers[0]);
        assert_eq!(paying.at_provider(&session, "card").status, 200);
        assert_ne!(paying.at_provider(&session, "card").status, 200, "a session is paid once");
        paying.settled();
        assert_eq!(paying.payments().len(), 1);
        // Back in the browser, and sent again: it is paid, and says so.
        let again = sent(&mut ada.clone(), &page, &[("A1", "12.00")]);
        assert_eq!(again.location(), answers[0].location());
        let shown = ada.clone().get(again.location());
        assert_eq!(heading(&open(&mut ada.clone(), shown.location())), "Paid, thank you");
        // The same page with another amount is another payment.
        assert_ne!(sent(&mut ada.clone(), &page, &[("A1", "13.00")]).location(), answers[0].location());
        assert_eq!(paying.town.balance("A1"), "35.50");
    }

    fn a_provider_that_is_down_is_said_and_tried_again(town: Town) {
        let mut paying = begin(town);
        let mut ada = paying.served.customer("ada@example.org");
        for outage in ["error", "drop"] {
            paying.faults(&format!("{{\"outage\": \"{outage}\"}}"));
            let answer = choose(&mut ada, &[("A1", "20.00")]);
            let on = ada.get(answer.location());
            assert_eq!(on.status, 303, "there is no page of the provider to lead to: {}", on.body);
            let page = open(&mut ada, on.location());
            assert_eq!(heading(&page), "The payment could not be begun");
            let still = ada.post_form(&page, on.location(), &[]);
            let still = ada.get(still.location());
            assert_eq!(heading(&open(&mut ada, still.location())), "The payment could not be begun");
            paying.faults("{}");
            let again = ada.post_form(&page, on.location(), &[]);
            let (mine, session) = opened(&mut ada, &again);
            assert_eq!(mine, on.location(), "it is the same payment");
            assert_eq!(paying.at_provider(&session, "card").status, 200);
        }
        paying.settled();
        assert_eq!(paying.payments().len(), 2);
        assert_eq!((paying.town.balance("A1"), paying.count("checkout")), ("7.50".to_owned(), 2));
        // The answer is lost, the session is not: the same key finds it again.
        paying.faults("{\"outage\": \"lost_answer\", \"outage_calls\": 1}");
        let answer = choose(&mut ada, &[("A1", "7.50")]);
        let on = ada.get(answer.location());
        let page = open(&mut ada, on.location());
        assert_eq!(heading(&page), "The payment could not be begun");
        let again = ada.post_form(&page, on.location(), &[]);
        opened(&mut ada, &again);
        paying.town.assert_sound();
    }

    fn what_the_provider_would_refuse_is_not_begun(town: Town) {
        let paying = begin(town);
        let mut ada = paying.served.customer("ada@example.org");
        let answer = choose(&mut ada, &[("A1", "0.49")]);
        assert_eq!(answer.status, 422);
        says(&answer, "Expected at least $0.50, the least that can be paid online");
        let answer = choose(&mut ada, &[("A1", "0.10"), ("A2", "0.10")]);
        assert_eq!(answer.status, 422);
        says(&answer, "Together: expected at least $0.50");
        assert_eq!(choose(&mut ada, &[("A1", "0.25"), ("A2", "0.25")]).status, 303, "together it is enough");
        says(&choose(&mut ada, &[("A1", "10047.51")]), "Expected at most $10,047.50: the balance and $10,000.00 in advance");
        says(&choose(&mut ada, &[("A1", "12,50")]), "Please use a point for cents: 12.50");
        assert_eq!(paying.count("checkout"), 1);
    }

    fn what_a_provider_refuses_is_told_in_its_words(town: Town) {
        let paying = begin_with(town, 1);
        let mut ada = paying.served.customer("ada@example.org");
        let answer = choose(&mut ada, &[("A1", "0.30")]);
        let on = ada.get(answer.location());
        let page = open(&mut ada, on.location());
        assert_eq!(heading(&page), "The payment did not go through");
        says(&page, "Amount must be at least");
        says(&page, "Nothing was paid");
        let begun = paying.town.context.database.read(|conn| Ok::<_, diesel::result::Error>(lines(conn, "SELECT state || ' ' || reason AS line FROM provider_payment")));
        assert!(begun.expect("a payment")[0].starts_with("failed Amount must be"), "it is kept why");
        assert_eq!(paying.town.balance("A1"), "47.50");
    }

    fn a_declined_card_can_be_followed_by_another(town: Town) {
        let mut paying = begin(town);
        let mut ada = paying.served.customer("ada@example.org");
        let (mine, session) = begun(&mut ada, "20.00");
        assert_eq!(paying.at_provider(&session, "declined").status, 402);
        paying.settled();
        let page = open(&mut ada, &format!("{mine}?back=unpaid"));
        assert_eq!(heading(&page), "The payment was declined");
        says(&page, "Your card was declined");
        paying.later(5);
        assert_eq!(paying.at_provider(&session, "card").status, 200);
        assert_eq!(heading(&open(&mut ada, &format!("{mine}?back=done"))), "Payment received, not yet posted");
        paying.settled();
        assert_eq!(heading(&open(&mut ada, &mine)), "Paid, thank you");
        assert_eq!(paying.town.balance("A1"), "27.50");
    }

    fn callbacks_come_late_early_or_never(town: Town) {
        let mut paying = begin(town);
        let mut ada = paying.served.customer("ada@example.org");
        // Late: the customer is back before them.
        paying.faults("{\"hold\": true}");
        let (late, session) = begun(&mut ada, "10.00");
        paying.later(5);
        assert_eq!(paying.at_provider(&session, "card").status, 200);
        let page = open(&mut ada, &format!("{late}?back=done"));
        assert_eq!((heading(&page).as_str(), paying.count("provider_event")), ("Payment received, not yet posted", 0), "the provider was asked");
        says(&open(&mut ada, "/account/A1"), "$10.00</strong> is on its way");
        assert_eq!(paying.town.balance("A1"), "47.50", "its answer moves no balance");
        paying.faults("{}");
        paying.desk.post("/sandbox/release", "{}");
        paying.settled();
        assert_eq!(heading(&open(&mut ada, &late)), "Paid, thank you");
        // Early: all is posted when the customer comes back.
        let (early, session) = begun(&mut ada, "11.00");
        assert_eq!(paying.at_provider(&session, "card").status, 200);
        paying.settled();
        assert_eq!(heading(&open(&mut ada, &format!("{early}?back=done"))), "Paid, thank you");
        // Never: the page goes on saying what is known, and the provider's list brings it.
        paying.faults("{\"lose_next\": 50}");
        let (lost, session) = begun(&mut ada, "12.00");
        paying.later(5);
        assert_eq!(paying.at_provider(&session, "card").status, 200);
        for wait in ["?back=done", "?wait=10", "?wait=30", ""] {
            paying.later(5);
            let page = open(&mut ada, &format!("{lost}{wait}"));
            assert_eq!(heading(&page), "Payment received, not yet posted");
            assert_eq!(page.header("refresh").is_empty(), wait == "?wait=30", "{wait}: looking again has an end");
        }
        let provider = paying.town.context.providers.first().expect("a provider");
        let listed = provider.events(0, None).expect("the provider's list");
        let new = listed.items.iter().filter(|event| keep_listed(&paying.town.context, provider.as_ref(), event).expect("it is kept"));
        assert!(new.count() >= 2, "what was lost is in the list");
        paying.settle();
        assert_eq!(heading(&open(&mut ada, &lost)), "Paid, thank you");
        assert_eq!(paying.town.balance("A1"), "14.50");
        paying.town.assert_sound();
    }

    fn two_accounts_are_paid_together(town: Town) {
        let mut paying = begin(town);
        let mut ada = paying.served.customer("ada@example.org");
        let answer = choose(&mut ada, &[("A1", "47.50"), ("A2", "35.00")]);
        let (mine, session) = opened(&mut ada, &answer);
        assert_eq!(paying.at_provider(&session, "card").status, 200);
        paying.settled();
        let page = open(&mut ada, &mine);
        says(&page, "$82.50");
        says(&page, "$0.00");
        says(&page, "−$5.00\u{a0}credit");
        assert_eq!((paying.town.balance("A1"), paying.town.balance("A2")), ("0.00".to_owned(), "-5.00".to_owned()));
        assert_eq!(paying.payments().len(), 1);
        // Whoever only has the address sees no number and no balance.
        let page = open(&mut paying.served.browser(), &mine);
        says(&page, "ending in 1");
        assert!(!page.body.contains("A1<") && !page.body.contains("credit") && !page.body.contains("Ada"), "{}", page.body);
        paying.town.assert_sound();
    }

    fn two_tabs_are_two_payments_and_the_second_is_left_over(town: Town) {
        let mut paying = begin(town);
        let mut ada = paying.served.customer("ada@example.org");
        let (one, other) = (begun(&mut ada, "47.50"), begun(&mut ada, "47.50"));
        assert_ne!(one.0, other.0);
        assert_eq!(paying.at_provider(&one.1, "card").status, 200);
        assert_eq!(paying.at_provider(&other.1, "bank").status, 200);
        paying.settled();
        assert_eq!(heading(&open(&mut ada, &other.0)), "Your payment is on its way");
        says(&open(&mut ada, "/account/A1"), "is on its way from your bank");
        let payment = paying.payments()[0]["payment"].as_str().expect("a name").to_owned();
        paying.act(&payment, "settle", "{}");
        paying.settled();
        assert_eq!(heading(&open(&mut ada, &other.0)), "Paid, thank you");
        assert_eq!(paying.town.balance("A1"), "-47.50");
        says(&open(&mut ada, "/account/A1"), "It will be taken off your next bill");
        paying.town.assert_sound();
    }

    fn corrections_and_returns_are_told_in_words(town: Town) {
        let mut paying = begin(town);
        let mut ada = paying.served.customer("ada@example.org");
        let mut clerk = paying.served.staff(Role::Clerk);
        let (mine, session) = begun(&mut ada, "20.00");
        assert_eq!(paying.at_provider(&session, "card").status, 200);
        paying.settled();
        let payment = paying.payments()[0]["payment"].as_str().expect("a name").to_owned();
        paying.later(60);
        paying.act(&payment, "correct", "{\"amount\": 1500}");
        paying.settled();
        assert_eq!(paying.town.balance("A1"), "32.50");
        says(&open(&mut ada, "/account/A1"), "Correction of the payment of 15\u{a0}Jun\u{a0}2026");
        says(&open(&mut ada, "/account/A1"), "corrected later");
        says(&open(&mut clerk, "/staff/accounts/A1"), "Correction of a payment");
        paying.later(60);
        paying.act(&payment, "dispute", "{}");
        paying.settled();
        assert_eq!(paying.town.balance("A1"), "47.50");
        assert_eq!(heading(&open(&mut ada, &mine)), "This payment went back");
        says(&open(&mut ada, "/account/A1"), "Returned payment of 15\u{a0}Jun\u{a0}2026");
        paying.later(60);
        paying.act(&payment, "win", "{}");
        paying.settled();
        assert_eq!(paying.town.balance("A1"), "32.50");
        says(&open(&mut ada, "/account/A1"), "Return of the payment of 15\u{a0}Jun\u{a0}2026 taken back: it counts");
        says(&open(&mut clerk, "/staff/accounts/A1"), "Return taken back");
        let page = open(&mut ada, &mine);
        assert_eq!(heading(&page), "Paid, thank you");
        says(&page, "You began to pay <span class=\"money\">$20.00</span>; the payment provider says that it was <strong class=\"money\">$15.00</strong>");
        assert!(!page.body.contains(">$20.00</td>"), "what it was for is what came: {}", page.body);
        paying.later(60);
        paying.act(&payment, "refund", "{\"amount\": 500}");
        paying.settled();
        assert_eq!(paying.town.balance("A1"), "37.50");
        let mut stranger = paying.served.browser();
        for browser in [&mut ada, &mut stranger] {
            let page = open(browser, &mine);
            assert_eq!(heading(&page), "Paid, and money went back");
            says(&page, "<strong class=\"money\">$5.00</strong> of it was given back on <time datetime=\"2026-06-15\">");
            says(&page, "What went back is owed again if it was due; <strong class=\"money\">$10.00</strong> counts");
            assert!(!page.body.contains("The next bill deducts it"), "{}", page.body);
        }
        says(&open(&mut ada, &mine), "the balance is now <strong class=\"money\">$37.50</strong>");
        says(&open(&mut ada, "/account/A1"), "$15.00</span> on <time datetime=\"2026-06-15\">15 Jun 2026</time>; <strong>$5.00 of it went back to you</strong>");
        paying.later(60);
        paying.act(&payment, "refund", "{\"amount\": 1000}");
        paying.settled();
        says(&open(&mut stranger, &mine), "<strong class=\"money\">$0.00</strong> counts");
        says(&open(&mut ada, "/account/A1"), "<strong>all of it went back to you</strong>");
        assert_eq!(paying.town.balance("A1"), "47.50");
        says(&open(&mut ada, "/account/A1"), "Refund of a payment");
        says(&open(&mut clerk, "/staff/accounts/A1"), "given back through the provider");
        paying.town.assert_sound();
    }
}

on_both! {
    fn a_guest_pays_with_number_and_postcode(town: Town) {
        let mut paying = begin(town);
        let mut guest = paying.served.browser();
        says(&open(&mut guest, "/sign-in"), "href=\"/pay/guest\"");
        let page = open(&mut guest, "/pay/guest");
        let found = guest.post_form(&page, "/pay/guest", &[("number", " A2 "), ("postcode", "95901")]);
        assert_eq!(found.status, 200, "{}", found.body);
        says(&found, "Amount due: <strong class=\"money\">$30.00</strong>");
        assert!(!found.body.contains("Ada") && !found.body.contains("Mill Street"), "nothing personal: {}", found.body);
        let fields = [("number", "A2"), ("postcode", "95901"), ("key", &field(&found, "key")), ("amount", "25")];
        let answer = guest.post_form(&found, "/pay/guest/amount", &fields);
        assert_eq!(guest.post_form(&found, "/pay/guest/amount", &fields).location(), answer.location(), "sent twice is one payment");
        let (mine, session) = opened(&mut guest, &answer);
        assert_eq!(paying.at_provider(&session, "card").status, 200);
        paying.settled();
        let page = open(&mut guest, &mine);
        assert_eq!(heading(&page), "Paid, thank you");
        says(&page, "ending in 2");
        assert!(!page.body.contains("$5.00") && !page.body.contains("Balance now"), "no balance: {}", page.body);
        assert_eq!(paying.town.balance("A2"), "5.00");
        // Ada, signed in, sees the same page in full.
        says(&open(&mut paying.served.customer("ada@example.org"), &mine), "href=\"/account/A2\"");
    }

    fn a_guest_is_not_held_back_by_looking_and_writes_the_number_as_they_like(town: Town) {
        let paying = begin(town);
        let mut guest = paying.served.browser();
        let page = open(&mut guest, "/pay/guest");
        let look = |guest: &mut Browser, number: &str| guest.post_form(&page, "/pay/guest", &[("number", number), ("postcode", "95900")]);
        for number in ["a1", "A 1", "a-1", " A1 "] {
            says(&look(&mut guest, number), "<strong class=\"money\">$47.50</strong>");
        }
        for _ in 0..60 {
            assert_eq!(look(&mut guest, "A1").status, 200, "who is right is never held back");
        }
        // However it is written, it is one account that is guessed at.
        let wrong = |guest: &mut Browser, number: &str| guest.post_form(&page, "/pay/guest", &[("number", number), ("postcode", "95909")]).status;
        let answers: Vec<u16> = ["B1", "b1", "b 1", "B-1", "b-1", "B1"].map(|number| wrong(&mut guest, number)).to_vec();
        assert_eq!(answers, [422, 422, 422, 422, 422, 429]);
    }

    fn who_moved_out_pays_the_final_bill_with_the_old_postcode(town: Town) {
        let paying = begin(town);
        let readings = vec![reading("M3", 25)];
        let leaving = MoveOut { account: "B1".into(), service: "S3".into(), on: day("2026-06-10"), readings, mailing_address: None, note: "gone".into() };
        move_out(&paying.town.context, &leaving).expect("Bob moves out");
        paying.town.bill("2026-06-10");
        let mut guest = paying.served.browser();
        let page = open(&mut guest, "/pay/guest");
        let found = guest.post_form(&page, "/pay/guest", &[("number", "B1"), ("postcode", "95900")]);
        assert_eq!(found.status, 200, "{}", found.body);
        says(&found, &format!("${}", paying.town.balance("B1")));
    }

    fn a_wrong_pair_does_not_tell_which_part_is_wrong_and_guesses_come_to_an_end(town: Town) {
        let paying = begin(town);
        let mut guest = paying.served.browser();
        let mut told = Vec::new();
        for (number, postcode) in [("A1", "95901"), ("Z9", "95900"), ("A1", ""), ("A1", "12"), ("A2", "1200"), ("", "95900"), ("a1' OR 1=1", "95900")] {
            let page = open(&mut guest, "/pay/guest");
            let answer = guest.post_form(&page, "/pay/guest", &[("number", number), ("postcode", postcode)]);
            assert_eq!(answer.status, 422, "{number} {postcode}");
            let (_, said) = answer.body.split_once("role=\"alert\"").expect("an alert");
            told.push(said.split("</div>").next().expect("an end").to_owned());
        }
        told.dedup();
        assert_eq!(told.len(), 1, "{told:?}");
        let page = open(&mut guest, "/pay/guest");
        let guess = |guest: &mut Browser, postcode: &str| guest.post_form(&page, "/pay/guest", &[("number", "B1"), ("postcode", postcode)]).status;
        let answers: Vec<u16> = (0..8).map(|at| guess(&mut guest, &format!("9590{at}9"))).collect();
        assert_eq!(answers, [422, 422, 422, 422, 422, 429, 429, 429]);
        assert_eq!(guess(&mut guest, "95900"), 429, "the right one is not looked at either");
        paying.later(16 * 60);
        assert_eq!(guess(&mut guest, "95900"), 200);
    }

    fn hostile_amounts_and_accounts_are_refused_and_change_nothing(town: Town) {
        let paying = begin(town);
        let mut ada = paying.served.customer("ada@example.org");
        for amount in ["0", "0.00", "-5", "1.005", "1e3", "NaN", "99999999999999999999", "1000000.00", "10047.51", "", "5,5"] {
            let answer = choose(&mut ada, &[("A1", amount)]);
            assert_eq!(answer.status, 422, "{amount}: {}", answer.body);
            says(&answer, "aria-invalid=\"true\"");
        }
        assert_eq!(choose(&mut ada, &[]).status, 422, "nothing chosen");
        let page = open(&mut ada, "/pay");
        let key = field(&page, "key");
        let mut post = |fields: &[(&str, &str)]| ada.post_form(&page, "/pay", fields).status;
        assert_eq!(post(&[("key", &key), ("account-1", "B1"), ("pay-1", "yes"), ("amount-1", "5")]), 404, "another's account");
        assert_eq!(post(&[("key", &key), ("account-1", "Z9"), ("pay-1", "yes"), ("amount-1", "5")]), 404, "nobody's account");
        assert_eq!(post(&[("key", "x"), ("account-1", "A1"), ("pay-1", "yes"), ("amount-1", "5")]), 422, "no key of ours");
        let twice = [("key", key.as_str()), ("account-1", "A1"), ("pay-1", "yes"), ("amount-1", "5"), ("account-2", "A1"), ("pay-2", "yes"), ("amount-2", "5")];
        assert_eq!(post(&twice), 422, "one account twice");
        let mut guest = paying.served.browser();
        let page = open(&mut guest, "/pay/guest");
        for amount in ["0", "-1", "1.001", "1000000"] {
            let fields = [("number", "A1"), ("postcode", "95900"), ("key", key.as_str()), ("amount", amount)];
            let csrf = page.csrf("/pay/guest");
            let fields: Vec<(&str, &str)> = fields.into_iter().chain([("csrf", csrf.as_str())]).collect();
            let answer = guest.post("/pay/guest/amount", &encoded(&fields));
            assert_eq!(answer.status, 422, "{amount}: {}", answer.body);
        }
        assert_eq!((paying.count("checkout"), paying.count("provider_payment"), paying.town.balance("A1")), (0, 0, "47.50".to_owned()));
    }

    fn without_a_provider_nothing_of_it_shows(town: Town) {
        let mut town = town;
        people(&mut town);
        let served = Served::new(&mut town);
        let (mut ada, mut guest) = (served.customer("ada@example.org"), served.browser());
        for path in ["/account", "/account/A1", "/bills/00001-0000001"] {
            assert!(!ada.get(path).body.contains("/pay"), "{path}");
        }
        for path in ["/", "/sign-in"] {
            assert!(!guest.get(path).body.contains("/pay"), "{path}");
        }
        assert_eq!([ada.get("/pay").status, guest.get("/pay/guest").status, guest.get("/pay/x").status], [404, 404, 404]);
        assert_eq!(guest.post("/callbacks/stripe", "{}").status, 404);
    }
}

/// A signature as Stripe's scheme has it.
fn signed(secret: &str, at: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key will do");
    mac.update(format!("{at}.{body}").as_bytes());
    format!("t={at},v1={}", HEXLOWER.encode(&mac.finalize().into_bytes()))
}

on_both! {
    fn what_the_provider_did_not_sign_is_turned_away(town: Town) {
        let paying = begin(town);
        let now = paying.town.context.now().and_utc().timestamp();
        let body = "{\"id\": \"evt_1\", \"object\": \"event\", \"type\": \"charge.updated\", \"created\": 1}";
        let post = |path: &str, body: &str, signature: Option<String>| {
            let mut caller = paying.served.browser();
            caller.origin = Some(String::new());
            caller.extra = signature.into_iter().map(|signature| ("Stripe-Signature".to_owned(), signature)).collect();
            caller.post(path, body)
        };
        let wrong = [
            None,
            Some(String::new()),
            Some("t=1".to_owned()),
            Some(signed("whsec_of_another", now, body)),
            Some(signed(SECRET, now - 301, body)),
            Some(signed(SECRET, now + 301, body)),
            Some(signed(SECRET, now, "{}")),
            Some("x".repeat(5_000)),
        ];
        let mut told = Vec::new();
        for signature in wrong {
            let answer = post("/callbacks/stripe", body, signature.clone());
            assert_eq!(answer.status, 400, "{signature:?}: {}", answer.body);
            told.push(answer.body);
        }
        told.dedup();
        assert_eq!(told, ["{\"error\":\"the signature is not accepted\"}"], "a forger learns nothing");
        let large = "x".repeat(256 * 1024 + 1);
        assert_eq!(post("/callbacks/stripe", &large, Some(signed(SECRET, now, &large))).status, 413);
        assert_eq!(post("/callbacks/nobody", body, Some(signed(SECRET, now, body))).status, 404);
        let get = paying.served.browser().get("/callbacks/stripe");
        assert!([404, 405].contains(&get.status), "{}", get.status);
        assert_eq!(paying.count("provider_event"), 0);
        // What is signed is taken, twice as once, with no session and no token; what cannot be read waits for a person.
        let most = format!("{{\"id\": \"evt_2\", \"pad\": \"{}\"}}", "x".repeat(200 * 1024));
        for body in [body, body, &most] {
            let answer = post("/callbacks/stripe", body, Some(signed(SECRET, now, body)));
            assert_eq!((answer.status, answer.body.as_str()), (200, "{\"received\":true}"));
            assert_eq!(answer.header("set-cookie"), "");
        }
        assert_eq!(paying.count("provider_event"), 2);
    }
}
