//! A pretrained language model, from folder to vectors.

mod architecture;
mod batches;
mod folder;
mod network;
mod pooling;
mod tokens;
mod weights;

use std::path::Path;
use std::time::Instant;

use das_core::progress::{Cancel, Progress};
use das_core::{DenseMatrix, files};
use das_nn::Device;

use self::architecture::Architecture;
use self::batches::{Packed, pack};
pub(crate) use self::folder::read_text;
use self::folder::{ModelFolder, missing};
use self::network::Network;
use self::pooling::normalize;
use self::tokens::{TokenIds, Tokens};
use self::weights::Weights;
use crate::plm::{PlmConfig, Pooling};
use crate::text_model::{Batch, Done, TextModel};
use crate::{EmbedderIdentity, Result};

/// Texts that are tokenized and sorted by length together.
const WINDOW: usize = 1 << 15;

/// A pretrained language model that embeds texts.
pub struct Plm {
    network: Network,
    tokens: Tokens,
    pooling: Pooling,
    normalize: bool,
    prefix: String,
    max_length: usize,
    batch_tokens: usize,
    identity: EmbedderIdentity,
}

impl std::fmt::Debug for Plm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plm").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Plm {
    /// Raised whenever the same files would give other vectors.
    const VERSION: u32 = 1;

    /// Loads the model in `folder`. The folder is data: nothing in it is run.
    ///
    /// # Errors
    /// Files that are missing, malformed, or describe a model of another kind; each error names
    /// the file.
    pub fn open(folder: &Path, config: &PlmConfig) -> Result<Plm> {
        config.check()?;
        let folder = ModelFolder::open(folder)?;
        let path = folder.network.join("config.json");
        if !path.exists() {
            return Err(missing(&path));
        }
        let architecture = Architecture::parse(&path, &read_text(&path)?)?;
        let most = architecture.max_tokens();
        let asked = if config.max_length > 0 { Some(config.max_length) } else { folder.max_length };
        let max_length = asked.unwrap_or(most).min(most);
        let tokenizer = folder.network.join("tokenizer.json");
        let tokens = Tokens::open(&tokenizer, max_length, architecture.vocabulary)?;
        let weights = Weights::open(&folder.network)?;
        let pooling = config.pooling.or(folder.pooling).unwrap_or(Pooling::Mean);
        let normalize = config.normalize.or(folder.normalize).unwrap_or(true);
        let prefix = config.prefix.clone().unwrap_or(folder.prompt);
        let dim = architecture.dim;
        let hash = files::sha256_bytes(
            format!(
                "{architecture:?} {pooling:?} {normalize} {max_length} {prefix:?}\n{}\n{}",
                files::sha256_file(&tokenizer)?,
                weights.hashes()?
            )
            .as_bytes(),
        );
        let identity =
            EmbedderIdentity { kind: crate::plm::KIND.into(), version: Self::VERSION, dim, hash };
        let network = Network::load(architecture, &weights, &Device::cpu())?;
        let batch_tokens = config.batch_tokens;
        Ok(Plm { network, tokens, pooling, normalize, prefix, max_length, batch_tokens, identity })
    }

    /// How it is used, with everything that was left to its files filled in.
    pub fn settings(&self) -> PlmConfig {
        PlmConfig {
            max_length: self.max_length,
            pooling: Some(self.pooling),
            normalize: Some(self.normalize),
            prefix: Some(self.prefix.clone()),
            batch_tokens: self.batch_tokens,
        }
    }

    fn embed_batch(&self, texts: &[TokenIds], first: usize, batch: &Packed) -> Result<Batch> {
        let states = self.network.states(&batch.tokens, &batch.offsets).to_vec();
        let dim = self.network.dim();
        let mut vectors = self.pooling.pool(&states, dim, &batch.offsets);
        if self.normalize {
            vectors.chunks_exact_mut(dim).for_each(normalize);
        }
        Ok(Batch {
            truncated: batch.rows.iter().map(|&row| texts[row].truncated).collect(),
            rows: batch.rows.iter().map(|&row| first + row).collect(),
            vectors: DenseMatrix::new(dim, vectors)?,
        })
    }
}

impl TextModel for Plm {
    fn identity(&self) -> EmbedderIdentity {
        self.identity.clone()
    }

    fn embed_batches(
        &self,
        texts: &[&str],
        progress: &dyn Progress,
        cancel: &Cancel,
        done: Done<'_>,
    ) -> Result<()> {
        let started = Instant::now();
        let mut count = 0;
        progress.begin("embed texts", Some(texts.len() as u64));
        for (window, texts) in texts.chunks(WINDOW).enumerate() {
            let prefixed = texts.iter().map(|text| format!("{}{text}", self.prefix)).collect();
            let tokens = self.tokens.encode(prefixed)?;
            for batch in pack(&tokens, self.batch_tokens) {
                cancel.check()?;
                count += batch.rows.len();
                done(self.embed_batch(&tokens, window * WINDOW, &batch)?)?;
                let rate = count as f64 / started.elapsed().as_secs_f64();
                progress.update(count as u64, &format!("{rate:.0} items/s"));
            }
        }
        progress.end();
        Ok(())
    }
}
