//! Linear layer.

use crate::kernels::backend::{Activation, LinearBackward};
use crate::params::ParamId;
use crate::tape::{Backward, Gradient, Op, Tape, Var};
use crate::tensor::Tensor;

impl Tape<'_> {
    /// `y = act(x wᵀ + b)` with `x` `[n, in]`, `w` `[out, in]` and `b` `[1, out]`, as PyTorch's
    /// `nn.Linear` lays them out.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn linear(&mut self, x: Var, w: ParamId, b: ParamId, act: Activation) -> Var {
        let (n, inputs) = self.shape(x);
        let (weights, bias) = (self.params().get(w), self.params().get(b));
        let outputs = weights.rows();
        assert_eq!(weights.cols(), inputs, "columns of `{}`", self.params().name(w));
        assert_eq!(bias.shape(), (1, outputs), "shape of `{}`", self.params().name(b));
        let mut y = Tensor::unspecified(self.device(), n, outputs);
        self.device().backend().linear_forward(self.value(x), weights, bias, act, &mut y);
        self.push(y, Some(Box::new(Linear { x, w, b, act })))
    }
}

struct Linear {
    x: Var,
    w: ParamId,
    b: ParamId,
    act: Activation,
}

impl Op for Linear {
    /// `dx = dy w`, `dw = dyᵀ x`, `db = Σ dy`, with `dy` masked where ReLU cut.
    fn backward(self: Box<Self>, y: &Tensor, grad: Gradient, cx: &mut Backward<'_>) {
        let mut dy = grad.matrix();
        let w = cx.params().get(self.w);
        let mut dx = cx.room_for(self.x);
        let mut dw = Tensor::unspecified(cx.device(), w.rows(), w.cols());
        let mut db = Tensor::unspecified(cx.device(), 1, w.rows());
        cx.device().backend().linear_backward(LinearBackward {
            x: cx.value(self.x),
            w,
            y,
            activation: self.act,
            dy: &mut dy,
            dx: dx.as_mut(),
            dw: &mut dw,
            db: &mut db,
        });
        cx.add_param(self.w, dw);
        cx.add_param(self.b, db);
        if let Some(dx) = dx {
            cx.add(self.x, dx);
        }
    }
}
