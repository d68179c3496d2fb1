//! Importing services: each row brings a customer's account, the premise and its service point, the agreement, and
//! the meter with its register.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use chrono::NaiveDate;

use super::{ImportOptions, ImportReport, parse_code, parse_date};
use crate::actions::tariffs::load_book;
use crate::actions::{ActionError, Context};
use crate::db::customers::{self, AccountRow, AgreementRow, NewServices, PersonRow, PremiseRow, ServicePointRow};
use crate::db::metering::{self, InstallationRow, MeterRow, NewMeters, RegisterRow};
use crate::db::{DbConnection, billing, operations};
use crate::domain::billing::TariffBook;
use crate::domain::ids::{AccountId, AgreementId, InstallationId, MeterId, PersonId, PremiseId, RegisterId, ServicePointId};
use crate::domain::quantity::{counted, parse_milli};
use crate::domain::rates::{Attributes, Unit};
use crate::formats::table::{Columns, Row, Table, check_form};

/// The columns of a file of services.
pub const COLUMNS: Columns = Columns {
    required: &["customer_id", "service_id", "rate_class", "meter_id", "register_digits"],
    optional: &[
        "name",
        "address",
        "email",
        "attributes",
        "cycle",
        "schedule",
        "start_on",
        "end_on",
        "register",
        "multiplier",
        "unit",
        "installed_on",
        "measured_by",
    ],
};

/// The cycle of a service whose row names none.
pub const DEFAULT_CYCLE: &str = "main";
/// The register of a meter whose row names none.
const DEFAULT_REGISTER: &str = "1";
const BATCH: usize = 5_000;

/// A row that has been understood.
#[derive(Debug, Clone)]
struct Service {
    account: String,
    code: String,
    schedule: String,
    rate_class: String,
    cycle: String,
    attributes: String,
    serial: String,
    register: String,
    digits: i32,
    multiplier_milli: i64,
    unit: Option<String>,
    name: Option<String>,
    email: Option<String>,
    address: Option<String>,
    start_on: Option<NaiveDate>,
    end_on: Option<NaiveDate>,
    installed_on: Option<NaiveDate>,
    /// The service whose meter measures this one.
    measured_by: Option<String>,
}

impl Service {
    /// A service of a flat charge, or one that another's meter measures, has no meter of its own.
    fn has_meter(&self) -> bool {
        !self.serial.is_empty()
    }
}

/// Imports a file of services.
///
/// # Errors
/// [`ActionError::Form`] when the file as a whole cannot be used, or those of the database.
pub fn import_services(context: &Context, path: &Path, options: ImportOptions<'_>) -> Result<ImportReport, ActionError> {
    check_form(path, COLUMNS)?;
    let book = load_book(context)?;
    let mut table = Table::open(path, COLUMNS)?;
    let mut report = ImportReport::begin(path, options.dry_run)?;
    let mut seen = HashSet::new();
    let mut contacts = HashMap::new();
    let mut done = 0_u64;
    loop {
        let mut batch = Vec::new();
        while batch.len() < BATCH {
            let Some(row) = table.next_row()? else { break };
            done += 1;
            match parse(&table, &row, &book) {
                Ok(mut service) if seen.insert((service.code.clone(), service.start_on, service.serial.clone(), service.register.clone())) => {
                    first_contact_counts(&mut service, &mut contacts);
                    batch.push((row, service));
                }
                Ok(service) => report.refuse(row, format!("service_id: it is a duplicate: an earlier row of this file has '{}'", service.code)),
                Err(reason) => report.refuse(row, reason),
            }
        }
        if batch.is_empty() {
            break;
        }
        import_batch(context, batch, options.dry_run, &mut report)?;
        (options.progress)(done);
    }
    report.finish(context, path, &table.header().clone())
}

/// A customer's name and e-mail are those of the first row that has them: rows of one file never contradict each other.
fn first_contact_counts(service: &mut Service, contacts: &mut HashMap<String, (Option<String>, Option<String>)>) {
    let (name, email) = contacts.entry(service.account.clone()).or_default();
    service.name = if name.is_none() {
        name.clone_from(&service.name);
        service.name.take()
    } else {
        None
    };
    service.email = if email.is_none() {
        email.clone_from(&service.email);
        service.email.take()
    } else {
        None
    };
}

