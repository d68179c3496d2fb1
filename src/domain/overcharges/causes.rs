//! Naming the cause: what a charge was made from, beside what it should have been made from.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{Days, NaiveDate};

use super::{Cause, Reason, Side};
use crate::domain::billing::{SegmentInputs, TariffBook, charge};
use crate::domain::ids::{ReadId, RegisterId};
use crate::domain::metering::{Register, Span};
use crate::domain::money::Money;
use crate::domain::quantity::from_milli;
use crate::domain::rates::{Attributes, ChargeLine};

/// What is known today of what bills were made from, to tell it in words.
#[derive(Debug, Default)]
pub struct Facts {
    /// The meter of each register, by its number.
    pub meters: HashMap<RegisterId, String>,
    /// The reads: of what kind, and whether each still stands.
    pub reads: HashMap<ReadId, ReadFact>,
    /// The tariff versions, by hash.
    pub versions: HashMap<String, VersionFact>,
    /// Pairs of registers that changed places: the one that was billed here, and the one that should have been.
    pub swapped: HashSet<(RegisterId, RegisterId)>,
}

/// A read as it is today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadFact {
    /// Whether it is an estimate.
    pub estimated: bool,
    /// Whether it was not set aside.
    pub stands: bool,
}

/// A tariff version as it was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionFact {
    /// Its schedule.
    pub schedule: String,
    /// Its first day.
    pub effective_on: NaiveDate,
    /// Its text without the day: two versions with the same are the same rates.
    pub text: String,
}

