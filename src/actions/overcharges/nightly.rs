//! The nightly look at everything: when it is due, and that it is caught up with after nights in which no server ran.

use chrono::{Days, NaiveDateTime, NaiveTime};

use super::scan::{ScanReport, scan_all_until};
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context};
use crate::db::overcharges;

/// Looks at every account when a night has come since the last time that was finished, whichever server did it. None when it is
/// not due. What fails or is stopped stays due.
///
/// # Errors
/// As [`scan_all_until`].
pub fn scan_if_due(context: &Context, stop: &Stop, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Option<ScanReport>, ActionError> {
    let began_at = context.now();
    let Some(since) = context.database.read(overcharges::night_since)? else {
        // From the first server on, so that a night is not missed however often it is down at that time.
        context.database.write(|conn| overcharges::begin_nights(conn, began_at).map_err(ActionError::from))?;
        return Ok(None);
    };
    if !passed(local(context, since), local(context, began_at), context.config.overcharges.nightly_at) {
        return Ok(None);
    }
    let report = scan_all_until(context, stop, progress)?;
    context.database.write(|conn| overcharges::night_over(conn, began_at).map_err(ActionError::from))?;
    Ok(Some(report))
}

/// A moment by the utility's clocks.
fn local(context: &Context, at: NaiveDateTime) -> NaiveDateTime {
    at.and_utc().with_timezone(&context.config.time_zone).naive_local()
}

/// Whether a time of day has come between two moments: of any day, when more than one passed.
fn passed(from: NaiveDateTime, to: NaiveDateTime, at: NaiveTime) -> bool {
    let today = to.date().and_time(at);
    let last = if today <= to { Some(today) } else { to.date().checked_sub_days(Days::new(1)).map(|day| day.and_time(at)) };
    last.is_some_and(|last| from < last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_night_comes_once() {
        let at = NaiveTime::from_hms_opt(2, 30, 0).expect("a time");
        let moment = |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect("a moment");
        for (from, to, expected) in [
            ("2026-01-01 02:29", "2026-01-01 02:30", true),
            ("2026-01-01 02:30", "2026-01-01 02:31", false),
            ("2026-01-01 22:00", "2026-01-02 02:00", false),
            ("2026-01-01 22:00", "2026-01-02 03:00", true),
            ("2026-01-01 22:00", "2026-01-09 01:00", true),
            // A clock that was set back.
            ("2026-01-02 03:00", "2026-01-01 22:00", false),
        ] {
            assert_eq!(passed(moment(from), moment(to), at), expected, "{from} to {to}");
        }
    }
}