fn parse(table: &Table, row: &Row, book: &TariffBook) -> Result<Service, String> {
    let field = |name| table.field(row, name);
    let optional = |name| Some(field(name)).filter(|text| !text.is_empty()).map(str::to_owned);
    let date = |name| optional(name).map(|text| parse_date(name, &text)).transpose();
    let rate_class = parse_code("rate_class", field("rate_class"))?;
    for name in ["name", "address"] {
        if field(name).chars().any(char::is_control) || field(name).len() > 500 {
            return Err(format!("{name}: it is not plain text of up to 500 bytes"));
        }
    }
    let (start_on, end_on) = (date("start_on")?, date("end_on")?);
    if let (Some(start), Some(end)) = (start_on, end_on)
        && end < start
    {
        return Err(format!("end_on: {end} is before start_on, {start}"));
    }
    let schedule = find_schedule(book, optional("schedule"), &rate_class)?;
    let measured_by = optional("measured_by").map(|text| parse_code("measured_by", &text)).transpose()?;
    let meter = parse_meter(table, row, needs_meter(book, &schedule, &rate_class, start_on, measured_by.as_deref())?)?;
    Ok(Service {
        account: parse_code("customer_id", field("customer_id"))?,
        code: parse_code("service_id", field("service_id"))?,
        schedule,
        rate_class,
        cycle: parse_cycle(optional("cycle"))?,
        attributes: parse_attributes(field("attributes"))?,
        serial: meter.serial,
        register: optional("register").map_or(Ok(DEFAULT_REGISTER.to_owned()), |text| parse_code("register", &text))?,
        digits: meter.digits,
        multiplier_milli: meter.multiplier_milli,
        unit: optional("unit").map(parse_unit).transpose()?,
        name: optional("name"),
        email: optional("email").map(parse_email).transpose()?,
        address: optional("address"),
        start_on,
        end_on,
        installed_on: date("installed_on")?,
        measured_by,
    })
}

/// Whether a service on these terms has a meter of its own.
fn needs_meter(book: &TariffBook, schedule: &str, rate_class: &str, start_on: Option<NaiveDate>, measured_by: Option<&str>) -> Result<bool, String> {
    let flat = book.latest_settings(schedule, rate_class).is_some_and(|settings| !settings.metered);
    if flat && start_on.is_none() {
        return Err(format!("start_on: class '{rate_class}' has no meter, its periods are those of the calendar: expected the first day"));
    }
    Ok(!flat && measured_by.is_none())
}

/// What a row says of the meter; of a service without one, nothing.
struct MeterColumns {
    serial: String,
    digits: i32,
    multiplier_milli: i64,
}

fn parse_meter(table: &Table, row: &Row, needed: bool) -> Result<MeterColumns, String> {
    let field = |name| table.field(row, name);
    if !needed {
        let given = ["meter_id", "register_digits", "multiplier", "installed_on"].into_iter().find(|name| !field(name).is_empty());
        return match given {
            Some(name) => Err(format!("{name}: the service has no meter of its own: expected nothing")),
            None => Ok(MeterColumns { serial: String::new(), digits: 0, multiplier_milli: 1000 }),
        };
    }
    let digits = field("register_digits");
    let digits: i32 = digits
        .parse()
        .ok()
        .filter(|digits| (1..=12).contains(digits))
        .ok_or_else(|| format!("register_digits: '{digits}' is not a number of digits: expected 1 to 12"))?;
    let multiplier_milli = match field("multiplier") {
        "" => 1000,
        text => parse_milli(text).ok().filter(|milli| *milli > 0).ok_or_else(|| format!("multiplier: '{text}' is not a number above 0"))?,
    };
    Ok(MeterColumns { serial: parse_code("meter_id", field("meter_id"))?, digits, multiplier_milli })
}

