//! What happens in Millbrook, day by day.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use chrono::{Datelike, Days, NaiveDate, Weekday};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::sign_ins::CUSTOMER_HOUSE;
use super::town::{Habit, House, Use};
use super::{DAYS_TO_BILL, TownOptions, TownReport, at_noon};
use crate::actions::adjust::{Adjustment, adjust};
use crate::actions::bill_run::{RunOptions, run_bills};
use crate::actions::change_terms::{TermChange, change_terms};
use crate::actions::enter_read::{NewRead, enter_read};
use crate::actions::estimate::estimate_missing;
use crate::actions::held::{Decision, decide_all};
use crate::actions::import::{ImportOptions, ImportReport, exchanges, payments, reads, services};
use crate::actions::moves::{MoveIn, MoveOut, Reading, move_in, move_out, set_owner};
use crate::actions::payments::{FILE_PROVIDER, return_payment};
use crate::actions::{ActionError, Context};
use crate::db::billing;
use crate::domain::ids::{AccountId, RunId};
use crate::domain::metering::ReadKind;
use crate::domain::money::Money;

const QUIET: ImportOptions<'static> = ImportOptions { dry_run: false, progress: &|_| {} };
/// The same town each time.
const SEED: u64 = 7_140;
/// Where the register has not moved for three months.
const STUCK_HOUSE: usize = 77;
/// Where nobody could read the meter for longer than it may be estimated.
const LOCKED_HOUSE: usize = 88;
/// In the last so many months a clerk has not decided yet.
const UNDECIDED_MONTHS: usize = 1;

/// One payment that is on its way.
struct Coming {
    account: String,
    amount: Money,
    reference: String,
    tender: &'static str,
    /// The bank will take it back.
    bounces: bool,
}

/// Millbrook while its story is told.
pub(super) struct Story<'a> {
    context: &'a Context,
    folder: &'a Path,
    days: &'a [NaiveDate],
    houses: Vec<House>,
    /// Who lives in a house now, when it is no longer who began.
    tenants: HashMap<usize, String>,
    /// The meter of a house that got another one.
    meters: HashMap<usize, String>,
    /// Nobody could read these this month.
    unread: HashSet<usize>,
    leaks: HashMap<usize, (usize, usize)>,
    /// Houses whose terms changed.
    changed: HashSet<usize>,
    coming: BTreeMap<NaiveDate, Vec<Coming>>,
    returns: BTreeMap<NaiveDate, Vec<String>>,
    numbers: HashMap<AccountId, String>,
    next_reference: usize,
    random: StdRng,
    report: TownReport,
}

impl<'a> Story<'a> {
    /// Settles who lives in the town, and imports them with their first reads.
    pub(super) fn begin(context: &'a Context, folder: &'a Path, options: TownOptions, days: &'a [NaiveDate]) -> Result<Self, ActionError> {
        let mut random = StdRng::seed_from_u64(SEED);
        let houses: Vec<House> = (1..=options.accounts).map(|number| House::new(number, &mut random)).collect();
        let now = days.len().saturating_sub(1);
        let earlier = (0..=options.accounts / 60).map(|index| (17 + index * 53, (4 + index * 3 % 17, 2)));
        // Two of this month, which nobody has looked at yet.
        let leaks = earlier.chain([(61, (now, 1)), (133, (now, 1))]).collect();
        let mut story = Self {
            context,
            folder,
            days,
            houses,
            tenants: HashMap::new(),
            meters: HashMap::new(),
            unread: HashSet::new(),
            leaks,
            changed: HashSet::new(),
            coming: BTreeMap::new(),
            returns: BTreeMap::new(),
            numbers: HashMap::new(),
            next_reference: 1,
            random,
            report: TownReport { accounts: options.accounts, ..TownReport::default() },
        };
        story.settle_in()?;
        Ok(story)
    }

    /// The meter of a house now.
    fn meter(&self, house: &House) -> String {
        self.meters.get(&house.number).cloned().unwrap_or_else(|| house.meter())
    }

    pub(super) fn report(&self) -> TownReport {
        self.report.clone()
    }

