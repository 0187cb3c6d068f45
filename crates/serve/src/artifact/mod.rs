//! An artifact as it is served: mapped indexes, the tokenizer, embedders and the retriever.

mod load;
mod retriever;
mod side;

pub use load::{Source, load};
pub use retriever::{Found, LoadedRetriever};
pub use side::ServedSide;

use das_core::Side;
use das_core::artifact::Manifest;
use das_model::Tokenizer;

/// Characters of a [`Loaded::version`].
const VERSION_LENGTH: usize = 16;

/// An artifact in memory, checked and ready. Nothing of it changes.
pub struct Loaded {
    /// SHA-256 of the manifest's file.
    sha256: String,
    manifest: Manifest,
    tokenizer: Box<dyn Tokenizer>,
    sides: [Option<ServedSide>; 2],
    retriever: Option<LoadedRetriever>,
}

impl Loaded {
    /// Tells it from every other artifact: the first digits of the SHA-256 of its manifest, which lists
    /// the SHA-256 of every file.
    pub fn version(&self) -> &str {
        &self.sha256[..VERSION_LENGTH]
    }

    /// SHA-256 of its manifest's file.
    pub fn manifest_sha256(&self) -> &str {
        &self.sha256
    }

    /// In which space its codes have meaning, see [`Manifest::id_space`].
    pub fn id_space(&self) -> &str {
        &self.manifest.id_space
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What makes codes of content.
    pub fn tokenizer(&self) -> &dyn Tokenizer {
        &*self.tokenizer
    }

    /// A side, where it has IDs.
    pub fn side(&self, side: Side) -> Option<&ServedSide> {
        self.sides[side as usize].as_ref()
    }

    /// The sides that have IDs.
    pub fn sides(&self) -> impl Iterator<Item = &ServedSide> {
        self.sides.iter().flatten()
    }

    /// What recommends by history, where the artifact has it.
    pub fn retriever(&self) -> Option<&LoadedRetriever> {
        self.retriever.as_ref()
    }
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").field("version", &self.version()).finish_non_exhaustive()
    }
}
