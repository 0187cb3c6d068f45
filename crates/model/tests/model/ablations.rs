//! The switches that answer what each part of DAS is good for, and the gradient report.

use das_core::Side;
use das_core::checkpoints::CheckpointStore;
use das_core::progress::Cancel;
use das_model::train::NoObserver;
use das_model::{
    Error, ModelConfig, Part, Result, Sides, Term, TokenizerConfig, TrainConfig, Trained,
    load_tokenizer,
};

use crate::common::{Market, Recorder, das};

fn model() -> ModelConfig {
    let tokenizer = TokenizerConfig { hidden: vec![24], codebook_sizes: vec![12, 8] };
    ModelConfig { code_dim: 8, user: tokenizer.clone(), item: tokenizer, ..ModelConfig::paper() }
}

fn training() -> TrainConfig {
    TrainConfig { epochs: 3, batch_size: 64, checkpoint_steps: 5, ..TrainConfig::default() }
}

fn recorded<'a>(market: &Market, model: &ModelConfig) -> (Trained, Recorder<'a>) {
    let mut recorder = Recorder::default();
    let cancel = Cancel::default();
    let trained = das(market.inputs(), model, &training(), 1, None, &mut recorder, &cancel);
    (trained.unwrap(), recorder)
}

fn bytes(trained: &Trained) -> Vec<u8> {
    trained.tokenizer.to_bytes().unwrap()
}

fn part(name: &str) -> Part {
    Term::ALL.iter().find(|term| term.name() == name).unwrap().part()
}

#[test]
fn without_debiasing_there_is_one_embedding_an_entity_and_no_popularity() {
    let market = Market::new(21, 80, 48, 5);
    let (trained, records) = recorded(&market, &ModelConfig { debias: false, ..model() });
    let last = records.terms(records.steps.len() - 1);
    let gone = ["cf_biased", "pull_u", "pull_i", "orth_u", "orth_i", "qu_qi", "adapt_u", "adapt_i"];
    let expected: Vec<&str> =
        Term::ALL.iter().map(|term| term.name()).filter(|name| !gone.contains(name)).collect();
    assert!(expected.iter().all(|name| last.contains(name)) && last.len() == expected.len());
    let tables: Vec<&str> =
        trained.extra.iter().flat_map(|(_, tensors)| tensors).map(|t| t.name.as_str()).collect();
    assert_eq!(tables, ["user.interest", "item.property"]);
}

#[test]
fn frozen_collaborative_vectors_are_trained_first_and_then_stay() {
    let market = Market::new(22, 80, 48, 5);
    let frozen = ModelConfig { frozen_cf: true, ..model() };
    let (trained, records) = recorded(&market, &frozen);
    let half = records.steps.len() / 2;
    assert_eq!(records.steps.len(), 2 * 3 * (80 * 5 / 64));
    for step in 0..records.steps.len() {
        assert_eq!(records.steps[step].step, step as u64);
        let parts: Vec<Part> = records.terms(step).into_iter().map(part).collect();
        let first = step < half;
        assert!(parts.iter().all(|&part| (part == Part::Cf) == first), "step {step}: {parts:?}");
    }
    assert_eq!(records.epochs.last().unwrap().epoch, 5);
    // β changes the second stage alone: equal tables prove that it leaves them be.
    let (other, _) = recorded(&market, &ModelConfig { beta: 0.1, ..frozen });
    assert_eq!(other.extra, trained.extra);
    assert_ne!(bytes(&other), bytes(&trained));
    // Joint training ends elsewhere.
    assert_ne!(recorded(&market, &model()).0.extra, trained.extra);
}

