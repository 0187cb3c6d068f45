//! Loading an artifact: checked, mapped and warmed before it is served.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use das_content::{DESCRIPTION_FILE, Embedder, Models};
use das_core::artifact::{
    Artifact, MANIFEST_FILE, MODEL_FILE, SideManifest, embedder_file, recommender_file,
};
use das_core::sid::index::{SidIndex, write_index};
use das_core::{Side, files};
use das_model::load_tokenizer;
use das_nn::Device;
use das_recommend::Retriever;
use rayon::prelude::*;

use super::{Loaded, LoadedRetriever, ServedSide};
use crate::error::{Error, Result};

/// Rows counted at a time.
const COUNTED: usize = 1 << 20;

/// Where an artifact is, and what it needs from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The artifact's folder.
    pub folder: PathBuf,
    /// The folder of the published model that embedded its texts, where one did.
    pub model: Option<PathBuf>,
}

/// Loads the artifact of `source`: every file that is used is checked against its checksum, indexes
/// are mapped, and each part has worked once.
///
/// # Errors
/// Whatever in the artifact cannot be read, is altered, or does not fit together.
pub fn load(source: &Source) -> Result<Loaded> {
    let artifact = Artifact::open(&source.folder)?;
    let manifest = artifact.manifest().clone();
    let sha256 = files::sha256_file(&source.folder.join(MANIFEST_FILE))?;
    let tokenizer = load_tokenizer(&artifact.bytes(MODEL_FILE)?)?;
    let mut sides = [None, None];
    for (&side, described) in &manifest.sides {
        if tokenizer.content_dim(side) != Some(described.content_dim) {
            return Err(Error::Invalid(format!(
                "the tokenizer takes {side} content of width {:?}, the manifest says {}",
                tokenizer.content_dim(side),
                described.content_dim
            )));
        }
        if tokenizer.codebook_sizes(side) != described.layout.codebook_sizes() {
            return Err(Error::Invalid(format!(
                "the tokenizer has {side} codebooks {:?}, the manifest says {:?}",
                tokenizer.codebook_sizes(side),
                described.layout.codebook_sizes()
            )));
        }
        sides[side as usize] = Some(load_side(&artifact, side, described, source)?);
    }
    let retriever = load_retriever(&artifact, sides[Side::Item as usize].as_ref())?;
    // A folder that was replaced meanwhile is opened again by whoever watches it.
    let manifest_path = source.folder.join(MANIFEST_FILE);
    if files::sha256_file(&manifest_path)? != sha256
        || Artifact::open(&source.folder)?.manifest() != &manifest
    {
        return Err(Error::Invalid("the artifact was replaced while it was being read".into()));
    }
    let loaded = Loaded { sha256, manifest, tokenizer, sides, retriever };
    warm(&loaded)?;
    Ok(loaded)
}

fn load_side(
    artifact: &Artifact,
    side: Side,
    described: &SideManifest,
    source: &Source,
) -> Result<ServedSide> {
    let index = match artifact.index(side)? {
        Some(index) => index,
        None => indexed_anew(artifact, side)?,
    };
    let usage = usage(&index);
    let embedder = open_embedder(artifact, side, described, source)?;
    let doubled = AtomicBool::new(false);
    Ok(ServedSide { side, described: described.clone(), index, embedder, usage, doubled })
}

/// The index of an artifact that was published without; it lives in a file without a name.
fn indexed_anew(artifact: &Artifact, side: Side) -> Result<SidIndex> {
    let sids = artifact.sids(side)?;
    let folder =
        tempfile::tempdir().map_err(das_core::Error::io(&std::env::temp_dir(), "cannot create"))?;
    let path = folder.path().join("index");
    write_index(&path, &sids.ids, &sids.table)?;
    Ok(SidIndex::open(&path, sids.table.layout())?)
}

