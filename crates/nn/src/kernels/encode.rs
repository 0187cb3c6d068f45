//! Frozen encoders: content → latent vectors → codes, a block of rows at a time on each thread,
//! so that nothing between content and codes leaves the caches.

use rayon::prelude::*;

use super::cpu::packed::Packed;
use super::cpu::quantize::scores_of;
use super::cpu::simd::{argmin, vectorize};

/// Rows that a task takes through all layers: a multiple of what the inner loop takes at once, and
/// few enough that activations stay in the second cache beside the weights.
const ROWS: usize = 192;

/// Linear layers with ReLU between them and none after the last, packed for repeated use.
#[derive(Clone, Debug, PartialEq)]
pub struct FrozenLayers {
    layers: Vec<Packed>,
}

impl FrozenLayers {
    /// Packs layers given as weight `[out, in]` and bias `[out]`; at least one.
    ///
    /// # Panics
    /// If there is none, or shapes do not fit each other.
    pub fn new<'a>(layers: impl IntoIterator<Item = (&'a [f32], &'a [f32])>) -> FrozenLayers {
        let pack = |(weight, bias): (&[f32], &[f32])| {
            assert!(!bias.is_empty(), "a layer without outputs");
            Packed::new(weight, weight.len() / bias.len(), bias, 1.0, 0.0)
        };
        let layers: Vec<Packed> = layers.into_iter().map(pack).collect();
        assert!(!layers.is_empty(), "no layer");
        for pair in layers.windows(2) {
            assert_eq!(pair[0].outputs(), pair[1].inputs(), "widths of layers");
        }
        FrozenLayers { layers }
    }

    /// Width of inputs.
    pub fn inputs(&self) -> usize {
        self.layers[0].inputs()
    }

    /// Width of outputs.
    pub fn outputs(&self) -> usize {
        self.last().outputs()
    }

    /// Outputs `[n, outputs]` of `x` `[n, inputs]`.
    ///
    /// # Panics
    /// If `x` is not rows of that width.
    pub fn forward(&self, x: &[f32]) -> Vec<f32> {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        assert!(x.len().is_multiple_of(inputs), "{} values as rows of width {inputs}", x.len());
        let mut out = vec![0.0; x.len() / inputs * outputs];
        let blocks = x.par_chunks(ROWS * inputs).zip(out.par_chunks_mut(ROWS * outputs));
        blocks.for_each_init(Scratch::default, |scratch, (x, out)| {
            let rows = self.block(x, scratch);
            for (out, row) in out.chunks_exact_mut(outputs).zip(rows) {
                out.copy_from_slice(row);
            }
        });
        out
    }

    /// The output of each row of a block, on this thread.
    fn block<'s>(&self, x: &[f32], scratch: &'s mut Scratch) -> impl Iterator<Item = &'s [f32]> {
        let rows = x.len() / self.inputs();
        let Scratch { now, next, .. } = scratch;
        for (at, layer) in self.layers.iter().enumerate() {
            let relu = at + 1 < self.layers.len();
            next.resize(rows * layer.padded(), 0.0);
            match at {
                0 => layer.apply(x, layer.inputs(), relu, next),
                _ => layer.apply(now, self.layers[at - 1].padded(), relu, next),
            }
            std::mem::swap(now, next);
        }
        let (padded, outputs) = (self.last().padded(), self.outputs());
        now.chunks_exact(padded).map(move |row| &row[..outputs])
    }

    fn last(&self) -> &Packed {
        &self.layers[self.layers.len() - 1]
    }
}

/// Codebooks of a residual quantizer, coarse level first, packed for repeated use.
#[derive(Clone, Debug, PartialEq)]
pub struct FrozenCodebooks {
    dim: usize,
    levels: Vec<Level>,
}

#[derive(Clone, Debug, PartialEq)]
struct Level {
    codes: Vec<f32>,
    scores: Packed,
}

/// Where the codes and vectors of some rows go.
#[derive(Debug)]
pub struct Quantized<'a> {
    /// `[n, levels]`.
    pub codes: &'a mut [u32],
    /// The sum of the chosen codes, `[n, d]`.
    pub quantized: &'a mut [f32],
    /// What the last level was given to quantize, `[n, d]`.
    pub last_residuals: &'a mut [f32],
}