#[test]
fn two_stages_resume_to_the_same_bits() {
    let market = Market::new(23, 80, 48, 5);
    let frozen = ModelConfig { frozen_cf: true, ..model() };
    let (whole, _) = recorded(&market, &frozen);
    for steps in [5, 18, 19] {
        let folder = tempfile::tempdir().unwrap();
        let store = CheckpointStore::open(folder.path()).unwrap();
        let resumed = loop {
            let cancel = Cancel::default();
            let mut recorder = Recorder::stopping_after(steps, &cancel);
            let (inputs, store) = (market.inputs(), Some(store.clone()));
            match das(inputs, &frozen, &training(), 1, store, &mut recorder, &cancel) {
                Ok(trained) => break trained,
                Err(Error::Core(das_core::Error::Interrupted)) => {}
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(bytes(&resumed), bytes(&whole), "interrupted every {steps} steps");
        assert_eq!(resumed.extra, whole.extra);
        assert_eq!((resumed.steps, resumed.epochs), (whole.steps, whole.epochs));
    }
}

#[test]
fn one_side_alone_has_one_tokenizer() {
    let market = Market::new(24, 80, 48, 5);
    for (sides, side, absent, terms) in [
        (Sides::Item, Side::Item, Side::User, ["rec_i", "rq_i", "qi_int", "qi_pro", "co_i"]),
        (Sides::User, Side::User, Side::Item, ["rec_u", "rq_u", "qu_pro", "qu_int", "co_u"]),
    ] {
        let (trained, records) = recorded(&market, &ModelConfig { sides, ..model() });
        let last = records.terms(records.steps.len() - 1);
        let tokenizing: Vec<&str> =
            last.into_iter().filter(|name| part(name) != Part::Cf).collect();
        assert_eq!(tokenizing.len(), terms.len());
        assert!(terms.iter().all(|term| tokenizing.contains(term)), "{tokenizing:?}");
        let loaded = load_tokenizer(&bytes(&trained)).unwrap();
        for tokenizer in [&trained.tokenizer, &loaded] {
            assert_eq!(tokenizer.sides(), [side]);
            assert_eq!(tokenizer.content_dim(absent), None);
            assert!(tokenizer.codebook_sizes(absent).is_empty());
            assert!(tokenizer.last_codebook(absent).is_empty());
            let error = tokenizer.encode_rows(absent, &[0.0; 20]).unwrap_err().to_string();
            assert_eq!(error, format!("method `das` has no {absent} tokenizer"));
        }
        assert_eq!(trained.validation.is_some(), side == Side::Item);
    }
}

#[test]
fn switches_that_leave_nothing_to_switch_are_refused() {
    let refused = |config: ModelConfig, key: &str| {
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    };
    refused(ModelConfig { frozen_cf: true, icdm: false, ..model() }, "model.frozen_cf");
    refused(ModelConfig { frozen_cf: true, alpha: 0.0, ..model() }, "model.frozen_cf");
    refused(ModelConfig { debias: false, icdm: false, ..model() }, "model.debias");
    let mut item = ModelConfig { sides: Sides::Item, ..model() };
    item.terms.set(Term::RqU, 0.0);
    item.check().expect("there is no user quantizer to train");
    item.terms.set(Term::RqI, 0.0);
    refused(item, "model.terms.rq_i");
}

fn reported<'a>(market: &Market, every: u64) -> Result<(Trained, Recorder<'a>)> {
    let config = TrainConfig { gradient_report_steps: every, ..training() };
    let mut recorder = Recorder::default();
    let cancel = Cancel::default();
    let trained = das(market.inputs(), &model(), &config, 1, None, &mut recorder, &cancel)?;
    Ok((trained, recorder))
}

#[test]
fn the_gradient_report_adds_up_and_changes_nothing() {
    let market = Market::new(25, 80, 48, 5);
    let (plain, silent) = reported(&market, 0).unwrap();
    let (trained, records) = reported(&market, 7).unwrap();
    assert!(silent.gradients.is_empty());
    assert_eq!(bytes(&trained), bytes(&plain));
    assert_eq!(trained.extra, plain.extra);
    assert_eq!(records.steps, silent.steps);
    for step in (0..records.steps.len() as u64).step_by(7) {
        let groups: Vec<_> = records.gradients.iter().filter(|r| r.step == step).collect();
        let named = |name: &str| groups.iter().find(|record| record.group == name);
        assert!(named("item.encoder").unwrap().terms.contains(&"qi_pro"));
        assert!(named("user.interest").unwrap().terms.contains(&"qu_int"));
        assert_eq!(named("item.decoder").unwrap().terms, ["rec_i"]);
        // ‖Σ g‖² = Σ over pairs of ‖a‖ ‖b‖ cos(a, b), over all groups.
        let mut square = 0.0;
        for record in &groups {
            for (a, row) in record.cosines.iter().enumerate() {
                for (b, &cosine) in row.iter().enumerate() {
                    assert!(cosine.abs() <= 1.0 + 1e-9 && cosine == record.cosines[b][a]);
                    square += record.norms[a] * record.norms[b] * cosine;
                }
            }
        }
        let norm = f64::from(records.steps[step as usize].gradient_norm);
        assert!((square.sqrt() - norm).abs() < 1e-4 * norm, "step {step}: {square} against {norm}");
    }
    let mut none = NoObserver;
    let cancel = Cancel::default();
    let config = TrainConfig { gradient_report_steps: 7, ..training() };
    das(market.inputs(), &model(), &config, 1, None, &mut none, &cancel).unwrap();
}
