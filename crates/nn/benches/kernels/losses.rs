//! Losses, which work out their gradients in the forward pass.

use std::ops::Range;

use criterion::Criterion;
use das_nn::{Candidates, InfoNce, PairMask, SoftmaxCe, Tape};

use crate::setup::{Work, both_ways, forward, group, params, uniform};

pub(crate) fn info_nce(c: &mut Criterion) {
    let mut group = group(c, "info_nce");
    for (n, d) in [(1024, 64), (4096, 32)] {
        let (params, p) = params(&[(n, d), (n, d)]);
        let pairs = (0..n).map(|row| (row, [((row * 7 + 1) % n) as u32]));
        let mask = PairMask::from_rows(n, pairs).expect("pairs of the batch");
        let log_q = uniform(n);
        let plain = InfoNce::new(0.1);
        let debiased = InfoNce { mask: Some(&mask), log_q: Some(&log_q), ..plain };
        for (name, options) in [("plain", plain), ("masked, log q", debiased)] {
            let contrast = |tape: &mut Tape<'_>| {
                let (a, b) = (tape.param(p[0]), tape.param(p[1]));
                tape.info_nce(a, b, &options)
            };
            let work = Work::Operations(3 * 2 * n * n * d);
            both_ways(&mut group, &format!("{n} x {d} {name}"), &work, &params, contrast);
        }
    }
}

pub(crate) fn softmax_ce(c: &mut Criterion) {
    let mut group = group(c, "softmax_ce");
    let (n, d) = (1024, 128);
    for classes in [256, 12_000] {
        let (params, p) = params(&[(n, d), (classes, d)]);
        let targets: Vec<u32> = (0..n).map(|row| (row * 31 % classes) as u32).collect();
        let all: Vec<u32> = (0..classes as u32).collect();
        // Lists of an eighth of the classes, around the target.
        let width = (classes / 8) as u32;
        let around = |&target: &u32| -> Range<u32> {
            let start = target.saturating_sub(width / 2).min(classes as u32 - width);
            start..start + width
        };
        let of_rows: Vec<Range<u32>> = targets.iter().map(around).collect();
        let few = Candidates { classes: &all, of_rows: &of_rows };
        for (name, candidates) in [("all", None), ("candidates", Some(few))] {
            let options = SoftmaxCe { candidates, ..SoftmaxCe::default() };
            let loss = |tape: &mut Tape<'_>| {
                let (x, catalogue) = (tape.param(p[0]), tape.param(p[1]));
                tape.softmax_ce(x, catalogue, &targets, &options)
            };
            let work = Work::Operations(3 * 2 * n * classes * d);
            both_ways(&mut group, &format!("{n} x {d}, {classes} {name}"), &work, &params, loss);
        }
    }
}

pub(crate) fn pointwise(c: &mut Criterion) {
    let mut group = group(c, "pointwise losses");
    let (n, d) = (4096, 384);
    let (params, p) = params(&[(n, d), (n, d), (n, 1)]);
    let values = Work::Values(4 * n * d);
    both_ways(&mut group, "mse", &values, &params, |tape| {
        let (a, b) = (tape.param(p[0]), tape.param(p[1]));
        tape.mse(a, b, 1.0)
    });
    both_ways(&mut group, "squared_cosine", &values, &params, |tape| {
        let (a, b) = (tape.param(p[0]), tape.param(p[1]));
        tape.squared_cosine(a, b)
    });
    let labels: Vec<f32> = (0..n).map(|row| (row % 3 == 0) as u8 as f32).collect();
    both_ways(&mut group, "bce_with_logits", &Work::Values(3 * n), &params, |tape| {
        let logits = tape.param(p[2]);
        tape.bce_with_logits(logits, &labels, None)
    });
    forward(&mut group, "multiply", &Work::Values(3 * n * d), &params, |tape| {
        let (a, b) = (tape.param(p[0]), tape.param(p[1]));
        tape.multiply(a, b)
    });
}
