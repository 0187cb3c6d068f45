//! In-batch softmax over pairs.

use super::losses::ReadyGradients;
use crate::kernels::backend::InfoNceForward;
use crate::pair_mask::PairMask;
use crate::tape::{Tape, Var};
use crate::tensor::Tensor;

/// Which way the softmax of [`Tape::info_nce`] runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Direction {
    /// Each row of `a` picks its row of `b`.
    RowToColumn,
    /// The mean of that loss and of each row of `b` picking its row of `a`.
    #[default]
    Both,
}

/// Options of [`Tape::info_nce`].
#[derive(Clone, Copy, Debug)]
pub struct InfoNce<'a> {
    /// Divides the logits; positive.
    pub temperature: f32,
    /// Which way the softmax runs.
    pub direction: Direction,
    /// Pairs left out of the denominators, in both directions.
    pub mask: Option<&'a PairMask>,
    /// `log Q_j` of each column, subtracted from the logits of the row-to-column pass
    /// (sampled-softmax correction).
    pub log_q: Option<&'a [f32]>,
    /// `log Q_i` of each row, subtracted from the logits of the column-to-row pass.
    pub log_q_rows: Option<&'a [f32]>,
    /// Non-negative weight `w_i` of each pair: the loss is `Σ w_i ℓ_i / Σ w_i`, and 0 with zero
    /// gradients if all weights are 0. All ones if absent.
    pub row_weights: Option<&'a [f32]>,
}

impl InfoNce<'_> {
    /// Both directions, no mask, no correction, no weights.
    pub fn new(temperature: f32) -> Self {
        Self {
            temperature,
            direction: Direction::Both,
            mask: None,
            log_q: None,
            log_q_rows: None,
            row_weights: None,
        }
    }

    fn check(&self, n: usize) {
        assert!(self.temperature > 0.0, "temperature {} is not positive", self.temperature);
        if let Some(mask) = self.mask {
            assert_eq!(mask.rows(), n, "rows of the mask");
        }
        for values in [self.log_q, self.log_q_rows, self.row_weights].into_iter().flatten() {
            assert_eq!(values.len(), n, "a value for each pair");
        }
    }
}

impl Tape<'_> {
    /// InfoNCE (van den Oord et al., 2018, eq. 4) with in-batch negatives: row `i` of `a` and row
    /// `i` of `b`, both `[n, d]`, are a pair; logits are `a bᵀ / temperature` and the loss is the
    /// cross entropy of the diagonal. The caller normalises the rows if cosines are wanted.
    ///
    /// The `n` x `n` logits are held once: softmax and gradient are worked out in place, right
    /// here in the forward pass.
    ///
    /// # Panics
    /// If shapes or lengths differ, `d` is 0, or the temperature is not positive.
    pub fn info_nce(&mut self, a: Var, b: Var, o: &InfoNce<'_>) -> Var {
        let (n, d) = self.shape(a);
        assert_eq!((n, d), self.shape(b), "operands of info_nce");
        assert!(d > 0, "info_nce of rows of width 0");
        o.check(n);
        let device = self.device();
        let room = |tracked: bool| tracked.then(|| Tensor::unspecified(device, n, d));
        let (mut da, mut db) = (room(self.tracked(a)), room(self.tracked(b)));
        let mut loss = Tensor::unspecified(device, 1, 1);
        device.backend().info_nce(InfoNceForward {
            a: self.value(a),
            b: self.value(b),
            options: o,
            loss: &mut loss,
            da: da.as_mut(),
            db: db.as_mut(),
        });
        self.push_loss(loss, ReadyGradients::op([(a, da), (b, db)]))
    }
}