/// The schedule that a row means: the named one, or the only one that has the class.
fn find_schedule(book: &TariffBook, named: Option<String>, rate_class: &str) -> Result<String, String> {
    if let Some(schedule) = named {
        let known = book.has_class(&schedule, rate_class);
        return if known { Ok(schedule) } else { Err(format!("rate_class: tariff schedule '{schedule}' has no class '{rate_class}'")) };
    }
    let mut with_class = book.schedules().filter(|schedule| book.has_class(schedule, rate_class));
    match (with_class.next(), with_class.next()) {
        (Some(schedule), None) => Ok(schedule.to_owned()),
        (Some(_), Some(_)) => Err(format!("rate_class: more than one tariff schedule has a class '{rate_class}': name one in the column 'schedule'")),
        (None, _) => Err(format!("rate_class: no imported tariff has a class '{rate_class}' (import the tariff first)")),
    }
}

/// Attributes are a JSON object of texts and numbers, kept as text in key order so that equal ones compare equal.
pub(in crate::actions) fn parse_attributes(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok("{}".to_owned());
    }
    let attributes = serde_json::from_str::<Attributes>(text).map_err(|error| format!("attributes: {error}"))?;
    serde_json::to_string(&attributes).map_err(|error| format!("attributes: {error}"))
}

/// `all` is what a run over every cycle is called, so no cycle has that name.
fn parse_cycle(named: Option<String>) -> Result<String, String> {
    let cycle = parse_code("cycle", named.as_deref().unwrap_or(DEFAULT_CYCLE))?;
    if billing::is_own_cycle(&cycle) {
        return Err(format!("cycle: '{cycle}' means every cycle, one account, or bills that are made anew: expected another name"));
    }
    Ok(cycle)
}

fn parse_unit(text: String) -> Result<String, String> {
    let unit = Unit::parse(&text);
    if unit.is_known() { Ok(unit.to_string()) } else { Err(format!("unit: '{text}' is not a unit that can be converted")) }
}

pub(in crate::actions) fn parse_email(text: String) -> Result<String, String> {
    let plausible = text.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.'))
        && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    if plausible { Ok(text) } else { Err(format!("email: '{text}' is not an e-mail address")) }
}

/// What the database knows of the things that a batch names.
#[derive(Default)]
struct Known {
    accounts: HashMap<String, AccountRow>,
    persons: HashMap<PersonId, PersonRow>,
    points: HashMap<String, (ServicePointRow, PremiseRow)>,
    agreements: HashMap<ServicePointId, AgreementRow>,
    /// Agreements that others have followed.
    ended: Vec<AgreementRow>,
    /// Where an account is served, by the address.
    premises: HashMap<(AccountId, String), PremiseRow>,
    meters: HashMap<String, MeterId>,
    registers: HashMap<(MeterId, String), RegisterRow>,
    installed_at: HashMap<MeterId, ServicePointId>,
    installed_meter: HashMap<ServicePointId, MeterId>,
    /// The last day of meters that were taken out and are nowhere now.
    taken_out: HashMap<MeterId, NaiveDate>,
    billed_through: HashMap<AgreementId, NaiveDate>,
}

impl Known {
    fn premise_of(&self, point: ServicePointId) -> Option<PremiseRow> {
        self.points.values().find(|(row, _)| row.id == point).map(|(_, premise)| premise.clone())
    }
}

/// What a batch will write.
#[derive(Default)]
struct Plan {
    services: NewServices,
    meters: NewMeters,
    persons: Vec<PersonRow>,
    premises: Vec<PremiseRow>,
    ends: Vec<(AgreementId, NaiveDate)>,
}

fn import_batch(context: &Context, batch: Vec<(Row, Service)>, dry_run: bool, report: &mut ImportReport) -> Result<(), ActionError> {
    // Judged twice: once to see what is new and report it, and once more inside the transaction that writes it, so
    // that what another program did in between cannot be overwritten.
    let judged = context.database.read(|conn| judge(conn, &batch))?;
    let mut changes = false;
    for ((row, _), verdict) in batch.iter().zip(&judged.0) {
        match verdict {
            Verdict::Accepted => {
                report.accepted += 1;
                changes = true;
            }
            Verdict::Unchanged => report.unchanged += 1,
            Verdict::Refused(reason) => report.refuse(row.clone(), reason.clone()),
        }
    }
    if dry_run || !changes {
        return Ok(());
    }
    context.database.write(|conn| {
        customers::lock_terms(conn, true)?;
        let (_, plan) = judge(conn, &batch)?;
        write(conn, plan)?;
        operations::audit(
            conn,
            context.now(),
            &context.actor,
            "services.import",
            "file",
            &counted(i64::try_from(batch.len()).unwrap_or(i64::MAX), "row"),
        )?;
        Ok(())
    })
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Accepted,
    Unchanged,
    Refused(String),
}

