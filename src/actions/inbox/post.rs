//! Bringing the ledger to what a payment's story asks for, step by step, within the transaction that applies an event.

use std::time::{Duration, Instant};

use chrono::{NaiveDate, NaiveDateTime};

use crate::actions::payments::{
    NewPayment, Origin, post_quietly_within, post_within, restore_within, return_within, supersede_within, tell_stands_again,
};
use crate::actions::{ActionError, Context, notices, refunds};
use crate::db::payments::{self as posted_rows, PaymentRow};
use crate::db::provider_payments::{self as rows, NewRefund, ProviderPaymentRow, RefundRow};
use crate::db::trace::{self, NewStep};
use crate::db::{DbConnection, customers, ledger, notices as told, operations};
use crate::domain::ids::{AccountId, ProviderEventId};
use crate::domain::ledger::{Entry, EntryKind, Position, Tender};
use crate::domain::money::Money;
use crate::domain::notices::{Addressee, Facts, NewNotice, PaymentCorrected, PaymentReturned, RefundFailed, RefundSent};
use crate::domain::payments::{Change, Posted, Receipt, Story, TAKEN_BY_BANK, TakenPart, Wanted, changes};

/// The tender of a provider's payments, and where its money is cleared.
fn tender_of(story: &Story) -> Tender {
    if story.from_bank { Tender::Transfer } else { Tender::Card }
}

/// Brings the ledger, the refunds that we asked for, and the money that waits for an account to what a payment's story asks
/// for. The caller holds the locks of the payment and its accounts.
pub(super) fn bring_ledger_to(
    context: &Context,
    conn: &mut DbConnection,
    payment: &ProviderPaymentRow,
    story: &Story,
    parts: &[(AccountId, Money)],
    at: Moment,
) -> Result<Vec<Written>, ActionError> {
    story.check().map_err(|fault| ActionError::Refused(format!("the payment cannot be posted: {fault}")))?;
    let mut work = Work {
        context,
        conn,
        payment,
        story,
        now: at.now,
        event: at.event,
        since: Instant::now(),
        written: Vec::new(),
        corrected: Vec::new(),
        brought_back: Vec::new(),
    };
    let receipts = posted_rows::of_provider_payment(work.conn, payment.id)?;
    let taken = rows::taken_of(work.conn, payment.id)?;
    let wanted = wanted(work.conn, story, parts)?;
    for change in changes(&posted(payment, &receipts, &taken), &wanted) {
        work.step(&change, &receipts, &taken)?;
    }
    work.tell_taken_out()?;
    work.tell_brought_back()?;
    work.move_our_refunds()?;
    work.move_unapplied(parts)?;
    Ok(work.written)
}

/// When, and by which event, the ledger is moved.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    /// Under the locks, UTC.
    pub now: NaiveDateTime,
    /// The event at hand; none when what is known is told again.
    pub event: Option<ProviderEventId>,
}

/// A row that was written into the ledger.
pub(super) struct Written {
    /// What was done.
    pub step: String,
    /// How long it took.
    pub took: Duration,
    /// Whose ledger.
    pub account: AccountId,
    /// The position.
    pub seq: i64,
}

/// Whether the ledger is what a payment's story asks for.
pub(super) fn agrees(
    conn: &mut DbConnection,
    payment: &ProviderPaymentRow,
    story: &Story,
    parts: &[(AccountId, Money)],
) -> Result<bool, ActionError> {
    let receipts = posted_rows::of_provider_payment(conn, payment.id)?;
    let taken = rows::taken_of(conn, payment.id)?;
    Ok(changes(&posted(payment, &receipts, &taken), &wanted(conn, story, parts)?).is_empty())
}

/// What the ledger must show by a story, with what it shows already of refunds that we asked for: each is on the account that it
/// was charged to.
fn wanted(conn: &mut DbConnection, story: &Story, parts: &[(AccountId, Money)]) -> Result<Wanted, ActionError> {
    let mut story = story.clone();
    for taken in &mut story.taken {
        if let Some(token) = &taken.token {
            taken.charged = rows::refund_by_token(conn, token)?.map(|row| row.account_id);
        }
    }
    Ok(story.wanted(parts))
}

