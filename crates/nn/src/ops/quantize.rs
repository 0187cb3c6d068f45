//! Residual quantizer (Lee et al., 2022, section 3.1) with the straight-through estimator.

use std::sync::Arc;

use crate::codes::Codes;
use crate::kernels::backend::QuantizeBackward;
use crate::params::ParamId;
use crate::row_groups::RowGroups;
use crate::tape::{Backward, Gradient, Op, Tape, Var};
use crate::tensor::Tensor;

/// Options of [`Tape::residual_quantize`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct QuantizeOptions {
    /// Weight μ of the commitment term, 0.25 in VQ-VAE.
    pub commitment_weight: f32,
    /// Multiplies every squared norm of the loss: `1/n`, `1/(n d)` or `1/(n d L)`.
    pub scale: f32,
    /// Whether the gradient that arrives at `through` also goes to the code chosen on each
    /// level. The encoder receives it either way.
    pub straight_to_codes: bool,
}

/// The result of [`Tape::residual_quantize`].
#[derive(Clone, Debug)]
pub struct Quantized {
    /// `z + sg(Σe - z)`, `[n, d]`: the sum of the chosen codes, with the gradient of `z`.
    pub through: Var,
    /// `scale · Σ_l (‖sg(r_l) - e_l‖² + μ ‖r_l - sg(e_l)‖²)`.
    pub loss: Var,
    /// The chosen codes, `[n, L]`.
    pub codes: Codes,
}

impl Tape<'_> {
    /// Quantizes each row of `z` `[n, d]` with one codebook `[K_l, d]` a level: `r_0 = z`,
    /// `c_l = argmin_k ‖r_l - e_k‖²` (the lowest index wins ties), `r_{l+1} = r_l - sg(e_{c_l})`.
    ///
    /// # Panics
    /// If there is no codebook, one is empty, or one has another width than `z`.
    pub fn residual_quantize(
        &mut self,
        z: Var,
        books: &[ParamId],
        o: &QuantizeOptions,
    ) -> Quantized {
        let (n, d) = self.shape(z);
        assert!(!books.is_empty(), "at least one codebook");
        let tables: Vec<&Tensor> = books.iter().map(|&id| self.params().get(id)).collect();
        for (table, &id) in tables.iter().zip(books) {
            let name = self.params().name(id);
            assert!(table.rows() > 0 && table.cols() == d, "`{name}` has codes of width {d}");
        }
        let mut through = Tensor::unspecified(self.device(), n, d);
        let mut loss = Tensor::unspecified(self.device(), 1, 1);
        let scale = o.scale * (1.0 + o.commitment_weight);
        let backend = self.device().backend();
        let codes =
            backend.quantize_forward(self.value(z), &tables, scale, &mut through, &mut loss);
        let codes = Codes::new(self.device(), codes);
        let choice = Arc::new(Choice { z, books: books.to_vec(), codes: codes.clone() });
        let tracked = self.tracked(z) || o.straight_to_codes;
        let straight = Straight { choice: Arc::clone(&choice), to_codes: o.straight_to_codes };
        let through = self.push(through, tracked.then(|| Box::new(straight) as _));
        let loss = self.push_loss(loss, Some(Box::new(QuantizeLoss { choice, options: *o })));
        Quantized { through, loss, codes }
    }
}

struct Choice {
    z: Var,
    books: Vec<ParamId>,
    codes: Codes,
}

/// The quantized value: its gradient passes straight to `z`.
struct Straight {
    choice: Arc<Choice>,
    to_codes: bool,
}

impl Op for Straight {
    fn backward(self: Box<Self>, _value: &Tensor, grad: Gradient, cx: &mut Backward<'_>) {
        let grad = grad.matrix();
        let Choice { z, books, codes } = &*self.choice;
        if self.to_codes {
            let codes = codes.to_vec();
            for (level, &book) in books.iter().enumerate() {
                let rows: Vec<u32> =
                    codes.iter().skip(level).step_by(books.len()).copied().collect();
                cx.add_param_rows(book, RowGroups::new(&rows), grad.clone());
            }
        }
        cx.add(*z, grad);
    }
}

struct QuantizeLoss {
    choice: Arc<Choice>,
    options: QuantizeOptions,
}

impl Op for QuantizeLoss {
    fn backward(self: Box<Self>, _value: &Tensor, grad: Gradient, cx: &mut Backward<'_>) {
        let Choice { z, books, codes } = &*self.choice;
        let tables: Vec<&Tensor> = books.iter().map(|&id| cx.params().get(id)).collect();
        let mut dz = cx.room_for(*z);
        let mut dbooks: Vec<Tensor> =
            tables.iter().map(|t| Tensor::zeros(cx.device(), t.rows(), t.cols())).collect();
        cx.device().backend().quantize_backward(QuantizeBackward {
            z: cx.value(*z),
            books: &tables,
            codes: codes.buffer(),
            factor: grad.loss() * self.options.scale,
            commitment_weight: self.options.commitment_weight,
            dz: dz.as_mut(),
            dbooks: &mut dbooks,
        });
        for (&book, dbook) in books.iter().zip(dbooks) {
            cx.add_param(book, dbook);
        }
        if let Some(dz) = dz {
            cx.add(*z, dz);
        }
    }
}
