//! What a service says of itself: logs, and traces where they are asked for.

use das_serve::trace::TARGET;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::usage::UsageError;

/// Logs to the standard error, in JSON, what `log` lets through, and sends the spans of requests to the
/// OpenTelemetry collector `otlp`. The answer sends them for as long as it lives, and the last ones as it ends.
pub fn start(log: &str, otlp: Option<&str>) -> anyhow::Result<Option<Traces>> {
    let filter: Targets =
        log.parse().map_err(|error| UsageError(format!("--log {log}: {error}")))?;
    // Spans of requests are no logs.
    let filter = filter.with_target(TARGET, LevelFilter::OFF);
    let logs = tracing_subscriber::fmt::layer()
        .json()
        .with_writer(std::io::stderr)
        .with_filter(filter)
        .boxed();
    let traces = otlp.map(Traces::start).transpose()?;
    let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = vec![logs];
    layers.extend(traces.as_ref().map(Traces::layer));
    tracing_subscriber::registry().with(layers).init();
    Ok(traces)
}

#[cfg(feature = "otlp")]
pub use exported::Traces;

#[cfg(not(feature = "otlp"))]
pub use absent::Traces;

#[cfg(feature = "otlp")]
mod exported {
    use das_serve::trace::TARGET;
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_otlp::{SpanExporter, WithExportConfig};
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tokio::runtime::{Builder, Runtime};
    use tracing_subscriber::filter::{LevelFilter, Targets};
    use tracing_subscriber::{Layer, Registry};

    use crate::usage::UsageError;

    /// What sends spans to a collector over OTLP, in gRPC. The variables of the specification
    /// (`OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS`, …) apply.
    pub struct Traces {
        provider: SdkTracerProvider,
        /// Its connection lives on a thread of its own, so that it outlives those of the service.
        _runtime: Runtime,
    }

    impl Traces {
        pub(super) fn start(endpoint: &str) -> anyhow::Result<Traces> {
            let runtime = Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name("das-otlp")
                .enable_all()
                .build()?;
            let entered = runtime.enter();
            let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
            let exporter =
                exporter.map_err(|error| UsageError(format!("--otlp {endpoint}: {error}")))?;
            let mut resource = Resource::builder();
            if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
                resource = resource.with_service_name("das");
            }
            let provider = SdkTracerProvider::builder()
                .with_batch_exporter(exporter)
                .with_resource(resource.build())
                .build();
            drop(entered);
            Ok(Traces { provider, _runtime: runtime })
        }

        pub(super) fn layer(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
            let only = Targets::new().with_target(TARGET, LevelFilter::INFO);
            let tracer = self.provider.tracer("das");
            // Where in the code a span begins, and on which thread, tells nothing of a request.
            tracing_opentelemetry::layer()
                .with_tracer(tracer)
                .with_location(false)
                .with_target(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_filter(only)
                .boxed()
        }
    }

    impl Drop for Traces {
        fn drop(&mut self) {
            if let Err(error) = self.provider.shutdown() {
                tracing::warn!(%error, "the last spans could not be sent");
            }
        }
    }
}

#[cfg(not(feature = "otlp"))]
mod absent {
    use tracing_subscriber::{Layer, Registry};

    use crate::usage::UsageError;

    /// Never made: this build lacks the feature `otlp`.
    pub enum Traces {}

    impl Traces {
        pub(super) fn start(endpoint: &str) -> anyhow::Result<Traces> {
            let message = format!(
                "--otlp {endpoint}: this build sends no traces; build it with `--features otlp`"
            );
            Err(UsageError(message).into())
        }

        pub(super) fn layer(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
            match *self {}
        }
    }
}
