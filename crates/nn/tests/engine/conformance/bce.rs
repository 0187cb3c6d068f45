//! Binary cross entropy with logits.

use das_nn::{Device, ParamKind};
use rstest_reuse::apply;

use super::every_device;
use crate::check::{check_gradients, rng, run, seeded_params, uniform};

const DENSE: ParamKind = ParamKind::Dense;

/// The definition: `-y ln σ(z) - (1 - y) ln(1 - σ(z))`.
fn reference(logits: &[f64], labels: &[f32], weights: &[f32]) -> f64 {
    let loss = |(&z, &y): (&f64, &f32)| {
        let p = 1.0 / (1.0 + (-z).exp());
        -f64::from(y) * p.ln() - (1.0 - f64::from(y)) * (1.0 - p).ln()
    };
    let losses = logits.iter().zip(labels).map(loss);
    let sum: f64 = losses.zip(weights).map(|(loss, &w)| f64::from(w) * loss).sum();
    sum / weights.iter().copied().map(f64::from).sum::<f64>()
}

#[apply(every_device)]
fn weighted_and_plain(device: Device) {
    for n in [1, 7, 1100] {
        let labels: Vec<f32> = (0..n).map(|i| [0.0, 1.0, 0.25, 1.0][i % 4]).collect();
        let random: Vec<f32> = uniform(n, &mut rng(1)).iter().map(|w| w.abs()).collect();
        for weights in [None, Some(random.as_slice())] {
            check_gradients(
                &device,
                &[(DENSE, n, 1)],
                61,
                |tape, p| {
                    let logits = tape.param(p[0]);
                    tape.bce_with_logits(logits, &labels, weights)
                },
                |v| reference(&v[0], &labels, weights.unwrap_or(&vec![1.0; n])),
            );
        }
    }
}

#[apply(every_device)]
fn large_logits_do_not_overflow(device: Device) {
    let (mut params, p) = seeded_params(&device, &[(DENSE, 4, 1)], 62);
    params.set(p[0], &[1e4, -1e4, 1e4, -1e4]).unwrap();
    let (loss, gradients) = run(&params, |tape| {
        let logits = tape.param(p[0]);
        tape.bce_with_logits(logits, &[1.0, 0.0, 0.0, 1.0], None)
    });
    assert_eq!(loss, 5e3);
    assert_eq!(gradients.dense(p[0]).unwrap(), [0.0, 0.0, 0.25, -0.25]);
}

#[apply(every_device)]
fn no_weight_or_no_row_costs_nothing(device: Device) {
    let (params, p) = seeded_params(&device, &[(DENSE, 2, 1), (DENSE, 0, 1)], 63);
    let (loss, gradients) = run(&params, |tape| {
        let (logits, none) = (tape.param(p[0]), tape.param(p[1]));
        let unweighted = tape.bce_with_logits(logits, &[1.0, 0.0], Some(&[0.0, 0.0]));
        let nothing = tape.bce_with_logits(none, &[], None);
        tape.weighted_sum(&[(unweighted, 1.0), (nothing, 1.0)])
    });
    assert_eq!((loss, gradients.global_norm()), (0.0, 0.0));
}
