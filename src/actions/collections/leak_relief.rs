//! Leak relief: bills of a leak are priced anew with a share of the excess use taken off; the difference is credited. What is
//! given is what was previewed.

use std::collections::HashMap;

use chrono::{Days, NaiveDate};
use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::posting::{Adjusting, check_words, post};
use super::second_person::{Taken, may_do};
use crate::actions::approvals::Permit;
use crate::actions::payments::{Posted, check_reference};
use crate::actions::policy::policies_within;
use crate::actions::tariffs::read_book;
use crate::actions::{ActionError, Context, account_named};
use crate::db::billing::bill_number;
use crate::db::collections::leak_relief::{self as rows, LeakSegment, NewRelief, PartRow, ReliefRow};
use crate::db::collections::undone_seq;
use crate::db::customers::{self, AccountRow};
use crate::db::operations::{self, Subject};
use crate::db::{DbConnection, ledger};
use crate::domain::billing::{SegmentInputs, TariffBook, charge_reduced, metered_milli};
use crate::domain::ids::{AccountId, LeakReliefId, RunId};
use crate::domain::leak_relief::{Basis, Period, credit, next_on, reduced, usual};
use crate::domain::ledger::Position;
use crate::domain::money::Money;
use crate::domain::policy::{LeakRelief, Policy};

/// So long before today a bill of a leak and what it is held against may lie.
const LOOK_BACK_DAYS: u64 = 1_100;
/// So many reliefs of an account are looked at.
const MOST: i64 = 50;

/// One segment of a bill, as it was and as it would have been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreviewPart {
    /// The bill's number.
    pub bill_number: String,
    /// The service's id in files.
    pub service_id: String,
    /// The first day.
    pub start_on: NaiveDate,
    /// The day after the last.
    pub end_on: NaiveDate,
    /// What was metered, in thousandths.
    pub usage_milli: i64,
    /// What is usual, in thousandths; 0 when nobody knows.
    pub usual_milli: i64,
    /// What that was taken from.
    pub basis: Option<Basis>,
    /// What it would be priced with, in thousandths.
    pub reduced_milli: i64,
    /// The charge as it was, in cents.
    pub was_cents: i64,
    /// The charge as it would have been, in cents.
    pub is_cents: i64,
    /// The credit, in cents.
    pub credit_cents: i64,
    /// Why there is none.
    pub note: Option<String>,
    #[serde(skip)]
    run_id: RunId,
    #[serde(skip)]
    segment_no: i32,
}

/// What a relief would give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// The account's number.
    pub account: String,
    /// Segment by segment.
    pub parts: Vec<PreviewPart>,
    /// The credit, in cents.
    pub total_cents: i64,
    /// Whether it would be more without the policy's most.
    pub capped: bool,
    /// The rule that it follows.
    pub citation: String,
    /// What names this preview: who gives the relief says which one they saw.
    pub sha256: String,
}

/// A relief to be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Giving {
    /// The account's number.
    pub account: String,
    /// The bills of the leak, by number.
    pub bills: Vec<String>,
    /// What shows that there was a leak and that it is mended.
    pub evidence: String,
    /// The idempotency key.
    pub reference: String,
    /// The preview that was seen; none to give what it is now.
    pub seen: Option<String>,
}

/// What came of giving a relief.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Given {
    /// It is credited.
    Done(Posted),
    /// It waits for a second person: why.
    Waits(String),
}

/// Shows what a relief for these bills would give; nothing is changed.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account or bill; [`ActionError::Refused`] when the policy knows no relief, the account had
/// one lately, or a bill was relieved already.
pub fn preview_relief(context: &Context, number: &str, bills: &[String]) -> Result<Preview, ActionError> {
    context.database.snapshot(|conn| {
        let account = account_named(conn, number)?;
        preview_within(context, conn, &account, bills).map(|(preview, _)| preview)
    })
}

