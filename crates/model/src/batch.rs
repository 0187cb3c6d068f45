//! Batches: clicks turned into content rows, table rows and masks of known positives.
//!
//! Each distinct user and item of a batch is encoded once, whether it was clicked or drawn as a
//! co-click partner, and however often; clicks point at the encoded rows.

use std::ops::Range;

use das_core::clicks::NO_PARTNER;
use das_core::{ClickEpoch, Clicks, RowMatrix, Side};
use das_nn::{InfoNce, PairMask};

use crate::config::ModelConfig;
use crate::terms::Term;

/// The clicks of one step.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The user side.
    pub user: SideBatch,
    /// The item side.
    pub item: SideBatch,
    /// Weight of each click; none where all are 1.
    pub weights: Option<Vec<f32>>,
    /// (click i, click j): the user of i is known to have clicked the item of j.
    pub positives: Option<PairMask>,
    /// The same with i and j swapped.
    pub positives_transposed: Option<PairMask>,
}

/// One side of a batch of B clicks over `rows` encoded entities.
#[derive(Clone, Debug)]
pub struct SideBatch {
    /// Encoded entities.
    pub rows: usize,
    /// Their content vectors, `[rows, content_dim]`; empty where the side has no tokenizer.
    pub content: Vec<f32>,
    /// For each click the encoded row of its own entity.
    pub anchors: Vec<u32>,
    /// For each click the row of its own entity in the ID tables.
    pub ids: Vec<u32>,
    /// For each click log Q of its entity: the log share of training clicks that it has.
    pub log_q: Vec<f32>,
    /// For each click how far the ID embedding of its entity is trusted; none where all are alike.
    pub trust: Option<Vec<f32>>,
    /// For each click `interest_items` other items that its user clicked; of users only.
    pub clicked: Vec<u32>,
    /// (i, j): clicks of the same entity.
    pub repeats: Option<PairMask>,
    /// Co-click partners, where a term needs them.
    pub partners: Option<Partners>,
}

/// A co-click partner for each click.
#[derive(Clone, Debug)]
pub struct Partners {
    /// The encoded row of the partner.
    pub positions: Vec<u32>,
    /// Its row in the ID tables.
    pub ids: Vec<u32>,
    /// The click's weight, 0 where there is no partner; none where all are 1.
    pub weights: Option<Vec<f32>>,
    /// (i, j): the partner of j is known to co-occur with the entity of i.
    pub known: Option<PairMask>,
}

impl SideBatch {
    /// Width of the content vectors.
    pub fn content_dim(&self) -> usize {
        self.content.len() / self.rows
    }
}

impl Partners {
    /// The contrastive options of (entity ↔ its partner).
    pub(crate) fn contrast(&self, config: &ModelConfig) -> InfoNce<'_> {
        InfoNce {
            mask: self.known.as_ref(),
            row_weights: self.weights.as_deref(),
            ..config.info_nce()
        }
    }
}

/// Builds batches from the clicks of an epoch.
pub struct BatchBuilder<'a> {
    clicks: &'a dyn Clicks,
    content: [&'a dyn RowMatrix; 2],
    encoded: [bool; 2],
    partners: [bool; 2],
    mask: bool,
    log_q: [Vec<f32>; 2],
    trust: Option<[Vec<f32>; 2]>,
    interest_items: usize,
    user_rows: RowNumbers,
    item_rows: RowNumbers,
    by_item: Positions,
}

impl<'a> BatchBuilder<'a> {
    /// `content` is `[users, items]`, aligned with the rows of `clicks`.
    pub fn new(
        clicks: &'a dyn Clicks,
        content: [&'a dyn RowMatrix; 2],
        config: &ModelConfig,
    ) -> BatchBuilder<'a> {
        let (users, items) = (clicks.num_users(), clicks.num_items());
        BatchBuilder {
            clicks,
            content,
            encoded: Side::BOTH.map(|side| config.sides.contain(side)),
            partners: [
                config.enabled(Term::CoU),
                config.enabled(Term::CoI) || config.enabled(Term::CfItems),
            ],
            mask: config.mask_positives,
            log_q: [clicks.user_clicks(), clicks.item_clicks()].map(log_shares),
            trust: (config.teacher_clicks > 0.0).then(|| {
                [clicks.user_clicks(), clicks.item_clicks()]
                    .map(|counts| trust(counts, config.teacher_clicks))
            }),
            interest_items: if config.uses_icdm() { config.interest_items } else { 0 },
            user_rows: RowNumbers::new(users),
            item_rows: RowNumbers::new(items),
            by_item: Positions::new(items),
        }
    }

