//! Faults of settings, folders, disks and artifacts: named, and nothing is half-written.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use das_core::Side;

use crate::common::*;

#[test]
fn settings() {
    let bench = Bench::new();
    for (setting, parts) in [
        ("train.epoch=3", ["epoch", "unknown field"]),
        ("modle.beta=1", ["modle", "unknown field"]),
        ("train.batch_size=-4", ["batch_size", "-4"]),
        ("train.batch_size=0", ["train.batch_size", "0"]),
        ("model.code_dim=0", ["model.code_dim", "0"]),
        ("model.item.codebook_sizes=[8,0]", ["model.item.codebook_sizes[1]", "0"]),
        ("model.user.hidden=[0]", ["model.user.hidden[0]", "0"]),
        ("content.dim=0", ["dim", "0"]),
        ("collision.policy=luck", ["luck", "suffix"]),
        ("train.batch_size=1000000", ["train.batch_size", "training clicks"]),
    ] {
        fail(&mut bench.train_command("data", "run", &[setting]), 2, &parts);
        assert!(!bench.path("run").exists(), "{setting}");
    }
    let file = bench.path("small.toml");
    fs::write(&file, "seed = 1\n[train]\nepoch = 3\n").unwrap();
    fail(&mut bench.train_command("data", "run", &[]), 2, &["small.toml", "`epoch`", "`train`"]);
    fs::write(&file, "[train\n").unwrap();
    fail(&mut bench.train_command("data", "run", &[]), 2, &["small.toml", "line 1"]);
    fs::write(&file, b"a = \"\xff\"").unwrap();
    fail(&mut bench.train_command("data", "run", &[]), 1, &["small.toml", "UTF-8"]);
    assert!(!bench.path("run").exists());
}

#[test]
fn texts_that_cannot_be_embedded_leave_no_run() {
    let bench = Bench::new();
    let ids: Vec<i64> = (0..ITEMS as i64).collect();
    let empty = vec![""; ITEMS];
    let columns = [("item_id", ints(&ids)), ("title", texts(&empty))];
    write_parquet(&bench.path("data/items.parquet"), columns);
    fail(&mut bench.train_command("data", "run", &[]), 1, &["cannot embed the texts of items"]);
    assert!(!bench.path("run").exists());
}

#[test]
fn folders_that_are_taken_or_cannot_be() {
    let bench = Bench::new();
    bench.train("data", "run", &[]);
    let before = files_below(&bench.path("run"));
    fail(
        &mut bench.train_command("data", "run", &[]),
        1,
        &["run", "holds another run", "--resume"],
    );
    assert!(before == files_below(&bench.path("run")));

    // The data set itself is no place for a run.
    let before = files_below(&bench.path("data"));
    fail(&mut bench.train_command("data", "data", &[]), 1, &["data", "not empty and holds no run"]);
    assert!(before == files_below(&bench.path("data")));
    fail(&mut bench.resume_command("data", "none"), 1, &["none", "there is no run to resume"]);
    assert!(!bench.path("none").exists());

    // A path below a file cannot be written, whoever asks.
    let below = "small.toml/run";
    fail(&mut bench.train_command("data", below, &[]), 1, &["small.toml/run"]);
    let mut export = das(["export", "--format", "parquet", "--run"]);
    export.arg(bench.path("run")).arg("--out").arg(bench.path("small.toml/ids.parquet"));
    fail(&mut export, 1, &["small.toml/ids.parquet"]);
    let mut embed = das(["embed", "--data"]);
    embed.arg(bench.path("data")).arg("--out").arg(bench.path(below));
    fail(&mut embed, 1, &["small.toml/run"]);
    let mut encode = das(["encode", "--run"]);
    encode.arg(bench.path("run")).arg("--items").arg(bench.path("data/items.parquet"));
    fail(encode.arg("--out").arg(bench.path("small.toml/ids")), 1, &["small.toml/ids"]);
    let mut import = das(["import", "parquet", "--timestamp", "timestamp"]);
    import.arg(bench.path("data/interactions.parquet"));
    fail(import.arg("--out").arg(bench.path("run")), 1, &["run", "not empty"]);
    assert!(bench.path("small.toml").is_file());
}

/// `command` where no file may grow beyond `blocks` of 512 bytes, as on a disk that is full.
fn with_little_room(command: &Command, blocks: u32) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f $0; exec \"$@\"", &blocks.to_string()]);
    limited.arg(command.get_program()).args(command.get_args());
    limited
}

