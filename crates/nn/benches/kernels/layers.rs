//! Layers of encoders, transformers and tokenizers.

use criterion::Criterion;
use das_nn::kernels::matmul;
use das_nn::{Activation, Attention, Device, Precision, QuantizeOptions, Tape};

use crate::setup::{Work, both_ways, forward, group, params, params_on, throughput, uniform};

pub(crate) fn products(c: &mut Criterion) {
    let mut group = group(c, "product");
    type Product = fn(&[f32], &[f32], (usize, usize, usize), &mut [f32]);
    let kinds: [(&str, Product); 3] =
        [("ab", matmul::ab), ("abt", matmul::abt), ("atb", matmul::atb)];
    for (m, k, n) in [(2048, 2048, 2048), (1024, 1024, 512), (1024, 64, 1024)] {
        let (a, b, mut out) = (uniform(m * k), uniform(k * n), vec![0.0; m * n]);
        group.throughput(throughput(&Work::Operations(2 * m * k * n)));
        for (name, product) in kinds {
            group.bench_function(format!("{name} {m}x{k}x{n}"), |bencher| {
                bencher.iter(|| product(&a, &b, (m, k, n), &mut out));
            });
        }
    }
}

pub(crate) fn linear(c: &mut Criterion) {
    let mut group = group(c, "linear");
    let precisions = [Precision::F32, Precision::Bf16];
    let shapes = [(1024, 1024, 512), (1024, 384, 256), (1024, 128, 128)];
    for (precision, (rows, inputs, outputs)) in
        precisions.into_iter().flat_map(|precision| shapes.map(|shape| (precision, shape)))
    {
        let device = Device::cpu_with(precision);
        let (params, p) = params_on(&device, &[(rows, inputs), (outputs, inputs), (1, outputs)]);
        for act in [Activation::Relu, Activation::Gelu, Activation::GeluTanh] {
            let once = 2 * rows * inputs * outputs;
            let name = format!("{rows}x{inputs}x{outputs} {act:?} {precision:?}");
            let layer = |tape: &mut Tape<'_>| {
                let x = tape.param(p[0]);
                tape.linear(x, p[1], p[2], act)
            };
            forward(&mut group, &name, &Work::Operations(once), &params, layer);
            let name = format!("{name}, gradients");
            both_ways(&mut group, &name, &Work::Operations(3 * once), &params, layer);
        }
    }
}

pub(crate) fn normalization(c: &mut Criterion) {
    let mut group = group(c, "by row");
    let (rows, cols) = (4096, 128);
    let (params, p) = params(&[(rows, cols), (1, cols), (1, cols)]);
    let once = Work::Values(2 * rows * cols);
    let norm = |tape: &mut Tape<'_>| {
        let x = tape.param(p[0]);
        tape.layer_norm(x, p[1], p[2], Tape::LAYER_NORM_EPS)
    };
    forward(&mut group, "layer_norm", &once, &params, norm);
    both_ways(&mut group, "layer_norm, gradients", &Work::Values(5 * rows * cols), &params, norm);
    let unit = |tape: &mut Tape<'_>| {
        let x = tape.param(p[0]);
        tape.normalize(x)
    };
    forward(&mut group, "normalize", &once, &params, unit);
    both_ways(&mut group, "normalize, gradients", &Work::Values(5 * rows * cols), &params, unit);
    let dropout = |tape: &mut Tape<'_>| {
        let x = tape.param(p[0]);
        tape.dropout(x, 0.1, &mut crate::setup::rng())
    };
    both_ways(&mut group, "dropout, gradients", &Work::Values(4 * rows * cols), &params, dropout);
}

pub(crate) fn attention(c: &mut Criterion) {
    let mut group = group(c, "attention");
    for (sequences, length, dim) in [(128, 50, 128), (512, 8, 128)] {
        let rows = sequences * length;
        let (params, p) = params(&[(rows, dim), (rows, dim), (rows, dim)]);
        let offsets: Vec<u32> = (0..=sequences).map(|s| (s * length) as u32).collect();
        let options = Attention { heads: 4, queries: &offsets, keys: &offsets, causal: true };
        let attend = |tape: &mut Tape<'_>| {
            let [q, k, v] = [0, 1, 2].map(|at| tape.param(p[at]));
            tape.attention(q, k, v, &options)
        };
        // Half of the pairs of a sequence are seen, in a product with keys and one with values.
        let once = 2 * rows * length * dim;
        let name = format!("{sequences} sequences of {length} x {dim}");
        forward(&mut group, &name, &Work::Operations(once), &params, attend);
        let name = format!("{name}, gradients");
        both_ways(&mut group, &name, &Work::Operations(3 * once), &params, attend);
    }
}

pub(crate) fn quantize(c: &mut Criterion) {
    let mut group = group(c, "residual_quantize");
    for (rows, dim) in [(1024, 64), (4096, 32)] {
        let (params, p) = params(&[(rows, dim), (256, dim), (256, dim), (256, dim)]);
        let options =
            QuantizeOptions { commitment_weight: 0.25, scale: 1e-3, straight_to_codes: true };
        let quantize = |tape: &mut Tape<'_>| {
            let z = tape.param(p[0]);
            tape.residual_quantize(z, &p[1..], &options).loss
        };
        let work = Work::Operations(2 * 3 * rows * 256 * dim);
        both_ways(&mut group, &format!("{rows} x {dim}, 3 x 256"), &work, &params, quantize);
    }
}
