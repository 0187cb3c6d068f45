//! Residual k-means against faiss and against nearest codes worked out by hand.

use std::path::Path;

use crate::common::Market;
use das_core::npy::{self, NpyMatrix};
use das_core::progress::{Cancel, Silent};
use das_core::{RowMatrix, Side};
use das_model::train::NoObserver;
use das_model::{
    Inputs, Keep, Method, MethodConfigs, ModelConfig, ResidualTokenizer, RqkmeansConfig, Run,
    Settings, Tokenizer, TrainConfig, Trained, encode_all, train_method,
};
use das_nn::Device;
use serde_json::Value;

fn train(inputs: Inputs<'_>, config: &RqkmeansConfig, seed: u64) -> das_model::Result<Trained> {
    let methods = MethodConfigs { rqkmeans: config.clone(), ..MethodConfigs::default() };
    let (model, train) = (ModelConfig::default(), TrainConfig::default());
    let settings = Settings { model: &model, train: &train, methods: &methods };
    let run = Run { device: &Device::cpu(), inputs, seed, store: None };
    train_method(Method::Rqkmeans, settings, &run, &mut NoObserver, &Cancel::default())
}

fn small() -> RqkmeansConfig {
    RqkmeansConfig { codebook_sizes: vec![8, 6, 4], ..RqkmeansConfig::default() }
}

/// Sum over rows of ‖x − x̂‖².
fn squared_error(tokenizer: &dyn Tokenizer, side: Side, content: &dyn RowMatrix) -> f64 {
    let encoded =
        encode_all(tokenizer, side, content, Keep::ALL, &Silent, &Cancel::default()).unwrap();
    encoded.reconstruction_error.unwrap() * content.rows() as f64
}

#[test]
fn the_error_is_within_a_percent_of_faiss() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rqkmeans");
    let NpyMatrix::Mapped(vectors) = npy::open(&folder.join("vectors.npy")).unwrap() else {
        panic!("f32 values are mapped")
    };
    let recorded = std::fs::read_to_string(folder.join("faiss.json")).unwrap();
    let recorded: Value = serde_json::from_str(&recorded).unwrap();
    let sizes = recorded["codebook_sizes"].as_array().unwrap();
    let config = RqkmeansConfig {
        codebook_sizes: sizes.iter().map(|size| size.as_u64().unwrap() as u32).collect(),
        ..RqkmeansConfig::default()
    };
    let market = Market::new(1, 60, vectors.rows(), 5);
    let content: [&dyn RowMatrix; 2] = [&market.content[0], &vectors];
    for seed in 0..5 {
        let inputs = Inputs { content, ..market.inputs() };
        let trained = train(inputs, &config, seed).unwrap();
        let found = squared_error(&*trained.tokenizer, Side::Item, &vectors);
        let faiss = recorded["inertia"].as_f64().unwrap();
        assert!(found <= 1.01 * faiss, "seed {seed}: {found}, faiss {faiss}");
    }
}

#[test]
fn codes_are_the_nearest_ones_level_by_level() {
    let market = Market::new(2, 90, 72, 5);
    let config = RqkmeansConfig { normalize: false, ..small() };
    let bytes = train(market.inputs(), &config, 3).unwrap().tokenizer.to_bytes().unwrap();
    let file = das_nn::safetensors_io::from_bytes(&bytes).unwrap();
    let tokenizer = ResidualTokenizer::from_bytes(&bytes).unwrap();
    for (side, content) in Side::BOTH.into_iter().zip(&market.content) {
        let dim = content.dim();
        let encoded =
            encode_all(&tokenizer, side, content, Keep::ALL, &Silent, &Cancel::default()).unwrap();
        for (row, codes) in encoded.rows.codes.chunks(3).enumerate() {
            let mut left: Vec<f64> = content.row(row).iter().map(|&x| f64::from(x)).collect();
            for (level, &code) in codes.iter().enumerate() {
                if level == 2 {
                    let last = &encoded.rows.last_residuals[row * dim..][..dim];
                    assert!(last.iter().zip(&left).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5));
                }
                let name = format!("{side}.codebook.{level}");
                let book = file.tensors.iter().find(|tensor| tensor.name == name).unwrap();
                let book = book.data.as_f32().unwrap();
                let distance = |e: &[f32]| -> f64 {
                    e.iter().zip(&left).map(|(e, x)| (x - f64::from(*e)).powi(2)).sum()
                };
                let nearest = book.chunks(dim).map(distance).fold(f64::INFINITY, f64::min);
                let chosen = &book[code as usize * dim..][..dim];
                assert!(distance(chosen) <= nearest + 1e-5, "{side} {row} level {level}");
                left.iter_mut().zip(chosen).for_each(|(x, e)| *x -= f64::from(*e));
            }
        }
    }
}

