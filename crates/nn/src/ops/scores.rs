//! Scores of a whole catalogue.

use crate::kernels::backend::Factor;
use crate::tape::{Backward, Gradient, Op, Tape, Var};
use crate::tensor::Tensor;

impl Tape<'_> {
    /// `x catalogueᵀ`, `[n, V]`, with `x` `[n, d]` and `catalogue` `[V, d]`.
    /// [`Tape::softmax_ce`] trains against them without holding them.
    ///
    /// # Panics
    /// If the widths differ.
    pub fn scores(&mut self, x: Var, catalogue: Var) -> Var {
        let ((n, d), (classes, width)) = (self.shape(x), self.shape(catalogue));
        assert_eq!(d, width, "widths of the operands of scores");
        let mut y = Tensor::unspecified(self.device(), n, classes);
        let factors = (Factor::Plain(self.value(x)), Factor::Transposed(self.value(catalogue)));
        self.device().backend().product(factors.0, factors.1, &mut y);
        let tracked = self.tracked(x) || self.tracked(catalogue);
        self.push(y, tracked.then(|| Box::new(Scores { x, catalogue }) as _))
    }
}

struct Scores {
    x: Var,
    catalogue: Var,
}

impl Op for Scores {
    /// `dx = dy catalogue`, `dcatalogue = dyᵀ x`.
    fn backward(self: Box<Self>, _value: &Tensor, grad: Gradient, cx: &mut Backward<'_>) {
        let (dy, backend) = (grad.matrix(), cx.device().backend());
        if let Some(mut dx) = cx.room_for(self.x) {
            let catalogue = Factor::Plain(cx.value(self.catalogue));
            backend.product(Factor::Plain(&dy), catalogue, &mut dx);
            cx.add(self.x, dx);
        }
        if let Some(mut dcatalogue) = cx.room_for(self.catalogue) {
            let x = Factor::Plain(cx.value(self.x));
            backend.product(Factor::Transposed(&dy), x, &mut dcatalogue);
            cx.add(self.catalogue, dcatalogue);
        }
    }
}
