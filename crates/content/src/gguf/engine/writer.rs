//! One call of a model: prompts in, answers out, with what the network keeps of what it has read.

use das_core::progress::Cancel;
use das_core::{files, streams};

use super::Gguf;
use super::cache::Cache;
use super::sampling::choose;
use crate::endpoint::chat::without_reasoning;
use crate::{Completion, Error, Result};

/// Tokens of a prompt that are read at once. It bounds the table of who sees whom, and how long an
/// interruption waits.
const STEP: usize = 128;

/// What decoders put where bytes are no character.
const REPLACEMENT: char = '\u{fffd}';

/// A model at work.
pub(super) struct Writer<'a> {
    model: &'a Gguf,
    cancel: &'a Cancel,
    cache: Cache,
    /// How much of the empty prompt the cache still begins with.
    kept: usize,
    written: u64,
}

impl<'a> Writer<'a> {
    /// Makes room; nothing is read yet.
    pub(super) fn new(model: &'a Gguf, cancel: &'a Cancel) -> Result<Writer<'a>> {
        let cache = Cache::new(&model.network.architecture).map_err(engine)?;
        Ok(Writer { model, cancel, cache, kept: 0, written: 0 })
    }

    /// How many tokens were written so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// The answer to a prompt; `row` is for messages.
    pub(super) fn complete(&mut self, prompt: &str, row: usize) -> Result<Completion> {
        let ids = self.model.encode(prompt)?;
        if ids.is_empty() {
            return Err(Error::Model(format!("row {row}: expected a prompt, got an empty one")));
        }
        let (answer, truncated) = self.answer(&ids, prompt)?;
        let text = self.model.tokens.decode(&answer)?;
        // A character may have been cut in two.
        let whole = text.strip_suffix(REPLACEMENT).filter(|_| truncated).unwrap_or(&text);
        let text = without_reasoning(whole).trim();
        if text.is_empty() {
            let cut = if truncated { ", cut off by `max_tokens`" } else { "" };
            let message = format!("row {row}: expected a text, got an empty one{cut}");
            return Err(Error::Model(message));
        }
        Ok(Completion { text: text.into(), truncated })
    }

    /// The tokens that follow those of a prompt, and whether they were cut off.
    pub(super) fn answer(&mut self, ids: &[u32], prompt: &str) -> Result<(Vec<u32>, bool)> {
        let Gguf { config, seed, .. } = self.model;
        let known = self.recall(ids)?;
        let mut logits = self.read(&ids[known..])?;
        let purpose = format!("gguf/{}", files::sha256_bytes(prompt.as_bytes()));
        let mut rng = streams::stream(*seed, &purpose, 0);
        let vocabulary = &self.model.tokens.vocabulary;
        let mut answer = Vec::new();
        loop {
            // Networks may have rows for more tokens than there are.
            logits.truncate(vocabulary.texts.len());
            let next = loop {
                let next = choose(&logits, config.temperature, &mut rng);
                let next = next.ok_or_else(|| Error::Model("the logits are no numbers".into()))?;
                if !answer.is_empty() || self.says_something(next)? {
                    break next;
                }
                self.cancel.check()?;
                logits[next as usize] = f32::NEG_INFINITY;
            };
            if vocabulary.is_stop(next) {
                return Ok((answer, false));
            }
            answer.push(next);
            self.written += 1;
            if answer.len() == config.max_tokens as usize {
                return Ok((answer, true));
            }
            logits = self.read(&[next])?;
        }
    }

    /// Brings the cache to what the prompt has in common with an empty one, and tells how much that
    /// is. It was read with the rest of the empty prompt, whatever prompts came before, so that none
    /// makes a difference to another, not even in the last bit.
    fn recall(&mut self, ids: &[u32]) -> Result<usize> {
        let blank = &self.model.blank;
        let known = ids.iter().zip(blank).take_while(|(id, blank)| id == blank).count();
        // The last token is read for its logits.
        let known = known.min(ids.len() - 1);
        if self.kept < known {
            self.cache.truncate(0);
            self.read(blank)?;
        }
        self.cache.truncate(known);
        self.kept = known;
        Ok(known)
    }

    /// Whether an answer may begin with this token, so that it is not empty.
    fn says_something(&self, id: u32) -> Result<bool> {
        let tokens = &self.model.tokens;
        Ok(!tokens.vocabulary.is_control(id) && !tokens.decode(&[id])?.trim().is_empty())
    }

    /// Reads on, and gives the logits of what comes after.
    fn read(&mut self, ids: &[u32]) -> Result<Vec<f32>> {
        let mut logits = Vec::new();
        for step in ids.chunks(STEP) {
            self.cancel.check()?;
            logits = self.model.network.forward(step, &mut self.cache).map_err(engine)?;
        }
        Ok(logits)
    }
}

fn engine(error: candle_core::Error) -> Error {
    Error::Model(error.to_string())
}
