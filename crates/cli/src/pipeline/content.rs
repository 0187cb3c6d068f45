//! Content vectors of both sides: the data set's own, or made by an embedder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use das_content::EmbedderIdentity;
use das_core::npy::{self, NpyMatrix};
use das_core::{DenseMatrix, RowMatrix, Side, ViewedMatrix, Views, files};
use das_data::texts::UserTextConfig;
use serde::{Deserialize, Serialize};

use super::embedders::{self, EmbedReport, Opened};
use super::texts::{side_texts, text_source};
use super::views::{self, View};
use super::{Context, Prepared};
use crate::config::{DataConfig, RunConfig};
use crate::run_folder::{embedder_folder, vectors_file};

/// Says which embedder made the vectors of a folder, and from which training rows.
const PROVENANCE_FILE: &str = "embeddings.json";

/// Content vectors of one side.
pub struct SideVectors {
    /// One row an entity, in entity order.
    pub matrix: Box<dyn RowMatrix>,
    /// The folder of the embedder that made them, or of those of their views; none for ready-made
    /// vectors.
    pub embedder: Option<PathBuf>,
    /// The views that a vector consists of; none where it is one vector.
    pub views: Vec<View>,
}

/// What `embeddings.json` says of one side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    embedder: Option<EmbedderIdentity>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    views: Vec<View>,
    /// Hash of the texts' settings and, for users, of the training rows their texts come from.
    source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    report: Option<EmbedReport>,
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
            None => config.data.views(side).is_empty(),
        };
        if current {
            let embedder = made_here.as_ref().map(|_| embedder_folder(folder, side));
            let views = made_here.map_or_else(Vec::new, |made| made.views);
            return SideVectors::new(Box::new(matrix), embedder, views);
        }
        if made_here.is_some() {
            context.bars.warn(&format!(
                "{}: the {side} vectors were embedded from other texts, under another split, text \
                 template or views; they are made anew for this run",
                matrix.path().display()
            ));
        }
    }
    let path = vectors_file(cache, side);
    if !path.exists() {
        files::create_folder(cache)?;
        write_side(prepared, config, side, cache, context)?;
    }
    let matrix = match npy::open(&path)? {
        NpyMatrix::Mapped(matrix) => matrix,
        other => bail!("{}: expected f32 vectors, found {other:?}", path.display()),
    };
    let views = provenance(cache)?.remove(side.name()).map_or_else(Vec::new, |made| made.views);
    SideVectors::new(Box::new(matrix), Some(embedder_folder(cache, side)), views)
}

impl SideVectors {
    fn new(
        matrix: Box<dyn RowMatrix>,
        embedder: Option<PathBuf>,
        views: Vec<View>,
    ) -> anyhow::Result<SideVectors> {
        if views.is_empty() {
            return Ok(SideVectors { matrix, embedder, views });
        }
        let widths = Views::new(views.iter().map(|view| view.dim).collect())?;
        Ok(SideVectors { matrix: Box::new(ViewedMatrix::new(matrix, widths)?), embedder, views })
    }
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
    for side in Side::BOTH {
        write_side(prepared, config, side, folder, context)?;
    }
    provenance(folder)
}

/// Embeds a side into `folder`. At every moment vectors that stand there are described, and by
/// their own embedder.
fn write_side(
    prepared: &Prepared,
    config: &RunConfig,
    side: Side,
    folder: &Path,
    context: Context<'_>,
) -> anyhow::Result<()> {
    let vectors = vectors_file(folder, side);
    if vectors.exists() {
        std::fs::remove_file(&vectors)
            .with_context(|| format!("{}: cannot remove", vectors.display()))?;
    }
    let (entry, matrix) = embed_side(prepared, config, side, folder, context)?;
    let mut made = provenance(folder)?;
    made.insert(side.name().to_string(), entry);
    let path = folder.join(PROVENANCE_FILE);
    files::write_bytes_atomic(&path, &serde_json::to_vec_pretty(&made)?)?;
    Ok(npy::write(&vectors, &matrix)?)
}

/// Opens an embedder for the texts of `side`, or one for each of its views, saves it in `folder`,
/// and returns the vectors, which are to be written last: where they stand, all else is complete.
fn embed_side(
    prepared: &Prepared,
    config: &RunConfig,
    side: Side,
    folder: &Path,
    context: Context<'_>,
) -> anyhow::Result<(Provenance, DenseMatrix)> {
    let folder = embedder_folder(folder, side);
    if !config.data.views(side).is_empty() {
        let (views, matrix) = views::make(prepared, config, side, &folder, context)?;
        let source = text_source(prepared, config, side)?;
        return Ok((Provenance { embedder: None, views, source, report: None }, matrix));
    }
    let texts = side_texts(prepared, config, side)?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let Opened { embedder, report } = embedders::open(&texts, config, side, context)?;
    let embeddings = views::embed_texts(&*embedder, &texts, side, None, context)?;
    embedder.save(&folder)?;
    let source = text_source(prepared, config, side)?;
    let (embedder, views, report) = (Some(embedder.identity()), Vec::new(), Some(report));
    Ok((Provenance { embedder, views, source, report }, embeddings.matrix))
}

fn provenance(folder: &Path) -> anyhow::Result<BTreeMap<String, Provenance>> {
    let path = folder.join(PROVENANCE_FILE);
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let text = files::read_text(&path)?;
    serde_json::from_str(&text).with_context(|| format!("{}: malformed", path.display()))
}
