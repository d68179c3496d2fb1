//! From register readings to usage and billing periods.
//!
//! A register counts up and starts again at zero when its digits are used up (a rollover). A billing period runs
//! from one ordinary read to the next; what a meter counted before it was exchanged, and what its successor
//! counted after, both belong to the period in which the exchange fell.

use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::ids::{ReadId, RegisterId};
use super::rates::Unit;

/// How a read came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadKind {
    /// Read off the meter by the utility.
    Actual,
    /// Computed, because the meter could not be read.
    Estimated,
    /// Read off the meter by the customer.
    Customer,
    /// Taken at a move-out.
    Final,
    /// The last reading of a meter that was taken out.
    Removal,
    /// The first reading of a meter that was put in.
    Installation,
}

impl ReadKind {
    /// Whether a billing period may end with such a read. A meter exchange alone never ends one.
    #[must_use]
    pub fn ends_period(self) -> bool {
        !matches!(self, Self::Removal | Self::Installation)
    }

    /// The name that tables and files use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Actual => "actual",
            Self::Estimated => "estimated",
            Self::Customer => "customer",
            Self::Final => "final",
            Self::Removal => "removal",
            Self::Installation => "installation",
        }
    }
}

impl FromStr for ReadKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Actual, Self::Estimated, Self::Customer, Self::Final, Self::Removal, Self::Installation]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| format!("'{text}' is not a kind of read: expected actual, estimated, customer or final"))
    }
}

/// What must be known of a register to turn readings into usage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// Which register.
    pub id: RegisterId,
    /// How many digits it shows before the point; it rolls over at ten to that power.
    pub digits: u32,
    /// What one count stands for, in thousandths of a unit (1000 = one).
    pub multiplier_milli: i64,
    /// The unit that it counts in, by name; `None` is the unit of the tariff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

impl Register {
    /// The reading at which the register starts again at zero, in thousandths.
    #[must_use]
    pub fn capacity_milli(&self) -> i64 {
        10_i64.saturating_pow(self.digits).saturating_mul(1000)
    }

    /// What the register counted between two readings, in thousandths of a count, and whether it rolled over.
    #[must_use]
    pub fn counted_milli(&self, from_milli: i64, to_milli: i64) -> (i64, bool) {
        if to_milli >= from_milli { (to_milli - from_milli, false) } else { (self.capacity_milli() - from_milli + to_milli, true) }
    }
}

/// One read of a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// Which read.
    pub id: ReadId,
    /// The date it was taken.
    pub read_on: NaiveDate,
    /// What the register showed, in thousandths.
    pub reading_milli: i64,
    /// How it came to be.
    pub kind: ReadKind,
    /// Whether it waits for a clerk's decision.
    pub held: bool,
}

/// A register while it was installed at the service point, with its reads in date order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterReads {
    /// The register.
    pub register: Register,
    /// First day of the installation, when known.
    pub installed_on: Option<NaiveDate>,
    /// Day the meter was taken out.
    pub removed_on: Option<NaiveDate>,
    /// Reads in date order, none rejected.
    pub reads: Vec<Read>,
}

/// What one register counted from one read to another: the working that a bill keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The register as it was then.
    #[serde(flatten)]
    pub register: Register,
    /// The earlier read.
    pub from_read: ReadId,
    /// The later read.
    pub to_read: ReadId,
    /// Date of the earlier read.
    pub from_on: NaiveDate,
    /// Date of the later read.
    pub to_on: NaiveDate,
    /// The earlier reading, in thousandths.
    pub from_milli: i64,
    /// The later reading, in thousandths.
    pub to_milli: i64,
    /// How the later reading came to be.
    pub kind: ReadKind,
}

