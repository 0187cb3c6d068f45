//! `das compare`.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, bail};
use das_core::artifact::Artifact;
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
use crate::run_folder::{artifact_of, lock};
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
    let given = candidates.iter().filter(|(candidate, _)| !candidate.is_trained());
    let fixed: Vec<String> = given.map(|(candidate, _)| candidate.name.clone()).collect();
    let plan = Plan::new(&names, &fixed, &args.tasks, args.seeds, args.repeats);
    plan.check(&data)?;
    let sources = sources(&candidates, &data)?;

    files::create_folder(&args.out)?;
    let _lock = lock(&args.out)?;
    let folder = Folder::open(&args.out, &identity(args, &data, &settings)?)?;
    check_unchanged(&args.out, sources)?;
    // Bars of several runs would overwrite each other.
    let within = if args.jobs == 1 { &bars } else { &bars.warnings_only() };
    let tokenizers = Tokenizers::new(&data, &args.out, &settings, candidates, within);
    let device = Device::cpu();
    let bench = Workbench::new(&data, (args.preset, budget), &device, &tokenizers);
    compare(&plan, &folder, &bench, args.jobs.into(), (&bars, &cancel))?;

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
    if let Some(path) = &args.variants {
        found.extend(Candidate::variants(path)?);
    }
    let mut names = BTreeSet::new();
    let (common, file) = (&args.settings.overrides, args.settings.config.as_deref());
    let mut rows = Vec::with_capacity(found.len());
    for candidate in found {
        if !names.insert(candidate.name.clone()) {
            let message =
                format!("two rows named `{}`; name one of them otherwise", candidate.name);
            return Err(UsageError(message).into());
        }
        let config = candidate.config(common, file)?;
        rows.push((candidate, config));
    }
    Ok(rows)
}

/// What each row's IDs come from, by row: the settings of those trained here, the ID space of runs,
/// the checksum of ID files, each of which is read once, so that a bad one shows now.
fn sources(
    candidates: &[(Candidate, RunConfig)],
    data: &DataSet,
) -> anyhow::Result<Map<String, Value>> {
    let mut found = Map::new();
    for (candidate, _) in candidates {
        let source = match &candidate.source {
            Source::Trained(overrides) => json!({ "trained": overrides }),
            Source::File(path) => {
                align_sids(&read_any(path, None)?, data.item_ids(), path)?;
                json!({ "file": files::sha256_file(path)? })
            }
            Source::Artifact(path) => {
                json!({ "run": Artifact::open(&artifact_of(path))?.manifest().id_space })
            }
        };
        found.insert(candidate.name.clone(), source);
    }
    Ok(found)
}

/// What must stay the same between the runs of one comparison.
fn identity(args: &CompareArgs, data: &DataSet, settings: &RunConfig) -> anyhow::Result<Value> {
    let config = &settings.data;
    let mut settings = serde_json::to_value(settings)?;
    if let Some(settings) = settings.as_object_mut() {
        // Rows and seeds differ in these, and results do not depend on threads.
        for key in ["method", "seed", "threads"] {
            settings.remove(key);
        }
        // Each task has its own split.
        if let Some(data) = settings.get_mut("data").and_then(Value::as_object_mut) {
            data.remove("split");
            data.remove("cold_items");
        }
    }
    let mut views = Map::new();
    for file in config.view_files() {
        views.insert(file.to_string(), json!(files::sha256_file(&data.folder().join(file))?));
    }
    let mut frozen = Map::new();
    for (key, path) in [("item_cf", &config.item_cf), ("user_cf", &config.user_cf)] {
        if !path.is_empty() {
            frozen.insert(key.to_string(), json!(files::sha256_file(Path::new(path))?));
        }
    }
    let mut identity = json!({
        "preset": args.preset,
        "data": data.fingerprint()?,
        "settings": settings,
        "collaborative": frozen,
    });
    if !views.is_empty() {
        identity["views"] = Value::Object(views);
    }
    Ok(identity)
}

/// Refuses a row whose IDs come from elsewhere than in an earlier call.
fn check_unchanged(folder: &Path, now: Map<String, Value>) -> anyhow::Result<()> {
    let path = folder.join("sources.json");
    let mut known: Map<String, Value> = if path.exists() {
        serde_json::from_slice(&files::read(&path)?)
            .with_context(|| format!("{}: malformed", path.display()))?
    } else {
        Map::new()
    };
    for (name, source) in now {
        if known.get(&name).is_some_and(|before| *before != source) {
            bail!(
                "row `{name}` is not what the folder's records of it are of; name it otherwise or \
                 choose a new folder"
            );
        }
        known.insert(name, source);
    }
    Ok(files::write_bytes_atomic(&path, &serde_json::to_vec_pretty(&known)?)?)
}
