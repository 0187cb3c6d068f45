//! The training loop: AdamW on an objective, epoch by epoch, with codebooks fitted in between.

use std::time::Instant;

use das_core::checkpoints::CheckpointStore;
use das_core::progress::{Cancel, Silent};
use das_core::{Side, files};
use das_nn::{AdamW, AdamWConfig, Schedule, Tape};
use serde_json::json;

use super::checkpoint::Snapshot;
use super::codebooks::{Fit, LevelFit, fit, latent_norm};
use super::gradient_report;
use super::objective::Objective;
use super::observe::{EpochRecord, Observer, StepRecord};
use super::pace::Pace;
use super::state::{Saved, TrainState};
use super::validate::{Validation, item_retrieval};
use crate::config::TableUpdate;
use crate::{Error, Keep, Result, Run, Tokenizer, TrainConfig, encode_all};

/// How far a method has come: epochs and steps of the stages done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) epochs: u64,
    pub(crate) steps: u64,
}

/// One of the trainings that a method consists of.
#[derive(Clone, Copy)]
pub(crate) struct Stage<'a> {
    pub(crate) run: &'a Run<'a>,
    pub(crate) config: &'a TrainConfig,
    /// The folder of its checkpoints inside the run's store; none for the last stage, whose
    /// checkpoints stand in the store itself.
    pub(crate) name: Option<&'static str>,
    /// Where the stages before it ended; its records count on from there.
    pub(crate) from: Position,
}

/// A stage at its end.
pub(crate) struct Finished<O> {
    /// With the weights kept: the last, or under early stopping the best.
    pub(crate) objective: O,
    /// Validation of these weights.
    pub(crate) validation: Option<Validation>,
    /// Where the next stage begins.
    pub(crate) position: Position,
}

/// Trains `objective` to the end of the stage, continuing from its newest intact checkpoint. An
/// interruption writes a checkpoint first and is an error.
pub(crate) fn train_stage<O: Objective>(
    objective: O,
    stage: Stage<'_>,
    observer: &mut dyn Observer,
    cancel: &Cancel,
) -> Result<Finished<O>> {
    let mut trainer = Trainer::new(objective, stage)?;
    trainer.resume(observer)?;
    trainer.run(observer, cancel)
}

struct Trainer<'a, O> {
    objective: O,
    optimizer: AdamW,
    stage: Stage<'a>,
    schedule: Schedule,
    state: TrainState,
    best: Option<Snapshot>,
    store: Option<CheckpointStore>,
    pace: Pace,
}

