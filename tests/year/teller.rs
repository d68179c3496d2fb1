//! Tells events to the program by its own verbs, on a simulated clock.

use std::collections::BTreeMap;

use aquabills::actions::ActionError;
use aquabills::actions::adjust::{Adjustment, adjust};
use aquabills::actions::balances::{refund_credit, transfer_balance};
use aquabills::actions::bill_run::{RunOptions, RunReport, discard_run, roll_back_run, run_bills, run_bills_until};
use aquabills::actions::change_terms::{TermChange, change_terms};
use aquabills::actions::enter_read::{NewRead, ReadOutcome, enter_read};
use aquabills::actions::estimate::estimate_missing;
use aquabills::actions::held::{Decision, ToDoFilter, decide_some, list_todos, reject_read};
use aquabills::actions::moves::{MoveIn, MoveOut, Reading, move_in, move_out, set_owner};
use aquabills::actions::payments::{COUNTER_PROVIDER, FILE_PROVIDER, NewPayment, post_payment, return_payment};
use aquabills::actions::stop::Stop;
use aquabills::db::billing;
use aquabills::domain::ids::AccountId;
use aquabills::domain::ledger::Tender;
use aquabills::domain::metering::ReadKind;
use aquabills::domain::money::Money;

use crate::events::{Event, How, ReadRow, ServiceRow, What};
use crate::rules::Day;
use crate::support::Town;

/// The program's town, with the reports of its runs.
pub struct Teller {
    pub town: Town,
    pub reports: Vec<RunReport>,
}

fn money(cents: i128) -> Money {
    Money::from_cents(i64::try_from(cents).expect("an amount"))
}

fn milli(value: i128) -> i64 {
    i64::try_from(value).expect("a reading")
}

/// Thousandths as files write them.
fn units(milli: i128) -> String {
    format!("{}.{:03}", milli / 1000, milli % 1000)
}

impl Teller {
    /// A town with these tariffs.
    pub fn new(town: Town, tariffs: &[String]) -> Self {
        // One person carries balances of any size.
        let mut town = town.lenient();
        town.configure(|config| {
            config.runs.chunk_accounts = 6;
            config.gates.recompute_one_in = 1;
        });
        for tariff in tariffs {
            town.tariff(tariff).expect("the tariff is accepted");
        }
        Self { town, reports: Vec::new() }
    }

    pub fn tell(&mut self, event: &Event) {
        let noon = event.on.and_hms_opt(12, 0, 0).expect("noon").and_utc();
        if self.town.context.now() < noon.naive_utc() || self.reports.is_empty() {
            self.town.context.clock.set(noon);
        }
        let failed = |error: ActionError| panic!("{}: {:?}: {error}", event.on, event.what);
        self.say(event).unwrap_or_else(failed);
    }

    /// Says it once more, when much has happened since: nothing may come of it.
    pub fn tell_again(&mut self, event: &Event) {
        match (self.say(event), &event.what) {
            // Terms that are billed by now are not said to be there already, but refused.
            (Ok(()), _) | (Err(ActionError::Refused(_)), What::Terms { .. }) => {}
            (Err(error), what) => panic!("{}: {what:?} once more: {error}", event.on),
        }
    }

    fn say(&mut self, event: &Event) -> Result<(), ActionError> {
        let context = &self.town.context;
        let note = "so it is".to_owned();
        match &event.what {
            What::Services(rows) => self.services(rows),
            What::Reads(rows) => self.reads(rows),
            What::OwnRead { meter, on, milli: value } => {
                let read =
                    NewRead { meter: meter.clone(), register: "1".to_owned(), read_on: *on, reading_milli: milli(*value), kind: ReadKind::Customer };
                let outcome = enter_read(context, &read)?;
                assert!(matches!(outcome, ReadOutcome::Accepted | ReadOutcome::Unchanged), "{outcome:?}");
            }
            What::Estimate { on } => drop(estimate_missing(context, "all", *on, false)?),
            What::Exchange { service, old, last_milli, new, digits } => {
                let report = self.town.exchanges(&[&format!("{service},{},{old},{},{new},0,{digits}", event.on, units(*last_milli))]);
                assert_eq!((report.refused, report.held), (0, 0), "{:?}", report.first_refusals);
            }
            What::Release { meter } => self.decide(meter, Decision::Release)?,
            What::Reject { meter } => self.decide(meter, Decision::Reject)?,
            What::SetAside { meter, on } => reject_read(context, meter, "1", *on, &note)?,
            What::Run { through, how } => self.run(*through, *how)?,
            What::RollBack => {
                let run = context.database.read(|conn| billing::latest_runs(conn, 1))?[0].id;
                roll_back_run(context, run, &note, |_, _| {})?;
            }
            What::Owner { service, account } => {
                set_owner(context, service, Some(account))?;
            }
            What::Leaves { .. } | What::Comes { .. } => self.moves(event)?,
            What::Terms { service, from, class, attributes } => {
                let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
                let rate_class = class.map(str::to_owned);
                change_terms(context, &TermChange { service: service.clone(), effective_on: *from, rate_class, attributes, note })?;
            }
            _ => self.money(event)?,
        }
        Ok(())
    }

