//! The daily look: every account of which something is open, once a day.
//!
//! A page of accounts is one transaction, and its rows in `collection_day` are part of it: a run that is killed goes on where it was,
//! and one that is repeated finds nothing to do. Days on which nothing ran are not made up for one by one: what is due by a day is
//! decided by dates and value dates, so that one look finds all of it.

use std::collections::HashSet;

use chrono::{Days, NaiveDate};
use diesel::result::Error as DieselError;
use serde::Serialize;

use super::deposits::{self, account_by_id};
use super::{dunning, late_fees, plans, write_off};
use crate::actions::inbox::settle;
use crate::actions::lease::Lease;
use crate::actions::policy::policies_within;
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context};
use crate::db::collections as rows;
use crate::db::operations::{self, Subject};
use crate::db::{DbConnection, LostRace, ledger};
use crate::domain::ids::AccountId;

/// The lease of the look.
const LEASE: &str = "collections";
/// So many accounts are looked at in one transaction.
const PAGE: i64 = 100;
/// For so long it is kept which account was looked at when.
const KEPT_DAYS: u64 = 100;

/// How the look is taken.
#[derive(Clone, Default)]
pub struct Options {
    /// The day; none for today.
    pub on: Option<NaiveDate>,
    /// Nothing is kept: what would be done is only counted.
    pub dry_run: bool,
    /// When to stop early.
    pub stop: Stop,
}

/// What a look did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// The day.
    pub day: NaiveDate,
    /// Whether nothing was kept.
    pub dry_run: bool,
    /// Accounts that were looked at.
    pub accounts: u64,
    /// Late fees that were charged.
    pub fees: u64,
    /// What they add up to, in cents.
    pub fees_cents: i64,
    /// Late fees that were taken back.
    pub fees_taken_back: u64,
    /// Reminders that were made.
    pub reminders: u64,
    /// Letters that clerks are to send.
    pub letters: u64,
    /// Work items: about a disconnection, or a payment of a debt that was written off.
    pub work_items: u64,
    /// Rows of reminders that are over.
    pub reminders_ended: u64,
    /// Pay plans that were paid.
    pub plans_kept: u64,
    /// Pay plans that were broken.
    pub plans_broken: u64,
    /// Deposits that were applied.
    pub deposits_applied: u64,
    /// Interest that was credited on deposits, in cents, without that of those that were applied.
    pub interest_cents: i64,
    /// Accounts that could not be looked at: each is a work item.
    pub failed: u64,
}

impl Report {
    fn add(&mut self, page: &Self) {
        self.accounts += page.accounts;
        self.fees += page.fees;
        self.fees_cents += page.fees_cents;
        self.fees_taken_back += page.fees_taken_back;
        self.reminders += page.reminders;
        self.letters += page.letters;
        self.work_items += page.work_items;
        self.reminders_ended += page.reminders_ended;
        self.plans_kept += page.plans_kept;
        self.plans_broken += page.plans_broken;
        self.deposits_applied += page.deposits_applied;
        self.interest_cents += page.interest_cents;
        self.failed += page.failed;
    }

    /// Whether anything was done.
    #[must_use]
    pub fn did_something(&self) -> bool {
        Self { day: NaiveDate::default(), dry_run: false, accounts: 0, ..*self } != Self::default()
    }
}

/// Why a page was not kept.
enum Unkept {
    /// Nothing was to be kept.
    DryRun(Report),
    /// Something failed.
    Failed(ActionError),
}

impl From<DieselError> for Unkept {
    fn from(error: DieselError) -> Self {
        Self::Failed(error.into())
    }
}

impl LostRace for Unkept {
    fn lost_race(&self) -> bool {
        matches!(self, Self::Failed(error) if error.lost_race())
    }
}

/// Looks at every account of which something is open and that was not looked at on the day.
///
/// # Errors
/// [`ActionError::Refused`] for a day in the future, or before one on which it was done; [`ActionError::Busy`] when another runner is at
/// it; [`ActionError::Stopped`]; those of the database.
pub fn run_daily(context: &Context, options: &Options) -> Result<Report, ActionError> {
    let day = options.on.unwrap_or_else(|| context.today());
    check_day(context, day)?;
    let lease = Lease::take(context, LEASE)?.until(&options.stop);
    // A payment whose event or row has arrived counts before anybody is asked for money.
    settle(context, true, &options.stop)?;
    let mut report = Report { day, dry_run: options.dry_run, ..Report::default() };
    let mut after = AccountId(0);
    loop {
        lease.check()?;
        let page = context.database.read(|conn| rows::to_look_at(conn, after, day, PAGE).map_err(ActionError::from))?;
        let Some(last) = page.last() else { break };
        after = *last;
        match look_at(context, &page, day, options.dry_run) {
            Ok(done) => report.add(&done),
            // One account must not stop the town: each of the page by itself.
            Err(error) => {
                log::warn!("collections: a page of {} accounts failed, each is looked at by itself: {error}", page.len());
                for account in &page {
                    lease.check()?;
                    report.add(&look_at_one(context, *account, day, options.dry_run)?);
                }
            }
        }
    }
    if !options.dry_run {
        let before = day.checked_sub_days(Days::new(KEPT_DAYS)).unwrap_or(day);
        context.database.write(|conn| rows::forget_days(conn, before).map_err(ActionError::from))?;
    }
    Ok(report)
}

