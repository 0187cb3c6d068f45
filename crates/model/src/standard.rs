//! Content as the networks meet it: centred, and of one scale.
//!
//! Published embedding models leave all texts in a narrow cone (the mean of MiniLM's unit vectors
//! has length .63 on Amazon Beauty), and vectors that a user brings may have any length. So every
//! view is moved to mean 0 and scaled until the squares of a vector's values add up to its width,
//! on average, shared out evenly over its views (ours). Mean and scale are constants of the data;
//! the published encoder and decoder have them in their first and their last layer.

use std::borrow::Cow;

use das_core::{RowMatrix, Views};

use crate::Result;
use crate::codebooks::TensorMap;

/// Rows read at a time.
const CHUNK_ROWS: usize = 4096;
/// Views whose variance is less than this share of their mean square are constant but for rounding.
const LEAST_VARIANCE: f64 = 1e-10;

/// x ↦ (x − m) · s.
#[derive(Clone, Debug, PartialEq)]
pub struct Standard {
    views: Views,
    moments: Option<Moments>,
}

/// m and s of every value.
#[derive(Clone, Debug, PartialEq)]
struct Moments {
    mean: Vec<f32>,
    scale: Vec<f32>,
}

impl Standard {
    /// Content as it is.
    pub fn none(views: Views) -> Standard {
        Standard { views, moments: None }
    }

    /// That of `content`, over the rows that have a view at all.
    ///
    /// # Errors
    /// If rows cannot be read.
    pub fn of(content: &dyn RowMatrix) -> Result<Standard> {
        let views = content.views();
        let mut sums = vec![Sums::default(); views.dim()];
        for start in (0..content.rows()).step_by(CHUNK_ROWS) {
            let rows = start..content.rows().min(start + CHUNK_ROWS);
            content.enter(rows.clone())?;
            for row in rows.clone().map(|row| content.row(row)) {
                for span in views.spans().filter(|span| views.is_present(&row[span.clone()])) {
                    sums[span.clone()].iter_mut().zip(&row[span]).for_each(|(sum, &x)| sum.add(x));
                }
            }
            content.leave(rows);
        }
        let share = views.dim() as f64 / views.count() as f64;
        let mut scale = Vec::with_capacity(views.dim());
        for span in views.spans() {
            let variance: f64 = sums[span.clone()].iter().map(Sums::variance).sum();
            let square: f64 = sums[span.clone()].iter().map(Sums::mean_square).sum();
            let varies = variance > square * LEAST_VARIANCE;
            let factor = if varies { (share / variance).sqrt() } else { 1.0 };
            scale.extend(std::iter::repeat_n(factor as f32, span.len()));
        }
        let mean = sums.iter().map(|sum| sum.mean() as f32).collect();
        Ok(Standard { views, moments: Some(Moments { mean, scale }) })
    }

    /// What content consists of.
    pub(crate) fn views(&self) -> &Views {
        &self.views
    }

    /// The factor that makes a sum of squared errors what it would be on vectors of length 1.
    pub(crate) fn unit(&self) -> f32 {
        self.moments.as_ref().map_or(1.0, |_| 1.0 / self.views.dim() as f32)
    }

    /// `rows` `[n, dim]` as the networks meet them.
    pub(crate) fn apply<'a>(&self, rows: &'a [f32]) -> Cow<'a, [f32]> {
        let Some(Moments { mean, scale }) = &self.moments else { return Cow::Borrowed(rows) };
        let mut met = Vec::with_capacity(rows.len());
        for row in rows.chunks_exact(mean.len()) {
            met.extend(row.iter().zip(mean.iter().zip(scale)).map(|(x, (m, s))| (x - m) * s));
        }
        Cow::Owned(met)
    }

    /// Takes it into the first layer of the encoder and the last one of the decoder, which then
    /// work on content as it is: W (x − m) s + b = (W s) x + (b − W s m), and x̂ = x̂′ / s + m.
    pub(crate) fn fold(&self, tensors: &mut TensorMap, encoder: &str, decoder: &str) {
        let Some(Moments { mean, scale }) = &self.moments else { return };
        edit_layer(tensors, &format!("{encoder}.0"), |weight, bias| {
            for (row, bias) in weight.chunks_exact_mut(mean.len()).zip(bias) {
                row.iter_mut().zip(scale).for_each(|(w, s)| *w *= s);
                let moved: f64 =
                    row.iter().zip(mean).map(|(&w, &m)| f64::from(w) * f64::from(m)).sum();
                *bias -= moved as f32;
            }
        });
        let has = |at: &usize| tensors.contains_key(&format!("{decoder}.{at}.weight"));
        let Some(last) = (0..).take_while(has).last() else { return };
        edit_layer(tensors, &format!("{decoder}.{last}"), |weight, bias| {
            let width = weight.len() / bias.len();
            let rows = weight.chunks_exact_mut(width).zip(bias);
            for ((row, bias), (m, s)) in rows.zip(mean.iter().zip(scale)) {
                row.iter_mut().for_each(|w| *w /= s);
                *bias = *bias / s + m;
            }
        });
    }
}

/// Changes weight and bias of a layer that is there.
fn edit_layer(tensors: &mut TensorMap, layer: &str, edit: impl FnOnce(&mut [f32], &mut [f32])) {
    let names = ["weight", "bias"].map(|what| format!("{layer}.{what}"));
    let [weight, bias] = names.each_ref().map(|name| tensors.remove(name));
    if let (Some((weight_shape, mut weight)), Some((bias_shape, mut bias))) = (weight, bias) {
        edit(&mut weight, &mut bias);
        let [weight_name, bias_name] = names;
        tensors.insert(weight_name, (weight_shape, weight));
        tensors.insert(bias_name, (bias_shape, bias));
    }
}

