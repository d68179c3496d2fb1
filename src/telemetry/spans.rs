//! Spans: pieces of work with a beginning, an end and the trace that they belong to. They are handed to the way out
//! ([`super::otlp`]); where none is set up, they cost next to nothing and go nowhere.

use std::time::{Duration, Instant};

use chrono::NaiveDateTime;

use super::{otlp, scope};

/// A piece of work that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The trace: 32 hexadecimal digits.
    pub trace_id: String,
    /// Its own name: 16 hexadecimal digits.
    pub span_id: String,
    /// The span that it is a part of.
    pub parent_id: Option<String>,
    /// What was done: `callback`, `apply`, `ledger write`, `recheck`, `checkout`.
    pub name: &'static str,
    /// When it began, UTC.
    pub began_at: NaiveDateTime,
    /// How long it took.
    pub took: Duration,
    /// What it was about: ids and counts, never personal data.
    pub about: Vec<(&'static str, String)>,
    /// Whether it did what it should.
    pub good: bool,
}

/// A piece of work under way.
pub struct Timer {
    span: Span,
    since: Instant,
}

impl Timer {
    /// Begins a piece of work of a trace.
    #[must_use]
    pub fn start(name: &'static str, trace_id: &str, began_at: NaiveDateTime) -> Self {
        let parent_id = scope::current().parent.map(|parent| parent.to_string());
        let span = Span {
            trace_id: trace_id.to_owned(),
            span_id: scope::new_span_id(),
            parent_id,
            name,
            began_at,
            took: Duration::ZERO,
            about: Vec::new(),
            good: true,
        };
        Self { span, since: Instant::now() }
    }

    /// Its own name, for the spans of its parts.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.span.span_id
    }

    /// How long it takes so far.
    #[must_use]
    pub fn so_far(&self) -> Duration {
        self.since.elapsed()
    }

    /// Makes it a part of another.
    #[must_use]
    pub fn part_of(mut self, parent_id: Option<&str>) -> Self {
        self.span.parent_id = parent_id.map(str::to_owned);
        self
    }

    /// Says of which trace it is, when that is known only later.
    pub fn belongs_to(&mut self, trace_id: &str) {
        if self.span.trace_id != trace_id {
            self.span.trace_id = trace_id.to_owned();
            // A span of the caller's is in the caller's trace.
            self.span.parent_id = None;
        }
    }

    /// Says what it is about.
    pub fn about(&mut self, key: &'static str, value: impl ToString) {
        self.span.about.push((key, value.to_string()));
    }

    /// Ends it without handing it on yet: for what is only true once its transaction is committed.
    #[must_use]
    pub fn end(mut self, good: bool) -> Span {
        self.span.took = self.since.elapsed();
        self.span.good = good;
        self.span
    }

    /// Ends it and hands it on.
    pub fn finish(self, good: bool) {
        otlp::send(self.end(good));
    }
}
