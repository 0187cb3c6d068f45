//! What a training run publishes, and the only place where trainer, evaluator, server and
//! exporters meet: a folder that appears all at once.
//!
//! | File | Content |
//! |---|---|
//! | `manifest.json` | [`Manifest`]: what this is, and size and SHA-256 of every other file |
//! | `model.safetensors` | encoders, codebooks and whatever else the method needs |
//! | `config.toml` | the configuration as resolved |
//! | `item_sids.parquet`, `user_sids.parquet` | the IDs, see [`crate::sid::files`] |
//! | `item_sids.index`, `user_sids.index` | the same, to be looked up in place, see [`crate::sid::index`] |
//! | `embedder/<side>/…` | the fitted state of a side's text embedder, where there is one |
//! | `<recommender>/model.safetensors` | what was trained on the IDs later: a retriever, a ranker |
//!
//! [`ArtifactWriter`] builds the folder out of sight and renames it into place; [`Artifact`]
//! trusts nothing in it before it has been checked.

mod manifest;
mod names;
mod reader;
mod rename;
mod staging;
mod writer;

pub use manifest::{FORMAT_VERSION, FileEntry, Manifest, SideManifest, ViewManifest};
pub use names::{
    CONFIG_FILE, MANIFEST_FILE, MODEL_FILE, embedder_file, index_file, recommender_file, sids_file,
};
pub use reader::Artifact;
pub use staging::Existing;
pub use writer::{ArtifactWriter, SideContent};

#[cfg(test)]
mod tests;
