//! Gradients of parameters.

use crate::device::Device;
use crate::params::{ParamId, ParamKind, Params};
use crate::row_groups::{RowGroups, union};
use crate::tensor::Tensor;

/// The gradient of one parameter.
#[derive(Debug)]
pub(crate) enum ParamGradient {
    Dense(Tensor),
    /// Distinct rows, ascending, with their gradients.
    Rows {
        rows: Vec<u32>,
        values: Tensor,
    },
}

impl ParamGradient {
    pub(crate) fn values(&self) -> &Tensor {
        match self {
            Self::Dense(values) | Self::Rows { values, .. } => values,
        }
    }

    fn values_mut(&mut self) -> &mut Tensor {
        match self {
            Self::Dense(values) | Self::Rows { values, .. } => values,
        }
    }
}

/// The gradients of one step. Parameters that the loss does not depend on have none.
#[derive(Debug)]
pub struct Gradients {
    device: Device,
    shapes: Vec<(usize, usize)>,
    grads: Vec<Option<ParamGradient>>,
}

impl Gradients {
    /// The Euclidean norm over all gradients, accumulated in double precision.
    pub fn global_norm(&self) -> f32 {
        let backend = self.device.backend();
        self.grads.iter().flatten().map(|g| backend.square_sum(g.values())).sum::<f64>().sqrt()
            as f32
    }

    /// Scales all gradients so that their norm is at most `max_norm`; returns the norm before. A
    /// norm that is not finite leaves them as they are (see [`Gradients::is_finite`]).
    pub fn clip(&mut self, max_norm: f32) -> f32 {
        let norm = self.global_norm();
        if norm.is_finite() && norm > max_norm {
            for grad in self.grads.iter_mut().flatten() {
                self.device.backend().scale(grad.values_mut(), max_norm / norm);
            }
        }
        norm
    }

    /// Whether every gradient is finite.
    pub fn is_finite(&self) -> bool {
        let backend = self.device.backend();
        self.grads.iter().flatten().all(|g| backend.square_sum(g.values()).is_finite())
    }

    /// The gradient of a parameter in the parameter's shape, rows without one being zero; `None`
    /// if the loss does not depend on it.
    pub fn dense(&self, id: ParamId) -> Option<Vec<f32>> {
        let grad = self.grads[id.0].as_ref()?;
        match grad {
            ParamGradient::Dense(values) => Some(values.to_vec()),
            ParamGradient::Rows { rows, values } => {
                let (height, cols) = self.shapes[id.0];
                let mut dense = vec![0.0; height * cols];
                for (&row, value) in rows.iter().zip(values.to_vec().chunks_exact(cols.max(1))) {
                    dense[row as usize * cols..][..cols].copy_from_slice(value);
                }
                Some(dense)
            }
        }
    }

    pub(crate) fn get(&self, id: ParamId) -> Option<&ParamGradient> {
        self.grads[id.0].as_ref()
    }
}

/// Gradients while the reverse pass adds to them. Rows of tables are merged once, at the end.
pub(crate) struct GradientSum {
    /// Of the whole parameter.
    whole: Vec<Option<Tensor>>,
    /// Of some rows of tables.
    rows: Vec<Vec<(RowGroups, Tensor)>>,
}

impl GradientSum {
    pub(crate) fn new(params: usize) -> Self {
        let rows = (0..params).map(|_| Vec::new()).collect();
        Self { whole: (0..params).map(|_| None).collect(), rows }
    }

    /// Adds to the gradient of a whole parameter.
    pub(crate) fn add(&mut self, params: &Params, id: ParamId, grad: Tensor) {
        match &mut self.whole[id.0] {
            Some(sum) => params.device().backend().add(&grad, sum),
            slot => *slot = Some(grad),
        }
    }

    /// Adds to the gradient of some rows of a parameter: to each target row the rows of `grad`
    /// that are its members.
    pub(crate) fn add_rows(
        &mut self,
        params: &Params,
        id: ParamId,
        groups: RowGroups,
        grad: Tensor,
    ) {
        match params.kind(id) {
            ParamKind::Table => self.rows[id.0].push((groups, grad)),
            ParamKind::Dense => {
                let (height, cols) = params.get(id).shape();
                let device = params.device();
                let sum =
                    self.whole[id.0].get_or_insert_with(|| Tensor::zeros(device, height, cols));
                device.backend().add_rows(&grad, &groups, sum);
            }
        }
    }

    pub(crate) fn finish(self, params: &Params) -> Gradients {
        let device = params.device();
        let sums = params.ids().zip(self.whole.into_iter().zip(self.rows));
        let grads = sums.map(|(id, (whole, pieces))| match (whole, params.kind(id)) {
            (None, _) => merge(device, pieces),
            (Some(whole), ParamKind::Dense) => Some(ParamGradient::Dense(whole)),
            (Some(whole), ParamKind::Table) => Some(merge_into(whole, pieces)),
        });
        let grads = grads.collect();
        let shapes = params.ids().map(|id| params.get(id).shape()).collect();
        Gradients { device: device.clone(), shapes, grads }
    }
}

/// Adds pieces of a table's gradient: by row, then in the order of the pieces, then in the order
/// of occurrence within a piece.
fn merge(device: &Device, pieces: Vec<(RowGroups, Tensor)>) -> Option<ParamGradient> {
    let cols = pieces.first()?.1.cols();
    let rows = union(pieces.iter().map(|(groups, _)| groups.targets()));
    let mut values = Tensor::zeros(device, rows.len(), cols);
    for (groups, piece) in pieces {
        device.backend().add_rows(&piece, &groups.within(&rows), &mut values);
    }
    Some(ParamGradient::Rows { rows, values })
}

/// The same for a table that was also used whole: every row has a gradient.
fn merge_into(mut whole: Tensor, pieces: Vec<(RowGroups, Tensor)>) -> ParamGradient {
    let device = whole.device().clone();
    for (groups, piece) in pieces {
        device.backend().add_rows(&piece, &groups, &mut whole);
    }
    ParamGradient::Rows { rows: (0..whole.rows() as u32).collect(), values: whole }
}
