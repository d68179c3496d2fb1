//! Pricing a chunk: every due agreement is billed, held with a reason, or excluded with a reason (P6).

use std::collections::{HashMap, HashSet};

use chrono::NaiveDate;

use crate::actions::{ActionError, Context};
use crate::db::billing::{self, ChunkRow, DueAgreement, ExceptionRow, RunRow, SegmentRow};
use crate::db::metering::{self, BillableRead};
use crate::db::operations::{self, NewToDo};
use crate::db::{look_up_by_index, payments};
use crate::domain::billing::{AgreementTerms, SegmentCharge, SegmentInputs, TariffBook, charge, plan, recompute};
use crate::domain::gates::{RunTotals, rises_beyond};
use crate::domain::ids::{AgreementId, RunId};
use crate::domain::limits::implausible_segment;
use crate::domain::metering::{MeteringHold, Read, ReadKind, Register, RegisterReads, periods_despite_held, unbilled_periods};
use crate::domain::money::Money;
use crate::domain::rates::Attributes;

/// What of a run matters to pricing.
pub(super) struct RunTerms {
    pub(super) run_id: RunId,
    pub(super) cycle: String,
    pub(super) through: NaiveDate,
}

/// What pricing a chunk gave.
#[derive(Default)]
pub(super) struct PricedChunk {
    pub(super) totals: RunTotals,
    segments: Vec<SegmentRow>,
    exceptions: Vec<ExceptionRow>,
    todos: Vec<NewToDo>,
}

/// What becomes of one agreement.
enum Outcome {
    Billed(Vec<(SegmentInputs, SegmentCharge)>),
    Held(String),
    Excluded(String),
}

/// Prices a chunk and stores the outcome, in one transaction with the chunk's state.
pub(super) fn price_chunk(context: &Context, run: &RunRow, chunk: &ChunkRow, book: &TariffBook) -> Result<(), ActionError> {
    let terms = RunTerms { run_id: run.id, cycle: run.cycle.clone(), through: run.through_on };
    let priced = compute_chunk(context, &terms, chunk, book)?;
    context.database.write(|conn| {
        look_up_by_index(conn)?;
        super::still(conn, run.id, "pricing")?;
        if !billing::finish_chunk(conn, run.id, chunk.chunk_no, "open", "priced")? {
            return Ok(());
        }
        billing::set_chunk_totals(conn, run.id, chunk.chunk_no, &priced.totals)?;
        billing::insert_priced(conn, &priced.segments, &priced.exceptions)?;
        operations::raise(conn, &priced.todos)?;
        Ok(())
    })
}

/// Everything that pricing a chunk reads, as of one moment.
struct ChunkData {
    due: Vec<DueAgreement>,
    reads: Vec<BillableRead>,
    released: HashSet<operations::Released>,
    unapplied: i64,
}

/// Prices a chunk without writing.
pub(super) fn compute_chunk(context: &Context, run: &RunTerms, chunk: &ChunkRow, book: &TariffBook) -> Result<PricedChunk, ActionError> {
    let (first, last) = (chunk.first_account_id, chunk.last_account_id);
    let data = context.database.snapshot(|conn| {
        look_up_by_index(conn)?;
        let due = billing::due_agreements(conn, &run.cycle, run.through, first, last)?;
        Ok::<_, ActionError>(ChunkData {
            reads: metering::billable_reads(conn, &run.cycle, first, last, run.through)?,
            released: operations::released_bills(conn, first, last)?.into_iter().collect(),
            unapplied: payments::unapplied_in_range(conn, first, last)?,
            due,
        })
    })?;
    let mut registers = group_reads(data.reads)?;
    let mut priced = PricedChunk::default();
    priced.totals.unapplied = data.unapplied;
    let mut pricer = Pricer { context, run, book, released: &data.released, attributes: HashMap::new(), priced: &mut priced };
    for account in data.due.chunk_by(|a, b| a.account_id == b.account_id) {
        pricer.price_account(account, &mut registers)?;
    }
    Ok(priced)
}

struct Pricer<'a> {
    context: &'a Context,
    run: &'a RunTerms,
    book: &'a TariffBook,
    released: &'a HashSet<operations::Released>,
    /// Attributes parsed once for each distinct text.
    attributes: HashMap<String, Attributes>,
    priced: &'a mut PricedChunk,
}

