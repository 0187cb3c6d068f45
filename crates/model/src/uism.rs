//! UISM: the residual-quantizing tokenizer of one side (paper).
//!
//! z = Enc(x); r_0 = z; for each level l: c_l = argmin_k ‖r_l − e^l_k‖², r_{l+1} = r_l − e^l_{c_l};
//! q = z + sg(Σ_l e^l_{c_l} − z) (straight-through); x̂ = Dec(q). Users and items have one each:
//! the same code, own weights and own shapes.

use das_core::{Side, Views};
use das_nn::{Codes, ParamId, ParamKind, Params, QuantizeOptions, Tape, Var};
use rand::Rng;

use crate::Result;
use crate::adapter::Adapter;
use crate::config::{Fusion, Reduction};
use crate::fusion::Encoder;
use crate::layers::{Mlp, normal};

/// The shape and the loss of one tokenizer.
#[derive(Clone, Debug)]
pub(crate) struct UismConfig {
    /// Hidden widths of the encoder; the decoder mirrors them.
    pub(crate) hidden: Vec<usize>,
    /// Codes of each level.
    pub(crate) codebook_sizes: Vec<u32>,
    /// Width d of codes.
    pub(crate) code_dim: usize,
    /// Weight μ of the commitment term.
    pub(crate) commitment_weight: f32,
    /// How squared errors are reduced over dimensions.
    pub(crate) reduction: Reduction,
    /// How the encoder joins views.
    pub(crate) fusion: Fusion,
    /// Rank of the content adapter; 0 has none.
    pub(crate) adapter_rank: usize,
    /// Whether a gradient that arrives at q also reaches the chosen codes.
    pub(crate) straight_to_codes: bool,
}

/// The parameters of one tokenizer.
#[derive(Clone, Debug)]
pub(crate) struct Uism {
    config: UismConfig,
    views: Views,
    adapter: Option<Adapter>,
    encoder: Encoder,
    decoder: Mlp,
    codebooks: Vec<ParamId>,
}

/// What a pass over content yields.
pub(crate) struct UismOutput {
    /// q, `[n, d]`: straight-through, or z itself where nothing is quantized yet.
    pub(crate) quantized: Var,
    /// Codebook and commitment terms; none while nothing is quantized.
    pub(crate) quantization: Option<Var>,
    /// x, `[n, content_dim]`, or what the adapter made of it: what is to be reconstructed.
    pub(crate) content: Var,
    /// x′ with its gradient, where there is an adapter.
    pub(crate) adapted: Option<Var>,
    /// The chosen codes, `[n, levels]`, unless nothing is quantized.
    pub(crate) codes: Option<Codes>,
}

impl Uism {
    /// Registers the parameters of `side` for content that consists of `views`.
    pub(crate) fn new(
        params: &mut Params,
        side: Side,
        views: Views,
        config: UismConfig,
        rng: &mut impl Rng,
    ) -> Result<Uism> {
        let adapter = match config.adapter_rank {
            0 => None,
            rank => {
                let (name, dim) = (format!("{side}.adapter"), views.dim());
                Some(Adapter::new(params, &name, dim, rank, rng)?)
            }
        };
        let mut widths = [&config.hidden[..], &[config.code_dim]].concat();
        let name = format!("{side}.encoder");
        let encoder = Encoder::new(params, &name, &views, config.fusion, &widths, rng)?;
        widths.reverse();
        widths.push(views.dim());
        let decoder = Mlp::new(params, &format!("{side}.decoder"), &widths, rng)?;
        let mut codebooks = Vec::with_capacity(config.codebook_sizes.len());
        for (level, &size) in config.codebook_sizes.iter().enumerate() {
            // Residuals shrink from level to level, and so do the codes that meet them.
            let values = normal(size as usize * config.code_dim, 0.3 / (level + 1) as f32, rng);
            let (rows, cols) = (size as usize, config.code_dim);
            let name = codebook_name(side, level);
            codebooks.push(params.add(&name, ParamKind::Dense, rows, cols, &values)?);
        }
        Ok(Uism { config, views, adapter, encoder, decoder, codebooks })
    }

    /// The codebooks, coarse level first.
    pub(crate) fn codebooks(&self) -> &[ParamId] {
        &self.codebooks
    }

