//! How a bill is cut into lines, decided once when a class is compiled.
//!
//! Belongs here: which terms of `bill` become lines of their own. Does not
//! belong here: any amount.
//!
//! The sum at the top of `bill` is cut at its `+` and `-`; a named part that is
//! itself such a sum, or a block charge, is cut further; a factor over a sum is
//! carried to each of its lines; `price × usage` shows price and quantity;
//! whatever is none of these is one line.

use std::cell::Cell;

use super::compile::{Charge, Code, Input, ItemCode, Op, Slot, Table};
use super::formula::Operator;

/// Most plan nodes for one bill; beyond it a part is one line. Parts that name
/// each other twice would otherwise double the lines at every step.
const MAX_NODES: usize = 512;

/// A tree of lines.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    Sum(Vec<Plan>),
    Negative(Box<Plan>),
    Scaled {
        plan: Box<Plan>,
        by: Op,
        divide: bool,
    },
    /// A part cut into lines, unless an attribute overrides it.
    Part {
        slot: usize,
        plan: Box<Plan>,
    },
    /// A map whose values are cut into lines.
    Choice {
        slot: usize,
        table: Table,
        plans: Vec<Plan>,
    },
    /// One line for each block used.
    Tiers {
        slot: usize,
        charge: Charge,
    },
    Leaf(Leaf),
}

/// One line.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    /// The part it is named after.
    pub slot: usize,
    pub op: Op,
    pub rate: Option<Rate>,
}

/// The price in a term that is price × usage.
#[derive(Debug, Clone)]
pub(crate) struct Rate {
    pub price: Op,
    /// Parts looked into to see it; an attribute overriding one hides it.
    pub through: Vec<usize>,
}

/// The plan of a compiled class.
pub(crate) fn of(slots: &[Slot], bill: usize) -> Plan {
    let mut planner = Planner { slots, nodes: 0, splits: vec![Cell::new(None); slots.len()], depends: vec![Cell::new(None); slots.len()] };
    planner.slot(bill, true)
}

struct Planner<'a> {
    slots: &'a [Slot],
    nodes: usize,
    /// Answers already found for parts; without them, parts that name each
    /// other twice would double the work at every step.
    splits: Vec<Cell<Option<bool>>>,
    depends: Vec<Cell<Option<bool>>>,
}

/// An answer for a part, found once.
fn once(answers: &[Cell<Option<bool>>], slot: usize, find: impl FnOnce() -> bool) -> bool {
    let Some(cell) = answers.get(slot) else {
        return false;
    };
    cell.get().unwrap_or_else(|| {
        let answer = find();
        cell.set(Some(answer));
        answer
    })
}

