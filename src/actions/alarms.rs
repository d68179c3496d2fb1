//! Watching: the figures of the moment, and the alarms that follow from them.
//!
//! Any number of servers may look: an alarm is one row for its kind while it is on, whoever opens it, and its e-mail is
//! queued in the transaction that opens it.

use std::collections::BTreeMap;

use chrono::{NaiveDateTime, TimeDelta};
use serde::Serialize;

use super::lease::this_process;
use super::{ActionError, Context, notices, schedule};
use crate::config::AlarmSettings;
use crate::db::alarms::{self as rows, AlarmRow, DeltaRow, Tally, Waiting};
use crate::db::collections::disputes;
use crate::db::{Backend, DbConnection, operations};
use crate::domain::alarms::{AlarmKind, Change, Reading};
use crate::domain::ids::AlarmId;
use crate::domain::money::Money;
use crate::domain::notices::{Addressee, Alarm, Facts, NewNotice};
use crate::telemetry::metrics::{Area, Figures, LastMinute};

/// Comparisons that the page shows.
const DELTAS_SHOWN: i64 = 10;

/// What only this process knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Local {
    /// What came to it within the last minute.
    pub last_minute: LastMinute,
    /// Callbacks with a wrong signature that came to it within the last hour.
    pub refused: u64,
    /// Its jobs that gave no sign of life for so many seconds.
    pub silent: Vec<(&'static str, i64)>,
    /// Payments whose ledger is not what their events ask for.
    pub disagreeing: usize,
}

/// What a look changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Looked {
    /// Alarms that opened.
    pub opened: Vec<AlarmKind>,
    /// Alarms that are over.
    pub closed: Vec<AlarmKind>,
}

/// What the database knows at one moment.
struct Seen {
    waiting: Vec<Waiting>,
    tallies: Vec<Tally>,
    deltas: Vec<DeltaRow>,
    over_since: Option<NaiveDateTime>,
    open: Vec<AlarmRow>,
    last_look: Option<NaiveDateTime>,
    /// Questions of customers that were not answered by their day.
    questions_late: i64,
}

impl Seen {
    fn read(conn: &mut DbConnection, context: &Context, now: NaiveDateTime, deltas: i64) -> Result<Self, ActionError> {
        let settings = &context.config.alarms;
        Ok(Self {
            questions_late: disputes::count_late(conn, context.today())?,
            waiting: rows::waiting(conn)?,
            tallies: rows::tallies(conn, now)?,
            deltas: rows::deltas(conn, deltas)?,
            over_since: rows::delta_over_since(conn, settings.delta_cents)?,
            open: rows::open(conn)?,
            last_look: rows::last_look(conn)?,
        })
    }

    fn tally(&self, what: &str) -> (i64, i64) {
        self.tallies.iter().find(|tally| tally.what == what).map_or((0, 0), |tally| (tally.count, tally.sum))
    }

    fn depth(&self) -> i64 {
        self.waiting.iter().map(|row| row.events).sum()
    }

    /// The age of the oldest event that waits, in seconds.
    fn oldest_seconds(&self, now: NaiveDateTime) -> i64 {
        self.waiting.iter().filter_map(|row| row.oldest_at).min().map_or(0, |at| (now - at).num_seconds().max(0))
    }
}

/// Looks at the figures, opens alarms and ends them.
///
/// # Errors
/// Those of the database.
pub fn look(context: &Context, local: &Local) -> Result<Looked, ActionError> {
    let settings = &context.config.alarms;
    let now = context.now();
    let seen = context.database.snapshot(|conn| Seen::read(conn, context, now, 1))?;
    let readings = readings(&seen, local, settings, now);
    let calm = TimeDelta::minutes(i64::from(settings.calm_minutes));
    context.database.write(|conn| {
        let mut looked = Looked::default();
        let now = context.now();
        rows::note_look(conn, &this_process(), now)?;
        let open = rows::open(conn)?;
        for reading in &readings {
            let row = open.iter().find(|row| row.kind == reading.kind.as_str());
            match (reading.change(row.map(|row| row.seen_at), now, calm), row) {
                (Change::Open, None) if raise(context, conn, reading, now)? => looked.opened.push(reading.kind),
                (Change::GoOn, Some(row)) => {
                    rows::go_on(conn, row, reading.value, &reading.detail, now)?;
                }
                (Change::Close, Some(row)) if rows::end(conn, row, now)? => {
                    operations::audit(conn, now, &context.actor, "alarm.over", reading.kind.as_str(), &reading.detail)?;
                    looked.closed.push(reading.kind);
                }
                _ => {}
            }
        }
        Ok(looked)
    })
}

