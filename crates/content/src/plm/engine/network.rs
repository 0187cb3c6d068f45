//! The encoder's forward pass over packed sequences: no row is padding.

use das_nn::{Activation, Attention, Device, ParamId, ParamKind, Params, Tape, Tensor, Var};

use super::architecture::Architecture;
use super::weights::Weights;
use crate::{Error, Result};

/// What `transformers` puts before the names of tensors, depending on the class that saved them.
const PREFIXES: [&str; 4] = ["", "bert.", "roberta.", "model."];
const WORDS: &str = "embeddings.word_embeddings";

/// A BERT-like encoder with its weights.
pub(super) struct Network {
    architecture: Architecture,
    params: Params,
    words: ParamId,
    /// Positions, to each of which the first segment is added: texts here have one segment.
    positions: ParamId,
    norm: Norm,
    blocks: Vec<Block>,
}

#[derive(Clone, Copy)]
struct Linear {
    weight: ParamId,
    bias: ParamId,
}

#[derive(Clone, Copy)]
struct Norm {
    gain: ParamId,
    bias: ParamId,
}

/// Attention, then feed-forward; each is added to its input and then normalised.
struct Block {
    query: Linear,
    key: Linear,
    value: Linear,
    mix: Linear,
    mix_norm: Norm,
    rise: Linear,
    fall: Linear,
    fall_norm: Norm,
}

impl Network {
    /// Takes the weights of `architecture` out of `weights`.
    pub(super) fn load(
        architecture: Architecture,
        weights: &Weights,
        device: &Device,
    ) -> Result<Network> {
        let prefix = PREFIXES
            .into_iter()
            .find(|prefix| weights.has(&format!("{prefix}{WORDS}.weight")))
            .ok_or_else(|| Error::Model(format!("no tensor is called `{WORDS}.weight`")))?;
        let mut loader = Loader { weights, prefix, params: Params::new(device) };
        let (dim, hidden) = (architecture.dim, architecture.hidden);
        let words = loader.matrix(WORDS, architecture.vocabulary, dim)?;
        let positions = loader.positions(&architecture)?;
        let norm = loader.norm("embeddings.LayerNorm", dim)?;
        let mut blocks = Vec::with_capacity(architecture.layers);
        for layer in 0..architecture.layers {
            let name = |part: &str| format!("encoder.layer.{layer}.{part}");
            blocks.push(Block {
                query: loader.linear(&name("attention.self.query"), dim, dim)?,
                key: loader.linear(&name("attention.self.key"), dim, dim)?,
                value: loader.linear(&name("attention.self.value"), dim, dim)?,
                mix: loader.linear(&name("attention.output.dense"), dim, dim)?,
                mix_norm: loader.norm(&name("attention.output.LayerNorm"), dim)?,
                rise: loader.linear(&name("intermediate.dense"), dim, hidden)?,
                fall: loader.linear(&name("output.dense"), hidden, dim)?,
                fall_norm: loader.norm(&name("output.LayerNorm"), dim)?,
            });
        }
        let params = loader.params;
        Ok(Network { architecture, params, words, positions, norm, blocks })
    }

    pub(super) fn dim(&self) -> usize {
        self.architecture.dim
    }

    /// States `[tokens, dim]` of sequences that own the tokens `offsets[s]..offsets[s + 1]`.
    pub(super) fn states(&self, tokens: &[u32], offsets: &[u32]) -> Tensor {
        let first = self.architecture.first_position as u32;
        let lengths = offsets.windows(2).map(|ends| ends[1] - ends[0]);
        let positions: Vec<u32> = lengths.flat_map(|length| first..first + length).collect();
        let mut tape = Tape::inference(&self.params);
        let (word, position) =
            (tape.gather(self.words, tokens), tape.gather(self.positions, &positions));
        let x = tape.add(word, position);
        let x = self.normalize(&mut tape, x, self.norm);
        let mut states = tape.into_value(x);
        for block in &self.blocks {
            // A tape of its own lets the buffers of one block serve the next.
            let mut tape = Tape::inference(&self.params);
            let x = tape.input(states);
            let x = self.block(&mut tape, block, x, offsets);
            states = tape.into_value(x);
        }
        states
    }

