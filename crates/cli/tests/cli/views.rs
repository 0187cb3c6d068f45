//! Content of several views: two texts and ready-made vectors that not every item has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow_array::types::Float32Type;
use arrow_array::{ArrayRef, ListArray};
use das_core::{RowMatrix, Side, npy};

use crate::common::*;

const VIEWS: &str = r#"data.item_views=[{name="title", text="{title}"}, {name="image", vectors="items.parquet"}, {name="all"}]"#;
const IMAGE: usize = 5;

/// A column of vectors of which every third row has none.
fn images(rows: usize) -> ArrayRef {
    let values = wave(rows, IMAGE);
    let rows = values.chunks(IMAGE).enumerate().map(|(row, vector)| {
        (row % 3 != 0).then(|| vector.iter().map(|&x| Some(10.0 * x)).collect::<Vec<_>>())
    });
    Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows))
}

/// The items under `ids`, with the texts of the first ones and, if asked, their images.
fn write_items(bench: &Bench, path: &Path, ids: &[i64], with_images: bool) {
    let [titles, descriptions] = ["title", "description"].map(|name| {
        let column = bench.market.items.column(name).unwrap();
        (0..ids.len()).map(|row| column.parts(row).collect::<String>()).collect::<Vec<_>>()
    });
    let mut columns = vec![
        ("item_id", ints(ids)),
        ("title", texts(&titles)),
        ("description", texts(&descriptions)),
    ];
    if with_images {
        columns.push(("image", images(ids.len())));
    }
    write_parquet(path, columns);
}

/// A bench whose items have images.
fn bench() -> Bench {
    let bench = Bench::new();
    let ids: Vec<i64> = (0..ITEMS as i64).collect();
    write_items(&bench, &bench.path("data/items.parquet"), &ids, true);
    bench
}

fn encode(bench: &Bench, items: &Path) -> Command {
    let mut encode = das(["encode", "--items"]);
    encode.arg(items).arg("--run").arg(bench.path("run"));
    encode.arg("--out").arg(bench.path("ids.parquet"));
    encode
}

/// Codes of `items` by the run, without what tells twins apart.
fn learned(bench: &Bench, items: &Path) -> Vec<Vec<u32>> {
    succeed(&mut encode(bench, items));
    let file = das_core::sid::files::read_parquet(&bench.path("ids.parquet"), None).unwrap();
    let levels = file.table.layout().num_levels();
    (0..file.table.len()).map(|row| file.table.prefix(row, levels).to_vec()).collect()
}

#[test]
fn trained_on_and_encoded_with() {
    for fusion in ["sum", "concat"] {
        let bench = bench();
        let fusion = format!("model.fusion={fusion}");
        let artifact = bench.train("data", "run", &[VIEWS, &fusion]);
        let item = &manifest(&artifact)["sides"]["item"];
        let views: Vec<(&str, u64, bool)> = item["views"]
            .as_array()
            .unwrap()
            .iter()
            .map(|view| {
                let name = view["name"].as_str().unwrap();
                (name, view["dim"].as_u64().unwrap(), view["embedder"].is_object())
            })
            .collect();
        assert_eq!(views, [("title", 24, true), ("image", 5, false), ("all", 24, true)]);
        assert_eq!((&item["content_dim"], item["embedder"].is_null()), (&53.into(), true));
        assert!(manifest(&artifact)["sides"]["user"].get("views").is_none());

        let known = sids(&artifact, Side::Item);
        let again = bench.path("data/items.parquet");
        succeed(&mut encode(&bench, &again));
        let again = das_core::sid::files::read_parquet(&bench.path("ids.parquet"), None).unwrap();
        assert_eq!((&again.ids, &again.table), (&known.ids, &known.table));
    }
}

