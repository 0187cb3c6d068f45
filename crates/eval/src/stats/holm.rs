//! Several tests at once.

/// Holm's correction (Holm 1979, "A simple sequentially rejective multiple test procedure"): p
/// values such that taking those below α for found errs anywhere with a chance of at most α,
/// however the tests hang together. In the order of `p`.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut corrected = vec![0.0; p.len()];
    let mut largest = 0.0f64;
    for (rank, &at) in order.iter().enumerate() {
        let tests_left = (p.len() - rank) as f64;
        largest = largest.max((tests_left * p[at]).min(1.0));
        corrected[at] = largest;
    }
    corrected
}
