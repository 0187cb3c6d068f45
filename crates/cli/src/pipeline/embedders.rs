//! Which embedder turns texts into vectors, and where published models are found.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use das_content::{Cache, Embedder, EmbedderIdentity, FitReport, PublishedModel, TfidfSvd};
use das_core::Side;
use das_core::streams::stream;
use serde::{Deserialize, Serialize};

use super::Context;
use crate::config::{EmbedConfig, RunConfig};

/// An embedder for the texts of a side, and how it came about.
pub struct Opened {
    /// Ready to embed.
    pub embedder: Box<dyn Embedder>,
    /// What is told of it.
    pub report: EmbedReport,
}

/// How an embedder came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EmbedReport {
    /// Fitted to the texts.
    Fitted(FitReport),
    /// Published by others.
    Published {
        /// The name of its folder, or that which its server knows.
        model: String,
    },
}

/// Fits the built-in embedder to the texts of `side`, or opens the published model that the
/// settings name.
pub fn open(
    texts: &[&str],
    config: &RunConfig,
    side: Side,
    Context { bars, cancel }: Context<'_>,
) -> anyhow::Result<Opened> {
    let embed = &config.embed;
    let published = match embed.model.as_str() {
        EmbedConfig::BUILTIN => {
            let mut rng = stream(config.seed, &format!("{side} embedder"), 0);
            let (embedder, report) = TfidfSvd::fit(texts, &config.content, &mut rng, bars, cancel)
                .with_context(|| format!("cannot embed the texts of {side}s"))?;
            let report = EmbedReport::Fitted(report);
            return Ok(Opened { embedder: Box::new(embedder), report });
        }
        EmbedConfig::ENDPOINT => {
            embed.check_endpoint()?;
            PublishedModel::remote(&embed.endpoint, open_cache(embed)?, config.seed, cancel)?
        }
        folder => PublishedModel::local(Path::new(folder), &embed.plm, open_cache(embed)?)?,
    };
    let report = EmbedReport::Published { model: published.name().to_string() };
    Ok(Opened { embedder: Box::new(published), report })
}

/// The embedder that a run has kept in `folder`, with whatever published model it needs.
pub fn reopen(
    folder: &Path,
    embed: &EmbedConfig,
    Context { cancel, .. }: Context<'_>,
) -> anyhow::Result<Box<dyn Embedder>> {
    let EmbedderIdentity { kind, .. } = das_content::saved_identity(folder)?;
    let builtin = kind == TfidfSvd::KIND;
    let local = !matches!(embed.model.as_str(), EmbedConfig::BUILTIN | EmbedConfig::ENDPOINT);
    // Settings that were written down lack the address.
    let remote = embed.model == EmbedConfig::ENDPOINT && !embed.endpoint.url.is_empty();
    let models = das_content::Models {
        folder: local.then(|| Path::new(&embed.model)),
        endpoint: remote.then_some(&embed.endpoint),
        cache: if builtin { None } else { open_cache(embed)? },
        seed: 0,
        cancel: cancel.clone(),
    };
    Ok(das_content::load(folder, &models)?)
}

/// Where answers of published models are kept: where the settings say, or in the user's own cache
/// folder; nowhere if there is none.
pub fn open_cache(embed: &EmbedConfig) -> anyhow::Result<Option<Cache>> {
    let folder = match embed.cache.as_str() {
        "" => user_cache().map(|folder| folder.join("das").join("answers")),
        folder => Some(PathBuf::from(folder)),
    };
    Ok(folder.map(|folder| Cache::open(&folder)).transpose()?)
}

/// The folder for caches by the XDG base directory specification.
fn user_cache() -> Option<PathBuf> {
    let folder =
        |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")))
}
