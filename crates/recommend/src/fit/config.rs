//! Settings of a training: raw as written, checked once.

use das_nn::Schedule;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How a model is fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FitConfig {
    /// Most passes over the examples. The learning rate falls to 0 over all of them.
    pub epochs: u32,
    /// Most examples of a step.
    pub batch_size: usize,
    /// Fewest steps of an epoch: where examples are few, steps take fewer of them, down to one.
    pub min_steps: usize,
    /// Peak learning rate.
    pub learning_rate: f32,
    /// Decoupled weight decay of AdamW.
    pub weight_decay: f32,
    /// Share of all steps spent on linear warm-up, before the cosine decay.
    pub warmup: f32,
    /// Largest global gradient norm; 0 disables clipping.
    pub clip_norm: f32,
    /// Validations without a better score before training stops; 0 never stops early.
    pub patience: u32,
    /// Epochs from one validation to the next; the last one of `epochs` is always validated.
    pub validate_every: u32,
    /// Seconds after which no further epoch begins; 0 sets no limit. With a limit, results depend
    /// on the speed of the machine.
    pub max_seconds: f64,
}

impl Default for FitConfig {
    fn default() -> FitConfig {
        FitConfig {
            epochs: 20,
            batch_size: 512,
            min_steps: 1,
            learning_rate: 1e-3,
            weight_decay: 0.01,
            warmup: 0.05,
            clip_norm: 5.0,
            patience: 3,
            validate_every: 1,
            max_seconds: 0.0,
        }
    }
}

impl FitConfig {
    /// Refuses values that cannot work, naming the key.
    pub fn check(&self) -> Result<()> {
        for (key, value) in [
            ("fit.epochs", self.epochs as usize),
            ("fit.batch_size", self.batch_size),
            ("fit.validate_every", self.validate_every as usize),
        ] {
            if value == 0 {
                return Err(Error::config(key, "at least 1", 0));
            }
        }
        positive("fit.learning_rate", self.learning_rate)?;
        for (key, value) in
            [("fit.weight_decay", self.weight_decay), ("fit.clip_norm", self.clip_norm)]
        {
            non_negative(key, value)?;
        }
        share("fit.warmup", self.warmup)?;
        if !(self.max_seconds >= 0.0 && self.max_seconds.is_finite()) {
            let expected = "a finite number, 0 or more";
            return Err(Error::config("fit.max_seconds", expected, self.max_seconds));
        }
        Ok(())
    }

    /// Steps of an epoch over `examples`, at least one.
    pub(super) fn steps(&self, examples: usize) -> u64 {
        let fewest = self.min_steps.min(examples).max(1);
        examples.div_ceil(self.batch_size).max(fewest) as u64
    }

    /// The factor on the learning rates in step `step` of the `steps` of `epoch`. An epoch counts
    /// alike however many steps it has, so that epochs may differ in length.
    pub(super) fn factor(&self, epoch: u32, step: u64, steps: u64) -> f32 {
        let total_steps = u64::from(self.epochs) * steps;
        let warmup_steps = (total_steps as f64 * f64::from(self.warmup)).round() as u64;
        let schedule = Schedule { warmup_steps, total_steps, min_factor: 0.0 };
        schedule.factor(u64::from(epoch) * steps + step)
    }
}

/// Checks a width of a network.
pub(crate) fn width(key: &str, value: usize) -> Result<()> {
    const WIDEST: usize = 1 << 14;
    if (1..=WIDEST).contains(&value) {
        return Ok(());
    }
    Err(Error::config(key, format!("1 to {WIDEST}"), value))
}

/// Checks a number of layers.
pub(crate) fn depth(key: &str, value: usize) -> Result<()> {
    const DEEPEST: usize = 64;
    if (1..=DEEPEST).contains(&value) {
        return Ok(());
    }
    Err(Error::config(key, format!("1 to {DEEPEST}"), value))
}

/// Checks a share, such as a dropout rate.
pub(crate) fn share(key: &str, value: f32) -> Result<()> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::config(key, "0 up to, not including, 1", value))
}

fn positive(key: &str, value: f32) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(Error::config(key, "a finite number above 0", value))
}

pub(crate) fn non_negative(key: &str, value: f32) -> Result<()> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(Error::config(key, "a finite number, 0 or more", value))
}
