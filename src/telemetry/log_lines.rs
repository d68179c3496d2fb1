//! Log lines: for people, or one JSON object a line.
//!
//! A line says what it is about by ids: a message, and beside it fields out of the call (`log::info!(payment = 7; "…")`) and
//! out of the scope of the work (request, trace, event). Personal data has no place in any of them.

use std::io::Write;

use env_logger::fmt::Formatter;
use log::Record;
use log::kv::{Error, Key, Value, VisitSource};
use serde_json::{Map, Value as Json};

use super::scope;
use crate::config::LogFormat;

/// Fields that every line has; one of a call with the same name is called `field_…`.
const OWN_FIELDS: [&str; 4] = ["time", "level", "target", "message"];

/// Starts the log: what is logged says `RUST_LOG`, else `filter`.
pub fn start(filter: &str, format: LogFormat) {
    let mut builder = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(filter));
    match format {
        LogFormat::Text => builder.format(text),
        LogFormat::Json => builder.format(json),
    };
    builder.init();
    if format == LogFormat::Json {
        // Also what ends the program is one object a line.
        std::panic::set_hook(Box::new(|panic| log::error!(target: "panic", "{}", panic.to_string().replace('\n', " "))));
    }
}

fn text(out: &mut Formatter, record: &Record<'_>) -> std::io::Result<()> {
    let style = out.default_level_style(record.level());
    write!(out, "[{} {style}{:<5}{style:#} {}] {}", out.timestamp(), record.level(), record.target(), record.args())?;
    for (key, value) in fields(record) {
        match value {
            Json::String(value) => write!(out, " {key}={value}")?,
            value => write!(out, " {key}={value}")?,
        }
    }
    writeln!(out)
}

fn json(out: &mut Formatter, record: &Record<'_>) -> std::io::Result<()> {
    let mut line = Map::new();
    let mut put = |key: &str, value: String| line.insert(key.to_owned(), Json::String(value));
    put("time", out.timestamp_millis().to_string());
    put("level", record.level().as_str().to_lowercase());
    put("target", record.target().to_owned());
    put("message", record.args().to_string());
    line.extend(fields(record));
    writeln!(out, "{}", Json::Object(line))
}

/// What a line says beside its message: of the call first, then of the scope.
fn fields(record: &Record<'_>) -> Map<String, Json> {
    let mut fields = Fields(Map::new());
    // Whoever cannot be visited has nothing to say; the line itself must not be lost for it.
    let _ = record.key_values().visit(&mut fields);
    let scope = scope::current();
    let mut put = |key: &str, value: Option<Json>| {
        if let Some(value) = value {
            fields.0.entry(key).or_insert(value);
        }
    };
    let text = |value: Option<std::sync::Arc<str>>| value.map(|value| Json::String(value.to_string()));
    put("request", text(scope.request));
    put("trace", text(scope.trace));
    put("event", scope.event.map(Json::from));
    fields.0
}

struct Fields(Map<String, Json>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let name = if OWN_FIELDS.contains(&key.as_str()) { format!("field_{key}") } else { key.to_string() };
        let number = value.to_i64().map(Json::from).or_else(|| value.to_u64().map(Json::from));
        let value = number.or_else(|| value.to_bool().map(Json::from)).unwrap_or_else(|| Json::String(value.to_string()));
        self.0.insert(name, value);
        Ok(())
    }
}