#[test]
fn refinement_lowers_the_error_and_more_codes_do_too() {
    let market = Market::new(3, 120, 96, 5);
    let [_, items] = &market.content;
    let error = |config: &RqkmeansConfig| {
        let trained = train(market.inputs(), config, 1).unwrap();
        squared_error(&*trained.tokenizer, Side::Item, items)
    };
    let plain = error(&RqkmeansConfig { refinements: 0, ..small() });
    let refined = error(&small());
    assert!(refined < plain, "{refined} after {plain}");
    let finer = error(&RqkmeansConfig { codebook_sizes: vec![16, 12, 8], ..small() });
    assert!(finer < refined, "{finer} with more codes than for {refined}");
}

#[test]
fn length_does_not_matter_where_vectors_are_normalised() {
    let mut market = Market::new(4, 60, 48, 5);
    let before = train(market.inputs(), &small(), 2).unwrap();
    let codes = |trained: &Trained, market: &Market| {
        let [_, items] = &market.content;
        let tokenizer = &*trained.tokenizer;
        encode_all(tokenizer, Side::Item, items, Keep::ALL, &Silent, &Cancel::default())
            .unwrap()
            .rows
            .codes
    };
    let first = codes(&before, &market);
    market.content = market.content.each_ref().map(|matrix| {
        let scaled = matrix.values().iter().map(|value| value * 4.0).collect();
        das_core::DenseMatrix::new(matrix.dim(), scaled).unwrap()
    });
    assert_eq!(codes(&before, &market), first);
    let plain = RqkmeansConfig { normalize: false, ..small() };
    let plain = train(market.inputs(), &plain, 2).unwrap().tokenizer;
    let [_, items] = &market.content;
    assert!(
        squared_error(&*plain, Side::Item, items) > 1.0,
        "errors of vectors of length 4 and more"
    );
}

#[test]
fn settings_that_cannot_work_name_their_key() {
    let market = Market::new(5, 40, 24, 4);
    for (config, key) in [
        (RqkmeansConfig { codebook_sizes: vec![], ..small() }, "rqkmeans.codebook_sizes"),
        (RqkmeansConfig { codebook_sizes: vec![4, 1], ..small() }, "rqkmeans.codebook_sizes[1]"),
        (RqkmeansConfig { iterations: 0, ..small() }, "rqkmeans.iterations"),
        (RqkmeansConfig { sample: 0, ..small() }, "rqkmeans.sample"),
    ] {
        let error = train(market.inputs(), &config, 0).err().expect("an error").to_string();
        assert!(error.contains(&format!("`{key}`")), "{error}");
    }
}

#[test]
fn a_broken_file_is_refused() {
    let market = Market::new(6, 40, 24, 4);
    let bytes = train(market.inputs(), &small(), 0).unwrap().tokenizer.to_bytes().unwrap();
    assert!(ResidualTokenizer::from_bytes(&bytes[..bytes.len() / 2]).is_err());
    let file = das_nn::safetensors_io::from_bytes(&bytes).unwrap();
    let refused = |change: &dyn Fn(&mut das_nn::safetensors_io::Contents), expected: &str| {
        let mut file = file.clone();
        change(&mut file);
        let bytes = das_nn::safetensors_io::to_bytes(&file.tensors, &file.metadata).unwrap();
        let error = ResidualTokenizer::from_bytes(&bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(&|file| file.tensors.retain(|t| t.name != "item.codebook.0"), "`item.codebook.0`");
    refused(&|file| file.metadata.clear(), "`normalize`");
    refused(&|file| drop(file.metadata.insert("normalize".into(), "x".into())), "found \"x\"");
    refused(
        &|file| {
            let book = file.tensors.iter_mut().find(|t| t.name == "user.codebook.1").unwrap();
            book.shape.reverse();
        },
        "`user.codebook.1`: expected shape [codes, 20]",
    );
}
