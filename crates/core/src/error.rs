//! The errors of this crate.

use std::path::{Path, PathBuf};

/// What can go wrong with shared files and types.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused a file operation.
    #[error("{}: {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done, e.g. `cannot read`.
        action: &'static str,
        /// The system's own word.
        source: std::io::Error,
    },
    /// A file's content is not what its format says.
    #[error("{}: {message}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Row or field, what was expected and what came.
        message: String,
    },
    /// Values handed in do not fit together.
    #[error("{0}")]
    Invalid(String),
    /// The work was interrupted on request.
    #[error("interrupted")]
    Interrupted,
}

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Wraps an I/O error with its path; use as `.map_err(Error::io(path, "cannot read"))`.
    pub fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::Io { path, action, source }
    }

    /// A malformed file.
    pub fn format(path: &Path, message: impl Into<String>) -> Error {
        Error::Format { path: path.to_path_buf(), message: message.into() }
    }
}
