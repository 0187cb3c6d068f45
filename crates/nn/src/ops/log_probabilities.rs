//! Probabilities of some classes of a catalogue.

use std::ops::Range;

use super::Candidates;
use crate::kernels::backend::LogProbabilities;
use crate::tape::{Tape, Var};
use crate::tensor::Tensor;

/// The classes whose probabilities add up to 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Among {
    /// The whole catalogue.
    All,
    /// Each row's candidates.
    Candidates,
}

impl Tape<'_> {
    /// ln p of each row's candidates, `[Σ candidates, 1]`, row after row in the order of their
    /// lists: a log-softmax of `x catalogueᵀ` over all classes or over the candidates, with `x`
    /// `[n, d]` and `catalogue` `[V, d]`. Where candidates are few, only their logits are worked out.
    ///
    /// No gradient flows through it; [`Tape::softmax_ce`] trains such probabilities.
    ///
    /// # Panics
    /// If the shapes do not fit, or gradients would have to flow into an operand.
    pub fn log_probabilities(
        &mut self,
        x: Var,
        catalogue: Var,
        candidates: &Candidates<'_>,
        among: Among,
    ) -> Var {
        let ((n, d), (classes, width)) = (self.shape(x), self.shape(catalogue));
        assert!(d == width && d > 0, "widths {d} and {width} of the operands of log_probabilities");
        candidates.check(n, classes);
        let tracked = self.tracked(x) || self.tracked(catalogue);
        assert!(!tracked, "log_probabilities passes no gradient on");
        let count = candidates.of_rows.iter().map(Range::len).sum();
        let mut out = Tensor::unspecified(self.device(), count, 1);
        self.device().backend().log_probabilities(LogProbabilities {
            x: self.value(x),
            catalogue: self.value(catalogue),
            candidates,
            among,
            out: &mut out,
        });
        self.push(out, None)
    }
}
