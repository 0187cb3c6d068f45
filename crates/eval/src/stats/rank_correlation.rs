//! Whether two lists of figures rank methods alike.

/// Spearman's rank correlation: Pearson's of the ranks, ties sharing their mean rank. `None` for
/// fewer than two pairs or where one side is constant.
pub fn spearman(left: &[f64], right: &[f64]) -> Option<f64> {
    assert_eq!(left.len(), right.len(), "pairs");
    let (left, right) = (mean_ranks(left), mean_ranks(right));
    let middle = (left.len() as f64 - 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle)).sum()
    };
    let scale = (product(&left, &left) * product(&right, &right)).sqrt();
    (scale > 0.0).then(|| product(&left, &right) / scale)
}

/// Rank of each value from 0, ties sharing their mean.
fn mean_ranks(values: &[f64]) -> Vec<f64> {
    let rank = |value: &f64| {
        let below = values.iter().filter(|other| *other < value).count();
        let tied = values.iter().filter(|other| *other == value).count();
        below as f64 + (tied as f64 - 1.0) / 2.0
    };
    values.iter().map(rank).collect()
}
