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
        let backend = self.device().backend();
        let mut y = Tensor::unspecified(self.device(), n, outputs);
        let mut pre_activation = None;
        if self.recording() && act.needs_input() {
            let mut input = Tensor::unspecified(self.device(), n, outputs);
            backend.linear_forward(self.value(x), weights, bias, Activation::Identity, &mut input);
            backend.activate(&input, act, &mut y);
            pre_activation = Some(input);
        } else {
            backend.linear_forward(self.value(x), weights, bias, act, &mut y);
        }
        self.push(y, Some(Box::new(Linear { x, w, b, act, pre_activation })))
    }
}

struct Linear {
    x: Var,
    w: ParamId,
    b: ParamId,
    act: Activation,
    /// `x wᵀ + b`, for the activations whose derivative needs it.
    pre_activation: Option<Tensor>,
}

impl Op for Linear {
    /// `dx = dy w`, `dw = dyᵀ x`, `db = Σ dy`, with `dy` first multiplied by the derivative of the
    /// activation.
    fn backward(self: Box<Self>, y: &Tensor, grad: Gradient, cx: &mut Backward<'_>) {
        let mut dy = grad.matrix();
        let w = cx.params().get(self.w);
        let mut dx = cx.room_for(self.x);
        let mut dw = Tensor::unspecified(cx.device(), w.rows(), w.cols());
        let mut db = Tensor::unspecified(cx.device(), 1, w.rows());
        cx.device().backend().linear_backward(LinearBackward {
            x: cx.value(self.x),
            w,
            activated: self.pre_activation.as_ref().unwrap_or(y),
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
