//! Products of matrices whose values are rounded to bfloat16, added up in single precision.
//!
//! Both factors are packed once, two values of neighbouring k as one word. The inner loop reads a
//! row of the right factor's panel, as wide as its sums, and one word from each of a few rows of the
//! left factor. AVX-512 BF16 multiplies such pairs at twice the rate of single precision;
//! elsewhere the same sums are made of widened values.

use std::ops::Range;

use rayon::prelude::*;

use super::gemm::{Mat, block_range, par_blocks};
use super::pool::{Pool, Scratch};
use super::simd::vectorize;

/// Rows and columns of a tile: as many sums as registers hold beside a row of the right factor.
const ROWS: usize = 12;
const COLS: usize = 32;
/// What a task computes, of both factors little enough for the second cache.
const TALL: usize = 16 * ROWS;
const WIDE: usize = 4 * COLS;
/// Panels that a task packs at once from rows that cross them.
const PANELS: usize = 8;

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
        words.par_chunks_mut(panel.max(1)).enumerate().for_each(|(index, words)| {
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

/// Packs neighbours in a row.
fn pack_row(row: &[f32], words: &mut [u32]) {
    #[cfg(target_arch = "x86_64")]
    if is_native() {
        // SAFETY: the processor has the instructions.
        return unsafe { avx512::join_neighbours(row, words) };
    }
    vectorize(
        #[inline(always)]
        || join_neighbours(row, words),
    );
}

#[inline(always)]
fn join_neighbours(row: &[f32], words: &mut [u32]) {
    let pairs = row.chunks_exact(2);
    let last = pairs.remainder().first();
    for (word, pair) in words.iter_mut().zip(pairs) {
        *word = join(pair[0], pair[1]);
    }
    if let (Some(word), Some(&value)) = (words.last_mut(), last) {
        *word = join(value, 0.0);
    }
}

#[inline(always)]
fn join_rows(low: &[f32], high: &[f32], words: &mut [u32]) {
    for (word, (&low, &high)) in words.iter_mut().zip(low.iter().zip(high)) {
        *word = join(low, high);
    }
}

/// Packs `x` `[k, lanes]` as `[lanes / LANES][k / 2][LANES]` words, zeros where there is nothing.
fn pack<const LANES: usize>(x: Mat<'_>, pairs: usize, packed: &mut [u32]) {
    let group = if x.is_row_major() { PANELS } else { 1 };
    let size = (group * LANES * pairs).max(1);
    packed.par_chunks_mut(size).enumerate().for_each(|(index, packed)| {
        let lanes = block_range(index, group * LANES, x.width());
        if x.is_row_major() {
            pack_across::<LANES>(x, lanes, pairs, packed);
        } else {
            vectorize(
                #[inline(always)]
                || pack_along::<LANES>(x.t(), lanes, packed),
            );
        }
    });
}

/// Panels of lanes that lie side by side.
fn pack_across<const LANES: usize>(
    x: Mat<'_>,
    lanes: Range<usize>,
    pairs: usize,
    packed: &mut [u32],
) {
    #[cfg(target_arch = "x86_64")]
    if is_native() {
        // SAFETY: the processor has the instructions.
        return unsafe { avx512::pack_across::<LANES>(x, lanes, pairs, packed) };
    }
    vectorize(
        #[inline(always)]
        || across::<LANES>(x, lanes, pairs, packed, join_rows),
    );
}

/// Panels of lanes that lie side by side, by a function that joins parts of two rows.
#[inline(always)]
fn across<const LANES: usize>(
    x: Mat<'_>,
    lanes: Range<usize>,
    pairs: usize,
    packed: &mut [u32],
    join_rows: impl Fn(&[f32], &[f32], &mut [u32]),
) {
    let zeros = [0.0; PANELS * COLS];
    for pair in 0..pairs {
        let low = &x.row(2 * pair)[lanes.clone()];
        let high = match 2 * pair + 1 {
            k if k < x.height() => &x.row(k)[lanes.clone()],
            _ => &zeros[..lanes.len()],
        };
        let panels = packed.chunks_exact_mut(LANES * pairs);
        for ((low, high), panel) in low.chunks(LANES).zip(high.chunks(LANES)).zip(panels) {
            let words = &mut panel[pair * LANES..][..LANES];
            words[low.len()..].fill(0);
            join_rows(low, high, words);
        }
    }
}

/// A panel of lanes each of which is a row of `x` `[lanes, k]`.
#[inline(always)]
fn pack_along<const LANES: usize>(x: Mat<'_>, lanes: Range<usize>, packed: &mut [u32]) {
    if lanes.len() < LANES {
        packed.fill(0);
    }
    for (lane, row) in lanes.enumerate() {
        let row = x.row(row);
        let pairs = row.chunks_exact(2);
        let last = pairs.remainder().first().map(|&value| join(value, 0.0));
        let words = packed[lane..].iter_mut().step_by(LANES);
        for (word, value) in words.zip(pairs.map(|pair| join(pair[0], pair[1])).chain(last)) {
            *word = value;
        }
    }
}

/// Two values in one word, the earlier in the lower half.
#[inline(always)]
fn join(low: f32, high: f32) -> u32 {
    round(low) >> 16 | round(high) & 0xffff_0000
}

/// The bits of the nearest bfloat16 in the upper half, of two equally near the even one; NaN stays
/// NaN.
#[inline(always)]
fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    if x.is_nan() { bits | 0x0040_0000 } else { rounded }
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

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        __m512bh, __m512i, __mmask16, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps, _mm512_loadu_si512,
        _mm512_mask_storeu_epi32, _mm512_maskz_loadu_ps, _mm512_mul_ps, _mm512_permutexvar_epi16,
        _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    };
    use std::mem::transmute;

    use super::{COLS, Left, Mat, ROWS, Range, Tile};

    /// The lower 16 values of 32 between the upper ones.
    const INTERLEAVED: [u16; 32] = {
        let mut places = [0; 32];
        let mut at = 0;
        while at < 16 {
            (places[2 * at], places[2 * at + 1]) = (at as u16, 16 + at as u16);
            at += 1;
        }
        places
    };

    /// The lanes of a register for which there are values.
    fn lanes(count: usize) -> __mmask16 {
        if count < 16 { (1 << count) - 1 } else { !0 }
    }

    /// 32 values, the first ones lower, as bfloat16.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn rounded(first: &[f32], second: &[f32]) -> __m512i {
        // SAFETY: as many values are read as there are.
        let [first, second] = [first, second]
            .map(|values| unsafe { _mm512_maskz_loadu_ps(lanes(values.len()), values.as_ptr()) });
        // SAFETY: both are 64 bytes of numbers.
        unsafe { transmute(_mm512_cvtne2ps_pbh(second, first)) }
    }

    /// [`super::join_neighbours`] by instructions for it.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) fn join_neighbours(row: &[f32], words: &mut [u32]) {
        for (row, words) in row.chunks(32).zip(words.chunks_mut(16)) {
            let (first, second) = row.split_at(row.len().min(16));
            let joined = rounded(first, second);
            // SAFETY: as many words are written as there is room for.
            unsafe {
                _mm512_mask_storeu_epi32(words.as_mut_ptr().cast(), lanes(words.len()), joined);
            }
        }
    }

    /// [`super::across`] by instructions for it.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) fn pack_across<const LANES: usize>(
        x: Mat<'_>,
        lanes: Range<usize>,
        pairs: usize,
        packed: &mut [u32],
    ) {
        super::across::<LANES>(x, lanes, pairs, packed, |low, high, words| {
            join_rows(low, high, words);
        });
    }

    /// [`super::join_rows`] by instructions for it.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn join_rows(low: &[f32], high: &[f32], words: &mut [u32]) {
        // SAFETY: 64 bytes are read.
        let interleaved = unsafe { _mm512_loadu_si512(INTERLEAVED.as_ptr().cast()) };
        for ((low, high), words) in low.chunks(16).zip(high.chunks(16)).zip(words.chunks_mut(16)) {
            let joined = _mm512_permutexvar_epi16(interleaved, rounded(low, high));
            let room = lanes(low.len().min(words.len()));
            // SAFETY: as many words are written as there is room for.
            unsafe { _mm512_mask_storeu_epi32(words.as_mut_ptr().cast(), room, joined) };
        }
    }

    /// [`super::widened`] by instructions for it.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) fn multiply(left: Left<'_>, right: &[u32], scale: f32) -> Tile {
        let pairs = right.len() / COLS;
        let last = (ROWS - 1) * left.row_stride + pairs.saturating_sub(1) * left.pair_stride;
        assert!(pairs == 0 || last < left.words.len(), "a panel of {ROWS} rows of {pairs} pairs");
        let mut sums = [[_mm512_setzero_ps(); COLS / 16]; ROWS];
        for (pair, right) in right.chunks_exact(COLS).enumerate() {
            let columns: [__m512bh; COLS / 16] = std::array::from_fn(|at| {
                let right = &right[16 * at..][..16];
                // SAFETY: 16 words are read, and any bits are pairs.
                unsafe { transmute(_mm512_loadu_si512(right.as_ptr().cast())) }
            });
            for (row, sums) in sums.iter_mut().enumerate() {
                let at = row * left.row_stride + pair * left.pair_stride;
                // SAFETY: `row < ROWS` and `pair < pairs`, whose words are there as asserted.
                let x = unsafe { *left.words.get_unchecked(at) };
                // SAFETY: any bits are pairs.
                let x: __m512bh = unsafe { transmute(_mm512_set1_epi32(x as i32)) };
                for (sum, &column) in sums.iter_mut().zip(&columns) {
                    *sum = _mm512_dpbf16_ps(*sum, column, x);
                }
            }
        }
        let scale = _mm512_set1_ps(scale);
        let mut tile = [[0.0; COLS]; ROWS];
        for (tile, sums) in tile.iter_mut().zip(sums) {
            for (tile, sum) in tile.chunks_exact_mut(16).zip(sums) {
                // SAFETY: 16 values are written.
                unsafe { _mm512_storeu_ps(tile.as_mut_ptr(), _mm512_mul_ps(sum, scale)) };
            }
        }
        tile
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quarters that bfloat16 holds, of which products add up without rounding.
    fn value(i: usize) -> f32 {
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
            (0..count).map(|i| join(value(i), value(3 * i + 1))).collect()
        };
        let (left, right) = (pairs(20 * ROWS), pairs(20 * COLS));
        for (row_stride, pair_stride) in [(1, ROWS), (20, 1)] {
            let left = Left { words: &left, panel: left.len(), row_stride, pair_stride };
            assert_eq!(widened(left, &right, 0.5), multiply(left, &right, 0.5));
        }
    }

    #[test]
    fn without_instructions_for_it_words_are_the_same() {
        let row: Vec<f32> = (0..101).map(|i| value(i) * 1.234_567e-3 + 1.0).collect();
        for count in 1..row.len() {
            let row = &row[..count];
            let mut words = [vec![7; count.div_ceil(2)], vec![9; count.div_ceil(2)]];
            join_neighbours(row, &mut words[0]);
            pack_row(row, &mut words[1]);
            assert_eq!(words[0], words[1]);
        }
        let x = Mat::new(&row[..99], 9, 11);
        let mut words = [vec![7; 5 * ROWS], vec![9; 5 * ROWS]];
        across::<ROWS>(x, 0..11, 5, &mut words[0], join_rows);
        pack_across::<ROWS>(x, 0..11, 5, &mut words[1]);
        assert_eq!(words[0], words[1]);
    }

    #[test]
    fn values_round_to_the_nearest_and_ties_to_even() {
        let rounded = |x: f32| f32::from_bits(round(x) & 0xffff_0000);
        let step = 1.0 / 128.0;
        for (x, expected) in [
            (1.0 + 0.49 * step, 1.0),
            (1.0 + 0.51 * step, 1.0 + step),
            (1.0 + 0.5 * step, 1.0),
            (1.0 + 1.5 * step, 1.0 + 2.0 * step),
            (-1.0 - 1.5 * step, -1.0 - 2.0 * step),
            (f32::INFINITY, f32::INFINITY),
            (f32::MAX, f32::INFINITY),
        ] {
            assert_eq!(rounded(x), expected, "{x}");
        }
        for bits in [0x7f80_0001, 0x7fff_ffff, 0xffff_ffff] {
            assert!(rounded(f32::from_bits(bits)).is_nan());
        }
        for i in 0..10_000 {
            let x = value(i) * 1.234_567e-3 * (i as f32);
            assert!((rounded(x) - x).abs() <= x.abs() / 256.0);
        }
    }
}
