//! The town by its rules: reads become periods, periods become charges, charges become bills. Nothing here calls the program.

use std::collections::BTreeMap;

use crate::events::{Event, How, Kind, What};
use crate::meters::Point;
use crate::rules::{Attributes, Basis, Charge, Day, Rates, STANDARD_DAYS, Slice, calendar_around, charge, days, in_winter, winter_year};

/// An account's contract for one service.
#[derive(Debug, Clone)]
struct Agreement {
    account: String,
    service: String,
    schedule: &'static str,
    /// The water service at the same premise.
    premise: String,
    /// The service whose meter measures it.
    point: Option<String>,
    start: Day,
    end: Option<Day>,
    /// Class and attributes from a day on.
    terms: Vec<(Day, &'static str, Attributes)>,
    billed: Vec<Billed>,
}

/// A period that was billed.
#[derive(Debug, Clone)]
struct Billed {
    run: usize,
    start: Day,
    end: Day,
    estimated: bool,
    cents: i128,
    tax_micro: i128,
}

/// One part of a bill.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    pub service: String,
    pub start: Day,
    pub end: Day,
    pub usage_milli: i128,
    pub cents: i128,
}

/// A bill as it must be.
#[derive(Debug, Clone)]
pub struct Bill {
    pub account: String,
    pub on: Day,
    pub segments: Vec<Segment>,
    pub previous: i128,
    pub payments: i128,
    pub adjustments: i128,
    pub due: i128,
    /// The last payment that it deducts: cents, value date, reference.
    pub last_payment: Option<(i128, Day, String)>,
    pub cancelled: bool,
    /// Tax in it, in millionths of a cent.
    pub tax_micro: i128,
    run: usize,
}

impl Bill {
    pub fn charges(&self) -> i128 {
        self.segments.iter().map(|segment| segment.cents).sum()
    }
}

/// What moves a balance.
#[derive(Debug, Clone)]
enum Entry {
    Payment { reference: String, on: Day, cents: i128, returned: bool },
    Return(i128),
    Bill(i128),
    Other(i128),
}

impl Entry {
    fn moves(&self) -> i128 {
        match self {
            Self::Payment { cents, .. } => -cents,
            Self::Return(cents) | Self::Bill(cents) | Self::Other(cents) => *cents,
        }
    }
}

/// What a run must count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub due: usize,
    pub billed: usize,
    pub held: usize,
    pub excluded: usize,
    pub bills: usize,
    pub segments: usize,
    pub cents: i128,
}

#[derive(Debug, Clone, Default)]
pub struct Town {
    rates: Vec<Rates>,
    agreements: Vec<Agreement>,
    pub points: BTreeMap<String, Point>,
    owners: BTreeMap<String, String>,
    ledgers: BTreeMap<String, Vec<Entry>>,
    pub bills: Vec<Bill>,
    runs: usize,
    /// What each run must count, in order.
    pub counts: Vec<Counts>,
    today: Day,
}

impl Town {
    pub fn new(rates: Vec<Rates>) -> Self {
        Self { rates, ..Self::default() }
    }

    pub fn balance(&self, account: &str) -> i128 {
        self.ledgers.get(account).map_or(0, |entries| entries.iter().map(Entry::moves).sum())
    }

    pub fn accounts(&self) -> impl Iterator<Item = &String> {
        self.ledgers.keys()
    }