fn judge(conn: &mut DbConnection, batch: &[(Row, Service)]) -> Result<(Vec<Verdict>, Plan), ActionError> {
    let mut known = load(conn, batch)?;
    let mut plan = Plan::default();
    let verdicts = batch.iter().map(|(_, service)| place(service, &mut known, &mut plan)).collect();
    Ok((verdicts, plan))
}

fn load(conn: &mut DbConnection, batch: &[(Row, Service)]) -> Result<Known, ActionError> {
    let unique = |pick: fn(&Service) -> &str| -> Vec<&str> {
        let names: HashSet<&str> = batch.iter().map(|(_, service)| pick(service)).collect();
        names.into_iter().collect()
    };
    let accounts = customers::accounts_by_number(conn, &unique(|service| &service.account))?;
    let person_ids: Vec<PersonId> = accounts.iter().map(|account| account.person_id).collect();
    let mut codes = unique(|service| &service.code);
    codes.extend(batch.iter().filter_map(|(_, service)| service.measured_by.as_deref()));
    let points = customers::service_points_by_code(conn, &codes)?;
    let point_ids: Vec<ServicePointId> = points.iter().map(|(point, _)| point.id).collect();
    let serials = unique(|service| &service.serial);
    let meters = metering::meters_by_serial(conn, &serials)?;
    let meter_ids: Vec<MeterId> = meters.iter().map(|meter| meter.id).collect();
    let history = metering::installations_of(conn, &meter_ids)?;
    let mut taken_out: HashMap<MeterId, NaiveDate> = HashMap::new();
    for (meter, removed) in history.iter().filter_map(|row| Some((row.meter_id, row.removed_on?))) {
        taken_out.entry(meter).and_modify(|last| *last = removed.max(*last)).or_insert(removed);
    }
    let open = history.into_iter().chain(metering::open_installations_at(conn, &point_ids)?);
    let open: Vec<InstallationRow> = open.filter(|installation| installation.removed_on.is_none()).collect();
    let every = customers::latest_agreements_at(conn, &point_ids)?;
    let agreements: HashMap<ServicePointId, AgreementRow> = every.iter().map(|row| (row.service_point_id, row.clone())).collect();
    let ended = every.into_iter().filter(|row| agreements.get(&row.service_point_id).is_some_and(|latest| latest.id != row.id)).collect();
    let agreement_ids: Vec<AgreementId> = agreements.values().map(|row| row.id).collect();
    let account_ids: Vec<AccountId> = accounts.iter().map(|account| account.id).collect();
    let premises = customers::premises_of(conn, &account_ids)?;
    Ok(Known {
        ended,
        premises: premises.into_iter().map(|(account, premise)| ((account, premise.address.clone()), premise)).collect(),
        taken_out,
        billed_through: billing::billed_through(conn, &agreement_ids)?.into_iter().collect(),
        agreements,
        persons: customers::persons(conn, &person_ids)?.into_iter().map(|person| (person.id, person)).collect(),
        registers: metering::registers_by_serial(conn, &serials)?.into_iter().map(|(row, _)| ((row.meter_id, row.code.clone()), row)).collect(),
        accounts: accounts.into_iter().map(|account| (account.number.clone(), account)).collect(),
        points: points.into_iter().map(|(point, premise)| (point.code.clone(), (point, premise))).collect(),
        meters: meters.into_iter().map(|meter| (meter.serial, meter.id)).collect(),
        installed_at: open.iter().map(|row| (row.meter_id, row.service_point_id)).collect(),
        installed_meter: open.iter().map(|row| (row.service_point_id, row.meter_id)).collect(),
    })
}

/// New rows carry their place in the plan as a negative id until the real ones are reserved.
fn provisional(count: usize) -> i64 {
    -1 - i64::try_from(count).unwrap_or(i64::MAX - 1)
}

