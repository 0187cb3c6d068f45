//! What is learned, and that it is learned to the same bits.

use das_core::checkpoints::CheckpointStore;
use das_core::metrics::binary::auc;
use das_core::progress::{Cancel, Progress, Silent};
use das_nn::Device;
use das_recommend::ranker::{Features, Impressions, Ranker, RankerConfig, Score};

use crate::market::{ITEMS, Market, USERS, config, predict, select, train};

fn auc_of(ranker: &Ranker, features: &Features, rows: &Impressions) -> f64 {
    auc(&predict(ranker, features, rows).unwrap(), rows.labels()).unwrap()
}

#[test]
fn semantic_ids_carry_over_to_items_that_training_never_saw() {
    let market = Market::new(1);
    let (with, without) = (market.features_with_sids(), market.features());
    let (ranker, report) = train(&market, &with, &config());
    // The best possible ranking has an AUC of 0.86: of the clicks 75 % are of the user's kind, of
    // the other rows 4 %.
    let (warm, cold) = (report.best_validation.unwrap(), auc_of(&ranker, &with, &market.cold));
    assert!(warm > 0.8 && cold > 0.8, "warm {warm}, cold {cold}");
    let (ranker, _) = train(&market, &without, &config());
    let cold = auc_of(&ranker, &without, &market.cold);
    assert!(cold < 0.6, "nothing is known of these items, AUC {cold}");
}

#[test]
fn semantic_ids_can_take_the_place_of_item_ids() {
    let market = Market::new(2);
    let no_ids = RankerConfig { use_user_ids: false, use_item_ids: false, ..config() };
    let with = train(&market, &market.features_with_sids(), &no_ids).1;
    let without = train(&market, &market.features(), &no_ids).1;
    let (with, without) = (with.best_validation.unwrap(), without.best_validation.unwrap());
    assert!(with > 0.8 && without < 0.6, "with {with}, without {without}");
}

#[test]
fn every_part_can_be_left_out() {
    let market = Market::new(3);
    let features = market.features_with_sids();
    for change in [
        |config: &mut RankerConfig| config.history = 0,
        |config: &mut RankerConfig| (config.cross_layers, config.fit.epochs) = (0, 40),
        |config: &mut RankerConfig| config.hidden.clear(),
        |config: &mut RankerConfig| (config.dropout, config.id_dropout) = (0.0, 0.0),
        |config: &mut RankerConfig| config.score = Score::LogLikelihood,
    ] {
        let mut config = config();
        change(&mut config);
        let (ranker, _) = train(&market, &features, &config);
        let found = auc_of(&ranker, &features, &market.validation);
        assert!(found > 0.8, "AUC {found} with {config:?}");
    }
}

#[test]
fn ids_alone_are_enough_to_train() {
    let market = Market::new(4);
    let (_, report) = train(&market, &Features::new(USERS, ITEMS), &config());
    assert_eq!(report.epochs, 12);
}

/// Asks for a stop after a number of steps.
struct StopAfter<'a> {
    steps: std::sync::atomic::AtomicU64,
    cancel: &'a Cancel,
}

impl Progress for StopAfter<'_> {
    fn begin(&self, _phase: &str, _total: Option<u64>) {}

    fn update(&self, _done: u64, _note: &str) {
        if self.steps.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 1 {
            self.cancel.request();
        }
    }

    fn end(&self) {}
}

#[test]
fn an_interrupted_training_resumes_to_the_same_bits() {
    let market = Market::new(5);
    let features = market.features_with_sids();
    let whole = train(&market, &features, &config()).0.to_bytes().unwrap();
    for steps in [1, 100, 207] {
        let folder = tempfile::tempdir().unwrap();
        let store = CheckpointStore::open(folder.path()).unwrap();
        let resumed = loop {
            let cancel = Cancel::default();
            let begun = store.load_newest().unwrap().0.is_some();
            let steps = if begun { steps.max(120) } else { steps };
            let progress = StopAfter { steps: steps.into(), cancel: &cancel };
            let Market { train, validation, .. } = &market;
            let (device, config) = (Device::cpu(), config());
            match Ranker::train(
                &device,
                &features,
                train,
                validation,
                &config,
                7,
                Some(&store),
                &progress,
                &cancel,
            ) {
                Ok((ranker, _)) => break ranker,
                Err(error) => assert!(error.to_string().contains("interrupted"), "{error}"),
            }
        };
        assert_eq!(resumed.to_bytes().unwrap(), whole, "first interrupted after {steps} steps");
    }
}

#[test]
fn a_checkpoint_of_other_rows_is_refused() {
    let market = Market::new(6);
    let features = market.features();
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(folder.path()).unwrap();
    let run = |rows: &Impressions, max_seconds: f64| {
        let mut config = config();
        config.fit.epochs = 2;
        config.fit.max_seconds = max_seconds;
        let (device, cancel) = (Device::cpu(), Cancel::default());
        let validation = &market.validation;
        Ranker::train(
            &device,
            &features,
            rows,
            validation,
            &config,
            7,
            Some(&store),
            &Silent,
            &cancel,
        )
    };
    // A limit on time decides when to stop, not what is trained: it may change.
    let (_, stopped) = run(&market.train, 1e-9).unwrap();
    let (_, whole) = run(&market.train, 0.0).unwrap();
    assert_eq!((stopped.epochs, whole.epochs), (1, 2));
    let mut order: Vec<usize> = (0..market.train.len()).collect();
    order.swap(0, 1);
    let error = run(&select(&market.train, &order), 0.0).unwrap_err().to_string();
    assert!(error.contains("other data"), "{error}");
}

#[test]
fn threads_do_not_change_a_bit() {
    let market = Market::new(7);
    let features = market.features_with_sids();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (ranker, _) = train(&market, &features, &config());
            (ranker.to_bytes().unwrap(), predict(&ranker, &features, &market.cold).unwrap())
        })
    };
    assert_eq!(run(1), run(2));
}
