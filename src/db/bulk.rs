//! Inserting many rows at once, each backend in its quickest safe way.

/// Inserts a slice of rows: COPY on PostgreSQL (triggers and constraints apply), one prepared statement run for
/// each row on SQLite.
macro_rules! insert_all {
    ($conn:expr, $table:expr, $rows:expr) => {{
        use diesel::RunQueryDsl;
        let rows: &[_] = $rows;
        if rows.is_empty() {
            Ok(0)
        } else {
            match $conn {
                $crate::db::DbConnection::Sqlite(conn) => {
                    let mut inserted = 0;
                    let mut outcome = Ok(());
                    for row in rows {
                        match diesel::insert_into($table).values(row).execute(conn) {
                            Ok(count) => inserted += count,
                            Err(error) => {
                                outcome = Err(error);
                                break;
                            }
                        }
                    }
                    outcome.map(|()| inserted)
                }
                $crate::db::DbConnection::Postgres(conn) => {
                    use diesel::ExecuteCopyFromDsl;
                    diesel::copy_from($table).from_insertable(rows).execute(conn)
                }
            }
        }
    }};
}
pub(super) use insert_all;

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::DbConnection;

/// Ids as the inside of an SQL list, `NULL` when there are none: an empty list is no SQL on PostgreSQL, and nothing
/// equals NULL.
pub(super) fn in_list(ids: impl IntoIterator<Item = i64>) -> String {
    let list = ids.into_iter().map(|id| id.to_string()).collect::<Vec<_>>().join(",");
    if list.is_empty() { "NULL".to_owned() } else { list }
}

#[derive(QueryableByName)]
struct Reserved {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// Reserves `count` ids of a table, in ascending order, for rows that must know theirs before they are inserted.
///
/// On SQLite the write lock that the transaction holds makes "one more than the largest" safe; on PostgreSQL the
/// table's own sequence gives them out.
pub(super) fn reserve_ids(conn: &mut DbConnection, table: &'static str, count: usize) -> QueryResult<Vec<i64>> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    match conn {
        DbConnection::Sqlite(conn) => {
            let first = diesel::sql_query(format!("SELECT coalesce(max(id), 0) + 1 AS id FROM {table}")).get_result::<Reserved>(conn)?.id;
            Ok((first..first + count).collect())
        }
        DbConnection::Postgres(conn) => {
            let sql = format!("SELECT nextval(pg_get_serial_sequence('{table}', 'id')) AS id FROM generate_series(1, $1)");
            let mut ids: Vec<i64> = diesel::sql_query(sql).bind::<BigInt, _>(count).load::<Reserved>(conn)?.into_iter().map(|row| row.id).collect();
            ids.sort_unstable();
            Ok(ids)
        }
    }
}
