//! Pay plans: kept, broken, cancelled; what they stop, and what autopay draws meanwhile.

use aquabills::actions::account_view::Whose;
use aquabills::actions::autopay::enrol::{Enrolment, begin};
use aquabills::actions::autopay::run_due;
use aquabills::actions::autopay::view::autopay_view;
use aquabills::actions::collections::plans::{Agreeing, agree_plan, cancel_plan};
use aquabills::actions::stop::Stop;
use aquabills::domain::money::Money;
use chrono::{TimeDelta, TimeZone, Utc};

use crate::support::fake_autopay::Fake;
use crate::support::{Town, day, on_both};
use crate::{billed, look, look_daily, on, peopled, told, view};

pub(crate) fn agreeing(reference: &str) -> Agreeing {
    Agreeing {
        account: "A1".to_owned(),
        instalments: 3,
        first_due_on: day("2026-06-20"),
        months_between: 1,
        reference: reference.to_owned(),
        note: "lost the job".to_owned(),
    }
}

/// Enrols `A1`, all the way.
pub(crate) fn enrol(town: &Town, fake: &Fake) {
    let wish = Enrolment { account: "A1".to_owned(), whose: Whose::Anybody, login: None, limit: None, form_key: "form-A1".to_owned() };
    begin(&town.context, &wish).expect("it is begun");
    fake.customers_save("Visa ending 4242");
    town.context.clock.set(Utc.from_utc_datetime(&town.context.now()) + TimeDelta::seconds(60));
    run_due(&town.context, &Stop::default()).expect("a round of the job");
}

