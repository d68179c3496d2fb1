//! One payment at one provider, beside what the ledger has of it.
//!
//! It has two legs that are compared each by itself: the money that came, and the money that went back (refunds, disputes).
//! So a payment that is wrong and a refund that is wrong by as much do not make up for each other.

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta};

use super::{Action, Difference, Finding, Kind, Pair, Rules, Seen, Side, SideRow, size};
use crate::domain::ids::AccountId;
use crate::domain::money::Money;

/// A part of a payment's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Leg {
    /// The money that came.
    Came,
    /// The money that went back.
    Back,
}

impl Leg {
    /// The name in keys.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Came => "came",
            Self::Back => "back",
        }
    }
}

/// What a row of the ledger is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A payment that stands or was returned.
    Receipt {
        /// Which part of the payment, from 1.
        part: i32,
        /// The amount on the payment's own row; the ledger's is what counts.
        noted: Money,
    },
    /// The return of a payment.
    Return,
    /// A part that went back without our asking.
    Taken,
    /// A refund that we asked for.
    Refund {
        /// Where it stands: `created`, `submitted`, `succeeded`, `failed`.
        state: String,
        /// Whether the provider's name of it is known.
        named: bool,
    },
}

/// A row of the ledger that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// What it is.
    pub entry: Entry,
    /// Whose.
    pub account: AccountId,
    /// Whose, by number.
    pub number: String,
    /// What it moved: money to us is positive.
    pub amount: Money,
    /// Value date.
    pub on: NaiveDate,
    /// When it was posted, UTC.
    pub posted_at: NaiveDateTime,
    /// Its own reference.
    pub reference: String,
}

impl LedgerRow {
    fn leg(&self) -> Leg {
        if matches!(self.entry, Entry::Receipt { .. }) { Leg::Came } else { Leg::Back }
    }

    fn shown(&self) -> SideRow {
        let what = match &self.entry {
            Entry::Receipt { part: 1, .. } => "payment".to_owned(),
            Entry::Receipt { part, .. } => format!("payment, part {part}"),
            Entry::Return => "return of the payment".to_owned(),
            Entry::Taken => "taken back".to_owned(),
            Entry::Refund { state, .. } => format!("our refund, {state}"),
        };
        SideRow {
            side: Side::Ledger,
            on: self.on,
            what,
            reference: self.reference.clone(),
            amount: Some(self.amount),
            account: Some(self.number.clone()),
        }
    }
}

/// A movement on our balance with the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// Which leg it belongs to.
    pub leg: Leg,
    /// The provider's name of it.
    pub reference: String,
    /// What it is, in words.
    pub what: String,
    /// What moved, before fees: money to us is positive.
    pub amount: Money,
    /// Its day, the utility's.
    pub on: NaiveDate,
    /// When, in seconds since 1970 by the provider's clock.
    pub occurred_at: i64,
}

impl Movement {
    fn at(&self) -> NaiveDateTime {
        DateTime::from_timestamp(self.occurred_at, 0).unwrap_or_default().naive_utc()
    }

    fn shown(&self) -> SideRow {
        SideRow {
            side: Side::Provider,
            on: self.on,
            what: self.what.clone(),
            reference: self.reference.clone(),
            amount: Some(self.amount),
            account: None,
        }
    }
}

/// An event of the inbox that is not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Our number of it.
    pub id: i64,
    /// The provider's name of it.
    pub event_id: String,
    /// The provider's word for its type.
    pub event_type: String,
    /// Its day, the utility's.
    pub on: NaiveDate,
    /// When it came, UTC.
    pub received_at: NaiveDateTime,
    /// Why it could not be applied.
    pub error: Option<String>,
}

impl Waiting {
    fn shown(&self) -> SideRow {
        let what = self.error.as_ref().map_or_else(|| self.event_type.clone(), |error| format!("{}: {error}", self.event_type));
        SideRow { side: Side::Inbox, on: self.on, what, reference: self.event_id.clone(), amount: None, account: None }
    }
}

