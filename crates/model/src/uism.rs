//! UISM: the residual-quantizing tokenizer of one side (paper).
//!
//! z = Enc(x); r_0 = z; for each level l: c_l = argmin_k ‖r_l − e^l_k‖², r_{l+1} = r_l − e^l_{c_l};
//! q = z + sg(Σ_l e^l_{c_l} − z) (straight-through); x̂ = Dec(q). Users and items have one each:
//! the same code, own weights and own shapes.

use das_core::Side;
use das_nn::{Codes, ParamId, ParamKind, Params, QuantizeOptions, Tape, Var};
use rand::Rng;

use crate::Result;
use crate::adapter::Adapter;
use crate::config::{Fusion, Reduction};
use crate::fusion::Encoder;
use crate::layers::{Linear, Mlp, normal};
use crate::standard::Standard;

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
    standard: Standard,
    adapter: Option<Adapter>,
    encoder: Encoder,
    decoder: Mlp,
    codebooks: Vec<ParamId>,
}

/// The parameters around latent vectors z.
#[derive(Clone, Debug)]
pub(crate) struct AroundLatents {
    /// Of the encoder: z is proportional to them.
    pub(crate) into: Vec<ParamId>,
    /// Of the decoder: they multiply z.
    pub(crate) out_of: Vec<ParamId>,
}

/// What a pass over content yields.
pub(crate) struct UismOutput {
    /// q, `[n, d]`: straight-through, or z itself where nothing is quantized yet.
    pub(crate) quantized: Var,
    /// Codebook and commitment terms; none while nothing is quantized.
    pub(crate) quantization: Option<Var>,
    /// x, `[n, content_dim]`: content as it is met.
    x: Var,
    /// x′, what the adapter made of it, where there is one.
    adapted: Option<Var>,
    /// The chosen codes, `[n, levels]`, unless nothing is quantized.
    pub(crate) codes: Option<Codes>,
}

impl Uism {
    /// Registers the parameters of `side` for content that is met as `standard` says.
    pub(crate) fn new(
        params: &mut Params,
        side: Side,
        standard: Standard,
        config: UismConfig,
        rng: &mut impl Rng,
    ) -> Result<Uism> {
        let views = standard.views();
        let adapter = match config.adapter_rank {
            0 => None,
            rank => {
                let (name, dim) = (format!("{side}.adapter"), views.dim());
                Some(Adapter::new(params, &name, dim, rank, rng)?)
            }
        };
        let mut widths = [&config.hidden[..], &[config.code_dim]].concat();
        let name = format!("{side}.encoder");
        let encoder = Encoder::new(params, &name, views, config.fusion, &widths, rng)?;
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
        Ok(Uism { config, standard, adapter, encoder, decoder, codebooks })
    }

    /// The codebooks, coarse level first.
    pub(crate) fn codebooks(&self) -> &[ParamId] {
        &self.codebooks
    }

    /// What latent vectors come out of and go into.
    pub(crate) fn around_latents(&self) -> AroundLatents {
        let into = self.encoder.last().into_iter().flat_map(Linear::params).collect();
        let out_of = self.decoder.first().into_iter().map(Linear::weight).collect();
        AroundLatents { into, out_of }
    }

    /// What content is met as.
    pub(crate) fn standard(&self) -> &Standard {
        &self.standard
    }

    /// Encodes and quantizes `content` `[n, content_dim]`.
    pub(crate) fn forward(
        &self,
        tape: &mut Tape<'_>,
        content: &[f32],
        quantize: bool,
    ) -> UismOutput {
        let (config, dim) = (&self.config, self.standard.views().dim());
        let n = content.len() / dim;
        let x = tape.input_slice(n, dim, &self.standard.apply(content));
        let adapted = self.adapter.as_ref().map(|adapter| adapter.forward(tape, x));
        let z = self.encoder.forward(tape, adapted.unwrap_or(x));
        if !quantize {
            return UismOutput { quantized: z, quantization: None, x, adapted, codes: None };
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
            x,
            adapted,
            codes: Some(output.codes),
        }
    }

    /// ‖x − x̂‖² of what `forward` made of `content`, as it is met, reduced as configured; x′ stands
    /// for x where there is an adapter. A view that an entity lacks counts as met.
    pub(crate) fn reconstruction(
        &self,
        tape: &mut Tape<'_>,
        output: &UismOutput,
        content: &[f32],
    ) -> Var {
        let (n, content_dim) = tape.shape(output.x);
        // The target is what it is: the adapter does not move content to where it is met.
        let mut target = output.adapted.map_or(output.x, |adapted| tape.detach(adapted));
        let mut reconstructed = self.decoder.forward(tape, output.quantized);
        if let Some(present) = self.standard.views().present(content) {
            let present = tape.input_slice(n, content_dim, &present);
            reconstructed = tape.multiply(reconstructed, present);
            target = tape.multiply(target, present);
        }
        tape.mse(reconstructed, target, self.content_scale(n))
    }

    /// ‖x′ − x‖² of what the adapter made of x, reduced as configured; none without an adapter.
    pub(crate) fn adaptation(&self, tape: &mut Tape<'_>, output: &UismOutput) -> Option<Var> {
        let (n, _) = tape.shape(output.x);
        output.adapted.map(|adapted| tape.mse(adapted, output.x, self.content_scale(n)))
    }

    /// The factor on squared errors of `rows` content vectors.
    fn content_scale(&self, rows: usize) -> f32 {
        let dim = self.standard.views().dim();
        self.standard.unit() * scale(self.config.reduction, rows, dim)
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
    use das_core::Views;
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
        let standard = Standard::none(views.clone());
        let uism = Uism::new(&mut params, side, standard, config, &mut rng).unwrap();
        let mut tape = Tape::new(&params);
        let output = uism.forward(&mut tape, &content, true);
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
