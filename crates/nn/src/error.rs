//! What can go wrong outside the programmer's control.

/// The result of a fallible engine call.
pub type Result<T> = std::result::Result<T, Error>;

/// Errors of parameters, optimizer state and tensor files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two parameters were given one name.
    #[error("parameter `{name}` is defined twice")]
    DuplicateParam {
        /// The name given twice.
        name: String,
    },
    /// A parameter's values do not fill its shape.
    #[error("`{name}`: expected {expected} values for {rows} x {cols}, got {got}")]
    Length {
        /// Parameter or tensor.
        name: String,
        /// Rows of its shape.
        rows: usize,
        /// Columns of its shape.
        cols: usize,
        /// Rows times columns.
        expected: usize,
        /// Values received.
        got: usize,
    },
    /// A tensor that the model needs was not among those loaded.
    #[error("tensor `{name}` is missing")]
    MissingTensor {
        /// Its name.
        name: String,
    },
    /// A loaded tensor belongs to nothing here.
    #[error("tensor `{name}` is not known here")]
    UnexpectedTensor {
        /// Its name.
        name: String,
    },
    /// A loaded tensor has another shape.
    #[error("tensor `{name}`: expected shape {expected:?}, got {got:?}")]
    Shape {
        /// Tensor name.
        name: String,
        /// The shape that fits.
        expected: Vec<usize>,
        /// The shape received.
        got: Vec<usize>,
    },
    /// A loaded tensor holds another element type.
    #[error("tensor `{name}`: expected {expected} values, got {got}")]
    Dtype {
        /// Tensor name.
        name: String,
        /// The element types accepted.
        expected: &'static str,
        /// The element type received.
        got: String,
    },
    /// A NaN or an infinity where only finite numbers make sense.
    #[error("`{name}`: value {index} is {value}, expected a finite number")]
    NotFinite {
        /// Parameter or tensor.
        name: String,
        /// Flat index of the first such value.
        index: usize,
        /// The value.
        value: f32,
    },
    /// Bytes that are not a well-formed safetensors file.
    #[error("not a valid safetensors file: {reason}")]
    Format {
        /// What is wrong with them.
        reason: String,
    },
    /// Positive pairs that do not describe a mask.
    #[error("pair mask, row {row}: {reason}")]
    PairMask {
        /// The first bad row.
        row: usize,
        /// What was expected and what came.
        reason: String,
    },
}

/// Checks that every value is finite, naming the tensor and the place of the first that is not.
pub(crate) fn check_finite(name: &str, values: &[f32]) -> Result<()> {
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Error::NotFinite { name: name.to_owned(), index, value: values[index] }),
    }
}
