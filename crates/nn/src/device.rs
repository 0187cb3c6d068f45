//! The device that a model lives on.

use std::fmt;
use std::sync::Arc;

use crate::kernels::backend::Backend;
use crate::kernels::cpu::Cpu;

/// Where tensors live and kernels run, chosen at run time. Clones are cheap and share one pool of
/// buffers, which steps reuse so that training allocates nothing after its first step.
#[derive(Clone)]
pub struct Device(Arc<dyn Backend>);

impl Device {
    /// The host's processor; kernels run on the current rayon thread pool.
    pub fn cpu() -> Self {
        Self(Arc::new(Cpu::default()))
    }

    /// A short name for logs, e.g. `cpu`.
    pub fn name(&self) -> &'static str {
        self.0.name()
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.0
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({})", self.name())
    }
}
