//! Attention over packed sequences, in blocks of whole sequences.

use std::ops::Range;

use rayon::prelude::*;

use super::gemm::{Mat, product};
use super::simd::{combine, dot, exp, exp_in_place, max, vectorize};
use crate::ops::Attention;

/// Sequences per task.
const SEQUENCES: usize = 32;
/// From this many keys on, inference works with matrix products.
const LONG: usize = 48;
/// Queries of a long sequence that one task of inference answers.
const QUERIES: usize = 64;

/// Where a sequence, or a block of them, lies: rows of `q`, rows of `k` and `v`, probabilities.
#[derive(Clone)]
struct Place {
    queries: Range<usize>,
    keys: Range<usize>,
    pairs: Range<usize>,
}

/// Shapes, and the places of all sequences.
pub(super) struct Layout {
    d: usize,
    heads: usize,
    causal: bool,
    sequences: Vec<Place>,
}

impl Layout {
    /// Sequences of rows of width `d`.
    pub(super) fn new(o: &Attention<'_>, d: usize) -> Self {
        let mut end = 0;
        let offsets = o.queries.windows(2).zip(o.keys.windows(2));
        let sequences = offsets.map(|(q, k)| {
            let (queries, keys) = (q[0] as usize..q[1] as usize, k[0] as usize..k[1] as usize);
            let start = end;
            end += o.heads * queries.len() * keys.len();
            Place { queries, keys, pairs: start..end }
        });
        Self { d, heads: o.heads, causal: o.causal, sequences: sequences.collect() }
    }

    fn blocks(&self) -> impl IndexedParallelIterator<Item = &[Place]> {
        self.sequences.par_chunks(SEQUENCES)
    }

    /// Cuts a matrix into the parts of the blocks.
    fn cut<'a>(
        &self,
        mut values: &'a mut [f32],
        part: impl Fn(&Place) -> Range<usize>,
    ) -> Vec<&'a mut [f32]> {
        let lengths = self.sequences.chunks(SEQUENCES);
        let lengths = lengths.map(|block| block.iter().map(|place| part(place).len()).sum());
        lengths.map(|len| values.split_off_mut(..len).expect("as long as its sequences")).collect()
    }

    fn of_queries(&self, place: &Place) -> Range<usize> {
        place.queries.start * self.d..place.queries.end * self.d
    }

    fn of_keys(&self, place: &Place) -> Range<usize> {
        place.keys.start * self.d..place.keys.end * self.d
    }

    /// A head's columns of one row.
    #[inline(always)]
    fn head<'a>(&self, rows: &'a [f32], row: usize, head: usize) -> &'a [f32] {
        let width = self.d / self.heads;
        &rows[row * self.d + head * width..][..width]
    }

    #[inline(always)]
    fn head_mut<'a>(&self, rows: &'a mut [f32], row: usize, head: usize) -> &'a mut [f32] {
        let width = self.d / self.heads;
        &mut rows[row * self.d + head * width..][..width]
    }

    /// How many keys a query sees.
    #[inline(always)]
    fn visible(&self, query: usize, keys: usize) -> usize {
        if self.causal { query + 1 } else { keys }
    }

    /// What divides the logits, inverted.
    fn scale(&self) -> f32 {
        1.0 / ((self.d / self.heads) as f32).sqrt()
    }
}

/// `y` and the probabilities.
pub(super) fn forward(
    layout: &Layout,
    (q, k, v): (&[f32], &[f32], &[f32]),
    y: &mut [f32],
    probabilities: &mut [f32],
) {
    let y = layout.cut(y, |place| layout.of_queries(place));
    let probabilities = layout.cut(probabilities, |place| place.pairs.clone());
    layout.blocks().zip(y).zip(probabilities).for_each(|((block, mut y), mut probabilities)| {
        vectorize(
            #[inline(always)]
            || {
                for place in block {
                    let (queries, keys) = (layout.of_queries(place), layout.of_keys(place));
                    let y = y.split_off_mut(..queries.len()).expect("the block's own");
                    let p = probabilities.split_off_mut(..place.pairs.len());
                    let p = p.expect("the block's own");
                    layout.attend((&q[queries], &k[keys.clone()], &v[keys]), y, p);
                }
            },
        );
    });
}

