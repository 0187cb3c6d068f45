//! What values must be, said by the key that they stand under.

use crate::{Error, Result};

/// Codebooks above this size are refused: a code must fit the 24-bit range that exports promise.
const MAX_CODEBOOK_SIZE: u32 = 1 << 20;
/// More levels than this cannot be written as token strings `<a_…> … <z_…>`.
const MAX_LEVELS: usize = 26;
/// No layer is wider.
pub(super) const MAX_WIDTH: usize = 1 << 16;

/// Refuses widths of hidden layers that cannot work.
pub(crate) fn hidden_widths(key: &str, widths: &[usize]) -> Result<()> {
    widths
        .iter()
        .enumerate()
        .try_for_each(|(at, &width)| positive_width(&format!("{key}[{at}]"), width))
}

/// Refuses codebooks that cannot work.
pub(crate) fn codebook_sizes(key: &str, sizes: &[u32]) -> Result<()> {
    if !(1..=MAX_LEVELS).contains(&sizes.len()) {
        return Err(Error::config(key, format!("1 to {MAX_LEVELS} levels"), sizes.len()));
    }
    for (level, &size) in sizes.iter().enumerate() {
        if !(2..=MAX_CODEBOOK_SIZE).contains(&size) {
            let key = format!("{key}[{level}]");
            return Err(Error::config(key, format!("2 to {MAX_CODEBOOK_SIZE}"), size));
        }
    }
    Ok(())
}

pub(crate) fn positive_width(key: &str, value: usize) -> Result<()> {
    if (1..=MAX_WIDTH).contains(&value) {
        return Ok(());
    }
    Err(Error::config(key, format!("1 to {MAX_WIDTH}"), value))
}

pub(crate) fn at_least_one(key: &str, value: usize) -> Result<()> {
    if value > 0 {
        return Ok(());
    }
    Err(Error::config(key, "at least 1", value))
}

/// Checks a share, such as that of the steps spent on warm-up.
pub(crate) fn share(key: &str, value: f32) -> Result<()> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::config(key, "0 up to, not including, 1", value))
}

pub(crate) fn positive(key: &str, value: f32) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(Error::config(key, "a finite number above 0", value))
}

pub(crate) fn non_negative(key: &str, value: f32) -> Result<()> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(Error::config(key, "a finite number, 0 or more", value))
}
