//! The trainer on a small planted market.

use crate::common::{GROUPS, Market, Recorder, das};
use das_core::checkpoints::CheckpointStore;
use das_core::progress::Cancel;
use das_core::{Clicks, DenseMatrix, RowMatrix, Side};
use das_model::train::NoObserver;
use das_model::{
    Error, Inputs, Keep, ModelConfig, NeuralTokenizer, Term, Tokenizer, TokenizerConfig,
    TrainConfig, Trained, encode_all,
};
use rand::Rng;

fn model() -> ModelConfig {
    let tokenizer = TokenizerConfig { hidden: vec![24], codebook_sizes: vec![12, 8] };
    ModelConfig { code_dim: 8, user: tokenizer.clone(), item: tokenizer, ..ModelConfig::paper() }
}

fn training() -> TrainConfig {
    TrainConfig { epochs: 4, batch_size: 64, checkpoint_steps: 5, ..TrainConfig::default() }
}

fn train(market: &Market, model: &ModelConfig, config: &TrainConfig, seed: u64) -> Trained {
    das(market.inputs(), model, config, seed, None, &mut NoObserver, &Cancel::default()).unwrap()
}

fn bytes(trained: &Trained) -> Vec<u8> {
    trained.tokenizer.to_bytes().unwrap()
}

