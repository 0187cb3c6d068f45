//! Versions that come and go.

use std::fs;

use das_core::EntityIds;
use das_serve::online::Status;
use das_serve::registry::Arm;
use das_serve::service::{Items, ItemsRequest, Neighbours, NeighboursRequest};

use crate::common::{Fixture, Running};
use crate::upserts::{lookup, upsert};

fn reload(running: &Running) -> Result<das_serve::admin::Reloaded, das_serve::error::Refusal> {
    running.runtime.block_on(running.admin.reload(Arm::Live))
}

/// Another ID space: the first codes have another order.
fn other_space() -> Fixture {
    Fixture { order: [3, 2, 1, 0], ..Fixture::default() }
}

#[test]
fn a_new_version_is_served_and_the_one_before_comes_back() {
    let running = Running::of(&Fixture::default());
    let unchanged = reload(&running).unwrap();
    assert!(!unchanged.changed);
    let codes = vec![[2, 2], [0, 1], [0, 0], [3, 2]];
    Fixture { codes, ..Fixture::default() }.publish(&running.live());
    let reloaded = reload(&running).unwrap();
    assert!(reloaded.changed && reloaded.version != unchanged.version);
    assert_eq!(lookup(&running, 10), Some(vec![2, 2, 0]));
    let back = running.runtime.block_on(running.admin.roll_back()).unwrap();
    assert_eq!(back.version, unchanged.version);
    assert_eq!(lookup(&running, 10), Some(vec![0, 0, 0]));
    // And forth.
    running.runtime.block_on(running.admin.roll_back()).unwrap();
    assert_eq!(lookup(&running, 10), Some(vec![2, 2, 0]));
    let version = &reloaded.version;
    assert_eq!(running.metric(&format!("das_serving{{role=\"live\",version=\"{version}\"}}")), 1.0);
}

#[test]
fn without_a_version_before_there_is_no_way_back() {
    let running = Running::of(&Fixture::default());
    let refused = running.runtime.block_on(running.admin.roll_back()).unwrap_err();
    assert!(refused.message.contains("no version before"), "{refused}");
}

#[test]
fn a_damaged_version_is_refused_and_the_present_one_goes_on() {
    let running = Running::of(&Fixture::default());
    other_space().publish(&running.live());
    for name in ["item_sids.index", "model.safetensors", "manifest.json"] {
        let path = running.live().join(name);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        match name {
            "manifest.json" => bad.truncate(middle),
            _ => bad[middle] ^= 1,
        }
        fs::write(&path, bad).unwrap();
        let refused = reload(&running).unwrap_err();
        assert!(refused.message.contains("is refused"), "{name}: {refused}");
        assert_eq!(lookup(&running, 10), Some(vec![0, 0, 0]));
        fs::write(&path, good).unwrap();
    }
    assert_eq!(running.metric("das_reloads_total{arm=\"live\",result=\"refused\"}"), 3.0);
    assert!(reload(&running).unwrap().changed);
}

#[test]
fn later_entities_are_carried_over_into_a_new_space_and_back() {
    let running = Running::of(&Fixture::default());
    upsert(&running, &[(1, [0, 0]), (2, [2, 1])]);
    other_space().publish(&running.live());
    let reloaded = reload(&running).unwrap();
    assert_eq!((reloaded.carried, reloaded.left), (2, 0));
    // The same content; its first code is 3 - a there. Published are (0, 0) twice, (0, 1), (3, 2).
    assert_eq!(lookup(&running, 1), Some(vec![3, 0, 0]));
    assert_eq!(lookup(&running, 2), Some(vec![1, 1, 0]));
    // What comes now has an ID in both spaces.
    assert_eq!(upsert(&running, &[(3, [0, 0])]), [(vec![3, 0, 1], Status::New)]);
    running.runtime.block_on(running.admin.roll_back()).unwrap();
    assert_eq!(lookup(&running, 1), Some(vec![0, 0, 2]));
    assert_eq!(lookup(&running, 3), Some(vec![0, 0, 3]));
}

#[test]
fn an_id_space_comes_back_with_its_ids_until_it_is_forgotten() {
    let running = Running::of(&Fixture::default());
    upsert(&running, &[(1, [0, 0])]);
    // An ID that is given out anew would follow this content.
    assert_eq!(upsert(&running, &[(1, [1, 1])]), [(vec![0, 0, 2], Status::Known)]);
    let away_and_back = |others: usize| {
        for order in orders().into_iter().skip(1).take(others).chain([Fixture::default().order]) {
            Fixture { order, ..Fixture::default() }.publish(&running.live());
            assert_eq!(reload(&running).unwrap().carried, 1);
        }
        lookup(&running, 1)
    };
    // While one comes there are the live one and the one to roll back to; eight others are kept.
    assert_eq!(away_and_back(10), Some(vec![0, 0, 2]));
    assert_eq!(away_and_back(11), Some(vec![1, 1, 0]));
}