/// Everything that is known of a payment, from both sides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PaymentView {
    /// The provider.
    pub provider: String,
    /// Our identity there.
    pub merchant: String,
    /// The provider's name of the payment.
    pub reference: String,
    /// Where the payment stands as its events tell; none when no event of it ever came.
    pub state: Option<String>,
    /// The ledger's rows that stand.
    pub ledger: Vec<LedgerRow>,
    /// The provider's rows.
    pub movements: Vec<Movement>,
    /// Events that are not applied.
    pub waiting: Vec<Waiting>,
    /// Money of it that waits for an account.
    pub unapplied: Option<Money>,
    /// Money of it that somebody decided is no customer's.
    pub dismissed: Option<Money>,
}

impl PaymentView {
    /// The key of a leg's difference.
    #[must_use]
    pub fn key(&self, leg: Leg) -> String {
        [ONLINE, &self.provider, &self.merchant, &self.reference, leg.as_str()].join("|")
    }

    fn ledger_rows(&self, leg: Leg) -> impl Iterator<Item = &LedgerRow> {
        self.ledger.iter().filter(move |row| row.leg() == leg)
    }

    fn provider_rows(&self, leg: Leg) -> impl Iterator<Item = &Movement> {
        self.movements.iter().filter(move |row| row.leg == leg)
    }

    fn ledger_sum(&self, leg: Leg) -> Money {
        self.ledger_rows(leg).map(|row| row.amount).sum()
    }

    fn provider_sum(&self, leg: Leg) -> Money {
        self.provider_rows(leg).map(|row| row.amount).sum()
    }

    /// The last day on which the provider moved it; without, the ledger's last.
    fn day(&self, leg: Leg) -> Option<NaiveDate> {
        self.provider_rows(leg).map(|row| row.on).max().or_else(|| self.ledger_rows(leg).map(|row| row.on).max())
    }

    /// Whose money it is, when it is one account's.
    fn account(&self) -> Option<AccountId> {
        let first = self.ledger.first().map(|row| row.account)?;
        self.ledger.iter().all(|row| row.account == first).then_some(first)
    }

    /// The newest moment at which anything of it moved on either side, or an event of it came.
    fn moved_at(&self, leg: Leg) -> Option<NaiveDateTime> {
        let posted = self.ledger_rows(leg).map(|row| row.posted_at);
        let moved = self.provider_rows(leg).map(Movement::at);
        posted.chain(moved).chain(self.waiting.iter().map(|event| event.received_at)).max()
    }
}

/// How the keys of differences between ledger and provider begin.
pub const ONLINE: &str = "online";

/// The payment that the key of a difference names: provider, merchant, reference.
#[must_use]
pub fn named_by(key: &str) -> Option<(&str, &str, &str)> {
    let rest = key.strip_prefix(ONLINE)?.strip_prefix('|')?;
    let (provider, rest) = rest.split_once('|')?;
    let (merchant, rest) = rest.split_once('|')?;
    let (reference, _) = rest.rsplit_once('|')?;
    Some((provider, merchant, reference))
}

/// Compares a payment with what the ledger has of it.
#[must_use]
pub fn compare(view: &PaymentView, rules: &Rules, seen: &Seen) -> Vec<Finding> {
    let mut findings: Vec<Finding> = disagreeing_rows(view).map(|difference| Finding::Differs(Box::new(difference))).into_iter().collect();
    let legs = [Leg::Came, Leg::Back];
    let net = |sum: &dyn Fn(Leg) -> Money| sum(Leg::Came) + sum(Leg::Back);
    let both_nothing = net(&|leg| view.ledger_sum(leg)).is_zero() && net(&|leg| view.provider_sum(leg)).is_zero();
    if both_nothing && is_known_to_be_nothing(view) {
        // What failed after it had come is a movement back at some providers, and was never a payment to the ledger.
        if let Some(day) = legs.into_iter().filter_map(|leg| view.day(leg)).max() {
            findings.push(Finding::Agreed { pair: Pair::Online, day, amount: Money::ZERO });
        }
        return findings;
    }
    if let Some(finding) = for_nobody(view, rules, seen) {
        findings.push(finding);
        return findings;
    }
    for leg in legs {
        let Some(day) = view.day(leg) else { continue };
        let (ledger, provider) = (view.ledger_sum(leg), view.provider_sum(leg));
        findings.push(if ledger == provider {
            Finding::Agreed { pair: Pair::Online, day, amount: ledger }
        } else if cannot_be_judged(view, leg, day, rules, seen) {
            Finding::InTransit { key: view.key(leg), day, gap: size(ledger - provider) }
        } else {
            Finding::Differs(Box::new(difference(view, leg, day, rules)))
        });
    }
    findings
}