fn place(service: &Service, known: &mut Known, plan: &mut Plan) -> Verdict {
    if let Some((point, premise)) = known.points.get(&service.code).cloned() {
        return place_existing(service, &point, &premise, known, plan);
    }
    let measured_at = match measured_at(service, known) {
        Ok(point) => point,
        Err(reason) => return Verdict::Refused(reason),
    };
    if let Some(meter) = known.meters.get(&service.serial)
        && known.installed_at.contains_key(meter)
    {
        return Verdict::Refused(format!("meter_id: meter '{}' is installed at another service", service.serial));
    }
    if let Err(reason) = used_again(service, known) {
        return Verdict::Refused(reason);
    }
    let account_id = account_of(service, known, plan);
    let premise = match measured_at.and_then(|at| known.premise_of(at)) {
        // What another service's meter measures is at that service's premise.
        Some(premise) => premise,
        None => premise_of(service, account_id, known, plan),
    };
    let point =
        ServicePointRow { id: ServicePointId(provisional(plan.services.service_points.len())), code: service.code.clone(), premise_id: premise.id };
    let agreement = new_agreement(service, account_id, point.id, measured_at, plan);
    if service.has_meter() {
        install_meter(service, point.id, known, plan);
    }
    known.agreements.insert(point.id, agreement.clone());
    known.points.insert(service.code.clone(), (point.clone(), premise.clone()));
    plan.services.service_points.push(point);
    plan.services.agreements.push(agreement);
    Verdict::Accepted
}

/// The agreement that a row begins, on its terms.
fn new_agreement(
    service: &Service,
    account_id: AccountId,
    service_point_id: ServicePointId,
    measured_at: Option<ServicePointId>,
    plan: &Plan,
) -> AgreementRow {
    AgreementRow {
        id: AgreementId(provisional(plan.services.agreements.len())),
        account_id,
        service_point_id,
        schedule: service.schedule.clone(),
        rate_class: service.rate_class.clone(),
        cycle: service.cycle.clone(),
        attributes: service.attributes.clone(),
        start_on: service.start_on,
        end_on: service.end_on,
        measured_at,
    }
}

/// An account's services at one address are at one premise: who moves out leaves them all.
fn premise_of(service: &Service, account: AccountId, known: &mut Known, plan: &mut Plan) -> PremiseRow {
    let at = service.address.clone().map(|address| (account, address));
    if let Some(premise) = at.as_ref().and_then(|at| known.premises.get(at)) {
        return premise.clone();
    }
    let premise = PremiseRow { id: PremiseId(provisional(plan.services.premises.len())), address: service.address.clone().unwrap_or_default() };
    plan.services.premises.push(premise.clone());
    if let Some(at) = at {
        known.premises.insert(at, premise.clone());
    }
    premise
}

/// The service point whose meter measures the service.
fn measured_at(service: &Service, known: &Known) -> Result<Option<ServicePointId>, String> {
    let Some(code) = &service.measured_by else { return Ok(None) };
    let point = known.points.get(code).map(|(point, _)| point.id);
    let point = point.ok_or_else(|| format!("measured_by: there is no service '{code}': its own row comes first"))?;
    let metered = known.installed_meter.contains_key(&point);
    if metered { Ok(Some(point)) } else { Err(format!("measured_by: service '{code}' has no meter")) }
}

/// A premise's next customer: the terms are those of the row, the meter is the one that is there.
fn place_next(service: &Service, point: &ServicePointRow, ended: NaiveDate, known: &mut Known, plan: &mut Plan) -> Verdict {
    match service.start_on {
        None => {
            return Verdict::Refused(format!("start_on: service '{}' ended on {ended}: expected the first day of the next customer", service.code));
        }
        Some(start) if start < ended => {
            return Verdict::Refused(format!("start_on: service '{}' was served to another customer until {ended}, after {start}", service.code));
        }
        Some(_) => {}
    }
    let meter = known.meters.get(&service.serial).copied();
    if service.has_meter() && (meter.is_none() || known.installed_meter.get(&point.id).copied() != meter) {
        return Verdict::Refused(format!(
            "meter_id: service '{}' has another meter: an exchange comes with its readings in `aquabills import exchanges`",
            service.code
        ));
    }
    let measured_at = match measured_at(service, known) {
        Ok(point) => point,
        Err(reason) => return Verdict::Refused(reason),
    };
    let account_id = account_of(service, known, plan);
    let agreement = new_agreement(service, account_id, point.id, measured_at, plan);
    known.agreements.insert(point.id, agreement.clone());
    plan.services.agreements.push(agreement);
    Verdict::Accepted
}

