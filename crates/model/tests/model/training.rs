//! The trainer on a small planted market.

use crate::common::{GROUPS, Market};
use das_core::progress::Cancel;
use das_core::{Clicks, DenseMatrix, RowMatrix, Side};
use das_model::train::{
    CheckpointStore, EpochRecord, Inputs, NoObserver, Observer, StepRecord, Trained, Trainer,
};
use das_model::{
    Error, ModelConfig, NeuralTokenizer, Term, Tokenizer, TokenizerConfig, TrainConfig, encode_all,
};
use das_nn::Device;
use rand::Rng;

fn model() -> ModelConfig {
    let tokenizer = TokenizerConfig { hidden: vec![24], codebook_sizes: vec![12, 8] };
    ModelConfig { code_dim: 8, user: tokenizer.clone(), item: tokenizer, ..ModelConfig::default() }
}

fn training() -> TrainConfig {
    TrainConfig { epochs: 4, batch_size: 64, checkpoint_steps: 5, ..TrainConfig::default() }
}

fn inputs(market: &Market) -> Inputs<'_> {
    let [users, items] = &market.content;
    Inputs { clicks: market, content: [users, items], validation: Some(&market.held_out) }
}

fn train(market: &Market, model: &ModelConfig, config: &TrainConfig, seed: u64) -> Trained {
    let trainer = Trainer::new(&Device::cpu(), model, config, inputs(market), seed, None).unwrap();
    trainer.run(&mut NoObserver, &Cancel::default()).unwrap()
}

fn bytes(trained: &Trained) -> Vec<u8> {
    trained.tokenizer.to_bytes().unwrap()
}

/// Records what it is told and asks for a stop after a number of steps.
struct StopAfter<'a> {
    steps: u64,
    cancel: &'a Cancel,
    seen: Vec<u64>,
}

impl Observer for StopAfter<'_> {
    fn start(&mut self, _step: u64, _total: u64) -> std::io::Result<()> {
        Ok(())
    }

    fn step(&mut self, record: &StepRecord) -> std::io::Result<()> {
        self.seen.push(record.step);
        if self.seen.len() as u64 == self.steps {
            self.cancel.request();
        }
        Ok(())
    }

    fn epoch(&mut self, _record: &EpochRecord) -> std::io::Result<()> {
        Ok(())
    }

    fn warn(&mut self, _message: &str) {}
}

#[test]
fn an_interrupted_training_resumes_to_the_same_bits() {
    let market = Market::new(5, 120, 60, 6);
    let (model, config) = (model(), training());
    let whole = train(&market, &model, &config, 9);
    for steps in [1, 7, 11, 12, 23] {
        let folder = tempfile::tempdir().unwrap();
        let new = || {
            let store = CheckpointStore::open(folder.path()).unwrap();
            let device = Device::cpu();
            Trainer::new(&device, &model, &config, inputs(&market), 9, Some(store)).unwrap()
        };
        // Interrupted again and again, always after `steps` further steps.
        let resumed = loop {
            let cancel = Cancel::default();
            let mut observer = StopAfter { steps, cancel: &cancel, seen: Vec::new() };
            let mut trainer = new();
            trainer.resume(&mut observer).unwrap();
            match trainer.run(&mut observer, &cancel) {
                Ok(trained) => break trained,
                Err(Error::Core(das_core::Error::Interrupted)) => {}
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(bytes(&resumed), bytes(&whole), "interrupted every {steps} steps");
        assert_eq!(resumed.icdm, whole.icdm);
        assert_eq!(resumed.validation, whole.validation);
    }
}

#[test]
fn threads_do_not_change_a_bit_but_seeds_do() {
    let market = Market::new(6, 120, 60, 6);
    let run = |threads, seed| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| bytes(&train(&market, &model(), &training(), seed)))
    };
    assert_eq!(run(1, 3), run(2, 3));
    assert_ne!(run(1, 3), run(1, 4));
}

