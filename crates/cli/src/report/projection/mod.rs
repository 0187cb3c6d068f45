//! High-dimensional vectors as points in a plane.

mod pca;
mod tsne;

pub use pca::principal_components;
pub use tsne::tsne;
