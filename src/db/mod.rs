//! Everything that knows SQL: the connection to either database, the one way to write, and a file per table family.
//!
//! Functions here return [`QueryResult`]; what an error means to a person is decided in `actions`.
//! Raw transactions stay inside this module: [`Database::write`] is the only way to change anything, and
//! [`Database::snapshot`] the way to read several tables as of one moment.

pub mod account_views;
pub mod alarms;
pub mod approvals;
pub mod autopay;
pub mod bank;
pub mod bank_match;
pub mod bill_holds;
pub mod billing;
mod bulk;
pub mod collections;
mod connection;
pub mod customers;
pub mod desk;
pub mod drill;
pub mod inbox;
pub mod ledger;
pub mod mending;
pub mod metering;
mod migrations;
pub mod notices;
pub mod operations;
pub mod overcharges;
pub mod payments;
pub mod payouts;
pub mod policy;
pub mod provider_payments;
pub mod rates;
pub mod rebills;
pub mod reconciliation;
pub mod refunds;
pub mod schedule;
mod schema;
pub mod service_views;
pub mod sign_in;
mod sql_types;
pub mod sweep;
pub mod trace;
mod turns;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::r2d2::{Pool, PooledConnection};
use diesel::result::{DatabaseErrorKind, Error as DieselError, QueryResult};
use rand::Rng;
use thiserror::Error;

use connection::Manager;
pub use connection::{Backend, DbConnection};
use turns::Turns;

/// How often a write that lost a race is begun anew before the loss is reported.
const WRITE_ATTEMPTS: u32 = 50;
/// The longest pause between two attempts.
const LONGEST_PAUSE_MS: u64 = 400;

/// Why the database cannot be used at all.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The address is not one of a database that we know.
    #[error("'{0}' is not a database address: expected sqlite://FILE, a file name, or postgres://…")]
    Address(String),
    /// No connection.
    #[error("the database cannot be opened: {0}")]
    Connect(String),
    /// The schema cannot be brought up to date.
    #[error("the database's schema cannot be brought up to date: {0}")]
    Migrate(String),
    /// The schema is not there yet.
    #[error("the database has no schema yet, or an older one: run `aquabills migrate` first")]
    NotMigrated,
}

/// Whether a SQLite file is there; of a server only connecting can tell.
#[must_use]
pub fn exists(address: &str) -> bool {
    Manager::new(address).is_ok_and(|manager| manager.exists())
}

/// A handle on the database: a pool of connections. Cloning it is cheap.
#[derive(Clone)]
pub struct Database {
    pool: Pool<Manager>,
    backend: Backend,
    /// SQLite has one writer at a time. Queueing for it here is fair and quick; SQLite's own waiting polls.
    writer: Arc<Turns>,
}

impl Database {
    /// Opens a database by its address and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`] when it cannot be reached or migrated.
    pub fn open(address: &str, connections: u32) -> Result<Self, OpenError> {
        let database = Self::connect(address, connections)?;
        database.migrate()?;
        Ok(database)
    }

    /// Opens a database without touching its schema.
    ///
    /// # Errors
    /// [`OpenError`] when it cannot be reached.
    pub fn connect(address: &str, connections: u32) -> Result<Self, OpenError> {
        let manager = Manager::new(address)?;
        manager.prepare().map_err(|error| OpenError::Connect(error.to_string()))?;
        let backend = manager.backend();
        let pool = Pool::builder()
            .max_size(connections)
            .min_idle(Some(0))
            .connection_timeout(Duration::from_secs(30))
            .test_on_check_out(false)
            .build(manager)
            .map_err(|error| OpenError::Connect(error.to_string()))?;
        Ok(Self { pool, backend, writer: Arc::default() })
    }

    /// Brings the schema up to date.
    ///
    /// # Errors
    /// [`OpenError::Migrate`] with the migration's own words.
    pub fn migrate(&self) -> Result<(), OpenError> {
        let mut conn = self.connection().map_err(|error| OpenError::Connect(error.to_string()))?;
        migrations::run(&mut conn).map_err(OpenError::Migrate)
    }

    /// Tells the database's planner how large the tables have become: after much was imported.
    ///
    /// # Errors
    /// Those of the database.
    pub fn refresh_statistics(&self) -> QueryResult<()> {
        let statement = match self.backend {
            Backend::Sqlite => "PRAGMA optimize",
            Backend::Postgres => "ANALYZE",
        };
        self.connection()?.batch_execute(statement)
    }

    /// Which database this is.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Connections of this process's pool: all, idle, the most.
    #[must_use]
    pub fn connections(&self) -> (u32, u32, u32) {
        let state = self.pool.state();
        (state.connections, state.idle_connections, self.pool.max_size())
    }

    fn connection(&self) -> QueryResult<PooledConnection<Manager>> {
        self.pool.get().map_err(|error| DieselError::QueryBuilderError(Box::new(error)))
    }

    /// Runs a read of one statement, or of several that need not agree with each other.
    ///
    /// # Errors
    /// Those of `work`, or that no connection was free in time.
    pub fn read<T, E: From<DieselError>>(&self, work: impl FnOnce(&mut DbConnection) -> Result<T, E>) -> Result<T, E> {
        let mut conn = self.connection()?;
        work(&mut conn)
    }

    /// Runs reads that all see the database as of one moment.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub fn snapshot<T, E: From<DieselError>>(&self, work: impl FnOnce(&mut DbConnection) -> Result<T, E>) -> Result<T, E> {
        let mut conn = self.connection()?;
        let begin = match self.backend {
            Backend::Sqlite => "BEGIN DEFERRED",
            Backend::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        transaction(&mut conn, begin, work)
    }

