//! The joint objective of one step: L = L_sem + α·L_cf + β·L_align.

use das_core::Side;
use das_nn::{Device, InfoNce, ParamId, Params, Tape, Var};

use crate::Result;
use crate::batch::Batch;
use crate::config::{Direction, ModelConfig};
use crate::icdm::{Icdm, PopularityFeatures};
use crate::mdam;
use crate::terms::Term;
use crate::uism::Uism;

/// The DAS model: parameters of both tokenizers and, where it takes part, of the ICDM.
#[derive(Debug)]
pub struct Das {
    config: ModelConfig,
    params: Params,
    user: Uism,
    item: Uism,
    icdm: Option<Icdm>,
}

/// The loss terms of a step, in the order in which they were added.
#[derive(Debug, Default)]
pub struct StepTerms {
    vars: Vec<(Term, Var)>,
}

impl StepTerms {
    pub(crate) fn add(&mut self, term: Term, value: Var) {
        self.vars.push((term, value));
    }

    /// The value of every term of the step, unweighted.
    pub fn values(&self, tape: &Tape<'_>) -> Vec<(Term, f32)> {
        self.vars.iter().map(|&(term, var)| (term, tape.scalar(var))).collect()
    }
}

impl ModelConfig {
    /// What all contrastive terms share.
    pub(crate) fn info_nce<'a>(&self) -> InfoNce<'a> {
        InfoNce {
            temperature: self.temperature,
            direction: match self.direction {
                Direction::Both => das_nn::Direction::Both,
                Direction::RowToColumn => das_nn::Direction::RowToColumn,
            },
            mask: None,
            log_q: None,
            log_q_rows: None,
            row_weights: None,
        }
    }
}

impl Das {
    /// A freshly initialised model. `content_dims` and `popularity` are `[users, items]`; the
    /// latter also tell how many rows the ID tables have.
    pub fn new(
        device: &Device,
        config: &ModelConfig,
        content_dims: [usize; 2],
        popularity: [PopularityFeatures; 2],
        seed: u64,
    ) -> Result<Das> {
        config.check()?;
        let mut params = Params::new(device);
        let rng = |part| das_core::streams::stream(seed, part, 0);
        let [user_dim, item_dim] = content_dims;
        let (mut users, mut items) = (rng("user tokenizer"), rng("item tokenizer"));
        let user = Uism::new(&mut params, Side::User, user_dim, config, &mut users)?;
        let item = Uism::new(&mut params, Side::Item, item_dim, config, &mut items)?;
        let icdm = if config.uses_icdm() {
            Some(Icdm::new(&mut params, popularity, config, &mut rng("icdm"))?)
        } else {
            None
        };
        Ok(Das { config: config.clone(), params, user, item, icdm })
    }

    /// The settings it was built with.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// All parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// All parameters, to be stepped or loaded.
    pub fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    /// The codebooks of `side`, coarse level first.
    pub fn codebooks(&self, side: Side) -> &[ParamId] {
        match side {
            Side::User => self.user.codebooks(),
            Side::Item => self.item.codebooks(),
        }
    }

    /// Records the forward pass of `batch` and returns the total loss and its terms. With
    /// `quantize` off, vectors pass the tokenizers unquantized (the first epochs).
    pub fn forward(&self, tape: &mut Tape<'_>, batch: &Batch, quantize: bool) -> (Var, StepTerms) {
        let mut terms = StepTerms::default();
        let sides = [
            (&self.user, &batch.user, Term::RecU, Term::RqU),
            (&self.item, &batch.item, Term::RecI, Term::RqI),
        ];
        let quantized = sides.map(|(uism, side, reconstruction, quantization)| {
            let x = tape.input_slice(side.rows, side.content_dim(), &side.content);
            let output = uism.forward(tape, x, &self.config, quantize);
            if self.config.enabled(reconstruction) {
                let loss = uism.reconstruction(tape, x, output.quantized, &self.config);
                terms.add(reconstruction, loss);
            }
            if let Some(loss) = output.quantization {
                terms.add(quantization, loss);
            }
            output.quantized
        });
        let unbiased =
            self.icdm.as_ref().map(|icdm| icdm.forward(tape, batch, &self.config, &mut terms));
        if self.config.beta > 0.0 {
            mdam::align(tape, batch, quantized, unbiased.as_ref(), &self.config, &mut terms);
        }
        let weighted: Vec<(Var, f32)> =
            terms.vars.iter().map(|&(term, var)| (var, self.config.weight(term))).collect();
        (tape.weighted_sum(&weighted), terms)
    }
}
