//! What the program tells those who watch it: metrics, log lines, traces that leave it.
//!
//! What belongs here: names, forms, ways out. What does not: what is counted; whoever acts counts.

pub mod log_lines;
pub mod metrics;
pub mod otlp;
pub mod scope;
pub mod spans;