    /// Runs `work` as one transaction that is committed whole or not at all.
    ///
    /// On SQLite the write lock is taken at the start (`BEGIN IMMEDIATE`), so nothing that was read can change
    /// before the commit. On PostgreSQL `work` locks the account rows that it posts to, in id order
    /// ([`ledger::lock_accounts`]); what still collides, on the ledger's unique keys or by deadlock, is begun
    /// anew after a short random pause. `work` may therefore run more than once and must not act outside.
    ///
    /// # Errors
    /// Those of `work`, or that the race was lost too often.
    pub fn write<T, E: From<DieselError> + LostRace>(&self, mut work: impl FnMut(&mut DbConnection) -> Result<T, E>) -> Result<T, E> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.write_once(&mut work) {
                Err(error) if error.lost_race() && attempt < WRITE_ATTEMPTS => pause(attempt),
                outcome => return outcome,
            }
        }
    }

    fn write_once<T, E: From<DieselError>>(&self, work: &mut impl FnMut(&mut DbConnection) -> Result<T, E>) -> Result<T, E> {
        let mut conn = self.connection()?;
        match self.backend {
            Backend::Sqlite => {
                let _turn = self.writer.take();
                transaction(&mut conn, "BEGIN IMMEDIATE", work)
            }
            Backend::Postgres => transaction(&mut conn, "BEGIN", work),
        }
    }
}

/// For a transaction that works on a few rows of large tables: looks everything up by index.
///
/// PostgreSQL's planner takes a chunk of accounts for a good part of a middle-sized table and reads the whole table for it, so
/// that the cost of a bill would grow with the town. And a plan that was made while a table was nearly empty (the inbox, on its
/// first day) is kept until the table is looked at again.
///
/// # Errors
/// Those of the database.
pub fn look_up_by_index(conn: &mut DbConnection) -> QueryResult<()> {
    if let DbConnection::Postgres(conn) = conn {
        conn.batch_execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")?;
    }
    Ok(())
}

/// Full jitter: a random pause up to a bound that doubles with each attempt.
fn pause(attempt: u32) {
    let bound = (1_u64 << attempt.min(16)).min(LONGEST_PAUSE_MS);
    std::thread::sleep(Duration::from_millis(rand::rng().random_range(0..=bound)));
}

fn transaction<T, E: From<DieselError>>(
    conn: &mut PooledConnection<Manager>,
    begin: &str,
    work: impl FnOnce(&mut DbConnection) -> Result<T, E>,
) -> Result<T, E> {
    conn.batch_execute(begin)?;
    let outcome = catch_unwind(AssertUnwindSafe(|| work(conn)));
    match outcome {
        Ok(Ok(value)) => match conn.batch_execute("COMMIT") {
            Ok(()) => Ok(value),
            Err(error) => {
                roll_back(conn);
                Err(error.into())
            }
        },
        Ok(Err(error)) => {
            roll_back(conn);
            Err(error)
        }
        Err(panic) => {
            roll_back(conn);
            resume_unwind(panic)
        }
    }
}

/// A rollback that fails leaves a connection in an unknown state: it is marked, and the pool throws it away.
fn roll_back(conn: &mut PooledConnection<Manager>) {
    if let Err(error) = conn.batch_execute("ROLLBACK") {
        log::warn!("a rollback failed, the connection is given up: {error}");
        conn.give_up();
    }
}

/// Tells an error that means "another writer was first, begin anew" from one that means "no".
pub trait LostRace {
    /// Whether the transaction may be begun anew.
    fn lost_race(&self) -> bool;
}

/// Unique keys that two writers may collide on; a collision means that the other was first, and that looking again
/// shows what it wrote.
const RACE_KEYS: &[&str] = &[
    "financial_transaction_account_id_account_seq_key",
    "financial_transaction.account_seq",
    "payment_provider_ref_once",
    "payment.provider_ref",
    "meter_read_once",
    "meter_read.read_on",
    "adjustment_reference_key",
    "adjustment.reference",
    "provider_payment_ref_once",
    "provider_payment.provider_ref",
    "provider_payment_checkout_id_key",
    "provider_payment.checkout_id",
    "checkout_form_key_key",
    "checkout.form_key",
    "bank_file_sha256_key",
    "bank_file.sha256",
    "bank_entry_bank_account_entry_key_key",
    "bank_entry.entry_key",
    "rebill_bill_once",
    "rebill_bill.run_id",
    "rebill_token_key",
    "rebill.token",
    "overcharge_case_once",
    "overcharge_case.cause",
    "overcharge_finding_once",
    "overcharge_finding.finding_key",
    "sweep_night_pkey",
    "sweep_night.id",
    "approval_reference_key",
    "approval.reference",
    "approval_decision_pkey",
    "approval_decision.approval_id",
    "adjustment_reversed_once",
    "adjustment_reversal.reverses_id",
    "refund_batch_medium_made_on_key",
    "refund_batch.made_on",
];

impl LostRace for DieselError {
    fn lost_race(&self) -> bool {
        match self {
            Self::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => true,
            Self::DatabaseError(DatabaseErrorKind::UniqueViolation, info) => {
                RACE_KEYS.iter().any(|key| info.constraint_name() == Some(key) || info.message().contains(key))
            }
            Self::DatabaseError(_, info) => info.message() == "deadlock detected" || info.message() == "database is locked",
            _ => false,
        }
    }
}
