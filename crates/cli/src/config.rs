//! The run's settings: one TOML file, overrides from the command line, checked once.

mod content;
mod views;

use std::path::Path;

use anyhow::Context;
use das_content::TfidfSvdConfig;
use das_core::Side;
use das_core::sid::{CollisionConfig, CollisionPolicy, MAX_DIGITS};
use das_data::SplitKind;
use das_eval::presets::{Budget, Preset};
use das_model::{
    Fusion, LetterConfig, Method, MethodConfigs, ModelConfig, QarmConfig, RqkmeansConfig,
    RqvaeConfig, TrainConfig,
};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use self::content::{DescribeConfig, EmbedConfig, TextSource};
pub use self::views::ViewConfig;
use crate::usage::UsageError;

/// Everything that a run depends on besides its data. Every key has a default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// The tokenizer that is trained; each reads its own section.
    pub method: Method,
    /// The one seed that all randomness comes from.
    pub seed: u64,
    /// Worker threads, 0 for one a core. Results do not depend on it.
    pub threads: usize,
    /// How the data set is split and read.
    pub data: DataConfig,
    /// The built-in text embedder.
    pub content: TfidfSvdConfig,
    /// Which model embeds texts, where the data set brings no embeddings.
    #[serde(skip_serializing_if = "EmbedConfig::is_default")]
    pub embed: EmbedConfig,
    /// Which model describes entities for `data.texts = "descriptions"`.
    #[serde(skip_serializing_if = "DescribeConfig::is_default")]
    pub describe: DescribeConfig,
    /// What becomes of entities that share all codes.
    pub collision: CollisionConfig,
    /// DAS: the optimizer and the schedule. All methods: checkpoints and reports.
    pub train: TrainConfig,
    /// DAS: tokenizers, ID-based model and loss weights.
    pub model: ModelConfig,
    /// Content-only RQ-VAE.
    pub rqvae: RqvaeConfig,
    /// Residual k-means.
    pub rqkmeans: RqkmeansConfig,
    /// LETTER.
    pub letter: LetterConfig,
    /// QARM.
    pub qarm: QarmConfig,
    /// Settings of the generative retriever over those of a preset.
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub retriever: Table,
    /// Settings of SASRec over those of a preset.
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub sasrec: Table,
    /// Settings of the ranker over those of a preset.
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub ranker: Table,
    /// How retrieval is asked, over what a preset says.
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub search: Table,
}

/// How the data set is split and read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Which rows are training, validation and test.
    pub split: SplitKind,
    /// Share of the items of which no click is trained on, to be asked for as new ones; 0 holds
    /// none out. Their texts are known.
    pub cold_items: f64,
    /// Co-click partners come from within ± this many positions; 0 allows any.
    pub partner_window: usize,
    /// Training items whose texts make up a user's text.
    pub user_history: usize,
    /// What the text of an entity is: its fields, or the description that `das describe` wrote.
    #[serde(skip_serializing_if = "TextSource::is_default")]
    pub texts: TextSource,
    /// Template of an item's text, e.g. `"{title}. {attributes}"`; empty joins all text columns.
    pub item_text: String,
    /// Template of a user's text; empty joins the profile columns and `{history}`.
    pub user_text: String,
    /// Template of an item inside a user's history; empty takes the title.
    pub history_text: String,
    /// Frozen collaborative vectors of items for method `letter`, an .npy file with one row an
    /// item in the order of items.parquet; empty trains them.
    pub item_cf: String,
    /// The same of users.
    pub user_cf: String,
    /// Views that an item's content consists of, e.g. `[{name="title", text="{title}"},
    /// {name="image", vectors="images.parquet"}]`; empty makes one vector of its whole text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub item_views: Vec<ViewConfig>,
    /// The same of users.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub user_views: Vec<ViewConfig>,
}

