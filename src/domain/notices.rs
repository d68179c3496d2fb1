//! Notices: what people are told by e-mail, and what of it they may switch off.

use std::fmt;
use std::str::FromStr;

use chrono::{NaiveDate, NaiveDateTime};
use serde::{Deserialize, Serialize};

use super::alarms::AlarmKind;
use super::ids::{AccountId, LoginId, NoticeId, PersonId, RunId};

/// Nobody is told of what happened longer ago than this: an import of history must not flood the town.
pub const OLDEST_NEWS_DAYS: i64 = 30;

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A bill was issued.
    BillReady,
    /// A payment was posted.
    PaymentReceived,
    /// A payment went back.
    PaymentReturned,
    /// A payment that was posted turned out to be another amount.
    PaymentCorrected,
    /// Bills are drawn from now on.
    AutopayActive,
    /// A bill will be drawn, and when.
    AutopayAnnounced,
    /// A bill is not drawn: why, and what is to be paid.
    AutopaySkipped,
    /// A draw was declined.
    AutopayFailed,
    /// Bills are not drawn any more: paused, or ended.
    AutopayPaused,
    /// Money was given back.
    RefundSent,
    /// Money that was to be given back did not arrive: it is in the account again.
    RefundFailed,
    /// A credit or charge was given by hand.
    AdjustmentGiven,
    /// A bill was wrong and was put right: what was asked for or charged, what is right, and what becomes of the difference.
    OverchargeCorrected,
    /// A bill was not paid in time and costs a fee.
    LateFee,
    /// Something is overdue: a step of the reminders.
    PaymentReminder,
    /// A pay plan was agreed, kept, broken or cancelled.
    PayPlan,
    /// A question about a bill has arrived.
    DisputeOpened,
    /// A question about a bill is answered.
    DisputeAnswered,
    /// A read is far above what was used before: perhaps a leak.
    HighUsage,
    /// To staff: a bill run's gates failed.
    RunHeld,
    /// To staff: bills that were issued are wrong, or were put right.
    RunIncident,
    /// To staff: something is wrong.
    Alarm,
    /// Somebody signed in with a device that was not seen before.
    SignIn,
    /// A link to set or reset a password.
    PasswordLink,
    /// The password was changed.
    PasswordChanged,
    /// The second factor was set up, changed or removed.
    SecondFactorChanged,
}

impl NoticeKind {
    /// Every kind.
    pub const ALL: [Self; 26] = [
        Self::BillReady,
        Self::PaymentReceived,
        Self::PaymentReturned,
        Self::PaymentCorrected,
        Self::AutopayActive,
        Self::AutopayAnnounced,
        Self::AutopaySkipped,
        Self::AutopayFailed,
        Self::AutopayPaused,
        Self::RefundSent,
        Self::RefundFailed,
        Self::AdjustmentGiven,
        Self::OverchargeCorrected,
        Self::LateFee,
        Self::PaymentReminder,
        Self::PayPlan,
        Self::DisputeOpened,
        Self::DisputeAnswered,
        Self::HighUsage,
        Self::RunHeld,
        Self::RunIncident,
        Self::Alarm,
        Self::SignIn,
        Self::PasswordLink,
        Self::PasswordChanged,
        Self::SecondFactorChanged,
    ];

    /// The kinds that a customer may switch off, in the order in which a form shows them.
    pub const SWITCHABLE: [Self; 5] = [Self::BillReady, Self::PaymentReceived, Self::PaymentReturned, Self::AdjustmentGiven, Self::HighUsage];

