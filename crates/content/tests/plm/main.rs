//! Published models from a folder, against what `transformers` makes of the same weights.
#![cfg(feature = "models")]

mod folders;
mod parity;

use std::path::{Path, PathBuf};

use das_content::{Batch, Plm, Result, TextModel};
use das_core::RowMatrix;
use das_core::progress::{Cancel, Silent};

/// The folder of a fixture.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/plm").join(name)
}

/// The texts that all fixtures are about.
fn titles() -> Vec<String> {
    let text = std::fs::read_to_string(fixture("titles.txt")).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// One vector a text, and which texts were cut.
fn embed(model: &Plm, texts: &[&str]) -> Result<(Vec<Vec<f32>>, Vec<bool>)> {
    let mut vectors = vec![Vec::new(); texts.len()];
    let mut cut = vec![false; texts.len()];
    let mut done = |batch: Batch| {
        for (at, &row) in batch.rows.iter().enumerate() {
            assert!(vectors[row].is_empty(), "row {row} twice");
            vectors[row] = batch.vectors.row(at).to_vec();
            cut[row] = batch.truncated[at];
        }
        Ok(())
    };
    model.embed_batches(texts, &Silent, &Cancel::default(), &mut done)?;
    Ok((vectors, cut))
}