impl Pricer<'_> {
    /// One account, one bill: when one of its agreements is held, all wait.
    fn price_account(&mut self, account: &[DueAgreement], registers: &mut HashMap<AgreementId, Vec<RegisterReads>>) -> Result<(), ActionError> {
        let mut outcomes = Vec::with_capacity(account.len());
        for agreement in account {
            let registers = registers.remove(&agreement.id).unwrap_or_default();
            outcomes.push((agreement, self.price_agreement(agreement, &registers)?));
        }
        if outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Held(_))) {
            for (_, outcome) in &mut outcomes {
                if matches!(outcome, Outcome::Billed(_)) {
                    *outcome = Outcome::Held("another service of this account is held, and they are billed together".to_owned());
                }
            }
        }
        let mut segment_no = 0;
        for (agreement, outcome) in outcomes {
            self.record(agreement, outcome, &mut segment_no)?;
        }
        self.priced.totals.bills += i64::from(segment_no > 0);
        Ok(())
    }

    fn price_agreement(&mut self, agreement: &DueAgreement, registers: &[RegisterReads]) -> Result<Outcome, ActionError> {
        if let (Some(end), Some(billed)) = (agreement.end_on, agreement.last_end_on)
            && billed >= end
        {
            return Ok(Outcome::Excluded(format!("it ended on {end} and is billed to its end")));
        }
        if let Some(hold) = self.unread_edge(agreement, registers) {
            return Ok(Outcome::Held(hold.to_string()));
        }
        let (periods, mut held) = match unbilled_periods(registers, agreement.last_end_on, self.run.through) {
            Ok(periods) => (periods, None),
            // Priced all the same, so that a clerk sees the bills beyond a limit together with the read behind them.
            Err(hold @ MeteringHold::ReadHeld(_)) => {
                let periods = periods_despite_held(registers, agreement.last_end_on, self.run.through);
                (periods.unwrap_or_default(), Some(hold.to_string()))
            }
            Err(hold) => return Ok(Outcome::Held(hold.to_string())),
        };
        if periods.is_empty() && held.is_none() {
            return Ok(Outcome::Excluded(format!("no unbilled period ends by {}", self.run.through)));
        }
        let terms = self.terms(agreement)?;
        let mut segments = Vec::with_capacity(periods.len());
        for period in periods {
            let priced = plan(&terms, period, self.book).and_then(|inputs| charge(&inputs, self.book).map(|charge| (inputs, charge)));
            match priced {
                Ok((inputs, charge)) => {
                    let beyond = self.beyond_limit(agreement, &inputs, &charge);
                    held = held.or(beyond);
                    segments.push((inputs, charge));
                }
                Err(hold) => return Ok(Outcome::Held(held.unwrap_or_else(|| hold.to_string()))),
            }
        }
        Ok(held.map_or(Outcome::Billed(segments), Outcome::Held))
    }

    /// The first and the last day of an agreement want a read: else what was used there would be billed to nobody.
    fn unread_edge(&self, agreement: &DueAgreement, registers: &[RegisterReads]) -> Option<MeteringHold> {
        let read_on = |day: NaiveDate| registers.iter().flat_map(|register| &register.reads).any(|read| read.read_on == day);
        let any_read = registers.iter().any(|register| !register.reads.is_empty());
        if let Some(start) = agreement.start_on.filter(|start| agreement.last_end_on.is_none() && any_read && !read_on(*start)) {
            return Some(MeteringHold::NoOpeningRead(start));
        }
        let ended = agreement.end_on.filter(|end| *end <= self.run.through && agreement.last_end_on.is_none_or(|billed| billed < *end));
        ended.filter(|end| !read_on(*end)).map(MeteringHold::NoFinalRead)
    }

    fn terms(&mut self, agreement: &DueAgreement) -> Result<AgreementTerms, ActionError> {
        if !self.attributes.contains_key(&agreement.attributes) {
            let parsed = serde_json::from_str::<Attributes>(&agreement.attributes)
                .map_err(|error| ActionError::Form(format!("attributes of agreement {}: {error}", agreement.id)))?;
            self.attributes.insert(agreement.attributes.clone(), parsed);
        }
        Ok(AgreementTerms {
            schedule: agreement.schedule.clone(),
            rate_class: agreement.rate_class.clone(),
            attributes: self.attributes.get(&agreement.attributes).cloned().unwrap_or_default(),
            start_on: agreement.start_on,
            end_on: agreement.end_on,
        })
    }

    /// A charge above the limit is held once, for a clerk to see; one that was released with this amount passes.
    fn beyond_limit(&mut self, agreement: &DueAgreement, inputs: &SegmentInputs, charge: &SegmentCharge) -> Option<String> {
        let total = charge.charge.total;
        let reason = implausible_segment(&self.context.config.limits.of(&agreement.rate_class), total)?;
        if self.released.contains(&(agreement.id, inputs.start_on, inputs.end_on, total.cents())) {
            return None;
        }
        let reason = format!("the bill for {} to {}: {reason}", inputs.start_on, inputs.end_on);
        self.priced.todos.push(NewToDo {
            kind: "bill_limit".to_owned(),
            status: "open".to_owned(),
            agreement_id: Some(agreement.id),
            meter_read_id: None,
            period_start_on: Some(inputs.start_on),
            period_end_on: Some(inputs.end_on),
            amount_cents: Some(total.cents()),
            reason: reason.clone(),
            raised_at: self.context.now(),
        });
        Some(reason)
    }

    fn record(&mut self, agreement: &DueAgreement, outcome: Outcome, segment_no: &mut i32) -> Result<(), ActionError> {
        self.priced.totals.due += 1;
        let (outcome, reason) = match outcome {
            Outcome::Billed(segments) => {
                self.priced.totals.billed += 1;
                self.compare(agreement, &segments);
                for (inputs, charge) in segments {
                    *segment_no += 1;
                    self.record_segment(agreement, *segment_no, &inputs, &charge)?;
                }
                return Ok(());
            }
            Outcome::Held(reason) => {
                self.priced.totals.held += 1;
                ("held", reason)
            }
            Outcome::Excluded(reason) => {
                self.priced.totals.excluded += 1;
                ("excluded", reason)
            }
        };
        self.priced.exceptions.push(ExceptionRow { run_id: self.run.run_id, agreement_id: agreement.id, outcome: outcome.to_owned(), reason });
        Ok(())
    }

    fn record_segment(
        &mut self,
        agreement: &DueAgreement,
        segment_no: i32,
        inputs: &SegmentInputs,
        charge: &SegmentCharge,
    ) -> Result<(), ActionError> {
        let json = |error: serde_json::Error| ActionError::Form(error.to_string());
        let totals = &mut self.priced.totals;
        totals.segments += 1;
        totals.total_cents += charge.charge.total.cents();
        let sampled = totals.recomputed == 0 || (agreement.id.0 + self.run.run_id.0) % self.context.config.gates.recompute_one_in == 0;
        if sampled {
            totals.recomputed += 1;
            let same = recompute(inputs, self.book).is_ok_and(|total| total == charge.charge.total);
            totals.recomputed_wrong += i64::from(!same);
        }
        self.priced.segments.push(SegmentRow {
            run_id: self.run.run_id,
            account_id: agreement.account_id,
            segment_no,
            agreement_id: agreement.id,
            period_start_on: inputs.start_on,
            period_end_on: inputs.end_on,
            usage_milli: charge.usage_milli,
            total_cents: charge.charge.total.cents(),
            lines: serde_json::to_string(&charge.charge.lines).map_err(json)?,
            inputs: serde_json::to_string(inputs).map_err(json)?,
            live: 1,
        });
        Ok(())
    }

    /// Compares the charge by the day with the last billed period's. What a clerk released is known to be high.
    fn compare(&mut self, agreement: &DueAgreement, segments: &[(SegmentInputs, SegmentCharge)]) {
        let (Some(start), Some(end), Some(cents)) = (agreement.last_start_on, agreement.last_end_on, agreement.last_total_cents) else { return };
        let released = segments
            .iter()
            .any(|(inputs, charge)| self.released.contains(&(agreement.id, inputs.start_on, inputs.end_on, charge.charge.total.cents())));
        let days: i64 = segments.iter().map(|(inputs, _)| (inputs.end_on - inputs.start_on).num_days()).sum();
        let total: i64 = segments.iter().map(|(_, charge)| charge.charge.total.cents()).sum();
        self.priced.totals.compared += 1;
        let risen = rises_beyond(&self.context.config.gates, Money::from_cents(cents), (end - start).num_days(), Money::from_cents(total), days);
        self.priced.totals.risen += i64::from(risen && !released);
    }
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
    Ok(Some(Read { id: crate::domain::ids::ReadId(id), read_on, reading_milli, kind, held }))
}
