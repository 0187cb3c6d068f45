//! How failures are told: what is printed, and the one distinction that exit codes make, wrong call
//! (2) or failed work (1).

/// The call, a flag or a setting is wrong; nothing was started.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// The error and its causes. Many an error ends with the words of its cause already.
pub fn message(error: &anyhow::Error) -> String {
    let mut told = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !told.ends_with(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

/// 2 for wrong usage, 1 for anything else.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<UsageError>().is_some() { 2 } else { 1 }
}
