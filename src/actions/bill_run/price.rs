//! Pricing a chunk: every due agreement is billed, held with a reason, or excluded with a reason (P6).

use std::collections::HashMap;

use chrono::NaiveDate;

use super::Fault;
use super::price_data::{Basis, ChunkData};
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context, inbox};
use crate::db::billing::{self, ChunkRow, DueAgreement, ExceptionRow, RunRow, SegmentRow};
use crate::db::operations::{self, NewToDo};
use crate::db::{customers, inbox as db_inbox, look_up_by_index, rebills};
use crate::domain::billing::{CORRECTION, SegmentCharge, SegmentInputs, TariffBook, recompute};
use crate::domain::gates::{RunTotals, rises_beyond};
use crate::domain::ids::{AccountId, AgreementId, RunId};
use crate::domain::limits::implausible_segment;
use crate::domain::metering::RegisterReads;
use crate::domain::money::Money;
use crate::domain::rates::ChargeLine;
use crate::domain::service::{Service, close_with_removal};

/// What of a run matters to pricing.
pub(super) struct RunTerms {
    pub(super) run_id: RunId,
    pub(super) cycle: String,
    pub(super) through: NaiveDate,
    /// A planted fault: it does not see what waits to be applied.
    pub(super) blind: bool,
    /// For accounts whose bills were cancelled: what of them is billed anew, and nothing else.
    pub(super) anew: Option<Anew>,
}

/// What of accounts whose bills were cancelled is billed anew.
#[derive(Debug, Clone, Default)]
pub(in crate::actions) struct Anew {
    /// How far the cancelled bills of each agreement went: what was not billed before is left to a later run.
    pub(in crate::actions) until: HashMap<AgreementId, NaiveDate>,
    /// What whoever cancelled them was shown, in cents, for the accounts that still wait; none while it is only tried.
    pub(in crate::actions) expected: Option<HashMap<AccountId, i64>>,
}

impl Anew {
    /// What a run of this cycle bills anew in a chunk; none for any other run.
    fn load(context: &Context, cycle: &str, chunk: &ChunkRow) -> Result<Option<Self>, ActionError> {
        let Some(id) = billing::rebill_of(cycle) else { return Ok(None) };
        let (first, last) = (chunk.first_account_id, chunk.last_account_id);
        context.database.snapshot(|conn| {
            let until = rebills::cancelled_until(conn, first, last)?.into_iter().map(|row| (row.agreement_id, row.until_on)).collect();
            let waiting = rebills::accounts(conn, id, Some("cancelled"), AccountId(first.0 - 1), i64::MAX)?;
            let expected = waiting.into_iter().filter(|row| row.account_id <= last).map(|row| (row.account_id, row.expected_cents)).collect();
            Ok(Some(Self { until, expected: Some(expected) }))
        })
    }
}

/// What pricing a chunk gave.
#[derive(Default)]
pub(super) struct PricedChunk {
    pub(super) totals: RunTotals,
    pub(super) basis: Basis,
    pub(super) segments: Vec<SegmentRow>,
    pub(super) exceptions: Vec<ExceptionRow>,
    todos: Vec<NewToDo>,
}

impl PricedChunk {
    /// Why agreements are held.
    pub(super) fn held_because(&self) -> impl Iterator<Item = &str> {
        self.exceptions.iter().filter(|row| row.outcome == "held").map(|row| row.reason.as_str())
    }
}

/// What becomes of one agreement.
enum Outcome {
    Billed(Vec<(SegmentInputs, SegmentCharge)>),
    Held(String),
    Excluded(String),
}

/// Prices a chunk and stores the outcome, in one transaction with the chunk's state.
pub(super) fn price_chunk(context: &Context, run: &RunRow, chunk: &ChunkRow, book: &TariffBook, fault: Option<Fault>) -> Result<(), ActionError> {
    let blind = fault == Some(Fault::HiddenPayments);
    let anew = Anew::load(context, &run.cycle, chunk)?;
    let terms = RunTerms { run_id: run.id, cycle: run.cycle.clone(), through: run.through_on, blind, anew };
    // What came since the run began is applied now, so that nobody is held for what only needed its turn.
    let waiting = context.database.read(|conn| db_inbox::unapplied_accounts(conn, chunk.first_account_id, chunk.last_account_id))?;
    if !waiting.is_empty() && !blind {
        inbox::settle(context, false, &Stop::default())?;
    }
    while !store_chunk(context, &terms, chunk, &compute_chunk(context, &terms, chunk, book)?)? {
        log::info!("somebody moved, or terms changed, while chunk {} of run {} was priced: it is priced anew", chunk.chunk_no, run.id);
    }
    Ok(())
}

