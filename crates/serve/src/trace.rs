//! Spans of requests, for OpenTelemetry. Where nobody collects them they cost a look at a flag.

use axum::http::HeaderMap;
use tracing::Span;
use tracing::field::Empty;

use crate::error::Kind;

/// The target of these spans, by which a subscriber tells them from logs.
pub const TARGET: &str = "das_serve::trace";

/// Where a request stands in the trace of its client, as W3C Trace Context writes it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Remote<'a> {
    /// `traceparent`.
    pub parent: Option<&'a str>,
    /// `tracestate`.
    pub state: Option<&'a str>,
}

impl<'a> Remote<'a> {
    /// What the headers of a request say.
    pub fn of(headers: &'a HeaderMap) -> Remote<'a> {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Remote { parent: header("traceparent"), state: header("tracestate") }
    }
}

/// The span of a request, in the trace of its client if that has one.
pub(crate) fn request(
    method: &'static str,
    transport: &'static str,
    rows: usize,
    remote: Remote<'_>,
) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        "request",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = Empty,
        das.transport = transport,
        das.rows = count(rows),
        das.code = Empty,
        das.arm = Empty,
        das.version = Empty,
    );
    if !span.is_disabled() {
        adopt(&span, remote);
    }
    span
}

/// Says how a request ended, and by which artifact. Only the service's own failures are errors of the span.
pub(crate) fn ended(span: &Span, refused: Option<Kind>, arm: &str, version: &str) {
    span.record("das.code", refused.map_or("ok", Kind::name));
    span.record("das.arm", arm);
    span.record("das.version", version);
    if matches!(refused, Some(Kind::Internal | Kind::Late | Kind::Stopping)) {
        span.record("otel.status_code", "ERROR");
    }
}

/// The span of the computation that answers `request`, along with others: `rows` together.
pub(crate) fn compute(request: &Span, rows: usize) -> Span {
    tracing::info_span!(target: TARGET, parent: request, "compute", das.rows_together = count(rows))
}

/// A count as OpenTelemetry has numbers: unsigned ones would arrive as text.
fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

#[cfg(feature = "otlp")]
fn adopt(span: &Span, remote: Remote<'_>) {
    use opentelemetry::propagation::TextMapPropagator;
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    if remote.parent.is_some() {
        let propagator = opentelemetry_sdk::propagation::TraceContextPropagator::new();
        // It fails for a span that has ended or that nobody collects.
        let _ = span.set_parent(propagator.extract(&remote));
    }
}

#[cfg(not(feature = "otlp"))]
fn adopt(_span: &Span, _remote: Remote<'_>) {}

#[cfg(feature = "otlp")]
impl opentelemetry::propagation::Extractor for Remote<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => self.parent,
            "tracestate" => self.state,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}
