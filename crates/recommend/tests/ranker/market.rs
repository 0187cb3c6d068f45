//! A market whose clicks follow the first digit of an item's semantic ID and a field of the user.

use das_core::progress::{Cancel, Silent};
use das_core::sid::{SidLayout, SidTable};
use das_core::streams::stream;
use das_nn::Device;
use das_recommend::Sequences;
use das_recommend::fit::{FitConfig, FitReport};
use das_recommend::ranker::{
    BagField, CategoricalField, Features, Impressions, Ranker, RankerConfig,
};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

pub(crate) const USERS: usize = 60;
pub(crate) const ITEMS: usize = 150;
/// Items from here on are in no training row.
pub(crate) const FIRST_COLD: usize = 100;
/// Kinds of items and of users: like clicks like.
const KINDS: u32 = 4;

pub(crate) struct Market {
    pub(crate) train: Impressions,
    pub(crate) validation: Impressions,
    /// Rows of cold items alone.
    pub(crate) cold: Impressions,
    kinds: Vec<u32>,
}

impl Market {
    pub(crate) fn new(seed: u64) -> Market {
        let mut rng = stream(seed, "ranker market", 0);
        let kinds: Vec<u32> = (0..ITEMS).map(|_| rng.random_range(0..KINDS)).collect();
        let mut draw = |rows, items| impressions(rows, items, &kinds, &mut rng);
        Market {
            train: draw(3000, 0..FIRST_COLD),
            validation: draw(800, 0..FIRST_COLD),
            cold: draw(800, FIRST_COLD..ITEMS),
            kinds,
        }
    }

    /// Users with a field that says their kind, items with one that says nothing.
    pub(crate) fn features(&self) -> Features {
        let kind = (0..USERS as u32).map(|user| user % KINDS + 1).collect();
        let kind = CategoricalField::new("kind", KINDS + 1, kind).unwrap();
        let parity = (0..ITEMS as u32).map(|item| item % 2 + 1).collect();
        let parity = CategoricalField::new("parity", 3, parity).unwrap();
        let offsets = (0..=ITEMS).map(|item| item - item.div_ceil(3)).collect();
        let bags = Sequences::new(offsets, vec![1; ITEMS - ITEMS.div_ceil(3)]).unwrap();
        Features::new(USERS, ITEMS)
            .with_user_fields(vec![kind])
            .unwrap()
            .with_item_fields(vec![parity])
            .unwrap()
            .with_item_bags(vec![BagField::new("tags", 2, bags).unwrap()])
            .unwrap()
    }

    /// The same with semantic IDs of items: their kind, then noise.
    pub(crate) fn features_with_sids(&self) -> Features {
        let codes = self.kinds.iter().enumerate().flat_map(|(item, &kind)| [kind, item as u32 % 5]);
        let layout = SidLayout::learned(vec![KINDS, 5]).unwrap();
        let sids = SidTable::new(layout, codes.collect()).unwrap();
        self.features().with_item_sids(sids).unwrap()
    }
}

/// Users click 9 of 10 items of their kind and 1 of 10 others. Every fourth history is empty.
fn impressions(
    rows: usize,
    candidates: std::ops::Range<usize>,
    kinds: &[u32],
    rng: &mut ChaCha8Rng,
) -> Impressions {
    let (mut users, mut items, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    let (mut offsets, mut clicks, mut hours) = (vec![0], Vec::new(), Vec::new());
    for row in 0..rows {
        let (user, item) = (rng.random_range(0..USERS), rng.random_range(candidates.clone()));
        let alike = user as u32 % KINDS == kinds[item];
        users.push(user as u32);
        items.push(item as u32);
        labels.push(rng.random_bool(if alike { 0.9 } else { 0.1 }));
        hours.push(rng.random_range(0..25));
        for _ in 0..row % 4 * 2 {
            clicks.push(rng.random_range(0..FIRST_COLD as u32));
        }
        offsets.push(clicks.len());
    }
    let hour = CategoricalField::new("hour", 25, hours).unwrap();
    let histories = Sequences::new(offsets, clicks).unwrap();
    Impressions::new(users, items, labels, vec![hour], histories).unwrap()
}

/// The rows of a log in another order, or some of them.
pub(crate) fn select(all: &Impressions, rows: &[usize]) -> Impressions {
    let column = |values: &[u32]| rows.iter().map(|&row| values[row]).collect::<Vec<_>>();
    let field = |field: &CategoricalField| {
        CategoricalField::new(field.name(), field.cardinality(), column(field.values())).unwrap()
    };
    let mut offsets = vec![0];
    let mut clicks = Vec::new();
    for &row in rows {
        clicks.extend_from_slice(all.histories().of(row));
        offsets.push(clicks.len());
    }
    Impressions::new(
        column(all.users()),
        column(all.items()),
        rows.iter().map(|&row| all.labels()[row]).collect(),
        all.context().iter().map(field).collect(),
        Sequences::new(offsets, clicks).unwrap(),
    )
    .unwrap()
}

/// Small and quick.
pub(crate) fn config() -> RankerConfig {
    RankerConfig {
        dim: 8,
        attention_dim: 8,
        hidden: vec![32],
        history: 4,
        fit: FitConfig {
            epochs: 12,
            batch_size: 128,
            learning_rate: 5e-3,
            patience: 0,
            ..FitConfig::default()
        },
        ..RankerConfig::default()
    }
}

pub(crate) fn train(
    market: &Market,
    features: &Features,
    config: &RankerConfig,
) -> (Ranker, FitReport) {
    let Market { train, validation, .. } = market;
    let (progress, cancel) = (Silent, Cancel::default());
    let device = Device::cpu();
    Ranker::train(&device, features, train, validation, config, 7, None, &progress, &cancel)
        .unwrap()
}

/// [`Ranker::predict`], unwatched and never stopped.
pub(crate) fn predict(
    ranker: &Ranker,
    features: &Features,
    impressions: &Impressions,
) -> das_recommend::Result<Vec<f32>> {
    ranker.predict(features, impressions, &Silent, &Cancel::default())
}
