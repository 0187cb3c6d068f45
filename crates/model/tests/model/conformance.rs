//! One suite over every method.

use das_core::checkpoints::CheckpointStore;
use das_core::progress::{Cancel, Silent};
use das_core::{Clicks, DenseMatrix, RowMatrix, Side};
use das_model::train::{NoObserver, Observer};
use das_model::{
    Encoded, Error, Inputs, Keep, LetterConfig, Method, MethodConfigs, ModelConfig, QarmConfig,
    Result, RqkmeansConfig, RqvaeConfig, Run, Settings, Tokenizer, TokenizerConfig, TrainConfig,
    Trained, encode_all, load_tokenizer, train_method,
};
use das_nn::Device;
use rand::Rng;

use crate::common::{DIMS, GROUPS, Market, Recorder};

const SIZES: [u32; 2] = [12, 8];

/// Small settings for every method.
struct Small {
    model: ModelConfig,
    train: TrainConfig,
    methods: MethodConfigs,
}

impl Small {
    fn new() -> Small {
        let sizes = SIZES.to_vec();
        let tokenizer = TokenizerConfig { hidden: vec![24], codebook_sizes: sizes.clone() };
        let model = ModelConfig {
            code_dim: 8,
            user: tokenizer.clone(),
            item: tokenizer,
            ..ModelConfig::default()
        };
        let train = TrainConfig {
            epochs: 4,
            batch_size: 64,
            checkpoint_steps: 5,
            ..TrainConfig::default()
        };
        let rqvae = RqvaeConfig {
            hidden: vec![24],
            codebook_sizes: sizes.clone(),
            code_dim: 8,
            epochs: 8,
            batch_size: 32,
            settle_epochs: 2,
            ..RqvaeConfig::default()
        };
        let letter = LetterConfig {
            hidden: vec![24],
            codebook_sizes: sizes.clone(),
            code_dim: 8,
            epochs: 8,
            batch_size: 32,
            settle_epochs: 2,
            clusters: 3,
            cf_epochs: 2,
            cf_batch_size: 64,
            ..LetterConfig::default()
        };
        let qarm = QarmConfig {
            hidden: vec![16],
            codebook_sizes: sizes.clone(),
            epochs: 3,
            batch_size: 64,
            vq_codes: 5,
            ..QarmConfig::default()
        };
        let rqkmeans = RqkmeansConfig { codebook_sizes: sizes, ..RqkmeansConfig::default() };
        Small { model, train, methods: MethodConfigs { rqvae, rqkmeans, letter, qarm } }
    }

    fn train(
        &self,
        method: Method,
        inputs: Inputs<'_>,
        seed: u64,
        store: Option<CheckpointStore>,
        observer: &mut dyn Observer,
        cancel: &Cancel,
    ) -> Result<Trained> {
        let settings = Settings { model: &self.model, train: &self.train, methods: &self.methods };
        let run = Run { device: &Device::cpu(), inputs, seed, store };
        train_method(method, settings, &run, observer, cancel)
    }

    fn quietly(&self, method: Method, inputs: Inputs<'_>, seed: u64) -> Result<Trained> {
        self.train(method, inputs, seed, None, &mut NoObserver, &Cancel::default())
    }
}

fn encoded(tokenizer: &dyn Tokenizer, side: Side, content: &DenseMatrix) -> Encoded {
    encode_all(tokenizer, side, content, Keep::ALL, &Silent, &Cancel::default()).unwrap()
}

fn bytes(trained: &Trained) -> Vec<u8> {
    trained.tokenizer.to_bytes().unwrap()
}

/// Other rows of the same groups.
fn disturbed(matrix: &DenseMatrix) -> DenseMatrix {
    let mut rng = das_core::streams::stream(1, "disturbance", 0);
    let values = matrix.values().iter().map(|value| value + rng.random_range(-0.3..0.3));
    DenseMatrix::new(matrix.dim(), values.collect()).unwrap()
}

/// The share of pairs of rows with the same first code that are of the same planted group.
fn purity(codes: &[u32]) -> f64 {
    let first: Vec<u32> = codes.iter().step_by(SIZES.len()).copied().collect();
    let (mut same, mut all) = (0, 0);
    for a in 0..first.len() {
        for b in (a + 1..first.len()).filter(|&b| first[b] == first[a]) {
            same += usize::from(a % GROUPS == b % GROUPS);
            all += 1;
        }
    }
    same as f64 / f64::from(all)
}

