//! Softmax cross entropy over a catalogue in every combination of its options.

use std::ops::Range;

use das_nn::{AdamW, AdamWConfig, Candidates, Device, ParamKind, SoftmaxCe, TableUpdate, Tape};
use rand::Rng;
use rstest_reuse::apply;

use super::every_device;
use crate::check::{
    check_gradients, check_params, dot, doubles, probe, probe_reference, rng, run, seeded_params,
    uniform,
};

const DENSE: ParamKind = ParamKind::Dense;
const TABLE: ParamKind = ParamKind::Table;

struct Case {
    n: usize,
    classes: usize,
    d: usize,
    scale: f32,
    label_smoothing: f32,
    weights: Option<Vec<f32>>,
    targets: Vec<u32>,
    /// Lists of classes and each row's part of them.
    candidates: Option<(Vec<u32>, Vec<Range<u32>>)>,
}

impl Case {
    fn new(n: usize, classes: usize, d: usize, seed: u64) -> Self {
        let mut rng = rng(seed);
        let targets = (0..n).map(|_| rng.random_range(0..classes as u32)).collect();
        Self {
            n,
            classes,
            d,
            scale: 1.0,
            label_smoothing: 0.0,
            weights: None,
            targets,
            candidates: None,
        }
    }

    /// Every row chooses among its target and the classes that a coin chose, two rows among the
    /// same ones.
    fn among_candidates(mut self, seed: u64) -> Self {
        let mut rng = rng(seed);
        let (mut lists, mut of_rows): (Vec<u32>, Vec<Range<u32>>) = (Vec::new(), Vec::new());
        for row in 0..self.n {
            if row == 1 {
                self.targets[1] = self.targets[0];
                of_rows.push(of_rows[0].clone());
                continue;
            }
            let start = lists.len() as u32;
            let target = self.targets[row];
            lists.extend((0..self.classes as u32).filter(|&c| c == target || rng.random()));
            of_rows.push(start..lists.len() as u32);
        }
        self.candidates = Some((lists, of_rows));
        self
    }

    /// The classes that a row chooses among.
    fn choices(&self, row: usize) -> Vec<u32> {
        match &self.candidates {
            None => (0..self.classes as u32).collect(),
            Some((lists, of_rows)) => {
                lists[of_rows[row].start as usize..of_rows[row].end as usize].to_vec()
            }
        }
    }

    fn options(&self) -> SoftmaxCe<'_> {
        let candidates = self.candidates.as_ref();
        SoftmaxCe {
            scale: self.scale,
            label_smoothing: self.label_smoothing,
            row_weights: self.weights.as_deref(),
            candidates: candidates.map(|(classes, of_rows)| Candidates { classes, of_rows }),
        }
    }

    fn check(&self, device: &Device, kind: ParamKind) {
        check_gradients(
            device,
            &[(DENSE, self.n, self.d), (kind, self.classes, self.d)],
            41,
            |tape, p| {
                let (x, catalogue) = (tape.param(p[0]), tape.param(p[1]));
                tape.softmax_ce(x, catalogue, &self.targets, &self.options())
            },
            |v| self.reference(&v[0], &v[1]),
        );
    }

    /// The definition: cross entropy of `softmax` with the smoothed one-hot target.
    fn reference(&self, x: &[f64], catalogue: &[f64]) -> f64 {
        let smoothing = f64::from(self.label_smoothing);
        let loss = |i: usize| {
            let x = &x[i * self.d..][..self.d];
            let choices = self.choices(i);
            let row = |class: u32| &catalogue[class as usize * self.d..][..self.d];
            let logits: Vec<f64> =
                choices.iter().map(|&class| f64::from(self.scale) * dot(x, row(class))).collect();
            let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let log_sum = top + logits.iter().map(|z| (z - top).exp()).sum::<f64>().ln();
            let share = |j: usize| {
                let even = smoothing / choices.len() as f64;
                if choices[j] == self.targets[i] { even + 1.0 - smoothing } else { even }
            };
            logits.iter().enumerate().map(|(j, z)| share(j) * (log_sum - z)).sum::<f64>()
        };
        let ones = vec![1.0; self.n];
        let weights = self.weights.as_ref().unwrap_or(&ones);
        let sum: f64 = (0..self.n).map(|i| f64::from(weights[i]) * loss(i)).sum();
        sum / weights.iter().copied().map(f64::from).sum::<f64>()
    }
}

