//! Linear, rows, columns, normalise, and the plain losses.

use das_nn::{Activation, Device, ParamKind, Tape};
use rstest_reuse::apply;

use super::every_device;
use crate::check::{
    Values, check_gradients, check_params, dot, doubles, matmul, mse, probe, probe_reference, run,
    seeded_params, transpose,
};

const DENSE: ParamKind = ParamKind::Dense;
const TABLE: ParamKind = ParamKind::Table;

fn linear_reference(
    v: &Values,
    (n, inputs, outputs): (usize, usize, usize),
    relu: bool,
) -> Vec<f64> {
    let mut y = matmul(&v[0], &transpose(&v[1], outputs, inputs), (n, inputs, outputs));
    for (i, y) in y.iter_mut().enumerate() {
        *y += v[2][i % outputs];
        *y = if relu { y.max(0.0) } else { *y };
    }
    y
}

#[apply(every_device)]
fn linear(device: Device) {
    // Widths on both sides of the tile boundaries, one row, one column.
    for (n, inputs, outputs) in [(1, 1, 1), (5, 7, 3), (70, 9, 4), (3, 5, 150), (2, 1, 33)] {
        for act in [Activation::Identity, Activation::Relu] {
            check_gradients(
                &device,
                &[(DENSE, n, inputs), (DENSE, outputs, inputs), (DENSE, 1, outputs)],
                7,
                |tape, p| {
                    let x = tape.param(p[0]);
                    let y = tape.linear(x, p[1], p[2], act);
                    probe(tape, y)
                },
                |v| {
                    let relu = act == Activation::Relu;
                    probe_reference(&linear_reference(v, (n, inputs, outputs), relu))
                },
            );
        }
    }
}

#[apply(every_device)]
fn one_layer_used_twice_adds_up(device: Device) {
    check_gradients(
        &device,
        &[(DENSE, 4, 3), (DENSE, 3, 3), (DENSE, 1, 3)],
        8,
        |tape, p| {
            let x = tape.param(p[0]);
            let y = tape.linear(x, p[1], p[2], Activation::Relu);
            let y = tape.linear(y, p[1], p[2], Activation::Identity);
            probe(tape, y)
        },
        |v| {
            let first = linear_reference(v, (4, 3, 3), true);
            let second = vec![first, v[1].clone(), v[2].clone()];
            probe_reference(&linear_reference(&second, (4, 3, 3), false))
        },
    );
}

#[apply(every_device)]
fn relu_keeps_nan(device: Device) {
    let (params, p) = seeded_params(&device, &[(DENSE, 2, 2), (DENSE, 1, 2)], 1);
    let mut tape = Tape::new(&params);
    let x = tape.input_slice(1, 2, &[f32::NAN, 1.0]);
    let y = tape.linear(x, p[0], p[1], Activation::Relu);
    assert!(tape.value(y).to_vec().iter().all(|v| v.is_nan()));
}

fn take_rows(x: &[f64], cols: usize, rows: &[u32]) -> Vec<f64> {
    rows.iter().flat_map(|&row| &x[row as usize * cols..][..cols]).copied().collect()
}

#[apply(every_device)]
fn gather_and_select_rows_with_repeats(device: Device) {
    let rows = [4, 0, 4, 4, 2, 0];
    for kind in [DENSE, TABLE] {
        check_gradients(
            &device,
            &[(kind, 6, 3)],
            3,
            |tape, p| {
                let x = tape.gather(p[0], &rows);
                probe(tape, x)
            },
            |v| probe_reference(&take_rows(&v[0], 3, &rows)),
        );
    }
    check_gradients(
        &device,
        &[(DENSE, 6, 3)],
        4,
        |tape, p| {
            let x = tape.param(p[0]);
            let x = tape.select_rows(x, &rows);
            probe(tape, x)
        },
        |v| probe_reference(&take_rows(&v[0], 3, &rows)),
    );
}

#[apply(every_device)]
fn a_table_gathered_twice_and_used_whole(device: Device) {
    let (once, again) = ([3, 1, 1], [1, 5]);
    check_gradients(
        &device,
        &[(TABLE, 6, 2)],
        5,
        |tape, p| {
            let parts = [tape.gather(p[0], &once), tape.gather(p[0], &again), tape.param(p[0])];
            let losses = parts.map(|part| (probe(tape, part), 1.5));
            tape.weighted_sum(&losses)
        },
        |v| {
            let parts = [take_rows(&v[0], 2, &once), take_rows(&v[0], 2, &again), v[0].clone()];
            parts.iter().map(|part| 1.5 * probe_reference(part)).sum()
        },
    );
}

