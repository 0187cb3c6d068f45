//! The path of a stranger: import, embed, train, and what the program says on the way.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use das_core::Side;
use das_data::DataSet;
use serde_json::json;

use crate::common::*;

#[test]
fn every_command_explains_itself_with_an_example() {
    let commands = [
        "demo",
        "import",
        "market",
        "tuning-set",
        "embed",
        "train",
        "encode",
        "inspect",
        "export",
        "train-retriever",
        "train-ranker",
        "compare",
        "contrasts",
        "report",
        "bench",
    ];
    for command in commands {
        let help = succeed(&mut das([command, "--help"]));
        assert!(help.contains("Example") && help.contains(&format!("das {command}")), "{help}");
    }
    for command in ["--help", "--version"] {
        assert!(succeed(&mut das([command])).contains("das"));
    }
}

#[test]
fn wrong_calls_end_with_2() {
    for call in [
        &[][..],
        &["trian"],
        &["train"],
        &["train", "--data", "x", "--out", "y", "--resume", "--seed", "1"],
        &["encode", "--run", "x", "--out", "y"],
        &["encode", "--run", "x", "--items", "a", "--users", "b", "--out", "y"],
        &["export", "--run", "x", "--format", "xml", "--out", "y"],
        &["inspect", "x", "--category", "brand"],
        &["import", "csv", "x", "--out", "y", "--k-core", "5"],
        &["import", "csv", "x", "--out", "y", "--rating", "stars"],
        &["bench", "step", "--dir", "x", "--threads", "0"],
        &["bench", "scale", "--users", "9", "--items", "9"],
        &["bench", "scale", "--users", "9", "--items", "1", "--clicks", "900"],
        &["bench", "scale", "--users", "9", "--items", "9", "--clicks", "1e6"],
        &["bench", "retrieve"],
        &["bench", "retrieve", "--run", "x"],
        &["bench", "retrieve", "--dir", "x", "--run", "y", "--data", "z"],
        &["bench", "retrieve", "--run", "x", "--data", "y", "--latency"],
        &["bench", "retrieve", "--dir", "x", "--beam", "5"],
        &["compare", "--data", "x", "--out", "y", "--seeds", "0"],
        &["compare", "--data", "x", "--out", "y", "--preset", "fast"],
        &["train-ranker", "--run", "x"],
        &["report", "x"],
    ] {
        fail(&mut das(call), 2, &[]);
    }
}

#[test]
fn from_csv_to_ids() {
    let bench = Bench::new();
    let [mut clicks, mut products] =
        ["uid,sku,time,clicked\n", "sku,title,tags\n"].map(String::from);
    let (log, items) = (&bench.market.log, &bench.market.items);
    let labels = log.labels.as_ref().unwrap();
    for (row, &label) in labels.iter().enumerate() {
        let (user, item, label) = (log.users[row], log.items[row], u8::from(label));
        writeln!(clicks, "u{user},item-{item},{},{label}", log.order[row]).unwrap();
    }
    for row in 0..ITEMS {
        let [title, tags] = ["title", "description"]
            .map(|name| items.column(name).unwrap().parts(row).collect::<String>());
        writeln!(products, "item-{row},{title},{tags}").unwrap();
    }
    fs::write(bench.path("clicks.csv"), clicks).unwrap();
    fs::write(bench.path("products.csv"), products).unwrap();
    let mut import = das(["import", "csv", "--user", "uid", "--item", "sku"]);
    import.args(["--timestamp", "time", "--label", "clicked"]).arg(bench.path("clicks.csv"));
    import.arg("--items").arg(bench.path("products.csv")).arg("--out").arg(bench.path("shop"));
    let said = succeed(&mut import);
    assert!(said.contains(&format!("{ITEMS} items, {} interactions", log.users.len())), "{said}");
    let artifact = bench.train("shop", "run", &[]);
    let ids = sids(&artifact, Side::Item);
    assert_eq!((ids.ids.len(), ids.ids.type_name()), (ITEMS, "string"));
}

