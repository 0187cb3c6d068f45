//! Activations, layer normalisation, cross layer, bags, means, columns, sums, products and scores.

use das_nn::{Activation, Device, ParamKind, Tape};
use rstest_reuse::apply;

use super::every_device;
use crate::check::{
    Values, check_gradients, doubles, matmul, probe, probe_reference, rng, run, seeded_params,
    transpose, uniform,
};

const DENSE: ParamKind = ParamKind::Dense;
const TABLE: ParamKind = ParamKind::Table;

/// GELU by its definition, `x Φ(x)`: the normal distribution as the integral of its density from 0
/// to `x`, by Simpson's rule.
fn gelu(x: f64) -> f64 {
    const STEPS: usize = 400;
    let density = |t: f64| (-0.5 * t * t).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let bounded = x.clamp(-9.0, 9.0);
    let h = bounded / STEPS as f64;
    let weight = |i: usize| match i {
        0 | STEPS => 1.0,
        i if i % 2 == 1 => 4.0,
        _ => 2.0,
    };
    let integral: f64 = (0..=STEPS).map(|i| weight(i) * density(i as f64 * h)).sum();
    x * (0.5 + integral * h / 3.0)
}

/// GELU as its authors approximate it, with a hyperbolic tangent.
fn gelu_tanh(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
}

/// An activation and its definition.
type Smooth = (Activation, fn(f64) -> f64);

const SMOOTH: [Smooth; 2] = [(Activation::Gelu, gelu), (Activation::GeluTanh, gelu_tanh)];

/// `x wᵀ + b` of `v[0]`, `v[1]`, `v[2]`.
fn affine(v: &Values, (n, inputs, outputs): (usize, usize, usize)) -> Vec<f64> {
    let mut y = matmul(&v[0], &transpose(&v[1], outputs, inputs), (n, inputs, outputs));
    y.iter_mut().enumerate().for_each(|(i, y)| *y += v[2][i % outputs]);
    y
}

#[apply(every_device)]
fn linear_with_smooth_activations(device: Device) {
    for (n, inputs, outputs) in [(1, 1, 1), (5, 7, 3), (70, 3, 4), (3, 5, 150)] {
        for (act, f) in SMOOTH {
            check_gradients(
                &device,
                &[(DENSE, n, inputs), (DENSE, outputs, inputs), (DENSE, 1, outputs)],
                81,
                |tape, p| {
                    let x = tape.param(p[0]);
                    let y = tape.linear(x, p[1], p[2], act);
                    probe(tape, y)
                },
                |v| {
                    let y = affine(v, (n, inputs, outputs));
                    probe_reference(&y.into_iter().map(f).collect::<Vec<_>>())
                },
            );
        }
    }
}

#[apply(every_device)]
fn means_of_runs(device: Device) {
    // Empty runs at both ends and within, runs that span blocks of rows, and many runs.
    let many: Vec<u32> = (0..150).collect();
    let offsets: [&[u32]; 4] = [&[0, 1], &[0, 0, 3, 3, 7, 7], &[0, 200, 201, 260], &many];
    for offsets in offsets {
        let (rows, cols) = (*offsets.last().unwrap() as usize, 5);
        check_gradients(
            &device,
            &[(DENSE, rows, cols)],
            83,
            |tape, p| {
                let x = tape.param(p[0]);
                let y = tape.mean_runs(x, offsets);
                probe(tape, y)
            },
            |v| {
                let mut means = Vec::new();
                for run in offsets.windows(2) {
                    let (start, end) = (run[0] as usize, run[1] as usize);
                    let sum = |col| (start..end).map(|row| v[0][row * cols + col]).sum::<f64>();
                    means.extend((0..cols).map(|col| sum(col) / (end - start).max(1) as f64));
                }
                probe_reference(&means)
            },
        );
    }
}

#[apply(every_device)]
fn smooth_activations_far_out(device: Device) {
    let x: Vec<f32> = (-4000..4000).map(|i| i as f32 * 0.025).collect();
    for (act, f) in SMOOTH {
        let (mut params, p) =
            seeded_params(&device, &[(DENSE, 2, 1), (DENSE, 1, 1), (DENSE, 1, 1)], 82);
        params.set(p[1], &[1.0]).unwrap();
        params.set(p[2], &[0.0]).unwrap();
        let mut tape = Tape::inference(&params);
        let wide = tape.input_slice(x.len(), 1, &x);
        let y = tape.linear(wide, p[1], p[2], act);
        for (&x, y) in x.iter().zip(tape.value(y).to_vec()) {
            let expected = f(f64::from(x));
            let error = (f64::from(y) - expected).abs();
            assert!(error <= 1e-5 * expected.abs().max(1e-2), "{act:?}({x}) = {y}");
        }
        params.set(p[0], &[1e9, -1e9]).unwrap();
        let mut tape = Tape::new(&params);
        let x = tape.param(p[0]);
        let y = tape.linear(x, p[1], p[2], act);
        assert_eq!(tape.value(y).to_vec(), [1e9, 0.0]);
        let loss = tape.mse(y, x, 1e-18);
        assert!(tape.backward(loss).is_finite());
    }
}

