//! Eigenvalues and eigenvectors of a dense symmetric matrix.

use super::vector::{dot, subtract};
use crate::{Error, Result};

/// Shifts after which an eigenvalue is given up; two or three are usual.
const MAX_SHIFTS: usize = 64;

/// Eigenvalues in descending order, with their eigenvectors as unit rows.
pub(super) struct Eigen {
    pub(super) values: Vec<f64>,
    /// [n, n]; row i belongs to value i.
    pub(super) vectors: Vec<f64>,
}

/// Decomposes the symmetric matrix `a` [n, n]: Householder tridiagonalisation, then implicitly
/// shifted QL (Golub and Van Loan, *Matrix Computations*, 4th ed., 8.3; Bowdler, Martin, Reinsch,
/// Wilkinson 1968). O(n³) in time.
///
/// # Errors
/// [`Error::NoConvergence`] where `a` is not finite.
pub(super) fn symmetric_eigen(a: Vec<f64>, n: usize) -> Result<Eigen> {
    let mut t = tridiagonalize(a, n);
    for low in 0..n {
        isolate(&mut t, low)?;
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| t.diagonal[j].total_cmp(&t.diagonal[i]));
    let vectors = order.iter().flat_map(|&i| &t.basis[i * n..(i + 1) * n]).copied().collect();
    Ok(Eigen { values: order.iter().map(|&i| t.diagonal[i]).collect(), vectors })
}

/// A = Qᵀ·T·Q, where T is tridiagonal.
struct Tridiagonal {
    n: usize,
    diagonal: Vec<f64>,
    /// `beside[i]` is T[i, i + 1]; the last one is 0.
    beside: Vec<f64>,
    /// Q, [n, n].
    basis: Vec<f64>,
}

fn tridiagonalize(mut a: Vec<f64>, n: usize) -> Tridiagonal {
    let mut beside = vec![0.0; n];
    let mut reflectors: Vec<Vec<f64>> = Vec::with_capacity(n);
    for k in 0..n.saturating_sub(1) {
        let mut v: Vec<f64> = (k + 1..n).map(|i| a[i * n + k]).collect();
        beside[k] = make_reflector(&mut v);
        reflect_both_sides(&mut a, n, k + 1, &v);
        reflectors.push(v);
    }
    let diagonal = (0..n).map(|i| a[i * n + i]).collect();
    // Q = H_last ⋯ H_1 H_0, built from the right, where only the corner is not the identity yet.
    let mut basis = vec![0.0; n * n];
    for i in 0..n {
        basis[i * n + i] = 1.0;
    }
    for (k, v) in reflectors.iter().enumerate().rev() {
        for row in basis.chunks_exact_mut(n).skip(k + 1) {
            let row = &mut row[k + 1..];
            let twice = 2.0 * dot(row, v);
            subtract(row, twice, v);
        }
    }
    Tridiagonal { n, diagonal, beside, basis }
}

/// Turns `v` into the unit vector u whose reflection I − 2uuᵀ brings `v` to (α, 0, …, 0), and
/// returns α; u is zero, and the reflection the identity, where `v` already is of that form.
fn make_reflector(v: &mut [f64]) -> f64 {
    let norm = dot(v, v).sqrt();
    if v[1..].iter().all(|&x| x == 0.0) {
        let alpha = v[0];
        v.fill(0.0);
        return alpha;
    }
    let alpha = -norm.copysign(v[0]);
    v[0] -= alpha;
    let norm = dot(v, v).sqrt();
    for x in v {
        *x /= norm;
    }
    alpha
}

/// The corner B = a[first.., first..] becomes (I − 2uuᵀ)·B·(I − 2uuᵀ).
fn reflect_both_sides(a: &mut [f64], n: usize, first: usize, u: &[f64]) {
    let mut w: Vec<f64> = a.chunks_exact(n).skip(first).map(|row| dot(&row[first..], u)).collect();
    let along = dot(&w, u);
    subtract(&mut w, along, u);
    for (i, row) in a.chunks_exact_mut(n).skip(first).enumerate() {
        let (twice_u, twice_w) = (2.0 * u[i], 2.0 * w[i]);
        for ((x, &u), &w) in row[first..].iter_mut().zip(u).zip(&w) {
            *x -= twice_u * w + twice_w * u;
        }
    }
}

