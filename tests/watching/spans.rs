//! Spans that leave the program: a receiver that takes what a collector of OpenTelemetry would.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use aquabills::actions::inbox::{Rechecks, receive, recheck};
use aquabills::actions::stop::Stop;
use aquabills::config::TelemetrySettings;
use aquabills::telemetry::otlp;
use aquabills::telemetry::scope::{Scope, within};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::stage::{PARENT, apply, attempt, paid, signature, stage, wait};
use crate::support::Town;

/// Takes requests at its address and hands their spans on.
fn collector() -> (String, Receiver<(String, Span)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let (spans, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a connection");
            let mut reader = BufReader::new(stream);
            // One connection may bring several requests.
            while let Some((head, body)) = request(&mut reader) {
                assert!(
                    head.starts_with("POST /v1/traces HTTP/1.1") && head.to_lowercase().contains("content-type: application/x-protobuf"),
                    "{head}"
                );
                let request = ExportTraceServiceRequest::decode(&body[..]).expect("a request of the protocol");
                for resource in request.resource_spans {
                    let service = format!("{:?}", resource.resource.expect("a resource").attributes);
                    resource.scope_spans.into_iter().flat_map(|scope| scope.spans).for_each(|span| drop(spans.send((service.clone(), span))));
                }
                reader
                    .get_mut()
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")
                    .expect("an answer");
            }
        }
    });
    (address, received)
}

fn request(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

#[test]
fn spans_reach_a_collector_with_their_trace() {
    // The way out is the process's own, so this one test has it: a trace of its own tells its spans from others.
    let trace = "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf";
    let (address, received) = collector();
    let settings = TelemetrySettings { otlp_endpoint: address, service_name: "story-town".to_owned(), ..TelemetrySettings::default() };
    let exporter = otlp::start(&settings).expect("the way out opens");
    let town = stage(Town::sqlite());
    let context = &town.context;
    let token = attempt(context, "A1", "20.00", 'a');
    let body = paid(context, "evt_span", "pi_span", &token, 2000);
    let scope = Scope { trace: Some(trace.into()), parent: Some(PARENT.into()), ..Scope::default() };
    within(scope, || receive(context, "stripe", body.as_bytes(), Some(&signature(context, &body)))).expect("it is taken");
    apply(context);
    wait(context, 6);
    recheck(context, &mut Rechecks::default(), &Stop::default()).expect("somebody looks again");
    exporter.stop(Duration::from_secs(20));

    let until = Instant::now() + Duration::from_secs(20);
    let mut spans = Vec::new();
    let mut checkout = false;
    while spans.len() < 4 || !checkout {
        let (service, span) = received.recv_timeout(until.saturating_duration_since(Instant::now())).expect("the spans arrive");
        checkout |= span.name == "checkout";
        if data_encoding::HEXLOWER.encode(&span.trace_id) == trace {
            assert!(service.contains("story-town"), "{service}");
            spans.push(span);
        }
    }
    spans.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["apply", "callback", "ledger write", "recheck"]);
    let [apply, callback, write, _] = &spans[..] else { panic!("four spans") };
    assert_eq!(data_encoding::HEXLOWER.encode(&callback.parent_span_id), PARENT, "the caller's trace goes on");
    assert_eq!(write.parent_span_id, apply.span_id);
    for span in &spans {
        assert_eq!(span.span_id.len(), 8);
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano && span.start_time_unix_nano > 1_700_000_000_000_000_000);
        let about = format!("{:?}", span.attributes);
        assert!(!about.contains("Markbearer") && !about.contains("Ada"), "{about}");
    }
}
