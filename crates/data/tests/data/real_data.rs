//! The published sets, where this machine has them.

use das_core::Clicks;
use das_data::texts::{UserTextConfig, item_texts, user_texts};
use das_data::{CoClickConfig, DataSet, OrderKind, Part, Split, SplitKind, TrainingClicks};

use crate::common::*;

#[test]
fn beauty_has_the_published_counts() {
    let Some(folder) = shared("beauty") else { return };
    let data = DataSet::open(&folder).unwrap();
    assert_eq!(data.users().len(), 22_363);
    assert_eq!(data.items().len(), 12_101);
    assert_eq!(data.interactions().len(), 198_502);
    assert_eq!(data.interactions().order_kind(), OrderKind::Position);
    let titles = data.items().column("title").unwrap();
    assert_eq!((0..titles.len()).filter(|&row| titles.is_blank(row)).count(), 7);

    let split = Split::new(&data, SplitKind::LeaveLastOut).unwrap();
    // Every user of a 5-core set has at least three clicks.
    assert_eq!(split.count(Part::Test), 22_363);
    assert_eq!(split.count(Part::Validation), 22_363);
    let clicks = TrainingClicks::new(&data, &split, CoClickConfig { window: Some(2) }).unwrap();
    assert_eq!(clicks.num_clicks(), 198_502 - 2 * 22_363);
    assert_eq!(clicks.held_out(&data, &split, Part::Test).users.len(), 22_363);
    assert!(Split::new(&data, SplitKind::GlobalTime).is_err());

    let first = &item_texts(data.items(), Some("{title}. {attributes}")).unwrap()[0];
    let expected =
        "OPI Nail Lacquer, Simmer and Shimmer, 0.5-Fluid Ounce. OPI, Makeup, Nails, Nail Polish";
    assert_eq!(first, expected);
    let users = user_texts(&data, &clicks, &UserTextConfig::default()).unwrap();
    assert!(users.iter().all(|text| !text.is_empty()));
}

#[test]
fn ml100k_has_the_published_counts_and_shares() {
    let Some(folder) = shared("ml100k") else { return };
    let data = DataSet::open(&folder).unwrap();
    assert_eq!((data.users().len(), data.items().len()), (943, 1_682));
    let log = data.interactions();
    assert_eq!(log.len(), 100_000);
    assert_eq!((0..log.len()).filter(|&row| log.is_positive(row)).count(), 55_375);

    let split = Split::new(&data, SplitKind::GlobalTime).unwrap();
    assert_eq!(
        [Part::Train, Part::Validation, Part::Test].map(|part| split.count(part)),
        [80_000, 10_000, 10_000]
    );
    let mut seen = vec![false; 943];
    for row in (0..log.len()).filter(|&row| split.part(row) == Part::Train) {
        seen[log.users()[row] as usize] = true;
    }
    let unseen = (0..log.len())
        .filter(|&row| split.part(row) == Part::Test && !seen[log.users()[row] as usize])
        .count();
    assert_eq!(unseen, 8_582, "86 % of the test rows are of users never seen");

    let split = Split::new(&data, SplitKind::PerUserTime).unwrap();
    let clicks = TrainingClicks::new(&data, &split, CoClickConfig::default()).unwrap();
    assert_eq!(clicks.item_exposures().iter().sum::<u32>() as usize, split.count(Part::Train));
    let users = user_texts(&data, &clicks, &UserTextConfig::default()).unwrap();
    assert!(users[0].starts_with("age 24. M. technician. "), "{}", users[0]);
}
