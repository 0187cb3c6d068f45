//! One training run: its artifact and its logs.

use std::path::Path;

use das_core::Side;
use das_core::artifact::{Artifact, CONFIG_FILE, Manifest};
use das_core::sid::files::SidFile;
use das_data::{ColumnKind, DataSet, EntityTable, TextColumn};
use serde_json::Value;
use toml::Table;

use super::{codes, item_map, training};
use crate::pipeline::Context;
use crate::report::model::Run;
use crate::run_folder::artifact_of;

/// Reads the run, or artifact, in `folder`.
pub(super) fn read(
    folder: &Path,
    name: String,
    data: Option<&Path>,
    context: Context<'_>,
) -> anyhow::Result<Run> {
    let training = training::read(folder)?;
    let gradients = training::gradients(folder)?;
    let mut run = Run { name, training, gradients, ..Run::default() };
    let path = artifact_of(folder);
    if !path.join("manifest.json").exists() {
        return Ok(run);
    }
    let artifact = Artifact::open(&path)?;
    let manifest = artifact.manifest();
    run.method = manifest.method.clone();
    run.facts = facts(manifest, &settings(&artifact)?);
    for side in
        [Side::Item, Side::User].into_iter().filter(|side| manifest.sides.contains_key(side))
    {
        let sids = artifact.sids(side)?;
        run.sides.push(codes::side(side, &sids.table, &manifest.metrics)?);
        if side == Side::Item {
            let data = data.map(DataSet::open).transpose()?;
            let titles = Titles::of(&sids, data.as_ref())?;
            run.titled = titles.found;
            run.prefixes = codes::prefixes(&sids.table, &titles.texts);
            let sources = item_map::Sources { folder, artifact: &artifact, data: data.as_ref() };
            run.maps = item_map::read(&sources, &sids, &titles.texts, context)?;
        }
    }
    Ok(run)
}

fn settings(artifact: &Artifact) -> anyhow::Result<Table> {
    Ok(String::from_utf8(artifact.bytes(CONFIG_FILE)?)?.parse::<Table>()?)
}

/// What was trained, in words.
fn facts(manifest: &Manifest, settings: &Table) -> Vec<(&'static str, String)> {
    let mut facts = vec![("Method", manifest.method.clone())];
    for (side, label) in [(Side::Item, "Items"), (Side::User, "Users")] {
        if let Some(side) = manifest.sides.get(&side) {
            let sizes: Vec<String> =
                side.layout.codebook_sizes().iter().map(u32::to_string).collect();
            facts.push((label, format!("{}, codebooks {}", side.rows, sizes.join(" × "))));
        }
    }
    // The policy is one for both sides.
    let policy = manifest.sides.values().next().map(|side| side.layout.collision().to_string());
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_string);
    let count = |name: &str| manifest.metrics.get(name).and_then(Value::as_u64);
    let seed = settings.get("seed").map(ToString::to_string);
    let known = [
        ("Collisions are", policy.as_deref().map(collision_words)),
        ("Split", text(manifest.data.get("split"))),
        ("Epochs", count("epochs").map(|n| n.to_string())),
        ("Steps", count("steps").map(|n| n.to_string())),
        ("Seed", seed),
        ("ID space", Some(manifest.id_space.chars().take(12).collect())),
        ("das", Some(manifest.das_version.clone())),
    ];
    facts.extend(known.into_iter().filter_map(|(name, value)| Some((name, value?))));
    facts
}

fn collision_words(policy: &str) -> String {
    match policy {
        "none" => "kept".to_string(),
        "suffix" => "told apart by a suffix".to_string(),
        other => format!("resolved by {other}"),
    }
}

/// A text for each item.
struct Titles {
    texts: Vec<String>,
    /// Whether any of them is a title and not the id.
    found: bool,
}

impl Titles {
    /// The titles in `data` of the items in `sids`, in their order; ids where there is none.
    fn of(sids: &SidFile, data: Option<&DataSet>) -> anyhow::Result<Titles> {
        let rows = 0..sids.ids.len();
        let column = data.and_then(|data| Some((data, title_column(data.items())?)));
        let Some((data, column)) = column else {
            return Ok(Titles {
                texts: rows.map(|row| sids.ids.display(row)).collect(),
                found: false,
            });
        };
        let index = data.item_ids().index()?;
        let mut found = false;
        let title = |row: usize| {
            let known = index.row_of(sids.ids.get(row)).map(|row| column.first(row as usize));
            match known.filter(|title| !title.is_empty()) {
                Some(title) => {
                    found = true;
                    title.to_string()
                }
                None => sids.ids.display(row),
            }
        };
        Ok(Titles { texts: rows.map(title).collect(), found })
    }
}

/// The column `title`, or the first one of plain text.
fn title_column(items: &EntityTable) -> Option<&TextColumn> {
    let plain = || items.columns().iter().find(|column| column.kind() == ColumnKind::Text);
    items.column("title").or_else(plain)
}