/// Whether we know why nothing is left: the ledger has both ways, or an event says that it failed or went back. That both ways
/// were lost is no agreement.
fn is_known_to_be_nothing(view: &PaymentView) -> bool {
    let told = matches!(view.state.as_deref(), Some("failed" | "returned"));
    told || !view.ledger.is_empty() || view.movements.is_empty()
}

/// Money that is in no account, and of which we know as much as the provider has: it waits for an account, or somebody decided
/// that it is no customer's. What of it went back is told with it.
fn for_nobody(view: &PaymentView, rules: &Rules, seen: &Seen) -> Option<Finding> {
    let kept = view.provider_sum(Leg::Came) + view.provider_sum(Leg::Back);
    let known = view.unapplied.or(view.dismissed).filter(|known| view.ledger.is_empty() && *known == kept)?;
    let legs = [Leg::Came, Leg::Back];
    let day = legs.into_iter().filter_map(|leg| view.day(leg)).max()?;
    if view.dismissed.is_some() {
        return Some(Finding::Agreed { pair: Pair::Online, day, amount: Money::ZERO });
    }
    if legs.into_iter().any(|leg| cannot_be_judged(view, leg, day, rules, seen)) {
        return Some(Finding::InTransit { key: view.key(Leg::Came), day, gap: size(known) });
    }
    let rows = legs.into_iter().flat_map(|leg| view.provider_rows(leg)).map(Movement::shown).collect();
    let waits = difference(view, Leg::Came, day, rules);
    Some(Finding::Differs(Box::new(Difference { provider: Some(kept), gap: size(kept), rows: sorted(rows), ..waits })))
}

/// Whether one side may simply not have it yet, or was not looked at.
fn cannot_be_judged(view: &PaymentView, leg: Leg, day: NaiveDate, rules: &Rules, seen: &Seen) -> bool {
    if view.moved_at(leg).is_some_and(|at| rules.is_fresh(at)) {
        return true;
    }
    let waits_for_provider = |row: &LedgerRow| match &row.entry {
        Entry::Refund { state, .. } => state == "created" && !rules.is_past(row.on, rules.refund_days),
        _ => false,
    };
    if view.ledger_rows(leg).any(waits_for_provider) {
        return true;
    }
    let posted_last = view.ledger_rows(leg).map(|row| row.posted_at).max();
    match seen.until {
        // The ledger moved after the provider was last looked at.
        Some(until) => posted_last.is_some_and(|posted| posted > until) || (view.movements.is_empty() && seen.from.is_none_or(|from| day < from)),
        None => true,
    }
}

/// The ledger's transaction is what counts; a payment's own row that says something else was changed behind our back.
fn disagreeing_rows(view: &PaymentView) -> Option<Difference> {
    let apart = |row: &LedgerRow| match row.entry {
        Entry::Receipt { noted, .. } => size(row.amount - noted),
        _ => Money::ZERO,
    };
    let gap: Money = view.ledger.iter().map(apart).sum();
    let row = view.ledger.iter().find(|row| !apart(row).is_zero())?;
    let Entry::Receipt { noted, .. } = row.entry else { return None };
    Some(Difference {
        key: [ONLINE, &view.provider, &view.merchant, &view.reference, "rows"].join("|"),
        kind: Kind::RowsDisagree,
        // Not between ledger and provider: it stands beside the sums of both.
        pair: Pair::Balance,
        day: view.day(Leg::Came).unwrap_or(row.on),
        account: Some(row.account),
        reference: view.reference.clone(),
        ledger: Some(row.amount),
        provider: None,
        bank: None,
        gap,
        rows: rows_of(view, Leg::Came),
        cause: format!(
            "the payment's own row says {noted}, its transaction in the ledger {}: one of them was changed behind the program's back",
            row.amount
        ),
        action: Action::LookAtAccount,
    })
}

