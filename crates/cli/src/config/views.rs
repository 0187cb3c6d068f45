//! Settings of the views that an entity's content consists of.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::usage::UsageError;

/// One view of an entity: its whole text where nothing but a name is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewConfig {
    /// Its name; in a table that is encoded, the column of its vectors.
    pub name: String,
    /// Template of a text of its own, e.g. `"{title}"`, which is embedded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// A file of the data-set folder with ready-made vectors: ids and a list column of the view's
    /// name (Parquet; `items.parquet` itself will do), or an `.npy` file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<String>,
}

/// Refuses views of `key` that cannot work.
pub(super) fn check(key: &str, views: &[ViewConfig]) -> anyhow::Result<()> {
    let fault = |message: String| Err(UsageError(format!("config key `{key}`: {message}")).into());
    let mut names = BTreeSet::new();
    for ViewConfig { name, text, vectors } in views {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || name.len() > 64 || name.starts_with('-') || !name.chars().all(plain) {
            return fault(format!(
                "name: expected 1 to 64 letters, digits, `_` and `-`, found `{name}`"
            ));
        }
        if !names.insert(name) {
            return fault(format!("two views named `{name}`"));
        }
        if text.is_some() && vectors.is_some() {
            return fault(format!("view `{name}`: expected `text` or `vectors`, found both"));
        }
    }
    Ok(())
}
