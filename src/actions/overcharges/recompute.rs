//! Deriving the bills of a range of accounts again.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use super::facts::gather;
use super::{Seen, Unjudged};
use crate::actions::service_data::{group_reads, group_terms, needs_winter, parse_attributes};
use crate::actions::{ActionError, tariffs};
use crate::db::billing::bill_number;
use crate::db::customers::TermRow;
use crate::db::overcharges::FindingRow;
use crate::db::sweep::{self, SweptAgreement, SweptRelief, SweptSegment};
use crate::db::{DbConnection, customers, rates};
use crate::domain::billing::{AgreementTerms, SegmentCharge, SegmentInputs, TariffBook, TermChange};
use crate::domain::ids::{AccountId, AgreementId, RunId};
use crate::domain::metering::{Period, RegisterReads};
use crate::domain::money::Money;
use crate::domain::overcharges::causes::{Facts, VersionFact, conclude, reasons, text_without_day};
use crate::domain::overcharges::compare::{Apart, Interval, Mended, Slot, intervals};
use crate::domain::overcharges::{Evidence, FindingKind, Side};
use crate::domain::service::{Service, close_with_removal};

/// The tariffs, to price with and to tell apart.
pub(super) struct Rates {
    pub(super) book: TariffBook,
    pub(super) versions: HashMap<String, VersionFact>,
    /// How many versions these are.
    count: i64,
}

impl Rates {
    pub(super) fn load(conn: &mut DbConnection) -> Result<Self, ActionError> {
        let count = rates::count(conn)?;
        let versions = rates::versions(conn)?.into_iter().map(|row| {
            let fact = VersionFact { schedule: row.schedule, effective_on: row.effective_on, text: text_without_day(&row.source) };
            (row.sha256, fact)
        });
        Ok(Self { versions: versions.collect(), book: tariffs::read_book(conn)?, count })
    }
}

/// The tariffs of a scan: read once, and anew when another process imported one meanwhile.
pub(super) struct CurrentRates(Mutex<Arc<Rates>>);

impl CurrentRates {
    pub(super) fn load(conn: &mut DbConnection) -> Result<Self, ActionError> {
        Ok(Self(Mutex::new(Arc::new(Rates::load(conn)?))))
    }

    /// The tariffs as this transaction sees them.
    pub(super) fn now(&self, conn: &mut DbConnection) -> Result<Arc<Rates>, ActionError> {
        let held = Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if held.count == rates::count(conn)? {
            return Ok(held);
        }
        let fresh = Arc::new(Rates::load(conn)?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&fresh);
        Ok(fresh)
    }
}

/// What a look at some accounts' bills shows.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) services: u64,
    pub(super) seen: Vec<Seen>,
    pub(super) unjudged: Vec<Unjudged>,
}

/// What should have been charged: the working and the amount of each period.
type Priced = Vec<(SegmentInputs, SegmentCharge)>;

/// Everything that the charges of a range of accounts follow from today.
struct Sheet<'a> {
    rates: &'a Rates,
    registers: HashMap<AgreementId, Vec<RegisterReads>>,
    changes: HashMap<AgreementId, Result<Vec<TermChange>, ActionError>>,
    by_winter: Vec<AgreementId>,
}

/// Derives every standing bill of a range of accounts again. `standing` are the findings there that are not gone; `known` is what was
/// seen a moment ago, which need not be explained once more.
pub(super) fn look(
    conn: &mut DbConnection,
    rates: &Rates,
    (first, last): (AccountId, AccountId),
    standing: &[(FindingRow, String)],
    known: &[Seen],
) -> Result<Looked, ActionError> {
    let agreements = sweep::agreements(conn, first, last)?;
    let mut billed: HashMap<AgreementId, Vec<SweptSegment>> = HashMap::new();
    for row in sweep::segments(conn, first, last)? {
        billed.entry(row.agreement_id).or_default().push(row);
    }
    let terms = customers::terms_in_range(conn, first, last)?;
    let winter = |row: &&SweptAgreement| needs_winter(&rates.book, (row.id, &row.schedule, &row.rate_class), &terms);
    let mut sheet = Sheet {
        rates,
        registers: group_reads(sweep::reads(conn, first, last)?)?,
        by_winter: agreements.iter().filter(winter).map(|row| row.id).collect(),
        changes: changes_of(&terms),
    };
    let mut looked = Looked::default();
    let mended = mended(standing);
    let reliefs = sweep::reliefs(conn, first, last)?;
    let mut known: HashMap<String, Seen> = known.iter().map(|seen| (seen.key.clone(), seen.clone())).collect();
    let mut differences = Vec::new();
    for agreement in &agreements {
        let Some(segments) = billed.remove(&agreement.id) else { continue };
        looked.services += 1;
        let unjudged =
            |reason: String| Unjudged { account: agreement.account.clone(), service_id: agreement.service.clone(), reason, agreement: agreement.id };
        let priced = match sheet.price(agreement, &segments) {
            Ok(priced) => priced,
            Err(reason) => {
                looked.unjudged.push(unjudged(reason));
                continue;
            }
        };
        let own = mended.get(&agreement.id).map(Vec::as_slice).unwrap_or_default();
        let (found, apart) = intervals(&slots(&segments), &priced_slots(&priced), own);
        looked.unjudged.extend(apart.into_iter().map(|days| unjudged(in_words(days))));
        for mut interval in found {
            let relieved = interval.count_relief(given_within(&reliefs, agreement.id, &interval));
            if interval.difference_cents() == 0 {
                continue;
            }
            match known.remove(&key(agreement.id, &interval)).filter(|seen| seen.is_of(&interval)) {
                Some(seen) => looked.seen.push(seen),
                None => match Difference::new(agreement, interval, (&segments, &priced)) {
                    Ok(difference) => differences.push(Difference { relieved, ..difference }),
                    Err(error) => looked.unjudged.push(unjudged(error.to_string())),
                },
            }
        }
    }
    let facts = gather(conn, rates, &differences)?;
    for difference in differences {
        looked.seen.push(difference.explained(rates, &facts)?);
    }
    Ok(looked)
}

