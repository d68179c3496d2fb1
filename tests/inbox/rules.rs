//! The story rule by itself: thousands of random histories, each in many orders.

use aquabills::domain::ids::{AccountId, PaymentId, RefundId};
use aquabills::domain::money::Money;
use aquabills::domain::payments::{Change, DisputeFact, Fact, PaymentFact, PaymentState, Posted, RefundFact, Wanted, What, changes, divide, story};
use chrono::{DateTime, NaiveDate};
use proptest::prelude::*;

fn day(seconds: i64) -> NaiveDate {
    DateTime::from_timestamp(seconds, 0).expect("a moment").date_naive()
}

fn what() -> impl Strategy<Value = What> {
    let state = prop_oneof![Just(PaymentState::Created), Just(PaymentState::Submitted), Just(PaymentState::Failed), Just(PaymentState::Succeeded)];
    prop_oneof![
        4 => (state, 1_i64..9000).prop_map(|(state, cents)| What::Payment(PaymentFact {
            state, amount: Money::from_cents(cents), currency: "USD".to_owned(), made_at: 1_000_000, from_bank: false, reason: None })),
        1 => (0..3_u8, 1_i64..9000, any::<bool>(), any::<bool>()).prop_map(|(name, cents, withdrawn, won)| What::Dispute(DisputeFact {
            dispute_ref: format!("d{name}"), amount: Money::from_cents(cents), made_at: 1_000_000 + 86_400 * i64::from(name), withdrawn, won,
            reason: "x".to_owned() })),
        1 => (0..3_u8, 1_i64..4000, any::<bool>()).prop_map(|(name, cents, stands)| What::Refund(RefundFact {
            refund_ref: format!("r{name}"), token: None, amount: Money::from_cents(cents), made_at: 1_050_000, stands, settled: true })),
        1 => Just(What::Nothing),
    ]
}

fn facts() -> impl Strategy<Value = Vec<Fact>> {
    proptest::collection::vec((what(), 0_i64..5), 1..9).prop_map(|all| {
        let fact = |(number, (what, at)): (usize, (What, i64))| Fact {
            event_id: format!("e{number}"),
            event_type: String::new(),
            occurred_at: 1_000_000 + at,
            payment_ref: Some("p".to_owned()),
            token: None,
            what,
        };
        all.into_iter().enumerate().map(fact).collect()
    })
}

/// A ledger of one payment that takes steps, as the tables do.
#[derive(Default)]
struct Model {
    posted: Posted,
    next: i64,
}

impl Model {
    fn bring_to(&mut self, wanted: &Wanted) {
        for change in changes(&self.posted, wanted) {
            self.next += 1;
            match change {
                Change::SupersedeReceipt(id) => self.posted.receipts.retain(|(known, _, _)| *known != id),
                Change::SupersedeTaken(id) => self.posted.taken.retain(|(known, _)| *known != id),
                Change::Post(receipt) => {
                    // A reference is free when it is taken again.
                    assert!(self.posted.receipts.iter().all(|(_, _, known)| known.part != receipt.part));
                    self.posted.receipts.push((PaymentId(self.next), false, receipt));
                }
                Change::Return(id, on) => {
                    let row = self.posted.receipts.iter_mut().find(|(known, _, _)| *known == id).expect("it is posted");
                    assert_eq!(row.2.returned_on, None, "a payment is returned once");
                    row.2.returned_on = Some(on);
                }
                Change::Restore(id) => {
                    let row = self.posted.receipts.iter_mut().find(|(known, _, _)| *known == id).expect("it is posted");
                    assert!(row.2.returned_on.is_some() && !row.1);
                    row.1 = true;
                }
                Change::Take(part) => self.posted.taken.push((RefundId(self.next), part)),
            }
        }
    }

    /// What it comes to: money and its date.
    fn net(&self) -> Vec<(i32, NaiveDate, i64, Option<NaiveDate>)> {
        let mut rows: Vec<_> = self
            .posted
            .receipts
            .iter()
            .map(|(_, restored, row)| (row.part, row.on, row.amount.cents(), row.returned_on.filter(|_| !restored)))
            .chain(self.posted.taken.iter().map(|(_, row)| (row.part, row.on, -row.amount.cents(), None)))
            .collect();
        rows.sort();
        rows
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    /// P5: any order, any repetition, applied one after the other or all at once.
    #[test]
    fn any_order_comes_to_the_same(
        (facts, shuffled) in facts().prop_flat_map(|facts| {
            let twice: Vec<Fact> = facts.iter().chain(&facts).cloned().collect();
            (Just(facts), Just(twice).prop_shuffle())
        }),
        parts in proptest::collection::vec(1_i64..5000, 1..4),
    ) {
        let parts: Vec<(AccountId, Money)> = parts.iter().zip(1..).map(|(cents, id)| (AccountId(id), Money::from_cents(*cents))).collect();
        let once = story(&facts, &day);
        prop_assert_eq!(&story(&shuffled, &day), &once);
        let mut at_once = Model::default();
        at_once.bring_to(&once.wanted(&parts));
        let mut step_by_step = Model::default();
        for known in 1..=shuffled.len() {
            step_by_step.bring_to(&story(&shuffled[..known], &day).wanted(&parts));
            // Nothing is left to do once it is done.
            let now = story(&shuffled[..known], &day).wanted(&parts);
            prop_assert_eq!(changes(&step_by_step.posted, &now), vec![]);
        }
        prop_assert_eq!(step_by_step.net(), at_once.net());
    }

    /// Never more goes back than came, and what is divided is all there.
    #[test]
    fn what_goes_back_came(facts in facts(), parts in proptest::collection::vec(0_i64..5000, 1..5)) {
        let parts: Vec<(AccountId, Money)> = parts.iter().zip(1..).map(|(cents, id)| (AccountId(id), Money::from_cents(*cents))).collect();
        let told = story(&facts, &day);
        let wanted = told.wanted(&parts);
        let came: i64 = wanted.receipts.iter().map(|receipt| receipt.amount.cents()).sum();
        prop_assert_eq!(came, told.received.map_or(0, Money::cents));
        for receipt in &wanted.receipts {
            let back: i64 = wanted.taken.iter().filter(|taken| taken.part == receipt.part).map(|taken| taken.amount.cents()).sum();
            prop_assert!(back <= receipt.amount.cents());
            prop_assert!(receipt.returned_on.is_none() || back == 0);
        }
    }

    #[test]
    fn a_division_loses_nothing(amount in 0_i64..1_000_000, parts in proptest::collection::vec(0_i64..5000, 1..6)) {
        let parts: Vec<(AccountId, Money)> = parts.iter().zip(1..).map(|(cents, id)| (AccountId(id), Money::from_cents(*cents))).collect();
        let shares = divide(Money::from_cents(amount), &parts);
        prop_assert_eq!(shares.iter().map(|(_, _, share)| share.cents()).sum::<i64>(), amount);
        prop_assert!(shares.iter().all(|(_, _, share)| *share > Money::default()));
    }
}
