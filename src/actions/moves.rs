//! People come and go: a move out ends every service of an account at a premise, a move in begins them for another.
//!
//! The reads of the day are taken in and the agreements change in one transaction: a move that is refused leaves nothing
//! behind, and one that is repeated changes nothing.

use std::collections::HashMap;

use chrono::NaiveDate;
use serde::Serialize;

use super::bill_run::final_credit;
use super::enter_read::{NewRead, ReadOutcome, enter_all};
use super::payments::check_not_future;
use super::{ActionError, Context, account_named};
use crate::db::customers::{self, AccountRow, AgreementRow, NewServices, PersonRow, ServicePointRow};
use crate::db::operations::NewToDo;
use crate::db::{DbConnection, billing, ledger, metering, operations};
use crate::domain::ids::{AccountId, AgreementId, PersonId, PremiseId, ServicePointId};
use crate::domain::metering::ReadKind;
use crate::domain::money::Money;
use crate::domain::quantity::from_milli;

/// What a register showed on the day of a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The meter's number.
    pub meter: String,
    /// The register, `1` where there is only one.
    pub register: String,
    /// What it showed, in thousandths.
    pub reading_milli: i64,
}

/// Somebody leaves a premise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveOut {
    /// Account number of who leaves.
    pub account: String,
    /// Any of its services at the premise.
    pub service: String,
    /// The last day; it is the first of whoever comes next.
    pub on: NaiveDate,
    /// The final readings.
    pub readings: Vec<Reading>,
    /// Where the final bill goes on paper.
    pub mailing_address: Option<String>,
    /// Why, in words; may be empty.
    pub note: String,
}

/// Somebody comes to a premise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveIn {
    /// Account number of who comes; a number that is not known makes an account.
    pub account: String,
    /// The name of a new customer.
    pub name: Option<String>,
    /// Where a new customer's notices go.
    pub email: Option<String>,
    /// Any service at the premise.
    pub service: String,
    /// The first day.
    pub on: NaiveDate,
    /// The opening readings; those of a move-out on the same day need not be repeated.
    pub readings: Vec<Reading>,
    /// Why, in words; may be empty.
    pub note: String,
}

/// What a move did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MoveReport {
    /// Services that ended.
    pub ended: Vec<String>,
    /// Services that began, with the account that they began for.
    pub began: Vec<(String, String)>,
    /// Readings that wait for a decision, with the reason.
    pub held: Vec<String>,
    /// Whether it had happened already.
    pub unchanged: bool,
}

/// Ends every service of an account at a premise. A service whose owner agreed to it goes on for the owner.
///
/// The final bill is made by the next run, or at once by a run of that account alone.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown account or service, [`ActionError::Refused`] when the account has no service there, or one
/// that is billed beyond that day, or a reading is not possible.
pub fn move_out(context: &Context, movement: &MoveOut) -> Result<MoveReport, ActionError> {
    check_not_future(context, movement.on)?;
    context.database.write(|conn| {
        customers::lock_terms(conn, true)?;
        let premise = Premise::find(conn, &movement.service)?;
        let leaving = premise.leaving(conn, &movement.account, movement.on)?;
        let held = record(context, conn, &premise, &movement.readings, movement.on, ReadKind::Final)?;
        let mut report = MoveReport { held, unchanged: leaving.is_empty(), ..MoveReport::default() };
        for (point, agreement) in &leaving {
            end(conn, point, agreement, movement.on)?;
            report.ended.push(point.code.clone());
            if let Some(owner) = customers::owner_of(conn, point.id)?.filter(|owner| *owner != agreement.account_id) {
                begin(conn, agreement, owner, movement.on)?;
                report.began.push((point.code.clone(), number_of(conn, owner)?));
            }
        }
        let account = account_named(conn, &movement.account)?;
        // Whom no further bill comes to, no run tells of.
        let credit = -ledger::position(conn, account.id)?.balance;
        if !report.unchanged && credit > Money::default() && billing::is_gone(conn, account.id)? {
            operations::raise(conn, &[final_credit(&account.number, account.id, credit.cents(), context.now())])?;
        }
        if let Some(address) = &movement.mailing_address {
            customers::set_mailing_address(conn, account.person_id, address)?;
        }
        if !report.unchanged {
            let detail = format!("{} on {}: {}", report.ended.join(", "), movement.on, movement.note);
            operations::audit(conn, context.now(), &context.actor, "service.move_out", &movement.account, &detail)?;
        }
        Ok(report)
    })
}