/// `y` alone, with no room for all probabilities: tasks are blocks of a sequence's queries.
pub(super) fn infer(layout: &Layout, (q, k, v): (&[f32], &[f32], &[f32]), y: &mut [f32]) {
    let mut rest = y;
    let mut tasks = Vec::new();
    for place in &layout.sequences {
        let long = place.keys.len() >= LONG;
        let size = if long { QUERIES } else { place.queries.len().max(1) };
        for first in place.queries.clone().step_by(size) {
            let queries = first..(first + size).min(place.queries.end);
            let own = rest.split_off_mut(..queries.len() * layout.d).expect("a row a query");
            tasks.push((Place { queries, ..place.clone() }, first - place.queries.start, own));
        }
    }
    tasks.into_par_iter().with_min_len(4).for_each_init(Vec::new, |scratch, (place, first, y)| {
        let q = &q[layout.of_queries(&place)];
        let (k, v) = (&k[layout.of_keys(&place)], &v[layout.of_keys(&place)]);
        if place.keys.len() >= LONG {
            layout.attend_long((q, k, v), first, y, scratch);
        } else {
            scratch.resize(layout.heads * place.queries.len() * place.keys.len(), 0.0);
            vectorize(
                #[inline(always)]
                || layout.attend((q, k, v), y, scratch),
            );
        }
    });
}

/// The operands of the backward pass.
pub(super) struct Operands<'a> {
    pub(super) q: &'a [f32],
    pub(super) k: &'a [f32],
    pub(super) v: &'a [f32],
    pub(super) probabilities: &'a [f32],
    pub(super) dy: &'a [f32],
}

pub(super) fn backward(
    layout: &Layout,
    operands: &Operands<'_>,
    dq: &mut [f32],
    dk: &mut [f32],
    dv: &mut [f32],
) {
    let dq = layout.cut(dq, |place| layout.of_queries(place));
    let dk = layout.cut(dk, |place| layout.of_keys(place));
    let dv = layout.cut(dv, |place| layout.of_keys(place));
    layout.blocks().zip(dq).zip(dk.into_par_iter().zip(dv)).for_each(
        |((block, mut dq), (mut dk, mut dv))| {
            let mut dlogits = Vec::new();
            vectorize(
                #[inline(always)]
                || {
                    for place in block {
                        let (queries, keys) = (layout.of_queries(place), layout.of_keys(place));
                        let own = Operands {
                            q: &operands.q[queries.clone()],
                            k: &operands.k[keys.clone()],
                            v: &operands.v[keys.clone()],
                            probabilities: &operands.probabilities[place.pairs.clone()],
                            dy: &operands.dy[queries.clone()],
                        };
                        let dq = dq.split_off_mut(..queries.len()).expect("the block's own");
                        let dk = dk.split_off_mut(..keys.len()).expect("the block's own");
                        let dv = dv.split_off_mut(..keys.len()).expect("the block's own");
                        layout.attend_backward(&own, &mut dlogits, dq, dk, dv);
                    }
                },
            );
        },
    );
}

impl Layout {
    /// One sequence.
    #[inline(always)]
    fn attend(&self, (q, k, v): (&[f32], &[f32], &[f32]), y: &mut [f32], p: &mut [f32]) {
        let (queries, keys, scale) = (q.len() / self.d, k.len() / self.d, self.scale());
        // The logits of all heads first, so that one long loop takes their exponentials.
        for (index, p) in p.chunks_exact_mut(keys.max(1)).enumerate() {
            let (head, query) = (index / queries, index % queries);
            let (seen, unseen) = p.split_at_mut(self.visible(query, keys));
            let of_query = self.head(q, query, head);
            for (key, p) in seen.iter_mut().enumerate() {
                *p = scale * dot(of_query, self.head(k, key, head));
            }
            let top = max(seen);
            seen.iter_mut().for_each(|p| *p -= top);
            unseen.fill(f32::NEG_INFINITY);
        }
        p.iter_mut().for_each(|p| *p = exp(*p));
        for head in 0..self.heads {
            for query in 0..queries {
                let p = &mut p[(head * queries + query) * keys..][..self.visible(query, keys)];
                let inverse = 1.0 / p.iter().sum::<f32>();
                p.iter_mut().for_each(|p| *p *= inverse);
                let values = |key: usize| (p[key], self.head(v, key, head));
                combine(0..p.len(), values, self.head_mut(y, query, head));
            }
        }
    }

