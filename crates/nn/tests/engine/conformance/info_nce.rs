//! InfoNCE in every combination of its options.

use das_nn::{Device, Direction, InfoNce, PairMask, ParamKind, Tape};
use rand::Rng;
use rstest_reuse::apply;

use super::every_device;
use crate::check::{check_gradients, check_params, dot, doubles, rng, run, seeded_params, uniform};

struct Case {
    n: usize,
    d: usize,
    temperature: f32,
    direction: Direction,
    mask: Option<PairMask>,
    log_q: Option<Vec<f32>>,
    log_q_rows: Option<Vec<f32>>,
    weights: Option<Vec<f32>>,
}

impl Case {
    fn plain(n: usize, d: usize, temperature: f32, direction: Direction) -> Self {
        let (mask, log_q, log_q_rows, weights) = (None, None, None, None);
        Self { n, d, temperature, direction, mask, log_q, log_q_rows, weights }
    }

    fn options(&self) -> InfoNce<'_> {
        InfoNce {
            temperature: self.temperature,
            direction: self.direction,
            mask: self.mask.as_ref(),
            log_q: self.log_q.as_deref(),
            log_q_rows: self.log_q_rows.as_deref(),
            row_weights: self.weights.as_deref(),
        }
    }

    fn check(&self, device: &Device, seed: u64) {
        let spec = (ParamKind::Dense, self.n, self.d);
        check_gradients(
            device,
            &[spec, spec],
            seed,
            |tape, p| {
                let (a, b) = (tape.param(p[0]), tape.param(p[1]));
                tape.info_nce(a, b, &self.options())
            },
            |v| self.reference(&v[0], &v[1]),
        );
    }

    fn reference(&self, a: &[f64], b: &[f64]) -> f64 {
        let zeros = vec![0.0; self.n];
        let ones = vec![1.0; self.n];
        let logit = |i: usize, j: usize| {
            dot(&a[i * self.d..][..self.d], &b[j * self.d..][..self.d])
                / f64::from(self.temperature)
        };
        let masked = |i: usize, j: usize| {
            self.mask.as_ref().is_some_and(|mask| mask.columns(i).contains(&(j as u32)))
        };
        let (log_q, log_q_rows) =
            (self.log_q.as_ref().unwrap_or(&zeros), self.log_q_rows.as_ref().unwrap_or(&zeros));
        let by_row = |i: usize| {
            let s = |j: usize| logit(i, j) - f64::from(log_q[j]);
            log_sum_exp((0..self.n).filter(|&j| !masked(i, j)).map(s)) - s(i)
        };
        let by_column = |j: usize| {
            let s = |i: usize| logit(i, j) - f64::from(log_q_rows[i]);
            log_sum_exp((0..self.n).filter(|&i| !masked(i, j)).map(s)) - s(j)
        };
        let weights = self.weights.as_ref().unwrap_or(&ones);
        let mean = |loss: &dyn Fn(usize) -> f64| {
            let sum: f64 = (0..self.n).map(|i| f64::from(weights[i]) * loss(i)).sum();
            sum / weights.iter().copied().map(f64::from).sum::<f64>()
        };
        match self.direction {
            Direction::RowToColumn => mean(&by_row),
            Direction::Both => 0.5 * (mean(&by_row) + mean(&by_column)),
        }
    }
}

fn log_sum_exp(terms: impl Iterator<Item = f64>) -> f64 {
    let terms: Vec<f64> = terms.collect();
    let max = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    max + terms.iter().map(|t| (t - max).exp()).sum::<f64>().ln()
}

const DIRECTIONS: [Direction; 2] = [Direction::RowToColumn, Direction::Both];

fn random_mask(n: usize, seed: u64) -> PairMask {
    let mut rng = rng(seed);
    let rows = (0..n).map(|i| {
        let columns = (0..n as u32).filter(|&j| j as usize != i && rng.random_bool(0.3));
        (i, columns.collect::<Vec<_>>())
    });
    PairMask::from_rows(n, rows).unwrap()
}

#[apply(every_device)]
fn plain(device: Device) {
    for direction in DIRECTIONS {
        for (n, d, temperature) in [(1, 3, 0.1), (2, 1, 1.0), (9, 4, 0.2), (37, 8, 0.5)] {
            Case::plain(n, d, temperature, direction).check(&device, 21);
        }
    }
}

#[apply(every_device)]
fn several_blocks_of_rows(device: Device) {
    for direction in DIRECTIONS {
        let mut case = Case::plain(150, 2, 0.3, direction);
        case.mask = Some(random_mask(150, 1));
        case.check(&device, 22);
    }
}

