//! The linear algebra of the truncated SVD.
//!
//! Matrices are row-major slices. Tall ones are f32, as they are large; what decides precision,
//! small square matrices and all sums over rows, is f64, which is why the f32 products of
//! `das-nn` do not serve here. Work is split into pieces of a fixed size, so that results do not
//! depend on the number of threads.

mod eigen;
mod orthonormal;
mod sparse;
mod svd;
mod tall;
mod vector;

pub(crate) use sparse::{Csr, accumulate_row};
pub(crate) use svd::{Svd, SvdOptions, truncated_svd};