impl Default for DataConfig {
    fn default() -> DataConfig {
        DataConfig {
            split: SplitKind::LeaveLastOut,
            cold_items: 0.0,
            partner_window: 2,
            user_history: 8,
            texts: TextSource::Fields,
            item_text: String::new(),
            user_text: String::new(),
            history_text: String::new(),
            item_cf: String::new(),
            user_cf: String::new(),
            item_views: Vec::new(),
            user_views: Vec::new(),
        }
    }
}

impl DataConfig {
    /// The views of a side; none where its content is one vector.
    pub fn views(&self, side: Side) -> &[ViewConfig] {
        match side {
            Side::User => &self.user_views,
            Side::Item => &self.item_views,
        }
    }

    /// Files of the data-set folder that views of either side come from.
    pub fn view_files(&self) -> impl Iterator<Item = &str> {
        let views = self.user_views.iter().chain(&self.item_views);
        views.filter_map(|view| view.vectors.as_deref())
    }
}

impl RunConfig {
    /// Reads `file` (all defaults without one), applies `--set key=value` in order, and checks.
    pub fn load(file: Option<&Path>, overrides: &[String]) -> anyhow::Result<RunConfig> {
        let mut table = match file {
            Some(path) => das_core::files::read_text(path)?
                .parse::<Table>()
                .map_err(|error| UsageError(format!("{}: {error}", path.display())))?,
            None => Table::new(),
        };
        for assignment in overrides {
            set(&mut table, assignment)?;
        }
        let collision_given =
            table.get("collision").and_then(|section| section.get("policy")).is_some();
        let mut config: RunConfig = table.try_into().map_err(|error: toml::de::Error| {
            let origin = file.map(|path| format!("{}: ", path.display())).unwrap_or_default();
            UsageError(format!("{origin}{}", error.to_string().trim()))
        })?;
        if !collision_given {
            config.collision.policy = config.method.default_collision();
        }
        config.check()?;
        Ok(config)
    }

    /// The recommenders of `preset` under these settings.
    pub fn budget(&self, preset: Preset) -> anyhow::Result<Budget> {
        let mut table = Table::try_from(preset.budget())?;
        let sections = [
            ("retriever", &self.retriever),
            ("sasrec", &self.sasrec),
            ("ranker", &self.ranker),
            ("search", &self.search),
        ];
        for (name, changes) in sections {
            if let Some(section) = table.get_mut(name).and_then(Value::as_table_mut) {
                merge(section, changes);
            }
        }
        let budget: Budget =
            table.try_into().map_err(|error: toml::de::Error| usage(error.to_string().trim()))?;
        budget.check().map_err(usage)?;
        Ok(budget)
    }

    /// The sections of the baselines.
    pub fn methods(&self) -> MethodConfigs {
        MethodConfigs {
            rqvae: self.rqvae.clone(),
            rqkmeans: self.rqkmeans.clone(),
            letter: self.letter.clone(),
            qarm: self.qarm.clone(),
        }
    }

    /// Refuses values that cannot work, naming the key.
    pub fn check(&self) -> anyhow::Result<()> {
        self.model.check().map_err(usage)?;
        self.train.check().map_err(usage)?;
        self.methods().check().map_err(usage)?;
        self.content.validate().map_err(|error| content_usage("content", error))?;
        self.embed.plm.check().map_err(|error| content_usage("embed", error))?;
        self.collision.check().map_err(usage)?;
        self.check_digits()?;
        views::check("data.item_views", &self.data.item_views)?;
        views::check("data.user_views", &self.data.user_views)?;
        self.check_fusion()?;
        self.budget(Preset::Standard)?;
        let cold = self.data.cold_items;
        if !(0.0..1.0).contains(&cold) {
            let expected = "0 up to, not including, 1";
            let message =
                format!("config key `data.cold_items`: expected {expected}, found {cold}");
            return Err(UsageError(message).into());
        }
        if self.threads > 4096 {
            let found = self.threads;
            return Err(
                UsageError(format!("config key `threads`: 0 to 4096, found {found}")).into()
            );
        }
        Ok(())
    }

