//! Deriving the bills of a range of accounts again.

use std::collections::HashMap;

use super::facts::explain;
use super::{Seen, Unjudged};
use crate::actions::service_data::{group_reads, group_terms, needs_winter, parse_attributes};
use crate::actions::{ActionError, tariffs};
use crate::db::billing::bill_number;
use crate::db::overcharges::FindingRow;
use crate::db::sweep::{self, SweptAgreement, SweptSegment};
use crate::db::{DbConnection, customers, rates};
use crate::domain::billing::{AgreementTerms, SegmentCharge, SegmentInputs, TariffBook, TermChange};
use crate::domain::ids::{AccountId, AgreementId};
use crate::domain::metering::{Period, RegisterReads};
use crate::domain::money::Money;
use crate::domain::overcharges::causes::{VersionFact, text_without_day};
use crate::domain::overcharges::compare::{Interval, Mended, Slot, intervals};
use crate::domain::overcharges::{Evidence, FindingKind, Side};
use crate::domain::service::{Service, close_with_removal};

/// The tariffs, to price with and to tell apart.
pub(super) struct Rates {
    pub(super) book: TariffBook,
    pub(super) versions: HashMap<String, VersionFact>,
}

impl Rates {
    pub(super) fn load(conn: &mut DbConnection) -> Result<Self, ActionError> {
        let versions = rates::versions(conn)?.into_iter().map(|row| {
            let fact = VersionFact { schedule: row.schedule, effective_on: row.effective_on, text: text_without_day(&row.source) };
            (row.sha256, fact)
        });
        Ok(Self { versions: versions.collect(), book: tariffs::read_book(conn)? })
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
    changes: HashMap<AgreementId, Vec<TermChange>>,
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
        changes: group_terms(&terms)?,
    };
    let mut looked = Looked::default();
    for agreement in &agreements {
        let Some(segments) = billed.remove(&agreement.id) else { continue };
        looked.services += 1;
        let unjudged =
            |reason: String| Unjudged { account: agreement.account.clone(), service_id: agreement.service.clone(), reason, agreement: agreement.id };
        let priced = match sheet.price(agreement, &segments)? {
            Ok(priced) => priced,
            Err(reason) => {
                looked.unjudged.push(unjudged(reason));
                continue;
            }
        };
        let (ours, theirs) = (slots(&segments), priced_slots(&priced));
        let (found, apart) = intervals(&ours, &theirs, &mended(agreement.id, standing));
        for days in apart {
            let reason = format!(
                "its bills from {} to {} do not end with a read that stands: enter one of {}, or take the bill back",
                days.from_on, days.to_on, days.to_on
            );
            looked.unjudged.push(unjudged(reason));
        }
        for interval in found.into_iter().filter(|interval| interval.difference_cents() != 0) {
            let key = key(agreement.id, &interval);
            let before = known.iter().find(|seen| seen.key == key && seen.is_of(&interval)).cloned();
            looked.seen.push(before.map_or_else(|| seen(conn, rates, agreement, &interval, (&segments, &priced)), Ok)?);
        }
    }
    Ok(looked)
}

impl Sheet<'_> {
    /// What should have been charged up to the last bill, or why nobody can say.
    fn price(&mut self, agreement: &SweptAgreement, segments: &[SweptSegment]) -> Result<Result<Priced, String>, ActionError> {
        let Some(last) = segments.last() else { return Ok(Ok(Vec::new())) };
        let mut registers = self.registers.remove(&agreement.id).unwrap_or_default();
        let history = self.by_winter.contains(&agreement.id).then(|| registers.clone());
        close_with_removal(&mut registers, agreement.end_on);
        let mut terms = AgreementTerms {
            schedule: agreement.schedule.clone(),
            rate_class: agreement.rate_class.clone(),
            attributes: parse_attributes(agreement.id, &agreement.attributes)?,
            changes: self.changes.remove(&agreement.id).unwrap_or_default(),
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
            && stored_inputs(agreement, last)?.standard_days.is_none()
        {
            terms.end_on = None;
            return Ok(run(&terms));
        }
        Ok(priced)
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

/// What settled findings moved beside the bills of a service.
fn mended(agreement: AgreementId, standing: &[(FindingRow, String)]) -> Vec<Mended> {
    let own = standing.iter().map(|(row, _)| row).filter(|row| row.agreement_id == Some(agreement) && row.mended_cents != 0);
    own.map(|row| Mended { from_on: row.from_on, to_on: row.to_on, cents: row.mended_cents }).collect()
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

/// A difference with both sides and its cause.
fn seen(
    conn: &mut DbConnection,
    rates: &Rates,
    agreement: &SweptAgreement,
    interval: &Interval,
    (segments, priced): (&[SweptSegment], &Priced),
) -> Result<Seen, ActionError> {
    let rows = segments.get(interval.billed.clone()).unwrap_or_default();
    let billed = rows.iter().map(|row| stored_side(agreement, row)).collect::<Result<Vec<_>, _>>()?;
    let should: Vec<Side> = priced.get(interval.should.clone()).unwrap_or_default().iter().map(priced_side).collect();
    let (reason, reasons) = explain(conn, rates, &agreement.service, &billed, &should)?;
    let evidence = Evidence { billed, should, reasons };
    Ok(Seen {
        key: key(agreement.id, interval),
        kind: FindingKind::Charge,
        account: agreement.account_id,
        agreement: Some(agreement.id),
        run: rows.first().map(|row| row.run_id),
        from_on: interval.from_on,
        to_on: interval.to_on,
        billed_cents: interval.billed_cents,
        mended_cents: interval.mended_cents,
        should_cents: interval.should_cents,
        information: false,
        reason,
        evidence: serde_json::to_string(&evidence).map_err(|error| ActionError::Form(error.to_string()))?,
    })
}
