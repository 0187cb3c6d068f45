//! Codes that a quantizer chose, where it chose them.

use std::fmt;
use std::sync::Arc;

use crate::device::Device;
use crate::kernels::backend::Buffer;

/// Codes `[n, levels]`, row-major, on the device that chose them. Clones share them. A step needs
/// them on the device alone; reading them waits for it.
#[derive(Clone)]
pub struct Codes {
    buffer: Arc<Buffer>,
    device: Device,
}

impl Codes {
    pub(crate) fn new(device: &Device, buffer: Buffer) -> Codes {
        Codes { buffer: Arc::new(buffer), device: device.clone() }
    }

    /// Copies the codes to the host.
    pub fn to_vec(&self) -> Vec<u32> {
        self.device.backend().read_codes(&self.buffer)
    }

    pub(crate) fn buffer(&self) -> &Buffer {
        &self.buffer
    }
}

impl fmt::Debug for Codes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Codes(on {})", self.device.name())
    }
}
