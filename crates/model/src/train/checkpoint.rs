//! The content of a checkpoint: a safetensors body with the parameters, the optimizer's moments
//! and the trainer's position.

use das_nn::safetensors_io::{self, Encoded, NamedTensor};

use crate::Result;

/// The key of the position among the metadata of the body.
const STATE: &str = "state";

/// Tensors and a JSON object of everything else.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) tensors: Vec<NamedTensor>,
    pub(crate) state: String,
}

impl Snapshot {
    /// The body that a [`CheckpointStore`](das_core::checkpoints::CheckpointStore) keeps.
    pub(crate) fn encode(&self) -> Result<Encoded<'_>> {
        let metadata = [(STATE.to_string(), self.state.clone())].into();
        Ok(safetensors_io::encode(&self.tensors, &metadata)?)
    }

    /// Reads what [`Snapshot::encode`] wrote.
    pub(crate) fn from_bytes(body: &[u8]) -> Result<Snapshot> {
        let mut file = safetensors_io::from_bytes(body)?;
        let state = file.metadata.remove(STATE).unwrap_or_default();
        Ok(Snapshot { tensors: file.tensors, state })
    }
}

#[cfg(test)]
mod tests {
    use das_nn::safetensors_io::TensorData;

    use super::*;

    #[test]
    fn a_snapshot_survives_its_bytes() {
        let data = TensorData::F32(vec![0.5, -0.5]);
        let tensors = vec![NamedTensor { name: "a".to_string(), shape: vec![2, 1], data }];
        let snapshot = Snapshot { tensors, state: "{\"step\":3}".to_string() };
        let mut bytes = Vec::new();
        snapshot.encode().unwrap().write(&mut bytes).unwrap();
        assert_eq!(Snapshot::from_bytes(&bytes).unwrap(), snapshot);
        assert!(Snapshot::from_bytes(&bytes[1..]).is_err());
    }
}