#[test]
fn every_method_finds_the_groups_and_encodes_unseen_rows() {
    let market = Market::new(31, 240, 120, 8);
    let unseen = market.content.each_ref().map(disturbed);
    for method in Method::ALL {
        let trained = Small::new().quietly(method, market.inputs(), 1).unwrap();
        let tokenizer = &*trained.tokenizer;
        assert_eq!(tokenizer.method(), method.name());
        assert_eq!(tokenizer.sides(), Side::BOTH);
        assert!(trained.validation.is_some(), "{method}");
        for side in Side::BOTH {
            assert_eq!(tokenizer.content_dim(side), Some(DIMS[side as usize]));
            assert_eq!(tokenizer.codebook_sizes(side), SIZES);
            for (name, content) in [("trained", &market.content), ("unseen", &unseen)] {
                let content = &content[side as usize];
                let found = encoded(tokenizer, side, content);
                let codes = &found.rows.codes;
                assert_eq!(codes.len(), content.rows() * SIZES.len());
                let sizes = SIZES.iter().cycle();
                assert!(codes.iter().zip(sizes).all(|(code, size)| code < size));
                let dim = tokenizer.last_codebook(side).len() / SIZES[1] as usize;
                assert_eq!(found.rows.quantized.len(), content.rows() * dim);
                assert_eq!(found.rows.last_residuals.len(), content.rows() * dim);
                let share = purity(codes);
                assert!(share > 0.5, "{method}, {name} {side}s: {share:.2}, 0.17 by chance");
                // A row's codes do not depend on the rows around it.
                let alone = tokenizer.encode_rows(side, content.row(5)).unwrap();
                assert_eq!(alone.codes, codes[5 * SIZES.len()..6 * SIZES.len()]);
            }
        }
    }
}

#[test]
fn every_method_gives_the_same_bits_for_any_number_of_threads() {
    let market = Market::new(32, 120, 60, 6);
    for method in Method::ALL {
        let run = |threads, seed| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Small::new().quietly(method, market.inputs(), seed).unwrap())
        };
        let (one, two) = (run(1, 3), run(2, 3));
        assert_eq!(bytes(&one), bytes(&two), "{method}");
        assert_eq!(one.extra, two.extra, "{method}");
        assert_eq!(one.validation, two.validation, "{method}");
        assert_ne!(bytes(&one), bytes(&run(1, 4)), "{method} under another seed");
    }
}

#[test]
fn every_method_resumes_to_the_same_bits_and_records() {
    let market = Market::new(33, 120, 60, 6);
    let small = Small::new();
    for method in Method::ALL {
        let mut records = Recorder::default();
        let (inputs, cancel) = (market.inputs(), Cancel::default());
        let whole = small.train(method, inputs, 9, None, &mut records, &cancel).unwrap();
        assert_eq!(records.steps.len() as u64, whole.steps, "{method}");
        assert_eq!(records.epochs.len() as u64, whole.epochs, "{method}");
        assert!(records.steps.iter().enumerate().all(|(at, step)| step.step == at as u64));
        for steps in [1, 7, 16, 33] {
            let folder = tempfile::tempdir().unwrap();
            let store = CheckpointStore::open(folder.path()).unwrap();
            let mut last = None;
            let resumed = loop {
                let cancel = Cancel::default();
                let mut observer = Recorder::stopping_after(steps, &cancel);
                let (inputs, store) = (market.inputs(), Some(store.clone()));
                let result = small.train(method, inputs, 9, store, &mut observer, &cancel);
                last = observer.steps.last().cloned().or(last);
                match result {
                    Ok(trained) => break trained,
                    Err(Error::Core(das_core::Error::Interrupted)) => {}
                    Err(error) => panic!("{method}: {error}"),
                }
            };
            assert_eq!(bytes(&resumed), bytes(&whole), "{method}, stopped every {steps} steps");
            assert_eq!(resumed.extra, whole.extra, "{method}");
            assert_eq!(resumed.validation, whole.validation, "{method}");
            assert_eq!((resumed.steps, resumed.epochs), (whole.steps, whole.epochs));
            assert_eq!(last.as_ref(), records.steps.last(), "{method}");
        }
    }
}

#[test]
fn every_tokenizer_survives_its_bytes_and_refuses_others() {
    let market = Market::new(34, 120, 60, 6);
    for method in Method::ALL {
        let trained = Small::new().quietly(method, market.inputs(), 1).unwrap();
        let saved = bytes(&trained);
        let loaded = load_tokenizer(&saved).unwrap();
        assert_eq!(loaded.method(), method.name());
        assert_eq!(loaded.to_bytes().unwrap(), saved);
        for (side, content) in Side::BOTH.into_iter().zip(&market.content) {
            let before = encoded(&*trained.tokenizer, side, content);
            assert_eq!(encoded(&*loaded, side, content), before, "{method}");
        }
        assert!(load_tokenizer(&saved[..saved.len() / 2]).is_err());
        let renamed = String::from_utf8_lossy(&saved).contains(method.name());
        assert!(renamed, "{method} is named in the file");
        let [users, _] = &market.content;
        let error = encode_all(&*loaded, Side::Item, users, Keep::ALL, &Silent, &Cancel::default());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("expected vectors of width 28"), "{method}: {error}");
        assert!(loaded.encode_rows(Side::Item, &[0.0; 27]).is_err(), "{method}");
    }
}

fn refused(small: &Small, method: Method, inputs: Inputs<'_>, expected: &str) {
    let error = small.quietly(method, inputs, 0).err().expect("an error").to_string();
    assert!(error.contains(expected), "{method}: {error}");
}

