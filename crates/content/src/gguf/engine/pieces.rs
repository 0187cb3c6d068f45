//! SentencePiece's byte-pair encoding, as Llama 2 and Gemma use it: of all neighbours that make up
//! a token, those of the best score are joined first.
//!
//! `tokenizers` has no such model: its merges are ranked by pair, so that two pairs with the same
//! result would not be joined from left to right.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use super::container::Container;
use super::vocabulary::{self, Vocabulary};
use crate::Result;

/// What stands for a space.
const SPACE: &str = "\u{2581}";

/// Tokens by text, with their scores.
pub(super) struct Pieces {
    plain: HashMap<String, u32>,
    scores: Vec<f32>,
    /// What a byte of an unknown character becomes.
    bytes: Vec<Option<u32>>,
    unknown: Option<u32>,
    /// Whether a text begins with a space of its own.
    prefix: bool,
}

/// A part of the text, between its neighbours. One that was joined to its left is empty.
#[derive(Clone, Copy)]
struct Symbol {
    start: usize,
    end: usize,
    left: Option<usize>,
    right: Option<usize>,
}

/// Neighbours that make up a token.
#[derive(PartialEq)]
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    /// Bytes of both, by which it shows whether one of them has changed.
    length: usize,
}

impl Eq for Pair {}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Pair) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pair {
    /// The better score first, then the one further left.
    fn cmp(&self, other: &Pair) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl Pieces {
    /// Reads the scores of `vocabulary`.
    pub(super) fn read(file: &Container, vocabulary: &Vocabulary) -> Result<Pieces> {
        let key = "tokenizer.ggml.scores";
        let scores = file.reals(key)?.ok_or_else(|| file.fault(format!("`{key}` is missing")))?;
        let count = vocabulary.texts.len();
        if scores.len() != count {
            let found = scores.len();
            return Err(file.fault(format!("`{key}`: expected {count} values, got {found}")));
        }
        let ids = || 0..count as u32;
        let mut bytes = vec![None; 256];
        for id in ids() {
            if let Some(byte) = vocabulary.byte(id) {
                bytes[usize::from(byte)] = Some(id);
            }
        }
        let plain = ids().filter(|&id| vocabulary.is_plain(id));
        Ok(Pieces {
            plain: plain.map(|id| (vocabulary.text(id).to_owned(), id)).collect(),
            scores,
            bytes,
            unknown: vocabulary::token(file, "unknown_token_id", count)?,
            prefix: file.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true),
        })
    }

    /// Appends the tokens of `text`, which begins the prompt or follows a token of its own.
    pub(super) fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        let prefix = if self.prefix { SPACE } else { "" };
        let text = format!("{prefix}{}", text.replace(' ', SPACE));
        for Symbol { start, end, .. } in self.join(&text) {
            let part = &text[start..end];
            match self.plain.get(part) {
                Some(&id) => ids.push(id),
                None => {
                    let of_byte = |byte: u8| self.bytes[usize::from(byte)].or(self.unknown);
                    ids.extend(part.bytes().filter_map(of_byte));
                }
            }
        }
    }

    /// The parts that are left once nothing more can be joined, some of them empty.
    fn join(&self, text: &str) -> Vec<Symbol> {
        let mut symbols: Vec<Symbol> = Vec::new();
        for (at, character) in text.char_indices() {
            let index = symbols.len();
            let end = at + character.len_utf8();
            let left = index.checked_sub(1);
            symbols.push(Symbol { start: at, end, left, right: Some(index + 1) });
        }
        if let Some(last) = symbols.last_mut() {
            last.right = None;
        }
        let mut pairs = BinaryHeap::new();
        for right in 1..symbols.len() {
            pairs.extend(self.pair(text, &symbols, right - 1, right));
        }
        while let Some(Pair { left, right, length, .. }) = pairs.pop() {
            let (a, b) = (symbols[left], symbols[right]);
            // Either may have been joined to another meanwhile.
            if a.start == a.end || b.start == b.end || b.end - a.start != length {
                continue;
            }
            symbols[left] = Symbol { end: b.end, right: b.right, ..a };
            symbols[right].end = b.start;
            if let Some(next) = b.right {
                symbols[next].left = Some(left);
                pairs.extend(self.pair(text, &symbols, left, next));
            }
            if let Some(previous) = a.left {
                pairs.extend(self.pair(text, &symbols, previous, left));
            }
        }
        symbols
    }

    fn pair(&self, text: &str, symbols: &[Symbol], left: usize, right: usize) -> Option<Pair> {
        let (start, end) = (symbols[left].start, symbols[right].end);
        let id = *self.plain.get(&text[start..end])?;
        Some(Pair { score: self.scores[id as usize], left, right, length: end - start })
    }

    /// The text of tokens.
    pub(super) fn decode(vocabulary: &Vocabulary, ids: &[u32]) -> String {
        let mut bytes = Vec::new();
        for &id in ids {
            match vocabulary.byte(id) {
                Some(byte) => bytes.push(byte),
                None if vocabulary.is_plain(id) => {
                    bytes.extend(vocabulary.text(id).replace(SPACE, " ").bytes());
                }
                None => bytes.extend(vocabulary.text(id).bytes()),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
