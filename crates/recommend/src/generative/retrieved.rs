//! What a search finds, and where a target stands in it.

use das_core::metrics::TiedRank;
use das_core::sid::Trie;

/// A semantic ID that a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Retrieved {
    /// Its leaf in the [`Trie`] of the catalogue.
    pub sid_leaf: u32,
    /// The items that share it, ascending; those excluded are left out.
    pub items: Vec<u32>,
    /// ln p of the ID.
    pub log_probability: f32,
    /// ln p of each of its items, which share the probability of the ID equally.
    pub item_log_probability: f32,
}

/// Whether a search may return items of the history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Seen {
    /// Items of the history are returned like others.
    #[default]
    Included,
    /// Items of the history are left out. The probabilities of the others stay as they are.
    Excluded,
}

/// Where a target stands among the results of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetRanks {
    /// Among items, of which those on one ID are tied.
    pub item: TiedRank,
    /// Its ID among IDs.
    pub sid: TiedRank,
}

/// The ranks of `target` in `found`; none where no found ID is the target's. Ranks up to the `k`
/// that was searched for are those within the whole catalogue if the search was exact.
pub fn target_ranks(found: &[Retrieved], target: u32) -> Option<TargetRanks> {
    let own = found.iter().find(|one| one.items.binary_search(&target).is_ok())?;
    let (mut item, mut sid) = ([0; 2], [0; 2]);
    for one in found {
        item[0] += one.items.len() * usize::from(above(one, own, |r| r.item_log_probability));
        item[1] += one.items.len() * usize::from(equal(one, own, |r| r.item_log_probability));
        sid[0] += usize::from(above(one, own, |r| r.log_probability));
        sid[1] += usize::from(equal(one, own, |r| r.log_probability));
    }
    let rank = |[above, equal]: [usize; 2]| TiedRank { above, tied: equal - 1 };
    Some(TargetRanks { item: rank(item), sid: rank(sid) })
}

fn above(one: &Retrieved, own: &Retrieved, score: impl Fn(&Retrieved) -> f32) -> bool {
    score(one) > score(own)
}

fn equal(one: &Retrieved, own: &Retrieved, score: impl Fn(&Retrieved) -> f32) -> bool {
    score(one) == score(own)
}

/// The `k` best IDs and the IDs of the `k` best items among some leaves with their ln p: by
/// falling probability of their items, then by leaf. Ties with the last one are kept, so that
/// ranks up to `k` can be told. `excluded` ascends.
pub(super) fn best(
    trie: &Trie,
    leaves: &[(u32, f32)],
    k: usize,
    excluded: &[u32],
) -> Vec<Retrieved> {
    let mut found: Vec<Retrieved> = leaves
        .iter()
        .map(|&(leaf, log_probability)| retrieved(trie, leaf, log_probability, excluded))
        .filter(|one| !one.items.is_empty())
        .collect();
    let (sid_cut, item_cut) = (sid_cut(&found, k), item_cut(&found, k));
    found.retain(|one| one.log_probability >= sid_cut || one.item_log_probability >= item_cut);
    found.sort_unstable_by(|a, b| {
        b.item_log_probability.total_cmp(&a.item_log_probability).then(a.sid_leaf.cmp(&b.sid_leaf))
    });
    found
}

/// What a leaf must reach at least to be among [`best`].
pub(super) fn bound(found: &[Retrieved], k: usize) -> f32 {
    sid_cut(found, k).min(item_cut(found, k))
}

fn retrieved(trie: &Trie, leaf: u32, log_probability: f32, excluded: &[u32]) -> Retrieved {
    let all = trie.rows(leaf);
    let items = all.iter().copied().filter(|item| excluded.binary_search(item).is_err()).collect();
    let item_log_probability = log_probability - (all.len() as f32).ln();
    Retrieved { sid_leaf: leaf, items, log_probability, item_log_probability }
}

/// ln p of the `k`-th best ID; −∞ where there are fewer.
fn sid_cut(found: &[Retrieved], k: usize) -> f32 {
    kth(found.iter().map(|one| (one.log_probability, 1)).collect(), k)
}

/// ln p of the `k`-th best item; −∞ where there are fewer.
fn item_cut(found: &[Retrieved], k: usize) -> f32 {
    kth(found.iter().map(|one| (one.item_log_probability, one.items.len())).collect(), k)
}

/// The `k`-th largest of scores that count several times.
fn kth(mut scores: Vec<(f32, usize)>, k: usize) -> f32 {
    scores.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let mut counted = 0;
    for (score, count) in scores {
        counted += count;
        if counted >= k {
            return score;
        }
    }
    f32::NEG_INFINITY
}
