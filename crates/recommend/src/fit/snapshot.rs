//! Where a training stands, as it is stored in checkpoints.

use das_core::files;
use das_nn::safetensors_io::{self, NamedTensor};
use serde::{Deserialize, Serialize};

use super::{CurvePoint, FitConfig, Learner};
use crate::{Error, Result};

/// Everything that training depends on besides tensors, data and settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Hash of settings, seed and data.
    pub(super) fingerprint: String,
    /// Epochs completed.
    pub(super) epoch: u32,
    /// Optimizer steps taken.
    pub(super) step: u64,
    /// Steps taken in the present epoch.
    pub(super) step_in_epoch: u64,
    /// Sum of their losses.
    pub(super) loss_sum: f64,
    /// The epochs so far.
    pub(super) curve: Vec<CurvePoint>,
    /// The best validation: its epoch, from 1, and its score.
    pub(super) best: Option<(u32, f64)>,
    /// Validations since the best one.
    pub(super) misses: u32,
    /// Whether early stopping ended the training.
    pub(super) stopped: bool,
    /// Seconds spent so far.
    pub(super) seconds: f64,
}

impl Position {
    /// Before the first step.
    pub(super) fn start(fingerprint: String) -> Position {
        Position {
            fingerprint,
            epoch: 0,
            step: 0,
            step_in_epoch: 0,
            loss_sum: 0.0,
            curve: Vec::new(),
            best: None,
            misses: 0,
            stopped: false,
            seconds: 0.0,
        }
    }

    /// Whether `score` is the best so far. A score that is no number never is, but the first
    /// one is kept for want of another.
    pub(super) fn improves(&self, score: f64) -> bool {
        self.best.is_none_or(|(_, best)| score > best || (best.is_nan() && !score.is_nan()))
    }

    /// The last validation score.
    pub(super) fn last_validation(&self) -> Option<f64> {
        self.curve.iter().rev().find_map(|point| point.validation)
    }

    /// Closes the present epoch.
    pub(super) fn end_epoch(&mut self, point: CurvePoint, patience: u32) {
        if let Some(score) = point.validation {
            if self.improves(score) {
                self.best = Some((point.epoch, score));
                self.misses = 0;
            } else {
                self.misses += 1;
            }
            self.stopped = patience > 0 && self.misses >= patience;
        }
        self.curve.push(point);
        self.epoch += 1;
        self.step_in_epoch = 0;
        self.loss_sum = 0.0;
    }
}

/// The content of a checkpoint.
pub(super) struct Snapshot {
    pub(super) position: Position,
    pub(super) params: Vec<NamedTensor>,
    pub(super) optimizer: Vec<NamedTensor>,
    pub(super) best: Option<Vec<NamedTensor>>,
}

const PARAMS: &str = "param/";
const OPTIMIZER: &str = "optimizer/";
const BEST: &str = "best/";
const POSITION: &str = "position";

impl Snapshot {
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        let groups = [
            (PARAMS, Some(&self.params)),
            (OPTIMIZER, Some(&self.optimizer)),
            (BEST, self.best.as_ref()),
        ];
        let mut tensors = Vec::new();
        for (prefix, group) in groups {
            for tensor in group.into_iter().flatten() {
                let name = format!("{prefix}{}", tensor.name);
                tensors.push(NamedTensor { name, ..tensor.clone() });
            }
        }
        let position = serde_json::to_string(&self.position).expect("plain fields serialise");
        let metadata = [(POSITION.to_string(), position)].into();
        Ok(safetensors_io::to_bytes(&tensors, &metadata)?)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Snapshot> {
        let file = safetensors_io::from_bytes(bytes)?;
        let position = file.metadata.get(POSITION).map_or("", String::as_str);
        let position: Position = serde_json::from_str(position)
            .map_err(|error| Error::Checkpoint(format!("checkpoint position: {error}")))?;
        let mut groups = [PARAMS, OPTIMIZER, BEST].map(|prefix| (prefix, Vec::new()));
        for tensor in file.tensors {
            for (prefix, group) in &mut groups {
                if let Some(name) = tensor.name.strip_prefix(*prefix) {
                    group.push(NamedTensor { name: name.to_string(), ..tensor });
                    break;
                }
            }
        }
        let [params, optimizer, best] = groups.map(|(_, group)| group);
        let best = position.best.is_some().then_some(best);
        Ok(Snapshot { position, params, optimizer, best })
    }
}

/// Hash of all that a checkpoint must share with the run that continues it. The limit on seconds
/// is left out: it decides when to stop, not what is trained.
pub(super) fn fingerprint(learner: &dyn Learner, config: &FitConfig, seed: u64) -> String {
    let config = FitConfig { max_seconds: 0.0, ..config.clone() };
    let params = learner.params();
    let shapes: Vec<_> = params.ids().map(|id| (params.name(id), params.get(id).shape())).collect();
    let all = (&config, seed, shapes, learner.fingerprint());
    files::sha256_bytes(&serde_json::to_vec(&all).expect("plain fields serialise"))
}