    fn file(&self, name: &str, content: &str) -> Result<PathBuf, ActionError> {
        let path = self.folder.join(name);
        std::fs::write(&path, content).map_err(|source| ActionError::file(&path, source))?;
        Ok(path)
    }

    fn settle_in(&mut self) -> Result<(), ActionError> {
        let Some(first) = self.days.first().copied() else { return Ok(()) };
        let then = at_noon(self.context, first);
        let path = self.write_services(first, false)?;
        taken(&services::import_services(&then, &path, QUIET)?)?;
        let mut rows = String::from("meter_id,read_on,reading\n");
        for house in &self.houses {
            rows += &format!("{},{first},{}\n", house.meter(), house.reading());
        }
        let path = self.file(&format!("reads-{first}.csv"), &rows)?;
        taken(&reads::import_reads(&then, &path, QUIET)?)
    }

    /// The file of services as the utility wrote it; e-mail addresses came later.
    fn write_services(&self, start: NaiveDate, with_email: bool) -> Result<PathBuf, ActionError> {
        let header = [
            "customer_id",
            "service_id",
            "rate_class",
            "meter_id",
            "register_digits",
            "name",
            "address",
            "email",
            "attributes",
            "cycle",
            "start_on",
            "measured_by",
            "schedule",
        ];
        let mut table = csv::Writer::from_writer(Vec::new());
        let failed = |error: csv::Error| ActionError::Form(error.to_string());
        table.write_record(header).map_err(failed)?;
        let start = start.to_string();
        // People who moved in gave theirs at once; a house with other terms has another class now.
        let still = |house: &&House| !with_email || !(self.tenants.contains_key(&house.number) || self.changed.contains(&house.number));
        for house in self.houses.iter().filter(still) {
            let email = if with_email { house.email() } else { String::new() };
            let mut row = |service: String, class: &str, meter: &str, digits: &str, attributes: String, measured_by: &str, schedule: &str| {
                table.write_record([
                    &house.account(),
                    &service,
                    class,
                    meter,
                    digits,
                    &house.name,
                    &house.address,
                    &email,
                    &attributes,
                    "town",
                    &start,
                    measured_by,
                    schedule,
                ])
            };
            let water = house.service('W');
            let (meter, digits) = (self.meter(house), house.digits().to_string());
            row(water.clone(), water_class(house), &meter, &digits, water_attributes(house), "", "water").map_err(failed)?;
            if house.sewer {
                row(house.service('S'), "SEWER", "", "", String::new(), &water, "sewer").map_err(failed)?;
            }
            row(house.service('R'), "STORMWATER", "", "", area(house), "", "stormwater").map_err(failed)?;
            if house.purpose == (Use::Shop { fire_line: true }) {
                row(house.service('F'), "FIRE", "", "", r#"{"fire_line":"4\""}"#.to_owned(), "", "fire").map_err(failed)?;
            }
        }
        let bytes = table.into_inner().map_err(|error| ActionError::Form(error.to_string()))?;
        let name = if with_email { "services-with-email.csv" } else { "services.csv" };
        let path = self.folder.join(name);
        std::fs::write(&path, bytes).map_err(|source| ActionError::file(&path, source))?;
        Ok(path)
    }

    /// Tells it from the day after the first reads to today.
    pub(super) fn tell(&mut self, progress: &dyn Fn(usize, usize)) -> Result<(), ActionError> {
        let today = self.context.today();
        let Some(mut day) = self.days.first().copied() else { return Ok(()) };
        let months = self.days.len().saturating_sub(1);
        for month in 1..=months {
            let read_on = self.days.get(month).copied().unwrap_or(today);
            let bill_on = read_on.checked_add_days(Days::new(DAYS_TO_BILL)).unwrap_or(today);
            self.flow(month, day, read_on);
            self.until(day, read_on.pred_opt().unwrap_or(read_on))?;
            self.people(month, read_on)?;
            self.read(month, read_on)?;
            self.until(read_on, bill_on)?;
            self.bill(month, bill_on, read_on)?;
            day = read_on;
            progress(month, months);
        }
        let last_bill = day.checked_add_days(Days::new(DAYS_TO_BILL)).unwrap_or(today);
        self.until(last_bill.succ_opt().unwrap_or(today), today)
    }

    /// A month's water.
    fn flow(&mut self, month: usize, from: NaiveDate, to: NaiveDate) {
        let days = (to - from).num_days();
        let month0 = usize::try_from(to.month0()).unwrap_or(0);
        for house in &mut self.houses {
            if house.number == STUCK_HOUSE && month + 3 > self.days.len() - 1 {
                continue;
            }
            let leaking = self.leaks.get(&house.number).is_some_and(|(first, months)| month >= *first && month < first + months);
            house.run(month0, days, if leaking { 700 } else { 0 }, &mut self.random);
        }
    }

    /// The days from one to another, both included: money comes in, and some of it goes back.
    fn until(&mut self, from: NaiveDate, to: NaiveDate) -> Result<(), ActionError> {
        let mut day = from;
        while day <= to {
            let banking = matches!(day.weekday(), Weekday::Mon | Weekday::Wed | Weekday::Fri) || day == to;
            if banking {
                self.bank(day)?;
            }
            let Some(next) = day.succ_opt() else { break };
            day = next;
        }
        Ok(())
    }

    /// The bank's list of what came in up to a day.
    fn bank(&mut self, day: NaiveDate) -> Result<(), ActionError> {
        let later = self.coming.split_off(&day.succ_opt().unwrap_or(day));
        let due = std::mem::replace(&mut self.coming, later);
        let mut rows = String::from("account,amount,effective_on,reference,tender\n");
        let mut count = 0;
        for (on, payments) in due {
            for payment in payments {
                rows += &format!("{},{},{on},{},{}\n", payment.account, payment.amount, payment.reference, payment.tender);
                count += 1;
                if payment.bounces {
                    let back = day.checked_add_days(Days::new(5)).unwrap_or(day);
                    self.returns.entry(back).or_default().push(payment.reference);
                }
            }
        }
        let then = at_noon(self.context, day);
        if count > 0 {
            let path = self.file("payments.csv", &rows)?;
            taken(&payments::import_payments(&then, &path, QUIET)?)?;
            self.report.payments += count;
        }
        let later = self.returns.split_off(&day.succ_opt().unwrap_or(day));
        for reference in std::mem::replace(&mut self.returns, later).into_values().flatten() {
            self.give_back(&then, &reference)?;
        }
        Ok(())
    }

    /// A cheque bounces: the payment goes back, a fee is charged, and the customer pays again.
    fn give_back(&mut self, then: &Context, reference: &str) -> Result<(), ActionError> {
        return_payment(then, FILE_PROVIDER, reference, then.today(), "returned by the bank: insufficient funds")?;
        self.report.returned += 1;
        let paid = then.database.read(|conn| {
            crate::db::payments::by_references(conn, FILE_PROVIDER, crate::actions::payments::MERCHANT, &[reference]).map_err(ActionError::from)
        })?;
        let Some(paid) = paid.into_iter().next() else { return Ok(()) };
        let Some(account) = self.numbers.get(&paid.account_id).cloned() else { return Ok(()) };
        let fee = Adjustment {
            account: account.clone(),
            reason_code: "returned-payment-fee".to_owned(),
            amount: Money::from_cents(1500),
            effective_on: then.today(),
            reference: format!("FEE-{reference}"),
            note: format!("payment {reference} was returned by the bank"),
        };
        adjust(then, &fee)?;
        let again = then.today().checked_add_days(Days::new(9)).unwrap_or_default();
        self.expect(again, account, Money::from_cents(paid.amount_cents + 1500), "transfer", false);
        Ok(())
    }

    fn expect(&mut self, on: NaiveDate, account: String, amount: Money, tender: &'static str, bounces: bool) {
        let reference = format!("BK-{:06}", self.next_reference);
        self.next_reference += 1;
        self.coming.entry(on).or_default().push(Coming { account, amount, reference, tender, bounces });
    }

    /// Reads of a month: most meters are read, some customers read their own, some meters nobody could reach.
    fn read(&mut self, month: usize, on: NaiveDate) -> Result<(), ActionError> {
        let then = at_noon(self.context, on.succ_opt().unwrap_or(on));
        self.unread.clear();
        let mut rows = String::from("meter_id,read_on,reading\n");
        let mut own = Vec::new();
        for house in &self.houses {
            let meter = self.meter(house);
            // One house has a dog for three months on end.
            let dog = house.number == CUSTOMER_HOUSE && (9..12).contains(&month);
            let locked = house.number == LOCKED_HOUSE && month + 4 > self.days.len() - 1;
            match self.random.random_range(0..100) {
                0 if month > 3 => own.push((meter, house.reading())),
                1 | 2 if month > 3 => {
                    self.unread.insert(house.number);
                }
                _ if dog || locked => {
                    self.unread.insert(house.number);
                }
                _ => rows += &format!("{meter},{on},{}\n", house.reading()),
            }
        }
        let path = self.file(&format!("reads-{on}.csv"), &rows)?;
        taken(&reads::import_reads(&then, &path, QUIET)?)?;
        for (meter, reading) in own {
            let read = NewRead { meter, register: "1".to_owned(), read_on: on, reading_milli: reading * 1000, kind: ReadKind::Customer };
            enter_read(&then, &read)?;
        }
        self.report.estimated += estimate_missing(&then, "town", on, false)?.estimated;
        Ok(())
    }

    /// The month's bills, and what people make of them.
    fn bill(&mut self, month: usize, bill_on: NaiveDate, read_on: NaiveDate) -> Result<(), ActionError> {
        if month + 1 == self.days.len() - 1 {
            let start = self.days.first().copied().unwrap_or(read_on);
            let path = self.write_services(start, true)?;
            taken(&services::import_services(&at_noon(self.context, bill_on), &path, QUIET)?)?;
        }
        self.run(bill_on, read_on)?;
        if month + UNDECIDED_MONTHS >= self.days.len() {
            return Ok(());
        }
        let later = bill_on.checked_add_days(Days::new(2)).unwrap_or(bill_on);
        let then = at_noon(self.context, later);
        if decide_all(&then, None, Decision::Release, "visited: the reading is right")? > 0 {
            self.run(later, read_on)?;
        }
        Ok(())
    }

    fn run(&mut self, on: NaiveDate, through: NaiveDate) -> Result<(), ActionError> {
        let then = at_noon(self.context, on);
        let options = RunOptions {
            cycle: "town".to_owned(),
            override_gates: Some("the demonstration goes on".to_owned()),
            ..RunOptions::approving_all(through, &|_, _, _| {})
        };
        let report = run_bills(&then, &options)?;
        self.report.runs += 1;
        self.report.bills += report.totals.bills;
        match report.run_id {
            Some(run) => self.pay(run, on),
            None => Ok(()),
        }
    }

    /// Each customer pays by habit.
    fn pay(&mut self, run: RunId, on: NaiveDate) -> Result<(), ActionError> {
        let (bills, accounts) = self.context.database.snapshot(|conn| {
            let bills = billing::bills_of_run(conn, run, AccountId(0), AccountId(i64::MAX))?;
            let accounts = crate::db::customers::accounts_after(conn, AccountId(0), 100_000)?;
            Ok::<_, ActionError>((bills, accounts))
        })?;
        self.numbers = accounts.into_iter().map(|account| (account.id, account.number)).collect();
        for bill in bills {
            let due = Money::from_cents(bill.amount_due_cents);
            let Some(account) = self.numbers.get(&bill.account_id).cloned().filter(|_| due > Money::default()) else { continue };
            let house = usize::try_from(bill.account_id.0).ok().and_then(|id| self.houses.get(id.wrapping_sub(1)));
            let habit = house.map_or(Habit::Prompt, |house| house.habit);
            let wait = match habit {
                Habit::Early => self.random.random_range(1..8),
                Habit::Prompt | Habit::Halves => self.random.random_range(15..22),
                Habit::Late => self.random.random_range(26..48),
            };
            let amount = if habit == Habit::Halves { Money::from_cents((bill.amount_due_cents + 1) / 2) } else { due };
            let chance = self.random.random_range(0..400);
            let tender = ["transfer", "transfer", "cheque", "card"].get(chance % 4).copied().unwrap_or("transfer");
            let pays_on = on.checked_add_days(Days::new(wait)).unwrap_or(on);
            if chance != 399 {
                self.expect(pays_on, account, amount, tender, tender == "cheque" && chance < 12);
            }
        }
        Ok(())
    }
}

/// What a file of the town's own making brings must fit.
fn taken(report: &ImportReport) -> Result<(), ActionError> {
    if report.refused == 0 {
        return Ok(());
    }
    Err(ActionError::Refused(format!("the town's own files do not fit: {}", report.first_refusals.join("; "))))
}

fn water_class(house: &House) -> &'static str {
    match house.purpose {
        Use::Home => "RESIDENTIAL",
        Use::Apartments { .. } => "APARTMENTS",
        Use::Shop { .. } => "COMMERCIAL",
    }
}

