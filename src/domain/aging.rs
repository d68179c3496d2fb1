//! Aging: which charges of an account are open, and since when. Computed from the ledger's rows and never stored.
//!
//! The rule, also called Allocation: money covers the charge that is due first; of two that are due on one day, the one that
//! was posted first. The rows are gone through in the order of the ledger. A credit covers what is open at its turn; what is
//! left of it waits for the next charge. A row that was taken back (a cancelled bill, a returned payment, a fee that was waived)
//! is left out together with what took it back, as if neither had been. An agreed pay plan gives what was open when it was
//! agreed new days: its instalments are due in place of the charges, and cover them in their order.
//!
//! What is open less what waits is the account's balance, always.

use std::collections::BTreeSet;

use chrono::NaiveDate;

use super::money::Money;

/// A row of the ledger, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its position, from 1 without gaps.
    pub seq: i64,
    /// The movement of the balance: above zero is a charge.
    pub amount: Money,
    /// Value date.
    pub effective_on: NaiveDate,
    /// When a charge is due: a bill's own day; everything else on its value date.
    pub due_on: NaiveDate,
    /// The earlier row that it takes back.
    pub undoes: Option<i64>,
}

/// An instalment of a pay plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instalment {
    /// When it is due.
    pub due_on: NaiveDate,
    /// How much.
    pub amount: Money,
}

/// A pay plan that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The ledger's position when it was agreed: what was open then is in it.
    pub from_seq: i64,
    /// Its instalments, by day.
    pub instalments: Vec<Instalment>,
}

/// A charge, or an instalment, with what of it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// The charge's position in the ledger; of an instalment the position at which its plan was agreed.
    pub seq: i64,
    /// Which instalment it is, from 1; 0 for a charge.
    pub instalment: usize,
    /// When it is due.
    pub due_on: NaiveDate,
    /// What it was.
    pub amount: Money,
    /// What is open.
    pub open: Money,
}

/// How an account stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Aging {
    /// What is to be paid and when, the first first: charges, and the instalments of a plan in place of those that are in it.
    /// What is paid is among them, with nothing open.
    pub items: Vec<Open>,
    /// The charges that are in the plan, with what of each is open.
    pub planned: Vec<Open>,
    /// Credit that covers nothing yet.
    pub unapplied: Money,
}

impl Aging {
    /// Works an account's rows through, in the order of the ledger.
    #[must_use]
    pub fn of(rows: &[Row], plan: Option<&Plan>) -> Self {
        let left_out = left_out(rows);
        let mut aging = Self::default();
        let mut plan = plan;
        for row in rows {
            if let Some(agreed) = plan.filter(|plan| row.seq > plan.from_seq) {
                aging.agree(agreed);
                plan = None;
            }
            if !left_out.contains(&row.seq) {
                aging.post(row);
            }
        }
        if let Some(agreed) = plan {
            aging.agree(agreed);
        }
        aging.settle_planned();
        aging
    }

    /// Works through what counts by its value date until a day: what would have been known then, had everything been posted
    /// at once. What was taken back later does not count.
    #[must_use]
    pub fn as_of(rows: &[Row], plan: Option<&Plan>, day: NaiveDate) -> Self {
        let out = left_out(rows);
        let counted: Vec<Row> =
            rows.iter().filter(|row| row.effective_on <= day && !out.contains(&row.seq)).map(|row| Row { undoes: None, ..row.clone() }).collect();
        Self::of(&counted, plan)
    }

    fn post(&mut self, row: &Row) {
        if row.amount.is_positive() {
            let covered = self.unapplied.min(row.amount);
            self.unapplied -= covered;
            self.insert(Open { seq: row.seq, instalment: 0, due_on: row.due_on, amount: row.amount, open: row.amount - covered });
        } else {
            self.unapplied += -row.amount;
            self.cover();
        }
    }

    fn insert(&mut self, item: Open) {
        let at = self.items.partition_point(|known| (known.due_on, known.seq, known.instalment) <= (item.due_on, item.seq, item.instalment));
        self.items.insert(at, item);
    }

    /// Covers what is due first with the credit that is there.
    fn cover(&mut self) {
        for item in &mut self.items {
            let covered = self.unapplied.min(item.open);
            item.open -= covered;
            self.unapplied -= covered;
            if self.unapplied.is_zero() {
                return;
            }
        }
    }

    /// Puts instalments in the place of what is open. Where less is open than was agreed, the last instalments are smaller;
    /// what is open beyond them stays due as it was.
    fn agree(&mut self, plan: &Plan) {
        let mut left: Money = plan.instalments.iter().map(|instalment| instalment.amount).sum();
        let mut in_plan = Money::ZERO;
        let mut kept = Vec::with_capacity(self.items.len());
        for mut item in std::mem::take(&mut self.items) {
            let taken = item.open.min(left);
            if taken.is_positive() {
                left -= taken;
                in_plan += taken;
                self.planned.push(Open { amount: taken, open: taken, ..item });
                item.open -= taken;
                item.amount -= taken;
                if item.amount.is_zero() {
                    continue;
                }
            }
            kept.push(item);
        }
        self.items = kept;
        for (instalment, number) in plan.instalments.iter().zip(1..) {
            let amount = instalment.amount.min(in_plan);
            in_plan -= amount;
            self.insert(Open { seq: plan.from_seq, instalment: number, due_on: instalment.due_on, amount, open: amount });
        }
        self.cover();
    }

    /// What was paid of the instalments covers the charges of the plan in their order.
    fn settle_planned(&mut self) {
        let mut paid: Money = self.items.iter().filter(|item| item.instalment > 0).map(|item| item.amount - item.open).sum();
        for charge in &mut self.planned {
            let covered = paid.min(charge.open);
            charge.open -= covered;
            paid -= covered;
        }
    }

    /// What of the charge at a position is open: as it stands, and as a part of the plan.
    #[must_use]
    pub fn open_of(&self, seq: i64) -> Money {
        let own = self.items.iter().filter(|item| item.instalment == 0 && item.seq == seq);
        own.chain(self.planned.iter().filter(|item| item.seq == seq)).map(|item| item.open).sum()
    }

    /// What of the charge at a position is open and in no plan.
    #[must_use]
    pub fn unplanned(&self, seq: i64) -> Money {
        self.items.iter().filter(|item| item.instalment == 0 && item.seq == seq).map(|item| item.open).sum()
    }

    /// What is due after a day: it need not be paid by then.
    #[must_use]
    pub fn due_after(&self, day: NaiveDate) -> Money {
        self.items.iter().filter(|item| item.due_on > day).map(|item| item.open).sum()
    }

    /// What of the plan's instalments is due after a day.
    #[must_use]
    pub fn instalments_after(&self, day: NaiveDate) -> Money {
        self.items.iter().filter(|item| item.instalment > 0 && item.due_on > day).map(|item| item.open).sum()
    }

    /// What the account owes: what is open less what waits.
    #[must_use]
    pub fn balance(&self) -> Money {
        self.items.iter().map(|item| item.open).sum::<Money>() - self.unapplied
    }
}

/// The positions of rows that were taken back, and of those that took them back. What took something back may itself have been
/// taken back: then what it took back stands.
fn left_out(rows: &[Row]) -> BTreeSet<i64> {
    let mut out = BTreeSet::new();
    for row in rows.iter().rev() {
        if let Some(undone) = row.undoes.filter(|_| !out.contains(&row.seq)) {
            out.insert(row.seq);
            out.insert(undone);
        }
    }
    out
}
