//! The schema's versions, built into the program: the same names for both databases.

use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::DbConnection;

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Applies what is missing, each migration in a transaction of its own.
pub(super) fn run(conn: &mut DbConnection) -> Result<(), String> {
    let outcome = match conn {
        DbConnection::Sqlite(conn) => conn.run_pending_migrations(SQLITE).map(|_| ()),
        DbConnection::Postgres(conn) => {
            // Two programs that start at once must not both migrate.
            use diesel::connection::SimpleConnection;
            conn.batch_execute("SELECT pg_advisory_lock(7140)").map_err(|error| error.to_string())?;
            let outcome = conn.run_pending_migrations(POSTGRES).map(|_| ());
            conn.batch_execute("SELECT pg_advisory_unlock(7140)").map_err(|error| error.to_string())?;
            outcome
        }
    };
    outcome.map_err(|error| error.to_string())
}