    fn block(&self, tape: &mut Tape<'_>, block: &Block, x: Var, offsets: &[u32]) -> Var {
        let [q, k, v] = [block.query, block.key, block.value]
            .map(|linear| tape.linear(x, linear.weight, linear.bias, Activation::Identity));
        let heads = self.architecture.heads;
        let packed = Attention { heads, queries: offsets, keys: offsets, causal: false };
        let seen = tape.attention(q, k, v, &packed);
        let change = tape.linear(seen, block.mix.weight, block.mix.bias, Activation::Identity);
        let x = tape.add(x, change);
        let x = self.normalize(tape, x, block.mix_norm);
        let act = self.architecture.activation;
        let hidden = tape.linear(x, block.rise.weight, block.rise.bias, act);
        let change = tape.linear(hidden, block.fall.weight, block.fall.bias, Activation::Identity);
        let x = tape.add(x, change);
        self.normalize(tape, x, block.fall_norm)
    }

    fn normalize(&self, tape: &mut Tape<'_>, x: Var, norm: Norm) -> Var {
        tape.layer_norm(x, norm.gain, norm.bias, self.architecture.eps)
    }
}

/// Moves tensors from the files to the engine.
struct Loader<'a> {
    weights: &'a Weights,
    prefix: &'static str,
    params: Params,
}

impl Loader<'_> {
    fn matrix(&mut self, name: &str, rows: usize, cols: usize) -> Result<ParamId> {
        let name = format!("{}{name}.weight", self.prefix);
        let values = self.weights.tensor(&name, &[rows, cols])?;
        self.add(&name, rows, cols, &values)
    }

    fn row(&mut self, name: &str, cols: usize) -> Result<ParamId> {
        let name = format!("{}{name}", self.prefix);
        let values = self.weights.tensor(&name, &[cols])?;
        self.add(&name, 1, cols, &values)
    }

    fn linear(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Linear> {
        let weight = self.matrix(name, outputs, inputs)?;
        Ok(Linear { weight, bias: self.row(&format!("{name}.bias"), outputs)? })
    }

    /// Weights that come from TensorFlow call gain and bias `gamma` and `beta`.
    fn norm(&mut self, name: &str, dim: usize) -> Result<Norm> {
        let old = self.weights.has(&format!("{}{name}.gamma", self.prefix));
        let (gain, bias) = if old { ("gamma", "beta") } else { ("weight", "bias") };
        let gain = self.row(&format!("{name}.{gain}"), dim)?;
        Ok(Norm { gain, bias: self.row(&format!("{name}.{bias}"), dim)? })
    }

    /// The table of positions with the first segment added to every row.
    fn positions(&mut self, architecture: &Architecture) -> Result<ParamId> {
        let (rows, dim) = (architecture.positions, architecture.dim);
        let name = format!("{}embeddings.position_embeddings.weight", self.prefix);
        let mut values = self.weights.tensor(&name, &[rows, dim])?;
        if architecture.segments > 0 {
            let name = format!("{}embeddings.token_type_embeddings.weight", self.prefix);
            let segments = self.weights.tensor(&name, &[architecture.segments, dim])?;
            for row in values.chunks_exact_mut(dim) {
                row.iter_mut().zip(&segments).for_each(|(x, segment)| *x += segment);
            }
        }
        self.add(&name, rows, dim, &values)
    }

    fn add(&mut self, name: &str, rows: usize, cols: usize, values: &[f32]) -> Result<ParamId> {
        let added = self.params.add(name, ParamKind::Dense, rows, cols, values);
        added.map_err(|error| Error::Model(error.to_string()))
    }
}
