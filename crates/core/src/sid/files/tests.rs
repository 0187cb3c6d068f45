use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::builder::{FixedSizeListBuilder, Int32Builder, ListBuilder, UInt64Builder};
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, LargeStringArray, ListArray, RecordBatch,
    StringViewArray,
};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;

use super::*;
use crate::sid::CollisionPolicy;

fn text_ids(count: usize) -> EntityIds {
    EntityIds::Text((0..count).map(|row| format!("item \"{row}\" ü")).collect())
}

fn suffixed(codes: Vec<u32>) -> SidTable {
    let layout = SidLayout::new(vec![300, 20], CollisionPolicy::Suffix, Some(3)).unwrap();
    SidTable::new(layout, codes).unwrap()
}

/// A folder with one file that a test writes again and again.
struct Scratch {
    folder: tempfile::TempDir,
    name: &'static str,
}

impl Scratch {
    fn new(name: &'static str) -> Scratch {
        Scratch { folder: tempfile::tempdir().unwrap(), name }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(self.name)
    }

    fn json(&self, text: &str, sizes: Option<&[u32]>) -> Result<SidFile> {
        std::fs::write(self.path(), text).unwrap();
        read_any(&self.path(), sizes)
    }

    fn parquet(&self, columns: Vec<(&str, ArrayRef)>, sizes: Option<&[u32]>) -> Result<SidFile> {
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, array)| (name, array, true)),
        )
        .unwrap();
        let file = std::fs::File::create(self.path()).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        read_any(&self.path(), sizes)
    }

    fn check<T: std::fmt::Debug>(&self, result: Result<T>, expected: &[&str]) {
        let message = result.unwrap_err().to_string();
        for part in expected.iter().chain([&self.name]) {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
    }
}

fn ints(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn lists(rows: &[&[i64]]) -> ArrayRef {
    let rows = rows.iter().map(|row| Some(row.iter().copied().map(Some).collect::<Vec<_>>()));
    Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(rows))
}

#[test]
fn our_parquet_keeps_ids_side_and_layout() {
    let scratch = Scratch::new("user_sids.parquet");
    let table = suffixed(vec![299, 0, 0, 5, 19, 2, 5, 19, 1]);
    for ids in [text_ids(3), EntityIds::Int(vec![9, -4, i64::MAX])] {
        write_parquet(&scratch.path(), Side::User, &ids, &table).unwrap();
        let first = std::fs::read(scratch.path()).unwrap();
        let read = read_any(&scratch.path(), None).unwrap();
        assert_eq!(
            read,
            SidFile { ids: ids.clone(), table: table.clone(), side: Some(Side::User) }
        );
        write_parquet(&scratch.path(), Side::User, &ids, &table).unwrap();
        assert_eq!(std::fs::read(scratch.path()).unwrap(), first, "equal input, equal bytes");
    }
    assert!(write_parquet(&scratch.path(), Side::User, &text_ids(2), &table).is_err());
}

#[test]
fn index_json_has_the_published_form() {
    let scratch = Scratch::new("x.index.json");
    let table = suffixed(vec![17, 4, 0, 5, 19, 2]);
    write_index_json(&scratch.path(), &EntityIds::Int(vec![7, 3]), &table).unwrap();
    let text = std::fs::read_to_string(scratch.path()).unwrap();
    let expected =
        "{\n\"7\": [\"<a_17>\",\"<b_4>\",\"<c_0>\"],\n\"3\": [\"<a_5>\",\"<b_19>\",\"<c_2>\"]\n}\n";
    assert_eq!(text, expected);
    let read = read_any(&scratch.path(), None).unwrap();
    assert_eq!(read.ids, EntityIds::Int(vec![7, 3]));
    assert_eq!(read.table.layout().codebook_sizes(), [18, 20, 3]);
    let read = read_any(&scratch.path(), Some(&[300, 20, 3])).unwrap();
    assert_eq!(read.table.codes(), table.codes());
}

