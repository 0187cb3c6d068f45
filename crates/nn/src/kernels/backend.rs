//! The seam between operations and devices.

use std::any::Any;

use crate::ops::{Among, Attention, Candidates, InfoNce, SoftmaxCe};
use crate::row_groups::RowGroups;
use crate::tensor::Tensor;

/// Device memory, opaque to everything but the backend that allocated it.
pub(crate) type Buffer = Box<dyn Any + Send + Sync>;

/// The activation at the end of a linear layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Activation {
    /// `y = x`.
    #[default]
    Identity,
    /// `y = max(x, 0)`; its derivative at 0 is 0.
    Relu,
    /// `y = x Φ(x)` with the normal distribution's `Φ` (Hendrycks & Gimpel, 2016), as PyTorch's
    /// `gelu`.
    Gelu,
    /// The same in its tanh form, `x σ(√(8/π) (x + 0.044715 x³))`, as PyTorch's
    /// `gelu(approximate="tanh")`.
    GeluTanh,
}

impl Activation {
    /// Whether the derivative is a function of the activation's input rather than its value.
    pub(crate) fn needs_input(self) -> bool {
        matches!(self, Self::Gelu | Self::GeluTanh)
    }
}

/// Operands of [`Backend::linear_backward`].
pub(crate) struct LinearBackward<'a> {
    pub(crate) x: &'a Tensor,
    pub(crate) w: &'a Tensor,
    /// The activation's input if its derivative needs that, or else its value.
    pub(crate) activated: &'a Tensor,
    pub(crate) activation: Activation,
    /// The output's gradient; multiplied by the activation's derivative in place.
    pub(crate) dy: &'a mut Tensor,
    pub(crate) dx: Option<&'a mut Tensor>,
    pub(crate) dw: &'a mut Tensor,
    pub(crate) db: &'a mut Tensor,
}

/// Operands of [`Backend::quantize_backward`]. With `r_l` the residual left by level `l`, `g` the
/// factor and `μ` the commitment weight, `dz = 2gμ Σ r_l`, and each code adds up `-2g r_l` over
/// the rows that chose it.
pub(crate) struct QuantizeBackward<'a> {
    pub(crate) z: &'a Tensor,
    pub(crate) books: &'a [&'a Tensor],
    /// Those of [`Backend::quantize_forward`].
    pub(crate) codes: &'a Buffer,
    /// The loss's gradient times its scale.
    pub(crate) factor: f32,
    pub(crate) commitment_weight: f32,
    pub(crate) dz: Option<&'a mut Tensor>,
    /// Zero on entry.
    pub(crate) dbooks: &'a mut [Tensor],
}

/// Operands of [`Backend::info_nce`]: gradients of the loss are written where asked for.
pub(crate) struct InfoNceForward<'a> {
    pub(crate) a: &'a Tensor,
    pub(crate) b: &'a Tensor,
    pub(crate) options: &'a InfoNce<'a>,
    pub(crate) loss: &'a mut Tensor,
    pub(crate) da: Option<&'a mut Tensor>,
    pub(crate) db: Option<&'a mut Tensor>,
}

/// A factor of [`Backend::product`].
#[derive(Clone, Copy)]
pub(crate) enum Factor<'a> {
    Plain(&'a Tensor),
    Transposed(&'a Tensor),
}

/// Operands of [`Backend::layer_norm_backward`].
pub(crate) struct LayerNormBackward<'a> {
    pub(crate) x: &'a Tensor,
    pub(crate) gain: &'a Tensor,
    /// Mean and inverse deviation of each row, from the forward pass.
    pub(crate) moments: &'a Tensor,
    pub(crate) dy: &'a Tensor,
    pub(crate) dx: Option<&'a mut Tensor>,
    pub(crate) dgain: &'a mut Tensor,
    pub(crate) dbias: &'a mut Tensor,
}

/// Which values dropout keeps: a function of the key and a value's position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DropoutMask {
    pub(crate) key: u64,
    /// The share that becomes 0, below 1.
    pub(crate) rate: f32,
}

/// Operands of [`Backend::attention_forward`].
pub(crate) struct AttentionForward<'a> {
    pub(crate) q: &'a Tensor,
    pub(crate) k: &'a Tensor,
    pub(crate) v: &'a Tensor,
    pub(crate) options: &'a Attention<'a>,
    pub(crate) y: &'a mut Tensor,
    /// Where to keep the probabilities for a backward pass: by sequence, head, query and key.
    pub(crate) probabilities: Option<&'a mut Tensor>,
}