fn normalized(x: &[f64], gain: &[f64], bias: &[f64]) -> Vec<f64> {
    let d = gain.len();
    let row = |x: &[f64]| {
        let mean = x.iter().sum::<f64>() / d as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / d as f64;
        let deviation = (variance + 1e-5).sqrt();
        (0..d).map(|i| (x[i] - mean) / deviation * gain[i] + bias[i]).collect::<Vec<_>>()
    };
    x.chunks(d).flat_map(row).collect()
}

#[apply(every_device)]
fn layer_norm(device: Device) {
    for (n, d) in [(1, 1), (5, 3), (130, 20), (2, 33)] {
        check_gradients(
            &device,
            &[(DENSE, n, d), (DENSE, 1, d), (DENSE, 1, d)],
            83,
            |tape, p| {
                let x = tape.param(p[0]);
                let y = tape.layer_norm(x, p[1], p[2], Tape::LAYER_NORM_EPS);
                probe(tape, y)
            },
            |v| probe_reference(&normalized(&v[0], &v[1], &v[2])),
        );
    }
}

#[apply(every_device)]
fn layer_norm_of_equal_values_and_of_a_large_offset(device: Device) {
    let (mut params, p) =
        seeded_params(&device, &[(DENSE, 2, 3), (DENSE, 1, 3), (DENSE, 1, 3)], 84);
    params.set(p[0], &[7.0, 7.0, 7.0, 5000.0, 5001.0, 5002.0]).unwrap();
    let mut tape = Tape::new(&params);
    let x = tape.param(p[0]);
    let y = tape.layer_norm(x, p[1], p[2], Tape::LAYER_NORM_EPS);
    let values = p.iter().map(|&id| doubles(&params.get(id).to_vec())).collect::<Vec<_>>();
    let expected = normalized(&values[0], &values[1], &values[2]);
    for (y, e) in tape.value(y).to_vec().into_iter().zip(expected) {
        assert!((f64::from(y) - e).abs() < 1e-5, "{y}, expected {e}");
    }
    let loss = probe(&mut tape, y);
    assert!(tape.backward(loss).is_finite());
}

fn crossed(x0: &[f64], x: &[f64], affine: &[f64]) -> Vec<f64> {
    x0.iter().zip(x).zip(affine).map(|((x0, x), t)| x0 * t + x).collect()
}

#[apply(every_device)]
fn cross(device: Device) {
    for (n, d) in [(1, 1), (6, 4), (70, 3)] {
        let layer = [(DENSE, d, d), (DENSE, 1, d)];
        check_gradients(
            &device,
            &[(DENSE, n, d), layer[0], layer[1], (DENSE, n, d)],
            85,
            |tape, p| {
                let (x, x0) = (tape.param(p[0]), tape.param(p[3]));
                let y = tape.cross(x0, x, p[1], p[2]);
                probe(tape, y)
            },
            |v| probe_reference(&crossed(&v[3], &v[0], &affine(v, (n, d, d)))),
        );
        check_gradients(
            &device,
            &[(DENSE, n, d), layer[0], layer[1]],
            86,
            |tape, p| {
                let x = tape.param(p[0]);
                let y = tape.cross(x, x, p[1], p[2]);
                probe(tape, y)
            },
            |v| probe_reference(&crossed(&v[0], &v[0], &affine(v, (n, d, d)))),
        );
    }
}

fn bags(table: &[f64], cols: usize, rows: &[u32], bag: usize) -> Vec<f64> {
    let value = |i: usize| {
        let rows = &rows[i / cols * bag..][..bag];
        rows.iter().map(|&row| table[row as usize * cols + i % cols]).sum()
    };
    (0..rows.len() / bag * cols).map(value).collect()
}

