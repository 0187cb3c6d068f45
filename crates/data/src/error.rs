//! The errors of this crate: each names the file and the row, line, column or id at fault.

use std::path::{Path, PathBuf};

/// What can go wrong with data sets, importers and the settings handed to them.
///
/// Rows of a Parquet or `.npy` file count from 0, lines of a text file from 1.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A shared file operation or type failed.
    #[error(transparent)]
    Core(#[from] das_core::Error),
    /// A required column is not there.
    #[error("{}: no column `{column}` (expected {expected}); columns present: {present}", path.display())]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column looked for.
        column: String,
        /// What the column should hold.
        expected: &'static str,
        /// The columns that the file has.
        present: String,
    },
    /// A column has a type that cannot be used.
    #[error("{}: column `{column}`: expected {expected}, found {found}; columns present: {present}", path.display())]
    ColumnType {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// What the column should hold.
        expected: &'static str,
        /// What it holds.
        found: String,
        /// The columns that the file has, with their types.
        present: String,
    },
    /// A row of a binary table is wrong.
    #[error("{}: row {row}: {message}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The row, counted from 0.
        row: usize,
        /// The column or id, what was expected and what came.
        message: String,
    },
    /// A line of a text file is wrong.
    #[error("{}: line {line}: {message}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// The field, what was expected and what came.
        message: String,
    },
    /// A file as a whole is wrong.
    #[error("{}: {message}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A Parquet file cannot be decoded or encoded: truncated, corrupt or not Parquet at all.
    #[error("{}: Parquet: {source}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The decoder's own word.
        source: parquet::errors::ParquetError,
    },
    /// A setting is wrong.
    #[error("{0}")]
    Config(String),
}

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn row(path: &Path, row: usize, message: impl Into<String>) -> Error {
        Error::Row { path: path.to_path_buf(), row, message: message.into() }
    }

    pub(crate) fn line(path: &Path, line: u64, message: impl Into<String>) -> Error {
        Error::Line { path: path.to_path_buf(), line, message: message.into() }
    }

    pub(crate) fn file(path: &Path, message: impl Into<String>) -> Error {
        Error::File { path: path.to_path_buf(), message: message.into() }
    }

    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        let wrap = das_core::Error::io(path, action);
        move |source| Error::Core(wrap(source))
    }

    pub(crate) fn parquet(path: &Path) -> impl Fn(parquet::errors::ParquetError) -> Error {
        let path = path.to_path_buf();
        move |source| Error::Parquet { path: path.clone(), source }
    }
}
