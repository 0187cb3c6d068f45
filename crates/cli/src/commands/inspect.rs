//! `das inspect`.

use std::path::Path;

use anyhow::{Context as _, bail};
use das_core::artifact::{Artifact, CONFIG_FILE};
use das_core::sid::files::{SidFile, read_any};
use das_core::sid::{SidLayout, SidTable};
use das_core::{EntityIds, Side};
use das_data::Part;

use super::{print, print_json};
use crate::args::InspectArgs;
use crate::config::{DataConfig, RunConfig};
use crate::pipeline::{Behaviour, InspectReport, Prepared};
use crate::run_folder::artifact_of;
use crate::table;
use crate::usage::UsageError;

/// Prints the intrinsic metrics of a run or of an ID file.
pub fn run(args: &InspectArgs) -> anyhow::Result<()> {
    if !args.target.exists() {
        bail!("{}: no such file or folder", args.target.display());
    }
    let (sids, settings) = if args.target.is_dir() {
        of_artifact(&args.target)?
    } else {
        (vec![of_file(&args.target)?], DataConfig::default())
    };
    let report = match &args.data {
        None => {
            let table = |side| sids.iter().find(|(of, _)| *of == side).map(|(_, file)| &file.table);
            InspectReport::new(table(Side::User), table(Side::Item), None)?
        }
        Some(data) => {
            let mut settings = settings;
            if let Some(split) = &args.split {
                settings.split = split
                    .parse()
                    .map_err(|error: das_data::Error| UsageError(format!("--split: {error}")))?;
            }
            against_data(&sids, data, &settings, args)?
        }
    };
    if args.json { print_json(&report) } else { print(&table::inspection(&report)) }
}

fn of_artifact(target: &Path) -> anyhow::Result<(Vec<(Side, SidFile)>, DataConfig)> {
    let artifact = Artifact::open(&artifact_of(target))?;
    artifact.verify()?;
    let mut sids = Vec::new();
    for &side in artifact.manifest().sides.keys() {
        sids.push((side, artifact.sids(side)?));
    }
    let config = String::from_utf8(artifact.bytes(CONFIG_FILE)?)?;
    let config: RunConfig = toml::from_str(&config)
        .with_context(|| format!("{}: malformed", artifact.folder().join(CONFIG_FILE).display()))?;
    Ok((sids, config.data))
}

fn of_file(target: &Path) -> anyhow::Result<(Side, SidFile)> {
    let sids = read_any(target, None)?;
    Ok((sids.side.unwrap_or(Side::Item), sids))
}

fn against_data(
    sids: &[(Side, SidFile)],
    data: &Path,
    settings: &DataConfig,
    args: &InspectArgs,
) -> anyhow::Result<InspectReport> {
    let prepared = Prepared::open(data, settings)?;
    let column = args.category.as_deref();
    let behaviour = Behaviour::of(&prepared, &[Part::Validation, Part::Test], column)?;
    let mut tables = [None, None];
    for (side, file) in sids {
        let table = aligned(file, prepared.ids(*side), *side)
            .with_context(|| format!("{} and {}", args.target.display(), data.display()))?;
        tables[*side as usize] = Some(table);
    }
    InspectReport::new(tables[0].as_ref(), tables[1].as_ref(), Some(&behaviour))
}

/// The IDs in the row order of the data set; every one of its entities must have one.
fn aligned(file: &SidFile, ids: &EntityIds, side: Side) -> anyhow::Result<SidTable> {
    let index = file.ids.index()?;
    let mut codes = Vec::with_capacity(ids.len() * file.table.layout().num_digits());
    for row in 0..ids.len() {
        let Some(found) = index.row_of(ids.get(row)) else {
            bail!("the IDs miss {side} {} of the data set", ids.display(row));
        };
        codes.extend_from_slice(file.table.row(found as usize));
    }
    let layout: SidLayout = file.table.layout().clone();
    Ok(SidTable::new(layout, codes)?)
}
