//! Rows of impressions as indices into a ranker's tables.

use das_core::sid::SidTable;
use rand::Rng;
use rustc_hash::FxHashMap;

use super::features::{BagField, CategoricalField, Features};
use super::impressions::Impressions;
use super::schema::{IdRows, UNKNOWN};

/// Everything that the model looks up for some impressions. Each user and item of the batch is
/// there once, however many rows and histories it is in.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) users: EntityBatch,
    pub(super) items: EntityBatch,
    /// The place of each row's user among `users`.
    pub(super) user_of_row: Vec<u32>,
    /// The place of each row's candidate among `items`.
    pub(super) item_of_row: Vec<u32>,
    /// Category of each row, by context field.
    pub(super) context: Vec<Vec<u32>>,
    pub(super) history: HistoryBatch,
    pub(super) labels: Vec<f32>,
}

/// Table rows of the users or items of a batch.
#[derive(Debug)]
pub(super) struct EntityBatch {
    /// Rows of the ID table.
    pub(super) ids: Vec<u32>,
    /// Categories by field.
    pub(super) fields: Vec<Vec<u32>>,
    /// Values by multi-valued field.
    pub(super) bags: Vec<Packed>,
    /// Codes by level.
    pub(super) sids: Vec<Vec<u32>>,
}

/// The histories of a batch, newest clicks only, oldest first.
#[derive(Debug)]
pub(super) struct HistoryBatch {
    /// Places among the batch's items.
    pub(super) clicks: Packed,
    /// For each click how many newer ones the history has.
    pub(super) ages: Vec<u32>,
}

/// Ragged rows: row r owns `values[offsets[r]..offsets[r + 1]]`.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) offsets: Vec<u32>,
    pub(super) values: Vec<u32>,
}

/// Makes the batches of one log.
#[derive(Clone, Copy)]
pub(super) struct BatchBuilder<'a> {
    pub(super) features: &'a Features,
    pub(super) impressions: &'a Impressions,
    pub(super) user_rows: &'a IdRows,
    pub(super) item_rows: &'a IdRows,
    /// Most clicks of a history.
    pub(super) history: usize,
    /// The batch's items are filled up to a multiple of this, with the first one again.
    pub(super) item_multiple: usize,
}

impl BatchBuilder<'_> {
    /// The batch of the given rows.
    pub(super) fn build(&self, rows: &[u32]) -> Batch {
        let Self { features, impressions, .. } = *self;
        let column = |values: &[u32]| rows.iter().map(|&row| values[row as usize]).collect();
        let (mut users, mut items) = (Distinct::default(), Distinct::default());
        let user_of_row = users.places(column(impressions.users()));
        let item_of_row = items.places(column(impressions.items()));
        let history = self.history(rows, &mut items);
        items.fill_up(self.item_multiple);
        let user_sids = features.user_sids.as_ref();
        let item_sids = features.item_sids.as_ref();
        Batch {
            users: EntityBatch {
                ids: users.ids.iter().map(|&id| self.user_rows.row(id)).collect(),
                fields: categories(&features.user_fields, &users.ids),
                bags: Vec::new(),
                sids: codes(user_sids, &users.ids),
            },
            items: EntityBatch {
                ids: items.ids.iter().map(|&id| self.item_rows.row(id)).collect(),
                fields: categories(&features.item_fields, &items.ids),
                bags: features.item_bags.iter().map(|bag| pack(bag, &items.ids)).collect(),
                sids: codes(item_sids, &items.ids),
            },
            user_of_row,
            item_of_row,
            context: impressions.context().iter().map(|field| column(field.values())).collect(),
            history,
            labels: rows.iter().map(|&row| f32::from(impressions.labels()[row as usize])).collect(),
        }
    }

    fn history(&self, rows: &[u32], items: &mut Distinct) -> HistoryBatch {
        let mut clicks = Packed { offsets: vec![0], values: Vec::new() };
        let mut ages = Vec::new();
        for &row in rows {
            let all = self.impressions.histories().of(row as usize);
            let newest = &all[all.len().saturating_sub(self.history)..];
            clicks.values.extend(newest.iter().map(|&item| items.place(item)));
            clicks.offsets.push(clicks.values.len() as u32);
            ages.extend((0..newest.len() as u32).rev());
        }
        HistoryBatch { clicks, ages }
    }
}

impl Batch {
    /// Replaces a share `rate` of all IDs by the unknown one.
    pub(super) fn drop_ids(&mut self, rate: f32, rng: &mut impl Rng) {
        if rate == 0.0 {
            return;
        }
        for id in self.users.ids.iter_mut().chain(&mut self.items.ids) {
            if rng.random::<f32>() < rate {
                *id = UNKNOWN;
            }
        }
    }
}

/// Numbers IDs in the order in which they first come.
#[derive(Default)]
struct Distinct {
    places: FxHashMap<u32, u32>,
    ids: Vec<u32>,
}

impl Distinct {
    fn place(&mut self, id: u32) -> u32 {
        *self.places.entry(id).or_insert_with(|| {
            self.ids.push(id);
            self.ids.len() as u32 - 1
        })
    }

    fn places(&mut self, ids: Vec<u32>) -> Vec<u32> {
        ids.into_iter().map(|id| self.place(id)).collect()
    }

    fn fill_up(&mut self, multiple: usize) {
        if let Some(&first) = self.ids.first() {
            self.ids.resize(self.ids.len().next_multiple_of(multiple), first);
        }
    }
}

fn categories(fields: &[CategoricalField], ids: &[u32]) -> Vec<Vec<u32>> {
    let of_field = |field: &CategoricalField| {
        ids.iter().map(|&id| field.values()[id as usize]).collect::<Vec<_>>()
    };
    fields.iter().map(of_field).collect()
}

fn pack(bag: &BagField, ids: &[u32]) -> Packed {
    let mut packed = Packed { offsets: vec![0], values: Vec::new() };
    for &id in ids {
        packed.values.extend_from_slice(bag.bags().of(id as usize));
        packed.offsets.push(packed.values.len() as u32);
    }
    packed
}

fn codes(sids: Option<&SidTable>, ids: &[u32]) -> Vec<Vec<u32>> {
    let Some(sids) = sids else { return Vec::new() };
    let level = |level: usize| ids.iter().map(|&id| sids.row(id as usize)[level]).collect();
    (0..sids.layout().num_levels()).map(level).collect()
}
