//! One service's periods and charges, from what is known of it: its terms, its reads, the tariffs.
//!
//! Bill runs price with this what was not billed yet, and the sweep for overcharges what was: so the two agree by
//! construction, and what differs is what somebody corrected in between.

use chrono::{Months, NaiveDate};

use super::billing::{AgreementTerms, BillingHold, EstimatedSegment, SegmentCharge, SegmentInputs, TariffBook, charge, plan};
use super::calendar::calendar_periods;
use super::metering::{MeteringHold, Period, ReadKind, RegisterReads, periods_despite_held, unbilled_periods};
use super::winter::{WinterQuarter, winter_quarter};

/// How far back the reads of a winter may lie before the period that is charged by it, in months: a period that begins
/// within a winter is charged by the one before, whose first period began before it.
pub const WINTER_REACH_MONTHS: u32 = 24;

/// A service with everything that its charges follow from.
pub struct Service<'a> {
    /// The tariffs.
    pub book: &'a TariffBook,
    /// Its terms, then and now.
    pub terms: &'a AgreementTerms,
    /// Its registers with their reads, none rejected.
    pub registers: &'a [RegisterReads],
    /// Reads of more than a year, where a tariff charges by the winter.
    pub history: Option<&'a [RegisterReads]>,
}

/// The periods that are to be priced, and why they wait although they can be.
pub type Found = (Vec<Period>, Option<String>);

impl Service<'_> {
    /// Whether it has no meter by its tariff.
    #[must_use]
    pub fn is_flat(&self, on: NaiveDate) -> bool {
        let settings = self.book.settings_on(&self.terms.schedule, self.terms.on(on).0, on);
        settings.is_some_and(|settings| !settings.metered)
    }

    /// The periods after `billed_through` that have ended by `through`, oldest first, and why they are held although they can
    /// be priced.
    ///
    /// # Errors
    /// Why there are none, in words: a person is wanted first.
    pub fn periods(&self, billed_through: Option<NaiveDate>, through: NaiveDate) -> Result<Found, String> {
        if self.is_flat(through) {
            let start = self.terms.start_on.ok_or("a service without a meter begins on no day: expected its first day")?;
            let months = |on| self.book.months_between_bills(&self.terms.schedule, on).unwrap_or(1);
            return Ok((calendar_periods(start, self.terms.end_on, billed_through, through, &months), None));
        }
        if let Some(hold) = self.unread_edge(billed_through, through) {
            return Err(hold.to_string());
        }
        match unbilled_periods(self.registers, billed_through, through) {
            Ok(periods) => Ok((periods, None)),
            // Priced all the same, so that a clerk sees the bills beyond a limit together with the read behind them.
            Err(hold @ MeteringHold::ReadHeld(_)) => {
                let periods = periods_despite_held(self.registers, billed_through, through);
                Ok((periods.unwrap_or_default(), Some(hold.to_string())))
            }
            Err(hold) => Err(hold.to_string()),
        }
    }

    /// Prices a period. `estimates` are the estimated segments before it that no real read has settled, and become those
    /// before the next one.
    ///
    /// # Errors
    /// [`BillingHold`] when it cannot be priced.
    pub fn price(&self, period: Period, estimates: &mut Vec<EstimatedSegment>) -> Result<(SegmentInputs, SegmentCharge), BillingHold> {
        let estimated = period.estimated;
        let mut inputs = plan(self.terms, period, self.book, estimates)?;
        inputs.winter = self.winter(&inputs);
        let charge = charge(&inputs, self.book)?;
        if estimated {
            let (total, tax) = (charge.charge.total, charge.charge.tax);
            estimates.push(EstimatedSegment { inputs: inputs.clone(), usage_milli: charge.usage_milli, total, tax });
        } else {
            estimates.clear();
        }
        Ok((inputs, charge))
    }

    /// What was used in the winter before a period, where the tariff charges by it.
    fn winter(&self, inputs: &SegmentInputs) -> Option<WinterQuarter> {
        let months = self.book.winter_months(inputs)?;
        let since = inputs.start_on.checked_sub_months(Months::new(WINTER_REACH_MONTHS)).unwrap_or(NaiveDate::MIN);
        // No matter what else was read for others: the same reads whenever it is asked.
        let reach = |register: &RegisterReads| RegisterReads {
            reads: register.reads.iter().copied().filter(|read| read.read_on >= since).collect(),
            ..register.clone()
        };
        let registers: Vec<RegisterReads> = self.history?.iter().map(reach).filter(|register| !register.reads.is_empty()).collect();
        winter_quarter(&registers, months, inputs.start_on)
    }

    /// The first and the last day of an agreement want a read: else what was used there would be billed to nobody.
    fn unread_edge(&self, billed_through: Option<NaiveDate>, through: NaiveDate) -> Option<MeteringHold> {
        let registers = self.registers;
        let read_on = |day: NaiveDate| registers.iter().flat_map(|register| &register.reads).any(|read| read.read_on == day);
        let any_read = registers.iter().any(|register| !register.reads.is_empty());
        if let Some(start) = self.terms.start_on.filter(|start| billed_through.is_none() && any_read && !read_on(*start)) {
            return Some(MeteringHold::NoOpeningRead(start));
        }
        let ended = self.terms.end_on.filter(|end| *end <= through && billed_through.is_none_or(|billed| billed < *end));
        ended.filter(|end| !read_on(*end)).map(MeteringHold::NoFinalRead)
    }
}

/// The last reading of a meter that was taken out on an agreement's last day is its final read: what it counted for this
/// customer ends there.
pub fn close_with_removal(registers: &mut [RegisterReads], end_on: Option<NaiveDate>) {
    for read in registers.iter_mut().flat_map(|register| &mut register.reads) {
        if Some(read.read_on) == end_on && read.kind == ReadKind::Removal {
            read.kind = ReadKind::Final;
        }
    }
}
