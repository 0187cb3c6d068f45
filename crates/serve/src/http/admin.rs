//! What changes the service, and the export of what it was changed by.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use das_core::Side;
use das_core::sid::files::write_parquet;
use serde::Deserialize;
use serde_json::json;

use super::answer::Json;
use super::{App, body};
use crate::admin::Reloaded;
use crate::error::Refusal;
use crate::online;
use crate::registry::{Arm, Experiment};
use crate::service::RequestedSide;

/// `?arm=second`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReloadQuery {
    #[serde(default = "live")]
    arm: Arm,
}

fn live() -> Arm {
    Arm::Live
}

pub(super) async fn reload(
    State(app): State<Arc<App>>,
    query: Result<Query<ReloadQuery>, QueryRejection>,
) -> Result<Json<Reloaded>, Refusal> {
    let Query(ReloadQuery { arm }) = query.map_err(|error| Refusal::invalid(error.body_text()))?;
    // To the end, whether or not its client waits for it.
    let reloading = tokio::spawn(async move { app.admin.reload(arm).await });
    reloading.await.map_err(Refusal::internal)?.map(Json)
}

pub(super) async fn roll_back(State(app): State<Arc<App>>) -> Result<Json<Reloaded>, Refusal> {
    app.admin.roll_back().await.map(Json)
}

pub(super) async fn experiment(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<serde_json::Value>, Refusal> {
    let limits = app.service.limits();
    let arrived = body::arrive(body, limits, &app.memory).await?;
    let experiment: Experiment = body::json(&headers, &arrived.bytes, limits)?;
    app.admin.experiment(experiment).await?;
    Ok(Json(json!({"experiment": experiment})))
}

/// `?side=user`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportQuery {
    #[serde(default)]
    side: RequestedSide,
}

/// The IDs that were given out since publication, as the artifact's own table of IDs.
pub(super) async fn export(
    State(app): State<Arc<App>>,
    query: Result<Query<ExportQuery>, QueryRejection>,
) -> Result<impl IntoResponse, Refusal> {
    let Query(ExportQuery { side }) = query.map_err(|error| Refusal::invalid(error.body_text()))?;
    let side = Side::from(side);
    let served = app.service.registry().served();
    let work = || {
        let store = app.service.committer().store();
        let (ids, table) = online::export(store, &served.live, side).map_err(Refusal::internal)?;
        let folder = tempfile::tempdir().map_err(Refusal::internal)?;
        let path = folder.path().join("sids.parquet");
        write_parquet(&path, side, &ids, &table).map_err(Refusal::internal)?;
        std::fs::read(&path).map_err(Refusal::internal)
    };
    let bytes = tokio::task::block_in_place(work)?;
    let version = served.live.version().to_string();
    let headers = [
        (header::CONTENT_TYPE.as_str(), "application/vnd.apache.parquet".to_string()),
        ("x-das-version", version),
    ];
    Ok((axum::response::AppendHeaders(headers), bytes))
}
