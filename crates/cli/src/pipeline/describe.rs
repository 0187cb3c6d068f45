//! Descriptions of items and users, written by a language model from their fields.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use das_content::{ChatClient, Descriptions, LanguageModel};
use das_core::{Side, files};
use das_data::texts::{HISTORY_FIELD, UserTextConfig, item_texts, profile_texts, user_texts};
use das_data::{EntityTable, descriptions};
use serde::{Deserialize, Serialize};

use super::embedders::open_cache;
use super::texts::{field_source, field_texts, lone_texts};
use super::{Context, Prepared};
use crate::config::{DescribeConfig, RunConfig, TextSource};
use crate::usage::UsageError;

/// Says how the descriptions of a folder came about.
const PROVENANCE_FILE: &str = "descriptions.json";

/// What `descriptions.json` says of one side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// The language model, or `template`.
    model: String,
    /// Hash of the fields and, for users, of the training rows that they were written from.
    source: String,
    /// Entities.
    rows: usize,
    /// Entities without any field, which are not described.
    blank: usize,
    /// Descriptions cut off by the limit of tokens.
    truncated: usize,
    /// Prompts that went to the model; others were answered before.
    asked: usize,
}

/// Describes the entities of `sides` and writes the descriptions into `folder`. Templates are
/// checked for all sides before the first prompt is sent.
pub fn describe_sides(
    prepared: &Prepared,
    config: &RunConfig,
    sides: &[Side],
    folder: &Path,
    context: Context<'_>,
) -> anyhow::Result<BTreeMap<String, Written>> {
    let tasks = sides.iter().map(|&side| {
        let plain = field_texts(prepared, config, side)?;
        let told = if config.describe.asks() { facts(prepared, config, side)? } else { Vec::new() };
        anyhow::Ok((side, Task { plain, told }))
    });
    let tasks = tasks.collect::<anyhow::Result<Vec<_>>>()?;
    let mut made = BTreeMap::new();
    for (side, task) in tasks {
        let (found, model) = task.write(config, context)?;
        let path = folder.join(descriptions::descriptions_file(side));
        descriptions::write(&path, side, prepared.ids(side), &found.texts)?;
        let written = summary(&found, model, field_source(prepared, config, side)?);
        let mut all = provenance(folder)?;
        all.insert(side.name().to_string(), written.clone());
        let json = serde_json::to_vec_pretty(&all)?;
        files::write_bytes_atomic(&folder.join(PROVENANCE_FILE), &json)?;
        made.insert(side.name().to_string(), written);
    }
    Ok(made)
}

/// Describes the entities of a table that stands alone.
pub fn describe_table(
    table: &EntityTable,
    config: &RunConfig,
    out: &Path,
    context: Context<'_>,
) -> anyhow::Result<Written> {
    let side = table.side();
    let mut fields = config.clone();
    fields.data.texts = TextSource::Fields;
    let plain = lone_texts(table, &fields, side)?;
    let template = config.describe.template(table);
    let told = match side {
        Side::Item => item_texts(table, Some(&template))?,
        Side::User => profile_texts(table, &user_config(config, template))?,
    };
    let (found, model) = Task { plain, told }.write(config, context)?;
    descriptions::write(out, side, table.ids(), &found.texts)?;
    Ok(summary(&found, model, files::sha256_file(table.path())?))
}

/// What the descriptions of `side` in `folder` were written from, if there are any.
pub fn written_from(folder: &Path, side: Side) -> anyhow::Result<Option<String>> {
    Ok(provenance(folder)?.remove(side.name()).map(|written| written.source))
}

fn provenance(folder: &Path) -> anyhow::Result<BTreeMap<String, Written>> {
    let path = folder.join(PROVENANCE_FILE);
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let text = files::read_text(&path)?;
    serde_json::from_str(&text).with_context(|| format!("{}: malformed", path.display()))
}

fn summary(found: &Descriptions, model: String, source: String) -> Written {
    Written {
        model,
        source,
        rows: found.texts.len(),
        blank: found.texts.iter().filter(|text| text.is_empty()).count(),
        truncated: found.truncated,
        asked: found.asked,
    }
}