#[test]
fn training_reports_its_result() {
    let bench = Bench::new();
    let report = succeed_json(&mut bench.train_command("data", "run", &[]));
    assert!(report["seconds"]["total"].as_f64().unwrap() > 0.0);
    assert_eq!(report["artifact"], bench.path("run/artifact").to_str().unwrap());
    assert_eq!(report["intrinsic"], manifest(&bench.path("run/artifact"))["metrics"]["intrinsic"]);
    assert!(report["validation"]["recall@50"].is_number());
    let records = metrics(&bench.path("run"));
    let steps = records.iter().filter(|record| record["kind"] == "step");
    let numbers: Vec<u64> = steps.map(|record| record["step"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
    assert_eq!(records.iter().filter(|record| record["kind"] == "epoch").count(), 4);
    assert_eq!(files_below(&bench.path("run/tensorboard")).len(), 1);
}

#[test]
fn the_seed_decides() {
    let bench = Bench::new();
    let train = |run: &str, seed: &str| {
        succeed(bench.train_command("data", run, &["seed=5"]).args(["--seed", seed]));
        manifest(&bench.path(run).join("artifact"))["id_space"].clone()
    };
    let first = train("a", "1");
    assert_eq!(first, train("b", "1"));
    assert_ne!(first, train("c", "2"));
}

#[test]
fn vectors_embedded_beforehand_are_used_under_their_own_settings_only() {
    let bench = Bench::new();
    let embed = |settings: &[&str]| {
        let mut embed = das(["embed", "--data"]);
        embed.arg(bench.path("data")).arg("--config").arg(bench.path("small.toml"));
        embed.args(settings.iter().flat_map(|setting| ["--set", setting]));
        embed
    };
    let in_one_go = bench.train("data", "in-one-go", &[]);
    let made = succeed_json(&mut embed(&[]));
    assert!(made["item"]["report"].is_object() && made["user"]["embedder"].is_object());
    let artifact = bench.train("data", "run", &[]);
    assert!(!bench.path("run/content").exists());
    for side in Side::BOTH {
        assert_eq!(sids(&artifact, side), sids(&in_one_go, side));
    }
    assert_eq!(manifest(&artifact)["id_space"], manifest(&in_one_go)["id_space"]);

    // Under other settings a run says so and makes its own.
    let made_anew = |run: &str, setting: &str, side: &str| {
        let called = call(&mut bench.train_command("data", run, &[setting]));
        assert_eq!(called.code, Some(0), "{called:?}");
        for part in [&format!("{side}_embeddings"), "embedded from other texts", "made anew"] {
            assert!(called.stderr.contains(part), "{called:?}");
        }
        assert!(bench.path(run).join("content").exists());
    };
    made_anew("split", "data.split=global-time", "user");
    made_anew("text", "data.item_text={title}", "item");
    succeed(&mut embed(&["data.split=global-time"]));
    let other = bench.train("data", "other", &["data.split=global-time"]);
    assert!(!bench.path("other/content").exists());
    let own = bench.path("split/artifact");
    assert_eq!(sids(&other, Side::User), sids(&own, Side::User));
    // Other texts under the same ids make the vectors stale.
    let ids: Vec<i64> = (0..ITEMS as i64).collect();
    let titles: Vec<String> = ids.iter().map(|id| format!("thing {id}")).collect();
    let columns = [("item_id", ints(&ids)), ("title", texts(&titles))];
    write_parquet(&bench.path("data/items.parquet"), columns);
    made_anew("new", "data.split=global-time", "item");
}

#[test]
fn embedding_never_replaces_vectors_that_others_made() {
    let bench = Bench::new();
    bench.give_embeddings("data");
    let before = files_below(&bench.path("data"));
    let mut embed = das(["embed", "--data"]);
    embed.arg(bench.path("data"));
    fail(&mut embed, 1, &["data", "not made by `das embed`", "--out"]);
    assert!(before == files_below(&bench.path("data")));
    embed.arg("--config").arg(bench.path("small.toml"));
    succeed(embed.arg("--out").arg(bench.path("elsewhere")));
    assert!(bench.path("elsewhere/item_embeddings.npy").exists());
    assert!(before == files_below(&bench.path("data")));
}

#[test]
fn early_stopping_stops_and_keeps_the_best_epoch() {
    let bench = Bench::new();
    // Steps so large that validation soon falls.
    let settings = ["train.epochs=40", "train.early_stopping=2", "train.learning_rate=0.02"];
    let report = succeed_json(&mut bench.train_command("data", "run", &settings));
    let recalls: Vec<f64> = metrics(&bench.path("run"))
        .iter()
        .filter_map(|record| record["validation"]["recall@50"].as_f64())
        .collect();
    let best = recalls.iter().copied().fold(f64::MIN, f64::max);
    let at = recalls.iter().position(|&recall| recall == best).unwrap();
    // One epoch passes before the codes are in use; two worse ones follow the best.
    assert_eq!(recalls.len(), at + 3, "{recalls:?}");
    assert!(recalls.len() + 1 < 40, "never stopped");
    assert_eq!(report["validation"]["recall@50"], best);
    let artifact = bench.path("run/artifact");
    let published = &manifest(&artifact)["metrics"];
    assert_eq!(published["validation"]["recall@50"], best);
    // The weights are those of that epoch: a run that ends there publishes the same.
    assert_eq!(published["epochs"], recalls.len() + 1);
}

#[test]
fn a_tuning_set_trains_without_the_test_rows() {
    let bench = Bench::new();
    let (data, out) = (bench.path("data"), bench.path("tuning"));
    let mut command = das(["tuning-set", "--split", "per-user-time", "--data"]);
    let report = succeed_json(command.arg(&data).arg("--out").arg(&out));
    let rows = |folder: &Path| DataSet::open(folder).unwrap().interactions().len();
    let dropped = rows(&data) - rows(&out);
    assert!(dropped > 0);
    assert_eq!((&report["kept"], &report["dropped"]), (&json!(rows(&out)), &json!(dropped)));
    bench.train("tuning", "run", &["data.split=per-user-time"]);
    let mut again = das(["tuning-set", "--data"]);
    fail(again.arg(&data).arg("--out").arg(&out), 1, &["tuning", "not empty"]);
}

#[test]
fn a_market_of_any_size_is_written_with_its_truth() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("market");
    let sizes = ["--users", "30", "--items", "60", "--rounds", "3", "--slots", "8", "--seed", "2"];
    let mut command = das(["market", "--unbiased-rounds", "1", "--out"]);
    let report = succeed_json(command.arg(&out).args(sizes));
    let data = DataSet::open(&out).unwrap();
    assert_eq!(report["exposures"], json!(30 * 3 * 8));
    assert_eq!((data.interactions().len(), data.item_ids().len()), (720, 60));
    assert!(out.join("item_truth.parquet").is_file() && out.join("user_truth.parquet").is_file());
    fail(das(["market", "--out"]).arg(&out).args(sizes), 1, &["market", "not empty"]);
    let other = folder.path().join("other");
    let mut command = das(["market", "--unbiased-rounds", "10", "--out"]);
    fail(command.arg(&other), 1, &["unbiased_rounds: 10", "less than the 10 rounds"]);
    assert!(!other.exists());
}

#[test]
fn every_split_and_table_update_trains() {
    let bench = Bench::new();
    for settings in [
        ["data.split=per-user-time", "train.table_update=dense"],
        ["data.split=global-time", "model.direction=row-to-column"],
        ["data.partner_window=0", "model.reduction=mean"],
        ["model.align_codes=true", "train.clip_norm=1"],
    ] {
        let run = settings.join("+");
        let artifact = bench.train("data", &run, &settings);
        assert_eq!(sids(&artifact, Side::User).ids.len(), USERS);
        assert!(manifest(&artifact)["data"]["split"].is_string());
    }
}