#[apply(every_device)]
fn every_combination_of_options(device: Device) {
    let n = 11;
    for direction in DIRECTIONS {
        for bits in 0..16 {
            let mut rng = rng(bits);
            let mut case = Case::plain(n, 5, 0.3, direction);
            let on = |bit: u64| bits >> bit & 1 == 1;
            case.mask = on(0).then(|| random_mask(n, bits));
            case.log_q = on(1).then(|| uniform(n, &mut rng));
            case.log_q_rows = on(2).then(|| uniform(n, &mut rng));
            case.weights = on(3).then(|| uniform(n, &mut rng).iter().map(|w| w.max(0.0)).collect());
            case.check(&device, 23);
        }
    }
}

#[apply(every_device)]
fn everything_but_the_pair_masked(device: Device) {
    let n = 140;
    let rows = (0..n).map(|i| (i, (0..n as u32).filter(move |&j| j as usize != i)));
    for direction in DIRECTIONS {
        let mut case = Case::plain(n, 2, 0.001, direction);
        case.mask = Some(PairMask::from_rows(n, rows.clone()).unwrap());
        let (params, p) = seeded_params(&device, &[(ParamKind::Dense, n, 2); 2], 24);
        let (loss, gradients) = run(&params, |tape| {
            let (a, b) = (tape.param(p[0]), tape.param(p[1]));
            tape.info_nce(a, b, &case.options())
        });
        assert!(loss.abs() < 1e-4, "only the positive is left: {loss}");
        assert!(gradients.global_norm() < 0.1);
    }
}

#[apply(every_device)]
fn extreme_temperatures_stay_finite(device: Device) {
    for direction in DIRECTIONS {
        for temperature in [1e-4, 1e4] {
            let case = Case::plain(20, 6, temperature, direction);
            let (params, p) = seeded_params(&device, &[(ParamKind::Dense, 20, 6); 2], 25);
            let (loss, gradients) = run(&params, |tape| {
                let (a, b) = (tape.param(p[0]), tape.param(p[1]));
                tape.info_nce(a, b, &case.options())
            });
            let values = [0, 1].map(|i| doubles(&params.get(p[i]).to_vec()));
            let expected = case.reference(&values[0], &values[1]);
            assert!((f64::from(loss) - expected).abs() <= 1e-5 * expected, "{loss} {expected}");
            assert!(gradients.is_finite());
        }
    }
}

#[apply(every_device)]
fn all_weights_zero(device: Device) {
    for direction in DIRECTIONS {
        let mut case = Case::plain(4, 3, 0.1, direction);
        case.weights = Some(vec![0.0; 4]);
        let (params, p) = seeded_params(&device, &[(ParamKind::Dense, 4, 3); 2], 26);
        let (loss, gradients) = run(&params, |tape| {
            let (a, b) = (tape.param(p[0]), tape.param(p[1]));
            tape.info_nce(a, b, &case.options())
        });
        assert_eq!((loss, gradients.global_norm()), (0.0, 0.0));
    }
}

#[apply(every_device)]
fn one_side_constant_or_both_the_same(device: Device) {
    for direction in DIRECTIONS {
        let case = Case::plain(8, 3, 0.4, direction);
        let constant = uniform(24, &mut rng(3));
        let (params, p) = seeded_params(&device, &[(ParamKind::Dense, 8, 3)], 27);
        let other = doubles(&constant);
        let one_side = |swap: bool| {
            check_params(
                &params,
                &p,
                |tape, p| {
                    let x = tape.param(p[0]);
                    let c = tape.input_slice(8, 3, &constant);
                    let (a, b) = if swap { (c, x) } else { (x, c) };
                    tape.info_nce(a, b, &case.options())
                },
                |v| {
                    if swap { case.reference(&other, &v[0]) } else { case.reference(&v[0], &other) }
                },
            );
        };
        one_side(false);
        one_side(true);
        check_params(
            &params,
            &p,
            |tape, p| {
                let x = tape.param(p[0]);
                tape.info_nce(x, x, &case.options())
            },
            |v| case.reference(&v[0], &v[0]),
        );
    }
}

#[apply(every_device)]
fn nothing_to_learn_costs_no_gradient(device: Device) {
    let (params, _) = seeded_params(&device, &[], 0);
    let mut tape = Tape::new(&params);
    let a = tape.input_slice(3, 2, &uniform(6, &mut rng(4)));
    let loss = tape.info_nce(a, a, &InfoNce::new(0.1));
    assert!(tape.scalar(loss).is_finite());
    assert_eq!(tape.backward(loss).global_norm(), 0.0);
}

#[apply(every_device)]
fn nan_reaches_the_loss(device: Device) {
    let (params, _) = seeded_params(&device, &[], 0);
    for direction in DIRECTIONS {
        let mut tape = Tape::new(&params);
        let a = tape.input_slice(2, 2, &[f32::NAN, 1.0, 1.0, 0.5]);
        let b = tape.input_slice(2, 2, &[1.0, 0.5, 1.0, 1.0]);
        let loss = tape.info_nce(a, b, &InfoNce { direction, ..InfoNce::new(0.1) });
        assert!(tape.scalar(loss).is_nan());
    }
}