/// Gives the relief that was previewed. The same reference again changes nothing.
///
/// # Errors
/// As [`preview_relief`]; [`ActionError::Refused`] without evidence, when nothing would be credited, the preview is another one by now,
/// or the reference stands for something else.
pub fn give_relief(context: &Context, giving: &Giving) -> Result<Given, ActionError> {
    let evidence = check_words("evidence", &giving.evidence)?;
    check_reference(&giving.reference)?;
    context.database.write(|conn| {
        let account = account_named(conn, &giving.account)?;
        ledger::lock_accounts(conn, &[account.id])?;
        if let Some((other, code, _, seq)) = ledger::adjustment_by_reference(conn, &giving.reference)? {
            if other == account.id && code == "leak" {
                return Ok(Given::Done(Posted::already(seq, ledger::position(conn, account.id)?)));
            }
            return Err(ActionError::Refused(format!("reference: '{}' stands for another adjustment already", giving.reference)));
        }
        let (preview, policy) = preview_within(context, conn, &account, &giving.bills)?;
        if preview.total_cents <= 0 {
            return Err(ActionError::Refused("bills: the policy gives no relief for them: nothing would be credited".to_owned()));
        }
        if giving.seen.as_ref().is_some_and(|seen| *seen != preview.sha256) {
            return Err(ActionError::Refused("what would be credited is not what was previewed any more: look at the preview again".to_owned()));
        }
        let amount = Money::from_cents(-preview.total_cents);
        let wish = Permit {
            kind: "leak_relief".to_owned(),
            account: Some(giving.account.clone()),
            amount,
            reference: giving.reference.clone(),
            subject: format!("leak relief of {} for {}", -amount, giving.bills.join(", ")),
            note: evidence.to_owned(),
            shares: Vec::new(),
            case: None,
        };
        if let Some(why) = may_do(conn, context, wish)? {
            return Ok(Given::Waits(why));
        }
        store(context, conn, &account, giving, (&preview, &policy), evidence).map(Given::Done)
    })
}

fn store(
    context: &Context,
    conn: &mut DbConnection,
    account: &AccountRow,
    giving: &Giving,
    (preview, policy): (&Preview, &Policy),
    evidence: &str,
) -> Result<Posted, ActionError> {
    let (now, today) = (context.now(), context.today());
    let note = format!("bills {}: {evidence}", giving.bills.join(", "));
    let amount = Money::from_cents(-preview.total_cents);
    let adjusting = Adjusting { code: "leak", amount, on: today, reference: &giving.reference, note: &note, undoes: None, told: true };
    let after = post(context, conn, account, adjusting, now)?;
    let new = NewRelief {
        account_id: account.id,
        reference: giving.reference.clone(),
        given_on: today,
        amount_cents: preview.total_cents,
        evidence: evidence.to_owned(),
        policy_sha256: policy.sha256.clone(),
        given_by: context.actor.clone(),
        account_seq: after.seq,
    };
    let parts = preview.parts.iter().filter_map(|part| {
        Some(PartRow {
            relief_id: LeakReliefId(0),
            run_id: part.run_id,
            account_id: account.id,
            segment_no: part.segment_no,
            usage_milli: part.usage_milli,
            usual_milli: part.usual_milli,
            basis: part.basis?.as_str().to_owned(),
            reduced_milli: part.reduced_milli,
            was_cents: part.was_cents,
            is_cents: part.is_cents,
            credit_cents: part.credit_cents,
        })
    });
    let parts: Vec<PartRow> = parts.filter(|part| part.credit_cents > 0).collect();
    rows::insert(conn, &new, &parts)?;
    Ok(Posted { account_seq: after.seq, balance_after_cents: after.balance.cents(), unchanged: false })
}

fn preview_within(context: &Context, conn: &mut DbConnection, account: &AccountRow, bills: &[String]) -> Result<(Preview, Policy), ActionError> {
    let today = context.today();
    let policy = policies_within(conn)?.on(today).clone();
    let Some(terms) = policy.leak_relief.clone() else {
        return Err(ActionError::Refused("the policy in force has no section [leak_relief]: none is given by it".to_owned()));
    };
    check_bills(&terms, bills)?;
    let given = rows::of_account(conn, account.id, MOST)?;
    let mut last = None;
    for relief in given {
        let undone = relief.undone_seq.is_some() || undone_seq(conn, account.id, relief.account_seq)?.is_some();
        if !undone && last.is_none() {
            last = Some(relief);
        }
    }
    if let Some(last) = last {
        let next = next_on(&terms, last.given_on);
        if today < next {
            return Err(ActionError::Refused(format!(
                "account {} had a relief on {}: the next one is possible from {next}",
                account.number, last.given_on
            )));
        }
    }
    let since = today.checked_sub_days(Days::new(LOOK_BACK_DAYS)).unwrap_or(today);
    let segments = rows::segments_of(conn, account.id, since)?;
    let book = read_book(conn)?;
    let numbered = |segment: &LeakSegment| bill_number(segment.run_id, account.id);
    for bill in bills {
        if !segments.iter().any(|segment| numbered(segment) == *bill) {
            return Err(ActionError::not_found("bill of the last three years of this account", bill.clone()));
        }
    }
    let priced = Priced::of(&segments, &book)?;
    let mut left = terms.largest;
    let mut capped = false;
    let mut parts = Vec::new();
    for segment in segments.iter().filter(|segment| bills.contains(&numbered(segment))) {
        if segment.relieved > 0 {
            return Err(ActionError::Refused(format!("bills: bill {} was relieved already", numbered(segment))));
        }
        let (part, wished) = part(&terms, &priced, &book, segment, (numbered(segment), bills, account, left))?;
        left -= Money::from_cents(part.credit_cents);
        capped |= wished.cents() > part.credit_cents;
        parts.push(part);
    }
    let total_cents = parts.iter().map(|part| part.credit_cents).sum();
    let mut preview = Preview { account: account.number.clone(), parts, total_cents, capped, citation: terms.citation, sha256: String::new() };
    let text = serde_json::to_string(&preview).map_err(|error| ActionError::Form(error.to_string()))?;
    preview.sha256 = HEXLOWER.encode(&Sha256::digest(format!("{}\n{text}", policy.sha256).as_bytes()));
    Ok((preview, policy))
}