/// The same rows under a strong pattern that has nothing to do with who clicks what, as unit
/// vectors.
fn drowned(matrix: &DenseMatrix) -> DenseMatrix {
    let mut rng = das_core::streams::stream(0, "nuisance", 0);
    let dim = matrix.dim();
    let patterns: Vec<f32> = (0..5 * dim).map(|_| rng.random_range(-3.0..3.0)).collect();
    let mut values = matrix.values().to_vec();
    for (row, values) in values.chunks_exact_mut(dim).enumerate() {
        let pattern = &patterns[row / GROUPS % 5 * dim..][..dim];
        values.iter_mut().zip(pattern).for_each(|(value, pattern)| *value += pattern);
        let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
        values.iter_mut().for_each(|value| *value /= norm);
    }
    DenseMatrix::new(dim, values).unwrap()
}

#[test]
fn das_finds_what_clicks_follow_below_what_content_shows() {
    let mut market = Market::new(7, 300, 96, 10);
    market.content = market.content.each_ref().map(drowned);
    let config = TrainConfig { epochs: 12, ..training() };
    let das = train(&market, &model(), &config, 1);
    let content_only = ModelConfig { alpha: 0.0, beta: 0.0, ..model() };
    let content = train(&market, &content_only, &config, 1);
    let (das, content) = (das.validation.unwrap(), content.validation.unwrap());
    assert!(
        das.recall_10 > content.recall_10 + 0.1,
        "DAS {} against content-only {}",
        das.recall_10,
        content.recall_10
    );
}

#[test]
fn codes_are_in_use_and_tell_groups_of_unseen_items() {
    let market = Market::new(8, 240, 120, 8);
    let trained = train(&market, &model(), &TrainConfig { epochs: 8, ..training() }, 2);
    let unseen = Market::new(9, 240, 120, 8);
    let silent = das_core::progress::Silent;
    for (side, content) in Side::BOTH.into_iter().zip(&market.content) {
        let encoded =
            encode_all(&trained.tokenizer, side, content, &silent, &Cancel::default()).unwrap();
        for level in 0..2 {
            let codes: std::collections::BTreeSet<u32> =
                encoded.rows.codes.iter().skip(level).step_by(2).copied().collect();
            let size = trained.tokenizer.codebook_sizes(side)[level] as usize;
            assert!(codes.len() * 10 >= size * 9, "{side} level {level}: {} codes", codes.len());
        }
        assert!(encoded.reconstruction_error.unwrap().is_finite());
    }
    // Content of the same kind that was not trained on is encoded without ado.
    let [_, items] = &unseen.content;
    let encoded =
        encode_all(&trained.tokenizer, Side::Item, items, &silent, &Cancel::default()).unwrap();
    assert_eq!(encoded.rows.codes.len(), items.rows() * 2);
}

#[test]
fn every_term_can_be_switched_off_and_is_then_absent() {
    let market = Market::new(10, 80, 48, 5);
    struct Terms(Vec<Term>);
    impl Observer for Terms {
        fn start(&mut self, _step: u64, _total: u64) -> std::io::Result<()> {
            Ok(())
        }

        fn step(&mut self, record: &StepRecord) -> std::io::Result<()> {
            self.0 = record.terms.iter().map(|&(term, _)| term).collect();
            Ok(())
        }

        fn epoch(&mut self, _record: &EpochRecord) -> std::io::Result<()> {
            Ok(())
        }

        fn warn(&mut self, _message: &str) {}
    }
    let terms_of = |model: &ModelConfig| {
        let config = TrainConfig { epochs: 2, quantize_after: 1, ..training() };
        let device = Device::cpu();
        let trainer = Trainer::new(&device, model, &config, inputs(&market), 0, None).unwrap();
        let mut observer = Terms(Vec::new());
        trainer.run(&mut observer, &Cancel::default()).unwrap();
        let mut terms = observer.0;
        terms.sort();
        terms
    };
    for &term in Term::ALL {
        let mut config = model();
        config.terms.set(Term::QuQi, 1.0);
        config.terms.set(term, 0.0);
        if matches!(term, Term::RqU | Term::RqI) {
            assert!(config.check().is_err(), "codebooks cannot do without {term}");
            continue;
        }
        let expected: Vec<Term> =
            Term::ALL.iter().copied().filter(|&other| other != term).collect();
        assert_eq!(terms_of(&config), expected);
    }
    let without = ModelConfig { icdm: false, ..model() };
    let direct = [Term::RecU, Term::RecI, Term::RqU, Term::RqI, Term::CoU, Term::CoI, Term::QuQi];
    assert_eq!(terms_of(&without), direct);
}

