//! The generated market shows what its model says.

use std::collections::{HashMap, HashSet};

use das_data::synthetic::{Market, MarketConfig};
use das_data::texts::item_texts;
use das_data::{DataSet, Split, SplitKind};

use crate::common::*;

fn small() -> MarketConfig {
    MarketConfig { users: 1200, items: 800, ..MarketConfig::default() }
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let covariance = |x: &[f64], y: &[f64], mx: f64, my: f64| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum()
    };
    covariance(a, b, mean_a, mean_b)
        / (covariance(a, a, mean_a, mean_a) * covariance(b, b, mean_b, mean_b)).sqrt()
}

fn share_of_top_tenth(counts: &[u32]) -> f64 {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    let top: u32 = sorted[..counts.len() / 10].iter().sum();
    f64::from(top) / f64::from(counts.iter().sum::<u32>())
}

#[test]
fn a_seed_gives_one_market() {
    let config = MarketConfig { users: 60, items: 400, ..MarketConfig::default() };
    let market = |seed| Market::generate(&config, seed).unwrap();
    let (first, again, other) = (market(1), market(1), market(2));
    assert_eq!(first.log, again.log);
    assert_eq!(first.items, again.items);
    assert_eq!(first.users, again.users);
    assert_eq!(first.truth, again.truth);
    assert_ne!(first.log, other.log);
}

#[test]
fn the_default_market_has_the_size_it_promises() {
    let market = Market::generate(&MarketConfig::default(), 7).unwrap();
    let clicks = market.truth.item_clicks.iter().sum::<u32>() as f64;
    let per_user = clicks / 4000.0;
    eprintln!(
        "clicks a user: {per_user:.1}, rows: {}, top tenth of exposures {:.2}, of clicks {:.2}",
        market.log.users.len(),
        share_of_top_tenth(&market.truth.item_exposures),
        share_of_top_tenth(&market.truth.item_clicks),
    );
    assert!((20.0..45.0).contains(&per_user), "{per_user} clicks a user");
    assert!(market.log.order.is_sorted());
}

#[test]
fn clicks_follow_interest_appeal_and_conformity() {
    let market = Market::generate(&small(), 3).unwrap();
    let truth = &market.truth;
    let labels = market.log.labels.as_ref().unwrap();
    let (mut rates, mut interest) = (vec![], vec![]);
    // Per user: the mean popularity of what it clicked less that of what it saw.
    let mut follows = vec![(0.0, 0.0, 0.0, 0.0); truth.user_conformity.len()];
    for ((&user, &item), &label) in market.log.users.iter().zip(&market.log.items).zip(labels) {
        let (user, item) = (user as usize, item as usize);
        rates.push(f64::from(u8::from(label)));
        let theta = truth.interest_of(user);
        let peak = theta.iter().copied().fold(0.0, f32::max);
        interest.push(f64::from(theta[truth.item_subtopic[item] as usize] / peak));
        let popularity = f64::from(1 + truth.item_clicks[item]).ln();
        let entry = &mut follows[user];
        (entry.0, entry.1) = (entry.0 + popularity, entry.1 + 1.0);
        if label {
            (entry.2, entry.3) = (entry.2 + popularity, entry.3 + 1.0);
        }
    }
    assert!(correlation(&rates, &interest) > 0.4, "{}", correlation(&rates, &interest));
    let (conformity, lean): (Vec<f64>, Vec<f64>) = follows
        .iter()
        .zip(&truth.user_conformity)
        .filter(|(f, _)| f.3 >= 5.0)
        .map(|(f, &kappa)| (f64::from(kappa), f.2 / f.3 - f.0 / f.1))
        .unzip();
    assert!(correlation(&conformity, &lean) > 0.3, "{}", correlation(&conformity, &lean));
    let appeal: Vec<f64> = truth.item_appeal.iter().map(|&a| f64::from(a)).collect();
    let bias: Vec<f64> = truth.item_exposure_bias.iter().map(|&b| f64::from(b)).collect();
    let shared = correlation(&appeal, &bias);
    assert!((0.1..0.9).contains(&shared), "exposure follows appeal in part: {shared}");
    let share = share_of_top_tenth(&truth.item_exposures);
    assert!(share > 0.2, "the top tenth of the items has {share} of the exposures");
}

