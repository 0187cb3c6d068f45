//! AdamW against the textbook loop in double precision.

use das_nn::{AdamW, AdamWConfig, Device, ParamId, ParamKind, Params, TableUpdate, Tape};
use rstest_reuse::apply;

use super::every_device;
use crate::check::{doubles, rng, run, seeded_params, uniform};

const ROWS: usize = 300;
const COLS: usize = 3;

/// Rows with a gradient in each step; some appear once, some never, some twice in a step.
const TOUCHED: [&[u32]; 5] = [&[1, 2, 299], &[2, 2, 255, 256], &[1], &[], &[7, 2, 299]];

struct Reference {
    value: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Reference {
    fn new(values: &[f32]) -> Self {
        let zeros = vec![0.0; values.len()];
        Self { value: doubles(values), first: zeros.clone(), second: zeros }
    }

    fn step(&mut self, at: usize, g: f64, t: i32, lr: f64, c: &AdamWConfig) {
        let (beta1, beta2) = (f64::from(c.beta1), f64::from(c.beta2));
        self.value[at] *= 1.0 - lr * f64::from(c.weight_decay);
        self.first[at] = beta1 * self.first[at] + (1.0 - beta1) * g;
        self.second[at] = beta2 * self.second[at] + (1.0 - beta2) * g * g;
        let first = self.first[at] / (1.0 - beta1.powi(t));
        let second = self.second[at] / (1.0 - beta2.powi(t));
        self.value[at] -= lr * first / (second.sqrt() + f64::from(c.eps));
    }

    fn assert_close(&self, values: &[f32]) {
        for (at, (a, b)) in self.value.iter().zip(values).enumerate() {
            assert!((a - f64::from(*b)).abs() < 2e-6, "value {at}: {b}, reference {a}");
        }
    }
}

fn config(table_update: TableUpdate, weight_decay: f32) -> AdamWConfig {
    AdamWConfig { weight_decay, table_update, ..Default::default() }
}

/// A loss over the touched rows of the table and all of the dense parameter.
fn build(tape: &mut Tape<'_>, p: &[ParamId], step: usize) -> das_nn::Var {
    let rows = TOUCHED[step % TOUCHED.len()];
    let x = tape.gather(p[0], rows);
    let target =
        tape.input_slice(rows.len(), COLS, &uniform(rows.len() * COLS, &mut rng(step as u64)));
    let (dense, goal) = (tape.param(p[1]), tape.input_slice(4, 2, &[0.5; 8]));
    let losses = [(tape.mse(x, target, 1.0), 1.0), (tape.mse(dense, goal, 3.0), 1.0)];
    tape.weighted_sum(&losses)
}

fn setup(device: &Device) -> (Params, Vec<ParamId>) {
    seeded_params(device, &[(ParamKind::Table, ROWS, COLS), (ParamKind::Dense, 4, 2)], 41)
}

#[apply(every_device)]
fn dense_and_lazy_match_the_reference(device: Device) {
    for table_update in [TableUpdate::Dense, TableUpdate::Lazy] {
        for weight_decay in [0.0, 0.1] {
            let (mut params, p) = setup(&device);
            let config = config(table_update, weight_decay);
            let mut optimizer = AdamW::new(&params, config);
            let mut table = Reference::new(&params.get(p[0]).to_vec());
            let mut dense = Reference::new(&params.get(p[1]).to_vec());
            for step in 0..12 {
                let gradients = run(&params, |tape| build(tape, &p, step)).1;
                let (of_table, of_dense) =
                    (gradients.dense(p[0]).unwrap(), gradients.dense(p[1]).unwrap());
                optimizer.step(&mut params, &gradients, 0.01, 0.05);
                let t = step as i32 + 1;
                for (at, &g) in of_table.iter().enumerate() {
                    let listed = TOUCHED[step % TOUCHED.len()].contains(&((at / COLS) as u32));
                    if listed || table_update == TableUpdate::Dense {
                        table.step(at, f64::from(g), t, f64::from(0.05f32), &config);
                    }
                }
                for (at, &g) in of_dense.iter().enumerate() {
                    dense.step(at, f64::from(g), t, f64::from(0.01f32), &config);
                }
            }
            assert_eq!(optimizer.steps(), 12);
            table.assert_close(&params.get(p[0]).to_vec());
            dense.assert_close(&params.get(p[1]).to_vec());
        }
    }
}

/// Rows in any number, with gaps of any width: without decay a first step moves what has a
/// gradient, so both ways to update must agree to the bit.
#[apply(every_device)]
fn listed_rows_are_updated_as_all_rows_are(device: Device) {
    let rows = 5000;
    for listed in [1, 255, 256, 257, 700] {
        let gap = |at: u32| at * 6 + at % 5;
        let listed: Vec<u32> = (0..listed).map(gap).collect();
        let step = |table_update| {
            let (mut params, p) = seeded_params(&device, &[(ParamKind::Table, rows, COLS)], 43);
            let gradients = run(&params, |tape| {
                let x = tape.gather(p[0], &listed);
                let size = listed.len() * COLS;
                let goal = tape.input_slice(listed.len(), COLS, &uniform(size, &mut rng(7)));
                tape.mse(x, goal, 1.0)
            })
            .1;
            let before = params.get(p[0]).to_vec();
            AdamW::new(&params, config(table_update, 0.0)).step(&mut params, &gradients, 0.1, 0.1);
            (before, params.get(p[0]).to_vec())
        };
        let ((before, lazy), (_, dense)) = (step(TableUpdate::Lazy), step(TableUpdate::Dense));
        assert_eq!(lazy, dense);
        let moved = |row: u32| lazy[row as usize * COLS] != before[row as usize * COLS];
        assert!((0..rows as u32).all(|row| moved(row) == listed.contains(&row)));
    }
}

#[apply(every_device)]
fn parameters_without_a_gradient_stay(device: Device) {
    let (mut params, p) = setup(&device);
    let before = params.to_tensors();
    let mut optimizer = AdamW::new(&params, config(TableUpdate::Dense, 0.5));
    let gradients = run(&params, |tape| {
        let (x, goal) = (tape.param(p[1]), tape.input_slice(4, 2, &[0.0; 8]));
        tape.mse(x, goal, 1.0)
    })
    .1;
    optimizer.step(&mut params, &gradients, 0.1, 0.1);
    assert_eq!(params.to_tensors()[0], before[0]);
    assert_ne!(params.to_tensors()[1], before[1]);
}

fn train(params: &mut Params, p: &[ParamId], optimizer: &mut AdamW, steps: std::ops::Range<usize>) {
    for step in steps {
        let gradients = run(params, |tape| build(tape, p, step)).1;
        optimizer.step(params, &gradients, 0.01, 0.05);
    }
}

#[apply(every_device)]
fn a_restored_optimizer_continues_bit_for_bit(device: Device) {
    for table_update in [TableUpdate::Dense, TableUpdate::Lazy] {
        let (mut params, p) = setup(&device);
        let mut optimizer = AdamW::new(&params, config(table_update, 0.1));
        train(&mut params, &p, &mut optimizer, 0..4);
        let (saved, state) = (params.to_tensors(), optimizer.state_tensors(&params));
        train(&mut params, &p, &mut optimizer, 4..11);

        let (mut again, q) = setup(&device);
        again.load_tensors(&saved).unwrap();
        let mut restored = AdamW::new(&again, config(table_update, 0.1));
        restored.load_state(&again, &state).unwrap();
        train(&mut again, &q, &mut restored, 4..11);
        assert_eq!(again.to_tensors(), params.to_tensors());
        assert_eq!(restored.state_tensors(&again), optimizer.state_tensors(&params));
    }
}

#[apply(every_device)]
fn state_that_does_not_fit_is_refused(device: Device) {
    let (mut params, p) = setup(&device);
    let mut optimizer = AdamW::new(&params, config(TableUpdate::Lazy, 0.0));
    train(&mut params, &p, &mut optimizer, 0..2);
    let state = optimizer.state_tensors(&params);
    let mut fresh = AdamW::new(&params, config(TableUpdate::Lazy, 0.0));
    let empty = fresh.state_tensors(&params);
    let mut refuse = |change: &dyn Fn(&mut Vec<das_nn::safetensors_io::NamedTensor>)| {
        let mut bad = state.clone();
        change(&mut bad);
        assert!(fresh.load_state(&params, &bad).is_err());
        assert_eq!(fresh.state_tensors(&params), empty, "nothing changed");
    };
    refuse(&|bad| drop(bad.pop()));
    refuse(&|bad| bad[1].name.push('x'));
    refuse(&|bad| bad[1].shape.reverse());
    refuse(&|bad| bad[1].data = das_nn::safetensors_io::TensorData::U32(vec![0; ROWS * COLS]));
    refuse(&|bad| bad[0].data = das_nn::safetensors_io::TensorData::I64(vec![-1]));
    refuse(&|bad| {
        let mut extra = bad[1].clone();
        extra.name = "adamw.first.other".to_owned();
        bad.push(extra);
    });
    refuse(&|bad| {
        let das_nn::safetensors_io::TensorData::F32(values) = &mut bad[2].data else { panic!() };
        values[5] = -1.0;
    });
    refuse(&|bad| {
        let das_nn::safetensors_io::TensorData::F32(values) = &mut bad[1].data else { panic!() };
        values[5] = f32::NAN;
    });
}

#[apply(every_device)]
fn a_reset_row_starts_over(device: Device) {
    for table_update in [TableUpdate::Dense, TableUpdate::Lazy] {
        let (mut params, p) = setup(&device);
        let mut optimizer = AdamW::new(&params, config(table_update, 0.1));
        train(&mut params, &p, &mut optimizer, 0..3);
        optimizer.reset_row(p[0], 2);
        optimizer.reset_row(p[1], 1);
        let mut by_name = optimizer.state_tensors(&params).into_iter();
        let mut row = |name: &str, row: usize, cols: usize| {
            let tensor = by_name.find(|tensor| tensor.name == name).unwrap();
            let das_nn::safetensors_io::TensorData::F32(values) = tensor.data else { panic!() };
            values[row * cols..][..cols].to_vec()
        };
        assert_eq!(row("adamw.first.p0", 2, COLS), [0.0; COLS]);
        assert_eq!(row("adamw.second.p0", 2, COLS), [0.0; COLS]);
        assert_eq!(row("adamw.first.p1", 1, 2), [0.0; 2]);
        assert_ne!(row("adamw.second.p1", 0, 2), [0.0; 2]);
        train(&mut params, &p, &mut optimizer, 3..6);
    }
}

/// The same loss of a parameter that is `factor` times as large has gradients that are as much smaller; the steps of
/// AdamW, which do not depend on the size of gradients, are the same.
#[apply(every_device)]
fn a_rescaled_parameter_makes_the_same_steps(device: Device) {
    let step = |params: &mut Params, id: ParamId, optimizer: &mut AdamW, factor: f32| {
        let mut tape = Tape::new(params);
        let (value, goal) = (tape.param(id), tape.input_slice(4, 2, &[0.5 * factor; 8]));
        let loss = tape.mse(value, goal, 3.0 / (factor * factor));
        let gradients = tape.backward(loss);
        let before = params.get(id).to_vec();
        optimizer.step(params, &gradients, 0.01, 0.01);
        let after = params.get(id).to_vec();
        after.iter().zip(before).map(|(after, before)| after - before).collect::<Vec<f32>>()
    };
    let steps = |factor: f32| {
        let (mut params, p) = setup(&device);
        let mut optimizer = AdamW::new(&params, config(TableUpdate::Lazy, 0.0));
        for _ in 0..3 {
            step(&mut params, p[1], &mut optimizer, 1.0);
        }
        params.scale(p[1], factor);
        optimizer.rescale(p[1], factor);
        step(&mut params, p[1], &mut optimizer, factor)
    };
    for (rescaled, plain) in steps(0.125).iter().zip(steps(1.0)) {
        assert!((rescaled - plain).abs() < 1e-5 * 0.01 + 1e-7, "{rescaled} and {plain}");
        assert!(plain.abs() > 1e-4);
    }
}