#[apply(every_device)]
fn gather_bag_with_repeats(device: Device) {
    let rows = [4, 0, 4, 4, 2, 0, 1, 1, 5, 0, 0, 3];
    for kind in [DENSE, TABLE] {
        for bag in [1, 2, 3, 12] {
            check_gradients(
                &device,
                &[(kind, 6, 3)],
                87,
                |tape, p| {
                    let (x, again) =
                        (tape.gather_bag(p[0], &rows, bag), tape.gather(p[0], &[2, 5]));
                    let losses = [(probe(tape, x), 1.0), (probe(tape, again), 1.0)];
                    tape.weighted_sum(&losses)
                },
                |v| {
                    let again = bags(&v[0], 3, &[2, 5], 1);
                    probe_reference(&bags(&v[0], 3, &rows, bag)) + probe_reference(&again)
                },
            );
        }
    }
    let (params, p) = seeded_params(&device, &[(TABLE, 3000, 5)], 88);
    let rows: Vec<u32> = (0..900).map(|i| i * 7 % 3000).collect();
    let mut tape = Tape::new(&params);
    let x = tape.gather_bag(p[0], &rows, 3);
    let expected = bags(&doubles(&params.get(p[0]).to_vec()), 5, &rows, 3);
    let close = |(x, e): (&f32, &f64)| (f64::from(*x) - e).abs() < 1e-6;
    assert!(tape.value(x).to_vec().iter().zip(&expected).all(close), "several blocks of rows");
}

#[apply(every_device)]
fn columns_that_overlap(device: Device) {
    check_gradients(
        &device,
        &[(DENSE, 70, 5)],
        89,
        |tape, p| {
            let x = tape.param(p[0]);
            let parts = [tape.columns(x, 0..2), tape.columns(x, 1..5), tape.columns(x, 3..3)];
            let x = tape.concat(&parts);
            probe(tape, x)
        },
        |v| {
            let row = |x: &[f64]| [&x[0..2], &x[1..5]].concat();
            probe_reference(&v[0].chunks(5).flat_map(row).collect::<Vec<_>>())
        },
    );
}

#[apply(every_device)]
fn sums_and_products_with_shared_operands(device: Device) {
    check_gradients(
        &device,
        &[(DENSE, 7, 3), (DENSE, 7, 3)],
        90,
        |tape, p| {
            let (a, b) = (tape.param(p[0]), tape.param(p[1]));
            let constant = tape.input_slice(7, 3, &uniform(21, &mut rng(6)));
            let product = tape.multiply(a, b);
            let square = tape.multiply(a, a);
            let sum = tape.add(product, square);
            let sum = tape.add(sum, constant);
            let double = tape.add(b, b);
            let scaled = tape.multiply(constant, double);
            let y = tape.add(sum, scaled);
            probe(tape, y)
        },
        |v| {
            let constant = doubles(&uniform(21, &mut rng(6)));
            let y = |i: usize| {
                let (a, b, c) = (v[0][i], v[1][i], constant[i]);
                a * b + a * a + c + c * 2.0 * b
            };
            probe_reference(&(0..21).map(y).collect::<Vec<_>>())
        },
    );
}

#[apply(every_device)]
fn scores(device: Device) {
    for (n, classes, d) in [(1, 1, 1), (5, 7, 3), (3, 140, 2)] {
        for kind in [DENSE, TABLE] {
            check_gradients(
                &device,
                &[(DENSE, n, d), (kind, classes, d)],
                91,
                |tape, p| {
                    let (x, catalogue) = (tape.param(p[0]), tape.param(p[1]));
                    let y = tape.scores(x, catalogue);
                    probe(tape, y)
                },
                |v| {
                    let y = matmul(&v[0], &transpose(&v[1], classes, d), (n, d, classes));
                    probe_reference(&y)
                },
            );
        }
    }
}

#[apply(every_device)]
fn no_rows_at_all(device: Device) {
    let specs = [(DENSE, 0, 3), (DENSE, 3, 3), (DENSE, 1, 3), (TABLE, 4, 3)];
    let (params, p) = seeded_params(&device, &specs, 92);
    let (loss, gradients) = run(&params, |tape| {
        let (x, bag) = (tape.param(p[0]), tape.gather_bag(p[3], &[], 2));
        let y = tape.linear(x, p[1], p[2], Activation::GeluTanh);
        let y = tape.layer_norm(y, p[2], p[2], Tape::LAYER_NORM_EPS);
        let y = tape.cross(x, y, p[1], p[2]);
        let y = tape.add(y, bag);
        let y = tape.dropout(y, 0.5, &mut rng(7));
        let y = tape.columns(y, 1..3);
        probe(tape, y)
    });
    assert_eq!(loss, 0.0);
    assert_eq!(gradients.global_norm(), 0.0);
}
