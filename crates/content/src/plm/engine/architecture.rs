//! What `config.json` says of a network.

use std::path::Path;

use das_nn::Activation;
use serde::Deserialize;

use crate::{Error, Result};

/// No published encoder is near these; larger numbers are damage.
const MAX_WIDTH: usize = 1 << 16;
const MAX_LAYERS: usize = 1024;
const MAX_VOCABULARY: usize = 1 << 24;

/// `model_type`s that this crate can run, as `transformers` spells them.
const BERT: &str = "bert";
const ROBERTA: [&str; 3] = ["roberta", "xlm-roberta", "camembert"];

/// A BERT-like encoder (Devlin et al., 2019; Liu et al., 2019; Conneau et al., 2020).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Architecture {
    /// Width of the states.
    pub(super) dim: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    /// Hidden width of the feed-forward layers.
    pub(super) hidden: usize,
    pub(super) vocabulary: usize,
    /// Rows of the table of positions.
    pub(super) positions: usize,
    /// The row of the first token: RoBERTa and its kin count from behind the padding token.
    pub(super) first_position: usize,
    /// Rows of the table of segments.
    pub(super) segments: usize,
    pub(super) activation: Activation,
    pub(super) eps: f32,
}

#[derive(Deserialize)]
struct Raw {
    model_type: Option<String>,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    vocab_size: usize,
    max_position_embeddings: usize,
    #[serde(default)]
    type_vocab_size: usize,
    #[serde(default = "gelu")]
    hidden_act: String,
    #[serde(default = "layer_norm_eps")]
    layer_norm_eps: f32,
    #[serde(default)]
    pad_token_id: Option<usize>,
    #[serde(default)]
    position_embedding_type: Option<String>,
    #[serde(default)]
    is_decoder: bool,
}

fn gelu() -> String {
    "gelu".into()
}

fn layer_norm_eps() -> f32 {
    1e-12
}

impl Architecture {
    /// Reads and checks `config.json`; `path` is used in messages only.
    pub(super) fn parse(path: &Path, json: &str) -> Result<Architecture> {
        let fault = |message: String| Error::from(das_core::Error::format(path, message));
        let raw: Raw = serde_json::from_str(json).map_err(|error| fault(error.to_string()))?;
        let family = raw.model_type.as_deref().unwrap_or_default();
        let roberta = ROBERTA.contains(&family);
        if family != BERT && !roberta {
            let known = ROBERTA.join("`, `");
            return Err(fault(format!(
                "`model_type`: expected `{BERT}`, `{known}`, got `{family}`"
            )));
        }
        let positions = raw.position_embedding_type.as_deref().unwrap_or("absolute");
        if positions != "absolute" {
            let message = "`position_embedding_type`: expected `absolute`";
            return Err(fault(format!("{message}, got `{positions}`")));
        }
        if raw.is_decoder {
            return Err(fault("`is_decoder`: expected an encoder, got a decoder".into()));
        }
        let found = Architecture {
            dim: raw.hidden_size,
            layers: raw.num_hidden_layers,
            heads: raw.num_attention_heads,
            hidden: raw.intermediate_size,
            vocabulary: raw.vocab_size,
            positions: raw.max_position_embeddings,
            first_position: if roberta { raw.pad_token_id.unwrap_or(1) + 1 } else { 0 },
            segments: raw.type_vocab_size,
            activation: activation(&raw.hidden_act).ok_or_else(|| {
                let expected = "`gelu`, `gelu_new`, `gelu_pytorch_tanh` or `relu`";
                fault(format!("`hidden_act`: expected {expected}, got `{}`", raw.hidden_act))
            })?,
            eps: raw.layer_norm_eps,
        };
        found.check().map_err(fault)?;
        Ok(found)
    }

    fn check(&self) -> Result<(), String> {
        let sizes = [
            ("hidden_size", self.dim, MAX_WIDTH),
            ("num_hidden_layers", self.layers, MAX_LAYERS),
            ("num_attention_heads", self.heads, MAX_WIDTH),
            ("intermediate_size", self.hidden, MAX_WIDTH),
            ("vocab_size", self.vocabulary, MAX_VOCABULARY),
            ("max_position_embeddings", self.positions, MAX_VOCABULARY),
        ];
        for (key, value, most) in sizes {
            if !(1..=most).contains(&value) {
                return Err(format!("`{key}`: expected 1 to {most}, got {value}"));
            }
        }
        if !self.dim.is_multiple_of(self.heads) {
            let (heads, dim) = (self.heads, self.dim);
            return Err(format!("`num_attention_heads`: expected a divisor of {dim}, got {heads}"));
        }
        if self.segments > MAX_WIDTH {
            let segments = self.segments;
            return Err(format!("`type_vocab_size`: expected 0 to {MAX_WIDTH}, got {segments}"));
        }
        if !(self.eps > 0.0 && self.eps < 1.0) {
            let eps = self.eps;
            return Err(format!("`layer_norm_eps`: expected more than 0, below 1, got {eps}"));
        }
        if self.max_tokens() < 3 {
            let positions = self.positions;
            return Err(format!("`max_position_embeddings`: {positions} leave no room for a text"));
        }
        Ok(())
    }

    /// The longest sequence that the table of positions allows.
    pub(super) fn max_tokens(&self) -> usize {
        self.positions.saturating_sub(self.first_position)
    }
}

/// The activations of published BERT-like encoders.
fn activation(name: &str) -> Option<Activation> {
    match name {
        "gelu" => Some(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" => Some(Activation::GeluTanh),
        "relu" => Some(Activation::Relu),
        _ => None,
    }
}
