//! The rows of a comparison: methods trained here, DAS with something left out, and ID files.

use std::path::{Path, PathBuf};

use das_core::files;
use das_eval::compare::{NO_SID, POPULARITY, SASREC};
use das_model::Method;
use toml::{Table, Value};

use crate::config::RunConfig;
use crate::run_folder::artifact_of;
use crate::usage::UsageError;

/// DAS with something left out, added or done otherwise: the name of the row, and the settings that
/// differ. Each row of `das compare --ablations`.
pub const ABLATIONS: &[(&str, &[&str])] = &[
    ("das -rec", &["model.terms.rec_u=0", "model.terms.rec_i=0"]),
    ("das -cf_items", &["model.terms.cf_items=0"]),
    ("das -qu_pro", &["model.terms.qu_pro=0"]),
    ("das -qi_int", &["model.terms.qi_int=0"]),
    ("das -qu_qi", &["model.terms.qu_qi=0"]),
    ("das -co_u", &["model.terms.co_u=0"]),
    ("das -co_i", &["model.terms.co_i=0"]),
    ("das -u2i", &["model.terms.qu_pro=0", "model.terms.qi_int=0"]),
    ("das -co-occurrence", &["model.terms.co_u=0", "model.terms.co_i=0"]),
    ("das +u2u-i2i", &["model.terms.qu_int=1", "model.terms.qi_pro=1"]),
    ("das -propagation", &["model.interest_items=0"]),
    ("das -debias", &["model.debias=false"]),
    ("das -icdm", &["model.icdm=false"]),
    ("das frozen-cf", &["model.frozen_cf=true"]),
    ("das -standardize", &["model.standardize=false"]),
    ("das +align_codes", &["model.align_codes=true"]),
    ("das +adapter", &["model.adapter_rank=32"]),
    ("das item-side", &["model.sides=item"]),
    // Content as it comes, which serves it better (`docs/tuning.md`).
    ("das content-only", &["model.alpha=0", "model.beta=0", "model.standardize=false"]),
    (
        "das paper",
        &[
            "model.interest_items=0",
            "model.terms.qu_int=1",
            "model.terms.qi_pro=1",
            "model.terms.qu_qi=0",
        ],
    ),
];

/// One row of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its name in records and tables.
    pub name: String,
    /// Where its IDs come from.
    pub source: Source,
}

/// Where IDs come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Trained on each split and seed, under these overrides of the common settings.
    Trained(Vec<String>),
    /// A file of item IDs, the same on every split and seed.
    File(PathBuf),
    /// A run or artifact folder, the same under every seed, on the split it was trained on.
    Artifact(PathBuf),
}

impl Candidate {
    /// Reads `das`, `letter`, …; the name of an ablation; `FILE`, `RUN`, or `NAME=FILE`.
    pub fn parse(text: &str) -> anyhow::Result<Candidate> {
        if let Ok(method) = text.parse::<Method>() {
            let source = Source::Trained(vec![format!("method={method}")]);
            return Ok(Candidate { name: text.to_string(), source });
        }
        if let Some((name, overrides)) = ABLATIONS.iter().find(|(name, _)| *name == text) {
            return Ok(ablation(name, overrides));
        }
        let (name, path) = match text.split_once('=') {
            Some((name, path)) => (name.to_string(), Path::new(path)),
            None => (label(Path::new(text)), Path::new(text)),
        };
        if [SASREC, POPULARITY, NO_SID].contains(&name.as_str()) {
            let message = format!("--methods {text}: `{name}` is a row of its own; use NAME=FILE");
            return Err(UsageError(message).into());
        }
        if artifact_of(path).join("manifest.json").is_file() {
            return Ok(Candidate { name, source: Source::Artifact(path.to_path_buf()) });
        }
        if path.is_file() {
            return Ok(Candidate { name, source: Source::File(path.to_path_buf()) });
        }
        let methods = Method::ALL.map(Method::name).join(", ");
        let ablations: Vec<&str> = ABLATIONS.iter().map(|(name, _)| *name).collect();
        Err(UsageError(format!(
            "--methods {text}: expected one of {methods}, an ablation ({}), an ID file \
             (.index.json or .parquet) or a run",
            ablations.join(", ")
        ))
        .into())
    }

    /// Every ablation.
    pub fn ablations() -> impl Iterator<Item = Candidate> {
        ABLATIONS.iter().map(|(name, overrides)| ablation(name, overrides))
    }

