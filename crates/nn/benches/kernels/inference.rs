//! What runs on a trained model, and what prepares one.

use std::ops::Range;

use criterion::Criterion;
use das_nn::kernels::kmeans::residual_kmeans;
use das_nn::kernels::{FrozenCodebooks, FrozenLayers, Quantized};
use das_nn::{Among, Candidates, Tape};

use crate::setup::{Work, forward, group, params, rng, throughput, uniform};

pub(crate) fn encode(c: &mut Criterion) {
    let mut group = group(c, "encode");
    let (rows, widths) = (4096, [384, 256, 128, 32]);
    let weights: Vec<(Vec<f32>, Vec<f32>)> =
        widths.windows(2).map(|pair| (uniform(pair[0] * pair[1]), uniform(pair[1]))).collect();
    let layers = FrozenLayers::new(weights.iter().map(|(w, b)| (&w[..], &b[..])));
    let book = uniform(256 * 32);
    let books = FrozenCodebooks::new([&book[..]; 3], 32);
    let content = uniform(rows * 384);
    let mut codes = vec![0; rows * 3];
    let (mut quantized, mut last_residuals) = (vec![0.0; rows * 32], vec![0.0; rows * 32]);
    let of_layers: usize = widths.windows(2).map(|pair| 2 * rows * pair[0] * pair[1]).sum();
    let work = Work::Operations(of_layers + 2 * 3 * rows * 256 * 32);
    group.throughput(throughput(&work));
    group.bench_function("4096 x 384-256-128-32, 3 x 256", |bencher| {
        bencher.iter(|| {
            let out = Quantized {
                codes: &mut codes,
                quantized: &mut quantized,
                last_residuals: &mut last_residuals,
            };
            books.encode(&layers, &content, out);
        });
    });
}

pub(crate) fn log_probabilities(c: &mut Criterion) {
    let mut group = group(c, "log_probabilities");
    let (n, d, classes) = (1600, 128, 256);
    let (params, p) = params(&[(n, d), (classes, d)]);
    let all: Vec<u32> = (0..classes as u32).collect();
    for width in [4, 47, 256] {
        let list = |row: usize| -> Range<u32> {
            let start = row % (classes - width + 1);
            start as u32..(start + width) as u32
        };
        let of_rows: Vec<Range<u32>> = (0..n).map(list).collect();
        let candidates = Candidates { classes: &all, of_rows: &of_rows };
        let name = format!("{n} x {d}, {width} of {classes}");
        let work = Work::Operations(2 * n * width * d);
        forward(&mut group, &name, &work, &params, |tape: &mut Tape<'_>| {
            let (x, catalogue) = (tape.param(p[0]), tape.param(p[1]));
            tape.log_probabilities(x, catalogue, &candidates, Among::Candidates)
        });
    }
}

pub(crate) fn kmeans(c: &mut Criterion) {
    let mut group = group(c, "residual_kmeans");
    group.sample_size(10);
    let (n, d, iterations) = (12_000, 32, 10);
    let points = uniform(n * d);
    // As many assignments as iterations, and those after the last.
    let work = Work::Operations(2 * 3 * (iterations + 1) * n * 256 * d);
    group.throughput(throughput(&work));
    group.bench_function(format!("{n} x {d}, 3 x 256, {iterations} iterations"), |bencher| {
        bencher.iter(|| residual_kmeans(&points, d, &[256; 3], iterations, &mut rng()));
    });
}
