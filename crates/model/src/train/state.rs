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

impl TrainState {
    /// Joins the position with tensors of the model and of the optimizer.
    pub(crate) fn snapshot(
        &self,
        model: Vec<NamedTensor>,
        optimizer: Vec<NamedTensor>,
    ) -> Snapshot {
        let prefixed = |prefix: &'static str, tensors: Vec<NamedTensor>| {
            tensors.into_iter().map(move |tensor| NamedTensor {
                name: format!("{prefix}{}", tensor.name),
                ..tensor
            })
        };
        let tensors = prefixed(PARAM, model).chain(prefixed(OPTIMIZER, optimizer)).collect();
        let state = serde_json::to_string(self).expect("plain fields serialise");
        Snapshot { tensors, state }
    }

    /// The position and the tensors of model and optimizer.
    pub(crate) fn restore(
        snapshot: Snapshot,
    ) -> Result<(TrainState, Vec<NamedTensor>, Vec<NamedTensor>)> {
        let state = serde_json::from_str(&snapshot.state)
            .map_err(|error| Error::Checkpoint(format!("checkpoint state: {error}")))?;
        let (mut model, mut optimizer) = (Vec::new(), Vec::new());
        for tensor in snapshot.tensors {
            for (prefix, part) in [(PARAM, &mut model), (OPTIMIZER, &mut optimizer)] {
                if let Some(name) = tensor.name.strip_prefix(prefix) {
                    part.push(NamedTensor { name: name.to_string(), ..tensor.clone() });
                }
            }
        }
        Ok((state, model, optimizer))
    }
}
