//! Deriving the bills of a range of accounts again.

use std::collections::HashMap;

use super::facts::gather;
use super::{Seen, Unjudged};
use crate::actions::service_data::{group_reads, group_terms, needs_winter, parse_attributes};
use crate::actions::{ActionError, tariffs};
use crate::db::billing::bill_number;
use crate::db::overcharges::FindingRow;
use crate::db::sweep::{self, SweptAgreement, SweptSegment};
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
    let mended = mended(standing);
    let mut known: HashMap<String, Seen> = known.iter().map(|seen| (seen.key.clone(), seen.clone())).collect();
    let mut differences = Vec::new();
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
        let own = mended.get(&agreement.id).map(Vec::as_slice).unwrap_or_default();
        let (found, apart) = intervals(&slots(&segments), &priced_slots(&priced), own);
        looked.unjudged.extend(apart.into_iter().map(|days| unjudged(in_words(days))));
        for interval in found.into_iter().filter(|interval| interval.difference_cents() != 0) {
            match known.remove(&key(agreement.id, &interval)).filter(|seen| seen.is_of(&interval)) {
                Some(seen) => looked.seen.push(seen),
                None => differences.push(Difference::new(agreement, interval, (&segments, &priced))?),
            }
        }
    }
    let facts = gather(conn, rates, &differences)?;
    for difference in differences {
        looked.seen.push(difference.explained(rates, &facts)?);
    }
    Ok(looked)
}

fn in_words(days: Apart) -> String {
    format!(
        "its bills from {} to {} do not end with a read that stands: enter one of {}, or take the bill back",
        days.from_on, days.to_on, days.to_on
    )
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
        })
    }

    fn explained(self, rates: &Rates, facts: &Facts) -> Result<Seen, ActionError> {
        let reasons = reasons(&self.service, &self.billed, &self.should, facts, &rates.book);
        let reason = conclude(&self.service, &reasons);
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
