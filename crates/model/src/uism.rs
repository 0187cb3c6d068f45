//! UISM: the residual-quantizing tokenizer of one side (paper).
//!
//! z = Enc(x); r_0 = z; for each level l: c_l = argmin_k ‖r_l − e^l_k‖², r_{l+1} = r_l − e^l_{c_l};
//! q = z + sg(Σ_l e^l_{c_l} − z) (straight-through); x̂ = Dec(q). Users and items have one each:
//! the same code, own weights and own shapes.

use das_core::Side;
use das_nn::{ParamId, ParamKind, Params, QuantizeOptions, Tape, Var};
use rand::Rng;

use crate::Result;
use crate::config::Reduction;
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
    /// Whether a gradient that arrives at q also reaches the chosen codes.
    pub(crate) straight_to_codes: bool,
}

/// The parameters of one tokenizer.
#[derive(Clone, Debug)]
pub(crate) struct Uism {
    config: UismConfig,
    encoder: Mlp,
    decoder: Mlp,
    codebooks: Vec<ParamId>,
}

/// What a pass over content yields.
pub(crate) struct UismOutput {
    /// q, `[n, d]`: straight-through, or z itself where nothing is quantized yet.
    pub(crate) quantized: Var,
    /// Codebook and commitment terms; none while nothing is quantized.
    pub(crate) quantization: Option<Var>,
    /// The chosen codes, `[n, levels]`; empty while nothing is quantized.
    pub(crate) codes: Vec<u32>,
}

impl Uism {
    /// Registers the parameters of `side` for content of width `content_dim`.
    pub(crate) fn new(
        params: &mut Params,
        side: Side,
        content_dim: usize,
        config: UismConfig,
        rng: &mut impl Rng,
    ) -> Result<Uism> {
        let mut widths = vec![content_dim];
        widths.extend(&config.hidden);
        widths.push(config.code_dim);
        let encoder = Mlp::new(params, &format!("{side}.encoder"), &widths, rng)?;
        widths.reverse();
        let decoder = Mlp::new(params, &format!("{side}.decoder"), &widths, rng)?;
        let mut codebooks = Vec::with_capacity(config.codebook_sizes.len());
        for (level, &size) in config.codebook_sizes.iter().enumerate() {
            // Residuals shrink from level to level, and so do the codes that meet them.
            let values = normal(size as usize * config.code_dim, 0.3 / (level + 1) as f32, rng);
            let (rows, cols) = (size as usize, config.code_dim);
            let name = codebook_name(side, level);
            codebooks.push(params.add(&name, ParamKind::Dense, rows, cols, &values)?);
        }
        Ok(Uism { config, encoder, decoder, codebooks })
    }

    /// The codebooks, coarse level first.
    pub(crate) fn codebooks(&self) -> &[ParamId] {
        &self.codebooks
    }

    /// Encodes and quantizes content `x` `[n, content_dim]`.
    pub(crate) fn forward(&self, tape: &mut Tape<'_>, x: Var, quantize: bool) -> UismOutput {
        let (config, (n, _)) = (&self.config, tape.shape(x));
        let z = self.encoder.forward(tape, x);
        if !quantize {
            return UismOutput { quantized: z, quantization: None, codes: Vec::new() };
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
            codes: output.codes,
        }
    }

    /// ‖x − x̂‖² of what `forward` made of `x`, reduced as configured.
    pub(crate) fn reconstruction(&self, tape: &mut Tape<'_>, x: Var, quantized: Var) -> Var {
        let (n, content_dim) = tape.shape(x);
        let reconstructed = self.decoder.forward(tape, quantized);
        tape.mse(reconstructed, x, scale(self.config.reduction, n, content_dim))
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
