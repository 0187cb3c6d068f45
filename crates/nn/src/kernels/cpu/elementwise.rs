//! Element by element, and sums over all elements.

use rayon::prelude::*;

use super::simd::{self, vectorize};

/// Values per task.
const CHUNK: usize = 1 << 14;

pub(super) fn fill(dst: &mut [f32], value: f32) {
    dst.par_chunks_mut(CHUNK).for_each(|dst| dst.fill(value));
}

pub(super) fn copy(src: &[f32], dst: &mut [f32]) {
    zip(src, dst, |src, dst| dst.copy_from_slice(src));
}

pub(super) fn add(src: &[f32], dst: &mut [f32]) {
    zip(src, dst, |src, dst| {
        vectorize(
            #[inline(always)]
            || dst.iter_mut().zip(src).for_each(|(d, s)| *d += s),
        );
    });
}

pub(super) fn sum(a: &[f32], b: &[f32], dst: &mut [f32]) {
    zip2(a, b, dst, |a, b, dst| {
        vectorize(
            #[inline(always)]
            || dst.iter_mut().zip(a.iter().zip(b)).for_each(|(d, (a, b))| *d = a + b),
        );
    });
}

pub(super) fn multiply(a: &[f32], b: &[f32], dst: &mut [f32]) {
    zip2(a, b, dst, |a, b, dst| {
        vectorize(
            #[inline(always)]
            || dst.iter_mut().zip(a.iter().zip(b)).for_each(|(d, (a, b))| *d = a * b),
        );
    });
}

/// `dst = a ⊙ b + dst`.
pub(super) fn accumulate_product(a: &[f32], b: &[f32], dst: &mut [f32]) {
    zip2(a, b, dst, |a, b, dst| {
        vectorize(
            #[inline(always)]
            || dst.iter_mut().zip(a.iter().zip(b)).for_each(|(d, (a, b))| *d = a.mul_add(*b, *d)),
        );
    });
}

pub(super) fn scale(dst: &mut [f32], factor: f32) {
    dst.par_chunks_mut(CHUNK).for_each(|dst| {
        vectorize(
            #[inline(always)]
            move || dst.iter_mut().for_each(|d| *d *= factor),
        )
    });
}

pub(super) fn difference(a: &[f32], b: &[f32], factor: f32, dst: &mut [f32]) {
    zip2(a, b, dst, |a, b, dst| {
        vectorize(
            #[inline(always)]
            move || {
                dst.iter_mut().zip(a.iter().zip(b)).for_each(|(d, (a, b))| *d = factor * (a - b))
            },
        );
    });
}

pub(super) fn square_sum(x: &[f32]) -> f64 {
    sum_in_order(x.par_chunks(CHUNK).map(|x| {
        vectorize(
            #[inline(always)]
            || simd::square_sum(x),
        )
    }))
}

pub(super) fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    let chunks = a.par_chunks(CHUNK).zip(b.par_chunks(CHUNK));
    sum_in_order(chunks.map(|(a, b)| {
        vectorize(
            #[inline(always)]
            || simd::squared_distance(a, b),
        )
    }))
}

/// Adds partial sums from first to last, whichever finished first.
pub(super) fn sum_in_order(partial: impl IndexedParallelIterator<Item = f64>) -> f64 {
    partial.collect::<Vec<f64>>().into_iter().sum()
}

/// Chunks of something optional: `count` of them either way.
pub(super) fn optional_chunks(
    values: Option<&mut [f32]>,
    size: usize,
    count: usize,
) -> Vec<Option<&mut [f32]>> {
    match values {
        Some(values) => values.chunks_mut(size).map(Some).collect(),
        None => (0..count).map(|_| None).collect(),
    }
}

fn zip(src: &[f32], dst: &mut [f32], f: impl Fn(&[f32], &mut [f32]) + Sync) {
    assert_eq!(src.len(), dst.len(), "operands of one length");
    dst.par_chunks_mut(CHUNK).zip(src.par_chunks(CHUNK)).for_each(|(dst, src)| f(src, dst));
}

fn zip2(a: &[f32], b: &[f32], dst: &mut [f32], f: impl Fn(&[f32], &[f32], &mut [f32]) + Sync) {
    assert!(a.len() == dst.len() && b.len() == dst.len(), "operands of one length");
    let operands = a.par_chunks(CHUNK).zip(b.par_chunks(CHUNK));
    dst.par_chunks_mut(CHUNK).zip(operands).for_each(|(dst, (a, b))| f(a, b, dst));
}
