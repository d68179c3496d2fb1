//! Ways round the second person by other doors, each tried for real: balances that are carried, payouts that are said to have
//! come back, what two decided and one takes back, names that look like the program's own.

use aquabills::actions::approvals::{self, Permit, Verdict, Wanted};
use aquabills::actions::balances::{Transfer, ask_transfer, transfer_balance};
use aquabills::actions::ledger_hash::ledger_hash;
use aquabills::actions::refunds::{PayoutNews, settle_payout};
use aquabills::domain::ledger::Tender;
use chrono::{TimeDelta, TimeZone, Utc};

use crate::payouts::{pay_out, pays, states};
use crate::support::{Town, on_both};
use crate::*;

fn carries(town: &Town, who: &str, from: &str, to: &str, reference: &str) -> Result<Outcome, ActionError> {
    ask_transfer(&by(town, who), &Transfer::new(from, to, reference, "same household", None))
}

/// A charge that two people agreed on.
fn charged(town: &Town, account: &str, amount: &str, reference: &str) {
    let id = waits(ask(&by(town, ANA), &adjustment(town, account, "reconnection-fee", amount, reference)));
    decides(town, SAM, id, Verdict::Approve).expect("it is approved");
}

fn says_it_came_back(town: &Town, who: &str, account: &str, reference: &str) -> Result<Outcome, ActionError> {
    settle_payout(&by(town, who), account, reference, &PayoutNews::Failed("it came back".to_owned()))
}

fn open_items(town: &Town) -> i64 {
    count(town, "todo WHERE kind = 'refund_failed' AND status = 'open'")
}