/// Opens an alarm and tells staff; false when another server was first.
fn raise(context: &Context, conn: &mut DbConnection, reading: &Reading, now: NaiveDateTime) -> Result<bool, ActionError> {
    let Some(id) = rows::begin(conn, reading.kind.as_str(), reading.value, &reading.detail, now)? else { return Ok(false) };
    operations::audit(conn, now, &context.actor, "alarm.on", reading.kind.as_str(), &reading.detail)?;
    let notice = NewNotice {
        key: format!("alarm:{id}"),
        to: Addressee::Staff,
        happened_on: context.today(),
        facts: Facts::Alarm(Alarm { alarm: reading.kind, detail: reading.detail.clone(), since: now }),
    };
    notices::queue(conn, context, notice)?;
    Ok(true)
}

fn readings(seen: &Seen, local: &Local, settings: &AlarmSettings, now: NaiveDateTime) -> Vec<Reading> {
    let reading = |kind, value, limit: i64, detail: String| Reading { kind, value, limit, long_enough: true, detail };
    let own = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let duplicates = seen.tally("duplicates").0.max(own(local.last_minute.duplicates));
    let callbacks = seen.tally("callbacks").0.max(own(local.last_minute.callbacks));
    let oldest = seen.oldest_seconds(now);
    let failing = seen.tally("hopeless").0 + seen.tally("refused").0;
    let silent = i64::try_from(local.silent.len()).unwrap_or(i64::MAX);
    let names: Vec<&str> = local.silent.iter().map(|(job, _)| *job).collect();
    let disagreeing = i64::try_from(local.disagreeing).unwrap_or(i64::MAX);
    vec![
        delta(seen, settings, now),
        reading(AlarmKind::Recheck, disagreeing, 0, format!("{disagreeing} payments differ from what their events ask for")),
        reading(AlarmKind::Unapplied, oldest, i64::from(settings.unapplied_minutes) * 60, format!("the oldest has waited for {}", minutes(oldest))),
        reading(AlarmKind::InboxDepth, seen.depth(), i64::from(settings.inbox_depth), format!("{} events wait", seen.depth())),
        reading(
            AlarmKind::Duplicates,
            duplicates,
            i64::from(settings.duplicates_per_minute),
            format!("{duplicates} messages in a minute were there before"),
        ),
        reading(AlarmKind::Callbacks, callbacks, i64::from(settings.callbacks_per_minute), format!("{callbacks} messages in a minute")),
        reading(
            AlarmKind::Signatures,
            own(local.refused),
            i64::from(settings.bad_signatures_per_hour),
            format!("{} messages in an hour had a signature that is not the provider's", local.refused),
        ),
        reading(AlarmKind::Disputes, seen.questions_late, 0, format!("{} questions wait beyond their day", seen.questions_late)),
        reading(AlarmKind::Silent, silent, 0, format!("no sign of life: {}", names.join(", "))),
        reading(AlarmKind::Notices, failing, i64::from(settings.notices_failing), format!("{failing} e-mails failed")),
    ]
}

fn delta(seen: &Seen, settings: &AlarmSettings, now: NaiveDateTime) -> Reading {
    let cents = seen.deltas.first().map_or(0, |row| row.delta_cents);
    let value = i64::try_from(cents.unsigned_abs()).unwrap_or(i64::MAX);
    let since = seen.over_since.unwrap_or(now);
    Reading {
        kind: AlarmKind::LedgerDelta,
        value,
        limit: settings.delta_cents,
        long_enough: now - since >= TimeDelta::minutes(i64::from(settings.delta_minutes)),
        detail: format!("they differ by {}", Money::from_cents(cents)),
    }
}

fn minutes(seconds: i64) -> String {
    if seconds < 120 { format!("{seconds} seconds") } else { format!("{} minutes", seconds / 60) }
}

/// The alarms that are on. When nobody looks any more, that is one, too.
///
/// # Errors
/// Those of the database.
pub fn open(context: &Context) -> Result<Vec<AlarmRow>, ActionError> {
    let (open, last_look) = context.database.read(|conn| Ok::<_, ActionError>((rows::open(conn)?, rows::last_look(conn)?)))?;
    Ok(with_silence(context, open, last_look))
}