/// A meter that was in use elsewhere comes with the day it was put in here, not before it was taken out there, and with
/// the register that it has: else the former customer's reads would be billed to the new one.
fn used_again(service: &Service, known: &Known) -> Result<(), String> {
    let Some(meter) = known.meters.get(&service.serial) else { return Ok(()) };
    if let Some(register) = known.registers.get(&(*meter, service.register.clone()))
        && !same_register(service, register)
    {
        return Err(format!("register_digits: the register of meter '{}' has other digits, multiplier or unit", service.serial));
    }
    match (known.taken_out.get(meter), service.installed_on) {
        (Some(removed), None) => Err(format!(
            "installed_on: meter '{}' was in use elsewhere until {removed}: expected the day on which it was put in here",
            service.serial
        )),
        (Some(removed), Some(installed)) if installed < *removed => {
            Err(format!("installed_on: meter '{}' was in use elsewhere until {removed}, after {installed}", service.serial))
        }
        _ => Ok(()),
    }
}

fn same_register(service: &Service, register: &RegisterRow) -> bool {
    register.digits == service.digits && register.multiplier_milli == service.multiplier_milli && register.unit == service.unit
}

fn account_of(service: &Service, known: &mut Known, plan: &mut Plan) -> AccountId {
    if let Some(account) = known.accounts.get(&service.account).cloned() {
        rename(service, account.person_id, known, plan);
        return account.id;
    }
    let person = PersonRow {
        id: PersonId(provisional(plan.services.persons.len())),
        name: service.name.clone().unwrap_or_else(|| format!("Customer {}", service.account)),
        email: service.email.clone(),
    };
    let account = AccountRow { id: AccountId(provisional(plan.services.accounts.len())), number: service.account.clone(), person_id: person.id };
    let id = account.id;
    known.accounts.insert(service.account.clone(), account.clone());
    known.persons.insert(person.id, person.clone());
    plan.services.persons.push(person);
    plan.services.accounts.push(account);
    id
}

fn install_meter(service: &Service, point: ServicePointId, known: &mut Known, plan: &mut Plan) {
    let meter_id = if let Some(id) = known.meters.get(&service.serial) {
        *id
    } else {
        let meter = MeterRow { id: MeterId(provisional(plan.meters.meters.len())), serial: service.serial.clone() };
        let id = meter.id;
        plan.meters.meters.push(meter);
        id
    };
    known.meters.insert(service.serial.clone(), meter_id);
    known.installed_at.insert(meter_id, point);
    known.installed_meter.insert(point, meter_id);
    plan.meters.installations.push(InstallationRow {
        id: InstallationId(provisional(plan.meters.installations.len())),
        meter_id,
        service_point_id: point,
        installed_on: service.installed_on,
        removed_on: None,
    });
    if !known.registers.contains_key(&(meter_id, service.register.clone())) {
        add_register(service, meter_id, known, plan);
    }
}

fn add_register(service: &Service, meter_id: MeterId, known: &mut Known, plan: &mut Plan) {
    let register = RegisterRow {
        id: RegisterId(provisional(plan.meters.registers.len())),
        meter_id,
        code: service.register.clone(),
        digits: service.digits,
        multiplier_milli: service.multiplier_milli,
        unit: service.unit.clone(),
    };
    known.registers.insert((meter_id, service.register.clone()), register.clone());
    plan.meters.registers.push(register);
}

