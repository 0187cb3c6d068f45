//! The errors of this crate.

/// What can go wrong while configuring, training or asking a recommender.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting has a value that cannot work.
    #[error("config key `{key}`: expected {expected}, found {found}")]
    Config {
        /// The key, with the sections it lies in.
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
    #[error("step {step}: the loss is {loss}; lower fit.learning_rate")]
    Diverged {
        /// The optimizer step, from 0.
        step: u64,
        /// The loss found there.
        loss: f32,
    },
    /// No usable checkpoint to resume from.
    #[error("{0}")]
    Checkpoint(String),
    /// A stored model is not what its format says.
    #[error("stored {model}: {message}")]
    Stored {
        /// The kind of model.
        model: &'static str,
        /// What was expected and what came.
        message: String,
    },
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

    /// The same, with the section that its key lies in.
    pub(crate) fn within(self, section: &str) -> Error {
        match self {
            Error::Config { key, expected, found } => {
                Error::Config { key: format!("{section}.{key}"), expected, found }
            }
            other => other,
        }
    }
}