/// Every order of the codes of the first level, each an ID space; first that of the fixture.
fn orders() -> Vec<[usize; 4]> {
    let numbers =
        (0..256).map(|number| [number >> 6, number >> 4 & 3, number >> 2 & 3, number & 3]);
    numbers.filter(|order| (0..4).all(|code| order.contains(&code))).collect()
}

#[test]
fn a_version_that_changes_an_id_of_its_own_space_is_refused() {
    let running = Running::of(&Fixture::default());
    upsert(&running, &[(14, [1, 1])]);
    let with = |codes: [usize; 2], id: i64| {
        let mut fixture =
            Fixture { ids: EntityIds::Int(vec![10, 11, 12, 13, id]), ..Fixture::default() };
        fixture.codes.push(codes);
        fixture
    };
    with([2, 2], 14).publish(&running.live());
    let refused = reload(&running).unwrap_err().message;
    assert!(refused.contains("item 14 was given the ID [1, 1, 0]"), "{refused}");
    with([1, 1], 15).publish(&running.live());
    let refused = reload(&running).unwrap_err().message;
    assert!(refused.contains("the artifact has it for 15"), "{refused}");
    // Published with the very ID that it was given, it is welcome.
    with([1, 1], 14).publish(&running.live());
    assert!(reload(&running).unwrap().changed);
    assert_eq!(upsert(&running, &[(14, [3, 3])]), [(vec![1, 1, 0], Status::Published)]);
    // It stands in the store too, for the version before, and is one entity all the same.
    let items = running.call::<Items>(ItemsRequest { prefix: vec![1], ..Default::default() });
    let items = items.unwrap();
    assert_eq!((items.total, items.items.len(), items.next), (1, 1, None));
    let of = NeighboursRequest { codes: Some(vec![1, 1]), ..Default::default() };
    assert_eq!(running.call::<Neighbours>(of).unwrap().neighbours.len(), 1);
    assert_eq!(running.service.info().unwrap().live.sides[1].later, 0);
    running.runtime.block_on(running.admin.roll_back()).unwrap();
    assert_eq!(running.service.info().unwrap().live.sides[1].later, 1);
    assert_eq!(lookup(&running, 14), Some(vec![1, 1, 0]));
}

#[test]
fn what_comes_while_the_service_starts_is_served_next() {
    let running = Running::of(&Fixture::default());
    other_space().publish(&running.live());
    // An admin that begins now has artifacts that were loaded before.
    let source = das_serve::artifact::Source { folder: running.live(), model: None };
    let metrics = das_serve::metrics::Metrics::default();
    let admin = das_serve::admin::Admin::new(running.service.clone(), metrics, source, None);
    let before = space(&running);
    running.runtime.block_on(async {
        let watching = admin.watch(std::time::Duration::from_millis(5));
        until_changed(&running, &before, watching).await;
    });
}

fn space(running: &Running) -> String {
    running.service.info().unwrap().live.id_space
}

/// Waits, while something else goes on, for another ID space than `before`.
async fn until_changed(running: &Running, before: &str, meanwhile: impl Future<Output = ()>) {
    let changed = async {
        while space(running) == before {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let either = async {
        tokio::select! {
            () = meanwhile => panic!("it ended before anything changed"),
            () = changed => {}
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), either).await.unwrap();
}

#[test]
fn a_version_that_is_copied_file_by_file_is_served_once_it_is_whole() {
    let running = Running::of(&Fixture::default());
    let whole = running.folder.path().join("whole");
    other_space().publish(&whole);
    let before = space(&running);
    let refusals = || running.metric("das_reloads_total{arm=\"live\",result=\"refused\"}");
    let copy = |name: &str| fs::copy(whole.join(name), running.live().join(name)).unwrap();
    // In place of mapped files new ones are made, as `rsync` does.
    for name in ["item_sids.index", "user_sids.index"] {
        fs::remove_file(running.live().join(name)).unwrap();
    }
    running.runtime.block_on(async {
        let watching = running.admin.watch(std::time::Duration::from_millis(5));
        let copying = async {
            copy("manifest.json");
            while refusals() == 0.0 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            for entry in fs::read_dir(&whole).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() {
                    copy(entry.file_name().to_str().unwrap());
                }
            }
        };
        let both = async {
            tokio::join!(watching, copying);
        };
        until_changed(&running, &before, both).await;
    });
}