#[test]
fn early_stopping_keeps_the_best_weights() {
    let market = Market::new(11, 120, 60, 6);
    // A rate this high spoils the codes after the first validations.
    let config = TrainConfig {
        epochs: 30,
        early_stopping: 2,
        learning_rate: 0.05,
        quantize_after: 0,
        ..training()
    };
    let trained = train(&market, &model(), &config, 4);
    assert!(trained.epochs < 30, "stopped after {} epochs", trained.epochs);
    let [_, items] = &market.content;
    let silent = das_core::progress::Silent;
    let encoded =
        encode_all(&trained.tokenizer, Side::Item, items, &silent, &Cancel::default()).unwrap();
    let again = das_model::train::item_retrieval(&encoded.rows.quantized, 8, &market.held_out);
    assert_eq!(Some(again), trained.validation, "the weights are those of the best validation");
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let market = Market::new(12, 80, 48, 5);
    let folder = tempfile::tempdir().unwrap();
    let new = |config: &TrainConfig, seed| {
        let store = CheckpointStore::open(folder.path()).unwrap();
        Trainer::new(&Device::cpu(), &model(), config, inputs(&market), seed, Some(store)).unwrap()
    };
    new(&training(), 1).run(&mut NoObserver, &Cancel::default()).unwrap();
    let error = new(&training(), 2).resume(&mut NoObserver).unwrap_err().to_string();
    assert!(error.contains("another seed"), "{error}");
    let changed = TrainConfig { learning_rate: 0.5 * training().learning_rate, ..training() };
    assert!(new(&changed, 1).resume(&mut NoObserver).is_err());
    let rarer = TrainConfig { checkpoint_steps: 50, ..training() };
    assert!(
        new(&rarer, 1).resume(&mut NoObserver).unwrap() > 0,
        "only how often files are written"
    );
}

#[test]
fn wrong_inputs_are_refused_before_anything_is_trained() {
    let market = Market::new(13, 80, 48, 5);
    let refused = |inputs: Inputs<'_>, config: &TrainConfig, expected: &str| {
        let result = Trainer::new(&Device::cpu(), &model(), config, inputs, 0, None);
        let error = result.err().expect("an error").to_string();
        assert!(error.contains(expected), "{error}");
    };
    let [users, items] = &market.content;
    let swapped = Inputs { content: [items, users], ..inputs(&market) };
    refused(swapped, &training(), "user content: expected 80 vectors");
    let large = TrainConfig { batch_size: market.num_clicks() + 1, ..training() };
    refused(inputs(&market), &large, "train.batch_size");
    let zero = TrainConfig { epochs: 0, ..training() };
    refused(inputs(&market), &zero, "train.epochs");
}

#[test]
fn divergence_is_an_error_that_names_the_term() {
    let market = Market::new(14, 80, 48, 5);
    let config = TrainConfig { learning_rate: 1e30, quantize_after: 0, ..training() };
    let device = Device::cpu();
    let trainer = Trainer::new(&device, &model(), &config, inputs(&market), 0, None).unwrap();
    let error = trainer.run(&mut NoObserver, &Cancel::default()).unwrap_err();
    assert!(matches!(error, Error::Diverged { .. }), "{error}");
}

#[test]
fn a_tokenizer_survives_its_bytes_and_refuses_others() {
    let market = Market::new(15, 80, 48, 5);
    let trained = train(&market, &model(), &training(), 0);
    let bytes = bytes(&trained);
    let loaded = NeuralTokenizer::from_bytes(&bytes).unwrap();
    assert_eq!(loaded, trained.tokenizer);
    assert_eq!(loaded.to_bytes().unwrap(), bytes);
    assert!(NeuralTokenizer::from_bytes(&bytes[..bytes.len() / 2]).is_err());
    let [users, _] = &market.content;
    let silent = das_core::progress::Silent;
    let error = encode_all(&loaded, Side::Item, users, &silent, &Cancel::default()).unwrap_err();
    assert!(error.to_string().contains("expected vectors of width 28"), "{error}");
}