#[test]
fn vectors_stand_side_by_side_with_norm_1() {
    let bench = bench();
    let mut embed = das(["embed", "--set", VIEWS, "--data"]);
    embed.arg(bench.path("data")).arg("--config").arg(bench.path("small.toml"));
    let made = succeed_json(&mut embed);
    assert_eq!(made["item"]["views"][1]["name"], "image");
    assert!(made["item"]["views"][0]["embedder"]["hash"].is_string());
    let matrix = match npy::open(&bench.path("data/item_embeddings.npy")).unwrap() {
        npy::NpyMatrix::Mapped(matrix) => matrix,
        other => panic!("{other:?}"),
    };
    let images = wave(ITEMS, IMAGE);
    let norm = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>().sqrt();
    for (row, image) in images.chunks(IMAGE).enumerate() {
        let found = matrix.row(row);
        let (title, found, all) = (&found[..24], &found[24..29], &found[29..]);
        assert!((norm(title) - 1.0).abs() < 1e-5 && (norm(all) - 1.0).abs() < 1e-5);
        for (x, y) in found.iter().zip(image) {
            let expected = if row % 3 == 0 { 0.0 } else { y / norm(image) };
            assert!((x - expected).abs() < 1e-5, "row {row}: {x} and {expected}");
        }
    }
    // Training under the same views takes them as they are, and under others makes its own.
    let content = |run: &str| bench.path(run).join("content/item_embeddings.npy").exists();
    bench.train("data", "same", &[VIEWS]);
    assert!(!content("same"));
    let other = call(&mut bench.train_command("data", "other", &["data.item_views=[]"]));
    assert_eq!(other.code, Some(0), "{other:?}");
    assert!(other.stderr.contains("made anew") && content("other"), "{}", other.stderr);
}

#[test]
fn a_new_item_may_lack_views() {
    let bench = bench();
    bench.train("data", "run", &[VIEWS]);
    let with: PathBuf = bench.path("with.parquet");
    let ids = [900, 901, 902, 903];
    write_items(&bench, &with, &ids, true);
    let known: Vec<Vec<u32>> =
        learned(&bench, &bench.path("data/items.parquet")).into_iter().take(4).collect();
    assert_eq!(learned(&bench, &with), known);

    let without = bench.path("without.parquet");
    write_items(&bench, &without, &ids, false);
    let called = call(&mut encode(&bench, &without));
    assert_eq!(called.code, Some(0), "{called:?}");
    assert!(called.stderr.contains("no column of vectors is called `image`"), "{}", called.stderr);
    let csv = bench.path("new.csv");
    fs::write(&csv, "item_id,title,description\n900,,\n").unwrap();
    let called = call(&mut encode(&bench, &csv));
    assert_eq!(called.code, Some(0), "{called:?}");
    assert!(called.stderr.contains("1 of 1 items have none of the views"), "{}", called.stderr);
}

#[test]
fn what_cannot_work_is_told() {
    let bench = bench();
    let train =
        |views: &str| bench.train_command("data", "run", &[&format!("data.item_views={views}")]);
    fail(&mut train(r#"[{name="a/b"}]"#), 2, &["data.item_views", "`a/b`"]);
    fail(&mut train(r#"[{name="a"}, {name="a"}]"#), 2, &["two views named `a`"]);
    let both = r#"[{name="a", text="{title}", vectors="x.npy"}]"#;
    fail(&mut train(both), 2, &["view `a`", "found both"]);
    fail(&mut train(r#"[{name="a", txt="{title}"}]"#), 2, &["txt"]);
    fail(&mut train(r#"[{name="a", text="{titel}"}]"#), 1, &["titel", "columns present"]);
    fail(&mut train(r#"[{name="a", vectors="x.npy"}]"#), 1, &["x.npy"]);
    fail(&mut train(r#"[{name="image", vectors="items.parquet"}]"#), 1, &["item 0", "none of the"]);
    let narrow = [VIEWS, "model.fusion=concat", "model.item.hidden=[2]"];
    fail(&mut bench.train_command("data", "run", &narrow), 2, &["model.fusion", "views (3)"]);

    bench.train("data", "run", &[VIEWS]);
    let other = bench.path("other.parquet");
    let [title, text] = [texts(&["a"]), texts(&["b"])];
    let columns = [("item_id", ints(&[1])), ("title", title), ("description", text)];
    let wide = ("image", vectors(2, &[1.0, 2.0]));
    write_parquet(&other, columns.into_iter().chain([wide]));
    fail(&mut encode(&bench, &other), 1, &["other.parquet", "`image`", "width 5, found 2"]);
}
