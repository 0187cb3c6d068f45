//! A data set, split, with the parts that training and evaluation may see.

use std::path::Path;

use das_core::{EntityIds, HeldOut, Side, files};
use das_data::{CoClickConfig, DataSet, Part, Split, TrainingClicks};
use serde_json::{Map, Value, json};

use crate::config::DataConfig;

/// The manifest's key of [`Prepared::training_rows`].
pub const TRAINING_ROWS: &str = "training_rows";

/// An opened data set under a split.
pub struct Prepared {
    /// The folder's tables.
    pub data: DataSet,
    /// Which row belongs to which part.
    pub split: Split,
    /// All that training sees of the log.
    pub clicks: TrainingClicks,
    /// Files of the folder that hold views.
    view_files: Vec<String>,
}

impl Prepared {
    /// Opens and splits the data set at `folder`.
    pub fn open(folder: &Path, config: &DataConfig) -> anyhow::Result<Prepared> {
        Prepared::new(DataSet::open(folder)?, config)
    }

    /// Splits an opened data set.
    pub fn new(data: DataSet, config: &DataConfig) -> anyhow::Result<Prepared> {
        let split = if config.cold_items > 0.0 {
            Split::with_cold_items(&data, config.split, config.cold_items, 0)?
        } else {
            Split::new(&data, config.split)?
        };
        let window = (config.partner_window > 0).then_some(config.partner_window);
        let clicks = TrainingClicks::new(&data, &split, CoClickConfig { window })?;
        let view_files = config.view_files().map(str::to_string).collect();
        Ok(Prepared { data, split, clicks, view_files })
    }

    /// Held-out clicks of a part, with the user's last training items.
    pub fn held_out(&self, part: Part) -> HeldOut {
        self.clicks.held_out(&self.data, &self.split, part)
    }

    /// The ids of a side, in row order.
    pub fn ids(&self, side: Side) -> &EntityIds {
        self.data.table(side).ids()
    }

    /// Hash of the training rows.
    pub fn training_rows(&self) -> String {
        self.split.fingerprint(&self.data)
    }

    /// What identifies the data and the training rows, for the manifest.
    pub fn fingerprint(&self) -> anyhow::Result<Map<String, Value>> {
        let mut map = Map::new();
        for (name, hash) in self.data.fingerprint()? {
            map.insert(name, json!(hash));
        }
        for name in &self.view_files {
            map.insert(name.clone(), json!(files::sha256_file(&self.data.folder().join(name))?));
        }
        map.insert(TRAINING_ROWS.to_string(), json!(self.training_rows()));
        map.insert("split".to_string(), json!(self.split.kind().name()));
        Ok(map)
    }
}