    /// The rows of a TOML file: a section a row, named by it, with the settings that differ from
    /// the common ones.
    pub fn variants(path: &Path) -> anyhow::Result<Vec<Candidate>> {
        let fault = |message: String| UsageError(format!("{}: {message}", path.display()));
        let rows: Table = files::read_text(path)?
            .parse()
            .map_err(|error: toml::de::Error| fault(error.to_string().trim().to_string()))?;
        let row = |(name, settings): (String, Value)| {
            let Value::Table(settings) = settings else {
                return Err(fault(format!("`{name}`: expected a section of settings")).into());
            };
            if [SASREC, POPULARITY, NO_SID].contains(&name.as_str()) {
                return Err(
                    fault(format!("`{name}` is a row of its own; name it otherwise")).into()
                );
            }
            let mut overrides = Vec::new();
            flatten(&settings, "", &mut overrides);
            Ok(Candidate { name, source: Source::Trained(overrides) })
        };
        rows.into_iter().map(row).collect()
    }

    /// Whether its IDs are trained for each split and seed, or given.
    pub fn is_trained(&self) -> bool {
        matches!(self.source, Source::Trained(_))
    }

    /// The settings that its tokenizer is trained with: the common ones, then its own.
    pub fn config(&self, common: &[String], file: Option<&Path>) -> anyhow::Result<RunConfig> {
        let own = match &self.source {
            Source::Trained(overrides) => overrides.as_slice(),
            Source::File(_) | Source::Artifact(_) => &[],
        };
        RunConfig::load(file, &[common, own].concat())
    }
}

fn ablation(name: &str, overrides: &[&str]) -> Candidate {
    let overrides = overrides.iter().map(|text| text.to_string());
    let source = Source::Trained(overrides.chain(["method=das".to_string()]).collect());
    Candidate { name: name.to_string(), source }
}

/// Settings as `section.key=value`.
fn flatten(settings: &Table, prefix: &str, overrides: &mut Vec<String>) {
    for (key, value) in settings {
        match value {
            Value::Table(section) => flatten(section, &format!("{prefix}{key}."), overrides),
            value => overrides.push(format!("{prefix}{key}={value}")),
        }
    }
}

/// A file's name without what says its format.
fn label(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let endings = [".index.json", ".json", ".parquet"];
    endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ablation_is_a_valid_configuration_of_das() {
        let plain = RunConfig::load(None, &[]).unwrap();
        for candidate in Candidate::ablations() {
            let config = candidate.config(&[], None).unwrap();
            assert_ne!(config, plain, "{}", candidate.name);
            assert_eq!(config.method, Method::Das);
            assert_eq!(Candidate::parse(&candidate.name).unwrap(), candidate);
        }
    }

    #[test]
    fn files_are_named_by_themselves_or_by_the_user() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("letter.index.json");
        std::fs::write(&file, "{}").unwrap();
        let plain = Candidate::parse(file.to_str().unwrap()).unwrap();
        assert_eq!((plain.name.as_str(), &plain.source), ("letter", &Source::File(file.clone())));
        let named = Candidate::parse(&format!("published={}", file.display())).unwrap();
        assert_eq!(named.name, "published");
        let error = Candidate::parse(&format!("sasrec={}", file.display())).unwrap_err();
        assert!(error.to_string().contains("`sasrec` is a row of its own"), "{error}");
        let error = Candidate::parse("lettre").unwrap_err();
        assert!(error.downcast_ref::<UsageError>().is_some());
        assert!(error.to_string().contains("letter, qarm"), "{error}");
    }
    #[test]
    fn variants_are_sections_of_settings() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.toml");
        let variants = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Candidate::variants(&path)
        };
        let rows = variants(
            "[content-only]\nmethod = \"rqvae\"\n[small]\nmodel.code_dim = 8\n\
             model.item.codebook_sizes = [64, 32]\ndata.item_text = \"{title}\"\n",
        )
        .unwrap();
        let config = |row: usize| rows[row].config(&["seed=3".to_string()], None).unwrap();
        assert_eq!(rows.iter().map(|row| &row.name).collect::<Vec<_>>(), ["content-only", "small"]);
        assert_eq!((config(0).method, config(0).seed), (Method::Rqvae, 3));
        assert_eq!((config(1).method, config(1).model.code_dim), (Method::Das, 8));
        assert_eq!(config(1).model.item.codebook_sizes, [64, 32]);
        assert_eq!(config(1).data.item_text, "{title}");

        let message = |text: &str| variants(text).unwrap_err().to_string();
        assert!(message("small = 3").contains("`small`: expected a section of settings"));
        assert!(message("[sasrec]\nseed = 1").contains("`sasrec` is a row of its own"));
        assert!(message("[a").contains("rows.toml"), "{}", message("[a"));
    }
}