fn check_bills(terms: &LeakRelief, bills: &[String]) -> Result<(), ActionError> {
    let most = usize::try_from(terms.most_bills).unwrap_or(usize::MAX);
    if bills.is_empty() || bills.len() > most {
        return Err(ActionError::Refused(format!("bills: {} found; expected 1 to {most}", bills.len())));
    }
    let twice = bills.iter().enumerate().find(|(at, bill)| bills.get(..*at).is_some_and(|before| before.contains(bill)));
    twice.map_or(Ok(()), |(_, bill)| Err(ActionError::Refused(format!("bills: {bill} is named twice"))))
}

/// The inputs of segments, and what each metered, by run and number.
struct Priced<'a> {
    segments: &'a [LeakSegment],
    metered: HashMap<(RunId, i32), (SegmentInputs, i64)>,
}

impl<'a> Priced<'a> {
    fn of(segments: &'a [LeakSegment], book: &TariffBook) -> Result<Self, ActionError> {
        let mut metered = HashMap::new();
        for segment in segments {
            let inputs: SegmentInputs = serde_json::from_str(&segment.inputs).map_err(|error| ActionError::Form(error.to_string()))?;
            let milli = metered_milli(&inputs, book).map_err(|hold| ActionError::Refused(hold.to_string()))?;
            metered.insert((segment.run_id, segment.segment_no), (inputs, milli));
        }
        Ok(Self { segments, metered })
    }

    /// The periods of the same service by real reads, without those of the leak.
    fn before(&self, segment: &LeakSegment, is_leak: &dyn Fn(&LeakSegment) -> bool) -> Vec<Period> {
        let same = self.segments.iter().filter(|other| other.agreement_id == segment.agreement_id && other.estimated == 0 && !is_leak(other));
        let period = |other: &LeakSegment| {
            let (inputs, usage_milli) = self.metered.get(&(other.run_id, other.segment_no))?;
            let metered = !inputs.spans.is_empty();
            metered.then_some(Period { start_on: other.period_start_on, end_on: other.period_end_on, usage_milli: *usage_milli })
        };
        same.filter_map(period).collect()
    }
}

/// One segment with its relief, and what that would be without the most.
fn part(
    terms: &LeakRelief,
    priced: &Priced<'_>,
    book: &TariffBook,
    segment: &LeakSegment,
    (number, bills, account, left): (String, &[String], &AccountRow, Money),
) -> Result<(PreviewPart, Money), ActionError> {
    let was = Money::from_cents(segment.total_cents);
    let Some((inputs, usage_milli)) = priced.metered.get(&(segment.run_id, segment.segment_no)) else {
        return Err(ActionError::not_found("segment", number));
    };
    let mut part = PreviewPart {
        bill_number: number,
        service_id: segment.service_code.clone(),
        start_on: segment.period_start_on,
        end_on: segment.period_end_on,
        usage_milli: *usage_milli,
        usual_milli: 0,
        basis: None,
        reduced_milli: *usage_milli,
        was_cents: was.cents(),
        is_cents: was.cents(),
        credit_cents: 0,
        note: None,
        run_id: segment.run_id,
        segment_no: segment.segment_no,
    };
    if inputs.spans.is_empty() {
        part.note = Some("it is not metered".to_owned());
        return Ok((part, Money::ZERO));
    }
    if segment.estimated != 0 {
        part.note = Some("it is an estimate: its real read settles it".to_owned());
        return Ok((part, Money::ZERO));
    }
    let before = priced.before(segment, &|other| bills.contains(&bill_number(other.run_id, account.id)));
    let leak = Period { start_on: segment.period_start_on, end_on: segment.period_end_on, usage_milli: *usage_milli };
    let Some(usual) = usual(terms.compare, &before, &leak) else {
        part.note = Some("nothing is known of its usual use".to_owned());
        return Ok((part, Money::ZERO));
    };
    (part.usual_milli, part.basis) = (usual.milli, Some(usual.basis));
    let Some(kept) = reduced(terms, *usage_milli, usual.milli) else {
        part.note = Some("its use is not far enough above the usual".to_owned());
        return Ok((part, Money::ZERO));
    };
    let again = charge_reduced(inputs, book, (kept, *usage_milli)).map_err(|hold| ActionError::Refused(hold.to_string()))?;
    let wished = credit(was, again.charge.total, was.max(Money::ZERO));
    part.reduced_milli = kept;
    part.is_cents = again.charge.total.cents();
    part.credit_cents = wished.min(left).max(Money::ZERO).cents();
    Ok((part, wished))
}