/// Stores what a chunk came to; false when who is served there, or on which terms, is no longer what it was priced by.
fn store_chunk(context: &Context, run: &RunTerms, chunk: &ChunkRow, priced: &PricedChunk) -> Result<bool, ActionError> {
    context.database.write(|conn| {
        look_up_by_index(conn)?;
        super::still(conn, run.run_id, "pricing")?;
        customers::lock_terms(conn, false)?;
        if Basis::load(conn, run, chunk)? != priced.basis {
            return Ok(false);
        }
        if !billing::finish_chunk(conn, run.run_id, chunk.chunk_no, "open", "priced")? {
            return Ok(true);
        }
        billing::set_chunk_totals(conn, run.run_id, chunk.chunk_no, &priced.totals)?;
        billing::insert_priced(conn, &priced.segments, &priced.exceptions)?;
        operations::raise(conn, &priced.todos)?;
        Ok(true)
    })
}

/// Prices a chunk without writing.
pub(super) fn compute_chunk(context: &Context, run: &RunTerms, chunk: &ChunkRow, book: &TariffBook) -> Result<PricedChunk, ActionError> {
    price_data(context, run, book, ChunkData::load(context, run, chunk, book)?)
}

/// Prices what a chunk's data are.
pub(super) fn price_data(context: &Context, run: &RunTerms, book: &TariffBook, mut data: ChunkData) -> Result<PricedChunk, ActionError> {
    let basis = std::mem::take(&mut data.basis);
    if run.blind {
        data.waiting.clear();
    }
    let mut priced = PricedChunk::default();
    priced.totals.unapplied = data.unapplied;
    let mut pricer = Pricer { context, run, book, data, priced: &mut priced };
    for account in basis.due.chunk_by(|a, b| a.account_id == b.account_id) {
        pricer.price_account(account)?;
    }
    priced.basis = basis;
    Ok(priced)
}

struct Pricer<'a> {
    context: &'a Context,
    run: &'a RunTerms,
    book: &'a TariffBook,
    data: ChunkData,
    priced: &'a mut PricedChunk,
}

