//! Means of ragged runs of rows.

use crate::tape::{Backward, Gradient, Op, Tape, Var};
use crate::tensor::Tensor;

impl Tape<'_> {
    /// Row `i` of the result, `[offsets.len() - 1, cols]`, is the mean of the rows
    /// `offsets[i]..offsets[i + 1]` of `x`; zeros for a run without rows.
    ///
    /// # Panics
    /// If the offsets do not rise from 0 to the number of rows.
    pub fn mean_runs(&mut self, x: Var, offsets: &[u32]) -> Var {
        let (rows, cols) = self.shape(x);
        assert!(
            offsets.first() == Some(&0)
                && offsets.is_sorted()
                && offsets.last().is_some_and(|&end| end as usize == rows),
            "offsets of runs rise from 0 to {rows}"
        );
        let mut y = Tensor::unspecified(self.device(), offsets.len() - 1, cols);
        self.device().backend().mean_runs(self.value(x), offsets, &mut y);
        let op = self.tracked(x).then(|| Box::new(MeanRuns { x, offsets: offsets.to_vec() }) as _);
        self.push(y, op)
    }
}

struct MeanRuns {
    x: Var,
    offsets: Vec<u32>,
}

impl Op for MeanRuns {
    /// Each row receives its share of the gradient of its run's mean.
    fn backward(self: Box<Self>, _value: &Tensor, grad: Gradient, cx: &mut Backward<'_>) {
        let (rows, cols) = cx.value(self.x).shape();
        let mut dx = Tensor::unspecified(cx.device(), rows, cols);
        cx.device().backend().share_runs(&grad.matrix(), &self.offsets, &mut dx);
        cx.add(self.x, dx);
    }
}
