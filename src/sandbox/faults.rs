//! Faults on demand: what goes wrong from now on.

use serde::{Deserialize, Serialize};

/// What is wrong with a callback's signature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignatureFault {
    /// Nothing.
    #[default]
    Good,
    /// Another secret made it.
    Wrong,
    /// The body was changed after it was signed.
    Body,
    /// It was made an hour ago: an old delivery played again.
    Old,
    /// There is none.
    Missing,
}

/// What happens to calls of the interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outage {
    /// They are answered.
    #[default]
    None,
    /// They are answered with 503; nothing is done.
    Error,
    /// The connection is dropped; nothing is done.
    Drop,
    /// What is asked to be done (POST) is done, and then the connection is dropped: nobody knows whether.
    LostAnswer,
}

/// What goes wrong from now on; the default is nothing.
#[allow(clippy::struct_excessive_bools, reason = "each is a fault of its own, and the JSON form says so")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// How often each event is delivered: 1 to 50.
    pub duplicates: u32,
    /// Deliveries wait until they are released.
    pub hold: bool,
    /// With `hold`: as soon as so many wait they go all at once, and the next wait again. 0 is never.
    pub burst: usize,
    /// What is released goes in any order.
    pub shuffle: bool,
    /// Each delivery waits for some time between these, in milliseconds; deliveries overtake each other.
    pub delay_ms: [u64; 2],
    /// How many of a thousand events are never delivered; they are listed all the same.
    pub lose_permille: u32,
    /// How many of the next events are never delivered.
    pub lose_next: u32,
    /// What is wrong with signatures.
    pub signature: SignatureFault,
    /// Types of events that duplicates, losses and signatures are about; empty is all.
    pub types: Vec<String>,
    /// Events of one thing may bear the same second, as Stripe's do.
    pub same_second: bool,
    /// What happens to calls.
    pub outage: Outage,
    /// How many calls the outage lasts; 0 is until it is changed.
    pub outage_calls: u32,
    /// When a bank debit succeeds (or fails) by itself, in milliseconds; null is on demand only.
    pub bank_settles_ms: Option<u64>,
    /// Bank debits fail instead.
    pub bank_fails: bool,
    /// When each new refund fails, in milliseconds after it was made; null is never.
    pub refunds_fail_ms: Option<u64>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            duplicates: 1,
            hold: false,
            burst: 0,
            shuffle: false,
            delay_ms: [0, 0],
            lose_permille: 0,
            lose_next: 0,
            signature: SignatureFault::Good,
            types: Vec::new(),
            same_second: false,
            outage: Outage::None,
            outage_calls: 0,
            bank_settles_ms: Some(5_000),
            bank_fails: false,
            refunds_fail_ms: None,
        }
    }
}

impl Faults {
    /// What is not possible: the field and what was expected.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let hour = 3_600_000;
        let short = |wait: Option<u64>| wait.is_none_or(|ms| ms <= hour);
        let bounds = [
            ("duplicates", (1..=50).contains(&self.duplicates), "1 to 50"),
            ("burst", self.burst <= 10_000, "0 to 10000"),
            ("burst", self.burst == 0 || self.hold, "hold = true: a burst is of deliveries that are held"),
            ("delay_ms", self.delay_ms[0] <= self.delay_ms[1] && self.delay_ms[1] <= hour, "[least, most], at most 3600000"),
            ("lose_permille", self.lose_permille <= 1000, "0 to 1000"),
            ("bank_settles_ms", short(self.bank_settles_ms), "null or at most 3600000"),
            ("refunds_fail_ms", short(self.refunds_fail_ms), "null or at most 3600000"),
            ("types", self.types.len() <= 50, "at most 50 types"),
        ];
        bounds.iter().find(|(_, fits, _)| !fits).map(|(field, _, expected)| format!("{field}: expected {expected}"))
    }

    /// Whether duplicates, losses and signatures are about events of a type.
    #[must_use]
    pub(super) fn concern(&self, kind: &str) -> bool {
        self.types.is_empty() || self.types.iter().any(|named| named == kind)
    }
}
