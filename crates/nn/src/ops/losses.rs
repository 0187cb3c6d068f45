//! Plain losses and their weighted sum.

use crate::tape::{Backward, Gradient, Op, Tape, Var};
use crate::tensor::Tensor;

impl Tape<'_> {
    /// `scale · Σ (a - b)²`; a scale of 1 over the number of values makes it the mean.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn mse(&mut self, a: Var, b: Var, scale: f32) -> Var {
        assert_eq!(self.shape(a), self.shape(b), "operands of mse");
        let mut loss = Tensor::unspecified(self.device(), 1, 1);
        let backend = self.device().backend();
        backend.squared_distance(self.value(a), self.value(b), scale, &mut loss);
        let tracked = self.tracked(a) || self.tracked(b);
        self.push_loss(loss, tracked.then(|| Box::new(Mse { a, b, scale }) as _))
    }

    /// Mean over rows of `cos(a, b)²`, the orthogonality penalty. Norms below 1e-8 count as
    /// that, as in PyTorch's `F.cosine_similarity`.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn squared_cosine(&mut self, a: Var, b: Var) -> Var {
        let shape = self.shape(a);
        assert_eq!(shape, self.shape(b), "operands of squared_cosine");
        let device = self.device();
        let room = |tracked: bool| tracked.then(|| Tensor::unspecified(device, shape.0, shape.1));
        let mut loss = Tensor::unspecified(device, 1, 1);
        let (mut da, mut db) = (room(self.tracked(a)), room(self.tracked(b)));
        let (x, y) = (self.value(a), self.value(b));
        device.backend().squared_cosine(x, y, &mut loss, da.as_mut(), db.as_mut());
        self.push_loss(loss, ReadyGradients::op([(a, da), (b, db)]))
    }

    /// `Σ weight · loss` over results of losses.
    ///
    /// # Panics
    /// If a part is not the result of a loss.
    pub fn weighted_sum(&mut self, parts: &[(Var, f32)]) -> Var {
        assert!(parts.iter().all(|&(part, _)| self.is_loss(part)), "a weighted sum of losses");
        let mut loss = Tensor::unspecified(self.device(), 1, 1);
        let values: Vec<_> = parts.iter().map(|&(part, w)| (self.value(part), w)).collect();
        self.device().backend().weighted_sum(&values, &mut loss);
        let tracked = parts.iter().any(|&(part, _)| self.tracked(part));
        self.push_loss(loss, tracked.then(|| Box::new(WeightedSum(parts.to_vec())) as _))
    }
}

struct Mse {
    a: Var,
    b: Var,
    scale: f32,
}

impl Op for Mse {
    fn backward(self: Box<Self>, _value: &Tensor, grad: Gradient, cx: &mut Backward<'_>) {
        let factor = 2.0 * self.scale * grad.loss();
        for (x, other) in [(self.a, self.b), (self.b, self.a)] {
            if let Some(mut dx) = cx.room_for(x) {
                let (value, other) = (cx.value(x), cx.value(other));
                cx.device().backend().difference(value, other, factor, &mut dx);
                cx.add(x, dx);
            }
        }
    }
}

/// A loss whose gradients were worked out together with its value.
pub(super) struct ReadyGradients(Vec<(Var, Tensor)>);

impl ReadyGradients {
    /// The operation of a loss over operands, some of which need a gradient.
    pub(super) fn op<const N: usize>(parts: [(Var, Option<Tensor>); N]) -> Option<Box<dyn Op>> {
        let ready: Vec<_> = parts.into_iter().filter_map(|(x, grad)| Some((x, grad?))).collect();
        (!ready.is_empty()).then(|| Box::new(Self(ready)) as _)
    }
}

impl Op for ReadyGradients {
    fn backward(self: Box<Self>, _value: &Tensor, grad: Gradient, cx: &mut Backward<'_>) {
        let factor = grad.loss();
        for (x, mut dx) in self.0 {
            if factor != 1.0 {
                cx.device().backend().scale(&mut dx, factor);
            }
            cx.add(x, dx);
        }
    }
}

struct WeightedSum(Vec<(Var, f32)>);

impl Op for WeightedSum {
    fn backward(self: Box<Self>, _value: &Tensor, grad: Gradient, cx: &mut Backward<'_>) {
        let factor = grad.loss();
        for (part, weight) in self.0 {
            cx.add_loss(part, factor * weight);
        }
    }
}
