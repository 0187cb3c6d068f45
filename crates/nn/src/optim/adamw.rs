//! AdamW: Adam with decoupled weight decay.

use serde::{Deserialize, Serialize};

use crate::gradients::{Gradients, ParamGradient};
use crate::kernels::backend::{AdamWUpdate, Moments};
use crate::params::{ParamId, ParamKind, Params};
use crate::tensor::Tensor;

/// What a step does to the rows of a table that have no gradient in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableUpdate {
    /// Nothing: their values and moments stay, and they do not decay. A step costs what its batch
    /// touches instead of the whole table. Momentum does not move a row between its gradients,
    /// and decay counts a row's own updates, so rare rows are not shrunk to nothing by the steps
    /// that they are absent from. The bias corrections count all steps, as in PyTorch's
    /// `SparseAdam`.
    #[default]
    Lazy,
    /// What AdamW does to any parameter, a gradient of zero included.
    Dense,
}

/// Options of [`AdamW`]; the defaults are PyTorch's.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWConfig {
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled decay: each update first multiplies the value by `1 - lr · weight_decay`. It
    /// applies to every parameter, biases and codebooks included, as PyTorch does by default.
    pub weight_decay: f32,
    /// What happens to table rows without a gradient.
    pub table_update: TableUpdate,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
            table_update: TableUpdate::Lazy,
        }
    }
}

/// The state of one parameter.
#[derive(Debug)]
pub(super) struct State {
    pub(super) first: Tensor,
    pub(super) second: Tensor,
    /// For each row of a table whether its moments may be other than zero.
    pub(super) active: Vec<bool>,
}

/// Adam with decoupled weight decay (Loshchilov & Hutter, 2019, algorithm 2). Parameters without
/// a gradient in a step stay as they are.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    pub(super) steps: u64,
    pub(super) states: Vec<State>,
}

impl AdamW {
    /// Zero moments for the given parameters.
    pub fn new(params: &Params, config: AdamWConfig) -> Self {
        let state = |id: ParamId| {
            let (rows, cols) = params.get(id).shape();
            let zeros = || Tensor::zeros(params.device(), rows, cols);
            let active = match params.kind(id) {
                ParamKind::Dense => Vec::new(),
                ParamKind::Table => vec![false; rows],
            };
            State { first: zeros(), second: zeros(), active }
        };
        Self { config, steps: 0, states: params.ids().map(state).collect() }
    }

    /// The options.
    pub fn config(&self) -> &AdamWConfig {
        &self.config
    }

    /// Steps made so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Makes one step with learning rate `lr` for dense parameters and `table_lr` for tables.
    ///
    /// # Panics
    /// If the parameters are not those that the optimizer was made for.
    pub fn step(&mut self, params: &mut Params, gradients: &Gradients, lr: f32, table_lr: f32) {
        assert_eq!(params.len(), self.states.len(), "parameters of this optimizer");
        self.steps += 1;
        let (dense, table) = (self.update(lr), self.update(table_lr));
        let device = params.device().clone();
        let backend = device.backend();
        for id in params.ids() {
            let Some(gradient) = gradients.get(id) else { continue };
            let State { first, second, active } = &mut self.states[id.0];
            let moments = Moments { value: params.get_mut(id), first, second };
            match (gradient, self.config.table_update) {
                (ParamGradient::Dense(grad), _) => backend.adamw_dense(moments, grad, &dense),
                (ParamGradient::Rows { rows, values }, TableUpdate::Lazy) => {
                    rows.iter().for_each(|&row| active[row as usize] = true);
                    backend.adamw_rows(moments, rows, values, &table);
                }
                (ParamGradient::Rows { rows, values }, TableUpdate::Dense) => {
                    backend.adamw_table(moments, rows, values, active, &table);
                }
            }
        }
    }

    /// Forgets the moments of one row, e.g. of a code that was placed anew.
    ///
    /// # Panics
    /// If the row is out of range.
    pub fn reset_row(&mut self, id: ParamId, row: usize) {
        let State { first, second, active } = &mut self.states[id.0];
        assert!(row < first.rows(), "row {row} of a parameter with {} rows", first.rows());
        let zeros = vec![0.0; first.cols()];
        for moment in [first, second] {
            let device = moment.device().clone();
            device.backend().write(moment, row * zeros.len(), &zeros);
        }
        if let Some(active) = active.get_mut(row) {
            *active = false;
        }
    }

    /// Goes on after a parameter was multiplied by `factor` and what undoes it elsewhere in the model by its inverse:
    /// its gradients are smaller by `factor` from then on, and so are its moments.
    pub fn rescale(&mut self, id: ParamId, factor: f32) {
        let State { first, second, .. } = &mut self.states[id.0];
        for (moment, factor) in [(first, 1.0 / factor), (second, 1.0 / (factor * factor))] {
            let scaled: Vec<f32> = moment.to_vec().iter().map(|value| value * factor).collect();
            let device = moment.device().clone();
            device.backend().write(moment, 0, &scaled);
        }
    }

    fn update(&self, lr: f32) -> AdamWUpdate {
        let AdamWConfig { beta1, beta2, eps, weight_decay, .. } = self.config;
        let correction = |beta: f32| 1.0 - f64::from(beta).powf(self.steps as f64);
        AdamWUpdate {
            beta1,
            beta2,
            eps,
            decay: (1.0 - f64::from(lr) * f64::from(weight_decay)) as f32,
            step_size: (f64::from(lr) / correction(beta1)) as f32,
            root_correction: correction(beta2).sqrt() as f32,
        }
    }
}
