//! `rqkmeans`: residual k-means on content vectors, with neither an autoencoder nor behaviour.
//!
//! Each level clusters what the levels before it leave over. The codebooks are then fitted to each
//! other (ours): plain residual k-means stops with a total error several percent above that.

use das_core::Side;
use das_core::progress::Cancel;
use das_core::streams::stream;
use serde::{Deserialize, Serialize};

use super::residual::{Adapter, ResidualFit, ResidualSide, ResidualTokenizer};
use crate::config::{at_least_one, codebook_sizes};
use crate::method::{Run, Trained};
use crate::train::Observer;
use crate::{Error, Result, TrainConfig};

/// Settings of `rqkmeans`. Both sides have the same codebooks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RqkmeansConfig {
    /// Codes of each level.
    pub codebook_sizes: Vec<u32>,
    /// Whether content vectors are brought to unit length first.
    pub normalize: bool,
    /// Lloyd iterations a level.
    pub iterations: u32,
    /// Rounds in which the codebooks are fitted to each other; 0 is plain residual k-means.
    pub refinements: u32,
    /// Most rows of a side that codebooks are fitted to.
    pub sample: usize,
}

impl Default for RqkmeansConfig {
    fn default() -> RqkmeansConfig {
        RqkmeansConfig {
            codebook_sizes: vec![256; 3],
            normalize: true,
            iterations: 20,
            refinements: 10,
            // 256 a centroid of such a codebook, the number at which faiss draws a sample too.
            sample: 1 << 16,
        }
    }
}

impl RqkmeansConfig {
    /// Refuses values that cannot work, naming the key.
    pub fn check(&self) -> Result<()> {
        codebook_sizes("rqkmeans.codebook_sizes", &self.codebook_sizes)?;
        at_least_one("rqkmeans.iterations", self.iterations as usize)?;
        at_least_one("rqkmeans.sample", self.sample)
    }

    fn fit(&self) -> ResidualFit<'_> {
        ResidualFit {
            codebook_sizes: &self.codebook_sizes,
            iterations: self.iterations,
            refinements: self.refinements,
            sample: self.sample,
        }
    }
}

/// Fits both sides. There are no steps: a repeated call starts over, and ends with the same bits.
pub(crate) fn train(
    config: &RqkmeansConfig,
    _common: &TrainConfig,
    run: &Run<'_>,
    _observer: &mut dyn Observer,
    cancel: &Cancel,
) -> Result<Trained> {
    config.check()?;
    let fit = |side: Side| {
        let mut rng = stream(run.seed, &format!("rqkmeans/{side}"), 0);
        let adapter = Adapter::identity(config.normalize);
        let content = run.inputs.content[side as usize];
        let codebooks = config.fit().run(&adapter, content, &mut rng, cancel)?;
        Ok::<_, Error>(ResidualSide::new(adapter, codebooks))
    };
    let tokenizer = ResidualTokenizer::new("rqkmeans", [fit(Side::User)?, fit(Side::Item)?]);
    let validation = tokenizer.validate(&run.inputs, cancel)?;
    Ok(Trained {
        tokenizer: Box::new(tokenizer),
        extra: Vec::new(),
        validation,
        epochs: 0,
        steps: 0,
    })
}