#[apply(every_device)]
fn every_combination_of_options(device: Device) {
    for bits in 0..16 {
        let mut case = Case::new(9, 13, 5, bits);
        let on = |bit: u64| bits >> bit & 1 == 1;
        case.scale = if on(0) { 2.5 } else { 1.0 };
        case.label_smoothing = if on(1) { 0.2 } else { 0.0 };
        let weights = || uniform(9, &mut rng(bits)).iter().map(|w| w.max(0.0)).collect();
        case.weights = on(2).then(weights);
        if on(3) {
            case = case.among_candidates(bits);
        }
        case.check(&device, DENSE);
        case.check(&device, TABLE);
    }
}

#[apply(every_device)]
fn one_class_one_row_and_several_tasks(device: Device) {
    for (n, classes, d) in [(1, 1, 1), (3, 1, 2), (1, 40, 17), (300, 3, 2)] {
        let mut case = Case::new(n, classes, d, 5);
        case.label_smoothing = 0.1;
        case.check(&device, DENSE);
    }
}

/// A catalogue so large that the rows take several blocks of logits; checked against the same
/// loss out of small calls, which take one.
#[apply(every_device)]
fn several_blocks_of_logits(device: Device) {
    let (n, classes, d) = (300, 30_011, 2);
    let case = Case::new(n, classes, d, 6);
    let (params, p) = seeded_params(&device, &[(DENSE, n, d), (TABLE, classes, d)], 42);
    let o = SoftmaxCe { label_smoothing: 0.1, ..Default::default() };
    let (whole, gradients) = run(&params, |tape| {
        let (x, catalogue) = (tape.param(p[0]), tape.param(p[1]));
        tape.softmax_ce(x, catalogue, &case.targets, &o)
    });
    let (parts, expected) = run(&params, |tape| {
        let (x, catalogue) = (tape.param(p[0]), tape.param(p[1]));
        let losses: Vec<_> = (0..n as u32)
            .step_by(60)
            .map(|first| {
                let rows: Vec<u32> = (first..first + 60).collect();
                let targets = &case.targets[first as usize..][..60];
                let x = tape.select_rows(x, &rows);
                (tape.softmax_ce(x, catalogue, targets, &o), 60.0 / n as f32)
            })
            .collect();
        tape.weighted_sum(&losses)
    });
    assert!((whole - parts).abs() < 1e-5 * parts, "{whole} {parts}");
    for id in p {
        let (found, expected) = (gradients.dense(id).unwrap(), expected.dense(id).unwrap());
        let largest = expected.iter().fold(0.0f32, |max, g| max.max(g.abs()));
        for (f, e) in found.iter().zip(&expected) {
            assert!((f - e).abs() <= 1e-5 * largest, "{f} {e}");
        }
    }
}

#[apply(every_device)]
fn a_table_gathered_and_used_whole_gets_both_gradients(device: Device) {
    let case = Case::new(6, 8, 3, 7);
    let rows = [1, 5, 1, 0, 7, 2];
    check_gradients(
        &device,
        &[(TABLE, 8, 3)],
        43,
        |tape, p| {
            let (x, catalogue) = (tape.gather(p[0], &rows), tape.param(p[0]));
            tape.softmax_ce(x, catalogue, &case.targets, &case.options())
        },
        |v| {
            let x: Vec<f64> =
                rows.iter().flat_map(|&row| &v[0][row as usize * 3..][..3]).copied().collect();
            case.reference(&x, &v[0])
        },
    );
}

/// With a gradient in every row, lazy and dense updates are the same, and those of a table are
/// those of a dense parameter.
#[apply(every_device)]
fn a_table_used_whole_is_updated_as_a_dense_parameter(device: Device) {
    let case = Case::new(6, 8, 3, 8);
    let train = |kind, table_update| {
        let (mut params, p) = seeded_params(&device, &[(kind, 8, 3)], 44);
        let config = AdamWConfig { table_update, ..Default::default() };
        let mut optimizer = AdamW::new(&params, config);
        for _ in 0..3 {
            let gradients = run(&params, |tape| {
                let (x, catalogue) = (tape.gather(p[0], &[1, 5, 1, 0, 7, 2]), tape.param(p[0]));
                tape.softmax_ce(x, catalogue, &case.targets, &case.options())
            })
            .1;
            optimizer.step(&mut params, &gradients, 0.1, 0.1);
        }
        params.get(p[0]).to_vec()
    };
    let expected = train(DENSE, TableUpdate::Lazy);
    for table_update in [TableUpdate::Lazy, TableUpdate::Dense] {
        let found = train(TABLE, table_update);
        assert!(found.iter().zip(&expected).all(|(f, e)| (f - e).abs() < 1e-5));
    }
}

