//! Autopay: when a bill is drawn from a saved way to pay, how much, and when not. Pure rules over values.
//!
//! A customer gives a *mandate*; each bill that is issued while it is active is *announced* as a draw, and on its day as much of
//! it is drawn as is still due: never more than was announced, never above the customer's limit, never what was paid otherwise.

use std::fmt;
use std::str::FromStr;

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

use super::money::Money;

/// Declares a state with the names that tables use.
macro_rules! states {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$of:meta])* $state:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$of])* $state,)+
        }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$state,)+];

            /// The name that tables use.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$state => $text,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|state| state.as_str() == text).ok_or_else(|| format!(concat!("'{}' is not ", $what), text))
            }
        }
    };
}

states! {
    /// Where a mandate stands.
    MandateState, "a mandate's state" {
        /// Begun; the customer has not come back from the provider.
        Pending = "pending",
        /// Bills are drawn.
        Active = "active",
        /// Bills are not drawn until it is taken up again.
        Paused = "paused",
        /// It is over.
        Ended = "ended",
        /// It never came about.
        Failed = "failed",
    }
}

impl MandateState {
    /// Whether a mandate may go from here to there.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        use MandateState::{Active, Ended, Failed, Paused, Pending};
        matches!((self, next), (Pending, Active | Ended | Failed) | (Active, Paused | Ended) | (Paused, Active | Ended))
    }

    /// Whether it can still draw, now or later.
    #[must_use]
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Pending | Self::Active | Self::Paused)
    }
}

states! {
    /// Where a draw stands.
    DrawState, "a draw's state" {
        /// The customer was told; its day has not come.
        Announced = "announced",
        /// Nothing is drawn.
        Skipped = "skipped",
        /// The provider is being asked.
        Drawing = "drawing",
        /// The provider has it; the money is on its way.
        Submitted = "submitted",
        /// The money is there.
        Succeeded = "succeeded",
        /// It was declined.
        Failed = "failed",
        /// The money had come and went back.
        Returned = "returned",
    }
}

impl DrawState {
    /// Whether it may still move money, as far as is known.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Announced | Self::Drawing | Self::Submitted)
    }
}

states! {
    /// Why nothing is drawn for a bill.
    SkipReason, "a reason for not drawing" {
        /// The bill is above the customer's limit.
        AboveLimit = "above_limit",
        /// The mandate is paused.
        Paused = "paused",
        /// The mandate is over.
        Ended = "ended",
        /// The bill was taken back.
        TakenBack = "taken_back",
        /// Nothing is due any more.
        Paid = "paid",
        /// While the provider could not be reached, a part was paid otherwise.
        PaidInPart = "paid_in_part",
    }
}

impl SkipReason {
    /// Whether the customer must be told: something they were told would be drawn is left to be paid, or to be forgotten.
    #[must_use]
    pub fn is_told(self) -> bool {
        self != Self::Paid
    }

    /// The reason as a sentence for the customer.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::AboveLimit => "It is above the limit that you set for autopay.",
            Self::Paused => "Your autopay is paused.",
            Self::Ended => "Your autopay has ended.",
            Self::TakenBack => "The bill was taken back: there is nothing to pay on it.",
            Self::Paid => "Nothing is due on the bill any more.",
            Self::PaidInPart => "A part of it was paid in the meantime.",
        }
    }
}

/// A utility's rules of drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrawRules {
    /// At least so many days lie between telling the customer and drawing.
    pub notice_days: u32,
    /// A bill is drawn so many days before it is due.
    pub days_before_due: u32,
    /// How often one bill is tried: 1 or 2.
    pub tries: u32,
    /// Days from a declined draw to the second one.
    pub second_try_after_days: u32,
    /// A draw that is late by more days is announced anew.
    pub latest_days: u32,
}

impl DrawRules {
    /// The day on which a bill is drawn that is announced on `told_on`: when it is due (or as many days before as the rules
    /// say), and never sooner than the notice allows.
    #[must_use]
    pub fn draw_on(&self, told_on: NaiveDate, due_on: NaiveDate) -> NaiveDate {
        let wished = due_on.checked_sub_days(Days::new(self.days_before_due.into())).unwrap_or(due_on);
        wished.max(later(told_on, self.notice_days))
    }

