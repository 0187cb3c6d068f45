//! `das compare`.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, bail};
use das_core::files;
use das_core::sid::files::read_any;
use das_data::DataSet;
use das_eval::align_sids;
use das_eval::compare::{Folder, Plan, SUMMARY_FILE, Workbench, compare};
use das_nn::Device;
use serde_json::{Map, Value, json};

use super::{print, print_json, use_threads};
use crate::args::CompareArgs;
use crate::config::RunConfig;
use crate::interrupt;
use crate::observe::Bars;
use crate::pipeline::{Candidate, Source, Tokenizers};
use crate::run_folder::lock;
use crate::usage::UsageError;

/// Runs what of the comparison is missing and sums up all of it.
pub fn run(args: &CompareArgs) -> anyhow::Result<()> {
    // Everything that can be wrong with the call shows before hours go into a part of it.
    let candidates = candidates(args)?;
    let settings = RunConfig::load(args.settings.config.as_deref(), &args.settings.overrides)?;
    let budget = settings.budget(args.preset)?;
    use_threads(settings.threads)?;
    let cancel = interrupt::install()?;
    let bars = Bars::new();
    let data = DataSet::open(&args.data)?;
    let names: Vec<String> =
        candidates.iter().map(|(candidate, _)| candidate.name.clone()).collect();
    let plan = Plan::new(&names, &args.tasks, args.seeds);
    plan.check(&data)?;
    let files = check_files(&candidates, &data)?;

    files::create_folder(&args.out)?;
    let _lock = lock(&args.out)?;
    let folder = Folder::open(&args.out, &identity(args, &data, &settings)?)?;
    check_unchanged(&args.out, files)?;
    let tokenizers = Tokenizers::new(&data, &args.out, candidates, &bars);
    let device = Device::cpu();
    let mut bench = Workbench::new(&data, (args.preset, budget), &device, &tokenizers);
    compare(&plan, &folder, &mut bench, &bars, &cancel)?;

    if args.json {
        return print_json(&folder.records()?);
    }
    print(&files::read_text(&folder.path().join(SUMMARY_FILE))?)?;
    let out = args.out.display();
    print(&format!("\nRecords are in {out}; a page of it: das report {out} --out page.html\n"))
}

/// The rows asked for, each with its settings, no two of one name.
fn candidates(args: &CompareArgs) -> anyhow::Result<Vec<(Candidate, RunConfig)>> {
    let mut found = Vec::new();
    for text in &args.methods {
        found.push(Candidate::parse(text)?);
    }
    if args.ablations {
        found.extend(Candidate::ablations());
    }
    let mut names = BTreeSet::new();
    let (common, file) = (&args.settings.overrides, args.settings.config.as_deref());
    let mut rows = Vec::with_capacity(found.len());
    for candidate in found {
        if !names.insert(candidate.name.clone()) {
            let message = format!("--methods: two rows named `{}`; use NAME=FILE", candidate.name);
            return Err(UsageError(message).into());
        }
        let config = candidate.config(common, file)?;
        rows.push((candidate, config));
    }
    Ok(rows)
}

/// Reads each ID file once, so that a bad one shows now; returns their checksums by row.
fn check_files(
    candidates: &[(Candidate, RunConfig)],
    data: &DataSet,
) -> anyhow::Result<Map<String, Value>> {
    let mut sums = Map::new();
    for (candidate, _) in candidates {
        if let Source::File(path) = &candidate.source {
            align_sids(&read_any(path, None)?, data.item_ids(), path)?;
            sums.insert(candidate.name.clone(), json!(files::sha256_file(path)?));
        }
    }
    Ok(sums)
}

/// What must stay the same between the runs of one comparison.
fn identity(args: &CompareArgs, data: &DataSet, settings: &RunConfig) -> anyhow::Result<Value> {
    let mut settings = serde_json::to_value(settings)?;
    if let Some(settings) = settings.as_object_mut() {
        // Rows and seeds differ in these, and results do not depend on threads.
        for key in ["method", "seed", "threads"] {
            settings.remove(key);
        }
    }
    Ok(json!({
        "preset": args.preset,
        "data": data.fingerprint()?,
        "settings": settings,
    }))
}

/// Refuses a row's ID file that is another one than in an earlier call.
fn check_unchanged(folder: &Path, files_now: Map<String, Value>) -> anyhow::Result<()> {
    let path = folder.join("id_files.json");
    let mut known: Map<String, Value> = if path.exists() {
        serde_json::from_slice(&files::read(&path)?)
            .with_context(|| format!("{}: malformed", path.display()))?
    } else {
        Map::new()
    };
    for (name, sum) in files_now {
        if known.get(&name).is_some_and(|before| *before != sum) {
            bail!(
                "the ID file of row `{name}` is not the one that the folder's records are of; \
                   name it otherwise or choose a new folder"
            );
        }
        known.insert(name, sum);
    }
    Ok(files::write_bytes_atomic(&path, &serde_json::to_vec_pretty(&known)?)?)
}
