//! Training, shared by every model of this crate: shuffled epochs, AdamW, early stopping on a
//! validation score, and checkpoints from which a run continues with the same bits.

mod config;
mod snapshot;

use std::time::Instant;

use das_core::checkpoints::CheckpointStore;
use das_core::progress::{Cancel, Progress};
use das_core::streams::stream;
use das_nn::safetensors_io::NamedTensor;
use das_nn::{AdamW, AdamWConfig, Params, Tape, Var};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use config::FitConfig;
pub(crate) use config::{depth, non_negative, share, width};
use snapshot::{Position, Snapshot};

use crate::{Error, Result};

/// A model with the examples that it learns from.
pub trait Learner {
    /// The parameters to train.
    fn params(&self) -> &Params;

    /// The same parameters, for the optimizer.
    fn params_mut(&mut self) -> &mut Params;

    /// Examples of the present epoch; at least 1.
    fn num_examples(&self) -> usize;

    /// An epoch begins. What a learner draws anew here must be a function of `seed` and `epoch`
    /// alone.
    fn begin_epoch(&mut self, seed: u64, epoch: u64);

    /// Records the loss of some examples, in the order given. `rng` is for dropout.
    fn loss(&self, tape: &mut Tape<'_>, examples: &[u32], rng: &mut ChaCha8Rng) -> Var;

    /// Whether there is anything to validate on. Without it every epoch runs and the last
    /// weights are kept.
    fn validates(&self) -> bool {
        true
    }

    /// The score of the present weights on held-out data; higher is better.
    fn validate(&mut self, progress: &dyn Progress, cancel: &Cancel) -> Result<f64>;

    /// What tells this learner's data and settings from another's, so that a checkpoint of
    /// another run is refused.
    fn fingerprint(&self) -> String {
        String::new()
    }
}

/// One epoch of a training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// The epoch, from 1.
    pub epoch: u32,
    /// Seconds of training and validation up to its end, over all starts of the run.
    pub seconds: f64,
    /// Mean loss of its steps.
    pub loss: f64,
    /// The validation score after it, where there was a validation.
    pub validation: Option<f64>,
}

/// How a training went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FitReport {
    /// Every epoch in order.
    pub curve: Vec<CurvePoint>,
    /// The epoch, from 1, whose weights were kept.
    pub best_epoch: u32,
    /// Its validation score; none without validation.
    pub best_validation: Option<f64>,
    /// Epochs completed.
    pub epochs: u32,
    /// Optimizer steps taken.
    pub steps: u64,
    /// Seconds of training and validation, over all starts of the run.
    pub seconds: f64,
    /// What the user should know, such as a damaged checkpoint that was passed over.
    pub warnings: Vec<String>,
}

/// Trains `learner` and leaves it with the weights of its best validation, or with the last ones
/// where nothing validates.
///
/// With a `store`, a checkpoint is written after every epoch and when the work is interrupted,
/// and training continues from the newest intact one. The order of examples and all randomness
/// follow from `seed`, epoch and step, so a continued run has the bits of an uninterrupted one.
/// A batch is a near-equal share of the epoch, of at most `batch_size` examples and fewer where
/// `min_steps` asks for more steps.
///
/// # Errors
/// Bad settings, a learner without examples, a loss that is not finite, a checkpoint of another
/// run, or [`Interrupted`](das_core::Error::Interrupted).
pub fn fit(
    learner: &mut dyn Learner,
    config: &FitConfig,
    seed: u64,
    store: Option<&CheckpointStore>,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<FitReport> {
    config.check()?;
    let mut fitting = Fitting::new(learner, config, seed, store)?;
    fitting.resume()?;
    while !fitting.finished() {
        fitting.epoch(progress, cancel)?;
    }
    fitting.finish()
}

/// One optimizer step: the loss of `examples`, its gradients, cut to a global norm of `clip_norm`
/// unless that is 0, and the update with learning rate `rate`. Returns the loss.
pub(crate) fn step(
    learner: &mut dyn Learner,
    optimizer: &mut AdamW,
    examples: &[u32],
    (rate, clip_norm): (f32, f32),
    rng: &mut ChaCha8Rng,
) -> Result<f32> {
    let mut tape = Tape::new(learner.params());
    let loss = learner.loss(&mut tape, examples, rng);
    let value = tape.scalar(loss);
    if !value.is_finite() {
        return Err(Error::Diverged { step: optimizer.steps(), loss: value });
    }
    let mut gradients = tape.backward(loss);
    if clip_norm > 0.0 {
        gradients.clip(clip_norm);
    }
    optimizer.step(learner.params_mut(), &gradients, rate, rate);
    Ok(value)
}

struct Fitting<'a> {
    learner: &'a mut dyn Learner,
    config: &'a FitConfig,
    seed: u64,
    store: Option<&'a CheckpointStore>,
    optimizer: AdamW,
    position: Position,
    /// The weights of the best validation.
    best: Option<Vec<NamedTensor>>,
    warnings: Vec<String>,
    /// When this start began, and the seconds of earlier ones.
    started: (Instant, f64),
}

