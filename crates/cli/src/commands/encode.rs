//! `das encode`.

use std::path::Path;

use anyhow::{Context as _, bail};
use das_core::artifact::{Artifact, CONFIG_FILE, MODEL_FILE, embedder_file};
use das_core::sid::files::{SidFile, write_parquet};
use das_core::sid::{LastLevel, SidLayout, SidTable, collision};
use das_core::{EntityIds, RowMatrix, Side};
use das_data::EmbeddingMatrix;
use das_data::tables::{Entities, read_entities};
use das_model::{EncodedRows, Keep, Tokenizer, encode_all, load_tokenizer};

use super::{print, print_json, use_threads};
use crate::args::EncodeArgs;
use crate::config::RunConfig;
use crate::interrupt;
use crate::observe::Bars;
use crate::pipeline::{Context, embed_texts, lone_texts, reopen, views_of_table};
use crate::run_folder::artifact_of;
use crate::usage::UsageError;

/// Encodes a table of items or users with a run's tokenizer.
pub fn run(args: &EncodeArgs) -> anyhow::Result<()> {
    let (side, path) = match (&args.items, &args.users) {
        (Some(path), None) => (Side::Item, path),
        (None, Some(path)) => (Side::User, path),
        _ => return Err(UsageError("name one of --items and --users".to_string()).into()),
    };
    use_threads(0)?;
    let cancel = interrupt::install()?;
    let bars = Bars::new();
    let context = Context { bars: &bars, cancel: &cancel };
    let artifact = Artifact::open(&artifact_of(&args.run))?;
    artifact.verify()?;
    let entities = read_entities(path, side)?;
    let content = content(&artifact, &entities, side, args, context)?;
    let tokenizer = load_tokenizer(&artifact.bytes(MODEL_FILE)?)?;
    let known = artifact.sids(side)?;
    let last_residuals = known.table.layout().collision().reassigns();
    let keep = Keep { last_residuals, ..Keep::default() };
    let encoded = encode_all(&*tokenizer, side, &*content, keep, &bars, &cancel)
        .with_context(|| path.display().to_string())?;
    let table = identify(&*tokenizer, side, &known, entities.table.ids(), &encoded.rows)?;
    write_parquet(&args.out, side, entities.table.ids(), &table)?;
    if args.json {
        return print_json(&serde_json::json!({
            "out": args.out,
            "rows": table.len(),
            "id_space": artifact.manifest().id_space,
            "layout": table.layout(),
        }));
    }
    print(&format!("{} {side} IDs are in {}\n", table.len(), args.out.display()))
}

/// The file's own vectors, or those that the artifact's embedder makes of its texts.
fn content(
    artifact: &Artifact,
    entities: &Entities,
    side: Side,
    args: &EncodeArgs,
    context: Context<'_>,
) -> anyhow::Result<Box<dyn RowMatrix>> {
    let path = entities.table.path();
    let described = artifact.manifest().sides.get(&side);
    let described = described.with_context(|| format!("the run has no {side} tokenizer"))?;
    let mut config: RunConfig =
        toml::from_str(std::str::from_utf8(&artifact.bytes(CONFIG_FILE)?)?)?;
    if let Some(model) = &args.model {
        config.embed.choose(model);
    }
    if let Some(vectors) = &args.vectors {
        if !described.views.is_empty() {
            let message = "the run's content has several views; --vectors gives one".to_string();
            return Err(UsageError(message).into());
        }
        let vectors = EmbeddingMatrix::in_passing(vectors, &entities.table)?;
        return of_width(described.content_dim, vectors);
    }
    if !described.views.is_empty() {
        return Ok(Box::new(views_of_table(artifact, entities, &config, context)?));
    }
    if let Some(vectors) = entities.embeddings()? {
        return of_width(described.content_dim, vectors);
    }
    if described.embedder.is_none() {
        bail!(
            "{}: has no embedding column, and the run was trained on ready-made {side} vectors; \
             give vectors of width {} in a column or with --vectors",
            path.display(),
            described.content_dim
        );
    }
    let texts = lone_texts(&entities.table, &config, side)?;
    let description = artifact.checked_path(&embedder_file(side, das_content::DESCRIPTION_FILE))?;
    let folder = description.parent().unwrap_or(Path::new("."));
    let embedder = reopen(folder, &config.embed, context)?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Ok(Box::new(embed_texts(&*embedder, &texts, side, None, context)?.matrix))
}

/// Ready-made vectors, if they are as wide as those that the run was trained on.
fn of_width(expected: usize, vectors: EmbeddingMatrix) -> anyhow::Result<Box<dyn RowMatrix>> {
    let (found, path) = (vectors.dim(), vectors.path());
    if found != expected {
        bail!("{}: expected vectors of width {expected}, found {found}", path.display());
    }
    Ok(Box::new(vectors))
}

/// IDs under the artifact's collision policy. An entity that the run knows keeps its ID as long
/// as its content still has the same codes; all others are told apart from every known ID.
fn identify(
    tokenizer: &dyn Tokenizer,
    side: Side,
    known: &SidFile,
    ids: &EntityIds,
    rows: &EncodedRows,
) -> anyhow::Result<SidTable> {
    let levels = tokenizer.codebook_sizes(side).len();
    // These policies gave out the last level anew, so only the codes before it are comparable.
    let reassigned = known.table.layout().collision().reassigns();
    let compared = if reassigned { levels - 1 } else { levels };
    let index = known.ids.index()?;
    let kept: Vec<Option<u32>> = (0..ids.len())
        .map(|row| {
            let found = index.row_of(ids.get(row))?;
            let codes = &rows.codes[row * levels..][..compared];
            (known.table.prefix(found as usize, compared) == codes).then_some(found)
        })
        .collect();
    let new: Vec<usize> = (0..ids.len()).filter(|&row| kept[row].is_none()).collect();
    let extended = extend(tokenizer, side, &known.table, rows, &new)?;
    let mut of_new = extended.rows();
    let mut codes = Vec::with_capacity(ids.len() * extended.layout().num_digits());
    for found in &kept {
        let row = match found {
            Some(found) => known.table.row(*found as usize),
            None => of_new.next().context("a new row for each that is not known")?,
        };
        codes.extend_from_slice(row);
    }
    Ok(SidTable::new(extended.layout().clone(), codes)?)
}

fn extend(
    tokenizer: &dyn Tokenizer,
    side: Side,
    known: &SidTable,
    rows: &EncodedRows,
    new: &[usize],
) -> anyhow::Result<SidTable> {
    let sizes = tokenizer.codebook_sizes(side);
    let levels = sizes.len();
    let codes = new.iter().flat_map(|&row| rows.codes[row * levels..][..levels].iter().copied());
    let learned = SidTable::new(SidLayout::learned(sizes)?, codes.collect())?;
    if !known.layout().collision().reassigns() {
        return Ok(collision::extend(known, &learned, None)?);
    }
    let dim = rows.last_residuals.len() / (rows.codes.len() / levels).max(1);
    let residuals = new.iter().flat_map(|&row| &rows.last_residuals[row * dim..][..dim]);
    let residuals: Vec<f32> = residuals.copied().collect();
    let last = LastLevel::new(&residuals, tokenizer.last_codebook(side), dim)?;
    Ok(collision::extend(known, &learned, Some(last))?)
}