    /// Takes an event in. What comes back is the event with everything spelt out: what was to be paid in full has its amount.
    pub fn happens(&mut self, event: &Event) -> Event {
        self.today = event.on;
        let mut event = event.clone();
        match &mut event.what {
            What::Payments(rows) => {
                for (account, cents, _) in rows.iter_mut() {
                    cents.get_or_insert(self.balance(account).max(0));
                }
                rows.retain(|(_, cents, _)| cents.is_some_and(|cents| cents > 0));
                for (account, cents, reference) in rows.clone() {
                    self.pays(&account, cents.unwrap_or(0), reference);
                }
            }
            What::Cash { account, cents, reference } => self.pays(account, *cents, reference.clone()),
            What::Return { reference } => self.returns(reference),
            What::Adjust { account, cents, .. } => self.post(account, Entry::Other(*cents)),
            What::Refund { account, .. } => self.post(account, Entry::Other(-self.balance(account))),
            What::Transfer { from, to, .. } => {
                let balance = self.balance(from);
                self.post(from, Entry::Other(-balance));
                self.post(to, Entry::Other(balance));
            }
            What::Run { through, how } => self.run(*through, *how),
            What::RollBack => self.roll_back(),
            What::Services(_) | What::Leaves { .. } | What::Comes { .. } | What::Owner { .. } | What::Terms { .. } => self.people(&event.clone()),
            _ => self.metered(&event.what.clone()),
        }
        event
    }

    fn post(&mut self, account: &str, entry: Entry) {
        self.ledgers.entry(account.to_owned()).or_default().push(entry);
    }

    fn pays(&mut self, account: &str, cents: i128, reference: String) {
        let on = self.today;
        self.post(account, Entry::Payment { reference, on, cents, returned: false });
    }

    fn returns(&mut self, wanted: &str) {
        for entries in self.ledgers.values_mut() {
            let mut back = None;
            for entry in entries.iter_mut() {
                if let Entry::Payment { reference, cents, returned, .. } = entry
                    && reference == wanted
                {
                    (*returned, back) = (true, Some(*cents));
                }
            }
            entries.extend(back.map(Entry::Return));
        }
    }

    /// Reads of all kinds.
    fn metered(&mut self, what: &What) {
        match what {
            What::Reads(rows) => {
                for row in rows {
                    let held = row.doubtful;
                    self.point_of(&row.meter).read(&row.meter, row.on, row.milli, Kind::Actual, held);
                }
            }
            What::OwnRead { meter, on, milli } => self.point_of(meter).read(meter, *on, *milli, Kind::Customer, false),
            What::Exchange { service, old, last_milli, new, digits } => {
                let on = self.today;
                self.points.get_mut(service).expect("a service").exchange(on, old, *last_milli, new, *digits);
            }
            What::Release { meter } => self.point_of(meter).decide(meter, true),
            What::Reject { meter } => self.point_of(meter).decide(meter, false),
            What::SetAside { meter, on } => self.point_of(meter).set_aside(meter, *on),
            What::Estimate { on } => {
                let wanting: Vec<(String, Day)> = self
                    .agreements
                    .iter()
                    .filter(|a| a.point.as_ref() == Some(&a.service) && a.wants_read(*on))
                    .map(|a| (a.service.clone(), a.start))
                    .collect();
                for (service, start) in wanting {
                    self.points.get_mut(&service).expect("a service").estimate(start, *on);
                }
            }
            other => panic!("{other:?} is no matter of reads"),
        }
    }

    fn point_of(&mut self, meter: &str) -> &mut Point {
        self.points.values_mut().find(|point| point.has(meter)).expect("a meter")
    }

