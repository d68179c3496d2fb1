//! The town and its year 2028, a leap year: who lives there, what they use, and what happens, day by day.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::events::{Event, How, ReadRow, ServiceRow, What};
use crate::rules::{Day, day};

/// Water of a month as a share of the average, in percent.
const SEASON: [i128; 12] = [80, 74, 83, 92, 105, 124, 140, 137, 118, 97, 84, 78];
/// Houses with figures of their own, in thousandths: those whose bills are worked out by hand in `hand.rs`, among others.
const USES: [(u32, [i128; 12]); 9] = [
    (1, [10_000, 2_000, 6_000, 15_000, 18_000, 5_000, 14_000, 22_500, 0, 7_250, 9_000, 8_000]),
    (2, [2_000, 3_000, 2_000, 6_500, 3_000, 4_000, 1_000, 0, 7_000, 2_000, 2_000, 3_000]),
    (4, [0; 12]),
    (6, [12_000, 11_000, 13_000, 12_000, 12_000, 4_000, 3_000, 12_000, 11_000, 12_000, 11_000, 12_000]),
    (7, [15_000, 14_000, 16_000, 15_000, 16_000, 17_000, 25_000, 26_000, 20_000, 15_000, 14_000, 15_000]),
    (11, [8_000, 7_000, 8_000, 9_000, 8_000, 9_000, 98_000, 9_000, 8_000, 8_000, 7_000, 8_000]),
    (14, [28_000, 27_500, 29_000, 31_000, 33_000, 38_000, 44_000, 43_000, 55_000, 36_000, 30_000, 29_000]),
    (15, [62_000, 60_000, 64_000, 61_000, 66_000, 70_000, 71_000, 73_000, 68_000, 66_000, 61_000, 60_000]),
    (24, [0, 0, 9_000, 10_000, 11_000, 12_000, 13_000, 13_000, 11_000, 10_000, 9_000, 9_000]),
];
/// Who pays everything that is owed soon after each bill; the others have habits of their own.
const HABITS: [u32; 10] = [4, 16, 17, 27, 28, 29, 20, 31, 12, 30];

fn used(house: u32, month: u32) -> i128 {
    let at = usize::try_from(month - 1).expect("a month");
    if let Some((_, uses)) = USES.iter().find(|(number, _)| *number == house) {
        return uses[at];
    }
    let (house, month) = (i128::from(house), i128::from(month));
    let base = 5 + house * 7 % 11;
    let units = (base * SEASON[at] + 50) / 100 + (house + month * 3) % 3;
    // Some registers show halves.
    units * 1000 + if house % 9 == 8 { 500 } else { 0 }
}

fn digits(house: u32) -> u32 {
    if house == 7 { 4 } else { 5 }
}

/// What a register shows on the day of the first read.
fn first_reading(house: u32) -> i128 {
    match house {
        // 9,990 on 15 June: through zero in the first of three estimated months. In a later one the program holds the house
        // for good (a rollover between two estimates is taken for a read below one).
        7 => 9_897_000,
        // Through zero in an ordinary month.
        13 => 99_990_000,
        other => i128::from(other) * 1_117_000 % 80_000_000,
    }
}

fn account(house: u32) -> String {
    format!("A{house:02}")
}

fn service(kind: char, house: u32) -> String {
    format!("{kind}{house:02}")
}

fn read_day(month: u32) -> Day {
    on(month, 15)
}

fn on(month: u32, day: u32) -> Day {
    NaiveDate::from_ymd_opt(2028, month, day).expect("a day of 2028")
}

/// The events of the year, in order.
pub struct Year {
    pub events: Vec<Event>,
    registers: BTreeMap<u32, (String, u32, i128)>,
    /// What of this month's use has run through the meter already.
    gone: BTreeMap<u32, i128>,
}

impl Year {
    /// The story up to and with a month's end (12 is all of it).
    pub fn told(months: u32) -> Self {
        let mut year = Self { events: Vec::new(), registers: BTreeMap::new(), gone: BTreeMap::new() };
        year.begins();
        for month in 1..=months {
            year.month(month);
        }
        year.events.sort_by_key(|event| event.on);
        year
    }

    fn add(&mut self, on: Day, what: What) {
        self.events.push(Event { on, what });
    }

