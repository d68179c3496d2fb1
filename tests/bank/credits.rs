//! Money of a payment provider that fits no account: given to one, or dismissed.

use std::sync::Arc;

use aquabills::actions::bank::credits::{assign, dismiss, waiting};
use aquabills::actions::bank::decide::Share;
use aquabills::actions::inbox::{receive, settle};
use aquabills::actions::stop::Stop;
use aquabills::domain::ids::UnappliedCreditId;
use aquabills::domain::money::Money;
use aquabills::domain::payments::{Fact, PaymentFact, PaymentState, What};
use aquabills::providers::{
    BalanceMovement, CheckoutOrder, CheckoutSession, Draw, ListedEvent, Page, PaymentProvider, Payout, ProviderBook, ProviderError, RefundOrder,
    SignatureError,
};

use super::support::{Town, on_both};

/// A provider that says what it is told to: `REFERENCE CENTS`.
struct Teller;

impl PaymentProvider for Teller {
    fn name(&self) -> &'static str {
        "teller"
    }
    fn merchant(&self) -> &'static str {
        "acct_1"
    }
    fn start_checkout(&self, _: &CheckoutOrder) -> Result<CheckoutSession, ProviderError> {
        unreachable!("nothing is ordered")
    }
    fn checkout(&self, _: &str) -> Result<CheckoutSession, ProviderError> {
        unreachable!("nothing is ordered")
    }
    fn draw(&self, _: &Draw) -> Result<String, ProviderError> {
        unreachable!("nothing is drawn")
    }
    fn refund(&self, _: &RefundOrder) -> Result<String, ProviderError> {
        unreachable!("nothing is refunded")
    }
    fn events(&self, _: i64, _: Option<&str>) -> Result<Page<ListedEvent>, ProviderError> {
        unreachable!("nothing is listed")
    }
    fn movements(&self, _: i64, _: i64, _: Option<&str>) -> Result<Page<BalanceMovement>, ProviderError> {
        unreachable!("nothing is listed")
    }
    fn payout_movements(&self, _: &str, _: Option<&str>) -> Result<Page<BalanceMovement>, ProviderError> {
        unreachable!("nothing is listed")
    }
    fn payouts(&self, _: i64, _: i64, _: Option<&str>) -> Result<Page<Payout>, ProviderError> {
        unreachable!("nothing is listed")
    }
    fn verify(&self, _: &[u8], _: Option<&str>, _: i64) -> Result<(), SignatureError> {
        Ok(())
    }
    fn read(&self, body: &[u8]) -> Result<Fact, String> {
        let text = String::from_utf8_lossy(body);
        let (reference, cents) = text.split_once(' ').ok_or("two words")?;
        let what = What::Payment(PaymentFact {
            state: PaymentState::Succeeded,
            amount: Money::from_cents(cents.parse().map_err(|_| "cents")?),
            currency: "USD".to_owned(),
            made_at: 1_781_000_000,
            from_bank: false,
            reason: None,
        });
        Ok(Fact {
            event_id: format!("evt-{text}"),
            event_type: "payment".to_owned(),
            occurred_at: 1_781_000_000,
            payment_ref: Some(reference.to_owned()),
            token: None,
            what,
        })
    }
}

fn share(account: &str, amount: Option<&str>) -> Share {
    Share { account: account.to_owned(), amount: amount.map(|amount| amount.parse().expect("an amount")) }
}

/// A town in which 60.00 came through the provider for nobody.
fn with_money_for_nobody(town: Town) -> Town {
    let mut town = crate::town(town);
    town.context.providers = ProviderBook::new(vec![Arc::new(Teller)]);
    arrives(&town, "pi_1 6000");
    town
}

fn arrives(town: &Town, body: &str) {
    receive(&town.context, "teller", body.as_bytes(), None).expect("the event is stored");
    let settled = settle(&town.context, true, &Stop::default()).expect("the inbox is settled");
    assert_eq!((settled.applied, settled.failed), (1, 0));
}

on_both! {
    fn money_for_nobody_is_given_to_an_account(town: Town) {
        let town = with_money_for_nobody(town);
        let credits = waiting(&town.context, UnappliedCreditId(0), 10).expect("what waits is read");
        let [credit] = credits.as_slice() else { panic!("{credits:?}") };
        let listed: serde_json::Value = serde_json::from_str(&crate::support::stdout(&town.program(&["bank", "credits", "list", "--json"]))).expect("JSON");
        assert_eq!(listed["rows"][0]["amount_cents"], credit.amount_cents);
        assert_eq!(listed["rows"][0]["reference"], credit.reference.as_str());
        assert_eq!((credit.amount_cents, credit.reference.as_str()), (6_000, "pi_1"));
        let wrong = assign(&town.context, credit.id, &[share("A-1001", Some("50.00"))]).expect_err("ten are left").to_string();
        assert!(wrong.contains("add up to 60.00"), "{wrong}");
        assert!(assign(&town.context, credit.id, &[share("A-9", None)]).is_err());
        assign(&town.context, credit.id, &[share("A-1001", Some("40.00")), share("A-1002", None)]).expect("it is divided");
        assert_eq!((town.balance("A-1001"), town.balance("A-1002")), ("60.00".to_owned(), "80.00".to_owned()));
        let late = assign(&town.context, credit.id, &[share("A-1003", None)]).expect_err("it is decided").to_string();
        assert!(late.contains("decided meanwhile"), "{late}");
        assert!(waiting(&town.context, UnappliedCreditId(0), 10).expect("what waits is read").is_empty());
        assert!(crate::open_items(&town).is_empty());
        town.assert_sound();
    }

    fn money_for_nobody_is_dismissed_with_a_reason(town: Town) {
        let town = with_money_for_nobody(town);
        let credit = waiting(&town.context, UnappliedCreditId(0), 10).expect("what waits is read")[0].id;
        assert!(dismiss(&town.context, credit, "  ").is_err());
        dismiss(&town.context, credit, "a test of the provider's").expect("it is dismissed");
        assert!(dismiss(&town.context, credit, "again").is_err());
        assert!(waiting(&town.context, UnappliedCreditId(0), 10).expect("what waits is read").is_empty());
        assert!(crate::open_items(&town).is_empty());
        assert_eq!(town.balance("A-1001"), "100.00");
    }

    fn a_return_of_a_providers_payment_is_not_posted_twice(town: Town) {
        let town = with_money_for_nobody(town);
        let credit = waiting(&town.context, UnappliedCreditId(0), 10).expect("what waits is read")[0].id;
        assign(&town.context, credit, &[share("A-1001", None)]).expect("it is given");
        let back = crate::Booking { cents: -6_000, bank_ref: "OUT-1", reference: "pi_1", returned: Some("AC04"), ..Default::default() };
        let report = crate::file(&town, "out.xml", &crate::camt("053", "S1", "2026-06-12", &[back]));
        assert_eq!((report.settled, town.balance("A-1001").as_str()), (1, "40.00"));
    }
}
