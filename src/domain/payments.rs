//! What a payment's events mean: from everything that a provider ever said of a payment to what the ledger must show.
//!
//! The whole rule is one pure function, [`story`]: it orders the facts by the provider's own time and tells the state and
//! the movements that follow. Because it looks at the set of facts and not at their arrival, any order and repetition of the
//! same events ends in the same ledger (P5). What is posted already is compared with what the story asks for ([`changes`]):
//! the difference is corrected by reversals and new postings, never by an edit (P2).

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};
use serde::Serialize;

use super::ids::{AccountId, PaymentId, RefundId};
use super::ledger::check_amount;
use super::money::Money;

/// How the reason of money begins that a payer's bank took back.
pub const TAKEN_BY_BANK: &str = "taken back by the payer's bank";
/// The years of the books' dates.
const BOOK_YEARS: std::ops::RangeInclusive<i32> = 1900..=9999;

/// One thing that a provider said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// The provider's name of the event.
    pub event_id: String,
    /// The provider's word for its type, such as `payment_intent.succeeded`.
    pub event_type: String,
    /// When it happened, in seconds since 1970 by the provider's clock.
    pub occurred_at: i64,
    /// The payment that it tells of; none for events about something else.
    pub payment_ref: Option<String>,
    /// Our own name of the attempt that it belongs to, where the provider repeats it.
    pub token: Option<String>,
    /// What it says.
    pub what: What,
}

/// What an event says. Each is a snapshot: the newest of a kind holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A checkout.
    Checkout {
        /// The provider's name of it.
        session_ref: String,
        /// Whether the customer is through.
        complete: bool,
        /// Whether it can no longer be paid.
        expired: bool,
        /// Whether a way to pay was to be saved, instead of a payment.
        saves_method: bool,
    },
    /// A payment.
    Payment(PaymentFact),
    /// Money given back to the payer.
    Refund(RefundFact),
    /// A payment that the payer's bank takes back, or tried to.
    Dispute(DisputeFact),
    /// Nothing that concerns us.
    Nothing,
}

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum PaymentState {
    /// Begun; the customer has not finished.
    Created,
    /// The customer has finished; the money is on its way.
    Submitted,
    /// It will not come.
    Failed,
    /// The money is certain.
    Succeeded,
    /// The money had come and went back.
    Returned,
}

impl PaymentState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Created, Self::Submitted, Self::Failed, Self::Succeeded, Self::Returned];

    /// The name that tables use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Submitted => "submitted",
            Self::Failed => "failed",
            Self::Succeeded => "succeeded",
            Self::Returned => "returned",
        }
    }
}

impl std::str::FromStr for PaymentState {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| format!("'{text}' is not a payment's state"))
    }
}

/// What a snapshot of a payment says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PaymentFact {
    /// Where it stands: never [`PaymentState::Returned`], which follows from disputes and refunds.
    pub state: PaymentState,
    /// What is paid (or was to be).
    pub amount: Money,
    /// ISO 4217 code, in capitals.
    pub currency: String,
    /// When it was made, in seconds since 1970: the same in every snapshot of it, so that its value date is, too.
    pub made_at: i64,
    /// Whether it came from a bank account (a transfer) and not from a card.
    pub from_bank: bool,
    /// Why it failed.
    pub reason: Option<String>,
}

/// What a snapshot of a refund says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RefundFact {
    /// The provider's name of the refund.
    pub refund_ref: String,
    /// Our own name of it, when we asked for it.
    pub token: Option<String>,
    /// How much.
    pub amount: Money,
    /// When it was made, in seconds since 1970.
    pub made_at: i64,
    /// Whether the money goes (or went) back: false once it failed.
    pub stands: bool,
    /// Whether the provider is done with it.
    pub settled: bool,
}

/// What a snapshot of a dispute says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DisputeFact {
    /// The provider's name of the dispute.
    pub dispute_ref: String,
    /// How much is taken back.
    pub amount: Money,
    /// When it was opened, in seconds since 1970.
    pub made_at: i64,
    /// Whether the money was taken from us: an inquiry of the payer's bank takes nothing, and may become a dispute that does.
    pub withdrawn: bool,
    /// Whether it was decided for us: the money stays with us after all.
    pub won: bool,
    /// Why, in the provider's word.
    pub reason: String,
}