    /// Everybody who is there before the year begins, with their first reads.
    fn begins(&mut self) {
        let first = day("2027-12-15");
        let mut rows = Vec::new();
        for house in (1..=30).filter(|house| ![24, 25].contains(house)) {
            let start = if house == 23 { day("2026-11-15") } else { first };
            rows.extend(services_of(house, start));
        }
        let fire = |size: &str| vec![("fire_meter_size", size.to_owned())];
        rows.push(flat(15, 'F', "fire", "FIRE", fire("4\""), first, Some(service('W', 15))));
        let mut own_test = fire("6\"");
        own_test.push(("own_backflow_test", "yes".to_owned()));
        rows.push(flat(31, 'F', "fire", "FIRE", own_test, day("2028-01-20"), None));
        self.add(day("2028-01-02"), What::Services(rows));
        let mut reads = Vec::new();
        for house in (1..=30).filter(|house| ![23, 24, 25].contains(house)) {
            self.registers.insert(house, (format!("M{house:02}"), digits(house), first_reading(house)));
            reads.push(self.shown(house, first));
        }
        // One has been served for more than a year and was never billed: every month of it comes on the first bill.
        self.registers.insert(23, ("M23".to_owned(), 5, first_reading(23)));
        let mut read_on = day("2026-11-15");
        while read_on <= first {
            reads.push(self.shown(23, read_on));
            read_on = read_on.checked_add_months(chrono::Months::new(1)).expect("a day");
            self.flows(23, used(23, chrono::Datelike::month(&read_on)));
        }
        self.flows(23, -used(23, 1));
        self.add(day("2028-01-02"), What::Reads(reads));
        // A credit that lasts for most of the year.
        self.add(on(1, 5), What::Cash { account: account(4), cents: 50_000, reference: "CASH-1".to_owned() });
    }

    fn flows(&mut self, house: u32, milli: i128) {
        let (_, digits, shown) = self.registers.get_mut(&house).expect("a register");
        *shown = (*shown + milli).rem_euclid(10_i128.pow(*digits) * 1000);
    }

    /// A part of this month's use runs through the meter before the month's read.
    fn flows_early(&mut self, house: u32, milli: i128) {
        self.flows(house, milli);
        *self.gone.entry(house).or_default() += milli;
    }

    fn shown(&self, house: u32, on: Day) -> ReadRow {
        let (meter, _, milli) = self.registers[&house].clone();
        ReadRow { meter, on, milli, doubtful: false }
    }

    fn meter(&self, house: u32) -> (String, i128) {
        let (meter, _, milli) = self.registers[&house].clone();
        (meter, milli)
    }

    fn month(&mut self, month: u32) {
        self.before_the_read(month);
        let houses: Vec<u32> = self.registers.keys().copied().collect();
        for house in houses {
            let rest = used(house, month) - self.gone.remove(&house).unwrap_or(0);
            assert!(rest >= 0, "house {house} used more before the read of month {month} than in all of it");
            self.flows(house, rest);
        }
        let read_on = read_day(month);
        let rows: Vec<ReadRow> = self.registers.keys().filter(|house| !unread(**house, month)).map(|house| self.as_read(*house, month)).collect();
        self.add(on(month, 16), What::Reads(rows));
        self.add(on(month, 16), What::Estimate { on: read_on });
        if month == 5 {
            self.add(on(5, 17), What::Run { through: read_on, how: How::Discarded });
            self.add(on(5, 17), What::Cash { account: account(3), cents: 1_234, reference: "CASH-2".to_owned() });
        }
        let how = if month == 9 { How::Interrupted } else { How::Plain };
        self.add(on(month, 17), What::Run { through: read_on, how });
        self.after_the_bill(month);
        self.money(month);
    }

    /// What the reader wrote down, which is not always what the register shows.
    fn as_read(&self, house: u32, month: u32) -> ReadRow {
        let row = self.shown(house, read_day(month));
        match (house, month) {
            (5, 3) => ReadRow { milli: row.milli + 20_000, ..row },
            (11, 7) => ReadRow { doubtful: true, ..row },
            (12, 8) => ReadRow { milli: row.milli + 480_000, doubtful: true, ..row },
            _ => row,
        }
    }

