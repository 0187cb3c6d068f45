//! What the tests share.

use std::path::{Path, PathBuf};

use das_content::{Completion, Gguf, GgufConfig, LanguageModel, Result};
use das_core::progress::{Cancel, Silent};

pub(crate) fn fixture(family: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gguf");
    folder.join(format!("{family}.gguf"))
}

pub(crate) fn config(max_tokens: u32, temperature: f64) -> GgufConfig {
    GgufConfig { max_tokens, temperature, ..Default::default() }
}

/// A tiny model that has to be brief.
pub(crate) fn open(family: &str, config: &GgufConfig, seed: u64) -> Gguf {
    Gguf::open(&fixture(family), config, Some("Be brief."), seed).unwrap()
}

/// All answers, in the order of the prompts.
pub(crate) fn complete(model: &Gguf, prompts: &[&str]) -> Result<Vec<Completion>> {
    let mut answers = Vec::new();
    model.complete_batches(prompts, &Silent, &Cancel::default(), &mut |row, completion| {
        assert_eq!(row, answers.len());
        answers.push(completion);
        Ok(())
    })?;
    Ok(answers)
}
