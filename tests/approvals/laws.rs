//! A law: whatever is asked for, approved, rejected, withdrawn, undone and repeated in whatever order, a balance is the sum of
//! what was executed, and everything was executed once.

use std::collections::BTreeMap;

use aquabills::actions::approvals::{Verdict, expire_due};
use aquabills::domain::money::Money;
use chrono::{TimeDelta, TimeZone, Utc};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::support::{Town, on_both};
use crate::*;

const STEPS: usize = 400;
const ACCOUNTS: [&str; 3] = ["A1", "A2", "A3"];
const CLERKS: [&str; 4] = [ANA, BEN, SAM, SUE];

/// What the town should hold.
#[derive(Default)]
struct Model {
    /// What was executed by reference: account, cents.
    executed: BTreeMap<String, (&'static str, i64)>,
    /// What is taken back: the reference of what was, by the undo's.
    undone: BTreeMap<String, String>,
    /// What waits: reference, account, cents, what it undoes, who asked.
    waiting: BTreeMap<ApprovalId, (String, &'static str, i64, Option<String>, &'static str)>,
}

impl Model {
    fn execute(&mut self, reference: &str, account: &'static str, cents: i64, of: Option<String>) {
        assert!(self.executed.insert(reference.to_owned(), (account, cents)).is_none(), "{reference} was executed twice");
        if let Some(of) = of {
            assert!(!self.undone.values().any(|known| *known == of), "{of} was taken back twice");
            self.undone.insert(reference.to_owned(), of);
        }
    }

    fn take(&mut self, outcome: Result<Outcome, ActionError>, wish: (String, &'static str, i64, Option<String>, &'static str)) {
        match outcome {
            Ok(Outcome::Done(posted)) if posted.unchanged => assert!(self.executed.contains_key(&wish.0)),
            Ok(Outcome::Done(_)) => self.execute(&wish.0, wish.1, wish.2, wish.3),
            Ok(Outcome::Waits(waiting)) => drop(self.waiting.insert(waiting.id, wish)),
            Ok(Outcome::Permitted) => panic!("nobody asked for a permit"),
            Err(ActionError::Refused(_) | ActionError::NotFound { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn balance(&self, account: &str) -> Money {
        self.executed.values().filter(|(of, _)| *of == account).map(|(_, cents)| Money::from_cents(*cents)).sum()
    }
}

fn step(town: &Town, model: &mut Model, rng: &mut StdRng, at: usize) {
    let account = ACCOUNTS[rng.random_range(0..3)];
    let who = CLERKS[rng.random_range(0..4)];
    match rng.random_range(0..12) {
        0..=4 => {
            // Now and then a reference that is taken.
            let reference = format!("X-{}", if rng.random_range(0..8) == 0 { rng.random_range(0..at.max(1)) } else { at });
            let cents = -rng.random_range(1..20_000);
            let (reason, cents) = if rng.random_range(0..3) == 0 { ("reconnection-fee", -cents) } else { ("goodwill", cents) };
            let amount = Money::from_cents(cents).to_string();
            let outcome = ask(&by(town, who), &adjustment(town, account, reason, &amount, &reference));
            model.take(outcome, (reference, account, cents, None, who));
        }
        5 | 6 => {
            let Some((of, (account, cents))) = model.executed.iter().nth(rng.random_range(0..model.executed.len().max(1))) else { return };
            let (of, account, cents) = (of.clone(), *account, *cents);
            let reference = format!("U-{at}");
            let outcome = takes_back(town, who, account, &of, &reference);
            if outcome.is_ok() {
                assert!(!model.undone.contains_key(&of), "an undo was undone");
            }
            model.take(outcome, (reference, account, -cents, Some(of), who));
        }
        7 if at.is_multiple_of(7) => {
            town.context.clock.set(Utc.from_utc_datetime(&town.context.now()) + TimeDelta::days(6));
            expire_due(&town.context).unwrap();
        }
        _ => {
            // A request that waits, or one of before.
            let ids: Vec<ApprovalId> = model.waiting.keys().copied().collect();
            let Some(id) = ids.get(rng.random_range(0..ids.len().max(1))).copied() else { return };
            let verdict = [Verdict::Approve, Verdict::Approve, Verdict::Reject, Verdict::Withdraw][rng.random_range(0..4)];
            let before = shown(town, SAM, id).status;
            let outcome = decides(town, who, id, verdict);
            let (reference, account, cents, of, asked_by) = model.waiting[&id].clone();
            match outcome {
                Ok(decided) if decided.unchanged => assert_ne!(before, aquabills::actions::approvals::Status::Waiting),
                Ok(decided) => {
                    assert_eq!(before, aquabills::actions::approvals::Status::Waiting);
                    assert_eq!(who == asked_by, verdict == Verdict::Withdraw, "only whoever asked withdraws, only others decide");
                    if decided.decision == "approved" {
                        assert!([SAM, SUE].contains(&who));
                        model.execute(&reference, account, cents, of);
                    }
                }
                Err(ActionError::Refused(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

on_both! {
    fn the_ledger_is_the_sum_of_what_was_executed(town: Town) {
        let town = crate::town(town);
        let mut model = Model::default();
        let mut rng = StdRng::seed_from_u64(20_260_615);
        for at in 0..STEPS {
            step(&town, &mut model, &mut rng, at);
            for account in ACCOUNTS {
                assert_eq!(town.balance(account), model.balance(account).to_string(), "step {at}, account {account}");
            }
        }
        assert_eq!(count(&town, "financial_transaction"), i64::try_from(model.executed.len()).unwrap());
        assert_eq!(count(&town, "adjustment_reversal"), i64::try_from(model.undone.len()).unwrap());
        let approved = count(&town, "approval_decision WHERE decision = 'approved'");
        assert!(approved > 10 && !model.undone.is_empty(), "the steps did something: {approved} approved, {} undone", model.undone.len());
        assert_eq!(
            count(&town, "approval a JOIN approval_decision d ON d.approval_id = a.id JOIN adjustment j ON j.reference = a.reference WHERE d.decision = 'approved'"),
            approved,
            "what was approved was executed"
        );
        town.assert_sound();
    }
}