fn with_silence(context: &Context, mut open: Vec<AlarmRow>, last_look: Option<NaiveDateTime>) -> Vec<AlarmRow> {
    let now = context.now();
    let ago = last_look.map_or(0, |at| (now - at).num_seconds());
    let silent = AlarmKind::Silent.as_str();
    if context.config.alarms.enabled && ago > context.config.alarms.silent_seconds() && !open.iter().any(|row| row.kind == silent) {
        let detail = format!("nobody has watched for {}: no server with jobs is running", minutes(ago));
        let since = last_look.unwrap_or(now);
        open.push(AlarmRow { id: AlarmId(0), kind: silent.to_owned(), since, seen_at: now, value: ago, worst: ago, over_at: None, detail });
    }
    open
}

/// What the page of the watch shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchView {
    /// The figures.
    pub figures: Figures,
    /// Alarms that are on.
    pub open: Vec<AlarmRow>,
    /// Alarms that are over, newest first.
    pub past: Vec<AlarmRow>,
    /// Where the next page of those begins.
    pub older: Option<AlarmId>,
    /// The last comparisons.
    pub deltas: Vec<DeltaRow>,
    /// When any server looked last.
    pub last_look: Option<NaiveDateTime>,
}

/// What the page of the watch shows: figures, alarms, and a page of those that are over before one.
///
/// # Errors
/// Those of the database.
pub fn watch(context: &Context, before: AlarmId, limit: usize) -> Result<WatchView, ActionError> {
    let now = context.now();
    let most = i64::try_from(limit).unwrap_or(i64::MAX - 1);
    let (seen, mut past, runs) = context.database.snapshot(|conn| {
        let seen = Seen::read(conn, context, now, DELTAS_SHOWN)?;
        Ok::<_, ActionError>((seen, rows::past(conn, before, most + 1)?, rows::bill_runs(conn)?))
    })?;
    let more = past.len() > limit;
    past.truncate(limit);
    let older = if more { past.last().map(|row| row.id) } else { None };
    let figures = told(context, &seen, runs, now)?;
    let (deltas, last_look) = (seen.deltas, seen.last_look);
    Ok(WatchView { figures, open: with_silence(context, seen.open, last_look), past, older, deltas, last_look })
}

/// The figures for the metrics.
///
/// # Errors
/// Those of the database.
pub fn figures(context: &Context) -> Result<Figures, ActionError> {
    let now = context.now();
    let (seen, runs) = context.database.snapshot(|conn| {
        let seen = Seen::read(conn, context, now, 1)?;
        Ok::<_, ActionError>((seen, rows::bill_runs(conn)?))
    })?;
    told(context, &seen, runs, now)
}

fn told(context: &Context, seen: &Seen, bill_runs: Vec<(String, i64)>, now: NaiveDateTime) -> Result<Figures, ActionError> {
    let ago = |at: NaiveDateTime| (now - at).num_seconds().max(0);
    let waiting: BTreeMap<&str, &Waiting> = seen.waiting.iter().map(|row| (row.status.as_str(), row)).collect();
    let events = |status: &'static str| (status, waiting.get(status).map_or(0, |row| row.events));
    let failed = waiting.get("failed").map_or((0, 0), |row| (row.events, row.attempts));
    let retries = Area::ALL.map(|area| {
        let (count, sum) = if area == Area::Inbox { failed } else { seen.tally(area.as_str()) };
        (area, count, sum)
    });
    let open = with_silence(context, seen.open.clone(), seen.last_look);
    let last = seen.deltas.first();
    Ok(Figures {
        database: if context.database.backend() == Backend::Sqlite { "sqlite" } else { "postgres" },
        ledger_delta_cents: last.map(|row| row.delta_cents),
        compared_ago_seconds: last.map(|row| ago(row.looked_at)),
        duplicates_per_min: seen.tally("duplicates").0,
        callbacks_per_min: seen.tally("callbacks").0,
        oldest_unapplied_seconds: seen.oldest_seconds(now),
        inbox_depth: vec![events("received"), events("failed")],
        retries: retries.to_vec(),
        differences_open: seen.tally("differences").0,
        unapplied_credits: seen.tally("unapplied"),
        alarms: AlarmKind::ALL.map(|kind| (kind.as_str(), open.iter().any(|row| row.kind == kind.as_str()))).to_vec(),
        notices_queued: seen.tally("queued").0,
        notices_failed: seen.tally("refused").0,
        bill_runs,
        schedules_late: schedule::late(context)?,
        watched_ago_seconds: seen.last_look.map(ago),
        pool: context.database.connections(),
    })
}