    /// What people do before a month's read.
    fn before_the_read(&mut self, month: u32) {
        match month {
            2 => {
                let rows = services_of(24, on(2, 15)).collect();
                self.add(on(2, 15), What::Services(rows));
                self.registers.insert(24, ("M24".to_owned(), 5, first_reading(24)));
            }
            3 => {
                self.exchange(8, on(2, 27), 3_000);
                self.add(on(3, 1), What::Services(services_of(25, on(2, 29)).collect()));
                self.registers.insert(25, ("M25".to_owned(), 5, first_reading(25)));
                let row = self.shown(25, on(2, 29));
                self.add(on(3, 1), What::Reads(vec![row]));
            }
            4 => {
                self.terms(3, 'W', on(4, 3), None, vec![("low_income", "yes")]);
                self.add(on(3, 20), What::Owner { service: service('W', 19), account: account(20) });
                self.add(on(3, 20), What::Owner { service: service('S', 19), account: account(20) });
                self.leaves(19, &account(19), on(4, 4), 6_000);
            }
            5 => {
                // The rates of water change on this very day.
                self.leaves(16, &account(16), on(5, 1), 4_000);
                self.comes(16, "B16", on(5, 1), None);
                self.flows_early(22, used(22, 5));
                self.exchange_now(22, on(5, 15));
            }
            6 => self.june(),
            8 => {
                self.leaves(17, &account(17), on(7, 22), 2_000);
                self.comes(17, "B17", on(7, 22), None);
                self.leaves(21, &account(21), on(8, 1), 5_000);
                self.comes(21, "B21", on(8, 1), None);
            }
            9 => {
                // After an estimate, before a real read. With another estimate after it the program holds the house for good.
                self.exchange(9, on(8, 28), 5_000);
                self.terms(14, 'W', on(9, 4), None, vec![("dwellings", "8")]);
            }
            10 => {
                // From a period's first day.
                self.terms(30, 'W', on(9, 15), None, vec![("meter_size", "1\"")]);
            }
            11 => {
                // On a period's last day, and nobody comes after.
                let all = used(26, 11);
                self.leaves(26, &account(26), on(11, 15), all);
            }
            _ => {}
        }
    }

    fn june(&mut self) {
        self.comes(19, "B19", on(5, 20), Some(1_000));
        for kind in ['W', 'S'] {
            let class = Some("SHOP");
            self.add(on(6, 1), What::Terms { service: service(kind, 13), from: on(6, 3), class, attributes: Vec::new() });
        }
        self.flows_early(10, used(10, 6) - 1_000);
        let (meter, milli) = self.meter(10);
        self.add(on(6, 14), What::OwnRead { meter, on: on(6, 14), milli });
    }

    fn terms(&mut self, house: u32, kind: char, from: Day, class: Option<&'static str>, attributes: Vec<(&'static str, &str)>) {
        let attributes = attributes.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        self.add(from, What::Terms { service: service(kind, house), from, class, attributes });
    }

    fn exchange(&mut self, house: u32, on: Day, before: i128) {
        self.flows_early(house, before);
        self.exchange_now(house, on);
    }

    fn exchange_now(&mut self, house: u32, on: Day) {
        let (old, last_milli) = self.meter(house);
        let new = format!("N{house:02}");
        self.registers.insert(house, (new.clone(), 5, 0));
        self.add(on, What::Exchange { service: service('W', house), old, last_milli, new, digits: 5 });
    }

    fn leaves(&mut self, house: u32, account: &str, on: Day, before: i128) {
        self.flows_early(house, before);
        let (meter, milli) = self.meter(house);
        self.add(on, What::Leaves { account: account.to_owned(), service: service('W', house), meter, milli });
    }

    fn comes(&mut self, house: u32, account: &str, on: Day, before: Option<i128>) {
        let read = before.map(|before| {
            self.flows_early(house, before);
            self.meter(house)
        });
        self.add(on, What::Comes { account: account.to_owned(), service: service('W', house), read });
    }

    /// Corrections between two bills.
    fn after_the_bill(&mut self, month: u32) {
        match month {
            3 => {
                // Somebody pays at once a bill that is taken back two days later.
                self.add(on(3, 18), What::Payments(vec![(account(1), None, "EARLY-1".to_owned())]));
                self.add(on(3, 19), What::RollBack);
                self.add(on(3, 19), What::SetAside { meter: "M05".to_owned(), on: read_day(3) });
                let right = self.shown(5, read_day(3));
                self.add(on(3, 19), What::Reads(vec![right]));
                self.add(on(3, 19), What::Run { through: read_day(3), how: How::Plain });
            }
            7 => {
                self.add(on(7, 20), What::Release { meter: "M11".to_owned() });
                self.add(on(7, 20), What::Run { through: read_day(7), how: How::Plain });
            }
            8 => {
                self.add(on(8, 18), What::Reject { meter: "M12".to_owned() });
                let right = self.shown(12, read_day(8));
                self.add(on(8, 18), What::Reads(vec![right]));
                self.add(on(8, 25), What::Transfer { from: account(17), to: account(18), reference: "MOVE-17".to_owned() });
            }
            10 => {
                // The run that puts three estimates right is taken back, and billed again.
                self.add(on(10, 18), What::RollBack);
                self.add(on(10, 19), What::Run { through: read_day(10), how: How::Plain });
            }
            _ => {}
        }
    }

    /// Payments and what becomes of them.
    fn money(&mut self, month: u32) {
        let prompt = (1..=30).filter(|house| !HABITS.contains(house)).map(account);
        let newcomers = ["B16", "B17", "B19", "B21"].map(str::to_owned);
        let file = prompt.chain(newcomers).map(|account| (account.clone(), None, format!("BK-{month:02}-{account}"))).collect();
        self.add(on(month, 27), What::Payments(file));
        let payment = |house: u32, cents| What::Payments(vec![(account(house), cents, format!("OWN-{month:02}-{house:02}"))]);
        // Late: only after the next bill has gone out.
        if month > 1 {
            for house in [20, 31, 12, 30] {
                self.add(on(month, 24), payment(house, if house == 12 { Some(3_333) } else { None }));
            }
        }
        match month {
            4 => self.add(on(4, 28), payment(16, Some(15_000))),
            6 => self.add(on(6, 2), What::Refund { account: account(16), reference: "REFUND-16".to_owned() }),
            _ => {}
        }
        if month < 6 {
            self.add(on(month, 26), payment(17, None));
        }
        if month < 4 {
            self.add(on(month, 26), payment(16, None));
        }
        if month != 2 {
            self.add(on(month, 28), payment(27, None));
            self.add(on(month, 28), payment(28, None));
        }
        self.returns(month);
        self.add(on(month, 22), payment(29, Some(2_500 + i128::from(month))));
        if month == 8 {
            self.adjusts(on(8, 21), 29, "leak", -4_567, "LEAK-29");
        }
    }

    /// One payment goes back before the next bill, one after it, and each time it costs a fee; then it comes again.
    fn returns(&mut self, month: u32) {
        match month {
            2 => {
                self.add(on(2, 10), What::Return { reference: "OWN-01-27".to_owned() });
                self.adjusts(on(2, 10), 27, "returned-payment-fee", 1_500, "FEE-27");
            }
            5 => {
                self.add(on(5, 20), What::Return { reference: "OWN-04-28".to_owned() });
                self.adjusts(on(5, 20), 28, "returned-payment-fee", 1_500, "FEE-28");
            }
            _ => {}
        }
    }

    fn adjusts(&mut self, on: Day, house: u32, reason: &'static str, cents: i128, reference: &str) {
        self.add(on, What::Adjust { account: account(house), reason, cents, reference: reference.to_owned() });
    }
}

