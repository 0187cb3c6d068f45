use std::collections::BTreeMap;

use das_core::metrics::TiedRank;
use das_core::progress::{Cancel, Silent};
use das_core::sid::{SidLayout, SidTable};
use das_nn::Device;
use das_recommend::generative::{Seen, TargetRanks, target_ranks};
use das_recommend::{Query, Recommender, Retrieved, Retriever, RetrieverConfig, Sequences};

use super::common::*;
use super::naive::{Weights, add, dot, softmax};

/// ln p of every ID for one history, spelled out: one history, one ID and one digit at a time.
pub(crate) fn naive_scores(
    weights: &Weights,
    config: &RetrieverConfig,
    sids: &SidTable,
    history: &[u32],
) -> BTreeMap<Vec<u32>, f64> {
    let (offsets, vocabulary) = (sids.layout().offsets(), sids.layout().vocabulary_size());
    let (inputs, positions) = (weights.get("inputs"), weights.get("positions"));
    let newest = &history[history.len().saturating_sub(config.history)..];
    let mut x = Vec::new();
    if newest.len() == history.len() {
        let start = inputs[vocabulary as usize].iter().map(|v| v * offsets.len() as f64);
        x.push(add(&start.collect::<Vec<_>>(), &positions[0]));
    }
    for (at, &item) in newest.iter().enumerate() {
        let mut row = positions[at + 1].clone();
        for (code, offset) in sids.row(item as usize).iter().zip(&offsets) {
            row = add(&row, &inputs[(code + offset) as usize]);
        }
        x.push(row);
    }
    let state = weights.transformer(x, config.layers, config.heads);
    let context = weights.linear("bridge", &state);
    let prefixes = weights.get("prefixes");
    let score = |codes: &[u32]| -> f64 {
        let mut sum = 0.0;
        for digit in 0..codes.len() {
            let mut state = add(&context, &prefixes[vocabulary as usize + digit]);
            for before in 0..digit {
                state = add(&state, &prefixes[(codes[before] + offsets[before]) as usize]);
            }
            for layer in 0..config.depth_layers {
                state = weights.feed_forward(&format!("depth.{layer}"), &state);
            }
            let state = weights.norm("depth.norm", &state);
            let mut logits: Vec<f64> =
                weights.get(&format!("outputs.{digit}")).iter().map(|o| dot(o, &state)).collect();
            for (code, logit) in logits.iter_mut().enumerate() {
                let continued = [&codes[..digit], &[code as u32]].concat();
                if config.renormalise && !sids.rows().any(|row| row.starts_with(&continued)) {
                    *logit = f64::NEG_INFINITY;
                }
            }
            sum += softmax(&logits)[codes[digit] as usize].ln();
        }
        sum
    };
    sids.rows().map(|codes| (codes.to_vec(), score(codes))).collect()
}

/// A model of a few steps over a catalogue with collisions, and histories of every length.
pub(crate) fn small(renormalise: bool) -> (Retriever, SidTable, Vec<Vec<u32>>) {
    let sids = random_sids(ITEMS, &[4, 3, 3], 3);
    let config = RetrieverConfig { depth_layers: 2, renormalise, ..retriever_config() };
    let (model, _) = train_retriever(&sids, &chain(60, 1), &[], &config);
    assert!(model.trie().num_leaves() < ITEMS, "some items collide");
    let histories = (0..10).map(|len| (0..len).map(|at| (7 * at + len) % 24).collect()).collect();
    (model, sids, histories)
}

pub(crate) fn borrowed(histories: &[Vec<u32>]) -> Vec<&[u32]> {
    histories.iter().map(|history| &history[..]).collect()
}

#[test]
fn scores_equal_a_naive_network() {
    for renormalise in [false, true] {
        let (model, sids, histories) = small(renormalise);
        let weights = Weights::of(&model.to_bytes().unwrap());
        let naive = |history| naive_scores(&weights, model.config(), &sids, history).into_values();
        let expected: Vec<f64> = histories.iter().flat_map(|history| naive(history)).collect();
        assert_close(&model.score_catalogue(&borrowed(&histories)).unwrap(), &expected, 1e-4);
    }
}

