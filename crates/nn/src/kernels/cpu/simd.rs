//! Run-time SIMD dispatch, and the few primitives that loops must spell out to vectorise.
//!
//! Everything here is `#[inline(always)]`, so that it is compiled for the instruction set of the
//! [`vectorize`] call that it ends up in.

use std::ops::Range;

/// Width of the accumulators below: one AVX-512 register, two AVX2 ones.
const LANES: usize = 16;

/// Runs `f` compiled for the widest vector instructions that this machine has. Mark the closure
/// `#[inline(always)]`: where it is not inlined, it is compiled for the oldest machine instead.
/// Numbers from outside that a loop needs are moved in or copied within: through a reference, which
/// what the loop writes might overlap, they would be read anew for every value, one by one.
#[inline(always)]
pub(crate) fn vectorize<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}

/// `e^x` by range reduction to `2^n e^r`, `|r| <= ln(2) / 2`, and the minimax polynomial of
/// Cephes' `expf`: within 2 units in the last place for `-87 <= x <= 88`. Below it is 0, above it
/// stays at `e^88`, NaN stays NaN.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LOW: f32 = -87.0;
    const HIGH: f32 = 88.0;
    // Adding 1.5 * 2^23 leaves the nearest integer in the low bits of the significand.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 355.0 / 512.0;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let bounded = if x < LOW { LOW } else { x };
    let bounded = if bounded > HIGH { HIGH } else { bounded };
    let shifted = bounded.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN_2_LOW, n.mul_add(-LN_2_HIGH, bounded));
    let mut p = 1.987_569_1e-4f32;
    p = p.mul_add(r, 1.398_199_9e-3);
    p = p.mul_add(r, 8.333_452e-3);
    p = p.mul_add(r, 4.166_579_6e-2);
    p = p.mul_add(r, 1.666_666_5e-1);
    p = p.mul_add(r, 0.5);
    let y = p.mul_add(r * r, r) + 1.0;
    let two_to_n = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < LOW { 0.0 } else { y * two_to_n }
}

/// Joins independent accumulators in a fixed tree.
#[inline(always)]
fn join<A: Copy>(mut lanes: [A; LANES], combine: impl Fn(A, A) -> A) -> A {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = combine(lanes[lane], lanes[lane + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// Folds `f(&mut accumulator, a, b)` over two slices of one length with [`LANES`] independent
/// accumulators, which `combine` then joins.
#[inline(always)]
fn fold2<A: Copy>(
    a: &[f32],
    b: &[f32],
    start: A,
    f: impl Fn(A, f32, f32) -> A,
    combine: impl Fn(A, A) -> A,
) -> A {
    let mut lanes = [start; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (a_rest, b_rest) = (a_chunks.remainder(), b_chunks.remainder());
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] = f(lanes[lane], x[lane], y[lane]);
        }
    }
    for (lane, (&x, &y)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *lane = f(*lane, x, y);
    }
    join(lanes, combine)
}

/// `Σ x`.
#[inline(always)]
pub(crate) fn sum(x: &[f32]) -> f32 {
    fold2(
        x,
        x,
        0.0,
        #[inline(always)]
        |sum: f32, x, _| sum + x,
        |p, q| p + q,
    )
}

/// The largest `x`; minus infinity for nothing.
#[inline(always)]
pub(crate) fn max(x: &[f32]) -> f32 {
    fold2(
        x,
        x,
        f32::NEG_INFINITY,
        #[inline(always)]
        |max, x, _| larger(max, x),
        larger,
    )
}

/// `x = exp(x - shift)`; returns the sum.
#[inline(always)]
pub(crate) fn exp_in_place(x: &mut [f32], shift: f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let mut chunks = x.chunks_exact_mut(LANES);
    for x in &mut chunks {
        for lane in 0..LANES {
            x[lane] = exp(x[lane] - shift);
            lanes[lane] += x[lane];
        }
    }
    for (lane, x) in lanes.iter_mut().zip(chunks.into_remainder()) {
        *x = exp(*x - shift);
        *lane += *x;
    }
    join(lanes, |p, q| p + q)
}

/// `Σ exp(x - shift)`.
#[inline(always)]
pub(crate) fn sum_exp(x: &[f32], shift: f32) -> f32 {
    fold2(
        x,
        x,
        0.0,
        #[inline(always)]
        |sum: f32, x, _| sum + exp(x - shift),
        |p, q| p + q,
    )
}

/// `a · b`.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    fold2(
        a,
        b,
        0.0,
        #[inline(always)]
        |sum: f32, x, y| x.mul_add(y, sum),
        |p, q| p + q,
    )
}

/// `out = Σ weight · row` over `row(index) = (weight, row)` for the indices given.
#[inline(always)]
pub(crate) fn combine<'a>(
    indices: Range<usize>,
    row: impl Fn(usize) -> (f32, &'a [f32]),
    out: &mut [f32],
) {
    let mut at = 0;
    let mut chunks = out.chunks_exact_mut(LANES);
    for out in &mut chunks {
        let mut lanes = [0.0; LANES];
        for index in indices.clone() {
            let (weight, row) = row(index);
            let row = &row[at..at + LANES];
            for lane in 0..LANES {
                lanes[lane] = weight.mul_add(row[lane], lanes[lane]);
            }
        }
        out.copy_from_slice(&lanes);
        at += LANES;
    }
    for out in chunks.into_remainder() {
        let terms = indices.clone().map(&row);
        *out = terms.fold(0.0, |sum: f32, (weight, row)| weight.mul_add(row[at], sum));
        at += 1;
    }
}

