//! Arguments of `das serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

/// Arguments of `das serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The run, or its artifact folder; a version that is published there later is served from then on
    #[arg(long, value_name = "RUN")]
    pub run: PathBuf,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// The file of entities that come later; made where it is missing [default: beside the artifact]
    #[arg(long, value_name = "FILE")]
    pub online: Option<PathBuf>,
    /// The folder of the published model that embedded the run's texts, where one did
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// A second run, served beside the first
    #[arg(long, value_name = "RUN")]
    pub second: Option<PathBuf>,
    /// The share of users that the second run answers, 0 to 1
    #[arg(long, value_name = "SHARE", requires = "second", conflicts_with = "shadow")]
    pub share: Option<f64>,
    /// The second run answers nobody: it repeats what the first does, and answers are compared
    #[arg(long, requires = "second")]
    pub shadow: bool,
    /// API keys: lines `read KEY` and `admin KEY`; also from DAS_READ_KEYS and DAS_ADMIN_KEYS
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// Let everybody ask whom the address lets in, though there are no keys
    #[arg(long)]
    pub open: bool,
    /// Certificate chain in PEM, for TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Seconds between looks for a new version; 0 for none but `POST /admin/reload`
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    pub watch: f64,
    /// Threads that compute [default: one a core]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub compute_threads: usize,
    /// Threads that read and write [default: one a core]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub io_threads: usize,
    /// Requests worked on at a time; more are refused
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub requests: usize,
    /// Rows that may wait to be computed; more are refused
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub queue_rows: usize,
    /// Milliseconds that work may wait for a thread; if most of it waits longer, few of encode, upsert, retrieve and infer are worked on at a time
    #[arg(long, value_name = "MS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub thread_wait_ms: u64,
    /// Connections at a time
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub connections: usize,
    /// Milliseconds that a request may take which does not say
    #[arg(long, value_name = "MS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=30_000))]
    pub timeout_ms: u64,
    /// Seconds from SIGTERM to the end of new connections, while /readyz says 503 and all is answered
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    pub leave: f64,
    /// An OpenTelemetry collector that spans of requests are sent to (gRPC), e.g. http://localhost:4317
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// What is logged, e.g. `info` or `das_serve=debug`
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log: String,
}