impl FrozenCodebooks {
    /// Packs codebooks `[codes, dim]`; at least one.
    ///
    /// # Panics
    /// If there is none, one is empty, or a length is no multiple of `dim`.
    pub fn new<'a>(codebooks: impl IntoIterator<Item = &'a [f32]>, dim: usize) -> FrozenCodebooks {
        let level = |codes: &[f32]| Level { codes: codes.to_vec(), scores: scores_of(codes, dim) };
        let levels: Vec<Level> = codebooks.into_iter().map(level).collect();
        assert!(!levels.is_empty(), "no codebook");
        FrozenCodebooks { dim, levels }
    }

    /// Number of levels.
    pub fn num_levels(&self) -> usize {
        self.levels.len()
    }

    /// Chooses codes for `vectors` `[n, d]`; the lowest code wins ties.
    ///
    /// # Panics
    /// If lengths do not fit.
    pub fn quantize(&self, vectors: &[f32], out: Quantized<'_>) {
        let (dim, rows) = (self.dim, vectors.len() / self.dim);
        assert_eq!(vectors.len(), rows * dim, "rows of width {dim}");
        self.each_block(rows, out, |range, scratch| {
            scratch.residuals.extend_from_slice(&vectors[range.start * dim..range.end * dim]);
        });
    }

    /// Chooses codes for what `layers` makes of `content` `[n, inputs]`.
    ///
    /// # Panics
    /// If lengths do not fit.
    pub fn encode(&self, layers: &FrozenLayers, content: &[f32], out: Quantized<'_>) {
        let inputs = layers.inputs();
        let rows = content.len() / inputs;
        assert_eq!(content.len(), rows * inputs, "rows of width {inputs}");
        assert_eq!(layers.outputs(), self.dim, "width of latent vectors");
        self.each_block(rows, out, |range, scratch| {
            let mut residuals = std::mem::take(&mut scratch.residuals);
            let content = &content[range.start * inputs..range.end * inputs];
            layers.block(content, scratch).for_each(|row| residuals.extend_from_slice(row));
            scratch.residuals = residuals;
        });
    }

    /// Quantizes what `fill` puts into the scratch space for each block of rows.
    fn each_block(
        &self,
        rows: usize,
        out: Quantized<'_>,
        fill: impl Fn(std::ops::Range<usize>, &mut Scratch) + Sync,
    ) {
        let (dim, levels) = (self.dim, self.levels.len());
        let Quantized { codes, quantized, last_residuals } = out;
        assert_eq!(codes.len(), rows * levels, "room for codes");
        assert_eq!((quantized.len(), last_residuals.len()), (rows * dim, rows * dim), "vectors");
        codes
            .par_chunks_mut(ROWS * levels)
            .zip(quantized.par_chunks_mut(ROWS * dim))
            .zip(last_residuals.par_chunks_mut(ROWS * dim))
            .enumerate()
            .for_each_init(Scratch::default, |scratch, (block, ((codes, quantized), last))| {
                let start = block * ROWS;
                scratch.residuals.clear();
                fill(start..start + codes.len() / levels, scratch);
                self.block(scratch, codes, quantized, last);
            });
    }

    /// Quantizes the residuals in `scratch`, on this thread.
    fn block(
        &self,
        scratch: &mut Scratch,
        codes: &mut [u32],
        quantized: &mut [f32],
        last: &mut [f32],
    ) {
        let (dim, levels) = (self.dim, self.levels.len());
        let Scratch { residuals, now: scores, .. } = scratch;
        let rows = residuals.len() / dim;
        quantized.fill(0.0);
        for (at, level) in self.levels.iter().enumerate() {
            if at + 1 == levels {
                last.copy_from_slice(residuals);
            }
            let padded = level.scores.padded();
            scores.resize(rows * padded, 0.0);
            level.scores.apply(residuals, dim, false, scores);
            vectorize(
                #[inline(always)]
                || {
                    let vectors =
                        residuals.chunks_exact_mut(dim).zip(quantized.chunks_exact_mut(dim));
                    let found = scores.chunks_exact(padded).zip(codes.chunks_exact_mut(levels));
                    for ((scores, codes), (r, q)) in found.zip(vectors) {
                        let code = argmin(scores);
                        codes[at] = code;
                        let e = &level.codes[code as usize * dim..][..dim];
                        for ((r, q), e) in r.iter_mut().zip(q).zip(e) {
                            *r -= e;
                            *q += e;
                        }
                    }
                },
            );
        }
    }
}

/// Room for a block of rows.
#[derive(Default)]
struct Scratch {
    now: Vec<f32>,
    next: Vec<f32>,
    residuals: Vec<f32>,
}
