//! The record of one step and its reverse pass.

use crate::device::Device;
use crate::gradients::{GradientSum, Gradients};
use crate::params::{ParamId, Params};
use crate::row_groups::RowGroups;
use crate::tensor::Tensor;

/// A value on one [`Tape`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Var(usize);

/// Records the operations of one step over some parameters, computing values as it goes;
/// [`Tape::backward`] then runs them in reverse.
pub struct Tape<'p> {
    params: &'p Params,
    nodes: Vec<Node<'p>>,
    recording: bool,
}

struct Node<'p> {
    value: Value<'p>,
    /// Whether a gradient has to flow into this value.
    tracked: bool,
    /// Whether this is the scalar result of a loss, whose gradient is a host number.
    loss: bool,
    op: Option<Box<dyn Op>>,
}

enum Value<'p> {
    Owned(Tensor),
    Param(&'p Tensor),
    /// The value of an earlier node.
    Alias(usize),
}

/// The gradient of the final loss by one value.
pub(crate) enum Gradient {
    Matrix(Tensor),
    Loss(f32),
}

impl Gradient {
    pub(crate) fn matrix(self) -> Tensor {
        match self {
            Self::Matrix(tensor) => tensor,
            Self::Loss(_) => unreachable!("a matrix has a matrix gradient"),
        }
    }

    pub(crate) fn loss(self) -> f32 {
        match self {
            Self::Loss(factor) => factor,
            Self::Matrix(_) => unreachable!("a loss has a scalar gradient"),
        }
    }
}

/// What an operation needs to remember to run backward.
pub(crate) trait Op {
    /// Adds to the gradients of the operands, given the operation's value and its gradient.
    fn backward(self: Box<Self>, value: &Tensor, grad: Gradient, cx: &mut Backward<'_>);
}

impl<'p> Tape<'p> {
    /// An empty tape over `params`.
    pub fn new(params: &'p Params) -> Self {
        Self { params, nodes: Vec::new(), recording: true }
    }

    /// An empty tape that computes values and records no operations, for applying a trained
    /// model: no gradient is worked out, nothing is kept for one, and dropout passes values on.
    pub fn inference(params: &'p Params) -> Self {
        Self { recording: false, ..Self::new(params) }
    }

    /// A constant.
    pub fn input(&mut self, value: Tensor) -> Var {
        self.push_node(Value::Owned(value), None, false)
    }

    /// A constant of `rows` x `cols` values.
    ///
    /// # Panics
    /// If `values` does not fill the shape.
    pub fn input_slice(&mut self, rows: usize, cols: usize, values: &[f32]) -> Var {
        self.input(Tensor::from_slice(self.params.device(), rows, cols, values))
    }

    /// A whole parameter as a value.
    pub fn param(&mut self, id: ParamId) -> Var {
        let op = Box::new(WholeParam(id));
        self.push_node(Value::Param(self.params.get(id)), Some(op), false)
    }

    /// The same value, through which no gradient flows.
    pub fn detach(&mut self, x: Var) -> Var {
        let source = self.resolve(x.0);
        self.push_node(Value::Alias(source), None, false)
    }

    /// The value of a variable.
    pub fn value(&self, x: Var) -> &Tensor {
        value(&self.nodes, x)
    }

    /// The value of a variable, taken out of the tape; all other values are let go. So a long
    /// forward pass can be cut into tapes whose buffers serve each other.
    ///
    /// # Panics
    /// If the variable is a parameter or detached.
    pub fn into_value(mut self, x: Var) -> Tensor {
        match self.nodes.swap_remove(x.0).value {
            Value::Owned(tensor) => tensor,
            Value::Param(_) | Value::Alias(_) => panic!("the tape does not own this value"),
        }
    }

    /// The only value of a 1 x 1 variable.
    ///
    /// # Panics
    /// If the variable has another shape.
    pub fn scalar(&self, x: Var) -> f32 {
        let mut out = [0.0];
        self.value(x).read_into(&mut out);
        out[0]
    }

    /// `(rows, cols)` of a variable.
    pub fn shape(&self, x: Var) -> (usize, usize) {
        self.value(x).shape()
    }

    /// Runs the tape in reverse from a loss and returns the gradient of every parameter that the
    /// loss depends on.
    ///
    /// # Panics
    /// If `loss` is not the result of a loss operation, or the tape is one for inference.
    pub fn backward(self, loss: Var) -> Gradients {
        assert!(self.is_loss(loss), "backward starts from a loss");
        assert!(self.recording, "an inference tape has nothing to run backward");
        let Self { params, nodes, .. } = self;
        let mut slots: Vec<Option<Gradient>> = nodes.iter().map(|_| None).collect();
        slots[loss.0] = Some(Gradient::Loss(1.0));
        let sum = GradientSum::new(params.len());
        let mut cx = Backward { params, nodes, slots, sum };
        while let Some(node) = cx.nodes.pop() {
            let slot = cx.slots.pop().flatten();
            let (Some(op), Some(grad)) = (node.op, slot) else { continue };
            match node.value {
                Value::Owned(tensor) => op.backward(&tensor, grad, &mut cx),
                Value::Param(tensor) => op.backward(tensor, grad, &mut cx),
                Value::Alias(_) => unreachable!("a detached value has no operation"),
            }
        }
        cx.sum.finish(params)
    }

