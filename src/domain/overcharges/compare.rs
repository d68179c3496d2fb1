//! Laying what was billed beside what should have been: which days are to be compared as one.

use std::ops::Range;

use chrono::NaiveDate;

/// A period with its charge, on either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Its first day.
    pub start_on: NaiveDate,
    /// The day after its last.
    pub end_on: NaiveDate,
    /// Its charge, in cents.
    pub cents: i64,
    /// Whether it closes with an estimate: what is wrong with it, the next real read puts right.
    pub estimated: bool,
}

/// What mending moved beside the bills of some days, in cents: a credit is negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mended {
    /// First day.
    pub from_on: NaiveDate,
    /// The day after the last.
    pub to_on: NaiveDate,
    /// How much.
    pub cents: i64,
}

/// The smallest stretch of days on which both sides begin and end together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval {
    /// First day.
    pub from_on: NaiveDate,
    /// The day after the last.
    pub to_on: NaiveDate,
    /// Which of the billed periods.
    pub billed: Range<usize>,
    /// Which of those that should have been.
    pub should: Range<usize>,
    /// What the billed ones charged.
    pub billed_cents: i64,
    /// What mending moved already.
    pub mended_cents: i64,
    /// What should have been charged.
    pub should_cents: i64,
}

impl Interval {
    /// Below zero was charged too much, above zero too little.
    #[must_use]
    pub fn difference_cents(&self) -> i64 {
        self.should_cents - self.billed_cents - self.mended_cents
    }

    /// Counts a relief that was given on these bills, in cents, as given back already, as far as they charged too much. By itself it
    /// is nobody's mistake: what it gave beyond that is not asked back. Returns what of it counts.
    pub fn count_relief(&mut self, cents: i64) -> i64 {
        let counted = cents.min(-self.difference_cents()).max(0);
        self.mended_cents -= counted;
        counted
    }
}

/// The periods of the two sides do not end together: nobody can say what is too much until the bills are made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Apart {
    /// First day of the bills that stand without an end of what should have been.
    pub from_on: NaiveDate,
    /// The day after their last.
    pub to_on: NaiveDate,
}

/// Cuts the days that are billed where both sides have a boundary. Both are in date order, without overlaps.
///
/// An estimate is compared together with what settles it, and what was mended as one stays one. Days that are not billed
/// (before, after, or between bills) are nobody's overcharge: what should have been then is left to the next run.
#[must_use]
pub fn intervals(billed: &[Slot], should: &[Slot], mended: &[Mended]) -> (Vec<Interval>, Vec<Apart>) {
    let (mut found, mut apart) = (Vec::new(), Vec::new());
    let mut from = 0;
    while from < billed.len() {
        let to = end_of_stretch(billed, from);
        let sides = Sides { billed, should, mended };
        sides.cut(from..to, &mut found, &mut apart);
        from = to;
    }
    (found, apart)
}

/// How far the periods follow each other without a gap.
fn end_of_stretch(billed: &[Slot], from: usize) -> usize {
    let later = billed.iter().zip(billed.iter().skip(1)).enumerate().skip(from);
    let gap = later.into_iter().find(|(_, (before, after))| before.end_on != after.start_on);
    gap.map_or(billed.len(), |(at, _)| at + 1)
}

struct Sides<'a> {
    billed: &'a [Slot],
    should: &'a [Slot],
    mended: &'a [Mended],
}

