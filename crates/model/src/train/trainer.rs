//! The training loop.

use das_core::progress::Cancel;
use das_core::{ClickEpoch, Clicks, HeldOut, RowMatrix, Side, files};
use das_nn::safetensors_io::NamedTensor;
use das_nn::{AdamW, AdamWConfig, Device, Schedule, Tape};

use super::checkpoint::{CheckpointStore, Snapshot};
use super::codebooks::{Fit, fit};
use super::observe::{EpochRecord, Observer, StepRecord};
use super::state::TrainState;
use super::validate::{Validation, item_retrieval};
use crate::config::TableUpdate;
use crate::icdm::PopularityFeatures;
use crate::terms::Term;
use crate::{
    BatchBuilder, Das, Error, ModelConfig, NeuralTokenizer, Result, SideEncoder, TrainConfig,
};

/// What training sees: the training part of the log, content of every user and item, and, for
/// early stopping and curves only, held-out clicks.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// Training clicks.
    pub clicks: &'a dyn Clicks,
    /// Content vectors, `[users, items]`, in the row order of `clicks`.
    pub content: [&'a dyn RowMatrix; 2],
    /// Validation clicks.
    pub validation: Option<&'a HeldOut>,
}

/// The result of training.
#[derive(Debug)]
pub struct Trained {
    /// Both tokenizers.
    pub tokenizer: NeuralTokenizer,
    /// The ID-based model's tensors; empty where ICDM took no part.
    pub icdm: Vec<NamedTensor>,
    /// Validation of the weights kept.
    pub validation: Option<Validation>,
    /// Epochs completed.
    pub epochs: u64,
    /// Steps taken.
    pub steps: u64,
}

/// Trains DAS. See [`Trainer::run`].
pub struct Trainer<'a> {
    das: Das,
    optimizer: AdamW,
    config: TrainConfig,
    inputs: Inputs<'a>,
    seed: u64,
    steps_per_epoch: u64,
    schedule: Schedule,
    state: TrainState,
    best: Option<Snapshot>,
    store: Option<CheckpointStore>,
}