    /// The name that tables use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BillReady => "bill_ready",
            Self::PaymentReceived => "payment_received",
            Self::PaymentReturned => "payment_returned",
            Self::PaymentCorrected => "payment_corrected",
            Self::AutopayActive => "autopay_active",
            Self::AutopayAnnounced => "autopay_announced",
            Self::AutopaySkipped => "autopay_skipped",
            Self::AutopayFailed => "autopay_failed",
            Self::AutopayPaused => "autopay_paused",
            Self::RefundSent => "refund_sent",
            Self::RefundFailed => "refund_failed",
            Self::AdjustmentGiven => "adjustment_given",
            Self::OverchargeCorrected => "overcharge_corrected",
            Self::LateFee => "late_fee",
            Self::PaymentReminder => "payment_reminder",
            Self::PayPlan => "pay_plan",
            Self::DisputeOpened => "dispute_opened",
            Self::DisputeAnswered => "dispute_answered",
            Self::HighUsage => "high_usage",
            Self::RunHeld => "run_held",
            Self::RunIncident => "run_incident",
            Self::Alarm => "alarm",
            Self::SignIn => "sign_in",
            Self::PasswordLink => "password_link",
            Self::PasswordChanged => "password_changed",
            Self::SecondFactorChanged => "second_factor_changed",
        }
    }

    /// What people call it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::BillReady => "A bill is ready",
            Self::PaymentReceived => "A payment was received",
            Self::PaymentReturned => "A payment was returned",
            Self::PaymentCorrected => "A payment was corrected",
            Self::AutopayActive => "Autopay was set up",
            Self::AutopayAnnounced => "A bill will be drawn",
            Self::AutopaySkipped => "A bill is not drawn",
            Self::AutopayFailed => "A draw was declined",
            Self::AutopayPaused => "Autopay was paused or ended",
            Self::RefundSent => "A refund was sent",
            Self::RefundFailed => "A refund did not arrive",
            Self::AdjustmentGiven => "A credit or charge was made",
            Self::OverchargeCorrected => "A wrong bill was corrected",
            Self::LateFee => "A late fee was charged",
            Self::PaymentReminder => "A payment is overdue",
            Self::PayPlan => "A pay plan was agreed or has ended",
            Self::DisputeOpened => "A question about a bill has arrived",
            Self::DisputeAnswered => "A question about a bill is answered",
            Self::HighUsage => "Unusually high usage, perhaps a leak",
            Self::RunHeld => "A bill run was held",
            Self::RunIncident => "Issued bills are wrong",
            Self::Alarm => "An alarm",
            Self::SignIn => "A sign-in from a new device",
            Self::PasswordLink => "A link to set a password",
            Self::PasswordChanged => "The password was changed",
            Self::SecondFactorChanged => "The second factor was changed",
        }
    }

    /// Whether a person may do without it. Who is told of their own security is not asked.
    #[must_use]
    pub fn can_be_switched_off(self) -> bool {
        Self::SWITCHABLE.contains(&self)
    }
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for NoticeKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        let names = || Self::ALL.map(Self::as_str).join(", ");
        found.ok_or_else(|| format!("'{text}' is not a kind of notice: expected one of {}", names()))
    }
}

/// Where a notice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeStatus {
    /// It waits to be sent, or to be tried again.
    Queued,
    /// It is being handed to the server; whether the server has it is not known.
    Sending,
    /// The server took it.
    Sent,
    /// It was refused for good.
    Bounced,
    /// It could not be sent for too long.
    GivenUp,
    /// It is not sent: it is not wanted, has nowhere to go, or is too old.
    Suppressed,
}

impl NoticeStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [Self::Queued, Self::Sending, Self::Sent, Self::Bounced, Self::GivenUp, Self::Suppressed];

    /// The name that tables use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Bounced => "bounced",
            Self::GivenUp => "given_up",
            Self::Suppressed => "suppressed",
        }
    }
}

impl fmt::Display for NoticeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for NoticeStatus {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == text);
        let names = || Self::ALL.map(Self::as_str).join(", ");
        found.ok_or_else(|| format!("'{text}' is not a status of a notice: expected one of {}", names()))
    }
}

