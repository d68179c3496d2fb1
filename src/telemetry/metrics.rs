//! Metrics in the text format of Prometheus.
//!
//! Two kinds. What this process counts lives here and is counted by whoever acts, through the functions below. What the
//! database knows is asked for when somebody reads the metrics and comes as [`Figures`]; it is the same from every server.
//! Names end in their unit, labels have few values, and none of them is personal data.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

/// What became of a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackOutcome {
    /// It is new, and in the inbox.
    Stored,
    /// It was there before.
    Duplicate,
    /// Its signature is wrong.
    BadSignature,
    /// No such provider.
    UnknownProvider,
    /// Too many wait.
    Full,
    /// It could not be stored.
    Failed,
}

impl CallbackOutcome {
    const ALL: [Self; 6] = [Self::Stored, Self::Duplicate, Self::BadSignature, Self::UnknownProvider, Self::Full, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Duplicate => "duplicate",
            Self::BadSignature => "bad_signature",
            Self::UnknownProvider => "unknown_provider",
            Self::Full => "full",
            Self::Failed => "failed",
        }
    }
}

/// What is tried again when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// An event that could not be applied.
    Inbox,
    /// A notice.
    Notices,
    /// A refund through its provider.
    Refunds,
    /// A draw from a saved way to pay.
    Autopay,
}

impl Area {
    /// Every area.
    pub const ALL: [Self; 4] = [Self::Inbox, Self::Notices, Self::Refunds, Self::Autopay];

    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Notices => "notices",
            Self::Refunds => "refunds",
            Self::Autopay => "autopay",
        }
    }
}

/// So many callbacks came within the last minute, to this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LastMinute {
    /// All of them.
    pub callbacks: u64,
    /// Those that were there before.
    pub duplicates: u64,
}

