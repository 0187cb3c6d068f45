//! Learning the vocabulary and the projection from texts.

use das_core::progress::{Cancel, Progress};
use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::features::{Counts, count};
use super::vocabulary::Vocabulary;
use super::{BLOCK_TEXTS, MIN_NORM, TfidfSvd, TfidfSvdConfig, norm, state};
use crate::linalg::{Csr, Svd, SvdOptions, truncated_svd};
use crate::{Error, Result};

/// What a fit found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FitReport {
    /// Texts given.
    pub texts: usize,
    /// Texts learned from: all, or `max_fit_texts` of them.
    pub fitted_texts: usize,
    /// Of the texts learned from, those of which only the first `max_chars` were read.
    pub truncated: usize,
    /// Features kept.
    pub features: usize,
    /// Entries of the sparse TF-IDF matrix.
    pub nonzeros: usize,
    /// Width of the vectors: the smallest of `dim`, texts, features, and the numerical rank.
    pub dim: usize,
    /// Share of the squared norm of the TF-IDF matrix that the projection keeps.
    pub energy: f64,
    /// Size of the fitted state on disk.
    pub state_bytes: usize,
}

impl TfidfSvd {
    /// Learns from `texts`; their order does not matter, to the last bit, unless they are more
    /// than `max_fit_texts`. The result is a function of `texts`, `config` and the numbers of
    /// `rng`, whatever the number of threads.
    ///
    /// The width of the vectors is `config.dim` or the numerical rank of the TF-IDF matrix where
    /// that is lower (it is at most the number of texts and of features): there are never columns
    /// of zeros. Ask [`Embedder::dim`](crate::Embedder::dim) for it.
    ///
    /// # Errors
    /// [`Error::Config`] for a setting out of range, [`Error::NoFeatures`] if nothing can be
    /// learned, `Interrupted` once `cancel` is set.
    pub fn fit(
        texts: &[&str],
        config: &TfidfSvdConfig,
        rng: &mut impl Rng,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<(TfidfSvd, FitReport)> {
        config.validate()?;
        let mut counts = count_all(&sample(texts, config, rng), config, progress, cancel)?;
        let truncated = counts.iter().filter(|counts| counts.truncated).count();
        // The sketch gives each row its own random numbers; sorted rows make it a function of the
        // set of texts.
        counts.par_sort_unstable();

        let vocabulary = Vocabulary::fit(&counts, config);
        if vocabulary.len() == 0 {
            return Err(Error::NoFeatures { texts: texts.len(), min_df: config.min_df });
        }
        let rows: Vec<_> = counts.par_iter().map(|counts| vocabulary.weigh(counts)).collect();
        drop(counts);
        let matrix = Csr::from_rows(vocabulary.len(), &rows);
        drop(rows);

        let svd = factorize(&matrix, config, rng, progress, cancel)?;
        let dim = svd.singular_values.len();
        let energy = energy(&matrix, &svd.singular_values);
        let projection = scale_directions(svd, config.singular_power);
        let fallback = mean_direction(&matrix.times(&projection, dim), dim);
        let config = config.clone();
        let mut fitted =
            TfidfSvd { config, vocabulary, dim, projection, fallback, hash: String::new() };
        let bytes = state::tensor_bytes(&fitted)?;
        fitted.hash = state::hash(&fitted.config, &bytes)?;
        let report = FitReport {
            texts: texts.len(),
            fitted_texts: matrix.rows(),
            truncated,
            features: matrix.cols(),
            nonzeros: matrix.nnz(),
            dim,
            energy,
            state_bytes: bytes.len(),
        };
        Ok((fitted, report))
    }
}

/// All texts, or an evenly drawn `max_fit_texts` of them.
fn sample<'a>(texts: &[&'a str], config: &TfidfSvdConfig, rng: &mut impl Rng) -> Vec<&'a str> {
    if texts.len() <= config.max_fit_texts {
        return texts.to_vec();
    }
    let drawn = rand::seq::index::sample(rng, texts.len(), config.max_fit_texts);
    drawn.into_iter().map(|row| texts[row]).collect()
}

fn count_all(
    texts: &[&str],
    config: &TfidfSvdConfig,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Vec<Counts>> {
    let mut counts = Vec::with_capacity(texts.len());
    progress.begin("count features", Some(texts.len() as u64));
    for block in texts.chunks(BLOCK_TEXTS) {
        cancel.check()?;
        counts.par_extend(block.par_iter().map(|text| count(text, config)));
        progress.update(counts.len() as u64, "");
    }
    progress.end();
    Ok(counts)
}

fn factorize(
    matrix: &Csr,
    config: &TfidfSvdConfig,
    rng: &mut impl Rng,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Svd> {
    let options = SvdOptions {
        rank: config.dim,
        oversample: config.oversample,
        power_iterations: config.power_iterations,
    };
    progress.begin("factorize", Some(2 * config.power_iterations as u64 + 1));
    let svd = truncated_svd(matrix, options, rng, |done| {
        progress.update(done, "");
        Ok(cancel.check()?)
    })?;
    progress.end();
    Ok(svd)
}

/// Σσ² over the squared Frobenius norm.
fn energy(matrix: &Csr, singular_values: &[f64]) -> f64 {
    let entries = (0..matrix.rows()).flat_map(|row| matrix.row(row));
    let total: f64 = entries.map(|(_, value)| f64::from(value).powi(2)).sum();
    singular_values.iter().map(|s| s * s).sum::<f64>() / total
}

/// V·(Σ/σ₁)^power.
fn scale_directions(svd: Svd, power: f32) -> Vec<f32> {
    let Svd { singular_values, mut v } = svd;
    let factors: Vec<f32> = singular_values
        .iter()
        .map(|s| (s / singular_values[0]).powf(f64::from(power)) as f32)
        .collect();
    for row in v.chunks_exact_mut(factors.len()) {
        for (x, factor) in row.iter_mut().zip(&factors) {
            *x *= factor;
        }
    }
    v
}

/// The direction of the mean of the normalised rows of `projected` [rows, dim]; the first axis
/// if they cancel out.
fn mean_direction(projected: &[f32], dim: usize) -> Vec<f32> {
    let mut sum = vec![0.0; dim];
    for row in projected.chunks_exact(dim) {
        let norm = norm(row);
        if norm >= MIN_NORM {
            for (sum, &x) in sum.iter_mut().zip(row) {
                *sum += f64::from(x) / norm;
            }
        }
    }
    let length = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
    if length < MIN_NORM {
        sum.fill(0.0);
        sum[0] = 1.0;
        return sum.into_iter().map(|x| x as f32).collect();
    }
    sum.into_iter().map(|x| (x / length) as f32).collect()
}
