//! Reconciliation: what the ledger, the payment providers and the bank say of the same money, laid beside each other.
//!
//! What belongs here: the comparison itself, as pure functions over what was read ([`payment`], [`bank`]), and the sums of a
//! look ([`Look`]). What does not: reading the rows, calling providers, mending.
//!
//! The unit is one payment at one provider, not one day: a payment that was made before midnight and booked after it, in
//! another time zone, or corrected a week later is still compared with itself. It counts on one day only, the last one on
//! which the provider moved it, so that the days of a look add up and no payment counts in two looks side by side.

pub mod bank;
pub mod payment;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, NaiveDate, NaiveDateTime, TimeDelta, Weekday};
use serde::{Deserialize, Serialize};

use super::ids::AccountId;
use super::money::Money;

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The provider has the money, the ledger does not.
    NotInLedger,
    /// The ledger has the money, the provider does not.
    NotAtProvider,
    /// Both have it, with different amounts.
    AmountsDiffer,
    /// The ledger has it more than once.
    TwiceInLedger,
    /// A payment's own row and its transaction in the ledger disagree.
    RowsDisagree,
    /// Money went back at the provider, not in the ledger.
    ReturnedThereNotHere,
    /// Money went back in the ledger, not at the provider.
    ReturnedHereNotThere,
    /// Money went back on both sides, with different amounts.
    ReturnsDiffer,
    /// A refund that we asked for failed at the provider, and the ledger still has it.
    RefundFailedThere,
    /// A refund has no reference of the provider after days.
    RefundWithoutReference,
    /// Money came that is for no account that we know.
    UnappliedCredit,
    /// What a provider sent is not applied after minutes.
    EventWaiting,
    /// What the provider sent on did not arrive at the bank.
    PayoutNotAtBank,
    /// What the provider sent on is not what its movements less fees come to.
    PayoutDoesNotAddUp,
    /// The bank has money from a provider that is no payout that the provider tells of.
    UnknownPayout,
    /// A bank's movement and what it posted have different amounts.
    BankAmountsDiffer,
    /// A bank's movement waits for a decision after days.
    BankEntryWaiting,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::NotInLedger,
        Self::NotAtProvider,
        Self::AmountsDiffer,
        Self::TwiceInLedger,
        Self::RowsDisagree,
        Self::ReturnedThereNotHere,
        Self::ReturnedHereNotThere,
        Self::ReturnsDiffer,
        Self::RefundFailedThere,
        Self::RefundWithoutReference,
        Self::UnappliedCredit,
        Self::EventWaiting,
        Self::PayoutNotAtBank,
        Self::PayoutDoesNotAddUp,
        Self::UnknownPayout,
        Self::BankAmountsDiffer,
        Self::BankEntryWaiting,
    ];

    /// The name that tables use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotInLedger => "not_in_ledger",
            Self::NotAtProvider => "not_at_provider",
            Self::AmountsDiffer => "amounts_differ",
            Self::TwiceInLedger => "twice_in_ledger",
            Self::RowsDisagree => "rows_disagree",
            Self::ReturnedThereNotHere => "returned_there_not_here",
            Self::ReturnedHereNotThere => "returned_here_not_there",
            Self::ReturnsDiffer => "returns_differ",
            Self::RefundFailedThere => "refund_failed_there",
            Self::RefundWithoutReference => "refund_without_reference",
            Self::UnappliedCredit => "unapplied_credit",
            Self::EventWaiting => "event_waiting",
            Self::PayoutNotAtBank => "payout_not_at_bank",
            Self::PayoutDoesNotAddUp => "payout_does_not_add_up",
            Self::UnknownPayout => "unknown_payout",
            Self::BankAmountsDiffer => "bank_amounts_differ",
            Self::BankEntryWaiting => "bank_entry_waiting",
        }
    }

    /// What people read.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::NotInLedger => "At the provider, not in the ledger",
            Self::NotAtProvider => "In the ledger, not at the provider",
            Self::AmountsDiffer => "Amounts differ",
            Self::TwiceInLedger => "Twice in the ledger",
            Self::RowsDisagree => "Payment and ledger disagree",
            Self::ReturnedThereNotHere => "Went back at the provider, not in the ledger",
            Self::ReturnedHereNotThere => "Went back in the ledger, not at the provider",
            Self::ReturnsDiffer => "Amounts that went back differ",
            Self::RefundFailedThere => "Refund failed at the provider",
            Self::RefundWithoutReference => "Refund without a reference",
            Self::UnappliedCredit => "Money for no known account",
            Self::EventWaiting => "Event not applied",
            Self::PayoutNotAtBank => "Payout not at the bank",
            Self::PayoutDoesNotAddUp => "Payout does not add up",
            Self::UnknownPayout => "Bank credit that is no known payout",
            Self::BankAmountsDiffer => "Bank and ledger differ",
            Self::BankEntryWaiting => "Bank movement waits",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| format!("'{text}' is no kind of difference"))
    }
}