/// The text of a tariff without its day.
#[must_use]
pub fn text_without_day(source: &str) -> String {
    let lines = source.lines().filter(|line| !line.trim_start().starts_with("effective_date"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Why two sides differ that cover the same days: every reason that changes the money, the most specific first.
#[must_use]
pub fn reasons(service: &str, billed: &[Side], should: &[Side], facts: &Facts, book: &TariffBook) -> Vec<Reason> {
    let looker = Looker { service, billed, should, facts, book };
    let mut found = looker.price();
    let explained = billed_by_own_inputs(billed, book) == Some(total(should));
    if !found.is_empty() && explained {
        return found;
    }
    found.extend(looker.counted_twice());
    found.extend(looker.registers());
    found.extend(looker.reads(|side| side.inputs.spans.as_slice()));
    found.extend(looker.terms());
    found.extend(looker.winter());
    found.extend(looker.dates());
    let mut seen = HashSet::new();
    found.retain(|reason| seen.insert((reason.cause, reason.subject.clone())));
    found.sort_by_key(|reason| reason.cause);
    looker.only_what_matters(found)
}

/// One cause and subject for all reasons, and all of them in words.
#[must_use]
pub fn conclude(service: &str, reasons: &[Reason]) -> Reason {
    /// More subjects than these are named by the service alone.
    const NAMED: usize = 3;
    let causes: BTreeSet<Cause> = reasons.iter().map(|reason| reason.cause).collect();
    let subjects: BTreeSet<&str> = reasons.iter().map(|reason| reason.subject.as_str()).collect();
    let cause = match (causes.first(), causes.len()) {
        (Some(one), 1) => *one,
        (None, _) => Cause::Other,
        _ => Cause::Several,
    };
    let subject = if subjects.is_empty() || subjects.len() > NAMED {
        format!("service {service}")
    } else {
        subjects.into_iter().collect::<Vec<_>>().join(" and ")
    };
    let told: Vec<&str> = reasons.iter().map(|reason| reason.detail.as_str()).collect();
    let detail = if told.is_empty() { "what was billed cannot be told from what should have been by its inputs".to_owned() } else { told.join("; ") };
    Reason { cause, subject, detail }
}

fn total(sides: &[Side]) -> Money {
    sides.iter().map(|side| side.total).fold(Money::default(), |sum, one| sum + one)
}

/// What the bills come to by what they say they were made from.
fn billed_by_own_inputs(billed: &[Side], book: &TariffBook) -> Option<Money> {
    let charges = billed.iter().map(|side| charge(&side.inputs, book).map(|charge| charge.charge.total));
    charges.collect::<Result<Vec<Money>, _>>().ok().map(|totals| totals.into_iter().fold(Money::default(), |sum, one| sum + one))
}

struct Looker<'a> {
    service: &'a str,
    billed: &'a [Side],
    should: &'a [Side],
    facts: &'a Facts,
    book: &'a TariffBook,
}

/// Days with the rates and terms that price them.
struct Priced<'a> {
    from_on: NaiveDate,
    to_on: NaiveDate,
    sha256: &'a str,
    rate_class: &'a str,
    attributes: &'a Attributes,
}

/// The readings of one register by day: which read, and what it showed.
type Readings = BTreeMap<NaiveDate, (ReadId, i64)>;

impl Looker<'_> {
    fn reason(&self, cause: Cause, subject: Option<String>, detail: String) -> Reason {
        Reason { cause, subject: subject.unwrap_or_else(|| format!("service {}", self.service)), detail }
    }

    fn meter(&self, register: RegisterId) -> String {
        self.facts.meters.get(&register).cloned().unwrap_or_else(|| format!("of register {register}"))
    }

    /// Bills that are not what their own inputs give.
    fn price(&self) -> Vec<Reason> {
        let mut found = Vec::new();
        for side in self.billed {
            let Ok(own) = charge(&side.inputs, self.book) else { continue };
            if own.charge.total == side.total {
                continue;
            }
            let bill = side.bill.as_deref().unwrap_or("it");
            let lines = differing_lines(&side.lines, &own.charge.lines);
            let detail = format!("bill {bill} says {} and its own reads, rates and terms give {}{lines}", side.total, own.charge.total);
            let run = side.bill.as_deref().and_then(|bill| bill.split_once('-')).map(|(run, _)| format!("run {}", run.trim_start_matches('0')));
            found.push(self.reason(Cause::Price, run, detail));
        }
        found
    }

    /// The same count in two spans that were both billed.
    fn counted_twice(&self) -> Vec<Reason> {
        let billed = overlapping(self.billed);
        let should = overlapping(self.should);
        let twice = billed.into_iter().filter(|(register, on)| !should.contains(&(*register, *on)));
        let mut found: Vec<Reason> = twice
            .map(|(register, on)| {
                let meter = self.meter(register);
                let detail = format!("what meter {meter} counted up to {on} was billed twice");
                self.reason(Cause::DuplicatedRead, Some(format!("meter {meter}")), detail)
            })
            .collect();
        found.extend(self.same_dial());
        found
    }

    /// A register that was counted beside another one with the same readings on the same days.
    fn same_dial(&self) -> Option<Reason> {
        let (ours, theirs) = (readings(self.billed, &own_spans), readings(self.should, &own_spans));
        let shown = |readings: &Readings| readings.iter().map(|(on, (_, milli))| (*on, *milli)).collect::<Vec<_>>();
        let dropped = ours.iter().find(|(register, own)| {
            let twin = |(other, its): (&RegisterId, &Readings)| other != *register && shown(its) == shown(own);
            !theirs.contains_key(register) && ours.iter().any(twin)
        })?;
        let meter = self.meter(*dropped.0);
        let detail = format!("meter {meter} shows what another one of the service shows: the same dial was counted twice");
        Some(self.reason(Cause::DuplicatedRead, Some(format!("meter {meter}")), detail))
    }

    fn registers(&self) -> Vec<Reason> {
        let (ours, theirs) = (registers(self.billed), registers(self.should));
        let only_ours: Vec<RegisterId> = ours.keys().filter(|id| !theirs.contains_key(id)).copied().collect();
        let only_theirs: Vec<RegisterId> = theirs.keys().filter(|id| !ours.contains_key(id)).copied().collect();
        let mut found = Vec::new();
        if !(only_ours.is_empty() && only_theirs.is_empty()) && self.same_dial().is_none() {
            found.push(self.other_meter(&only_ours, &only_theirs));
        }
        for (id, was) in &ours {
            let Some(is) = theirs.get(id) else { continue };
            let meter = self.meter(*id);
            let subject = || Some(format!("meter {meter}"));
            if was.multiplier_milli != is.multiplier_milli {
                let (was, is) = (from_milli(was.multiplier_milli), from_milli(is.multiplier_milli));
                let detail = format!("meter {meter} was billed with a multiplier of {was}, it is {is}");
                found.push(self.reason(Cause::Multiplier, subject(), detail));
            }
            if was.digits != is.digits {
                let detail = format!("meter {meter} was billed with {} digits, it has {}", was.digits, is.digits);
                found.push(self.reason(Cause::Register, subject(), detail));
            }
            if was.unit != is.unit {
                let name = |register: &Register| register.unit.clone().unwrap_or_else(|| "the tariff's unit".to_owned());
                let detail = format!("meter {meter} was billed in {}, it counts in {}", name(was), name(is));
                found.push(self.reason(Cause::Register, subject(), detail));
            }
        }
        found
    }

    fn other_meter(&self, only_ours: &[RegisterId], only_theirs: &[RegisterId]) -> Reason {
        let names = |ids: &[RegisterId]| ids.iter().map(|id| self.meter(*id)).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ");
        let pairs = only_ours.iter().flat_map(|ours| only_theirs.iter().map(move |theirs| (*ours, *theirs)));
        for (ours, theirs) in pairs {
            if self.facts.swapped.contains(&(ours, theirs)) {
                let mut both = [self.meter(ours), self.meter(theirs)];
                both.sort();
                let [first, second] = both;
                let (was, is) = (self.meter(ours), self.meter(theirs));
                let detail = format!("service {} was billed by meter {was}, which is another's, and has meter {is}", self.service);
                return self.reason(Cause::SwappedMeters, Some(format!("meters {first} and {second}")), detail);
            }
        }
        let detail = match (only_ours.is_empty(), only_theirs.is_empty()) {
            (false, true) => format!("meter {} was counted and does not belong to service {}", names(only_ours), self.service),
            (true, _) => format!("meter {} belongs to service {} and was not counted", names(only_theirs), self.service),
            _ => format!("service {} was billed by meter {}, it has meter {}", self.service, names(only_ours), names(only_theirs)),
        };
        self.reason(Cause::Meter, None, detail)
    }

    /// Reads that were set aside, put right or added since, in the spans that `spans` takes of a side.
    fn reads(&self, spans: impl Fn(&Side) -> &[Span]) -> Vec<Reason> {
        let (ours, theirs) = (readings(self.billed, &spans), readings(self.should, &spans));
        let mut found = Vec::new();
        for (register, was) in &ours {
            let Some(is) = theirs.get(register) else { continue };
            let (mut own, mut anew) = (Vec::new(), Vec::new());
            for (on, (read, milli)) in was {
                let made_anew = self.is_estimate(*read) && is.get(on).is_some_and(|(now, _)| self.is_estimate(*now));
                let reasons = if made_anew { &mut anew } else { &mut own };
                reasons.extend(self.changed_read(*register, (*on, *read, *milli), was, is));
            }
            for (on, (read, milli)) in is.iter().filter(|(on, _)| !was.contains_key(on)) {
                let detail = format!("the read of meter {} on {on}, {}, was not there yet", self.meter(*register), from_milli(*milli));
                own.push(self.read_reason(if self.is_estimate(*read) { Cause::Estimate } else { Cause::Read }, *register, *on, detail));
            }
            // An estimate that was made anew for a read that was put right has that read's cause.
            if own.is_empty() {
                own = anew;
            }
            found.extend(own);
        }
        found
    }

    fn is_estimate(&self, read: ReadId) -> bool {
        self.facts.reads.get(&read).is_some_and(|read| read.estimated)
    }

    fn read_reason(&self, cause: Cause, register: RegisterId, on: NaiveDate, detail: String) -> Reason {
        let what = if cause == Cause::Estimate { "estimate" } else { "read" };
        self.reason(cause, Some(format!("{what} {} {on}", self.meter(register))), detail)
    }

    fn changed_read(&self, register: RegisterId, (on, read, milli): (NaiveDate, ReadId, i64), was: &Readings, is: &Readings) -> Option<Reason> {
        let fact = self.facts.reads.get(&read);
        let estimated = fact.is_some_and(|read| read.estimated);
        let cause = if estimated { Cause::Estimate } else { Cause::Read };
        let what = if estimated { "estimate" } else { "read" };
        let (meter, shown) = (self.meter(register), from_milli(milli));
        match is.get(&on) {
            Some((_, now)) if *now == milli => None,
            Some((_, now)) => {
                let detail = format!("the {what} of meter {meter} on {on} was billed as {shown}, it is {}", from_milli(*now));
                Some(self.read_reason(cause, register, on, detail))
            }
            None if fact.is_some_and(|read| read.stands) => None,
            None => {
                let before = was.range(..on).next_back();
                let after = on.succ_opt().and_then(|next| was.range(next..).next());
                let twin = before.into_iter().chain(after).find(|(_, (_, other))| *other == milli);
                if let Some((other, _)) = twin.filter(|_| !estimated) {
                    let detail = format!("meter {meter} was billed with {shown} on {on}, which is its reading of {other} a second time");
                    return Some(self.read_reason(Cause::DuplicatedRead, register, on, detail));
                }
                let detail = format!("the {what} of meter {meter} on {on}, {shown}, was set aside");
                Some(self.read_reason(cause, register, on, detail))
            }
        }
    }

    /// Rates, class and attributes, day by day.
    fn terms(&self) -> Vec<Reason> {
        let (ours, theirs) = (priced(self.billed), priced(self.should));
        let mut found = Vec::new();
        for was in &ours {
            for is in theirs.iter().filter(|is| is.from_on < was.to_on && is.to_on > was.from_on) {
                let from = was.from_on.max(is.from_on);
                if was.sha256 != is.sha256 {
                    found.extend(self.tariff(was.sha256, is.sha256));
                }
                if was.rate_class != is.rate_class {
                    let detail = format!("service {} was billed as {} from {from} on, it is {}", self.service, was.rate_class, is.rate_class);
                    found.push(self.reason(Cause::RateClass, None, detail));
                }
                if was.attributes != is.attributes {
                    let detail = format!("service {}: {}, from {from} on", self.service, differing(was.attributes, is.attributes));
                    found.push(self.reason(Cause::Attributes, None, detail));
                }
            }
        }
        found
    }

    fn tariff(&self, was: &str, is: &str) -> Option<Reason> {
        let (Some(was), Some(is)) = (self.facts.versions.get(was), self.facts.versions.get(is)) else {
            return Some(self.reason(Cause::TariffText, None, "it was billed by another tariff version".to_owned()));
        };
        let subject = |on: NaiveDate| Some(format!("tariff {} {on}", is.schedule));
        // The same rates under another day: the day was wrong.
        let elsewhere = self
            .facts
            .versions
            .values()
            .find(|other| other.schedule == was.schedule && other.text == was.text && other.effective_on != was.effective_on);
        if is.text == was.text {
            return None;
        }
        if was.effective_on == is.effective_on {
            if let Some(right) = elsewhere {
                let detail =
                    format!("the rates of tariff {} were billed from {}, they begin on {}", is.schedule, was.effective_on, right.effective_on);
                return Some(self.reason(Cause::TariffDate, subject(right.effective_on), detail));
            }
            let detail = format!("the text of tariff {} from {} was put right", is.schedule, is.effective_on);
            return Some(self.reason(Cause::TariffText, subject(is.effective_on), detail));
        }
        let detail = format!(
            "it was billed by the rates of tariff {} from {}, and those from {} were in force",
            is.schedule, was.effective_on, is.effective_on
        );
        Some(self.reason(Cause::TariffDate, subject(is.effective_on), detail))
    }

    fn winter(&self) -> Vec<Reason> {
        let differs = self.pairs().into_iter().flatten().any(|(was, is)| was.inputs.winter != is.inputs.winter);
        if !differs {
            return Vec::new();
        }
        let found = self.reads(|side| side.inputs.winter.as_ref().map_or(&[], |winter| winter.spans.as_slice()));
        if !found.is_empty() {
            return found;
        }
        let used = |side: &Side| side.inputs.winter.as_ref().map_or_else(|| "none".to_owned(), |winter| format!("{} days", winter.days));
        let told = self.pairs().into_iter().flatten().find(|(was, is)| was.inputs.winter != is.inputs.winter);
        let (was, is) = told.map_or_else(Default::default, |(was, is)| (used(was), used(is)));
        vec![self.reason(Cause::Winter, None, format!("the winter that it is charged by was {was}, it is {is}"))]
    }

    fn dates(&self) -> Vec<Reason> {
        let mut found = Vec::new();
        for (was, is) in self.pairs().into_iter().flatten() {
            if was.inputs.standard_days != is.inputs.standard_days {
                let told = |side: &Side| side.inputs.standard_days.map_or_else(|| "in full".to_owned(), |days| format!("by days of {days}"));
                let detail =
                    format!("the days from {} to {} were charged {}, they are charged {}", was.start_on(), was.end_on(), told(was), told(is));
                found.push(self.reason(Cause::Dates, None, detail));
            }
        }
        let ends = |sides: &[Side]| sides.iter().map(|side| (side.start_on(), side.end_on())).collect::<Vec<_>>();
        let flat = self.billed.iter().chain(self.should).all(|side| side.inputs.spans.is_empty());
        if flat && ends(self.billed) != ends(self.should) {
            found.push(self.reason(Cause::Dates, None, "its billing periods are cut otherwise".to_owned()));
        }
        found
    }

    /// The periods of both sides by twos, when they are the same periods.
    fn pairs(&self) -> Option<Vec<(&Side, &Side)>> {
        let same = self.billed.len() == self.should.len()
            && self.billed.iter().zip(self.should).all(|(was, is)| was.start_on() == is.start_on() && was.end_on() == is.end_on());
        same.then(|| self.billed.iter().zip(self.should).collect())
    }

    /// Of several reasons those that change the money: each is taken back alone, and the charge looked at.
    fn only_what_matters(&self, found: Vec<Reason>) -> Vec<Reason> {
        let causes: BTreeSet<Cause> = found.iter().map(|reason| reason.cause).collect();
        let Some(pairs) = self.pairs().filter(|_| causes.len() > 1) else { return found };
        let matters = |cause: Cause| {
            pairs.iter().any(|(was, is)| {
                let mut without = is.inputs.clone();
                !take_back(cause, &mut without, &was.inputs) || charge(&without, self.book).map(|charge| charge.charge.total) != Ok(is.total)
            })
        };
        let kept: Vec<Reason> = found.iter().filter(|reason| matters(reason.cause)).cloned().collect();
        if kept.is_empty() { found } else { kept }
    }
}

