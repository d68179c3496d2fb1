//! Meters by their rules: what was read, what was used between two days, and what an estimate must show.

use crate::events::Kind;
use crate::rules::{Day, Frac, days};

#[derive(Debug, Clone)]
struct Read {
    on: Day,
    milli: i128,
    kind: Kind,
    held: bool,
}

#[derive(Debug, Clone)]
struct Meter {
    name: String,
    digits: u32,
    from: Option<Day>,
    to: Option<Day>,
    /// In date order, without what was set aside.
    reads: Vec<Read>,
}

impl Meter {
    fn around(&self) -> i128 {
        10_i128.pow(self.digits) * 1000
    }

    /// What the register counted, through zero when it shows less than before.
    fn counted(&self, from: i128, to: i128) -> i128 {
        (to - from).rem_euclid(self.around())
    }
}

/// A place with a meter, and those that were there before.
#[derive(Debug, Clone)]
pub struct Point {
    meters: Vec<Meter>,
}

impl Point {
    pub fn new(meter: &str, digits: u32) -> Self {
        Self { meters: vec![Meter { name: meter.to_owned(), digits, from: None, to: None, reads: Vec::new() }] }
    }

    pub fn has(&self, meter: &str) -> bool {
        self.meters.iter().any(|known| known.name == meter)
    }

    fn meter(&mut self, name: &str) -> &mut Meter {
        self.meters.iter_mut().find(|known| known.name == name).expect("a meter")
    }

    pub fn read(&mut self, meter: &str, on: Day, milli: i128, kind: Kind, held: bool) {
        let reads = &mut self.meter(meter).reads;
        assert!(reads.iter().all(|read| read.on != on), "{meter} was read on {on} already");
        reads.push(Read { on, milli, kind, held });
        reads.sort_by_key(|read| read.on);
    }

    pub fn exchange(&mut self, on: Day, old: &str, last_milli: i128, new: &str, digits: u32) {
        self.read(old, on, last_milli, Kind::Removal, false);
        self.meter(old).to = Some(on);
        self.meters.push(Meter { name: new.to_owned(), digits, from: Some(on), to: None, reads: Vec::new() });
        self.read(new, on, 0, Kind::Installation, false);
    }

    /// What waits is right, or is set aside.
    pub fn decide(&mut self, meter: &str, right: bool) {
        let reads = &mut self.meter(meter).reads;
        assert!(reads.iter().any(|read| read.held), "nothing of {meter} waits");
        reads.retain_mut(|read| {
            let keep = right || !read.held;
            read.held = false;
            keep
        });
    }

    pub fn set_aside(&mut self, meter: &str, on: Day) {
        self.meter(meter).reads.retain(|read| read.on != on);
    }

    fn reads(&self) -> impl Iterator<Item = &Read> {
        self.meters.iter().flat_map(|meter| &meter.reads)
    }

    pub fn waits(&self, first: Day, last: Day) -> bool {
        self.reads().any(|read| read.held && read.on >= first && read.on <= last)
    }

    /// Days on which a period may end: an exchange alone ends none.
    pub fn boundaries(&self, first: Day, last: Day) -> Vec<Day> {
        self.days_of(first, last, |read| !matches!(read.kind, Kind::Removal | Kind::Installation))
    }

    /// Those with a real read.
    pub fn real_boundaries(&self, first: Day, last: Day) -> Vec<Day> {
        self.days_of(first, last, |read| !matches!(read.kind, Kind::Removal | Kind::Installation | Kind::Estimated))
    }

    fn days_of(&self, first: Day, last: Day, ends: impl Fn(&Read) -> bool) -> Vec<Day> {
        let mut days: Vec<Day> = self.reads().filter(|read| read.on >= first && read.on <= last && ends(read)).map(|read| read.on).collect();
        days.sort_unstable();
        days
    }

    pub fn is_estimated(&self, on: Day) -> bool {
        self.reads().any(|read| read.on == on && read.kind == Kind::Estimated)
    }

    /// What all meters counted from one day to another.
    pub fn used(&self, from: Day, to: Day, real_only: bool) -> i128 {
        let mut sum = 0;
        for meter in &self.meters {
            let in_it = |read: &&Read| read.on >= from && read.on <= to && !(real_only && read.kind == Kind::Estimated);
            let reads: Vec<&Read> = meter.reads.iter().filter(in_it).collect();
            sum += reads.windows(2).map(|pair| meter.counted(pair[0].milli, pair[1].milli)).sum::<i128>();
        }
        sum
    }

    /// Writes down what the meter would show on a day, unless it was read around it or nothing is known to go by: the last
    /// real reading and the daily average of the last six periods of this customer, in whole units.
    pub fn estimate(&mut self, start: Day, on: Day) {
        let Some(at) = self.meters.iter().position(|meter| meter.from.is_none_or(|from| from <= on) && meter.to.is_none_or(|to| on < to)) else {
            return;
        };
        let meter = &self.meters[at];
        let near = |read: &&Read| days(read.on, on).abs() <= 7 && !matches!(read.kind, Kind::Removal | Kind::Installation) && read.on >= start;
        if meter.reads.iter().any(|read| near(&read)) || meter.reads.iter().any(|read| read.on == on) {
            return;
        }
        let real = |meter: &Meter| -> Vec<(Day, i128)> {
            let good = meter.reads.iter().filter(|read| read.kind != Kind::Estimated && !read.held && read.on >= start);
            good.map(|read| (read.on, read.milli)).collect()
        };
        let Some((last_on, last)) = real(meter).into_iter().rfind(|(day, _)| *day < on) else { return };
        let mut spans = Vec::new();
        for one in &self.meters {
            let reads: Vec<(Day, i128)> = real(one).into_iter().filter(|(day, _)| *day <= last_on).collect();
            spans.extend(reads.windows(2).map(|pair| (pair[0].0, days(pair[0].0, pair[1].0), one.counted(pair[0].1, pair[1].1))));
        }
        spans.sort_unstable();
        let recent = &spans[spans.len().saturating_sub(6)..];
        let (over, used) = recent.iter().fold((0, 0), |sum, span| (sum.0 + span.1, sum.1 + span.2));
        let estimated_before = |read: &&Read| read.kind == Kind::Estimated && read.on > last_on && read.on < on;
        let least = meter.reads.iter().filter(estimated_before).map(|read| meter.counted(last, read.milli)).max().unwrap_or(0);
        if over == 0 || meter.reads.iter().filter(estimated_before).count() >= 3 {
            return;
        }
        let shown = Frac::new(last * over + used * days(last_on, on), over * 1000).nearest() * 1000;
        let milli = (last + (shown - last).max(least)) % meter.around();
        let name = meter.name.clone();
        self.read(&name, on, milli, Kind::Estimated, false);
    }
}
