//! Comparing what is stored: everything is read as of one moment, page by page, so that memory does not grow with the town.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDate};

use super::fetch::Answers;
use super::{Span, rules};
use crate::actions::lease::Lease;
use crate::actions::{ActionError, Context};
use crate::clock::local_date;
use crate::db::reconciliation::views::{self, EntryRow, PayoutRow, RefundView, Source, WaitingView};
use crate::db::reconciliation::{link_payout, open_keys};
use crate::db::{DbConnection, look_up_by_index};
use crate::domain::ids::BankEntryId;
use crate::domain::money::Money;
use crate::domain::reconciliation::bank::{BankKnown, EntryState, EntryView, PayoutView, compare_entry, compare_payout, names_payout};
use crate::domain::reconciliation::payment::{self, Entry, LedgerRow, Leg, Movement, PaymentView, Waiting, waiting_alone};
use crate::domain::reconciliation::{Action, Difference, Finding, Kind, Look, Pair, Rules, Seen, Side, SideRow};

/// So many payments are compared at a time.
const PAGE: i64 = 1_000;
/// So many events that wait are told one by one; beyond it the first ones tell enough.
const MOST_WAITING: usize = 5_000;
/// So many differences that were found before are followed.
const MOST_OPEN: i64 = 100_000;
/// A payout is looked for at the bank from so many days before the provider's day to so many after.
const BANK_DAYS: (u64, u64) = (3, 14);

/// What a comparison found.
pub(super) struct Compared {
    pub(super) look: Look,
    /// Payments whose sides agree, and that nobody looked at since they moved: trace, and what agreed.
    pub(super) agreed: Vec<Agreed>,
    /// The day of the oldest payment that differs.
    oldest: Option<NaiveDate>,
}

/// A payment that agrees.
pub(super) struct Agreed {
    pub(super) trace_id: String,
    pub(super) net: Money,
}

impl Compared {
    /// The day of the oldest payment that differs, when it was made before a day.
    pub(super) fn older_than(&self, day: NaiveDate) -> Option<NaiveDate> {
        // A year is what a dispute may take; what is older is a person's.
        let limit = day.checked_sub_days(Days::new(366)).unwrap_or(day);
        self.oldest.filter(|oldest| *oldest < day).map(|oldest| oldest.max(limit))
    }
}

/// Compares everything that is stored of a range of days.
pub(super) fn compare(context: &Context, lease: &Lease, span: Span, answers: &Answers) -> Result<Compared, ActionError> {
    let rules = rules(context);
    context.database.snapshot(|conn| {
        look_up_by_index(conn)?;
        let open = open_keys(conn, Some(span.from).filter(|_| !span.stands), span.to, MOST_OPEN)?;
        let look = Look::new(span.from, span.to, span.stands, open.into_iter().collect());
        let mut work =
            Work { context, lease, rules, span, answers, explained: BTreeSet::new(), done: Compared { look, agreed: Vec::new(), oldest: None } };
        let waiting = Work::waiting(conn)?;
        for source in views::sources(conn)? {
            work.source(conn, &source, &waiting)?;
        }
        work.events(&waiting);
        let bank = BankKnown(views::bank_is_known(conn)?);
        work.payouts(conn, bank)?;
        work.entries(conn)?;
        work.refunds_by_bank(conn)?;
        Ok(work.done)
    })
}

struct Work<'a> {
    context: &'a Context,
    lease: &'a Lease,
    rules: Rules,
    span: Span,
    answers: &'a Answers,
    /// Events that a payment's difference speaks of already.
    explained: BTreeSet<i64>,
    done: Compared,
}

