//! The networks once more, one history at a time in double precision, from stored tensors.

use std::collections::HashMap;

use das_nn::safetensors_io;

/// Rows of numbers.
pub(crate) type Rows = Vec<Vec<f64>>;

/// The tensors of a stored model by name, as rows.
pub(crate) struct Weights(HashMap<String, Rows>);

impl Weights {
    pub(crate) fn of(bytes: &[u8]) -> Weights {
        let file = safetensors_io::from_bytes(bytes).unwrap();
        let rows = |tensor: safetensors_io::NamedTensor| {
            let values = tensor.data.as_f32().unwrap();
            let rows = values.chunks_exact(tensor.shape[1]);
            (tensor.name, rows.map(|row| row.iter().map(|&v| f64::from(v)).collect()).collect())
        };
        Weights(file.tensors.into_iter().map(rows).collect())
    }

    pub(crate) fn get(&self, name: &str) -> &Rows {
        &self.0[name]
    }

    pub(crate) fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let bias = &self.get(&format!("{name}.bias"))[0];
        let weight = self.get(&format!("{name}.weight"));
        weight.iter().zip(bias).map(|(row, bias)| dot(row, x) + bias).collect()
    }

    pub(crate) fn norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let count = x.len() as f64;
        let mean = x.iter().sum::<f64>() / count;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
        let (gain, bias) = (self.get(&format!("{name}.gain")), self.get(&format!("{name}.bias")));
        x.iter()
            .zip(gain[0].iter().zip(&bias[0]))
            .map(|(v, (gain, bias))| (v - mean) / (variance + 1e-5).sqrt() * gain + bias)
            .collect()
    }

    pub(crate) fn feed_forward(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let normed = self.norm(&format!("{name}.norm"), x);
        let hidden = self.linear(&format!("{name}.rise"), &normed);
        let hidden: Vec<f64> = hidden.into_iter().map(gelu).collect();
        add(x, &self.linear(&format!("{name}.fall"), &hidden))
    }

    /// The state after the last of the rows `x`.
    pub(crate) fn transformer(&self, mut x: Rows, layers: usize, heads: usize) -> Vec<f64> {
        for layer in 0..layers {
            let name = |part: &str| format!("transformer.{layer}.{part}");
            let normed: Rows = x.iter().map(|row| self.norm(&name("norm"), row)).collect();
            let all = |part: &str| -> Rows {
                normed.iter().map(|row| self.linear(&name(part), row)).collect()
            };
            let (queries, keys, values) = (all("query"), all("key"), all("value"));
            for at in 0..x.len() {
                let seen = attend(&queries[at], &keys[..=at], &values[..=at], heads);
                let row = add(&x[at], &self.linear(&name("mix"), &seen));
                x[at] = self.feed_forward(&name("feed_forward"), &row);
            }
        }
        self.norm("transformer.norm", x.last().unwrap())
    }
}

fn attend(query: &[f64], keys: &[Vec<f64>], values: &[Vec<f64>], heads: usize) -> Vec<f64> {
    let width = query.len() / heads;
    let mut seen = Vec::new();
    for head in 0..heads {
        let part = head * width..(head + 1) * width;
        let logits: Vec<f64> = keys
            .iter()
            .map(|key| dot(&query[part.clone()], &key[part.clone()]) / (width as f64).sqrt())
            .collect();
        let weights = softmax(&logits);
        seen.extend(
            part.map(|at| weights.iter().zip(values).map(|(w, value)| w * value[at]).sum::<f64>()),
        );
    }
    seen
}

pub(crate) fn softmax(logits: &[f64]) -> Vec<f64> {
    let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
    logits.iter().map(|logit| logit.exp() / total).collect()
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(crate) fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// The GELU in its tanh form.
fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
}