    /// The day of the second try of a bill whose first was declined on `failed_on`; none when there is no second.
    #[must_use]
    pub fn second_try_on(&self, failed_on: NaiveDate, try_no: i32) -> Option<NaiveDate> {
        (try_no == 1 && self.tries > 1).then(|| later(failed_on, self.second_try_after_days.max(1)))
    }

    /// Whether a draw of that day is too late to be made without telling the customer anew.
    #[must_use]
    pub fn is_too_late(&self, draw_on: NaiveDate, today: NaiveDate) -> bool {
        today > later(draw_on, self.latest_days)
    }
}

fn later(day: NaiveDate, days: u32) -> NaiveDate {
    day.checked_add_days(Days::new(days.into())).unwrap_or(day)
}

/// What is announced of a bill when it is issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announcement {
    /// Nothing is due.
    Nothing,
    /// So much is drawn on that day.
    Draw {
        /// How much, at most.
        amount: Money,
        /// When.
        on: NaiveDate,
    },
    /// Nothing is drawn although something is due.
    Skip {
        /// What is due.
        amount: Money,
        /// Why.
        why: SkipReason,
    },
}

/// What is announced of a bill that is issued on `told_on`.
#[must_use]
pub fn announce(
    rules: &DrawRules,
    state: MandateState,
    limit: Option<Money>,
    amount_due: Money,
    told_on: NaiveDate,
    due_on: NaiveDate,
) -> Announcement {
    if amount_due <= Money::ZERO {
        return Announcement::Nothing;
    }
    match state {
        MandateState::Active if limit.is_some_and(|limit| amount_due > limit) => {
            Announcement::Skip { amount: amount_due, why: SkipReason::AboveLimit }
        }
        MandateState::Active => Announcement::Draw { amount: amount_due, on: rules.draw_on(told_on, due_on) },
        MandateState::Paused => Announcement::Skip { amount: amount_due, why: SkipReason::Paused },
        MandateState::Pending | MandateState::Ended | MandateState::Failed => Announcement::Nothing,
    }
}

/// What is known of a bill on the day on which it is to be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnTheDay {
    /// What was announced.
    pub announced: Money,
    /// Where the mandate stands.
    pub mandate: MandateState,
    /// The customer's limit.
    pub limit: Option<Money>,
    /// Whether the bill was taken back.
    pub taken_back: bool,
    /// What of the bill is not paid in the ledger.
    pub unpaid: Money,
    /// The account's balance.
    pub balance: Money,
    /// Payments that are on their way.
    pub pending: Money,
}

impl OnTheDay {
    /// What is still due of the bill: not paid, not about to be, and owed by the account as a whole.
    #[must_use]
    pub fn still_due(&self) -> Money {
        let owed = self.unpaid.min(self.balance);
        owed.checked_sub(self.pending).unwrap_or_default().max(Money::ZERO)
    }

    /// What is drawn now, or why nothing is.
    ///
    /// # Errors
    /// Why nothing is drawn, ever.
    pub fn decide(&self) -> Result<Money, SkipReason> {
        let amount = self.announced.min(self.still_due());
        if self.taken_back {
            return Err(SkipReason::TakenBack);
        }
        if amount <= Money::ZERO {
            return Err(SkipReason::Paid);
        }
        match self.mandate {
            MandateState::Active if self.limit.is_some_and(|limit| amount > limit) => Err(SkipReason::AboveLimit),
            MandateState::Active => Ok(amount),
            MandateState::Paused => Err(SkipReason::Paused),
            MandateState::Pending | MandateState::Ended | MandateState::Failed => Err(SkipReason::Ended),
        }
    }

    /// Whether a draw of `drawn` that was begun before (and of which nobody knows whether the provider made it) may be asked for
    /// again now.
    ///
    /// # Errors
    /// Why it is not.
    pub fn still_good_for(&self, drawn: Money) -> Result<(), SkipReason> {
        let now = self.decide()?;
        // The amount belongs to the draw's name at the provider: the same name with another amount is refused there.
        if now < drawn { Err(SkipReason::PaidInPart) } else { Ok(()) }
    }
}

/// Whether a mandate pauses after these outcomes of its draws, newest first: two in a row that failed.
#[must_use]
pub fn pauses_after(outcomes: &[DrawState]) -> bool {
    let failed = |state: &DrawState| matches!(state, DrawState::Failed | DrawState::Returned);
    outcomes.len() >= 2 && outcomes.iter().take(2).all(failed)
}
