//! Products of tall f32 matrices with small f64 ones.

use rayon::prelude::*;

/// Rows that are widened to f64 at a time.
const BLOCK_ROWS: usize = 256;
/// A sum over rows is made of this many partial sums, whatever the number of threads.
const PARTIAL_SUMS: usize = 16;

/// The Gram matrix xᵀ·x, [width, width], of `x` [rows, width], summed in f64.
pub(super) fn gram(x: &[f32], width: usize) -> Vec<f64> {
    let rows = x.len() / width;
    let share = rows.div_ceil(PARTIAL_SUMS).max(1) * width;
    let partials: Vec<Vec<f64>> = x
        .par_chunks(share)
        .map(|part| {
            let mut sum = vec![0.0; width * width];
            for block in part.chunks(BLOCK_ROWS * width) {
                let block = widen(block);
                let rows = block.len() / width;
                let transposed = View { values: &block, row_stride: 1, col_stride: width };
                let straight = View { values: &block, row_stride: width, col_stride: 1 };
                multiply(&mut sum, (width, width, rows), transposed, straight, true);
            }
            sum
        })
        .collect();
    let mut total = vec![0.0; width * width];
    for partial in partials {
        for (total, value) in total.iter_mut().zip(partial) {
            *total += value;
        }
    }
    total
}

/// x · `right`, [rows, out_width], of `x` [rows, width] and `right` [width, out_width].
pub(super) fn times_small(x: &[f32], width: usize, right: &[f64], out_width: usize) -> Vec<f32> {
    assert_eq!(right.len(), width * out_width);
    let rows = x.len() / width;
    let mut out = vec![0.0; rows * out_width];
    out.par_chunks_mut(BLOCK_ROWS * out_width).zip(x.par_chunks(BLOCK_ROWS * width)).for_each(
        |(out, block)| {
            let rows = block.len() / width;
            let block = widen(block);
            let mut product = vec![0.0; rows * out_width];
            let left = View { values: &block, row_stride: width, col_stride: 1 };
            let right = View { values: right, row_stride: out_width, col_stride: 1 };
            multiply(&mut product, (rows, out_width, width), left, right, false);
            for (out, value) in out.iter_mut().zip(product) {
                *out = value as f32;
            }
        },
    );
    out
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// A matrix in a slice: element (i, j) is `values[i * row_stride + j * col_stride]`.
struct View<'a> {
    values: &'a [f64],
    row_stride: usize,
    col_stride: usize,
}

/// out = left · right, or out += left · right, of shapes [m, n], [m, k] and [k, n].
fn multiply(
    out: &mut [f64],
    (m, n, k): (usize, usize, usize),
    left: View<'_>,
    right: View<'_>,
    add: bool,
) {
    let fits = |view: &View<'_>, rows: usize, cols: usize| {
        (rows - 1) * view.row_stride + (cols - 1) * view.col_stride < view.values.len()
    };
    assert!(m > 0 && n > 0 && k > 0 && out.len() == m * n);
    assert!(fits(&left, m, k) && fits(&right, k, n));
    // SAFETY: the three slices are distinct, `out` holds m·n values with strides (n, 1), and the
    // largest offset that the strides reach in `left` and `right` was checked above.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            add,
            left.values.as_ptr(),
            left.col_stride as isize,
            left.row_stride as isize,
            right.values.as_ptr(),
            right.col_stride as isize,
            right.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_agree_with_naive_sums() {
        let (rows, width, out_width) = (1000, 7, 3);
        let x: Vec<f32> = (0..rows * width).map(|i| ((i * 37 % 101) as f32 - 50.0) / 9.0).collect();
        let right: Vec<f64> = (0..width * out_width).map(|i| (i as f64 * 0.7).sin()).collect();
        let at = |r: usize, c: usize| f64::from(x[r * width + c]);

        let gram = gram(&x, width);
        let product = times_small(&x, width, &right, out_width);
        for i in 0..width {
            for j in 0..width {
                let expected: f64 = (0..rows).map(|r| at(r, i) * at(r, j)).sum();
                assert!((gram[i * width + j] - expected).abs() < 1e-9 * rows as f64);
            }
        }
        for r in 0..rows {
            for j in 0..out_width {
                let expected: f64 = (0..width).map(|c| at(r, c) * right[c * out_width + j]).sum();
                assert!((f64::from(product[r * out_width + j]) - expected).abs() < 1e-5);
            }
        }
    }
}
