//! Products in the precision that the device was made with.

use std::ops::Range;

use super::bf16::{self, Panels};
use super::gemm::{self, Mat};
use super::pool::Pool;
use crate::device::Precision;

/// How linear layers and contrasts multiply.
#[derive(Clone, Copy)]
pub(super) struct Products<'p> {
    pub(super) precision: Precision,
    pub(super) pool: &'p Pool,
}

/// A factor on the right of many products.
pub(super) enum Right<'a> {
    F32(Mat<'a>),
    Bf16(Panels<'a>),
}

impl<'p> Products<'p> {
    /// `dst = a b`, in parallel; then `finish(columns, part of a row)` on everything written,
    /// while it is in cache.
    pub(super) fn par_product_then(
        self,
        a: Mat<'_>,
        b: Mat<'_>,
        dst: &mut [f32],
        finish: impl Fn(Range<usize>, &mut [f32]) + Sync,
    ) {
        match self.precision {
            Precision::F32 => gemm::par_product_then(a, b, dst, finish),
            Precision::Bf16 => bf16::par_product_then(self.pool, a, b, dst, finish),
        }
    }

    /// `dst = a b`, in parallel.
    pub(super) fn par_product(self, a: Mat<'_>, b: Mat<'_>, dst: &mut [f32]) {
        self.par_product_then(a, b, dst, |_, _| ());
    }

    /// `b` as [`Products::product`] takes it.
    pub(super) fn right(self, b: Mat<'p>) -> Right<'p> {
        match self.precision {
            Precision::F32 => Right::F32(b),
            Precision::Bf16 => Right::Bf16(Panels::pack(self.pool, b)),
        }
    }

    /// `dst = scale · a b` on this thread.
    pub(super) fn product(self, a: Mat<'_>, b: &Right<'_>, scale: f32, dst: &mut [f32]) {
        match b {
            Right::F32(b) => gemm::product(a, *b, scale, dst),
            Right::Bf16(b) => bf16::product(self.pool, a, b, scale, dst),
        }
    }
}