/// A service that is there already: a further register of its meter is added, contact details are brought up to
/// date, anything that would change its price is refused.
fn place_existing(service: &Service, point: &ServicePointRow, premise: &PremiseRow, known: &mut Known, plan: &mut Plan) -> Verdict {
    let Some(agreement) = known.agreements.get(&point.id) else {
        return Verdict::Refused(format!("service_id: service '{}' is not known with any agreement", service.code));
    };
    let account = known.accounts.get(&service.account).map(|account| account.id);
    let was = |row: &&AgreementRow| {
        row.service_point_id == point.id && Some(row.account_id) == account && service.start_on.is_none_or(|start| row.start_on == Some(start))
    };
    if known.ended.iter().filter(was).any(|row| service.end_on.is_none() || service.end_on == row.end_on) && Some(agreement.account_id) != account {
        return Verdict::Unchanged;
    }
    let same_again = service.start_on == agreement.start_on || (service.start_on.is_none() && service.end_on == agreement.end_on);
    if let Some(ended) = agreement.end_on.filter(|_| !same_again) {
        return place_next(service, point, ended, known, plan);
    }
    if let Some(ended) = agreement.end_on.filter(|ended| service.end_on != Some(*ended)) {
        return Verdict::Refused(format!("service_id: service '{}' ended on {ended}", service.code));
    }
    let Some(account) = known.accounts.get(&service.account).filter(|account| account.id == agreement.account_id) else {
        return Verdict::Refused(format!("customer_id: service '{}' belongs to another customer", service.code));
    };
    if let Err(reason) = same_terms(service, agreement) {
        return Verdict::Refused(reason);
    }
    if !service.has_meter() {
        let person_id = account.person_id;
        return place_known(service, point, premise, person_id, known, plan);
    }
    let meter = known.meters.get(&service.serial).copied();
    let (Some(meter), true) = (meter, known.installed_meter.get(&point.id).copied() == meter) else {
        return Verdict::Refused(format!(
            "meter_id: service '{}' has another meter: an exchange comes with its readings in `aquabills import exchanges`",
            service.code
        ));
    };
    let person_id = account.person_id;
    let Some(register) = known.registers.get(&(meter, service.register.clone())) else {
        add_register(service, meter, known, plan);
        return Verdict::Accepted;
    };
    if !same_register(service, register) {
        return Verdict::Refused(format!("register_digits: the register of meter '{}' has other digits, multiplier or unit", service.serial));
    }
    place_known(service, point, premise, person_id, known, plan)
}

/// What may change of a service that is there: its end, and who and where it is.
fn place_known(service: &Service, point: &ServicePointRow, premise: &PremiseRow, person_id: PersonId, known: &mut Known, plan: &mut Plan) -> Verdict {
    let ended = match end(service, point.id, known, plan) {
        Ok(ended) => ended,
        Err(reason) => return Verdict::Refused(reason),
    };
    let renamed = rename(service, person_id, known, plan);
    if update_contact(service, premise, known, plan) || renamed || ended { Verdict::Accepted } else { Verdict::Unchanged }
}

fn same_terms(service: &Service, agreement: &AgreementRow) -> Result<(), String> {
    let differs = |field: &str, now: &str| format!("{field}: service '{}' has '{now}': a change of terms is not an import", service.code);
    if agreement.rate_class != service.rate_class {
        return Err(differs("rate_class", &agreement.rate_class));
    }
    if agreement.schedule != service.schedule {
        return Err(differs("schedule", &agreement.schedule));
    }
    if agreement.cycle != service.cycle {
        return Err(differs("cycle", &agreement.cycle));
    }
    if agreement.attributes != service.attributes {
        return Err(differs("attributes", &agreement.attributes));
    }
    match service.start_on {
        Some(start) if agreement.start_on != Some(start) => {
            Err(differs("start_on", &agreement.start_on.map_or_else(|| "no date".to_owned(), |date| date.to_string())))
        }
        _ => Ok(()),
    }
}

/// A last day that the row brings ends the agreement; an ended one is not opened again by an import.
fn end(service: &Service, point: ServicePointId, known: &mut Known, plan: &mut Plan) -> Result<bool, String> {
    let (Some(on), Some(agreement)) = (service.end_on, known.agreements.get_mut(&point)) else { return Ok(false) };
    if agreement.end_on.is_some() || agreement.id.0 < 0 {
        return Ok(false);
    }
    if let Some(start) = agreement.start_on.filter(|start| *start > on) {
        return Err(format!("end_on: service '{}' begins on {start}, after {on}", service.code));
    }
    if let Some(billed) = known.billed_through.get(&agreement.id).filter(|billed| **billed > on) {
        return Err(format!("end_on: service '{}' is billed through {billed}, beyond {on}: take that bill back first", service.code));
    }
    agreement.end_on = Some(on);
    plan.ends.push((agreement.id, on));
    Ok(true)
}