impl Sides<'_> {
    /// Cuts one stretch of bills that follow each other.
    fn cut(&self, ours: Range<usize>, found: &mut Vec<Interval>, apart: &mut Vec<Apart>) {
        let (Some(first), Some(last)) = (self.billed.get(ours.start), self.billed.get(ours.end.saturating_sub(1))) else { return };
        let mut from_billed = ours.start;
        let mut from_should = self.should.partition_point(|slot| slot.end_on <= first.start_on);
        // Where a service begins may itself have been put right; where its later bills begin, earlier ones end.
        let begins = self.should.get(from_should).map(|slot| slot.start_on);
        let mut aligned = ours.start == 0 || begins == Some(first.start_on);
        for at in ours.clone() {
            let Some(end_on) = self.billed.get(at).map(|slot| slot.end_on).filter(|end| self.is_cut(*end, *end == last.end_on)) else { continue };
            let to_should = self.should.partition_point(|slot| slot.end_on <= end_on);
            let (billed_at, should_at) = (from_billed..at + 1, from_should..to_should);
            if aligned {
                found.push(self.interval(billed_at, should_at));
            } else if let Some(first) = self.billed.get(from_billed) {
                apart.push(Apart { from_on: first.start_on, to_on: end_on });
            }
            aligned = true;
            (from_billed, from_should) = (at + 1, to_should);
        }
        if let Some(first) = self.billed.get(from_billed).filter(|_| from_billed < ours.end) {
            apart.push(Apart { from_on: first.start_on, to_on: last.end_on });
        }
    }

    /// Whether both sides end on a day for good: not with an estimate that later days settle, nor within what was mended as one.
    fn is_cut(&self, on: NaiveDate, is_last: bool) -> bool {
        let ours = self.billed.iter().find(|slot| slot.end_on == on);
        let theirs = self.should.iter().find(|slot| slot.end_on == on);
        let (Some(ours), Some(theirs)) = (ours, theirs) else { return false };
        let within_mended = self.mended.iter().any(|row| row.from_on < on && on < row.to_on);
        is_last || !(ours.estimated || theirs.estimated || within_mended)
    }

    fn interval(&self, billed_at: Range<usize>, should_at: Range<usize>) -> Interval {
        let billed = self.billed.get(billed_at.clone()).unwrap_or_default();
        let should = self.should.get(should_at.clone()).unwrap_or_default();
        let from_on = billed.iter().chain(should).map(|slot| slot.start_on).min().unwrap_or_default();
        let to_on = billed.iter().chain(should).map(|slot| slot.end_on).max().unwrap_or_default();
        let own = self.mended.iter().filter(|row| row.from_on >= from_on && row.to_on <= to_on);
        Interval {
            from_on,
            to_on,
            billed: billed_at,
            should: should_at,
            billed_cents: billed.iter().map(|slot| slot.cents).sum(),
            mended_cents: own.map(|row| row.cents).sum(),
            should_cents: should.iter().map(|slot| slot.cents).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: u32) -> NaiveDate {
        NaiveDate::from_yo_opt(2026, number).expect("a day of the year")
    }

    fn slot(from: u32, to: u32, cents: i64) -> Slot {
        Slot { start_on: day(from), end_on: day(to), cents, estimated: false }
    }

    fn estimate(from: u32, to: u32, cents: i64) -> Slot {
        Slot { estimated: true, ..slot(from, to, cents) }
    }

    fn cuts(found: &[Interval]) -> Vec<(NaiveDate, NaiveDate, i64)> {
        found.iter().map(|interval| (interval.from_on, interval.to_on, interval.difference_cents())).collect()
    }

    #[test]
    fn periods_that_end_together_are_compared_one_by_one() {
        let (found, apart) = intervals(&[slot(1, 31, 100), slot(31, 60, 90)], &[slot(1, 31, 100), slot(31, 60, 70)], &[]);
        assert_eq!((cuts(&found), apart), (vec![(day(1), day(31), 0), (day(31), day(60), -20)], vec![]));
    }

    #[test]
    fn what_was_cut_in_two_is_compared_as_one() {
        let (found, apart) = intervals(&[slot(1, 31, 100), slot(31, 34, 40), slot(34, 60, 90)], &[slot(1, 31, 100), slot(31, 60, 100)], &[]);
        assert_eq!((cuts(&found), apart), (vec![(day(1), day(31), 0), (day(31), day(60), -30)], vec![]));
    }

    #[test]
    fn an_estimate_is_compared_together_with_what_settles_it() {
        let billed = [slot(1, 31, 100), estimate(31, 60, 80), slot(60, 90, 120)];
        let (found, _) = intervals(&billed, &[slot(1, 31, 100), estimate(31, 60, 90), slot(60, 90, 110)], &[]);
        assert_eq!(cuts(&found), [(day(1), day(31), 0), (day(31), day(90), 0)]);
        let (open, _) = intervals(&billed[..2], &[slot(1, 31, 100), estimate(31, 60, 90)], &[]);
        assert_eq!(cuts(&open), [(day(1), day(31), 0), (day(31), day(60), 10)], "nothing settles it yet");
    }

    #[test]
    fn what_was_mended_counts_and_stays_one() {
        let billed = [slot(1, 31, 100), slot(31, 60, 90)];
        let mended = [Mended { from_on: day(1), to_on: day(60), cents: -20 }];
        let (found, _) = intervals(&billed, &[slot(1, 31, 80), slot(31, 60, 90)], &mended);
        assert_eq!(cuts(&found), [(day(1), day(60), 0)]);
    }

    #[test]
    fn a_relief_counts_as_far_as_too_much_was_charged() {
        for (should, relief, left) in [(100, 30, 0), (60, 30, -10), (80, 30, 0), (120, 30, 20), (60, 0, -40)] {
            let (mut found, _) = intervals(&[slot(1, 31, 100)], &[slot(1, 31, should)], &[]);
            found[0].count_relief(relief);
            assert_eq!(found[0].difference_cents(), left, "{should} after a relief of {relief}");
        }
    }

    #[test]
    fn bills_without_an_end_of_what_should_have_been_are_not_judged() {
        let (found, apart) = intervals(&[slot(1, 31, 100), slot(31, 60, 90)], &[slot(1, 31, 100)], &[]);
        assert_eq!((cuts(&found), apart), (vec![(day(1), day(31), 0)], vec![Apart { from_on: day(31), to_on: day(60) }]));
    }

    #[test]
    fn days_between_bills_are_left_to_the_next_run() {
        let billed = [slot(1, 31, 100), slot(60, 90, 90)];
        let should = [slot(1, 31, 100), slot(31, 60, 70), slot(60, 90, 80)];
        let (found, apart) = intervals(&billed, &should, &[]);
        assert_eq!((cuts(&found), apart), (vec![(day(1), day(31), 0), (day(60), day(90), -10)], vec![]));
        // A period that reaches into them cannot be compared with a part of it.
        let (found, apart) = intervals(&billed, &[slot(1, 31, 100), slot(31, 90, 120)], &[]);
        assert_eq!((cuts(&found), apart), (vec![(day(1), day(31), 0)], vec![Apart { from_on: day(60), to_on: day(90) }]));
    }

    #[test]
    fn a_service_that_began_on_another_day_is_compared_from_the_earlier() {
        let (found, apart) = intervals(&[slot(5, 31, 100)], &[slot(1, 31, 110)], &[]);
        assert_eq!((cuts(&found), apart), (vec![(day(1), day(31), 10)], vec![]));
    }
}