#[test]
fn probabilities_of_a_catalogue_add_up_to_1() {
    let sum_to_1 = |model: Retriever| {
        let scores = model.score_catalogue(&[&[], &[1, 2, 3]]).unwrap();
        for of_history in scores.chunks_exact(model.trie().num_leaves()) {
            let sum: f64 = of_history.iter().map(|&score| f64::from(score).exp()).sum();
            assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        }
    };
    sum_to_1(small(true).0);
    // Without being shared anew they do so if every ID exists.
    let config = RetrieverConfig { renormalise: false, ..retriever_config() };
    sum_to_1(train_retriever(&all_sids(&[4, 2, 3]), &chain(60, 1), &[], &config).0);
}

/// The `k` best IDs and the IDs of the `k` best items, from scores of all leaves.
fn naive_best(model: &Retriever, scores: &[f32], k: usize, excluded: &[u32]) -> Vec<u32> {
    let mut ids = Vec::new();
    let mut items = Vec::new();
    for (leaf, &score) in scores.iter().enumerate() {
        let rows = model.trie().rows(leaf as u32);
        let left: Vec<u32> = rows.iter().copied().filter(|row| !excluded.contains(row)).collect();
        let of_item = score - (rows.len() as f32).ln();
        items.extend(left.iter().map(|_| (of_item, leaf as u32)));
        if !left.is_empty() {
            ids.push((score, leaf as u32));
        }
    }
    for list in [&mut ids, &mut items] {
        list.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        list.truncate(k);
    }
    let mut leaves: Vec<u32> = ids.into_iter().chain(items).map(|(_, leaf)| leaf).collect();
    leaves.sort_unstable();
    leaves.dedup();
    leaves
}

fn check_found(found: &[Retrieved], scores: &[f32], expected: &[u32]) {
    let mut leaves: Vec<u32> = found.iter().map(|one| one.sid_leaf).collect();
    for one in found {
        let expected = f64::from(scores[one.sid_leaf as usize]);
        assert_close(&[one.log_probability], &[expected], 1e-5);
    }
    let falling =
        found.windows(2).all(|two| two[0].item_log_probability >= two[1].item_log_probability);
    assert!(falling, "best items first");
    leaves.sort_unstable();
    assert_eq!(leaves, expected);
}

#[test]
fn a_full_beam_and_exact_search_find_what_scoring_everything_finds() {
    for renormalise in [false, true] {
        let (model, _, histories) = small(renormalise);
        let histories = borrowed(&histories);
        let leaves = model.trie().num_leaves();
        let scores = model.score_catalogue(&histories).unwrap();
        for (k, seen) in [1, 2, 5, ITEMS, 100]
            .into_iter()
            .flat_map(|k| [(k, Seen::Included), (k, Seen::Excluded)])
        {
            let beam = model.beam_search(&histories, leaves.max(k), k, seen).unwrap();
            let exact = model.exact(&histories, k, seen).unwrap();
            for (at, scores) in scores.chunks_exact(leaves).enumerate() {
                let excluded = if seen == Seen::Excluded { histories[at] } else { &[] };
                let expected = naive_best(&model, scores, k, excluded);
                check_found(&beam[at], scores, &expected);
                check_found(&exact[at], scores, &expected);
            }
        }
    }
}

#[test]
fn exact_search_does_not_depend_on_the_beam_that_begins_it() {
    let sids = random_sids(ITEMS, &[4, 3, 3], 3);
    let leaves = |beam: usize| {
        let config = RetrieverConfig { beam, ..retriever_config() };
        let (model, _) = train_retriever(&sids, &chain(60, 1), &[], &config);
        let found = model.exact(&[&[], &[3, 4]], 3, Seen::Included).unwrap();
        found.into_iter().flatten().map(|one| one.sid_leaf).collect::<Vec<_>>()
    };
    assert_eq!(leaves(1), leaves(24));
}

#[test]
fn items_of_one_id_share_its_probability_and_tie() {
    let one = |leaf, items: &[u32], p: f32| Retrieved {
        sid_leaf: leaf,
        items: items.to_vec(),
        log_probability: p.ln(),
        item_log_probability: p.ln() - (items.len() as f32).ln(),
    };
    let found = [one(0, &[4], 0.2), one(3, &[1, 2, 7], 0.3), one(1, &[5], 0.05)];
    let ranks = |item, above, tied, sid| {
        let (item, sid) = (TiedRank { above: item, tied }, TiedRank { above: sid, tied: 0 });
        assert_eq!(above, item.above);
        Some(TargetRanks { item, sid })
    };
    assert_eq!(target_ranks(&found, 2), ranks(1, 1, 2, 0));
    assert_eq!(target_ranks(&found, 4), ranks(0, 0, 0, 1));
    assert_eq!(target_ranks(&found, 5), ranks(4, 4, 0, 2));
    assert_eq!(target_ranks(&found, 0), None);
    assert_eq!(target_ranks(&[], 0), None);
}

