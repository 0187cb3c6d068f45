//! `/v2/…`: the Open Inference Protocol in JSON.

use std::fmt;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Json;
use super::{App, body};
use crate::error::Refusal;
use crate::inference::{self, Input, PLATFORM, Tensor};
use crate::lists::MOST;

/// Deepest nesting of a tensor's data.
const MAX_NESTING: usize = 8;

#[derive(Debug, Deserialize)]
pub(super) struct InferRequest {
    id: Option<String>,
    inputs: Vec<InputTensor>,
    #[serde(default)]
    outputs: Vec<RequestedOutput>,
}

#[derive(Debug, Deserialize)]
struct InputTensor {
    name: String,
    shape: Vec<usize>,
    datatype: String,
    data: Flat,
}

#[derive(Debug, Deserialize)]
struct RequestedOutput {
    name: String,
}

#[derive(Debug, Serialize)]
pub(super) struct InferAnswer {
    model_name: &'static str,
    model_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    outputs: [OutputTensor; 1],
}

#[derive(Debug, Serialize)]
struct OutputTensor {
    name: &'static str,
    shape: [usize; 2],
    datatype: &'static str,
    data: Vec<u32>,
}

pub(super) async fn server() -> Json<Value> {
    Json(json!({"name": PLATFORM, "version": env!("CARGO_PKG_VERSION"), "extensions": []}))
}

pub(super) async fn live() -> Json<Value> {
    Json(json!({"live": true}))
}

pub(super) async fn ready(State(app): State<Arc<App>>) -> (StatusCode, Json<Value>) {
    let ready = app.is_ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"ready": ready})))
}

pub(super) async fn model(
    State(app): State<Arc<App>>,
    Path(model): Path<String>,
) -> Result<Json<Value>, Refusal> {
    describe(&app, &model, "")
}

pub(super) async fn model_version(
    State(app): State<Arc<App>>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    describe(&app, &model, &version)
}

pub(super) async fn model_ready(
    State(app): State<Arc<App>>,
    Path(model): Path<String>,
) -> Result<Json<Value>, Refusal> {
    is_ready(&app, &model, "")
}

pub(super) async fn version_ready(
    State(app): State<Arc<App>>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    is_ready(&app, &model, &version)
}

pub(super) async fn infer(
    State(app): State<Arc<App>>,
    Path(model): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<InferAnswer>, Refusal> {
    answer(&app, (&model, ""), &headers, body).await
}

pub(super) async fn infer_version(
    State(app): State<Arc<App>>,
    Path((model, version)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<InferAnswer>, Refusal> {
    answer(&app, (&model, &version), &headers, body).await
}

fn describe(app: &App, model: &str, version: &str) -> Result<Json<Value>, Refusal> {
    let model = inference::describe(&app.service, model, version)?;
    let text = model.text.map(tensor);
    let inputs: Vec<Value> = std::iter::once(tensor(model.content)).chain(text).collect();
    Ok(Json(json!({
        "name": model.name,
        "versions": model.versions,
        "platform": PLATFORM,
        "inputs": inputs,
        "outputs": [tensor(model.codes)],
    })))
}

fn tensor<const N: usize>(tensor: Tensor<N>) -> Value {
    json!({"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape.as_slice()})
}

fn is_ready(app: &App, model: &str, version: &str) -> Result<Json<Value>, Refusal> {
    let model = inference::describe(&app.service, model, version)?;
    Ok(Json(json!({"name": model.name, "ready": app.is_ready()})))
}

async fn answer(
    app: &App,
    model: (&str, &str),
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Json<InferAnswer>, Refusal> {
    let call = app.counted(app.call(headers))?;
    let request = body::json(headers, &body, app.service.limits());
    let request: InferRequest = app.counted(request)?;
    let inputs = request.inputs.into_iter().map(|tensor| {
        let InputTensor { name, shape, datatype, data: Flat { numbers, texts } } = tensor;
        Input { name, datatype, shape, numbers, texts }
    });
    let outputs = request.outputs.into_iter().map(|output| output.name);
    let inferred = inference::infer(&app.service, call, model, inputs.collect(), outputs).await?;
    let (shape, data) = (inferred.shape, inferred.codes);
    Ok(Json(InferAnswer {
        model_name: inferred.model,
        model_version: inferred.version,
        id: request.id,
        outputs: [OutputTensor { name: inference::CODES, shape, datatype: "UINT32", data }],
    }))
}

/// A tensor's data, nested or not: its numbers, or its texts.
#[derive(Debug, Default)]
struct Flat {
    numbers: Vec<f32>,
    texts: Vec<String>,
}

impl<'de> Deserialize<'de> for Flat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Flat, D::Error> {
        let mut flat = Flat::default();
        deserializer.deserialize_seq(Nested { flat: &mut flat, depth: 1 })?;
        Ok(flat)
    }
}

/// One list of a tensor's data, or one value.
struct Nested<'a> {
    flat: &'a mut Flat,
    depth: usize,
}

impl<'de> serde::de::DeserializeSeed<'de> for Nested<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the data of a tensor: numbers or strings, in lists")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if self.depth > MAX_NESTING {
            return Err(A::Error::custom("the data of a tensor is nested too deeply"));
        }
        let depth = self.depth + 1;
        while list.next_element_seed(Nested { flat: self.flat, depth })?.is_some() {}
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.flat.numbers.push(value as f32);
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.visit_f64(value as f64)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.visit_f64(value as f64)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        if self.flat.texts.len() == MOST {
            return Err(E::custom(format!("more than {MOST} texts")));
        }
        self.flat.texts.push(value.to_string());
        Ok(())
    }
}
