//! Nearest codes.

use super::cpu::quantize::{self, Book};

/// The result of [`assign`].
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// Index of the nearest code of each row; the lowest index wins ties.
    pub codes: Vec<u32>,
    /// Squared distance to it, never negative.
    pub distances: Vec<f32>,
}

/// The nearest row of `codebook` `[k, d]` to each row of `x` `[n, d]`, by
/// `‖x - e‖² = ‖x‖² - 2 x · e + ‖e‖²`.
///
/// # Panics
/// If the codebook is empty or a length is no multiple of `d`.
pub fn assign(x: &[f32], codebook: &[f32], d: usize) -> Assignment {
    let book = Book::new(codebook, d);
    assert_eq!(x.len() % d, 0, "rows of width {d}");
    let n = x.len() / d;
    let (mut codes, mut distances) = (vec![0; n], vec![0.0; n]);
    quantize::assign(x, &book, &mut codes, &mut distances);
    Assignment { codes, distances }
}