    /// A block of queries, the first of which is number `first` of its sequence, over many keys.
    fn attend_long(
        &self,
        (q, k, v): (&[f32], &[f32], &[f32]),
        first: usize,
        y: &mut [f32],
        scratch: &mut Vec<f32>,
    ) {
        let (queries, keys, width) = (q.len() / self.d, k.len() / self.d, self.d / self.heads);
        scratch.resize(queries * (keys + width), 0.0);
        let (p, out) = scratch.split_at_mut(queries * keys);
        let [q, k, v] = [(q, queries), (k, keys), (v, keys)].map(|(x, n)| Mat::new(x, n, self.d));
        for head in 0..self.heads {
            let columns = head * width..(head + 1) * width;
            product(q.cols(columns.clone()), k.cols(columns.clone()).t(), self.scale(), p);
            vectorize(
                #[inline(always)]
                || {
                    for (query, p) in p.chunks_exact_mut(keys).enumerate() {
                        let (seen, unseen) = p.split_at_mut(self.visible(first + query, keys));
                        let inverse = 1.0 / exp_in_place(seen, max(seen));
                        seen.iter_mut().for_each(|p| *p *= inverse);
                        unseen.fill(0.0);
                    }
                },
            );
            product(Mat::new(p, queries, keys), v.cols(columns.clone()), 1.0, out);
            for (y, out) in y.chunks_exact_mut(self.d).zip(out.chunks_exact(width)) {
                y[columns.clone()].copy_from_slice(out);
            }
        }
    }

    /// One sequence; `dlogits` is memory to work in.
    #[inline(always)]
    fn attend_backward(
        &self,
        o: &Operands<'_>,
        dlogits: &mut Vec<f32>,
        dq: &mut [f32],
        dk: &mut [f32],
        dv: &mut [f32],
    ) {
        let (queries, keys, scale) = (o.q.len() / self.d, o.k.len() / self.d, self.scale());
        dlogits.resize(queries * keys, 0.0);
        for head in 0..self.heads {
            let p = &o.probabilities[head * queries * keys..][..queries * keys];
            for query in 0..queries {
                let of_row = query * keys..query * keys + self.visible(query, keys);
                let (p, ds) = (&p[of_row.clone()], &mut dlogits[of_row]);
                let dy = self.head(o.dy, query, head);
                for (key, ds) in ds.iter_mut().enumerate() {
                    *ds = dot(dy, self.head(o.v, key, head));
                }
                let mean: f32 = p.iter().zip(ds.iter()).map(|(p, dp)| p * dp).sum();
                ds.iter_mut().zip(p).for_each(|(ds, p)| *ds = scale * p * (*ds - mean));
                let row = |key: usize| (ds[key], self.head(o.k, key, head));
                combine(0..ds.len(), row, self.head_mut(dq, query, head));
            }
            for key in 0..keys {
                let seen_by = if self.causal { key..queries } else { 0..queries };
                let pair = |query: usize| query * keys + key;
                let row = |query: usize| (dlogits[pair(query)], self.head(o.q, query, head));
                combine(seen_by.clone(), row, self.head_mut(dk, key, head));
                let row = |query: usize| (p[pair(query)], self.head(o.dy, query, head));
                combine(seen_by, row, self.head_mut(dv, key, head));
            }
        }
    }
}
