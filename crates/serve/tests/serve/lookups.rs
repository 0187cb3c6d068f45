//! Lookup, encode, items and neighbours, against what the fixture says.

use das_core::EntityIds;
use das_core::sid::CollisionPolicy;
use das_serve::error::Kind;
use das_serve::ids::Id;
use das_serve::service::*;
use das_serve::vectors::Vectors;

use crate::common::{Fixture, Running, content};

#[test]
fn known_ids_have_their_codes_and_unknown_ones_say_so_each_for_itself() {
    let running = Running::of(&Fixture::default());
    let ids = vec![Id::Int(12), "11".into(), Id::Int(99), "x".into(), Id::Int(10)];
    let answer =
        running.call::<Lookup>(LookupRequest { ids: ids.clone(), ..Default::default() }).unwrap();
    let codes: Vec<Option<Vec<u32>>> = answer.results.iter().map(|row| row.codes.clone()).collect();
    let expected = [Some(vec![0, 0, 1]), Some(vec![0, 1, 0]), None, None, Some(vec![0, 0, 0])];
    assert_eq!(codes, expected);
    assert_eq!(answer.results.iter().map(|row| row.id.clone()).collect::<Vec<_>>(), ids);
    assert_eq!(answer.results[2].error, Some("unknown id"));
    assert_eq!(answer.answered.version, running.service.registry().served().live.version());
}

#[test]
fn string_ids_are_found_and_returned_as_strings() {
    let ids = EntityIds::Text(vec!["a".into(), "7".into(), "ä".into(), "".into()]);
    let running = Running::of(&Fixture { ids, ..Default::default() });
    let ids = vec!["ä".into(), Id::Int(7), "".into()];
    let answer =
        running.call::<Lookup>(LookupRequest { ids, ..Default::default() }).unwrap().results;
    assert!(answer.iter().all(|row| row.codes.is_some()), "{answer:?}");
    let items = running.call::<Items>(ItemsRequest { prefix: vec![0, 1], ..Default::default() });
    assert_eq!(items.unwrap().items[0].id, "7".into());
}

#[test]
fn content_has_the_codes_of_the_fixture() {
    let running = Running::of(&Fixture::default());
    let all: Vec<[usize; 2]> = (0..16).map(|at| [at / 4, at % 4]).collect();
    let vectors: Vec<f32> = all.iter().flat_map(|&[a, b]| content(a, b)).collect();
    for side in [RequestedSide::Item, RequestedSide::User] {
        let request = EncodeRequest {
            side,
            vectors: Some(Vectors::new(2, vectors.clone()).unwrap()),
            ..Default::default()
        };
        let codes = running.call::<Encode>(request).unwrap().codes;
        let expected: Vec<Vec<u32>> = all.iter().map(|&[a, b]| vec![a as u32, b as u32]).collect();
        assert_eq!(codes, expected);
    }
}

#[test]
fn bad_content_is_refused_by_row() {
    let running = Running::of(&Fixture::default());
    let refused = |dim, values: Vec<f32>| {
        let vectors = Some(Vectors::new(dim, values).unwrap());
        running.call::<Encode>(EncodeRequest { vectors, ..Default::default() }).unwrap_err()
    };
    assert_eq!(refused(3, vec![0.0; 6]).message, "`vectors`: expected vectors of width 2, got 3");
    let message = refused(2, vec![0.0, 1.0, 2.0, f32::NAN]).message;
    assert_eq!(message, "`vectors` row 1, value 1: expected a finite number, got NaN");
    assert_eq!(refused(2, vec![0.0; 2 * 1025]).kind, Kind::TooLarge);
    let none = running.call::<Encode>(EncodeRequest::default()).unwrap_err();
    assert!(none.message.contains("expected one of them, got none"), "{none}");
    let texts = Some(vec!["a".to_string()]);
    let refused = running.call::<Encode>(EncodeRequest { texts, ..Default::default() });
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind, Kind::Unsupported);
    assert!(refused.message.contains("trained on ready-made vectors"), "{refused}");
}

/// Ids and codes of all pages.
fn pages(running: &Running, prefix: &[u32], limit: usize) -> Vec<(String, Vec<u32>)> {
    let mut found = Vec::new();
    let mut page = None;
    loop {
        let request = ItemsRequest {
            prefix: prefix.to_vec(),
            limit: Some(limit),
            page,
            ..Default::default()
        };
        let answer = running.call::<Items>(request).unwrap();
        assert!(answer.items.len() <= limit);
        found.extend(answer.items.into_iter().map(|item| (item.id.to_string(), item.codes)));
        if answer.next.is_none() {
            assert_eq!(answer.total, found.len());
            return found;
        }
        page = answer.next;
    }
}