#[test]
fn string_keys_stay_strings() {
    let scratch = Scratch::new("x.index.json");
    let read = scratch.json(r#"{"01": ["<a_1>"], "1": ["<a_2>"]}"#, None).unwrap();
    assert_eq!(read.ids, EntityIds::Text(vec!["01".into(), "1".into()]));
}

#[test]
fn bad_index_files_name_the_id() {
    let scratch = Scratch::new("bad.index.json");
    let check = |json: &str, expected: &[&str]| scratch.check(scratch.json(json, None), expected);
    check("", &["not an index of IDs", "EOF"]);
    check("[1]", &["expected an object of token lists"]);
    check("{}", &["no rows"]);
    check(r#"{"5": ["<a_1>", "<b_2>"], "6": ["<a_1>"]}"#, &["id \"6\"", "1 codes, expected 2"]);
    check(r#"{"5": ["<b_1>", "<a_2>"]}"#, &["id \"5\"", "\"<b_1>\" at digit 0", "`<a_NUMBER>`"]);
    check(r#"{"5": ["17"]}"#, &["token \"17\""]);
    check(r#"{"5": ["<a_-3>"]}"#, &["token \"<a_-3>\""]);
    check(r#"{"5": "<a_1>"}"#, &["id \"5\"", "invalid type"]);
    check(r#"{"5": []}"#, &["id \"5\"", "0 codes"]);
    check(r#"{"5": ["<a_16777216>"]}"#, &["code 16777216, expected 0 to 16777215"]);
    check(r#"{"5": ["<a_1>"], "5": ["<a_2>"]}"#, &["duplicate id 5 in rows 0 and 1"]);
    check(r#"{"x": ["<a_1>"], "5": ["<a_2>"], "x": ["<a_1>"]}"#, &["duplicate id x"]);
    check(r#"{"5": ["<a_1>"]"#, &["EOF"]);
    check(r#"{"5": ["<a_1>"]} {}"#, &["trailing characters"]);
    let sized = |sizes: &[u32]| scratch.json(r#"{"5": ["<a_1>", "<b_7>"]}"#, Some(sizes));
    scratch.check(sized(&[2, 7]), &["row 0, id 5", "digit 1 is 7, expected less than 7"]);
    scratch.check(sized(&[2]), &["2 digits, expected 1"]);
    scratch.check(sized(&[2, 0]), &["digit 1 has 0 codes"]);
}

#[test]
fn others_parquet_is_read_in_every_form() {
    let scratch = Scratch::new("other.parquet");
    let mut fixed = FixedSizeListBuilder::new(Int32Builder::new(), 2);
    let mut large = ListBuilder::new(UInt64Builder::new());
    for row in [[3, 1], [0, 2]] {
        row.iter().for_each(|&v| fixed.values().append_value(v));
        fixed.append(true);
        row.iter().for_each(|&v| large.values().append_value(v as u64));
        large.append(true);
    }
    let small = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(3), Some(1)]),
        Some(vec![Some(0), Some(2)]),
    ]);
    let names: ArrayRef = Arc::new(StringViewArray::from_iter_values(["a", "b"]));
    let large_names: ArrayRef = Arc::new(LargeStringArray::from(vec!["a", "b"]));
    let narrow: ArrayRef = Arc::new(Int32Array::from(vec![8, 9]));
    let forms: Vec<Vec<(&str, ArrayRef)>> = vec![
        vec![("codes", lists(&[&[3, 1], &[0, 2]])), ("item_id", ints(&[8, 9]))],
        vec![("id", names), ("semantic_ids", Arc::new(fixed.finish()))],
        vec![("user_id", large_names), ("sid", Arc::new(large.finish()))],
        vec![("item_id", narrow.clone()), ("title", narrow.clone()), ("codes", Arc::new(small))],
        vec![("id", narrow.clone()), ("c1", ints(&[1, 2])), ("c0", ints(&[3, 0]))],
        vec![("id", narrow), ("code_0", ints(&[3, 0])), ("code_1", ints(&[1, 2]))],
    ];
    for columns in forms {
        let name = format!("{:?}", columns.iter().map(|column| column.0).collect::<Vec<_>>());
        let read = scratch.parquet(columns, None).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(read.table.codes(), [3, 1, 0, 2], "{name}");
        assert_eq!(read.table.layout().codebook_sizes(), [4, 3], "{name}");
        let last = if matches!(read.ids, EntityIds::Int(_)) { "9" } else { "b" };
        assert_eq!(read.ids.display(1), last, "{name}");
    }
}

#[test]
fn offset_codes_are_checked_and_give_the_widths() {
    let scratch = Scratch::new("offset.parquet");
    let read = |offset: &[&[i64]], sizes| {
        let ids = ints(&[1, 2]);
        let codes = lists(&[&[3, 1], &[0, 2]]);
        let columns = vec![("item_id", ids), ("codes", codes), ("offset_codes", lists(offset))];
        scratch.parquet(columns, sizes)
    };
    let good: [&[i64]; 2] = [&[3, 257], &[0, 258]];
    assert_eq!(read(&good, None).unwrap().table.layout().codebook_sizes(), [256, 3]);
    assert!(read(&good, Some(&[256, 256])).is_ok());
    scratch.check(read(&good, Some(&[512, 9])), &["[0, 256], expected [0, 512]"]);
    scratch.check(read(&[&[3, 257], &[0, 259]], None), &["row 1, id 2", "`codes` plus [0, 256]"]);
    scratch.check(read(&[&[3, 257], &[0]], None), &["row 1, id 2", "1 codes, expected 2"]);
    scratch.check(read(&[&[3], &[0]], None), &["row 0, id 1", "2 values as in `codes`"]);
    scratch.check(read(&[&[4, 257], &[1, 258]], None), &["row 0", "plus the widths"]);
    scratch.check(read(&[&[3, 2], &[0, 3]], None), &["digit 0 is 3, expected less than 1"]);
    scratch.check(read(&[&[3, -2], &[0, 3]], None), &["offset code -2"]);
}

#[test]
fn bad_parquet_names_row_and_id() {
    let scratch = Scratch::new("bad.parquet");
    let check = |columns, expected: &[&str]| {
        scratch.check(scratch.parquet(columns, None), expected);
    };
    let two = || ("item_id", ints(&[7, 8]));
    let codes = || ("codes", lists(&[&[1, 2], &[3, 4]]));
    check(vec![two(), ("codes", lists(&[&[1, 2], &[3]]))], &["row 1, id 8", "1 codes, expected 2"]);
    check(vec![two(), ("codes", lists(&[&[1, 2], &[3, -1]]))], &["row 1, id 8", "code -1"]);
    check(vec![two(), ("codes", lists(&[&[1], &[1 << 24]]))], &["code 16777216"]);
    check(vec![two(), ("codes", lists(&[&[1], &[i64::MAX]]))], &["code 9223372036854775807"]);
    check(vec![two(), ("codes", lists(&[&[], &[]]))], &["row 0, id 7", "0 codes"]);
    check(vec![("item_id", ints(&[7, 7])), codes()], &["duplicate id 7 in rows 0 and 1"]);
    check(vec![codes()], &["no id column", "the columns are codes"]);
    check(vec![two(), ("title", ints(&[1, 2]))], &["no codes", "item_id, title"]);
    check(vec![two(), ("c0", ints(&[1, 2])), ("c2", ints(&[1, 2]))], &["no column c1"]);
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0]));
    check(vec![two(), ("codes", floats.clone())], &["column codes has type Float64"]);
    check(vec![two(), ("c0", floats.clone())], &["column c0", "Float64"]);
    check(vec![("item_id", floats), codes()], &["column item_id", "expected integers or strings"]);
    let null_id: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    check(vec![("item_id", null_id.clone()), codes()], &["column item_id", "row 1 is null"]);
    check(vec![two(), ("c0", null_id)], &["row 1, id 8", "a code is null"]);
    let null_list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)]), None]);
    check(vec![two(), ("codes", Arc::new(null_list))], &["row 1, id 8", "null, expected a list"]);
    check(vec![("item_id", ints(&[])), ("codes", lists(&[]))], &["no rows"]);
}

#[test]
fn truncated_parquet_is_refused() {
    let scratch = Scratch::new("torn.parquet");
    let table =
        suffixed((0..900).map(|at| (at * 7 % [300, 20, 3][at as usize % 3]) as u32).collect());
    write_parquet(&scratch.path(), Side::Item, &text_ids(300), &table).unwrap();
    let whole = std::fs::read(scratch.path()).unwrap();
    for keep in [0, 3, 8, whole.len() / 2, whole.len() - 1] {
        std::fs::write(scratch.path(), &whole[..keep]).unwrap();
        scratch.check(read_any(&scratch.path(), None), &["not a readable Parquet file"]);
    }
}

#[test]
fn other_endings_and_missing_files_are_errors() {
    let scratch = Scratch::new("ids.csv");
    scratch.check(read_any(&scratch.path(), None), &["expected `.index.json` or `.parquet`"]);
    let scratch = Scratch::new("absent.parquet");
    scratch.check(read_any(&scratch.path(), None), &["cannot read"]);
}

/// Published IDs of other tokenizers, where the shared data folder is at hand.
#[test]
fn published_index_files_are_read_and_written_back() {
    let shared = std::env::var_os("DAS_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let peers = shared.join("data/beauty/peers");
    if !peers.is_dir() {
        eprintln!("SKIPPED: no published ID files at {}", peers.display());
        return;
    }
    for (name, unique) in [("letter.index.json", 12_088), ("iba.index.json", 11_868)] {
        let read = read_any(&peers.join(name), Some(&[256; 4])).unwrap();
        assert_eq!((read.table.len(), read.table.buckets(4).len()), (12_101, unique), "{name}");
        let scratch = Scratch::new("again.index.json");
        write_index_json(&scratch.path(), &read.ids, &read.table).unwrap();
        assert_eq!(read_any(&scratch.path(), Some(&[256; 4])).unwrap(), read);
        let scratch = Scratch::new("again.parquet");
        write_parquet(&scratch.path(), Side::Item, &read.ids, &read.table).unwrap();
        let again = read_any(&scratch.path(), None).unwrap();
        assert_eq!((again.ids, again.table), (read.ids, read.table));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_format_round_trips(
        rows in prop::collection::btree_map("[a-z\"\\\\ü0-9]{0,6}", (0u32..300, 0u32..20, 0u32..3), 1..40),
    ) {
        let ids = EntityIds::Text(rows.keys().map(|key| format!("k{key}")).collect());
        let table = suffixed(rows.values().flat_map(|r| [r.0, r.1, r.2]).collect());
        let scratch = Scratch::new("x.parquet");
        write_parquet(&scratch.path(), Side::Item, &ids, &table).unwrap();
        let read = read_any(&scratch.path(), None).unwrap();
        prop_assert_eq!((&read.ids, &read.table), (&ids, &table));
        let scratch = Scratch::new("x.index.json");
        write_index_json(&scratch.path(), &ids, &table).unwrap();
        let read = read_any(&scratch.path(), Some(&[300, 20, 3])).unwrap();
        prop_assert_eq!((&read.ids, read.table.codes()), (&ids, table.codes()));
    }
}

/// A parser of hostile input may refuse anything but must not panic.
#[test]
fn no_flipped_bit_makes_a_reader_panic() {
    let ids = EntityIds::Int((0..20).collect());
    let table = suffixed((0..20).flat_map(|row| [row, row % 20, row % 3]).collect());
    let parquet = Scratch::new("x.parquet");
    write_parquet(&parquet.path(), Side::Item, &ids, &table).unwrap();
    let json = Scratch::new("x.index.json");
    write_index_json(&json.path(), &ids, &table).unwrap();
    for scratch in [parquet, json] {
        let good = std::fs::read(scratch.path()).unwrap();
        // 17 shares no factor with 8: every place of a bit in its byte gets its turn.
        for bit in (0..good.len() * 8).step_by(17) {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(scratch.path(), bytes).unwrap();
            if let Ok(read) = read_any(&scratch.path(), None) {
                assert_eq!(read.ids.len(), read.table.len());
            }
        }
    }
}
