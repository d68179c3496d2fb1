//! The account that a verb is told of by its number.

use super::ActionError;
use crate::db::DbConnection;
use crate::db::customers::{self, AccountRow};

/// The account with this number.
///
/// # Errors
/// [`ActionError::NotFound`] when there is none, or those of the database.
pub fn account_named(conn: &mut DbConnection, number: &str) -> Result<AccountRow, ActionError> {
    customers::account_by_number(conn, number)?.ok_or_else(|| ActionError::not_found("account", number))
}