#[test]
fn item_scores_of_the_catalogue_add_up_to_those_of_ids() {
    let (model, _, histories) = small(true);
    let histories = borrowed(&histories);
    let (items, ids) =
        (model.scores(&histories).unwrap(), model.score_catalogue(&histories).unwrap());
    for (items, ids) in items.chunks_exact(ITEMS).zip(ids.chunks_exact(model.trie().num_leaves())) {
        for (leaf, &id) in ids.iter().enumerate() {
            let rows = model.trie().rows(leaf as u32);
            let sum: f64 = rows.iter().map(|&row| f64::from(items[row as usize]).exp()).sum();
            assert!((sum.ln() - f64::from(id)).abs() < 1e-5);
        }
    }
}

#[test]
fn a_planted_chain_is_learned_to_near_its_entropy() {
    let sids = all_sids(&[4, 2, 3]);
    let (train, fresh) = (chain(1500, 1), last_out(&chain(400, 2)));
    let mut config = RetrieverConfig { dropout: 0.0, ..retriever_config() };
    config.fit.epochs = 12;
    let (model, report) = train_retriever(&sids, &train, &fresh, &config);
    let found = cross_entropy(&model.scores(&histories(&fresh)).unwrap(), &fresh);
    assert!(found < entropy() + 0.12, "cross entropy {found}, entropy {}", entropy());
    assert!(report.best_validation.unwrap() > 0.8);
}

#[test]
fn a_catalogue_of_one_item_works() {
    let sids = random_sids(1, &[2, 2], 1);
    let train = Sequences::new(vec![0, 3], vec![0, 0, 0]).unwrap();
    let query = [Query { history: vec![0], target: 0 }];
    let (model, report) = train_retriever(&sids, &train, &query, &retriever_config());
    assert_eq!(report.best_validation, Some(1.0));
    let found = model.exact(&[&[]], 10, Seen::Included).unwrap();
    assert_eq!((found[0].len(), &found[0][0].items), (1, &vec![0]));
    assert!(model.exact(&[&[0]], 10, Seen::Excluded).unwrap()[0].is_empty());
    assert!(model.exact(&[], 10, Seen::Included).unwrap().is_empty());
}

#[test]
fn inputs_that_cannot_work_are_refused() {
    let sids = random_sids(ITEMS, &[4, 4], 1);
    let (device, cancel, config) = (Device::cpu(), Cancel::default(), retriever_config());
    let train = |sequences: &Sequences, config: &RetrieverConfig| {
        Retriever::train(&device, &sids, sequences, &[], config, 1, None, &Silent, &cancel)
            .unwrap_err()
            .to_string()
    };
    let outside = Sequences::new(vec![0, 2], vec![0, 24]).unwrap();
    assert!(
        train(&outside, &config).contains("sequence of user 0: item 24, expected less than 24")
    );
    let beam = RetrieverConfig { beam: 0, ..config.clone() };
    assert!(train(&chain(4, 1), &beam).contains("`retriever.beam`: expected at least 1, found 0"));
    let (model, _) = train_retriever(&sids, &chain(40, 1), &[], &config);
    let error = model.beam_search(&[&[0]], 5, 10, Seen::Included).unwrap_err().to_string();
    assert!(error.contains("beam width 5, expected at least the 10"), "{error}");
    let error = model.exact(&[&[0], &[99]], 5, Seen::Included).unwrap_err().to_string();
    assert!(error.contains("history 1: item 99, expected less than 24"), "{error}");
}

/// Where only one ID exists nothing is left to learn, and it is found for sure.
#[test]
fn a_catalogue_of_one_id_trains() {
    let layout = SidLayout::learned(vec![3, 2]).unwrap();
    let sids = SidTable::new(layout, [1, 0].repeat(ITEMS)).unwrap();
    let (model, report) =
        train_retriever(&sids, &chain(30, 1), &last_out(&chain(10, 2)), &retriever_config());
    assert!(report.curve.iter().all(|point| point.loss == 0.0), "{report:?}");
    let found = model.exact(&[&[0, 1]], 1, Seen::Included).unwrap();
    let [one] = &found[0][..] else { panic!("one ID") };
    assert_eq!((one.sid_leaf, one.items.len(), one.log_probability), (0, ITEMS, 0.0));
}
