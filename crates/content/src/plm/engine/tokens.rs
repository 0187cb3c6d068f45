//! Texts as token ids.

use std::path::Path;

use das_core::files;
use tokenizers::{Tokenizer, TruncationParams};

use super::folder::read_text;
use crate::{Error, Result};

/// A text that every tokenizer can take.
const PROBE: &str = "a";

/// A published tokenizer, cut off at a length.
pub(super) struct Tokens {
    tokenizer: Tokenizer,
    vocabulary: usize,
}

/// The ids of one text.
pub(super) struct TokenIds {
    /// Special tokens included; never empty.
    pub(super) ids: Vec<u32>,
    /// Whether the text goes on beyond them.
    pub(super) truncated: bool,
}

impl Tokens {
    /// Reads `tokenizer.json` at `path`; sequences have at most `max_length` tokens, special ones
    /// included, of a vocabulary of that size.
    pub(super) fn open(path: &Path, max_length: usize, vocabulary: usize) -> Result<Tokens> {
        let fault = |message: String| Error::from(das_core::Error::format(path, message));
        if !path.exists() {
            return Err(fault(
                "is missing; write it with: python -c \"from transformers import AutoTokenizer; \
                 t = AutoTokenizer.from_pretrained('MODEL'); t.save_pretrained('MODEL')\""
                    .into(),
            ));
        }
        let text = read_text(path)?;
        let tokenizer = files::decode(path, || {
            let fault = |error: tokenizers::Error| das_core::Error::format(path, error.to_string());
            let mut tokenizer = Tokenizer::from_bytes(text.as_bytes()).map_err(fault)?;
            tokenizer.with_padding(None);
            let truncation = TruncationParams { max_length, ..Default::default() };
            tokenizer.with_truncation(Some(truncation)).map_err(fault)?;
            // A template may name special tokens that the file does not have; the first text tells.
            tokenizer.encode_fast(PROBE, true).map_err(fault)?;
            Ok(tokenizer)
        })?;
        Ok(Tokens { tokenizer, vocabulary })
    }

    /// The ids of each text, on all threads.
    pub(super) fn encode(&self, texts: Vec<String>) -> Result<Vec<TokenIds>> {
        let fault = |message: String| Error::Model(format!("tokenizer: {message}"));
        let encodings = self
            .tokenizer
            .encode_batch_fast(texts, true)
            .map_err(|error| fault(error.to_string()))?;
        let checked = encodings.into_iter().map(|encoding| {
            let ids = encoding.get_ids().to_vec();
            if ids.is_empty() {
                return Err(fault("expected at least the special tokens, got nothing".into()));
            }
            if let Some(id) = ids.iter().find(|&&id| id as usize >= self.vocabulary) {
                let vocabulary = self.vocabulary;
                return Err(fault(format!("token {id} of a vocabulary of {vocabulary}")));
            }
            Ok(TokenIds { ids, truncated: !encoding.get_overflowing().is_empty() })
        });
        checked.collect()
    }
}
