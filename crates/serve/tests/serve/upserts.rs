//! IDs of entities that came after publication.

use das_core::sid::CollisionPolicy;
use das_serve::config::Limits;
use das_serve::ids::Id;
use das_serve::online::Status;
use das_serve::service::*;
use das_serve::vectors::Vectors;

use crate::common::{Fixture, Running, content};

pub(crate) fn upsert(running: &Running, rows: &[(i64, [usize; 2])]) -> Vec<(Vec<u32>, Status)> {
    let vectors = rows.iter().flat_map(|(_, [a, b])| content(*a, *b)).collect();
    let request = UpsertRequest {
        ids: rows.iter().map(|(id, _)| Id::Int(*id)).collect(),
        vectors: Some(Vectors::new(2, vectors).unwrap()),
        ..Default::default()
    };
    let answer = running.call::<Upsert>(request).unwrap();
    answer.results.into_iter().map(|row| (row.codes, row.status)).collect()
}

pub(crate) fn lookup(running: &Running, id: i64) -> Option<Vec<u32>> {
    let request = LookupRequest { ids: vec![Id::Int(id)], ..Default::default() };
    running.call::<Lookup>(request).unwrap().results.remove(0).codes
}

#[test]
fn suffixes_go_on_and_no_id_changes() {
    let running = Running::of(&Fixture::default());
    let given = upsert(&running, &[(1, [0, 0]), (2, [2, 2]), (3, [0, 0]), (10, [3, 3])]);
    let expected = [
        (vec![0, 0, 2], Status::New),
        (vec![2, 2, 0], Status::New),
        (vec![0, 0, 3], Status::New),
        (vec![0, 0, 0], Status::Published),
    ];
    assert_eq!(given, expected);
    // Other content, the same ID; the same entity twice in one request.
    let given = upsert(&running, &[(1, [3, 3]), (4, [2, 2]), (4, [1, 1])]);
    let expected = [
        (vec![0, 0, 2], Status::Known),
        (vec![2, 2, 1], Status::New),
        (vec![2, 2, 1], Status::Known),
    ];
    assert_eq!(given, expected);
    assert_eq!(lookup(&running, 3), Some(vec![0, 0, 3]));
    for (status, rows) in [("new", 4.0), ("known", 2.0), ("published", 1.0)] {
        let line = format!("das_upserts_total{{side=\"item\",status=\"{status}\"}}");
        assert_eq!(running.metric(&line), rows, "{status}");
    }
}

#[test]
fn ids_survive_a_restart() {
    let running = Running::of(&Fixture::default());
    let before = upsert(&running, &[(1, [0, 0]), (2, [2, 2])]);
    let folder = running.folder.clone();
    drop(running);
    let running = Running::start(folder, None, Limits::default());
    for (id, (codes, _)) in [1, 2].into_iter().zip(&before) {
        assert_eq!(lookup(&running, id).as_ref(), Some(codes));
    }
    assert_eq!(upsert(&running, &[(5, [0, 0])]), [(vec![0, 0, 3], Status::New)]);
}

#[test]
fn greedy_takes_the_nearest_last_code_that_is_free() {
    let policy = CollisionPolicy::Greedy;
    let running = Running::of(&Fixture { policy, ..Default::default() });
    // Published: 10 and 12 both at (0, 0), one of which moved to (0, 2) since 11 has (0, 1).
    let published = [lookup(&running, 10).unwrap(), lookup(&running, 12).unwrap()];
    assert_eq!(published, [[0, 0], [0, 2]]);
    let given = upsert(&running, &[(1, [0, 0]), (2, [1, 0]), (3, [1, 0]), (4, [0, 1])]);
    // (0, 3) is the last one free there; for 4 none is, so it shares its learned codes.
    let expected = [vec![0, 3], vec![1, 0], vec![1, 1], vec![0, 1]];
    assert_eq!(given.into_iter().map(|(codes, _)| codes).collect::<Vec<_>>(), expected);
}

