//! Retrieval by what needs no luck: popularity, whose ranks can be counted.

use das_core::progress::{Cancel, Silent};
use das_data::SplitKind;
use das_eval::inputs::SequenceInputs;
use das_eval::presets::Preset;
use das_eval::tasks::{Candidate, Context, generative};
use das_nn::Device;

use crate::common::*;

#[test]
fn popularity_is_ranked_by_counts_with_ties_by_expectation() {
    let rows: Vec<Row> = (0..240u32)
        .map(|at| Row(at % 24, (at * at) % 31 % 17, NEW_YEAR + i64::from(at), true))
        .collect();
    let (_folder, data) = data_set(24, 17, &rows, false);
    let (split, clicks) = split_and_clicks(&data, SplitKind::LeaveLastOut);
    let inputs = SequenceInputs::new(&data, &split, &clicks).unwrap();
    let device = Device::cpu();
    let context = Context {
        device: &device,
        seed: 0,
        store: None,
        progress: &Silent,
        cancel: &Cancel::default(),
    };
    let budget = Preset::Quick.budget();
    let found = generative(&inputs, Candidate::Popularity, &budget, context).unwrap();

    let counts = &inputs.item_clicks;
    let (mut recall, mut mrr) = (0.0, 0.0);
    for query in &inputs.test.queries {
        let own = counts[query.target as usize];
        let above = counts.iter().filter(|&&count| count > own).count();
        let tied = counts.iter().filter(|&&count| count == own).count();
        for place in above..above + tied {
            recall += f64::from(u8::from(place < 5)) / tied as f64;
            mrr += 1.0 / (place + 1) as f64 / tied as f64;
        }
    }
    let queries = inputs.test.len() as f64;
    assert!((found.metrics["recall@5"] - recall / queries).abs() < 1e-12);
    assert!((found.metrics["mrr"] - mrr / queries).abs() < 1e-12);
    assert!(!found.metrics.contains_key("sid_recall@10"));
    // Users and deciles partition the queries.
    let mean = found.per_user.columns["recall@10"].iter().sum::<f64>() / queries;
    assert!((found.metrics["recall@10"] - mean).abs() < 1e-12);
    let by_decile: f64 =
        found.deciles.iter().map(|d| d.queries as f64 * d.metrics["recall@10"]).sum();
    assert!((found.metrics["recall@10"] - by_decile / queries).abs() < 1e-12);
}
