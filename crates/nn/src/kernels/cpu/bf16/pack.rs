//! Factors as words of two neighbouring values of k.

use std::ops::Range;

use rayon::prelude::*;

use super::COLS;
#[cfg(target_arch = "x86_64")]
use super::{avx512, is_native};
use crate::kernels::cpu::gemm::{Mat, block_range};
use crate::kernels::cpu::simd::vectorize;

/// Panels that a task packs at once from rows that cross them.
const PANELS: usize = 8;

/// Packs neighbours in a row.
pub(super) fn pack_row(row: &[f32], words: &mut [u32]) {
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
pub(super) fn pack<const LANES: usize>(x: Mat<'_>, pairs: usize, packed: &mut [u32]) {
    let group = if x.is_row_major() { PANELS } else { 1 };
    let size = (group * LANES * pairs).max(1);
    packed.par_chunks_mut(size).enumerate().for_each(|(index, packed)| {
        let lanes = block_range(index, group * LANES, x.width());
        if x.is_row_major() {
            pack_across::<LANES>(x, lanes, pairs, packed);
        } else {
            pack_along::<LANES>(x.t(), lanes, pairs, packed);
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
pub(super) fn across<const LANES: usize>(
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
fn pack_along<const LANES: usize>(
    x: Mat<'_>,
    lanes: Range<usize>,
    pairs: usize,
    packed: &mut [u32],
) {
    if lanes.len() < LANES {
        packed.fill(0);
    }
    let mut words = vec![0; pairs];
    for (lane, row) in lanes.enumerate() {
        pack_row(x.row(row), &mut words);
        for (place, &word) in packed[lane..].iter_mut().step_by(LANES).zip(&words) {
            *place = word;
        }
    }
}

/// Two values in one word, the earlier in the lower half.
#[inline(always)]
pub(super) fn join(low: f32, high: f32) -> u32 {
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

#[cfg(test)]
mod tests {
    use super::super::ROWS;
    use super::super::tests::value;
    use super::*;

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
