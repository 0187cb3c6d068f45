//! From folders to numbers.

mod codes;
mod comparison;
mod item_map;
mod run;
mod training;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use das_core::files;
use serde::de::DeserializeOwned;

use super::model::{Missing, Report};
use crate::pipeline::Context;
use crate::run_folder::artifact_of;

/// One line for each run of each method on a task.
const RESULTS: &str = das_eval::compare::RESULTS_FILE;
/// One line for each pair of methods and metric.
const PAIRS: &str = das_eval::compare::PAIRS_FILE;
/// The runs of a comparison, `runs/<split>/<method>/seed-<n>`.
const RUNS: &str = "runs";
/// One line a step or epoch of a training run.
const METRICS: &str = "metrics.jsonl";
/// One line for each group of parameters and measured step.
const GRADIENTS: &str = "gradients.jsonl";

/// Reads what there is at `target`.
pub fn collect(target: &Path, data: Option<&Path>, context: Context<'_>) -> anyhow::Result<Report> {
    if !target.is_dir() {
        bail!("{}: no such folder; expected a training run or a comparison", target.display());
    }
    let mut report = Report { name: name_of(target), ..Report::default() };
    if target.join(RESULTS).exists() {
        report.comparison = Some(comparison::read(target)?);
    }
    let run = if is_run(target) { Some(target.to_path_buf()) } else { representative(target)? };
    if run.is_none() && report.comparison.is_none() {
        bail!(
            "{}: neither a training run (artifact/manifest.json or {METRICS}) nor a comparison \
             ({RESULTS})",
            target.display()
        );
    }
    if let Some(run) = run {
        let below = run.strip_prefix(target).unwrap_or(&run).display().to_string();
        let name = if below.is_empty() { report.name.clone() } else { below };
        report.run = Some(run::read(&run, name, data, context)?);
    }
    report.missing = missing(&report, data.is_some());
    Ok(report)
}

fn is_run(folder: &Path) -> bool {
    folder.join(METRICS).exists() || artifact_of(folder).join("manifest.json").exists()
}

/// The run of a comparison that is shown in detail: of the reference method where there is one,
/// then the first by name of split, method and seed.
fn representative(folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    let mut found = Vec::new();
    for split in folders(&folder.join(RUNS))? {
        for method in folders(&split)? {
            found.extend(folders(&method)?.into_iter().filter(|run| is_run(run)));
        }
    }
    let method = |run: &Path| run.parent().map(name_of).unwrap_or_default();
    let split = |run: &Path| run.parent().and_then(Path::parent).map(name_of);
    found.sort_by_cached_key(|run| {
        let method = method(run);
        (method != super::model::REFERENCE, split(run), method, seed_of(run), run.clone())
    });
    Ok(found.into_iter().next())
}

/// `seed-10` comes after `seed-9`.
fn seed_of(run: &Path) -> u64 {
    name_of(run).rsplit('-').next().and_then(|seed| seed.parse().ok()).unwrap_or(u64::MAX)
}

/// Folders inside `folder` in order of their names; none where it does not exist.
fn folders(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let unreadable = || format!("{}: cannot list", folder.display());
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(unreadable)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.with_context(unreadable)?.path();
        if path.is_dir() && !name_of(&path).starts_with('.') {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn name_of(path: &Path) -> String {
    // A path such as `.` has no last part of its own.
    let full = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    full.file_name().map_or(path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// Every record of a file of JSON lines; none where the file does not exist. A last line without
/// its line break is being written, and is left out.
fn json_lines<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<T>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = files::read_text(path)?;
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    (1..)
        .zip(complete.lines())
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            serde_json::from_str(line)
                .with_context(|| format!("{}, line {number}: not such a record", path.display()))
        })
        .collect()
}

/// What the page cannot show, and the command that would change that.
fn missing(report: &Report, has_data: bool) -> Vec<Missing> {
    let mut missing = Vec::new();
    let mut note = |absent: bool, what, how| {
        if absent {
            missing.push(Missing { what, how });
        }
    };
    let comparison = report.comparison.as_ref();
    let ablated = comparison.is_some_and(|c| c.boards.iter().any(|b| !b.ablations.is_empty()));
    note(
        comparison.is_none(),
        "Comparison with other methods",
        "das compare --data DATA --out DIR, then das report DIR",
    );
    note(
        comparison.is_some_and(|c| c.pairs.is_empty() && c.methods.len() > 1),
        "Differences between pairs of methods",
        "das compare runs the bootstrap when its last run is done",
    );
    note(
        !ablated,
        "What each alignment contributes",
        "das compare --ablations --data DATA --out DIR",
    );
    let run = report.run.as_ref();
    note(
        run.is_none(),
        "One run in detail",
        "keep the runs folder of das compare beside its results",
    );
    let Some(run) = run else { return missing };
    note(
        run.training.is_none(),
        "Loss curves",
        "das report on a run's folder: an artifact alone keeps no losses",
    );
    note(
        run.gradients.is_empty(),
        "Agreement of gradients",
        "das train --set train.gradient_report_steps=50",
    );
    note(
        run.sides.is_empty(),
        "Codes, collisions and map",
        "let the run finish: das train --resume",
    );
    note(
        run.maps.is_empty() && !run.sides.is_empty(),
        "Map of items",
        "a run folder with its content vectors, or a method that keeps codebooks",
    );
    note(
        !run.titled && !run.prefixes.is_empty(),
        "Titles of items",
        if has_data {
            "a text column in items.parquet of the data set"
        } else {
            "das report --data DATA with the data set of the run"
        },
    );
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torn_lines_are_left_out_and_bad_ones_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        assert!(json_lines::<u32>(&path).unwrap().is_empty());
        fs::write(&path, "1\n\n2\n{\"tor").unwrap();
        assert_eq!(json_lines::<u32>(&path).unwrap(), [1, 2]);
        fs::write(&path, "1\nx\n").unwrap();
        let error = json_lines::<u32>(&path).unwrap_err().to_string();
        assert!(error.contains("x.jsonl, line 2"), "{error}");
    }

    #[test]
    fn the_reference_method_and_the_lowest_seed_represent_a_comparison() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(representative(folder.path()).unwrap(), None);
        for run in ["a/letter/seed-0", "b/das/seed-10", "b/das/seed-9", "b/das/seed-1"] {
            let run = folder.path().join(RUNS).join(run);
            fs::create_dir_all(&run).unwrap();
            if !run.ends_with("seed-1") {
                fs::write(run.join(METRICS), "").unwrap();
            }
        }
        let found = representative(folder.path()).unwrap().unwrap();
        assert!(found.ends_with("b/das/seed-9"), "{}", found.display());
    }
}
