//! More work than can be done.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
fn in_a_flood_few_dear_requests_are_worked_on_at_a_time_and_cheap_ones_are_answered() {
    // Any wait is too long, and nothing else is full.
    let service = Listening::start(|config| {
        config.limits.thread_wait = Duration::from_nanos(1);
        config.limits.queue_rows = 100_000;
    });
    let many = json!({"vectors": vec![[11.0, 9.0]; 1000]});
    let patience = Instant::now() + Duration::from_secs(60);
    let (answered, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let encode_until_refused = || {
        while refused.load(Ordering::Relaxed) < 100 {
            assert!(Instant::now() < patience, "never refused");
            let (status, answer) = service.post("/v1/encode", &many);
            if status == 200 {
                answered.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            assert_eq!((status, &answer["error"]["code"]), (429, &json!("overloaded")));
            refused.fetch_add(1, Ordering::Relaxed);
            assert_eq!(service.post("/v1/lookup", &json!({"ids": [10]})).0, 200);
        }
    };
    std::thread::scope(|scope| {
        (0..8).for_each(|_| drop(scope.spawn(encode_until_refused)));
    });
    assert!(answered.into_inner() > 0);
    let counted = format!("das_refused_total{{reason=\"overloaded\"}} {}", refused.into_inner());
    let metrics = service.get("/metrics").1;
    assert!(metrics.contains(&counted), "{counted} in {metrics}");
    // One at a time is no flood.
    assert!((0..100).all(|_| service.post("/v1/encode", &many).0 == 200));
}
