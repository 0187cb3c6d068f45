//! AdamW in one pass over value, moments and gradient.

use rayon::prelude::*;

use super::simd::vectorize;
use crate::kernels::backend::AdamWUpdate;

/// Values per task of a dense parameter.
const CHUNK: usize = 1 << 13;
/// Rows per task of a table, or of those listed.
const ROWS: usize = 256;

/// The value and moments of some parameters, and slices of them.
pub(super) struct Slices<'a> {
    pub(super) value: &'a mut [f32],
    pub(super) first: &'a mut [f32],
    pub(super) second: &'a mut [f32],
}

impl<'a> Slices<'a> {
    /// Cuts off the first `len` values after `skip` others, which are dropped.
    fn cut(&mut self, skip: usize, len: usize) -> Slices<'a> {
        let cut = |values: &mut &'a mut [f32]| {
            let (part, rest) = std::mem::take(values)[skip..].split_at_mut(len);
            *values = rest;
            part
        };
        Slices {
            value: cut(&mut self.value),
            first: cut(&mut self.first),
            second: cut(&mut self.second),
        }
    }

    fn part(&mut self, at: usize, len: usize) -> Slices<'_> {
        Slices {
            value: &mut self.value[at..at + len],
            first: &mut self.first[at..at + len],
            second: &mut self.second[at..at + len],
        }
    }

    fn blocks(&mut self, len: usize) -> impl IndexedParallelIterator<Item = Slices<'_>> {
        let moments = self.first.par_chunks_mut(len).zip(self.second.par_chunks_mut(len));
        self.value.par_chunks_mut(len).zip(moments).map(|(value, (first, second))| Slices {
            value,
            first,
            second,
        })
    }

    /// The update of Loshchilov & Hutter (2019), algorithm 2, in the order of PyTorch's `AdamW`.
    #[inline(always)]
    fn update(self, grad: impl Iterator<Item = f32>, u: &AdamWUpdate) {
        let moments = self.first.iter_mut().zip(self.second);
        for ((w, (m, v)), g) in self.value.iter_mut().zip(moments).zip(grad) {
            *m = u.beta1.mul_add(*m, (1.0 - u.beta1) * g);
            *v = u.beta2.mul_add(*v, (1.0 - u.beta2) * g * g);
            let root = v.sqrt() / u.root_correction + u.eps;
            *w = *w * u.decay - u.step_size * *m / root;
        }
    }
}

pub(super) fn dense(mut moments: Slices<'_>, grad: &[f32], u: &AdamWUpdate) {
    moments.blocks(CHUNK).zip(grad.par_chunks(CHUNK)).for_each(|(moments, grad)| {
        vectorize(
            #[inline(always)]
            || moments.update(grad.iter().copied(), u),
        );
    });
}

/// The rows listed, ascending; all others stay, and cost nothing.
pub(super) fn rows(
    mut moments: Slices<'_>,
    cols: usize,
    rows: &[u32],
    grad: &[f32],
    u: &AdamWUpdate,
) {
    let mut next = 0;
    let mut cut = |rows: &[u32]| {
        let (first, end) = (rows[0] as usize, rows[rows.len() - 1] as usize + 1);
        let moments = moments.cut((first - next) * cols, (end - first) * cols);
        next = end;
        moments
    };
    let blocks: Vec<_> = rows.chunks(ROWS).map(|rows| (rows, cut(rows))).collect();
    let grads = grad.par_chunks((ROWS * cols).max(1));
    blocks.into_par_iter().zip(grads).for_each(|((rows, mut moments), grads)| {
        for (&row, grad) in rows.iter().zip(grads.chunks_exact(cols.max(1))) {
            let mut row = moments.part((row - rows[0]) as usize * cols, cols);
            vectorize(
                #[inline(always)]
                || row.part(0, cols).update(grad.iter().copied(), u),
            );
        }
    });
}

/// Every row. A row that has never had a gradient has zero moments, for which the update is the
/// decay alone; `active` says which rows have, and spares the others two thirds of the traffic.
pub(super) fn table(
    mut moments: Slices<'_>,
    cols: usize,
    rows: &[u32],
    grad: &[f32],
    active: &mut [bool],
    u: &AdamWUpdate,
) {
    let blocks = moments.blocks((ROWS * cols).max(1)).zip(active.par_chunks_mut(ROWS));
    blocks.enumerate().for_each(|(index, (mut moments, active))| {
        let first = index * ROWS;
        let mut listed = listed(rows, first).peekable();
        for (row, active) in active.iter_mut().enumerate() {
            let mut moments = moments.part(row * cols, cols);
            let own = listed.next_if(|&(_, listed)| listed == first + row);
            vectorize(
                #[inline(always)]
                || match own {
                    Some((at, _)) => {
                        *active = true;
                        let grad = &grad[at * cols..][..cols];
                        moments.part(0, cols).update(grad.iter().copied(), u);
                    }
                    None if *active => moments.part(0, cols).update(std::iter::repeat(0.0), u),
                    None if u.decay == 1.0 => (),
                    None => moments.value.iter_mut().for_each(|w| *w *= u.decay),
                },
            );
        }
    });
}

/// The place in `rows` and the row of everything listed in the block that starts at `first`.
fn listed(rows: &[u32], first: usize) -> impl Iterator<Item = (usize, usize)> {
    let start = rows.partition_point(|&row| (row as usize) < first);
    let of_block = rows[start..].iter().take_while(move |&&row| (row as usize) < first + ROWS);
    of_block.enumerate().map(move |(at, &row)| (start + at, row as usize))
}