impl Work<'_> {
    fn waiting(conn: &mut DbConnection) -> Result<Vec<WaitingView>, ActionError> {
        let mut all: Vec<WaitingView> = Vec::new();
        while all.len() < MOST_WAITING {
            let page = views::waiting_events(conn, all.last().map_or(0, |event| event.id), PAGE)?;
            if page.is_empty() {
                break;
            }
            all.extend(page);
        }
        Ok(all)
    }

    fn shown(&self, event: &WaitingView) -> Waiting {
        Waiting {
            id: event.id,
            event_id: event.event_id.clone(),
            event_type: event.event_type.clone(),
            on: local_date(event.received_at, self.context.config.time_zone),
            received_at: event.received_at,
            error: event.error.clone(),
        }
    }

    fn source(&mut self, conn: &mut DbConnection, source: &Source, waiting: &[WaitingView]) -> Result<(), ActionError> {
        let (stored_from, stored_until) = views::reach(conn, source)?;
        let asked = self.answers.seen.get(source);
        let from = asked.map(|(from, _)| *from).into_iter().chain(stored_from).min();
        let seen = Seen { from, until: asked.map(|(_, at)| *at).into_iter().chain(stored_until).max() };
        let mut after = String::new();
        loop {
            self.lease.check()?;
            let references = views::touched(conn, source, self.span.from, self.span.to, &after, PAGE)?;
            let Some(last) = references.last().cloned() else { return Ok(()) };
            for (view, standing) in self.views(conn, source, &references, waiting)? {
                self.judge(&view, standing.as_ref(), &seen);
            }
            after = last;
        }
    }

    fn judge(&mut self, view: &PaymentView, standing: Option<&views::StandingView>, seen: &Seen) {
        let findings = payment::compare(view, &self.rules, seen);
        let agrees = !findings.is_empty() && findings.iter().all(|finding| matches!(finding, Finding::Agreed { .. }));
        let differs = findings.iter().any(|finding| matches!(finding, Finding::Differs(_)));
        if differs {
            self.explained.extend(view.waiting.iter().map(|event| event.id));
            let began = standing.map(|standing| standing.made_on).into_iter().chain(view.ledger.iter().map(|row| row.on)).min();
            self.done.oldest = [self.done.oldest, began].into_iter().flatten().min();
        }
        if let Some(standing) = standing.filter(|standing| agrees && !standing.reconciled && view.waiting.is_empty()) {
            let net = view.ledger.iter().map(|row| row.amount).sum();
            self.done.agreed.push(Agreed { trace_id: standing.trace_id.clone(), net });
        }
        for finding in findings {
            self.done.look.take(finding);
        }
    }

    /// Both sides of a page of payments.
    fn views(
        &self,
        conn: &mut DbConnection,
        source: &Source,
        references: &[String],
        waiting: &[WaitingView],
    ) -> Result<Vec<(PaymentView, Option<views::StandingView>)>, ActionError> {
        let blank = |reference: &String| PaymentView {
            provider: source.provider.clone(),
            merchant: source.merchant.clone(),
            reference: reference.clone(),
            ..PaymentView::default()
        };
        let mut all: BTreeMap<&str, (PaymentView, Option<views::StandingView>)> =
            references.iter().map(|reference| (reference.as_str(), (blank(reference), None))).collect();
        for movement in views::movements(conn, source, references)? {
            if let Some((view, _)) = all.get_mut(movement.payment_ref.as_str()) {
                view.movements.push(movement_of(&movement));
            }
        }
        for receipt in views::receipts(conn, source, references)? {
            if let Some((view, _)) = all.get_mut(receipt.reference.as_str()) {
                receipt_rows(&receipt, &mut view.ledger);
            }
        }
        for refund in views::refunds(conn, source, references)? {
            if let Some((view, _)) = all.get_mut(refund.payment_ref.as_str()) {
                view.ledger.push(refund_row(&refund));
            }
        }
        for standing in views::standings(conn, source, references)? {
            if let Some((view, slot)) = all.get_mut(standing.reference.clone().as_str()) {
                view.state = Some(standing.state.clone());
                view.unapplied = standing.unapplied_cents.map(Money::from_cents);
                *slot = Some(standing);
            }
        }
        for event in waiting.iter().filter(|event| event.provider == source.provider && event.merchant == source.merchant) {
            if let Some((view, _)) = event.payment_ref.as_deref().and_then(|reference| all.get_mut(reference)) {
                view.waiting.push(self.shown(event));
            }
        }
        Ok(all.into_values().collect())
    }

    /// Events that wait, apart from those that a payment's difference speaks of.
    fn events(&mut self, waiting: &[WaitingView]) {
        for event in waiting.iter().filter(|event| !self.explained.contains(&event.id)) {
            let finding = waiting_alone(&self.shown(event), &event.provider, event.payment_ref.as_deref(), &self.rules);
            self.done.look.take(finding);
        }
    }

    fn payouts(&mut self, conn: &mut DbConnection, bank: BankKnown) -> Result<(), ActionError> {
        let mut after = 0;
        loop {
            let rows = views::payouts(conn, self.span.from, self.span.to, after, PAGE)?;
            let Some(last) = rows.last().map(|row| row.id) else { return Ok(()) };
            for row in &rows {
                for finding in compare_payout(&payout_of(row), &self.rules, bank) {
                    self.done.look.take(finding);
                }
            }
            after = last;
        }
    }

    fn entries(&mut self, conn: &mut DbConnection) -> Result<(), ActionError> {
        let mut after = BankEntryId(0);
        loop {
            let rows = views::entries(conn, self.span.from, self.span.to, after, PAGE)?;
            let Some(last) = rows.last().map(|row| row.id) else { return Ok(()) };
            for finding in rows.iter().filter_map(entry_of).filter_map(|view| compare_entry(&view, &self.rules)) {
                self.done.look.take(finding);
            }
            after = last;
        }
    }

    /// Refunds by bank that the bank never named.
    fn refunds_by_bank(&mut self, conn: &mut DbConnection) -> Result<(), ActionError> {
        let mut after = 0;
        loop {
            let rows = views::unnamed_payouts(conn, self.span.to, after, PAGE)?;
            let Some(last) = rows.last().map(|row| row.id) else { return Ok(()) };
            for row in &rows {
                self.done.look.take(unnamed(row, &self.rules));
            }
            after = last;
        }
    }
}

