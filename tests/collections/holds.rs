//! Everything that stops fees, reminders and draws, one by one.

use aquabills::actions::account_view::Whose;
use aquabills::actions::bill_holds::{HoldKind, hold_bill, release_bill};
use aquabills::actions::collections::disputes::{Asking, open_dispute};
use aquabills::actions::collections::write_off::{WritingOff, undo_write_off, write_off};
use aquabills::db::Backend;
use aquabills::db::provider_payments::{self as payments, NewProviderPayment};
use aquabills::domain::ids::{AccountId, ProviderPaymentId};

use crate::support::{Town, day, on_both};
use crate::{BILL, billed, look, look_daily, mailed, on, told, view};

/// A payment at a provider that is not certain yet.
pub(crate) fn pending(town: &Town, account: AccountId, cents: i64) -> ProviderPaymentId {
    let now = town.context.now();
    let new = NewProviderPayment {
        provider: "fake".to_owned(),
        merchant: "waterworks".to_owned(),
        provider_ref: Some(format!("pi-{account}-{cents}")),
        checkout_id: None,
        state: "submitted".to_owned(),
        amount_cents: cents,
        currency: "USD".to_owned(),
        tender: "card".to_owned(),
        made_on: town.context.today(),
        trace_id: "0123456789abcdef0123456789abcdef".to_owned(),
        created_at: now,
        updated_at: now,
    };
    let stored = town.context.database.write(|conn| {
        let id = payments::insert(conn, &new)?;
        payments::set_parts(conn, id, &[(account, cents)])?;
        Ok::<_, diesel::result::Error>(id)
    });
    stored.expect("the payment is stored")
}

on_both! {
    fn money_on_its_way_stops_fees_and_reminders(town: Town) {
        let town = billed(town, 1);
        let id = pending(&town, AccountId(1), 100);
        let report = look_daily(&town, "2026-07-12", "2026-07-20");
        assert_eq!((report.fees, report.reminders), (0, 0));
        assert!(view(&town, "A1").is_paying);
        // It failed: then the fee is due, as of its day.
        crate::sql(&town, &format!("UPDATE provider_payment SET state = 'failed' WHERE id = {id}"));
        let report = look(&town, "2026-07-21");
        assert_eq!((report.fees_cents, report.reminders), (571, 1));
    }

    fn a_hold_stops_fees_and_reminders_until_it_is_let_go(town: Town) {
        let town = billed(town, 1);
        hold_bill(&town.context, BILL, HoldKind::Held, "a clerk looks").unwrap();
        let report = look_daily(&town, "2026-07-12", "2026-08-20");
        assert_eq!((report.fees, report.reminders), (0, 0));
        release_bill(&town.context, BILL, HoldKind::Held, "looked at").unwrap();
        assert_eq!(look(&town, "2026-08-20").fees, 0, "it was looked at this day already");
        assert_eq!(look_daily(&town, "2026-08-21", "2026-09-03").fees, 0, "fourteen days to pay");
        let report = look(&town, "2026-09-04");
        assert_eq!((report.fees_cents, report.reminders), (571, 0));
        assert_eq!(look_daily(&town, "2026-09-05", "2026-09-12").reminders, 0, "ten days count from those");
        assert_eq!(look(&town, "2026-09-13").reminders, 1);
    }

    fn a_dispute_ends_reminders_that_had_begun(town: Town) {
        let town = billed(town, 1);
        look(&town, "2026-07-16");
        mailed(&town, "2026-07-16");
        on(&town, "2026-07-20");
        let asking = Asking {
            bill: BILL.to_owned(),
            about: String::new(),
            reason: "usage".to_owned(),
            words: "I was away".to_owned(),
            form_key: "F-1".to_owned(),
        };
        open_dispute(&town.context, &asking, Whose::Anybody).unwrap();
        let report = look(&town, "2026-07-20");
        assert_eq!((report.reminders_ended, view(&town, "A1").overdue_cents), (0, 0), "nor is the fee of the bill asked for, though it is owed");
        assert_eq!(look_daily(&town, "2026-07-21", "2026-09-20").reminders, 0);
        assert!(release_bill(&town.context, BILL, HoldKind::Disputed, "by hand").is_err(), "only the answer lets it go");
        let what = WritingOff { account: "A1".to_owned(), amount: None, reference: "O-1".to_owned(), note: "hopeless".to_owned() };
        assert!(write_off(&town.context, &what).is_err(), "what is in question is not written off");
    }

    fn an_event_that_is_not_applied_yet_stops_the_fee(town: Town) {
        let town = billed(town, 1);
        on(&town, "2026-07-12");
        let body = match town.context.database.backend() {
            Backend::Sqlite => "X'78'",
            Backend::Postgres => "'x'",
        };
        crate::sql(&town, &format!("INSERT INTO provider_event (provider, merchant, event_id, body_sha256, event_type, occurred_at, payment_ref, body, origin, \
            status, deliveries, received_at, last_delivery_at, attempts, next_attempt_at, trace_id) VALUES ('fake', 'waterworks', 'e1', 'x', 't', 0, \
            'pi-1-4750', {body}, 'callback', 'failed', 1, '2026-07-10 10:00:00', '2026-07-10 10:00:00', 3, '2027-07-10 10:00:00', 't')"));
        pending(&town, AccountId(1), 4750);
        crate::sql(&town, "UPDATE provider_payment SET state = 'failed', reason = 'x'");
        crate::sql(&town, "UPDATE provider_event SET provider_payment_id = (SELECT max(id) FROM provider_payment)");
        let waits = town.context.database.read(|conn| aquabills::db::inbox::unapplied_accounts(conn, AccountId(1), AccountId(1))).unwrap();
        let report = look(&town, "2026-07-12");
        assert_eq!(report.fees, u64::from(waits.is_empty()), "{waits:?}");
        assert!(!waits.is_empty(), "the event is of this account");
    }

    fn a_write_off_ends_it_and_is_undone_by_a_charge(town: Town) {
        let town = billed(town, 1);
        look(&town, "2026-07-12");
        let what = |reference: &str, amount: Option<&str>| WritingOff {
            account: "A1".to_owned(),
            amount: amount.map(|amount| amount.parse().unwrap()),
            reference: reference.to_owned(),
            note: "moved away, not to be found".to_owned(),
        };
        assert!(write_off(&town.context, &what("O-1", Some("53.22"))).is_err(), "never more than is owed");
        write_off(&town.context, &what("O-1", None)).unwrap();
        write_off(&town.context, &what("O-1", None)).unwrap();
        assert_eq!(town.balance("A1"), "0.00");
        assert_eq!(look_daily(&town, "2026-07-13", "2026-08-30").reminders, 0);
        assert_eq!(undo_write_off(&town.context, "A1", "O-1", "they are back").unwrap().posted().unwrap().balance_after_cents, 5321);
        assert!(undo_write_off(&town.context, "A1", "O-1", "they are back").unwrap().posted().unwrap().unchanged);
        assert_eq!(view(&town, "A1").bills[0].due_on, day("2026-07-06"), "the bill is open as it was");
        assert_eq!(told(&town, "A1"), ["late_fee"], "nobody is told of a write-off");
        assert!(write_off(&town.context, &WritingOff { account: "A1".to_owned(), amount: None, reference: "O 2".to_owned(), note: String::new() }).is_err());
        town.assert_sound();
    }
}
