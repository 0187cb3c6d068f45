//! Figures of the service, as Prometheus reads them.

use std::sync::Arc;
use std::time::Duration;

use das_core::Side;
use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::rates::{COUNTED, Rate, Rates};
use crate::registry::Served;

/// Bounds of the histograms in seconds, .25 ms to 8 s: each twice the one before.
const SECONDS: [f64; 16] = [
    0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024,
    2.048, 4.096, 8.192,
];

/// Everything that is counted. Cheap to clone: clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<MethodLabels, Histogram>,
    rows: Family<MethodLabels, Counter>,
    refused: Family<ReasonLabels, Counter>,
    reloads: Family<ReloadLabels, Counter>,
    upserts: Family<UpsertLabels, Counter>,
    shadow: Family<ShadowLabels, Counter>,
    serving: Family<VersionLabels, Gauge>,
    waiting: Family<QueueLabels, Gauge>,
    connections: Gauge,
    upserts_healthy: Gauge,
    resident: Gauge,
    rates: Arc<Rates>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    transport: &'static str,
    code: &'static str,
    arm: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct MethodLabels {
    method: &'static str,
    arm: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReloadLabels {
    arm: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct UpsertLabels {
    side: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ShadowLabels {
    method: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VersionLabels {
    role: &'static str,
    version: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct QueueLabels {
    queue: &'static str,
}

/// How a request ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Which method, e.g. `lookup`.
    pub method: &'static str,
    /// `http` or `grpc`.
    pub transport: &'static str,
    /// `ok`, or the name of the kind of refusal.
    pub code: &'static str,
    /// Which artifact answered.
    pub arm: &'static str,
    /// Rows answered.
    pub rows: usize,
    /// How long it took, from the first byte of its body to its answer.
    pub took: Duration,
}

/// Numbers that are looked at when they are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Levels {
    /// Rows that wait to be computed.
    pub computing: usize,
    /// Rows that wait for their IDs.
    pub upserting: usize,
    /// Connections that are open.
    pub connections: usize,
    /// Whether new entities get IDs.
    pub upserts_healthy: bool,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            rows: Family::default(),
            refused: Family::default(),
            reloads: Family::default(),
            upserts: Family::default(),
            shadow: Family::default(),
            serving: Family::default(),
            waiting: Family::default(),
            connections: Gauge::default(),
            upserts_healthy: Gauge::default(),
            resident: Gauge::default(),
            rates: Arc::default(),
        }
    }
}

impl Metrics {
    /// Counts a request.
    pub fn ended(&self, ended: &Ended) {
        let Ended { method, transport, code, arm, rows, took } = *ended;
        self.requests.get_or_create(&RequestLabels { method, transport, code, arm }).inc();
        let labels = MethodLabels { method, arm };
        self.seconds.get_or_create(&labels).observe(took.as_secs_f64());
        self.rows.get_or_create(&labels).inc_by(rows as u64);
        self.rates.count(if code == "ok" { method } else { "failed" });
    }

    /// Counts a request that was refused before it was read.
    pub fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabels { reason }).inc();
        self.rates.count("refused");
    }

    /// Counts an attempt to load a version.
    pub fn reloaded(&self, arm: &'static str, result: &'static str) {
        self.reloads.get_or_create(&ReloadLabels { arm, result }).inc();
    }

    /// Counts entities that asked for an ID.
    pub fn upserted(&self, side: Side, status: &'static str, rows: usize) {
        let labels = UpsertLabels { side: side.name(), status };
        self.upserts.get_or_create(&labels).inc_by(rows as u64);
    }

    /// Counts a comparison with an artifact in shadow.
    pub fn shadowed(&self, method: &'static str, result: &'static str) {
        self.shadow.get_or_create(&ShadowLabels { method, result }).inc();
    }

    /// Says which versions are served, and no others.
    pub fn serving(&self, served: &Served) {
        self.serving.clear();
        let set = |role, version: &str| {
            let labels = VersionLabels { role, version: version.to_string() };
            self.serving.get_or_create(&labels).set(1);
        };
        set("live", served.live.version());
        served.previous.iter().for_each(|loaded| set("previous", loaded.version()));
        served.second.iter().for_each(|(loaded, _)| set("second", loaded.version()));
    }

    /// Notes how much was counted by now; to be called every second.
    pub fn sample(&self) {
        self.rates.sample(std::time::Instant::now());
    }

    /// What happens in a second.
    pub fn rates(&self) -> [Rate; COUNTED.len()] {
        self.rates.rates()
    }

    /// Everything in the text format of Prometheus.
    pub fn text(&self, levels: Levels) -> String {
        let waiting = |queue, rows: usize| {
            self.waiting.get_or_create(&QueueLabels { queue }).set(rows as i64);
        };
        waiting("compute", levels.computing);
        waiting("upsert", levels.upserting);
        self.connections.set(levels.connections as i64);
        self.upserts_healthy.set(levels.upserts_healthy.into());
        self.resident.set(resident_bytes() as i64);
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry());
        text
    }

    fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("das");
        let this = self.clone();
        registry.register("requests", "Requests answered", this.requests);
        registry.register("request_seconds", "Seconds a request", this.seconds);
        registry.register("rows", "Rows answered", this.rows);
        registry.register("refused", "Requests refused before they were read", this.refused);
        registry.register("reloads", "Attempts to load a version", this.reloads);
        registry.register("upserts", "Entities that asked for an ID", this.upserts);
        registry.register("shadow", "Comparisons with the artifact in shadow", this.shadow);
        registry.register("serving", "Versions that are served", this.serving);
        registry.register("waiting_rows", "Rows that wait", this.waiting);
        registry.register("connections", "Open connections", this.connections);
        let help = "Whether new entities get IDs: 0 once their store failed";
        registry.register("upserts_healthy", help, this.upserts_healthy);
        registry.register(
            "resident_bytes",
            "Memory of the process, mapped pages included",
            this.resident,
        );
        registry
    }
}

/// Memory of this process; 0 where the system does not tell.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes =
        line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kilobytes.map_or(0, |kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_in_the_format_of_prometheus() {
        let metrics = Metrics::default();
        metrics.ended(&Ended {
            method: "lookup",
            transport: "http",
            code: "ok",
            arm: "live",
            rows: 100,
            took: Duration::from_millis(3),
        });
        metrics.refused("overloaded");
        let text = metrics.text(Levels {
            computing: 7,
            upserting: 0,
            connections: 2,
            upserts_healthy: true,
        });
        for line in [
            r#"das_requests_total{method="lookup",transport="http",code="ok",arm="live"} 1"#,
            r#"das_rows_total{method="lookup",arm="live"} 100"#,
            r#"das_request_seconds_bucket{le="0.002",method="lookup",arm="live"} 0"#,
            r#"das_request_seconds_bucket{le="0.004",method="lookup",arm="live"} 1"#,
            r#"das_refused_total{reason="overloaded"} 1"#,
            r#"das_waiting_rows{queue="compute"} 7"#,
            "das_connections 2",
            "das_upserts_healthy 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
