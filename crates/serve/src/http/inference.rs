//! The Open Inference Protocol, version 2: each side is a model, content in, codes out.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Json;
use super::{App, body};
use crate::artifact::{Loaded, ServedSide};
use crate::error::{Kind, Refusal};
use crate::service::{Encode, EncodeRequest, RequestedSide};
use crate::vectors::Vectors;

/// The name of the tensor of content vectors.
const CONTENT: &str = "content";
/// The name of the tensor of texts.
const TEXT: &str = "text";
/// The name of the tensor of codes.
const CODES: &str = "codes";
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
    Json(json!({"name": "das", "version": env!("CARGO_PKG_VERSION"), "extensions": []}))
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
    describe(&app, &model, None)
}

pub(super) async fn model_version(
    State(app): State<Arc<App>>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    describe(&app, &model, Some(&version))
}

pub(super) async fn model_ready(
    State(app): State<Arc<App>>,
    Path(model): Path<String>,
) -> Result<Json<Value>, Refusal> {
    describe(&app, &model, None).map(|_| Json(json!({"name": model, "ready": app.is_ready()})))
}

pub(super) async fn version_ready(
    State(app): State<Arc<App>>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    describe(&app, &model, Some(&version))?;
    Ok(Json(json!({"name": model, "ready": app.is_ready()})))
}

pub(super) async fn infer(
    State(app): State<Arc<App>>,
    Path(model): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<InferAnswer>, Refusal> {
    answer(&app, &model, None, &headers, body).await
}

pub(super) async fn infer_version(
    State(app): State<Arc<App>>,
    Path((model, version)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<InferAnswer>, Refusal> {
    answer(&app, &model, Some(&version), &headers, body).await
}

fn describe(app: &App, model: &str, version: Option<&str>) -> Result<Json<Value>, Refusal> {
    let served = app.service.registry().served();
    let (side, _) = side_of(&served.live, model)?;
    check_version(&served.live, version)?;
    let mut inputs =
        vec![json!({"name": CONTENT, "datatype": "FP32", "shape": [-1, side.content_dim()]})];
    if side.embeds_texts().is_ok() {
        inputs.push(json!({"name": TEXT, "datatype": "BYTES", "shape": [-1]}));
    }
    let levels = side.layout().num_levels();
    Ok(Json(json!({
        "name": model,
        "versions": [served.live.version()],
        "platform": "das",
        "inputs": inputs,
        "outputs": [{"name": CODES, "datatype": "UINT32", "shape": [-1, levels]}],
    })))
}

async fn answer(
    app: &App,
    model: &str,
    version: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Json<InferAnswer>, Refusal> {
    let (_, requested) = side_of(&app.service.registry().served().live, model)?;
    let call = app.call(headers)?;
    let request: InferRequest = body::json(headers, body, app.service.limits()).await?;
    if let Some(output) = request.outputs.iter().find(|output| output.name != CODES) {
        let name = &output.name;
        return Err(Refusal::invalid(format!("`outputs`: expected `{CODES}`, got {name:?}")));
    }
    let encode = encode_request(request.inputs, requested)?;
    let answer = app.service.call::<Encode>(call, encode).await?;
    if version.is_some_and(|version| version != answer.answered.version) {
        let served = answer.answered.version;
        return Err(Refusal::new(Kind::NotFound, format!("version {served} is served")));
    }
    let shape = [answer.codes.len(), answer.codes.first().map_or(0, Vec::len)];
    let data = answer.codes.concat();
    Ok(Json(InferAnswer {
        model_name: name_of(requested),
        model_version: answer.answered.version,
        id: request.id,
        outputs: [OutputTensor { name: CODES, shape, datatype: "UINT32", data }],
    }))
}

/// The one input tensor as content.
fn encode_request(inputs: Vec<InputTensor>, side: RequestedSide) -> Result<EncodeRequest, Refusal> {
    let Ok([InputTensor { name, shape, datatype, data }]) = <[InputTensor; 1]>::try_from(inputs)
    else {
        return Err(Refusal::invalid("`inputs`: expected one tensor"));
    };
    let values = data.numbers.len() + data.texts.len();
    let size = shape.iter().try_fold(1usize, |size, &extent| size.checked_mul(extent));
    if size != Some(values) {
        return Err(Refusal::invalid(format!(
            "`inputs` {name:?}: {values} values do not have the shape {shape:?}"
        )));
    }
    let request = EncodeRequest { side, ..EncodeRequest::default() };
    match (name.as_str(), datatype.as_str(), shape.as_slice()) {
        (CONTENT, "FP32", &[_, dim]) if data.texts.is_empty() => {
            let vectors = Some(Vectors::new(dim, data.numbers)?);
            Ok(EncodeRequest { vectors, ..request })
        }
        (TEXT, "BYTES", &[_]) if data.numbers.is_empty() => {
            Ok(EncodeRequest { texts: Some(data.texts), ..request })
        }
        _ => Err(Refusal::invalid(format!(
            "`inputs` {name:?} {datatype} {shape:?}: expected `{CONTENT}` FP32 [rows, width] or \
             `{TEXT}` BYTES [rows]"
        ))),
    }
}

fn side_of<'a>(
    loaded: &'a Loaded,
    model: &str,
) -> Result<(&'a ServedSide, RequestedSide), Refusal> {
    let requested = [RequestedSide::Item, RequestedSide::User];
    let requested = requested.into_iter().find(|&side| name_of(side) == model);
    requested.and_then(|side| Some((loaded.side(side.into())?, side))).ok_or_else(|| {
        let known: Vec<&str> = loaded.sides().map(|side| side.side().name()).collect();
        let message = format!("no model {model:?}, expected one of {}", known.join(", "));
        Refusal::new(Kind::NotFound, message)
    })
}

fn name_of(side: RequestedSide) -> &'static str {
    das_core::Side::from(side).name()
}

fn check_version(loaded: &Loaded, version: Option<&str>) -> Result<(), Refusal> {
    match version {
        Some(version) if version != loaded.version() => {
            let served = loaded.version();
            Err(Refusal::new(
                Kind::NotFound,
                format!("version {served} is served, not {version:?}"),
            ))
        }
        _ => Ok(()),
    }
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
        self.flat.texts.push(value.to_string());
        Ok(())
    }
}