fn rename(service: &Service, person_id: PersonId, known: &mut Known, plan: &mut Plan) -> bool {
    let Some(person) = known.persons.get_mut(&person_id) else { return false };
    let name = service.name.clone().unwrap_or_else(|| person.name.clone());
    let email = service.email.clone().or_else(|| person.email.clone());
    if person.name == name && person.email == email {
        return false;
    }
    person.name = name;
    person.email = email;
    // A person who is new in this batch has no row to update: the planned row itself gets the name.
    match plan.services.persons.iter_mut().find(|planned| planned.id == person_id) {
        Some(planned) => *planned = person.clone(),
        None => plan.persons.push(person.clone()),
    }
    true
}

fn update_contact(service: &Service, premise: &PremiseRow, known: &mut Known, plan: &mut Plan) -> bool {
    let Some(address) = service.address.as_ref().filter(|address| **address != premise.address && premise.id.0 > 0) else { return false };
    let premise = PremiseRow { id: premise.id, address: address.clone() };
    if let Some((_, known)) = known.points.get_mut(&service.code) {
        *known = premise.clone();
    }
    plan.premises.push(premise);
    true
}

/// Gives the planned rows their real ids and writes them.
fn write(conn: &mut DbConnection, mut plan: Plan) -> Result<(), ActionError> {
    let mut ids = |table, count| customers::reserve(&mut *conn, table, count).map(Iterator::collect::<Vec<i64>>);
    let persons = ids("person", plan.services.persons.len())?;
    let accounts = ids("account", plan.services.accounts.len())?;
    let premises = ids("premise", plan.services.premises.len())?;
    let points = ids("service_point", plan.services.service_points.len())?;
    let agreements = ids("service_agreement", plan.services.agreements.len())?;
    let meters = ids("meter", plan.meters.meters.len())?;
    let registers = ids("register", plan.meters.registers.len())?;
    let installations = ids("installation", plan.meters.installations.len())?;
    for row in &mut plan.services.persons {
        settle(&mut row.id.0, &persons);
    }
    for row in &mut plan.services.accounts {
        settle(&mut row.id.0, &accounts);
        settle(&mut row.person_id.0, &persons);
    }
    for row in &mut plan.services.premises {
        settle(&mut row.id.0, &premises);
    }
    for row in &mut plan.services.service_points {
        settle(&mut row.id.0, &points);
        settle(&mut row.premise_id.0, &premises);
    }
    for row in &mut plan.services.agreements {
        settle(&mut row.id.0, &agreements);
        settle(&mut row.account_id.0, &accounts);
        settle(&mut row.service_point_id.0, &points);
        if let Some(measured_at) = &mut row.measured_at {
            settle(&mut measured_at.0, &points);
        }
    }
    for row in &mut plan.meters.meters {
        settle(&mut row.id.0, &meters);
    }
    for row in &mut plan.meters.registers {
        settle(&mut row.id.0, &registers);
        settle(&mut row.meter_id.0, &meters);
    }
    for row in &mut plan.meters.installations {
        settle(&mut row.id.0, &installations);
        settle(&mut row.meter_id.0, &meters);
        settle(&mut row.service_point_id.0, &points);
    }
    customers::insert_services(conn, &plan.services)?;
    metering::insert_meters(conn, &plan.meters)?;
    for person in &plan.persons {
        customers::update_person(conn, person)?;
    }
    for premise in &plan.premises {
        customers::update_premise(conn, premise)?;
    }
    for (agreement, on) in &plan.ends {
        // One that ended meanwhile keeps its day.
        let _ = customers::end_agreement(conn, *agreement, *on)?;
    }
    Ok(())
}

/// Replaces a provisional id by the reserved one at its place; a real id stays.
fn settle(id: &mut i64, reserved: &[i64]) {
    if let Some(real) = usize::try_from(-1 - *id).ok().and_then(|index| reserved.get(index)) {
        *id = *real;
    }
}
