//! The decoder: token ids in, logits of what follows out. Multiplications with weights are
//! candle's, on the weights as they are stored.
//!
//! candle-transformers has these families too, but its Gemma 3 takes SiLU for GELU, drops the
//! window after the first token, and keeps 128 MiB of angles a layer; and all of them trust the
//! sizes in the file. The families differ in so little that one network serves them all.

use candle_core::quantized::QMatMul;
use candle_core::{Device, Module, Result, Tensor};
use candle_nn::ops;

use super::architecture::{Architecture, Family};
use super::cache::{Cache, Kept};
use super::rope::Rope;

/// Weights and angles.
pub(super) struct Network {
    pub(super) architecture: Architecture,
    pub(super) tokens: QMatMul,
    pub(super) blocks: Vec<Block>,
    /// Of the norm before the output.
    pub(super) gain: Tensor,
    pub(super) output: QMatMul,
    pub(super) rope: Rope,
    /// Of layers that see a window.
    pub(super) local_rope: Option<Rope>,
}

/// One layer. Norms are named by their gains.
pub(super) struct Block {
    pub(super) mix_norm: Tensor,
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    /// Of each head, where there are such.
    pub(super) query_norm: Option<Tensor>,
    pub(super) key_norm: Option<Tensor>,
    pub(super) mix: QMatMul,
    /// Of what attention adds, where there is such.
    pub(super) mixed_norm: Option<Tensor>,
    pub(super) feed_norm: Tensor,
    pub(super) gate: QMatMul,
    pub(super) rise: QMatMul,
    pub(super) fall: QMatMul,
    /// Of what the feed-forward layers add, where there is such.
    pub(super) fed_norm: Option<Tensor>,
}

/// A matrix and what is added.
pub(super) struct Linear {
    pub(super) weight: QMatMul,
    pub(super) bias: Option<Tensor>,
}

/// Tokens of a step and what they see: the tokens from `from` on, and of these not what a mask of
/// tokens × seen tokens takes away by adding -∞.
struct Sight {
    /// The position of the first token.
    first: usize,
    from: usize,
    mask: Option<Tensor>,
}

impl Sight {
    /// `length` tokens from `first` on, of which each sees `window` tokens up to itself.
    fn new(first: usize, length: usize, window: usize) -> Result<Sight> {
        let from = (first + 1).saturating_sub(window);
        if length == 1 {
            return Ok(Sight { first, from, mask: None });
        }
        let seen = first + length - from;
        let hides = |at: usize, seen: usize| seen > at || at - seen >= window;
        let row = |at: usize| (from..from + seen).map(move |seen| hides(at, seen));
        let hidden = (first..first + length).flat_map(row);
        let mask = hidden.map(|hidden| if hidden { f32::NEG_INFINITY } else { 0.0 });
        let mask = Tensor::from_vec(mask.collect(), (length, seen), &Device::Cpu)?;
        Ok(Sight { first, from, mask: Some(mask) })
    }
}

impl Network {
    /// The logits of the token that follows `tokens`, which follow what `cache` has seen. There is
    /// at least one, and the last one's position is below the context.
    pub(super) fn forward(&self, tokens: &[u32], cache: &mut Cache) -> Result<Vec<f32>> {
        let (first, length) = (cache.length(), tokens.len());
        let whole = Sight::new(first, length, usize::MAX)?;
        let local = self.architecture.local.as_ref();
        let near = local.map(|local| Sight::new(first, length, local.window)).transpose()?;
        let near = self.local_rope.as_ref().zip(near.as_ref());
        let mut x = self.tokens.embedding(&Tensor::new(tokens, &Device::Cpu)?)?;
        if self.architecture.family == Family::Gemma3 {
            x = (x * (self.architecture.dim as f64).sqrt())?;
        }
        for (layer, (block, kept)) in self.blocks.iter().zip(cache.layers()).enumerate() {
            let near = near.filter(|_| self.architecture.sees_window(layer));
            let (rope, sight) = near.unwrap_or((&self.rope, &whole));
            let mixed = self.attend(block, &self.norm(&x, &block.mix_norm)?, rope, sight, kept)?;
            x = (x + self.norm_if(mixed, &block.mixed_norm)?)?;
            let fed = self.feed(block, &self.norm(&x, &block.feed_norm)?)?;
            x = (x + self.norm_if(fed, &block.fed_norm)?)?;
        }
        cache.advance(length);
        let last = self.norm(&x.narrow(0, length - 1, 1)?, &self.gain)?;
        self.output.forward(&last)?.squeeze(0)?.to_vec1()
    }

    fn attend(
        &self,
        block: &Block,
        x: &Tensor,
        rope: &Rope,
        sight: &Sight,
        kept: &mut Kept,
    ) -> Result<Tensor> {
        let Architecture { heads, shared, head, scale, .. } = self.architecture;
        let (length, group) = (x.dim(0)?, heads / shared);
        let query = self.heads(&block.query, x, heads, &block.query_norm)?;
        let key = self.heads(&block.key, x, shared, &block.key_norm)?;
        let value = self.heads(&block.value, x, shared, &None)?;
        let (query, key) = (rope.turn(&query, sight.first)?, rope.turn(&key, sight.first)?);
        let (keys, values) = kept.append(&key, &value, sight.first, sight.from)?;
        let seen = keys.dim(1)?;

        // The queries that share a head of keys are rows of one matrix.
        let query = query.reshape((shared, group * length, head))?;
        let mut scores = (query.matmul(&keys.t()?)? * scale)?;
        if let Some(mask) = &sight.mask {
            scores = scores.reshape((heads, length, seen))?.broadcast_add(mask)?;
            scores = scores.reshape((shared, group * length, seen))?;
        }
        let mixed = ops::softmax_last_dim(&scores)?.matmul(&values)?;
        let mixed = mixed.reshape((heads, length, head))?.transpose(0, 1)?;
        block.mix.forward(&mixed.reshape((length, heads * head))?)
    }

    /// Heads × tokens × width.
    fn heads(
        &self,
        linear: &Linear,
        x: &Tensor,
        heads: usize,
        gain: &Option<Tensor>,
    ) -> Result<Tensor> {
        let mut y = linear.weight.forward(x)?;
        if let Some(bias) = &linear.bias {
            y = y.broadcast_add(bias)?;
        }
        let y = y.reshape((x.dim(0)?, heads, self.architecture.head))?;
        self.norm_if(y.transpose(0, 1)?.contiguous()?, gain)
    }

    fn feed(&self, block: &Block, x: &Tensor) -> Result<Tensor> {
        let gate = block.gate.forward(x)?;
        let open = match self.architecture.family {
            // The form with tanh, as in the original.
            Family::Gemma3 => gate.gelu()?,
            Family::Llama | Family::Qwen2 | Family::Qwen3 => gate.silu()?,
        };
        block.fall.forward(&(open * block.rise.forward(x)?)?)
    }

    /// Rows brought to a root mean square of 1, times gains.
    fn norm(&self, x: &Tensor, gain: &Tensor) -> Result<Tensor> {
        ops::rms_norm(x, gain, self.architecture.eps as f32)
    }

    fn norm_if(&self, x: Tensor, gain: &Option<Tensor>) -> Result<Tensor> {
        match gain {
            Some(gain) => self.norm(&x, gain),
            None => Ok(x),
        }
    }
}
