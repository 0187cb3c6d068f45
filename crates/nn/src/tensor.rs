//! A matrix on a device.

use std::fmt;

use crate::device::Device;
use crate::kernels::backend::Buffer;

/// A row-major `f32` matrix whose buffer belongs to a [`Device`] and returns to its pool on drop.
pub struct Tensor {
    buffer: Option<Buffer>,
    rows: usize,
    cols: usize,
    device: Device,
}

impl Tensor {
    /// A `rows` x `cols` matrix of the given values.
    ///
    /// # Panics
    /// If `values` does not hold `rows * cols` values.
    pub fn from_slice(device: &Device, rows: usize, cols: usize, values: &[f32]) -> Self {
        assert_eq!(values.len(), rows * cols, "a {rows} x {cols} tensor");
        let mut tensor = Self::unspecified(device, rows, cols);
        device.backend().write(&mut tensor, 0, values);
        tensor
    }

    /// A matrix of zeros.
    pub fn zeros(device: &Device, rows: usize, cols: usize) -> Self {
        let mut tensor = Self::unspecified(device, rows, cols);
        device.backend().fill(&mut tensor, 0.0);
        tensor
    }

    /// A matrix with whatever its pooled buffer last held, for kernels that write all of it.
    pub(crate) fn unspecified(device: &Device, rows: usize, cols: usize) -> Self {
        let len = rows.checked_mul(cols).expect("tensor size overflows");
        let buffer = Some(device.backend().allocate(len));
        Self { buffer, rows, cols, device: device.clone() }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Rows times columns.
    pub fn len(&self) -> usize {
        self.rows * self.cols
    }

    /// Whether the matrix has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `(rows, cols)`.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// The device that owns the buffer.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Copies the values to the host.
    pub fn to_vec(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.len()];
        self.read_into(&mut out);
        out
    }

    /// Copies the values into `out`.
    ///
    /// # Panics
    /// If `out` does not hold `rows * cols` values.
    pub fn read_into(&self, out: &mut [f32]) {
        assert_eq!(out.len(), self.len(), "host buffer for a {} x {} tensor", self.rows, self.cols);
        self.device.backend().read(self, 0, out);
    }

    pub(crate) fn buffer(&self) -> &Buffer {
        self.buffer.as_ref().expect("a live tensor has a buffer")
    }

    pub(crate) fn buffer_mut(&mut self) -> &mut Buffer {
        self.buffer.as_mut().expect("a live tensor has a buffer")
    }
}

impl Clone for Tensor {
    fn clone(&self) -> Self {
        let mut copy = Self::unspecified(&self.device, self.rows, self.cols);
        self.device.backend().copy(self, &mut copy);
        copy
    }
}

impl Drop for Tensor {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            self.device.backend().release(buffer);
        }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({} x {} on {})", self.rows, self.cols, self.device.name())
    }
}
