//! What pricing a chunk reads, as of one moment.

use std::collections::{HashMap, HashSet};

use chrono::{Months, NaiveDate};

use super::price::RunTerms;
use crate::actions::{ActionError, Context};
use crate::db::billing::{self, ChunkRow, DueAgreement, OutstandingEstimate};
use crate::db::customers::{self, TermRow};
use crate::db::metering::{self, BillableRead};
use crate::db::{look_up_by_index, operations, payments};
use crate::domain::billing::{AgreementTerms, EstimatedSegment, SegmentInputs, TariffBook, TermChange};
use crate::domain::ids::{AgreementId, ReadId};
use crate::domain::metering::{Read, ReadKind, Register, RegisterReads};
use crate::domain::money::Money;
use crate::domain::rates::{Attributes, Basis};
use crate::domain::winter::{WinterQuarter, winter_quarter};

/// How far back the reads of a winter may lie, in months: the winter before last autumn's first bill.
const WINTER_REACH_MONTHS: u32 = 18;

/// Everything that pricing a chunk reads, by agreement.
pub(super) struct ChunkData {
    pub(super) due: Vec<DueAgreement>,
    pub(super) registers: HashMap<AgreementId, Vec<RegisterReads>>,
    pub(super) estimates: HashMap<AgreementId, Vec<EstimatedSegment>>,
    pub(super) released: HashSet<operations::Released>,
    pub(super) unapplied: i64,
    changes: HashMap<AgreementId, Vec<TermChange>>,
    /// Reads of more than a year, of agreements that are charged by their winter.
    history: HashMap<AgreementId, Vec<RegisterReads>>,
    /// Attributes parsed once for each distinct text.
    attributes: HashMap<String, Attributes>,
}

impl ChunkData {
    pub(super) fn load(context: &Context, run: &RunTerms, chunk: &ChunkRow, book: &TariffBook) -> Result<Self, ActionError> {
        let (first, last) = (chunk.first_account_id, chunk.last_account_id);
        context.database.snapshot(|conn| {
            look_up_by_index(conn)?;
            let due = billing::due_agreements(conn, &run.cycle, run.through, first, last)?;
            let reads = metering::billable_reads(conn, &run.cycle, first, last, run.through)?;
            let by_winter: Vec<AgreementId> =
                due.iter().filter(|agreement| needs_winter(book, agreement, run.through)).map(|agreement| agreement.id).collect();
            let since = run.through.checked_sub_months(Months::new(WINTER_REACH_MONTHS)).unwrap_or(NaiveDate::MIN);
            let history = if by_winter.is_empty() { Vec::new() } else { metering::reads_since(conn, &by_winter, since)? };
            Ok(Self {
                registers: group_reads(reads)?,
                history: group_reads(history)?,
                estimates: group_estimates(billing::outstanding_estimates(conn, first, last)?)?,
                changes: group_terms(customers::terms_in_range(conn, first, last)?)?,
                released: operations::released_bills(conn, first, last)?.into_iter().collect(),
                unapplied: payments::unapplied_in_range(conn, first, last)?,
                attributes: HashMap::new(),
                due,
            })
        })
    }

    /// The terms of an agreement, then and now.
    pub(super) fn terms(&mut self, agreement: &DueAgreement) -> Result<AgreementTerms, ActionError> {
        if !self.attributes.contains_key(&agreement.attributes) {
            self.attributes.insert(agreement.attributes.clone(), parse_attributes(agreement.id, &agreement.attributes)?);
        }
        Ok(AgreementTerms {
            schedule: agreement.schedule.clone(),
            rate_class: agreement.rate_class.clone(),
            attributes: self.attributes.get(&agreement.attributes).cloned().unwrap_or_default(),
            changes: self.changes.remove(&agreement.id).unwrap_or_default(),
            start_on: agreement.start_on,
            end_on: agreement.end_on,
        })
    }

    /// Whether the service has no meter by its tariff.
    pub(super) fn is_flat(&self, terms: &AgreementTerms, book: &TariffBook, on: NaiveDate) -> bool {
        book.settings_on(&terms.schedule, terms.on(on).0, on).is_some_and(|settings| !settings.metered)
    }

