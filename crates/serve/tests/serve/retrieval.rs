//! What is retrieved is what the retriever itself finds, whatever the order of ids.

use das_core::EntityIds;
use das_recommend::RetrieverConfig;
use das_recommend::fit::FitConfig;
use das_recommend::generative::Seen;
use das_serve::ids::Id;
use das_serve::service::{Retrieve, RetrieveRequest};

use crate::common::{Fixture, Running};

/// In the order of the catalogue, which is not that of the index.
const IDS: [i64; 6] = [40, -2, 7, 9, 1000, 8];

fn fixture() -> Fixture {
    let config = RetrieverConfig {
        history: 2,
        dim: 8,
        layers: 1,
        heads: 2,
        hidden: 16,
        depth_layers: 1,
        depth_hidden: 16,
        fit: FitConfig { epochs: 2, batch_size: 2, ..RetrieverConfig::default().fit },
        ..RetrieverConfig::default()
    };
    Fixture {
        ids: EntityIds::Int(IDS.to_vec()),
        codes: vec![[0, 0], [0, 1], [0, 0], [3, 2], [1, 1], [2, 0]],
        retriever: Some(config),
        ..Fixture::default()
    }
}

/// Ids and probabilities in the order of the answer.
fn retrieve(running: &Running, request: RetrieveRequest) -> Vec<Vec<(Id, f32)>> {
    let answer = running.call::<Retrieve>(request).unwrap();
    let item = |item: das_serve::service::RetrievedItem| (item.id, item.log_probability);
    answer.results.into_iter().map(|items| items.into_iter().map(item).collect()).collect()
}

fn ids(history: &[i64]) -> Vec<Id> {
    history.iter().map(|&id| Id::Int(id)).collect()
}

#[test]
fn items_come_as_the_retriever_ranks_them() {
    let fixture = fixture();
    let (running, model) = (Running::of(&fixture), fixture.train());
    let histories: [&[i64]; 3] = [&[40], &[9, 1000, 8], &[7, 7]];
    for (exclude_seen, seen) in [(false, Seen::Included), (true, Seen::Excluded)] {
        let request = RetrieveRequest {
            histories: histories.map(ids).to_vec(),
            k: Some(6),
            exclude_seen,
            user: None,
        };
        let found = retrieve(&running, request);
        for (history, found) in histories.iter().zip(found) {
            let row = |id: &i64| IDS.iter().position(|known| known == id).unwrap() as u32;
            let rows: Vec<u32> = history.iter().map(row).collect();
            // Every ID of the catalogue, without a beam.
            let expected = model.exact(&[&rows], 6, seen).unwrap().remove(0);
            let mut expected: Vec<(Id, f32)> = expected
                .into_iter()
                .flat_map(|sid| {
                    let p = sid.item_log_probability;
                    sid.items.into_iter().map(move |item| (Id::Int(IDS[item as usize]), p))
                })
                .collect();
            expected.sort_by(|a, b| b.1.total_cmp(&a.1));
            assert_eq!(found.len(), expected.len());
            for ((id, p), (expected_id, expected_p)) in found.iter().zip(&expected) {
                assert_eq!(id, expected_id, "{history:?}");
                assert!((p - expected_p).abs() < 1e-5, "{p} {expected_p}");
            }
            // Also what is older than the retriever looks back.
            assert!(!exclude_seen || !found.iter().any(|(id, _)| ids(history).contains(id)));
        }
    }
}

#[test]
fn unknown_items_of_a_history_are_passed_over_and_named() {
    let running = Running::of(&fixture());
    let ask = |histories: Vec<Vec<Id>>| {
        running.call::<Retrieve>(RetrieveRequest { histories, k: Some(2), ..Default::default() })
    };
    let answer = ask(vec![ids(&[5, 40, 6]), ids(&[40])]).unwrap();
    assert_eq!(answer.unknown, [ids(&[5, 6]), vec![]]);
    assert_eq!(answer.results[0], answer.results[1]);
    assert_eq!(answer.results[0].len(), 2);
    let refused = ask(vec![ids(&[5])]).unwrap_err();
    assert!(refused.message.contains("without a known item"), "{refused}");
    assert!(ask(vec![vec![]]).is_err());
}