impl<'a> Fitting<'a> {
    fn new(
        learner: &'a mut dyn Learner,
        config: &'a FitConfig,
        seed: u64,
        store: Option<&'a CheckpointStore>,
    ) -> Result<Fitting<'a>> {
        if learner.num_examples() == 0 {
            return Err(Error::Invalid("there is nothing to train on: no examples".into()));
        }
        let options = AdamWConfig { weight_decay: config.weight_decay, ..AdamWConfig::default() };
        let optimizer = AdamW::new(learner.params(), options);
        // Only a checkpoint needs to know its data, which takes a while to hash.
        let fingerprint =
            store.map_or_else(String::new, |_| snapshot::fingerprint(learner, config, seed));
        let position = Position::start(fingerprint);
        let started = (Instant::now(), 0.0);
        let (best, warnings) = (None, Vec::new());
        Ok(Fitting { learner, config, seed, store, optimizer, position, best, warnings, started })
    }

    fn resume(&mut self) -> Result<()> {
        let Some(store) = self.store else { return Ok(()) };
        let (newest, passed_over) = store.load_newest()?;
        let warning = |message| format!("checkpoint passed over: {message}");
        self.warnings.extend(passed_over.into_iter().map(warning));
        let Some((_, body)) = newest else { return Ok(()) };
        let snapshot = Snapshot::from_bytes(&body)?;
        if snapshot.position.fingerprint != self.position.fingerprint {
            return Err(Error::Checkpoint(
                "the checkpoint was written with other settings, another seed or other data; \
                 resume with the same ones or train into a new folder"
                    .to_string(),
            ));
        }
        self.learner.params_mut().load_tensors(&snapshot.params)?;
        self.optimizer.load_state(self.learner.params(), &snapshot.optimizer)?;
        self.best = snapshot.best;
        self.started.1 = snapshot.position.seconds;
        self.position = snapshot.position;
        Ok(())
    }

    fn finished(&self) -> bool {
        let Position { epoch, stopped, .. } = self.position;
        let overtime = self.config.max_seconds > 0.0 && self.seconds() >= self.config.max_seconds;
        epoch >= self.config.epochs || stopped || (overtime && epoch > 0)
    }

    fn seconds(&self) -> f64 {
        self.started.1 + self.started.0.elapsed().as_secs_f64()
    }

    fn epoch(&mut self, progress: &dyn Progress, cancel: &Cancel) -> Result<()> {
        self.learner.begin_epoch(self.seed, u64::from(self.position.epoch));
        let order = self.order();
        let steps = self.config.steps(order.len());
        let number = self.position.epoch + 1;
        progress.begin(&format!("epoch {number} of {}", self.config.epochs), Some(steps));
        while self.position.step_in_epoch < steps {
            if cancel.requested() {
                self.save()?;
                return Err(das_core::Error::Interrupted.into());
            }
            self.step(&order, steps)?;
            progress.update(self.position.step_in_epoch, &self.note(steps));
        }
        progress.end();
        let loss = self.position.loss_sum / steps as f64;
        let validation = self.validate(progress, cancel)?;
        let point = CurvePoint { epoch: number, seconds: self.seconds(), loss, validation };
        self.position.end_epoch(point, self.config.patience);
        self.save()
    }

    /// The examples of the present epoch, shuffled.
    fn order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.learner.num_examples() as u32).collect();
        order.shuffle(&mut stream(self.seed, "fit/order", u64::from(self.position.epoch)));
        order
    }

    fn step(&mut self, order: &[u32], steps: u64) -> Result<()> {
        let Position { epoch, step, step_in_epoch, .. } = self.position;
        let bound = |part: u64| (order.len() as u64 * part / steps) as usize;
        let examples = &order[bound(step_in_epoch)..bound(step_in_epoch + 1)];
        let mut rng = stream(self.seed, "fit/step", step);
        let factor = self.config.factor(epoch, step_in_epoch, steps);
        let rate = self.config.learning_rate * factor;
        let clip_norm = self.config.clip_norm;
        let optimizer = &mut self.optimizer;
        let loss = self::step(self.learner, optimizer, examples, (rate, clip_norm), &mut rng)?;
        self.position.step += 1;
        self.position.step_in_epoch += 1;
        self.position.loss_sum += f64::from(loss);
        Ok(())
    }

    /// Scores the weights where this epoch's turn has come, and keeps them if they are the best.
    fn validate(&mut self, progress: &dyn Progress, cancel: &Cancel) -> Result<Option<f64>> {
        let number = self.position.epoch + 1;
        let due = number.is_multiple_of(self.config.validate_every) || number == self.config.epochs;
        if !due || !self.learner.validates() {
            return Ok(None);
        }
        let score = match self.learner.validate(progress, cancel) {
            Err(Error::Core(das_core::Error::Interrupted)) => {
                // The steps are done and kept; the validation comes again.
                self.save()?;
                return Err(das_core::Error::Interrupted.into());
            }
            score => score?,
        };
        if self.position.improves(score) {
            self.best = Some(self.learner.params().to_tensors());
        }
        Ok(Some(score))
    }

    fn save(&mut self) -> Result<()> {
        self.position.seconds = self.seconds();
        let Some(store) = self.store else { return Ok(()) };
        let snapshot = Snapshot {
            position: self.position.clone(),
            params: self.learner.params().to_tensors(),
            optimizer: self.optimizer.state_tensors(self.learner.params()),
            best: self.best.clone(),
        };
        let body = snapshot.to_bytes()?;
        Ok(store.save(self.position.step, |out| out.write_all(&body))?)
    }

    /// Loss, last validation and remaining time.
    fn note(&self, steps: u64) -> String {
        let Position { epoch, step_in_epoch, loss_sum, .. } = self.position;
        let mut note = format!("loss {:.4}", loss_sum / step_in_epoch as f64);
        if let Some(score) = self.position.last_validation() {
            note += &format!(", validation {score:.4}");
        }
        let done = f64::from(epoch) + step_in_epoch as f64 / steps as f64;
        let left = self.seconds() / done * (f64::from(self.config.epochs) - done);
        note + &format!(", at most {:.0} s left", left)
    }

    fn finish(self) -> Result<FitReport> {
        let Position { epoch, step, curve, best, .. } = self.position;
        if let Some(best) = &self.best {
            self.learner.params_mut().load_tensors(best)?;
        }
        let seconds = curve.last().map_or(0.0, |point| point.seconds);
        Ok(FitReport {
            best_epoch: best.map_or(epoch, |(epoch, _)| epoch),
            best_validation: best.map(|(_, score)| score),
            curve,
            epochs: epoch,
            steps: step,
            seconds,
            warnings: self.warnings,
        })
    }
}
