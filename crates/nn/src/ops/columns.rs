//! Concatenation along columns, and blocks of columns.

use std::ops::Range;

use crate::tape::{Backward, Gradient, Op, Tape, Var};
use crate::tensor::Tensor;

impl Tape<'_> {
    /// The parts side by side: `[n, Σ cols]`.
    ///
    /// # Panics
    /// If there are no parts or their row counts differ.
    pub fn concat(&mut self, parts: &[Var]) -> Var {
        let rows = self.shape(*parts.first().expect("at least one part")).0;
        let cols = parts.iter().map(|&part| self.shape(part).1).sum();
        let mut value = Tensor::unspecified(self.device(), rows, cols);
        let mut at = 0;
        for &part in parts {
            let part = self.value(part);
            assert_eq!(part.rows(), rows, "rows of a concatenated part");
            self.device().backend().put_columns(part, &mut value, at);
            at += part.cols();
        }
        let tracked = parts.iter().any(|&part| self.tracked(part));
        self.push(value, tracked.then(|| Box::new(Concat { parts: parts.to_vec() }) as _))
    }

    /// A block of columns: `[n, range.len()]`.
    ///
    /// # Panics
    /// If the range is out of bounds.
    pub fn columns(&mut self, x: Var, range: Range<usize>) -> Var {
        let (rows, cols) = self.shape(x);
        assert!(
            range.start <= range.end && range.end <= cols,
            "columns {range:?} of a matrix with {cols} columns"
        );
        let mut value = Tensor::unspecified(self.device(), rows, range.len());
        self.device().backend().take_columns(self.value(x), range.start, &mut value);
        self.push(value, self.tracked(x).then(|| Box::new(Columns { x, at: range.start }) as _))
    }
}

struct Concat {
    parts: Vec<Var>,
}

impl Op for Concat {
    fn backward(self: Box<Self>, _value: &Tensor, grad: Gradient, cx: &mut Backward<'_>) {
        let grad = grad.matrix();
        let mut at = 0;
        for part in self.parts {
            let cols = cx.value(part).cols();
            if let Some(mut dpart) = cx.room_for(part) {
                cx.device().backend().take_columns(&grad, at, &mut dpart);
                cx.add(part, dpart);
            }
            at += cols;
        }
    }
}

struct Columns {
    x: Var,
    at: usize,
}

impl Op for Columns {
    fn backward(self: Box<Self>, _value: &Tensor, grad: Gradient, cx: &mut Backward<'_>) {
        cx.add_columns(self.x, self.at, &grad.matrix());
    }
}
