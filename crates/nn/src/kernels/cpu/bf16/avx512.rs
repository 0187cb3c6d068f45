//! Packing and multiplying by AVX-512 BF16.

use std::arch::x86_64::{
    __m512bh, __m512i, __mmask16, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps, _mm512_loadu_si512,
    _mm512_mask_storeu_epi32, _mm512_maskz_loadu_ps, _mm512_mul_ps, _mm512_permutexvar_epi16,
    _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
};
use std::mem::transmute;
use std::ops::Range;

use super::{COLS, Left, ROWS, Tile, pack};
use crate::kernels::cpu::gemm::Mat;

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

/// Joins neighbours in a row by instructions for it.
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

/// [`pack::across`] by instructions for it.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn pack_across<const LANES: usize>(
    x: Mat<'_>,
    lanes: Range<usize>,
    pairs: usize,
    packed: &mut [u32],
) {
    pack::across::<LANES>(x, lanes, pairs, packed, |low, high, words| {
        join_rows(low, high, words);
    });
}

/// Joins parts of two rows by instructions for it.
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
