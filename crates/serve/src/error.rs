//! What goes wrong with artifacts and stores, and how a request is refused.

use std::path::PathBuf;
use std::time::Duration;

/// When what was refused for want of room may be tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What keeps a service from starting, or a version from being loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An artifact that cannot be read or is not what its manifest says.
    #[error(transparent)]
    Core(#[from] das_core::Error),
    /// A tokenizer that cannot be used.
    #[error(transparent)]
    Model(#[from] das_model::Error),
    /// An embedder that cannot be opened.
    #[error(transparent)]
    Content(#[from] das_content::Error),
    /// A retriever that cannot be used.
    #[error(transparent)]
    Recommend(#[from] das_recommend::Error),
    /// The store of later entities failed.
    #[error("{}: {message}", path.display())]
    Store {
        /// The store's file.
        path: PathBuf,
        /// What happened.
        message: String,
    },
    /// Parts that do not fit together.
    #[error("{0}")]
    Invalid(String),
}

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request was not answered. Its message goes to the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What kind of reason.
    pub kind: Kind,
    /// Which field or row, what was expected and what came.
    pub message: String,
}

/// Kinds of refusal, each with its status in HTTP and gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request itself is wrong.
    Invalid,
    /// It is larger than the limits.
    TooLarge,
    /// What it names is not there.
    NotFound,
    /// It needs a key and has none that is known.
    Unauthenticated,
    /// Its key does not allow it.
    Forbidden,
    /// The artifact has no such part, e.g. no retriever.
    Unsupported,
    /// There is more work than can be done; it may be repeated after the time given.
    Overloaded(Duration),
    /// Its deadline passed before it was its turn.
    Late,
    /// The service is stopping.
    Stopping,
    /// A defect of the service; what happened is in its log.
    Internal,
}

impl Kind {
    /// Its name in answers and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Invalid => "invalid",
            Kind::TooLarge => "too_large",
            Kind::NotFound => "not_found",
            Kind::Unauthenticated => "unauthenticated",
            Kind::Forbidden => "forbidden",
            Kind::Unsupported => "unsupported",
            Kind::Overloaded(_) => "overloaded",
            Kind::Late => "late",
            Kind::Stopping => "stopping",
            Kind::Internal => "internal",
        }
    }
}

impl Refusal {
    /// A refusal of a kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Refusal {
        Refusal { kind, message: message.into() }
    }

    /// A request that is wrong in itself.
    pub fn invalid(message: impl Into<String>) -> Refusal {
        Refusal::new(Kind::Invalid, message)
    }

    /// More work than can be done.
    pub fn overloaded(message: impl Into<String>) -> Refusal {
        Refusal::new(Kind::Overloaded(RETRY_AFTER), message)
    }

    /// Its deadline passed before its turn came.
    pub fn late() -> Refusal {
        Refusal::new(Kind::Late, "the deadline passed while the request was waiting")
    }

    /// The service takes nothing more.
    pub fn stopping() -> Refusal {
        Refusal::new(Kind::Stopping, "the service is stopping")
    }

    /// A defect: logged, and not told to the client.
    pub fn internal(cause: impl std::fmt::Display) -> Refusal {
        tracing::error!(%cause, "internal error");
        Refusal::new(Kind::Internal, "internal error; the service's log says more")
    }
}
