//! The whole step against float64 losses of an independent PyTorch implementation.

use std::path::{Path, PathBuf};

use das_model::yardstick::Yardstick;
use das_nn::Device;
use serde_json::Value;

/// Each of the 14 terms on step 0, and the total on the steps after it: rounding grows from there.
const TERM_TOLERANCE: f64 = 1e-4;
const TOTAL_TOLERANCE: f64 = 1e-3;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/yardstick")
}

fn compare(folder: &Path, golden: &Path) {
    let mut yardstick = Yardstick::load(folder, &Device::cpu()).unwrap();
    let golden = std::fs::read_to_string(golden).unwrap();
    for (step, line) in golden.lines().take(3).enumerate() {
        let expected: Value = serde_json::from_str(line).unwrap();
        let (total, terms) = yardstick.step();
        assert_close("loss", total, &expected["loss"], TOTAL_TOLERANCE, step);
        if step == 0 {
            assert_eq!(terms.len(), 14);
            for (term, value) in terms {
                assert_close(term, value, &expected[term], TERM_TOLERANCE, step);
            }
        }
    }
}

fn assert_close(name: &str, found: f32, expected: &Value, tolerance: f64, step: usize) {
    let expected = expected.as_f64().unwrap_or_else(|| panic!("no golden value for {name}"));
    let relative = (f64::from(found) - expected).abs() / expected.abs();
    assert!(
        relative <= tolerance,
        "step {step}, {name}: found {found}, expected {expected}, relative error {relative:.2e}"
    );
}

#[test]
fn the_small_step_has_the_golden_losses() {
    compare(&fixtures(), &fixtures().join("golden.jsonl"));
}

/// The large shape is 80 MB and therefore made on demand: `DAS_YARDSTICK` names a folder that
/// `torch_step.py make DIR --shape step` wrote.
#[test]
fn the_large_step_has_the_golden_losses() {
    let Some(folder) = std::env::var_os("DAS_YARDSTICK") else {
        eprintln!("SKIPPED: DAS_YARDSTICK does not name a folder with the 'step' shape");
        return;
    };
    compare(Path::new(&folder), &fixtures().join("golden_step.jsonl"));
}
