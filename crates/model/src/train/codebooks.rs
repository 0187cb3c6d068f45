//! Codebooks outside the gradient: residual k-means initialisation and dead-code reset.
//!
//! Without them 40–90 % of the codes are never chosen.

use das_core::RowMatrix;
use das_core::streams::stream;
use das_nn::{ParamId, kernels};
use rand::Rng;
use rand::seq::index;

use super::objective::{Objective, Quantizer};
use crate::encoder::SideEncoder;
use crate::{Result, TrainConfig};

/// Rows encoded at a time while collecting encoder outputs.
const CHUNK_ROWS: usize = 4096;

/// How the codebooks of one side are to be fitted to the encoder's present outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// From scratch, by k-means on each level's residuals.
    Initialise,
    /// Only codes that no entity chooses move, onto entities that are badly quantized.
    ResetDead,
}

/// One level's codebook after a fit.
pub(crate) struct LevelFit {
    pub(crate) codebook: ParamId,
    /// The codes that moved.
    pub(crate) moved: Vec<usize>,
    /// All codes, `[size, dim]`.
    pub(crate) codes: Vec<f32>,
}

/// Works out the codebooks of one quantizer, coarse level first. A pure function of the
/// parameters, the content and (`seed`, `epoch`).
pub(crate) fn fit<O: Objective>(
    objective: &O,
    quantizer: &Quantizer<'_>,
    how: Fit,
    config: &TrainConfig,
    (seed, epoch): (u64, u64),
) -> Result<Vec<LevelFit>> {
    let Quantizer { side, codebooks, content } = *quantizer;
    let purpose = format!("{side} codebooks {how:?}");
    let mut rng = stream(seed, &purpose, epoch);
    let encoder = objective.encoder(side)?;
    let dim = encoder.code_dim();
    let mut residuals = latents(&encoder, content, config.codebook_sample, &mut rng);
    let mut levels = Vec::with_capacity(codebooks.len());
    for (level, &codebook) in codebooks.iter().enumerate() {
        let mut codes = encoder.codebook(level).to_vec();
        let moved = match how {
            Fit::Initialise => {
                let iterations = config.kmeans_iterations as usize;
                let size = codes.len() / dim;
                codes = objective.initial_codebook(&residuals, dim, size, iterations, &mut rng);
                (0..size).collect()
            }
            Fit::ResetDead => revive(&mut codes, &residuals, dim, &mut rng),
        };
        subtract_nearest(&mut residuals, &codes, dim);
        levels.push(LevelFit { codebook, moved, codes });
    }
    Ok(levels)
}

/// Root mean square length of the encoder's present outputs. A pure function as [`fit`].
pub(crate) fn latent_norm<O: Objective>(
    objective: &O,
    quantizer: &Quantizer<'_>,
    config: &TrainConfig,
    (seed, epoch): (u64, u64),
) -> Result<f32> {
    let mut rng = stream(seed, &format!("{} latents", quantizer.side), epoch);
    let encoder = objective.encoder(quantizer.side)?;
    let latents = latents(&encoder, quantizer.content, config.codebook_sample, &mut rng);
    let squares: f64 = latents.iter().map(|&value| f64::from(value).powi(2)).sum();
    let rows = latents.len() / encoder.code_dim();
    Ok((squares / rows as f64).sqrt() as f32)
}

/// Encoder outputs of all rows, or of a random sample of at most `limit`.
fn latents(
    encoder: &SideEncoder,
    content: &dyn RowMatrix,
    limit: usize,
    rng: &mut impl Rng,
) -> Vec<f32> {
    let rows: Vec<u32> = if content.rows() <= limit {
        (0..content.rows() as u32).collect()
    } else {
        let mut rows: Vec<u32> =
            index::sample(rng, content.rows(), limit).into_iter().map(|row| row as u32).collect();
        rows.sort_unstable();
        rows
    };
    let mut latents = Vec::with_capacity(rows.len() * encoder.code_dim());
    let mut buffer = Vec::new();
    for chunk in rows.chunks(CHUNK_ROWS) {
        buffer.resize(chunk.len() * content.dim(), 0.0);
        content.gather(chunk, &mut buffer);
        latents.extend(encoder.latents(&buffer));
    }
    latents
}

/// Moves every unused code onto a residual, drawn with probability proportional to its squared
/// quantization error, and returns which codes moved.
fn revive(codes: &mut [f32], residuals: &[f32], dim: usize, rng: &mut impl Rng) -> Vec<usize> {
    let kernels::Assignment { codes: chosen, distances } = kernels::assign(residuals, codes, dim);
    let mut used = vec![false; codes.len() / dim];
    chosen.iter().for_each(|&code| used[code as usize] = true);
    let dead: Vec<usize> = (0..used.len()).filter(|&code| !used[code]).collect();
    if dead.is_empty() {
        return dead;
    }
    // Weighted sampling without replacement (Efraimidis and Spirakis, 2006): the largest of
    // ln(u)/w are a draw with probabilities proportional to w.
    let mut keys: Vec<(f64, usize)> = distances
        .iter()
        .enumerate()
        .map(|(row, &error)| {
            let draw: f64 = rng.random_range(f64::MIN_POSITIVE..1.0);
            (draw.ln() / f64::from(error.max(f32::MIN_POSITIVE)), row)
        })
        .collect();
    keys.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    for (&code, &(_, row)) in dead.iter().zip(&keys) {
        codes[code * dim..][..dim].copy_from_slice(&residuals[row * dim..][..dim]);
    }
    dead
}

fn subtract_nearest(residuals: &mut [f32], codes: &[f32], dim: usize) {
    let chosen = kernels::assign(residuals, codes, dim).codes;
    for (residual, &code) in residuals.chunks_exact_mut(dim).zip(&chosen) {
        let code = &codes[code as usize * dim..][..dim];
        residual.iter_mut().zip(code).for_each(|(r, e)| *r -= e);
    }
}
