//! Softmax cross entropy over a catalogue.

use std::ops::Range;

use super::losses::ReadyGradients;
use crate::kernels::backend::SoftmaxCeForward;
use crate::tape::{Tape, Var};
use crate::tensor::Tensor;

/// Options of [`Tape::softmax_ce`].
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxCe<'a> {
    /// Multiplies the logits, e.g. an inverse temperature.
    pub scale: f32,
    /// Share `ε` of the target probability that is spread over all classes, as PyTorch's
    /// `CrossEntropyLoss(label_smoothing=ε)`; in `[0, 1)`.
    pub label_smoothing: f32,
    /// Non-negative weight `w_i` of each row: the loss is `Σ w_i ℓ_i / Σ w_i`, and 0 with zero
    /// gradients if all weights are 0. All ones if absent.
    pub row_weights: Option<&'a [f32]>,
    /// The classes that can be the answer of each row, its target among them; all if absent.
    pub candidates: Option<Candidates<'a>>,
}

/// Few classes for each row to choose among, as lists that rows may share.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'a> {
    /// Lists of classes, one after another, each without repetition.
    pub classes: &'a [u32],
    /// For each row the part of `classes` that is its list.
    pub of_rows: &'a [Range<u32>],
}

impl<'a> Candidates<'a> {
    /// The classes of a row.
    pub(crate) fn of(&self, row: usize) -> &'a [u32] {
        let Range { start, end } = self.of_rows[row];
        &self.classes[start as usize..end as usize]
    }

    pub(super) fn check(&self, rows: usize, classes: usize) {
        assert_eq!(self.of_rows.len(), rows, "candidates for each row");
        for row in 0..rows {
            let known = self.of(row).iter().all(|&class| (class as usize) < classes);
            assert!(known, "a candidate of row {row} is none of {classes} classes");
        }
    }
}

impl Default for SoftmaxCe<'_> {
    fn default() -> Self {
        Self { scale: 1.0, label_smoothing: 0.0, row_weights: None, candidates: None }
    }
}

impl SoftmaxCe<'_> {
    fn check(&self, rows: usize, classes: usize, targets: &[u32]) {
        assert_eq!(targets.len(), rows, "a target for each row");
        if let Some(target) = targets.iter().find(|&&target| target as usize >= classes) {
            panic!("target {target} of {classes} classes");
        }
        assert!(self.scale.is_finite(), "scale {} of logits", self.scale);
        let smoothing = self.label_smoothing;
        assert!((0.0..1.0).contains(&smoothing), "label smoothing {smoothing} is not in [0, 1)");
        if let Some(weights) = self.row_weights {
            assert_eq!(weights.len(), rows, "a weight for each row");
        }
        if let Some(candidates) = self.candidates {
            candidates.check(rows, classes);
            for (row, target) in targets.iter().enumerate() {
                let listed = candidates.of(row).contains(target);
                assert!(listed, "target {target} of row {row} is no candidate");
            }
        }
    }
}

impl Tape<'_> {
    /// Softmax cross entropy of each row of `x` `[n, d]` against every row of `catalogue`
    /// `[V, d]`: with logits `z = scale · x catalogueᵀ`, row `i` costs
    /// `ℓ_i = ln Σ_j exp(z_ij) - (1 - ε) z_i,target - ε mean_j z_ij`, where `j` runs over the
    /// row's candidates.
    ///
    /// Loss and gradients are worked out together, right here in the forward pass, block by block
    /// of rows, so that only a block of the `n` x `V` logits exists at a time. The gradient by
    /// `catalogue` covers all of it.
    ///
    /// # Panics
    /// If the shapes do not fit, a target is out of range, or an option is out of its range.
    pub fn softmax_ce(
        &mut self,
        x: Var,
        catalogue: Var,
        targets: &[u32],
        o: &SoftmaxCe<'_>,
    ) -> Var {
        let ((n, d), (classes, width)) = (self.shape(x), self.shape(catalogue));
        assert!(d == width && d > 0, "widths {d} and {width} of the operands of softmax_ce");
        o.check(n, classes, targets);
        let device = self.device();
        let room = |x: Var, rows| self.tracked(x).then(|| Tensor::unspecified(device, rows, d));
        let (mut dx, mut dcatalogue) = (room(x, n), room(catalogue, classes));
        let mut loss = Tensor::unspecified(device, 1, 1);
        device.backend().softmax_ce(SoftmaxCeForward {
            x: self.value(x),
            catalogue: self.value(catalogue),
            targets,
            options: o,
            loss: &mut loss,
            dx: dx.as_mut(),
            dcatalogue: dcatalogue.as_mut(),
        });
        self.push_loss(loss, ReadyGradients::op([(x, dx), (catalogue, dcatalogue)]))
    }
}
