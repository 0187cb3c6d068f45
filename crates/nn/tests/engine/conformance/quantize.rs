//! The residual quantizer: codes, straight-through value, codebook and commitment terms.

use das_nn::{Device, ParamKind, Params, QuantizeOptions, Tape};
use rstest_reuse::apply;

use super::every_device;
use crate::check::{Values, check_params, doubles, mse, seeded_params};

const D: usize = 5;

/// Codes, and for each level the residual before it, of all rows: the plain definition.
fn quantize(z: &[f64], books: &[Vec<f64>]) -> (Vec<u32>, Vec<Vec<f64>>) {
    let (mut residual, mut residuals) = (z.to_vec(), Vec::new());
    let mut codes = vec![0; z.len() / D * books.len()];
    for (level, book) in books.iter().enumerate() {
        residuals.push(residual.clone());
        for (row, r) in residual.chunks_mut(D).enumerate() {
            let distance = |e: &[f64]| mse(r, e, 1.0);
            let nearest = book.chunks(D).map(distance).enumerate();
            let (code, _) = nearest.reduce(|p, q| if q.1 < p.1 { q } else { p }).unwrap();
            codes[row * books.len() + level] = code as u32;
            r.iter_mut().zip(&book[code * D..]).for_each(|(r, e)| *r -= e);
        }
    }
    residuals.push(residual);
    (codes, residuals)
}

fn setup(device: &Device, n: usize, sizes: &[usize], seed: u64) -> (Params, Vec<das_nn::ParamId>) {
    let mut specs = vec![(ParamKind::Dense, n, D)];
    specs.extend(sizes.iter().map(|&k| (ParamKind::Dense, k, D)));
    seeded_params(device, &specs, seed)
}

fn values(params: &Params, ids: &[das_nn::ParamId]) -> Values {
    ids.iter().map(|&id| doubles(&params.get(id).to_vec())).collect()
}

#[apply(every_device)]
fn codes_and_value_match_the_definition(device: Device) {
    for (n, sizes) in [(1, vec![1]), (300, vec![17, 40, 16]), (131, vec![256, 3])] {
        let (params, p) = setup(&device, n, &sizes, 31);
        let v = values(&params, &p);
        let (codes, residuals) = quantize(&v[0], &v[1..]);
        let mut tape = Tape::new(&params);
        let z = tape.param(p[0]);
        let o = QuantizeOptions { commitment_weight: 0.25, scale: 1.0, straight_to_codes: false };
        let quantized = tape.residual_quantize(z, &p[1..], &o);
        assert_eq!(quantized.codes.to_vec(), codes);
        let through = tape.value(quantized.through).to_vec();
        for (i, value) in through.iter().enumerate() {
            let sum = v[0][i] - residuals[sizes.len()][i];
            assert!((f64::from(*value) - sum).abs() < 1e-5);
        }
    }
}

#[apply(every_device)]
fn ties_go_to_the_lowest_code(device: Device) {
    let (mut params, p) = setup(&device, 2, &[40], 32);
    params.set(p[1], &[0.5; 40 * D]).unwrap();
    let mut tape = Tape::new(&params);
    let z = tape.param(p[0]);
    let o = QuantizeOptions { commitment_weight: 0.25, scale: 1.0, straight_to_codes: false };
    assert_eq!(tape.residual_quantize(z, &p[1..], &o).codes.to_vec(), [0, 0]);
}

/// The objective with everything behind a stop-gradient frozen at the base point: its ordinary
/// derivative is the gradient that the engine must report.
struct Frozen {
    codes: Vec<u32>,
    residuals: Vec<Vec<f64>>,
    base: Values,
    options: QuantizeOptions,
}

impl Frozen {
    fn code<'a>(&self, books: &'a [Vec<f64>], row: usize, level: usize) -> &'a [f64] {
        &books[level][self.codes[row * books.len() + level] as usize * D..][..D]
    }

    fn loss(&self, v: &Values) -> f64 {
        let (now, then) = (&v[1..], &self.base[1..]);
        let mut sum = 0.0;
        for row in 0..v[0].len() / D {
            let at = row * D..(row + 1) * D;
            let mut residual = v[0][at.clone()].to_vec();
            for level in 0..now.len() {
                let (e, frozen) = (self.code(now, row, level), self.code(then, row, level));
                let commitment = mse(&residual, frozen, f64::from(self.options.commitment_weight));
                sum += mse(&self.residuals[level][at.clone()], e, 1.0) + commitment;
                residual.iter_mut().zip(frozen).for_each(|(r, e)| *r -= e);
            }
        }
        sum * f64::from(self.options.scale)
    }

    fn through(&self, v: &Values) -> Vec<f64> {
        let last = &self.residuals[v.len() - 1];
        let mut through: Vec<f64> = (0..v[0].len()).map(|i| v[0][i] - last[i]).collect();
        if self.options.straight_to_codes {
            for (row, q) in through.chunks_mut(D).enumerate() {
                for level in 0..v.len() - 1 {
                    let e = self.code(&v[1..], row, level);
                    let frozen = self.code(&self.base[1..], row, level);
                    q.iter_mut().zip(e.iter().zip(frozen)).for_each(|(q, (e, f))| *q += e - f);
                }
            }
        }
        through
    }
}

#[apply(every_device)]
fn gradients(device: Device) {
    let n = 40;
    for straight_to_codes in [false, true] {
        let (params, p) = setup(&device, n, &[6, 4, 3], 33);
        let base = values(&params, &p);
        let (codes, residuals) = quantize(&base[0], &base[1..]);
        let options = QuantizeOptions { commitment_weight: 0.3, scale: 0.2, straight_to_codes };
        let frozen = Frozen { codes, residuals, base, options };
        let target: Vec<f32> = (0..n * D).map(|i| (i as f32 * 0.37).sin()).collect();
        let goal = doubles(&target);
        let both = |weights: [f32; 2]| {
            check_params(
                &params,
                &p,
                |tape, p| {
                    let z = tape.param(p[0]);
                    let q = tape.residual_quantize(z, &p[1..], &options);
                    let target = tape.input_slice(n, D, &target);
                    let reconstruction = tape.mse(q.through, target, 0.1);
                    tape.weighted_sum(&[(q.loss, weights[0]), (reconstruction, weights[1])])
                },
                |v| {
                    let reconstruction = mse(&frozen.through(v), &goal, f64::from(0.1f32));
                    let [loss, recon] = weights.map(f64::from);
                    loss * frozen.loss(v) + recon * reconstruction
                },
            );
        };
        both([1.0, 1.0]);
        both([1.5, 0.0]);
        both([0.0, 0.5]);
    }
}

#[apply(every_device)]
fn a_frozen_encoder_still_trains_the_codes(device: Device) {
    let (params, p) = setup(&device, 10, &[4], 34);
    let mut tape = Tape::new(&params);
    let z = tape.param(p[0]);
    let z = tape.detach(z);
    let o = QuantizeOptions { commitment_weight: 0.25, scale: 1.0, straight_to_codes: false };
    let quantized = tape.residual_quantize(z, &p[1..], &o);
    let gradients = tape.backward(quantized.loss);
    assert!(gradients.dense(p[0]).is_none());
    assert!(gradients.global_norm() > 0.0);
}
