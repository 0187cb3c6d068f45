//! Cross layer.

use crate::kernels::backend::{Activation, LinearBackward};
use crate::params::ParamId;
use crate::tape::{Backward, Gradient, Op, Tape, Var};
use crate::tensor::Tensor;

impl Tape<'_> {
    /// A cross layer of DCN-V2 (Wang et al., 2021, eq. 1): `y = x0 ⊙ (x wᵀ + b) + x` with `x0` and
    /// `x` `[n, d]`, `w` `[d, d]` and `b` `[1, d]`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn cross(&mut self, x0: Var, x: Var, w: ParamId, b: ParamId) -> Var {
        let (n, d) = self.shape(x);
        assert_eq!(self.shape(x0), (n, d), "operands of cross");
        let (weights, bias) = (self.params().get(w), self.params().get(b));
        assert_eq!(weights.shape(), (d, d), "shape of `{}`", self.params().name(w));
        assert_eq!(bias.shape(), (1, d), "shape of `{}`", self.params().name(b));
        let backend = self.device().backend();
        let mut factor = Tensor::unspecified(self.device(), n, d);
        backend.linear_forward(self.value(x), weights, bias, Activation::Identity, &mut factor);
        let mut y = Tensor::unspecified(self.device(), n, d);
        backend.multiply_add(self.value(x0), &factor, self.value(x), &mut y);
        self.push(y, Some(Box::new(Cross { x0, x, w, b, factor })))
    }
}

struct Cross {
    x0: Var,
    x: Var,
    w: ParamId,
    b: ParamId,
    /// `x wᵀ + b`.
    factor: Tensor,
}

impl Op for Cross {
    /// `dx0 = dy ⊙ (x wᵀ + b)`; with `g = dy ⊙ x0`: `dx = g w + dy`, `dw = gᵀ x`, `db = Σ g`.
    fn backward(self: Box<Self>, _value: &Tensor, grad: Gradient, cx: &mut Backward<'_>) {
        let (dy, backend) = (grad.matrix(), cx.device().backend());
        if let Some(mut dx0) = cx.room_for(self.x0) {
            backend.multiply(&dy, &self.factor, &mut dx0);
            cx.add(self.x0, dx0);
        }
        let w = cx.params().get(self.w);
        let mut g = Tensor::unspecified(cx.device(), dy.rows(), dy.cols());
        backend.multiply(&dy, cx.value(self.x0), &mut g);
        let mut dx = cx.room_for(self.x);
        let mut dw = Tensor::unspecified(cx.device(), w.rows(), w.cols());
        let mut db = Tensor::unspecified(cx.device(), 1, w.rows());
        backend.linear_backward(LinearBackward {
            x: cx.value(self.x),
            w,
            activated: &self.factor,
            activation: Activation::Identity,
            dy: &mut g,
            dx: dx.as_mut(),
            dw: &mut dw,
            db: &mut db,
        });
        cx.add_param(self.w, dw);
        cx.add_param(self.b, db);
        if let Some(mut dx) = dx {
            backend.add(&dy, &mut dx);
            cx.add(self.x, dx);
        }
    }
}