/// What all that is known of a payment comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// Where it stands.
    pub state: PaymentState,
    /// What was to be paid.
    pub amount: Money,
    /// ISO 4217 code, in capitals; empty while no snapshot of the payment itself is known.
    pub currency: String,
    /// Whether it came from a bank account.
    pub from_bank: bool,
    /// The day of the payment; none while no snapshot of it is known.
    pub made_on: Option<NaiveDate>,
    /// Why it failed or went back.
    pub reason: Option<String>,
    /// The money that came, when it is certain.
    pub received: Option<Money>,
    /// The day on which all of it was taken back, when it was.
    pub returned_on: Option<NaiveDate>,
    /// Parts of it that went back, in the order of their making.
    pub taken: Vec<Taken>,
    /// The newest event that any of this follows from.
    pub newest: Option<(i64, String)>,
}

/// A part of a payment that went back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The provider's name of the refund or dispute.
    pub reference: String,
    /// Our own name of it, when we asked for it: then it is in the ledger already.
    pub token: Option<String>,
    /// The account that we charged it to when we asked for it.
    pub charged: Option<AccountId>,
    /// How much.
    pub amount: Money,
    /// When.
    pub on: NaiveDate,
    /// Whether the money goes back; when not, it never went.
    pub stands: bool,
    /// Whether the provider is done with it.
    pub settled: bool,
    /// Why, in words.
    pub reason: String,
}

/// The order among facts: the provider's time first. Within a second, in which providers do not tell the order, what is
/// further along; then the event's name, and at last all that it says: two events of one name that say different things have an
/// order, too, so that it never depends on the arrival.
type Age<'f, R, T> = (i64, R, &'f str, &'f T);

fn age<'f, R: Ord, T: Ord>(fact: &'f Fact, rank: R, thing: &'f T) -> Age<'f, R, T> {
    (fact.occurred_at, rank, &fact.event_id, thing)
}

/// Tells a payment's story from everything that is known of it, in any order, with any repetition. `day` turns seconds since
/// 1970 into the utility's date.
#[must_use]
pub fn story(facts: &[Fact], day: &dyn Fn(i64) -> NaiveDate) -> Story {
    let snapshots = facts.iter().filter_map(|fact| match &fact.what {
        What::Payment(payment) => Some((fact, payment)),
        _ => None,
    });
    let newest = snapshots.max_by_key(|(fact, payment)| age(fact, (payment.state, payment.amount), *payment));
    let disputes = newest_of(facts, |fact| match &fact.what {
        What::Dispute(dispute) => Some((dispute.dispute_ref.as_str(), (dispute.won, dispute.withdrawn), dispute)),
        _ => None,
    });
    let refunds = newest_of(facts, |fact| match &fact.what {
        What::Refund(refund) => Some((refund.refund_ref.as_str(), (refund.settled, !refund.stands), refund)),
        _ => None,
    });
    let payment = newest.map(|(_, payment)| payment);
    let received =
        payment.filter(|payment| payment.state == PaymentState::Succeeded && payment.amount > Money::default()).map(|payment| payment.amount);
    let mut story = Story {
        state: payment.map_or(PaymentState::Created, |payment| payment.state),
        amount: payment.map_or(Money::default(), |payment| payment.amount),
        currency: payment.map(|payment| payment.currency.clone()).unwrap_or_default(),
        from_bank: payment.is_some_and(|payment| payment.from_bank),
        made_on: payment.map(|payment| day(payment.made_at)),
        reason: payment.and_then(|payment| payment.reason.clone()),
        received,
        returned_on: None,
        taken: refunds.into_iter().map(|refund| taken_by_refund(refund, day)).collect(),
        newest: facts.iter().map(|fact| (fact.occurred_at, fact.event_id.clone())).max(),
    };
    for dispute in disputes {
        story.take_dispute(dispute, day);
    }
    story.taken.sort_by(|a, b| (a.on, &a.reference).cmp(&(b.on, &b.reference)));
    story
}

