//! The OpenAPI document.

use axum::http::header;
use axum::response::IntoResponse;

/// Written by hand; a test holds it against the paths that are served.
pub const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}