/// What a notice's text is made of: one form for each kind. Amounts are cents with the ledger's sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Facts {
    /// Of [`NoticeKind::BillReady`].
    BillReady(BillReady),
    /// Of [`NoticeKind::PaymentReceived`].
    PaymentReceived(PaymentReceived),
    /// Of [`NoticeKind::PaymentReturned`].
    PaymentReturned(PaymentReturned),
    /// Of [`NoticeKind::PaymentCorrected`].
    PaymentCorrected(PaymentCorrected),
    /// Of [`NoticeKind::AutopayActive`].
    AutopayActive(AutopayActive),
    /// Of [`NoticeKind::AutopayAnnounced`].
    AutopayAnnounced(AutopayAnnounced),
    /// Of [`NoticeKind::AutopaySkipped`].
    AutopaySkipped(AutopaySkipped),
    /// Of [`NoticeKind::AutopayFailed`].
    AutopayFailed(AutopayFailed),
    /// Of [`NoticeKind::AutopayPaused`].
    AutopayPaused(AutopayPaused),
    /// Of [`NoticeKind::RefundSent`].
    RefundSent(RefundSent),
    /// Of [`NoticeKind::RefundFailed`].
    RefundFailed(RefundFailed),
    /// Of [`NoticeKind::AdjustmentGiven`].
    AdjustmentGiven(AdjustmentGiven),
    /// Of [`NoticeKind::OverchargeCorrected`].
    OverchargeCorrected(OverchargeCorrected),
    /// Of [`NoticeKind::LateFee`].
    LateFee(LateFee),
    /// Of [`NoticeKind::PaymentReminder`].
    PaymentReminder(PaymentReminder),
    /// Of [`NoticeKind::PayPlan`].
    PayPlan(PayPlan),
    /// Of [`NoticeKind::DisputeOpened`].
    DisputeOpened(DisputeOpened),
    /// Of [`NoticeKind::DisputeAnswered`].
    DisputeAnswered(DisputeAnswered),
    /// Of [`NoticeKind::HighUsage`].
    HighUsage(HighUsage),
    /// Of [`NoticeKind::RunHeld`].
    RunHeld(RunHeld),
    /// Of [`NoticeKind::RunIncident`].
    RunIncident(RunIncident),
    /// Of [`NoticeKind::Alarm`].
    Alarm(Alarm),
    /// Of [`NoticeKind::SignIn`].
    SignIn(SignIn),
    /// Of [`NoticeKind::PasswordLink`].
    PasswordLink(PasswordLink),
    /// Of [`NoticeKind::PasswordChanged`].
    PasswordChanged(PasswordChanged),
    /// Of [`NoticeKind::SecondFactorChanged`].
    SecondFactorChanged(SecondFactorChanged),
}

impl Facts {
    /// The kind.
    #[must_use]
    pub fn kind(&self) -> NoticeKind {
        match self {
            Self::BillReady(_) => NoticeKind::BillReady,
            Self::PaymentReceived(_) => NoticeKind::PaymentReceived,
            Self::PaymentReturned(_) => NoticeKind::PaymentReturned,
            Self::PaymentCorrected(_) => NoticeKind::PaymentCorrected,
            Self::AutopayActive(_) => NoticeKind::AutopayActive,
            Self::AutopayAnnounced(_) => NoticeKind::AutopayAnnounced,
            Self::AutopaySkipped(_) => NoticeKind::AutopaySkipped,
            Self::AutopayFailed(_) => NoticeKind::AutopayFailed,
            Self::AutopayPaused(_) => NoticeKind::AutopayPaused,
            Self::RefundSent(_) => NoticeKind::RefundSent,
            Self::RefundFailed(_) => NoticeKind::RefundFailed,
            Self::AdjustmentGiven(_) => NoticeKind::AdjustmentGiven,
            Self::OverchargeCorrected(_) => NoticeKind::OverchargeCorrected,
            Self::LateFee(_) => NoticeKind::LateFee,
            Self::PaymentReminder(_) => NoticeKind::PaymentReminder,
            Self::PayPlan(_) => NoticeKind::PayPlan,
            Self::DisputeOpened(_) => NoticeKind::DisputeOpened,
            Self::DisputeAnswered(_) => NoticeKind::DisputeAnswered,
            Self::HighUsage(_) => NoticeKind::HighUsage,
            Self::RunHeld(_) => NoticeKind::RunHeld,
            Self::RunIncident(_) => NoticeKind::RunIncident,
            Self::Alarm(_) => NoticeKind::Alarm,
            Self::SignIn(_) => NoticeKind::SignIn,
            Self::PasswordLink(_) => NoticeKind::PasswordLink,
            Self::PasswordChanged(_) => NoticeKind::PasswordChanged,
            Self::SecondFactorChanged(_) => NoticeKind::SecondFactorChanged,
        }
    }

    /// The facts without what must stay secret; `None` when nothing in them is.
    #[must_use]
    pub fn without_secret(&self) -> Option<Self> {
        match self {
            Self::PasswordLink(link) if !link.path.is_empty() => Some(Self::PasswordLink(PasswordLink { path: String::new(), ..link.clone() })),
            _ => None,
        }
    }
}

/// A bill was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillReady {
    /// The bill's number.
    pub bill_number: String,
    /// The bill's own date.
    pub bill_on: NaiveDate,
    /// When it is to be paid.
    pub due_on: NaiveDate,
    /// The charges of this bill.
    pub charges_cents: i64,
    /// The balance before it: above zero was still owed.
    pub opening_balance_cents: i64,
    /// The balance after it: above zero is to be paid.
    pub amount_due_cents: i64,
}

