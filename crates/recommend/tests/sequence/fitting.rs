use std::sync::atomic::{AtomicU64, Ordering};

use das_core::checkpoints::CheckpointStore;
use das_core::progress::{Cancel, Progress, Silent};
use das_nn::Device;
use das_recommend::fit::{FitConfig, FitReport};
use das_recommend::{Error, Query, Result, Retriever, RetrieverConfig, SasRec, SasRecConfig};

use super::common::*;

/// Asks for a stop after so many updates.
struct StopAfter {
    left: AtomicU64,
    cancel: Cancel,
}

impl Progress for StopAfter {
    fn begin(&self, _phase: &str, _total: Option<u64>) {}

    fn update(&self, _done: u64, _note: &str) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.cancel.request();
        }
    }

    fn end(&self) {}
}

/// Trains to the end, interrupted after each `every` updates and continued.
fn piecewise(
    every: u64,
    mut train: impl FnMut(&CheckpointStore, &dyn Progress, &Cancel) -> Result<(Vec<u8>, FitReport)>,
) -> (Vec<u8>, FitReport) {
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(folder.path()).unwrap();
    for _ in 0..200 {
        let cancel = Cancel::default();
        let stop = StopAfter { left: AtomicU64::new(every), cancel: cancel.clone() };
        match train(&store, &stop, &cancel) {
            Err(Error::Core(das_core::Error::Interrupted)) => {}
            result => return result.unwrap(),
        }
    }
    panic!("the training does not move on");
}

/// A report without its clock.
fn timeless(report: &FitReport) -> FitReport {
    let mut report = report.clone();
    report.seconds = 0.0;
    report.curve.iter_mut().for_each(|point| point.seconds = 0.0);
    report
}

#[test]
fn a_continued_sasrec_has_the_bits_of_an_uninterrupted_one() {
    let (train, validation) = (chain(200, 1), last_out(&chain(50, 2)));
    let mut config = sasrec_config();
    config.fit.epochs = 4;
    let device = Device::cpu();
    let (whole, report) = train_sasrec(&train, &validation, &config);
    let (bytes, again) = piecewise(3, |store, progress, cancel| {
        let (model, report) = SasRec::train(
            &device,
            ITEMS,
            &train,
            &validation,
            &config,
            7,
            Some(store),
            progress,
            cancel,
        )?;
        Ok((model.to_bytes()?, report))
    });
    assert!(bytes == whole.to_bytes().unwrap());
    assert_eq!(timeless(&again), timeless(&report));
}

#[test]
fn a_continued_retriever_has_the_bits_of_an_uninterrupted_one() {
    let (train, validation) = (chain(200, 1), last_out(&chain(50, 2)));
    let (sids, config) = (random_sids(ITEMS, &[4, 4, 2], 1), retriever_config());
    let device = Device::cpu();
    let (whole, report) = train_retriever(&sids, &train, &validation, &config);
    let (bytes, again) = piecewise(2, |store, progress, cancel| {
        let (model, report) = Retriever::train(
            &device,
            &sids,
            &train,
            &validation,
            &config,
            7,
            Some(store),
            progress,
            cancel,
        )?;
        Ok((model.to_bytes()?, report))
    });
    assert!(bytes == whole.to_bytes().unwrap());
    assert_eq!(timeless(&again), timeless(&report));
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let (train, validation) = (chain(200, 1), last_out(&chain(50, 2)));
    let sids = random_sids(ITEMS, &[4, 4, 2], 1);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (sasrec, one) = train_sasrec(&train, &validation, &sasrec_config());
            let (retriever, two) = train_retriever(&sids, &train, &validation, &retriever_config());
            let bytes = (sasrec.to_bytes().unwrap(), retriever.to_bytes().unwrap());
            (bytes, timeless(&one), timeless(&two))
        })
    };
    assert!(run(1) == run(2));
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let (train, other) = (chain(60, 1), chain(60, 2));
    let (device, cancel) = (Device::cpu(), Cancel::default());
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(folder.path()).unwrap();
    let run = |train, config: &SasRecConfig, seed| {
        let (store, progress) = (Some(&store), &Silent);
        SasRec::train(&device, ITEMS, train, &[], config, seed, store, progress, &cancel)
    };
    let config = sasrec_config();
    let (model, report) = run(&train, &config, 1).unwrap();
    let (again, repeated) = run(&train, &config, 1).unwrap();
    assert!(model.to_bytes().unwrap() == again.to_bytes().unwrap(), "a finished run is kept");
    assert_eq!(report, repeated);
    let dropout = SasRecConfig { dropout: 0.2, ..config.clone() };
    for result in [run(&other, &config, 1), run(&train, &config, 2), run(&train, &dropout, 1)] {
        let error = result.unwrap_err().to_string();
        assert!(error.contains("other settings, another seed or other data"), "{error}");
    }
}

