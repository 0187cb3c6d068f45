//! The DAS training engine: a small tape of coarse, fused operations with explicit backward
//! passes, the optimizer and schedules that go with them, and the kernels underneath.
//!
//! * [`Device`] is chosen at run time and owns every buffer; [`Tensor`] is a row-major `f32`
//!   matrix on a device.
//! * [`Params`] holds the named parameters of a model; [`Tape`] records one step over them and
//!   [`Tape::backward`] returns [`Gradients`], which [`AdamW`] applies. [`Tape::inference`] runs
//!   the same operations and records nothing.
//! * The operations are methods of [`Tape`]: layers (`linear` with its activation, `layer_norm`,
//!   `cross`, `attention`, `dropout`, `residual_quantize`), rows and columns (`gather`,
//!   `gather_bag`, `select_rows`, `mean_runs`, `columns`, `concat`), arithmetic (`add`, `multiply`,
//!   `normalize`, `scores`, `log_probabilities`) and losses (`info_nce`, `softmax_ce`, `bce_with_logits`, `mse`,
//!   `squared_cosine`, `weighted_sum`).
//! * [`kernels`] offers the parallel slice kernels (products, nearest codes, k-means) to code
//!   that needs no tape.
//! * [`safetensors_io`] reads and writes tensors.
//!
//! **Determinism.** Work is cut into blocks of fixed size and partial results are added in a
//! fixed order, so every result is bit-identical for any number of threads on one machine.
//! Another instruction set may round differently.
//!
//! **Panics.** Shapes are the programmer's contract: operations panic on mismatched shapes, on
//! matrices of width 0 and on row indices out of range. Everything that can come from a file is a [`Result`] instead.
//!
//! ```
//! use das_nn::{Activation, AdamW, AdamWConfig, Device, ParamKind, Params, Tape};
//!
//! # fn main() -> das_nn::Result<()> {
//! let mut params = Params::new(&Device::cpu());
//! let w = params.add("w", ParamKind::Dense, 1, 2, &[0.0, 0.0])?;
//! let b = params.add("b", ParamKind::Dense, 1, 1, &[0.0])?;
//! let mut optimizer = AdamW::new(&params, AdamWConfig { weight_decay: 0.0, ..Default::default() });
//! let mut last = f32::INFINITY;
//! for _ in 0..300 {
//!     let mut tape = Tape::new(&params);
//!     let x = tape.input_slice(3, 2, &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
//!     let target = tape.input_slice(3, 1, &[2.0, -1.0, 1.0]);
//!     let y = tape.linear(x, w, b, Activation::Identity);
//!     let loss = tape.mse(y, target, 1.0 / 3.0);
//!     last = tape.scalar(loss);
//!     let gradients = tape.backward(loss);
//!     optimizer.step(&mut params, &gradients, 0.05, 0.05);
//! }
//! assert!(last < 1e-3);
//! # Ok(())
//! # }
//! ```

mod codes;
mod device;
mod error;
mod gradients;
pub mod kernels;
mod ops;
mod optim;
mod pair_mask;
mod params;
mod row_groups;
pub mod safetensors_io;
mod tape;
mod tensor;

pub use codes::Codes;
pub use device::{Device, Precision};
pub use error::{Error, Result};
pub use gradients::Gradients;
pub use kernels::Activation;
pub use ops::{
    Among, Attention, Candidates, Direction, InfoNce, QuantizeOptions, Quantized, SoftmaxCe,
};
pub use optim::{AdamW, AdamWConfig, Schedule, TableUpdate};
pub use pair_mask::PairMask;
pub use params::{ParamId, ParamKind, Params};
pub use tape::{Tape, Var};
pub use tensor::Tensor;
