//! A synthetic town for measurements: as many accounts as asked for, each with one service, two reads, one payment.

use chrono::{Days, NaiveDate, NaiveDateTime};

use super::payments::{NewPayment, post_many};
use super::tariffs::store_tariff;
use super::{ActionError, Context};
use crate::db::customers::{self, AccountRow, AgreementRow, NewServices, PersonRow, PremiseRow, ServicePointRow};
use crate::db::metering::{self, InstallationRow, MeterRow, NewMeters, ReadRow, RegisterRow};
use crate::db::provider_payments::{self, NewCheckout, NewProviderPayment};
use crate::db::{inbox, operations};
use crate::domain::ids::{AccountId, AgreementId, InstallationId, MeterId, PersonId, PremiseId, ReadId, RegisterId, ServicePointId};
use crate::domain::ledger::Tender;
use crate::domain::money::Money;

/// A four-tier tariff with a fixed charge.
const TARIFF: &str = "\
metadata:
  effective_date: 2020-01-01
  utility_name: Benchmark town
  bill_frequency: monthly
  bill_unit: ccf
rate_structure:
  RESIDENTIAL_SINGLE:
    service_charge: 12.50
    tier_starts: [0, 8, 15, 31]
    tier_prices: [2.15, 3.40, 5.05, 8.90]
    commodity_charge: Tiered
    bill: service_charge+commodity_charge
";

const BATCH: u32 = 5_000;

/// Seeds the town into an empty database and returns the day of its second reads.
///
/// # Errors
/// [`ActionError::Refused`] when the database has accounts already.
pub fn seed_town(context: &Context, accounts: u32, progress: &dyn Fn(u32)) -> Result<NaiveDate, ActionError> {
    let present = context.database.read(|conn| customers::accounts_after(conn, AccountId(0), 1))?;
    if !present.is_empty() {
        return Err(ActionError::Refused("the database has accounts already: measure on an empty one".to_owned()));
    }
    store_tariff(context, "benchmark.owrs", TARIFF)?;
    let today = context.today();
    let second = today.checked_sub_days(Days::new(1)).unwrap_or(today);
    let first = second.checked_sub_days(Days::new(30)).unwrap_or(second);
    let mut done = 0;
    while done < accounts {
        let count = BATCH.min(accounts - done);
        seed_batch(context, i64::from(done), i64::from(count), first, second)?;
        done += count;
        if done.is_multiple_of(100_000) || done == accounts {
            progress(done);
        }
    }
    context.database.refresh_statistics()?;
    Ok(second)
}

/// Usage between 0 and 40 units in thousandths, spread without a pattern but the same in every measurement.
fn usage_milli(number: i64) -> i64 {
    let mixed = number.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
    ((mixed >> 33) & 0xFFFF) * 40 / 0xFFFF * 1000
}

fn seed_batch(context: &Context, offset: i64, count: i64, first: NaiveDate, second: NaiveDate) -> Result<(), ActionError> {
    let accounts = context.database.write(|conn| {
        let size = usize::try_from(count).unwrap_or(0);
        let mut ids = |table| customers::reserve(&mut *conn, table, size).map(Iterator::collect::<Vec<_>>);
        let columns = [
            ids("person")?,
            ids("account")?,
            ids("premise")?,
            ids("service_point")?,
            ids("service_agreement")?,
            ids("meter")?,
            ids("register")?,
            ids("installation")?,
        ];
        let reads: Vec<i64> = customers::reserve(conn, "meter_read", size * 2)?.collect();
        let mut batch = Batch::default();
        for index in 0..size {
            let ids = columns.each_ref().map(|column| column.get(index).copied().unwrap_or_default());
            let number = offset + i64::try_from(index).unwrap_or(0) + 1;
            batch.add_service(ids, number);
            let opening = (number % 50_000) * 1000;
            batch.add_read(&reads, ids[6], first, opening);
            batch.add_read(&reads, ids[6], second, opening + usage_milli(number));
        }
        customers::insert_services(conn, &batch.services)?;
        metering::insert_meters(conn, &batch.meters)?;
        metering::insert_reads(conn, &batch.reads)?;
        Ok::<_, ActionError>(batch.services.accounts)
    })?;
    let payments: Vec<NewPayment> = accounts.iter().map(|account| payment(account, second)).collect();
    post_many(context, &payments)
}

/// Our own name of an attempt to pay that [`begin_attempts`] begins.
#[must_use]
pub fn attempt_token(number: usize) -> String {
    format!("bench-{number:08}")
}

