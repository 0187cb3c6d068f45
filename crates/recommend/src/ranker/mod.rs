//! A ranker of the shape used in industry: will this user click this item, here and now?
//!
//! Every categorical input has an embedding table: user and item ID, profile and item fields,
//! context, and one for each level of the users' and items' semantic IDs. The candidate asks the
//! user's history by target attention (Deep Interest Network, Zhou et al. 2018,
//! arXiv:1706.06978); all of it then passes cross layers (DCN-v2, Wang et al. 2021,
//! arXiv:2008.13535) and, beside them, a deep network, and both meet in one logit. The loss is
//! binary cross-entropy.
//!
//! An item has one vector, as candidate and in histories: its ID, fields, multi-valued fields and
//! semantic-ID levels side by side. An ID that training never saw is given the *unknown* row,
//! which takes the place of a share of all IDs in training ([`RankerConfig::id_dropout`]) so that
//! it has learned to say nothing. Of a semantic ID the learned levels are used; a suffix digit
//! means nothing without the levels before it.

mod batch;
mod builder;
mod config;
mod features;
mod impressions;
mod model;
mod predict;
mod saved;
mod schema;
mod train;

use das_nn::Params;

use builder::Builder;
pub use config::{RankerConfig, Score};
pub use features::{BagField, CategoricalField, Features};
pub use impressions::Impressions;
use model::Model;
use schema::{IdRows, Schema};
pub(crate) use train::Training;

use crate::Result;

/// A trained ranker.
#[derive(Debug)]
pub struct Ranker {
    config: RankerConfig,
    schema: Schema,
    user_rows: IdRows,
    item_rows: IdRows,
    model: Model,
    params: Params,
}

impl Ranker {
    /// A ranker with the parameters of `builder`.
    fn new(
        mut builder: Builder<'_>,
        schema: Schema,
        config: &RankerConfig,
        [user_rows, item_rows]: [IdRows; 2],
    ) -> Result<Ranker> {
        let id_rows = [user_rows.table_rows(), item_rows.table_rows()];
        let model = Model::new(&mut builder, config, &schema, id_rows)?;
        let params = builder.finish()?;
        Ok(Ranker { config: config.clone(), schema, user_rows, item_rows, model, params })
    }

    /// The settings it was trained with.
    pub fn config(&self) -> &RankerConfig {
        &self.config
    }
}
