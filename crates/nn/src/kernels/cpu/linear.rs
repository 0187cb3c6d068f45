//! Linear layers.

use rayon::prelude::*;

use super::activation;
use super::gemm::Mat;
use super::products::Products;
use super::simd::vectorize;
use crate::kernels::backend::Activation;

/// Rows whose bias gradients are added up together.
const ROWS: usize = 64;

/// `out = act(x wᵀ + b)`: `x` `[rows, in]`, `w` `[out, in]`, `b` `[out]`, `out` `[rows, out]`,
/// all row-major.
pub(super) fn forward(
    products: Products<'_>,
    (x, w, b): (Mat<'_>, Mat<'_>, &[f32]),
    act: Activation,
    out: &mut [f32],
) {
    products.par_product_then(x, w.t(), out, |columns, row| {
        let bias = &b[columns];
        vectorize(
            #[inline(always)]
            || {
                row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
                activation::apply(act, row);
            },
        );
    });
}

/// Multiplies `dy` by the derivative of the activation and adds its rows up into `db`.
pub(super) fn activation_backward(
    activated: &[f32],
    act: Activation,
    dy: &mut [f32],
    db: &mut [f32],
) {
    let outputs = db.len();
    let block = ROWS * outputs;
    let partial: Vec<Vec<f32>> = dy
        .par_chunks_mut(block)
        .zip(activated.par_chunks(block))
        .map(|(dy, activated)| {
            let mut sum = vec![0.0; outputs];
            vectorize(
                #[inline(always)]
                || {
                    activation::differentiate(act, activated, dy);
                    for dy in dy.chunks_exact(outputs) {
                        sum.iter_mut().zip(dy.iter()).for_each(|(sum, g)| *sum += g);
                    }
                },
            );
            sum
        })
        .collect();
    db.fill(0.0);
    for sum in partial {
        db.iter_mut().zip(sum).for_each(|(db, part)| *db += part);
    }
}

/// `dx = dy w` where asked for and `dw = dyᵀ x`.
pub(super) fn products_backward(
    products: Products<'_>,
    (x, w, dy): (Mat<'_>, Mat<'_>, Mat<'_>),
    dx: Option<&mut [f32]>,
    dw: &mut [f32],
) {
    if let Some(dx) = dx {
        products.par_product(dy, w, dx);
    }
    products.par_product(dy.t(), x, dw);
}