#[test]
fn an_id_that_had_to_be_shared_keeps_nobody_from_starting() {
    let policy = CollisionPolicy::Greedy;
    let running = Running::of(&Fixture { policy, ..Default::default() });
    // Behind (0) four last codes are taken by now, so that the next one shares 11's.
    let given = upsert(&running, &[(1, [0, 0]), (4, [0, 1])]);
    assert_eq!(given[1].0, lookup(&running, 11).unwrap());
    let folder = running.folder.clone();
    drop(running);
    let running = Running::start(folder, None, Limits::default());
    assert_eq!(lookup(&running, 4), Some(given[1].0.clone()));
}

#[test]
fn content_that_overflows_is_refused_for_its_row_alone() {
    for policy in [CollisionPolicy::Suffix, CollisionPolicy::Greedy] {
        let running = Running::of(&Fixture { policy, ..Default::default() });
        let huge = UpsertRequest {
            ids: vec![Id::Int(1)],
            vectors: Some(Vectors::new(2, vec![f32::MAX, f32::MIN]).unwrap()),
            ..Default::default()
        };
        // The distance to a code overflows or not; nothing else may come of it than an ID or a refusal.
        if let Err(refused) = running.call::<Upsert>(huge) {
            assert_eq!(refused.kind, das_serve::error::Kind::Invalid, "{refused}");
        }
        assert_eq!(upsert(&running, &[(2, [2, 2])])[0].1, Status::New);
    }
}

#[test]
fn pages_go_on_where_they_were_while_entities_come() {
    let running = Running::of(&Fixture::default());
    upsert(&running, &[(1, [2, 2]), (2, [2, 2])]);
    let page = |page: Option<String>| {
        let prefix = vec![2];
        let request = ItemsRequest { prefix, limit: Some(1), page, ..Default::default() };
        running.call::<Items>(request).unwrap()
    };
    let first = page(None);
    assert_eq!((first.items[0].id.clone(), first.total), (Id::Int(1), 2));
    // It sorts before what was shown already.
    upsert(&running, &[(3, [2, 0])]);
    let second = page(first.next);
    assert_eq!((second.items[0].id.clone(), second.total), (Id::Int(2), 3));
    assert_eq!(second.next, None);
    let prefix = vec![3];
    let elsewhere = ItemsRequest { prefix, page: page(None).next, ..Default::default() };
    assert!(running.call::<Items>(elsewhere).is_err());
}

#[test]
fn without_a_policy_ids_may_be_shared() {
    let policy = CollisionPolicy::None;
    let running = Running::of(&Fixture { policy, ..Default::default() });
    let given = upsert(&running, &[(1, [0, 0]), (2, [0, 0])]);
    assert!(given.iter().all(|(codes, _)| codes == &[0, 0]), "{given:?}");
    let items = ItemsRequest { prefix: vec![0, 0], ..Default::default() };
    assert_eq!(running.call::<Items>(items).unwrap().total, 4);
}

#[test]
fn many_at_once_get_ids_of_their_own() {
    let running = Running::of(&Fixture::default());
    let mut all: Vec<Vec<u32>> = std::thread::scope(|scope| {
        let worker = |first: i64| {
            let running = &running;
            scope.spawn(move || {
                (0..50)
                    .map(|at| upsert(running, &[(first + at, [1, 1])]).remove(0).0)
                    .collect::<Vec<_>>()
            })
        };
        let workers: Vec<_> = [1000, 2000, 3000, 4000].map(worker).into_iter().collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    all.sort();
    let expected: Vec<Vec<u32>> = (0..200).map(|suffix| vec![1, 1, suffix]).collect();
    assert_eq!(all, expected);
}

#[test]
fn bad_ids_are_refused_by_row_and_nothing_is_kept() {
    let running = Running::of(&Fixture::default());
    let refused = |ids: Vec<Id>| {
        let vectors = Some(Vectors::new(2, vec![0.0; 4]).unwrap());
        running.call::<Upsert>(UpsertRequest { ids, vectors, ..Default::default() }).unwrap_err()
    };
    let message = refused(vec![Id::Int(1), "one".into()]).message;
    assert_eq!(message, "`ids` row 1: id \"one\": expected an int64, as item ids are");
    assert_eq!(refused(vec![Id::Int(1)]).message, "`ids`: 1 ids for 2 rows of content");
    let long = "x".repeat(2000);
    assert!(refused(vec![long.as_str().into(), Id::Int(1)]).message.contains("2000 bytes"));
    assert_eq!(lookup(&running, 1), None);
}
