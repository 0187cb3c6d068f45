//! Seeded values, naive matrices, and the comparison of a tape's gradients with central
//! differences of a reference in double precision.

use das_nn::{Device, Gradients, ParamId, ParamKind, Params, Tape, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Values of a parameter in the reference.
pub(crate) type Values = Vec<Vec<f64>>;

/// A parameter of a test: kind and shape.
pub(crate) type Spec = (ParamKind, usize, usize);

pub(crate) fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Values between -1 and 1.
pub(crate) fn uniform(n: usize, rng: &mut impl Rng) -> Vec<f32> {
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

pub(crate) fn doubles(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// Parameters named `p0`, `p1`, …, with seeded values.
pub(crate) fn seeded_params(device: &Device, specs: &[Spec], seed: u64) -> (Params, Vec<ParamId>) {
    let mut rng = rng(seed);
    let mut params = Params::new(device);
    let ids = specs
        .iter()
        .enumerate()
        .map(|(i, &(kind, rows, cols))| {
            let values = uniform(rows * cols, &mut rng);
            params.add(&format!("p{i}"), kind, rows, cols, &values).unwrap()
        })
        .collect();
    (params, ids)
}

/// Builds a loss from parameters on a tape and compares it with `reference`, and its gradients
/// with central differences of `reference`, within 1e-3 of the largest gradient of a parameter.
pub(crate) fn check_gradients(
    device: &Device,
    specs: &[Spec],
    seed: u64,
    build: impl Fn(&mut Tape<'_>, &[ParamId]) -> Var,
    reference: impl Fn(&Values) -> f64,
) {
    let (params, ids) = seeded_params(device, specs, seed);
    check_params(&params, &ids, build, reference);
}

pub(crate) fn check_params(
    params: &Params,
    ids: &[ParamId],
    build: impl Fn(&mut Tape<'_>, &[ParamId]) -> Var,
    reference: impl Fn(&Values) -> f64,
) {
    let mut values: Values = ids.iter().map(|&id| doubles(&params.get(id).to_vec())).collect();
    let (loss, gradients) = run(params, |tape| build(tape, ids));
    let expected = reference(&values);
    let close = (f64::from(loss) - expected).abs() <= 1e-5 * expected.abs().max(1e-3);
    assert!(close, "loss {loss}, reference {expected}");
    for (index, &id) in ids.iter().enumerate() {
        let numeric: Vec<f64> = (0..values[index].len())
            .map(|at| central_difference(&mut values, index, at, &reference))
            .collect();
        let none = vec![0.0; numeric.len()];
        let analytic = gradients.dense(id).unwrap_or(none);
        let largest = numeric.iter().fold(0.0f64, |max, g| max.max(g.abs()));
        for (at, (&a, &n)) in analytic.iter().zip(&numeric).enumerate() {
            let error = (f64::from(a) - n).abs();
            assert!(error <= 1e-3 * largest + 1e-7, "parameter {index}[{at}]: {a}, numeric {n}");
        }
    }
}

fn central_difference(
    values: &mut Values,
    index: usize,
    at: usize,
    f: impl Fn(&Values) -> f64,
) -> f64 {
    const STEP: f64 = 1e-5;
    let middle = values[index][at];
    values[index][at] = middle + STEP;
    let above = f(values);
    values[index][at] = middle - STEP;
    let below = f(values);
    values[index][at] = middle;
    (above - below) / (2.0 * STEP)
}

/// The value and the gradients of a loss.
pub(crate) fn run(params: &Params, build: impl FnOnce(&mut Tape<'_>) -> Var) -> (f32, Gradients) {
    let mut tape = Tape::new(params);
    let loss = build(&mut tape);
    let value = tape.scalar(loss);
    (value, tape.backward(loss))
}

/// `a b` of row-major matrices.
pub(crate) fn matmul(a: &[f64], b: &[f64], (m, k, n): (usize, usize, usize)) -> Vec<f64> {
    let at = |i: usize, j: usize| (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum();
    (0..m * n).map(|ij| at(ij / n, ij % n)).collect()
}

pub(crate) fn transpose(a: &[f64], rows: usize, cols: usize) -> Vec<f64> {
    (0..rows * cols).map(|ji| a[(ji % rows) * cols + ji / rows]).collect()
}

/// `scale Σ (a - b)²`.
pub(crate) fn mse(a: &[f64], b: &[f64], scale: f64) -> f64 {
    assert_eq!(a.len(), b.len());
    scale * a.iter().zip(b).map(|(p, q)| (p - q) * (p - q)).sum::<f64>()
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(p, q)| p * q).sum()
}

/// A loss that weighs every value of `x` differently.
pub(crate) fn probe(tape: &mut Tape<'_>, x: Var) -> Var {
    let (rows, cols) = tape.shape(x);
    let target = tape.input_slice(rows, cols, &uniform(rows * cols, &mut rng(99)));
    tape.mse(x, target, 0.7)
}

pub(crate) fn probe_reference(x: &[f64]) -> f64 {
    mse(x, &doubles(&uniform(x.len(), &mut rng(99))), 0.7)
}
