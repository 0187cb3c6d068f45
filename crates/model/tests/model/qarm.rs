//! QARM: alignment before quantization.

use crate::common::{GROUPS, Market};
use das_core::checkpoints::CheckpointStore;
use das_core::progress::{Cancel, Silent};
use das_core::{DenseMatrix, RowMatrix, Side};
use das_model::train::{EpochRecord, NoObserver, Observer, StepRecord};
use das_model::{
    Keep, Method, MethodConfigs, ModelConfig, QarmConfig, ResidualTokenizer, Result, Run, Settings,
    Similarity, TrainConfig, Trained, VqCodes, VqPool, encode_all, train_method,
};
use das_nn::Device;
use das_nn::safetensors_io::{self, TensorData};
use rand::Rng;

fn small() -> QarmConfig {
    QarmConfig {
        codebook_sizes: vec![GROUPS as u32, 6],
        hidden: vec![32],
        epochs: 4,
        batch_size: 64,
        vq_codes: 5,
        ..QarmConfig::default()
    }
}

fn run(
    market: &Market,
    method: Method,
    config: &QarmConfig,
    store: Option<CheckpointStore>,
    observer: &mut dyn Observer,
) -> Result<Trained> {
    let mut methods = MethodConfigs { qarm: config.clone(), ..MethodConfigs::default() };
    methods.rqkmeans.codebook_sizes.clone_from(&config.codebook_sizes);
    let (model, train) = (ModelConfig::default(), TrainConfig::default());
    let settings = Settings { model: &model, train: &train, methods: &methods };
    let run = Run { device: &Device::cpu(), inputs: market.inputs(), seed: 1, store };
    train_method(method, settings, &run, observer, &Cancel::default())
}

fn train(market: &Market, config: &QarmConfig) -> Trained {
    run(market, Method::Qarm, config, None, &mut NoObserver).unwrap()
}

/// Content under strong patterns that have nothing to do with who clicks what.
fn drowned(matrix: &DenseMatrix) -> DenseMatrix {
    let mut rng = das_core::streams::stream(0, "nuisance", 0);
    let dim = matrix.dim();
    let patterns: Vec<f32> = (0..5 * dim).map(|_| rng.random_range(-3.0..3.0)).collect();
    let drown = |(at, value): (usize, &f32)| {
        let (row, column) = (at / dim, at % dim);
        value + patterns[row / GROUPS % 5 * dim + column]
    };
    DenseMatrix::new(dim, matrix.values().iter().enumerate().map(drown).collect()).unwrap()
}

/// Of pairs of entities of one group the share with equal first codes, over that of all pairs.
fn lift(trained: &Trained, side: Side, content: &DenseMatrix) -> f64 {
    let tokenizer = &*trained.tokenizer;
    let encoded =
        encode_all(tokenizer, side, content, Keep::ALL, &Silent, &Cancel::default()).unwrap();
    let first: Vec<u32> = encoded.rows.codes.iter().step_by(2).copied().collect();
    let (mut same, mut of_group, mut equal, mut all) = (0.0, 0.0, 0.0, 0.0);
    for i in 0..first.len() {
        for j in 0..i {
            let agree = f64::from(u8::from(first[i] == first[j]));
            (equal, all) = (equal + agree, all + 1.0);
            if i % GROUPS == j % GROUPS {
                (same, of_group) = (same + agree, of_group + 1.0);
            }
        }
    }
    same / of_group / (equal / all)
}

#[test]
fn alignment_raises_the_agreement_of_what_is_clicked_together() {
    let mut market = Market::new(21, 300, 96, 10);
    market.content = market.content.each_ref().map(drowned);
    let config = QarmConfig { epochs: 15, learning_rate: 5e-3, ..small() };
    let aligned = train(&market, &config);
    let content = run(&market, Method::Rqkmeans, &config, None, &mut NoObserver).unwrap();
    for (side, vectors) in Side::BOTH.into_iter().zip(&market.content) {
        let (before, after) = (lift(&content, side, vectors), lift(&aligned, side, vectors));
        assert!(after > before + 0.5, "{side}: lift {after} after {before}");
    }
    let (before, after) = (content.validation.unwrap(), aligned.validation.unwrap());
    assert!(after.recall_10 > before.recall_10, "{} after {}", after.recall_10, before.recall_10);
}

