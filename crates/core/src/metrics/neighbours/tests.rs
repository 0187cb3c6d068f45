use super::*;
use crate::sid::SidLayout;
use crate::streams::stream;
use crate::{ClickEpoch, DenseMatrix};

/// Sets of clicked items, one a user.
struct Sets(usize, Vec<Vec<u32>>);

impl Clicks for Sets {
    fn num_users(&self) -> usize {
        self.1.len()
    }
    fn num_items(&self) -> usize {
        self.0
    }
    fn num_clicks(&self) -> usize {
        self.1.iter().map(Vec::len).sum()
    }
    fn items_of(&self, user: u32) -> &[u32] {
        &self.1[user as usize]
    }
    fn user_clicks(&self) -> &[u32] {
        &[]
    }
    fn item_clicks(&self) -> &[u32] {
        &[]
    }
    fn item_exposures(&self) -> &[u32] {
        &[]
    }
    fn user_exposures(&self) -> &[u32] {
        &[]
    }
    fn epoch(&self, _seed: u64, _epoch: u64) -> ClickEpoch {
        ClickEpoch::default()
    }
}

fn random_table(rows: usize, seed: u64) -> SidTable {
    let mut rng = stream(seed, "codes", 0);
    let codes = (0..rows * 2).map(|_| rng.random_range(0..3)).collect();
    SidTable::new(SidLayout::learned(vec![3, 3]).unwrap(), codes).unwrap()
}

/// Agreement by the definition, given each row's similarity to a query; none for no neighbour.
fn naive(table: &SidTable, k: usize, similar: impl Fn(u32, u32) -> Option<f32>) -> [f64; 3] {
    let rows = 0..table.len() as u32;
    let (mut sums, mut queries) = ([0.0; 3], 0.0);
    for query in rows.clone() {
        let mut others: Vec<(f32, u32)> = rows
            .clone()
            .filter(|&row| row != query)
            .filter_map(|row| Some((similar(query, row)?, row)))
            .collect();
        others.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        others.truncate(k);
        if others.is_empty() {
            continue;
        }
        queries += 1.0;
        let of = |row: u32| table.row(row as usize);
        for &(_, row) in &others {
            let first = of(row)[0] == of(query)[0];
            let both = first && of(row)[1] == of(query)[1];
            sums[0] += f64::from(u8::from(first)) / others.len() as f64;
            let prefix = f64::from(u8::from(first) + u8::from(both));
            sums[2] += prefix / 2.0 / others.len() as f64;
        }
        let same = rows.clone().filter(|&row| row != query && of(row)[0] == of(query)[0]).count();
        sums[1] += same as f64 / (table.len() - 1) as f64;
    }
    sums.map(|sum| sum / queries)
}

#[track_caller]
fn assert_agrees(found: &NeighbourAgreement, expected: [f64; 3]) {
    let found = [found.first_code, found.first_code_expected, found.common_prefix];
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }
}

#[test]
fn content_neighbours_equal_the_definition() {
    let table = random_table(40, 1);
    let mut rng = stream(1, "content", 0);
    // Whole numbers, so that sums are exact in any order; row 7 is zero.
    let values = (0..40 * 11)
        .map(|at| if at / 11 == 7 { 0.0 } else { rng.random_range(-4i32..5) as f32 })
        .collect();
    let content = DenseMatrix::new(11, values).unwrap();
    let found = neighbour_content(&table, &content, 5, 1000, &mut rng).unwrap();
    let product = |a: u32, b: u32| -> f32 {
        content.row(a as usize).iter().zip(content.row(b as usize)).map(|(x, y)| x * y).sum()
    };
    let inverse = |row| if row == 7 { 0.0 } else { 1.0 / product(row, row).sqrt() };
    let expected = naive(&table, 5, |a, b| Some(product(a, b) * inverse(a) * inverse(b)));
    assert_eq!(found.queries, 40);
    assert_agrees(&found, expected);
}

#[test]
fn co_click_neighbours_equal_the_definition() {
    let table = random_table(30, 2);
    let mut rng = stream(2, "clicks", 0);
    // The last items are never clicked.
    let user = |_| -> Vec<u32> { (0..27).filter(|_| rng.random_bool(0.2)).collect() };
    let clicks = Sets(30, (0..25).map(user).collect());
    let count = |items: &[u32]| {
        clicks.1.iter().filter(|set| items.iter().all(|item| set.contains(item))).count() as f32
    };
    let found = neighbour_coclick(&table, &clicks, 4, 1000, &mut stream(0, "t", 0)).unwrap();
    let expected = naive(&table, 4, |a, b| {
        let both = count(&[a, b]);
        (both > 0.0).then(|| both / count(&[b]).sqrt())
    });
    assert_eq!(found.queries, 27);
    assert_agrees(&found, expected);
}

#[test]
fn a_cap_draws_that_many_and_the_same_under_one_seed() {
    let table = random_table(200, 3);
    let content = DenseMatrix::new(2, (0..400).map(|at| (at % 7) as f32 + 1.0).collect()).unwrap();
    let found =
        |seed| neighbour_content(&table, &content, 3, 50, &mut stream(seed, "draw", 0)).unwrap();
    assert_eq!(found(1).queries, 50);
    assert_eq!(found(1), found(1));
}

#[test]
fn lengths_must_fit() {
    let table = random_table(4, 4);
    let content = DenseMatrix::new(2, vec![1.0; 6]).unwrap();
    let mut rng = stream(0, "t", 0);
    let error = neighbour_content(&table, &content, 3, 9, &mut rng).unwrap_err().to_string();
    assert!(error.contains("3 content rows for 4 IDs"), "{error}");
    assert!(neighbour_coclick(&table, &Sets(3, vec![]), 3, 9, &mut rng).is_err());
}
