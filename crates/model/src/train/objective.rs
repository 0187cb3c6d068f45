//! What a method trains: the seam between the training loop and the methods.

use das_core::{RowMatrix, Side};
use das_nn::safetensors_io::NamedTensor;
use das_nn::{ParamId, Params, Tape, Var};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::uism::AroundLatents;
use crate::{NeuralTokenizer, Result, SideEncoder};

/// An objective over named parameters, in epochs of batches. The training loop owns everything
/// else: optimizer, schedule, codebook fitting, checkpoints, resuming, early stopping and logs.
///
/// Whatever an objective draws comes from streams named by seed, epoch and step, so that a resumed
/// training meets the same batches.
pub(crate) trait Objective {
    /// The data of one step.
    type Batch;

    /// All parameters.
    fn params(&self) -> &Params;

    /// All parameters, to be stepped or loaded.
    fn params_mut(&mut self) -> &mut Params;

    /// Steps of every epoch, at least 1.
    fn steps_per_epoch(&self) -> u64;

    /// Draws epoch `epoch`. Comes before its batches, again after a resume inside of it.
    fn begin_epoch(&mut self, epoch: u64);

    /// The batch of step `at` of the present epoch.
    fn batch(&mut self, at: u64) -> Self::Batch;

    /// Records the terms of `batch`. With `quantize` off, vectors pass any quantizers unquantized.
    fn loss(&self, tape: &mut Tape<'_>, batch: &Self::Batch, quantize: bool) -> StepTerms;

    /// The encoder of a side with a quantizer as it stands, for content as it is.
    fn encoder(&self, side: Side) -> Result<SideEncoder> {
        SideEncoder::from_params(self.params(), side)
    }

    /// The quantizers whose codebooks are to be fitted to the data outside the gradient.
    fn quantizers(&self) -> Vec<Quantizer<'_>> {
        Vec::new()
    }

    /// The parameters around the latent vectors of a quantizer, if nothing else in the model depends on the length
    /// of these.
    fn around_latents(&self, _side: Side) -> Option<AroundLatents> {
        None
    }

    /// Fits one level's codebook from scratch: `size` codes for `residuals` `[n, dim]`.
    fn initial_codebook(
        &self,
        residuals: &[f32],
        dim: usize,
        size: usize,
        iterations: usize,
        rng: &mut ChaCha8Rng,
    ) -> Vec<f32> {
        das_nn::kernels::kmeans::kmeans(residuals, dim, size, iterations, rng).centroids
    }

    /// Work between epochs that needs the parameters as they stand when `epoch` begins, such as
    /// clustering codes. Unlike [`Objective::begin_epoch`] it is not repeated after a resume
    /// inside the epoch: its result is to be in [`Objective::state`].
    fn refresh(&mut self, _epoch: u64) {}

    /// State besides the parameters that checkpoints must hold.
    fn state(&self) -> Vec<NamedTensor> {
        Vec::new()
    }

    /// Takes back what [`Objective::state`] gave.
    fn load_state(&mut self, _state: &[NamedTensor]) -> Result<()> {
        Ok(())
    }

    /// The tokenizer as it stands, where the objective trains one.
    fn tokenizer(&self) -> Result<Option<NeuralTokenizer>> {
        Ok(None)
    }

    /// Settings and inputs that a checkpoint belongs to, besides seed and training settings.
    fn identity(&self) -> Value;
}

/// The codebooks of one side and the content that they are to fit.
pub(crate) struct Quantizer<'a> {
    pub(crate) side: Side,
    pub(crate) codebooks: &'a [ParamId],
    pub(crate) content: &'a dyn RowMatrix,
}

/// The loss terms of a step, in the order in which they were added.
#[derive(Debug, Default)]
pub struct StepTerms {
    parts: Vec<LossTerm>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LossTerm {
    pub(crate) name: &'static str,
    /// Its factor in the loss.
    pub(crate) weight: f32,
    pub(crate) value: Var,
}

impl StepTerms {
    /// Adds a term that enters the loss with `weight`.
    pub(crate) fn add(&mut self, name: &'static str, weight: f32, value: Var) {
        self.parts.push(LossTerm { name, weight, value });
    }

    /// The terms.
    pub(crate) fn parts(&self) -> &[LossTerm] {
        &self.parts
    }

    /// The weighted sum, which is minimised.
    pub fn total(&self, tape: &mut Tape<'_>) -> Var {
        let weighted: Vec<_> = self.parts.iter().map(|part| (part.value, part.weight)).collect();
        tape.weighted_sum(&weighted)
    }

    /// The value of every term of the step, unweighted.
    pub fn values(&self, tape: &Tape<'_>) -> Vec<(&'static str, f32)> {
        self.parts.iter().map(|part| (part.name, tape.scalar(part.value))).collect()
    }
}