/// `Σ (a - b)²` in double precision.
#[inline(always)]
pub(crate) fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    fold2(
        a,
        b,
        0.0,
        #[inline(always)]
        |sum: f64, x, y| {
            let difference = f64::from(x) - f64::from(y);
            difference.mul_add(difference, sum)
        },
        |p, q| p + q,
    )
}

/// `Σ (a - b)²`, exactly 0 for equal rows.
#[inline(always)]
pub(crate) fn rough_squared_distance(a: &[f32], b: &[f32]) -> f32 {
    fold2(
        a,
        b,
        0.0,
        #[inline(always)]
        |sum: f32, x, y| (x - y).mul_add(x - y, sum),
        |p, q| p + q,
    )
}

/// `Σ x²` in double precision.
#[inline(always)]
pub(crate) fn square_sum(x: &[f32]) -> f64 {
    fold2(
        x,
        x,
        0.0,
        #[inline(always)]
        |sum: f64, x, _| f64::from(x).mul_add(f64::from(x), sum),
        |p, q| p + q,
    )
}

/// `max (x - y)`; minus infinity for nothing.
#[inline(always)]
pub(crate) fn max_difference(x: &[f32], y: &[f32]) -> f32 {
    let start = f32::NEG_INFINITY;
    fold2(
        x,
        y,
        start,
        #[inline(always)]
        |max, x, y| larger(max, x - y),
        larger,
    )
}

#[inline(always)]
fn larger(p: f32, q: f32) -> f32 {
    if q > p { q } else { p }
}

/// `Σ exp(x - y - shift)`.
#[inline(always)]
pub(crate) fn sum_exp_difference(x: &[f32], y: &[f32], shift: f32) -> f32 {
    fold2(
        x,
        y,
        0.0,
        #[inline(always)]
        |sum: f32, x, y| sum + exp(x - y - shift),
        |p, q| p + q,
    )
}

/// The index of the least `x`; the lowest index wins ties.
#[inline(always)]
pub(crate) fn argmin(x: &[f32]) -> u32 {
    let mut best = [f32::INFINITY; LANES];
    let mut place = [0u32; LANES];
    let chunks = x.chunks_exact(LANES);
    let (rest, mut base) = (chunks.remainder(), 0u32);
    for x in chunks {
        for lane in 0..LANES {
            let better = x[lane] < best[lane];
            best[lane] = if better { x[lane] } else { best[lane] };
            place[lane] = if better { base + lane as u32 } else { place[lane] };
        }
        base += LANES as u32;
    }
    for (lane, &x) in rest.iter().enumerate() {
        if x < best[lane] {
            (best[lane], place[lane]) = (x, base + lane as u32);
        }
    }
    let mut winner = (place[0], best[0]);
    for (&place, &best) in place.iter().zip(&best).skip(1) {
        if best < winner.1 || (best == winner.1 && place < winner.0) {
            winner = (place, best);
        }
    }
    winner.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_ulp() {
        for i in 0..=1_750_000 {
            let x = -87.0 + i as f32 * 1e-4;
            let truth = f64::from(x).exp();
            let ulp = f64::from((truth as f32).next_up()) - f64::from(truth as f32);
            let error = (f64::from(exp(x)) - truth).abs() / ulp;
            assert!(error <= 2.0, "exp({x}): {error} ulp");
        }
    }

    #[test]
    fn exp_at_the_edges() {
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-1e4), 0.0);
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::INFINITY).is_finite());
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn folds_match_plain_loops_at_any_length() {
        for n in 0..70 {
            let x: Vec<f32> = (0..n).map(|i| ((i * 37) % 19) as f32 * 0.25 - 2.0).collect();
            let y: Vec<f32> = (0..n).map(|i| ((i * 11) % 7) as f32 * 0.5 - 1.0).collect();
            let pairs = || x.iter().zip(&y).map(|(&p, &q)| (p, q));
            assert_eq!(dot(&x, &y), pairs().map(|(p, q)| p * q).sum::<f32>());
            let distance: f32 = pairs().map(|(p, q)| (p - q) * (p - q)).sum();
            assert_eq!(squared_distance(&x, &y), f64::from(distance));
            assert_eq!(square_sum(&x), f64::from(x.iter().map(|p| p * p).sum::<f32>()));
            assert_eq!(sum(&x), x.iter().sum::<f32>());
            assert_eq!(max(&x), x.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let max = pairs().map(|(p, q)| p - q).fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(max_difference(&x, &y), max);
            let mut powers = x.clone();
            let total = exp_in_place(&mut powers, 1.5);
            assert!(powers.iter().zip(&x).all(|(power, x)| *power == exp(x - 1.5)));
            assert!((total - powers.iter().sum::<f32>()).abs() <= 1e-6 * total);
            let sum: f64 = x.iter().map(|p| f64::from(p - 0.5).exp()).sum();
            assert!((f64::from(sum_exp(&x, 0.5)) - sum).abs() <= 1e-6 * sum);
            let sum: f64 = pairs().map(|(p, q)| f64::from(p - q - 1.0).exp()).sum();
            assert!((f64::from(sum_exp_difference(&x, &y, 1.0)) - sum).abs() <= 1e-6 * sum);
            let mut least = (0, f32::INFINITY);
            for (i, &x) in x.iter().enumerate() {
                if x < least.1 {
                    least = (i as u32, x);
                }
            }
            assert_eq!(argmin(&x), least.0);
        }
    }
}
