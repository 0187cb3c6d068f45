//! The AUC row by row and group by group, for statements about its uncertainty.

use std::collections::BTreeMap;

use super::super::ranking::sortable;

/// The placement of each row: of a positive the share of negatives that score below it, of a
/// negative the share of positives that score above it, ties half. The AUC is the mean over
/// positives, and that over negatives (DeLong, DeLong & Clarke-Pearson 1988, V₁₀ and V₀₁). `None`
/// unless both labels occur. O(n log n); NaN counts as −∞.
///
/// The slices are of equal length.
pub fn placements(logits: &[f32], labels: &[bool]) -> Option<Vec<f64>> {
    assert_eq!(logits.len(), labels.len(), "a label for each logit");
    let score = |row: &u32| sortable(logits[*row as usize]);
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    order.sort_by(|a, b| score(a).total_cmp(&score(b)));
    let positives = labels.iter().filter(|&&label| label).count();
    let negatives = labels.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let mut placed = vec![0.0; logits.len()];
    let (mut positives_below, mut negatives_below) = (0, 0);
    for tied in order.chunk_by(|a, b| score(a) == score(b)) {
        let own_positives = tied.iter().filter(|&&row| labels[row as usize]).count();
        let own_negatives = tied.len() - own_positives;
        let positives_above = positives - positives_below - own_positives;
        for &row in tied {
            placed[row as usize] = if labels[row as usize] {
                (negatives_below as f64 + 0.5 * own_negatives as f64) / negatives as f64
            } else {
                (positives_above as f64 + 0.5 * own_positives as f64) / positives as f64
            };
        }
        positives_below += own_positives;
        negatives_below += own_negatives;
    }
    Some(placed)
}

/// The AUC over all rows as a mean over groups, such as users: for each group, ascending,
///
/// AUC + U·\[(ΣV₁₀ − m·AUC)/M + (ΣV₀₁ − n·AUC)/N\],
///
/// with its [placements], its m positives and n negatives out of M and N in all, and U groups. The
/// plain mean is the AUC, and the variance of that mean over groups is the variance of an AUC whose
/// rows come in groups, to first order (Obuchowski 1997, "Nonparametric analysis of clustered ROC
/// curve data"). `None` unless both labels occur.
///
/// The slices are of equal length.
pub fn auc_by_group(groups: &[u32], logits: &[f32], labels: &[bool]) -> Option<Vec<(u32, f64)>> {
    /// Sum of placements and number of rows, of negatives and positives.
    type Sums = [(f64, f64); 2];
    assert_eq!(groups.len(), logits.len(), "a group for each logit");
    let placed = placements(logits, labels)?;
    let mut sums: BTreeMap<u32, Sums> = BTreeMap::new();
    for ((&group, &label), placement) in groups.iter().zip(labels).zip(&placed) {
        let (sum, rows) = &mut sums.entry(group).or_default()[usize::from(label)];
        *sum += placement;
        *rows += 1.0;
    }
    let total = |label: usize| {
        sums.values().fold((0.0, 0.0), |(sum, rows), of| (sum + of[label].0, rows + of[label].1))
    };
    let totals = [total(0), total(1)];
    let auc = totals[1].0 / totals[1].1;
    let groups = sums.len() as f64;
    let value = |of: &Sums| {
        let deviations =
            of.iter().zip(totals).map(|((sum, rows), (_, all))| (sum - rows * auc) / all);
        auc + groups * deviations.sum::<f64>()
    };
    Some(sums.iter().map(|(&group, of)| (group, value(of))).collect())
}