/// What the database knows, as of one moment. Money is in cents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// `sqlite` or `postgres`.
    pub database: &'static str,
    /// What ledger and provider differ by; none while nobody has looked.
    pub ledger_delta_cents: Option<i64>,
    /// How long ago somebody compared them, in seconds.
    pub compared_ago_seconds: Option<i64>,
    /// Deliveries beyond the first, in the last minute.
    pub duplicates_per_min: i64,
    /// Callbacks in the last minute.
    pub callbacks_per_min: i64,
    /// The age of the oldest event that is not applied, in seconds; 0 when none waits.
    pub oldest_unapplied_seconds: i64,
    /// Events that wait, by status.
    pub inbox_depth: Vec<(&'static str, i64)>,
    /// What waits for another attempt, and how many attempts that took so far, by area.
    pub retries: Vec<(Area, i64, i64)>,
    /// Differences between ledger, provider and bank.
    pub differences_open: i64,
    /// Money that fits no account: how many, how much.
    pub unapplied_credits: (i64, i64),
    /// Every kind of alarm, and whether it is on.
    pub alarms: Vec<(&'static str, bool)>,
    /// Notices that wait.
    pub notices_queued: i64,
    /// Notices of the last day that were refused or given up.
    pub notices_failed: i64,
    /// Bill runs by status.
    pub bill_runs: Vec<(String, i64)>,
    /// Schedules whose moment passed and was not begun.
    pub schedules_late: i64,
    /// How long ago anybody watched, in seconds.
    pub watched_ago_seconds: Option<i64>,
    /// Connections of this process's pool: all, idle, the most.
    pub pool: (u32, u32, u32),
}

struct Counters {
    registry: Registry,
    callbacks: IntCounterVec,
    commit: Histogram,
    duplicates: IntCounter,
    retries: IntCounterVec,
    rechecks: IntCounterVec,
    spans_sent: IntCounter,
    spans_dropped: IntCounter,
    started_at: IntGauge,
    beats: IntGaugeVec,
}

/// Seconds to the commit of a callback.
const COMMIT_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

impl Counters {
    fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counters = Self {
            callbacks: IntCounterVec::new(
                Opts::new("aquabills_callbacks_total", "Callbacks of payment providers by what became of them."),
                &["outcome"],
            )?,
            commit: Histogram::with_opts(
                HistogramOpts::new("aquabills_callback_commit_seconds", "Time from a callback's arrival to its commit.")
                    .buckets(COMMIT_BUCKETS.to_vec()),
            )?,
            duplicates: IntCounter::new("aquabills_duplicate_deliveries_total", "Deliveries of events that were there before.")?,
            retries: IntCounterVec::new(Opts::new("aquabills_retries_total", "Attempts that failed and are made again, by area."), &["area"])?,
            rechecks: IntCounterVec::new(
                Opts::new("aquabills_rechecks_total", "Payments whose ledger was compared with their events again, by what was found."),
                &["outcome"],
            )?,
            spans_sent: IntCounter::new("aquabills_spans_sent_total", "Spans that the collector of traces took.")?,
            spans_dropped: IntCounter::new(
                "aquabills_spans_dropped_total",
                "Spans that were dropped because the queue was full or the collector away.",
            )?,
            started_at: IntGauge::new("process_start_time_seconds", "Start of this process, in seconds since 1970.")?,
            beats: IntGaugeVec::new(
                Opts::new("aquabills_job_last_beat_timestamp_seconds", "Last sign of life of each job of this process, in seconds since 1970."),
                &["job"],
            )?,
            registry,
        };
        for outcome in CallbackOutcome::ALL {
            counters.callbacks.with_label_values(&[outcome.as_str()]);
        }
        for area in Area::ALL {
            counters.retries.with_label_values(&[area.as_str()]);
        }
        for outcome in ["agrees", "differs"] {
            counters.rechecks.with_label_values(&[outcome]);
        }
        counters.register()?;
        Ok(counters)
    }

    fn register(&self) -> prometheus::Result<()> {
        self.registry.register(Box::new(self.callbacks.clone()))?;
        self.registry.register(Box::new(self.commit.clone()))?;
        self.registry.register(Box::new(self.duplicates.clone()))?;
        self.registry.register(Box::new(self.retries.clone()))?;
        self.registry.register(Box::new(self.rechecks.clone()))?;
        self.registry.register(Box::new(self.spans_sent.clone()))?;
        self.registry.register(Box::new(self.spans_dropped.clone()))?;
        self.registry.register(Box::new(self.started_at.clone()))?;
        self.registry.register(Box::new(self.beats.clone()))
    }
}

/// The process's counters. That they cannot be made is a bug in their names, which every test of the page would show.
fn counters() -> Option<&'static Counters> {
    static COUNTERS: OnceLock<Option<Counters>> = OnceLock::new();
    let made = || Counters::new().inspect_err(|error| log::error!("there are no metrics: {error}")).ok();
    COUNTERS.get_or_init(made).as_ref()
}

fn count(work: impl FnOnce(&Counters)) {
    if let Some(counters) = counters() {
        work(counters);
    }
}

/// Notes when the process started, in seconds since 1970.
pub fn started(at_seconds: i64) {
    count(|counters| {
        if counters.started_at.get() == 0 {
            counters.started_at.set(at_seconds);
        }
    });
}

/// Counts a callback.
pub fn callback(outcome: CallbackOutcome, took: Duration) {
    count(|counters| {
        counters.callbacks.with_label_values(&[outcome.as_str()]).inc();
        if matches!(outcome, CallbackOutcome::Stored | CallbackOutcome::Duplicate) {
            counters.commit.observe(took.as_secs_f64());
        }
        if outcome == CallbackOutcome::Duplicate {
            counters.duplicates.inc();
        }
    });
    recent(Some(outcome));
    if outcome == CallbackOutcome::BadSignature {
        refused(1);
    }
}

/// Counts an attempt that failed and is made again.
pub fn retried(area: Area) {
    count(|counters| counters.retries.with_label_values(&[area.as_str()]).inc());
}