fn rows_of(view: &PaymentView, leg: Leg) -> Vec<SideRow> {
    let ledger = view.ledger_rows(leg).map(LedgerRow::shown);
    let provider = view.provider_rows(leg).map(Movement::shown);
    sorted(ledger.chain(provider).chain(view.waiting.iter().map(Waiting::shown)).collect())
}

fn sorted(mut rows: Vec<SideRow>) -> Vec<SideRow> {
    // However the rows were read, they are shown in one order.
    rows.sort_by(|a, b| (a.on, &a.reference, &a.what, a.amount, &a.account).cmp(&(b.on, &b.reference, &b.what, b.amount, &b.account)));
    rows
}

fn difference(view: &PaymentView, leg: Leg, day: NaiveDate, rules: &Rules) -> Difference {
    let (ledger, provider) = (view.ledger_sum(leg), view.provider_sum(leg));
    let (kind, cause, action) = match leg {
        Leg::Came => why_came(view, ledger, provider),
        Leg::Back => why_back(view, ledger, provider, rules),
    };
    let here = view.ledger_rows(leg).next().is_some();
    let there = view.provider_rows(leg).next().is_some();
    Difference {
        key: view.key(leg),
        kind,
        pair: Pair::Online,
        day,
        account: view.account(),
        reference: view.reference.clone(),
        ledger: here.then_some(ledger),
        provider: there.then_some(provider),
        bank: None,
        gap: size(ledger - provider),
        rows: rows_of(view, leg),
        cause,
        action,
    }
}

type Why = (Kind, String, Action);

/// An event that waits explains what the ledger does not have.
fn waiting_event(view: &PaymentView) -> Option<(String, Action)> {
    let event = view.waiting.iter().min_by_key(|event| event.id)?;
    let cause = event.error.as_ref().map_or_else(
        || format!("the event {} came and is not applied yet", event.event_id),
        |error| format!("the event {} came and cannot be applied: {error}", event.event_id),
    );
    Some((cause, Action::ApplyEvents))
}

fn why_came(view: &PaymentView, ledger: Money, provider: Money) -> Why {
    let explained = waiting_event(view);
    if ledger.is_zero() {
        if let Some(waits) = view.unapplied {
            let cause = format!("{waits} came and nobody knows for which account");
            return (Kind::UnappliedCredit, cause, Action::AssignAccount);
        }
        let (cause, action) = explained.unwrap_or_else(|| match &view.state {
            None => ("no event of this payment ever arrived: its callbacks were lost".to_owned(), Action::FetchEvents),
            Some(state) => {
                (format!("the last event that arrived says '{state}': the one that says that the money came was lost"), Action::FetchEvents)
            }
        });
        return (Kind::NotInLedger, cause, action);
    }
    if let Some(cause) = repeated(view, ledger, provider) {
        return (Kind::TwiceInLedger, cause, Action::LookAtAccount);
    }
    if view.provider_rows(Leg::Came).next().is_none() {
        let cause = "the provider lists no movement of this payment: it was never there, or it is on another balance".to_owned();
        return (Kind::NotAtProvider, cause, Action::AskProvider);
    }
    let corrected = "the provider corrected the payment, and the event of the correction was lost";
    let (cause, action) = explained.unwrap_or_else(|| (corrected.to_owned(), Action::FetchEvents));
    (if provider.is_zero() { Kind::NotAtProvider } else { Kind::AmountsDiffer }, cause, action)
}

