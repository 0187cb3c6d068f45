//! What a market was drawn from, kept beside the data set.

use std::sync::Arc;

use arrow_array::types::Float32Type;
use arrow_array::{ArrayRef, Float32Array, Int64Array, ListArray, RecordBatch};
use das_core::{EntityIds, Side};

use super::MarketConfig;
use super::entities::{LatentItems, LatentUsers};
use crate::interactions::LogColumns;
use crate::table::id_array;
use crate::write::DataSetWriter;
use crate::{Error, Result};

/// The latent properties of a market, and what its exposure policy made of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// The topic of each item.
    pub item_topic: Vec<u32>,
    /// The super-topic of each item.
    pub item_super_topic: Vec<u32>,
    /// The sub-topic of each item, numbered over all topics: `topic * subtopics + sub-topic`.
    pub item_subtopic: Vec<u32>,
    /// The intrinsic appeal `a_i` of each item.
    pub item_appeal: Vec<f32>,
    /// Exposures of each item in the whole log.
    pub item_exposures: Vec<u32>,
    /// Clicks of each item in the whole log.
    pub item_clicks: Vec<u32>,
    /// `ln((1 + exposures) / (1 + mean exposures))` of each item: how far the policy favoured it.
    pub item_exposure_bias: Vec<f32>,
    /// `θ`, row-major `[users, num_subtopics]`.
    pub user_interest: Vec<f32>,
    /// Number of sub-topics over all topics: the width of `user_interest`.
    pub num_subtopics: usize,
    /// `κ_u` in `0..1` of each user.
    pub user_conformity: Vec<f32>,
    /// The home super-topic of each user.
    pub user_home: Vec<u32>,
}

impl Truth {
    pub(super) fn new(
        config: &MarketConfig,
        items: LatentItems,
        users: LatentUsers,
        log: &LogColumns,
    ) -> Truth {
        let mut item_exposures = vec![0u32; config.items];
        let mut item_clicks = vec![0u32; config.items];
        let clicked = log.labels.iter().flatten();
        for (&item, &clicked) in log.items.iter().zip(clicked) {
            item_exposures[item as usize] += 1;
            item_clicks[item as usize] += u32::from(clicked);
        }
        let mean = log.items.len() as f64 / config.items as f64;
        let bias = |&n: &u32| ((1.0 + f64::from(n)) / (1.0 + mean)).ln() as f32;
        let per_group = config.topics_per_group() as u32;
        Truth {
            item_super_topic: items.topic.iter().map(|&topic| topic / per_group).collect(),
            item_exposure_bias: item_exposures.iter().map(bias).collect(),
            item_topic: items.topic,
            item_subtopic: items.subtopic,
            item_appeal: items.appeal,
            item_exposures,
            item_clicks,
            user_interest: users.interest,
            num_subtopics: config.topics * config.subtopics,
            user_conformity: users.conformity,
            user_home: users.home,
        }
    }

    /// `θ_u`.
    pub fn interest_of(&self, user: usize) -> &[f32] {
        &self.user_interest[user * self.num_subtopics..(user + 1) * self.num_subtopics]
    }

    pub(super) fn write(
        &self,
        writer: &DataSetWriter,
        user_ids: &EntityIds,
        item_ids: &EntityIds,
    ) -> Result<()> {
        let all = |ids: &EntityIds| id_array(ids, &(0..ids.len() as u32).collect::<Vec<_>>());
        let items = [
            (Side::Item.id_column(), all(item_ids)),
            ("super_topic", integers(&self.item_super_topic)),
            ("topic", integers(&self.item_topic)),
            ("subtopic", integers(&self.item_subtopic)),
            ("appeal", floats(&self.item_appeal)),
            ("exposures", integers(&self.item_exposures)),
            ("clicks", integers(&self.item_clicks)),
            ("exposure_bias", floats(&self.item_exposure_bias)),
        ];
        let interests =
            (0..user_ids.len()).map(|user| Some(self.interest_of(user).iter().copied().map(Some)));
        let users: [(&str, ArrayRef); 4] = [
            (Side::User.id_column(), all(user_ids)),
            ("super_topic", integers(&self.user_home)),
            ("conformity", floats(&self.user_conformity)),
            ("interest", Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(interests))),
        ];
        write_columns(writer, "item_truth.parquet", items)?;
        write_columns(writer, "user_truth.parquet", users)
    }
}

fn integers(values: &[u32]) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values.iter().map(|&value| i64::from(value))))
}

fn floats(values: &[f32]) -> ArrayRef {
    Arc::new(Float32Array::from(values.to_vec()))
}

fn write_columns<const N: usize>(
    writer: &DataSetWriter,
    name: &str,
    columns: [(&str, ArrayRef); N],
) -> Result<()> {
    let batch = RecordBatch::try_from_iter(columns)
        .map_err(|error| Error::file(name.as_ref(), error.to_string()))?;
    writer.write_batch(name, batch)
}
