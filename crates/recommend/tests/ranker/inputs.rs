//! Inputs that do not fit are errors that say where.

use das_core::progress::{Cancel, Silent};
use das_core::sid::{SidLayout, SidTable};
use das_nn::Device;
use das_recommend::ranker::{
    BagField, CategoricalField, Features, Impressions, Ranker, RankerConfig,
};
use das_recommend::{Error, Sequences};

use crate::market::{ITEMS, Market, USERS, config, predict, select, train};

fn message<T>(result: Result<T, Error>) -> String {
    result.err().expect("an error").to_string()
}

fn field(name: &str, values: Vec<u32>) -> CategoricalField {
    CategoricalField::new(name, 9, values).unwrap()
}

#[test]
fn fields_are_checked() {
    let error = message(CategoricalField::new("age", 3, vec![0, 2, 3]));
    assert!(error.contains("field `age`: value 2 is 3, expected less than 3"), "{error}");
    assert!(message(CategoricalField::new("age", 0, vec![])).contains("at least one category"));
    let bags = Sequences::new(vec![0, 1, 2], vec![4, 5]).unwrap();
    assert!(message(BagField::new("genres", 5, bags.clone())).contains("value 1 is 5"));

    let features = || Features::new(2, 3);
    let error = message(features().with_user_fields(vec![field("age", vec![1, 2, 3])]));
    assert!(error.contains("user `age`: expected 2 rows, one for each user, found 3"), "{error}");
    let twice = vec![field("year", vec![0; 3]), field("year", vec![1; 3])];
    assert!(message(features().with_item_fields(twice)).contains("named `year`"));
    let error = message(features().with_item_bags(vec![BagField::new("genres", 6, bags).unwrap()]));
    assert!(error.contains("item `genres`: expected 3 rows"), "{error}");
}

#[test]
fn semantic_ids_of_another_length_are_refused() {
    let sids = |rows: usize| {
        SidTable::new(SidLayout::learned(vec![4, 4]).unwrap(), vec![1; 2 * rows]).unwrap()
    };
    let error = message(Features::new(2, 3).with_item_sids(sids(2)));
    assert!(error.contains("item `semantic IDs`: expected 3 rows"), "{error}");
    let error = message(Features::new(2, 3).with_user_sids(sids(3)));
    assert!(error.contains("user `semantic IDs`: expected 2 rows"), "{error}");
}

#[test]
fn impressions_are_checked() {
    let histories = || Sequences::new(vec![0, 0, 1], vec![0]).unwrap();
    let new = |items: Vec<u32>, labels, context, histories| {
        Impressions::new(vec![0, 1], items, labels, context, histories)
    };
    let labels = || vec![true, false];
    assert!(new(vec![0, 1], labels(), vec![], histories()).is_ok());
    let error = message(new(vec![0], labels(), vec![], histories()));
    assert!(error.contains("2 users, but 1 items"), "{error}");
    assert!(message(new(vec![0, 1], vec![true], vec![], histories())).contains("1 labels"));
    let one = Sequences::new(vec![0, 0], vec![]).unwrap();
    assert!(message(new(vec![0, 1], labels(), vec![], one)).contains("1 histories"));
    let hour = field("hour", vec![1]);
    let error = message(new(vec![0, 1], labels(), vec![hour], histories()));
    assert!(error.contains("impression `hour`: expected 2 rows"), "{error}");
}

fn refused(features: &Features, train: &Impressions, config: &RankerConfig) -> String {
    let validation = &Market::new(31).validation;
    let (device, cancel) = (Device::cpu(), Cancel::default());
    message(Ranker::train(&device, features, train, validation, config, 1, None, &Silent, &cancel))
}

#[test]
fn training_refuses_what_it_cannot_learn_from() {
    let market = Market::new(31);
    let (features, config) = (market.features(), config());
    let clicks: Vec<usize> =
        (0..market.train.len()).filter(|&row| market.train.labels()[row]).collect();
    let error = refused(&features, &select(&market.train, &clicks), &config);
    assert!(error.contains("training impressions:"), "{error}");
    assert!(error.contains("expected both clicks and"), "{error}");
    let error = refused(&features, &select(&market.train, &[]), &config);
    assert!(error.contains("0 of 0 rows are clicks"), "{error}");

    let fewer_users = Features::new(USERS - 1, ITEMS);
    assert!(refused(&fewer_users, &market.train, &config).contains("but the features have 59"));
    let fewer_items = Features::new(USERS, 90);
    assert!(refused(&fewer_items, &market.train, &config).contains("but the features have 90"));

    let bare = Features::new(USERS, ITEMS);
    let no_ids = RankerConfig { use_item_ids: false, ..config };
    assert!(refused(&bare, &market.train, &no_ids).contains("ranker.use_item_ids"));
}

#[test]
fn settings_are_checked() {
    let refused = |change: fn(&mut RankerConfig), key: &str| {
        let mut config = RankerConfig::default();
        change(&mut config);
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    };
    assert!(RankerConfig::default().check().is_ok());
    refused(|config| config.dim = 0, "ranker.dim");
    refused(|config| config.hidden = vec![8, 0], "ranker.hidden[1]");
    refused(|config| config.heads = 0, "ranker.heads");
    refused(|config| config.heads = 5, "ranker.heads");
    refused(|config| config.dropout = 1.0, "ranker.dropout");
    refused(|config| config.id_dropout = f32::NAN, "ranker.id_dropout");
    refused(|config| config.history = usize::MAX, "ranker.history");
    refused(|config| (config.cross_layers, config.hidden) = (0, vec![]), "ranker.hidden");
    refused(|config| config.fit.epochs = 0, "epochs");
}

#[test]
fn prediction_refuses_other_fields_than_those_of_training() {
    let market = Market::new(32);
    let mut config = config();
    config.fit.epochs = 1;
    let features = market.features_with_sids();
    let (ranker, _) = train(&market, &features, &config);
    let refused = |features: &Features, expected: &str| {
        let error = message(predict(&ranker, features, &market.cold));
        assert!(error.contains(expected), "{error}");
    };
    refused(&market.features(), "trained on levels of [4, 5] codes, found []");
    refused(
        &Features::new(USERS, ITEMS),
        "user fields: the ranker was trained on kind (5), found none",
    );
    let log = &market.cold;
    let no_context = Impressions::new(
        log.users().to_vec(),
        log.items().to_vec(),
        log.labels().to_vec(),
        vec![],
        log.histories().clone(),
    );
    let error = message(predict(&ranker, &features, &no_context.unwrap()));
    assert!(error.contains("context fields: the ranker was trained on hour (25)"), "{error}");
}
