//! Content of several views: each embedded or ready-made, of norm 1, and side by side.

use std::path::Path;

use anyhow::{Context as _, bail};
use das_content::{Embedder, EmbedderIdentity, Embeddings};
use das_core::artifact::{Artifact, ViewManifest, embedder_file};
use das_core::{DenseMatrix, EntityIds, RowMatrix, Side, Views};
use das_data::ViewVectors;
use das_data::tables::Entities;
use serde::{Deserialize, Serialize};

use super::embedders::{self, EmbedReport, Opened, reopen};
use super::texts::{lone_texts, side_texts};
use super::{Context, Prepared};
use crate::config::{RunConfig, TextSource, ViewConfig};

/// What one view of a side's content is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Its name.
    pub name: String,
    /// Width of its vectors.
    pub dim: usize,
    /// Which embedder made them; none of ready-made ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedder: Option<EmbedderIdentity>,
    /// How that came about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<EmbedReport>,
}

/// The vectors of one view, of which an entity may have none.
enum Part {
    Embedded(Embeddings),
    Ready(ViewVectors),
    Absent(usize),
}

impl Part {
    fn dim(&self) -> usize {
        match self {
            Part::Embedded(embeddings) => embeddings.matrix.dim(),
            Part::Ready(vectors) => vectors.dim(),
            Part::Absent(dim) => *dim,
        }
    }

    /// A text that holds nothing to embed is a view that is missing.
    fn get(&self, row: usize) -> Option<&[f32]> {
        match self {
            Part::Embedded(made) if made.fallback_rows.binary_search(&row).is_ok() => None,
            Part::Embedded(made) => Some(made.matrix.row(row)),
            Part::Ready(vectors) => vectors.get(row),
            Part::Absent(_) => None,
        }
    }

    /// What an entity without any view gets, if this part has it.
    fn fallback(&self, row: usize) -> Option<&[f32]> {
        match self {
            Part::Embedded(made) => Some(made.matrix.row(row)),
            Part::Ready(_) | Part::Absent(_) => None,
        }
    }
}

/// Makes the views of `side` that the settings name; the embedder of each is saved in a folder of
/// its name inside `folder`.
pub fn make(
    prepared: &Prepared,
    config: &RunConfig,
    side: Side,
    folder: &Path,
    context: Context<'_>,
) -> anyhow::Result<(Vec<View>, DenseMatrix)> {
    let (mut views, mut parts) = (Vec::new(), Vec::new());
    for view in config.data.views(side) {
        let name = view.name.clone();
        let (part, embedder, report) = match &view.vectors {
            Some(file) => (Part::Ready(prepared.data.view(side, file, &name)?), None, None),
            None => {
                let texts = side_texts(prepared, &with_text(config, side, view), side)?;
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                let Opened { embedder, report } = embedders::open(&texts, config, side, context)
                    .with_context(|| format!("view `{name}`"))?;
                embedder.save(&folder.join(&name))?;
                let made = embed_texts(&*embedder, &texts, side, Some(&name), context)?;
                (Part::Embedded(made), Some(embedder.identity()), Some(report))
            }
        };
        views.push(View { name, dim: part.dim(), embedder, report });
        parts.push(part);
    }
    let matrix = join(&parts, prepared.ids(side), side, context)?;
    Ok((views, matrix))
}

