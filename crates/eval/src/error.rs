//! The errors of this crate.

use std::path::{Path, PathBuf};

/// What can go wrong while preparing, running or summing up an evaluation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A data set cannot be used for a task.
    #[error("{}: {message}", path.display())]
    Data {
        /// The data-set folder.
        path: PathBuf,
        /// What the task needs and what is there.
        message: String,
    },
    /// A file of semantic IDs does not fit the data set.
    #[error("{}: {message}", path.display())]
    Ids {
        /// The file.
        path: PathBuf,
        /// The id at fault, what was expected and what came.
        message: String,
    },
    /// A line of a record file is wrong.
    #[error("{}: line {line}: {message}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// Values handed in do not fit together.
    #[error("{0}")]
    Invalid(String),
    /// A shared file or type failed, or the work was interrupted.
    #[error(transparent)]
    Core(#[from] das_core::Error),
    /// The data set cannot be read or split.
    #[error(transparent)]
    DataSet(#[from] das_data::Error),
    /// A recommender cannot be trained or asked.
    #[error(transparent)]
    Recommend(#[from] das_recommend::Error),
    /// A tokenizer could not be provided.
    #[error("method `{method}`: {source}")]
    Tokenizer {
        /// The method.
        method: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn data(path: &Path, message: impl Into<String>) -> Error {
        Error::Data { path: path.to_path_buf(), message: message.into() }
    }

    pub(crate) fn ids(path: &Path, message: impl Into<String>) -> Error {
        Error::Ids { path: path.to_path_buf(), message: message.into() }
    }
}