/// QL steps until `beside[low]` is negligible, so that `diagonal[low]` is an eigenvalue.
fn isolate(t: &mut Tridiagonal, low: usize) -> Result<()> {
    for _ in 0..MAX_SHIFTS {
        let high = (low..t.n - 1)
            .find(|&i| {
                let size = t.diagonal[i].abs() + t.diagonal[i + 1].abs();
                t.beside[i].abs() <= f64::EPSILON * size
            })
            .unwrap_or(t.n - 1);
        if high == low {
            return if t.diagonal[low].is_finite() { Ok(()) } else { Err(Error::NoConvergence) };
        }
        ql_step(t, low, high);
    }
    Err(Error::NoConvergence)
}

/// One implicitly shifted QL step on rows `low..=high`, with Wilkinson's shift; chases the bulge
/// upwards by rotations of adjacent rows.
fn ql_step(t: &mut Tridiagonal, low: usize, high: usize) {
    let half_gap = (t.diagonal[low + 1] - t.diagonal[low]) / (2.0 * t.beside[low]);
    let root = half_gap.hypot(1.0).copysign(half_gap);
    let shift = t.diagonal[low] - t.beside[low] / (half_gap + root);
    let mut x = t.diagonal[high] - shift;
    let (mut sine, mut cosine, mut moved) = (1.0, 1.0, 0.0);
    for i in (low..high).rev() {
        let bulge = sine * t.beside[i];
        let beside = cosine * t.beside[i];
        let length = bulge.hypot(x);
        t.beside[i + 1] = length;
        if length == 0.0 {
            // The matrix splits here: the parts are handled by the next steps.
            t.diagonal[i + 1] -= moved;
            t.beside[high] = 0.0;
            return;
        }
        (sine, cosine) = (bulge / length, x / length);
        let rest = t.diagonal[i + 1] - moved;
        let mixed = (t.diagonal[i] - rest) * sine + 2.0 * cosine * beside;
        moved = sine * mixed;
        t.diagonal[i + 1] = rest + moved;
        x = cosine * mixed - beside;
        rotate_rows(&mut t.basis[i * t.n..(i + 2) * t.n], sine, cosine);
    }
    t.diagonal[low] -= moved;
    t.beside[low] = x;
    t.beside[high] = 0.0;
}

fn rotate_rows(rows: &mut [f64], sine: f64, cosine: f64) {
    let (upper, lower) = rows.split_at_mut(rows.len() / 2);
    for (a, b) in upper.iter_mut().zip(lower) {
        (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn check(a: &[f64], n: usize) -> Vec<f64> {
        let eigen = symmetric_eigen(a.to_vec(), n).unwrap();
        let size = a.iter().fold(1e-30f64, |m, x| m.max(x.abs())) * n as f64;
        for (i, &value) in eigen.values.iter().enumerate() {
            let v = &eigen.vectors[i * n..(i + 1) * n];
            for r in 0..n {
                assert!((dot(&a[r * n..(r + 1) * n], v) - value * v[r]).abs() < 1e-13 * size);
            }
            for j in 0..n {
                let expected = if i == j { 1.0 } else { 0.0 };
                let product = dot(v, &eigen.vectors[j * n..(j + 1) * n]);
                assert!((product - expected).abs() < 1e-12, "{i} {j} {product}");
            }
        }
        assert!(eigen.values.is_sorted_by(|a, b| a >= b));
        eigen.values
    }

    #[test]
    fn eigenpairs_solve_random_matrices() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for n in [1, 2, 3, 5, 17, 60] {
            let b: Vec<f64> = (0..n * n).map(|_| rng.random_range(-1.0..1.0)).collect();
            let a: Vec<f64> = (0..n * n).map(|at| b[at] + b[at % n * n + at / n]).collect();
            check(&a, n);
        }
    }

    #[test]
    fn known_spectra_come_out() {
        // The second-difference matrix of order n has eigenvalues 2 − 2 cos(kπ / (n + 1)).
        let n: usize = 12;
        let a: Vec<f64> = (0..n * n)
            .map(|at| match (at / n).abs_diff(at % n) {
                0 => 2.0,
                1 => -1.0,
                _ => 0.0,
            })
            .collect();
        for (i, value) in check(&a, n).into_iter().enumerate() {
            let k = (n - i) as f64;
            let expected = 2.0 - 2.0 * (k * std::f64::consts::PI / (n as f64 + 1.0)).cos();
            assert!((value - expected).abs() < 1e-12);
        }
        // Rank one, repeated zeros, and nothing but zeros.
        assert!((check(&[1.0; 25], 5)[0] - 5.0).abs() < 1e-12);
        assert_eq!(check(&[0.0; 16], 4), [0.0; 4]);
    }

    #[test]
    fn what_is_not_finite_is_an_error() {
        assert!(symmetric_eigen(vec![f64::NAN; 9], 3).is_err());
    }
}
