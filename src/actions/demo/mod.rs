//! Millbrook, a town that does not exist: two years of it, made by the program's own verbs on a simulated clock.
//!
//! Nothing is written past the verbs: what the town's books show is what the program did. The last weeks are left as a
//! clerk finds them on a Monday: some reads wait for a decision, some bills are not paid.

mod sign_ins;
mod story;
mod town;

use std::path::{Path, PathBuf};

use chrono::{Datelike, Days, Months, NaiveDate, NaiveTime};
use serde::Serialize;

use super::policy::store_policy;
use super::tariffs::store_tariff;
use super::{ActionError, Context, bank};
use crate::clock::Clock;

pub use sign_ins::{DemoSignIn, forget_sign_ins, is_complete, sign_ins};

/// How many months of the demonstration are billed.
pub const MONTHS: u32 = 24;
/// The day of the month on which meters are read; bills follow three days later.
const READ_DAY: u32 = 15;
const DAYS_TO_BILL: u64 = 3;

/// Rates as they are published, with places for dates and prices.
const WATER: &str = include_str!("rates/water.owrs");
const SEWER: &str = include_str!("rates/sewer.owrs");
const STORMWATER: &str = include_str!("rates/stormwater.owrs");
const FIRE: &str = include_str!("rates/fire.owrs");
/// What the town gives back, agrees to and asks a second person about.
const POLICY: &str = include_str!("policy.toml");
/// How the town's bank lays out its CSV files, and the name under which that is saved.
const BANK_MAPPING: &str = include_str!("bank_mapping.toml");
const BANK_MAPPING_NAME: &str = "ops";
/// Prices of the water tariff before and after the change.
const PRICES: [[(&str, &str); 7]; 2] = [
    [
        ("@SMALL@", "14.20"),
        ("@MIDDLE@", "16.80"),
        ("@LARGE@", "24.50"),
        ("@TIERS@", "2.10, 3.35, 4.80, 7.25"),
        ("@DWELLING@", "8.60"),
        ("@DWELLING_TIERS@", "2.10, 3.05, 4.40"),
        ("@FLAT@", "3.60"),
    ],
    [
        ("@SMALL@", "14.90"),
        ("@MIDDLE@", "17.60"),
        ("@LARGE@", "25.70"),
        ("@TIERS@", "2.20, 3.50, 5.05, 7.60"),
        ("@DWELLING@", "9.00"),
        ("@DWELLING_TIERS@", "2.20, 3.20, 4.60"),
        ("@FLAT@", "3.80"),
    ],
];

/// What the town is made of.
#[derive(Debug, Clone, Copy)]
pub struct TownOptions {
    /// Accounts to begin with.
    pub accounts: usize,
    /// How many months are billed, from 2.
    pub months: u32,
}

/// What was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TownReport {
    /// Accounts, those of people who moved in included.
    pub accounts: usize,
    /// Bill runs.
    pub runs: usize,
    /// Bills.
    pub bills: i64,
    /// Payments.
    pub payments: usize,
    /// Payments that went back.
    pub returned: usize,
    /// Reads that were estimated.
    pub estimated: u64,
    /// Households that moved.
    pub moves: usize,
    /// Meters that were exchanged.
    pub exchanges: usize,
}

/// Makes the town's rate files in a folder: they are imported from there.
///
/// # Errors
/// [`ActionError::File`] when they cannot be written.
fn write_rates(folder: &Path, first_read: NaiveDate) -> Result<Vec<PathBuf>, ActionError> {
    let begin = first_of_month(first_read.checked_sub_months(Months::new(12)).unwrap_or(first_read));
    // In the middle of a period, so that bills show both rates.
    let change = first_of_month(first_read.checked_add_months(Months::new(14)).unwrap_or(first_read));
    let [before, after] = PRICES;
    let files = [
        (format!("water-{begin}.owrs"), filled(WATER, begin, &before)),
        (format!("water-{change}.owrs"), filled(WATER, change, &after)),
        (format!("sewer-{begin}.owrs"), filled(SEWER, begin, &[])),
        (format!("stormwater-{begin}.owrs"), filled(STORMWATER, begin, &[])),
        (format!("fire-{begin}.owrs"), filled(FIRE, begin, &[])),
    ];
    let mut paths = Vec::new();
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|source| ActionError::file(&path, source))?;
        paths.push(path);
    }
    Ok(paths)
}

fn filled(template: &str, on: NaiveDate, prices: &[(&str, &str)]) -> String {
    prices.iter().fold(template.replace("@DATE@", &on.to_string()), |text, (place, price)| text.replace(place, price))
}

fn first_of_month(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}

/// The days on which meters were read, oldest first; the first opens the books and the last is billed by today.
fn read_days(today: NaiveDate, months: u32) -> Vec<NaiveDate> {
    let billed_by = today.checked_sub_days(Days::new(DAYS_TO_BILL)).unwrap_or(today);
    let this_month = today.with_day(READ_DAY).unwrap_or(today);
    let last = if this_month <= billed_by { this_month } else { this_month.checked_sub_months(Months::new(1)).unwrap_or(this_month) };
    (0..=months).rev().filter_map(|back| last.checked_sub_months(Months::new(back))).collect()
}

/// The context as it was at noon of a day.
fn at_noon(context: &Context, day: NaiveDate) -> Context {
    let noon = NaiveTime::from_hms_opt(12, 0, 0).unwrap_or_default();
    let local = day.and_time(noon).and_local_timezone(context.config.time_zone).earliest();
    // Nothing of the town's happens later than now.
    let moment = local.map_or_else(|| day.and_time(noon).and_utc(), |local| local.to_utc()).min(context.now().and_utc());
    Context { clock: Clock::simulated(moment), ..context.clone() }
}

/// Makes the town in an empty database, with its files in a folder, up to today.
///
/// # Errors
/// Those of the verbs.
pub fn make_town(context: &Context, folder: &Path, options: TownOptions, progress: &dyn Fn(usize, usize)) -> Result<TownReport, ActionError> {
    std::fs::create_dir_all(folder).map_err(|source| ActionError::file(folder, source))?;
    let days = read_days(context.today(), options.months);
    let first = days.first().copied().unwrap_or_else(|| context.today());
    let then = at_noon(context, first);
    for path in write_rates(folder, first)? {
        let text = std::fs::read_to_string(&path).map_err(|source| ActionError::file(&path, source))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        store_tariff(&then, &name, &text)?;
    }
    store_policy(&then, "policy.toml", POLICY)?;
    let mut story = story::Story::begin(context, folder, options, &days)?;
    story.tell(progress)?;
    bank::mappings::save(context, BANK_MAPPING_NAME, "the demo's mapping", BANK_MAPPING)?;
    sign_ins::make(context, folder, &story.email(sign_ins::CUSTOMER_HOUSE)?)?;
    Ok(story.report())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meters_are_read_once_a_month_and_the_last_read_is_billed() {
        let day = |text: &str| text.parse::<NaiveDate>().expect("a date");
        let days = read_days(day("2026-11-21"), 24);
        assert_eq!((days.len(), days[0], days[24]), (25, day("2024-11-15"), day("2026-11-15")));
        assert_eq!(read_days(day("2026-11-17"), 24).last(), Some(&day("2026-10-15")));
        assert_eq!(read_days(day("2026-03-31"), 24).last(), Some(&day("2026-03-15")));
    }
}
