//! The Open Inference Protocol, version 2, apart from how it is spoken: each side is a model, content in,
//! codes out.

use std::sync::Arc;

use das_core::Side;

use crate::artifact::{Loaded, ServedSide};
use crate::error::{Kind, Refusal};
use crate::service::{Call, Encode, EncodeRequest, RequestedSide, Service};
use crate::vectors::Vectors;

/// The tensor of content vectors, FP32 `[rows, width]`.
pub const CONTENT: &str = "content";
/// The tensor of texts, BYTES `[rows]`.
pub const TEXT: &str = "text";
/// The tensor of codes, UINT32 `[rows, levels]`.
pub const CODES: &str = "codes";
/// What models run on.
pub const PLATFORM: &str = "das";

/// A tensor's name, type and extents, -1 for any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensor<const N: usize> {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub datatype: &'static str,
    /// Its extents.
    pub shape: [i64; N],
}

/// What a model takes and gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its name.
    pub name: &'static str,
    /// The versions that answer.
    pub versions: Vec<String>,
    /// Content vectors.
    pub content: Tensor<2>,
    /// Texts, where they can be embedded here.
    pub text: Option<Tensor<1>>,
    /// Codes.
    pub codes: Tensor<2>,
}

/// An input tensor, not yet checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its type.
    pub datatype: String,
    /// Its extents.
    pub shape: Vec<usize>,
    /// Its values, if they are numbers.
    pub numbers: Vec<f32>,
    /// Its values, if they are texts.
    pub texts: Vec<String>,
}

/// Codes of all rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inferred {
    /// The model.
    pub model: &'static str,
    /// The version that answered.
    pub version: String,
    /// Rows and levels.
    pub shape: [usize; 2],
    /// Row-major.
    pub codes: Vec<u32>,
}

/// What a model takes and gives. `version` is the one that is meant; any where it is empty.
pub fn describe(service: &Service, model: &str, version: &str) -> Result<Model, Refusal> {
    let registry = service.registry();
    let served = registry.served();
    let chosen = match version {
        "" => served.live.clone(),
        version => registry.pinned(version).ok_or_else(|| not_served(version))?.loaded,
    };
    let (side, requested) = side_of(&chosen, model)?;
    let second = served.second.iter().map(|(second, _)| second.version());
    let versions = std::iter::once(served.live.version()).chain(second);
    let versions = versions.filter(|version| registry.pinned(version).is_some());
    let (width, levels) = (side.content_dim() as i64, side.layout().num_levels() as i64);
    let text = Tensor { name: TEXT, datatype: "BYTES", shape: [-1] };
    Ok(Model {
        name: name_of(requested),
        versions: versions.map(str::to_string).collect(),
        content: Tensor { name: CONTENT, datatype: "FP32", shape: [-1, width] },
        text: side.embeds_texts().is_ok().then_some(text),
        codes: Tensor { name: CODES, datatype: "UINT32", shape: [-1, levels] },
    })
}

/// Codes of the one input tensor. `outputs` are the names that were asked for; all where there are none.
pub async fn infer(
    service: &Arc<Service>,
    call: Call<'_>,
    (model, version): (&str, &str),
    inputs: Vec<Input>,
    outputs: impl IntoIterator<Item = String>,
) -> Result<Inferred, Refusal> {
    let registry = service.registry();
    let chosen = match version {
        "" => registry.served().live.clone(),
        version => registry.pinned(version).ok_or_else(|| not_served(version))?.loaded,
    };
    let (_, requested) = side_of(&chosen, model)?;
    if let Some(name) = outputs.into_iter().find(|name| name != CODES) {
        return Err(Refusal::invalid(format!("`outputs`: expected `{CODES}`, got {name:?}")));
    }
    let call = Call { version: (!version.is_empty()).then_some(version), ..call };
    let answer = service.call::<Encode>(call, encode_request(inputs, requested)?).await?;
    let shape = [answer.codes.len(), answer.codes.first().map_or(0, Vec::len)];
    let version = answer.answered.version;
    Ok(Inferred { model: name_of(requested), version, shape, codes: answer.codes.concat() })
}

/// The one input tensor as content.
fn encode_request(inputs: Vec<Input>, side: RequestedSide) -> Result<EncodeRequest, Refusal> {
    let Ok([input]) = <[Input; 1]>::try_from(inputs) else {
        return Err(Refusal::invalid("`inputs`: expected one tensor"));
    };
    let Input { name, datatype, shape, numbers, texts } = input;
    let values = numbers.len() + texts.len();
    let size = shape.iter().try_fold(1usize, |size, &extent| size.checked_mul(extent));
    if size != Some(values) {
        return Err(Refusal::invalid(format!(
            "`inputs` {name:?}: {values} values do not have the shape {shape:?}"
        )));
    }
    let request = EncodeRequest { side, ..EncodeRequest::default() };
    match (name.as_str(), datatype.as_str(), shape.as_slice()) {
        (CONTENT, "FP32", &[_, width]) if texts.is_empty() => {
            let vectors = Some(Vectors::new(width, numbers)?);
            Ok(EncodeRequest { vectors, ..request })
        }
        (TEXT, "BYTES", &[_]) if numbers.is_empty() => {
            Ok(EncodeRequest { texts: Some(texts), ..request })
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
    Side::from(side).name()
}

fn not_served(version: &str) -> Refusal {
    Refusal::new(Kind::NotFound, format!("version {version:?} is not served"))
}