    /// Views that stand end to end share the first layer among them.
    fn check_fusion(&self) -> anyhow::Result<()> {
        for side in Side::BOTH {
            let (views, tokenizer) = (self.data.views(side).len(), self.model.tokenizer(side));
            let width = *tokenizer.hidden.first().unwrap_or(&self.model.code_dim);
            if self.model.fusion == Fusion::Concat && views > width {
                return Err(UsageError(format!(
                    "config key `model.fusion`: `concat` needs a first layer at least as wide as \
                     there are {side} views ({views}), found one of width {width}"
                ))
                .into());
            }
        }
        Ok(())
    }

    /// The suffix is one more digit, and digits have letters.
    fn check_digits(&self) -> anyhow::Result<()> {
        let suffix = usize::from(self.collision.policy == CollisionPolicy::Suffix);
        let baselines = self.methods();
        for side in Side::BOTH {
            let (key, levels) = match baselines.codebook_sizes(self.method) {
                Some(sizes) => (self.method.to_string(), sizes.len()),
                None => (format!("model.{side}"), self.model.tokenizer(side).codebook_sizes.len()),
            };
            if levels + suffix > MAX_DIGITS {
                let most = MAX_DIGITS - suffix;
                return Err(UsageError(format!(
                    "config key `{key}.codebook_sizes`: expected at most {most} levels under \
                     collision policy `{}`, found {levels}",
                    self.collision.policy
                ))
                .into());
            }
        }
        Ok(())
    }

    /// The resolved settings as TOML.
    pub fn to_toml(&self) -> anyhow::Result<String> {
        toml::to_string(self).context("cannot write the settings as TOML")
    }
}

fn usage(error: impl std::fmt::Display) -> UsageError {
    UsageError(error.to_string())
}

fn content_usage(section: &str, error: das_content::Error) -> UsageError {
    match error {
        das_content::Error::Config { key, expected, got } => {
            UsageError(format!("config key `{section}.{key}`: expected {expected}, found {got}"))
        }
        other => usage(other),
    }
}

/// Sets in `table` what `changes` says, section by section.
fn merge(table: &mut Table, changes: &Table) {
    for (key, change) in changes {
        match (table.get_mut(key), change) {
            (Some(Value::Table(section)), Value::Table(changes)) => merge(section, changes),
            _ => {
                table.insert(key.clone(), change.clone());
            }
        }
    }
}