/// What mends a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Fetch the events that never arrived from the provider's list, and apply them.
    FetchEvents,
    /// Apply the events that wait.
    ApplyEvents,
    /// A person says whose money it is.
    AssignAccount,
    /// A person asks the provider.
    AskProvider,
    /// A person looks at the account: rows contradict each other.
    LookAtAccount,
    /// A person matches the bank's movement.
    MatchBankEntry,
    /// The bank's file of that day is imported, or the bank is asked.
    ImportBankFile,
}

impl Action {
    /// The name that tables use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FetchEvents => "fetch_events",
            Self::ApplyEvents => "apply_events",
            Self::AssignAccount => "assign_account",
            Self::AskProvider => "ask_provider",
            Self::LookAtAccount => "look_at_account",
            Self::MatchBankEntry => "match_bank_entry",
            Self::ImportBankFile => "import_bank_file",
        }
    }

    /// What people read.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::FetchEvents => "Fetch missing events",
            Self::ApplyEvents => "Apply waiting events",
            Self::AssignAccount => "Assign an account",
            Self::AskProvider => "Ask the provider",
            Self::LookAtAccount => "Look at the account",
            Self::MatchBankEntry => "Match the bank movement",
            Self::ImportBankFile => "Import the bank's file, or ask the bank",
        }
    }

    /// Whether the program may do it by itself: it only brings in what a provider said, and posts nothing of its own.
    #[must_use]
    pub fn is_safe(self) -> bool {
        matches!(self, Self::FetchEvents | Self::ApplyEvents)
    }
}

/// Which two sides are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pair {
    /// The ledger and the provider: payments, returns, refunds.
    Online,
    /// The provider's payouts and the bank.
    Payouts,
    /// The ledger and the bank: payments by transfer.
    Bank,
    /// A payout and its own movements.
    Balance,
}

/// Where a row of a difference stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Ours.
    Ledger,
    /// What was received and is not applied.
    Inbox,
    /// The provider's.
    Provider,
    /// The bank's.
    Bank,
}

/// One row of one side, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideRow {
    /// Where it stands.
    pub side: Side,
    /// Its day.
    pub on: NaiveDate,
    /// What it is, in words.
    pub what: String,
    /// Its own reference.
    pub reference: String,
    /// How much, in cents; none where no money is named.
    pub amount: Option<Money>,
    /// Whose, by number.
    pub account: Option<String>,
}

/// One disagreement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The same disagreement has the same key in every look.
    pub key: String,
    /// What differs.
    pub kind: Kind,
    /// Which sides.
    pub pair: Pair,
    /// The day that it counts on.
    pub day: NaiveDate,
    /// Whose money, when it is one account's.
    pub account: Option<AccountId>,
    /// The provider's, or the bank's, reference.
    pub reference: String,
    /// What the ledger says.
    pub ledger: Option<Money>,
    /// What the provider says.
    pub provider: Option<Money>,
    /// What the bank says.
    pub bank: Option<Money>,
    /// How far the two sides are apart, never below zero; zero when no money differs.
    pub gap: Money,
    /// The rows of both sides.
    pub rows: Vec<SideRow>,
    /// The likely cause, in words.
    pub cause: String,
    /// What mends it.
    pub action: Action,
}

