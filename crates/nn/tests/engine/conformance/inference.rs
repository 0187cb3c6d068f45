//! Tapes that record nothing.

use das_nn::{Activation, Attention, Device, InfoNce, ParamKind, SoftmaxCe, Tape, Var};
use rstest_reuse::apply;

use super::every_device;
use crate::check::{probe, rng, seeded_params};

const DENSE: ParamKind = ParamKind::Dense;

/// Every operation of a small transformer block, without dropout; some values and losses.
fn forward(tape: &mut Tape<'_>, p: &[das_nn::ParamId]) -> Vec<Var> {
    let rows = [0, 2, 5];
    let x = tape.gather_bag(p[0], &[0, 1, 2, 3, 1, 1, 0, 3, 2, 2], 2);
    let o = Attention { heads: 2, queries: &rows, keys: &rows, causal: true };
    let y = tape.attention(x, x, x, &o);
    let y = tape.add(x, y);
    let y = tape.layer_norm(y, p[2], p[2], Tape::LAYER_NORM_EPS);
    let mut values = vec![y];
    for act in [Activation::Identity, Activation::Relu, Activation::Gelu, Activation::GeluTanh] {
        let y = tape.linear(y, p[1], p[2], act);
        values.push(tape.cross(x, y, p[1], p[2]));
    }
    let catalogue = tape.param(p[0]);
    values.push(tape.scores(y, catalogue));
    values.push(tape.softmax_ce(y, catalogue, &[3, 2, 1, 0, 0], &SoftmaxCe::default()));
    values.push(tape.info_nce(x, y, &InfoNce::new(0.5)));
    values
}

#[apply(every_device)]
fn values_are_those_of_training(device: Device) {
    let (params, p) =
        seeded_params(&device, &[(ParamKind::Table, 4, 6), (DENSE, 6, 6), (DENSE, 1, 6)], 95);
    let (mut training, mut inference) = (Tape::new(&params), Tape::inference(&params));
    let (expected, found) = (forward(&mut training, &p), forward(&mut inference, &p));
    for (&e, &f) in expected.iter().zip(&found) {
        assert_eq!(training.value(e).to_vec(), inference.value(f).to_vec());
    }
    let x = inference.param(p[0]);
    assert_eq!(inference.dropout(x, 0.9, &mut rng(1)), x);
}

#[apply(every_device)]
#[should_panic(expected = "nothing to run backward")]
fn there_is_no_backward_pass(device: Device) {
    let (params, p) = seeded_params(&device, &[(DENSE, 2, 2)], 96);
    let mut tape = Tape::inference(&params);
    let x = tape.param(p[0]);
    let loss = probe(&mut tape, x);
    tape.backward(loss);
}