/// What is to be described.
struct Task {
    /// All that is known of each entity. Where it is blank, there is nothing to describe, whatever
    /// the prompt says.
    plain: Vec<String>,
    /// What the model is told of it; nothing where none is asked.
    told: Vec<String>,
}

impl Task {
    /// The descriptions, and the name of the model that wrote them.
    fn write(
        self,
        config: &RunConfig,
        Context { bars, cancel }: Context<'_>,
    ) -> anyhow::Result<(Descriptions, String)> {
        let Task { plain, told } = self;
        let describe = &config.describe;
        if !describe.asks() {
            let found = Descriptions { texts: plain, truncated: 0, asked: 0 };
            return Ok((found, describe.model.clone()));
        }
        let prompts: Vec<&str> = told
            .iter()
            .zip(&plain)
            .map(|(told, plain)| if plain.trim().is_empty() { "" } else { told.as_str() })
            .collect();
        let (model, name) = open(describe, config.seed)?;
        let cache = open_cache(&config.embed)?;
        let found = das_content::describe(&*model, &prompts, cache.as_ref(), bars, cancel)?;
        Ok((found, name))
    }
}

/// The language model that the settings name, and what people call it.
fn open(describe: &DescribeConfig, seed: u64) -> anyhow::Result<(Box<dyn LanguageModel>, String)> {
    let system = Some(describe.system.as_str()).filter(|system| !system.is_empty());
    match describe.model.as_str() {
        DescribeConfig::ENDPOINT => {
            let client = ChatClient::new(&describe.endpoint, system, seed)?;
            Ok((Box::new(client), describe.endpoint.model.clone()))
        }
        file if file.ends_with(".gguf") => {
            let name = Path::new(file).file_stem().unwrap_or_default();
            Ok((local(Path::new(file), describe, system, seed)?, name.to_string_lossy().into()))
        }
        other => Err(UsageError(format!(
            "describe.model: expected `{}`, `{}`, a .gguf file or the address of an endpoint, found \
             `{other}`",
            DescribeConfig::TEMPLATE,
            DescribeConfig::ENDPOINT
        ))
        .into()),
    }
}

#[cfg(feature = "models")]
fn local(
    file: &Path,
    describe: &DescribeConfig,
    system: Option<&str>,
    seed: u64,
) -> anyhow::Result<Box<dyn LanguageModel>> {
    Ok(Box::new(das_content::Gguf::open(file, &describe.gguf, system, seed)?))
}

#[cfg(not(feature = "models"))]
fn local(
    file: &Path,
    _: &DescribeConfig,
    _: Option<&str>,
    _: u64,
) -> anyhow::Result<Box<dyn LanguageModel>> {
    anyhow::bail!(
        "{}: this build runs no models in process; build with `--features models`, or use an \
         endpoint",
        file.display()
    )
}

/// What the model is told of each entity.
fn facts(prepared: &Prepared, config: &RunConfig, side: Side) -> anyhow::Result<Vec<String>> {
    let template = config.describe.template(prepared.data.table(side));
    Ok(match side {
        Side::Item => item_texts(prepared.data.items(), Some(&template))?,
        Side::User => user_texts(&prepared.data, &prepared.clicks, &user_config(config, template))?,
    })
}

fn user_config(config: &RunConfig, template: String) -> UserTextConfig {
    UserTextConfig { template: Some(template), ..config.data.user_text_config() }
}

impl DescribeConfig {
    /// The template of what the model is told of an entity of `table`: by default every column
    /// with its name, a line each, and for users what they chose last.
    fn template(&self, table: &EntityTable) -> String {
        let given = match table.side() {
            Side::Item => &self.item_facts,
            Side::User => &self.user_facts,
        };
        if !given.is_empty() {
            return given.clone();
        }
        let named = |name: &str| format!("{name}: {{{name}}}");
        let columns = table.columns().iter().map(|column| column.name());
        // A column of that name is hidden by the history.
        let mut lines: Vec<String> =
            columns.filter(|name| *name != HISTORY_FIELD).map(named).collect();
        if table.side() == Side::User {
            lines.push(format!("recently chosen: {{{HISTORY_FIELD}}}"));
        }
        lines.join("\n")
    }
}
