//! Files that are cut short, altered, or made to do harm.

use std::path::PathBuf;

use das_content::{Gguf, Result};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::allocations::largest;
use crate::common::{complete, config, fixture};

/// Tiny models and all that is made of them take far less at a time.
const MOST_BYTES: usize = 16 << 20;

/// A file of a folder of its own.
struct Written {
    _folder: TempDir,
    path: PathBuf,
}

fn write(bytes: &[u8]) -> Written {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    Written { _folder: folder, path }
}

fn open(bytes: &[u8]) -> Result<Gguf> {
    Gguf::open(&write(bytes).path, &config(2, 0.0), None, 0)
}

fn read(family: &str) -> Vec<u8> {
    std::fs::read(fixture(family)).unwrap()
}

/// Where the bytes behind `needle` begin.
fn behind(bytes: &[u8], needle: &str) -> usize {
    let at = bytes.windows(needle.len()).position(|window| window == needle.as_bytes());
    at.unwrap() + needle.len()
}

/// How long the header is, tensors' names included.
fn header(bytes: &[u8]) -> usize {
    // Padding, a dimension, a type and an offset follow the last name.
    let names: Vec<usize> = (0..bytes.len() - 4)
        .filter(|&at| bytes[at..].starts_with(b"blk.") || bytes[at..].starts_with(b"output"))
        .collect();
    names.last().unwrap() + 64
}

#[test]
fn files_cut_short_are_errors() {
    for family in ["qwen2", "gemma3"] {
        let bytes = read(family);
        let ends = (0..64).chain((64..bytes.len()).step_by(bytes.len() / 97));
        for end in ends.chain([bytes.len() - 1]) {
            let message = open(&bytes[..end]).unwrap_err().to_string();
            assert!(message.contains("model.gguf: "), "{family} to {end}: {message}");
        }
    }
    assert!(largest() < MOST_BYTES, "{}", largest());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn altered_headers_never_panic(
        family in prop::sample::select(vec!["gemma3", "qwen2", "llama3"]),
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = read(family);
        let length = header(&bytes);
        for (place, value) in places {
            bytes[place.index(length)] = value;
        }
        // What the altered file still says may be a model, if a bad one.
        match open(&bytes) {
            Ok(model) => drop(complete(&model, &["red nail polish"])),
            Err(error) => prop_assert!(error.to_string().contains("model.gguf"), "{error}"),
        }
        prop_assert!(largest() < MOST_BYTES, "{}", largest());
    }
}

#[test]
fn sizes_are_held_against_the_file() {
    let bytes = read("qwen2");
    let tokens = behind(&bytes, "tokenizer.ggml.tokens");
    let first = behind(&bytes, "output_norm.weight");
    for (at, value, expected) in [
        (8, u64::MAX, "expected at most 65536 tensors"),
        (16, u64::MAX, "expected at most 65536 metadata keys"),
        (24, u64::MAX, "more bytes, got"),
        (tokens + 8, u64::MAX, "`tokenizer.ggml.tokens`: at byte"),
        (tokens + 8, 3, "at byte"),
        (tokens + 16, u64::MAX - 7, "`tokenizer.ggml.tokens`: at byte"),
        (first + 4, 1 << 40, "`output_norm.weight` ends at byte"),
        (first + 4, 0, "is empty or too large"),
        (first + 4, u64::MAX, "is empty or too large"),
        (first + 16, 1 << 50, "`output_norm.weight` ends at byte"),
        (first + 16, u64::MAX - 31, "is empty or too large"),
        (first + 16, 4, "in steps of 32"),
    ] {
        let mut altered = bytes.clone();
        altered[at..at + 8].copy_from_slice(&value.to_le_bytes());
        let message = open(&altered).unwrap_err().to_string();
        assert!(message.contains(expected), "{at}: {message}");
        assert!(message.contains("model.gguf: "), "{message}");
    }
    assert!(largest() < MOST_BYTES, "{}", largest());
}

/// Replaces a text by another of the same length.
fn renamed(family: &str, old: &str, new: &str) -> String {
    let mut bytes = read(family);
    let end = behind(&bytes, old);
    bytes[end - old.len()..end].copy_from_slice(new.as_bytes());
    open(&bytes).unwrap_err().to_string()
}

#[test]
fn what_cannot_be_run_is_named() {
    for (family, old, new, expected) in [
        ("qwen2", "GGUF", "GGML", "not a GGUF file"),
        ("qwen2", "GGUF\u{3}", "GGUF\u{1}", "expected GGUF version 2 or 3"),
        ("llama", "llama", "xlama", "expected `gemma3`, `llama`, `qwen2`, `qwen3`, got `xlama`"),
        ("qwen2", "gpt2", "gpt9", "expected `gpt2` or `llama`, got `gpt9`; tokenizer.json beside"),
        ("qwen2", "blk.1.ffn_up", "blk.1.ffn_xx", "tensor `blk.1.ffn_up.weight` is missing"),
        ("qwen2", "qwen2.block_count", "qwen2.block_xxxxx", "`qwen2.block_count`: is missing"),
        ("gemma3", "linear", "mirror", "expected `none` or `linear`, got `mirror`"),
        ("gemma3", "tokenizer.ggml.scores", "tokenizer.ggml.xxxxxx", "scores` is missing"),
        ("qwen2", "add_generation_prompt %}", "add_generation_prompt !}", "syntax error"),
    ] {
        let message = renamed(family, old, new);
        assert!(message.contains(expected), "{message}");
        assert!(message.contains("model.gguf: "), "{message}");
    }
}

#[test]
fn numbers_that_are_none_are_errors() {
    let bytes = read("gemma3");
    let name = behind(&bytes, "blk.0.attn_norm.weight");
    let offset = u64::from_le_bytes(bytes[name + 16..name + 24].try_into().unwrap());
    // The last tensor ends the file, but for padding.
    let base = header(&bytes).next_multiple_of(32);
    let mut found = false;
    for base in (base - 96..=base).step_by(32) {
        let mut altered = bytes.clone();
        let at = base + offset as usize;
        altered[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        found |= open(&altered).is_err_and(|error| error.to_string().contains("finite numbers"));
    }
    assert!(found);
}