    /// Encodes and quantizes content `x` `[n, content_dim]`.
    pub(crate) fn forward(&self, tape: &mut Tape<'_>, x: Var, quantize: bool) -> UismOutput {
        let (config, (n, _)) = (&self.config, tape.shape(x));
        let adapted = self.adapter.as_ref().map(|adapter| adapter.forward(tape, x));
        let z = self.encoder.forward(tape, adapted.unwrap_or(x));
        // The target is what it is: the adapter does not move content to where it is met.
        let content = adapted.map_or(x, |adapted| tape.detach(adapted));
        if !quantize {
            return UismOutput { quantized: z, quantization: None, content, adapted, codes: None };
        }
        let levels = self.codebooks.len();
        let options = QuantizeOptions {
            commitment_weight: config.commitment_weight,
            scale: scale(config.reduction, n, config.code_dim * levels),
            straight_to_codes: config.straight_to_codes,
        };
        let output = tape.residual_quantize(z, &self.codebooks, &options);
        UismOutput {
            quantized: output.through,
            quantization: Some(output.loss),
            content,
            adapted,
            codes: Some(output.codes),
        }
    }

    /// ‖x − x̂‖² of what `forward` made of x, whose values are `content`, reduced as configured.
    /// A view that an entity lacks counts as met.
    pub(crate) fn reconstruction(
        &self,
        tape: &mut Tape<'_>,
        output: &UismOutput,
        content: &[f32],
    ) -> Var {
        let (n, content_dim) = tape.shape(output.content);
        let mut target = output.content;
        let mut reconstructed = self.decoder.forward(tape, output.quantized);
        if let Some(present) = self.views.present(content) {
            let present = tape.input_slice(n, content_dim, &present);
            reconstructed = tape.multiply(reconstructed, present);
            if output.adapted.is_some() {
                target = tape.multiply(target, present);
            }
        }
        tape.mse(reconstructed, target, scale(self.config.reduction, n, content_dim))
    }

    /// ‖x′ − x‖² of what the adapter made of `x`, reduced as configured.
    pub(crate) fn adaptation(&self, tape: &mut Tape<'_>, adapted: Var, x: Var) -> Var {
        let (n, content_dim) = tape.shape(x);
        tape.mse(adapted, x, scale(self.config.reduction, n, content_dim))
    }
}

/// The name of a codebook among the parameters and in `model.safetensors`.
pub(crate) fn codebook_name(side: Side, level: usize) -> String {
    format!("{side}.codebook.{level}")
}

fn scale(reduction: Reduction, rows: usize, width: usize) -> f32 {
    match reduction {
        Reduction::Sum => 1.0 / rows as f32,
        Reduction::Mean => 1.0 / (rows * width) as f32,
    }
}

#[cfg(test)]
mod tests {
    use das_core::streams::stream;
    use das_nn::Device;

    use super::*;
    use crate::SideEncoder;

    /// The tape against the trained weights run on plain slices, with a view missing in row 1.
    #[test]
    fn a_missing_view_is_no_error_and_moves_no_weight() {
        let content = [0.6, 0.8, 1.0, 0.0, 0.0, -1.0];
        let views = Views::new(vec![2, 1]).unwrap();
        let config = UismConfig {
            hidden: vec![4],
            codebook_sizes: vec![3],
            code_dim: 2,
            commitment_weight: 0.25,
            reduction: Reduction::Sum,
            fusion: Fusion::Sum,
            adapter_rank: 0,
            straight_to_codes: false,
        };
        let mut params = Params::new(&Device::cpu());
        let mut rng = stream(3, "test", 0);
        let side = Side::Item;
        let uism = Uism::new(&mut params, side, views.clone(), config, &mut rng).unwrap();
        let mut tape = Tape::new(&params);
        let x = tape.input_slice(2, 3, &content);
        let output = uism.forward(&mut tape, x, true);
        let loss = uism.reconstruction(&mut tape, &output, &content);
        let encoder = SideEncoder::from_params(&params, side).unwrap();
        let made = encoder.decode(&encoder.encode(&content).quantized);
        let squares: Vec<f32> = content.iter().zip(&made).map(|(x, y)| (x - y).powi(2)).collect();
        let expected = (squares[0] + squares[1] + squares[2] + squares[5]) / 2.0;
        assert!((tape.scalar(loss) - expected).abs() < 1e-6);
        assert!((views.squared_error(&content, &made) as f32 / 2.0 - expected).abs() < 1e-6);

        // The bias of the decoder's outputs feels only rows in which they are there.
        let gradients = tape.backward(loss);
        let bias = params.id("item.decoder.1.bias").unwrap();
        let felt = gradients.dense(bias).unwrap();
        let expected = [made[0] - content[0], made[1] - content[1]];
        for (found, expected) in felt.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} and {expected}");
        }
    }
}
