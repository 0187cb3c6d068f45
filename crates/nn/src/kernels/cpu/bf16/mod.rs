//! Products of matrices whose values are rounded to bfloat16, added up in single precision.
//!
//! Both factors are packed once, two values of neighbouring k as one word. The inner loop reads a
//! row of the right factor's panel, as wide as its sums, and one word from each of a few rows of the
//! left factor. AVX-512 BF16 multiplies such pairs at twice the rate of single precision;
//! elsewhere the same sums are made of widened values.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod pack;

use std::ops::Range;

use rayon::prelude::*;

use self::pack::{pack, pack_row};
use super::gemm::{Mat, block_range, par_blocks};
use super::pool::{Pool, Scratch};
use super::simd::vectorize;

/// Rows and columns of a tile: as many sums as registers hold beside a row of the right factor.
const ROWS: usize = 12;
const COLS: usize = 32;
/// What a task computes, of both factors little enough for the second cache.
const TALL: usize = 16 * ROWS;
const WIDE: usize = 4 * COLS;

type Tile = [[f32; COLS]; ROWS];

/// `dst = a b`, in parallel; then `finish(columns, part of a row)` on everything written, while
/// it is in cache.
pub(super) fn par_product_then(
    pool: &Pool,
    a: Mat<'_>,
    b: Mat<'_>,
    dst: &mut [f32],
    finish: impl Fn(Range<usize>, &mut [f32]) + Sync,
) {
    let mut left = pool.scratch(Left::room(a));
    let (left, right) = rayon::join(
        || Left::pack(a, bytemuck::must_cast_slice_mut(&mut left)),
        || Panels::pack(pool, b),
    );
    let shape = (a.height(), b.width());
    par_blocks(dst, shape, (TALL, WIDE), |mut block, rows, cols| {
        for column in cols.clone().step_by(COLS) {
            for row in rows.clone().step_by(ROWS) {
                let tile = multiply(left.from(row), right.from(column), 1.0);
                for (row, tile) in (row - rows.start..rows.len()).zip(&tile) {
                    store(tile, &mut block.row_mut(row)[column - cols.start..]);
                }
            }
        }
        for row in 0..rows.len() {
            finish(cols.clone(), block.row_mut(row));
        }
    });
}

/// `dst = scale · a b` on this thread.
pub(super) fn product(pool: &Pool, a: Mat<'_>, b: &Panels<'_>, scale: f32, dst: &mut [f32]) {
    assert_eq!(dst.len(), a.height() * b.width, "product output");
    let mut left = pool.scratch(Left::room(a));
    let left = Left::pack(a, bytemuck::must_cast_slice_mut(&mut left));
    for column in (0..b.width).step_by(COLS) {
        for row in (0..a.height()).step_by(ROWS) {
            let tile = multiply(left.from(row), b.from(column), scale);
            for (dst, tile) in dst[row * b.width..].chunks_exact_mut(b.width).zip(&tile) {
                store(tile, &mut dst[column..]);
            }
        }
    }
}

/// The part of a row of a tile for which there is room.
fn store(values: &[f32; COLS], dst: &mut [f32]) {
    match dst.first_chunk_mut() {
        Some(dst) => *dst = *values,
        None => dst.copy_from_slice(&values[..dst.len()]),
    }
}

/// A factor on the right: [`COLS`] columns after another.
pub(super) struct Panels<'p> {
    words: Scratch<'p>,
    width: usize,
    /// Words of a panel.
    panel: usize,
}

impl<'p> Panels<'p> {
    pub(super) fn pack(pool: &'p Pool, b: Mat<'_>) -> Panels<'p> {
        let (width, pairs) = (b.width(), b.height().div_ceil(2));
        let mut words = pool.scratch(width.next_multiple_of(COLS) * pairs);
        pack::<COLS>(b, pairs, bytemuck::must_cast_slice_mut(&mut words));
        Panels { words, width, panel: COLS * pairs }
    }

    /// The panel that starts at a column.
    fn from(&self, column: usize) -> &[u32] {
        let words = &self.words[column / COLS * self.panel..][..self.panel];
        bytemuck::must_cast_slice(words)
    }
}

/// The left factor: row `r` has its word `p` at `r row_stride + p pair_stride` of each panel of
/// [`ROWS`] rows.
#[derive(Clone, Copy)]
struct Left<'a> {
    words: &'a [u32],
    /// Words of a panel.
    panel: usize,
    row_stride: usize,
    pair_stride: usize,
}

impl<'a> Left<'a> {
    /// The words that packing takes.
    fn room(a: Mat<'_>) -> usize {
        a.height().next_multiple_of(ROWS) * a.width().div_ceil(2)
    }