/// Begins every service of a premise for an account, on the terms that it had. What an owner had in between ends.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown service, [`ActionError::Refused`] when somebody else is served there, a reading is not
/// possible, or a new customer has no name.
pub fn move_in(context: &Context, movement: &MoveIn) -> Result<MoveReport, ActionError> {
    check_not_future(context, movement.on)?;
    super::import::parse_code("account", &movement.account).map_err(ActionError::Refused)?;
    context.database.write(|conn| {
        customers::lock_terms(conn, true)?;
        let premise = Premise::find(conn, &movement.service)?;
        let coming = premise.coming(conn, &movement.account, movement.on)?;
        let held = record(context, conn, &premise, &movement.readings, movement.on, ReadKind::Actual)?;
        let mut report = MoveReport { held, unchanged: coming.is_empty(), ..MoveReport::default() };
        let account = find_or_open(conn, movement)?;
        for (point, before) in &coming {
            if before.end_on.is_none() {
                end(conn, point, before, movement.on)?;
                report.ended.push(point.code.clone());
            }
            let agreement = begin(conn, before, account, movement.on)?;
            vacant_use(context, conn, point, before, agreement, movement.on)?;
            report.began.push((point.code.clone(), movement.account.clone()));
        }
        if !report.unchanged {
            let services: Vec<&str> = report.began.iter().map(|(service, _)| service.as_str()).collect();
            let detail = format!("{} on {}: {}", services.join(", "), movement.on, movement.note);
            operations::audit(conn, context.now(), &context.actor, "service.move_in", &movement.account, &detail)?;
        }
        Ok(report)
    })
}

/// Agrees, or no longer, which account takes a service over between two tenants. Returns whether that is new.
///
/// # Errors
/// [`ActionError::NotFound`] for an unknown service or account.
pub fn set_owner(context: &Context, service: &str, owner: Option<&str>) -> Result<bool, ActionError> {
    context.database.write(|conn| {
        let point = Premise::find(conn, service)?.named;
        let account = owner.map(|number| account_named(conn, number)).transpose()?.map(|account| account.id);
        if customers::owner_of(conn, point.id)? == account {
            return Ok(false);
        }
        customers::set_owner(conn, point.id, account)?;
        operations::audit(conn, context.now(), &context.actor, "service.owner", service, owner.unwrap_or("nobody"))?;
        Ok(true)
    })
}

/// A premise with the services there.
struct Premise {
    named: ServicePointRow,
    points: Vec<ServicePointRow>,
    /// The latest agreement of each.
    latest: HashMap<ServicePointId, AgreementRow>,
}

impl Premise {
    fn find(conn: &mut DbConnection, service: &str) -> Result<Self, ActionError> {
        let found = customers::service_points_by_code(conn, &[service])?.into_iter().next();
        let (named, premise) = found.ok_or_else(|| ActionError::not_found("service", service))?;
        let id: PremiseId = premise.id;
        let points = customers::points_at(conn, id)?;
        let ids: Vec<ServicePointId> = points.iter().map(|point| point.id).collect();
        let latest = customers::latest_agreements_at(conn, &ids)?.into_iter().map(|row| (row.service_point_id, row)).collect();
        Ok(Self { named, points, latest })
    }

    fn served(&self) -> impl Iterator<Item = (&ServicePointRow, &AgreementRow)> {
        self.points.iter().filter_map(|point| Some((point, self.latest.get(&point.id)?)))
    }

    /// The agreements that a move-out ends; none when it happened already.
    fn leaving(&self, conn: &mut DbConnection, number: &str, on: NaiveDate) -> Result<Vec<(ServicePointRow, AgreementRow)>, ActionError> {
        let account = account_named(conn, number)?;
        let theirs = |row: &AgreementRow| row.account_id == account.id;
        let open: Vec<_> = self.served().filter(|(_, row)| theirs(row) && row.end_on.is_none()).map(|(p, a)| (p.clone(), a.clone())).collect();
        if open.is_empty() {
            let agreements = customers::agreements_of(conn, account.id)?;
            let here = |row: &&AgreementRow| self.points.iter().any(|point| point.id == row.service_point_id);
            if agreements.iter().filter(here).any(|row| row.end_on == Some(on)) {
                return Ok(open);
            }
            return Err(ActionError::Refused(format!("service: account {number} has no service at the premise of '{}'", self.named.code)));
        }
        for (point, agreement) in &open {
            fits(conn, point, agreement, on)?;
        }
        Ok(open)
    }

