//! Binary cross entropy.

use super::losses::ReadyGradients;
use crate::kernels::backend::BceForward;
use crate::tape::{Tape, Var};
use crate::tensor::Tensor;

impl Tape<'_> {
    /// Binary cross entropy of logits `z` `[n, 1]` against labels in `[0, 1]`:
    /// `ℓ_i = max(z_i, 0) - z_i y_i + ln(1 + exp(-|z_i|))`, which overflows for no `z`. The loss is
    /// `Σ w_i ℓ_i / Σ w_i` over non-negative weights, all ones if absent, and 0 with zero
    /// gradients if all weights are 0.
    ///
    /// # Panics
    /// If the shapes do not fit or a label is not in `[0, 1]`.
    pub fn bce_with_logits(
        &mut self,
        logits: Var,
        labels: &[f32],
        row_weights: Option<&[f32]>,
    ) -> Var {
        let n = labels.len();
        assert_eq!(self.shape(logits), (n, 1), "shape of the logits");
        if let Some(label) = labels.iter().find(|label| !(0.0..=1.0).contains(*label)) {
            panic!("label {label} is not in [0, 1]");
        }
        if let Some(weights) = row_weights {
            assert_eq!(weights.len(), n, "a weight for each row");
        }
        let device = self.device();
        let mut gradient = self.tracked(logits).then(|| Tensor::unspecified(device, n, 1));
        let mut loss = Tensor::unspecified(device, 1, 1);
        device.backend().bce_with_logits(BceForward {
            logits: self.value(logits),
            labels,
            row_weights,
            loss: &mut loss,
            gradient: gradient.as_mut(),
        });
        self.push_loss(loss, ReadyGradients::op([(logits, gradient)]))
    }
}
