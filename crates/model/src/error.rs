//! The errors of this crate.

/// What can go wrong while configuring, training or encoding.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting has a value that cannot work.
    #[error("config key `{key}`: expected {expected}, found {found}")]
    Config {
        /// The key as written in the TOML file, with its sections.
        key: String,
        /// What is allowed there.
        expected: String,
        /// What came.
        found: String,
    },
    /// Inputs do not fit the model or each other.
    #[error("{0}")]
    Invalid(String),
    /// Training left the range of finite numbers.
    #[error(
        "step {step}: loss term `{term}` is {value}; lower the method's learning rates, or check the content vectors"
    )]
    Diverged {
        /// The optimizer step, from 0.
        step: u64,
        /// The first term that is not finite.
        term: String,
        /// Its value.
        value: f32,
    },
    /// No usable checkpoint to resume from.
    #[error("{0}")]
    Checkpoint(String),
    /// A shared file or type failed, or the work was interrupted.
    #[error(transparent)]
    Core(#[from] das_core::Error),
    /// The engine refused parameters or a tensor file.
    #[error(transparent)]
    Nn(#[from] das_nn::Error),
}

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A bad setting.
    pub(crate) fn config(
        key: impl Into<String>,
        expected: impl Into<String>,
        found: impl std::fmt::Display,
    ) -> Error {
        Error::Config { key: key.into(), expected: expected.into(), found: found.to_string() }
    }
}