/// A payment was posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentReceived {
    /// How much was paid, above zero.
    pub amount_cents: i64,
    /// Value date.
    pub effective_on: NaiveDate,
    /// The payment's reference.
    pub reference: String,
    /// The balance after it.
    pub balance_cents: i64,
}

/// A payment went back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentReturned {
    /// How much went back, above zero.
    pub amount_cents: i64,
    /// Whether it is a part of the payment only.
    #[serde(default)]
    pub is_part: bool,
    /// The payment's value date.
    pub paid_on: NaiveDate,
    /// The value date of the return.
    pub returned_on: NaiveDate,
    /// The payment's reference.
    pub reference: String,
    /// Why, in words.
    pub reason: String,
    /// The balance after it.
    pub balance_cents: i64,
}

/// A payment that was posted turned out to be another amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentCorrected {
    /// What was posted first, above zero.
    pub was_cents: i64,
    /// What it is; 0 when it never came.
    pub is_cents: i64,
    /// Whether it is that nothing but its return was taken back: what was said to have gone back, which is `is_cents`, did not.
    #[serde(default)]
    pub stands_again: bool,
    /// Value date.
    pub effective_on: NaiveDate,
    /// The payment's reference.
    pub reference: String,
    /// The balance after it.
    pub balance_cents: i64,
}

/// Bills are drawn from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutopayActive {
    /// From what.
    pub method: String,
    /// Above it nothing is drawn.
    pub limit_cents: Option<i64>,
    /// How many days before a draw it is announced, at least.
    pub notice_days: u32,
    /// What is due now and is not drawn.
    pub due_now_cents: i64,
}

/// A bill will be drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutopayAnnounced {
    /// The bill's number.
    pub bill_number: String,
    /// How much, at most.
    pub amount_cents: i64,
    /// When.
    pub draw_on: NaiveDate,
    /// When the bill is due.
    pub due_on: NaiveDate,
    /// From what.
    pub method: String,
    /// Whether another day was announced before.
    pub is_new_day: bool,
}

/// A bill is not drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutopaySkipped {
    /// The bill's number.
    pub bill_number: String,
    /// What was due.
    pub amount_cents: i64,
    /// When the bill is due.
    pub due_on: NaiveDate,
    /// Why, as a sentence.
    pub reason: String,
    /// Whether the customer is to pay it in another way.
    pub to_pay: bool,
}

/// A draw was declined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutopayFailed {
    /// The bill's number.
    pub bill_number: String,
    /// How much was to be drawn.
    pub amount_cents: i64,
    /// When the bill is due.
    pub due_on: NaiveDate,
    /// From what.
    pub method: String,
    /// Why, in the provider's words.
    pub reason: String,
    /// When it is tried once more.
    pub again_on: Option<NaiveDate>,
}

/// Bills are not drawn any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutopayPaused {
    /// Whether it is over, and not only paused.
    pub ended: bool,
    /// From what they were drawn.
    pub method: String,
    /// Why, as a sentence.
    pub reason: String,
}

/// Money was given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundSent {
    /// How much, above zero.
    pub amount_cents: i64,
    /// When.
    pub sent_on: NaiveDate,
    /// The payment that it is of; none for a credit that is paid out.
    pub payment_reference: Option<String>,
    /// What was told of this refund before and was not so, in cents.
    #[serde(default)]
    pub instead_of_cents: Option<i64>,
    /// The balance after it.
    pub balance_cents: i64,
}

/// Money that was to be given back did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundFailed {
    /// The account's number.
    pub account: String,
    /// How much, above zero.
    pub amount_cents: i64,
    /// Why, in the provider's words.
    pub reason: String,
    /// The balance with it.
    pub balance_cents: i64,
}

/// A credit or charge was given by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdjustmentGiven {
    /// The movement of the balance: below zero is a credit to the customer.
    pub amount_cents: i64,
    /// Value date.
    pub effective_on: NaiveDate,
    /// The reason's name.
    pub reason: String,
    /// The adjustment's reference.
    pub reference: String,
    /// The balance after it.
    pub balance_cents: i64,
}

