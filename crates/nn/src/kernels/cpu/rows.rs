//! Rows and columns by index, and rows of unit length.

use rayon::prelude::*;

use super::simd::{dot, vectorize};
use crate::row_groups::RowGroups;

/// Rows per task.
const ROWS: usize = 64;
/// Rows per task where the work of a row varies.
const SCATTER_ROWS: usize = 16;
/// Norms below this count as this: `F.normalize`.
const NORMALIZE_EPS: f32 = 1e-12;

pub(super) fn gather(src: &[f32], rows: &[u32], cols: usize, dst: &mut [f32]) {
    let block = (ROWS * cols).max(1);
    dst.par_chunks_mut(block).zip(rows.par_chunks(ROWS)).for_each(|(dst, rows)| {
        for (dst, &row) in dst.chunks_exact_mut(cols).zip(rows) {
            dst.copy_from_slice(&src[row as usize * cols..][..cols]);
        }
    });
}

pub(super) fn gather_bags(src: &[f32], rows: &[u32], bag: usize, cols: usize, dst: &mut [f32]) {
    let block = (ROWS * cols).max(1);
    dst.par_chunks_mut(block).zip(rows.par_chunks(ROWS * bag)).for_each(|(dst, rows)| {
        vectorize(
            #[inline(always)]
            || {
                for (dst, rows) in dst.chunks_exact_mut(cols).zip(rows.chunks_exact(bag)) {
                    dst.copy_from_slice(&src[rows[0] as usize * cols..][..cols]);
                    for &row in &rows[1..] {
                        let src = &src[row as usize * cols..][..cols];
                        dst.iter_mut().zip(src).for_each(|(d, s)| *d += s);
                    }
                }
            },
        );
    });
}

pub(super) fn add_groups(src: &[f32], groups: &RowGroups, cols: usize, dst: &mut [f32]) {
    let block = (SCATTER_ROWS * cols).max(1);
    dst.par_chunks_mut(block).enumerate().for_each(|(index, dst)| {
        let first = (index * SCATTER_ROWS) as u32;
        let start = groups.targets().partition_point(|&target| target < first);
        for group in start..groups.len() {
            let at = (groups.targets()[group] - first) as usize * cols;
            let Some(dst) = dst.get_mut(at..at + cols) else { break };
            vectorize(
                #[inline(always)]
                || {
                    for &member in groups.members(group) {
                        let src = &src[member as usize * cols..][..cols];
                        dst.iter_mut().zip(src).for_each(|(d, s)| *d += s);
                    }
                },
            );
        }
    });
}

pub(super) fn mean_runs(src: &[f32], offsets: &[u32], cols: usize, dst: &mut [f32]) {
    dst.par_chunks_mut((SCATTER_ROWS * cols).max(1)).enumerate().for_each(|(index, dst)| {
        let runs = offsets[index * SCATTER_ROWS..].windows(2);
        vectorize(
            #[inline(always)]
            || {
                for (dst, run) in dst.chunks_exact_mut(cols).zip(runs) {
                    dst.fill(0.0);
                    let rows = &src[run[0] as usize * cols..run[1] as usize * cols];
                    for row in rows.chunks_exact(cols) {
                        dst.iter_mut().zip(row).for_each(|(d, s)| *d += s);
                    }
                    let share = 1.0 / (run[1] - run[0]).max(1) as f32;
                    dst.iter_mut().for_each(|d| *d *= share);
                }
            },
        );
    });
}

pub(super) fn share_runs(src: &[f32], offsets: &[u32], cols: usize, dst: &mut [f32]) {
    dst.par_chunks_mut((ROWS * cols).max(1)).enumerate().for_each(|(index, dst)| {
        let first = index * ROWS;
        let mut run = offsets.partition_point(|&offset| offset as usize <= first) - 1;
        vectorize(
            #[inline(always)]
            || {
                for (row, dst) in (first..).zip(dst.chunks_exact_mut(cols)) {
                    while offsets[run + 1] as usize <= row {
                        run += 1;
                    }
                    let share = 1.0 / (offsets[run + 1] - offsets[run]) as f32;
                    let src = &src[run * cols..][..cols];
                    dst.iter_mut().zip(src).for_each(|(d, s)| *d = share * s);
                }
            },
        );
    });
}

pub(super) fn put_columns(src: &[f32], cols: usize, dst: &mut [f32], dst_cols: usize, at: usize) {
    let blocks = dst.par_chunks_mut((ROWS * dst_cols).max(1));
    blocks.zip(src.par_chunks((ROWS * cols).max(1))).for_each(|(dst, src)| {
        for (dst, src) in dst.chunks_exact_mut(dst_cols).zip(src.chunks_exact(cols)) {
            dst[at..at + cols].copy_from_slice(src);
        }
    });
}

pub(super) fn add_columns(src: &[f32], cols: usize, dst: &mut [f32], dst_cols: usize, at: usize) {
    if cols == 0 {
        return;
    }
    let blocks = dst.par_chunks_mut((ROWS * dst_cols).max(1));
    blocks.zip(src.par_chunks(ROWS * cols)).for_each(|(dst, src)| {
        vectorize(
            #[inline(always)]
            || {
                for (dst, src) in dst.chunks_exact_mut(dst_cols).zip(src.chunks_exact(cols)) {
                    dst[at..at + cols].iter_mut().zip(src).for_each(|(d, s)| *d += s);
                }
            },
        );
    });
}

pub(super) fn take_columns(src: &[f32], src_cols: usize, at: usize, dst: &mut [f32], cols: usize) {
    let blocks = dst.par_chunks_mut((ROWS * cols).max(1));
    blocks.zip(src.par_chunks((ROWS * src_cols).max(1))).for_each(|(dst, src)| {
        for (dst, src) in dst.chunks_exact_mut(cols).zip(src.chunks_exact(src_cols)) {
            dst.copy_from_slice(&src[at..at + cols]);
        }
    });
}

pub(super) fn normalize(x: &[f32], cols: usize, y: &mut [f32], norms: &mut [f32]) {
    let block = (ROWS * cols).max(1);
    y.par_chunks_mut(block).zip(x.par_chunks(block)).zip(norms.par_chunks_mut(ROWS)).for_each(
        |((y, x), norms)| {
            vectorize(
                #[inline(always)]
                || {
                    let rows = y.chunks_exact_mut(cols).zip(x.chunks_exact(cols));
                    for ((y, x), norm) in rows.zip(norms) {
                        *norm = dot(x, x).sqrt().max(NORMALIZE_EPS);
                        let inverse = 1.0 / *norm;
                        y.iter_mut().zip(x).for_each(|(y, x)| *y = x * inverse);
                    }
                },
            );
        },
    );
}

pub(super) fn normalize_backward(y: &[f32], cols: usize, norms: &[f32], grad: &mut [f32]) {
    let block = (ROWS * cols).max(1);
    grad.par_chunks_mut(block).zip(y.par_chunks(block)).zip(norms.par_chunks(ROWS)).for_each(
        |((grad, y), norms)| {
            vectorize(
                #[inline(always)]
                || {
                    let rows = grad.chunks_exact_mut(cols).zip(y.chunks_exact(cols));
                    for ((grad, y), &norm) in rows.zip(norms) {
                        let along = if norm > NORMALIZE_EPS { dot(y, grad) } else { 0.0 };
                        let inverse = 1.0 / norm;
                        for (g, y) in grad.iter_mut().zip(y) {
                            *g = (*g - along * y) * inverse;
                        }
                    }
                },
            );
        },
    );
}