#[test]
fn either_similarity_and_no_pairs_of_similar_items_work() {
    struct Terms(Vec<(&'static str, f32)>);
    impl Observer for Terms {
        fn start(&mut self, _step: u64, _total: u64) -> std::io::Result<()> {
            Ok(())
        }

        fn step(&mut self, record: &StepRecord) -> std::io::Result<()> {
            self.0.clone_from(&record.terms);
            Ok(())
        }

        fn epoch(&mut self, _record: &EpochRecord) -> std::io::Result<()> {
            Ok(())
        }

        fn warn(&mut self, _message: &str) {}
    }
    let market = Market::new(22, 120, 60, 6);
    let terms_of = |config: &QarmConfig| {
        let mut terms = Terms(Vec::new());
        run(&market, Method::Qarm, config, None, &mut terms).unwrap();
        terms.0
    };
    let names = |terms: &[(&'static str, f32)]| terms.iter().map(|t| t.0).collect::<Vec<_>>();
    let swing = terms_of(&small());
    assert_eq!(names(&swing), ["u2u", "u2i", "i2i"]);
    let co_click = terms_of(&QarmConfig { similarity: Similarity::CoClick, ..small() });
    assert_eq!(names(&co_click), ["u2u", "u2i", "i2i"]);
    assert_ne!(swing, co_click);
    assert_eq!(names(&terms_of(&QarmConfig { i2i_weight: 0.0, ..small() })), ["u2u", "u2i"]);
}

#[test]
fn vq_codes_are_kept_and_can_be_made_for_new_items() {
    let market = Market::new(23, 120, 60, 6);
    let trained = train(&market, &small());
    let [(name, tensors)] = &trained.extra[..] else { panic!("one file") };
    assert_eq!(name, VqPool::FILE);
    let bytes = safetensors_io::to_bytes(tensors, &Default::default()).unwrap();
    let pool = VqPool::from_bytes(&bytes).unwrap();
    let [_, items] = &market.content;
    let tokenizer = trained.tokenizer.to_bytes().unwrap();
    let vectors = ResidualTokenizer::from_bytes(&tokenizer)
        .unwrap()
        .vectors(Side::Item, items.values())
        .unwrap();
    for vector in vectors.chunks(items.dim()) {
        assert!((vector.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
    }
    let codes = pool.codes(&vectors, 5).unwrap();
    let stored = tensors.iter().find(|tensor| tensor.name == "item.vq_codes").unwrap();
    assert_eq!(stored.shape, [60, 5]);
    assert_eq!(stored.data, TensorData::U32(codes.clone()));
    let read = VqCodes::from_bytes(&bytes).unwrap();
    assert_eq!(read, VqCodes { pool: pool.len(), k: 5, codes: codes.clone() });
    for (entry, &item) in pool.items().iter().enumerate() {
        assert_eq!(codes[item as usize * 5], entry as u32, "an item of the pool finds itself");
    }
    let broken = safetensors_io::to_bytes(&tensors[1..], &Default::default()).unwrap();
    assert!(VqPool::from_bytes(&broken).is_err());
    let broken = safetensors_io::to_bytes(&tensors[..2], &Default::default()).unwrap();
    assert!(VqCodes::from_bytes(&broken).is_err());
    assert!(train(&market, &QarmConfig { vq_codes: 0, ..small() }).extra.is_empty());
}

#[test]
fn an_interrupted_alignment_resumes_to_the_same_bits() {
    struct Stop<'a>(u64, &'a Cancel);
    impl Observer for Stop<'_> {
        fn start(&mut self, _step: u64, _total: u64) -> std::io::Result<()> {
            Ok(())
        }

        fn step(&mut self, record: &StepRecord) -> std::io::Result<()> {
            if record.step == self.0 {
                self.1.request();
            }
            Ok(())
        }

        fn epoch(&mut self, _record: &EpochRecord) -> std::io::Result<()> {
            Ok(())
        }

        fn warn(&mut self, _message: &str) {}
    }
    let market = Market::new(24, 120, 60, 6);
    let whole = train(&market, &small());
    let folder = tempfile::tempdir().unwrap();
    let store = || Some(CheckpointStore::open(folder.path()).unwrap());
    let methods = MethodConfigs { qarm: small(), ..MethodConfigs::default() };
    let (model, settings) = (ModelConfig::default(), TrainConfig::default());
    let settings = Settings { model: &model, train: &settings, methods: &methods };
    for step in [3, 17] {
        let cancel = Cancel::default();
        let device = Device::cpu();
        let run = Run { device: &device, inputs: market.inputs(), seed: 1, store: store() };
        let stopped = train_method(Method::Qarm, settings, &run, &mut Stop(step, &cancel), &cancel);
        assert!(stopped.is_err(), "stopped after step {step}");
    }
    let resumed = run(&market, Method::Qarm, &small(), store(), &mut NoObserver).unwrap();
    assert_eq!(resumed.tokenizer.to_bytes().unwrap(), whole.tokenizer.to_bytes().unwrap());
    assert_eq!(resumed.extra, whole.extra);
    assert_eq!((resumed.epochs, resumed.steps), (whole.epochs, whole.steps));
}

#[test]
fn settings_that_cannot_work_name_their_key() {
    let market = Market::new(25, 40, 24, 4);
    for (config, key) in [
        (QarmConfig { codebook_sizes: vec![1], ..small() }, "qarm.codebook_sizes[0]"),
        (QarmConfig { hidden: vec![0], ..small() }, "qarm.hidden[0]"),
        (QarmConfig { temperature: 0.0, ..small() }, "qarm.temperature"),
        (QarmConfig { neighbours: 0, ..small() }, "qarm.neighbours"),
        (QarmConfig { users_per_item: 1, ..small() }, "qarm.users_per_item"),
        (QarmConfig { swing_alpha: f32::NAN, ..small() }, "qarm.swing_alpha"),
        (QarmConfig { warmup: 1.0, ..small() }, "qarm.warmup"),
        (QarmConfig { vq_pool: 0, ..small() }, "qarm.vq_pool"),
        (QarmConfig { batch_size: 161, ..small() }, "qarm.batch_size"),
    ] {
        let result = run(&market, Method::Qarm, &config, None, &mut NoObserver);
        let error = result.err().expect("an error").to_string();
        assert!(error.contains(&format!("`{key}`")), "{error}");
    }
}
