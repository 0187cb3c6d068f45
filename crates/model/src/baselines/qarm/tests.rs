//! Swing and the VQ code against what one would write down.

use das_core::progress::Cancel;
use das_core::streams::stream;
use das_core::{ClickEpoch, Clicks};
use rand::Rng;
use rand::seq::index;

use super::config::QarmConfig;
use super::neighbours::{Neighbours, Similarity};
use super::vq::{VqPool, pool_items};

/// Who clicked what, ascending.
struct Log {
    items_of: Vec<Vec<u32>>,
    item_clicks: Vec<u32>,
}

impl Log {
    fn new(seed: u64, users: usize, items: usize) -> Log {
        let mut rng = stream(seed, "log", 0);
        let mut item_clicks = vec![0; items];
        let mut draw = || -> Vec<u32> {
            let count = rng.random_range(0..items / 3);
            let mut drawn = index::sample(&mut rng, items, count).into_vec();
            drawn.sort_unstable();
            drawn.iter().for_each(|&item| item_clicks[item] += 1);
            drawn.into_iter().map(|item| item as u32).collect()
        };
        let items_of = (0..users).map(|_| draw()).collect();
        Log { items_of, item_clicks }
    }
}

impl Clicks for Log {
    fn num_users(&self) -> usize {
        self.items_of.len()
    }

    fn num_items(&self) -> usize {
        self.item_clicks.len()
    }

    fn num_clicks(&self) -> usize {
        self.items_of.iter().map(Vec::len).sum()
    }

    fn items_of(&self, user: u32) -> &[u32] {
        &self.items_of[user as usize]
    }

    fn user_clicks(&self) -> &[u32] {
        &[]
    }

    fn item_clicks(&self) -> &[u32] {
        &self.item_clicks
    }

    fn item_exposures(&self) -> &[u32] {
        &self.item_clicks
    }

    fn user_exposures(&self) -> &[u32] {
        &[]
    }

    fn epoch(&self, _seed: u64, _epoch: u64) -> ClickEpoch {
        ClickEpoch::default()
    }
}

/// s(i, j) over all pairs of users of both items.
fn naive(log: &Log, config: &QarmConfig, i: u32, j: u32) -> f64 {
    let has = |user: usize, item: u32| log.items_of[user].contains(&item);
    let both: Vec<usize> =
        (0..log.items_of.len()).filter(|&user| has(user, i) && has(user, j)).collect();
    if config.similarity == Similarity::CoClick {
        return both.len() as f64;
    }
    let mut sum = 0.0;
    for &u in &both {
        for &v in both.iter().filter(|&&v| v < u) {
            let shared = log.items_of[u].iter().filter(|item| has(v, **item)).count() as f64;
            let weight = |user: usize| 1.0 / (log.items_of[user].len() as f64).sqrt();
            sum += weight(u) * weight(v) / (f64::from(config.swing_alpha) + shared);
        }
    }
    sum
}

#[test]
fn similarities_are_those_of_the_definition() {
    let log = Log::new(1, 40, 30);
    for similarity in [Similarity::Swing, Similarity::CoClick] {
        let config =
            QarmConfig { similarity, neighbours: 30, swing_alpha: 0.5, ..QarmConfig::default() };
        let found = Neighbours::new(&log, &config, &Cancel::default()).unwrap();
        for i in 0..30 {
            let (items, similarities) = found.of(i);
            for (&j, &similarity) in items.iter().zip(similarities) {
                let expected = naive(&log, &config, i, j);
                assert!((f64::from(similarity) - expected).abs() < 1e-6 * expected, "{i} {j}");
            }
            assert!(similarities.is_sorted_by(|a, b| a >= b));
            let expected = (0..30).filter(|&j| j != i && naive(&log, &config, i, j) > 0.0);
            let mut items = items.to_vec();
            items.sort_unstable();
            assert_eq!(items, expected.collect::<Vec<_>>(), "all similar items but itself");
        }
        let few = QarmConfig { neighbours: 3, ..config };
        let few = Neighbours::new(&log, &few, &Cancel::default()).unwrap();
        assert!((0..30).all(|i| few.of(i).0 == &found.of(i).0[..few.of(i).0.len().min(3)]));
    }
}

