//! A ranker as bytes: its settings and fields in the header, its parameters and the table rows of
//! all IDs as tensors.

use das_nn::Device;
use das_nn::safetensors_io::{NamedTensor, TensorData};
use serde::{Deserialize, Serialize};

use super::Ranker;
use super::builder::Builder;
use super::config::RankerConfig;
use super::schema::{IdRows, Schema};
use crate::saved::{self, Saved};
use crate::{Error, Result};

const KIND: &str = "ranker";
const USER_ROWS: &str = "user.rows";
const ITEM_ROWS: &str = "item.rows";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    config: RankerConfig,
    schema: Schema,
}

impl Ranker {
    /// Settings and weights as safetensors, the same bytes for the same ranker.
    ///
    /// # Errors
    /// If a weight is not finite.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let header = Header { config: self.config.clone(), schema: self.schema.clone() };
        let mut tensors = self.params.to_tensors();
        for (name, rows) in [(USER_ROWS, &self.user_rows), (ITEM_ROWS, &self.item_rows)] {
            tensors.push(NamedTensor {
                name: name.to_owned(),
                shape: vec![rows.values().len()],
                data: TensorData::U32(rows.values().to_vec()),
            });
        }
        saved::tensors_to_bytes(KIND, &header, &tensors)
    }

    /// Reads what [`Ranker::to_bytes`] wrote.
    ///
    /// # Errors
    /// If the bytes are anything else; nothing in them is believed unchecked.
    pub fn from_bytes(device: &Device, bytes: &[u8]) -> Result<Ranker> {
        let Saved { header: Header { config, schema }, mut tensors } =
            saved::from_bytes(KIND, bytes)?;
        config.check()?;
        let user_rows = take_rows(&mut tensors, USER_ROWS)?;
        let item_rows = take_rows(&mut tensors, ITEM_ROWS)?;
        let builder = Builder::saved(device, &tensors);
        Ranker::new(builder, schema, &config, [user_rows, item_rows])
    }
}

fn take_rows(tensors: &mut Vec<NamedTensor>, name: &str) -> Result<IdRows> {
    let at = tensors.iter().position(|tensor| tensor.name == name);
    let at = at.ok_or_else(|| das_nn::Error::MissingTensor { name: name.to_owned() })?;
    match tensors.remove(at).data {
        TensorData::U32(rows) => IdRows::from_values(name, rows),
        data => {
            let message = format!("tensor `{name}`: expected u32, found {}", data.dtype());
            Err(Error::Stored { model: KIND, message })
        }
    }
}
