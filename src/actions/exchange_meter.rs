//! One meter's exchange that somebody enters: judged and stored like those of a file, and audited.

use super::import::exchanges::take_exchange;
use super::{ActionError, Context};

pub use super::import::exchanges::{Exchange, ExchangeOutcome};

/// Takes a meter out of a service and puts another in, by the same judgement as an import. The same again changes
/// nothing. What it refuses is an outcome with its reason, not an error.
///
/// # Errors
/// Those of the database.
pub fn exchange_meter(context: &Context, exchange: &Exchange) -> Result<ExchangeOutcome, ActionError> {
    take_exchange(context, exchange, false)
}