/// Begins attempts to pay, as customers do before a provider tells of them: `count` of them from `first` on, one account after the
/// other.
///
/// # Errors
/// Those of the database.
pub fn begin_attempts(context: &Context, provider: &str, merchant: &str, first: usize, count: usize) -> Result<(), ActionError> {
    let accounts: Vec<AccountId> =
        context.database.read(|conn| customers::accounts_after(conn, AccountId(0), i64::MAX))?.into_iter().map(|account| account.id).collect();
    let numbers: Vec<usize> = (first..first + count).collect();
    for numbers in numbers.chunks(1_000) {
        context.database.write(|conn| {
            let now = context.now();
            for number in numbers {
                let Some(account) = accounts.get(number % accounts.len().max(1)) else { continue };
                let checkout = NewCheckout {
                    token: attempt_token(*number),
                    form_key: attempt_token(*number),
                    provider: provider.to_owned(),
                    merchant: merchant.to_owned(),
                    purpose: "pay".to_owned(),
                    amount_cents: 5_000,
                    login_id: None,
                    status: "created".to_owned(),
                    created_at: now,
                    updated_at: now,
                };
                let parts = [(*account, checkout.amount_cents)];
                let id = provider_payments::insert_checkout(conn, &checkout, &parts)?;
                let begun = NewProviderPayment {
                    provider: checkout.provider,
                    merchant: checkout.merchant,
                    provider_ref: None,
                    checkout_id: Some(id),
                    state: "created".to_owned(),
                    amount_cents: checkout.amount_cents,
                    currency: context.config.currency.clone(),
                    tender: "card".to_owned(),
                    made_on: context.today(),
                    trace_id: checkout.token,
                    created_at: now,
                    updated_at: now,
                };
                let begun = provider_payments::insert(conn, &begun)?;
                provider_payments::set_parts(conn, begun, &parts)?;
            }
            Ok::<_, ActionError>(())
        })?;
    }
    context.database.refresh_statistics()?;
    Ok(())
}

/// When the events of these attempts were applied, by the number of the attempt; those that were not are missing.
///
/// # Errors
/// Those of the database.
pub fn posted_at(context: &Context, provider: &str, first: usize, count: usize) -> Result<Vec<(usize, NaiveDateTime)>, ActionError> {
    let rows = context.database.read(|conn| inbox::applied_by_token(conn, provider, &attempt_token(first), &attempt_token(first + count)))?;
    let number = |token: &str| token.strip_prefix("bench-").and_then(|number| number.parse().ok());
    Ok(rows.into_iter().filter_map(|(token, at)| Some((number(&token)?, at))).collect())
}

fn payment(account: &AccountRow, on: NaiveDate) -> NewPayment {
    NewPayment {
        account_id: account.id,
        amount: Money::from_cents(1_000 + account.id.0 % 5_000),
        effective_on: on,
        tender: Tender::Transfer,
        provider: "bench".to_owned(),
        reference: account.number.clone(),
    }
}

/// The rows of a batch of accounts.
#[derive(Default)]
struct Batch {
    services: NewServices,
    meters: NewMeters,
    reads: Vec<ReadRow>,
}

impl Batch {
    fn add_service(&mut self, ids: [i64; 8], number: i64) {
        let [person, account, premise, point, agreement, meter, register, installation] = ids;
        self.services.persons.push(PersonRow { id: PersonId(person), name: format!("Customer {number}"), email: None });
        self.services.accounts.push(AccountRow { id: AccountId(account), number: format!("{number:08}"), person_id: PersonId(person) });
        self.services.premises.push(PremiseRow { id: PremiseId(premise), address: String::new() });
        self.services.service_points.push(ServicePointRow {
            id: ServicePointId(point),
            code: format!("S{number:08}"),
            premise_id: PremiseId(premise),
        });
        self.services.agreements.push(AgreementRow {
            id: AgreementId(agreement),
            account_id: AccountId(account),
            service_point_id: ServicePointId(point),
            schedule: "water".to_owned(),
            rate_class: "RESIDENTIAL_SINGLE".to_owned(),
            cycle: "main".to_owned(),
            attributes: "{}".to_owned(),
            start_on: None,
            end_on: None,
            measured_at: None,
        });
        self.meters.meters.push(MeterRow { id: MeterId(meter), serial: format!("M{number:08}") });
        self.meters.registers.push(RegisterRow {
            id: RegisterId(register),
            meter_id: MeterId(meter),
            code: "1".to_owned(),
            digits: 5,
            multiplier_milli: 1000,
            unit: None,
        });
        self.meters.installations.push(InstallationRow {
            id: InstallationId(installation),
            meter_id: MeterId(meter),
            service_point_id: ServicePointId(point),
            installed_on: None,
            removed_on: None,
        });
    }

    fn add_read(&mut self, ids: &[i64], register: i64, read_on: NaiveDate, reading_milli: i64) {
        let id = ReadId(ids.get(self.reads.len()).copied().unwrap_or_default());
        let register_id = RegisterId(register);
        self.reads.push(ReadRow { id, register_id, read_on, reading_milli, kind: "actual".to_owned(), status: "accepted".to_owned(), basis: None });
    }
}

/// How many rows the tables that a run writes hold.
///
/// # Errors
/// Those of the database.
pub fn rows_in_tables(context: &Context) -> Result<i64, ActionError> {
    Ok(context.database.read(operations::rows_written_by_runs)?)
}