#[test]
fn only_so_many_users_of_an_item_count_and_those_with_few_items_first() {
    let log = Log::new(2, 60, 24);
    let capped = QarmConfig { users_per_item: 4, neighbours: 24, ..QarmConfig::default() };
    let found = Neighbours::new(&log, &capped, &Cancel::default()).unwrap();
    for i in 0..24 {
        let mut users: Vec<usize> =
            (0..60).filter(|&user| log.items_of[user].contains(&i)).collect();
        users.sort_by_key(|&user| log.items_of[user].len());
        users.truncate(4);
        let items_of = users.iter().map(|&user| log.items_of[user].clone()).collect();
        let few = Log { items_of, item_clicks: log.item_clicks.clone() };
        for (&j, &similarity) in found.of(i).0.iter().zip(found.of(i).1) {
            let expected = naive(&few, &capped, i, j);
            assert!((f64::from(similarity) - expected).abs() < 1e-6 * expected, "{i} {j}");
        }
    }
}

#[test]
fn neighbours_are_drawn_in_proportion() {
    let log = Log::new(3, 40, 30);
    let config = QarmConfig { neighbours: 4, ..QarmConfig::default() };
    let found = Neighbours::new(&log, &config, &Cancel::default()).unwrap();
    let (items, similarities) = found.of(7);
    let total: f32 = similarities.iter().sum();
    let mut counts = [0.0f32; 4];
    let mut rng = stream(4, "draws", 0);
    for _ in 0..20_000 {
        let drawn = found.draw(7, &mut rng).unwrap();
        counts[items.iter().position(|&item| item == drawn).unwrap()] += 1.0;
    }
    for (count, similarity) in counts.iter().zip(similarities) {
        assert!((count / 20_000.0 - similarity / total).abs() < 0.02);
    }
    let lonely = Log { items_of: vec![vec![0]], item_clicks: vec![1, 0] };
    let none = Neighbours::new(&lonely, &config, &Cancel::default()).unwrap();
    assert_eq!(none.draw(0, &mut rng), None);
}

#[test]
fn the_vq_code_is_the_head_of_a_full_sort() {
    let mut rng = stream(5, "vectors", 0);
    let (dim, count) = (7, 150);
    let mut vectors: Vec<f32> = (0..count * dim).map(|_| rng.random_range(-1.0..1.0)).collect();
    // Equal entries: the lower number comes first.
    let (head, tail) = vectors.split_at_mut(40 * dim);
    tail[..20 * dim].copy_from_slice(&head[..20 * dim]);
    let pool = VqPool::new((0..count as u32).map(|item| item * 2).collect(), vectors.clone());
    let queries: Vec<f32> = (0..90 * dim).map(|_| rng.random_range(-1.0..1.0)).collect();
    for k in [1, 25, 200] {
        let codes = pool.codes(&queries, k).unwrap();
        let width = k.min(count);
        assert_eq!(codes.len(), 90 * width);
        for (query, codes) in queries.chunks(dim).zip(codes.chunks(width)) {
            let score = |entry: &u32| -> f32 {
                let entry = &vectors[*entry as usize * dim..][..dim];
                entry.iter().zip(query).map(|(a, b)| a * b).sum()
            };
            let mut sorted: Vec<u32> = (0..count as u32).collect();
            sorted.sort_by(|a, b| score(b).total_cmp(&score(a)));
            for (code, expected) in codes.iter().zip(&sorted) {
                assert!((score(code) - score(expected)).abs() < 1e-5);
            }
            let twins = codes.iter().filter(|&&code| code < 20);
            for twin in twins {
                let place = |code| codes.iter().position(|&other| other == code);
                assert!(place(twin + 40).is_none_or(|later| place(*twin).unwrap() < later));
            }
        }
    }
    assert!(pool.codes(&queries[1..], 3).is_err());
}

#[test]
fn the_pool_holds_the_most_clicked_items() {
    let log = Log { items_of: vec![], item_clicks: vec![3, 0, 5, 3, 9] };
    assert_eq!(pool_items(&log, 10), [0, 2, 3, 4]);
    assert_eq!(pool_items(&log, 3), [0, 2, 4]);
}
