//! Content vectors of both sides: the data set's own, or made by an embedder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use das_content::EmbedderIdentity;
use das_core::npy::{self, NpyMatrix};
use das_core::{DenseMatrix, RowMatrix, Side, files};
use das_data::texts::UserTextConfig;
use serde::{Deserialize, Serialize};

use super::embedders::{self, EmbedReport, Opened};
use super::texts::{side_texts, text_source};
use super::{Context, Prepared};
use crate::config::{DataConfig, RunConfig};
use crate::run_folder::{embedder_folder, vectors_file};

/// Says which embedder made the vectors of a folder, and from which training rows.
const PROVENANCE_FILE: &str = "embeddings.json";

/// Content vectors of one side.
pub struct SideVectors {
    /// One row an entity, in entity order.
    pub matrix: Box<dyn RowMatrix>,
    /// The folder of the embedder that made them; none for ready-made vectors.
    pub embedder: Option<PathBuf>,
}

/// What `embeddings.json` says of one side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    embedder: EmbedderIdentity,
    /// Hash of the texts' settings and, for users, of the training rows their texts come from.
    source: String,
    report: EmbedReport,
}

impl DataConfig {
    /// How a user becomes a text.
    pub fn user_text_config(&self) -> UserTextConfig {
        let given = |template: &String| (!template.is_empty()).then(|| template.clone());
        UserTextConfig {
            template: given(&self.user_text),
            history: self.user_history,
            history_template: given(&self.history_text),
        }
    }

    /// The template of an item's text, where one is given.
    pub fn item_template(&self) -> Option<&str> {
        (!self.item_text.is_empty()).then_some(self.item_text.as_str())
    }
}

/// The vectors of `side`: the data set's if it has them, and they are its own or were embedded
/// from the texts of this split; otherwise those in `cache`, which are made first where they are
/// missing.
pub fn vectors(
    prepared: &Prepared,
    config: &RunConfig,
    side: Side,
    cache: &Path,
    context: Context<'_>,
) -> anyhow::Result<SideVectors> {
    if let Some(matrix) = prepared.data.embeddings(side)? {
        let folder = prepared.data.folder();
        let made_here = provenance(folder)?.remove(side.name());
        let current = match &made_here {
            Some(made) => made.source == text_source(prepared, config, side)?,
            None => true,
        };
        if current {
            let embedder = made_here.map(|_| embedder_folder(folder, side));
            return Ok(SideVectors { matrix: Box::new(matrix), embedder });
        }
        context.bars.warn(&format!(
            "{}: the {side} vectors were embedded from other texts, under another split or text \
             template; they are made anew for this run",
            matrix.path().display()
        ));
    }
    let path = vectors_file(cache, side);
    if !path.exists() {
        files::create_folder(cache)?;
        let (_, matrix) = embed_side(prepared, config, side, cache, context)?;
        npy::write(&path, &matrix)?;
    }
    let matrix = match npy::open(&path)? {
        NpyMatrix::Mapped(matrix) => matrix,
        other => bail!("{}: expected f32 vectors, found {other:?}", path.display()),
    };
    Ok(SideVectors { matrix: Box::new(matrix), embedder: Some(embedder_folder(cache, side)) })
}

/// Embeds both sides into `folder` beside their embedders, and returns what was fitted.
/// Vectors that were not made by this program are left alone and refused.
pub fn embed_data(
    prepared: &Prepared,
    config: &RunConfig,
    folder: &Path,
    context: Context<'_>,
) -> anyhow::Result<BTreeMap<String, Provenance>> {
    let made_before = provenance(folder)?;
    for side in Side::BOTH {
        let foreign = prepared.data.folder() == folder
            && !made_before.contains_key(side.name())
            && prepared.data.embeddings(side)?.is_some();
        if foreign {
            bail!(
                "{}: holds {side} embeddings that were not made by `das embed`; \
                 remove them first, or name another folder with --out",
                folder.display()
            );
        }
    }
    files::create_folder(folder)?;
    let path = folder.join(PROVENANCE_FILE);
    let mut made = made_before;
    for side in Side::BOTH {
        // At every moment vectors that stand here are described, and by their own embedder.
        let vectors = vectors_file(folder, side);
        if vectors.exists() {
            std::fs::remove_file(&vectors)
                .with_context(|| format!("{}: cannot remove", vectors.display()))?;
        }
        let (entry, matrix) = embed_side(prepared, config, side, folder, context)?;
        made.insert(side.name().to_string(), entry);
        files::write_bytes_atomic(&path, &serde_json::to_vec_pretty(&made)?)?;
        npy::write(&vectors, &matrix)?;
    }
    Ok(made)
}

/// Opens an embedder for the texts of `side`, saves it in `folder`, and returns the vectors, which
/// are to be written last: where they stand, all else is complete.
fn embed_side(
    prepared: &Prepared,
    config: &RunConfig,
    side: Side,
    folder: &Path,
    context: Context<'_>,
) -> anyhow::Result<(Provenance, DenseMatrix)> {
    let texts = side_texts(prepared, config, side)?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let Context { bars, cancel } = context;
    let Opened { embedder, report } = embedders::open(&texts, config, side, context)?;
    let embeddings = embedder.embed(&texts, bars, cancel)?;
    if !embeddings.fallback_rows.is_empty() {
        let count = embeddings.fallback_rows.len();
        bars.warn(&format!("{count} of {} {side}s have no usable text", texts.len()));
    }
    if embeddings.truncated > 0 {
        let count = embeddings.truncated;
        bars.warn(&format!("of {count} of {} {side}s only the beginning was read", texts.len()));
    }
    embedder.save(&embedder_folder(folder, side))?;
    let source = text_source(prepared, config, side)?;
    Ok((Provenance { embedder: embedder.identity(), source, report }, embeddings.matrix))
}

fn provenance(folder: &Path) -> anyhow::Result<BTreeMap<String, Provenance>> {
    let path = folder.join(PROVENANCE_FILE);
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let text = files::read_text(&path)?;
    serde_json::from_str(&text).with_context(|| format!("{}: malformed", path.display()))
}