fn water_attributes(house: &House) -> String {
    let mut attributes = serde_json::Map::new();
    attributes.insert("meter_size".to_owned(), house.meter_size.into());
    if house.low_income {
        attributes.insert("low_income".to_owned(), "yes".into());
    }
    if let Use::Apartments { dwellings } = house.purpose {
        attributes.insert("dwellings".to_owned(), dwellings.into());
    }
    serde_json::Value::Object(attributes).to_string()
}

fn area(house: &House) -> String {
    let square_feet = match house.purpose {
        Use::Home => 1200 + house.number % 40 * 60,
        Use::Apartments { .. } => 14_000,
        Use::Shop { .. } => 6_000 + house.number % 30 * 900,
    };
    format!(r#"{{"impervious_area":{square_feet}}}"#)
}

/// What people do besides paying: they move, a meter is replaced, a leak is forgiven, a house becomes a shop.
impl Story<'_> {
    fn people(&mut self, month: usize, read_on: NaiveDate) -> Result<(), ActionError> {
        let eve = read_on.checked_sub_days(Days::new(6)).unwrap_or(read_on);
        let then = at_noon(self.context, eve);
        match month {
            2 => {
                set_owner(&then, &self.service(41)?, Some(&self.account(3)?))?;
            }
            5 | 11 | 17 | 20 | 23 => {
                for number in [month * 7 + 1, month * 11 + 2, month * 13 + 5] {
                    self.moves(&then, number, eve)?;
                }
            }
            8 => self.leaves_to_the_owner(&then, 41, eve)?,
            9 => {
                let reading = self.reading(41)?;
                self.comes(&then, 41, eve, vec![reading])?;
            }
            6 | 10 | 12 | 15 | 19 | 21 => self.exchange(&then, month * 9 + 3, eve)?,
            13 => self.becomes_a_shop(&then, 52, eve)?,
            7 => self.forgive_leak(&then)?,
            _ => {}
        }
        Ok(())
    }

    fn house(&self, number: usize) -> Result<&House, ActionError> {
        // Towns with few accounts have the same story, in other houses.
        let index = (number - 1) % self.houses.len().max(1);
        self.houses.get(index).ok_or_else(|| ActionError::not_found("house", number.to_string()))
    }

    /// Where notices to a house go: this one, or the next where the people are still those who began and gave an address.
    pub(super) fn email(&self, number: usize) -> Result<String, ActionError> {
        let still = |house: &&House| !(self.tenants.contains_key(&house.number) || self.changed.contains(&house.number));
        let houses = (number..number + self.houses.len()).filter_map(|number| self.house(number).ok());
        houses.into_iter().find(still).map(House::email).ok_or_else(|| ActionError::not_found("house", number.to_string()))
    }

    fn service(&self, number: usize) -> Result<String, ActionError> {
        Ok(self.house(number)?.service('W'))
    }

    fn account(&self, number: usize) -> Result<String, ActionError> {
        let house = self.house(number)?;
        Ok(self.tenants.get(&house.number).cloned().unwrap_or_else(|| house.account()))
    }

    /// What the register showed some days before the month's read; it never shows more than on the day itself.
    fn reading(&self, number: usize) -> Result<Reading, ActionError> {
        let house = self.house(number)?;
        let meter = self.meter(house);
        let last = self.context.database.read(|conn| {
            let registers = crate::db::metering::registers_by_serial(conn, &[&meter])?;
            let ids: Vec<_> = registers.iter().map(|(row, _)| row.id).collect();
            Ok::<_, ActionError>(crate::db::metering::reads_of(conn, &ids)?.last().map_or(0, |read| read.reading_milli))
        })?;
        let now = house.reading() * 1000;
        let between = if now >= last { last + (now - last) / 1000 * 3 / 4 * 1000 } else { last };
        Ok(Reading { meter, register: "1".to_owned(), reading_milli: between })
    }

    fn moves(&mut self, then: &Context, number: usize, on: NaiveDate) -> Result<(), ActionError> {
        let (service, account, reading) = (self.service(number)?, self.account(number)?, self.reading(number)?);
        let movement = MoveOut {
            account,
            service,
            on,
            readings: vec![reading],
            mailing_address: Some("General Delivery, Alderton".to_owned()),
            note: "moved away".to_owned(),
        };
        move_out(then, &movement)?;
        // The final reading is the first of who comes.
        self.comes(then, number, on, Vec::new())
    }

    fn leaves_to_the_owner(&mut self, then: &Context, number: usize, on: NaiveDate) -> Result<(), ActionError> {
        let (service, account, reading) = (self.service(number)?, self.account(number)?, self.reading(number)?);
        let movement = MoveOut { account, service, on, readings: vec![reading], mailing_address: None, note: "the lease ended".to_owned() };
        move_out(then, &movement).map(|_| ())
    }

    fn comes(&mut self, then: &Context, number: usize, on: NaiveDate, readings: Vec<Reading>) -> Result<(), ActionError> {
        let (service, house) = (self.service(number)?, self.house(number)?.number);
        let account = format!("MB-{}", 9000 + self.report.moves);
        let newcomer = House::new(1 + self.report.moves * 100, &mut self.random);
        let movement = MoveIn {
            account: account.clone(),
            name: Some(newcomer.name.clone()),
            email: Some(newcomer.email()),
            service,
            on,
            readings,
            note: String::new(),
        };
        move_in(then, &movement)?;
        self.tenants.insert(house, account);
        self.report.moves += 1;
        self.report.accounts += 1;
        Ok(())
    }

    fn exchange(&mut self, then: &Context, number: usize, on: NaiveDate) -> Result<(), ActionError> {
        let (service, old) = (self.service(number)?, self.reading(number)?);
        let (house, digits) = (self.house(number)?.number, self.house(number)?.digits());
        let new = format!("N{}", 50_000 + self.report.exchanges);
        let header = "service_id,exchanged_on,old_meter_id,final_reading,new_meter_id,initial_reading,register_digits";
        let row = format!("{service},{on},{},{},{new},0,{digits}", old.meter, old.reading_milli / 1000);
        let path = self.file("exchanges.csv", &format!("{header}\n{row}\n"))?;
        taken(&exchanges::import_exchanges(then, &path, QUIET)?)?;
        self.meters.insert(house, new);
        let index = house - 1;
        if let Some(house) = self.houses.get_mut(index) {
            // What was used since the exchange shows on the new register.
            house.register_centi = (house.register_centi - old.reading_milli / 10).max(0);
        }
        self.report.exchanges += 1;
        Ok(())
    }

    fn becomes_a_shop(&mut self, then: &Context, number: usize, on: NaiveDate) -> Result<(), ActionError> {
        let change = TermChange {
            service: self.service(number)?,
            effective_on: on,
            rate_class: Some("COMMERCIAL".to_owned()),
            attributes: vec![("meter_size".to_owned(), "1\"".to_owned())],
            note: "a bakery opened in the house".to_owned(),
        };
        change_terms(then, &change)?;
        let house = self.house(number)?.number;
        self.changed.insert(house);
        Ok(())
    }

    fn forgive_leak(&mut self, then: &Context) -> Result<(), ActionError> {
        let relief = Adjustment {
            account: self.account(17)?,
            reason_code: "leak".to_owned(),
            amount: Money::from_cents(-8_500),
            effective_on: then.today(),
            reference: "LEAK-0001".to_owned(),
            note: "a pipe burst under the drive; the repair bill was shown".to_owned(),
        };
        adjust(then, &relief).map(|_| ())
    }
}