#[test]
fn an_interrupted_training_resumes_to_the_same_bits() {
    let market = Market::new(5, 120, 60, 6);
    let (model, config) = (model(), training());
    let whole = train(&market, &model, &config, 9);
    for steps in [1, 7, 11, 12, 23] {
        let folder = tempfile::tempdir().unwrap();
        let store = CheckpointStore::open(folder.path()).unwrap();
        // Interrupted again and again, always after `steps` further steps.
        let resumed = loop {
            let cancel = Cancel::default();
            let mut observer = Recorder::stopping_after(steps, &cancel);
            let store = Some(store.clone());
            match das(market.inputs(), &model, &config, 9, store, &mut observer, &cancel) {
                Ok(trained) => break trained,
                Err(Error::Core(das_core::Error::Interrupted)) => {}
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(bytes(&resumed), bytes(&whole), "interrupted every {steps} steps");
        assert_eq!(resumed.extra, whole.extra);
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
            encode_all(&*trained.tokenizer, side, content, Keep::ALL, &silent, &Cancel::default())
                .unwrap();
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
        encode_all(&*trained.tokenizer, Side::Item, items, Keep::ALL, &silent, &Cancel::default())
            .unwrap();
    assert_eq!(encoded.rows.codes.len(), items.rows() * 2);
}

#[test]
fn long_latents_are_shortened_and_nothing_else_changes() {
    let market = Market::new(12, 120, 60, 6);
    // The terms of the first quantized step, by name.
    let first = |max_latent_norm: f32| {
        let config = TrainConfig { epochs: 2, quantize_after: 1, max_latent_norm, ..training() };
        let mut observer = Recorder::default();
        das(market.inputs(), &model(), &config, 4, None, &mut observer, &Cancel::default())
            .unwrap();
        let quantized = |step: &&das_model::train::StepRecord| {
            step.terms.iter().any(|&(name, _)| name == Term::RqI.name())
        };
        let step = observer.steps.iter().find(quantized).unwrap();
        step.terms.iter().copied().collect::<std::collections::BTreeMap<&str, f32>>()
    };
    let (plain, long) = (first(0.0), first(1e6));
    assert_eq!(plain, long, "latents that are short enough are left alone");
    // Both are shorter than the latents of this market.
    let (short, shorter) = (first(0.25), first(0.125));
    let close = |ratio: f32, expected: f32| (ratio / expected - 1.0).abs() < 0.01;
    for term in [Term::RqU, Term::RqI].map(Term::name) {
        assert!(close(shorter[term] / short[term], 0.25), "{term}: {shorter:?} and {short:?}");
        assert!(short[term] < 0.25 * plain[term], "{term}: {short:?} and {plain:?}");
    }
    // What is decoded from them, and their directions, stay as they were.
    for term in [Term::RecU, Term::RecI, Term::CoU, Term::CoI, Term::QuPro, Term::QiInt] {
        let term = term.name();
        assert!(close(shorter[term] / plain[term], 1.0), "{term}: {shorter:?} and {plain:?}");
    }
}

#[test]
fn every_term_can_be_switched_off_and_is_then_absent() {
    let market = Market::new(10, 80, 48, 5);
    let terms_of = |model: &ModelConfig| {
        let config = TrainConfig { epochs: 2, quantize_after: 1, ..training() };
        let mut observer = Recorder::default();
        let cancel = Cancel::default();
        das(market.inputs(), model, &config, 0, None, &mut observer, &cancel).unwrap();
        let last = observer.steps.last().unwrap();
        let logged = |term: &&Term| last.terms.iter().any(|(name, _)| *name == term.name());
        Term::ALL.iter().filter(logged).copied().collect::<Vec<Term>>()
    };
    for &term in Term::ALL {
        let mut config = ModelConfig { adapter_rank: 2, ..model() };
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
    let mut without = ModelConfig { icdm: false, ..model() };
    without.terms.set(Term::QuQi, 1.0);
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
        encode_all(&*trained.tokenizer, Side::Item, items, Keep::ALL, &silent, &Cancel::default())
            .unwrap();
    let again = das_model::train::item_retrieval(&encoded.rows.quantized, 8, &market.held_out);
    assert_eq!(Some(again), trained.validation, "the weights are those of the best validation");
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let market = Market::new(12, 80, 48, 5);
    let folder = tempfile::tempdir().unwrap();
    let run = |config: &TrainConfig, seed| {
        let store = CheckpointStore::open(folder.path()).unwrap();
        let inputs = market.inputs();
        das(inputs, &model(), config, seed, Some(store), &mut NoObserver, &Cancel::default())
    };
    run(&training(), 1).unwrap();
    let error = run(&training(), 2).err().unwrap().to_string();
    assert!(error.contains("another seed"), "{error}");
    let changed = TrainConfig { learning_rate: 0.5 * training().learning_rate, ..training() };
    assert!(run(&changed, 1).is_err());
    // How often files and reports are written is no matter.
    let rarer = TrainConfig { checkpoint_steps: 50, gradient_report_steps: 3, ..training() };
    assert!(run(&rarer, 1).is_ok());
}

#[test]
fn wrong_inputs_are_refused_before_anything_is_trained() {
    let market = Market::new(13, 80, 48, 5);
    let refused = |inputs: Inputs<'_>, config: &TrainConfig, expected: &str| {
        let (mut observer, cancel) = (NoObserver, Cancel::default());
        let result = das(inputs, &model(), config, 0, None, &mut observer, &cancel);
        let error = result.err().expect("an error").to_string();
        assert!(error.contains(expected), "{error}");
    };
    let [users, items] = &market.content;
    let swapped = Inputs { content: [items, users], ..market.inputs() };
    refused(swapped, &training(), "user content: expected 80 vectors");
    let large = TrainConfig { batch_size: market.num_clicks() + 1, ..training() };
    refused(market.inputs(), &large, "train.batch_size");
    let zero = TrainConfig { epochs: 0, ..training() };
    refused(market.inputs(), &zero, "train.epochs");
}

#[test]
fn divergence_is_an_error_that_names_the_term() {
    let market = Market::new(14, 80, 48, 5);
    let config = TrainConfig { learning_rate: 1e30, quantize_after: 0, ..training() };
    let (mut observer, cancel) = (NoObserver, Cancel::default());
    let error =
        das(market.inputs(), &model(), &config, 0, None, &mut observer, &cancel).err().unwrap();
    assert!(matches!(error, Error::Diverged { .. }), "{error}");
}

#[test]
fn a_tokenizer_survives_its_bytes_and_refuses_others() {
    let market = Market::new(15, 80, 48, 5);
    let trained = train(&market, &model(), &training(), 0);
    let bytes = bytes(&trained);
    let loaded = NeuralTokenizer::from_bytes(&bytes).unwrap();
    assert_eq!(loaded.to_bytes().unwrap(), bytes);
    assert!(NeuralTokenizer::from_bytes(&bytes[..bytes.len() / 2]).is_err());
    let [users, _] = &market.content;
    let silent = das_core::progress::Silent;
    let error =
        encode_all(&loaded, Side::Item, users, Keep::ALL, &silent, &Cancel::default()).unwrap_err();
    assert!(error.to_string().contains("expected vectors of width 28"), "{error}");
}
