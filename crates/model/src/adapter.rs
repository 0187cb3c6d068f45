//! The content adapter: a residual projection of frozen content vectors, trained with the tokenizer.
//!
//! x′ = x + U (V x + a) + b, of low rank, and 0 beside x at first. A term ‖x′ − x‖² holds it near the
//! identity. The tokenizer encodes and reconstructs x′, as it would the output of an embedding model
//! that is trained along (ours). Once trained it is part of the encoder's first layer,
//! W x′ + c = (W + W U V) x + (W (U a + b) + c), so that encoding costs what it did.

use das_nn::{Activation, ParamKind, Params, Tape, Var};
use rand::Rng;

use crate::Result;
use crate::codebooks::TensorMap;
use crate::layers::Linear;

/// Content → adapted content.
#[derive(Clone, Debug)]
pub(crate) struct Adapter {
    down: Linear,
    up: Linear,
}

impl Adapter {
    /// Registers `NAME.down` and `NAME.up` for content of width `dim`.
    pub(crate) fn new(
        params: &mut Params,
        name: &str,
        dim: usize,
        rank: usize,
        rng: &mut impl Rng,
    ) -> Result<Adapter> {
        let down = Linear::new(params, &format!("{name}.down"), dim, rank, rng)?;
        let mut zeros = |what: &str, rows: usize, cols: usize| {
            let name = format!("{name}.up.{what}");
            params.add(&name, ParamKind::Dense, rows, cols, &vec![0.0; rows * cols])
        };
        let up = Linear::of(zeros("weight", dim, rank)?, zeros("bias", 1, dim)?);
        Ok(Adapter { down, up })
    }

    /// x `[n, dim]` → x′.
    pub(crate) fn forward(&self, tape: &mut Tape<'_>, x: Var) -> Var {
        let narrow = self.down.forward(tape, x, Activation::Identity);
        let shift = self.up.forward(tape, narrow, Activation::Identity);
        tape.add(x, shift)
    }
}

/// Takes an adapter, where there is one, into the first layer of the encoder behind it.
pub(crate) fn fold(tensors: &mut TensorMap, adapter: &str, encoder: &str) {
    let mut take = |name: &str| tensors.remove(&format!("{adapter}.{name}"));
    let parts = ["down.weight", "down.bias", "up.weight", "up.bias"].map(&mut take);
    let [Some((shape, down)), Some((_, down_bias)), Some((_, up)), Some((_, up_bias))] = parts
    else {
        return;
    };
    let (rank, dim) = (shape[0], shape[1]);
    let mut shift = up_bias;
    for (shift, row) in shift.iter_mut().zip(up.chunks_exact(rank)) {
        *shift += dot(row, &down_bias);
    }
    if let Some((_, bias)) = tensors.get(&format!("{encoder}.0.bias")).cloned()
        && let Some((_, weight)) = tensors.get_mut(&format!("{encoder}.0.weight"))
    {
        let bias = bias.iter().zip(weight.chunks_exact(dim)).map(|(c, row)| c + dot(row, &shift));
        let bias: Vec<f32> = bias.collect();
        for row in weight.chunks_exact_mut(dim) {
            // W U, then the rows of V by it.
            let mut through = vec![0.0; rank];
            for (w, up) in row.iter().zip(up.chunks_exact(rank)) {
                through.iter_mut().zip(up).for_each(|(sum, up)| *sum += w * up);
            }
            for (factor, down) in through.iter().zip(down.chunks_exact(dim)) {
                row.iter_mut().zip(down).for_each(|(w, v)| *w += factor * v);
            }
        }
        tensors.insert(format!("{encoder}.0.bias"), (vec![1, bias.len()], bias));
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use das_core::streams::stream;
    use das_core::{Side, Views};
    use das_nn::Device;

    use super::*;
    use crate::SideEncoder;
    use crate::config::Fusion;
    use crate::fusion::Encoder;
    use crate::layers::Mlp;

    const CONTENT: [f32; 10] = [0.5, -1.0, 2.0, 0.3, 0.7, 1.5, 0.2, -0.4, -0.8, 1.1];

    #[test]
    fn it_is_nothing_at_first_and_part_of_the_first_layer_in_the_end() {
        for (fusion, widths) in
            [(Fusion::Sum, &[4, 3][..]), (Fusion::Concat, &[4, 3]), (Fusion::Sum, &[3])]
        {
            let mut params = Params::new(&Device::cpu());
            let mut rng = stream(1, "test", 0);
            let views = Views::new(vec![3, 2]).unwrap();
            let adapter = Adapter::new(&mut params, "item.adapter", 5, 2, &mut rng).unwrap();
            let encoder =
                Encoder::new(&mut params, "item.encoder", &views, fusion, widths, &mut rng)
                    .unwrap();
            Mlp::new(&mut params, "item.decoder", &[3, 5], &mut rng).unwrap();
            params.add("item.codebook.0", ParamKind::Dense, 2, 3, &[0.1; 6]).unwrap();
            let latents = |params: &Params| {
                let mut tape = Tape::new(params);
                let x = tape.input_slice(2, 5, &CONTENT);
                let adapted = adapter.forward(&mut tape, x);
                let z = encoder.forward(&mut tape, adapted);
                (tape.value(adapted).to_vec(), tape.value(z).to_vec())
            };
            assert_eq!(latents(&params).0, CONTENT);

            let up = params.id("item.adapter.up.weight").unwrap();
            for row in 0..5 {
                params.set_row(up, row, &[0.3 - 0.1 * row as f32, 0.2 * row as f32]);
            }
            let (adapted, trained) = latents(&params);
            assert_ne!(adapted, CONTENT);
            let published = SideEncoder::from_params(&params, Side::Item).unwrap();
            let published = published.latents(&CONTENT);
            for (a, b) in trained.iter().zip(&published) {
                assert!((a - b).abs() < 1e-5, "{fusion:?} {widths:?}: {a} and {b}");
            }
        }
    }
}
