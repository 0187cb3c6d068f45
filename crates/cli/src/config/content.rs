//! Settings of published models: which embeds, which describes, and what a text is made of.

use das_content::{EndpointConfig, GgufConfig, PlmConfig};
use serde::{Deserialize, Serialize};

use super::content_usage;

/// Which model embeds texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbedConfig {
    /// `builtin`; `endpoint`, as its own section describes it; or the folder of a published model.
    pub model: String,
    /// Where the answers of published models are kept; empty takes the user's cache folder. It
    /// decides nothing and is not written down.
    #[serde(skip_serializing)]
    pub cache: String,
    /// How a published model is run.
    pub plm: PlmConfig,
    /// A server that embeds.
    pub endpoint: EndpointConfig,
}

impl Default for EmbedConfig {
    fn default() -> EmbedConfig {
        EmbedConfig {
            model: EmbedConfig::BUILTIN.to_string(),
            cache: String::new(),
            plm: PlmConfig::default(),
            endpoint: EndpointConfig::default(),
        }
    }
}

impl EmbedConfig {
    /// The embedder of this program.
    pub const BUILTIN: &str = "builtin";
    /// A server.
    pub const ENDPOINT: &str = "endpoint";

    pub(super) fn is_default(&self) -> bool {
        *self == EmbedConfig::default()
    }

    /// Takes what stands after `--model`: `builtin`, a folder, or the address of an endpoint.
    pub fn choose(&mut self, model: &str) {
        choose(&mut self.model, &mut self.endpoint, model);
    }

    /// Refuses an endpoint that cannot work, naming the key. Only embedding needs one: settings that
    /// were written down lack its address.
    pub fn check_endpoint(&self) -> anyhow::Result<()> {
        Ok(self.endpoint.check().map_err(|error| content_usage("embed", error))?)
    }
}

/// Which language model describes items and users, and what it is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DescribeConfig {
    /// `template`, which joins the fields and asks nobody; `endpoint`, as its own section describes
    /// it; or a .gguf file.
    pub model: String,
    /// What the model is asked to do.
    pub system: String,
    /// Template of what it is told of an item; empty lists every column with its name.
    pub item_facts: String,
    /// Template of what it is told of a user; empty lists every column, and `{history}`.
    pub user_facts: String,
    /// How a .gguf file is run.
    pub gguf: GgufConfig,
    /// A server that chats.
    pub endpoint: EndpointConfig,
}

impl Default for DescribeConfig {
    fn default() -> DescribeConfig {
        DescribeConfig {
            model: DescribeConfig::TEMPLATE.to_string(),
            system: "You write short descriptions for a recommender system. From the facts given, \
                     say in two or three plain sentences what this is, what it is for, and who \
                     would want it; of a person, what they like. Use no fact that is not given. \
                     Answer with the description alone."
                .to_string(),
            item_facts: String::new(),
            user_facts: String::new(),
            gguf: GgufConfig::default(),
            endpoint: EndpointConfig::default(),
        }
    }
}

impl DescribeConfig {
    /// Fields joined, without a model.
    pub const TEMPLATE: &str = "template";
    /// A server.
    pub const ENDPOINT: &str = "endpoint";

    pub(super) fn is_default(&self) -> bool {
        *self == DescribeConfig::default()
    }

    /// Takes what stands after `--model`: `template`, a .gguf file, or the address of an endpoint.
    pub fn choose(&mut self, model: &str) {
        choose(&mut self.model, &mut self.endpoint, model);
    }

    /// Whether a model is asked, and not only fields joined.
    pub fn asks(&self) -> bool {
        self.model != DescribeConfig::TEMPLATE
    }

    /// Refuses values that cannot work, naming the key. Only describing needs them.
    pub fn check(&self) -> anyhow::Result<()> {
        self.gguf.check().map_err(|error| content_usage("describe.gguf", error))?;
        if self.model == DescribeConfig::ENDPOINT {
            self.endpoint.check().map_err(|error| content_usage("describe", error))?;
        }
        Ok(())
    }
}

/// Sets the model to `chosen`, or to the endpoint at that address.
fn choose(model: &mut String, endpoint: &mut EndpointConfig, chosen: &str) {
    if chosen.starts_with("http://") || chosen.starts_with("https://") {
        *model = EmbedConfig::ENDPOINT.to_string();
        endpoint.url = chosen.to_string();
    } else {
        *model = chosen.to_string();
    }
}

/// What the text of an entity is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextSource {
    /// Its fields under a template.
    #[default]
    Fields,
    /// Its description.
    Descriptions,
}

impl TextSource {
    pub(super) fn is_default(&self) -> bool {
        *self == TextSource::default()
    }
}
