//! The whole step against float64 losses of an independent PyTorch implementation.

use std::path::{Path, PathBuf};

use das_model::yardstick::Yardstick;
use das_nn::{Device, Precision};
use serde_json::Value;

/// Each of the 14 terms on step 0, and the total on the steps after it: rounding grows from there.
struct Tolerance {
    term: f64,
    total: f64,
}

const F32: Tolerance = Tolerance { term: 1e-4, total: 1e-3 };
/// A factor of a product is off by up to 4e-3; errors of the many factors of a value cancel.
const BF16: Tolerance = Tolerance { term: 2e-2, total: 5e-3 };

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/yardstick")
}

fn compare(folder: &Path, golden: &Path, device: &Device, tolerance: &Tolerance) {
    let mut yardstick = Yardstick::load(folder, device).unwrap();
    let golden = std::fs::read_to_string(golden).unwrap();
    for (step, line) in golden.lines().take(3).enumerate() {
        let expected: Value = serde_json::from_str(line).unwrap();
        let (total, terms) = yardstick.step();
        assert_close("loss", total, &expected["loss"], tolerance.total, step);
        if step == 0 {
            assert_eq!(terms.len(), 14);
            for (term, value) in terms {
                assert_close(term, value, &expected[term], tolerance.term, step);
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
    compare(&fixtures(), &fixtures().join("golden.jsonl"), &Device::cpu(), &F32);
}

#[test]
fn the_small_step_is_near_them_in_half_the_precision() {
    let device = Device::cpu_with(Precision::Bf16);
    compare(&fixtures(), &fixtures().join("golden.jsonl"), &device, &BF16);
}

/// The large shape is 80 MB and therefore made on demand: `DAS_YARDSTICK` names a folder that
/// `torch_step.py make DIR --shape step` wrote.
#[test]
fn the_large_step_has_the_golden_losses() {
    let Some(folder) = std::env::var_os("DAS_YARDSTICK") else {
        eprintln!("SKIPPED: DAS_YARDSTICK does not name a folder with the 'step' shape");
        return;
    };
    let golden = fixtures().join("golden_step.jsonl");
    compare(Path::new(&folder), &golden, &Device::cpu(), &F32);
}
