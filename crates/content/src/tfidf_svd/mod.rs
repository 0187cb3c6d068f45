//! TF-IDF of words and character n-grams, projected by a truncated SVD (latent semantic analysis;
//! Deerwester et al. 1990). Nothing is downloaded: everything is learned from the texts.
//!
//! text → normalised words (`text`) → hashed, counted features (`features`) → weighted sparse row
//! x of norm 1 (`vocabulary`) → x·V·(Σ/σ₁)^p → norm 1.

mod config;
mod features;
mod fit;
mod state;
mod text;
mod vocabulary;

use std::path::Path;

use das_core::DenseMatrix;
use das_core::progress::{Cancel, Progress};
use pulp::Arch;
use rayon::prelude::*;

pub use self::config::TfidfSvdConfig;
use self::features::{Counts, count};
pub use self::fit::FitReport;
use self::vocabulary::Vocabulary;
use crate::linalg::accumulate_row;
use crate::{Embedder, EmbedderIdentity, Embeddings, Result};

/// Texts between two looks at the cancel flag.
const BLOCK_TEXTS: usize = 4096;
/// A projected row shorter than this, of an x of norm 1, is rounding: none of its features
/// reaches into the kept directions.
const MIN_NORM: f64 = 1e-6;

/// A fitted TF-IDF/SVD embedder.
///
/// A text without any known feature (an empty title, a language never seen) gets the mean
/// direction of the texts fitted on, and is reported in [`Embeddings::fallback_rows`].
#[derive(Debug)]
pub struct TfidfSvd {
    config: TfidfSvdConfig,
    vocabulary: Vocabulary,
    dim: usize,
    /// V·(Σ/σ₁)^p, [features, dim].
    projection: Vec<f32>,
    /// The unit vector of texts with nothing known in them.
    fallback: Vec<f32>,
    /// SHA-256 of the state.
    hash: String,
}

impl TfidfSvd {
    /// The kind that descriptions and identities carry.
    pub const KIND: &'static str = "tfidf-svd";

    /// Raised whenever the same state would give other vectors.
    const VERSION: u32 = 1;

    /// Number of features in the vocabulary.
    pub fn num_features(&self) -> usize {
        self.vocabulary.len()
    }

    /// The settings it was fitted with.
    pub fn config(&self) -> &TfidfSvdConfig {
        &self.config
    }

    /// Writes the vector of a text into `out`; false if it is the fallback.
    fn embed_row(&self, counts: &Counts, out: &mut [f32]) -> bool {
        let row = self.vocabulary.weigh(counts);
        out.fill(0.0);
        accumulate_row(Arch::new(), row.into_iter(), &self.projection, out);
        let norm = norm(out);
        if norm < MIN_NORM {
            out.copy_from_slice(&self.fallback);
            return false;
        }
        for x in out {
            *x = (f64::from(*x) / norm) as f32;
        }
        true
    }
}

impl Embedder for TfidfSvd {
    fn dim(&self) -> usize {
        self.dim
    }

    fn identity(&self) -> EmbedderIdentity {
        EmbedderIdentity {
            kind: Self::KIND.into(),
            version: Self::VERSION,
            dim: self.dim,
            hash: self.hash.clone(),
        }
    }

    fn embed(
        &self,
        texts: &[&str],
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<Embeddings> {
        let mut values = vec![0.0; texts.len() * self.dim];
        let mut fallback_rows = Vec::new();
        let mut truncated = 0;
        progress.begin("embed texts", Some(texts.len() as u64));
        let blocks = values.chunks_mut(BLOCK_TEXTS * self.dim).zip(texts.chunks(BLOCK_TEXTS));
        for (block, (out, texts)) in blocks.enumerate() {
            cancel.check()?;
            let first = block * BLOCK_TEXTS;
            let rows: Vec<(bool, bool)> = out
                .par_chunks_exact_mut(self.dim)
                .zip(texts)
                .map(|(out, text)| {
                    let counts = count(text, &self.config);
                    (self.embed_row(&counts, out), counts.truncated)
                })
                .collect();
            fallback_rows.extend((first..).zip(&rows).filter(|(_, row)| !row.0).map(|(at, _)| at));
            truncated += rows.iter().filter(|row| row.1).count();
            progress.update((first + texts.len()) as u64, "");
        }
        progress.end();
        let matrix = DenseMatrix::new(self.dim, values)?;
        Ok(Embeddings { matrix, fallback_rows, truncated })
    }

    fn save(&self, folder: &Path) -> Result<()> {
        state::save(self, folder)
    }
}

/// Euclidean norm, summed in f64.
fn norm(vector: &[f32]) -> f64 {
    vector.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}
