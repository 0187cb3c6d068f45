//! The encoder over the views of a content vector.
//!
//! Each view v is projected, W_v x_v, and the projections are joined. As a sum they are one linear
//! layer over the views side by side, [W_1 … W_V] x + b, which is what that layer is made as. Joined
//! end to end they are a block-diagonal layer: trained block by block, run as one.

use std::ops::Range;

use das_core::Views;
use das_nn::{Activation, Params, Tape, Var};
use rand::Rng;

use crate::codebooks::TensorMap;
use crate::config::Fusion;
use crate::layers::{Linear, Mlp};
use crate::{Error, Result};

/// Views → latent vectors.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    /// The projection of each view, where they are joined end to end.
    projections: Vec<(Range<usize>, Linear)>,
    /// What follows them; all of it where there are none.
    rest: Mlp,
}

impl Encoder {
    /// Registers `NAME.0`, `NAME.1`, … for layers of the given output `widths`.
    pub(crate) fn new(
        params: &mut Params,
        name: &str,
        views: &Views,
        fusion: Fusion,
        widths: &[usize],
        rng: &mut impl Rng,
    ) -> Result<Encoder> {
        if fusion == Fusion::Sum || views.count() == 1 {
            let rest = Mlp::new(params, name, &[&[views.dim()], widths].concat(), rng)?;
            return Ok(Encoder { projections: Vec::new(), rest });
        }
        let (width, count) = (widths[0], views.count());
        if width < count {
            return Err(Error::config(
                "model.fusion",
                format!("`sum`, or a first layer at least as wide as there are views ({count})"),
                format!("`concat` with a first layer of width {width}"),
            ));
        }
        let mut projections = Vec::with_capacity(count);
        for (at, span) in views.spans().enumerate() {
            let own = width / count + usize::from(at < width % count);
            let name = format!("{name}.0.view.{at}");
            projections.push((span.clone(), Linear::new(params, &name, span.len(), own, rng)?));
        }
        Ok(Encoder { projections, rest: Mlp::continued(params, name, widths, 1, rng)? })
    }

    /// The layers whose outputs, end to end, are those of the encoder.
    pub(crate) fn last(&self) -> Vec<Linear> {
        match self.rest.last() {
            Some(last) => vec![last],
            None => self.projections.iter().map(|&(_, linear)| linear).collect(),
        }
    }

    /// x `[n, Σ views]` → `[n, widths[last]]`.
    pub(crate) fn forward(&self, tape: &mut Tape<'_>, x: Var) -> Var {
        if self.projections.is_empty() {
            return self.rest.forward(tape, x);
        }
        let act = if self.rest.is_empty() { Activation::Identity } else { Activation::Relu };
        let parts: Vec<Var> = self
            .projections
            .iter()
            .map(|(span, linear)| {
                let view = tape.columns(x, span.clone());
                linear.forward(tape, view, act)
            })
            .collect();
        let joined = tape.concat(&parts);
        self.rest.forward(tape, joined)
    }
}

/// Puts the projections of an encoder's views, where it has them, together as its first layer.
pub(crate) fn join_projections(tensors: &mut TensorMap, encoder: &str) {
    let mut views = Vec::new();
    loop {
        let name = |what| format!("{encoder}.0.view.{}.{what}", views.len());
        let weight = tensors.remove(&name("weight"));
        let Some((weight, bias)) = weight.zip(tensors.remove(&name("bias"))) else { break };
        views.push((weight, bias));
    }
    if views.is_empty() {
        return;
    }
    let fan_in: usize = views.iter().map(|((shape, _), _)| shape[1]).sum();
    let (mut rows, mut biases, mut start) = (Vec::new(), Vec::new(), 0);
    for ((shape, weight), (_, bias)) in &views {
        for projected in weight.chunks_exact(shape[1]) {
            rows.extend(std::iter::repeat_n(0.0, start));
            rows.extend_from_slice(projected);
            rows.extend(std::iter::repeat_n(0.0, fan_in - start - shape[1]));
        }
        biases.extend_from_slice(bias);
        start += shape[1];
    }
    let fan_out = biases.len();
    tensors.insert(format!("{encoder}.0.weight"), (vec![fan_out, fan_in], rows));
    tensors.insert(format!("{encoder}.0.bias"), (vec![1, fan_out], biases));
}

