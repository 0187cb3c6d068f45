//! `das contrasts`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use das_core::files;
use das_eval::compare::Folder;
use das_eval::contrasts::{Contrast, findings, table};
use das_eval::records::write_lines;
use serde::Deserialize;
use toml::Value;

use super::{print, print_json};
use crate::args::ContrastsArgs;
use crate::usage::UsageError;

/// Says what became of every claim of a plan.
pub fn run(args: &ContrastsArgs) -> anyhow::Result<()> {
    let plan = plan(&args.plan)?;
    let folders = folders(&args.comparisons)?;
    let found = findings(&plan, &folders).with_context(|| args.plan.display().to_string())?;
    if let Some(out) = &args.out {
        write_lines(out, &found)?;
    }
    if args.json {
        return print_json(&found);
    }
    print(&table(&found))
}

/// The whole file; entries are read one by one, so that a fault names its own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFile {
    contrast: Vec<Value>,
}

fn plan(path: &Path) -> anyhow::Result<Vec<Contrast>> {
    let fault = |place: &str, error: toml::de::Error| {
        UsageError(format!("{}: {place}{}", path.display(), error.to_string().trim()))
    };
    let file: PlanFile =
        toml::from_str(&files::read_text(path)?).map_err(|error| fault("", error))?;
    if file.contrast.is_empty() {
        let message = format!("{}: expected a [[contrast]], found none", path.display());
        return Err(UsageError(message).into());
    }
    let entry = |(at, value): (usize, Value)| {
        let place = format!("contrast {}: ", at + 1);
        Ok(value.try_into().map_err(|error| fault(&place, error))?)
    };
    file.contrast.into_iter().enumerate().map(entry).collect()
}

/// The folders by name.
fn folders(texts: &[String]) -> anyhow::Result<BTreeMap<String, Folder>> {
    let mut folders = BTreeMap::new();
    for text in texts {
        let (name, path) = text
            .split_once('=')
            .ok_or_else(|| UsageError(format!("`{text}`: expected NAME=FOLDER")))?;
        if folders.insert(name.to_string(), Folder::existing(Path::new(path))?).is_some() {
            return Err(UsageError(format!("two comparisons named `{name}`")).into());
        }
    }
    Ok(folders)
}
