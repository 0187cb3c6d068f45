//! Entropy and mutual information of discrete samples, in nats.

/// Plug-in entropy −Σ p ln p of a distribution given by counts; 0 for none.
pub(super) fn entropy(counts: impl Iterator<Item = u64> + Clone) -> f64 {
    let total: u64 = counts.clone().sum();
    if total == 0 {
        return 0.0;
    }
    let total = total as f64;
    let sum: f64 = counts
        .filter(|&count| count > 0)
        .map(|count| {
            let p = count as f64 / total;
            -p * p.ln()
        })
        .sum();
    sum.max(0.0)
}

/// How often each value `0..values` occurs.
pub(super) fn histogram(values: usize, samples: impl Iterator<Item = u32>) -> Vec<u64> {
    let mut counts = vec![0; values];
    samples.for_each(|value| counts[value as usize] += 1);
    counts
}

/// Plug-in entropies of `left`, `right` and of both together, over pairs of equal position.
pub(super) struct PairEntropies {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) joint: f64,
}

impl PairEntropies {
    /// `left` and `right` are of equal length, with values below `lefts` and `rights`.
    pub(super) fn of(left: &[u32], lefts: usize, right: &[u32], rights: usize) -> PairEntropies {
        let mut pairs: Vec<u64> =
            left.iter().zip(right).map(|(&l, &r)| u64::from(l) << 32 | u64::from(r)).collect();
        pairs.sort_unstable();
        let runs = pairs.chunk_by(|a, b| a == b).map(|run| run.len() as u64);
        PairEntropies {
            left: entropy(histogram(lefts, left.iter().copied()).into_iter()),
            right: entropy(histogram(rights, right.iter().copied()).into_iter()),
            joint: entropy(runs),
        }
    }

    /// I(left; right) = H(left) + H(right) − H(left, right), never below 0.
    pub(super) fn mutual_information(&self) -> f64 {
        (self.left + self.right - self.joint).max(0.0)
    }
}
