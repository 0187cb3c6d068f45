//! The device that a model lives on.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::kernels::backend::Backend;
use crate::kernels::cpu::{Cpu, bf16};

/// Where tensors live and kernels run, chosen at run time. Clones are cheap and share one pool of
/// buffers, which steps reuse so that training allocates nothing after its first step.
#[derive(Clone)]
pub struct Device(Arc<dyn Backend>);

/// In which precision linear layers and contrasts ([`Tape::info_nce`](crate::Tape::info_nce))
/// multiply, forward and backward. Everything else is single precision: parameters, activations,
/// sums, losses, the nearest codes and the optimizer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Factors are rounded to bfloat16, which has 8 significant bits: an error of at most 2⁻⁸ of
    /// each value. Products are added up in single precision. Twice as fast on a processor with
    /// instructions for it ([`Precision::is_native`]), and slower than `F32` without.
    Bf16,
}

impl Precision {
    /// Whether this processor has instructions for it.
    pub fn is_native(self) -> bool {
        match self {
            Self::F32 => true,
            Self::Bf16 => bf16::is_native(),
        }
    }
}

impl Device {
    /// The host's processor in single precision; kernels run on the current rayon thread pool.
    pub fn cpu() -> Self {
        Self::cpu_with(Precision::F32)
    }

    /// The host's processor, whose linear layers and contrasts multiply in the given precision.
    pub fn cpu_with(precision: Precision) -> Self {
        Self(Arc::new(Cpu::new(precision)))
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