/// Counts a look at a payment that was applied.
pub fn rechecked(agrees: bool) {
    count(|counters| counters.rechecks.with_label_values(&[if agrees { "agrees" } else { "differs" }]).inc());
}

/// Counts spans that were taken.
pub fn spans_sent(spans: u64) {
    count(|counters| counters.spans_sent.inc_by(spans));
}

/// Counts spans that were dropped.
pub fn spans_dropped(spans: u64) {
    count(|counters| counters.spans_dropped.inc_by(spans));
}

static BEATS: Mutex<BTreeMap<&'static str, i64>> = Mutex::new(BTreeMap::new());

/// A job's sign of life, in seconds since 1970.
pub fn beat(job: &'static str, at_seconds: i64) {
    BEATS.lock().unwrap_or_else(PoisonError::into_inner).insert(job, at_seconds);
    count(|counters| counters.beats.with_label_values(&[job]).set(at_seconds));
}

/// The last sign of life of each job of this process, in seconds since 1970.
#[must_use]
pub fn beats() -> BTreeMap<&'static str, i64> {
    BEATS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The callbacks that came to this process within the last minute.
#[must_use]
pub fn last_minute() -> LastMinute {
    recent(None)
}

/// The callbacks with a wrong signature that came to this process within the last hour.
#[must_use]
pub fn refused_last_hour() -> u64 {
    refused(0)
}

/// Minutes of the last hour with the callbacks that were refused in each.
fn refused(new: u64) -> u64 {
    static SINCE: OnceLock<Instant> = OnceLock::new();
    static MINUTES: Mutex<VecDeque<(u64, u64)>> = Mutex::new(VecDeque::new());
    let minute = SINCE.get_or_init(Instant::now).elapsed().as_secs() / 60;
    let mut minutes = MINUTES.lock().unwrap_or_else(PoisonError::into_inner);
    while minutes.front().is_some_and(|(then, _)| then + 60 <= minute) {
        minutes.pop_front();
    }
    match minutes.back_mut() {
        Some((then, count)) if *then == minute => *count += new,
        _ if new > 0 => minutes.push_back((minute, new)),
        _ => {}
    }
    minutes.iter().map(|(_, count)| count).sum()
}

/// Seconds of the last minute with what came in each.
fn recent(new: Option<CallbackOutcome>) -> LastMinute {
    static SINCE: OnceLock<Instant> = OnceLock::new();
    static SECONDS: Mutex<VecDeque<(u64, LastMinute)>> = Mutex::new(VecDeque::new());
    let second = SINCE.get_or_init(Instant::now).elapsed().as_secs();
    let mut seconds = SECONDS.lock().unwrap_or_else(PoisonError::into_inner);
    while seconds.front().is_some_and(|(then, _)| then + 60 <= second) {
        seconds.pop_front();
    }
    if let Some(outcome) = new {
        if seconds.back().is_none_or(|(then, _)| *then != second) {
            seconds.push_back((second, LastMinute::default()));
        }
        if let Some((_, came)) = seconds.back_mut() {
            came.callbacks += 1;
            came.duplicates += u64::from(outcome == CallbackOutcome::Duplicate);
        }
    }
    seconds.iter().fold(LastMinute::default(), |sum, (_, came)| LastMinute {
        callbacks: sum.callbacks + came.callbacks,
        duplicates: sum.duplicates + came.duplicates,
    })
}

/// Everything in the text format; without figures it says that the database does not answer.
///
/// # Errors
/// When a metric has a name or label that cannot be, which is a bug.
pub fn render(figures: Option<&Figures>) -> Result<String, String> {
    let told = Registry::new();
    tell(&told, figures).map_err(|error| error.to_string())?;
    let mut families = counters().map(|counters| counters.registry.gather()).unwrap_or_default();
    families.extend(told.gather());
    let mut text = Vec::new();
    TextEncoder::new().encode(&families, &mut text).map_err(|error| error.to_string())?;
    String::from_utf8(text).map_err(|error| error.to_string())
}

