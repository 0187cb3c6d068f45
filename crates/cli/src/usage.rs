//! The one distinction that exit codes make: wrong call (2) or failed work (1).

/// The call, a flag or a setting is wrong; nothing was started.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// 2 for wrong usage, 1 for anything else.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<UsageError>().is_some() { 2 } else { 1 }
}