#[cfg(test)]
mod tests {
    use das_core::Side;
    use das_core::streams::stream;
    use das_nn::Device;

    use super::*;
    use crate::SideEncoder;

    /// Two views of widths 3 and 2, three rows, of which the second lacks the last view.
    const CONTENT: [f32; 15] =
        [0.5, -1.0, 2.0, 0.3, 0.7, 1.5, 0.2, -0.4, 0.0, 0.0, -0.8, 1.1, 0.6, -0.9, 0.4];

    /// Latents on the tape, and by the weights as an artifact has them.
    fn latents(fusion: Fusion, widths: &[usize]) -> (Vec<f32>, Vec<f32>, Params) {
        let mut params = Params::new(&Device::cpu());
        let views = Views::new(vec![3, 2]).unwrap();
        let mut rng = stream(1, "test", 0);
        let encoder =
            Encoder::new(&mut params, "item.encoder", &views, fusion, widths, &mut rng).unwrap();
        let out = *widths.last().unwrap();
        Mlp::new(&mut params, "item.decoder", &[out, 5], &mut rng).unwrap();
        let dense = das_nn::ParamKind::Dense;
        params.add("item.codebook.0", dense, 2, out, &vec![0.1; 2 * out]).unwrap();
        let mut tape = Tape::new(&params);
        let x = tape.input_slice(3, 5, &CONTENT);
        let z = encoder.forward(&mut tape, x);
        let trained = tape.value(z).to_vec();
        drop(tape);
        let published = SideEncoder::from_params(&params, Side::Item).unwrap().latents(&CONTENT);
        (trained, published, params)
    }

    fn assert_close(a: &[f32], b: &[f32]) {
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() < 1e-5, "{a} and {b}");
        }
    }

    /// W x + b.
    fn linear(params: &Params, name: &str, x: &[f32]) -> Vec<f32> {
        let get = |what| params.get(params.id(&format!("{name}.{what}")).unwrap()).to_vec();
        let (weight, bias) = (get("weight"), get("bias"));
        let dot = |row: &[f32]| row.iter().zip(x).map(|(w, x)| w * x).sum::<f32>();
        weight.chunks_exact(x.len()).zip(bias).map(|(row, bias)| dot(row) + bias).collect()
    }

    #[test]
    fn projections_stand_end_to_end() {
        for widths in [&[5, 4][..], &[3]] {
            let (trained, published, params) = latents(Fusion::Concat, widths);
            assert_close(&trained, &published);
            let naive: Vec<f32> = CONTENT
                .chunks_exact(5)
                .flat_map(|row| {
                    let mut x = linear(&params, "item.encoder.0.view.0", &row[..3]);
                    x.extend(linear(&params, "item.encoder.0.view.1", &row[3..]));
                    if widths.len() > 1 {
                        x.iter_mut().for_each(|x| *x = x.max(0.0));
                        x = linear(&params, "item.encoder.1", &x);
                    }
                    x
                })
                .collect();
            assert_close(&trained, &naive);
        }
    }

    #[test]
    fn a_sum_of_projections_is_one_layer() {
        let (trained, published, params) = latents(Fusion::Sum, &[4]);
        assert_close(&trained, &published);
        let weight = params.get(params.id("item.encoder.0.weight").unwrap()).to_vec();
        let bias = params.get(params.id("item.encoder.0.bias").unwrap()).to_vec();
        for (row, z) in CONTENT.chunks_exact(5).zip(trained.chunks_exact(4)) {
            let project = |at: usize, span: Range<usize>| -> f32 {
                span.map(|column| weight[5 * at + column] * row[column]).sum()
            };
            let sum: Vec<f32> =
                (0..4).map(|at| project(at, 0..3) + project(at, 3..5) + bias[at]).collect();
            assert_close(z, &sum);
        }
    }

    #[test]
    fn every_view_needs_a_place_in_the_first_layer() {
        let mut params = Params::new(&Device::cpu());
        let (views, mut rng) = (Views::new(vec![3, 2]).unwrap(), stream(1, "test", 0));
        let error =
            Encoder::new(&mut params, "e", &views, Fusion::Concat, &[1], &mut rng).unwrap_err();
        assert!(error.to_string().contains("model.fusion"), "{error}");
    }
}