#[apply(every_device)]
fn no_rows_at_all(device: Device) {
    let (params, p) = seeded_params(&device, &[(TABLE, 6, 2), (DENSE, 3, 2), (DENSE, 1, 3)], 5);
    let (loss, gradients) = run(&params, |tape| {
        let x = tape.gather(p[0], &[]);
        let x = tape.select_rows(x, &[]);
        let y = tape.linear(x, p[1], p[2], Activation::Relu);
        let y = tape.concat(&[y, y]);
        let y = tape.normalize(y);
        probe(tape, y)
    });
    assert_eq!(loss, 0.0);
    assert_eq!(gradients.dense(p[0]).unwrap(), [0.0; 12]);
    assert_eq!(gradients.dense(p[1]).unwrap(), [0.0; 6]);
    assert_eq!(gradients.dense(p[2]).unwrap(), [0.0; 3]);
}

#[apply(every_device)]
fn concat_with_a_part_used_twice(device: Device) {
    check_gradients(
        &device,
        &[(DENSE, 3, 2), (DENSE, 3, 4)],
        6,
        |tape, p| {
            let (a, b) = (tape.param(p[0]), tape.param(p[1]));
            let constant = tape.input_slice(3, 1, &[0.1, 0.2, 0.3]);
            let x = tape.concat(&[a, b, constant, a]);
            probe(tape, x)
        },
        |v| {
            let constant = [0.1f32, 0.2, 0.3].map(f64::from);
            let row = |i: usize| {
                let (a, b) = (&v[0][i * 2..][..2], &v[1][i * 4..][..4]);
                [a, b, &constant[i..=i], a].concat()
            };
            probe_reference(&(0..3).flat_map(row).collect::<Vec<_>>())
        },
    );
}

#[apply(every_device)]
fn detach_stops_the_gradient(device: Device) {
    let (params, p) = seeded_params(&device, &[(DENSE, 2, 3)], 2);
    let (_, gradients) = run(&params, |tape| {
        let x = tape.param(p[0]);
        let frozen = tape.detach(x);
        let frozen = tape.detach(frozen);
        assert_eq!(tape.value(frozen).to_vec(), tape.value(x).to_vec());
        let normal = tape.normalize(frozen);
        probe(tape, normal)
    });
    assert!(gradients.dense(p[0]).is_none());
    let original = doubles(&params.get(p[0]).to_vec());
    check_params(
        &params,
        &p,
        |tape, p| {
            let x = tape.param(p[0]);
            let frozen = tape.detach(x);
            let doubled = tape.concat(&[x, frozen]);
            probe(tape, doubled)
        },
        |v| {
            let row = |i: usize| [&v[0][i * 3..][..3], &original[i * 3..][..3]].concat();
            probe_reference(&(0..2).flat_map(row).collect::<Vec<_>>())
        },
    );
}

fn normalized(x: &[f64], cols: usize) -> Vec<f64> {
    let unit = |row: &[f64]| {
        let norm = dot(row, row).sqrt().max(1e-12);
        row.iter().map(|v| v / norm).collect::<Vec<_>>()
    };
    x.chunks(cols).flat_map(unit).collect()
}

#[apply(every_device)]
fn normalize(device: Device) {
    for (n, d) in [(1, 1), (5, 3), (130, 20)] {
        check_gradients(
            &device,
            &[(DENSE, n, d)],
            11,
            |tape, p| {
                let x = tape.param(p[0]);
                let y = tape.normalize(x);
                probe(tape, y)
            },
            |v| probe_reference(&normalized(&v[0], d)),
        );
    }
}

#[apply(every_device)]
fn normalize_a_zero_row(device: Device) {
    let (mut params, p) = seeded_params(&device, &[(DENSE, 2, 3)], 12);
    params.set_row(p[0], 0, &[0.0; 3]);
    let mut tape = Tape::new(&params);
    let x = tape.param(p[0]);
    let y = tape.normalize(x);
    assert_eq!(tape.value(y).to_vec()[..3], [0.0; 3]);
    let loss = probe(&mut tape, y);
    assert!(tape.backward(loss).is_finite());
}

