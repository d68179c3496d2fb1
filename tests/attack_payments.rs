//! Payments under attack: contradictions, races, clocks, dates and amounts that no honest provider sends. Whatever comes, money
//! is in the ledger of the right account, or waits where a person sees it, and no account is billed while something waits.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

#[path = "inbox/provider.rs"]
#[allow(dead_code, reason = "these stories deliver to two providers of the kind")]
mod paper;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aquabills::actions::bill_run::{RunOptions, continue_run, roll_back_run};
use aquabills::actions::inbox::{Inbox, ReceiveError, Settled, receive, settle};
use aquabills::actions::ledger_hash::{NetRow, net_ledger};
use aquabills::actions::payments::return_payment;
use aquabills::actions::refunds::{RefundWish, refund_payment};
use aquabills::actions::stop::Stop;
use aquabills::actions::{ActionError, Context};
use aquabills::clock::Clock;
use aquabills::config::{ProviderKind, ProviderSettings, Secret};
use aquabills::db::provider_payments::{self, NewCheckout, NewProviderPayment};
use aquabills::db::{Backend, customers, operations};
use aquabills::domain::ids::{AccountId, RunId, ToDoId};
use aquabills::domain::money::Money;
use aquabills::domain::payments::{Fact, story};
use aquabills::providers::stripe::Stripe;
use aquabills::providers::{
    BalanceMovement, CheckoutOrder, CheckoutSession, Draw, Glimpse, ListedEvent, Page, PaymentProvider, Payout, ProviderBook, ProviderError,
    RefundOrder, SignatureError,
};
use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use hmac::{Hmac, KeyInit, Mac};
use paper::{DAY, NOON, Paper, dispute, payment, refund};
use serde_json::{Value, json};
use sha2::Sha256;
use support::{Town, on_both};

/// It understands no event at all.
const BLIND: &str = "blind";

/// A provider that speaks as [`Paper`] does under a name of its own, and sets our clock back when an event asks for it.
struct Hostile {
    name: &'static str,
    merchant: &'static str,
    clock: Clock,
    looks: AtomicUsize,
    /// An event that this version of it does not understand.
    forgets: &'static str,
}

impl PaymentProvider for Hostile {
    fn name(&self) -> &str {
        self.name
    }
    fn merchant(&self) -> &str {
        self.merchant
    }
    fn verify(&self, body: &[u8], header: Option<&str>, now: i64) -> Result<(), SignatureError> {
        Paper.verify(body, header, now)
    }
    fn read(&self, body: &[u8]) -> Result<Fact, String> {
        let said: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if said["what"] == "an hour back" {
            assert!(self.looks.fetch_add(1, Ordering::SeqCst) < 20, "one event is tried over and over");
            self.clock.set((self.clock.now() - TimeDelta::hours(1)).and_utc());
        }
        if self.forgets == BLIND || said["id"] == self.forgets { Err("it is not understood".to_owned()) } else { Paper.read(body) }
    }
    fn glimpse(&self, body: &[u8]) -> Glimpse {
        let said: Value = serde_json::from_slice(body).unwrap_or_default();
        if self.forgets == BLIND {
            return Glimpse::default();
        }
        let text = |name: &str| said[name].as_str().map(str::to_owned);
        Glimpse {
            event_id: text("id"),
            event_type: text("what"),
            occurred_at: said["at"].as_i64(),
            payment_ref: text("payment"),
            token: text("token"),
        }
    }
    fn start_checkout(&self, order: &CheckoutOrder) -> Result<CheckoutSession, ProviderError> {
        Paper.start_checkout(order)
    }
    fn checkout(&self, session: &str) -> Result<CheckoutSession, ProviderError> {
        Paper.checkout(session)
    }
    fn draw(&self, draw: &Draw) -> Result<String, ProviderError> {
        Paper.draw(draw)
    }
    fn refund(&self, order: &RefundOrder) -> Result<String, ProviderError> {
        Paper.refund(order)
    }
    fn events(&self, since: i64, after: Option<&str>) -> Result<Page<ListedEvent>, ProviderError> {
        Paper.events(since, after)
    }
    fn movements(&self, from: i64, to: i64, after: Option<&str>) -> Result<Page<BalanceMovement>, ProviderError> {
        Paper.movements(from, to, after)
    }
    fn payout_movements(&self, payout: &str, after: Option<&str>) -> Result<Page<BalanceMovement>, ProviderError> {
        Paper.payout_movements(payout, after)
    }
    fn payouts(&self, from: i64, to: i64, after: Option<&str>) -> Result<Page<Payout>, ProviderError> {
        Paper.payouts(from, to, after)
    }
}

