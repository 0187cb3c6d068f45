//! Whole training steps against float64 losses of independent PyTorch implementations. A loss after
//! the first knows the gradients, the clipping and the optimizer of the steps before it.
//!
//! The fixtures are what `benches/torch_MODEL.py make DIR --shape small` and `golden DIR --steps 8`
//! write.

use std::fs;
use std::path::{Path, PathBuf};

use das_nn::Device;
use das_recommend::yardstick::{RankerYardstick, RetrieverYardstick, Steps};
use serde_json::Value;

const TOLERANCE: f64 = 1e-5;

fn fixture(model: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(model)
}

fn compare(mut steps: Steps<'_>, golden: &Path) {
    let golden: Value = serde_json::from_slice(&fs::read(golden).unwrap()).unwrap();
    let losses = golden["losses"].as_array().unwrap();
    assert_eq!(losses.len(), 8);
    for (step, expected) in losses.iter().enumerate() {
        let (found, expected) = (f64::from(steps.step().unwrap()), expected.as_f64().unwrap());
        let error = (found - expected).abs() / expected;
        assert!(
            error <= TOLERANCE,
            "step {step}: found {found}, expected {expected}, relative error {error:.2e}"
        );
    }
}

#[test]
fn the_ranker_has_the_golden_losses() {
    let folder = fixture("ranker");
    let yardstick = RankerYardstick::load(&folder).unwrap();
    compare(yardstick.steps(&Device::cpu()).unwrap(), &folder.join("golden.json"));
}

#[test]
fn the_retriever_has_the_golden_losses() {
    let folder = fixture("retriever");
    let yardstick = RetrieverYardstick::load(&folder).unwrap();
    compare(yardstick.steps(&Device::cpu()).unwrap(), &folder.join("golden.json"));
}

/// A copy of a fixture with its settings changed.
fn with_config(model: &str, change: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.json", "init.safetensors", "batches.safetensors"] {
        fs::copy(fixture(model).join(name), folder.path().join(name)).unwrap();
    }
    let path = folder.path().join("config.json");
    let mut config = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut config);
    fs::write(path, config.to_string()).unwrap();
    folder
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = with_config("retriever", |config| config["settings"]["history"] = 3.into());
    let error = RetrieverYardstick::load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("batches.safetensors"), "{error}");
    assert!(error.contains("expected 2 to 4 items, found"), "{error}");

    let folder = with_config("ranker", |config| config["settings"]["fit"]["batch_size"] = 5.into());
    let error = RankerYardstick::load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("128 examples, expected whole batches of 5"), "{error}");

    let folder = with_config("ranker", |config| config["context"][0][0] = "weekday".into());
    let error = RankerYardstick::load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("tensor `context.weekday` is missing"), "{error}");

    let folder = with_config("ranker", |config| config["settings"]["dim"] = 5.into());
    let yardstick = RankerYardstick::load(folder.path()).unwrap();
    let error = yardstick.steps(&Device::cpu()).err().unwrap().to_string();
    assert!(error.contains("expected f32 [41, 5], found f32 [41, 4]"), "{error}");
}
