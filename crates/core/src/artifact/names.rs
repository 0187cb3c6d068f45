//! Names of files inside an artifact.

use crate::{Error, Result, Side};

/// The manifest, which makes a folder an artifact.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The weights.
pub const MODEL_FILE: &str = "model.safetensors";
/// The configuration as resolved.
pub const CONFIG_FILE: &str = "config.toml";

/// The table of a side's IDs.
pub fn sids_file(side: Side) -> String {
    format!("{side}_sids.parquet")
}

/// The same to be looked up in place, see [`crate::sid::index`].
pub fn index_file(side: Side) -> String {
    format!("{side}_sids.index")
}

/// A file of a side's embedder.
pub fn embedder_file(side: Side, name: &str) -> String {
    format!("embedder/{side}/{name}")
}

/// The model of the recommender `name`, trained on the artifact's IDs: `retriever` or `ranker`.
pub fn recommender_file(name: &str) -> String {
    format!("{name}/model.safetensors")
}

/// Accepts `a` and `a/b/c` where every part starts with a letter, digit or `_` and goes on with
/// these, `.` and `-`: on every system a plain path that cannot leave the artifact.
pub(super) fn check(name: &str) -> Result<()> {
    let plain = |part: &str| {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        part.starts_with(word) && part.chars().all(|c| word(c) || c == '.' || c == '-')
    };
    if name.len() <= 255 && name.split('/').all(plain) {
        Ok(())
    } else {
        Err(Error::Invalid(format!("file name {name:?}, expected a plain relative path")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_names_pass() {
        for good in ["model.safetensors", "embedder/item/tfidf-1.bin", &sids_file(Side::User)] {
            assert!(check(good).is_ok(), "{good}");
        }
        let long = "a".repeat(256);
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a//b",
            "a/",
            ".hidden",
            "a\\b",
            "C:x",
            "ä",
            &long,
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