#[test]
fn training_stops_early_and_keeps_the_best_weights() {
    // Nothing can be learned from targets that no training sequence holds.
    let train = chain(60, 1);
    let validation: Vec<Query> =
        (0..40).map(|at| Query { history: vec![at % 24], target: (at * 7) % 24 }).collect();
    let mut config = sasrec_config();
    config.fit = FitConfig { epochs: 50, patience: 2, ..config.fit };
    let (model, report) = train_sasrec(&train, &validation, &config);
    assert!(report.epochs < 50, "{report:?}");
    assert_eq!(report.best_epoch + 2, report.epochs);
    config.fit.patience = 0;
    let (last, _) = train_sasrec(&train, &validation, &config);
    assert!(model.to_bytes().unwrap() != last.to_bytes().unwrap());
}

#[test]
fn without_validation_every_epoch_runs_and_the_last_weights_are_kept() {
    let mut config = sasrec_config();
    config.fit.patience = 1;
    let (_, report) = train_sasrec(&chain(60, 1), &[], &config);
    assert_eq!((report.epochs, report.best_epoch, report.best_validation), (3, 3, None));
    assert!(report.curve.iter().all(|point| point.validation.is_none() && point.loss > 0.0));
}

#[test]
fn validation_comes_round_and_at_the_end() {
    let mut config = retriever_config();
    config.fit = FitConfig { epochs: 5, validate_every: 3, ..config.fit };
    let sids = random_sids(ITEMS, &[4, 4, 2], 1);
    let (_, report) = train_retriever(&sids, &chain(60, 1), &last_out(&chain(20, 2)), &config);
    let validated: Vec<bool> =
        report.curve.iter().map(|point| point.validation.is_some()).collect();
    assert_eq!(validated, [false, false, true, false, true]);
}

#[test]
fn few_examples_still_make_the_steps_asked_for() {
    let steps = |min_steps: usize, users: usize| {
        let mut config = sasrec_config();
        config.fit = FitConfig { epochs: 1, min_steps, ..config.fit };
        train_sasrec(&chain(users, 1), &[], &config).1.steps
    };
    assert_eq!((steps(1, 20), steps(7, 20)), (1, 7));
    // Five users make one to three windows each: one window a step, and no empty step.
    assert!((5..=15).contains(&steps(1000, 5)), "{}", steps(1000, 5));
}

#[test]
fn a_loss_that_leaves_the_numbers_is_an_error() {
    let mut config: RetrieverConfig = retriever_config();
    config.fit = FitConfig { learning_rate: 1e30, clip_norm: 0.0, ..config.fit };
    let sids = random_sids(ITEMS, &[4, 4, 2], 1);
    let (device, cancel) = (Device::cpu(), Cancel::default());
    let train = chain(60, 1);
    let error = Retriever::train(&device, &sids, &train, &[], &config, 1, None, &Silent, &cancel)
        .unwrap_err()
        .to_string();
    assert!(error.contains("the loss is"), "{error}");
}

#[test]
fn settings_that_cannot_work_name_their_key() {
    let error = |fit: FitConfig| fit.check().unwrap_err().to_string();
    let fit = FitConfig::default;
    assert!(error(FitConfig { epochs: 0, ..fit() }).contains("`fit.epochs`"));
    assert!(error(FitConfig { batch_size: 0, ..fit() }).contains("`fit.batch_size`"));
    assert!(error(FitConfig { learning_rate: f32::NAN, ..fit() }).contains("`fit.learning_rate`"));
    assert!(error(FitConfig { warmup: 1.0, ..fit() }).contains("`fit.warmup`"));
    assert!(error(FitConfig { max_seconds: -1.0, ..fit() }).contains("`fit.max_seconds`"));
}
