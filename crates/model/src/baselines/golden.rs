//! The first steps of `rqvae` and `letter` against float64 losses of a PyTorch implementation
//! (`tests/fixtures/baselines/golden.py`).

use std::path::Path;

use das_core::{ClickEpoch, Clicks, DenseMatrix, Side};
use das_nn::safetensors_io::{NamedTensor, TensorData};
use das_nn::{AdamW, AdamWConfig, Device, Tape};
use serde_json::Value;

use super::letter::{LetterConfig, LetterObjective};
use super::rows::{RowBatch, RowsObjective};
use super::rqvae::RqvaeConfig;
use crate::Reduction;
use crate::method::{Inputs, Run};
use crate::train::Objective;

const TOLERANCE: f64 = 1e-4;
const ROWS: u32 = 40;
const CONTENT: usize = 20;
const HIDDEN: usize = 16;
const DIM: usize = 8;
const SIZES: [u32; 3] = [8; 3];

/// No clicks: neither objective looks at them.
struct NoClicks;

impl Clicks for NoClicks {
    fn num_users(&self) -> usize {
        0
    }
    fn num_items(&self) -> usize {
        ROWS as usize
    }
    fn num_clicks(&self) -> usize {
        0
    }
    fn items_of(&self, _user: u32) -> &[u32] {
        &[]
    }
    fn user_clicks(&self) -> &[u32] {
        &[]
    }
    fn item_clicks(&self) -> &[u32] {
        &[]
    }
    fn item_exposures(&self) -> &[u32] {
        &[]
    }
    fn user_exposures(&self) -> &[u32] {
        &[]
    }
    fn epoch(&self, _seed: u64, _epoch: u64) -> ClickEpoch {
        ClickEpoch::default()
    }
}

fn golden() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/baselines/golden.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
}

fn compare<O: Objective<Batch = RowBatch>>(mut objective: O, golden: &Value, method: &str) {
    for (name, values) in golden["parameters"].as_object().unwrap() {
        let id = objective.params().id(name).expect("a parameter of the model");
        objective.params_mut().set(id, &floats(values)).unwrap();
    }
    let config = AdamWConfig { weight_decay: 1e-4, ..AdamWConfig::default() };
    let mut optimizer = AdamW::new(objective.params(), config);
    for (step, expected) in golden[method].as_array().unwrap().iter().enumerate() {
        let content = floats(&golden["content"]);
        let batch = RowBatch { rows: (0..ROWS).collect(), content, step: step as u64 };
        let mut tape = Tape::new(objective.params());
        let terms = objective.loss(&mut tape, &batch, true);
        let loss = terms.total(&mut tape);
        let mut found = terms.values(&tape);
        assert_eq!(found.len() + 1, expected.as_object().unwrap().len());
        found.push(("loss", tape.scalar(loss)));
        for (name, value) in found {
            let expected = expected[name].as_f64().unwrap();
            let relative = (f64::from(value) - expected).abs() / expected.abs();
            assert!(
                relative <= TOLERANCE,
                "{method}, step {step}, {name}: found {value}, expected {expected}"
            );
        }
        let gradients = tape.backward(loss);
        optimizer.step(objective.params_mut(), &gradients, 1e-3, 1e-3);
    }
}

#[test]
fn first_steps_have_the_golden_losses() {
    let golden = golden();
    let content = DenseMatrix::new(CONTENT, floats(&golden["content"])).unwrap();
    let device = Device::cpu();
    let inputs = Inputs {
        clicks: &NoClicks,
        content: [&content, &content],
        validation: None,
        collaborative: [None, None],
    };
    let run = Run { device: &device, inputs, seed: 0, store: None };
    let rqvae = RqvaeConfig {
        hidden: vec![HIDDEN],
        codebook_sizes: SIZES.to_vec(),
        code_dim: DIM,
        reduction: Reduction::Mean,
        ..RqvaeConfig::default()
    };
    compare(RowsObjective::new(rqvae.rows(), &run, Side::Item).unwrap(), &golden, "rqvae");

    let letter = LetterConfig {
        hidden: vec![HIDDEN],
        codebook_sizes: SIZES.to_vec(),
        code_dim: DIM,
        reduction: Reduction::Mean,
        ..LetterConfig::default()
    };
    let collaborative = DenseMatrix::new(DIM, floats(&golden["collaborative"])).unwrap();
    let mut letter = LetterObjective::new(&letter, &run, Side::Item, collaborative).unwrap();
    // Clusters of two codes, which leave one positive for each.
    let pairs = |(level, size): (usize, &u32)| NamedTensor {
        name: format!("clusters.{level}"),
        shape: vec![*size as usize],
        data: TensorData::U32((0..*size).map(|code| code / 2).collect()),
    };
    let clusters: Vec<NamedTensor> = SIZES.iter().enumerate().map(pairs).collect();
    letter.load_state(&clusters).unwrap();
    compare(letter, &golden, "letter");
}
