//! A service as the rules want it, put together from the rows of the database: for bill runs and for the sweep.

use std::collections::HashMap;

use super::ActionError;
use crate::db::customers::TermRow;
use crate::db::metering::BillableRead;
use crate::domain::billing::{TariffBook, TermChange};
use crate::domain::ids::{AgreementId, ReadId};
use crate::domain::metering::{Read, ReadKind, Register, RegisterReads};
use crate::domain::rates::Attributes;

/// Whether an agreement (with its schedule and its first class) may be charged by a winter, on any of its terms.
pub(super) fn needs_winter(book: &TariffBook, (id, schedule, rate_class): (AgreementId, &str, &str), changes: &[TermRow]) -> bool {
    let later = changes.iter().filter(|row| row.agreement_id == id).map(|row| row.rate_class.as_str());
    later.chain([rate_class]).any(|class| book.ever_by_winter(schedule, class))
}

pub(super) fn parse_attributes(agreement: AgreementId, text: &str) -> Result<Attributes, ActionError> {
    serde_json::from_str(text).map_err(|error| ActionError::Form(format!("attributes of agreement {agreement}: {error}")))
}

/// The changes of terms, by agreement.
pub(super) fn group_terms(rows: &[TermRow]) -> Result<HashMap<AgreementId, Vec<TermChange>>, ActionError> {
    let mut grouped: HashMap<AgreementId, Vec<TermChange>> = HashMap::new();
    for row in rows {
        let attributes = parse_attributes(row.agreement_id, &row.attributes)?;
        let change = TermChange { effective_on: row.effective_on, rate_class: row.rate_class.clone(), attributes };
        grouped.entry(row.agreement_id).or_default().push(change);
    }
    Ok(grouped)
}

/// Puts the joined rows back together: registers with their reads, by agreement.
pub(super) fn group_reads(rows: Vec<BillableRead>) -> Result<HashMap<AgreementId, Vec<RegisterReads>>, ActionError> {
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
