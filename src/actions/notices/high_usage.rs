//! Telling a customer of unusually high usage when a read is held for it: a leak costs less the sooner somebody looks.

use crate::actions::{ActionError, Context};
use crate::db::DbConnection;
use crate::db::notices as rows;
use crate::db::operations::NewToDo;
use crate::domain::ids::AgreementId;
use crate::domain::notices::{Addressee, Facts, HighUsage, NewNotice};

/// How the reason begins that a read is held for its height, after what names the read.
const COUNTS: &str = ": it counts ";
/// What that reason compares with.
const COMPARED: &str = "times this service's own average";

/// Queues a notice for each of these work items that holds a read for being high, within the transaction that raises them.
///
/// # Errors
/// Those of the database.
pub fn queue_high_usage(conn: &mut DbConnection, context: &Context, raised: &[NewToDo]) -> Result<(), ActionError> {
    let high = |todo: &NewToDo| Some((todo.agreement_id?, todo.period_end_on?, what_was_seen(&todo.reason)?));
    let high: Vec<_> = raised.iter().filter_map(high).collect();
    if high.is_empty() {
        return Ok(());
    }
    let agreements: Vec<AgreementId> = high.iter().map(|(agreement, _, _)| *agreement).collect();
    let places = rows::places(conn, &agreements)?;
    let mut news = Vec::new();
    for (agreement, read_on, detail) in high {
        let Some(place) = places.iter().find(|place| place.agreement_id == agreement) else { continue };
        news.push(NewNotice {
            key: format!("high_usage:{agreement}:{read_on}"),
            to: Addressee::Account(place.account_id),
            happened_on: read_on,
            facts: Facts::HighUsage(HighUsage { address: place.address.clone(), service_id: place.service.clone(), read_on, detail }),
        });
    }
    super::queue_many(conn, context, &news)
}

/// The customer's part of the reason: figures, without what is for the clerk only.
fn what_was_seen(reason: &str) -> Option<String> {
    let (before, after) = reason.split_once(COUNTS)?;
    let plain = after.split(';').next().unwrap_or(after);
    (plain.contains(COMPARED) && !before.ends_with("implausible")).then(|| format!("it counts {plain}"))
}
