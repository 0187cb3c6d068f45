//! The trainer's position, as it is stored in checkpoints.

use das_nn::safetensors_io::NamedTensor;
use serde::{Deserialize, Serialize};

use super::checkpoint::Snapshot;
use super::validate::Validation;
use crate::{Error, Result};

/// Everything that training depends on besides tensors, inputs and settings. All randomness is
/// drawn from streams named by seed and epoch, so there is no generator state to keep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrainState {
    /// Optimizer steps taken.
    pub(crate) step: u64,
    /// Epochs completed.
    pub(crate) epoch: u64,
    /// Steps taken in the present epoch.
    pub(crate) step_in_epoch: u64,
    /// Whether codes are in use.
    pub(crate) quantizing: bool,
    /// Whether early stopping ended the training.
    pub(crate) stopped: bool,
    /// The best validation so far and its epoch.
    pub(crate) best: Option<(u64, Validation)>,
    /// The last validation.
    pub(crate) last: Option<Validation>,
    /// Hash of settings, seed and inputs: a checkpoint of another run is refused.
    pub(crate) fingerprint: String,
}

const PARAM: &str = "param/";
const OPTIMIZER: &str = "optimizer/";
const EXTRA: &str = "state/";

/// The content of a checkpoint.
pub(crate) struct Saved {
    pub(crate) state: TrainState,
    /// Parameters.
    pub(crate) model: Vec<NamedTensor>,
    /// Moments and step count of the optimizer.
    pub(crate) optimizer: Vec<NamedTensor>,
    /// What else the objective wants to have back.
    pub(crate) extra: Vec<NamedTensor>,
}

impl Saved {
    /// As one list of tensors, each part under its prefix.
    pub(crate) fn into_snapshot(self) -> Snapshot {
        let prefixed = |prefix: &'static str, tensors: Vec<NamedTensor>| {
            tensors.into_iter().map(move |tensor| NamedTensor {
                name: format!("{prefix}{}", tensor.name),
                ..tensor
            })
        };
        let tensors = prefixed(PARAM, self.model)
            .chain(prefixed(OPTIMIZER, self.optimizer))
            .chain(prefixed(EXTRA, self.extra))
            .collect();
        let state = serde_json::to_string(&self.state).expect("plain fields serialise");
        Snapshot { tensors, state }
    }

    /// Takes a snapshot apart.
    pub(crate) fn of(snapshot: Snapshot) -> Result<Saved> {
        let state = serde_json::from_str(&snapshot.state)
            .map_err(|error| Error::Checkpoint(format!("checkpoint state: {error}")))?;
        let (mut model, mut optimizer, mut extra) = (Vec::new(), Vec::new(), Vec::new());
        let mut parts = [(PARAM, &mut model), (OPTIMIZER, &mut optimizer), (EXTRA, &mut extra)];
        for tensor in snapshot.tensors {
            let part = parts.iter_mut().find_map(|(prefix, part)| {
                tensor.name.strip_prefix(*prefix).map(|name| (name.to_string(), part))
            });
            if let Some((name, part)) = part {
                part.push(NamedTensor { name, ..tensor });
            }
        }
        Ok(Saved { state, model, optimizer, extra })
    }
}