/// Operands of [`Backend::attention_backward`].
pub(crate) struct AttentionBackward<'a> {
    pub(crate) q: &'a Tensor,
    pub(crate) k: &'a Tensor,
    pub(crate) v: &'a Tensor,
    pub(crate) options: &'a Attention<'a>,
    pub(crate) probabilities: &'a Tensor,
    pub(crate) dy: &'a Tensor,
    pub(crate) dq: &'a mut Tensor,
    pub(crate) dk: &'a mut Tensor,
    pub(crate) dv: &'a mut Tensor,
}

/// Operands of [`Backend::softmax_ce`]: gradients of the loss are written where asked for.
pub(crate) struct SoftmaxCeForward<'a> {
    pub(crate) x: &'a Tensor,
    pub(crate) catalogue: &'a Tensor,
    pub(crate) targets: &'a [u32],
    pub(crate) options: &'a SoftmaxCe<'a>,
    pub(crate) loss: &'a mut Tensor,
    pub(crate) dx: Option<&'a mut Tensor>,
    pub(crate) dcatalogue: Option<&'a mut Tensor>,
}

/// Operands of [`Backend::log_probabilities`].
pub(crate) struct LogProbabilities<'a> {
    pub(crate) x: &'a Tensor,
    pub(crate) catalogue: &'a Tensor,
    pub(crate) candidates: &'a Candidates<'a>,
    pub(crate) among: Among,
    pub(crate) out: &'a mut Tensor,
}

/// Operands of [`Backend::bce_with_logits`]: the gradient is written where asked for.
pub(crate) struct BceForward<'a> {
    pub(crate) logits: &'a Tensor,
    pub(crate) labels: &'a [f32],
    pub(crate) row_weights: Option<&'a [f32]>,
    pub(crate) loss: &'a mut Tensor,
    pub(crate) gradient: Option<&'a mut Tensor>,
}

/// One AdamW update, with the bias corrections already worked out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamWUpdate {
    pub(crate) beta1: f32,
    pub(crate) beta2: f32,
    pub(crate) eps: f32,
    /// `1 - lr * weight_decay`.
    pub(crate) decay: f32,
    /// `lr / (1 - beta1^t)`.
    pub(crate) step_size: f32,
    /// `sqrt(1 - beta2^t)`.
    pub(crate) root_correction: f32,
}

/// A parameter with its two moments.
pub(crate) struct Moments<'a> {
    pub(crate) value: &'a mut Tensor,
    pub(crate) first: &'a mut Tensor,
    pub(crate) second: &'a mut Tensor,
}

/// What a device does. Shapes are checked by the operations that call; an implementation may
/// panic on tensors of another device. Results must not depend on how work is scheduled.
pub(crate) trait Backend: Send + Sync {
    fn name(&self) -> &'static str;

    /// A buffer of at least `len` values with unspecified contents, reused where possible.
    fn allocate(&self, len: usize) -> Buffer;
    /// Takes a buffer back for reuse.
    fn release(&self, buffer: Buffer);
    /// Host to device, from flat position `at` of `dst`.
    fn write(&self, dst: &mut Tensor, at: usize, values: &[f32]);
    /// Device to host, from flat position `at` of `src`.
    fn read(&self, src: &Tensor, at: usize, out: &mut [f32]);

    fn fill(&self, dst: &mut Tensor, value: f32);
    fn copy(&self, src: &Tensor, dst: &mut Tensor);
    /// `dst += src`.
    fn add(&self, src: &Tensor, dst: &mut Tensor);
    /// `dst = a + b`.
    fn sum(&self, a: &Tensor, b: &Tensor, dst: &mut Tensor);
    /// `dst = a ⊙ b`.
    fn multiply(&self, a: &Tensor, b: &Tensor, dst: &mut Tensor);
    /// `dst = a ⊙ b + c`.
    fn multiply_add(&self, a: &Tensor, b: &Tensor, c: &Tensor, dst: &mut Tensor);
    /// `dst *= factor`.
    fn scale(&self, dst: &mut Tensor, factor: f32);
    /// `dst = factor (a - b)`.
    fn difference(&self, a: &Tensor, b: &Tensor, factor: f32, dst: &mut Tensor);
    /// `Σ x²`, in double precision.
    fn square_sum(&self, x: &Tensor) -> f64;
    /// `dst = scale Σ (a - b)²`, one value.
    fn squared_distance(&self, a: &Tensor, b: &Tensor, scale: f32, dst: &mut Tensor);
    /// `dst = Σ factor · value` over one-value tensors.
    fn weighted_sum(&self, parts: &[(&Tensor, f32)], dst: &mut Tensor);

