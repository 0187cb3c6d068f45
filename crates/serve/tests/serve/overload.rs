//! More work than can be done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use das_serve::artifact::{Source, load};
use das_serve::batch::{Batcher, Done, Task};
use das_serve::error::Kind;
use serde_json::json;

use crate::common::{Fixture, content};
use crate::http::Listening;

fn loaded() -> (tempfile::TempDir, Arc<das_serve::artifact::Loaded>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live");
    Fixture::default().publish(&path);
    let loaded = load(&Source { folder: path, model: None }).unwrap();
    (folder, Arc::new(loaded))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn rows(number: usize) -> Task {
    Task::Vectors(das_core::Side::Item, content(1, 2).repeat(number))
}

#[test]
fn everybody_gets_their_own_rows_or_is_refused_and_nothing_is_lost() {
    let (_folder, loaded) = loaded();
    let batcher = Arc::new(Batcher::start(2, 32, 64).unwrap());
    let runtime = runtime();
    let deadline = Instant::now() + Duration::from_secs(60);
    let (mut done, mut refused) = (0, 0);
    runtime.block_on(async {
        let request = |number: usize| {
            let (batcher, loaded) = (batcher.clone(), loaded.clone());
            tokio::spawn(async move {
                let (a, b) = (number % 4, number / 4 % 4);
                let task =
                    Task::Vectors(das_core::Side::Item, content(a, b).repeat(1 + number % 5));
                let expected = [a as u32, b as u32].repeat(1 + number % 5);
                match batcher.run(loaded, task, deadline).await {
                    Ok(found) => {
                        assert_eq!(found, Done::Codes(expected));
                        true
                    }
                    Err(refusal) => {
                        assert!(matches!(refusal.kind, Kind::Overloaded(_)), "{refusal}");
                        false
                    }
                }
            })
        };
        let requests: Vec<_> = (0..2000).map(request).collect();
        for request in requests {
            if request.await.unwrap() { done += 1 } else { refused += 1 }
        }
    });
    assert_eq!(done + refused, 2000);
    assert!(done > 0);
    assert_eq!(batcher.waiting(), 0);
}

#[test]
fn what_is_late_is_told_so_and_what_nobody_waits_for_is_not_done() {
    let (_folder, loaded) = loaded();
    let batcher = Batcher::start(1, 32, 64).unwrap();
    let runtime = runtime();
    let past = Instant::now() - Duration::from_millis(1);
    let late = runtime.block_on(batcher.run(loaded.clone(), rows(1), past)).unwrap_err();
    assert_eq!(late.kind, Kind::Late);
    // A request that is dropped frees its place.
    let deadline = Instant::now() + Duration::from_secs(60);
    runtime.block_on(async {
        for _ in 0..100 {
            let dropped = batcher.run(loaded.clone(), rows(64), deadline);
            let _ = tokio::time::timeout(Duration::ZERO, dropped).await;
            while batcher.waiting() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
}

#[test]
fn a_flood_has_dear_requests_refused_in_part_and_cheap_ones_answered() {
    // Any wait is too long.
    let service = Listening::start(|config| config.limits.thread_wait = Duration::from_nanos(1));
    let encode = || service.post("/v1/encode", &json!({"vectors": [[11.0, 9.0]]}));
    let patience = Instant::now() + Duration::from_secs(60);
    while encode().0 == 200 {
        assert!(Instant::now() < patience, "never refused");
    }
    let answers: Vec<_> = (0..200).map(|_| encode()).collect();
    let answered = answers.iter().filter(|(status, _)| *status == 200).count();
    assert!((1..100).contains(&answered), "{answered}");
    let refused = answers.iter().find(|(status, _)| *status != 200).unwrap();
    assert_eq!((refused.0, &refused.1["error"]["code"]), (429, &json!("overloaded")));
    for _ in 0..200 {
        assert_eq!(service.post("/v1/lookup", &json!({"ids": [10]})).0, 200);
    }
    let counted = format!("das_refused_total{{reason=\"overloaded\"}} {}", 201 - answered);
    let metrics = service.get("/metrics").1;
    assert!(metrics.contains(&counted), "{counted} in {metrics}");
}