    /// What was used in the winter before a period, where the tariff charges by it.
    pub(super) fn winter(&self, agreement: &DueAgreement, terms: &AgreementTerms, book: &TariffBook, start_on: NaiveDate) -> Option<WinterQuarter> {
        let settings = book.settings_on(&terms.schedule, terms.on(start_on).0, start_on)?;
        if settings.usage.basis != Basis::WinterAverage {
            return None;
        }
        winter_quarter(self.history.get(&agreement.id)?, &settings.usage.winter_months, start_on)
    }
}

fn needs_winter(book: &TariffBook, agreement: &DueAgreement, on: NaiveDate) -> bool {
    let settings = book.settings_on(&agreement.schedule, &agreement.rate_class, on);
    settings.is_some_and(|settings| settings.usage.basis == Basis::WinterAverage)
}

fn parse_attributes(agreement: AgreementId, text: &str) -> Result<Attributes, ActionError> {
    serde_json::from_str(text).map_err(|error| ActionError::Form(format!("attributes of agreement {agreement}: {error}")))
}

fn group_terms(rows: Vec<TermRow>) -> Result<HashMap<AgreementId, Vec<TermChange>>, ActionError> {
    let mut grouped: HashMap<AgreementId, Vec<TermChange>> = HashMap::new();
    for row in rows {
        let attributes = parse_attributes(row.agreement_id, &row.attributes)?;
        let change = TermChange { effective_on: row.effective_on, rate_class: row.rate_class, attributes };
        grouped.entry(row.agreement_id).or_default().push(change);
    }
    Ok(grouped)
}

fn group_estimates(rows: Vec<OutstandingEstimate>) -> Result<HashMap<AgreementId, Vec<EstimatedSegment>>, ActionError> {
    let mut grouped: HashMap<AgreementId, Vec<EstimatedSegment>> = HashMap::new();
    for row in rows {
        let inputs: SegmentInputs = serde_json::from_str(&row.inputs)
            .map_err(|error| ActionError::Form(format!("a stored segment of agreement {} cannot be read: {error}", row.agreement_id)))?;
        let (total, tax) = (Money::from_cents(row.total_cents), Money::from_cents(row.tax_cents));
        let segment = EstimatedSegment { inputs, usage_milli: row.usage_milli, total, tax };
        grouped.entry(row.agreement_id).or_default().push(segment);
    }
    Ok(grouped)
}

/// Puts the joined rows back together: registers with their reads, by agreement.
fn group_reads(rows: Vec<BillableRead>) -> Result<HashMap<AgreementId, Vec<RegisterReads>>, ActionError> {
    let mut grouped: HashMap<AgreementId, Vec<RegisterReads>> = HashMap::new();
    let mut current = None;
    for row in rows {
        let registers = grouped.entry(row.agreement_id).or_default();
        let key = (row.agreement_id, row.installation_id, row.register_id);
        if current != Some(key) {
            current = Some(key);
            registers.push(RegisterReads {
                register: Register {
                    id: row.register_id,
                    digits: u32::try_from(row.digits).unwrap_or(0),
                    multiplier_milli: row.multiplier_milli,
                    unit: row.unit.clone(),
                },
                installed_on: row.installed_on,
                removed_on: row.removed_on,
                reads: Vec::new(),
            });
        }
        let (Some(register), Some(read)) = (registers.last_mut(), read_of(&row)?) else { continue };
        register.reads.push(read);
    }
    Ok(grouped)
}

fn read_of(row: &BillableRead) -> Result<Option<Read>, ActionError> {
    let (Some(id), Some(read_on), Some(reading_milli), Some(kind)) = (row.read_id, row.read_on, row.reading_milli, row.kind.as_deref()) else {
        return Ok(None);
    };
    let kind: ReadKind = kind.parse().map_err(ActionError::Form)?;
    let held = row.status.as_deref() == Some("held");
    Ok(Some(Read { id: ReadId(id), read_on, reading_milli, kind, held }))
}
