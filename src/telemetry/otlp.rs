//! Spans on their way to a collector of OpenTelemetry, by OTLP over HTTP in protobuf.
//!
//! Whoever makes a span never waits: it is put into a queue with a bound, and what does not fit is dropped and counted. One
//! thread sends what is there in batches; when the collector is away it tries again a little later, each time after a longer
//! random pause, and gives a batch up after a few attempts.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as WireSpan, Status};
use prost::Message;
use rand::Rng;

use super::metrics;
use super::spans::Span;
use crate::config::TelemetrySettings;
use crate::domain::retry::pause_ms;

/// So many spans go in one request at most.
const LARGEST_BATCH: usize = 512;
/// A batch waits for so long to become larger.
const GATHER: Duration = Duration::from_millis(500);
/// The collector may take so long for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A batch is tried so often.
const ATTEMPTS: u32 = 4;

static QUEUE: Mutex<Option<SyncSender<Span>>> = Mutex::new(None);

/// The way out while it is open. What waits is sent when it is closed.
pub struct Exporter(Option<JoinHandle<()>>);

/// Opens the way out that the settings name; none when they name none.
///
/// # Errors
/// When the thread cannot be started.
pub fn start(settings: &TelemetrySettings) -> std::io::Result<Exporter> {
    if settings.otlp_endpoint.is_empty() {
        return Ok(Exporter(None));
    }
    let (queue, spans) = sync_channel(usize::try_from(settings.queue).unwrap_or(1));
    let url = format!("{}/v1/traces", settings.otlp_endpoint.trim_end_matches('/'));
    let service = settings.service_name.clone();
    let thread = thread::Builder::new().name("telemetry".to_owned()).spawn(move || send_all(&url, &service, &spans))?;
    *QUEUE.lock().unwrap_or_else(PoisonError::into_inner) = Some(queue);
    Ok(Exporter(Some(thread)))
}

impl Exporter {
    /// Sends what waits, for so long at most, and closes the way out.
    pub fn stop(self, patience: Duration) {
        QUEUE.lock().unwrap_or_else(PoisonError::into_inner).take();
        let since = Instant::now();
        if let Some(thread) = self.0 {
            while !thread.is_finished() && since.elapsed() < patience {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Puts a span into the queue; where there is none, it is gone.
pub fn send(span: Span) {
    let queue = QUEUE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(queue) = queue.as_ref()
        && queue.try_send(span).is_err()
    {
        metrics::spans_dropped(1);
    }
}

fn send_all(url: &str, service: &str, spans: &Receiver<Span>) {
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build().into();
    loop {
        let Ok(first) = spans.recv() else { return };
        let mut batch = vec![first];
        let since = Instant::now();
        let mut open = true;
        while batch.len() < LARGEST_BATCH && open {
            match spans.recv_timeout(GATHER.saturating_sub(since.elapsed())) {
                Ok(span) => batch.push(span),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => open = false,
            }
        }
        send_batch(&agent, url, service, batch, open);
    }
}

/// Sends one batch; when the program ends, once.
fn send_batch(agent: &ureq::Agent, url: &str, service: &str, batch: Vec<Span>, patient: bool) {
    let count = u64::try_from(batch.len()).unwrap_or(0);
    let body = request(service, batch).encode_to_vec();
    let attempts = if patient { ATTEMPTS } else { 1 };
    for attempt in 1..=attempts {
        let sent = agent.post(url).header("content-type", "application/x-protobuf").send(&body[..]);
        match sent {
            Ok(_) => return metrics::spans_sent(count),
            Err(error) if attempt == attempts => log::warn!("{count} spans could not be sent and are given up: {error}"),
            Err(_) => thread::sleep(Duration::from_millis(pause_ms(attempt, rand::rng().random()))),
        }
    }
    metrics::spans_dropped(count);
}

fn request(service: &str, batch: Vec<Span>) -> ExportTraceServiceRequest {
    let resource = [("service.name", service), ("service.version", env!("CARGO_PKG_VERSION"))];
    let attributes = resource.into_iter().map(|(key, value)| attribute(key, value.to_owned())).collect();
    let scope = InstrumentationScope { name: "aquabills".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), ..Default::default() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes, ..Default::default() }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans: batch.into_iter().map(wire).collect(), ..Default::default() }],
            ..Default::default()
        }],
    }
}

fn wire(span: Span) -> WireSpan {
    let bytes = |hex: &str| data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap_or_default();
    let began = span.began_at.and_utc().timestamp_nanos_opt().and_then(|nanos| u64::try_from(nanos).ok()).unwrap_or(0);
    let kind = match span.name {
        "callback" => SpanKind::Server,
        "checkout" => SpanKind::Client,
        _ => SpanKind::Internal,
    };
    let code = if span.good { StatusCode::Ok } else { StatusCode::Error };
    WireSpan {
        trace_id: bytes(&span.trace_id),
        span_id: bytes(&span.span_id),
        parent_span_id: span.parent_id.as_deref().map(bytes).unwrap_or_default(),
        name: span.name.to_owned(),
        kind: kind.into(),
        start_time_unix_nano: began,
        end_time_unix_nano: began.saturating_add(u64::try_from(span.took.as_nanos()).unwrap_or(0)),
        attributes: span.about.into_iter().map(|(key, value)| attribute(key, value)).collect(),
        status: Some(Status { code: code.into(), ..Default::default() }),
        ..Default::default()
    }
}

fn attribute(key: &str, value: String) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(Value::StringValue(value)) }), ..Default::default() }
}
