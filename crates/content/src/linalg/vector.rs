//! Loops over f64 vectors.

/// Partial sums of a dot product: enough for the widest registers, and the same everywhere.
const LANES: usize = 8;

/// Σ aᵢ·bᵢ, in [`LANES`] interleaved partial sums, which the compiler can keep in registers.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

/// from −= factor·v.
pub(super) fn subtract(from: &mut [f64], factor: f64, v: &[f64]) {
    for (x, &v) in from.iter_mut().zip(v) {
        *x -= factor * v;
    }
}