/// A billing period with the register spans that make up its usage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// The read that opens it.
    pub start_on: NaiveDate,
    /// The read that closes it; the day itself belongs to the next period.
    pub end_on: NaiveDate,
    /// What each register counted. When the period settles estimates, from the last day on which every register was read.
    pub spans: Vec<Span>,
    /// Whether it closes with an estimate: the next real read settles it.
    pub estimated: bool,
    /// For a period that settles estimates before it: the day from which its spans count.
    pub settles_since: Option<NaiveDate>,
    /// For a part of a calendar period of a service without a meter: the days of the whole.
    pub whole_days: Option<u32>,
}

/// Why an agreement cannot be billed now although it is due.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MeteringHold {
    /// A read waits for a clerk.
    #[error("the read of {0} is held for a clerk's decision")]
    ReadHeld(NaiveDate),
    /// A meter with several registers was read in part only.
    #[error("register {register} has no read on {on}, when the service's other registers were read")]
    RegisterNotRead {
        /// The register without a read.
        register: RegisterId,
        /// The day it should have been read.
        on: NaiveDate,
    },
    /// The agreement begins on a day without a read: what was used until the first one would be billed to nobody.
    #[error("there is no read of {0}, the agreement's first day: expected one that opens it")]
    NoOpeningRead(NaiveDate),
    /// The agreement ended and its last days are not billed.
    #[error("it ended on {0} and there is no read of that day: expected the final read")]
    NoFinalRead(NaiveDate),
    /// A register shows less than the estimate that its period opens with, and the period does not close with real reads.
    #[error("register {register} was read on {on} and shows less than its estimate: expected a later read of every register of the service")]
    BelowEstimate {
        /// The register.
        register: RegisterId,
        /// The day of the read.
        on: NaiveDate,
    },
    /// No meter at the service point.
    #[error("no meter is installed")]
    NoMeter,
    /// The register counts in a unit that cannot be converted into the tariff's.
    #[error("the register counts in {from} and the tariff prices {to}: there is no conversion")]
    Units {
        /// The register's unit.
        from: String,
        /// The tariff's unit.
        to: String,
    },
    /// A register's readings and units give a usage that cannot be kept.
    #[error("the usage is too large to be kept")]
    TooLarge,
}

/// The unbilled periods of a service up to and including `through`, oldest first.
///
/// `billed_through` is the end of the last billed period; reads before it open no period, and are looked at only to
/// settle estimates. The first read of a service that was never billed opens its first period and is not billed itself.
///
/// # Errors
/// [`MeteringHold`] when any unbilled read up to `through` needs a person first: the whole service waits, so
/// that no period is billed over the head of a doubtful one.
pub fn unbilled_periods(registers: &[RegisterReads], billed_through: Option<NaiveDate>, through: NaiveDate) -> Result<Vec<Period>, MeteringHold> {
    if let Some(held) = first_held(registers, billed_through, through) {
        return Err(MeteringHold::ReadHeld(held));
    }
    periods_despite_held(registers, billed_through, through)
}

fn first_held(registers: &[RegisterReads], billed_through: Option<NaiveDate>, through: NaiveDate) -> Option<NaiveDate> {
    let unbilled = |read: &&Read| read.held && read.read_on <= through && billed_through.is_none_or(|billed| read.read_on >= billed);
    registers.iter().flat_map(|register| register.reads.iter()).filter(unbilled).map(|read| read.read_on).min()
}

/// The periods as they will be if every held read is released: what a clerk who releases them agrees to.
///
/// # Errors
/// [`MeteringHold`] when the reads could not be billed even then.
pub fn periods_despite_held(registers: &[RegisterReads], billed_through: Option<NaiveDate>, through: NaiveDate) -> Result<Vec<Period>, MeteringHold> {
    if registers.is_empty() {
        return Err(MeteringHold::NoMeter);
    }
    let in_scope = |read: &&Read| read.read_on <= through && billed_through.is_none_or(|billed| read.read_on >= billed);
    let reads = || registers.iter().flat_map(|register| register.reads.iter()).filter(in_scope);
    let mut boundaries: Vec<NaiveDate> = reads().filter(|read| read.kind.ends_period()).map(|read| read.read_on).collect();
    boundaries.extend(opening_boundary(registers, billed_through, through));
    boundaries.sort_unstable();
    boundaries.dedup();
    boundaries.iter().zip(boundaries.iter().skip(1)).map(|(start_on, end_on)| period(registers, *start_on, *end_on)).collect()
}

