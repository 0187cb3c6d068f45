//! `/v1/…`

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use serde::Deserialize;

use super::answer::Json;
use super::{App, body};
use crate::error::Refusal;
use crate::scan;
use crate::service::{
    Encode, Info, Items, ItemsAnswer, ItemsRequest, Lookup, Method, Neighbours, RequestedSide,
    Retrieve, Upsert,
};

type Answer<M> = Result<Json<<M as Method>::Answer>, Refusal>;

macro_rules! posted {
    ($($path:ident $method:ident $parse:path,)*) => {
        $(pub(super) async fn $path(
            State(app): State<Arc<App>>,
            headers: HeaderMap,
            body: Bytes,
        ) -> Answer<$method> {
            let call = app.counted(app.call(&headers))?;
            let request = body::parsed(&headers, &body, app.service.limits(), $parse);
            let request = app.counted(request)?;
            app.service.call::<$method>(call, request).await.map(Json)
        })*
    };
}

posted! {
    lookup Lookup body::parse,
    encode Encode scan::parse,
    upsert Upsert scan::parse,
    items_posted Items body::parse,
    neighbours Neighbours body::parse,
    retrieve Retrieve body::parse,
}

/// [`ItemsRequest`] in a query: `?prefix=17,403&limit=50`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ItemsQuery {
    #[serde(default)]
    side: RequestedSide,
    #[serde(default)]
    prefix: String,
    limit: Option<usize>,
    page: Option<String>,
    user: Option<String>,
}

pub(super) async fn items(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    query: Result<Query<ItemsQuery>, QueryRejection>,
) -> Result<Json<ItemsAnswer>, Refusal> {
    let Query(query) = query.map_err(|error| Refusal::invalid(error.body_text()))?;
    let ItemsQuery { side, prefix, limit, page, user } = query;
    let request = ItemsRequest { side, prefix: parse_codes(&prefix)?, limit, page, user };
    app.service.call::<Items>(app.call(&headers)?, request).await.map(Json)
}

/// Codes separated by commas.
pub(crate) fn parse_codes(text: &str) -> Result<Vec<u32>, Refusal> {
    let code = |code: &str| {
        code.trim().parse().map_err(|_| {
            Refusal::invalid(format!("`prefix`: expected codes such as 17,403, got {code:?}"))
        })
    };
    if text.is_empty() { Ok(Vec::new()) } else { text.split(',').map(code).collect() }
}

pub(super) async fn artifact(State(app): State<Arc<App>>) -> Result<Json<Info>, Refusal> {
    app.service.info().map(Json)
}