#[test]
fn a_full_disk_while_embedding_leaves_no_run() {
    let bench = Bench::new();
    let train = bench.train_command("data", "run", &[]);
    fail(&mut with_little_room(&train, 8), 1, &["run/content/", "cannot write", "too large"]);
    assert!(!bench.path("run").exists());
    let before = files_below(&bench.path("data"));
    let mut embed = das(["embed", "--data"]);
    embed.arg(bench.path("data")).arg("--config").arg(bench.path("small.toml"));
    fail(&mut with_little_room(&embed, 8), 1, &["data/", "cannot write"]);
    let mut after = files_below(&bench.path("data"));
    // What was complete may stay, as long as no vectors stand without all that belongs to them.
    after.retain(|name, _| !name.starts_with("embedder/") && name != "embeddings.json");
    assert!(before == after);
}

#[test]
fn a_full_disk_while_training_leaves_a_run_that_resumes() {
    let bench = Bench::new();
    bench.give_embeddings("data");
    let whole = bench.train("data", "whole", &[]);
    let train = bench.train_command("data", "run", &[]);
    let parts = ["run/checkpoints/step-", "cannot write", "too large"];
    fail(&mut with_little_room(&train, 64), 1, &parts);
    let run = bench.path("run");
    assert!(!run.join("artifact").exists());
    assert_eq!(files_below(&run.join("checkpoints")).len(), 0);
    succeed(&mut bench.resume_command("data", "run"));
    assert_same_files(&whole, &run.join("artifact"));
}

#[test]
fn a_full_disk_while_exporting_keeps_the_old_file() {
    let bench = Bench::new();
    bench.train("data", "run", &[]);
    let out = bench.path("ids.index.json");
    fs::write(&out, "old").unwrap();
    let mut export = das(["export", "--format", "index-json", "--run"]);
    export.arg(bench.path("run")).arg("--out").arg(&out);
    fail(&mut with_little_room(&export, 4), 1, &["ids.index.json", "cannot write"]);
    assert_eq!(fs::read_to_string(&out).unwrap(), "old");
    if let Ok(full) = File::options().write(true).open("/dev/full") {
        let mut inspect = das(["inspect"]);
        let output = inspect.arg(bench.path("run")).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("No space"));
    }
}

#[test]
fn a_resume_with_other_data_is_refused() {
    let bench = Bench::new();
    bench.give_embeddings("data");
    bench.train("data", "run", &[]);
    let artifact = files_below(&bench.path("run/artifact"));
    let refused = |name: &str| {
        fail(&mut bench.resume_command("data", "run"), 1, &["data", name, "when the run began"]);
        assert!(artifact == files_below(&bench.path("run/artifact")));
    };
    let vectors_file = bench.path("data/item_embeddings.parquet");
    let whole = fs::read(&vectors_file).unwrap();
    let ids: Vec<i64> = (0..ITEMS as i64).rev().collect();
    let columns = [("item_id", ints(&ids)), ("vector", vectors(6, &wave(ITEMS, 6)))];
    write_parquet(&vectors_file, columns);
    refused("item_embeddings.parquet");
    fs::write(&vectors_file, whole).unwrap();
    let mut log = bench.market.log.clone();
    log.items.swap(0, 1);
    let writer = das_data::DataSetWriter::create(&bench.path("other")).unwrap();
    let market = &bench.market;
    writer.write_interactions(&log, market.users.ids(), market.items.ids()).unwrap();
    writer.publish().unwrap();
    let log = "interactions.parquet";
    fs::copy(bench.path("other").join(log), bench.path("data").join(log)).unwrap();
    refused(log);
}