/// The newest snapshot of each thing, by the thing's name.
fn newest_of<'f, R: Ord, T: Ord>(facts: &'f [Fact], of: impl Fn(&'f Fact) -> Option<(&'f str, R, &'f T)>) -> Vec<&'f T> {
    let mut newest: BTreeMap<&str, Age<'_, R, T>> = BTreeMap::new();
    for fact in facts {
        let Some((name, rank, thing)) = of(fact) else { continue };
        let age = age(fact, rank, thing);
        match newest.get(name) {
            Some(known) if *known >= age => {}
            _ => {
                newest.insert(name, age);
            }
        }
    }
    newest.into_values().map(|(.., thing)| thing).collect()
}

fn taken_by_refund(refund: &RefundFact, day: &dyn Fn(i64) -> NaiveDate) -> Taken {
    Taken {
        reference: refund.refund_ref.clone(),
        token: refund.token.clone(),
        charged: None,
        amount: refund.amount,
        on: day(refund.made_at),
        stands: refund.stands,
        settled: refund.settled,
        reason: "given back through the provider".to_owned(),
    }
}

impl Story {
    /// A dispute over the whole payment returns it; one over a part of it takes that part back.
    fn take_dispute(&mut self, dispute: &DisputeFact, day: &dyn Fn(i64) -> NaiveDate) {
        let stands = dispute.withdrawn && !dispute.won;
        let reason = format!("{TAKEN_BY_BANK}: {}", dispute.reason);
        let whole = self.received.is_some_and(|received| dispute.amount >= received);
        if whole && stands && self.returned_on.is_none() {
            self.returned_on = Some(day(dispute.made_at));
            self.state = PaymentState::Returned;
            self.reason = Some(reason);
        } else if !whole {
            let on = day(dispute.made_at);
            let reference = dispute.dispute_ref.clone();
            self.taken.push(Taken { reference, token: None, charged: None, amount: dispute.amount, on, stands, settled: true, reason });
        }
    }

    /// Whether a ledger can hold it: amounts that are kept, on days of the calendar that both databases keep and order. A
    /// provider that says anything else is misunderstood, and a person must look.
    ///
    /// # Errors
    /// What cannot be held.
    pub fn check(&self) -> Result<(), String> {
        let standing = self.taken.iter().filter(|taken| taken.stands);
        let amounts = self.received.into_iter().chain(standing.clone().map(|taken| taken.amount));
        amounts.into_iter().try_for_each(check_amount)?;
        let days = self.made_on.into_iter().chain(self.returned_on).chain(standing.map(|taken| taken.on));
        match days.into_iter().find(|day| !BOOK_YEARS.contains(&day.year())) {
            Some(day) => Err(format!("its date is {day}: expected one of the years {} to {}", BOOK_YEARS.start(), BOOK_YEARS.end())),
            None => Ok(()),
        }
    }

    /// What of the money did not go back.
    #[must_use]
    pub fn kept(&self) -> Money {
        let Some(received) = self.received.filter(|_| self.returned_on.is_none()) else { return Money::ZERO };
        let back = self.taken.iter().filter(|taken| taken.stands && taken.amount.is_positive());
        back.fold(received, |kept, taken| kept - taken.amount.min(kept))
    }

    /// What the ledger must show, with the money divided over accounts as they were ordered. Nothing while the money is not
    /// certain, or nobody knows for whom it is.
    #[must_use]
    pub fn wanted(&self, parts: &[(AccountId, Money)]) -> Wanted {
        let mut wanted = Wanted { from_bank: self.from_bank, ..Wanted::default() };
        let (Some(received), Some(on)) = (self.received, self.made_on) else { return wanted };
        let shares = divide(received, parts);
        // Nothing goes back before it came, whatever two clocks say: then a return would never agree with what is wanted.
        let returned_on = self.returned_on.map(|returned| returned.max(on));
        for (part, account, amount) in &shares {
            wanted.receipts.push(Receipt { part: *part, account: *account, amount: *amount, on, returned_on });
        }
        let mut left: Vec<(i32, AccountId, Money)> = shares;
        // What goes back is at most what came; beyond that the provider contradicts itself, and the rest is nobody's.
        // What we asked for is in the ledger already, on the account that we charged: it comes off that account's share before
        // anything else is divided.
        let mut back: Vec<&Taken> = self.taken.iter().filter(|taken| taken.stands && self.returned_on.is_none()).collect();
        back.sort_by_key(|taken| taken.token.is_none());
        for taken in back {
            let mut open = taken.amount;
            for (part, account, amount) in left.iter_mut().filter(|(_, account, _)| taken.charged.is_none_or(|charged| charged == *account)) {
                let share = open.min(*amount);
                if share > Money::default() {
                    *amount -= share;
                    open -= share;
                    if taken.token.is_none() {
                        wanted.taken.push(TakenPart {
                            reference: taken.reference.clone(),
                            part: *part,
                            account: *account,
                            amount: share,
                            on: taken.on,
                            reason: taken.reason.clone(),
                        });
                    }
                }
            }
        }
        wanted
    }
}

/// Divides money over accounts in their order, each up to what was meant for it; what is more goes to the first.
#[must_use]
pub fn divide(amount: Money, parts: &[(AccountId, Money)]) -> Vec<(i32, AccountId, Money)> {
    let mut open = amount;
    let mut shares: Vec<(i32, AccountId, Money)> = Vec::with_capacity(parts.len());
    for ((account, meant), part) in parts.iter().zip(1..) {
        let share = open.min(*meant);
        open -= share;
        shares.push((part, *account, share));
    }
    if let Some((_, _, first)) = shares.first_mut() {
        *first += open;
    }
    shares.retain(|(_, _, share)| *share > Money::default());
    shares
}

/// What the ledger must show of one payment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Whether it came from a bank account: its money is cleared elsewhere then.
    pub from_bank: bool,
    /// Money that came, by account.
    pub receipts: Vec<Receipt>,
    /// Parts of it that went back without our asking.
    pub taken: Vec<TakenPart>,
}