fn unnamed(row: &views::UnnamedPayout, rules: &Rules) -> Finding {
    let amount = -Money::from_cents(row.amount_cents);
    let key = format!("refund|{}", row.token);
    if rules.today - row.made_on <= chrono::TimeDelta::days(rules.refund_days.into()) {
        return Finding::InTransit { key, day: row.made_on, gap: -amount };
    }
    let shown = SideRow {
        side: Side::Ledger,
        on: row.made_on,
        what: "our refund by bank".to_owned(),
        reference: row.token.clone(),
        amount: Some(amount),
        account: Some(row.number.clone()),
    };
    Finding::Differs(Box::new(Difference {
        key,
        kind: Kind::RefundWithoutReference,
        pair: Pair::Bank,
        day: row.made_on,
        account: Some(row.account_id),
        reference: row.token.clone(),
        ledger: Some(amount),
        provider: None,
        bank: None,
        gap: -amount,
        rows: vec![shown],
        cause: format!("no bank movement names this refund after {} days: it may never have been sent", rules.refund_days),
        action: Action::ImportBankFile,
    }))
}

fn movement_of(row: &views::MovementView) -> Movement {
    let (leg, what) = match row.kind.as_str() {
        "refund" if row.amount_cents > 0 => (Leg::Back, "refund that came back"),
        "refund" => (Leg::Back, "refund"),
        "dispute" if row.amount_cents > 0 => (Leg::Back, "dispute, decided for us"),
        "dispute" => (Leg::Back, "dispute"),
        "payment" if row.amount_cents < 0 => (Leg::Came, "correction"),
        "payment" => (Leg::Came, "payment"),
        _ => (Leg::Came, "other movement"),
    };
    Movement {
        leg,
        reference: row.movement_ref.clone(),
        what: what.to_owned(),
        amount: Money::from_cents(row.amount_cents),
        on: row.occurred_on,
        occurred_at: row.occurred_at,
    }
}

/// A payment's rows: what it posted, and its return unless that was taken back. What the ledger's transactions moved counts.
fn receipt_rows(row: &views::ReceiptView, rows: &mut Vec<LedgerRow>) {
    let moved = |cents: Option<i64>| -Money::from_cents(cents.unwrap_or(0));
    let ledger_row = |entry, amount, on, posted_at: Option<chrono::NaiveDateTime>| LedgerRow {
        entry,
        account: row.account_id,
        number: row.number.clone(),
        amount,
        on,
        posted_at: posted_at.unwrap_or_default(),
        reference: row.reference.clone(),
    };
    let receipt = Entry::Receipt { part: row.part, noted: Money::from_cents(row.amount_cents) };
    rows.push(ledger_row(receipt, moved(row.posted_cents), row.effective_on, row.posted_at));
    if let Some(on) = row.returned_on {
        rows.push(ledger_row(Entry::Return, moved(row.returned_cents), on, row.returned_at));
        if row.restored_cents.is_some() {
            rows.push(ledger_row(Entry::Return, moved(row.restored_cents), on, row.restored_at));
        }
    }
}

fn refund_row(row: &RefundView) -> LedgerRow {
    let ours = row.way == "provider";
    let entry = if ours { Entry::Refund { state: row.state.clone(), named: row.provider_ref.is_some() } } else { Entry::Taken };
    LedgerRow {
        entry,
        account: row.account_id,
        number: row.number.clone(),
        amount: -Money::from_cents(row.posted_cents),
        on: row.made_on,
        posted_at: row.posted_at,
        reference: row.provider_ref.clone().unwrap_or_else(|| row.token.clone()),
    }
}

