//! Dropout.

use rand::Rng;

use crate::kernels::backend::DropoutMask;
use crate::tape::{Backward, Gradient, Op, Tape, Var};
use crate::tensor::Tensor;

impl Tape<'_> {
    /// Inverted dropout (Srivastava et al., 2014): each value becomes 0 with probability `rate`
    /// and is divided by `1 - rate` otherwise. One key is drawn from `rng`; whether a value stays
    /// is a hash of the key and its position, so the result does not depend on threads and the
    /// backward pass works the mask out again. With a rate of 0 or on an inference tape the result
    /// is `x` itself, and nothing is drawn.
    ///
    /// # Panics
    /// If `rate` is not in `[0, 1)`.
    pub fn dropout(&mut self, x: Var, rate: f32, rng: &mut impl Rng) -> Var {
        assert!((0.0..1.0).contains(&rate), "dropout rate {rate} is not in [0, 1)");
        if rate == 0.0 || !self.recording() {
            return x;
        }
        let mask = DropoutMask { key: rng.random(), rate };
        let (rows, cols) = self.shape(x);
        let mut y = Tensor::unspecified(self.device(), rows, cols);
        self.device().backend().dropout(self.value(x), &mask, &mut y);
        self.push(y, self.tracked(x).then(|| Box::new(Dropout { x, mask }) as _))
    }
}

struct Dropout {
    x: Var,
    mask: DropoutMask,
}

impl Op for Dropout {
    fn backward(self: Box<Self>, value: &Tensor, grad: Gradient, cx: &mut Backward<'_>) {
        let mut dx = Tensor::unspecified(cx.device(), value.rows(), value.cols());
        cx.device().backend().dropout(&grad.matrix(), &self.mask, &mut dx);
        cx.add(self.x, dx);
    }
}
