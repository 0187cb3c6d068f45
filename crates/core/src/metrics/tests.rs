use proptest::prelude::*;
use rand::Rng;

use super::*;
use crate::sid::{CollisionPolicy, SidLayout, SidTable, collision};
use crate::streams::stream;

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()))
}

fn table(sizes: &[u32], rows: &[Vec<u32>]) -> SidTable {
    SidTable::new(SidLayout::learned(sizes.to_vec()).unwrap(), rows.concat()).unwrap()
}

fn tables(rows: std::ops::Range<usize>) -> impl Strategy<Value = SidTable> {
    let row = (0u32..4, 0u32..3, 0u32..2).prop_map(|(a, b, c)| vec![a, b, c]);
    prop::collection::vec(row, rows).prop_map(|rows| table(&[4, 3, 2], &rows))
}

/// Different values, by comparing each with all before it.
fn distinct<T: PartialEq>(values: &[T]) -> usize {
    (0..values.len()).filter(|&i| !values[..i].contains(&values[i])).count()
}

/// Entropy as the mean surprise of each sample, its probability counted anew.
fn naive_entropy<T: PartialEq>(samples: &[T]) -> f64 {
    let surprise =
        |x: &T| -(samples.iter().filter(|y| *y == x).count() as f64 / samples.len() as f64).ln();
    samples.iter().map(surprise).sum::<f64>() / samples.len() as f64
}

/// Gini as half the relative mean absolute difference.
fn naive_gini(counts: &[f64]) -> f64 {
    let n = counts.len() as f64;
    let mean = counts.iter().sum::<f64>() / n;
    let differences: f64 =
        counts.iter().flat_map(|a| counts.iter().map(move |b| (a - b).abs())).sum();
    differences / (2.0 * n * n * mean)
}

#[test]
fn intrinsic_metrics_of_a_table_done_by_hand() {
    let learned = table(&[2, 4], &[vec![0, 0], vec![0, 0], vec![0, 1], vec![0, 3]]);
    let config = collision::SinkhornConfig::default();
    let resolved = collision::resolve(&learned, CollisionPolicy::Suffix, None, &config).unwrap();
    let found = intrinsic(&resolved.table, None).unwrap();
    assert_eq!((found.items, found.unique, found.largest_bucket), (4, 3, 2));
    assert_eq!((found.collision_rate, found.alone), (0.25, 0.5));
    assert_eq!((found.unique_resolved, found.collision_rate_resolved), (4, 0.0));
    let first = &found.levels[0];
    assert_eq!((first.used, first.dead, first.coverage), (1, 1, 0.5));
    assert_eq!((first.entropy, first.perplexity, first.gini), (0.0, 1.0, 0.5));
    // Shares 1/2, 1/4, 1/4: 1.5 bits.
    assert!(close(found.levels[1].perplexity, 2f64.powf(1.5)));
    let json = serde_json::to_value(&found).unwrap();
    for key in ["items", "unique", "collision_rate", "largest_bucket", "levels"] {
        assert!(json.get(key).is_some(), "{key}");
    }
    for key in ["codebook_size", "used", "perplexity", "gini"] {
        assert!(json["levels"][1].get(key).is_some(), "{key}");
    }
    assert!(json.get("popularity_deciles").is_none());
}

#[test]
fn lengths_and_rows_must_fit() {
    let ids = table(&[2, 4], &[vec![0, 0], vec![1, 3]]);
    assert!(intrinsic(&ids, Some(&[1])).unwrap_err().to_string().contains("1 click counts"));
    let error = prefix_agreement(&ids, &[(0, 1), (2, 0)]).unwrap_err().to_string();
    assert!(error.contains("pair (2, 0) of a table of 2 IDs"), "{error}");
    assert!(category_agreement(&ids, &[None]).is_err());
    let mut rng = stream(0, "t", 0);
    assert!(dual_information(&ids, &ids, &[(0, 2)], 1, &mut rng).is_err());
}

#[test]
fn empty_input_gives_zeros_not_nan() {
    let ids = table(&[2, 4], &[]);
    let found = intrinsic(&ids, Some(&[])).unwrap();
    assert_eq!((found.collision_rate, found.levels[0].gini), (0.0, 0.0));
    let agreement = prefix_agreement(&ids, &[]).unwrap();
    assert_eq!((agreement[0].observed, agreement[0].lift), (0.0, None));
    assert_eq!(category_agreement(&ids, &[]).unwrap()[0].purity, 0.0);
    let dual = dual_information(&ids, &ids, &[], 2, &mut stream(0, "t", 0)).unwrap();
    assert_eq!((dual.mi, dual.excess), (0.0, 0.0));
    assert_eq!(ranking_metrics(&[], &[5]).mrr, 0.0);
    assert!(top_k(&[], 3).is_empty());
}