/// Accounts `A1` to `A{count}`, each with two months of reads (30.00 each), and two providers, `first` and `second`.
fn town(mut town: Town, count: usize) -> Town {
    let provider = |name, merchant| -> Arc<dyn PaymentProvider> {
        Arc::new(Hostile { name, merchant, clock: town.context.clock.clone(), looks: AtomicUsize::new(0), forgets: "" })
    };
    town.context.providers = ProviderBook::new(vec![provider("first", "utility"), provider("second", "elsewhere")]);
    let rows: Vec<String> = (1..=count).map(|n| format!("A{n},S{n},HOME,M{n}")).collect();
    town.with_services(&rows.iter().map(String::as_str).collect::<Vec<_>>())
}

fn reads(town: &Town, count: usize) {
    let rows: Vec<String> =
        (1..=count).flat_map(|n| [("04", 100), ("05", 110), ("06", 120)].map(|(month, shown)| format!("M{n},2026-{month}-01,{shown}"))).collect();
    assert_eq!(town.reads(&rows.iter().map(String::as_str).collect::<Vec<_>>()).refused, 0);
}

fn account(context: &Context, number: &str) -> AccountId {
    context.database.read(|conn| customers::account_by_number(conn, number)).expect("a read").expect("the account").id
}

/// An attempt at the first provider, of the token `token-{name}`.
fn attempt(town: &Town, name: &str, parts: &[(&str, i64)]) {
    let context = &town.context;
    let now = context.now();
    let parts: Vec<(AccountId, i64)> = parts.iter().map(|(number, cents)| (account(context, number), *cents)).collect();
    let amount_cents = parts.iter().map(|(_, cents)| cents).sum();
    let checkout = NewCheckout {
        token: format!("token-{name}"),
        form_key: format!("form-{name}"),
        provider: "first".to_owned(),
        merchant: "utility".to_owned(),
        purpose: "pay".to_owned(),
        amount_cents,
        login_id: None,
        status: "created".to_owned(),
        created_at: now,
        updated_at: now,
    };
    let begun: Result<(), ActionError> = context.database.write(|conn| {
        let id = provider_payments::insert_checkout(conn, &checkout, &parts)?;
        let new = NewProviderPayment {
            provider: "first".to_owned(),
            merchant: "utility".to_owned(),
            provider_ref: None,
            checkout_id: Some(id),
            state: "created".to_owned(),
            amount_cents,
            currency: "USD".to_owned(),
            tender: "card".to_owned(),
            made_on: context.today(),
            trace_id: format!("{name:0>32}"),
            created_at: now,
            updated_at: now,
        };
        let payment = provider_payments::insert(conn, &new)?;
        provider_payments::set_parts(conn, payment, &parts)?;
        Ok(())
    });
    begun.expect("the attempt is stored");
}

fn deliver(town: &Town, event: &Value) {
    deliver_to(town, "first", event);
}

fn deliver_to(town: &Town, provider: &str, event: &Value) {
    receive(&town.context, provider, event.to_string().as_bytes(), Some("signed")).expect("the event is taken");
}

fn settle_all(town: &Town) -> Settled {
    settle(&town.context, true, &Stop::default()).expect("the inbox is settled")
}

/// The same event with other fields.
fn with(event: &Value, fields: &Value) -> Value {
    let mut event = event.clone();
    for (name, value) in fields.as_object().expect("fields") {
        event[name.as_str()] = value.clone();
    }
    event
}

fn balances<const N: usize>(town: &Town, accounts: [&str; N]) -> [String; N] {
    accounts.map(|account| town.balance(account))
}

fn net(town: &Town, account: &str) -> Vec<NetRow> {
    net_ledger(&town.context, account).expect("the net ledger")
}

/// What open work items about money for nobody say it is, in cents.
fn waiting_cents(town: &Town) -> Vec<Option<i64>> {
    let all = town.context.database.read(|conn| operations::open_todos(conn, ToDoId(0), 1000)).expect("the work items");
    all.iter().filter(|item| item.kind == "unapplied_credit").map(|item| item.amount_cents).collect()
}

fn sql(town: &Town, text: &str) {
    town.context.database.write(|conn| conn.batch_execute(text).map_err(ActionError::from)).expect("the statement is right");
}

fn counted(town: &Town, query: &str) -> String {
    town.context.database.read(|conn| Ok::<_, ActionError>(support::lines(conn, query))).expect("a read").concat()
}

