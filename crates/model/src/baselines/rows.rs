//! A residual-quantizing autoencoder trained on the rows of one side: the common ground of
//! [`rqvae`](super::rqvae) and [`letter`](super::letter).

use das_core::streams::stream;
use das_core::{RowMatrix, Side};
use das_nn::{Params, Tape};
use rand::seq::SliceRandom;
use serde::Serialize;
use serde_json::{Value, json};

use crate::batch::gather;
use crate::config::{
    Fusion, at_least_one, codebook_sizes, hidden_widths, non_negative, positive, positive_width,
    share,
};
use crate::method::Run;
use crate::standard::Standard;
use crate::train::{Objective, Quantizer, StepTerms};
use crate::uism::{Uism, UismConfig, UismOutput};
use crate::{Error, NeuralTokenizer, Result, RqvaeConfig, TrainConfig};

/// Shape and training of the autoencoder, under the name of the method that it is part of.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RowsConfig {
    pub(crate) method: &'static str,
    pub(crate) shape: RqvaeConfig,
}

impl RowsConfig {
    /// Refuses values that cannot work, naming the key in the method's section.
    pub(crate) fn check(&self) -> Result<()> {
        let key = |name: &str| format!("{}.{name}", self.method);
        let shape = &self.shape;
        hidden_widths(&key("hidden"), &shape.hidden)?;
        codebook_sizes(&key("codebook_sizes"), &shape.codebook_sizes)?;
        positive_width(&key("code_dim"), shape.code_dim)?;
        non_negative(&key("commitment_weight"), shape.commitment_weight)?;
        positive(&key("learning_rate"), shape.learning_rate)?;
        non_negative(&key("weight_decay"), shape.weight_decay)?;
        if shape.batch_size < 2 {
            return Err(Error::config(key("batch_size"), "at least 2", shape.batch_size));
        }
        at_least_one(&key("epochs"), shape.epochs as usize)?;
        at_least_one(&key("kmeans_iterations"), shape.kmeans_iterations as usize)?;
        share(&key("warmup"), shape.warmup)
    }

    /// The same for the trainer; `common` says when checkpoints and reports are due.
    pub(crate) fn training(&self, common: &TrainConfig) -> TrainConfig {
        let shape = &self.shape;
        TrainConfig {
            epochs: shape.epochs,
            batch_size: shape.batch_size,
            learning_rate: shape.learning_rate,
            weight_decay: shape.weight_decay,
            warmup: shape.warmup,
            quantize_after: 0,
            kmeans_iterations: shape.kmeans_iterations,
            reset_dead_codes: shape.reset_dead_codes,
            settle_epochs: shape.settle_epochs,
            checkpoint_steps: common.checkpoint_steps,
            gradient_report_steps: common.gradient_report_steps,
            ..TrainConfig::default()
        }
    }
}

/// The names under which a side's terms are logged.
pub(crate) struct TermNames {
    pub(crate) reconstruction: &'static str,
    pub(crate) quantization: &'static str,
    pub(crate) collaborative: &'static str,
    pub(crate) diversity: &'static str,
}

impl TermNames {
    pub(crate) fn of(side: Side) -> TermNames {
        let [reconstruction, quantization, collaborative, diversity] = match side {
            Side::User => ["rec_u", "rq_u", "cf_u", "div_u"],
            Side::Item => ["rec_i", "rq_i", "cf_i", "div_i"],
        };
        TermNames { reconstruction, quantization, collaborative, diversity }
    }
}

/// The rows of a step.
pub(crate) struct RowBatch {
    /// Distinct rows of the side.
    pub(crate) rows: Vec<u32>,
    /// Their content, `[rows, content_dim]`.
    pub(crate) content: Vec<f32>,
    /// Steps before this one: the number of its stream of randomness.
    pub(crate) step: u64,
}

/// L = recon + RQ over the rows of one side.
pub(crate) struct RowsObjective<'a> {
    pub(crate) config: RowsConfig,
    pub(crate) side: Side,
    pub(crate) params: Params,
    pub(crate) uism: Uism,
    pub(crate) seed: u64,
    content: &'a dyn RowMatrix,
    /// The rows in this epoch's order.
    order: Vec<u32>,
    epoch: u64,
}

impl<'a> RowsObjective<'a> {
    pub(crate) fn new(config: RowsConfig, run: &Run<'a>, side: Side) -> Result<RowsObjective<'a>> {
        let content = run.inputs.content[side as usize];
        if content.rows() == 0 {
            return Err(Error::Invalid(format!("there are no {side}s to train on")));
        }
        let mut params = Params::new(run.device);
        let mut rng = stream(run.seed, &format!("{side} tokenizer"), 0);
        let RqvaeConfig { hidden, codebook_sizes, code_dim, commitment_weight, reduction, .. } =
            config.shape.clone();
        let shape = UismConfig {
            hidden,
            codebook_sizes,
            code_dim,
            commitment_weight,
            reduction,
            fusion: Fusion::Sum,
            adapter_rank: 0,
            straight_to_codes: false,
        };
        // As their papers have it, on content as it is.
        let standard = Standard::none(content.views());
        let uism = Uism::new(&mut params, side, standard, shape, &mut rng)?;
        let (seed, order) = (run.seed, Vec::new());
        Ok(RowsObjective { config, side, params, uism, seed, content, order, epoch: 0 })
    }

    /// A side with fewer rows than a batch trains on all of them at once.
    fn batch_size(&self) -> usize {
        self.config.shape.batch_size.min(self.content.rows())
    }

    /// Records both terms and returns what the autoencoder made of the batch.
    pub(crate) fn forward(
        &self,
        tape: &mut Tape<'_>,
        batch: &RowBatch,
        quantize: bool,
        terms: &mut StepTerms,
    ) -> UismOutput {
        let names = TermNames::of(self.side);
        let output = self.uism.forward(tape, &batch.content, quantize);
        let reconstruction = self.uism.reconstruction(tape, &output, &batch.content);
        terms.add(names.reconstruction, 1.0, reconstruction);
        if let Some(loss) = output.quantization {
            terms.add(names.quantization, 1.0, loss);
        }
        output
    }
}

impl Objective for RowsObjective<'_> {
    type Batch = RowBatch;

    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    fn steps_per_epoch(&self) -> u64 {
        self.content.rows().div_ceil(self.batch_size()) as u64
    }

    fn begin_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.order = (0..self.content.rows() as u32).collect();
        self.order.shuffle(&mut stream(self.seed, &format!("{} rows", self.side), epoch));
    }

    fn batch(&mut self, at: u64) -> RowBatch {
        let size = self.batch_size();
        let start = at as usize * size;
        let rows = self.order[start..self.order.len().min(start + size)].to_vec();
        let content = gather(self.content, &rows);
        RowBatch { rows, content, step: self.epoch * self.steps_per_epoch() + at }
    }

    fn loss(&self, tape: &mut Tape<'_>, batch: &RowBatch, quantize: bool) -> StepTerms {
        let mut terms = StepTerms::default();
        self.forward(tape, batch, quantize, &mut terms);
        terms
    }

    fn quantizers(&self) -> Vec<Quantizer<'_>> {
        let (side, content) = (self.side, self.content);
        vec![Quantizer { side, codebooks: self.uism.codebooks(), content }]
    }

    fn tokenizer(&self) -> Result<Option<NeuralTokenizer>> {
        let mut sides = [None, None];
        sides[self.side as usize] = Some(self.encoder(self.side)?);
        NeuralTokenizer::new(self.config.method, sides).map(Some)
    }

    fn identity(&self) -> Value {
        json!({ "rows": self.config, "side": self.side })
    }
}