/// A wrong bill was put right: by another one, by taking it back, or by a credit of the difference.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverchargeCorrected {
    /// The numbers of the bills that do not count any more.
    pub cancelled: Vec<String>,
    /// The bill in their place.
    pub bill_number: Option<String>,
    /// When that one is due.
    pub due_on: Option<NaiveDate>,
    /// Whether `before` and `after` are what customers were asked to pay; else they are charges.
    pub asked: bool,
    /// What was wrong.
    pub before_cents: i64,
    /// What it should have been.
    pub after_cents: i64,
    /// What went wrong, as a sentence; empty when nobody said so.
    pub cause: String,
    /// The balance with the correction.
    pub balance_cents: i64,
    /// What autopay will draw for the new bill.
    pub draw: Option<CorrectedDraw>,
    /// Why autopay does not draw what it had announced, as a sentence.
    pub not_drawn: Option<String>,
}

impl OverchargeCorrected {
    /// The same with what else is told of one account for one reason.
    pub fn add(&mut self, other: Self) {
        self.cancelled.extend(other.cancelled);
        self.before_cents += other.before_cents;
        self.after_cents += other.after_cents;
        self.draw = self.draw.take().or(other.draw);
        self.not_drawn = self.not_drawn.take().or(other.not_drawn);
    }

    /// Whether bills were taken back and none came in their place yet: nobody says then what is right.
    #[must_use]
    pub fn is_only_taken_back(&self) -> bool {
        self.bill_number.is_none() && !self.cancelled.is_empty()
    }

    /// What was too much, in cents; below zero it was too little.
    #[must_use]
    pub fn too_much_cents(&self) -> i64 {
        self.before_cents - self.after_cents
    }
}

/// What autopay draws for a bill that was put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorrectedDraw {
    /// How much, at most.
    pub amount_cents: i64,
    /// When.
    pub draw_on: NaiveDate,
    /// From what.
    pub method: String,
}

/// A bill was not paid in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateFee {
    /// The bill's number.
    pub bill_number: String,
    /// The fee.
    pub amount_cents: i64,
    /// What of the bill was unpaid.
    pub unpaid_cents: i64,
    /// When it was due.
    pub due_on: NaiveDate,
    /// The last day on which a payment was in time.
    pub deadline_on: NaiveDate,
    /// When the fee was charged.
    pub charged_on: NaiveDate,
    /// The rule that it follows.
    pub citation: String,
    /// The balance with it.
    pub balance_cents: i64,
}

/// Something is overdue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentReminder {
    /// What the step is called.
    pub name: String,
    /// Which step it is, from 1.
    pub step: i32,
    /// Whether no further notice comes after it.
    pub is_last: bool,
    /// Whether a clerk decides about a disconnection after it.
    pub disconnection: bool,
    /// What is overdue.
    pub overdue_cents: i64,
    /// Since when the oldest of it is.
    pub since_on: NaiveDate,
    /// Days after this notice is sent in which nothing more happens.
    pub notice_days: i32,
    /// The rule that it follows.
    pub citation: String,
}

/// A pay plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayPlan {
    /// `active` when it was agreed, `kept`, `broken` or `cancelled`.
    pub state: String,
    /// What is paid by it.
    pub total_cents: i64,
    /// What of it is open.
    pub open_cents: i64,
    /// The instalments: when, and how much.
    pub instalments: Vec<(NaiveDate, i64)>,
    /// Days after an instalment's day on which it is still in time.
    pub grace_days: i32,
    /// Why it ended; empty when it was agreed.
    pub because: String,
    /// Whether the account's bills are drawn by autopay.
    pub autopay: bool,
}

/// A question about a bill has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeOpened {
    /// The bill's number.
    pub bill_number: String,
    /// Which part of it; empty for all of it.
    pub about: String,
    /// When it was asked.
    pub asked_on: NaiveDate,
    /// Until when it is answered.
    pub answer_by: NaiveDate,
    /// Whether it was asked before.
    pub again: bool,
}

/// A question about a bill is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeAnswered {
    /// The bill's number.
    pub bill_number: String,
    /// The answer in short, as a sentence without its full stop.
    pub outcome: String,
    /// The answer in the clerk's words.
    pub words: String,
    /// What puts the bill right: an adjustment's reference, or another bill's number.
    pub remedy: Option<String>,
    /// When it was answered.
    pub answered_on: NaiveDate,
    /// Until when what is left can be paid without a fee.
    pub pay_by: NaiveDate,
    /// Until when it can be asked again; none when it was asked twice.
    pub again_by: Option<NaiveDate>,
    /// The balance now.
    pub balance_cents: i64,
}

