//! Values and gradients of PyTorch's operations, from `fixtures/torch/make.py`.

use std::collections::HashMap;

use rstest_reuse::apply;

use super::every_device;
use das_nn::safetensors_io::{TensorData, from_bytes};
use das_nn::{Activation, Attention, Device, ParamId, ParamKind, Params, SoftmaxCe, Tape, Var};

/// Of the largest value that PyTorch finds in double precision.
const TOLERANCE: f32 = 2e-6;

struct Golden(HashMap<String, (Vec<usize>, TensorData)>);

impl Golden {
    fn load() -> Self {
        let bytes = include_bytes!("../../fixtures/torch/ops.safetensors");
        let tensors = from_bytes(bytes).unwrap().tensors;
        Self(tensors.into_iter().map(|t| (t.name, (t.shape, t.data))).collect())
    }

    fn values(&self, name: &str) -> &[f32] {
        self.0[name].1.as_f32().unwrap_or_else(|| panic!("`{name}` holds floats"))
    }

    /// Runs a case on parameters of the given names and compares its value and all gradients.
    fn check<const N: usize>(
        &self,
        device: &Device,
        case: &str,
        inputs: [&str; N],
        build: impl FnOnce(&mut Tape<'_>, [ParamId; N]) -> Var,
    ) {
        let mut params = Params::new(device);
        let ids = inputs.map(|input| {
            let name = format!("{case}.in.{input}");
            let shape = &self.0[&name].0;
            params.add(input, ParamKind::Dense, shape[0], shape[1], self.values(&name)).unwrap()
        });
        let mut tape = Tape::new(&params);
        let out = build(&mut tape, ids);
        close(
            &format!("{case}.out"),
            &tape.value(out).to_vec(),
            self.values(&format!("{case}.out")),
        );
        let loss = match self.0.get(&format!("{case}.probe")) {
            Some((shape, probe)) => dot(&mut tape, out, shape[1], probe.as_f32().unwrap()),
            None => out,
        };
        let gradients = tape.backward(loss);
        for (input, id) in inputs.iter().zip(ids) {
            let name = format!("{case}.grad.{input}");
            close(&name, &gradients.dense(id).unwrap(), self.values(&name));
        }
    }
}

/// `Σ out ⊙ probe` as a loss: `½ Σ (out + probe)² - ½ Σ out² - ½ Σ probe²`, of which the last
/// term has no gradient.
fn dot(tape: &mut Tape<'_>, out: Var, cols: usize, probe: &[f32]) -> Var {
    let (rows, _) = tape.shape(out);
    let minus: Vec<f32> = probe.iter().map(|p| -p).collect();
    let (minus, zeros) = (
        tape.input_slice(rows, cols, &minus),
        tape.input_slice(rows, cols, &vec![0.0; probe.len()]),
    );
    let parts = [(tape.mse(out, minus, 0.5), 1.0), (tape.mse(out, zeros, 0.5), -1.0)];
    tape.weighted_sum(&parts)
}

fn close(name: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let largest = expected.iter().fold(0.0f32, |max, e| max.max(e.abs()));
    for (at, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= TOLERANCE * largest, "{name}[{at}]: {f}, PyTorch has {e}");
    }
}

#[apply(every_device)]
fn attention(device: Device) {
    let ragged = [0, 7, 8, 13, 33];
    let causal = Attention { heads: 4, queries: &ragged, keys: &ragged, causal: true };
    let target =
        Attention { heads: 2, queries: &[0, 1, 3, 4], keys: &[0, 5, 17, 19], causal: false };
    for (case, o) in [("causal", causal), ("target", target)] {
        Golden::load().check(&device, case, ["q", "k", "v"], |tape, ids| {
            let [q, k, v] = ids.map(|id| tape.param(id));
            tape.attention(q, k, v, &o)
        });
    }
}

#[apply(every_device)]
fn smooth_activations(device: Device) {
    for (case, act) in [("gelu", Activation::Gelu), ("gelu_tanh", Activation::GeluTanh)] {
        Golden::load().check(&device, case, ["x", "w", "b"], |tape, [x, w, b]| {
            let x = tape.param(x);
            tape.linear(x, w, b, act)
        });
    }
}

#[apply(every_device)]
fn layer_norm(device: Device) {
    Golden::load().check(&device, "layer_norm", ["x", "gain", "bias"], |tape, [x, gain, bias]| {
        let x = tape.param(x);
        tape.layer_norm(x, gain, bias, Tape::LAYER_NORM_EPS)
    });
}

#[apply(every_device)]
fn cross(device: Device) {
    Golden::load().check(&device, "cross", ["x0", "x", "w", "b"], |tape, [x0, x, w, b]| {
        let (x0, x) = (tape.param(x0), tape.param(x));
        tape.cross(x0, x, w, b)
    });
}

#[apply(every_device)]
fn softmax_ce(device: Device) {
    let golden = Golden::load();
    let TensorData::I64(targets) = &golden.0["softmax_ce.targets"].1 else {
        panic!("targets are integers")
    };
    let targets: Vec<u32> = targets.iter().map(|&target| target as u32).collect();
    let o = SoftmaxCe { scale: 0.8, label_smoothing: 0.15, ..Default::default() };
    golden.check(&device, "softmax_ce", ["x", "w"], |tape, [x, w]| {
        let (x, w) = (tape.param(x), tape.param(w));
        tape.softmax_ce(x, w, &targets, &o)
    });
}

#[apply(every_device)]
fn bce_with_logits(device: Device) {
    let golden = Golden::load();
    golden.check(&device, "bce", ["x"], |tape, [x]| {
        let x = tape.param(x);
        tape.bce_with_logits(x, golden.values("bce.labels"), Some(golden.values("bce.weights")))
    });
}