fn posted(payment: &ProviderPaymentRow, receipts: &[PaymentRow], taken: &[RefundRow]) -> Posted {
    let receipt = |row: &PaymentRow| Receipt {
        part: row.part,
        account: row.account_id,
        amount: Money::from_cents(row.amount_cents),
        on: row.effective_on,
        returned_on: row.returned_on,
    };
    let taken_part = |row: &RefundRow| TakenPart {
        reference: row.provider_ref.clone().unwrap_or_default(),
        part: row.part,
        account: row.account_id,
        amount: Money::from_cents(row.amount_cents),
        on: row.made_on,
        reason: row.reason.clone(),
    };
    Posted {
        from_bank: payment.tender == Tender::Transfer.as_str(),
        receipts: receipts.iter().map(|row| (row.id, row.restored_seq.is_some(), receipt(row))).collect(),
        taken: taken.iter().map(|row| (row.id, taken_part(row))).collect(),
    }
}

struct Work<'a> {
    context: &'a Context,
    conn: &'a mut DbConnection,
    payment: &'a ProviderPaymentRow,
    story: &'a Story,
    now: NaiveDateTime,
    event: Option<ProviderEventId>,
    /// Since when the step at hand is under way.
    since: Instant,
    written: Vec<Written>,
    /// What was taken out of the ledger and is not replaced yet: the account, its position, the amount and its day.
    corrected: Vec<Corrected>,
    /// What had gone back by the ledger and is not told anew yet.
    brought_back: Vec<RefundRow>,
}

/// A posted payment that was taken out of the ledger.
struct Corrected {
    account: AccountId,
    seq: i64,
    was: Money,
    on: chrono::NaiveDate,
    /// The payment itself, when it stood as returned.
    returned: Option<PaymentRow>,
}

