use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;

use super::format::{HEADER_BYTES, Header};
use super::*;
use crate::sid::{CollisionPolicy, SidLayout, SidTable};
use crate::{EntityIds, IdRef, Result};

fn layout() -> SidLayout {
    SidLayout::new(vec![4, 300], CollisionPolicy::Suffix, Some(3)).unwrap()
}

fn write(folder: &tempfile::TempDir, ids: &EntityIds, table: &SidTable) -> std::path::PathBuf {
    let path = folder.path().join("index");
    write_index(&path, ids, table).unwrap();
    path
}

fn indexed(ids: &EntityIds, table: &SidTable) -> (tempfile::TempDir, SidIndex) {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, ids, table);
    let index = SidIndex::open(&path, table.layout()).unwrap();
    (folder, index)
}

#[test]
fn a_small_index_by_hand() {
    let table = SidTable::new(layout(), vec![3, 299, 0, 0, 7, 0, 3, 299, 1, 3, 2, 0]).unwrap();
    let (_folder, index) = indexed(&EntityIds::Int(vec![40, -2, 7, 9]), &table);
    assert_eq!((index.len(), index.type_name(), index.layout()), (4, "int64", &layout()));
    assert_eq!(index.row_of_int(7), Some(1));
    assert_eq!((index.row_of(IdRef::Int(40)), index.row_of(IdRef::Text("9"))), (Some(3), Some(2)));
    assert_eq!(index.row_of_text("-2"), Some(0));
    assert_eq!((index.row_of_int(8), index.row_of_text("x")), (None, None));
    assert_eq!(index.codes(3).collect::<Vec<_>>(), [3, 299, 0]);
    let ids = |prefix: &[u32]| {
        index
            .places(prefix)
            .map(|place| index.id(index.row_at(place)).to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&[3]), ["9", "40", "7"]);
    assert_eq!(ids(&[3, 299]), ["40", "7"]);
    assert_eq!(ids(&[3, 299, 1]), ["7"]);
    assert_eq!(ids(&[]), ["-2", "9", "40", "7"]);
    assert!(ids(&[1]).is_empty() && ids(&[3, 299, 1, 0]).is_empty());
}

#[test]
fn an_index_of_nothing() {
    let table = SidTable::new(layout(), vec![]).unwrap();
    for ids in [EntityIds::Int(vec![]), EntityIds::Text(vec![])] {
        let (_folder, index) = indexed(&ids, &table);
        assert!(index.is_empty());
        assert_eq!(
            (index.row_of_text("1"), index.places(&[]), index.places(&[1])),
            (None, 0..0, 0..0)
        );
    }
}

#[test]
fn an_id_that_occurs_twice_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let table = SidTable::new(layout(), vec![0; 9]).unwrap();
    let ids = EntityIds::Text(vec!["b".into(), "a".into(), "b".into()]);
    let error = write_index(&folder.path().join("index"), &ids, &table).unwrap_err().to_string();
    assert!(error.contains("duplicate id b in rows 0 and 2"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn damaged_and_hostile_files_are_refused_and_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let table = SidTable::new(layout(), vec![3, 299, 0, 0, 7, 0, 3, 2, 1]).unwrap();
    for ids in
        [EntityIds::Int(vec![5, 1, 3]), EntityIds::Text(vec!["ä".into(), "b".into(), "".into()])]
    {
        let path = write(&folder, &ids, &table);
        let good = fs::read(&path).unwrap();
        let open = |bytes: &[u8]| -> Result<SidIndex> {
            fs::write(&path, bytes).unwrap();
            SidIndex::open(&path, &layout())
        };
        for length in 0..good.len() {
            assert!(open(&good[..length]).is_err(), "cut to {length}");
        }
        for at in 0..good.len() {
            for flip in [1, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] ^= flip;
                // Where it still opens, every answer is given without a panic.
                let Ok(index) = open(&bytes) else { continue };
                assert!(at >= HEADER_BYTES, "a changed header opens, byte {at}");
                for row in 0..3 {
                    let id = index.id(row).to_string();
                    assert_eq!(index.row_of_text(&id), Some(row));
                    let codes: Vec<u32> = index.codes(row).collect();
                    for place in index.places(&codes[..2]) {
                        index.id(index.row_at(place));
                    }
                }
            }
        }
        let error = SidIndex::open(&path, &SidLayout::learned(vec![4, 300]).unwrap()).unwrap_err();
        assert!(error.to_string().contains("expected"), "{error}");
    }
}

#[test]
fn sizes_in_a_header_cannot_overflow() {
    let layout = SidLayout::learned(vec![1 << 20; 26]).unwrap();
    for rows in [usize::MAX, usize::MAX / 104, usize::MAX / 8] {
        assert_eq!(Header::of(&layout, false, rows, 0).sections(), None);
    }
}

proptest! {
    #[test]
    fn agrees_with_a_sorted_map(
        rows in prop::collection::btree_map("[a-cä0-9]{0,3}", (0u32..3, 0u32..300, 0u32..3), 0..60),
        prefix in (0u32..4, 0u32..300),
    ) {
        let codes = rows.values().flat_map(|code| [code.0, code.1, code.2]).collect();
        let table = SidTable::new(layout(), codes).unwrap();
        let ids = EntityIds::Text(rows.keys().cloned().collect());
        let (_folder, index) = indexed(&ids, &table);
        for (id, code) in &rows {
            let row = index.row_of_text(id).unwrap();
            prop_assert_eq!(index.id(row), IdRef::Text(id));
            prop_assert_eq!(index.codes(row).collect::<Vec<_>>(), [code.0, code.1, code.2]);
        }
        prop_assert_eq!(index.row_of_text("zz"), None);
        let sorted: BTreeMap<_, _> = rows.iter().map(|(id, code)| ((*code, id), ())).collect();
        for prefix in [vec![], vec![prefix.0], vec![prefix.0, prefix.1]] {
            let begins = |code: (u32, u32, u32)| [code.0, code.1, code.2].starts_with(&prefix);
            let expected: Vec<&str> =
                sorted.keys().filter(|(code, _)| begins(*code)).map(|(_, id)| id.as_str()).collect();
            let found: Vec<String> = index
                .places(&prefix)
                .map(|place| index.id(index.row_at(place)).to_string())
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