/// The changes of terms, by agreement. What cannot be read is told of that agreement alone.
fn changes_of(rows: &[TermRow]) -> HashMap<AgreementId, Result<Vec<TermChange>, ActionError>> {
    let groups = rows.chunk_by(|a, b| a.agreement_id == b.agreement_id);
    groups.filter_map(|group| Some((group.first()?.agreement_id, group_terms(group).map(|terms| terms.into_values().flatten().collect())))).collect()
}

/// What was given for leaks on bills of some days, in cents.
fn given_within(reliefs: &[SweptRelief], agreement: AgreementId, interval: &Interval) -> i64 {
    let within = |row: &&SweptRelief| row.agreement_id == agreement && row.period_start_on >= interval.from_on && row.period_end_on <= interval.to_on;
    reliefs.iter().filter(within).map(|row| row.credit_cents).sum()
}

fn in_words(days: Apart) -> String {
    format!(
        "its bills from {} to {} do not end with a read that stands: enter one of {}, or take the bill back",
        days.from_on, days.to_on, days.to_on
    )
}

impl Sheet<'_> {
    /// What should have been charged up to the last bill, or why nobody can say.
    fn price(&mut self, agreement: &SweptAgreement, segments: &[SweptSegment]) -> Result<Priced, String> {
        let in_words = |error: ActionError| error.to_string();
        let Some(last) = segments.last() else { return Ok(Vec::new()) };
        let mut registers = self.registers.remove(&agreement.id).unwrap_or_default();
        let history = self.by_winter.contains(&agreement.id).then(|| registers.clone());
        close_with_removal(&mut registers, agreement.end_on);
        let mut terms = AgreementTerms {
            schedule: agreement.schedule.clone(),
            rate_class: agreement.rate_class.clone(),
            attributes: parse_attributes(agreement.id, &agreement.attributes).map_err(in_words)?,
            changes: self.changes.remove(&agreement.id).unwrap_or_else(|| Ok(Vec::new())).map_err(in_words)?,
            start_on: agreement.start_on,
            end_on: agreement.end_on,
        };
        let run = |terms: &AgreementTerms| {
            let service = Service { book: &self.rates.book, terms, registers: &registers, history: history.as_deref() };
            price_all(&service, last)
        };
        let priced = run(&terms);
        // A bill that was made before anybody knew that its period would be the last one was made right.
        let shortened = |(inputs, _): &(SegmentInputs, SegmentCharge)| inputs.end_on == last.period_end_on && inputs.standard_days.is_some();
        if terms.end_on == Some(last.period_end_on)
            && priced.as_ref().is_ok_and(|periods| periods.last().is_some_and(shortened))
            && stored_inputs(agreement, last).map_err(in_words)?.standard_days.is_none()
        {
            terms.end_on = None;
            return run(&terms);
        }
        priced
    }
}

fn price_all(service: &Service<'_>, last: &SweptSegment) -> Result<Priced, String> {
    let mut periods = Vec::new();
    loop {
        let reached = periods.last().map(|period: &Period| period.end_on);
        let (found, held) = service.periods(reached, last.period_end_on)?;
        if let Some(held) = held {
            return Err(held);
        }
        let done = found.is_empty();
        periods.extend(found);
        // A run bills a bounded number of calendar periods at once; here all of them are wanted.
        if done || !service.is_flat(last.period_end_on) {
            break;
        }
    }
    let mut estimates = Vec::new();
    let mut priced = Vec::with_capacity(periods.len());
    for period in periods {
        priced.push(service.price(period, &mut estimates).map_err(|hold| hold.to_string())?);
    }
    Ok(priced)
}

