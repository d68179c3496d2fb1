//! Blocks of usage: where each ends and how much falls in it.
//!
//! Belongs here: the block rules of `Tiered` and `Budget`. Does not belong
//! here: where starts and prices come from (`price`).

use rust_decimal::Decimal;

use super::compile::{Charge, ItemCode, Op};
use super::error::PricingError;
use super::line::TierDetail;
use super::number::whole;
use super::price::Pricing;
use super::settings::TierRule;
use super::tariff::ChargeKind;

/// A block with usage in it.
pub(crate) struct Block {
    pub detail: TierDetail,
    pub quantity: Decimal,
    pub price: Decimal,
}

impl Pricing<'_> {
    /// The blocks with usage in them, lowest first.
    ///
    /// The first start is ignored; a boundary below the one before it leaves
    /// its block empty; the last block has no end (reference calculator).
    pub(crate) fn blocks(&self, charge: &Charge, slot: usize) -> Result<Vec<Block>, PricingError> {
        let starts = self.items(charge.starts, slot)?;
        let prices = self.items(charge.prices, slot)?;
        if starts.len() != prices.len() {
            return Err(self.unequal(slot, starts.len(), prices.len()));
        }
        let mut blocks = Vec::with_capacity(prices.len());
        let mut below = Decimal::ZERO;
        let mut number = 0_u32;
        for (at, price) in prices.iter().enumerate() {
            number = number.saturating_add(1);
            let to = match starts.get(at + 1) {
                Some(start) => Some(self.boundary(charge, start, slot)?.max(below)),
                None => None,
            };
            let reached = to.map_or(self.usage, |to| to.min(self.usage));
            // Every price and boundary is worked out, used or not: whether an
            // account can be priced must not depend on its usage.
            let price = self.price_of(charge, price)?;
            if reached > below {
                blocks.push(Block { detail: TierDetail { number, from: below, to }, quantity: self.exact(reached.checked_sub(below), slot)?, price });
            }
            below = to.unwrap_or(below);
        }
        Ok(blocks)
    }

    /// Where the block before a start ends.
    fn boundary(&self, charge: &Charge, start: &ItemCode, slot: usize) -> Result<Decimal, PricingError> {
        match (charge.kind, start) {
            (ChargeKind::Tiered, ItemCode::Formula(op)) => {
                let start = self.op(op, charge.starts)?;
                match charge.rule {
                    TierRule::FirstUnit => self.exact(start.checked_sub(Decimal::ONE), slot),
                    TierRule::Boundary => Ok(start),
                }
            }
            (ChargeKind::Tiered, ItemCode::Percent(percent)) => {
                let reason = format!("`{percent}%`: a percentage is a share of a budget: expected a number, or `Budget` for the charge");
                Err(self.unusable(charge.starts, &reason))
            }
            // In a budget a number is the boundary as it stands; a name or a
            // percentage is rounded to whole units.
            (ChargeKind::Budget, ItemCode::Formula(Op::Number(number))) => Ok(*number),
            (ChargeKind::Budget, ItemCode::Formula(op)) => Ok(whole(self.op(op, charge.starts)?)),
            (ChargeKind::Budget, ItemCode::Percent(percent)) => {
                let budget = self.input_value(charge.budget, slot)?;
                let product = self.exact(percent.checked_mul(budget), slot)?;
                Ok(whole(self.exact(product.checked_div(Decimal::ONE_HUNDRED), slot)?))
            }
        }
    }

    fn price_of(&self, charge: &Charge, price: &ItemCode) -> Result<Decimal, PricingError> {
        match price {
            ItemCode::Formula(op) => self.op(op, charge.prices),
            ItemCode::Percent(percent) => {
                let reason = format!("price `{percent}%`: expected a number");
                Err(self.unusable(charge.prices, &reason))
            }
        }
    }
}