/// A service that was never billed and whose first read is that of the meter's installation starts there;
/// one that was billed starts where its last bill ended, even when the closing read was that of an exchange.
fn opening_boundary(registers: &[RegisterReads], billed_through: Option<NaiveDate>, through: NaiveDate) -> Option<NaiveDate> {
    if billed_through.is_some() {
        return billed_through;
    }
    let first_reads = || registers.iter().filter_map(|register| register.reads.first());
    let first_on = first_reads().map(|read| read.read_on).min().filter(|first_on| *first_on <= through)?;
    let installed = first_reads().any(|read| read.read_on == first_on && read.kind == ReadKind::Installation);
    installed.then_some(first_on)
}

/// One period: every register that was in place during it must account for its part.
///
/// A period that closes with real reads after one that closed with estimates counts from the last real reads: what the
/// estimates said in between is no reading. How that usage is spread over the periods is for billing to say.
fn period(registers: &[RegisterReads], start_on: NaiveDate, end_on: NaiveDate) -> Result<Period, MeteringHold> {
    let estimated = is_estimated(registers, end_on);
    let settles_since = if !estimated && is_estimated(registers, start_on) { last_real_boundary(registers, start_on) } else { None };
    let counting = match settles_since {
        Some(_) => Counting::RealReads,
        None if estimated => Counting::UntilSettled,
        None => Counting::EveryRead,
    };
    let spans = spans_between(registers, settles_since.unwrap_or(start_on), end_on, counting)?;
    Ok(Period { start_on, end_on, spans, estimated, settles_since, whole_days: None })
}

/// Which reads make the spans of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counting {
    /// All of them.
    EveryRead,
    /// All of them, for a period that closes with an estimate itself: where a real reading is below the estimate before it,
    /// that estimate was too high, and nothing more is counted until a real read settles it all.
    UntilSettled,
    /// Real ones alone: the period settles estimates.
    RealReads,
}

/// Whether any register shows no more than an estimate on a day.
fn is_estimated(registers: &[RegisterReads], on: NaiveDate) -> bool {
    registers.iter().flat_map(|register| &register.reads).any(|read| read.read_on == on && read.kind == ReadKind::Estimated)
}

/// The last day before an estimate on which a period could end, or begin, with real reads alone. An exchange in between is
/// no such day, unless the service begins with it.
fn last_real_boundary(registers: &[RegisterReads], before: NaiveDate) -> Option<NaiveDate> {
    let reads = || registers.iter().flat_map(|register| &register.reads);
    let first_on = reads().map(|read| read.read_on).min();
    let bounds = |read: &&Read| read.kind.ends_period() || (read.kind == ReadKind::Installation && Some(read.read_on) == first_on);
    let days = reads().filter(|read| read.read_on < before).filter(bounds).map(|read| read.read_on);
    days.filter(|on| !is_estimated(registers, *on)).max()
}

fn spans_between(registers: &[RegisterReads], start_on: NaiveDate, end_on: NaiveDate, counting: Counting) -> Result<Vec<Span>, MeteringHold> {
    let mut spans = Vec::with_capacity(registers.len());
    for register in registers {
        let gone = register.removed_on.is_some_and(|removed| removed <= start_on);
        let not_yet = register.installed_on.is_some_and(|installed| installed >= end_on);
        if gone || not_yet {
            continue;
        }
        spans.extend(register_span(register, start_on, end_on, counting)?);
    }
    Ok(spans)
}