/// Puts one aspect of what was billed into what should have been; false when this cannot be done for one aspect alone.
fn take_back(cause: Cause, inputs: &mut SegmentInputs, was: &SegmentInputs) -> bool {
    let as_many = inputs.slices.len() == was.slices.len();
    match cause {
        Cause::Multiplier | Cause::Register => {
            for span in &mut inputs.spans {
                let Some(before) = was.spans.iter().find(|other| other.register.id == span.register.id) else { continue };
                span.register = before.register.clone();
            }
        }
        Cause::Read | Cause::Estimate | Cause::DuplicatedRead => {
            let now = inputs.spans.clone();
            inputs.spans.clone_from(&was.spans);
            for span in &mut inputs.spans {
                let Some(register) = now.iter().find(|other| other.register.id == span.register.id) else { continue };
                span.register = register.register.clone();
            }
            inputs.winter.clone_from(&was.winter);
        }
        Cause::SwappedMeters | Cause::Meter => inputs.spans.clone_from(&was.spans),
        Cause::TariffDate | Cause::TariffText if as_many => {
            for (slice, before) in inputs.slices.iter_mut().zip(&was.slices) {
                slice.sha256.clone_from(&before.sha256);
                slice.days = before.days;
            }
        }
        Cause::TariffDate | Cause::TariffText => inputs.slices.clone_from(&was.slices),
        Cause::RateClass if as_many => {
            inputs.rate_class.clone_from(&was.rate_class);
            for (slice, before) in inputs.slices.iter_mut().zip(&was.slices) {
                slice.rate_class.clone_from(&before.rate_class);
            }
        }
        Cause::Attributes if as_many => {
            inputs.attributes.clone_from(&was.attributes);
            for (slice, before) in inputs.slices.iter_mut().zip(&was.slices) {
                slice.attributes.clone_from(&before.attributes);
            }
        }
        Cause::Winter => inputs.winter.clone_from(&was.winter),
        Cause::Dates => inputs.standard_days = was.standard_days,
        _ => return false,
    }
    true
}

