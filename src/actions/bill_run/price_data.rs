//! What pricing a chunk reads, as of one moment.

use std::collections::{HashMap, HashSet};

use chrono::{Months, NaiveDate};

use super::price::RunTerms;
use crate::actions::service_data::{group_reads, group_terms, needs_winter, parse_attributes};
use crate::actions::{ActionError, Context};
use crate::db::billing::{self, ChunkRow, DueAgreement, OutstandingEstimate};
use crate::db::customers::{self, TermRow};
use crate::db::metering;
use crate::db::{DbConnection, inbox, look_up_by_index, operations, payments};
use crate::domain::billing::{AgreementTerms, EstimatedSegment, SegmentInputs, TariffBook, TermChange};
use crate::domain::ids::{AccountId, AgreementId};
use crate::domain::metering::RegisterReads;
use crate::domain::money::Money;
use crate::domain::rates::Attributes;
use crate::domain::service::WINTER_REACH_MONTHS;

/// Everything that pricing a chunk reads, by agreement.
pub(super) struct ChunkData {
    pub(super) basis: Basis,
    pub(super) registers: HashMap<AgreementId, Vec<RegisterReads>>,
    pub(super) estimates: HashMap<AgreementId, Vec<EstimatedSegment>>,
    pub(super) released: HashSet<operations::Released>,
    pub(super) unapplied: i64,
    /// Accounts for which something that was received is still not applied, and what.
    pub(super) waiting: HashMap<AccountId, String>,
    changes: HashMap<AgreementId, Vec<TermChange>>,
    /// Reads of more than a year, of agreements that are charged by their winter.
    pub(super) history: HashMap<AgreementId, Vec<RegisterReads>>,
    /// Attributes parsed once for each distinct text.
    attributes: HashMap<String, Attributes>,
}

/// Who is served in a chunk and on which terms: what must not have changed when its bills are stored.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Basis {
    pub(super) due: Vec<DueAgreement>,
    changes: Vec<TermRow>,
}

impl Basis {
    pub(super) fn load(conn: &mut DbConnection, run: &RunTerms, chunk: &ChunkRow) -> Result<Self, ActionError> {
        let (first, last) = (chunk.first_account_id, chunk.last_account_id);
        let due = billing::due_agreements(conn, &run.cycle, run.through, first, last)?;
        Ok(Self { due, changes: customers::terms_in_range(conn, first, last)? })
    }
}

impl ChunkData {
    pub(super) fn load(context: &Context, run: &RunTerms, chunk: &ChunkRow, book: &TariffBook) -> Result<Self, ActionError> {
        context.database.snapshot(|conn| Self::load_within(conn, run, chunk, book))
    }

    /// The same, within a transaction that sees more than others do.
    pub(super) fn load_within(conn: &mut DbConnection, run: &RunTerms, chunk: &ChunkRow, book: &TariffBook) -> Result<Self, ActionError> {
        let (first, last) = (chunk.first_account_id, chunk.last_account_id);
        look_up_by_index(conn)?;
        let basis = Basis::load(conn, run, chunk)?;
        let reads = metering::billable_reads(conn, &run.cycle, first, last, run.through)?;
        let by_winter: Vec<&DueAgreement> = basis
            .due
            .iter()
            .filter(|agreement| needs_winter(book, (agreement.id, &agreement.schedule, &agreement.rate_class), &basis.changes))
            .collect();
        let history = match winters_since(&by_winter) {
            Some(since) => metering::reads_since(conn, &by_winter.iter().map(|agreement| agreement.id).collect::<Vec<_>>(), since)?,
            None => Vec::new(),
        };
        Ok(Self {
            registers: group_reads(reads)?,
            history: group_reads(history)?,
            estimates: group_estimates(billing::outstanding_estimates(conn, first, last)?)?,
            changes: group_terms(&basis.changes)?,
            released: operations::released_bills(conn, first, last)?.into_iter().collect(),
            unapplied: payments::unapplied_in_range(conn, first, last)?,
            waiting: inbox::unapplied_accounts(conn, first, last)?.into_iter().collect(),
            attributes: HashMap::new(),
            basis,
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
}

/// From which day on reads are wanted for the winters of these agreements' unbilled periods; none without agreements.
fn winters_since(agreements: &[&DueAgreement]) -> Option<NaiveDate> {
    let earliest = agreements.iter().map(|agreement| agreement.last_end_on.or(agreement.start_on)).min()?;
    let first = NaiveDate::from_ymd_opt(1, 1, 1)?;
    Some(earliest.and_then(|day| day.checked_sub_months(Months::new(WINTER_REACH_MONTHS))).map_or(first, |day| day.max(first)))
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
