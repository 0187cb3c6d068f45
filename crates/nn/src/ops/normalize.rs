//! Rows of unit length.

use crate::tape::{Backward, Gradient, Op, Tape, Var};
use crate::tensor::Tensor;

impl Tape<'_> {
    /// `y = x / max(‖x‖, 1e-12)` by row, as PyTorch's `F.normalize`.
    pub fn normalize(&mut self, x: Var) -> Var {
        let (rows, cols) = self.shape(x);
        let mut y = Tensor::unspecified(self.device(), rows, cols);
        let mut norms = Tensor::unspecified(self.device(), rows, 1);
        self.device().backend().normalize_forward(self.value(x), &mut y, &mut norms);
        let op = self.tracked(x).then(|| Box::new(Normalize { x, norms }) as _);
        self.push(y, op)
    }
}

struct Normalize {
    x: Var,
    norms: Tensor,
}

impl Op for Normalize {
    /// `dx = (dy - y (y · dy)) / ‖x‖`; where the norm is clamped it is a constant.
    fn backward(self: Box<Self>, y: &Tensor, grad: Gradient, cx: &mut Backward<'_>) {
        let mut grad = grad.matrix();
        cx.device().backend().normalize_backward(y, &self.norms, &mut grad);
        cx.add(self.x, grad);
    }
}
