//! What the staff's pages of one service show: who had it through time, on what terms, by which meters and reads.

use std::collections::BTreeMap;

use chrono::{NaiveDate, NaiveDateTime};

use super::sign_in::looked_at;
use super::tariffs::load_book;
use super::{ActionError, Context};
use crate::db::customers::TermRow;
use crate::db::operations::AuditRow;
use crate::db::service_views::{self, InstalledRegister, NamedAccount, ServiceRead, TenancyCard};
use crate::db::{DbConnection, customers, operations};
use crate::domain::ids::AccountId;

/// Rows of one kind that are shown.
const MOST: i64 = 200;
/// Reads that are shown; the accounts' own lists have the rest.
const READS: i64 = 40;
/// Events of the trail that are shown.
const EVENTS: i64 = 20;

/// Names and values.
pub type Pairs = Vec<(String, String)>;

/// A service with everything around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePage {
    /// The service's id in files.
    pub code: String,
    /// Where.
    pub address: String,
    /// Who takes it over between two tenants.
    pub owner: Option<NamedAccount>,
    /// Who has or had it, newest first.
    pub agreements: Vec<Tenancy>,
    /// The other services at the premise with who has each.
    pub neighbours: Vec<(String, Option<NamedAccount>)>,
    /// Services that the account in force has at other premises.
    pub elsewhere: Vec<String>,
    /// Registers of the meters that are or were here, those in place first.
    pub registers: Vec<InstalledRegister>,
    /// Registers in place at the premise, this service's and the others'.
    pub at_premise: Vec<InstalledRegister>,
    /// The last reads, newest first.
    pub reads: Vec<ServiceRead>,
    /// The last changes, newest first.
    pub events: Vec<AuditRow>,
}

/// An agreement through time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenancy {
    /// Whose.
    pub account: NamedAccount,
    /// First day, when known.
    pub start_on: Option<NaiveDate>,
    /// Last day, once it ended.
    pub end_on: Option<NaiveDate>,
    /// The tariff schedule.
    pub schedule: String,
    /// The bill cycle.
    pub cycle: String,
    /// The end of its last billed period.
    pub billed_through: Option<NaiveDate>,
    /// Its terms, those of the start first: the last of them hold now or will.
    pub terms: Vec<TermsFrom>,
}

impl Tenancy {
    /// The terms that it came to.
    #[must_use]
    pub fn latest(&self) -> Option<&TermsFrom> {
        self.terms.last()
    }
}

/// Terms from a day on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TermsFrom {
    /// Since when; none for those of the start.
    pub since: Option<NaiveDate>,
    /// The rate class.
    pub rate_class: String,
    /// What prices it besides its usage.
    pub attributes: Pairs,
    /// When and by whom they were entered, and why; nothing for those of the start.
    pub entered: Option<(NaiveDateTime, String, String)>,
}

impl ServicePage {
    /// The agreement that is in force.
    #[must_use]
    pub fn current(&self) -> Option<&Tenancy> {
        self.agreements.first().filter(|tenancy| tenancy.end_on.is_none())
    }

    /// The meter in place: its only or first register.
    #[must_use]
    pub fn meter(&self) -> Option<&InstalledRegister> {
        self.registers.iter().find(|register| register.removed_on.is_none())
    }
}

/// A service's page, for somebody who may look; the look at each account that it names is written down.
///
/// # Errors
/// [`ActionError::NotFound`] when there is no such service.
pub fn service_page(context: &Context, code: &str) -> Result<ServicePage, ActionError> {
    let page = context.database.snapshot(|conn| load(conn, code))?;
    let mut named: Vec<&str> = page.agreements.iter().map(|tenancy| tenancy.account.number.as_str()).collect();
    named.extend(page.owner.iter().map(|owner| owner.number.as_str()));
    named.extend(page.neighbours.iter().filter_map(|(_, account)| Some(account.as_ref()?.number.as_str())));
    named.sort_unstable();
    named.dedup();
    for number in named {
        looked_at(context, number)?;
    }
    Ok(page)
}

fn load(conn: &mut DbConnection, code: &str) -> Result<ServicePage, ActionError> {
    let found = customers::service_points_by_code(conn, &[code])?.into_iter().next();
    let (point, premise) = found.ok_or_else(|| ActionError::not_found("service", code))?;
    let tenancies = service_views::tenancies_at(conn, premise.id, MOST)?;
    let terms = customers::terms_at(conn, point.id)?;
    let all = service_views::registers_at(conn, premise.id, MOST)?;
    let in_force = |service: &str| {
        let latest = tenancies.iter().find(|row| row.service_id == service).filter(|row| row.end_on.is_none())?;
        Some(NamedAccount { number: latest.account.clone(), name: latest.name.clone() })
    };
    let others = customers::points_at(conn, premise.id)?.into_iter().filter(|other| other.id != point.id);
    let neighbours = others.map(|other| (other.code.clone(), in_force(&other.code))).collect();
    let own = tenancies.iter().filter(|row| row.service_id == point.code);
    let agreements = own.map(|row| tenancy(row, &terms)).collect::<Result<_, _>>()?;
    let elsewhere = match in_force(&point.code) {
        Some(account) => service_views::services_elsewhere(conn, &account.number, premise.id)?,
        None => Vec::new(),
    };
    Ok(ServicePage {
        elsewhere,
        owner: service_views::named_owner(conn, point.id)?,
        agreements,
        neighbours,
        registers: all.iter().filter(|row| row.service_id == point.code).cloned().collect(),
        at_premise: all.into_iter().filter(|row| row.removed_on.is_none()).collect(),
        reads: service_views::reads_at(conn, point.id, READS)?,
        events: operations::audit_of_service(conn, &point.code, EVENTS)?,
        code: point.code,
        address: premise.address,
    })
}

fn tenancy(row: &TenancyCard, terms: &[TermRow]) -> Result<Tenancy, ActionError> {
    let first = TermsFrom { since: None, rate_class: row.rate_class.clone(), attributes: pairs(&row.attributes)?, entered: None };
    let mut all = vec![first];
    for later in terms.iter().filter(|terms| terms.agreement_id == row.agreement_id) {
        all.push(TermsFrom {
            since: Some(later.effective_on),
            rate_class: later.rate_class.clone(),
            attributes: pairs(&later.attributes)?,
            entered: Some((later.entered_at, later.entered_by.clone(), later.note.clone())),
        });
    }
    Ok(Tenancy {
        account: NamedAccount { number: row.account.clone(), name: row.name.clone() },
        start_on: row.start_on,
        end_on: row.end_on,
        schedule: row.schedule.clone(),
        cycle: row.cycle.clone(),
        billed_through: row.billed_through,
        terms: all,
    })
}

/// Stored attributes as names and values.
fn pairs(attributes: &str) -> Result<Pairs, ActionError> {
    let values: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(attributes).map_err(|error| ActionError::Form(format!("stored attributes cannot be read: {error}")))?;
    let text = |value: serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Ok(values.into_iter().map(|(name, value)| (name, text(value))).collect())
}

/// The rate classes of a schedule, by name.
///
/// # Errors
/// Those of the database.
pub fn rate_classes(context: &Context, schedule: &str) -> Result<Vec<String>, ActionError> {
    Ok(load_book(context)?.classes(schedule))
}

/// The last day of an account's services that have ended: how far its final bill goes.
///
/// # Errors
/// Those of the database.
pub fn last_end(context: &Context, account: AccountId) -> Result<Option<NaiveDate>, ActionError> {
    Ok(context.database.read(|conn| service_views::last_end(conn, account))?)
}
