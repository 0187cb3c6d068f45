//! Whether the service lives, is ready, and how it does.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::App;
use crate::metrics::Levels;

pub(super) async fn live() -> &'static str {
    "ok\n"
}

pub(super) async fn ready(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if app.is_ready() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    }
}

pub(super) async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], app.service.metrics().text(app.levels()))
}

impl App {
    /// What waits, and who is connected.
    pub(super) fn levels(&self) -> Levels {
        Levels {
            computing: self.service.waiting(),
            upserting: self.service.committer().waiting(),
            upserts_healthy: self.service.committer().is_healthy(),
            connections: self.connections.load(Ordering::Relaxed),
        }
    }
}