fn check_day(context: &Context, day: NaiveDate) -> Result<(), ActionError> {
    let today = context.today();
    if day > today {
        return Err(ActionError::Refused(format!("on: {day} is in the future: expected a day up to {today}")));
    }
    match context.database.read(|conn| rows::last_day(conn, today))? {
        Some(last) if day < last => Err(ActionError::Refused(format!("on: accounts were looked at on {last}: expected that day or a later one"))),
        _ => Ok(()),
    }
}

/// Looks at one account whose page failed. What fails again is a clerk's to look at, once, and the look goes on.
fn look_at_one(context: &Context, account: AccountId, day: NaiveDate, dry_run: bool) -> Result<Report, ActionError> {
    let error = match look_at(context, &[account], day, dry_run) {
        Ok(done) => return Ok(done),
        Err(error) => error,
    };
    log::error!("collections: account {account} could not be looked at: {error}");
    if !dry_run {
        // Where not even this can be written, nothing can: then the look ends with the error.
        context.database.write(|conn| {
            let reason = format!("on {day} fees, reminders, plans and deposits of this account could not be looked at: {error}");
            let key = format!("collections:{account}");
            let subject = Subject { kind: "collections_failed", key: &key, account, amount_cents: 0, due_on: None, reason: &reason };
            operations::raise_about(conn, &subject, context.now())?;
            Ok::<_, ActionError>(())
        })?;
    }
    Ok(Report { failed: 1, ..Report::default() })
}

/// Looks at a page of accounts in one transaction.
fn look_at(context: &Context, page: &[AccountId], day: NaiveDate, dry_run: bool) -> Result<Report, ActionError> {
    let kept = context.database.write(|conn| {
        let done = look_within(context, conn, page, day).map_err(Unkept::Failed)?;
        if dry_run { Err(Unkept::DryRun(done)) } else { Ok(done) }
    });
    match kept {
        Ok(done) | Err(Unkept::DryRun(done)) => Ok(done),
        Err(Unkept::Failed(error)) => Err(error),
    }
}

fn look_within(context: &Context, conn: &mut DbConnection, page: &[AccountId], day: NaiveDate) -> Result<Report, ActionError> {
    let mut done = Report::default();
    ledger::lock_accounts(conn, page)?;
    let looked_at: HashSet<AccountId> = rows::looked_at(conn, page, day)?.into_iter().collect();
    let open: Vec<AccountId> = page.iter().copied().filter(|account| !looked_at.contains(account)).collect();
    let policies = policies_within(conn)?;
    for id in &open {
        let Some(account) = account_by_id(conn, *id)? else { continue };
        // In this order: what a plan or a deposit settles costs no fee, and a fee is part of what is asked for.
        let plan = plans::look_within(context, conn, &account, day)?;
        let deposit = deposits::look_within(context, conn, &account, &policies, day)?;
        let fee = late_fees::look_within(context, conn, &account, &policies, day)?;
        let reminder = dunning::look_within(context, conn, &account, &policies, day)?;
        let regretted = write_off::look_within(context, conn, &account, day)?;
        done.add(&Report {
            accounts: 1,
            fees: fee.charged,
            fees_cents: fee.charged_cents,
            fees_taken_back: fee.taken_back,
            reminders: reminder.reminders,
            letters: reminder.letters,
            work_items: reminder.work_items + u64::from(regretted),
            reminders_ended: reminder.ended,
            plans_kept: plan.kept,
            plans_broken: plan.broken,
            deposits_applied: deposit.applied,
            interest_cents: deposit.interest_cents,
            ..Report::default()
        });
    }
    rows::note_looked_at(conn, &open, day, context.now())?;
    Ok(done)
}

/// The last day on which accounts were looked at.
///
/// # Errors
/// Those of the database.
pub fn last_day(context: &Context) -> Result<Option<NaiveDate>, ActionError> {
    let today = context.today();
    Ok(context.database.read(|conn| rows::last_day(conn, today))?)
}