impl Planner<'_> {
    fn code(&self, slot: usize) -> Option<&Code> {
        self.slots.get(slot).map(|slot| &slot.code)
    }

    fn slot(&mut self, slot: usize, top: bool) -> Plan {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return self.leaf(slot, &Op::Input(Input::Slot(slot)));
        }
        let slots = self.slots;
        let plan = match slots.get(slot).map(|slot| &slot.code) {
            Some(Code::Charge(charge)) => Plan::Tiers { slot, charge: *charge },
            Some(Code::Items(items)) => match items.as_slice() {
                [ItemCode::Formula(op)] if top || self.splits(op) => self.op(slot, op),
                _ => return self.leaf(slot, &Op::Input(Input::Slot(slot))),
            },
            Some(Code::Choice(table)) if table.codes.iter().any(|code| self.code_splits(code)) => self.choice(slot, table),
            _ => return self.leaf(slot, &Op::Input(Input::Slot(slot))),
        };
        Plan::Part { slot, plan: Box::new(plan) }
    }

    fn choice(&mut self, slot: usize, table: &Table) -> Plan {
        let plans = table
            .codes
            .iter()
            .map(|code| match code {
                Code::Charge(charge) => Plan::Tiers { slot, charge: *charge },
                Code::Items(items) => match items.as_slice() {
                    [ItemCode::Formula(op)] => self.op(slot, op),
                    _ => self.leaf(slot, &Op::Input(Input::Slot(slot))),
                },
                _ => self.leaf(slot, &Op::Input(Input::Slot(slot))),
            })
            .collect();
        Plan::Choice { slot, table: table.clone(), plans }
    }

    fn op(&mut self, slot: usize, op: &Op) -> Plan {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return self.leaf(slot, op);
        }
        match op {
            Op::Input(Input::Slot(named)) => self.slot(*named, false),
            Op::Negative(inner) => Plan::Negative(Box::new(self.op(slot, inner))),
            Op::Binary(Operator::Add, left, right) => Plan::Sum(vec![self.op(slot, left), self.op(slot, right)]),
            Op::Binary(Operator::Subtract, left, right) => {
                let right = Plan::Negative(Box::new(self.op(slot, right)));
                Plan::Sum(vec![self.op(slot, left), right])
            }
            Op::Binary(operator @ (Operator::Multiply | Operator::Divide), left, right) => self.product(slot, op, *operator, left, right),
            _ => self.leaf(slot, op),
        }
    }

    /// A factor over a sum goes to each term; any other product is one line.
    fn product(&mut self, slot: usize, op: &Op, operator: Operator, left: &Op, right: &Op) -> Plan {
        let divide = operator == Operator::Divide;
        if self.rate(op).is_some() {
            return self.leaf(slot, op);
        }
        let (sum, by) = if self.splits(left) {
            (left, right)
        } else if !divide && self.splits(right) {
            (right, left)
        } else {
            return self.leaf(slot, op);
        };
        let plan = Box::new(self.op(slot, sum));
        Plan::Scaled { plan, by: by.clone(), divide }
    }

    fn leaf(&self, slot: usize, op: &Op) -> Plan {
        let named = if self.is_named(slot) { None } else { first_slot(op) };
        Plan::Leaf(Leaf { slot: named.unwrap_or(slot), op: op.clone(), rate: self.rate(op) })
    }

    /// Whether a part's own name says what a line is: all but `bill`.
    fn is_named(&self, slot: usize) -> bool {
        self.slots.get(slot).is_some_and(|slot| !slot.name.eq_ignore_ascii_case("bill"))
    }

    /// Whether a formula is a sum worth cutting: one with a named part, a block
    /// charge or a price × usage among its terms. `(units - 1) * 61.50` is not.
    fn splits(&self, op: &Op) -> bool {
        match op {
            Op::Input(Input::Slot(slot)) => once(&self.splits, *slot, || self.slot_splits(*slot)),
            Op::Binary(Operator::Add | Operator::Subtract, left, right) => self.is_term(left) || self.is_term(right),
            Op::Binary(Operator::Multiply, left, right) => self.splits(left) || self.splits(right),
            Op::Binary(Operator::Divide, left, _) => self.splits(left),
            Op::Negative(inner) => self.splits(inner),
            _ => false,
        }
    }

    fn slot_splits(&self, slot: usize) -> bool {
        match self.code(slot) {
            Some(Code::Charge(_)) => true,
            Some(Code::Choice(table)) => table.codes.iter().any(|code| self.code_splits(code)),
            Some(Code::Items(items)) => match items.as_slice() {
                [ItemCode::Formula(op)] => self.splits(op),
                _ => false,
            },
            _ => false,
        }
    }

    fn is_term(&self, op: &Op) -> bool {
        matches!(op, Op::Input(Input::Slot(_))) || self.splits(op) || self.rate(op).is_some()
    }

    fn code_splits(&self, code: &Code) -> bool {
        match code {
            Code::Charge(_) => true,
            Code::Items(items) => match items.as_slice() {
                [ItemCode::Formula(op)] => self.splits(op) || self.rate(op).is_some(),
                _ => false,
            },
            _ => false,
        }
    }

    /// The price of a term that is a product with the usage as one factor.
    fn rate(&self, op: &Op) -> Option<Rate> {
        let mut through = Vec::new();
        let price = self.price(op, &mut through)?;
        Some(Rate { price, through })
    }

    fn price(&self, op: &Op, through: &mut Vec<usize>) -> Option<Op> {
        if !self.depends_on_usage(op) {
            return None;
        }
        match op {
            Op::Input(Input::Usage) => Some(Op::Number(rust_decimal::Decimal::ONE)),
            Op::Input(Input::Slot(slot)) => match self.code(*slot) {
                Some(Code::Items(items)) => match items.as_slice() {
                    [ItemCode::Formula(op)] => {
                        let price = self.price(op, through)?;
                        through.push(*slot);
                        Some(price)
                    }
                    _ => None,
                },
                _ => None,
            },
            Op::Negative(inner) => Some(Op::Negative(Box::new(self.price(inner, through)?))),
            Op::Binary(Operator::Multiply, left, right) => {
                let mut found = Vec::new();
                let price = match self.price(left, &mut found) {
                    Some(price) if !self.depends_on_usage(right) => times(price, right),
                    Some(_) => return None,
                    None if self.depends_on_usage(left) => return None,
                    None => times(self.price(right, &mut found)?, left),
                };
                through.extend(found);
                Some(price)
            }
            Op::Binary(Operator::Divide, left, right) if !self.depends_on_usage(right) => {
                let price = Box::new(self.price(left, through)?);
                Some(Op::Binary(Operator::Divide, price, right.clone()))
            }
            _ => None,
        }
    }

    fn depends_on_usage(&self, op: &Op) -> bool {
        match op {
            Op::Number(_) | Op::Input(Input::External(_)) => false,
            Op::Input(Input::Usage | Input::UsageUnless(_)) => true,
            Op::Input(Input::Slot(slot)) => once(&self.depends, *slot, || self.code(*slot).is_some_and(|code| self.code_depends(code))),
            Op::Negative(inner) | Op::Whole(inner) => self.depends_on_usage(inner),
            Op::Binary(_, left, right) => self.depends_on_usage(left) || self.depends_on_usage(right),
        }
    }

    fn code_depends(&self, code: &Code) -> bool {
        match code {
            Code::Items(items) => items.iter().any(|item| match item {
                ItemCode::Percent(_) => false,
                ItemCode::Formula(op) => self.depends_on_usage(op),
            }),
            Code::Charge(_) => true,
            Code::Choice(table) => {
                let keyed = table.dimensions.iter();
                keyed.clone().any(|d| self.depends_on_usage(&Op::Input(d.input))) || table.codes.iter().any(|code| self.code_depends(code))
            }
            Code::Range { dimension, codes, .. } => {
                self.depends_on_usage(&Op::Input(dimension.input)) || codes.iter().any(|code| self.code_depends(code))
            }
            Code::Unusable(_) => false,
        }
    }
}

fn times(price: Op, factor: &Op) -> Op {
    match price {
        Op::Number(number) if number == rust_decimal::Decimal::ONE => factor.clone(),
        price => Op::Binary(Operator::Multiply, Box::new(price), Box::new(factor.clone())),
    }
}

fn first_slot(op: &Op) -> Option<usize> {
    match op {
        Op::Input(Input::Slot(slot)) => Some(*slot),
        Op::Number(_) | Op::Input(_) => None,
        Op::Negative(inner) | Op::Whole(inner) => first_slot(inner),
        Op::Binary(_, left, right) => first_slot(left).or_else(|| first_slot(right)),
    }
}