    /// Leaves content out of the batches, for steps that encode nothing.
    pub(crate) fn without_content(self) -> BatchBuilder<'a> {
        BatchBuilder { encoded: [false; 2], ..self }
    }

    /// The batch of `range` of an epoch's clicks.
    pub fn build(&mut self, epoch: &ClickEpoch, range: Range<usize>) -> Batch {
        let (users, items) = (&epoch.users[range.clone()], &epoch.items[range.clone()]);
        let co_users = self.partners[0].then(|| &epoch.co_users[range.clone()]);
        let co_items = self.partners[1].then(|| &epoch.co_items[range.clone()]);
        let weights = &epoch.weights[range];
        let weights = weights.iter().any(|&w| w != 1.0).then(|| weights.to_vec());

        let [user_content, item_content] = [0, 1].map(|side| {
            let content = self.content[side];
            self.encoded[side].then_some(content)
        });
        let mut user = side_batch(users, co_users, user_content, &mut self.user_rows);
        let mut item = side_batch(items, co_items, item_content, &mut self.item_rows);
        for (at, side) in [&mut user, &mut item].into_iter().enumerate() {
            let of_ids = |values: &[f32]| side.ids.iter().map(|&id| values[id as usize]).collect();
            side.log_q = of_ids(&self.log_q[at]);
            side.trust = self.trust.as_ref().map(|trust| of_ids(&trust[at]));
        }
        user.clicked = self.other_items(users, items);
        for partners in [&mut user.partners, &mut item.partners].into_iter().flatten() {
            partners.weights = partner_weights(&partners.ids, weights.as_deref());
        }
        let mut batch = Batch { user, item, weights, positives: None, positives_transposed: None };
        if self.mask {
            self.mask_known(&mut batch);
        }
        // Where there is no partner the weight is 0 and any valid row will do.
        for side in [&mut batch.user, &mut batch.item] {
            if let Some(partners) = &mut side.partners {
                for (id, &own) in partners.ids.iter_mut().zip(&side.ids) {
                    *id = if *id == NO_PARTNER { own } else { *id };
                }
            }
        }
        batch
    }

    /// For each click other items of its user, evenly spread over them and as many for all. The item
    /// itself stands in where there is no other: a user's interest must not name what it is asked for.
    fn other_items(&self, users: &[u32], items: &[u32]) -> Vec<u32> {
        let count = self.interest_items;
        let mut found = Vec::with_capacity(users.len() * count);
        for (&user, &item) in users.iter().zip(items).filter(|_| count > 0) {
            let all = self.clicks.items_of(user);
            let own = all.binary_search(&item).unwrap_or(all.len());
            let others = all.len() - usize::from(own < all.len());
            found.extend((0..count).map(|k| match others {
                0 => item,
                _ => {
                    let at = k * others / count.min(others) % others;
                    all[at + usize::from(at >= own)]
                }
            }));
        }
        found
    }

    /// Known positives: clicks of the training log, wherever they meet in the batch.
    fn mask_known(&mut self, batch: &mut Batch) {
        let (users, items) = (batch.user.ids.clone(), batch.item.ids.clone());
        let known = self.known_pairs(&users, &items);
        batch.positives_transposed = Some(mask(transpose(&known)));
        batch.positives = Some(mask(known));
        batch.user.repeats = Some(mask(repeats(&users)));
        batch.item.repeats = Some(mask(repeats(&items)));
        if let Some(partners) = &mut batch.item.partners {
            // The user of click i also clicked the partner item of click j.
            let pairs = self.known_pairs(&users, &partners.ids);
            partners.known = Some(mask(with_equal(pairs, &items, &partners.ids)));
        }
        if let Some(partners) = &mut batch.user.partners {
            // The partner user of click j also clicked the item of click i.
            let pairs = transpose(&self.known_pairs(&partners.ids, &items));
            partners.known = Some(mask(with_equal(pairs, &users, &partners.ids)));
        }
    }

    /// For each row i the columns j whose item the user of i clicked in training, ascending.
    fn known_pairs(&mut self, users: &[u32], items: &[u32]) -> Vec<Vec<u32>> {
        self.by_item.fill(items);
        let pairs = users
            .iter()
            .map(|&user| {
                if user == NO_PARTNER {
                    return Vec::new();
                }
                let clicked = self.clicks.items_of(user);
                let mut columns: Vec<u32> =
                    clicked.iter().flat_map(|&item| self.by_item.of(item)).collect();
                columns.sort_unstable();
                columns
            })
            .collect();
        self.by_item.clear(items);
        pairs
    }
}

fn side_batch(
    anchors: &[u32],
    partners: Option<&[u32]>,
    content: Option<&dyn RowMatrix>,
    numbers: &mut RowNumbers,
) -> SideBatch {
    let mut distinct = Vec::with_capacity(anchors.len() * 2);
    let mut position = |id: u32| numbers.number(id, &mut distinct);
    let own: Vec<u32> = anchors.iter().map(|&id| position(id)).collect();
    let partners = partners.map(|ids| Partners {
        positions: ids
            .iter()
            .zip(&own)
            .map(|(&id, &own)| if id == NO_PARTNER { own } else { position(id) })
            .collect(),
        ids: ids.to_vec(),
        weights: None,
        known: None,
    });
    numbers.clear(&distinct);
    let values = content.map_or_else(Vec::new, |content| gather(content, &distinct));
    SideBatch {
        rows: distinct.len(),
        content: values,
        anchors: own,
        ids: anchors.to_vec(),
        log_q: Vec::new(),
        trust: None,
        clicked: Vec::new(),
        repeats: None,
        partners,
    }
}