/// The content of entities that stand in a table of their own, in the views of an artifact.
pub fn views_of_table(
    artifact: &Artifact,
    entities: &Entities,
    config: &RunConfig,
    context: Context<'_>,
) -> anyhow::Result<DenseMatrix> {
    let (table, side) = (&entities.table, entities.table.side());
    let views = artifact.manifest().sides.get(&side).map_or(&[][..], |side| &side.views);
    let mut parts = Vec::new();
    for ViewManifest { name, dim, embedder } in views {
        let part = if embedder.is_some() {
            let view = config.data.views(side).iter().find(|view| view.name == *name);
            let view = view.with_context(|| format!("the run's settings lack view `{name}`"))?;
            let texts = lone_texts(table, &with_text(config, side, view), side)?;
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let file = embedder_file(side, &format!("{name}/{}", das_content::DESCRIPTION_FILE));
            let description = artifact.checked_path(&file)?;
            let folder = description.parent().unwrap_or(Path::new("."));
            let embedder = reopen(folder, &config.embed, context)?;
            Part::Embedded(embed_texts(&*embedder, &texts, side, Some(name), context)?)
        } else if let Some(vectors) = entities.view(name)? {
            Part::Ready(vectors)
        } else {
            let path = table.path().display();
            context.bars.warn(&format!(
                "{path}: no column of vectors is called `{name}`; all lack that view"
            ));
            Part::Absent(*dim)
        };
        if part.dim() != *dim {
            let (path, found) = (table.path().display(), part.dim());
            bail!("{path}: view `{name}`: expected vectors of width {dim}, found {found}");
        }
        parts.push(part);
    }
    join(&parts, table.ids(), side, context)
}

/// The embedded texts of entities, with a word on those that are not as they should be.
pub fn embed_texts(
    embedder: &dyn Embedder,
    texts: &[&str],
    side: Side,
    view: Option<&str>,
    Context { bars, cancel }: Context<'_>,
) -> anyhow::Result<Embeddings> {
    let embeddings = embedder.embed(texts, bars, cancel)?;
    let view = view.map_or(String::new(), |view| format!("view `{view}`: "));
    if !embeddings.fallback_rows.is_empty() {
        let count = embeddings.fallback_rows.len();
        bars.warn(&format!("{view}{count} of {} {side}s have no usable text", texts.len()));
    }
    if embeddings.truncated > 0 {
        let count = embeddings.truncated;
        let message = format!("of {count} of {} {side}s only the beginning was read", texts.len());
        bars.warn(&format!("{view}{message}"));
    }
    Ok(embeddings)
}

/// The vectors of all parts side by side, each of norm 1 so that none outweighs another, zeros
/// where an entity has none.
fn join(
    parts: &[Part],
    ids: &EntityIds,
    side: Side,
    Context { bars, .. }: Context<'_>,
) -> anyhow::Result<DenseMatrix> {
    let views = Views::new(parts.iter().map(Part::dim).collect())?;
    let mut values = vec![0.0; ids.len() * views.dim()];
    let mut bare = 0;
    for (row, out) in values.chunks_exact_mut(views.dim()).enumerate() {
        for (part, span) in parts.iter().zip(views.spans()) {
            if let Some(vector) = part.get(row) {
                put(vector, &mut out[span]);
            }
        }
        if parts.iter().any(|part| part.get(row).is_some()) {
            continue;
        }
        bare += 1;
        let mut fallbacks = parts.iter().zip(views.spans());
        let found = fallbacks.find_map(|(part, span)| Some((part.fallback(row)?, span)));
        let (vector, span) =
            found.with_context(|| format!("{side} {}: has none of the views", ids.display(row)))?;
        put(vector, &mut out[span]);
    }
    if bare > 0 {
        bars.warn(&format!("{bare} of {} {side}s have none of the views", ids.len()));
    }
    Ok(DenseMatrix::new(views.dim(), values)?)
}

/// Writes a vector with norm 1; zeros stay.
fn put(vector: &[f32], out: &mut [f32]) {
    let norm = vector.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    if norm > 0.0 {
        out.iter_mut().zip(vector).for_each(|(out, &x)| *out = (f64::from(x) / norm) as f32);
    }
}

/// The settings under which the text of a side is that of `view`.
fn with_text(config: &RunConfig, side: Side, view: &ViewConfig) -> RunConfig {
    let mut config = config.clone();
    if let Some(text) = &view.text {
        config.data.texts = TextSource::Fields;
        match side {
            Side::User => config.data.user_text.clone_from(text),
            Side::Item => config.data.item_text.clone_from(text),
        }
    }
    config
}