fn payout_of(row: &PayoutRow) -> PayoutView {
    let entry = match (&row.entry_key, row.booked_on, row.entry_cents) {
        (Some(key), Some(on), Some(cents)) => Some((key.clone(), on, Money::from_cents(cents))),
        _ => None,
    };
    PayoutView {
        provider: row.provider.clone(),
        merchant: row.merchant.clone(),
        reference: row.payout_ref.clone(),
        amount: Money::from_cents(row.amount_cents),
        arrives_on: row.arrives_on,
        failed: row.failed,
        movements: row.net_cents.map(Money::from_cents),
        entry,
    }
}

/// A bank's entry as it is compared. An entry that took money back posts no payment of its own: what it returned is compared
/// where the payment is.
fn entry_of(row: &EntryRow) -> Option<EntryView> {
    let state = match row.status.as_str() {
        _ if row.unapplied => EntryState::Unapplied,
        "waiting" => EntryState::Waiting,
        "settled" if row.paid_out => EntryState::PaidOut,
        "settled" => EntryState::UnknownPayout,
        _ if row.kind == "credit" => EntryState::Posted,
        _ => return None,
    };
    Some(EntryView {
        key: format!("{}|{}", row.bank_account, row.entry_key),
        amount: Money::from_cents(row.amount_cents),
        booked_on: row.booked_on,
        reference: row.reference.clone(),
        state,
        posted: Money::from_cents(row.posted_cents),
        account: row.account_id.zip(row.number.clone()),
    })
}

/// Links payouts with the bank's entries that brought them: the same amount, and the bank's text names the payout. Where two
/// entries fit, the nearest day is taken; returns how many were linked.
///
/// # Errors
/// Those of the database.
pub fn link_payouts(context: &Context, from: NaiveDate, to: NaiveDate) -> Result<u64, ActionError> {
    let (before, after_days) = BANK_DAYS;
    let first = from.checked_sub_days(Days::new(before)).unwrap_or(from);
    let last = to.checked_add_days(Days::new(after_days)).unwrap_or(to);
    let (mut linked, mut after) = (0, 0);
    loop {
        let rows = context.database.read(|conn| views::payouts(conn, from, last, after, PAGE))?;
        let Some(last_id) = rows.last().map(|row| row.id) else { return Ok(linked) };
        let open: Vec<&PayoutRow> = rows.iter().filter(|row| row.entry_key.is_none()).collect();
        if !open.is_empty() {
            let entries = open_entries(context, first.min(open.iter().map(|row| row.arrives_on).min().unwrap_or(first)), last)?;
            for payout in open {
                linked += u64::from(link_one(context, payout, &entries)?);
            }
        }
        after = last_id;
    }
}

/// The bank's entries that may be payouts: amounts, days and texts.
fn open_entries(context: &Context, from: NaiveDate, to: NaiveDate) -> Result<Vec<EntryRow>, ActionError> {
    let (mut all, mut after) = (Vec::new(), BankEntryId(0));
    loop {
        let rows = context.database.read(|conn| views::entries(conn, from, to, after, PAGE))?;
        let Some(last) = rows.last().map(|row| row.id) else { return Ok(all) };
        after = last;
        all.extend(rows.into_iter().filter(|row| !row.paid_out && matches!(row.status.as_str(), "waiting" | "settled")));
    }
}

fn link_one(context: &Context, payout: &PayoutRow, entries: &[EntryRow]) -> Result<bool, ActionError> {
    let distance = |entry: &EntryRow| (entry.booked_on - payout.arrives_on).num_days();
    let near = |entry: &EntryRow| (-i64::try_from(BANK_DAYS.0).unwrap_or(0)..=i64::try_from(BANK_DAYS.1).unwrap_or(0)).contains(&distance(entry));
    let named = |entry: &EntryRow| names_payout(&entry.said, &payout.payout_ref, &payout.statement_text);
    let mut fits: Vec<&EntryRow> = entries.iter().filter(|entry| entry.amount_cents == payout.amount_cents && near(entry) && named(entry)).collect();
    fits.sort_by_key(|entry| (distance(entry).abs(), entry.id));
    for entry in fits {
        let linked =
            context.database.write(|conn| link_payout(conn, payout.id, entry.id, &context.actor, context.now()).map_err(ActionError::from))?;
        if linked {
            return Ok(true);
        }
    }
    Ok(false)
}