#[test]
fn pages_hold_every_item_of_a_prefix_once() {
    for policy in [CollisionPolicy::Suffix, CollisionPolicy::None] {
        let running = Running::of(&Fixture { policy, ..Default::default() });
        let upsert = UpsertRequest {
            ids: vec![Id::Int(1), Id::Int(2), Id::Int(3)],
            vectors: Some(
                Vectors::new(2, [content(0, 0), content(0, 3), content(0, 0)].concat()).unwrap(),
            ),
            ..Default::default()
        };
        running.call::<Upsert>(upsert).unwrap();
        for (prefix, expected) in [
            (vec![], vec!["1", "10", "11", "12", "13", "2", "3"]),
            (vec![0], vec!["1", "10", "11", "12", "2", "3"]),
            (vec![0, 0], vec!["1", "10", "12", "3"]),
            (vec![0, 3], vec!["2"]),
            (vec![3], vec!["13"]),
            (vec![2], vec![]),
        ] {
            for limit in [1, 2, 3, 100] {
                let mut found = pages(&running, &prefix, limit);
                assert!(found.iter().all(|(_, codes)| codes.starts_with(&prefix)));
                found.sort();
                let ids: Vec<&str> = found.iter().map(|(id, _)| id.as_str()).collect();
                assert_eq!(ids, expected, "{policy} {prefix:?} {limit}");
            }
        }
    }
}

#[test]
fn a_page_of_another_version_is_refused() {
    let running = Running::of(&Fixture::default());
    let request = |page: &str| ItemsRequest { page: Some(page.into()), ..Default::default() };
    let refused = running.call::<Items>(request("0123456789abcdef-2")).unwrap_err();
    assert!(refused.message.contains("begin again"), "{refused}");
}

#[test]
fn neighbours_share_the_longest_prefix() {
    let fixture = Fixture {
        ids: EntityIds::Int((0..16).collect()),
        codes: (0..16).map(|at| [at % 3, at % 4]).collect(),
        ..Default::default()
    };
    let running = Running::of(&fixture);
    let upsert = UpsertRequest {
        ids: vec![Id::Int(100), Id::Int(101)],
        vectors: Some(Vectors::new(2, [content(1, 2), content(2, 2)].concat()).unwrap()),
        ..Default::default()
    };
    running.call::<Upsert>(upsert).unwrap();
    let all: Vec<(String, Vec<u32>)> = pages(&running, &[], 100);
    for (id, codes) in &all {
        for limit in [1, 3, 7, 100] {
            let request = NeighboursRequest {
                id: Some(id.as_str().into()),
                limit: Some(limit),
                ..Default::default()
            };
            let answer = running.call::<Neighbours>(request).unwrap();
            assert_eq!(&answer.codes, codes);
            let shared =
                |other: &[u32]| codes.iter().zip(other).take_while(|(a, b)| a == b).count();
            let mut expected: Vec<usize> = all
                .iter()
                .filter(|(other, _)| other != id)
                .map(|(_, codes)| shared(codes))
                .filter(|&shared| shared > 0)
                .collect();
            expected.sort_by(|a, b| b.cmp(a));
            expected.truncate(limit);
            let found: Vec<usize> = answer.neighbours.iter().map(|found| found.shared).collect();
            assert_eq!(found, expected, "{id} {limit}");
            let mut ids: Vec<String> = Vec::new();
            for neighbour in &answer.neighbours {
                assert_eq!(neighbour.shared, shared(&neighbour.codes));
                ids.push(neighbour.id.to_string());
            }
            ids.sort();
            ids.dedup();
            assert!(ids.len() == found.len() && !ids.contains(id), "{id}: {ids:?}");
        }
    }
    let unknown = NeighboursRequest { id: Some(Id::Int(999)), ..Default::default() };
    assert_eq!(running.call::<Neighbours>(unknown).unwrap_err().kind, Kind::NotFound);
    let codes = NeighboursRequest { codes: Some(vec![1]), limit: Some(50), ..Default::default() };
    assert_eq!(running.call::<Neighbours>(codes).unwrap().neighbours.len(), 6);
}

#[test]
fn without_a_retriever_nothing_is_retrieved() {
    let running = Running::of(&Fixture::default());
    let request = RetrieveRequest { histories: vec![vec![Id::Int(10)]], ..Default::default() };
    let refused = running.call::<Retrieve>(request).unwrap_err();
    assert_eq!(refused.kind, Kind::Unsupported);
    assert!(refused.message.contains("train-retriever"), "{refused}");
}
