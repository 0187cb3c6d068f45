//! Byte-level byte-pair encoding, as Qwen and Llama 3 use it, for `tokenizers`.
//!
//! candle has a reader of its own, but it takes whatever pre-tokenizer it does not know, Llama 3's
//! among them, for that of GPT-2, and looks for special tokens in every text.

use das_core::files;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{SplitDelimiterBehavior, Tokenizer};

use super::container::Container;
use super::tokens::TOKENIZER_FILE;
use super::vocabulary::Vocabulary;
use crate::Result;

/// Where Qwen2 cuts a text before it joins bytes: digits stand alone.
const QWEN2: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Where Llama 3 cuts it: up to three digits stand together.
const LLAMA3: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The tokenizer that the metadata describes, without special tokens.
pub(super) fn tokenizer(file: &Container, vocabulary: &Vocabulary) -> Result<Tokenizer> {
    let key = "tokenizer.ggml.pre";
    let pre = file.text(key)?.unwrap_or_default();
    let (cut, composes, ignore_merges) = match &*pre {
        "qwen2" | "deepseek-r1-qwen" => (QWEN2, true, false),
        "llama-bpe" | "llama3" | "llama-v3" => (LLAMA3, false, true),
        other => {
            let message = format!("`{key}`: expected `qwen2` or `llama-bpe`, got `{other}`");
            return Err(file.fault(format!("{message}; {TOKENIZER_FILE} beside it would do")));
        }
    };
    let key = "tokenizer.ggml.merges";
    let merges = file.texts(key)?.ok_or_else(|| file.fault(format!("`{key}` is missing")))?;
    let merges = merges.iter().map(|merge| {
        let pair = merge.split_once(' ').map(|(left, right)| (left.into(), right.into()));
        pair.ok_or_else(|| file.fault(format!("`{key}`: expected two tokens, got `{merge}`")))
    });
    let merges: Vec<(String, String)> = merges.collect::<Result<_>>()?;
    let ids = vocabulary.texts.iter().zip(0..);
    let vocab: Vocab = ids.map(|(text, id)| (text.clone(), id)).collect();
    let model = files::decode(file.path(), || {
        let built = BPE::builder().vocab_and_merges(vocab, merges).ignore_merges(ignore_merges);
        built.build().map_err(|error| das_core::Error::format(file.path(), error.to_string()))
    })?;
    let fault = |error: tokenizers::Error| file.fault(format!("tokenizer: {error}"));
    let mut tokenizer = Tokenizer::new(model);
    if composes {
        tokenizer.with_normalizer(Some(NFC)).map_err(fault)?;
    }
    let pattern = SplitPattern::Regex(cut.into());
    let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(fault)?;
    let bytes = ByteLevel::new(false, false, false);
    let steps: [PreTokenizerWrapper; 2] = [split.into(), bytes.into()];
    tokenizer.with_pre_tokenizer(Some(Sequence::new(steps.into())));
    tokenizer.with_decoder(Some(bytes));
    Ok(tokenizer)
}