#[test]
fn dual_information_finds_dependence_and_only_it() {
    let mut rng = stream(1, "dual", 0);
    let rows: Vec<Vec<u32>> = (0..40).map(|row| vec![row % 8]).collect();
    let ids = table(&[8], &rows);
    let mut user = || rng.random_range(0..40u32);
    let bound: Vec<(u32, u32)> = (0..4000).map(|_| user()).map(|u| (u, (u + 8) % 40)).collect();
    let free: Vec<(u32, u32)> = (0..4000).map(|_| (user(), user())).collect();
    let dual = |clicks: &[(u32, u32)]| {
        dual_information(&ids, &ids, clicks, 5, &mut stream(2, "shuffle", 0)).unwrap()
    };
    let found = dual(&bound);
    assert!((found.mi - 8f64.ln()).abs() < 0.01 && found.excess > 2.0, "{found:?}");
    let found = dual(&free);
    assert!(found.excess.abs() < 0.01 && found.mi_shuffled > 0.0, "{found:?}");
    assert_eq!(dual(&free), found);
}

#[test]
fn ranking_metrics_of_known_ranks() {
    let first = TiedRank { above: 0, tied: 0 };
    let third = TiedRank { above: 2, tied: 0 };
    let found = ranking_metrics(&[first, third], &[1, 5]);
    assert_eq!((found.queries, found.at[0].recall, found.at[0].ndcg), (2, 0.5, 0.5));
    assert_eq!((found.at[1].recall, found.at[1].ndcg), (1.0, 0.75));
    assert!(close(found.mrr, (1.0 + 1.0 / 3.0) / 2.0));
}

#[test]
fn nan_and_negative_zero_gain_nothing() {
    let scores = [0.0, f32::NAN, -0.0, f32::NEG_INFINITY];
    assert_eq!(TiedRank::of(&scores, 1), TiedRank { above: 2, tied: 1 });
    assert_eq!(TiedRank::of(&scores, 0), TiedRank { above: 0, tied: 1 });
    assert_eq!(top_k(&scores, 4), [0, 2, 1, 3]);
}