on_both! {
    fn a_plan_that_is_kept_costs_nothing(town: Town) {
        let town = billed(town, 1);
        let plan = agree_plan(&town.context, &agreeing("I-1")).unwrap();
        let amounts: Vec<(String, i64)> = plan.instalments.iter().map(|part| (part.due_on.to_string(), part.amount_cents)).collect();
        let expected = [("2026-06-20", 1584), ("2026-07-20", 1583), ("2026-08-20", 1583)];
        assert_eq!(amounts, expected.map(|(on, cents)| (on.to_owned(), cents)));
        assert_eq!(agree_plan(&town.context, &agreeing("I-1")).unwrap().row.id, plan.row.id);
        assert!(agree_plan(&town.context, &agreeing("I-2")).is_err(), "one plan at a time");
        let mut sum = look_daily(&town, "2026-06-16", "2026-06-20").fees;
        town.pay("A1", "15.84", "R-1");
        sum += look_daily(&town, "2026-06-21", "2026-07-20").fees;
        town.pay("A1", "15.83", "R-2");
        // A new bill is due on its own day, and a payment covers it before an instalment of a later one.
        town.reads(&["M1,2026-07-01,125"]);
        town.bill("2026-07-01");
        let mut report = look_daily(&town, "2026-07-21", "2026-08-10");
        town.pay("A1", "30.00", "R-3");
        let bills: Vec<(String, i64)> = view(&town, "A1").bills.into_iter().map(|bill| (bill.bill_number, bill.open_cents)).collect();
        assert_eq!(bills, [("00001-0000001".to_owned(), 1583)], "the new bill is paid, the plan's last part is open");
        report.plans_kept += look_daily(&town, "2026-08-11", "2026-08-18").plans_kept;
        town.pay("A1", "15.83", "R-4");
        report.plans_kept += look_daily(&town, "2026-08-19", "2026-10-31").plans_kept;
        assert_eq!((sum, report.fees, report.reminders, report.plans_kept), (0, 0, 0, 1));
        assert_eq!((town.balance("A1"), view(&town, "A1").plans[0].row.state.as_str()), ("0.00".to_owned(), "kept"));
        assert_eq!(look_daily(&town, "2026-11-01", "2026-11-15").fees, 0, "and no fee comes after");
        assert_eq!(told(&town, "A1"), ["pay_plan", "pay_plan"]);
        town.assert_sound();
    }

    fn a_missed_instalment_breaks_it_after_its_days(town: Town) {
        let town = billed(town, 1);
        agree_plan(&town.context, &agreeing("I-1")).unwrap();
        on(&town, "2026-06-20");
        town.pay("A1", "15.84", "R-1");
        let report = look_daily(&town, "2026-06-21", "2026-07-25");
        assert_eq!((report.plans_broken, report.fees, report.reminders), (0, 0, 0));
        let report = look(&town, "2026-07-26");
        assert_eq!((report.plans_broken, report.fees), (1, 0), "the day itself is in time");
        // 31.66 are left: 5.00 and 0.4749.
        assert_eq!(look(&town, "2026-07-27").fees_cents, 547);
        assert_eq!(look_daily(&town, "2026-07-28", "2026-08-04").reminders, 0);
        assert_eq!(look(&town, "2026-08-05").reminders, 1, "ten days after the plan's end");
        assert_eq!(told(&town, "A1"), ["pay_plan", "pay_plan", "late_fee", "payment_reminder"]);
        town.assert_sound();
    }

    fn what_cannot_be_agreed_says_why(town: Town) {
        let town = billed(town, 1);
        let refused = |agreeing: &Agreeing| agree_plan(&town.context, agreeing).unwrap_err().to_string();
        assert!(refused(&Agreeing { instalments: 13, ..agreeing("I-1") }).contains("2 to 12"));
        assert!(refused(&Agreeing { instalments: 10, ..agreeing("I-1") }).contains("none below 5.00"));
        assert!(refused(&Agreeing { first_due_on: day("2026-06-14"), ..agreeing("I-1") }).starts_with("first:"));
        assert!(refused(&Agreeing { months_between: 4, ..agreeing("I-1") }).starts_with("months:"));
        assert!(refused(&Agreeing { note: String::new(), ..agreeing("I-1") }).starts_with("note:"));
        town.pay("A1", "47.50", "R-1");
        assert!(refused(&agreeing("I-1")).contains("owes nothing"));
        assert!(cancel_plan(&town.context, "A1", None, "why not").is_err());
    }

    fn a_cancelled_plan_leaves_what_was(town: Town) {
        let town = billed(town, 1);
        agree_plan(&town.context, &agreeing("I-1")).unwrap();
        assert_eq!(view(&town, "A1").bills[0].open_cents, 4750);
        on(&town, "2026-08-01");
        cancel_plan(&town.context, "A1", None, "they asked for it").unwrap();
        assert!(agree_plan(&town.context, &Agreeing { first_due_on: day("2026-08-10"), ..agreeing("I-2") }).is_ok());
        assert_eq!(told(&town, "A1"), ["pay_plan", "pay_plan", "pay_plan"]);
    }

    fn autopay_draws_no_more_of_a_plan_than_is_due(town: Town) {
        let mut town = peopled(town, 1);
        let fake = Fake::join(&mut town.context);
        enrol(&town, &fake);
        town.bill("2026-06-01");
        // 47.50 were announced for 6 July; then a plan is agreed: only its first instalment is due by then.
        agree_plan(&town.context, &agreeing("I-1")).unwrap();
        on(&town, "2026-07-06");
        run_due(&town.context, &Stop::default()).unwrap();
        assert_eq!(fake.draws().iter().map(|made| made.cents).collect::<Vec<_>>(), [1584]);
        for made in fake.draws() {
            fake.says(&town.context, &made, "succeeded");
        }
        assert_eq!(town.balance("A1"), "31.66");
        // The next bill is announced with the instalment that is due by its day, 10 August, and not with the last one.
        on(&town, "2026-07-20");
        town.reads(&["M1,2026-07-01,125"]);
        town.bill("2026-07-01");
        let draw = autopay_view(&town.context, "A1", Whose::Anybody).unwrap().draws.remove(0);
        assert_eq!(Money::from_cents(draw.amount_cents), "45.83".parse().unwrap(), "30.00 and 15.83");
        on(&town, "2026-08-10");
        run_due(&town.context, &Stop::default()).unwrap();
        assert_eq!(fake.draws().last().map(|made| made.cents), Some(4583));
    }
}