/// Puts figures into a registry of their own.
fn tell(registry: &Registry, figures: Option<&Figures>) -> prometheus::Result<()> {
    let one = |name: &str, help: &str, value: i64| {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(value);
        registry.register(Box::new(gauge))
    };
    one("aquabills_database_up", "Whether the database answered.", i64::from(figures.is_some()))?;
    let Some(figures) = figures else { return Ok(()) };
    if let Some(delta) = figures.ledger_delta_cents {
        one("aquabills_ledger_delta_cents", "What the ledger and the payment provider differ by, at the last look.", delta)?;
    }
    if let Some(ago) = figures.compared_ago_seconds {
        one("aquabills_ledger_delta_age_seconds", "Time since ledger and payment provider were compared.", ago)?;
    }
    if let Some(ago) = figures.watched_ago_seconds {
        one("aquabills_watcher_age_seconds", "Time since any server looked at the alarms.", ago)?;
    }
    one("aquabills_duplicates_per_min", "Deliveries of events beyond the first, in the last minute.", figures.duplicates_per_min)?;
    one("aquabills_callbacks_per_min", "Callbacks of payment providers in the last minute.", figures.callbacks_per_min)?;
    one("aquabills_oldest_unapplied_payment_seconds", "Age of the oldest event that is not applied.", figures.oldest_unapplied_seconds)?;
    one("aquabills_differences_open", "Open differences between ledger, provider and bank.", figures.differences_open)?;
    one("aquabills_unapplied_credits", "Payments that fit no account and wait for somebody.", figures.unapplied_credits.0)?;
    one("aquabills_unapplied_credit_cents", "Money that fits no account.", figures.unapplied_credits.1)?;
    one("aquabills_notices_queued", "Notices that wait to be sent.", figures.notices_queued)?;
    one("aquabills_notices_failed", "Notices of the last day that were refused or given up.", figures.notices_failed)?;
    one("aquabills_schedules_late", "Schedules whose moment passed and was not begun.", figures.schedules_late)?;
    tell_by_label(registry, figures)
}

fn tell_by_label(registry: &Registry, figures: &Figures) -> prometheus::Result<()> {
    let many = |name: &str, help: &str, label: &str, values: &[(&str, i64)]| {
        let gauges = IntGaugeVec::new(Opts::new(name, help), &[label])?;
        for (value, figure) in values {
            gauges.with_label_values(&[*value]).set(*figure);
        }
        registry.register(Box::new(gauges))
    };
    many("aquabills_inbox_depth", "Events that wait to be applied, by status.", "status", &figures.inbox_depth)?;
    let retries = |figure: fn(&(Area, i64, i64)) -> i64| figures.retries.iter().map(|row| (row.0.as_str(), figure(row))).collect::<Vec<_>>();
    many("aquabills_retrying", "What failed and waits for another attempt, by area.", "area", &retries(|row| row.1))?;
    many("aquabills_retry_attempts", "Attempts that what waits has behind it, by area.", "area", &retries(|row| row.2))?;
    let alarms: Vec<(&str, i64)> = figures.alarms.iter().map(|(kind, on)| (*kind, i64::from(*on))).collect();
    many("aquabills_alarm_on", "Whether an alarm is on, by its kind.", "kind", &alarms)?;
    let runs: Vec<(&str, i64)> = figures.bill_runs.iter().map(|(status, runs)| (status.as_str(), *runs)).collect();
    many("aquabills_bill_runs", "Bill runs by status.", "status", &runs)?;
    let (all, idle, most) = figures.pool;
    let pool = [("used", all.saturating_sub(idle)), ("idle", idle), ("most", most)].map(|(state, connections)| (state, i64::from(connections)));
    many("aquabills_database_connections", "Connections of this process to the database.", "state", &pool)?;
    let build = IntGaugeVec::new(Opts::new("aquabills_build_info", "The program's version and its database."), &["version", "database"])?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION"), figures.database]).set(1);
    registry.register(Box::new(build))
}
