//! A small page to browse what is served.

mod view;

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::IntoResponse;
use maud::Markup;
use serde::Deserialize;

use crate::error::{Kind, Refusal};
use crate::http::App;
use crate::ids::Id;
use crate::service::{Items, ItemsRequest, Lookup, LookupRequest, RequestedSide};

/// Entities of a page.
const SHOWN: usize = 50;
/// Entities that are shown to share a prefix.
const SHARING: usize = 12;

/// What the page may load: nothing but itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    #[serde(default)]
    side: RequestedSide,
    /// The id that is looked for.
    #[serde(default)]
    id: String,
    /// Or a prefix, codes separated by commas.
    #[serde(default)]
    prefix: String,
    page: Option<String>,
}

/// The page, whatever it is asked for.
pub(crate) async fn page(
    State(app): State<Arc<App>>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> impl IntoResponse {
    let body = match query {
        Ok(Query(query)) => body(&app, &query).await,
        Err(error) => Err(Refusal::invalid(error.body_text())),
    };
    let markup = match body {
        Ok(markup) => markup,
        Err(refusal) => view::refusal(&refusal),
    };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, markup.into_string())
}

async fn body(app: &App, query: &PageQuery) -> Result<Markup, Refusal> {
    let result = match (query.id.trim(), query.prefix.trim()) {
        ("", "") => None,
        ("", prefix) => Some(with_prefix(app, query, prefix).await?),
        (id, _) => Some(entity(app, query.side, id).await?),
    };
    let info = app.service.info()?;
    let served = app.service.registry().served();
    Ok(view::page(&view::Page {
        info: &info,
        live: &served.live,
        rates: &app.service.metrics().rates(),
        side: query.side,
        id: query.id.trim(),
        prefix: query.prefix.trim(),
        result,
    }))
}

/// One entity, and what shares each prefix of its ID.
async fn entity(app: &App, side: RequestedSide, id: &str) -> Result<Markup, Refusal> {
    let call = app.internal_call();
    let request = LookupRequest { side, ids: vec![Id::Text(id.to_string())], user: None };
    let row = app.service.call::<Lookup>(call, request).await?.results.remove(0);
    let Some(codes) = row.codes else {
        return Err(Refusal::new(Kind::NotFound, format!("{id} is unknown")));
    };
    let mut levels = Vec::new();
    for length in (1..=codes.len()).rev() {
        let request = ItemsRequest {
            side,
            prefix: codes[..length].to_vec(),
            limit: Some(SHARING),
            ..ItemsRequest::default()
        };
        let found = app.service.call::<Items>(call, request).await?;
        levels.push((codes[..length].to_vec(), found));
    }
    Ok(view::entity(side, id, &codes, &levels))
}

/// A page of the entities behind a prefix.
async fn with_prefix(app: &App, query: &PageQuery, prefix: &str) -> Result<Markup, Refusal> {
    let prefix = crate::http::parse_codes(prefix)?;
    let request = ItemsRequest {
        side: query.side,
        prefix: prefix.clone(),
        limit: Some(SHOWN),
        page: query.page.clone(),
        user: None,
    };
    let found = app.service.call::<Items>(app.internal_call(), request).await?;
    Ok(view::prefix(query.side, &prefix, &found))
}