#[test]
fn unbiased_rounds_show_all_items_alike_and_change_nothing_before() {
    let config = MarketConfig { rounds: 6, ..small() };
    let biased = Market::generate(&config, 4).unwrap();
    let market = Market::generate(&MarketConfig { unbiased_rounds: 2, ..config }, 4).unwrap();
    let start = 1_700_000_000 + 4 * 86_400;
    let of_rounds = |market: &Market, last: bool| -> Vec<u32> {
        let rows = market.log.order.iter().zip(&market.log.items);
        rows.filter(|(time, _)| (**time >= start) == last).map(|(_, &item)| item).collect()
    };
    assert_eq!(of_rounds(&market, false), of_rounds(&biased, false));
    let top_tenth = |market: &Market| {
        let mut shown = vec![0; 800];
        of_rounds(market, true).iter().for_each(|&item| shown[item as usize] += 1);
        share_of_top_tenth(&shown)
    };
    // What was shown often before is left out of later rounds, so the share is near a tenth only.
    let (even, bent) = (top_tenth(&market), top_tenth(&biased));
    assert!(even < 0.15 && bent > 0.2, "{even} and {bent}");
}

#[test]
fn text_tells_topics_and_behaviour_tells_sub_topics() {
    let market = Market::generate(&small(), 5).unwrap();
    let truth = &market.truth;
    let words: Vec<HashSet<String>> = item_texts(&market.items, None)
        .unwrap()
        .iter()
        .map(|text| text.replace('.', "").split(' ').map(String::from).collect())
        .collect();
    let by_text = |a: usize, b: usize| words[a].intersection(&words[b]).count() as f64;

    let labels = market.log.labels.as_ref().unwrap();
    let mut clicked_by: Vec<HashSet<u32>> = vec![HashSet::new(); words.len()];
    for ((&user, &item), &label) in market.log.users.iter().zip(&market.log.items).zip(labels) {
        if label {
            clicked_by[item as usize].insert(user);
        }
    }
    let by_clicks = |a: usize, b: usize| {
        let norm = (clicked_by[a].len() * clicked_by[b].len()).max(1) as f64;
        clicked_by[a].intersection(&clicked_by[b]).count() as f64 / norm.sqrt()
    };

    // Mean likeness of pairs: of other topics, of one topic, of one sub-topic.
    let likeness = |alike: &dyn Fn(usize, usize) -> f64| {
        let mut sums: HashMap<&str, (f64, f64)> = HashMap::new();
        for a in 0..words.len() {
            for b in 0..a {
                let kind = if truth.item_topic[a] != truth.item_topic[b] {
                    "other"
                } else if truth.item_subtopic[a] != truth.item_subtopic[b] {
                    "topic"
                } else {
                    "sub-topic"
                };
                let sum = sums.entry(kind).or_default();
                *sum = (sum.0 + alike(a, b), sum.1 + 1.0);
            }
        }
        ["other", "topic", "sub-topic"].map(|kind| sums[kind].0 / sums[kind].1)
    };
    let [other, topic, subtopic] = likeness(&by_text);
    assert!(topic > 1.5 * other, "text: {topic} in a topic, {other} across");
    assert!(
        (1.0..1.3).contains(&(subtopic / topic)),
        "text only hints: {subtopic} in a sub-topic, {topic} in a topic"
    );
    let [other, topic, subtopic] = likeness(&by_clicks);
    assert!(topic > 1.2 * other, "clicks: {topic} in a topic, {other} across");
    assert!(subtopic > 1.5 * topic, "clicks: {subtopic} in a sub-topic, {topic} in a topic");
}

#[test]
fn a_written_market_opens_as_a_data_set() {
    let config = MarketConfig { users: 50, items: 300, ..MarketConfig::default() };
    let market = Market::generate(&config, 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("market");
    market.write(&out).unwrap();
    assert_only(
        &out,
        &[
            "interactions.parquet",
            "item_truth.parquet",
            "items.parquet",
            "user_truth.parquet",
            "users.parquet",
        ],
    );
    let data = DataSet::open(&out).unwrap();
    assert_eq!(data.interactions().users(), market.log.users);
    assert_eq!(data.interactions().order(), market.log.order);
    assert_eq!(data.items().columns(), market.items.columns());
    assert_eq!(data.users().columns(), market.users.columns());
    for kind in SplitKind::ALL {
        Split::new(&data, kind).unwrap();
    }
    assert!(market.write(&out).unwrap_err().to_string().contains("not empty"));
}

#[test]
fn sizes_that_cannot_work_are_refused() {
    let message = |config: MarketConfig| Market::generate(&config, 1).unwrap_err().to_string();
    let base = MarketConfig::default;
    assert_says(&message(MarketConfig { users: 0, ..base() }), &["market users: 0"]);
    assert_says(&message(MarketConfig { topics: 41, ..base() }), &["41", "8 super-topics"]);
    assert_says(&message(MarketConfig { slots: 900, ..base() }), &["9000 exposures", "3000 items"]);
    assert_says(
        &message(MarketConfig { unbiased_rounds: 10, ..base() }),
        &["market unbiased_rounds: 10", "less than the 10 rounds"],
    );
    assert_says(
        &message(MarketConfig { popularity_share: 0.9, ..base() }),
        &["0.9, 0.45", "parts of 1"],
    );
}