/// Sums of one value over rows, about the first one, which keeps them from cancelling.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    count: f64,
    first: f64,
    sum: f64,
    squares: f64,
}

impl Sums {
    fn add(&mut self, x: f32) {
        let x = f64::from(x);
        if self.count == 0.0 {
            self.first = x;
        }
        self.count += 1.0;
        self.sum += x - self.first;
        self.squares += (x - self.first).powi(2);
    }

    fn mean(&self) -> f64 {
        self.first + self.sum / self.count.max(1.0)
    }

    fn variance(&self) -> f64 {
        let count = self.count.max(1.0);
        (self.squares / count - (self.sum / count).powi(2)).max(0.0)
    }

    fn mean_square(&self) -> f64 {
        self.variance() + self.mean().powi(2)
    }
}

#[cfg(test)]
mod tests {
    use das_core::streams::stream;
    use das_core::{DenseMatrix, Side, ViewedMatrix};
    use das_nn::{Device, ParamKind, Params, Tape};

    use super::*;
    use crate::SideEncoder;
    use crate::config::Fusion;
    use crate::fusion::Encoder;
    use crate::layers::Mlp;

    /// Two views of widths 2 and 1; the last row lacks the second.
    const ROWS: [f32; 12] = [3.0, 4.0, 10.0, 5.0, 4.0, 14.0, 1.0, 4.0, 12.0, 3.0, 8.0, 0.0];

    fn content() -> ViewedMatrix {
        let matrix = DenseMatrix::new(3, ROWS.to_vec()).unwrap();
        ViewedMatrix::new(Box::new(matrix), Views::new(vec![2, 1]).unwrap()).unwrap()
    }

    #[test]
    fn each_view_has_mean_0_and_its_share_of_the_squares() {
        let standard = Standard::of(&content()).unwrap();
        let rows = standard.apply(&ROWS);
        let column = |at: usize| rows.iter().skip(at).step_by(3).copied().collect::<Vec<f32>>();
        let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
        let square =
            |values: &[f32]| values.iter().map(|x| x * x).sum::<f32>() / values.len() as f32;
        let there = &column(2)[..3];
        for values in [&column(0)[..], &column(1), there] {
            assert!(mean(values).abs() < 1e-6, "{values:?}");
        }
        assert!((square(&column(0)) + square(&column(1)) - 1.5).abs() < 1e-5);
        assert!((square(there) - 1.5).abs() < 1e-5);
        assert!((standard.unit() - 1.0 / 3.0).abs() < 1e-7);
        // Within a view proportions stay: the columns of the first keep their ratio of variances.
        assert!((square(&column(0)) / square(&column(1)) - 2.0 / 3.0).abs() < 1e-5);
    }

    #[test]
    fn moving_and_scaling_content_changes_nothing() {
        let single = DenseMatrix::new(3, ROWS.to_vec()).unwrap();
        let other: Vec<f32> = ROWS
            .chunks_exact(3)
            .flat_map(|x| [5.0 * x[0] - 7.0, 5.0 * x[1] + 1.0, 5.0 * x[2]])
            .collect();
        let moved = DenseMatrix::new(3, other.clone()).unwrap();
        let of = |matrix: &DenseMatrix, rows: &[f32]| {
            Standard::of(matrix).unwrap().apply(rows).into_owned()
        };
        for (a, b) in of(&single, &ROWS).iter().zip(of(&moved, &other)) {
            assert!((a - b).abs() < 1e-5, "{a} and {b}");
        }
    }

    #[test]
    fn content_without_variance_is_centred_alone() {
        let matrix = DenseMatrix::new(2, [0.1, 0.7].repeat(1000)).unwrap();
        let rows = Standard::of(&matrix).unwrap().apply(&[0.1, 0.7, 0.2, 0.7]);
        for (found, expected) in rows.iter().zip([0.0, 0.0, 0.1, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{rows:?}");
        }
    }

    #[test]
    fn what_is_published_works_on_content_as_it_is() {
        for (fusion, hidden) in
            [(Fusion::Sum, &[4][..]), (Fusion::Concat, &[4]), (Fusion::Sum, &[])]
        {
            let standard = Standard::of(&content()).unwrap();
            let mut params = Params::new(&Device::cpu());
            let mut rng = stream(1, "test", 0);
            let widths = [hidden, &[2]].concat();
            let encoder = Encoder::new(
                &mut params,
                "item.encoder",
                &standard.views,
                fusion,
                &widths,
                &mut rng,
            )
            .unwrap();
            let back = [&[2], hidden, &[3]].concat();
            let decoder = Mlp::new(&mut params, "item.decoder", &back, &mut rng).unwrap();
            params.add("item.codebook.0", ParamKind::Dense, 2, 2, &[0.1; 4]).unwrap();
            let mut tape = Tape::new(&params);
            let x = tape.input_slice(4, 3, &standard.apply(&ROWS));
            let z = encoder.forward(&mut tape, x);
            let made = decoder.forward(&mut tape, z);
            let (z, made) = (tape.value(z).to_vec(), tape.value(made).to_vec());

            let published = SideEncoder::standardized(&params, Side::Item, &standard).unwrap();
            for (a, b) in z.iter().zip(published.latents(&ROWS)) {
                assert!((a - b).abs() < 1e-4, "{fusion:?}: {a} and {b}");
            }
            for (a, b) in made.iter().zip(standard.apply(&published.decode(&z)).iter()) {
                assert!((a - b).abs() < 1e-4, "{fusion:?}: {a} and {b}");
            }
        }
    }
}