#[apply(every_device)]
fn a_catalogue_that_is_computed(device: Device) {
    let mut case = Case::new(5, 4, 3, 9);
    case.scale = 0.7;
    let order = [2, 0, 3, 3];
    check_gradients(
        &device,
        &[(DENSE, 5, 3), (DENSE, 4, 3)],
        45,
        |tape, p| {
            let (x, catalogue) = (tape.param(p[0]), tape.param(p[1]));
            let catalogue = tape.select_rows(catalogue, &order);
            tape.softmax_ce(x, catalogue, &case.targets, &case.options())
        },
        |v| {
            let rows = order.iter().flat_map(|&row| &v[1][row as usize * 3..][..3]);
            case.reference(&v[0], &rows.copied().collect::<Vec<_>>())
        },
    );
}

#[apply(every_device)]
fn one_side_constant_and_the_loss_weighted(device: Device) {
    let case = Case::new(5, 7, 3, 10);
    let constant = uniform(21, &mut rng(11));
    let (params, p) = seeded_params(&device, &[(DENSE, 5, 3)], 46);
    check_params(
        &params,
        &p,
        |tape, p| {
            let (x, catalogue) = (tape.param(p[0]), tape.input_slice(7, 3, &constant));
            let loss = tape.softmax_ce(x, catalogue, &case.targets, &case.options());
            let other = probe(tape, x);
            tape.weighted_sum(&[(loss, -1.5), (other, 1.0)])
        },
        |v| probe_reference(&v[0]) - 1.5 * case.reference(&v[0], &doubles(&constant)),
    );
    let (params, p) = seeded_params(&device, &[(DENSE, 7, 3)], 47);
    check_params(
        &params,
        &p,
        |tape, p| {
            let (x, catalogue) = (tape.input_slice(5, 3, &constant[..15]), tape.param(p[0]));
            tape.softmax_ce(x, catalogue, &case.targets, &case.options())
        },
        |v| case.reference(&doubles(&constant[..15]), &v[0]),
    );
}

#[apply(every_device)]
fn extreme_logits_stay_finite(device: Device) {
    for label_smoothing in [0.0, 0.1] {
        for scale in [1e-6, 1e5] {
            let mut case = Case::new(20, 30, 6, 12);
            (case.scale, case.label_smoothing) = (scale, label_smoothing);
            let (params, p) = seeded_params(&device, &[(DENSE, 20, 6), (DENSE, 30, 6)], 48);
            let (loss, gradients) = run(&params, |tape| {
                let (x, catalogue) = (tape.param(p[0]), tape.param(p[1]));
                tape.softmax_ce(x, catalogue, &case.targets, &case.options())
            });
            let values = [0, 1].map(|i| doubles(&params.get(p[i]).to_vec()));
            let expected = case.reference(&values[0], &values[1]);
            assert!((f64::from(loss) - expected).abs() <= 1e-5 * expected, "{loss} {expected}");
            assert!(gradients.is_finite());
        }
    }
}

#[apply(every_device)]
fn no_weight_or_no_row_costs_nothing(device: Device) {
    let mut case = Case::new(4, 5, 3, 13);
    case.weights = Some(vec![0.0; 4]);
    let (params, p) = seeded_params(&device, &[(DENSE, 4, 3), (DENSE, 5, 3)], 49);
    let (loss, gradients) = run(&params, |tape| {
        let (x, catalogue) = (tape.param(p[0]), tape.param(p[1]));
        let unweighted = tape.softmax_ce(x, catalogue, &case.targets, &case.options());
        let none = tape.select_rows(x, &[]);
        let nothing = tape.softmax_ce(none, catalogue, &[], &SoftmaxCe::default());
        tape.weighted_sum(&[(unweighted, 1.0), (nothing, 1.0)])
    });
    assert_eq!((loss, gradients.global_norm()), (0.0, 0.0));
}

#[apply(every_device)]
fn nan_reaches_the_loss(device: Device) {
    let (params, _) = seeded_params(&device, &[], 0);
    let mut tape = Tape::new(&params);
    let x = tape.input_slice(2, 2, &[f32::NAN, 1.0, 1.0, 0.5]);
    let catalogue = tape.input_slice(2, 2, &[1.0, 0.5, 1.0, 1.0]);
    let loss = tape.softmax_ce(x, catalogue, &[0, 1], &SoftmaxCe::default());
    assert!(tape.scalar(loss).is_nan());
}

#[apply(every_device)]
#[should_panic(expected = "target 5 of 5 classes")]
fn a_target_out_of_range(device: Device) {
    let (params, _) = seeded_params(&device, &[], 0);
    let mut tape = Tape::new(&params);
    let (x, catalogue) = (tape.input_slice(1, 1, &[1.0]), tape.input_slice(5, 1, &[1.0; 5]));
    tape.softmax_ce(x, catalogue, &[5], &SoftmaxCe::default());
}