/// Whom nobody could read.
fn unread(house: u32, month: u32) -> bool {
    match house {
        6 | 10 => month == 6,
        7 => (7..=9).contains(&month),
        9 => month == 8,
        21 => month == 7 || month == 8,
        22 => month == 5,
        26 => month >= 11,
        _ => false,
    }
}

fn flat(
    house: u32,
    kind: char,
    schedule: &'static str,
    class: &'static str,
    attributes: Vec<(&'static str, String)>,
    start: Day,
    beside: Option<String>,
) -> ServiceRow {
    ServiceRow { account: account(house), service: service(kind, house), schedule, class, attributes, start, meter: None, beside }
}

/// A house with its water, its sewer and its stormwater.
fn services_of(house: u32, start: Day) -> impl Iterator<Item = ServiceRow> {
    let class = match house {
        14 => "MULTI",
        15 => "SHOP",
        _ => "HOME",
    };
    let size = match house {
        15 => "2\"",
        3 | 18 | 29 => "1\"",
        _ => "5/8\"",
    };
    let mut attributes = vec![("meter_size", size.to_owned())];
    match house {
        2 | 28 => attributes.push(("low_income", "yes".to_owned())),
        3 => attributes.push(("tax_exempt", "yes".to_owned())),
        14 => attributes.push(("dwellings", "6".to_owned())),
        _ => {}
    }
    let water = service('W', house);
    let row = ServiceRow {
        account: account(house),
        service: water.clone(),
        schedule: "water",
        class,
        attributes,
        start,
        meter: Some((format!("M{house:02}"), digits(house))),
        beside: None,
    };
    let sewer = ServiceRow {
        service: service('S', house),
        schedule: "sewer",
        attributes: Vec::new(),
        meter: None,
        beside: Some(water.clone()),
        ..row.clone()
    };
    let mut ground = vec![("impervious_area", (1_400 + house * 137 + if house == 14 { 9_000 } else { 0 }).to_string())];
    if house.is_multiple_of(6) {
        ground.push(("rain_garden", "yes".to_owned()));
    }
    let storm = flat(house, 'R', "stormwater", "ANY", ground, start, Some(water));
    // Some are not connected to the sewer.
    let has_sewer = ![2, 27].contains(&house);
    let sewer = has_sewer.then_some(sewer);
    [row].into_iter().chain(sewer).chain([storm])
}