#[test]
fn every_method_refuses_content_that_does_not_fit() {
    let market = Market::new(35, 80, 48, 5);
    let [users, items] = &market.content;
    let with = |at: usize, value: f32| {
        let mut values = items.values().to_vec();
        values[at] = value;
        DenseMatrix::new(DIMS[1], values).unwrap()
    };
    let (nan, infinite) = (with(3 * DIMS[1] + 2, f32::NAN), with(0, f32::INFINITY));
    for method in Method::ALL {
        let small = Small::new();
        let swapped = Inputs { content: [items, users], ..market.inputs() };
        refused(&small, method, swapped, "user content: expected 80 vectors");
        let broken = Inputs { content: [users, &nan], ..market.inputs() };
        refused(&small, method, broken, "item content: row 3, value 2 is NaN");
        let broken = Inputs { content: [users, &infinite], ..market.inputs() };
        refused(&small, method, broken, "item content: row 0, value 0 is inf");
    }
}

#[test]
fn every_method_refuses_settings_that_cannot_work() {
    let market = Market::new(36, 80, 48, 5);
    let too_many = market.num_clicks() + 1;
    type Change<'a> = &'a dyn Fn(&mut Small);
    let cases: [(Method, &str, Change<'_>); 14] = [
        (Method::Das, "model.code_dim", &|s| s.model.code_dim = 0),
        (Method::Das, "train.batch_size", &|s| s.train.batch_size = too_many),
        (Method::Rqvae, "rqvae.codebook_sizes", &|s| s.methods.rqvae.codebook_sizes.clear()),
        (Method::Rqvae, "rqvae.epochs", &|s| s.methods.rqvae.epochs = 0),
        (Method::Rqvae, "rqvae.hidden[0]", &|s| s.methods.rqvae.hidden = vec![0]),
        (Method::Rqvae, "rqvae.learning_rate", &|s| s.methods.rqvae.learning_rate = f32::NAN),
        (Method::Rqvae, "rqvae.warmup", &|s| s.methods.rqvae.warmup = 1.0),
        (Method::Rqkmeans, "rqkmeans.codebook_sizes[1]", &|s| {
            s.methods.rqkmeans.codebook_sizes[1] = 1;
        }),
        (Method::Letter, "letter.alpha", &|s| s.methods.letter.alpha = -1.0),
        (Method::Letter, "letter.clusters", &|s| s.methods.letter.clusters = 0),
        (Method::Letter, "letter.cf_batch_size", &|s| s.methods.letter.cf_batch_size = too_many),
        (Method::Letter, "letter.cf_temperature", &|s| s.methods.letter.cf_temperature = 0.0),
        (Method::Qarm, "qarm.codebook_sizes", &|s| s.methods.qarm.codebook_sizes.clear()),
        (Method::Qarm, "qarm.batch_size", &|s| s.methods.qarm.batch_size = too_many),
    ];
    for (method, key, change) in cases {
        let mut small = Small::new();
        change(&mut small);
        refused(&small, method, market.inputs(), key);
    }
}

#[test]
fn letter_takes_frozen_vectors_of_items_or_of_both_sides() {
    let market = Market::new(37, 120, 60, 6);
    let small = Small::new();
    let vectors = |rows: usize, dim: usize| {
        let values = (0..rows * dim).map(|at| (at as f32 * 0.7).sin()).collect();
        DenseMatrix::new(dim, values).unwrap()
    };
    let (users, items) = (vectors(120, 8), vectors(60, 8));
    let with = |collaborative| Inputs { collaborative, ..market.inputs() };
    let own = small.quietly(Method::Letter, market.inputs(), 1).unwrap();
    let given = small.quietly(Method::Letter, with([None, Some(&items)]), 1).unwrap();
    let both = small.quietly(Method::Letter, with([Some(&users), Some(&items)]), 1).unwrap();
    assert!(given.steps < own.steps, "there is nothing to train first");
    let rows = |trained: &Trained, side| {
        encoded(&*trained.tokenizer, side, &market.content[side as usize]).rows
    };
    assert_eq!(rows(&given, Side::Item), rows(&both, Side::Item));
    assert_ne!(rows(&given, Side::User), rows(&both, Side::User));
    assert_ne!(rows(&given, Side::Item), rows(&own, Side::Item));

    let (short, narrow) = (vectors(59, 8), vectors(60, 7));
    let expected = "collaborative item vectors: expected 60 vectors, one for each item, found 59";
    refused(&small, Method::Letter, with([None, Some(&short)]), expected);
    refused(&small, Method::Letter, with([None, Some(&narrow)]), "letter.code_dim");
    refused(&small, Method::Letter, with([Some(&users), None]), "without item vectors");
}

#[test]
fn names_round_trip_and_unknown_ones_are_listed() {
    for method in Method::ALL {
        assert_eq!(method.name().parse::<Method>().unwrap(), method);
        let json = serde_json::to_string(&method).unwrap();
        assert_eq!(json, format!("\"{method}\""));
    }
    let error = "tiger".parse::<Method>().unwrap_err().to_string();
    assert!(error.contains("das, rqvae, rqkmeans, letter, qarm"), "{error}");
}