    fn money(&self, event: &Event) -> Result<(), ActionError> {
        let context = &self.town.context;
        match &event.what {
            What::Payments(rows) => {
                let line = |(account, cents, reference): &(String, Option<i128>, String)| {
                    format!("{account},{},{},{reference}", money(cents.expect("an amount that is spelt out")), event.on)
                };
                let lines: Vec<String> = rows.iter().map(line).collect();
                let report = self.town.payments(&lines.iter().map(String::as_str).collect::<Vec<_>>());
                assert_eq!(report.refused, 0, "{:?}", report.first_refusals);
            }
            What::Cash { account, cents, reference } => {
                let payment = NewPayment {
                    account_id: AccountId(0),
                    amount: money(*cents),
                    effective_on: event.on,
                    tender: Tender::Cash,
                    provider: COUNTER_PROVIDER.to_owned(),
                    reference: reference.clone(),
                };
                post_payment(context, account, &payment)?;
            }
            What::Return { reference } => drop(return_payment(context, FILE_PROVIDER, reference, event.on, "the bank took it back")?),
            What::Adjust { account, reason, cents, reference } => {
                let (account, reason_code, reference) = (account.clone(), (*reason).to_owned(), reference.clone());
                let note = "as agreed".to_owned();
                adjust(context, &Adjustment { account, reason_code, amount: money(*cents), effective_on: event.on, reference, note })?;
            }
            What::Refund { account, reference } => drop(refund_credit(context, account, None, reference, "moved away")?),
            What::Transfer { from, to, reference } => drop(transfer_balance(context, from, to, reference, "moved in together")?),
            other => panic!("{other:?} moves no money"),
        }
        Ok(())
    }

    fn moves(&self, event: &Event) -> Result<(), ActionError> {
        let context = &self.town.context;
        let reading = |meter: &str, value: i128| Reading { meter: meter.to_owned(), register: "1".to_owned(), reading_milli: milli(value) };
        let held = match &event.what {
            What::Leaves { account, service, meter, milli } => {
                let readings = vec![reading(meter, *milli)];
                let (account, service, note) = (account.clone(), service.clone(), String::new());
                move_out(context, &MoveOut { account, service, on: event.on, readings, mailing_address: None, note })?.held
            }
            What::Comes { account, service, read } => {
                let readings = read.iter().map(|(meter, value)| reading(meter, *value)).collect();
                let (name, note) = (Some(format!("Tenant {account}")), String::new());
                let (account, service) = (account.clone(), service.clone());
                move_in(context, &MoveIn { account, name, email: None, service, on: event.on, readings, note })?.held
            }
            other => panic!("{other:?} is no move"),
        };
        assert!(held.is_empty(), "{held:?}");
        Ok(())
    }

    fn services(&self, rows: &[ServiceRow]) {
        let header =
            ["customer_id", "service_id", "rate_class", "meter_id", "register_digits", "schedule", "attributes", "start_on", "measured_by", "name"];
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record(header).expect("a header");
        for row in rows {
            let attributes: BTreeMap<&str, &String> = row.attributes.iter().map(|(name, value)| (*name, value)).collect();
            let (meter, digits) = row.meter.clone().map_or_else(Default::default, |(meter, digits)| (meter, digits.to_string()));
            let attributes = serde_json::to_string(&attributes).expect("a JSON object");
            let (start, name) = (row.start.to_string(), format!("Customer {}", row.account));
            let beside = row.beside.clone().unwrap_or_default();
            let fields = [&row.account, &row.service, row.class, &meter, &digits, row.schedule, &attributes, &start, &beside, &name];
            table.write_record(fields).expect("a row");
        }
        let csv = String::from_utf8(table.into_inner().expect("a file")).expect("text");
        let report = self.town.services(&csv).expect("the services are read");
        assert_eq!(report.refused, 0, "{:?}", report.first_refusals);
    }

    fn reads(&self, rows: &[ReadRow]) {
        let lines: Vec<String> = rows.iter().map(|row| format!("{},{},{}", row.meter, row.on, units(row.milli))).collect();
        let report = self.town.reads(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(report.refused, 0, "{:?}", report.first_refusals);
        let doubtful = u64::try_from(rows.iter().filter(|row| row.doubtful).count()).expect("a count");
        let again = report.accepted == 0;
        assert!(again || report.held == doubtful, "{} of the reads of {:?} wait, not {doubtful}", report.held, rows[0].on);
    }

    fn decide(&self, meter: &str, decision: Decision) -> Result<(), ActionError> {
        let context = &self.town.context;
        let filter = ToDoFilter { kind: Some("read_limit".to_owned()), account: None };
        let waiting = list_todos(context, &filter, None, 100)?;
        let ids: Vec<_> = waiting.iter().filter(|todo| todo.meter.as_deref() == Some(meter)).map(|todo| todo.id).collect();
        decide_some(context, &ids, decision, "looked at").map(|_| ())
    }

    fn run(&mut self, through: Day, how: How) -> Result<(), ActionError> {
        let context = &self.town.context;
        let stop = Stop::default();
        let halt = |step: &str, done: usize, _: usize| {
            if step == "issuing" && done == 1 {
                stop.request();
            }
        };
        // What the gates that compare runs think of so small a town is no matter here.
        let options = RunOptions { override_gates: Some("a small town".to_owned()), ..RunOptions::approving_all(through, &|_, _, _| {}) };
        if how == How::Discarded {
            let report = run_bills(context, &RunOptions { approve: false, ..options })?;
            discard_run(context, report.run_id.expect("a run"))?;
            self.reports.push(report);
            return Ok(());
        }
        if how == How::Interrupted {
            let stopped = run_bills_until(context, &RunOptions { progress: &halt, ..options.clone() }, &stop);
            assert!(matches!(stopped, Err(ActionError::Stopped)), "{stopped:?}");
        }
        let report = run_bills(context, &options)?;
        assert_eq!(report.status, "issued");
        self.reports.push(report);
        Ok(())
    }
}