/// A read is far above what was used before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HighUsage {
    /// The place, in one line.
    pub address: String,
    /// The service's id.
    pub service_id: String,
    /// The day of the read.
    pub read_on: NaiveDate,
    /// What is unusual, in words and figures.
    pub detail: String,
}

/// A bill run's gates failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunHeld {
    /// The run.
    pub run_id: RunId,
    /// Its cycle.
    pub cycle: String,
    /// Its day.
    pub through_on: NaiveDate,
    /// Bills that were priced.
    pub bills: i64,
    /// Their total.
    pub total_cents: i64,
    /// Why each failed gate failed.
    pub reasons: Vec<String>,
}

/// Bills that were issued are wrong, or were put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunIncident {
    /// The case of overcharges.
    pub case_id: i64,
    /// The run that issued the bills, when it was one.
    pub run_id: Option<RunId>,
    /// What went wrong, in words.
    pub cause: String,
    /// How many accounts.
    pub accounts: i64,
    /// What they were asked for or charged too much, in cents; below zero it was too little.
    pub too_much_cents: i64,
    /// Whether it is put right.
    pub mended: bool,
}

/// Something is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// What.
    pub alarm: AlarmKind,
    /// In words and figures.
    pub detail: String,
    /// Since when, UTC.
    pub since: NaiveDateTime,
}

/// Somebody signed in with a new device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignIn {
    /// When, UTC.
    pub at: NaiveDateTime,
    /// The browser's own name.
    pub device: String,
}

/// A link to set or reset a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordLink {
    /// Where the link leads, from `public_url` on, with its token: a secret. Empty once it was sent.
    pub path: String,
    /// Whether it is somebody's first password.
    pub first: bool,
    /// Until when it is good, UTC.
    pub expires_at: NaiveDateTime,
}

/// The password was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordChanged {
    /// When, UTC.
    pub at: NaiveDateTime,
}

/// The second factor was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactorChanged {
    /// When, UTC.
    pub at: NaiveDateTime,
    /// What happened to it, as the end of "Your second factor …": `was set up`, `was removed`.
    pub change: String,
}

/// Who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressee {
    /// The person behind an account; somebody without an e-mail address is told nothing.
    Account(AccountId),
    /// Somebody who signs in, at the address that they sign in with.
    Login {
        /// The sign-in.
        id: LoginId,
        /// Whose it is, for a customer's.
        person_id: Option<PersonId>,
        /// The address.
        email: String,
        /// The name to greet.
        name: String,
    },
    /// Everybody in the setting `mail.staff`.
    Staff,
}

/// A notice to be queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNotice {
    /// The event, in a word: a second notice with the same key is none. `bill:RUN:ACCOUNT`, `payment:ACCOUNT:SEQ`, …
    pub key: String,
    /// Who is told.
    pub to: Addressee,
    /// The day on which it happened (the value date): old news is not told.
    pub happened_on: NaiveDate,
    /// What the text is made of.
    pub facts: Facts,
}

/// A notice on its way: everything that its message is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Identity.
    pub id: NoticeId,
    /// What the receiver recognises a repetition by.
    pub message_id: String,
    /// When it was queued, UTC: the message's date, however late it is sent.
    pub created_at: NaiveDateTime,
    /// The address.
    pub recipient: String,
    /// The name to greet; may be empty.
    pub recipient_name: String,
    /// The account's number, when it is about one.
    pub account: Option<String>,
    /// What the text is made of.
    pub facts: Facts,
}

/// What became of an attempt to send a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server took it, or the file is written.
    Accepted,
    /// It was refused for good. `address` says whether the address is to blame: then nothing more goes there.
    Refused {
        /// Whether the address is to blame.
        address: bool,
        /// The server's words.
        reason: String,
    },
    /// It was not taken, this time. `server` says whether the others would not be either: no connection.
    Failed {
        /// Whether the server as a whole cannot be used.
        server: bool,
        /// The server's words, or the machine's.
        reason: String,
    },
    /// The message was handed over and no answer came: nobody can know whether the server has it.
    Unknown {
        /// What came instead.
        reason: String,
    },
    /// It is somebody else's by now: nothing was handed over.
    Superseded,
}

/// Whether what happened on a day is still news today.
#[must_use]
pub fn is_news(happened_on: NaiveDate, today: NaiveDate) -> bool {
    today.signed_duration_since(happened_on).num_days() <= OLDEST_NEWS_DAYS
}