fn own_spans(side: &Side) -> &[Span] {
    &side.inputs.spans
}

fn registers(sides: &[Side]) -> BTreeMap<RegisterId, &Register> {
    sides.iter().flat_map(own_spans).map(|span| (span.register.id, &span.register)).collect()
}

fn readings<'a>(sides: &'a [Side], spans: &impl Fn(&'a Side) -> &'a [Span]) -> BTreeMap<RegisterId, Readings> {
    let mut found: BTreeMap<RegisterId, Readings> = BTreeMap::new();
    for span in sides.iter().flat_map(spans) {
        let readings = found.entry(span.register.id).or_default();
        readings.insert(span.from_on, (span.from_read, span.from_milli));
        readings.insert(span.to_on, (span.to_read, span.to_milli));
    }
    found
}

/// Registers and the days up to which they were counted twice. What settles estimates counts their days again on purpose.
fn overlapping(sides: &[Side]) -> BTreeSet<(RegisterId, NaiveDate)> {
    let spans: Vec<&Span> = sides.iter().filter(|side| side.inputs.settles.is_none()).flat_map(own_spans).collect();
    let mut found = BTreeSet::new();
    for (at, one) in spans.iter().enumerate() {
        for other in spans.iter().skip(at + 1).filter(|other| other.register.id == one.register.id) {
            if one.from_on < other.to_on && other.from_on < one.to_on {
                found.insert((one.register.id, one.to_on.max(other.to_on)));
            }
        }
    }
    found
}

