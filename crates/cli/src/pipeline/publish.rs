//! Codes into IDs, IDs into an artifact.

use std::path::Path;

use anyhow::Context as _;
use das_core::Side;
use das_core::artifact::{
    ArtifactWriter, CONFIG_FILE, Existing, MODEL_FILE, SideContent, ViewManifest, embedder_file,
};
use das_core::sid::{CollisionConfig, LastLevel, SidLayout, SidTable, collision};
use das_data::Part;
use das_model::{Encoded, Tokenizer};
use das_nn::safetensors_io;
use serde_json::{Value, json};

use super::intrinsics::{Behaviour, InspectReport};
use super::{Fitted, Prepared, SideVectors, View};
use crate::config::RunConfig;

/// Resolves collisions, measures the IDs (validation clicks only) and publishes the artifact at
/// `path`, replacing one of the same run.
pub fn publish(
    path: &Path,
    prepared: &Prepared,
    fitted: &Fitted,
    vectors: &[SideVectors; 2],
    config: &RunConfig,
) -> anyhow::Result<InspectReport> {
    let tokenizer = &*fitted.trained.tokenizer;
    let [user, item] = Side::BOTH.map(|side| {
        let encoded = fitted.encoded[side as usize].as_ref();
        encoded.map(|encoded| resolve(tokenizer, side, encoded, &config.collision)).transpose()
    });
    let tables = [user?, item?];
    let behaviour = Behaviour::of(prepared, &[Part::Validation], None)?;
    let [user, item] = &tables;
    let mut report = InspectReport::new(user.as_ref(), item.as_ref(), Some(&behaviour))?;
    for (side, encoded) in Side::BOTH.into_iter().zip(&fitted.encoded) {
        let error = encoded.as_ref().and_then(|encoded| encoded.reconstruction_error);
        report.set_reconstruction_error(side, error);
    }

    let mut writer = ArtifactWriter::create(path, Existing::Replace)?;
    writer.add_bytes(CONFIG_FILE, config.to_toml()?.as_bytes())?;
    writer.add_bytes(MODEL_FILE, &tokenizer.to_bytes()?)?;
    for (name, tensors) in &fitted.trained.extra {
        writer.add_bytes(name, &safetensors_io::to_bytes(tensors, &Default::default())?)?;
    }
    for ((side, vectors), table) in Side::BOTH.into_iter().zip(vectors).zip(&tables) {
        let Some(table) = table else { continue };
        let content = add_content(&mut writer, side, vectors)?;
        writer.add_side(side, prepared.ids(side), table, content)?;
    }
    let metrics = json!({
        "intrinsic": report,
        "validation": fitted.trained.validation,
        "epochs": fitted.trained.epochs,
        "steps": fitted.trained.steps,
    });
    writer.publish(tokenizer.method(), prepared.fingerprint()?, metrics)?;
    Ok(report)
}

/// The IDs of one side under the configured collision policy.
pub fn resolve(
    tokenizer: &dyn Tokenizer,
    side: Side,
    encoded: &Encoded,
    config: &CollisionConfig,
) -> anyhow::Result<SidTable> {
    let layout = SidLayout::learned(tokenizer.codebook_sizes(side))?;
    let learned = SidTable::new(layout, encoded.rows.codes.clone())?;
    let codebook = tokenizer.last_codebook(side);
    let dim = codebook.len() / *tokenizer.codebook_sizes(side).last().unwrap_or(&1) as usize;
    let last = LastLevel::new(&encoded.rows.last_residuals, codebook, dim)?;
    let resolved = collision::resolve(&learned, config.policy, Some(last), &config.sinkhorn)?;
    Ok(resolved.table)
}

/// Copies what makes the content of a side into the artifact, and says what it is.
fn add_content(
    writer: &mut ArtifactWriter,
    side: Side,
    SideVectors { matrix, embedder, views }: &SideVectors,
) -> anyhow::Result<SideContent> {
    let mut content = SideContent { dim: matrix.dim(), embedder: None, views: Vec::new() };
    let Some(folder) = embedder else { return Ok(content) };
    if views.is_empty() {
        content.embedder = Some(add_embedder(writer, side, folder, "")?);
    }
    for View { name, dim, embedder, .. } in views {
        let embedder = match embedder {
            Some(_) => Some(add_embedder(writer, side, &folder.join(name), &format!("{name}/"))?),
            None => None,
        };
        content.views.push(ViewManifest { name: name.clone(), dim: *dim, embedder });
    }
    Ok(content)
}

/// Copies a saved embedder into the artifact, below `prefix`, and returns its identity.
fn add_embedder(
    writer: &mut ArtifactWriter,
    side: Side,
    folder: &Path,
    prefix: &str,
) -> anyhow::Result<Value> {
    let identity = das_content::saved_identity(folder)?;
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .and_then(|entries| {
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
        })
        .with_context(|| format!("{}: cannot list", folder.display()))?;
    // Hidden files are what an interrupted save has left.
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    for name in names {
        writer.add_file(&embedder_file(side, &format!("{prefix}{name}")), &folder.join(&name))?;
    }
    Ok(serde_json::to_value(identity)?)
}
