//! The policy: imported as versions that are never edited, and read into the book that everything else goes by.

use std::collections::BTreeSet;
use std::path::Path;

use chrono::NaiveDate;
use serde::Serialize;

use super::tariffs::nothing_to_correct;
use super::{ActionError, Context};
use crate::db::policy::{self, PolicyVersionRow};
use crate::db::{DbConnection, operations};
use crate::domain::policy::{Policy, PolicyBook};

/// A policy file may not be larger than this, in bytes.
const LARGEST_FILE: u64 = 256 * 1024;

/// What importing a policy did.
#[derive(Debug, Serialize)]
pub struct PolicyReport {
    /// 1 when the version is new.
    pub accepted: u64,
    /// 1 when it was there already.
    pub unchanged: u64,
    /// Always 0: a policy that cannot be used is an error, not a refused row.
    pub refused: u64,
    /// What it is called.
    pub title: String,
    /// First day it holds.
    pub effective_on: NaiveDate,
    /// Which correction of that day's version it is, from 1.
    pub revision: i32,
    /// The hash of its text.
    pub sha256: String,
}

/// Imports a policy. The same text again changes nothing; another text for the same date is taken as a correction only when
/// `supersede` says so.
///
/// # Errors
/// [`ActionError::File`] when it cannot be read, [`ActionError::Form`] with place, key and what was expected,
/// [`ActionError::Refused`] when the date has another version, or none that is to be corrected.
pub fn import_policy(context: &Context, path: &Path, dry_run: bool, supersede: bool) -> Result<PolicyReport, ActionError> {
    let size = std::fs::metadata(path).map_err(|source| ActionError::file(path, source))?.len();
    if size > LARGEST_FILE {
        return Err(ActionError::Form(format!("{}: it has {size} bytes; a policy file has at most {LARGEST_FILE}", path.display())));
    }
    let text = std::fs::read_to_string(path).map_err(|source| ActionError::file(path, source))?;
    let source_name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    store(context, &source_name, &text, dry_run, supersede).map_err(|error| match error {
        ActionError::Form(message) => ActionError::Form(format!("{}: {message}", path.display())),
        ActionError::Refused(message) => ActionError::Refused(format!("{}: {message}", path.display())),
        other => other,
    })
}

/// Stores a policy that comes with the program and not from a file.
///
/// # Errors
/// As [`import_policy`].
pub fn store_policy(context: &Context, source_name: &str, text: &str) -> Result<PolicyReport, ActionError> {
    store(context, source_name, text, false, false)
}

fn store(context: &Context, source_name: &str, text: &str, dry_run: bool, supersede: bool) -> Result<PolicyReport, ActionError> {
    let policy = Policy::parse(text).map_err(|error| ActionError::Form(error.to_string()))?;
    let mut row = PolicyVersionRow {
        effective_on: policy.effective_on,
        revision: 1,
        sha256: policy.sha256,
        source_name: source_name.to_owned(),
        source: text.to_owned(),
        imported_at: context.now(),
        imported_by: context.actor.clone(),
    };
    let accepted = context.database.write(|conn| insert_if_new(context, conn, &mut row, dry_run, supersede))?;
    Ok(PolicyReport {
        accepted: u64::from(accepted),
        unchanged: u64::from(!accepted),
        refused: 0,
        title: policy.title,
        effective_on: row.effective_on,
        revision: row.revision,
        sha256: row.sha256,
    })
}

fn insert_if_new(
    context: &Context,
    conn: &mut DbConnection,
    row: &mut PolicyVersionRow,
    dry_run: bool,
    supersede: bool,
) -> Result<bool, ActionError> {
    let versions = policy::versions(conn)?;
    let in_force = versions.iter().filter(|version| version.effective_on == row.effective_on).max_by_key(|version| version.revision);
    row.revision = in_force.map_or(1, |version| version.revision);
    if in_force.is_some_and(|version| version.sha256 == row.sha256) {
        return Ok(false);
    }
    if in_force.is_some() && !supersede {
        return Err(ActionError::Refused(format!(
            "there is another policy from {}: a new one has a date of its own; to correct that one, import with --supersede",
            row.effective_on
        )));
    }
    if in_force.is_none() && supersede {
        let there: BTreeSet<String> = versions.iter().map(|version| version.effective_on.to_string()).collect();
        return Err(ActionError::Refused(nothing_to_correct("the policy has", row.effective_on, &there)));
    }
    row.revision = in_force.map_or(1, |version| version.revision + 1);
    if dry_run {
        return Ok(true);
    }
    policy::insert_version(conn, row)?;
    let detail = format!("{} revision {} {}", row.effective_on, row.revision, row.sha256);
    operations::audit(conn, row.imported_at, &context.actor, "policy.import", &row.source_name, &detail)?;
    Ok(true)
}

/// Every version of the policy.
///
/// # Errors
/// Those of the database, or [`ActionError::Form`] when a stored text no longer reads as a policy.
pub fn load_policies(context: &Context) -> Result<PolicyBook, ActionError> {
    context.database.read(policies_within)
}

/// The same within a transaction.
pub(super) fn policies_within(conn: &mut DbConnection) -> Result<PolicyBook, ActionError> {
    let mut book = PolicyBook::default();
    for row in policy::versions(conn)? {
        let broken = |error| ActionError::Form(format!("stored policy {} of {}: {error}", row.source_name, row.effective_on));
        book.add(Policy::parse(&row.source).map_err(broken)?);
    }
    Ok(book)
}

/// The policy versions' texts, the oldest first.
///
/// # Errors
/// Those of the database.
pub fn policy_versions(context: &Context) -> Result<Vec<PolicyVersionRow>, ActionError> {
    context.database.read(|conn| policy::versions(conn).map_err(ActionError::from))
}