impl Difference {
    /// What the two sides of its pair say.
    fn sides(&self) -> Sides {
        let of = |amount: Option<Money>| amount.unwrap_or_default();
        match self.pair {
            Pair::Online => Sides { left: of(self.ledger), right: of(self.provider) },
            Pair::Payouts => Sides { left: of(self.provider), right: of(self.bank) },
            Pair::Bank => Sides { left: of(self.ledger), right: of(self.bank) },
            Pair::Balance => Sides::default(),
        }
    }
}

/// What a comparison of one thing came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Both sides say the same.
    Agreed {
        /// Which sides.
        pair: Pair,
        /// The day that it counts on.
        day: NaiveDate,
        /// What both say.
        amount: Money,
    },
    /// It is too early to judge: the other side may not have it yet, or was not looked at since.
    InTransit {
        /// The key of the difference that it may become, or was before it moved again.
        key: String,
        /// The day that it will count on.
        day: NaiveDate,
        /// How far the sides are apart.
        gap: Money,
    },
    /// They disagree.
    Differs(Box<Difference>),
}

/// When something that differs is a difference, and not merely under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Now, UTC.
    pub now: NaiveDateTime,
    /// Today, the utility's.
    pub today: NaiveDate,
    /// What moved within so many minutes is not judged yet.
    pub grace_minutes: u32,
    /// An event is applied within so many minutes.
    pub event_minutes: u32,
    /// A payout is at the bank so many business days after the provider's day.
    pub payout_days: u32,
    /// A refund has its reference after so many days.
    pub refund_days: u32,
    /// A bank's movement is decided within so many days.
    pub bank_days: u32,
}

impl Rules {
    /// Whether a moment is too near to be judged by.
    fn is_fresh(&self, at: NaiveDateTime) -> bool {
        at > self.now - TimeDelta::minutes(self.grace_minutes.into())
    }

    /// Whether a day is more than so many days ago.
    fn is_past(&self, day: NaiveDate, days: u32) -> bool {
        self.today - day > TimeDelta::days(days.into())
    }
}

/// How far a provider's movements are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// The first day that was ever asked for; none when nothing was.
    pub from: Option<NaiveDate>,
    /// The moment of the last answer; what the ledger did after it cannot be compared yet.
    pub until: Option<NaiveDateTime>,
}

/// What two sides come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sides {
    /// The first, in cents.
    #[serde(rename = "left_cents")]
    pub left: Money,
    /// The second, in cents.
    #[serde(rename = "right_cents")]
    pub right: Money,
}

impl Sides {
    fn add(&mut self, other: Self) {
        self.left += other.left;
        self.right += other.right;
    }
}

/// The sums of one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DaySum {
    /// Payments, returns and refunds through providers: the ledger's and the providers'.
    pub online: Sides,
    /// Payouts: the providers' and the bank's.
    pub payouts: Sides,
    /// Payments by transfer: the ledger's and the bank's.
    pub bank: Sides,
    /// How far all sides are apart: the sum of every difference, none of which makes up for another.
    #[serde(rename = "delta_cents")]
    pub delta: Money,
    /// How many differences.
    pub differences: u64,
    /// How far sides are apart that cannot be judged yet.
    #[serde(rename = "in_transit_cents")]
    pub in_transit: Money,
}

impl DaySum {
    fn pair(&mut self, pair: Pair) -> Option<&mut Sides> {
        match pair {
            Pair::Online => Some(&mut self.online),
            Pair::Payouts => Some(&mut self.payouts),
            Pair::Bank => Some(&mut self.bank),
            Pair::Balance => None,
        }
    }

    fn add(&mut self, pair: Pair, sides: Sides) {
        if let Some(sum) = self.pair(pair) {
            sum.add(sides);
        }
    }

    /// Adds another day's sums.
    pub fn merge(&mut self, other: &Self) {
        self.online.add(other.online);
        self.payouts.add(other.payouts);
        self.bank.add(other.bank);
        self.delta += other.delta;
        self.differences += other.differences;
        self.in_transit += other.in_transit;
    }

