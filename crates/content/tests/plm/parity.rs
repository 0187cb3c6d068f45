//! The same vectors as `transformers`, however texts are batched.

use std::path::Path;

use das_content::{Plm, PlmConfig, Pooling};
use das_core::RowMatrix;
use das_core::npy::{self, NpyMatrix};
use half::f16;

use crate::{embed, fixture, titles};

/// The rows of a matrix that `make.py` wrote.
fn expected(path: &Path) -> Vec<Vec<f32>> {
    match npy::open(path).unwrap() {
        NpyMatrix::Mapped(matrix) => {
            (0..matrix.rows()).map(|row| matrix.row(row).to_vec()).collect()
        }
        NpyMatrix::Other(header) => {
            let bytes = &std::fs::read(path).unwrap()[header.offset as usize..];
            let word = |bytes: &[u8]| f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
            let values: Vec<f32> = bytes.chunks_exact(2).map(word).collect();
            values.chunks_exact(header.dim).map(<[f32]>::to_vec).collect()
        }
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn check(vectors: &[Vec<f32>], expected: &[Vec<f32>], tolerance: f32) {
    assert_eq!(vectors.len(), expected.len());
    for (row, (vector, expected)) in vectors.iter().zip(expected).enumerate() {
        assert!(cosine(vector, expected) >= 0.9999, "row {row}");
        let scale = expected.iter().fold(0f32, |max, value| max.max(value.abs()));
        for (value, expected) in vector.iter().zip(expected) {
            assert!(
                (value - expected).abs() <= tolerance * scale,
                "row {row}: {value}, {expected}"
            );
        }
    }
}

#[test]
fn small_models_of_both_families() {
    let titles = titles();
    let texts: Vec<&str> = titles.iter().map(String::as_str).collect();
    for name in ["bert", "xlm-roberta"] {
        let model = Plm::open(&fixture(name), &PlmConfig::default()).unwrap();
        let (vectors, cut) = embed(&model, &texts).unwrap();
        check(&vectors, &expected(&fixture(name).join("expected.npy")), 1e-4);
        // The longest of the odd texts at the end has far more words than either model takes.
        assert_eq!(cut.last(), Some(&true), "{name}");
        assert!(!cut[0], "{name}");
    }
}

#[test]
fn what_the_folder_says_and_what_is_said_over_it() {
    let open = |config: &PlmConfig| Plm::open(&fixture("xlm-roberta"), config).unwrap();
    let plain = open(&PlmConfig::default());
    let settings = plain.settings();
    let said = (settings.pooling, settings.normalize, settings.max_length);
    assert_eq!(said, (Some(Pooling::Cls), Some(false), 60));
    let norm = |model: &Plm| -> f32 {
        embed(model, &["lip balm"]).unwrap().0[0].iter().map(|x| x * x).sum::<f32>().sqrt()
    };
    assert!((norm(&plain) - 1.0).abs() > 0.1);
    let told = PlmConfig {
        max_length: 5,
        pooling: Some(Pooling::Max),
        normalize: Some(true),
        prefix: Some("query: ".into()),
        ..Default::default()
    };
    let other = open(&told);
    assert!((norm(&other) - 1.0).abs() < 1e-6);
    assert!(embed(&other, &["a long enough text to be cut"]).unwrap().1[0]);
    assert_eq!(other.settings(), told);
    // A model that is loaded again with its own settings is the same; with others it is not.
    use das_content::TextModel;
    assert_eq!(open(&settings).identity(), plain.identity());
    assert_ne!(other.identity(), plain.identity());
    // 70 positions, of which the first two are for padding.
    let longest = PlmConfig { max_length: 1000, ..Default::default() };
    assert_eq!(open(&longest).settings().max_length, 68);
}

#[test]
fn a_prefix_is_part_of_the_text() {
    let prefix = Some("query: ".to_string());
    let with = Plm::open(&fixture("bert"), &PlmConfig { prefix, ..Default::default() }).unwrap();
    let without = Plm::open(&fixture("bert"), &PlmConfig::default()).unwrap();
    let (a, b) = (embed(&with, &["lip balm"]), embed(&without, &["query: lip balm"]));
    assert_eq!(a.unwrap(), b.unwrap());
}

#[test]
fn batches_and_order_do_not_matter() {
    let titles = titles();
    let texts: Vec<&str> = titles.iter().map(String::as_str).collect();
    for name in ["bert", "xlm-roberta"] {
        let open = |batch_tokens| {
            Plm::open(&fixture(name), &PlmConfig { batch_tokens, ..Default::default() }).unwrap()
        };
        let (one_by_one, _) = embed(&open(1), &texts).unwrap();
        let (together, _) = embed(&open(100_000), &texts).unwrap();
        check(&together, &one_by_one, 1e-5);
        let backwards: Vec<&str> = texts.iter().rev().copied().collect();
        let (mut turned, _) = embed(&open(300), &backwards).unwrap();
        turned.reverse();
        check(&turned, &one_by_one, 1e-5);
    }
}

/// The real thing, where `DAS_MINILM` names its folder: the weights are 90 MB and not kept here.
#[test]
fn minilm() {
    let Some(folder) = std::env::var_os("DAS_MINILM") else {
        eprintln!("SKIPPED: DAS_MINILM does not name the folder of all-MiniLM-L6-v2");
        return;
    };
    let titles = titles();
    let texts: Vec<&str> = titles.iter().map(String::as_str).collect();
    let model = Plm::open(folder.as_ref(), &PlmConfig::default()).unwrap();
    let (vectors, _) = embed(&model, &texts).unwrap();
    // The expected values are kept as halves.
    check(&vectors, &expected(&fixture("minilm.npy")), 1e-3);
}
