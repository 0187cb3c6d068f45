//! A folder as `sentence-transformers` and `transformers` write it: which files there are, and
//! what they say of pooling, normalisation, length and prompts.

use std::path::{Path, PathBuf};

use das_core::files;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::plm::Pooling;
use crate::{Error, Result};

/// Descriptions are kilobytes, tokenizers up to some tens of megabytes.
const MAX_JSON_BYTES: u64 = 1 << 28;

/// What a folder says besides its weights.
#[derive(Clone, Debug)]
pub(super) struct ModelFolder {
    pub(super) root: PathBuf,
    /// The folder of `config.json`, the weights and the tokenizer.
    pub(super) network: PathBuf,
    /// How token states become one vector, where the folder says.
    pub(super) pooling: Option<Pooling>,
    /// Whether vectors are brought to norm 1, where the folder says.
    pub(super) normalize: Option<bool>,
    /// The longest sequence, special tokens included, where the folder says.
    pub(super) max_length: Option<usize>,
    /// What is put before every text by default.
    pub(super) prompt: String,
}

#[derive(Deserialize)]
struct Module {
    #[serde(rename = "type")]
    kind: String,
    path: String,
}

/// `1_Pooling/config.json`, in the spelling of older and of newer releases.
#[derive(Deserialize)]
struct PoolingFile {
    #[serde(default)]
    pooling_mode: Option<String>,
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_max_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_sqrt_len_tokens: bool,
    #[serde(default)]
    pooling_mode_weightedmean_tokens: bool,
    #[serde(default)]
    pooling_mode_lasttoken: bool,
}

#[derive(Deserialize)]
struct LengthFile {
    max_seq_length: Option<usize>,
}

#[derive(Deserialize)]
struct TokenizerFile {
    model_max_length: Option<f64>,
}

#[derive(Deserialize)]
struct PromptFile {
    #[serde(default)]
    prompts: std::collections::BTreeMap<String, String>,
    default_prompt_name: Option<String>,
}

impl ModelFolder {
    /// Reads what the folder says.
    ///
    /// # Errors
    /// A folder without a model, malformed files, or a module that this crate cannot run.
    pub(super) fn open(root: &Path) -> Result<ModelFolder> {
        let mut found = ModelFolder {
            root: root.to_path_buf(),
            network: root.to_path_buf(),
            pooling: None,
            normalize: None,
            max_length: None,
            prompt: String::new(),
        };
        if !root.is_dir() {
            let message = "expected a folder with config.json, tokenizer.json and safetensors";
            return Err(das_core::Error::format(root, message).into());
        }
        found.read_modules()?;
        found.read_length()?;
        found.read_prompt()?;
        Ok(found)
    }

    fn read_modules(&mut self) -> Result<()> {
        let path = self.root.join("modules.json");
        let Some(modules) = read_json::<Vec<Module>>(&path)? else { return Ok(()) };
        self.normalize = Some(false);
        for module in modules {
            let kind = module.kind.rsplit('.').next().unwrap_or_default();
            let place = self.inside(&path, &module.path)?;
            match kind {
                "Transformer" => self.network = place,
                "Pooling" => {
                    let path = place.join("config.json");
                    let file = read_json::<PoolingFile>(&path)?.ok_or_else(|| missing(&path))?;
                    let pooling = file.pooling();
                    self.pooling =
                        Some(pooling.map_err(|message| das_core::Error::format(&path, message))?);
                }
                "Normalize" => self.normalize = Some(true),
                other => {
                    let message = format!(
                        "expected modules Transformer, Pooling and Normalize, got `{other}`"
                    );
                    return Err(das_core::Error::format(&path, message).into());
                }
            }
        }
        Ok(())
    }

    /// A module's folder, which must lie inside this one.
    fn inside(&self, path: &Path, name: &str) -> Result<PathBuf> {
        let harmless = |part: &str| !part.is_empty() && part != ".." && !part.contains('\\');
        if name.is_empty() {
            return Ok(self.root.clone());
        }
        if !name.trim_end_matches('/').split('/').all(harmless) {
            let message = format!("`path`: expected a folder inside the model's, got `{name}`");
            return Err(das_core::Error::format(path, message).into());
        }
        Ok(self.root.join(name))
    }

    fn read_length(&mut self) -> Result<()> {
        let own = read_json::<LengthFile>(&self.network.join("sentence_bert_config.json"))?;
        let tokenizer = read_json::<TokenizerFile>(&self.network.join("tokenizer_config.json"))?;
        // Tokenizers without a limit say 1e30.
        let of_tokenizer = tokenizer
            .and_then(|file| file.model_max_length)
            .filter(|length| (1.0..1e9).contains(length))
            .map(|length| length as usize);
        self.max_length = own.and_then(|file| file.max_seq_length).or(of_tokenizer);
        Ok(())
    }

    fn read_prompt(&mut self) -> Result<()> {
        let path = self.root.join("config_sentence_transformers.json");
        let Some(mut file) = read_json::<PromptFile>(&path)? else { return Ok(()) };
        if let Some(name) = file.default_prompt_name {
            self.prompt = file.prompts.remove(&name).ok_or_else(|| {
                let message = format!("`default_prompt_name`: `{name}` is not among `prompts`");
                Error::from(das_core::Error::format(&path, message))
            })?;
        }
        Ok(())
    }
}

impl PoolingFile {
    fn pooling(&self) -> Result<Pooling, String> {
        let flags = [
            (self.pooling_mode_cls_token, "cls"),
            (self.pooling_mode_mean_tokens, "mean"),
            (self.pooling_mode_max_tokens, "max"),
            (self.pooling_mode_mean_sqrt_len_tokens, "mean_sqrt_len_tokens"),
            (self.pooling_mode_weightedmean_tokens, "weightedmean"),
            (self.pooling_mode_lasttoken, "lasttoken"),
        ];
        let mut modes: Vec<&str> =
            flags.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect();
        modes.extend(self.pooling_mode.as_deref());
        match modes.as_slice() {
            ["cls"] => Ok(Pooling::Cls),
            ["mean"] => Ok(Pooling::Mean),
            ["max"] => Ok(Pooling::Max),
            _ => {
                let found = modes.join(" + ");
                Err(format!("pooling: expected one of cls, mean and max, got `{found}`"))
            }
        }
    }
}

/// A small JSON file, if it is there.
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = read_text(path)?;
    let parsed = serde_json::from_str(&text);
    Ok(Some(parsed.map_err(|error| das_core::Error::format(path, error.to_string()))?))
}

/// A text file of a size that descriptions have.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let length = std::fs::metadata(path).map_err(das_core::Error::io(path, "cannot read"))?.len();
    if length > MAX_JSON_BYTES {
        let message = format!("expected at most {MAX_JSON_BYTES} bytes, got {length}");
        return Err(das_core::Error::format(path, message).into());
    }
    Ok(files::read_text(path)?)
}

pub(super) fn missing(path: &Path) -> Error {
    das_core::Error::format(path, "is missing").into()
}
