//! The yardstick of the click ranker.

use std::path::Path;

use das_core::sid::SidLayout;
use das_nn::Device;
use das_nn::safetensors_io::NamedTensor;
use serde::Deserialize;

use super::Steps;
use super::folder::Folder;
use crate::Result;
use crate::ranker::{BagField, CategoricalField, Features, Impressions, RankerConfig, Training};

/// Name and categories of each field.
type Fields = Vec<(String, u32)>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    settings: RankerConfig,
    users: usize,
    items: usize,
    /// Codes of each level of the semantic IDs, of users as of items.
    levels: Vec<u32>,
    user_fields: Fields,
    item_bags: Fields,
    context: Fields,
}

/// Features, impressions and weights of a ranker.
#[derive(Debug)]
pub struct RankerYardstick {
    settings: RankerConfig,
    features: Features,
    impressions: Impressions,
    weights: Vec<NamedTensor>,
}

impl RankerYardstick {
    /// Reads a folder.
    ///
    /// # Errors
    /// If a file is missing or malformed, or they do not fit each other.
    pub fn load(folder: &Path) -> Result<RankerYardstick> {
        let folder: Folder<Config> = Folder::read(folder)?;
        folder.config.settings.check()?;
        let (features, impressions) = (features(&folder)?, impressions(&folder)?);
        folder.check_batches(impressions.len(), folder.config.settings.fit.batch_size)?;
        let settings = folder.config.settings;
        Ok(RankerYardstick { settings, features, impressions, weights: folder.weights })
    }

    /// A training from these weights.
    ///
    /// # Errors
    /// If the weights are not those of such a ranker.
    pub fn steps(&self, device: &Device) -> Result<Steps<'_>> {
        let Self { settings, features, impressions, weights } = self;
        let training = Training::from_weights(device, features, impressions, settings, weights)?;
        Ok(Steps::new(training, &settings.fit))
    }
}

fn features(folder: &Folder<Config>) -> Result<Features> {
    let Config { users, items, levels, user_fields, item_bags, .. } = &folder.config;
    let layout = SidLayout::learned(levels.clone())?;
    let bag = |(name, categories): &(String, u32)| -> Result<BagField> {
        let part = |part: &str| format!("item.bag.{name}.{part}");
        let bags = folder.sequences(&part("offsets"), &part("values"))?;
        BagField::new(name, *categories, bags)
    };
    Features::new(*users, *items)
        .with_user_fields(fields(folder, "user.field", user_fields)?)?
        .with_item_bags(item_bags.iter().map(bag).collect::<Result<_>>()?)?
        .with_user_sids(folder.sids("user.sids", &layout)?)?
        .with_item_sids(folder.sids("item.sids", &layout)?)
}

fn impressions(folder: &Folder<Config>) -> Result<Impressions> {
    Impressions::new(
        folder.column("users")?,
        folder.column("items")?,
        folder.column("labels")?.into_iter().map(|label| label > 0).collect(),
        fields(folder, "context", &folder.config.context)?,
        folder.sequences("history.offsets", "history.items")?,
    )
}

fn fields(folder: &Folder<Config>, of: &str, fields: &Fields) -> Result<Vec<CategoricalField>> {
    let field = |(name, categories): &(String, u32)| {
        CategoricalField::new(name, *categories, folder.column(&format!("{of}.{name}"))?)
    };
    fields.iter().map(field).collect()
}
