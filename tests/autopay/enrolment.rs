//! Giving a mandate: once, whoever learns first that the customer is through; and how it is replaced and ends by itself.

use aquabills::actions::account_view::Whose;
use aquabills::actions::autopay::enrol::{Progress, progress};
use aquabills::actions::autopay::manage::{Change, change_own};
use aquabills::domain::ids::PersonId;

use crate::support::fake_autopay::Mood;
use crate::support::moves::{leaves, reading};
use crate::support::{Town, on_both};
use crate::{begin_enrolment, draws, enrol, on, only, peopled, run, told, view, wait};

fn state(town: &Town, account: &str) -> Option<String> {
    view(town, account).mandate.map(|mandate| mandate.state.as_str().to_owned())
}

on_both! {
    fn a_form_sent_twice_is_one_mandate_and_it_becomes_active_once(town: Town) {
        let (town, fake) = peopled(town, 1);
        let first = begin_enrolment(&town, "A1", Some("100.00"), "form");
        assert_eq!(begin_enrolment(&town, "A1", Some("100.00"), "form"), first);
        let found = progress(&town.context, &first, Whose::Anybody).unwrap();
        assert!(matches!(&found, Progress::Open(Some(url)) if url.starts_with("https://pay.example/")), "{found:?}");
        assert!(progress(&town.context, &first, Whose::Person(PersonId(999))).is_err(), "it is nobody else's");
        fake.customers_save("Visa ending 4242");
        // The page that the customer comes back to, and the job, at once and again.
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| progress(&town.context, &first, Whose::Anybody).unwrap());
                scope.spawn(|| run(&town));
            }
        });
        assert_eq!(state(&town, "A1").as_deref(), Some("active"));
        assert_eq!(told(&town, "A1"), ["autopay_active"]);
    }

    fn a_provider_out_of_reach_is_asked_again(town: Town) {
        let (town, fake) = peopled(town, 1);
        fake.moods(&[Mood::Away, Mood::Away]);
        let token = begin_enrolment(&town, "A1", None, "form");
        assert_eq!(progress(&town.context, &token, Whose::Anybody).unwrap(), Progress::NotOpened);
        assert!(matches!(progress(&town.context, &token, Whose::Anybody).unwrap(), Progress::Open(_)));
    }

    fn who_never_comes_back_has_no_mandate(town: Town) {
        let (town, fake) = peopled(town, 2);
        begin_enrolment(&town, "A1", None, "form");
        begin_enrolment(&town, "A2", None, "form");
        change_own(&town.context, "A2", Whose::Anybody, Change::End).unwrap();
        fake.sessions_expire();
        wait(&town, 1_000);
        run(&town);
        assert_eq!((state(&town, "A1"), state(&town, "A2")), (None, None));
        town.bill("2026-06-01");
        assert_eq!((draws(&town, "A1"), told(&town, "A1")), (vec![], vec![]));
    }

    fn a_new_mandate_takes_the_place_of_the_old_one_with_its_draws(town: Town) {
        let (town, fake) = peopled(town, 1);
        enrol(&town, &fake, "A1", None);
        town.bill("2026-06-01");
        begin_enrolment(&town, "A1", Some("60.00"), "another");
        fake.customers_save("Mastercard ending 4444");
        wait(&town, 60);
        run(&town);
        let shown = view(&town, "A1");
        assert_eq!(shown.mandate.as_ref().and_then(|mandate| mandate.method.as_deref()), Some("Mastercard ending 4444"));
        assert_eq!(shown.past.len(), 1);
        on(&town, "2026-07-06");
        run(&town);
        assert_eq!(only(&fake).cents, 4750);
        assert_eq!(view(&town, "A1").draws[0].method.as_deref(), Some("Mastercard ending 4444"));
    }

    fn it_ends_by_itself_when_the_customer_has_gone_and_paid(town: Town) {
        let (town, fake) = peopled(town, 1);
        enrol(&town, &fake, "A1", None);
        town.bill("2026-06-01");
        on(&town, "2026-06-20");
        leaves(&town, "A1", "S1", "2026-06-20", vec![reading("M1", 120)]).unwrap();
        run(&town);
        assert_eq!(state(&town, "A1").as_deref(), Some("active"), "the final bill is not made yet");
        town.bill("2026-06-20");
        on(&town, "2026-07-11");
        run(&town);
        assert_eq!(state(&town, "A1").as_deref(), Some("active"), "it is not paid yet");
        for made in fake.draws() {
            fake.says(&town.context, &made, "succeeded");
        }
        assert_eq!(town.balance("A1"), "0.00");
        run(&town);
        assert_eq!(state(&town, "A1"), None);
        assert_eq!(told(&town, "A1").last().map(String::as_str), Some("autopay_paused"));
        town.assert_sound();
    }
}