/// Takes the reliefs of bills back that are being taken back, within that transaction: what was taken off a charge goes with the
/// charge. A clerk gives it again on the bill that comes in its place, if one does.
///
/// # Errors
/// Those of the database.
pub(in crate::actions) fn cancelled_within(context: &Context, conn: &mut DbConnection, cancelled: &[(RunId, AccountId)]) -> Result<(), ActionError> {
    for (run, id) in cancelled {
        for relief in rows::standing_of_bill(conn, *run, *id)? {
            if let Some(seq) = undone_seq(conn, *id, relief.account_seq)? {
                rows::undo(conn, relief.id, seq)?;
                continue;
            }
            let number = customers::account_number(conn, *id)?;
            let account = customers::account_by_number(conn, &number)?.ok_or_else(|| ActionError::not_found("account", &number))?;
            let note = format!("bill {} was taken back", bill_number(*run, *id));
            take_back(context, conn, &account, &relief, &note)?;
            let reason = format!(
                "bill {} was taken back, and leak relief {} of {} with it: give it again on the bill that comes in its place",
                bill_number(*run, *id),
                relief.reference,
                Money::from_cents(relief.amount_cents)
            );
            let key = format!("leak-relief:{}", relief.id);
            let subject =
                Subject { kind: "leak_relief_gone", key: &key, account: *id, amount_cents: relief.amount_cents, due_on: None, reason: &reason };
            operations::raise_about(conn, &subject, context.now())?;
        }
    }
    Ok(())
}

fn take_back(context: &Context, conn: &mut DbConnection, account: &AccountRow, relief: &ReliefRow, note: &str) -> Result<Position, ActionError> {
    let undo = format!("{}-back", relief.reference);
    let adjusting = Adjusting {
        code: "leak-taken-back",
        amount: Money::from_cents(relief.amount_cents),
        on: context.today(),
        reference: &undo,
        note,
        undoes: Some(relief.account_seq),
        told: true,
    };
    let after = post(context, conn, account, adjusting, context.now())?;
    rows::undo(conn, relief.id, after.seq)?;
    Ok(after)
}

/// Takes a relief back: a charge of the same amount. Taken back already, nothing changes.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account or relief, [`ActionError::Refused`] without a note.
pub fn undo_relief(context: &Context, number: &str, reference: &str, note: &str) -> Result<Taken, ActionError> {
    let note = check_words("note", note)?;
    context.database.write(|conn| {
        let account = account_named(conn, number)?;
        ledger::lock_accounts(conn, &[account.id])?;
        let relief = rows::of_account(conn, account.id, MOST)?.into_iter().find(|relief| relief.reference == reference);
        let relief = relief.ok_or_else(|| ActionError::not_found("relief", reference))?;
        if let Some(seq) = relief.undone_seq {
            return Ok(Taken::Done(Posted::already(seq, ledger::position(conn, account.id)?)));
        }
        if let Some(seq) = undone_seq(conn, account.id, relief.account_seq)? {
            // A clerk took the credit back like any other.
            rows::undo(conn, relief.id, seq)?;
            return Ok(Taken::Done(Posted::already(seq, ledger::position(conn, account.id)?)));
        }
        let wish = Permit {
            kind: "leak_relief_back".to_owned(),
            account: Some(account.number.clone()),
            amount: Money::from_cents(relief.amount_cents),
            reference: format!("{reference}-back"),
            subject: format!("leak relief {reference} taken back"),
            note: note.to_owned(),
            shares: Vec::new(),
            case: None,
        };
        if let Some(why) = may_do(conn, context, wish)? {
            return Ok(Taken::Waits(why));
        }
        let after = take_back(context, conn, &account, &relief, note)?;
        Ok(Taken::Done(Posted { account_seq: after.seq, balance_after_cents: after.balance.cents(), unchanged: false }))
    })
}