on_both! {
    fn a_debt_is_not_carried_away_by_one_clerk(town: Town) {
        let town = crate::town(town);
        charged(&town, "A1", "500.00", "F-1");
        assert!(refused(transfer_balance(&by(&town, ANA), "A1", "A3", "T-1", "gone")).contains("needs a second person: 500.00 is more than 100.00"));
        let id = waits(carries(&town, ANA, "A1", "A3", "T-1"));
        assert_eq!(shown(&town, SAM, id).subject, "the balance of 500.00 of account A1 carried to account A3");
        assert_eq!((town.balance("A1"), town.balance("A3")), ("500.00".to_owned(), "0.00".to_owned()));
        assert!(refused(decides(&town, ANA, id, Verdict::Approve)).contains("may not decide"));
        // Small debts add up, too.
        for (round, waiting) in [(1, false), (2, false), (3, true)] {
            done(ask(&by(&town, BEN), &adjustment(&town, "A2", "reconnection-fee", "90.00", &format!("F-2-{round}"))));
            let outcome = carries(&town, ANA, "A2", "A3", &format!("T-2-{round}")).unwrap();
            assert_eq!(matches!(outcome, Outcome::Waits(_)), waiting, "{round}: {outcome:?}");
        }
        assert_eq!(decides(&town, SAM, id, Verdict::Approve).unwrap().posted.unwrap().balance_after_cents, 0);
        assert!(matches!(carries(&town, ANA, "A1", "A3", "T-1"), Ok(Outcome::Done(posted)) if posted.unchanged), "the form sent again");
        assert_eq!((town.balance("A1"), town.balance("A2"), town.balance("A3")), ("0.00".to_owned(), "90.00".to_owned(), "680.00".to_owned()));
        town.assert_sound();
    }

    fn small_credits_are_not_gathered_in_one_account(town: Town) {
        let town = crate::town(town);
        for (round, from, waiting) in [(1, "A1", false), (2, "A2", false), (3, "A1", true)] {
            done(credit(&town, ANA, from, "-100.00", &format!("C-{round}")));
            let outcome = carries(&town, ANA, from, "A3", &format!("T-{round}")).unwrap();
            assert_eq!(matches!(outcome, Outcome::Waits(_)), waiting, "{round}: {outcome:?}");
        }
        assert_eq!(town.balance("A3"), "-200.00");
        // What was given there directly is counted with it.
        waits(credit(&town, ANA, "A3", "-50.01", "C-4"));
        // The balance moved since it was asked for: what is approved is what was seen, or nothing.
        let id = ApprovalId(1);
        town.pay("A1", "5.00", "P-1");
        assert!(refused(decides(&town, SAM, id, Verdict::Approve)).contains("look again"));
        assert_eq!((town.balance("A1"), town.balance("A3")), ("-105.00".to_owned(), "-200.00".to_owned()));
        town.assert_sound();
    }

    fn money_that_can_still_be_taken_back_is_not_carried_off_and_paid_out(town: Town) {
        let town = crate::town(town);
        pays(&town, "A1", "80.00", Tender::Card, "2026-06-15", "CARD-1");
        let why = refused(carries(&town, ANA, "A1", "A2", "T-1"));
        assert!(why.contains("80.00 by card (CARD-1) until 2026-10-13"), "{why}");
        assert_eq!((town.balance("A1"), town.balance("A2")), ("-80.00".to_owned(), "0.00".to_owned()));
        town.pay("A3", "80.00", "P-3");
        assert_eq!(done(carries(&town, ANA, "A3", "A2", "T-2")), 0, "cash is safe");
        done(pay_out(&town, ANA, "A2", "80.00", "OUT-1", None));
        town.assert_sound();
    }

    fn ledgers_that_are_equal_have_one_hash_though_payouts_came_back(town: Town) {
        // The same business, in another order: other refunds have other numbers.
        let towns = [(crate::town(town), ["A1", "A2"]), (crate::town(Town::sqlite()), ["A2", "A1"])];
        let hashes = towns.each_ref().map(|(town, accounts)| {
            for account in accounts {
                town.pay(account, "30.00", &format!("P-{account}"));
                done(pay_out(town, ANA, account, "10.00", &format!("OUT-{account}"), None));
                done(says_it_came_back(town, ANA, account, &format!("OUT-{account}")));
            }
            settle_payout(&by(town, ANA), "A1", "OUT-A1", &PayoutNews::Sent("BANK-1".to_owned())).unwrap();
            done(says_it_came_back(town, ANA, "A1", "OUT-A1"));
            town.assert_sound();
            ledger_hash(&town.context).unwrap()
        });
        assert_eq!(hashes[0], hashes[1]);
    }

    fn a_name_that_somebody_took_before_keeps_no_payout_from_coming_back(town: Town) {
        let (town, twin) = (crate::town(town), crate::town(Town::sqlite()));
        for town in [&town, &twin] {
            town.pay("A1", "30.00", "P-1");
            done(pay_out(town, ANA, "A1", "10.00", "OUT-1", None));
        }
        done(says_it_came_back(&twin, ANA, "A1", "OUT-1"));
        let names = "SELECT reference AS line FROM adjustment WHERE reason_code = 'refund-failed'";
        let names = twin.context.database.read(|conn| Ok::<_, diesel::result::Error>(crate::support::lines(conn, names))).unwrap();
        let [name] = names.as_slice() else { panic!("one name: {names:?}") };
        // One is taken by an entry, the next by a request that waits.
        done(ask(&by(&town, BEN), &adjustment(&town, "A3", "goodwill", "-10.00", name)));
        waits(ask(&by(&town, BEN), &adjustment(&town, "A3", "goodwill", "-500.00", &format!("{name}/2"))));
        assert_eq!(done(says_it_came_back(&town, ANA, "A1", "OUT-1")), -3_000);
        assert_eq!(count(&town, &format!("adjustment WHERE reference = '{name}/3'")), 1);
        town.assert_sound();
    }

    fn payouts_whose_names_look_like_turns_do_not_mix(town: Town) {
        let town = crate::town(town);
        town.pay("A1", "30.00", "P-1");
        town.pay("A2", "30.00", "P-2");
        done(pay_out(&town, ANA, "A1", "10.00", "R-9", None));
        done(pay_out(&town, ANA, "A1", "10.00", "R-9/1", None));
        done(pay_out(&town, ANA, "A2", "10.00", "R-9/2", None));
        done(ask(&by(&town, BEN), &adjustment(&town, "A3", "goodwill", "-10.00", "RF1/1")));
        assert_eq!(done(says_it_came_back(&town, ANA, "A1", "R-9")), -2_000, "the money is back");
        assert_eq!(states(&town, "A1"), ["R-9/1 created", "R-9 failed"]);
        settle_payout(&by(&town, ANA), "A1", "R-9", &PayoutNews::Sent("BANK-1".to_owned())).unwrap();
        assert_eq!(town.balance("A1"), "-10.00", "it went through after all");
        assert_eq!(done(says_it_came_back(&town, ANA, "A1", "R-9/1")), -2_000);
        assert_eq!(done(says_it_came_back(&town, ANA, "A1", "R-9")), -3_000, "and came back again");
        assert_eq!((count(&town, "refund_turn"), town.balance("A2")), (4, "-20.00".to_owned()));
        town.assert_sound();
    }

    fn one_reference_of_the_bank_may_be_of_several_payouts(town: Town) {
        let town = crate::town(town);
        for account in ["A1", "A2"] {
            town.pay(account, "10.00", &format!("P-{account}"));
            done(pay_out(&town, ANA, account, "10.00", &format!("OUT-{account}"), None));
            settle_payout(&by(&town, ANA), account, &format!("OUT-{account}"), &PayoutNews::Sent("BULK-1".to_owned())).unwrap();
        }
        assert_eq!(count(&town, "refund WHERE provider_ref = 'BULK-1' AND state = 'succeeded'"), 2);
        town.assert_sound();
    }

    fn one_clerk_does_not_say_that_a_large_payout_came_back(town: Town) {
        let town = crate::town(town);
        town.pay("A1", "200.00", "P-1");
        done(pay_out(&town, BEN, "A1", "200.00", "OUT-1", None));
        settle_payout(&by(&town, ANA), "A1", "OUT-1", &PayoutNews::Sent("BANK-1".to_owned())).unwrap();
        let id = waits(says_it_came_back(&town, ANA, "A1", "OUT-1"));
        assert!(matches!(says_it_came_back(&town, ANA, "A1", "OUT-1"), Ok(Outcome::Waits(waiting)) if waiting.unchanged));
        assert_eq!((town.balance("A1"), states(&town, "A1")), ("0.00".to_owned(), vec!["OUT-1 succeeded".to_owned()]));
        assert_eq!(decides(&town, SAM, id, Verdict::Approve).unwrap().posted.unwrap().balance_after_cents, -20_000);
        assert_eq!(states(&town, "A1"), ["OUT-1 failed"]);
        // Small ones are counted like credits.
        for (round, waiting) in [(1, false), (2, false), (3, true)] {
            town.pay("A2", "90.00", &format!("Q-{round}"));
            let reference = format!("OUT-2-{round}");
            done(pay_out(&town, BEN, "A2", "80.00", &reference, None));
            settle_payout(&by(&town, BEN), "A2", &reference, &PayoutNews::Sent(format!("BANK-2-{round}"))).unwrap();
            done(ask(&by(&town, SUE), &adjustment(&town, "A2", "reconnection-fee", "10.00", &format!("F-{round}"))));
            let outcome = says_it_came_back(&town, ANA, "A2", &reference).unwrap();
            let outcome = if round == 2 { done(credit(&town, ANA, "A2", "-20.00", "C-1")); outcome } else { outcome };
            assert_eq!(matches!(outcome, Outcome::Waits(_)), waiting, "{round}: {outcome:?}");
        }
        town.assert_sound();
    }

    fn every_refund_that_fails_has_a_work_item_of_its_own(town: Town) {
        let town = crate::town(town);
        town.pay("A1", "50.00", "P-1");
        for reference in ["OUT-1", "OUT-2"] {
            done(pay_out(&town, ANA, "A1", "10.00", reference, None));
            done(says_it_came_back(&town, ANA, "A1", reference));
        }
        assert_eq!(open_items(&town), 2, "the second one is not lost behind the first");
        settle_payout(&by(&town, ANA), "A1", "OUT-1", &PayoutNews::Sent("BANK-1".to_owned())).unwrap();
        assert_eq!(open_items(&town), 2);
        assert_eq!(count(&town, "todo WHERE kind = 'refund_failed' AND status = 'open' AND reason LIKE '%went through after all%'"), 1);
        assert_eq!(count(&town, "todo WHERE kind = 'refund_failed' AND status <> 'open' AND reason LIKE '%did not arrive%'"), 1, "nobody pays it again");
        town.assert_sound();
    }

    fn what_two_people_decided_is_not_taken_back_by_one(town: Town) {
        let town = crate::town(town);
        for (reference, amount) in [("C-1", "-100.00"), ("C-2", "-100.00")] {
            done(credit(&town, ANA, "A1", amount, reference));
        }
        let id = waits(credit(&town, ANA, "A1", "-60.00", "C-3"));
        decides(&town, SAM, id, Verdict::Approve).unwrap();
        let undo = waits(takes_back(&town, BEN, "A1", "C-3", "U-1"));
        assert!(shown(&town, SUE, undo).why.starts_with("two people decided about 'C-3'"));
        assert_eq!(done(takes_back(&town, ANA, "A1", "C-1", "U-2")), -16_000, "one's own small one");
        town.assert_sound();
    }

    fn what_was_permitted_is_done_soon_and_by_somebody_who_works_here(town: Town) {
        let town = crate::town(town);
        let wish = Wanted::Permit(Permit {
            kind: "write_off".to_owned(),
            account: Some("A1".to_owned()),
            amount: "-500.00".parse().unwrap(),
            reference: "W-1".to_owned(),
            subject: "write-off of 500.00".to_owned(),
            note: "bankrupt".to_owned(),
            shares: Vec::new(),
            case: None,
        });
        let asks = || approvals::ask(&by(&town, ANA), &wish);
        let days = |days: i64| town.context.clock.set(Utc.from_utc_datetime(&town.context.now()) + TimeDelta::days(days));
        let id = waits(asks());
        decides(&town, SAM, id, Verdict::Approve).unwrap();
        days(14);
        assert!(matches!(asks(), Ok(Outcome::Permitted)));
        sign_in::set_staff_disabled(&town.context, ANA, true).unwrap();
        assert!(refused(asks()).contains("may not sign in any more"));
        sign_in::set_staff_disabled(&town.context, ANA, false).unwrap();
        days(1);
        assert!(refused(asks()).contains("was approved on 2026-06-15 and not used within 14 days"));
    }

    fn a_charge_for_old_mistakes_goes_no_further_back_than_the_policy(town: Town) {
        let town = crate::town(town);
        let mut charge = adjustment(&town, "A1", "billing-error", "20.00", "B-1");
        charge.effective_on = "2025-06-14".parse().unwrap();
        let why = refused(ask(&by(&town, ANA), &charge));
        assert!(why.contains("effective_on: 2025-06-14 is before 2025-06-15: what was billed too little is charged for 12 months back"), "{why}");
        charge.effective_on = "2025-06-15".parse().unwrap();
        assert_eq!(done(ask(&by(&town, ANA), &charge)), 2_000);
        charge = adjustment(&town, "A1", "billing-error", "-20.00", "B-2");
        charge.effective_on = "2024-01-01".parse().unwrap();
        assert_eq!(done(ask(&by(&town, ANA), &charge)), 0, "a credit has no limit");
    }
}