    pub(crate) fn device(&self) -> &'p Device {
        self.params.device()
    }

    pub(crate) fn params(&self) -> &'p Params {
        self.params
    }

    /// Whether operations are recorded for a backward pass.
    pub(crate) fn recording(&self) -> bool {
        self.recording
    }

    /// Whether a gradient has to flow into this value.
    pub(crate) fn tracked(&self, x: Var) -> bool {
        self.nodes[x.0].tracked
    }

    pub(crate) fn is_loss(&self, x: Var) -> bool {
        self.nodes[x.0].loss
    }

    /// Records a matrix with the operation that made it, if gradients flow through it.
    pub(crate) fn push(&mut self, value: Tensor, op: Option<Box<dyn Op>>) -> Var {
        self.push_node(Value::Owned(value), op, false)
    }

    /// Records the 1 x 1 result of a loss.
    pub(crate) fn push_loss(&mut self, value: Tensor, op: Option<Box<dyn Op>>) -> Var {
        self.push_node(Value::Owned(value), op, true)
    }

    fn push_node(&mut self, value: Value<'p>, op: Option<Box<dyn Op>>, loss: bool) -> Var {
        let op = op.filter(|_| self.recording);
        self.nodes.push(Node { value, tracked: op.is_some(), loss, op });
        Var(self.nodes.len() - 1)
    }

    fn resolve(&self, index: usize) -> usize {
        match self.nodes[index].value {
            Value::Alias(source) => source,
            _ => index,
        }
    }
}

fn value<'a>(nodes: &'a [Node<'_>], x: Var) -> &'a Tensor {
    match &nodes[x.0].value {
        Value::Owned(tensor) => tensor,
        Value::Param(tensor) => tensor,
        Value::Alias(source) => value(nodes, Var(*source)),
    }
}

/// The reverse pass as an operation sees it.
pub(crate) struct Backward<'p> {
    params: &'p Params,
    nodes: Vec<Node<'p>>,
    slots: Vec<Option<Gradient>>,
    sum: GradientSum,
}

impl<'p> Backward<'p> {
    pub(crate) fn params(&self) -> &'p Params {
        self.params
    }

    pub(crate) fn device(&self) -> &'p Device {
        self.params.device()
    }

    pub(crate) fn value(&self, x: Var) -> &Tensor {
        value(&self.nodes, x)
    }

    pub(crate) fn tracked(&self, x: Var) -> bool {
        self.nodes[x.0].tracked
    }

    /// Room for the gradient of `x` if one has to flow into it.
    pub(crate) fn room_for(&self, x: Var) -> Option<Tensor> {
        let (rows, cols) = self.value(x).shape();
        self.tracked(x).then(|| Tensor::unspecified(self.device(), rows, cols))
    }

    /// Adds to the gradient of a matrix.
    pub(crate) fn add(&mut self, x: Var, grad: Tensor) {
        if !self.tracked(x) {
            return;
        }
        match &mut self.slots[x.0] {
            Some(Gradient::Matrix(sum)) => self.params.device().backend().add(&grad, sum),
            slot => *slot = Some(Gradient::Matrix(grad)),
        }
    }

    /// Adds to the gradient of a matrix what other gradients are made of as well.
    pub(crate) fn add_shared(&mut self, x: Var, grad: &Tensor) {
        if !self.tracked(x) {
            return;
        }
        match &mut self.slots[x.0] {
            Some(Gradient::Matrix(sum)) => self.params.device().backend().add(grad, sum),
            slot => *slot = Some(Gradient::Matrix(grad.clone())),
        }
    }

    /// Adds to the gradient of the columns of a matrix that start at `at`.
    pub(crate) fn add_columns(&mut self, x: Var, at: usize, grad: &Tensor) {
        if !self.tracked(x) {
            return;
        }
        let (rows, cols) = self.value(x).shape();
        let device = self.device();
        let zeros = || Gradient::Matrix(Tensor::zeros(device, rows, cols));
        match self.slots[x.0].get_or_insert_with(zeros) {
            Gradient::Matrix(sum) => device.backend().add_columns(grad, sum, at),
            Gradient::Loss(_) => unreachable!("a matrix has a matrix gradient"),
        }
    }

    /// Adds to the gradient of a loss.
    pub(crate) fn add_loss(&mut self, x: Var, factor: f32) {
        match &mut self.slots[x.0] {
            Some(Gradient::Loss(sum)) => *sum += factor,
            slot => *slot = Some(Gradient::Loss(factor)),
        }
    }

    /// Adds to the gradient of a whole parameter.
    pub(crate) fn add_param(&mut self, id: ParamId, grad: Tensor) {
        self.sum.add(self.params, id, grad);
    }

    /// Adds to the gradient of some rows of a parameter: to each target row the rows of `grad`
    /// that are its members.
    pub(crate) fn add_param_rows(&mut self, id: ParamId, groups: RowGroups, grad: Tensor) {
        self.sum.add_rows(self.params, id, groups, grad);
    }
}

struct WholeParam(ParamId);

impl Op for WholeParam {
    fn backward(self: Box<Self>, _value: &Tensor, grad: Gradient, cx: &mut Backward<'_>) {
        cx.add_param(self.0, grad.matrix());
    }
}
