//! The model itself, from file to texts.
//!
//! prompt → parts (`template`) → token ids (`tokens`: `pieces`, `bytes`) → logits of the next token
//! (`network`, on candle's kernels for quantized weights) → answer (`writer`). The file is read by
//! `reader`, `container`, `widen` and `weights`.

mod architecture;
mod bytes;
mod cache;
mod container;
mod network;
mod pieces;
mod reader;
mod rope;
mod sampling;
mod template;
#[cfg(test)]
mod tests;
mod tokens;
mod vocabulary;
mod weights;
mod widen;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use das_core::files;
use das_core::progress::{Cancel, Progress};

use self::architecture::Architecture;
use self::container::Container;
use self::network::Network;
use self::template::{Named, Template};
use self::tokens::{TOKENIZER_FILE, Tokens};
use self::writer::Writer;
use super::GgufConfig;
use crate::{Completion, Error, LanguageModel, Result};

/// A language model from a GGUF file, which writes texts.
///
/// It runs on candle's threads: as many as the machine has cores, or as the environment variable
/// `CANDLE_NUM_THREADS` or else `RAYON_NUM_THREADS` says, whatever the program's own pool. An
/// answer does not depend on their number, but on another instruction set sums round differently,
/// and with them, now and then, a choice between tokens.
pub struct Gguf {
    network: Network,
    tokens: Tokens,
    template: Template,
    config: GgufConfig,
    seed: u64,
    /// Most tokens of a prompt.
    room: usize,
    /// The ids of an empty prompt, with which all prompts have their beginning in common.
    blank: Vec<u32>,
    hash: String,
    cut: AtomicU64,
}

impl LanguageModel for Gguf {
    /// SHA-256, in hexadecimal, of the file and of all that answers depend on besides the prompts.
    fn identity(&self) -> String {
        self.hash.clone()
    }

    /// Has each of `prompts` answered, one after the other. As soon as an answer is there, `done`
    /// gets the index of its prompt and what was written, on the calling thread.
    ///
    /// An answer depends on its own prompt alone. A prompt that is too long is cut at its end. An
    /// answer begins with the best token that can be seen, even if the model would say nothing.
    ///
    /// # Errors
    /// [`Error::Model`] naming the row where reasoning took all of `max_tokens`; the error of
    /// `done`, which is then not called again; `Interrupted` once `cancel` is set, which is looked
    /// at before every token. What `done` got before stays valid.
    fn complete_batches(
        &self,
        prompts: &[&str],
        progress: &dyn Progress,
        cancel: &Cancel,
        done: &mut dyn FnMut(usize, Completion) -> Result<()>,
    ) -> Result<()> {
        progress.begin("describe texts", Some(prompts.len() as u64));
        let result = self.complete_all(prompts, progress, cancel, done);
        progress.end();
        result
    }
}

impl std::fmt::Debug for Gguf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gguf").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl Gguf {
    /// The kind that descriptions and identities carry.
    pub const KIND: &'static str = "gguf";

    /// Raised whenever the same file would give other answers.
    const VERSION: u32 = 1;

    /// Loads the model in the file at `path`, which puts `system` before every prompt, in the way
    /// of its own chat template. A `tokenizer.json` beside the file takes precedence over the
    /// tokenizer in it. `seed` draws the answers at temperatures above 0, and decides nothing else.
    ///
    /// # Errors
    /// A setting out of range; a file that is missing, malformed, or holds a model or a tokenizer
    /// of another kind, each with the name of the file.
    pub fn open(path: &Path, config: &GgufConfig, system: Option<&str>, seed: u64) -> Result<Gguf> {
        config.check()?;
        let file = Container::open(path)?;
        let architecture = Architecture::read(&file)?;
        let context = config.context.min(architecture.context);
        let beside = path.with_file_name(TOKENIZER_FILE);
        let tokens = Tokens::open(&file, &beside, architecture.vocabulary)?;
        let template = template(&file, &tokens, system)?;
        let blank = tokens.encode(&template.parts(""))?;
        let room = context.saturating_sub(config.max_tokens as usize);
        if room <= blank.len() {
            let (own, answer) = (blank.len(), config.max_tokens);
            return Err(Error::Config {
                key: "context",
                expected: format!(
                    "more than {own} tokens of template and `system` and {answer} of the answer"
                ),
                got: context.to_string(),
            });
        }
        let hash = hash(&file, &beside, config, system, seed)?;
        let network = Network::load(&file, architecture, context)?;
        let (config, cut) = (config.clone(), AtomicU64::new(0));
        Ok(Gguf { network, tokens, template, config, seed, room, blank, hash, cut })
    }

    /// Of how many prompts so far only the beginning was read, because the whole would have left
    /// too little of the context for an answer.
    pub fn prompts_cut(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }

    fn complete_all(
        &self,
        prompts: &[&str],
        progress: &dyn Progress,
        cancel: &Cancel,
        done: &mut dyn FnMut(usize, Completion) -> Result<()>,
    ) -> Result<()> {
        let started = Instant::now();
        let mut writer = Writer::new(self, cancel)?;
        for (row, prompt) in prompts.iter().enumerate() {
            done(row, writer.complete(prompt, row)?)?;
            let rate = writer.written() as f64 / started.elapsed().as_secs_f64();
            progress.update(row as u64 + 1, &format!("{rate:.1} tokens/s"));
        }
        Ok(())
    }

    /// The ids of a prompt, cut at its end to leave room for an answer.
    fn encode(&self, prompt: &str) -> Result<Vec<u32>> {
        let encode = |prompt: &str| self.tokens.encode(&self.template.parts(prompt));
        let mut ids = encode(prompt)?;
        if ids.len() <= self.room {
            return Ok(ids);
        }
        self.cut.fetch_add(1, Ordering::Relaxed);
        let ends: Vec<usize> = prompt.char_indices().map(|(at, _)| at).collect();
        ids.clone_from(&self.blank);
        let (mut fits, mut over) = (0, ends.len());
        while fits + 1 < over {
            let middle = fits.midpoint(over);
            let shorter = encode(&prompt[..ends[middle]])?;
            if shorter.len() <= self.room {
                (fits, ids) = (middle, shorter);
            } else {
                over = middle;
            }
        }
        Ok(ids)
    }
}

fn template(file: &Container, tokens: &Tokens, system: Option<&str>) -> Result<Template> {
    let key = "tokenizer.chat_template";
    let source = file.text(key)?;
    let vocabulary = &tokens.vocabulary;
    let text = |id: Option<u32>| id.map_or("", |id| vocabulary.text(id));
    let named = Named { bos: text(vocabulary.start), eos: text(vocabulary.end) };
    let template = Template::new(source.as_deref(), system, named);
    template.map_err(|message| file.fault(format!("`{key}`: {message}")))
}

fn hash(
    file: &Container,
    beside: &Path,
    config: &GgufConfig,
    system: Option<&str>,
    seed: u64,
) -> Result<String> {
    let GgufConfig { max_tokens, temperature, context } = config;
    let seed = (*temperature > 0.0).then_some(seed);
    let version = Gguf::VERSION;
    let settings = format!("{version} {max_tokens} {temperature} {context} {seed:?} {system:?}");
    let tokenizer = if beside.exists() { files::sha256_file(beside)? } else { String::new() };
    let weights = files::sha256_file(file.path())?;
    Ok(files::sha256_bytes(format!("{settings}\n{tokenizer}\n{weights}").as_bytes()))
}