    /// The agreements whose terms a move-in takes over; none when it happened already.
    fn coming(&self, conn: &mut DbConnection, number: &str, on: NaiveDate) -> Result<Vec<(ServicePointRow, AgreementRow)>, ActionError> {
        let account = customers::account_by_number(conn, number)?.map(|account| account.id);
        // What ended with whoever was last here begins again; what ended before them was given up.
        let last_day = self.served().filter_map(|(_, row)| row.end_on.or(row.start_on)).max();
        let mut coming = Vec::new();
        for (point, agreement) in self.served() {
            let theirs = Some(agreement.account_id) == account;
            match agreement.end_on {
                None if theirs && agreement.start_on == Some(on) => {}
                None if theirs => return Err(ActionError::Refused(format!("service: '{}' is served to account {number} already", point.code))),
                None if customers::owner_of(conn, point.id)? == Some(agreement.account_id) => {
                    fits(conn, point, agreement, on)?;
                    coming.push((point.clone(), agreement.clone()));
                }
                None => {
                    let other = number_of(conn, agreement.account_id)?;
                    return Err(ActionError::Refused(format!("service: '{}' is served to account {other}: it moves out first", point.code)));
                }
                Some(ended) if ended > on => {
                    return Err(ActionError::Refused(format!(
                        "on: service '{}' was served to another customer until {ended}, after {on}",
                        point.code
                    )));
                }
                Some(ended) if Some(ended) == last_day || point.id == self.named.id => coming.push((point.clone(), agreement.clone())),
                Some(_) => {}
            }
        }
        if self.latest.is_empty() {
            return Err(ActionError::Refused(format!("service: '{}' was never served: import it with its terms", self.named.code)));
        }
        Ok(coming)
    }
}

/// An agreement ends on a day within it that is not billed over.
fn fits(conn: &mut DbConnection, point: &ServicePointRow, agreement: &AgreementRow, on: NaiveDate) -> Result<(), ActionError> {
    if let Some(start) = agreement.start_on.filter(|start| *start > on) {
        return Err(ActionError::Refused(format!("on: service '{}' began on {start}, after {on}", point.code)));
    }
    let billed = billing::billed_through(conn, &[agreement.id])?.into_iter().map(|(_, day)| day).next();
    if let Some(billed) = billed.filter(|billed| *billed > on) {
        return Err(ActionError::Refused(format!("on: service '{}' is billed through {billed}, beyond {on}: take that bill back first", point.code)));
    }
    // Nothing would be left to bill, and the estimate would never be set right.
    if billed == Some(on) && billing::closes_estimated(conn, agreement.id, on)? {
        return Err(ActionError::Refused(format!(
            "on: service '{}' is billed through {on} by an estimate: expected a later day, with a reading, or take that bill back first",
            point.code
        )));
    }
    Ok(())
}

fn end(conn: &mut DbConnection, point: &ServicePointRow, agreement: &AgreementRow, on: NaiveDate) -> Result<(), ActionError> {
    if customers::end_agreement(conn, agreement.id, on)? {
        return Ok(());
    }
    Err(ActionError::Refused(format!("service: '{}' was ended by somebody else just now: look again", point.code)))
}

/// A new agreement on the terms that the one before had at its end.
fn begin(conn: &mut DbConnection, before: &AgreementRow, account_id: AccountId, on: NaiveDate) -> Result<AgreementId, ActionError> {
    let terms = customers::terms_of(conn, before.id)?.into_iter().next_back();
    let (rate_class, attributes) =
        terms.map_or_else(|| (before.rate_class.clone(), before.attributes.clone()), |terms| (terms.rate_class, terms.attributes));
    let id = AgreementId(customers::reserve(conn, "service_agreement", 1)?.next().unwrap_or_default());
    let agreement = AgreementRow { id, account_id, rate_class, attributes, start_on: Some(on), end_on: None, ..before.clone() };
    customers::insert_services(conn, &NewServices { agreements: vec![agreement], ..NewServices::default() })?;
    Ok(id)
}