    /// Services, tenants, owners, terms.
    fn people(&mut self, event: &Event) {
        match &event.what {
            What::Services(rows) => {
                for row in rows {
                    if let Some((meter, digits)) = &row.meter {
                        self.points.insert(row.service.clone(), Point::new(meter, *digits));
                    }
                    self.ledgers.entry(row.account.clone()).or_default();
                    let flat = self.rates.iter().any(|rates| rates.schedule == row.schedule && rates.calendar.is_some());
                    let beside = row.beside.clone().unwrap_or_else(|| row.service.clone());
                    self.agreements.push(Agreement {
                        account: row.account.clone(),
                        service: row.service.clone(),
                        schedule: row.schedule,
                        premise: beside.clone(),
                        point: (!flat).then_some(beside),
                        start: row.start,
                        end: None,
                        terms: vec![(row.start, row.class, row.attributes.iter().cloned().collect())],
                        billed: Vec::new(),
                    });
                }
            }
            What::Owner { service, account } => {
                self.owners.insert(service.clone(), account.clone());
            }
            What::Leaves { account, service, meter, milli } => {
                self.point_of(meter).read(meter, event.on, *milli, Kind::Final, false);
                self.leaves(account, service, event.on);
            }
            What::Comes { account, service, read } => {
                if let Some((meter, milli)) = read {
                    self.point_of(meter).read(meter, event.on, *milli, Kind::Actual, false);
                }
                self.comes(account, service, event.on);
            }
            What::Terms { service, from, class, attributes } => {
                let agreement = self.agreements.iter_mut().rfind(|a| a.service == *service && a.end.is_none()).expect("it is served");
                let (_, was, mut now) = agreement.terms.last().cloned().expect("terms");
                now.extend(attributes.iter().cloned());
                agreement.terms.push((*from, class.unwrap_or(was), now));
            }
            other => panic!("{other:?} is no matter of people"),
        }
    }

    fn leaves(&mut self, account: &str, premise: &str, on: Day) {
        let mut owned = Vec::new();
        for agreement in self.agreements.iter_mut().filter(|a| a.account == account && a.premise == premise && a.end.is_none()) {
            agreement.end = Some(on);
            if let Some(owner) = self.owners.get(&agreement.service) {
                owned.push(agreement.next(owner, on));
            }
        }
        self.agreements.extend(owned);
    }

    fn comes(&mut self, account: &str, premise: &str, on: Day) {
        self.ledgers.entry(account.to_owned()).or_default();
        let mut latest: BTreeMap<String, usize> = BTreeMap::new();
        for (at, agreement) in self.agreements.iter().enumerate().filter(|(_, a)| a.premise == premise) {
            latest.insert(agreement.service.clone(), at);
        }
        for at in latest.into_values() {
            self.agreements[at].end.get_or_insert(on);
            let next = self.agreements[at].next(account, on);
            self.agreements.push(next);
        }
    }

    fn run(&mut self, through: Day, how: How) {
        let run = self.runs + 1;
        self.runs = run;
        let mut counts = Counts::default();
        let mut bills = Vec::new();
        for account in self.ledgers.keys().cloned().collect::<Vec<_>>() {
            let due: Vec<usize> =
                (0..self.agreements.len()).filter(|at| self.agreements[*at].account == account && self.agreements[*at].start <= through).collect();
            counts.due += due.len();
            let found: Vec<Option<Vec<(Segment, Billed)>>> = due.iter().map(|at| self.unbilled(&self.agreements[*at], run, through)).collect();
            let waits = found.iter().any(Option::is_none);
            let mut parts = Vec::new();
            for (at, found) in due.into_iter().zip(found) {
                match found {
                    Some(periods) if periods.is_empty() => counts.excluded += 1,
                    Some(periods) if !waits => {
                        counts.billed += 1;
                        parts.extend(periods.into_iter().map(|period| (at, period)));
                    }
                    _ => counts.held += 1,
                }
            }
            if !parts.is_empty() {
                bills.push((account, parts));
            }
        }
        counts.bills = bills.len();
        for (account, parts) in bills {
            counts.segments += parts.len();
            counts.cents += parts.iter().map(|(_, (segment, _))| segment.cents).sum::<i128>();
            if how != How::Discarded {
                self.issue(run, account, parts);
            }
        }
        self.counts.push(counts);
    }

