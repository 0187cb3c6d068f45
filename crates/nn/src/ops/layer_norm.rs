//! Layer normalisation.

use crate::kernels::backend::LayerNormBackward;
use crate::params::ParamId;
use crate::tape::{Backward, Gradient, Op, Tape, Var};
use crate::tensor::Tensor;

impl Tape<'_> {
    /// What PyTorch's `nn.LayerNorm` adds to the variance by default.
    pub const LAYER_NORM_EPS: f32 = 1e-5;

    /// Layer normalisation (Ba et al., 2016) by row: `y = (x - μ) / √(σ² + eps) ⊙ gain + bias`
    /// with the row's mean `μ` and biased variance `σ²`, as PyTorch's `nn.LayerNorm`; `gain` and
    /// `bias` are `[1, d]`. PyTorch's default for `eps` is [`Tape::LAYER_NORM_EPS`].
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn layer_norm(&mut self, x: Var, gain: ParamId, bias: ParamId, eps: f32) -> Var {
        let (n, d) = self.shape(x);
        for id in [gain, bias] {
            let name = self.params().name(id);
            assert_eq!(self.params().get(id).shape(), (1, d), "shape of `{name}`");
        }
        let mut y = Tensor::unspecified(self.device(), n, d);
        let mut moments = Tensor::unspecified(self.device(), n, 2);
        let (g, b) = (self.params().get(gain), self.params().get(bias));
        self.device().backend().layer_norm_forward(self.value(x), g, b, eps, &mut y, &mut moments);
        self.push(y, Some(Box::new(LayerNorm { x, gain, bias, moments })))
    }
}

struct LayerNorm {
    x: Var,
    gain: ParamId,
    bias: ParamId,
    /// `μ` and `1 / √(σ² + ε)` of each row.
    moments: Tensor,
}

impl Op for LayerNorm {
    /// With `x̂` the normalised row and `g = dy ⊙ gain`: `dgain = Σ dy ⊙ x̂`, `dbias = Σ dy` and
    /// `dx = (g - mean(g) - x̂ mean(g ⊙ x̂)) / √(σ² + ε)`.
    fn backward(self: Box<Self>, _value: &Tensor, grad: Gradient, cx: &mut Backward<'_>) {
        let d = cx.value(self.x).cols();
        let mut dx = cx.room_for(self.x);
        let mut dgain = Tensor::unspecified(cx.device(), 1, d);
        let mut dbias = Tensor::unspecified(cx.device(), 1, d);
        cx.device().backend().layer_norm_backward(LayerNormBackward {
            x: cx.value(self.x),
            gain: cx.params().get(self.gain),
            moments: &self.moments,
            dy: &grad.matrix(),
            dx: dx.as_mut(),
            dgain: &mut dgain,
            dbias: &mut dbias,
        });
        cx.add_param(self.gain, dgain);
        cx.add_param(self.bias, dbias);
        if let Some(dx) = dx {
            cx.add(self.x, dx);
        }
    }
}
