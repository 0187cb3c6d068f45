//! The tokens that the metadata lists, and what each of them is for.

use std::collections::BTreeSet;

use super::container::Container;
use crate::Result;

const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

/// Keys of tokens after which nothing follows, besides the one that ends a text.
const STOP_KEYS: [&str; 2] = ["eot_token_id", "eom_token_id"];
/// Tokens that end an answer whatever the keys say: many files name one of several.
const STOPS: [&str; 9] = [
    "<|endoftext|>",
    "<|im_end|>",
    "<end_of_turn>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "</s>",
    "<eos>",
];
/// Where turns begin in chats that do not write `<|…|>`.
const TURN: &str = "<start_of_turn>";

/// All tokens of a model.
pub(super) struct Vocabulary {
    pub(super) texts: Vec<String>,
    kinds: Vec<i32>,
    /// The token before a text, if it has one.
    pub(super) start: Option<u32>,
    /// The token after a text, if it has one.
    pub(super) end: Option<u32>,
    /// Whether every prompt begins with it.
    pub(super) starts_prompts: bool,
    /// After which nothing follows; not empty.
    stops: BTreeSet<u32>,
}

impl Vocabulary {
    /// Reads the tokens; `rows` is how many the network knows.
    pub(super) fn read(file: &Container, rows: usize, starts: bool) -> Result<Vocabulary> {
        let key = "tokenizer.ggml.tokens";
        let texts = file.texts(key)?.ok_or_else(|| file.fault(format!("`{key}` is missing")))?;
        let count = texts.len();
        if !(1..=rows).contains(&count) {
            let message = format!("`{key}`: expected 1 to {rows} as in the network, got {count}");
            return Err(file.fault(message));
        }
        let key = "tokenizer.ggml.token_type";
        let kinds = file.wholes(key)?.unwrap_or_else(|| vec![NORMAL; count]);
        if kinds.len() != count {
            let found = kinds.len();
            return Err(file.fault(format!("`{key}`: expected {count} values, got {found}")));
        }
        let start = token(file, "bos_token_id", count)?;
        let starts_prompts = file.flag("tokenizer.ggml.add_bos_token")?.unwrap_or(starts);
        let end = token(file, "eos_token_id", count)?;
        let mut stops = BTreeSet::from_iter(end);
        for key in STOP_KEYS {
            stops.extend(token(file, key, count)?);
        }
        let mut found = Vocabulary { texts, kinds, start, end, starts_prompts, stops };
        let ids = 0..count as u32;
        let named = |&id: &u32| found.kind(id) != NORMAL && STOPS.contains(&found.text(id));
        let named: Vec<u32> = ids.filter(named).collect();
        found.stops.extend(named);
        if found.stops.is_empty() {
            return Err(file.fault("expected a token that ends answers, got none"));
        }
        Ok(found)
    }

    fn kind(&self, id: u32) -> i32 {
        self.kinds[id as usize]
    }

    pub(super) fn text(&self, id: u32) -> &str {
        &self.texts[id as usize]
    }

    /// Whether an answer ends here.
    pub(super) fn is_stop(&self, id: u32) -> bool {
        self.stops.contains(&id)
    }

    /// Whether this directs the model, so that no user may write it.
    pub(super) fn is_control(&self, id: u32) -> bool {
        match self.kind(id) {
            UNKNOWN | CONTROL | UNUSED => true,
            // Some converters mark these no better.
            USER_DEFINED => {
                let text = self.text(id);
                self.is_stop(id) || text == TURN || (text.starts_with("<|") && text.ends_with("|>"))
            }
            _ => self.is_stop(id),
        }
    }

    /// Whether this is found in a text as it stands, before anything else.
    pub(super) fn is_literal(&self, id: u32) -> bool {
        self.kind(id) == USER_DEFINED && !self.is_control(id)
    }

    /// Whether this is put together from smaller tokens.
    pub(super) fn is_plain(&self, id: u32) -> bool {
        self.kind(id) == NORMAL && !self.is_control(id)
    }

    /// The byte that this stands for, if it stands for one: `<0x0A>`.
    pub(super) fn byte(&self, id: u32) -> Option<u8> {
        let digits = self.text(id).strip_prefix("<0x")?.strip_suffix('>')?;
        let byte = u8::from_str_radix(digits, 16).ok()?;
        (self.kind(id) == BYTE).then_some(byte)
    }
}

/// The token that a key names, if the key is there.
pub(super) fn token(file: &Container, key: &str, count: usize) -> Result<Option<u32>> {
    let key = format!("tokenizer.ggml.{key}");
    match file.count(&key)? {
        Some(id) if id >= count => {
            Err(file.fault(format!("`{key}`: expected a token below {count}, got {id}")))
        }
        id => Ok(id.map(|id| id as u32)),
    }
}