    /// The periods to be billed, with their charges; none when a read waits for a clerk.
    fn unbilled(&self, agreement: &Agreement, run: usize, through: Day) -> Option<Vec<(Segment, Billed)>> {
        let mut of = agreement.clone();
        let mut found = Vec::new();
        let periods = match &agreement.point {
            None => self.calendar_periods(agreement, through),
            Some(point) => {
                let point = &self.points[point];
                let last = agreement.end.map_or(through, |end| end.min(through));
                let first = agreement.billed_to().unwrap_or(agreement.start);
                if point.waits(first, last) {
                    return None;
                }
                let ends = point.boundaries(first, last);
                ends.iter().zip(ends.iter().skip(1)).map(|(from, to)| (*from, *to)).collect()
            }
        };
        for (start, end) in periods {
            let (segment, billed) = self.price(&of, run, start, end);
            of.billed.push(billed.clone());
            found.push((segment, billed));
        }
        Some(found)
    }

    fn calendar_periods(&self, agreement: &Agreement, through: Day) -> Vec<(Day, Day)> {
        let months = self.version(agreement.schedule, agreement.terms[0].1, through).calendar.expect("a calendar");
        let mut from = agreement.billed_to().unwrap_or(agreement.start);
        let mut periods = Vec::new();
        loop {
            let (_, next) = calendar_around(from, months);
            let to = agreement.end.map_or(next, |end| end.min(next));
            if to > through || to <= from {
                return periods;
            }
            periods.push((from, to));
            from = to;
        }
    }

    fn version(&self, schedule: &str, class: &str, on: Day) -> &Rates {
        let of = self.rates.iter().filter(|rates| rates.schedule == schedule && rates.class == class && rates.from <= on);
        of.max_by_key(|rates| rates.from).expect("rates of that day")
    }

    /// A period's charge; one that closes with a real read after estimates puts them right.
    fn price(&self, agreement: &Agreement, run: usize, start: Day, end: Day) -> (Segment, Billed) {
        let estimated = agreement.point.as_ref().is_some_and(|point| self.points[point].is_estimated(end));
        let mut estimates: Vec<&Billed> = agreement.billed.iter().rev().take_while(|billed| billed.estimated).collect();
        estimates.reverse();
        if estimated || agreement.point.is_none() {
            estimates.clear();
        }
        let since = estimates.first().map_or(start, |first| first.start);
        let settles = !estimates.is_empty();
        let all = agreement.point.as_ref().map_or(0, |point| self.points[point].used(since, end, settles));
        // Cut in thousandths so that the parts add up to the whole.
        let until = |day: Day| (all * days(since, day)).div_euclid(days(since, end));
        let part = |from: Day, to: Day| until(to) - until(from);
        let own = self.charge(agreement, start, end, part(start, end));
        let (mut cents, mut tax_micro) = (own.cents, own.tax_micro);
        for billed in estimates {
            let now = self.charge(agreement, billed.start, billed.end, part(billed.start, billed.end));
            cents += now.cents - billed.cents;
            tax_micro += now.tax_micro - billed.tax_micro;
        }
        let segment = Segment { service: agreement.service.clone(), start, end, usage_milli: own.usage_milli, cents };
        // What a later read takes back is what was billed for this period alone: estimates settle nothing themselves.
        (segment, Billed { run, start, end, estimated, cents, tax_micro })
    }

    fn charge(&self, agreement: &Agreement, start: Day, end: Day, metered_milli: i128) -> Charge {
        let mut slices: Vec<Slice<'_>> = Vec::new();
        let mut last = None;
        for on in start.iter_days().take_while(|on| *on < end) {
            let (_, class, attributes) = agreement.terms.iter().rfind(|(from, ..)| *from <= on).expect("terms of that day");
            let rates = self.version(agreement.schedule, class, on);
            let mark = (rates.from, *class, attributes);
            match slices.last_mut().filter(|_| last == Some(mark)) {
                Some(slice) => slice.days += 1,
                None => slices.push(Slice { rates, attributes, days: 1 }),
            }
            last = Some(mark);
        }
        let final_rates = slices.last().expect("a day").rates;
        let whole = final_rates.calendar.map_or(STANDARD_DAYS, |months| {
            let (from, to) = calendar_around(start, months);
            days(from, to)
        });
        let at_an_edge = start == agreement.start || agreement.end.is_some_and(|last| end >= last);
        let short = final_rates.by_days && at_an_edge && days(start, end) < whole;
        charge(&slices, metered_milli, self.winter(agreement, start), short.then_some(whole))
    }

