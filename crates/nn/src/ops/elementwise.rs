//! Sums and products, element by element.

use crate::tape::{Backward, Gradient, Op, Tape, Var};
use crate::tensor::Tensor;

impl Tape<'_> {
    /// `a + b`, e.g. a residual connection.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn add(&mut self, a: Var, b: Var) -> Var {
        let (rows, cols) = self.shape(a);
        assert_eq!((rows, cols), self.shape(b), "operands of add");
        let mut y = Tensor::unspecified(self.device(), rows, cols);
        self.device().backend().sum(self.value(a), self.value(b), &mut y);
        let tracked = self.tracked(a) || self.tracked(b);
        self.push(y, tracked.then(|| Box::new(Add { a, b }) as _))
    }

    /// `a ⊙ b`.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn multiply(&mut self, a: Var, b: Var) -> Var {
        let (rows, cols) = self.shape(a);
        assert_eq!((rows, cols), self.shape(b), "operands of multiply");
        let mut y = Tensor::unspecified(self.device(), rows, cols);
        self.device().backend().multiply(self.value(a), self.value(b), &mut y);
        let tracked = self.tracked(a) || self.tracked(b);
        self.push(y, tracked.then(|| Box::new(Multiply { a, b }) as _))
    }
}

struct Add {
    a: Var,
    b: Var,
}

impl Op for Add {
    fn backward(self: Box<Self>, _value: &Tensor, grad: Gradient, cx: &mut Backward<'_>) {
        let grad = grad.matrix();
        cx.add_shared(self.a, &grad);
        cx.add(self.b, grad);
    }
}

struct Multiply {
    a: Var,
    b: Var,
}

impl Op for Multiply {
    /// `da = dy ⊙ b`, `db = dy ⊙ a`.
    fn backward(self: Box<Self>, _value: &Tensor, grad: Gradient, cx: &mut Backward<'_>) {
        let grad = grad.matrix();
        for (x, other) in [(self.a, self.b), (self.b, self.a)] {
            if let Some(mut dx) = cx.room_for(x) {
                cx.device().backend().multiply(&grad, cx.value(other), &mut dx);
                cx.add(x, dx);
            }
        }
    }
}