/// Rows of a matrix, `[rows.len(), dim]`.
pub(crate) fn gather(matrix: &dyn RowMatrix, rows: &[u32]) -> Vec<f32> {
    let mut values = vec![0.0; rows.len() * matrix.dim()];
    matrix.gather(rows, &mut values);
    values
}

fn log_shares(counts: &[u32]) -> Vec<f32> {
    let total: u64 = counts.iter().map(|&c| u64::from(c)).sum();
    // Entities without clicks never stand in a batch of clicks; 1 keeps the logarithm finite.
    counts.iter().map(|&c| (f64::from(c.max(1)) / total.max(1) as f64).ln() as f32).collect()
}

/// n / (n + n₀) of every entity: the share of its own clicks in an estimate that n₀ clicks of anyone
/// would outweigh.
fn trust(counts: &[u32], half: f32) -> Vec<f32> {
    counts.iter().map(|&n| n as f32 / (n as f32 + half)).collect()
}

fn partner_weights(partners: &[u32], clicks: Option<&[f32]>) -> Option<Vec<f32>> {
    if clicks.is_none() && !partners.contains(&NO_PARTNER) {
        return None;
    }
    let weight = |(at, &id): (usize, &u32)| match clicks {
        _ if id == NO_PARTNER => 0.0,
        Some(weights) => weights[at],
        None => 1.0,
    };
    Some(partners.iter().enumerate().map(weight).collect())
}

/// For each row the other rows of the same id.
fn repeats(ids: &[u32]) -> Vec<Vec<u32>> {
    let mut order: Vec<u32> = (0..ids.len() as u32).collect();
    order.sort_unstable_by_key(|&at| (ids[at as usize], at));
    let mut rows = vec![Vec::new(); ids.len()];
    for group in order.chunk_by(|&a, &b| ids[a as usize] == ids[b as usize]) {
        if group.len() > 1 {
            for &at in group {
                rows[at as usize] = group.to_vec();
            }
        }
    }
    rows
}

/// Adds to row i every column j whose partner is the entity of i itself.
fn with_equal(mut pairs: Vec<Vec<u32>>, ids: &[u32], partners: &[u32]) -> Vec<Vec<u32>> {
    let mut order: Vec<u32> = (0..partners.len() as u32).collect();
    order.sort_unstable_by_key(|&at| (partners[at as usize], at));
    for (row, &id) in pairs.iter_mut().zip(ids) {
        let start = order.partition_point(|&at| partners[at as usize] < id);
        let equal = order[start..].iter().take_while(|&&at| partners[at as usize] == id);
        let before = row.len();
        row.extend(equal);
        if row.len() > before {
            row.sort_unstable();
            row.dedup();
        }
    }
    pairs
}

fn transpose(pairs: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let mut turned = vec![Vec::new(); pairs.len()];
    for (row, columns) in pairs.iter().enumerate() {
        for &column in columns {
            turned[column as usize].push(row as u32);
        }
    }
    turned
}

fn mask(pairs: Vec<Vec<u32>>) -> PairMask {
    let rows = pairs.into_iter().enumerate().map(|(row, columns)| {
        // A click is its own positive, not one to leave out.
        (row, columns.into_iter().filter(move |&column| column as usize != row))
    });
    PairMask::from_rows(rows.len(), rows).expect("rows and columns ascend")
}

/// Numbers distinct ids in order of first sight, with a table that is reused between batches.
struct RowNumbers {
    numbers: Vec<u32>,
}

impl RowNumbers {
    fn new(entities: usize) -> RowNumbers {
        RowNumbers { numbers: vec![u32::MAX; entities] }
    }

    fn number(&mut self, id: u32, seen: &mut Vec<u32>) -> u32 {
        let number = &mut self.numbers[id as usize];
        if *number == u32::MAX {
            *number = seen.len() as u32;
            seen.push(id);
        }
        *number
    }

    fn clear(&mut self, seen: &[u32]) {
        for &id in seen {
            self.numbers[id as usize] = u32::MAX;
        }
    }
}

/// The batch positions of each item, as linked lists over reused tables.
struct Positions {
    first: Vec<u32>,
    next: Vec<u32>,
}

impl Positions {
    fn new(entities: usize) -> Positions {
        Positions { first: vec![u32::MAX; entities], next: Vec::new() }
    }

    fn fill(&mut self, ids: &[u32]) {
        self.next.clear();
        for (at, &id) in ids.iter().enumerate() {
            if id == NO_PARTNER {
                self.next.push(u32::MAX);
                continue;
            }
            self.next.push(self.first[id as usize]);
            self.first[id as usize] = at as u32;
        }
    }

    fn of(&self, id: u32) -> impl Iterator<Item = u32> + '_ {
        let start = self.first[id as usize];
        std::iter::successors((start != u32::MAX).then_some(start), |&at| {
            let next = self.next[at as usize];
            (next != u32::MAX).then_some(next)
        })
    }

    fn clear(&mut self, ids: &[u32]) {
        for &id in ids.iter().filter(|&&id| id != NO_PARTNER) {
            self.first[id as usize] = u32::MAX;
        }
    }
}
