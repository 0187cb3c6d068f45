//! Prompts as token ids, and ids as text.
//!
//! Tokens that direct the model, such as those around a turn, are looked for in the chat template
//! alone. A user's text that spells one is text: `<`, `end`, `_of`, …

use std::path::Path;

use aho_corasick::{AhoCorasick, MatchKind};
use das_core::files;
use tokenizers::Tokenizer;

use super::bytes;
use super::container::Container;
use super::pieces::Pieces;
use super::vocabulary::Vocabulary;
use crate::{Error, Result};

/// What takes precedence over the tokenizer in the metadata.
pub(super) const TOKENIZER_FILE: &str = "tokenizer.json";

/// A part of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Written by the template.
    Frame(&'a str),
    /// Written by a user.
    Text(&'a str),
}

/// A model's tokenizer.
pub(super) struct Tokens {
    pub(super) vocabulary: Vocabulary,
    coder: Coder,
    controls: Names,
    literals: Names,
}

/// How texts without special tokens are cut up.
enum Coder {
    Pieces(Pieces),
    Library(Box<Tokenizer>),
}

/// Tokens that are found as they stand.
struct Names {
    matcher: AhoCorasick,
    ids: Vec<u32>,
}

/// A prompt between its special tokens.
enum Run {
    Token(u32),
    Text(String),
}

impl Tokens {
    /// Builds the tokenizer that the metadata of `file` describes, or the one in `beside`, if there
    /// is such a file. `rows` is how many tokens the network knows.
    pub(super) fn open(file: &Container, beside: &Path, rows: usize) -> Result<Tokens> {
        let key = "tokenizer.ggml.model";
        let model = file.text(key)?.ok_or_else(|| file.fault(format!("`{key}` is missing")))?;
        let vocabulary = Vocabulary::read(file, rows, model == "llama")?;
        let coder = match &*model {
            _ if beside.exists() => Coder::Library(Box::new(open_file(beside)?)),
            "gpt2" => Coder::Library(Box::new(bytes::tokenizer(file, &vocabulary)?)),
            "llama" => Coder::Pieces(Pieces::read(file, &vocabulary)?),
            other => {
                let message = format!("`{key}`: expected `gpt2` or `llama`, got `{other}`");
                return Err(file.fault(format!("{message}; {TOKENIZER_FILE} beside it would do")));
            }
        };
        let names = |wanted: &dyn Fn(u32) -> bool| {
            let found = Names::new(&vocabulary, wanted);
            found.map_err(|error| file.fault(format!("`tokenizer.ggml.tokens`: {error}")))
        };
        let controls = names(&|id| vocabulary.is_control(id))?;
        // A tokenizer of its own knows what to look for.
        let literals = names(&|id| !beside.exists() && vocabulary.is_literal(id))?;
        Ok(Tokens { coder, controls, literals, vocabulary })
    }

    /// The ids of a prompt.
    pub(super) fn encode(&self, parts: &[Part<'_>]) -> Result<Vec<u32>> {
        let mut runs = Vec::new();
        for part in parts {
            match part {
                Part::Frame(text) => self.controls.split(text, &mut runs),
                Part::Text(text) => push_text(text, &mut runs),
            }
        }
        let mut ids = Vec::new();
        for run in runs {
            match run {
                Run::Token(id) => ids.push(id),
                Run::Text(text) => self.encode_text(&text, &mut ids)?,
            }
        }
        let start = self.vocabulary.start.filter(|_| self.vocabulary.starts_prompts);
        if start.is_some_and(|start| ids.first() != Some(&start)) {
            ids.splice(..0, start);
        }
        Ok(ids)
    }

    /// Appends the ids of a text, in which no token directs the model.
    pub(super) fn encode_text(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        let mut runs = Vec::new();
        self.literals.split(text, &mut runs);
        for run in runs {
            match (run, &self.coder) {
                (Run::Token(id), _) => ids.push(id),
                (Run::Text(text), Coder::Pieces(pieces)) => pieces.encode(&text, ids),
                (Run::Text(text), Coder::Library(tokenizer)) => {
                    let encoding = tokenizer.encode_fast(text, false).map_err(fault)?;
                    let found = encoding.get_ids();
                    let count = self.vocabulary.texts.len();
                    if let Some(id) = found.iter().find(|&&id| id as usize >= count) {
                        return Err(fault(format!("token {id} of a vocabulary of {count}")));
                    }
                    // A tokenizer of its own may read what was not asked for.
                    ids.extend(found.iter().filter(|&&id| !self.vocabulary.is_control(id)));
                }
            }
        }
        Ok(())
    }

    /// The text of an answer.
    pub(super) fn decode(&self, ids: &[u32]) -> Result<String> {
        let shown = ids.iter().copied().filter(|&id| !self.vocabulary.is_control(id));
        let ids: Vec<u32> = shown.collect();
        match &self.coder {
            Coder::Pieces(_) => Ok(Pieces::decode(&self.vocabulary, &ids)),
            Coder::Library(tokenizer) => tokenizer.decode(&ids, true).map_err(fault),
        }
    }
}

impl Names {
    fn new(
        vocabulary: &Vocabulary,
        wanted: &dyn Fn(u32) -> bool,
    ) -> Result<Names, aho_corasick::BuildError> {
        let ids = 0..vocabulary.texts.len() as u32;
        let ids: Vec<u32> =
            ids.filter(|&id| wanted(id) && !vocabulary.text(id).is_empty()).collect();
        let matcher = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(ids.iter().map(|&id| vocabulary.text(id)))?;
        Ok(Names { matcher, ids })
    }

    /// Appends `text` to `runs`, cut where it has one of these tokens.
    fn split(&self, text: &str, runs: &mut Vec<Run>) {
        let mut done = 0;
        for found in self.matcher.find_iter(text) {
            push_text(&text[done..found.start()], runs);
            runs.push(Run::Token(self.ids[found.pattern().as_usize()]));
            done = found.end();
        }
        push_text(&text[done..], runs);
    }
}

/// Appends text, as one with the text before it: what is cut up together depends on both.
fn push_text(text: &str, runs: &mut Vec<Run>) {
    match runs.last_mut() {
        _ if text.is_empty() => (),
        Some(Run::Text(last)) => last.push_str(text),
        _ => runs.push(Run::Text(text.into())),
    }
}

fn open_file(path: &Path) -> Result<Tokenizer> {
    let text = crate::plm::read_text(path)?;
    let parsed = files::decode(path, || {
        Tokenizer::from_bytes(text.as_bytes())
            .map_err(|error| das_core::Error::format(path, error.to_string()))
    });
    let mut tokenizer = parsed?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(fault)?;
    tokenizer.set_encode_special_tokens(true);
    Ok(tokenizer)
}

fn fault(error: impl std::fmt::Display) -> Error {
    Error::Model(format!("tokenizer: {error}"))
}