    /// What the ledger says.
    #[must_use]
    pub fn ledger(&self) -> Money {
        self.online.left + self.bank.left
    }

    /// What the providers say.
    #[must_use]
    pub fn provider(&self) -> Money {
        self.online.right
    }

    /// What the bank says.
    #[must_use]
    pub fn at_bank(&self) -> Money {
        self.payouts.right + self.bank.right
    }
}

/// So many differences of one look are kept with their rows; what is beyond is counted.
pub const MOST_DIFFERENCES: usize = 20_000;
/// No look spans more days.
pub const MOST_DAYS: u16 = 400;

/// A look at a range of days: findings come in, in any order, and sums come out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    from: NaiveDate,
    carries: bool,
    /// Differences that were found before and that nothing in this look speaks of yet.
    unseen: BTreeSet<String>,
    /// Each day of the range.
    pub days: BTreeMap<NaiveDate, DaySum>,
    /// Differences of days before the range that are still there. Empty unless the look carries them.
    pub earlier: DaySum,
    /// The differences, the first [`MOST_DIFFERENCES`] of them.
    pub differences: Vec<Difference>,
    /// How many things cannot be judged yet.
    pub in_transit: u64,
}

impl Look {
    /// A look at these days, both included. With `carries`, differences of earlier days count, too. `open` are the keys of the
    /// differences of these days that were found before.
    #[must_use]
    pub fn new(from: NaiveDate, to: NaiveDate, carries: bool, open: BTreeSet<String>) -> Self {
        let days = from.iter_days().take_while(|day| *day <= to).take(MOST_DAYS.into()).map(|day| (day, DaySum::default())).collect();
        Self { from, carries, unseen: open, days, earlier: DaySum::default(), differences: Vec::new(), in_transit: 0 }
    }

    /// Takes a finding into its day. One of a day outside the range belongs to another look.
    pub fn take(&mut self, finding: Finding) {
        match finding {
            Finding::Agreed { pair, day, amount } => {
                if let Some(sum) = self.days.get_mut(&day) {
                    sum.add(pair, Sides { left: amount, right: amount });
                }
            }
            Finding::InTransit { key, day, gap } => {
                self.unseen.remove(&key);
                if let Some(sum) = self.days.get_mut(&day) {
                    sum.in_transit += gap;
                    self.in_transit += 1;
                }
            }
            Finding::Differs(difference) => {
                self.unseen.remove(&difference.key);
                let sum = match self.days.get_mut(&difference.day) {
                    Some(sum) => sum,
                    None if self.carries && difference.day < self.from => &mut self.earlier,
                    None => return,
                };
                sum.add(difference.pair, difference.sides());
                sum.delta += difference.gap;
                sum.differences += 1;
                if self.differences.len() < MOST_DIFFERENCES {
                    self.differences.push(*difference);
                }
            }
        }
    }

    /// Whether every difference was kept.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        usize::try_from(self.total().differences).is_ok_and(|all| all == self.differences.len())
    }

    /// The keys of differences that were found before and are gone now.
    #[must_use]
    pub fn gone(&self) -> &BTreeSet<String> {
        &self.unseen
    }

    /// The sums of all days.
    #[must_use]
    pub fn total(&self) -> DaySum {
        let mut total = self.earlier;
        for day in self.days.values() {
            total.merge(day);
        }
        total
    }
}

/// The amount without its sign.
fn size(amount: Money) -> Money {
    if amount.is_negative() { -amount } else { amount }
}

/// The day that is so many business days (Monday to Friday) after another; a bank books nothing on the days between.
#[must_use]
pub fn business_days_after(day: NaiveDate, days: u32) -> NaiveDate {
    let works = |day: &NaiveDate| !matches!(day.weekday(), Weekday::Sat | Weekday::Sun);
    let days = usize::try_from(days).unwrap_or(usize::MAX);
    if days == 0 {
        return day;
    }
    day.iter_days().skip(1).filter(works).nth(days - 1).unwrap_or(NaiveDate::MAX)
}
