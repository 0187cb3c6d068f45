//! Scaled dot-product attention over packed sequences.

use crate::kernels::backend::{AttentionBackward, AttentionForward};
use crate::tape::{Backward, Gradient, Op, Tape, Var};
use crate::tensor::Tensor;

/// Options of [`Tape::attention`]. Sequences are packed: sequence `s` owns rows
/// `queries[s]..queries[s + 1]` of `q` and rows `keys[s]..keys[s + 1]` of `k` and `v`.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Number of heads; divides the width of `q`, `k` and `v`.
    pub heads: usize,
    /// Ascending offsets of the sequences' queries: the first is 0, the last the number of rows.
    pub queries: &'a [u32],
    /// Ascending offsets of the sequences' keys, as many as `queries`.
    pub keys: &'a [u32],
    /// Whether the `i`-th query of a sequence sees only its first `i + 1` keys. Needs `queries`
    /// and `keys` to be equal.
    pub causal: bool,
}

impl Attention<'_> {
    fn check(&self, q: (usize, usize), k: (usize, usize), v: (usize, usize)) {
        assert!(
            q.1 > 0 && q.1 == k.1 && k == v,
            "operands of attention: q {q:?}, k {k:?}, v {v:?}"
        );
        assert!(
            self.heads > 0 && q.1.is_multiple_of(self.heads),
            "{} heads of a width of {}",
            self.heads,
            q.1
        );
        assert_eq!(self.queries.len(), self.keys.len(), "offsets of queries and keys");
        for (offsets, rows) in [(self.queries, q.0), (self.keys, k.0)] {
            let whole = offsets.first() == Some(&0) && offsets.last() == Some(&(rows as u32));
            assert!(whole && offsets.is_sorted(), "offsets are ascending from 0 to {rows}");
        }
        assert!(
            !self.causal || self.queries == self.keys,
            "causal attention of a sequence to itself"
        );
    }

    /// Number of probabilities of one head: `Σ n_q n_k`.
    fn pairs(&self) -> usize {
        let lengths = self.queries.windows(2).zip(self.keys.windows(2));
        lengths.map(|(q, k)| (q[1] - q[0]) as usize * (k[1] - k[0]) as usize).sum()
    }
}

impl Tape<'_> {
    /// Multi-head scaled dot-product attention (Vaswani et al., 2017, section 3.2) within each
    /// packed sequence: `softmax(q_h k_hᵀ / √(d / heads)) v_h` for each head `h`, a block of
    /// `d / heads` columns of `q` `[n, d]`, `k` and `v` `[m, d]`. The result is `[n, d]`, the
    /// heads side by side. Queries of a sequence without keys give zeros.
    ///
    /// # Panics
    /// If shapes and offsets do not fit.
    pub fn attention(&mut self, q: Var, k: Var, v: Var, o: &Attention<'_>) -> Var {
        o.check(self.shape(q), self.shape(k), self.shape(v));
        let (n, d) = self.shape(q);
        let mut y = Tensor::unspecified(self.device(), n, d);
        let tracked = self.recording() && [q, k, v].iter().any(|&x| self.tracked(x));
        let mut probabilities =
            tracked.then(|| Tensor::unspecified(self.device(), o.heads, o.pairs()));
        self.device().backend().attention_forward(AttentionForward {
            q: self.value(q),
            k: self.value(k),
            v: self.value(v),
            options: o,
            y: &mut y,
            probabilities: probabilities.as_mut(),
        });
        let op = probabilities.map(|probabilities| {
            let (queries, keys) = (o.queries.to_vec(), o.keys.to_vec());
            let (heads, causal) = (o.heads, o.causal);
            Box::new(Attend { q, k, v, heads, queries, keys, causal, probabilities }) as _
        });
        self.push(y, op)
    }
}

struct Attend {
    q: Var,
    k: Var,
    v: Var,
    heads: usize,
    queries: Vec<u32>,
    keys: Vec<u32>,
    causal: bool,
    probabilities: Tensor,
}

impl Op for Attend {
    /// With `P` the probabilities of a head and `s` the scale: `dv = Pᵀ dy`, `dP = dy vᵀ`,
    /// `dS = s P ⊙ (dP - Σ_j P ⊙ dP)`, `dq = dS k`, `dk = dSᵀ q`.
    fn backward(self: Box<Self>, _value: &Tensor, grad: Gradient, cx: &mut Backward<'_>) {
        let [mut dq, mut dk, mut dv] = [self.q, self.k, self.v].map(|x| {
            let (rows, cols) = cx.value(x).shape();
            Tensor::unspecified(cx.device(), rows, cols)
        });
        cx.device().backend().attention_backward(AttentionBackward {
            q: cx.value(self.q),
            k: cx.value(self.k),
            v: cx.value(self.v),
            options: &Attention {
                heads: self.heads,
                queries: &self.queries,
                keys: &self.keys,
                causal: self.causal,
            },
            probabilities: &self.probabilities,
            dy: &grad.matrix(),
            dq: &mut dq,
            dk: &mut dk,
            dv: &mut dv,
        });
        for (x, dx) in [(self.q, dq), (self.k, dk), (self.v, dv)] {
            cx.add(x, dx);
        }
    }
}
