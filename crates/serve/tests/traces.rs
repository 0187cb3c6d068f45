//! Spans of requests as OpenTelemetry receives them.

#[allow(dead_code)]
#[path = "serve/common.rs"]
mod common;

use std::time::{Duration, Instant};

use common::{Fixture, Running, content};
use das_serve::service::{Call, Encode, EncodeRequest, Lookup, LookupRequest, Method};
use das_serve::trace::Remote;
use das_serve::vectors::Vectors;
use opentelemetry::Value;
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tracing_subscriber::layer::SubscriberExt;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

struct Traced {
    running: Running,
    exported: InMemorySpanExporter,
}

impl Traced {
    /// Spans of a request under this `traceparent`, the first to end first.
    fn call<M: Method>(&self, parent: Option<&str>, request: M::Request) -> Vec<SpanData> {
        self.exported.reset();
        let deadline = Instant::now() + Duration::from_secs(30);
        let trace = Remote { parent, state: Some("vendor=1") };
        let call = Call { user: None, deadline, transport: "grpc", version: None, trace };
        let _ = self.running.runtime.block_on(self.running.service.call::<M>(call, request));
        self.exported.get_finished_spans().unwrap()
    }
}

fn attribute(span: &SpanData, name: &str) -> Value {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
    found.unwrap_or_else(|| panic!("no {name}: {span:?}")).value.clone()
}

fn encode(rows: usize, width: usize) -> EncodeRequest {
    let values = content(1, 2).repeat(rows * width / 2);
    EncodeRequest { vectors: Some(Vectors::new(width, values).unwrap()), ..Default::default() }
}

#[test]
fn requests_are_spans_in_the_trace_of_their_client() {
    let exported = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exported.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("das"));
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).unwrap();
    let traced = Traced { running: Running::of(&Fixture::default()), exported };
    let version = traced.running.service.info().unwrap().live.version;

    let spans = traced.call::<Encode>(Some(PARENT), encode(3, 2));
    let [compute, request] = spans.as_slice() else { panic!("two spans: {spans:?}") };
    assert_eq!((compute.name.as_ref(), request.name.as_ref()), ("compute", "encode"));
    let trace = TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").unwrap();
    assert_eq!(request.span_context.trace_id(), trace);
    assert_eq!(request.parent_span_id, SpanId::from_hex("b7ad6b7169203331").unwrap());
    assert_eq!(request.span_context.trace_state().get("vendor"), Some("1"));
    assert_eq!(request.span_kind, SpanKind::Server);
    let told = |name| attribute(request, name);
    assert_eq!(
        (told("das.transport"), told("das.rows"), told("das.code"), told("das.arm")),
        ("grpc".into(), 3.into(), "ok".into(), "live".into())
    );
    assert_eq!(told("das.version"), version.into());
    assert_eq!(compute.parent_span_id, request.span_context.span_id());
    assert_eq!(attribute(compute, "das.rows_together"), 3.into());

    // A refusal is an answer, not a failure of the service.
    let spans = traced.call::<Encode>(Some(PARENT), encode(1, 6));
    assert_eq!((spans.len(), attribute(&spans[0], "das.code")), (1, "invalid".into()));
    assert_eq!(spans[0].status, Status::Unset);

    // Without a trace, or with one that cannot be read, a new one begins.
    for parent in [None, Some("00-xyz"), Some("")] {
        let spans = traced.call::<Lookup>(parent, LookupRequest::default());
        assert_eq!(spans[0].name, "lookup");
        assert_eq!(spans[0].parent_span_id, SpanId::INVALID);
        assert_ne!(spans[0].span_context.trace_id(), trace);
    }
}
