//! One connection type over both databases, and the pool's way to make one.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::r2d2::ManageConnection;
use diesel::result::{ConnectionError, ConnectionResult};

use super::OpenError;

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// SQLite, inside the program.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
}

/// A connection to either database.
#[derive(diesel::MultiConnection)]
pub enum DbConnection {
    /// To SQLite.
    Sqlite(SqliteConnection),
    /// To PostgreSQL.
    Postgres(PgConnection),
}

/// Compiles one body for each backend: for what the derived connection cannot express (batches, upserts, locks).
macro_rules! each_backend {
    ($conn:expr, $inner:ident => $body:expr) => {
        match $conn {
            $crate::db::DbConnection::Sqlite($inner) => $body,
            $crate::db::DbConnection::Postgres($inner) => $body,
        }
    };
}
pub(super) use each_backend;

/// A pooled connection with a mark for "throw away".
pub struct Manager {
    backend: Backend,
    address: String,
}

/// What the pool holds.
pub struct Managed {
    conn: DbConnection,
    broken: bool,
}

impl Managed {
    /// Marks the connection, so that the pool does not hand it out again.
    pub(super) fn give_up(&mut self) {
        self.broken = true;
    }
}

impl std::ops::Deref for Managed {
    type Target = DbConnection;
    fn deref(&self) -> &DbConnection {
        &self.conn
    }
}

impl std::ops::DerefMut for Managed {
    fn deref_mut(&mut self) -> &mut DbConnection {
        &mut self.conn
    }
}

impl Manager {
    /// Tells the database from its address.
    pub(super) fn new(address: &str) -> Result<Self, OpenError> {
        if address.starts_with("postgres://") || address.starts_with("postgresql://") {
            return Ok(Self { backend: Backend::Postgres, address: address.to_owned() });
        }
        let file = address.strip_prefix("sqlite://").unwrap_or(address);
        if file.is_empty() || file.contains("://") || file.contains(":memory:") {
            return Err(OpenError::Address(address.to_owned()));
        }
        Ok(Self { backend: Backend::Sqlite, address: file.to_owned() })
    }

    pub(super) fn exists(&self) -> bool {
        self.backend == Backend::Postgres || std::path::Path::new(&self.address).exists()
    }

    pub(super) fn backend(&self) -> Backend {
        self.backend
    }

    /// Once for each database: readers beside a writer (WAL) is a property of the SQLite file.
    pub(super) fn prepare(&self) -> ConnectionResult<()> {
        let mut conn = self.establish()?;
        if let DbConnection::Sqlite(conn) = &mut conn {
            // Larger pages than SQLite's own choice, before the file has its first: a segment with its working fits
            // into a page and needs no overflow pages, which nearly halves the time of pricing.
            conn.batch_execute("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL").map_err(ConnectionError::CouldntSetupConfiguration)?;
        }
        Ok(())
    }

    fn establish(&self) -> ConnectionResult<DbConnection> {
        match self.backend {
            Backend::Sqlite => {
                let mut conn = SqliteConnection::establish(&self.address)?;
                // The timeout first: the pragmas after it may already have to wait. Recursive triggers, because
                // without them REPLACE deletes a row past the triggers that forbid it.
                conn.batch_execute(
                    "PRAGMA busy_timeout = 30000; PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON; PRAGMA synchronous = FULL; \
                     PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 8000; \
                     PRAGMA trusted_schema = OFF;",
                )
                .map_err(ConnectionError::CouldntSetupConfiguration)?;
                Ok(DbConnection::Sqlite(conn))
            }
            Backend::Postgres => {
                let mut conn = PgConnection::establish(&self.address)?;
                conn.batch_execute("SET timezone = 'UTC'; SET client_min_messages = warning; SET jit = off")
                    .map_err(ConnectionError::CouldntSetupConfiguration)?;
                Ok(DbConnection::Postgres(conn))
            }
        }
    }
}

impl ManageConnection for Manager {
    type Connection = Managed;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Managed, Self::Error> {
        let conn = self.establish().map_err(diesel::r2d2::Error::ConnectionError)?;
        Ok(Managed { conn, broken: false })
    }

    fn is_valid(&self, conn: &mut Managed) -> Result<(), Self::Error> {
        conn.batch_execute("SELECT 1").map_err(diesel::r2d2::Error::QueryError)
    }

    fn has_broken(&self, conn: &mut Managed) -> bool {
        conn.broken || std::thread::panicking()
    }
}
