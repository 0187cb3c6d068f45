//! The optimizer's state as tensors, for checkpoints.

use super::adamw::{AdamW, State};
use crate::error::{Error, Result, check_finite};
use crate::params::{ParamId, Params};
use crate::safetensors_io::{NamedTensor, TensorData};
use crate::tensor::Tensor;

const STEPS: &str = "adamw.steps";

fn moment_name(params: &Params, id: ParamId, moment: &str) -> String {
    format!("adamw.{moment}.{}", params.name(id))
}

impl AdamW {
    /// The step count and both moments of every parameter, bit for bit.
    pub fn state_tensors(&self, params: &Params) -> Vec<NamedTensor> {
        let steps = TensorData::I64(vec![self.steps as i64]);
        let mut tensors = vec![NamedTensor { name: STEPS.to_owned(), shape: vec![1], data: steps }];
        for (id, state) in params.ids().zip(&self.states) {
            for (moment, tensor) in [("first", &state.first), ("second", &state.second)] {
                tensors.push(NamedTensor {
                    name: moment_name(params, id, moment),
                    shape: vec![tensor.rows(), tensor.cols()],
                    data: TensorData::F32(tensor.to_vec()),
                });
            }
        }
        tensors
    }

    /// Continues from [`AdamW::state_tensors`] of an optimizer over the same parameters. Nothing
    /// changes unless everything fits.
    ///
    /// # Errors
    /// If a tensor is missing, unknown, of another shape or element type, not finite, or a second
    /// moment or the step count is negative.
    pub fn load_state(&mut self, params: &Params, tensors: &[NamedTensor]) -> Result<()> {
        let find = |name: &str| {
            let found = tensors.iter().find(|tensor| tensor.name == name);
            found.ok_or_else(|| Error::MissingTensor { name: name.to_owned() })
        };
        let steps = read_steps(find(STEPS)?)?;
        let mut known = vec![STEPS.to_owned()];
        let mut moments = Vec::with_capacity(self.states.len());
        for (id, state) in params.ids().zip(&self.states) {
            let names = ["first", "second"].map(|moment| moment_name(params, id, moment));
            let first = read_moment(find(&names[0])?, state.first.shape())?;
            let second = read_moment(find(&names[1])?, state.second.shape())?;
            if let Some(index) = second.iter().position(|v| *v < 0.0) {
                let reason = format!("`{}`: value {index} is negative", names[1]);
                return Err(Error::Format { reason });
            }
            moments.push((first, second));
            known.extend(names);
        }
        if let Some(extra) = tensors.iter().find(|tensor| !known.contains(&tensor.name)) {
            return Err(Error::UnexpectedTensor { name: extra.name.clone() });
        }
        self.steps = steps;
        for (state, (first, second)) in self.states.iter_mut().zip(moments) {
            restore(state, first, second);
        }
        Ok(())
    }
}

fn read_steps(tensor: &NamedTensor) -> Result<u64> {
    let dtype = |got: String| Error::Dtype { name: STEPS.to_owned(), expected: "i64", got };
    let TensorData::I64(values) = &tensor.data else {
        return Err(dtype(tensor.data.dtype().to_owned()));
    };
    match values[..] {
        [steps] if steps >= 0 => Ok(steps as u64),
        _ => {
            Err(Error::Format { reason: format!("`{STEPS}`: expected one count, got {values:?}") })
        }
    }
}

fn read_moment(tensor: &NamedTensor, (rows, cols): (usize, usize)) -> Result<&[f32]> {
    let name = || tensor.name.clone();
    if tensor.shape != [rows, cols] {
        let (expected, got) = (vec![rows, cols], tensor.shape.clone());
        return Err(Error::Shape { name: name(), expected, got });
    }
    let TensorData::F32(values) = &tensor.data else {
        let got = tensor.data.dtype().to_owned();
        return Err(Error::Dtype { name: name(), expected: "f32", got });
    };
    if values.len() != rows * cols {
        let (expected, got) = (rows * cols, values.len());
        return Err(Error::Length { name: name(), rows, cols, expected, got });
    }
    check_finite(&tensor.name, values)?;
    Ok(values)
}

fn restore(state: &mut State, first: &[f32], second: &[f32]) {
    let cols = state.first.cols();
    for (row, active) in state.active.iter_mut().enumerate() {
        let of_row = row * cols..(row + 1) * cols;
        *active = first[of_row.clone()].iter().chain(&second[of_row]).any(|v| v.to_bits() != 0);
    }
    let write = |moment: &mut Tensor, values: &[f32]| {
        let device = moment.device().clone();
        device.backend().write(moment, 0, values);
    };
    write(&mut state.first, first);
    write(&mut state.second, second);
}