    /// `dst[i] = src[rows[i]]`.
    fn gather_rows(&self, src: &Tensor, rows: &[u32], dst: &mut Tensor);
    /// `dst[i] = Σ src[row]` over the `i`-th `bag` of rows.
    fn gather_bags(&self, src: &Tensor, rows: &[u32], bag: usize, dst: &mut Tensor);
    /// `dst[target] += Σ src[member]` for every group; other rows stay.
    fn add_rows(&self, src: &Tensor, groups: &RowGroups, dst: &mut Tensor);
    /// `dst[i]` becomes the mean of the rows `offsets[i]..offsets[i + 1]` of `src`, zeros for none.
    fn mean_runs(&self, src: &Tensor, offsets: &[u32], dst: &mut Tensor);
    /// The rows `offsets[i]..offsets[i + 1]` of `dst` become `src[i]` over their number.
    fn share_runs(&self, src: &Tensor, offsets: &[u32], dst: &mut Tensor);
    /// Copies all of `src` to the columns of `dst` that start at `at`.
    fn put_columns(&self, src: &Tensor, dst: &mut Tensor, at: usize);
    /// Adds all of `src` to the columns of `dst` that start at `at`.
    fn add_columns(&self, src: &Tensor, dst: &mut Tensor, at: usize);
    /// Copies the columns of `src` that start at `at` to all of `dst`.
    fn take_columns(&self, src: &Tensor, at: usize, dst: &mut Tensor);

    /// `dst = a b`.
    fn product(&self, a: Factor<'_>, b: Factor<'_>, dst: &mut Tensor);
    /// `y = act(x)`.
    fn activate(&self, x: &Tensor, activation: Activation, y: &mut Tensor);
    /// `y = act(x wᵀ + b)`.
    fn linear_forward(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        activation: Activation,
        y: &mut Tensor,
    );
    fn linear_backward(&self, args: LinearBackward<'_>);

    /// `y = x / max(‖x‖, ε)` by row; `norms` keeps the clamped norms.
    fn normalize_forward(&self, x: &Tensor, y: &mut Tensor, norms: &mut Tensor);
    /// Replaces the gradient of `y` by that of `x`.
    fn normalize_backward(&self, y: &Tensor, norms: &Tensor, grad: &mut Tensor);

    /// `y = (x - μ) / √(σ² + ε) ⊙ gain + bias` by row; `moments` keeps `μ` and `1 / √(σ² + ε)`.
    fn layer_norm_forward(
        &self,
        x: &Tensor,
        gain: &Tensor,
        bias: &Tensor,
        eps: f32,
        y: &mut Tensor,
        moments: &mut Tensor,
    );
    fn layer_norm_backward(&self, args: LayerNormBackward<'_>);

    /// Zeros where the mask drops, `src / (1 - rate)` elsewhere.
    fn dropout(&self, src: &Tensor, mask: &DropoutMask, dst: &mut Tensor);

    fn attention_forward(&self, args: AttentionForward<'_>);
    fn attention_backward(&self, args: AttentionBackward<'_>);

    /// Chooses codes, writes `z + (Σe - z)` to `through` and `scale Σ_l ‖r_l‖²` to `loss`;
    /// returns a buffer of the codes, `[n, levels]`, which stays on the device.
    fn quantize_forward(
        &self,
        z: &Tensor,
        books: &[&Tensor],
        scale: f32,
        through: &mut Tensor,
        loss: &mut Tensor,
    ) -> Buffer;
    /// Device to host: the codes in a buffer of [`Backend::quantize_forward`].
    fn read_codes(&self, codes: &Buffer) -> Vec<u32>;
    fn quantize_backward(&self, args: QuantizeBackward<'_>);

    fn info_nce(&self, args: InfoNceForward<'_>);
    fn softmax_ce(&self, args: SoftmaxCeForward<'_>);
    fn log_probabilities(&self, args: LogProbabilities<'_>);
    fn bce_with_logits(&self, args: BceForward<'_>);

    /// Mean over rows of `cos(a, b)²`, with its gradients where asked for.
    fn squared_cosine(
        &self,
        a: &Tensor,
        b: &Tensor,
        loss: &mut Tensor,
        da: Option<&mut Tensor>,
        db: Option<&mut Tensor>,
    );

    /// Updates every value.
    fn adamw_dense(&self, moments: Moments<'_>, grad: &Tensor, update: &AdamWUpdate);
    /// Updates the rows listed, ascending, whose gradients are the rows of `grad`.
    fn adamw_rows(&self, moments: Moments<'_>, rows: &[u32], grad: &Tensor, update: &AdamWUpdate);
    /// Updates every row, with a zero gradient for the rows not listed. Rows not `active` have
    /// zero moments and only decay; those listed become active.
    fn adamw_table(
        &self,
        moments: Moments<'_>,
        rows: &[u32],
        grad: &Tensor,
        active: &mut [bool],
        update: &AdamWUpdate,
    );
}