fn slots(segments: &[SweptSegment]) -> Vec<Slot> {
    let slot =
        |row: &SweptSegment| Slot { start_on: row.period_start_on, end_on: row.period_end_on, cents: row.total_cents, estimated: row.estimated == 1 };
    segments.iter().map(slot).collect()
}

fn priced_slots(priced: &Priced) -> Vec<Slot> {
    let slot = |(inputs, charge): &(SegmentInputs, SegmentCharge)| Slot {
        start_on: inputs.start_on,
        end_on: inputs.end_on,
        cents: charge.charge.total.cents(),
        estimated: inputs.is_estimated(),
    };
    priced.iter().map(slot).collect()
}

/// What settled findings moved beside the bills, by service.
fn mended(standing: &[(FindingRow, String)]) -> HashMap<AgreementId, Vec<Mended>> {
    let mut mended: HashMap<AgreementId, Vec<Mended>> = HashMap::new();
    for (row, _) in standing.iter().filter(|(row, _)| row.mended_cents != 0) {
        if let Some(agreement) = row.agreement_id {
            mended.entry(agreement).or_default().push(Mended { from_on: row.from_on, to_on: row.to_on, cents: row.mended_cents });
        }
    }
    mended
}

fn stored_inputs(agreement: &SweptAgreement, row: &SweptSegment) -> Result<SegmentInputs, ActionError> {
    let number = || bill_number(row.run_id, agreement.account_id);
    serde_json::from_str(&row.inputs).map_err(|error| ActionError::Form(format!("the inputs of bill {} cannot be read: {error}", number())))
}

fn stored_side(agreement: &SweptAgreement, row: &SweptSegment) -> Result<Side, ActionError> {
    let number = bill_number(row.run_id, agreement.account_id);
    let lines = serde_json::from_str(&row.lines).map_err(|error| ActionError::Form(format!("the lines of bill {number} cannot be read: {error}")))?;
    Ok(Side {
        inputs: stored_inputs(agreement, row)?,
        bill: Some(number),
        usage_milli: row.usage_milli,
        total: Money::from_cents(row.total_cents),
        estimated: row.estimated == 1,
        lines,
    })
}

fn priced_side((inputs, charge): &(SegmentInputs, SegmentCharge)) -> Side {
    Side {
        bill: None,
        usage_milli: charge.usage_milli,
        total: charge.charge.total,
        estimated: inputs.is_estimated(),
        inputs: inputs.clone(),
        lines: charge.charge.lines.clone(),
    }
}

fn key(agreement: AgreementId, interval: &Interval) -> String {
    format!("charge:{agreement}:{}:{}", interval.from_on, interval.to_on)
}

/// A difference with both sides, whose cause is to be named.
pub(super) struct Difference {
    pub(super) billed: Vec<Side>,
    pub(super) should: Vec<Side>,
    agreement: AgreementId,
    account: AccountId,
    service: String,
    run: Option<RunId>,
    interval: Interval,
    /// What was given for a leak and counts, in cents.
    relieved: i64,
}

impl Difference {
    fn new(agreement: &SweptAgreement, interval: Interval, (segments, priced): (&[SweptSegment], &Priced)) -> Result<Self, ActionError> {
        let rows = segments.get(interval.billed.clone()).unwrap_or_default();
        Ok(Self {
            billed: rows.iter().map(|row| stored_side(agreement, row)).collect::<Result<Vec<_>, _>>()?,
            should: priced.get(interval.should.clone()).unwrap_or_default().iter().map(priced_side).collect(),
            agreement: agreement.id,
            account: agreement.account_id,
            service: agreement.service.clone(),
            run: rows.first().map(|row| row.run_id),
            interval,
            relieved: 0,
        })
    }

    fn explained(self, rates: &Rates, facts: &Facts) -> Result<Seen, ActionError> {
        let reasons = reasons(&self.service, &self.billed, &self.should, facts, &rates.book);
        let mut reason = conclude(&self.service, &reasons);
        if self.relieved != 0 {
            let _ = write!(reason.detail, "; {} of it was given already as relief for a leak", Money::from_cents(self.relieved));
        }
        let evidence = Evidence { billed: self.billed, should: self.should, reasons };
        Ok(Seen {
            key: key(self.agreement, &self.interval),
            kind: FindingKind::Charge,
            account: self.account,
            agreement: Some(self.agreement),
            run: self.run,
            from_on: self.interval.from_on,
            to_on: self.interval.to_on,
            billed_cents: self.interval.billed_cents,
            mended_cents: self.interval.mended_cents,
            should_cents: self.interval.should_cents,
            information: false,
            reason,
            evidence: serde_json::to_string(&evidence).map_err(|error| ActionError::Form(error.to_string()))?,
        })
    }
}