impl<'a> Trainer<'a> {
    /// A fresh model for `inputs`; with a `store`, checkpoints are written there.
    pub fn new(
        device: &Device,
        model: &ModelConfig,
        config: &TrainConfig,
        inputs: Inputs<'a>,
        seed: u64,
        store: Option<CheckpointStore>,
    ) -> Result<Trainer<'a>> {
        config.check()?;
        model.check()?;
        check_inputs(&inputs, config)?;
        let popularity = Side::BOTH.map(|side| PopularityFeatures::new(inputs.clicks, side));
        let dims = inputs.content.map(|content| content.dim());
        let das = Das::new(device, model, dims, popularity, seed)?;
        let optimizer = AdamW::new(das.params(), optimizer_config(config));
        let steps_per_epoch = (inputs.clicks.num_clicks() / config.batch_size) as u64;
        let total = steps_per_epoch * u64::from(config.epochs);
        let schedule = Schedule {
            warmup_steps: (total as f64 * f64::from(config.warmup)).round() as u64,
            total_steps: total,
            min_factor: 0.0,
        };
        let state = TrainState {
            fingerprint: fingerprint(model, config, &inputs, seed),
            ..TrainState::default()
        };
        Ok(Trainer {
            das,
            optimizer,
            config: config.clone(),
            inputs,
            seed,
            steps_per_epoch,
            schedule,
            state,
            best: None,
            store,
        })
    }

    /// Continues from the newest intact checkpoint of the store; returns the step it stands at,
    /// 0 where there is none.
    pub fn resume(&mut self, observer: &mut dyn Observer) -> Result<u64> {
        let Some(store) = &self.store else { return Ok(0) };
        let (snapshot, passed_over) = store.load_newest()?;
        for message in passed_over {
            observer.warn(&format!("checkpoint passed over: {message}"));
        }
        let Some(snapshot) = snapshot else { return Ok(0) };
        let (state, model, optimizer) = TrainState::restore(snapshot)?;
        if state.fingerprint != self.state.fingerprint {
            return Err(Error::Checkpoint(
                "the checkpoint was written with other settings, another seed or other data; \
                 resume with the same ones or train into a new folder"
                    .to_string(),
            ));
        }
        self.das.params_mut().load_tensors(&model)?;
        self.optimizer.load_state(self.das.params(), &optimizer)?;
        // A best model from after this checkpoint does no harm: the steps in between come again.
        if self.config.early_stopping > 0 && state.best.is_some() {
            self.best = Some(store.load_best()?);
        }
        self.state = state;
        Ok(self.state.step)
    }

    /// Trains to the end. An interruption writes a checkpoint first and is an error.
    pub fn run(mut self, observer: &mut dyn Observer, cancel: &Cancel) -> Result<Trained> {
        let total = self.schedule.total_steps;
        observer.start(self.state.step, total).map_err(observer_failed)?;
        while self.state.epoch < u64::from(self.config.epochs) && !self.state.stopped {
            self.begin_epoch()?;
            self.train_epoch(observer, cancel)?;
            self.end_epoch(observer)?;
        }
        self.finish()
    }

    fn begin_epoch(&mut self) -> Result<()> {
        if self.state.quantizing || self.state.epoch < u64::from(self.config.quantize_after) {
            return Ok(());
        }
        if self.config.kmeans_init {
            self.fit_codebooks(Fit::Initialise)?;
        }
        self.state.quantizing = true;
        Ok(())
    }

    fn train_epoch(&mut self, observer: &mut dyn Observer, cancel: &Cancel) -> Result<()> {
        let epoch = self.inputs.clicks.epoch(self.seed, self.state.epoch);
        let model = self.das.config().clone();
        let mut builder = BatchBuilder::new(self.inputs.clicks, self.inputs.content, &model);
        while self.state.step_in_epoch < self.steps_per_epoch {
            if cancel.requested() {
                self.save(observer)?;
                return Err(das_core::Error::Interrupted.into());
            }
            let record = self.step(&mut builder, &epoch)?;
            observer.step(&record).map_err(observer_failed)?;
            let inside = self.state.step_in_epoch < self.steps_per_epoch;
            if inside && self.state.step.is_multiple_of(self.config.checkpoint_steps) {
                self.save(observer)?;
            }
        }
        Ok(())
    }

    fn step(&mut self, builder: &mut BatchBuilder<'_>, epoch: &ClickEpoch) -> Result<StepRecord> {
        let size = self.config.batch_size;
        let start = self.state.step_in_epoch as usize * size;
        let batch = builder.build(epoch, start..start + size);
        let mut tape = Tape::new(self.das.params());
        let (loss, terms) = self.das.forward(&mut tape, &batch, self.state.quantizing);
        let (total, terms) = (tape.scalar(loss), terms.values(&tape));
        check_finite(self.state.step, total, &terms)?;
        let mut gradients = tape.backward(loss);
        let gradient_norm = if self.config.clip_norm > 0.0 {
            gradients.clip(self.config.clip_norm)
        } else {
            gradients.global_norm()
        };
        let factor = self.schedule.factor(self.state.step);
        let learning_rate = self.config.learning_rate * factor;
        let table_rate = self.config.table_learning_rate * factor;
        self.optimizer.step(self.das.params_mut(), &gradients, learning_rate, table_rate);
        let record = StepRecord {
            step: self.state.step,
            epoch: self.state.epoch,
            loss: total,
            terms,
            gradient_norm,
            learning_rate,
        };
        self.state.step += 1;
        self.state.step_in_epoch += 1;
        Ok(record)
    }

    fn end_epoch(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let epoch = self.state.epoch;
        let settling =
            epoch + u64::from(self.config.settle_epochs) + 1 > u64::from(self.config.epochs);
        let mut reset = [Vec::new(), Vec::new()];
        if self.state.quantizing && self.config.reset_dead_codes && !settling {
            reset = self.fit_codebooks(Fit::ResetDead)?;
        }
        let validation = self.validate()?;
        self.state.epoch += 1;
        self.state.step_in_epoch = 0;
        self.track_best(validation)?;
        let [reset_codes_user, reset_codes_item] = reset;
        let record = EpochRecord {
            step: self.state.step,
            epoch,
            reset_codes_user,
            reset_codes_item,
            validation,
        };
        observer.epoch(&record).map_err(observer_failed)?;
        self.save(observer)
    }

    fn fit_codebooks(&mut self, how: Fit) -> Result<[Vec<usize>; 2]> {
        let mut dead = [Vec::new(), Vec::new()];
        for ((side, content), dead) in
            Side::BOTH.into_iter().zip(self.inputs.content).zip(&mut dead)
        {
            let at = (self.seed, self.state.epoch);
            let (das, optimizer) = (&mut self.das, &mut self.optimizer);
            *dead = fit(das, optimizer, side, content, how, &self.config, at)?;
        }
        Ok(dead)
    }

    fn validate(&self) -> Result<Option<Validation>> {
        let Some(held_out) = self.inputs.validation else { return Ok(None) };
        if !self.state.quantizing || held_out.items.is_empty() {
            return Ok(None);
        }
        let tokenizer = self.tokenizer()?;
        let (progress, cancel) = (das_core::progress::Silent, Cancel::default());
        let [_, items] = self.inputs.content;
        let encoded = crate::encode_all(&tokenizer, Side::Item, items, &progress, &cancel)?;
        let dim = self.das.config().code_dim;
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
        if self.config.early_stopping == 0 {
            return Ok(());
        }
        if better {
            let snapshot = self.state.snapshot(self.das.params().to_tensors(), Vec::new());
            if let Some(store) = &self.store {
                store.save_best(&snapshot)?;
            }
            self.best = Some(snapshot);
        } else if let Some((epoch, _)) = self.state.best {
            let patience = u64::from(self.config.early_stopping);
            self.state.stopped = self.state.epoch - epoch >= patience;
        }
        Ok(())
    }

    fn save(&self, observer: &mut dyn Observer) -> Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        observer.checkpoint().map_err(observer_failed)?;
        let (model, optimizer) =
            (self.das.params().to_tensors(), self.optimizer.state_tensors(self.das.params()));
        store.save(self.state.step, &self.state.snapshot(model, optimizer))
    }

    fn tokenizer(&self) -> Result<NeuralTokenizer> {
        let user = SideEncoder::from_params(self.das.params(), Side::User)?;
        let item = SideEncoder::from_params(self.das.params(), Side::Item)?;
        Ok(NeuralTokenizer::new("das", user, item))
    }

    fn finish(mut self) -> Result<Trained> {
        let mut validation = self.state.last;
        if let Some(best) = self.best.take() {
            let (state, model, _) = TrainState::restore(best)?;
            self.das.params_mut().load_tensors(&model)?;
            validation = state.last;
        }
        let tokenizer = self.tokenizer()?;
        let tables = Side::BOTH.map(crate::table_names);
        let mut icdm = self.das.params().to_tensors();
        icdm.retain(|tensor| tables.as_flattened().contains(&tensor.name.as_str()));
        Ok(Trained {
            tokenizer,
            icdm,
            validation,
            epochs: self.state.epoch,
            steps: self.state.step,
        })
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

fn check_inputs(inputs: &Inputs<'_>, config: &TrainConfig) -> Result<()> {
    let clicks = inputs.clicks;
    let rows = [clicks.num_users(), clicks.num_items()];
    for ((side, content), expected) in Side::BOTH.into_iter().zip(inputs.content).zip(rows) {
        if content.rows() != expected {
            let found = content.rows();
            return Err(Error::Invalid(format!(
                "{side} content: expected {expected} vectors, one for each {side}, found {found}"
            )));
        }
    }
    if config.batch_size > clicks.num_clicks() {
        let expected = format!("at most the {} training clicks", clicks.num_clicks());
        return Err(Error::config("train.batch_size", expected, config.batch_size));
    }
    Ok(())
}

/// Settings, seed and training clicks; content is covered by the caller's data fingerprints.
fn fingerprint(
    model: &ModelConfig,
    config: &TrainConfig,
    inputs: &Inputs<'_>,
    seed: u64,
) -> String {
    let clicks = inputs.clicks;
    let sizes = [clicks.num_users(), clicks.num_items(), clicks.num_clicks()];
    let dims = inputs.content.map(|content| content.dim());
    // How often checkpoints are written changes nothing that is trained.
    let config = TrainConfig { checkpoint_steps: 0, ..config.clone() };
    let all = (model, &config, sizes, dims, seed, clicks.item_clicks(), clicks.user_clicks());
    files::sha256_bytes(&serde_json::to_vec(&all).expect("plain fields serialise"))
}

fn check_finite(step: u64, total: f32, terms: &[(Term, f32)]) -> Result<()> {
    if total.is_finite() && terms.iter().all(|(_, value)| value.is_finite()) {
        return Ok(());
    }
    let bad = terms.iter().find(|(_, value)| !value.is_finite());
    let (term, value) = bad.map_or(("sum", total), |&(term, value)| (term.name(), value));
    Err(Error::Diverged { step, term: term.to_string(), value })
}

fn observer_failed(source: std::io::Error) -> Error {
    Error::Invalid(format!("cannot write the training log: {source}"))
}