impl Work<'_> {
    fn step(&mut self, change: &Change, receipts: &[PaymentRow], taken: &[RefundRow]) -> Result<(), ActionError> {
        let receipt = |id| receipts.iter().find(|row| row.id == id).ok_or_else(|| ActionError::not_found("payment", id.to_string()));
        match change {
            Change::SupersedeReceipt(id) => {
                let row = receipt(*id)?;
                let after = supersede_within(self.conn, row, self.now)?;
                let was = Money::from_cents(row.amount_cents);
                let returned = Some(row.clone()).filter(|row| row.returned_seq.is_some() && row.restored_seq.is_none());
                self.corrected.push(Corrected { account: row.account_id, seq: row.account_seq, was, on: row.effective_on, returned });
                self.trace("corrected", row.account_id, after, &format!("{} was taken out of the ledger", Money::from_cents(row.amount_cents)))
            }
            Change::SupersedeTaken(id) => {
                let row = taken.iter().find(|row| row.id == *id).ok_or_else(|| ActionError::not_found("refund", id.to_string()))?;
                self.supersede_taken(row)
            }
            Change::Post(receipt) => self.post(receipt),
            Change::Return(id, on) => {
                let row = receipt(*id)?;
                let reason = self.story.reason.clone().unwrap_or_else(|| "returned".to_owned());
                let after = return_within(self.context, self.conn, row, *on, &reason, self.now)?;
                self.trace("returned", row.account_id, after, &reason)
            }
            Change::Restore(id) => {
                let row = receipt(*id)?;
                let after = restore_within(self.context, self.conn, row, self.now)?;
                self.trace("restored", row.account_id, after, "the return was taken back: the payment stands")
            }
            Change::Take(part) => self.take(part),
        }
    }

    fn reference(&self) -> String {
        self.payment.provider_ref.clone().unwrap_or_default()
    }

    fn post(&mut self, receipt: &Receipt) -> Result<(), ActionError> {
        let payment = NewPayment {
            account_id: receipt.account,
            amount: receipt.amount,
            effective_on: receipt.on,
            tender: tender_of(self.story),
            provider: self.payment.provider.clone(),
            reference: self.reference(),
        };
        let origin = Origin { merchant: &self.payment.merchant, provider_payment_id: Some(self.payment.id), bank_entry_id: None, part: receipt.part };
        let after = match self.corrected.iter().position(|gone| gone.account == receipt.account) {
            Some(at) => {
                let gone = self.corrected.swap_remove(at);
                let after = post_quietly_within(self.conn, &payment, origin, self.now)?;
                self.tell_corrected(&gone, receipt.amount, after)?;
                if let Some(returned) = gone.returned.filter(|_| gone.was == receipt.amount && receipt.returned_on.is_none()) {
                    tell_stands_again(self.context, self.conn, &returned, after)?;
                }
                after
            }
            None => post_within(self.context, self.conn, &payment, origin, self.now)?,
        };
        self.trace("posted", receipt.account, after, &format!("{} is in the ledger", receipt.amount))?;
        let Some(on) = receipt.returned_on else { return Ok(()) };
        let row = posted_rows::at(self.conn, receipt.account, after.seq)?;
        let row = row.ok_or_else(|| ActionError::not_found("payment", self.reference()))?;
        self.step(&Change::Return(row.id, on), &[row], &[])
    }

    /// Tells of a payment that turned out to be another amount, once; a correction of its date only is not told.
    fn tell_corrected(&mut self, gone: &Corrected, is: Money, after: Position) -> Result<(), ActionError> {
        if gone.was == is {
            return Ok(());
        }
        let facts = PaymentCorrected {
            was_cents: gone.was.cents(),
            is_cents: is.cents(),
            stands_again: false,
            effective_on: gone.on,
            reference: self.reference(),
            balance_cents: after.balance.cents(),
        };
        let notice = NewNotice {
            key: format!("correction:{}:{}", gone.account, gone.seq),
            to: Addressee::Account(gone.account),
            // The news is of today, however long ago the payment was.
            happened_on: self.context.today(),
            facts: Facts::PaymentCorrected(facts),
        };
        notices::queue(self.conn, self.context, notice)
    }

    /// Tells of payments that were taken out of the ledger and that nothing replaced.
    fn tell_taken_out(&mut self) -> Result<(), ActionError> {
        for gone in std::mem::take(&mut self.corrected) {
            let after = ledger::position(self.conn, gone.account)?;
            self.tell_corrected(&gone, Money::ZERO, after)?;
        }
        Ok(())
    }

    /// A part of the money went back without our asking: it is owed again.
    fn take(&mut self, part: &TakenPart) -> Result<(), ActionError> {
        let token = format!("{}:{}:{}:{}", self.payment.provider, part.reference, part.part, crate::telemetry::scope::new_trace_id());
        let after = self.entry(part.account, format!("refund:{token}"), part.amount, part.on, tender_of(self.story))?;
        let new = NewRefund {
            token,
            account_id: part.account,
            amount_cents: part.amount.cents(),
            way: "elsewhere".to_owned(),
            provider_payment_id: Some(self.payment.id),
            part: part.part,
            provider: self.payment.provider.clone(),
            merchant: self.payment.merchant.clone(),
            provider_ref: Some(part.reference.clone()),
            state: "succeeded".to_owned(),
            made_on: part.on,
            reason: part.reason.clone(),
            account_seq: after.seq,
            attempts: 0,
            next_attempt_at: None,
            created_at: self.now,
            updated_at: self.now,
        };
        rows::insert_refund(self.conn, &new)?;
        self.tell_taken(part, after)?;
        self.trace("taken back", part.account, after, &format!("{} {}", part.amount, part.reason))
    }

    /// Tells that a part of the money went back. What only changed its day or its place in the books was told before.
    fn tell_taken(&mut self, part: &TakenPart, after: Position) -> Result<(), ActionError> {
        let amount_cents = part.amount.cents();
        let same_thing = |row: &RefundRow| row.account_id == part.account && row.provider_ref.as_deref() == Some(&part.reference);
        let before = self.brought_back.iter().position(same_thing).map(|at| self.brought_back.swap_remove(at));
        let instead_of_cents = match before {
            Some(before) if before.amount_cents != amount_cents && told::is_told(self.conn, &self.taken_key(&before))? => Some(before.amount_cents),
            _ => None,
        };
        let facts = if part.reason.starts_with(TAKEN_BY_BANK) {
            Facts::PaymentReturned(PaymentReturned {
                amount_cents,
                is_part: true,
                paid_on: self.story.made_on.unwrap_or(part.on),
                returned_on: part.on,
                reference: self.reference(),
                reason: part.reason.clone(),
                balance_cents: after.balance.cents(),
            })
        } else {
            Facts::RefundSent(RefundSent {
                amount_cents,
                sent_on: part.on,
                payment_reference: Some(self.reference()),
                instead_of_cents,
                balance_cents: after.balance.cents(),
            })
        };
        let key = self.key_of(&part.reference, part.account, amount_cents);
        notices::queue(self.conn, self.context, NewNotice { key, to: Addressee::Account(part.account), happened_on: part.on, facts })
    }

    /// The notice of what went back is named by what the provider calls it: a row of ours that takes the place of another one is
    /// no news.
    fn key_of(&self, reference: &str, account: AccountId, cents: i64) -> String {
        format!("taken:{}:{account}:{cents}:{reference}", self.payment.id)
    }

    fn taken_key(&self, row: &RefundRow) -> String {
        self.key_of(row.provider_ref.as_deref().unwrap_or_default(), row.account_id, row.amount_cents)
    }

    /// Tells of money that was said to have gone back and did not, to whom was told that it had.
    fn tell_brought_back(&mut self) -> Result<(), ActionError> {
        for row in std::mem::take(&mut self.brought_back) {
            let key = self.taken_key(&row);
            if !told::is_told(self.conn, &key)? {
                continue;
            }
            let balance_cents = ledger::position(self.conn, row.account_id)?.balance.cents();
            let facts = if row.reason.starts_with(TAKEN_BY_BANK) {
                Facts::PaymentCorrected(PaymentCorrected {
                    was_cents: 0,
                    is_cents: row.amount_cents,
                    stands_again: true,
                    effective_on: self.story.made_on.unwrap_or(row.made_on),
                    reference: self.reference(),
                    balance_cents,
                })
            } else {
                Facts::RefundFailed(RefundFailed {
                    account: customers::account_number(self.conn, row.account_id)?,
                    amount_cents: row.amount_cents,
                    reason: "the provider could not deliver it".to_owned(),
                    balance_cents,
                })
            };
            // The news is of today, however long ago the money was said to go back.
            let (key, happened_on) = (format!("{key}:back"), self.context.today());
            notices::queue(self.conn, self.context, NewNotice { key, to: Addressee::Account(row.account_id), happened_on, facts })?;
        }
        Ok(())
    }

    fn supersede_taken(&mut self, row: &RefundRow) -> Result<(), ActionError> {
        let amount = Money::from_cents(row.amount_cents);
        // It goes back to where it was cleared, whatever the payment is known to be by now.
        let tender: Tender = self.payment.tender.parse().map_err(ActionError::Refused)?;
        let after = self.entry(row.account_id, format!("correction:{}", row.account_seq), -amount, row.made_on, tender)?;
        rows::supersede_refund(self.conn, row.id, after.seq, self.now)?;
        self.brought_back.push(row.clone());
        self.trace("corrected", row.account_id, after, &format!("{amount} did not go back"))
    }

    fn entry(&mut self, account: AccountId, source: String, amount: Money, on: NaiveDate, tender: Tender) -> Result<Position, ActionError> {
        let entry = Entry::against(account, EntryKind::PaymentReversal, source, amount, on, tender.clearing_account()).balanced()?;
        let after = ledger::position(self.conn, account)?.after(amount)?;
        ledger::append(self.conn, &[(entry, after)], self.now)?;
        Ok(after)
    }

    /// Refunds that we asked for are in the ledger since then: here they only learn how it went.
    fn move_our_refunds(&mut self) -> Result<(), ActionError> {
        for taken in &self.story.taken {
            let Some(token) = &taken.token else { continue };
            let Some(row) = rows::refund_by_token(self.conn, token)? else { continue };
            let state = match (taken.stands, taken.settled) {
                (false, _) => "failed",
                (true, true) => "succeeded",
                (true, false) => "submitted",
            };
            refunds::follow_within(self.context, self.conn, &row, (state, Some(&taken.reference)), self.now)?;
        }
        Ok(())
    }

    /// Money that came and is for nobody waits, with a work item.
    fn move_unapplied(&mut self, parts: &[(AccountId, Money)]) -> Result<(), ActionError> {
        let (id, by) = (self.payment.id, &self.context.actor);
        // What went back of it waits no longer.
        let kept = Some(self.story.kept()).filter(|kept| kept.is_positive());
        let ended = match (kept, self.story.made_on) {
            (Some(amount), Some(on)) if parts.is_empty() => {
                let credit = rows::wait_for_account(self.conn, id, amount.cents(), on, &self.reference(), self.now)?;
                let reason = format!("{amount} came under {} and is for no account that we know", self.reference());
                operations::raise_about_credit(self.conn, credit, amount.cents(), &reason, self.now)?;
                None
            }
            _ if self.story.received.is_some() && !parts.is_empty() => rows::end_waiting(self.conn, id, "applied", by, self.now)?,
            _ => rows::end_waiting(self.conn, id, "dismissed", by, self.now)?,
        };
        if let Some(credit) = ended {
            operations::resolve_about_credit(self.conn, credit, by, self.now)?;
        }
        Ok(())
    }

    /// Notes a step with what it took since the one before.
    fn trace(&mut self, step: &str, account: AccountId, after: Position, detail: &str) -> Result<(), ActionError> {
        let took = self.since.elapsed();
        let row = NewStep {
            trace_id: self.payment.trace_id.clone(),
            step: step.to_owned(),
            at: self.now,
            took_us: i64::try_from(took.as_micros()).unwrap_or(i64::MAX),
            detail: detail.to_owned(),
            provider_event_id: self.event,
            account_id: Some(account),
            account_seq: Some(after.seq),
        };
        trace::insert(self.conn, &[row])?;
        self.written.push(Written { step: step.to_owned(), took, account, seq: after.seq });
        self.since = Instant::now();
        Ok(())
    }
}