/// Whether the ledger has a part of the payment more than once, and would be right without the repetitions.
fn repeated(view: &PaymentView, ledger: Money, provider: Money) -> Option<String> {
    let receipts: Vec<(&LedgerRow, i32)> = view
        .ledger
        .iter()
        .filter_map(|row| match row.entry {
            Entry::Receipt { part, .. } => Some((row, part)),
            _ => None,
        })
        .collect();
    let again = |at: usize, row: &LedgerRow, part: i32| {
        receipts.iter().take(at).any(|(other, other_part)| *other_part == part || (other.account, other.amount) == (row.account, row.amount))
    };
    let extra: Vec<&LedgerRow> = receipts.iter().enumerate().filter(|(at, (row, part))| again(*at, row, *part)).map(|(_, (row, _))| *row).collect();
    let too_much: Money = extra.iter().map(|row| row.amount).sum();
    (!extra.is_empty() && ledger - too_much == provider).then(|| format!("the ledger has {too_much} of it twice"))
}

fn why_back(view: &PaymentView, ledger: Money, provider: Money, rules: &Rules) -> Why {
    let there = view.provider_rows(Leg::Back).next().is_some();
    let refunds = |wanted: &dyn Fn(&str, bool, NaiveDate) -> bool| {
        view.ledger.iter().any(|row| match &row.entry {
            Entry::Refund { state, named } => wanted(state, *named, row.on),
            _ => false,
        })
    };
    if ledger.is_zero() {
        let lost = "money went back at the provider (a refund or a dispute), and the event that says so was lost";
        let (cause, action) = waiting_event(view).unwrap_or_else(|| (lost.to_owned(), Action::FetchEvents));
        return (Kind::ReturnedThereNotHere, cause, action);
    }
    if !there && refunds(&|_, named, on| !named && rules.is_past(on, rules.refund_days)) {
        let cause = format!("a refund has no reference of the provider after {} days: it may never have been asked for", rules.refund_days);
        return (Kind::RefundWithoutReference, cause, Action::AskProvider);
    }
    if there && provider.is_zero() {
        let failed = refunds(&|state, _, _| state == "submitted" || state == "succeeded");
        let lost = if failed {
            "the refund failed at the provider, and the event that says so was lost"
        } else {
            "the provider took it back (a dispute that was won), and the event that says so was lost"
        };
        let (cause, action) = waiting_event(view).unwrap_or_else(|| (lost.to_owned(), Action::FetchEvents));
        return (if failed { Kind::RefundFailedThere } else { Kind::ReturnedHereNotThere }, cause, action);
    }
    if !there {
        let cause =
            "the provider lists no movement back of this payment: the refund was not made there, or the return was entered by hand".to_owned();
        return (Kind::ReturnedHereNotThere, cause, Action::AskProvider);
    }
    let came = view.provider_sum(Leg::Came);
    if -provider > came && view.waiting.is_empty() {
        let cause =
            format!("the provider took {} back of a payment of {came}: more than came (a refund and a dispute of the same money?)", -provider);
        return (Kind::ReturnsDiffer, cause, Action::AskProvider);
    }
    let lost = "another part went back at the provider, or came again, and the event that says so was lost";
    let (cause, action) = waiting_event(view).unwrap_or_else(|| (lost.to_owned(), Action::FetchEvents));
    (Kind::ReturnsDiffer, cause, action)
}

/// An event that waits for too long and that no difference of its payment explains.
#[must_use]
pub fn waiting_alone(event: &Waiting, provider: &str, reference: Option<&str>, rules: &Rules) -> Finding {
    let late = event.received_at <= rules.now - TimeDelta::minutes(rules.event_minutes.into());
    let key = format!("event|{provider}|{}", event.id);
    if !late {
        return Finding::InTransit { key, day: event.on, gap: Money::ZERO };
    }
    let (cause, action) = match &event.error {
        Some(error) => (format!("it cannot be applied: {error}"), Action::ApplyEvents),
        None => ("it came and nothing applied it: is the server that applies events running?".to_owned(), Action::ApplyEvents),
    };
    Finding::Differs(Box::new(Difference {
        key,
        kind: Kind::EventWaiting,
        pair: Pair::Online,
        day: event.on,
        account: None,
        reference: reference.unwrap_or(&event.event_id).to_owned(),
        ledger: None,
        provider: None,
        bank: None,
        gap: Money::ZERO,
        rows: vec![event.shown()],
        cause,
        action,
    }))
}