/// The span of one register within a period: from the opening read (or its installation) to the closing read
/// (or its removal).
fn register_span(reads: &RegisterReads, start_on: NaiveDate, end_on: NaiveDate, counting: Counting) -> Result<Vec<Span>, MeteringHold> {
    let opens_on = reads.installed_on.filter(|installed| *installed > start_on).unwrap_or(start_on);
    let closes_on = reads.removed_on.filter(|removed| *removed < end_on).unwrap_or(end_on);
    let missing = |on| MeteringHold::RegisterNotRead { register: reads.register.id, on };
    let counts = |read: &&Read| {
        read.read_on >= opens_on && read.read_on <= closes_on && !(counting == Counting::RealReads && read.kind == ReadKind::Estimated)
    };
    let within: Vec<&Read> = reads.reads.iter().filter(counts).collect();
    if within.first().is_none_or(|read| read.read_on != opens_on) {
        return Err(missing(opens_on));
    }
    if within.last().is_none_or(|read| read.read_on != closes_on) {
        return Err(missing(closes_on));
    }
    let pairs = || within.iter().zip(within.iter().skip(1));
    // Less than an estimate is a rollover only when it then counted a small part of a round: else the estimate was too high.
    let below = |from: &Read, to: &Read| {
        let (counted, rolled_over) = reads.register.counted_milli(from.reading_milli, to.reading_milli);
        from.kind == ReadKind::Estimated && rolled_over && counted > reads.register.capacity_milli() / 2
    };
    match pairs().find(|(from, to)| below(from, to)) {
        Some((_, to)) if counting != Counting::UntilSettled => Err(MeteringHold::BelowEstimate { register: reads.register.id, on: to.read_on }),
        _ => Ok(pairs().filter(|(from, to)| !below(from, to)).map(|(from, to)| span(reads.register.clone(), from, to)).collect()),
    }
}

fn span(register: Register, from: &Read, to: &Read) -> Span {
    Span {
        register,
        from_read: from.id,
        to_read: to.id,
        from_on: from.read_on,
        to_on: to.read_on,
        from_milli: from.reading_milli,
        to_milli: to.reading_milli,
        kind: to.kind,
    }
}

/// The usage of a set of spans in `unit`, in thousandths, rounded half to even once at the end when registers
/// count in another unit. Whole-unit registers in the tariff's own unit lose nothing.
///
/// # Errors
/// [`MeteringHold::TooLarge`] when it does not fit.
pub fn usage_milli(spans: &[Span], unit: &Unit) -> Result<i64, MeteringHold> {
    let mut total = Decimal::ZERO;
    for span in spans {
        let (counted, _) = span.register.counted_milli(span.from_milli, span.to_milli);
        let factor = conversion(span.register.unit.as_deref(), unit)?;
        let usage = Decimal::from(counted)
            .checked_mul(Decimal::new(span.register.multiplier_milli, 3))
            .and_then(|usage| usage.checked_mul(factor))
            .ok_or(MeteringHold::TooLarge)?;
        total = total.checked_add(usage).ok_or(MeteringHold::TooLarge)?;
    }
    let rounded = total.round_dp_with_strategy(0, RoundingStrategy::MidpointNearestEven);
    i64::try_from(rounded).map_err(|_| MeteringHold::TooLarge)
}

/// How many of `to` make one of `from`. Exact definitions: a foot is 0.3048 m, a US gallon 231 cubic inches.
fn conversion(from: Option<&str>, to: &Unit) -> Result<Decimal, MeteringHold> {
    let Some(from) = from.map(Unit::parse).filter(|from| from != to) else { return Ok(Decimal::ONE) };
    let unknown = || MeteringHold::Units { from: from.to_string(), to: to.to_string() };
    let (numerator, denominator) = (from.litres().ok_or_else(unknown)?, to.litres().ok_or_else(unknown)?);
    numerator.checked_div(denominator).ok_or(MeteringHold::TooLarge)
}

impl fmt::Display for ReadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
#[path = "metering_tests.rs"]
mod tests;