fn find_or_open(conn: &mut DbConnection, movement: &MoveIn) -> Result<AccountId, ActionError> {
    if let Some(account) = customers::account_by_number(conn, &movement.account)? {
        return Ok(account.id);
    }
    let name = movement.name.clone().filter(|name| !name.trim().is_empty());
    let name = name.ok_or_else(|| ActionError::Refused(format!("name: account '{}' is new: expected the customer's name", movement.account)))?;
    let email = movement.email.clone().map(super::import::services::parse_email).transpose().map_err(ActionError::Refused)?;
    let person = PersonRow { id: PersonId(customers::reserve(conn, "person", 1)?.next().unwrap_or_default()), name, email };
    let account = AccountRow {
        id: AccountId(customers::reserve(conn, "account", 1)?.next().unwrap_or_default()),
        number: movement.account.clone(),
        person_id: person.id,
    };
    let id = account.id;
    customers::insert_services(conn, &NewServices { persons: vec![person], accounts: vec![account], ..NewServices::default() })?;
    Ok(id)
}

fn number_of(conn: &mut DbConnection, id: AccountId) -> Result<String, ActionError> {
    let found = customers::accounts_after(conn, AccountId(id.0 - 1), 1)?.into_iter().find(|account| account.id == id);
    found.map(|account| account.number).ok_or_else(|| ActionError::not_found("account", id.to_string()))
}

/// Takes the readings of the day in. One that is there already with the same figure need not be of the same kind: the
/// final read of who left is the first of who comes.
fn record(
    context: &Context,
    conn: &mut DbConnection,
    premise: &Premise,
    readings: &[Reading],
    on: NaiveDate,
    kind: ReadKind,
) -> Result<Vec<String>, ActionError> {
    let mut reads = Vec::new();
    for reading in readings {
        if reading_on(conn, premise, reading, on)? == Some(reading.reading_milli) {
            continue;
        }
        let (meter, register) = (reading.meter.clone(), reading.register.clone());
        reads.push(NewRead { meter, register, read_on: on, reading_milli: reading.reading_milli, kind });
    }
    let outcomes = enter_all(context, conn, &reads)?;
    let held = reads.iter().zip(outcomes).filter_map(|(read, outcome)| match outcome {
        ReadOutcome::Held(reason) => Some(format!("meter {}: {reason}", read.meter)),
        ReadOutcome::Accepted | ReadOutcome::Unchanged | ReadOutcome::Refused(_) => None,
    });
    Ok(held.collect())
}

/// What a register of the premise showed on a day by a read that somebody took: an estimate is none.
fn reading_on(conn: &mut DbConnection, premise: &Premise, reading: &Reading, on: NaiveDate) -> Result<Option<i64>, ActionError> {
    let registers = metering::registers_by_serial(conn, &[&reading.meter])?;
    let register = registers.into_iter().map(|(row, _)| row).find(|row| row.code == reading.register);
    let register = register.ok_or_else(|| ActionError::not_found("meter", &reading.meter))?;
    let installed = metering::installations_of(conn, &[register.meter_id])?;
    if !installed.iter().any(|row| premise.points.iter().any(|point| point.id == row.service_point_id)) {
        return Err(ActionError::Refused(format!(
            "readings: meter '{}' is not at the premise of service '{}': expected a reading of a meter that is",
            reading.meter, premise.named.code
        )));
    }
    let real = metering::reads_of(conn, &[register.id])?.into_iter().find(|read| read.read_on == on && read.kind != ReadKind::Estimated.as_str());
    Ok(real.map(|read| read.reading_milli))
}

/// What ran through the meter between two customers is nobody's: a clerk is told.
fn vacant_use(
    context: &Context,
    conn: &mut DbConnection,
    point: &ServicePointRow,
    before: &AgreementRow,
    agreement: AgreementId,
    on: NaiveDate,
) -> Result<(), ActionError> {
    let Some(ended) = before.end_on.filter(|ended| *ended < on) else { return Ok(()) };
    let Some(installed) = metering::open_installations_at(conn, &[point.id])?.into_iter().next() else { return Ok(()) };
    for register in metering::registers_of(conn, installed.meter_id)? {
        let reads = metering::reads_of(conn, &[register.id])?;
        let at = |day: NaiveDate| reads.iter().find(|read| read.read_on == day).map(|read| (read.id, read.reading_milli));
        let (Some((_, last)), Some((_, first))) = (at(ended), at(on)) else { continue };
        if first <= last {
            continue;
        }
        let reason = format!(
            "service {}: {} ran through the meter between {ended} and {on}, when nobody was served: find out who used it",
            point.code,
            from_milli(first - last)
        );
        let todo = NewToDo {
            kind: "vacant_use".to_owned(),
            agreement_id: Some(agreement),
            period_start_on: Some(ended),
            period_end_on: Some(on),
            ..NewToDo::about(reason, context.now())
        };
        operations::raise(conn, &[todo])?;
    }
    Ok(())
}
