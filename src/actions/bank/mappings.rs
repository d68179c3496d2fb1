//! How banks lay out their CSV files, saved by name.

use crate::actions::{ActionError, Context};
use crate::db::bank::{self, MappingRow};
use crate::db::operations;
use crate::formats::bank::CsvMapping;

/// A mapping's text is not larger.
const LARGEST_BYTES: usize = 64 * 1024;
/// No more mappings are listed.
const MOST_LISTED: i64 = 1_000;

/// Saves a mapping, given as TOML, under a name; one with that name is replaced. Gives back what whoever saves it should know.
///
/// # Errors
/// [`ActionError::Refused`] for a name that is none, [`ActionError::Form`] for a text that is no mapping or one that cannot be
/// used.
pub fn save(context: &Context, name: &str, source: &str, text: &str) -> Result<Option<&'static str>, ActionError> {
    check_name(name)?;
    if text.len() > LARGEST_BYTES {
        return Err(ActionError::Form(format!("{source}: it has {} bytes: expected at most {LARGEST_BYTES}", text.len())));
    }
    let warning = parse(source, text)?.warning();
    context.database.write(|conn| {
        let now = context.now();
        let row = MappingRow { name: name.to_owned(), settings: text.to_owned(), saved_by: context.actor.clone(), saved_at: now };
        bank::save_mapping(conn, &row)?;
        operations::audit(conn, now, &context.actor, "bank.mapping_save", name, source)?;
        Ok(warning)
    })
}

/// A mapping's text and who saved it.
///
/// # Errors
/// [`ActionError::NotFound`] when there is none.
pub fn show(context: &Context, name: &str) -> Result<MappingRow, ActionError> {
    context.database.read(|conn| bank::mapping(conn, name))?.ok_or_else(|| ActionError::not_found("mapping", name))
}

/// The saved mappings, by name.
///
/// # Errors
/// Those of the database.
pub fn list(context: &Context) -> Result<Vec<MappingRow>, ActionError> {
    Ok(context.database.read(|conn| bank::mappings(conn, MOST_LISTED))?)
}

/// Removes a mapping. Files that were read by it stay as they are.
///
/// # Errors
/// [`ActionError::NotFound`] when there is none.
pub fn remove(context: &Context, name: &str) -> Result<(), ActionError> {
    context.database.write(|conn| {
        if bank::remove_mapping(conn, name)? == 0 {
            return Err(ActionError::not_found("mapping", name));
        }
        operations::audit(conn, context.now(), &context.actor, "bank.mapping_remove", name, "")?;
        Ok(())
    })
}

/// A saved mapping, ready to read by.
pub(super) fn load(context: &Context, name: &str) -> Result<CsvMapping, ActionError> {
    let row = show(context, name)?;
    parse(&format!("mapping '{name}'"), &row.settings)
}

fn parse(source: &str, text: &str) -> Result<CsvMapping, ActionError> {
    let mapping: CsvMapping = toml::from_str(text).map_err(|error| ActionError::Form(format!("{source}: {error}")))?;
    mapping.check().map_err(|error| ActionError::Form(format!("{source}: {error}")))?;
    Ok(mapping)
}

fn check_name(name: &str) -> Result<(), ActionError> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if !name.is_empty() && name.len() <= 40 && name.chars().all(fits) {
        return Ok(());
    }
    Err(ActionError::Refused(format!("name: '{name}': expected up to 40 letters, digits, '-', '_' and '.'")))
}