/// The days of every side with the rates and terms that price them.
fn priced(sides: &[Side]) -> Vec<Priced<'_>> {
    let mut found = Vec::new();
    for side in sides {
        let mut from_on = side.start_on();
        for slice in &side.inputs.slices {
            let to_on = from_on.checked_add_days(Days::new(u64::from(slice.days))).unwrap_or(side.end_on());
            found.push(Priced {
                from_on,
                to_on,
                sha256: &slice.sha256,
                rate_class: slice.rate_class.as_deref().unwrap_or(&side.inputs.rate_class),
                attributes: slice.attributes.as_ref().unwrap_or(&side.inputs.attributes),
            });
            from_on = to_on;
        }
    }
    found
}

fn differing(was: &Attributes, is: &Attributes) -> String {
    let names: BTreeSet<&str> = was.iter().chain(is.iter()).map(|(name, _)| name).collect();
    let value = |attributes: &Attributes, name: &str| attributes.get(name).map_or_else(|| "not set".to_owned(), str::to_owned);
    let told = names.into_iter().filter(|name| was.get(name) != is.get(name));
    let told = told.map(|name| format!("{name} was billed as {}, it is {}", value(was, name), value(is, name)));
    told.collect::<Vec<_>>().join(", ")
}

/// The lines that differ, in words.
fn differing_lines(billed: &[ChargeLine], own: &[ChargeLine]) -> String {
    /// So many lines are told.
    const TOLD: usize = 5;
    let told = |line: &ChargeLine| match (line.quantity, line.price) {
        (Some(quantity), Some(price)) => format!("{}: {quantity} at {price}, {}", line.label, line.amount_cents),
        _ => format!("{}: {}", line.label, line.amount_cents),
    };
    let same =
        |one: &ChargeLine, other: &ChargeLine| one.label == other.label && one.quantity == other.quantity && one.amount_cents == other.amount_cents;
    let missing = |of: &[ChargeLine], from: &[ChargeLine]| {
        let lines = of.iter().filter(|line| !from.iter().any(|other| same(line, other))).take(TOLD).map(told);
        lines.collect::<Vec<_>>().join(", ")
    };
    let (was, is) = (missing(billed, own), missing(own, billed));
    if was.is_empty() && is.is_empty() { String::new() } else { format!(" (billed: {was}; right: {is})") }
}