/// A refund that we ask for, of one account's share of a payment: the account is charged. Returns our name of it.
fn our_refund(town: &Town, payment: &str, number: &str, cents: i64) -> String {
    let wish = RefundWish {
        account: number.to_owned(),
        payment: payment.to_owned(),
        amount: Money::from_cents(cents),
        reference: format!("back-{number}"),
        note: "asked for".to_owned(),
    };
    let charged = refund_payment(&town.context, &wish).expect("the account is charged");
    let id = account(&town.context, number);
    let rows = town.context.database.read(|conn| provider_payments::refunds_at(conn, id, &[charged.account_seq])).expect("a read");
    rows.first().expect("the refund").token.clone()
}

fn priced(town: &Town, through: &str) -> RunId {
    town.try_bill(through, false, None).expect("the run is priced").run_id.expect("a run")
}

fn approved(town: &Town, run: RunId, override_gates: Option<&str>) -> Result<i64, ActionError> {
    let options = RunOptions { override_gates: override_gates.map(str::to_owned), ..RunOptions::approving_all(town.context.today(), &|_, _, _| {}) };
    continue_run(&town.context, run, &options, &Stop::default()).map(|report| report.totals.bills)
}

on_both! {
    // Two servers apply two payments of one attempt at the same moment: both came, neither is taken for the other.
    fn two_payments_of_one_attempt_both_count(start: Town) {
        let town = town(start, 12);
        for number in 1..=12 {
            let name = format!("x{number}");
            attempt(&town, &name, &[(&format!("A{number}"), 5000)]);
            for which in ["a", "b"] {
                let event = payment(&name, which, 0, "succeeded", 5000);
                deliver(&town, &with(&event, &json!({"payment": format!("{name}{which}")})));
            }
        }
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| settle_all(&town));
            }
        });
        for number in 1..=12 {
            assert_eq!(town.balance(&format!("A{number}")), "-100.00", "A{number}");
        }
        town.assert_sound();
    }

    // A payment whose events name two attempts belongs to the one that its oldest event names, whichever came first.
    fn contradicting_attempts_end_in_one_ledger(start: Town) {
        let town = town(start, 4);
        for (name, accounts, order) in [("p", ["A1", "A2"], [0, 1]), ("q", ["A3", "A4"], [1, 0])] {
            attempt(&town, &format!("{name}1"), &[(accounts[0], 5000)]);
            attempt(&town, &format!("{name}2"), &[(accounts[1], 5000)]);
            let events = [
                with(&payment(name, "1", 0, "succeeded", 5000), &json!({"token": format!("token-{name}1")})),
                with(&payment(name, "2", 60, "succeeded", 5000), &json!({"token": format!("token-{name}2")})),
            ];
            for event in order {
                deliver(&town, &events[event]);
                settle_all(&town);
            }
        }
        assert_eq!(balances(&town, ["A1", "A2", "A3", "A4"]), ["-50.00", "0.00", "-50.00", "0.00"]);
        town.assert_sound();
    }

    // One reference at two providers is two payments; a token of ours means nothing at another provider than its own.
    fn providers_are_kept_apart(start: Town) {
        let town = town(start, 2);
        attempt(&town, "p", &[("A1", 5000)]);
        deliver_to(&town, "second", &payment("p", "1", 0, "succeeded", 7000));
        settle_all(&town);
        assert_eq!((town.balance("A1").as_str(), waiting_cents(&town)), ("0.00", vec![Some(7000)]));
        deliver(&town, &payment("p", "1", 0, "succeeded", 5000));
        // The counter and a file may use the same reference, too.
        town.pay("A2", "9.00", "p");
        assert_eq!(town.payments(&["A2,8.00,2026-06-10,p"]).refused, 0);
        settle_all(&town);
        assert_eq!((town.balance("A1").as_str(), town.balance("A2").as_str(), waiting_cents(&town)), ("-50.00", "-17.00", vec![Some(7000)]));
        town.assert_sound();
    }

    // An event that says something new to us is about somebody all the same: the account is not billed while it waits, and what
    // else is known of the payment does not make it disappear.
    fn nobody_is_billed_while_an_unreadable_event_waits(start: Town) {
        let town = town(start, 3);
        reads(&town, 3);
        attempt(&town, "p", &[("A1", 5000)]);
        attempt(&town, "q", &[("A2", 5000)]);
        deliver(&town, &with(&payment("p", "1", 0, "succeeded", 5000), &json!({"what": "a new thing"})));
        deliver(&town, &payment("q", "1", 0, "submitted", 5000));
        deliver(&town, &json!({"id": "odd", "at": NOON, "payment": "q", "what": "a new thing"}));
        settle_all(&town);
        let report = town.bill("2026-05-01");
        assert_eq!((report.totals.billed, report.totals.held), (1, 2));
        // Two more events of the same payment, which can be read, leave the odd one waiting.
        deliver(&town, &payment("q", "2", 60, "succeeded", 5000));
        settle_all(&town);
        assert_eq!(town.balance("A2"), "-50.00");
        let report = town.bill("2026-06-01");
        assert_eq!((report.totals.billed, report.totals.held), (1, 2));
        town.assert_sound();
    }

    // A version of the program that does not understand an event which another one applied leaves its money in the ledger.
    fn what_was_applied_is_never_forgotten(start: Town) {
        let mut town = town(start, 1);
        attempt(&town, "p", &[("A1", 5000)]);
        deliver(&town, &payment("p", "1", 0, "succeeded", 5000));
        settle_all(&town);
        let understanding = town.context.providers.clone();
        let clock = town.context.clock.clone();
        let other = Hostile { name: "first", merchant: "utility", clock, looks: AtomicUsize::new(0), forgets: "p-1" };
        town.context.providers = ProviderBook::new(vec![Arc::new(other)]);
        deliver(&town, &refund("p", "r", "2", DAY, 1000, true));
        assert_eq!((settle_all(&town).failed, town.balance("A1").as_str()), (1, "-50.00"));
        town.context.providers = understanding;
        assert_eq!((settle_all(&town).applied, town.balance("A1").as_str()), (1, "-40.00"));
        town.assert_sound();
    }

    // An event that could not be read when it came is told with all others once it can be.
    fn an_event_that_is_understood_later_is_told_with_the_others(start: Town) {
        let mut town = town(start, 1);
        attempt(&town, "p", &[("A1", 5000)]);
        let understanding = town.context.providers.clone();
        let clock = town.context.clock.clone();
        let blind = Hostile { name: "first", merchant: "utility", clock, looks: AtomicUsize::new(0), forgets: BLIND };
        town.context.providers = ProviderBook::new(vec![Arc::new(blind)]);
        deliver(&town, &payment("p", "1", 0, "succeeded", 5000));
        assert_eq!(settle_all(&town).failed, 1);
        town.context.providers = understanding;
        settle_all(&town);
        assert_eq!(town.balance("A1"), "-50.00");
        deliver(&town, &refund("p", "r", "2", DAY, 1000, true));
        settle_all(&town);
        assert_eq!(town.balance("A1"), "-40.00");
        town.assert_sound();
    }

    // What nobody can post waits with its reason, stops nobody else, and holds its account until the provider says better.
    fn impossible_amounts_and_dates_are_never_posted(start: Town) {
        let odd = [
            json!({"amount": i64::MAX}), json!({"amount": 100_000_000_000_001_i64}), json!({"made_at": i64::MAX}), json!({"made_at": i64::MIN}),
            json!({"made_at": 253_402_300_800_i64}), json!({"made_at": 8_210_266_876_799_i64}), json!({"made_at": -2_300_000_000_i64}),
        ];
        let count = odd.len();
        let town = town(start, count + 1);
        reads(&town, count + 1);
        for (number, fields) in (1..).zip(&odd) {
            let name = format!("p{number}");
            attempt(&town, &name, &[(&format!("A{number}"), 5000)]);
            deliver(&town, &with(&payment(&name, "1", 0, "succeeded", 5000), fields));
        }
        let last = format!("A{}", count + 1);
        attempt(&town, "good", &[(&last, 5000)]);
        deliver(&town, &payment("good", "1", 0, "succeeded", 5000));
        let settled = settle_all(&town);
        assert_eq!((settled.applied, settled.failed), (1, u64::try_from(count).unwrap()));
        let report = town.bill("2026-05-01");
        assert_eq!((report.totals.billed, report.totals.held), (1, i64::try_from(count).unwrap()));
        for number in 1..=count {
            assert_eq!(town.balance(&format!("A{number}")), "0.00", "{}", odd[number - 1]);
            deliver(&town, &payment(&format!("p{number}"), "2", 60, "succeeded", 5000));
        }
        assert_eq!(settle_all(&town).failed, 0);
        town.bill("2026-05-01");
        for number in 1..=count {
            assert_eq!(town.balance(&format!("A{number}")), "-20.00", "{}", odd[number - 1]);
        }
        town.assert_sound();
    }

    // Amounts that are none move nothing, and nothing goes back that never came.
    fn nothing_and_less_than_nothing_move_nothing(start: Town) {
        let town = town(start, 2);
        attempt(&town, "p", &[("A1", 5000)]);
        for (id, cents) in [("1", 0), ("2", -5000), ("3", i64::MIN + 1)] {
            deliver(&town, &payment("p", id, id.parse().unwrap(), "succeeded", cents));
            settle_all(&town);
            assert_eq!(town.balance("A1"), "0.00", "{cents}");
        }
        attempt(&town, "q", &[("A2", 5000)]);
        deliver(&town, &payment("q", "1", 0, "succeeded", 5000));
        deliver(&town, &refund("q", "negative", "2", DAY, -700, true));
        deliver(&town, &dispute("q", "3", DAY, -700, true, false));
        settle_all(&town);
        assert_eq!(town.balance("A2"), "-50.00");
        // Far more than came: the customer owes again what they paid, and not a cent more.
        deliver(&town, &refund("q", "huge", "4", DAY, 99_999_999, true));
        settle_all(&town);
        assert_eq!(town.balance("A2"), "0.00");
        town.assert_sound();
    }

    // A return that the provider dates before the payment is one return, however many events follow.
    fn a_return_before_its_payment_is_told_once(start: Town) {
        let town = town(start, 1);
        attempt(&town, "p", &[("A1", 5000)]);
        deliver(&town, &payment("p", "1", 0, "succeeded", 5000));
        deliver(&town, &with(&dispute("p", "2", 60, 5000, true, false), &json!({"made_at": NOON - 9 * DAY})));
        settle_all(&town);
        let rows = town.ledger_rows();
        for id in 3..9 {
            deliver(&town, &payment("p", &id.to_string(), id, "succeeded", 5000));
            settle_all(&town);
        }
        assert_eq!(town.ledger_rows(), rows);
        assert_eq!(town.balance("A1"), "0.00");
    }

    // Several disputes, one won, one lost, and a refund beside them: in any order one ledger.
    fn disputes_and_refunds_together(start: Town) {
        let town = town(start, 6);
        let events = |name: &str| {
            let second = |event: Value| with(&event, &json!({"dispute": format!("other-{name}"), "made_at": NOON + 3 * DAY}));
            [
                payment(name, "1", 0, "succeeded", 5000),
                dispute(name, "2", 100, 5000, true, false),
                refund(name, "refund", "3", 150, 1000, true),
                dispute(name, "4", 200, 5000, true, true),
                second(dispute(name, "5", 300, 5000, true, false)),
                second(dispute(name, "6", 400, 3000, true, false)),
            ]
        };
        let orders = [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [1, 0, 4, 3, 5, 2], [4, 0, 1, 3, 2, 5], [2, 5, 0, 1, 3, 4], [3, 1, 5, 4, 0, 2]];
        for (number, order) in (1..).zip(orders) {
            let name = format!("p{number}");
            attempt(&town, &name, &[(&format!("A{number}"), 5000)]);
            for index in order {
                deliver(&town, &events(&name)[index]);
                settle_all(&town);
            }
            // 50.00 came, 10.00 was refunded, 30.00 is lost to the second dispute.
            assert_eq!(town.balance(&format!("A{number}")), "-10.00", "{order:?}");
            let plain = |account: &str, name: &str| -> Vec<NetRow> {
                let row = |row: NetRow| NetRow { account: String::new(), business: row.business.replace(name, "P"), ..row };
                net(&town, account).into_iter().map(row).collect()
            };
            assert_eq!(plain(&format!("A{number}"), &name), plain("A1", "p1"), "{order:?}");
        }
        town.assert_sound();
    }

    // One payment for three accounts: corrected to less and to more, refunded by us for one of them and elsewhere beside it.
    // Each account carries what is its own.
    fn shares_follow_every_correction(start: Town) {
        let town = town(start, 3);
        attempt(&town, "p", &[("A1", 3000), ("A2", 2000), ("A3", 1000)]);
        let all = ["A1", "A2", "A3"];
        for (id, cents, expected) in [
            (1, 6000, ["-30.00", "-20.00", "-10.00"]),
            (2, 4500, ["-30.00", "-15.00", "0.00"]),
            (3, 1000, ["-10.00", "0.00", "0.00"]),
            (4, 7000, ["-40.00", "-20.00", "-10.00"]),
            (5, 6000, ["-30.00", "-20.00", "-10.00"]),
        ] {
            deliver(&town, &payment("p", &id.to_string(), id, "succeeded", cents));
            settle_all(&town);
            assert_eq!(balances(&town, all), expected, "{cents}");
        }
        // We give the second its 20.00 back; the provider's own desk gives 30.00 of the payment back: the first's.
        let ours = our_refund(&town, "p", "A2", 2000);
        deliver(&town, &with(&refund("p", "ours", "6", DAY, 2000, true), &json!({"our_token": ours})));
        deliver(&town, &refund("p", "theirs", "7", DAY, 3000, true));
        settle_all(&town);
        assert_eq!(balances(&town, all), ["0.00", "0.00", "-10.00"]);
        // A refund under a name that we never gave is not in the ledger: it is posted like any other.
        deliver(&town, &with(&refund("p", "strange", "8", DAY, 400, true), &json!({"our_token": "not-ours"})));
        settle_all(&town);
        assert_eq!(balances(&town, all), ["0.00", "0.00", "-6.00"]);
        town.assert_sound();
    }

    // Money for nobody waits as much as is left of it.
    fn money_that_waits_is_what_was_kept(start: Town) {
        let town = town(start, 1);
        deliver(&town, &with(&payment("p", "1", 0, "succeeded", 700), &json!({"token": null})));
        settle_all(&town);
        assert_eq!(waiting_cents(&town), [Some(700)]);
        deliver(&town, &refund("p", "a", "2", DAY, 300, true));
        settle_all(&town);
        assert_eq!(waiting_cents(&town), [Some(400)]);
        deliver(&town, &refund("p", "b", "3", DAY, 400, true));
        settle_all(&town);
        assert_eq!(waiting_cents(&town), []);
        // One of them did not arrive.
        deliver(&town, &refund("p", "b", "4", 2 * DAY, 400, false));
        settle_all(&town);
        assert_eq!(waiting_cents(&town), [Some(400)]);
    }

    // What a provider tells of its own payment is not entered by hand: the next event would take it back.
    fn a_providers_payment_is_not_returned_by_hand(start: Town) {
        let town = town(start, 2);
        attempt(&town, "p", &[("A1", 3000), ("A2", 2000)]);
        deliver(&town, &payment("p", "1", 0, "succeeded", 5000));
        settle_all(&town);
        let refused = return_payment(&town.context, "first", "p", town.context.today(), "bounced").expect_err("it is refused").to_string();
        assert!(refused.contains("first") && refused.contains("refund it there"), "{refused}");
        assert_eq!(balances(&town, ["A1", "A2"]), ["-30.00", "-20.00"]);
        town.pay("A1", "1.00", "p");
        return_payment(&town.context, "counter", "p", town.context.today(), "bounced").expect("the counter's is returned");
        assert_eq!(balances(&town, ["A1", "A2"]), ["-30.00", "-20.00"]);
        town.assert_sound();
    }

    // A clock that is set back while the inbox is settled: each event that fails is tried once, and the others are applied.
    fn a_clock_set_back_does_not_hang_the_inbox(start: Town) {
        let town = town(start, 1);
        attempt(&town, "p", &[("A1", 5000)]);
        // Stored while it could not be read; every look at it takes the clock back.
        deliver(&town, &json!({"id": "odd", "at": NOON, "payment": "other", "what": "an hour back"}));
        deliver(&town, &payment("p", "1", 0, "succeeded", 5000));
        let settled = settle_all(&town);
        assert_eq!((settled.applied, settled.failed), (1, 1));
    }

    // An event that was stored by a machine whose clock is ahead is applied before a bill, not after it.
    fn an_event_from_a_faster_clock_is_settled_before_a_bill(start: Town) {
        let town = town(start, 1);
        reads(&town, 1);
        attempt(&town, "p", &[("A1", 5000)]);
        let now = town.context.clock.now();
        town.context.clock.set((now + TimeDelta::minutes(4)).and_utc());
        deliver(&town, &payment("p", "1", 0, "succeeded", 5000));
        town.context.clock.set(now.and_utc());
        assert_eq!(town.bill("2026-05-01").totals.billed, 1);
        assert_eq!(town.balance("A1"), "-20.00");
        town.assert_sound();
    }

    // What came between pricing and approval and cannot be applied: the account is not billed over it unseen.
    fn a_run_is_not_approved_over_a_payment_that_waits(start: Town) {
        let town = town(start, 2);
        reads(&town, 2);
        attempt(&town, "p", &[("A1", 5000)]);
        let run = priced(&town, "2026-05-01");
        deliver(&town, &with(&payment("p", "1", 0, "succeeded", 5000), &json!({"currency": "EUR"})));
        let refused = approved(&town, run, None).expect_err("it is refused").to_string();
        assert!(refused.contains("account A1: the event p-1 of first"), "{refused}");
        assert_eq!(balances(&town, ["A1", "A2"]), ["0.00", "0.00"]);
        // Put right, it goes on, and the bill deducts it.
        deliver(&town, &payment("p", "2", 60, "succeeded", 5000));
        assert_eq!(approved(&town, run, None).expect("it is issued"), 2);
        assert_eq!(balances(&town, ["A1", "A2"]), ["-20.00", "30.00"]);
        // A person may say that it is all right.
        let run = priced(&town, "2026-06-01");
        deliver(&town, &with(&payment("p", "3", 120, "succeeded", 5000), &json!({"currency": "EUR"})));
        assert!(approved(&town, run, None).is_err());
        assert_eq!(approved(&town, run, Some("the provider was asked")).expect("it is issued"), 2);
        town.assert_sound();
    }

    // A run whose bill deducted a payment that was corrected afterwards is taken back, and made again with what is true now.
    fn a_run_is_taken_back_after_a_correction(start: Town) {
        let town = town(start, 1);
        reads(&town, 1);
        attempt(&town, "p", &[("A1", 5000)]);
        deliver(&town, &payment("p", "1", 0, "succeeded", 5000));
        let run = town.bill("2026-05-01").run_id.expect("a run");
        assert_eq!(town.balance("A1"), "-20.00");
        deliver(&town, &payment("p", "2", 60, "succeeded", 4500));
        deliver(&town, &dispute("p", "3", DAY, 4500, true, false));
        settle_all(&town);
        assert_eq!(town.balance("A1"), "30.00");
        roll_back_run(&town.context, run, "a wrong payment", |_, _| {}).expect("it is taken back");
        assert_eq!(town.balance("A1"), "0.00");
        deliver(&town, &dispute("p", "4", 2 * DAY, 4500, true, true));
        town.bill("2026-06-01");
        // Two periods of 30.00, less the 45.00 that stands after all.
        assert_eq!(town.balance("A1"), "15.00");
        town.assert_sound();
    }

    // More events of one payment than anybody sends: it waits for a person, and everybody else is served.
    fn a_storm_of_one_payment_starves_nobody(start: Town) {
        let town = town(start, 2);
        attempt(&town, "p", &[("A1", 5000)]);
        attempt(&town, "q", &[("A2", 5000)]);
        let inbox = Inbox::start(&town.context).expect("the inbox");
        std::thread::scope(|scope| {
            for thread in 0..16 {
                let (inbox, town) = (&inbox, &town);
                scope.spawn(move || {
                    for number in (0..2_016).filter(|number| number % 16 == thread) {
                        let event = payment("p", &number.to_string(), number, "succeeded", 5000).to_string();
                        inbox.receive(&town.context, "first", event.as_bytes(), Some("signed")).expect("it is stored");
                    }
                });
            }
        });
        deliver(&town, &payment("q", "1", 0, "succeeded", 5000));
        let settled = settle_all(&town);
        assert_eq!((settled.applied, settled.failed), (1, 2_016));
        assert_eq!(balances(&town, ["A1", "A2"]), ["0.00", "-50.00"]);
        let told = counted(&town, "SELECT CAST(count(*) AS TEXT) AS line FROM provider_event WHERE status = 'failed' AND error LIKE '%a person must look%'");
        assert_eq!(told, "2016");
    }

    // While the disk is full nobody is told that an event is kept; afterwards the same door takes it.
    fn nothing_is_acknowledged_that_is_not_committed(start: Town) {
        let town = town(start, 1);
        attempt(&town, "p", &[("A1", 5000)]);
        let inbox = Inbox::start(&town.context).expect("the inbox");
        let event = payment("p", "1", 0, "succeeded", 5000).to_string();
        let (plant, mend) = match town.context.database.backend() {
            Backend::Sqlite => (
                "CREATE TRIGGER broken BEFORE INSERT ON provider_event BEGIN SELECT RAISE(ABORT, 'planted: the disk is full'); END;".to_owned(),
                "DROP TRIGGER broken;".to_owned(),
            ),
            Backend::Postgres => (
                "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted: the disk is full'; END $$; \
                 CREATE TRIGGER broken BEFORE INSERT ON provider_event FOR EACH STATEMENT EXECUTE FUNCTION broken();".to_owned(),
                "DROP TRIGGER broken ON provider_event;".to_owned(),
            ),
        };
        sql(&town, &plant);
        let refused = inbox.receive(&town.context, "first", event.as_bytes(), Some("signed"));
        assert!(matches!(refused, Err(ReceiveError::Failed(_))), "{refused:?}");
        sql(&town, &mend);
        let taken = inbox.receive(&town.context, "first", event.as_bytes(), Some("signed")).expect("it is taken");
        assert!(!taken.known);
        settle_all(&town);
        assert_eq!(town.balance("A1"), "-50.00");
    }

    // Two that settle, payments at the counter, corrections and a bill run, all at once: no deadlock is left over, nothing is
    // lost, and every bill is right.
    fn everything_at_once(start: Town) {
        let town = town(start, 10);
        reads(&town, 10);
        for number in 1..=10 {
            let other = number % 10 + 1;
            attempt(&town, &format!("p{number}"), &[(&format!("A{number}"), 3000), (&format!("A{other}"), 2000)]);
        }
        std::thread::scope(|scope| {
            let town = &town;
            for part in 0..2_i64 {
                scope.spawn(move || {
                    for step in (0..6_i64).filter(|step| step % 2 == part) {
                        for number in 1..=10 {
                            let cents = if step == 5 { 5000 } else { 4000 + 100 * step };
                            deliver(town, &payment(&format!("p{number}"), &step.to_string(), step, "succeeded", cents));
                        }
                    }
                });
                scope.spawn(move || {
                    for _ in 0..12 {
                        settle_all(town);
                    }
                });
            }
            scope.spawn(move || {
                for number in 1..=10 {
                    town.pay(&format!("A{number}"), "1.00", &format!("till-{number}"));
                }
            });
            scope.spawn(move || {
                for through in ["2026-05-01", "2026-06-01"] {
                    town.try_bill(through, true, None).expect("the run goes through");
                }
            });
        });
        settle_all(&town);
        town.bill("2026-06-01");
        for number in 1..=10 {
            // Two bills of 30.00, 30.00 and 20.00 from two payments, 1.00 at the counter.
            assert_eq!(town.balance(&format!("A{number}")), "9.00", "A{number}");
        }
        assert_eq!(counted(&town, "SELECT CAST(count(*) AS TEXT) AS line FROM provider_event WHERE status <> 'applied'"), "0");
        town.assert_sound();
    }

    // A signed event of Stripe with letters that no database keeps, or that says something new: it is kept with its names.
    fn odd_letters_of_stripe_are_kept(start: Town) {
        let mut town = town(start, 1);
        let settings = ProviderSettings {
            name: "first".to_owned(),
            kind: ProviderKind::Stripe,
            merchant: "utility".to_owned(),
            webhook_secrets: vec![Secret::new("whsec")],
            secret_key: Some(Secret::new("sk_test")),
            ..ProviderSettings::default()
        };
        town.context.providers = ProviderBook::new(vec![Arc::new(Stripe::open(&settings))]);
        attempt(&town, "p", &[("A1", 5000)]);
        let at = town.context.now().and_utc().timestamp();
        let intent = |id: &str, status: &str, token: &str| {
            json!({"id": id, "object": "event", "type": "payment_intent.succeeded", "created": NOON, "data": {"object": {"id": "pi_1",
                "object": "payment_intent", "status": status, "amount": 5000, "amount_received": 5000, "currency": "usd", "created": NOON,
                "last_payment_error": {"message": "no\u{0} money"}, "metadata": {"token": token}}}})
        };
        let send = |event: &Value| {
            let body = event.to_string();
            let mac = Hmac::<Sha256>::new_from_slice(b"whsec").unwrap().chain_update(format!("{at}.")).chain_update(&body);
            let header = format!("t={at},v1={}", data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes()));
            receive(&town.context, "first", body.as_bytes(), Some(&header)).map(|_| ()).map_err(|error| error.to_string())
        };
        send(&with(&intent("evt_1", "succeeded", ""), &json!({"type": "payment_\u{0}intent"}))).expect("odd type");
        send(&intent("evt_2", "succeeded", "to\u{0}ken")).expect("odd token");
        send(&intent("evt_3", "requires_payment_method", "token-p")).expect("odd reason");
        send(&intent("evt_4", "something_new", "token-p")).expect("odd state");
        settle_all(&town);
        let seen = "SELECT event_id || ' ' || status || ' ' || coalesce(payment_ref, '-') || ' ' || coalesce(token, '-') || '; ' AS line \
                    FROM provider_event ORDER BY event_id";
        assert_eq!(
            counted(&town, seen),
            "evt_1 failed pi_1 -; evt_2 applied pi_1 -; evt_3 applied pi_1 token-p; evt_4 failed pi_1 token-p; "
        );
        assert_eq!(town.balance("A1"), "-50.00");
    }
}

/// The names under which payments come that no provider brings are no provider's.
#[test]
fn no_provider_takes_the_counters_name() {
    for name in ["counter", "file", "bank"] {
        let text = format!("[[providers]]\nname = \"{name}\"\nmerchant = \"utility\"\n");
        let refused = aquabills::config::Config::parse(&text).expect_err("it is refused");
        assert!(refused.contains("another name"), "{refused}");
    }
}

/// A date that no calendar has is told, and is no day of the books.
#[test]
fn a_story_outside_the_calendar_is_refused() {
    let day = |seconds: i64| chrono::DateTime::from_timestamp(seconds, 0).unwrap_or_default().date_naive();
    let fact =
        |made_at: i64| Paper.read(with(&payment("p", "1", 0, "succeeded", 100), &json!({ "made_at": made_at })).to_string().as_bytes()).unwrap();
    assert_eq!(story(&[fact(NOON)], &day).check(), Ok(()));
    assert!(story(&[fact(-9_000_000_000)], &day).check().is_err_and(|fault| fault.contains("1900 to 9999")));
}