proptest! {
    #[test]
    fn intrinsic_agrees_with_pairwise_counting(ids in tables(1..40), seed in any::<u64>()) {
        let mut rng = stream(seed, "clicks", 0);
        let clicks: Vec<u32> = (0..ids.len()).map(|_| rng.random_range(0..5)).collect();
        let found = intrinsic(&ids, Some(&clicks)).unwrap();
        let rows: Vec<&[u32]> = ids.rows().collect();
        let shared = |row: &&[u32]| rows.iter().filter(|other| *other == row).count();
        let n = rows.len() as f64;
        prop_assert_eq!(found.unique, distinct(&rows));
        prop_assert!(close(found.collision_rate, (n - found.unique as f64) / n));
        prop_assert_eq!(found.largest_bucket, rows.iter().map(shared).max().unwrap());
        let alone = rows.iter().filter(|row| shared(row) == 1).count();
        prop_assert!(close(found.alone, alone as f64 / n));
        for (level, metrics) in found.levels.iter().enumerate() {
            let codes: Vec<u32> = rows.iter().map(|row| row[level]).collect();
            let counts: Vec<f64> = (0..metrics.codebook_size as u32)
                .map(|code| codes.iter().filter(|c| **c == code).count() as f64)
                .collect();
            prop_assert_eq!(metrics.used, distinct(&codes));
            prop_assert!(close(metrics.entropy, naive_entropy(&codes)));
            prop_assert!(close(metrics.perplexity, naive_entropy(&codes).exp()));
            prop_assert!(close(metrics.gini, naive_gini(&counts)));
        }
        let deciles = found.popularity_deciles.unwrap();
        prop_assert_eq!(deciles.iter().map(|d| d.items).sum::<usize>(), rows.len());
        let total: u64 = clicks.iter().map(|&c| u64::from(c)).sum();
        prop_assert_eq!(deciles.iter().map(|d| d.clicks).sum::<u64>(), total);
        let found_alone: f64 = deciles.iter().map(|d| d.alone * d.items as f64).sum();
        prop_assert!(close(found_alone, alone as f64));
        let mean = |d: &DecileMetrics| d.clicks as f64 / d.items as f64;
        let filled: Vec<_> = deciles.iter().filter(|d| d.items > 0).collect();
        prop_assert!(filled.windows(2).all(|d| mean(d[0]) <= mean(d[1]) && d[0].items.abs_diff(d[1].items) <= 1));
    }

    #[test]
    fn agreement_agrees_with_all_pairs_of_ends(
        ids in tables(5..20),
        pairs in prop::collection::vec((0u32..5, 0u32..5), 1..30),
    ) {
        for found in prefix_agreement(&ids, &pairs).unwrap() {
            let same = |a: u32, b: u32| {
                ids.prefix(a as usize, found.prefix) == ids.prefix(b as usize, found.prefix)
            };
            let agreeing = pairs.iter().filter(|(a, b)| same(*a, *b)).count();
            let chance = pairs
                .iter()
                .flat_map(|(a, _)| pairs.iter().map(move |(_, b)| (*a, *b)))
                .filter(|(a, b)| same(*a, *b))
                .count();
            let n = pairs.len() as f64;
            prop_assert_eq!((found.pairs, found.agreeing), (pairs.len(), agreeing));
            prop_assert!(close(found.observed, agreeing as f64 / n));
            prop_assert!(close(found.expected, chance as f64 / (n * n)));
            prop_assert_eq!(found.lift.is_some(), chance > 0);
            if let Some(lift) = found.lift {
                prop_assert!(close(lift, found.observed / found.expected));
            }
        }
    }

    #[test]
    fn category_agreement_agrees_with_the_definition(
        ids in tables(12..13),
        categories in prop::collection::vec(prop::option::of(5u32..9), 12),
    ) {
        let known: Vec<usize> = (0..12).filter(|&row| categories[row].is_some()).collect();
        for found in category_agreement(&ids, &categories).unwrap() {
            let prefix = |row: usize| ids.prefix(row, found.prefix);
            let prefixes: Vec<_> = known.iter().map(|&row| prefix(row)).collect();
            let labels: Vec<_> = known.iter().map(|&row| categories[row]).collect();
            prop_assert_eq!((found.items, found.prefixes), (known.len(), distinct(&prefixes)));
            if known.is_empty() { continue; }
            // Σ p(x, y) ln p(x, y)/(p(x) p(y)), a term a sample.
            let n = known.len() as f64;
            let share = |f: &dyn Fn(usize) -> bool| known.iter().filter(|r| f(**r)).count() as f64 / n;
            let mi: f64 = known.iter().map(|&row| {
                let (same_prefix, same_label) =
                    (|r: usize| prefix(r) == prefix(row), |r: usize| categories[r] == categories[row]);
                let joint = share(&|r| same_prefix(r) && same_label(r));
                (joint / (share(&same_prefix) * share(&same_label))).ln() / n
            }).sum();
            prop_assert!((found.mutual_information - mi).abs() < 1e-9);
            let mean = (naive_entropy(&prefixes) + naive_entropy(&labels)) / 2.0;
            let normalized = if mean > 1e-12 { mi / mean } else { 0.0 };
            prop_assert!((found.normalized - normalized).abs() < 1e-9);
            let majority: f64 = known.iter().map(|&row| {
                let group: Vec<_> = known.iter().filter(|r| prefix(**r) == prefix(row)).collect();
                let most = group.iter().map(|a| group.iter().filter(|b| categories[***b] == categories[**a]).count()).max();
                most.unwrap() as f64 / group.len() as f64
            }).sum();
            prop_assert!(close(found.purity, majority / n));
        }
    }

    #[test]
    fn tied_ranks_are_means_over_all_orders(
        scores in prop::collection::vec(0u8..4, 1..12),
        pick in any::<prop::sample::Index>(),
        k in 1usize..14,
    ) {
        let scores: Vec<f32> = scores.into_iter().map(f32::from).collect();
        let target = pick.index(scores.len());
        let rank = TiedRank::of(&scores, target);
        let above = scores.iter().filter(|s| **s > scores[target]).count();
        let same = scores.iter().filter(|s| **s == scores[target]).count();
        let (mut recall, mut ndcg, mut mrr) = (0.0, 0.0, 0.0);
        for place in above..above + same {
            let hit = f64::from(u8::from(place < k));
            recall += hit / same as f64;
            ndcg += hit / (2.0 + place as f64).log2() / same as f64;
            mrr += 1.0 / (place + 1) as f64 / same as f64;
        }
        prop_assert!(close(rank.recall_at(k), recall));
        prop_assert!(close(rank.ndcg_at(k), ndcg));
        prop_assert!(close(rank.reciprocal(), mrr));
    }

    #[test]
    fn top_k_is_the_head_of_a_stable_sort(
        scores in prop::collection::vec(-3i8..3, 0..40),
        k in 0usize..45,
    ) {
        let scores: Vec<f32> = scores.into_iter().map(f32::from).collect();
        let mut order: Vec<u32> = (0..scores.len() as u32).collect();
        order.sort_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]));
        order.truncate(k);
        prop_assert_eq!(top_k(&scores, k), order);
    }
}