impl<'a, O: Objective> Trainer<'a, O> {
    fn new(objective: O, stage: Stage<'a>) -> Result<Trainer<'a, O>> {
        let config = stage.config;
        let optimizer = AdamW::new(objective.params(), optimizer_config(config));
        let total = objective.steps_per_epoch() * u64::from(config.epochs);
        let schedule = Schedule {
            warmup_steps: (total as f64 * f64::from(config.warmup)).round() as u64,
            total_steps: total,
            min_factor: 0.0,
        };
        let fingerprint = fingerprint(&objective, &stage);
        let state = TrainState { fingerprint, ..TrainState::default() };
        let store = match (&stage.run.store, stage.name) {
            (Some(store), Some(name)) => Some(store.stage(name)?),
            (store, _) => store.clone(),
        };
        let (best, pace) = (None, Pace::default());
        Ok(Trainer { objective, optimizer, stage, schedule, state, best, store, pace })
    }

    /// Continues from the newest intact checkpoint of the store, if there is one.
    fn resume(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        let (newest, passed_over) = store.load_newest()?;
        for message in passed_over {
            observer.warn(&format!("checkpoint passed over: {message}"));
        }
        let Some((_, body)) = newest else { return Ok(()) };
        let Saved { state, model, optimizer, extra } = Saved::of(Snapshot::from_bytes(&body)?)?;
        if state.fingerprint != self.state.fingerprint {
            return Err(Error::Checkpoint(
                "the checkpoint was written with other settings, another seed or other data; \
                 resume with the same ones or train into a new folder"
                    .to_string(),
            ));
        }
        self.objective.params_mut().load_tensors(&model)?;
        self.objective.load_state(&extra)?;
        self.optimizer.load_state(self.objective.params(), &optimizer)?;
        // A best model from after this checkpoint does no harm: the steps in between come again.
        if self.stage.config.early_stopping > 0 && state.best.is_some() {
            self.best = Some(Snapshot::from_bytes(&store.load_best()?)?);
        }
        self.state = state;
        Ok(())
    }

    fn run(mut self, observer: &mut dyn Observer, cancel: &Cancel) -> Result<Finished<O>> {
        // A stage that was over before the resume has nothing to take back from the logs.
        if !self.is_over() {
            let from = self.stage.from.steps;
            let (step, total) = (from + self.state.step, from + self.schedule.total_steps);
            observer.start(step, total).map_err(observer_failed)?;
        }
        while !self.is_over() {
            if self.state.step_in_epoch == 0 {
                self.start_quantizing()?;
                self.objective.refresh(self.state.epoch);
            }
            self.objective.begin_epoch(self.state.epoch);
            self.train_epoch(observer, cancel)?;
            self.end_epoch(observer)?;
        }
        self.finish()
    }

    fn is_over(&self) -> bool {
        self.state.stopped || self.state.epoch >= u64::from(self.stage.config.epochs)
    }

    /// Sets the codebooks when the first quantized epoch begins.
    fn start_quantizing(&mut self) -> Result<()> {
        let config = self.stage.config;
        if self.state.quantizing || self.state.epoch < u64::from(config.quantize_after) {
            return Ok(());
        }
        if config.kmeans_init {
            self.shorten_latents()?;
            self.fit_codebooks(Fit::Initialise)?;
        }
        self.state.quantizing = true;
        Ok(())
    }

    /// Brings latent vectors that have grown long back to `max_latent_norm`. Only their directions and the decoder
    /// have been trained by then, so nothing else holds them, and quantization errors, which are measured in them,
    /// would outweigh all other terms.
    fn shorten_latents(&mut self) -> Result<()> {
        let config = self.stage.config;
        if config.max_latent_norm == 0.0 {
            return Ok(());
        }
        let at = (self.stage.run.seed, self.state.epoch);
        let mut scaled = Vec::new();
        for quantizer in self.objective.quantizers() {
            let Some(around) = self.objective.around_latents(quantizer.side) else { continue };
            let norm = latent_norm(&self.objective, &quantizer, config, at)?;
            if norm > config.max_latent_norm {
                let factor = config.max_latent_norm / norm;
                scaled.extend(around.into.into_iter().map(|id| (id, factor)));
                scaled.extend(around.out_of.into_iter().map(|id| (id, 1.0 / factor)));
            }
        }
        for (id, factor) in scaled {
            self.objective.params_mut().scale(id, factor);
            self.optimizer.rescale(id, factor);
        }
        Ok(())
    }

    fn train_epoch(&mut self, observer: &mut dyn Observer, cancel: &Cancel) -> Result<()> {
        let steps = self.objective.steps_per_epoch();
        while self.state.step_in_epoch < steps {
            if cancel.requested() {
                self.save(observer)?;
                return Err(das_core::Error::Interrupted.into());
            }
            self.step(observer)?;
            let inside = self.state.step_in_epoch < steps;
            let due = self.state.step.is_multiple_of(self.stage.config.checkpoint_steps);
            if inside && due && self.pace.allows(Instant::now()) {
                self.save(observer)?;
            }
        }
        Ok(())
    }

    fn step(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let (config, step) = (self.stage.config, self.state.step);
        let at = self.stage.from.steps + step;
        let batch = self.objective.batch(self.state.step_in_epoch);
        let every = config.gradient_report_steps;
        if every > 0 && step.is_multiple_of(every) {
            for record in
                gradient_report::records(&self.objective, &batch, self.state.quantizing, at)
            {
                observer.gradients(&record).map_err(observer_failed)?;
            }
        }
        let mut tape = Tape::new(self.objective.params());
        let terms = self.objective.loss(&mut tape, &batch, self.state.quantizing);
        let loss = terms.total(&mut tape);
        let (total, terms) = (tape.scalar(loss), terms.values(&tape));
        check_finite(at, total, &terms)?;
        let mut gradients = tape.backward(loss);
        let gradient_norm = if config.clip_norm > 0.0 {
            gradients.clip(config.clip_norm)
        } else {
            gradients.global_norm()
        };
        let factor = self.schedule.factor(step);
        let learning_rate = config.learning_rate * factor;
        let table_rate = config.table_learning_rate * factor;
        self.optimizer.step(self.objective.params_mut(), &gradients, learning_rate, table_rate);
        self.state.step += 1;
        self.state.step_in_epoch += 1;
        let record = StepRecord {
            step: at,
            epoch: self.stage.from.epochs + self.state.epoch,
            loss: total,
            terms,
            gradient_norm,
            learning_rate,
        };
        observer.step(&record).map_err(observer_failed)
    }

    fn end_epoch(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let (config, epoch) = (self.stage.config, self.state.epoch);
        let settling = epoch + u64::from(config.settle_epochs) + 1 > u64::from(config.epochs);
        let mut reset = [Vec::new(), Vec::new()];
        if self.state.quantizing && config.reset_dead_codes && !settling {
            reset = self.fit_codebooks(Fit::ResetDead)?;
        }
        let validation = self.validate()?;
        self.state.epoch += 1;
        self.state.step_in_epoch = 0;
        self.track_best(validation)?;
        let [reset_codes_user, reset_codes_item] = reset;
        let record = EpochRecord {
            step: self.stage.from.steps + self.state.step,
            epoch: self.stage.from.epochs + epoch,
            reset_codes_user,
            reset_codes_item,
            validation,
        };
        observer.epoch(&record).map_err(observer_failed)?;
        self.save(observer)
    }

    /// Fits every codebook and returns how many codes had been dead, by side and level.
    fn fit_codebooks(&mut self, how: Fit) -> Result<[Vec<usize>; 2]> {
        let at = (self.stage.run.seed, self.state.epoch);
        let (mut dead, mut levels) = ([Vec::new(), Vec::new()], Vec::new());
        for quantizer in self.objective.quantizers() {
            let fitted = fit(&self.objective, &quantizer, how, self.stage.config, at)?;
            dead[quantizer.side as usize] = fitted.iter().map(|level| level.moved.len()).collect();
            levels.extend(fitted);
        }
        for LevelFit { codebook, moved, codes } in levels {
            let dim = self.objective.params().get(codebook).cols();
            for code in moved {
                let values = &codes[code * dim..][..dim];
                self.objective.params_mut().set_row(codebook, code, values);
                // Its moments belong to the place that it left.
                self.optimizer.reset_row(codebook, code);
            }
        }
        Ok(dead)
    }

    fn validate(&self) -> Result<Option<Validation>> {
        let inputs = &self.stage.run.inputs;
        let Some(held_out) = inputs.validation else { return Ok(None) };
        if !self.state.quantizing || held_out.items.is_empty() {
            return Ok(None);
        }
        let Some(tokenizer) = self.objective.tokenizer()? else { return Ok(None) };
        if !tokenizer.sides().contains(&Side::Item) {
            return Ok(None);
        }
        let [_, items] = inputs.content;
        let (keep, cancel) = (Keep { quantized: true, ..Keep::default() }, Cancel::default());
        let encoded = encode_all(&tokenizer, Side::Item, items, keep, &Silent, &cancel)?;
        let dim = encoded.rows.quantized.len() / items.rows();
        Ok(Some(item_retrieval(&encoded.rows.quantized, dim, held_out)))
    }

    /// Notes a new best and decides whether to stop early.
    fn track_best(&mut self, validation: Option<Validation>) -> Result<()> {
        self.state.last = validation;
        let Some(found) = validation else { return Ok(()) };
        let better = self.state.best.is_none_or(|(_, best)| found.score() > best.score());
        if better {
            self.state.best = Some((self.state.epoch, found));
        }
        let early_stopping = self.stage.config.early_stopping;
        if early_stopping == 0 {
            return Ok(());
        }
        if better {
            let snapshot = Saved {
                state: self.state.clone(),
                model: self.objective.params().to_tensors(),
                optimizer: Vec::new(),
                extra: Vec::new(),
            }
            .into_snapshot();
            if let Some(store) = &self.store {
                let body = snapshot.encode()?;
                store.save_best(|out| body.write(out))?;
            }
            self.best = Some(snapshot);
        } else if let Some((epoch, _)) = self.state.best {
            self.state.stopped = self.state.epoch - epoch >= u64::from(early_stopping);
        }
        Ok(())
    }

    fn save(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        observer.checkpoint().map_err(observer_failed)?;
        let start = Instant::now();
        let params = self.objective.params();
        let saved = Saved {
            state: self.state.clone(),
            model: params.to_tensors(),
            optimizer: self.optimizer.state_tensors(params),
            extra: self.objective.state(),
        };
        let snapshot = saved.into_snapshot();
        let body = snapshot.encode()?;
        store.save(self.state.step, |out| body.write(out))?;
        self.pace.written(start);
        Ok(())
    }

    fn finish(mut self) -> Result<Finished<O>> {
        let mut validation = self.state.last;
        if let Some(best) = self.best.take() {
            let best = Saved::of(best)?;
            self.objective.params_mut().load_tensors(&best.model)?;
            validation = best.state.last;
        }
        let Position { epochs, steps } = self.stage.from;
        let position =
            Position { epochs: epochs + self.state.epoch, steps: steps + self.state.step };
        Ok(Finished { objective: self.objective, validation, position })
    }
}

fn optimizer_config(config: &TrainConfig) -> AdamWConfig {
    AdamWConfig {
        weight_decay: config.weight_decay,
        table_update: match config.table_update {
            TableUpdate::Lazy => das_nn::TableUpdate::Lazy,
            TableUpdate::Dense => das_nn::TableUpdate::Dense,
        },
        ..AdamWConfig::default()
    }
}

/// Settings, seed and training clicks; content is covered by the caller's data fingerprints.
fn fingerprint<O: Objective>(objective: &O, stage: &Stage<'_>) -> String {
    let (run, inputs) = (stage.run, &stage.run.inputs);
    // How often checkpoints and reports are written changes nothing that is trained.
    let config =
        TrainConfig { checkpoint_steps: 0, gradient_report_steps: 0, ..stage.config.clone() };
    let hash = |counts: &[u32]| files::sha256_bytes(bytemuck::cast_slice(counts));
    let all = json!({
        "objective": objective.identity(),
        "config": config,
        "seed": run.seed,
        "dims": inputs.content.map(|content| content.views().widths().to_vec()),
        "item_clicks": hash(inputs.clicks.item_clicks()),
        "user_clicks": hash(inputs.clicks.user_clicks()),
    });
    files::sha256_bytes(all.to_string().as_bytes())
}

fn check_finite(step: u64, total: f32, terms: &[(&'static str, f32)]) -> Result<()> {
    if total.is_finite() && terms.iter().all(|(_, value)| value.is_finite()) {
        return Ok(());
    }
    let bad = terms.iter().find(|(_, value)| !value.is_finite());
    let &(term, value) = bad.unwrap_or(&("sum", total));
    Err(Error::Diverged { step, term: term.to_string(), value })
}

fn observer_failed(source: std::io::Error) -> Error {
    Error::Invalid(format!("cannot write the training log: {source}"))
}