    /// Rows whose values are neighbours stay rows, others become panels.
    fn pack(a: Mat<'_>, words: &'a mut [u32]) -> Left<'a> {
        let pairs = a.width().div_ceil(2);
        let panel = ROWS * pairs;
        if !a.is_row_major() {
            pack::<ROWS>(a.t(), pairs, words);
            return Left { words, panel, row_stride: 1, pair_stride: ROWS };
        }
        let panels = words.par_chunks_mut(panel.max(1)).enumerate();
        // What a task multiplies is packed on its own thread.
        panels.with_min_len(TALL / ROWS).for_each(|(index, words)| {
            let rows = block_range(index, ROWS, a.height());
            words[rows.len() * pairs..].fill(0);
            for (row, words) in rows.zip(words.chunks_exact_mut(pairs)) {
                pack_row(a.row(row), words);
            }
        });
        Left { words, panel, row_stride: pairs, pair_stride: 1 }
    }

    /// The panel that starts at a row.
    fn from(self, row: usize) -> Left<'a> {
        Left { words: &self.words[row / ROWS * self.panel..][..self.panel], ..self }
    }
}

/// Whether this processor multiplies pairs.
pub(crate) fn is_native() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// The product of a panel of rows and one of columns `[k / 2][COLS]`, times `scale`.
#[inline(always)]
fn multiply(left: Left<'_>, right: &[u32], scale: f32) -> Tile {
    #[cfg(target_arch = "x86_64")]
    if is_native() {
        // SAFETY: the processor has the instructions.
        return unsafe { avx512::multiply(left, right, scale) };
    }
    vectorize(
        #[inline(always)]
        || widened(left, right, scale),
    )
}

/// The same without instructions for it.
#[inline(always)]
fn widened(left: Left<'_>, right: &[u32], scale: f32) -> Tile {
    let low = |pair: u32| f32::from_bits(pair << 16);
    let high = |pair: u32| f32::from_bits(pair & 0xffff_0000);
    let mut sums = [[0.0; COLS]; ROWS];
    for (pair, right) in right.chunks_exact(COLS).enumerate() {
        for (row, sums) in sums.iter_mut().enumerate() {
            let x = left.words[row * left.row_stride + pair * left.pair_stride];
            for (sum, &y) in sums.iter_mut().zip(right) {
                *sum = high(x).mul_add(high(y), low(x).mul_add(low(y), *sum));
            }
        }
    }
    sums.iter_mut().flatten().for_each(|sum| *sum *= scale);
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quarters that bfloat16 holds, of which products add up without rounding.
    pub(super) fn value(i: usize) -> f32 {
        ((i * 37) % 61) as f32 * 0.25 - 7.5
    }

    #[test]
    fn equals_the_plain_loop_at_any_shape_and_orientation() {
        let pool = Pool::default();
        for (m, k, n) in [
            (1, 1, 1),
            (3, 0, 2),
            (0, 4, 3),
            (12, 2, 32),
            (13, 7, 33),
            (205, 65, 31),
            (50, 40, 300),
        ] {
            let a: Vec<f32> = (0..m * k).map(value).collect();
            let b: Vec<f32> = (0..k * n).map(|i| value(i + 5)).collect();
            let expected: Vec<f32> = (0..m * n)
                .map(|ij| (0..k).map(|l| a[ij / n * k + l] * b[l * n + ij % n]).sum::<f32>() + 1.0)
                .collect();
            let flipped = |x: &[f32], rows: usize, cols: usize| -> Vec<f32> {
                (0..rows * cols).map(|ji| x[ji % rows * cols + ji / rows]).collect()
            };
            let (at, bt) = (flipped(&a, m, k), flipped(&b, k, n));
            for a in [Mat::new(&a, m, k), Mat::new(&at, k, m).t()] {
                for b in [Mat::new(&b, k, n), Mat::new(&bt, n, k).t()] {
                    let mut dst = vec![f32::NAN; m * n];
                    par_product_then(&pool, a, b, &mut dst, |columns, row| {
                        assert_eq!(columns.len(), row.len());
                        row.iter_mut().for_each(|y| *y += 1.0);
                    });
                    assert_eq!(dst, expected, "{m} x {k} x {n}");
                }
            }
        }
    }

    #[test]
    fn without_instructions_for_it_the_sums_are_the_same() {
        let pairs = |count: usize| -> Vec<u32> {
            (0..count).map(|i| pack::join(value(i), value(3 * i + 1))).collect()
        };
        let (left, right) = (pairs(20 * ROWS), pairs(20 * COLS));
        for (row_stride, pair_stride) in [(1, ROWS), (20, 1)] {
            let left = Left { words: &left, panel: left.len(), row_stride, pair_stride };
            assert_eq!(widened(left, &right, 0.5), multiply(left, &right, 0.5));
        }
    }
}