/// Applies one `section.key=value`; the value is TOML, or a bare string where it is not.
fn set(table: &mut Table, assignment: &str) -> anyhow::Result<()> {
    let (key, value) = assignment.split_once('=').ok_or_else(|| {
        UsageError(format!("--set {assignment}: expected key=value, e.g. train.epochs=10"))
    })?;
    let value = value.trim();
    let parsed = format!("value = {value}").parse::<Table>().ok();
    let value = parsed
        .and_then(|mut parsed| parsed.remove("value"))
        .unwrap_or_else(|| Value::String(value.to_string()));
    let mut path: Vec<&str> = key.trim().split('.').collect();
    let last = path.pop().filter(|last| !last.is_empty());
    let last = last.ok_or_else(|| UsageError(format!("--set {assignment}: empty key")))?;
    let mut section = table;
    for (depth, name) in path.iter().enumerate() {
        let entry = section.entry(name.to_string()).or_insert_with(|| Value::Table(Table::new()));
        section = entry.as_table_mut().ok_or_else(|| {
            let prefix = path[..=depth].join(".");
            UsageError(format!("--set {assignment}: `{prefix}` is a value, not a section"))
        })?;
    }
    section.insert(last.to_string(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(overrides: &[&str]) -> anyhow::Result<RunConfig> {
        let overrides: Vec<String> = overrides.iter().map(|s| s.to_string()).collect();
        RunConfig::load(None, &overrides)
    }

    #[test]
    fn defaults_survive_a_round_trip_through_toml() {
        let config = load(&[]).unwrap();
        let text = config.to_toml().unwrap();
        assert_eq!(toml::from_str::<RunConfig>(&text).unwrap(), config);
    }

    #[test]
    fn settings_of_an_endpoint_are_read_back_without_its_address() {
        let overrides = ["embed.model=endpoint", "embed.endpoint.url=http://localhost:8000/v1"];
        let config = load(&overrides).unwrap();
        let text = config.to_toml().unwrap();
        assert!(!text.contains("localhost"), "{text}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        let again = RunConfig::load(Some(&path), &[]).unwrap();
        assert_eq!(again.embed.model, EmbedConfig::ENDPOINT);
        let message = again.embed.check_endpoint().unwrap_err().to_string();
        assert!(message.contains("embed.endpoint.url"), "{message}");
    }

    #[test]
    fn overrides_reach_every_depth_and_keep_their_types() {
        let config = load(&[
            "seed=7",
            "train.epochs=9",
            "model.icdm=false",
            "model.terms.orth_u=0.5",
            "model.item.codebook_sizes=[64, 32]",
            "data.split=per-user-time",
            "data.item_text={title}",
        ])
        .unwrap();
        assert_eq!((config.seed, config.train.epochs, config.model.icdm), (7, 9, false));
        assert_eq!(config.model.item.codebook_sizes, [64, 32]);
        assert_eq!(config.data.split, SplitKind::PerUserTime);
        assert_eq!(config.data.item_text, "{title}");
    }

    #[test]
    fn recommenders_start_from_a_preset() {
        let config = load(&["retriever.fit.epochs=7", "search.exact=true"]).unwrap();
        let (found, plain) = (config.budget(Preset::Full).unwrap(), Preset::Full.budget());
        assert_eq!((found.retriever.fit.epochs, found.search.exact), (7, true));
        assert_eq!((found.retriever.dim, found.sasrec), (plain.retriever.dim, plain.sasrec));
    }

    #[test]
    fn collisions_go_as_the_method_has_it_unless_told() {
        let policy = |overrides: &[&str]| load(overrides).unwrap().collision.policy;
        assert_eq!(policy(&["method=letter"]), CollisionPolicy::Sinkhorn);
        assert_eq!(policy(&["method=letter", "collision.policy=none"]), CollisionPolicy::None);
        assert_eq!(policy(&["method=qarm"]), CollisionPolicy::Suffix);
    }

    #[test]
    fn bad_keys_and_values_are_usage_errors_that_name_them() {
        for (assignment, expected) in [
            ("train.epoch=3", "epoch"),
            ("nothing", "key=value"),
            ("train.epochs=0", "train.epochs"),
            ("train.batch_size=-4", "batch_size"),
            ("model.code_dim=0", "model.code_dim"),
            ("model.item.codebook_sizes=[256, 0]", "model.item.codebook_sizes[1]"),
            ("model.temperature=nan", "model.temperature"),
            ("model.terms.orth=1", "`orth`"),
            ("content.dim=0", "content.dim"),
            ("collision.sinkhorn.epsilon=0", "collision.sinkhorn.epsilon"),
            ("data.split=random", "random"),
            ("seed.x.y=1", "x"),
            ("method=tiger", "tiger"),
            ("rqvae.codebook_sizes=[]", "rqvae.codebook_sizes"),
            ("retriever.dims=64", "dims"),
            ("retriever.heads=3", "heads"),
            ("ranker.dropout=1.5", "ranker.dropout"),
            ("search.beam=0", "search.beam"),
        ] {
            let error = load(&[assignment]).unwrap_err();
            assert!(error.downcast_ref::<UsageError>().is_some(), "{assignment}: {error:?}");
            assert!(error.to_string().contains(expected), "{assignment}: {error}");
        }
    }
}