impl Pricer<'_> {
    /// One account, one bill: when one of its agreements is held, all wait.
    fn price_account(&mut self, account: &[DueAgreement]) -> Result<(), ActionError> {
        let mut outcomes = Vec::with_capacity(account.len());
        let waiting = account.first().and_then(|agreement| self.data.waiting.remove(&agreement.account_id));
        for agreement in account {
            if let Some(what) = &waiting {
                outcomes.push((agreement, Outcome::Held(format!("a payment waits that is not applied yet: {what}"))));
                continue;
            }
            let mut registers = self.data.registers.remove(&agreement.id).unwrap_or_default();
            close_with_removal(&mut registers, agreement.end_on);
            outcomes.push((agreement, self.price_agreement(agreement, &registers)?));
        }
        if let Some(why) = self.not_as_foreseen(account, &outcomes) {
            for (_, outcome) in outcomes.iter_mut().filter(|(_, outcome)| matches!(outcome, Outcome::Billed(_))) {
                *outcome = Outcome::Held(why.clone());
            }
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

    /// Why an account is not billed anew that comes to something else than whoever cancelled its bills was shown.
    fn not_as_foreseen(&self, account: &[DueAgreement], outcomes: &[(&DueAgreement, Outcome)]) -> Option<String> {
        let expected = self.run.anew.as_ref()?.expected.as_ref()?;
        let foreseen = Money::from_cents(*expected.get(&account.first()?.account_id)?);
        let now = outcomes.iter().filter_map(|(_, outcome)| if let Outcome::Billed(segments) = outcome { Some(segments) } else { None });
        let now = Money::from_cents(now.flatten().map(|(_, charge)| charge.charge.total.cents()).sum());
        (now != foreseen).then(|| format!("it comes to {now} now, and {foreseen} was foreseen when its bills were cancelled: look at what changed"))
    }

    /// How far an agreement is billed: as far as the run goes; what is billed anew as far as the cancelled bills went.
    fn through(&self, agreement: &DueAgreement) -> Result<NaiveDate, String> {
        let Some(anew) = &self.run.anew else { return Ok(self.run.through) };
        if anew.expected.as_ref().is_some_and(|waiting| !waiting.contains_key(&agreement.account_id)) {
            return Err("another run has billed it since its bills were cancelled".to_owned());
        }
        let until = anew.until.get(&agreement.id).ok_or("no bill of it was cancelled")?;
        Ok(self.run.through.min(*until))
    }

    fn price_agreement(&mut self, agreement: &DueAgreement, registers: &[RegisterReads]) -> Result<Outcome, ActionError> {
        if let (Some(end), Some(billed)) = (agreement.end_on, agreement.last_end_on)
            && billed >= end
        {
            return Ok(Outcome::Excluded(format!("it ended on {end} and is billed to its end")));
        }
        if let Some(run) = agreement.last_run_unissued {
            return Ok(Outcome::Held(format!("run {run} priced its last period and is not issued: finish it, or discard it")));
        }
        let through = match self.through(agreement) {
            Ok(day) => day,
            Err(why) => return Ok(Outcome::Excluded(why)),
        };
        let terms = self.data.terms(agreement)?;
        let history = self.data.history.remove(&agreement.id);
        let service = Service { book: self.book, terms: &terms, registers, history: history.as_deref() };
        let (periods, mut held) = match service.periods(agreement.last_end_on, through) {
            Ok(found) => found,
            Err(hold) => return Ok(Outcome::Held(hold)),
        };
        if periods.is_empty() && held.is_none() {
            return Ok(Outcome::Excluded(format!("no unbilled period ends by {through}")));
        }
        let mut estimates = self.data.estimates.remove(&agreement.id).unwrap_or_default();
        let mut segments = Vec::with_capacity(periods.len());
        for period in periods {
            match service.price(period, &mut estimates) {
                Ok((inputs, charge)) => {
                    if let Some(reason) = self.beyond_limit(agreement, &inputs, &charge) {
                        held.get_or_insert(reason);
                    }
                    segments.push((inputs, charge));
                }
                Err(hold) => return Ok(Outcome::Held(held.unwrap_or_else(|| hold.to_string()))),
            }
        }
        Ok(held.map_or(Outcome::Billed(segments), Outcome::Held))
    }

    /// A charge above the limit is held once, for a clerk to see; one that was released with this amount passes.
    fn beyond_limit(&mut self, agreement: &DueAgreement, inputs: &SegmentInputs, charge: &SegmentCharge) -> Option<String> {
        let total = charge.charge.total;
        let reason = implausible_segment(&self.context.config.limits.of(&inputs.rate_class), total)?;
        if self.data.released.contains(&(agreement.id, inputs.start_on, inputs.end_on, total.cents())) {
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
            account_id: None,
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
            tax_cents: charge.charge.tax.cents(),
            estimated: i32::from(inputs.is_estimated()),
        });
        Ok(())
    }

    /// Compares the charge by the day with the last billed period's. What a clerk released is known to be high.
    fn compare(&mut self, agreement: &DueAgreement, segments: &[(SegmentInputs, SegmentCharge)]) {
        let (Some(start), Some(end), Some(cents)) = (agreement.last_start_on, agreement.last_end_on, agreement.last_total_cents) else { return };
        let released = segments
            .iter()
            .any(|(inputs, charge)| self.data.released.contains(&(agreement.id, inputs.start_on, inputs.end_on, charge.charge.total.cents())));
        let days: i64 = segments.iter().map(|(inputs, _)| (inputs.end_on - inputs.start_on).num_days()).sum();
        // What puts earlier estimates right belongs to their days, and says nothing of these.
        let own = |line: &&ChargeLine| line.part != CORRECTION;
        let total: i64 = segments.iter().flat_map(|(_, charge)| charge.charge.lines.iter().filter(own)).map(|line| line.amount_cents.cents()).sum();
        if cents <= 0 {
            return;
        }
        self.priced.totals.compared += 1;
        let risen = rises_beyond(&self.context.config.gates, Money::from_cents(cents), (end - start).num_days(), Money::from_cents(total), days);
        self.priced.totals.risen += i64::from(risen && !released);
    }
}
