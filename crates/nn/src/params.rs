//! Named parameters of a model.

use std::collections::HashMap;

use crate::device::Device;
use crate::error::{Error, Result, check_finite};
use crate::safetensors_io::{NamedTensor, TensorData};
use crate::tensor::Tensor;

/// A parameter of one [`Params`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ParamId(pub(crate) usize);

/// How a parameter's gradient is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ParamKind {
    /// Weights, biases, codebooks: a gradient of the parameter's own shape.
    Dense,
    /// An embedding table: a gradient of the rows that a step touched.
    Table,
}

#[derive(Debug)]
struct Param {
    name: String,
    kind: ParamKind,
    value: Tensor,
}

/// Named parameters on one device, in the order they were added.
#[derive(Debug)]
pub struct Params {
    device: Device,
    params: Vec<Param>,
    by_name: HashMap<String, ParamId>,
}

impl Params {
    /// No parameters yet.
    pub fn new(device: &Device) -> Self {
        Self { device: device.clone(), params: Vec::new(), by_name: HashMap::new() }
    }

    /// Adds a `rows` x `cols` parameter with the given values.
    ///
    /// # Errors
    /// If the name is taken, the values do not fill the shape, or one is not finite.
    pub fn add(
        &mut self,
        name: &str,
        kind: ParamKind,
        rows: usize,
        cols: usize,
        values: &[f32],
    ) -> Result<ParamId> {
        if self.by_name.contains_key(name) {
            return Err(Error::DuplicateParam { name: name.to_owned() });
        }
        check_values(name, rows, cols, values)?;
        let id = ParamId(self.params.len());
        let value = Tensor::from_slice(&self.device, rows, cols, values);
        self.params.push(Param { name: name.to_owned(), kind, value });
        self.by_name.insert(name.to_owned(), id);
        Ok(id)
    }

    /// The parameter of that name.
    pub fn id(&self, name: &str) -> Option<ParamId> {
        self.by_name.get(name).copied()
    }

    /// The value of a parameter.
    pub fn get(&self, id: ParamId) -> &Tensor {
        &self.params[id.0].value
    }

    pub(crate) fn get_mut(&mut self, id: ParamId) -> &mut Tensor {
        &mut self.params[id.0].value
    }

    /// Replaces all values of a parameter.
    ///
    /// # Errors
    /// If the values do not fill the shape or one is not finite.
    pub fn set(&mut self, id: ParamId, values: &[f32]) -> Result<()> {
        let (rows, cols) = self.get(id).shape();
        check_values(self.name(id), rows, cols, values)?;
        self.device.backend().write(&mut self.params[id.0].value, 0, values);
        Ok(())
    }

    /// Multiplies all values of a parameter by `factor`.
    pub fn scale(&mut self, id: ParamId, factor: f32) {
        let tensor = self.get_mut(id);
        let scaled: Vec<f32> = tensor.to_vec().iter().map(|value| value * factor).collect();
        self.device.backend().write(&mut self.params[id.0].value, 0, &scaled);
    }

    /// Replaces one row of a parameter, e.g. a dead code.
    ///
    /// # Panics
    /// If the row is out of range or `values` is not one row long.
    pub fn set_row(&mut self, id: ParamId, row: usize, values: &[f32]) {
        let (rows, cols) = self.get(id).shape();
        assert!(row < rows, "row {row} of `{}` with {rows} rows", self.name(id));
        assert_eq!(values.len(), cols, "a row of `{}`", self.name(id));
        self.device.backend().write(&mut self.params[id.0].value, row * cols, values);
    }

    /// The name of a parameter.
    pub fn name(&self, id: ParamId) -> &str {
        &self.params[id.0].name
    }

    /// The kind of a parameter.
    pub fn kind(&self, id: ParamId) -> ParamKind {
        self.params[id.0].kind
    }

    /// Every parameter, in the order they were added.
    pub fn ids(&self) -> impl Iterator<Item = ParamId> + use<> {
        (0..self.params.len()).map(ParamId)
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.params.len()
    }

    /// Whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.params.is_empty()
    }

    /// The device that the parameters live on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Name, shape and values of every parameter, copied to the host in order.
    pub fn to_tensors(&self) -> Vec<NamedTensor> {
        let tensor = |p: &Param| NamedTensor {
            name: p.name.clone(),
            shape: vec![p.value.rows(), p.value.cols()],
            data: TensorData::F32(p.value.to_vec()),
        };
        self.params.iter().map(tensor).collect()
    }

    /// Replaces the values of every parameter. A one-dimensional tensor fits a parameter of one
    /// row. Nothing changes unless everything fits.
    ///
    /// # Errors
    /// If a parameter is missing, given twice or unknown, a shape or element type differs, or a
    /// value is not finite.
    pub fn load_tensors(&mut self, tensors: &[NamedTensor]) -> Result<()> {
        let mut sources: Vec<Option<&[f32]>> = vec![None; self.params.len()];
        for NamedTensor { name, shape, data } in tensors {
            let id = self.id(name).ok_or_else(|| Error::UnexpectedTensor { name: name.clone() })?;
            let (rows, cols) = self.get(id).shape();
            let fits = *shape == [rows, cols] || (rows == 1 && *shape == [cols]);
            if !fits {
                let (expected, got) = (vec![rows, cols], shape.clone());
                return Err(Error::Shape { name: name.clone(), expected, got });
            }
            let TensorData::F32(values) = data else {
                let got = data.dtype().to_owned();
                return Err(Error::Dtype { name: name.clone(), expected: "f32", got });
            };
            check_values(name, rows, cols, values)?;
            if sources[id.0].replace(values).is_some() {
                return Err(Error::DuplicateParam { name: name.clone() });
            }
        }
        if let Some(missing) = sources.iter().position(Option::is_none) {
            return Err(Error::MissingTensor { name: self.params[missing].name.clone() });
        }
        for (param, values) in self.params.iter_mut().zip(sources.into_iter().flatten()) {
            self.device.backend().write(&mut param.value, 0, values);
        }
        Ok(())
    }
}

fn check_values(name: &str, rows: usize, cols: usize, values: &[f32]) -> Result<()> {
    if rows.checked_mul(cols) != Some(values.len()) {
        return Err(Error::Length {
            name: name.to_owned(),
            rows,
            cols,
            expected: rows.saturating_mul(cols),
            got: values.len(),
        });
    }
    check_finite(name, values)
}