    /// What this customer used in the last winter before a day, and in how many days: the time between real reads that ends
    /// in December, January or February.
    fn winter(&self, agreement: &Agreement, before: Day) -> Option<(i128, i128)> {
        let class = agreement.terms.iter().rfind(|(from, ..)| *from <= before)?.1;
        if !matches!(self.version(agreement.schedule, class, before).basis, Basis::Winter { .. }) {
            return None;
        }
        let point = &self.points[agreement.point.as_ref()?];
        let ends = point.real_boundaries(agreement.start, before);
        let (mut used, mut over) = (0, 0);
        for (from, to) in ends.iter().zip(ends.iter().skip(1)) {
            if in_winter(*to, winter_year(before)) {
                used += point.used(*from, *to, true);
                over += days(*from, *to);
            }
        }
        (over > 0).then_some((used, over))
    }

    fn issue(&mut self, run: usize, account: String, parts: Vec<(usize, (Segment, Billed))>) {
        let mut segments = Vec::new();
        let mut tax_micro = 0;
        for (at, (segment, billed)) in parts {
            tax_micro += billed.tax_micro;
            self.agreements[at].billed.push(billed);
            segments.push(segment);
        }
        segments.sort();
        let entries = &self.ledgers[&account];
        let after_bill = entries.iter().rposition(|entry| matches!(entry, Entry::Bill(_))).map_or(0, |at| at + 1);
        let sum = |entries: &[Entry], wanted: &dyn Fn(&Entry) -> bool| entries.iter().filter(|entry| wanted(entry)).map(Entry::moves).sum::<i128>();
        let is_payment = |entry: &Entry| matches!(entry, Entry::Payment { .. } | Entry::Return(_));
        let last_payment = entries.iter().rev().find_map(|entry| match entry {
            Entry::Payment { reference, on, cents, returned: false } => Some((*cents, *on, reference.clone())),
            _ => None,
        });
        let mut bill = Bill {
            on: self.today,
            previous: sum(&entries[..after_bill], &|_| true),
            payments: sum(&entries[after_bill..], &is_payment),
            adjustments: sum(&entries[after_bill..], &|entry| !is_payment(entry)),
            last_payment,
            cancelled: false,
            account,
            segments,
            due: 0,
            tax_micro,
            run,
        };
        bill.due = bill.previous + bill.payments + bill.adjustments + bill.charges();
        self.post(&bill.account.clone(), Entry::Bill(bill.charges()));
        self.bills.push(bill);
    }

    fn roll_back(&mut self) {
        let run = self.bills.last().expect("a bill").run;
        let taken: Vec<(String, i128)> = self
            .bills
            .iter_mut()
            .filter(|bill| bill.run == run)
            .map(|bill| {
                bill.cancelled = true;
                (bill.account.clone(), bill.charges())
            })
            .collect();
        for (account, cents) in taken {
            self.post(&account, Entry::Other(-cents));
        }
        for agreement in &mut self.agreements {
            agreement.billed.retain(|billed| billed.run != run);
        }
    }
}

impl Agreement {
    fn billed_to(&self) -> Option<Day> {
        self.billed.last().map(|billed| billed.end)
    }

    /// Whether a read of a day is wanted for its bill.
    fn wants_read(&self, on: Day) -> bool {
        self.start < on && self.end.is_none_or(|end| end >= on) && self.billed_to().is_none_or(|billed| billed < on)
    }

    /// The same service on its last terms for somebody else.
    fn next(&self, account: &str, on: Day) -> Self {
        let (_, class, attributes) = self.terms.last().cloned().expect("terms");
        Self { account: account.to_owned(), start: on, end: None, terms: vec![(on, class, attributes)], billed: Vec::new(), ..self.clone() }
    }
}
