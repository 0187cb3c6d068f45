//! Products with a matrix that is packed once and used often: the frozen weights of inference.
//!
//! Columns stand in panels as wide as two vector registers, so that one step of the inner loop
//! reads a panel's row and a value of each of a few rows of the other factor, which is read as it
//! lies. Every output is one chain of fused multiply-adds over ascending k: results depend neither on
//! how rows are grouped nor on the width of registers.

use pulp::{Arch, Simd, WithSimd};

/// Widest panel: two AVX-512 registers. Everything is padded to it, so that packing does not depend
/// on the machine.
const PANEL: usize = 32;

/// `y = x w + start` for a fixed `w` `[k, n]`, given as its transpose `[n, k]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Packed {
    /// Panel after panel, each `[k, PANEL]`; columns beyond `n` are 0.
    panels: Vec<f32>,
    /// What sums start from, one a column and padded as they are.
    start: Vec<f32>,
    inputs: usize,
    outputs: usize,
}

impl Packed {
    /// Packs `scale · w`, `w` `[outputs, inputs]`; padded columns give `beyond`.
    pub(crate) fn new(w: &[f32], inputs: usize, start: &[f32], scale: f32, beyond: f32) -> Packed {
        let outputs = start.len();
        assert!(inputs > 0 && outputs > 0, "a packed matrix of {inputs} x {outputs}");
        assert_eq!(w.len(), inputs * outputs, "weights of {inputs} x {outputs}");
        let padded = outputs.next_multiple_of(PANEL);
        let mut panels = vec![0.0; padded * inputs];
        for (column, weights) in w.chunks_exact(inputs).enumerate() {
            let panel = &mut panels[column / PANEL * PANEL * inputs..];
            for (k, &weight) in weights.iter().enumerate() {
                panel[k * PANEL + column % PANEL] = scale * weight;
            }
        }
        let mut start = start.to_vec();
        start.resize(padded, beyond);
        Packed { panels, start, inputs, outputs }
    }

    /// Width k of inputs.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Width n of outputs.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Width of the rows that [`Packed::apply`] writes.
    pub(crate) fn padded(&self) -> usize {
        self.start.len()
    }

    /// `y = x w + start` on this thread, negative results as 0 if `relu`. Rows of `x` lie `stride`
    /// apart, rows of `y` are [`Packed::padded`] wide.
    pub(crate) fn apply(&self, x: &[f32], stride: usize, relu: bool, y: &mut [f32]) {
        let rows = y.len() / self.padded();
        assert_eq!(y.len(), rows * self.padded(), "rows of {}", self.padded());
        let needed = if rows == 0 { 0 } else { (rows - 1) * stride + self.inputs };
        assert!(stride >= self.inputs && x.len() >= needed, "rows of width {}", self.inputs);
        Arch::new().dispatch(Apply { w: self, x, stride, relu, y });
    }
}

struct Apply<'a> {
    w: &'a Packed,
    x: &'a [f32],
    stride: usize,
    relu: bool,
    y: &'a mut [f32],
}

impl WithSimd for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // As many rows as leave registers for a panel's row: 32 registers of AVX-512, 16 of AVX2.
        match S::F32_LANES {
            16 => self.rows_by::<S, 12>(simd),
            8 => self.rows_by::<S, 6>(simd),
            _ => self.rows_by::<S, 4>(simd),
        }
    }
}

impl Apply<'_> {
    #[inline(always)]
    fn rows_by<S: Simd, const ROWS: usize>(&mut self, simd: S) {
        let rows = self.y.len() / self.w.padded();
        let whole = rows - rows % ROWS;
        for row in (0..whole).step_by(ROWS) {
            self.panels::<S, ROWS>(simd, row);
        }
        for row in whole..rows {
            self.panels::<S, 1>(simd, row);
        }
    }

    /// All columns of `ROWS` rows from `row` on.
    #[inline(always)]
    fn panels<S: Simd, const ROWS: usize>(&mut self, simd: S, row: usize) {
        let (inputs, padded) = (self.w.inputs, self.w.padded());
        let width = 2 * S::F32_LANES;
        let x = &self.x[row * self.stride..];
        assert!(x.len() >= (ROWS - 1) * self.stride + inputs);
        for column in (0..padded).step_by(width) {
            let panel = &self.w.panels[column / PANEL * PANEL * inputs..][..PANEL * inputs];
            let (start, _) = S::as_simd_f32s(&self.w.start[column..][..width]);
            let mut sums = [[start[0], start[1]]; ROWS];
            let at = column % PANEL;
            for (k, weights) in panel.chunks_exact(PANEL).enumerate() {
                let (weights, _) = S::as_simd_f32s(&weights[at..at + width]);
                for (row, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: `row < ROWS` and `k < inputs`, for which `x` is long enough as
                    // asserted above.
                    let x = simd.splat_f32s(unsafe { *x.get_unchecked(row * self.stride + k) });
                    sums[0] = simd.mul_add_f32s(x, weights[0], sums[0]);
                    sums[1] = simd.mul_add_f32s(x, weights[1], sums[1]);
                }
            }
            for (offset, mut sums) in sums.into_iter().enumerate() {
                if self.relu {
                    let zero = simd.splat_f32s(0.0);
                    sums = sums.map(
                        #[inline(always)]
                        |sum| simd.max_f32s(sum, zero),
                    );
                }
                let y = &mut self.y[(row + offset) * padded + column..][..width];
                let (y, _) = S::as_mut_simd_f32s(y);
                y.copy_from_slice(&sums);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_plain_loop_at_any_shape() {
        let value = |i: usize| ((i * 37) % 23) as f32 * 0.25 - 2.5;
        for (rows, inputs, outputs) in
            [(1, 1, 1), (5, 3, 2), (12, 7, 32), (25, 40, 33), (13, 5, 70)]
        {
            let stride = inputs + rows % 3;
            let x: Vec<f32> = (0..rows * stride).map(value).collect();
            let w: Vec<f32> = (0..inputs * outputs).map(|i| value(i + 5)).collect();
            let start: Vec<f32> = (0..outputs).map(|i| value(i + 11)).collect();
            for relu in [false, true] {
                let packed = Packed::new(&w, inputs, &start, -2.0, 7.0);
                let mut y = vec![f32::NAN; rows * packed.padded()];
                packed.apply(&x, stride, relu, &mut y);
                for (x, y) in x.chunks(stride).zip(y.chunks(packed.padded())) {
                    for (column, &y) in y.iter().enumerate() {
                        let mut sum = 7.0;
                        if column < outputs {
                            let w = &w[column * inputs..][..inputs];
                            sum = w
                                .iter()
                                .zip(x)
                                .fold(start[column], |sum, (w, x)| x.mul_add(-2.0 * w, sum));
                        }
                        let expected = if relu { sum.max(0.0) } else { sum };
                        assert_eq!(y, expected, "{rows} x {inputs} x {outputs}, column {column}");
                    }
                }
            }
        }
    }
}