/// Money that came for one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Which part of the payment, from 1.
    pub part: i32,
    /// Whose.
    pub account: AccountId,
    /// How much.
    pub amount: Money,
    /// Value date.
    pub on: NaiveDate,
    /// When it was taken back.
    pub returned_on: Option<NaiveDate>,
}

/// What went back of one account's money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenPart {
    /// The provider's name of the refund or dispute.
    pub reference: String,
    /// Which part of the payment, from 1.
    pub part: i32,
    /// Whose.
    pub account: AccountId,
    /// How much.
    pub amount: Money,
    /// Value date.
    pub on: NaiveDate,
    /// Why.
    pub reason: String,
}

/// What the ledger shows of one payment: its payments that no correction replaced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Posted {
    /// Whether it was posted as from a bank account.
    pub from_bank: bool,
    /// Money that came, with the payment's identity and whether its return was taken back.
    pub receipts: Vec<(PaymentId, bool, Receipt)>,
    /// What went back.
    pub taken: Vec<(RefundId, TakenPart)>,
}

/// A step from what the ledger shows to what it must show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// What was posted was wrong: everything of it is taken back, on its own dates.
    SupersedeReceipt(PaymentId),
    /// What went back did not: it is taken back, on its own date.
    SupersedeTaken(RefundId),
    /// Money came.
    Post(Receipt),
    /// The money of a posted payment went back.
    Return(PaymentId, NaiveDate),
    /// It went back, and then it did not.
    Restore(PaymentId),
    /// A part of the money went back.
    Take(TakenPart),
}

/// The steps from what is posted to what is wanted, corrections first. None when they agree.
#[must_use]
pub fn changes(posted: &Posted, wanted: &Wanted) -> Vec<Change> {
    let mut steps = Vec::new();
    let mut kept: Vec<&Receipt> = Vec::new();
    let cleared_there = posted.from_bank == wanted.from_bank;
    for (id, restored, receipt) in &posted.receipts {
        let same = |w: &&Receipt| cleared_there && (w.part, w.account, w.amount, w.on) == (receipt.part, receipt.account, receipt.amount, receipt.on);
        let standing = receipt.returned_on.filter(|_| !restored);
        match wanted.receipts.iter().find(same) {
            Some(want) if want.returned_on == standing => kept.push(want),
            Some(want) if want.returned_on.is_none() => {
                steps.push(Change::Restore(*id));
                kept.push(want);
            }
            // A payment is returned once; one that was returned on another day, or again, is told anew.
            Some(want) if receipt.returned_on.is_none() => {
                steps.extend(want.returned_on.map(|on| Change::Return(*id, on)));
                kept.push(want);
            }
            _ => steps.push(Change::SupersedeReceipt(*id)),
        }
    }
    let mut standing: Vec<&TakenPart> = Vec::new();
    for (id, taken) in &posted.taken {
        let same = |w: &&TakenPart| {
            cleared_there
                && (&w.reference, w.part, w.account, w.amount, w.on) == (&taken.reference, taken.part, taken.account, taken.amount, taken.on)
        };
        match wanted.taken.iter().find(same) {
            Some(want) => standing.push(want),
            None => steps.push(Change::SupersedeTaken(*id)),
        }
    }
    // Corrections come first, so that a reference is free before it is taken again.
    steps.sort_by_key(|step| !matches!(step, Change::SupersedeReceipt(_) | Change::SupersedeTaken(_)));
    steps.extend(wanted.receipts.iter().filter(|want| !kept.contains(want)).map(|want| Change::Post(want.clone())));
    steps.extend(wanted.taken.iter().filter(|want| !standing.contains(want)).map(|want| Change::Take(want.clone())));
    steps
}