#[test]
fn altered_artifacts() {
    let bench = Bench::new();
    let artifact = bench.train("data", "run", &[]);
    let (run, out) = (bench.path("run"), bench.path("out.parquet"));
    let flipped = |name: &str, check: &dyn Fn()| {
        let path = artifact.join(name);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        bytes[whole.len() / 2] ^= 1;
        fs::write(&path, &bytes).unwrap();
        check();
        fs::write(&path, &bytes[..whole.len() - 1]).unwrap();
        check();
        fs::remove_file(&path).unwrap();
        check();
        fs::write(&path, whole).unwrap();
    };
    let inspect = |part: &str| fail(das(["inspect"]).arg(&run), 1, &[part]);
    for name in ["model.safetensors", "config.toml", "user_sids.parquet", "icdm.safetensors"] {
        flipped(name, &|| inspect(name));
    }
    flipped("item_sids.parquet", &|| {
        let mut export = das(["export", "--format", "parquet", "--run"]);
        fail(export.arg(&run).arg("--out").arg(&out), 1, &["item_sids.parquet"]);
    });
    flipped("model.safetensors", &|| {
        let mut encode = das(["encode", "--run"]);
        encode.arg(&run).arg("--items").arg(bench.path("data/items.parquet"));
        fail(encode.arg("--out").arg(&out), 1, &["model.safetensors"]);
    });
    assert!(!out.exists());
    succeed(das(["inspect"]).arg(&run));
    let path = artifact.join("manifest.json");
    let whole = fs::read_to_string(&path).unwrap();
    for bad in [&whole[..whole.len() / 2], &whole.replacen("\"id_space\": \"", "$0x", 1), "{}"] {
        fs::write(&path, bad).unwrap();
        inspect("manifest.json");
    }
}

#[test]
fn files_that_hold_no_ids() {
    let bench = Bench::new();
    let inspect = |name: &str, content: &[u8], code: i32, parts: &[&str]| {
        fs::write(bench.path(name), content).unwrap();
        fail(das(["inspect"]).arg(bench.path(name)), code, &[&[name], parts].concat());
    };
    inspect("a.index.json", b"{", 1, &["not an index of IDs"]);
    inspect("b.index.json", br#"{"1": ["<a_0>"], "2": ["<b_0>"]}"#, 1, &["\"2\""]);
    inspect("c.index.json", br#"{"1": ["<a_0>"], "1": ["<a_1>"]}"#, 1, &["1"]);
    inspect("d.parquet", b"PAR1PAR1", 1, &[]);
    inspect("e.txt", b"", 1, &["expected `.index.json` or `.parquet`"]);
    fail(das(["inspect"]).arg(bench.path("absent.parquet")), 1, &["absent.parquet"]);
    fail(das(["inspect"]).arg(bench.path("data")), 1, &["manifest.json"]);
    // IDs of a few items only, held against a data set that has more.
    fs::write(bench.path("f.index.json"), br#"{"0": ["<a_0>"], "1": ["<a_1>"]}"#).unwrap();
    let mut inspect = das(["inspect"]);
    inspect.arg(bench.path("f.index.json")).arg("--data").arg(bench.path("data"));
    fail(&mut inspect, 1, &["f.index.json", "miss item 2"]);
}

#[test]
fn tables_that_cannot_be_encoded() {
    let bench = Bench::new();
    bench.train("data", "from-text", &[]);
    bench.give_embeddings("data");
    bench.train("data", "from-vectors", &[]);
    let out = bench.path("ids.parquet");
    let encode = |run: &str, flag: &str, table: &Path, parts: &[&str]| {
        let mut encode = das(["encode", "--run"]);
        encode.arg(bench.path(run)).arg(flag).arg(table).arg("--out").arg(&out);
        fail(&mut encode, 1, parts);
        assert!(!out.exists());
    };
    let table = bench.path("new.parquet");
    let wrong = ("vector", vectors(5, &[1.0; 10]));
    write_parquet(&table, [("item_id", ints(&[900, 901])), wrong]);
    for (run, width) in [("from-vectors", "width 6"), ("from-text", "width 24")] {
        encode(run, "--items", &table, &["new.parquet", width, "found 5"]);
    }
    let zero = ("vector", vectors(6, &[0.0; 6]));
    write_parquet(&table, [("item_id", ints(&[900])), zero]);
    encode("from-vectors", "--items", &table, &["new.parquet", "row 0", "all zero"]);
    let items = bench.path("data/items.parquet");
    encode("from-vectors", "--items", &items, &["no embedding column", "width 6"]);
    encode("from-text", "--users", &items, &["items.parquet", "no column `user_id`"]);
    encode("none", "--items", &items, &["manifest.json"]);
    write_parquet(&table, [(Side::Item.id_column(), ints(&[1, 1])), ("title", texts(&["a", "b"]))]);
    encode("from-text", "--items", &table, &["new.parquet", "duplicate id 1"]);
}