#[apply(every_device)]
fn mse_of_two_parameters(device: Device) {
    check_gradients(
        &device,
        &[(DENSE, 9, 4), (DENSE, 9, 4)],
        13,
        |tape, p| {
            let (a, b) = (tape.param(p[0]), tape.param(p[1]));
            tape.mse(a, b, 1.0 / 36.0)
        },
        |v| mse(&v[0], &v[1], 1.0 / 36.0),
    );
}

fn squared_cosine_reference(a: &[f64], b: &[f64], d: usize) -> f64 {
    let cosine = |(a, b): (&[f64], &[f64])| {
        let norms = dot(a, a).sqrt().max(1e-8) * dot(b, b).sqrt().max(1e-8);
        dot(a, b) / norms
    };
    let squares: Vec<f64> = a.chunks(d).zip(b.chunks(d)).map(cosine).map(|c| c * c).collect();
    squares.iter().sum::<f64>() / squares.len() as f64
}

#[apply(every_device)]
fn squared_cosine(device: Device) {
    for (n, d) in [(1, 2), (7, 5), (150, 3)] {
        check_gradients(
            &device,
            &[(DENSE, n, d), (DENSE, n, d)],
            14,
            |tape, p| {
                let (a, b) = (tape.param(p[0]), tape.param(p[1]));
                tape.squared_cosine(a, b)
            },
            |v| squared_cosine_reference(&v[0], &v[1], d),
        );
    }
    let (mut params, p) = seeded_params(&device, &[(DENSE, 2, 3), (DENSE, 2, 3)], 15);
    params.set_row(p[0], 1, &[0.0; 3]);
    let (_, gradients) = run(&params, |tape| {
        let (a, b) = (tape.param(p[0]), tape.param(p[1]));
        tape.squared_cosine(a, b)
    });
    assert!(gradients.is_finite(), "a zero row");
}

#[apply(every_device)]
fn weighted_sums_nest_and_share_losses(device: Device) {
    check_gradients(
        &device,
        &[(DENSE, 2, 2), (DENSE, 2, 2)],
        16,
        |tape, p| {
            let (a, b) = (tape.param(p[0]), tape.param(p[1]));
            let (first, second) = (probe(tape, a), tape.mse(a, b, 2.0));
            let inner = tape.weighted_sum(&[(first, 0.5), (second, -3.0)]);
            tape.weighted_sum(&[(inner, 2.0), (second, 1.0)])
        },
        |v| {
            let second = mse(&v[0], &v[1], 2.0);
            2.0 * (0.5 * probe_reference(&v[0]) - 3.0 * second) + second
        },
    );
}

#[apply(every_device)]
fn clipping_scales_every_gradient(device: Device) {
    let (params, p) = seeded_params(&device, &[(DENSE, 3, 2), (TABLE, 5, 2)], 17);
    let gradients = || {
        let build = |tape: &mut Tape<'_>| {
            let (a, b) = (tape.param(p[0]), tape.gather(p[1], &[4, 1, 4]));
            tape.mse(a, b, 1.0)
        };
        run(&params, build).1
    };
    let before = gradients();
    let norm = p
        .iter()
        .flat_map(|&id| before.dense(id).unwrap())
        .map(|g| f64::from(g) * f64::from(g))
        .sum::<f64>()
        .sqrt();
    assert!((f64::from(before.global_norm()) - norm).abs() < 1e-6 * norm);
    let mut clipped = gradients();
    assert_eq!(clipped.clip(0.1), before.global_norm());
    assert!((clipped.global_norm() - 0.1).abs() < 1e-6);
    let ratio = 0.1 / norm;
    for (b, c) in before.dense(p[1]).unwrap().iter().zip(clipped.dense(p[1]).unwrap()) {
        assert!((f64::from(*b) * ratio - f64::from(c)).abs() < 1e-7);
    }
    let mut loose = gradients();
    loose.clip(1e6);
    assert_eq!(loose.dense(p[0]), before.dense(p[0]));
}

#[apply(every_device)]
fn gradients_that_overflow_are_noticed(device: Device) {
    let (mut params, p) = seeded_params(&device, &[(DENSE, 1, 2)], 18);
    params.set(p[0], &[f32::MAX, 1.0]).unwrap();
    let (_, mut gradients) = run(&params, |tape| {
        let x = tape.param(p[0]);
        let zero = tape.input(das_nn::Tensor::zeros(&device, 1, 2));
        tape.mse(x, zero, 1e30)
    });
    assert!(!gradients.is_finite());
    assert!(!gradients.clip(1.0).is_finite());
}
