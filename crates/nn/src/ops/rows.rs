//! Rows by index: from a parameter and from an activation.

use crate::params::ParamId;
use crate::row_groups::RowGroups;
use crate::tape::{Backward, Gradient, Op, Tape, Var};
use crate::tensor::Tensor;

impl Tape<'_> {
    /// Rows of a parameter, which may repeat. The gradient of a
    /// [`Table`](crate::ParamKind::Table) keeps only the rows named here.
    ///
    /// # Panics
    /// If a row is out of range.
    pub fn gather(&mut self, table: ParamId, rows: &[u32]) -> Var {
        let value = take_rows(self.params().get(table), rows);
        self.push(value, Some(Box::new(Gather { table, rows: rows.to_vec(), bag: 1 })))
    }

    /// Sums of rows of a parameter: row `i` of the result, `[rows.len() / bag, cols]`, adds up the
    /// `i`-th `bag` of `rows`, e.g. the embeddings of an item's codes. A row that a bag names
    /// twice counts twice. The gradient is kept as that of [`Tape::gather`].
    ///
    /// # Panics
    /// If `bag` is 0 or does not divide the number of rows, or a row is out of range.
    pub fn gather_bag(&mut self, table: ParamId, rows: &[u32], bag: usize) -> Var {
        assert!(bag > 0 && rows.len().is_multiple_of(bag), "{} rows in bags of {bag}", rows.len());
        let src = self.params().get(table);
        check_rows(src, rows);
        let mut value = Tensor::unspecified(self.device(), rows.len() / bag, src.cols());
        self.device().backend().gather_bags(src, rows, bag, &mut value);
        self.push(value, Some(Box::new(Gather { table, rows: rows.to_vec(), bag })))
    }

    /// Rows of an activation, which may repeat.
    ///
    /// # Panics
    /// If a row is out of range.
    pub fn select_rows(&mut self, x: Var, rows: &[u32]) -> Var {
        let value = take_rows(self.value(x), rows);
        let op = self.tracked(x).then(|| Box::new(SelectRows { x, rows: rows.to_vec() }) as _);
        self.push(value, op)
    }
}

fn take_rows(src: &Tensor, rows: &[u32]) -> Tensor {
    check_rows(src, rows);
    let mut out = Tensor::unspecified(src.device(), rows.len(), src.cols());
    src.device().backend().gather_rows(src, rows, &mut out);
    out
}

fn check_rows(src: &Tensor, rows: &[u32]) {
    if let Some(row) = rows.iter().find(|&&row| row as usize >= src.rows()) {
        panic!("row {row} of a matrix with {} rows", src.rows());
    }
}

struct Gather {
    table: ParamId,
    rows: Vec<u32>,
    bag: usize,
}

impl Op for Gather {
    fn backward(self: Box<Self>, _value: &Tensor, grad: Gradient, cx: &mut Backward<'_>) {
        let groups = RowGroups::of_bags(&self.rows, self.bag);
        cx.add_param_rows(self.table, groups, grad.matrix());
    }
}

struct SelectRows {
    x: Var,
    rows: Vec<u32>,
}

impl Op for SelectRows {
    /// Each row of `x` receives the sum over its copies, in order of occurrence.
    fn backward(self: Box<Self>, _value: &Tensor, grad: Gradient, cx: &mut Backward<'_>) {
        let (rows, cols) = cx.value(self.x).shape();
        let mut dx = Tensor::zeros(cx.device(), rows, cols);
        let groups = RowGroups::new(&self.rows);
        cx.device().backend().add_rows(&grad.matrix(), &groups, &mut dx);
        cx.add(self.x, dx);
    }
}
