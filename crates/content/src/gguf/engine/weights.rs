//! From the tensors of a file to a network, each held against the shape that the sizes ask for.

use candle_core::Tensor;
use candle_core::quantized::QMatMul;

use super::architecture::{Architecture, Family};
use super::container::Container;
use super::network::{Block, Linear, Network};
use super::rope::Rope;
use crate::Result;

/// Factors by which Llama 3 slows its rotations.
const ROPE_FACTORS: &str = "rope_freqs.weight";

impl Network {
    /// Copies the weights out of `file`; positions go up to `context`, exclusive.
    pub(super) fn load(
        file: &Container,
        architecture: Architecture,
        context: usize,
    ) -> Result<Network> {
        let Architecture { family, dim, vocabulary, head, base, stretch, .. } = architecture;
        let loader = Loader { file };
        let tokens = loader.matrix("token_embd.weight", vocabulary, dim)?;
        let output = match file.has("output.weight") {
            true => loader.matrix("output.weight", vocabulary, dim)?,
            false => tokens.clone(),
        };
        let layers = 0..architecture.layers;
        let blocks = layers.map(|layer| loader.block(layer, &architecture));
        let blocks = blocks.collect::<Result<Vec<Block>>>()?;

        // Only now is it sure that a head is no wider than its weights.
        let engine = |error: candle_core::Error| file.fault(error.to_string());
        let factors = loader.row_if(file.has(ROPE_FACTORS), ROPE_FACTORS, head / 2)?;
        let factors = factors.map(|row| row.to_vec1::<f32>()).transpose().map_err(engine)?;
        let rope = |base: f64, stretch: f64, factors: Option<&[f32]>| {
            // The converter of llama.cpp rearranges Llama's queries and keys for this.
            let neighbours = family == Family::Llama;
            Rope::new(head, context, (base, stretch), factors, neighbours).map_err(engine)
        };
        let local = architecture.local.as_ref();
        let local_rope = local.map(|local| rope(local.base, 1.0, None)).transpose()?;
        let rope = rope(base, stretch, factors.as_deref())?;
        let gain = file.row("output_norm.weight", dim)?;
        Ok(Network { tokens, blocks, gain, output, rope, local_rope, architecture })
    }
}

struct Loader<'a> {
    file: &'a Container,
}

impl Loader<'_> {
    fn block(&self, layer: usize, architecture: &Architecture) -> Result<Block> {
        let Architecture { family, dim, heads, shared, head, hidden, .. } = *architecture;
        let name = |name: &str| format!("blk.{layer}.{name}.weight");
        let row = |short: &str| self.file.row(&name(short), dim);
        let matrix = |short: &str, rows, cols| self.matrix(&name(short), rows, cols);
        let linear = |short: &str, rows: usize| -> Result<Linear> {
            let bias = format!("blk.{layer}.{short}.bias");
            let has_bias = family == Family::Qwen2 || self.file.has(&bias);
            Ok(Linear {
                weight: matrix(short, rows, dim)?,
                bias: self.row_if(has_bias, &bias, rows)?,
            })
        };
        let of_heads = matches!(family, Family::Qwen3 | Family::Gemma3);
        let after = family == Family::Gemma3;
        Ok(Block {
            mix_norm: row("attn_norm")?,
            query: linear("attn_q", heads * head)?,
            key: linear("attn_k", shared * head)?,
            value: linear("attn_v", shared * head)?,
            query_norm: self.row_if(of_heads, &name("attn_q_norm"), head)?,
            key_norm: self.row_if(of_heads, &name("attn_k_norm"), head)?,
            mix: matrix("attn_output", dim, heads * head)?,
            mixed_norm: self.row_if(after, &name("post_attention_norm"), dim)?,
            feed_norm: row("ffn_norm")?,
            gate: matrix("ffn_gate", hidden, dim)?,
            rise: matrix("ffn_up", hidden, dim)?,
            fall: matrix("ffn_down", dim, hidden)?,
            fed_norm: self.row_if(after, &name("post_ffw_norm"), dim)?,
        })
    }

    fn row_if(&self, wanted: bool, name: &str, length: usize) -> Result<Option<Tensor>> {
        wanted.then(|| self.file.row(name, length)).transpose()
    }

    fn matrix(&self, name: &str, rows: usize, cols: usize) -> Result<QMatMul> {
        let tensor = self.file.tensor(name, &[rows, cols])?;
        let fault = |error| self.file.fault(format!("tensor `{name}`: {error}"));
        QMatMul::from_qtensor(tensor).map_err(fault)
    }
}
