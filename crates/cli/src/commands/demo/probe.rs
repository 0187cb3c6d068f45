//! How much a linear map can read out of embeddings.

use rand::Rng;
use rand::seq::SliceRandom;

/// Ridge penalty per training row, on standardised targets and unscaled features.
const RIDGE: f64 = 1e-4;

/// R² on a random held-out half of a ridge regression, fitted on the other half, from
/// `embeddings` `[n, dim]` to `targets`. Below 0 where the fit is worse than the mean.
pub fn linear_probe(embeddings: &[f32], dim: usize, targets: &[f64], rng: &mut impl Rng) -> f64 {
    let mut rows: Vec<usize> = (0..targets.len()).collect();
    rows.shuffle(rng);
    let (train, test) = rows.split_at(rows.len() / 2);
    let weights = ridge(embeddings, dim, targets, train);
    let predict = |row: usize| -> f64 {
        let features = &embeddings[row * dim..][..dim];
        let slope: f64 = features.iter().zip(&weights).map(|(&x, w)| f64::from(x) * w).sum();
        slope + weights[dim]
    };
    let mean = test.iter().map(|&row| targets[row]).sum::<f64>() / test.len() as f64;
    let residual: f64 = test.iter().map(|&row| (targets[row] - predict(row)).powi(2)).sum();
    let total: f64 = test.iter().map(|&row| (targets[row] - mean).powi(2)).sum();
    1.0 - residual / total
}

/// Weights and, last, the intercept, by the normal equations.
fn ridge(embeddings: &[f32], dim: usize, targets: &[f64], rows: &[usize]) -> Vec<f64> {
    let size = dim + 1;
    let mut gram = vec![0.0; size * size];
    let mut moment = vec![0.0; size];
    let mut features = vec![1.0; size];
    for &row in rows {
        for (feature, &x) in features.iter_mut().zip(&embeddings[row * dim..][..dim]) {
            *feature = f64::from(x);
        }
        for (i, &a) in features.iter().enumerate() {
            moment[i] += a * targets[row];
            features.iter().zip(&mut gram[i * size..]).for_each(|(b, sum)| *sum += a * b);
        }
    }
    for i in 0..dim {
        gram[i * size + i] += RIDGE * rows.len() as f64;
    }
    solve(gram, moment)
}

/// Solves `a x = b` for symmetric positive definite `a` by Cholesky factorisation.
fn solve(mut a: Vec<f64>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for j in 0..n {
        for i in j..n {
            let dot: f64 = (0..j).map(|k| a[i * n + k] * a[j * n + k]).sum();
            let value = a[i * n + j] - dot;
            a[i * n + j] = if i == j { value.sqrt() } else { value / a[j * n + j] };
        }
    }
    for i in 0..n {
        let dot: f64 = (0..i).map(|k| a[i * n + k] * b[k]).sum();
        b[i] = (b[i] - dot) / a[i * n + i];
    }
    for i in (0..n).rev() {
        let dot: f64 = (i + 1..n).map(|k| a[k * n + i] * b[k]).sum();
        b[i] = (b[i] - dot) / a[i * n + i];
    }
    b
}

#[cfg(test)]
mod tests {
    use das_core::streams::stream;

    use super::*;

    #[test]
    fn finds_a_linear_signal_and_none_in_noise() {
        let mut rng = stream(1, "probe", 0);
        let (n, dim) = (600, 5);
        let embeddings: Vec<f32> = (0..n * dim).map(|_| rng.random_range(-1.0..1.0)).collect();
        let noise: Vec<f64> = (0..n).map(|_| rng.random_range(-1.0..1.0)).collect();
        let signal: Vec<f64> = (0..n)
            .map(|row| {
                let x = &embeddings[row * dim..];
                2.0 * f64::from(x[0]) - f64::from(x[3]) + 7.0
            })
            .collect();
        assert!(linear_probe(&embeddings, dim, &signal, &mut rng) > 0.999);
        assert!(linear_probe(&embeddings, dim, &noise, &mut rng) < 0.05);
    }
}