/// How many ids have each code, level by level.
fn usage(index: &SidIndex) -> Vec<Vec<u32>> {
    let none = || -> Vec<Vec<u32>> {
        index.layout().widths().map(|width| vec![0; width as usize]).collect()
    };
    let rows = index.len() as u32;
    (0..rows)
        .into_par_iter()
        .with_min_len(COUNTED)
        .fold(none, |mut counts, row| {
            for (counts, code) in counts.iter_mut().zip(index.codes(row)) {
                counts[code as usize] += 1;
            }
            counts
        })
        .reduce(none, |mut sum, counts| {
            for (sum, counts) in sum.iter_mut().flatten().zip(counts.iter().flatten()) {
                *sum += counts;
            }
            sum
        })
}

/// What embeds texts of a side, or why they cannot be embedded here.
fn open_embedder(
    artifact: &Artifact,
    side: Side,
    described: &SideManifest,
    source: &Source,
) -> Result<Result<Box<dyn Embedder>, String>> {
    if !described.views.is_empty() {
        return Ok(
            Err("this artifact joins several views into its content; send `vectors`".into()),
        );
    }
    if described.embedder.is_none() {
        return Ok(Err("this artifact was trained on ready-made vectors; send `vectors`".into()));
    }
    let prefix = embedder_file(side, "");
    let mut folder = None;
    for name in artifact.manifest().files.keys().filter(|name| name.starts_with(&prefix)) {
        let path = artifact.checked_path(name)?;
        if name[prefix.len()..] == *DESCRIPTION_FILE {
            folder = path.parent().map(Path::to_path_buf);
        }
    }
    let Some(folder) = folder else {
        return Err(Error::Invalid(format!("the artifact lists no {prefix}{DESCRIPTION_FILE}")));
    };
    let models = Models { folder: source.model.as_deref(), ..Models::default() };
    match das_content::load(&folder, &models) {
        Ok(embedder) => Ok(Ok(embedder)),
        // Known to be an embedder that lives elsewhere: vectors are served all the same.
        Err(das_content::Error::Model(why)) => Ok(Err(format!("{why}, or send `vectors`"))),
        Err(error) => Err(error.into()),
    }
}

fn load_retriever(
    artifact: &Artifact,
    items: Option<&ServedSide>,
) -> Result<Option<LoadedRetriever>> {
    let file = recommender_file("retriever");
    if !artifact.manifest().files.contains_key(&file) {
        return Ok(None);
    }
    let Some(items) = items else {
        return Err(Error::Invalid("a retriever without item IDs".into()));
    };
    let sids = artifact.sids(Side::Item)?;
    let bytes = artifact.bytes(&file)?;
    let model = Retriever::from_bytes(&Device::cpu(), &bytes, &sids.table)?;
    Ok(Some(LoadedRetriever::new(model, &sids, &items.index)?))
}

/// Lets each part work once, so that the first request finds weights in the caches and an artifact
/// whose parts do not work together is never served.
fn warm(loaded: &Loaded) -> Result<()> {
    for side in loaded.sides() {
        let content = vec![0.0; side.content_dim()];
        loaded.tokenizer.encode_rows(side.side(), &content)?;
        if let Ok(embedder) = &side.embedder {
            if embedder.dim() != side.content_dim() {
                return Err(Error::Invalid(format!(
                    "the {} embedder makes vectors of width {}, the tokenizer takes {}",
                    side.side(),
                    embedder.dim(),
                    side.content_dim()
                )));
            }
            let warmed = side.embed(&["warm"]);
            warmed.map_err(|refusal| Error::Invalid(refusal.message))?;
        }
    }
    if let (Some(retriever), Some(items)) = (&loaded.retriever, loaded.side(Side::Item))
        && !items.index.is_empty()
    {
        let found = retriever.retrieve(&[vec![0]], 1, false, 0);
        found.map_err(|refusal| Error::Invalid(refusal.message))?;
    }
    Ok(())
}
